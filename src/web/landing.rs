//! What this instance is, for whoever opens its address.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;

use super::page::{self, Forms, Head};
use super::texts::ENGLISH;
use super::visit::Visit;

#[derive(Template)]
#[template(path = "landing.html")]
struct LandingPage<'a> {
    head: &'a Head,
    origin: &'a str,
    version: &'static str,
}

/// `GET /`. For developers and operators, hence in English only.
pub(super) async fn show(visit: Visit) -> Response {
    let head = Head::new(&ENGLISH);
    let page = LandingPage { head: &head, origin: visit.site.origin(), version: env!("CARGO_PKG_VERSION") };
    page::respond(&visit.site, StatusCode::OK, &head, Forms::None, &page)
}
