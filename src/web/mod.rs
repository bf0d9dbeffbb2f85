//! Pages for people, rendered here: the way a seller goes to the provider's onboarding, and what this instance is.
//!
//! Invariants:
//! - Looking changes nothing: mail scanners and link previews look. Only the button's POST uses a link up, and only when
//!   it comes from our own page.
//! - A page works without scripts and loads nothing: its one style sheet stands in it, under a nonce.
//! - Whatever a page shows is escaped by the template. The address of an onboarding page is a secret, so no page is
//!   stored, framed, indexed or named to another site.
//! - What a person reads stands in `texts.rs`, so that a language is one more value there.

mod landing;
mod notice;
mod onboarding;
mod page;
mod texts;
mod visit;

use axum::Router;
use axum::routing::get;

use crate::http::HttpState;

/// The pages. To be merged into the main port, behind the limit per address.
pub fn router() -> Router<HttpState> {
    Router::new()
        .route("/", get(landing::show))
        .route("/onboarding/{token}", get(onboarding::open).post(onboarding::follow))
}
