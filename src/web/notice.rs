//! Pages that say what went wrong and what a person can do about it.

use askama::Template;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::Response;

use super::page::{self, Forms, Head};
use super::texts::{Notice, Texts};
use super::visit::Visit;
use crate::http::problem::Problem;
use crate::id::RequestId;
use crate::sellers::SellerError;

/// Seconds that a client waits before it asks again.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("30");

/// Why a page could not be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    /// No link has this token.
    Unknown,
    /// The link's time is over.
    Expired,
    /// The link's button was pressed before.
    Used,
    /// Another website made the request.
    Foreign,
    /// The provider does not answer; the same press may work later.
    ProviderDown,
    /// We lack something just now; the same request may work later.
    Unavailable,
    /// A defect or a setting of ours.
    Failed,
}

impl Trouble {
    fn of_problem(problem: &Problem) -> Self {
        let (code, cause) = (problem.kind().code, problem.cause());
        if matches!(problem.kind().status, 502..=504) {
            tracing::warn!(code, cause, "an onboarding page cannot be shown just now");
            return Self::Unavailable;
        }
        tracing::error!(code, cause, "an onboarding page failed");
        Self::Failed
    }

    fn may_pass(self) -> bool {
        matches!(self, Self::ProviderDown | Self::Unavailable)
    }

    fn status(self) -> StatusCode {
        match self {
            Self::Unknown => StatusCode::NOT_FOUND,
            Self::Expired | Self::Used => StatusCode::GONE,
            Self::Foreign => StatusCode::FORBIDDEN,
            Self::ProviderDown | Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::Failed => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn notice(self, texts: &Texts) -> Notice {
        match self {
            Self::Unknown => texts.unknown,
            Self::Expired => texts.expired,
            Self::Used => texts.used,
            Self::Foreign => texts.foreign,
            Self::ProviderDown => texts.provider_down,
            Self::Unavailable => texts.unavailable,
            Self::Failed => texts.failed,
        }
    }
}

impl From<SellerError> for Trouble {
    fn from(error: SellerError) -> Self {
        match error {
            SellerError::LinkNotFound | SellerError::NotFound => Self::Unknown,
            SellerError::LinkExpired => Self::Expired,
            SellerError::LinkUsed => Self::Used,
            SellerError::ProviderUnavailable(_) => Self::ProviderDown,
            error => Self::of_problem(&Problem::from(error)),
        }
    }
}

#[derive(Template)]
#[template(path = "notice.html")]
struct NoticePage<'a> {
    head: &'a Head,
    texts: &'static Texts,
    notice: Notice,
    /// The method of the button that makes the request again; none: no button.
    retry: Option<&'static str>,
    request_id: Option<RequestId>,
}

/// The page of a trouble. The id of the request is shown where somebody has to look for it.
pub(super) fn show(visit: &Visit, texts: &'static Texts, trouble: Trouble) -> Response {
    let head = Head::new(texts);
    let retry = trouble.may_pass().then_some(if visit.method == Method::POST { "post" } else { "get" });
    let is_fault = trouble.may_pass() || trouble == Trouble::Failed;
    let page = NoticePage {
        head: &head,
        texts,
        notice: trouble.notice(texts),
        retry,
        request_id: visit.request_id.filter(|_| is_fault),
    };
    // The book is not known here, so neither is whether the provider is a simulator.
    let forms = if retry.is_some() { Forms::TestProvider } else { Forms::None };
    let mut response = page::respond(&visit.site, trouble.status(), &head, forms, &page);
    if retry.is_some() {
        response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER);
    }
    response
}
