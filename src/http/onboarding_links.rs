//! `/v1/sellers/{id}/onboarding_links`.

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Json, response::IntoResponse};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::HttpState;
use super::auth::Caller;
use super::fields::{Locale, WebAddress};
use super::json::{Json as Body, PathId};
use super::problem::Problem;
use super::render::{CommandRefusals, Time};
use crate::id::{OnboardingLinkId, SellerId};
use crate::sellers::{self, NewOnboardingLink};

/// The routes.
pub fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new().routes(routes!(create))
}

/// A new onboarding link.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewOnboardingLink, example = json!({"return_url": "https://market.example/done"}))]
struct NewLinkBody {
    /// Where the seller goes after the provider's pages. Coming back proves nothing: wait for the seller's status.
    return_url: WebAddress,
    /// Where the seller goes when the provider's own link has expired; `return_url` when absent.
    refresh_url: Option<WebAddress>,
    /// Language of the page; the seller's when absent.
    locale: Option<Locale>,
}

impl From<NewLinkBody> for NewOnboardingLink {
    fn from(body: NewLinkBody) -> Self {
        let return_url = body.return_url.into_string();
        Self {
            refresh_url: body.refresh_url.map_or_else(|| return_url.clone(), WebAddress::into_string),
            return_url,
            locale: body.locale.map(Locale::into_string),
        }
    }
}

/// An onboarding link.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OnboardingLink)]
struct LinkBody {
    /// Always `onboarding_link`.
    #[schema(value_type = String, example = "onboarding_link")]
    object: &'static str,
    id: OnboardingLinkId,
    /// `test` or `live`.
    #[schema(value_type = String, example = "test")]
    mode: &'static str,
    seller: SellerId,
    /// Give it to the seller and to nobody else. Shown this once.
    #[schema(example = "https://pay.market.example/onboarding/6b86b273ff34fce19d6b804eff5a3f57")]
    url: String,
    /// It works until then, once: opening it shows a page, the button on the page uses it up.
    expires_at: Time,
    created_at: Time,
}

/// Makes a short-lived link that leads a seller through the provider's onboarding.
#[utoipa::path(
    post, path = "/v1/sellers/{id}/onboarding_links", tag = "Sellers", operation_id = "create_onboarding_link",
    params(("id" = SellerId, Path, description = "The seller")),
    request_body = NewLinkBody,
    responses((status = 201, description = "The link", body = LinkBody), CommandRefusals),
)]
async fn create(
    State(state): State<HttpState>,
    caller: Caller,
    PathId(seller): PathId<SellerId>,
    Body(body): Body<NewLinkBody>,
) -> Result<impl IntoResponse, Problem> {
    caller.require("sellers:write")?;
    let link = sellers::create_link(&state.app, caller.book, seller, body.into()).await?;
    let shown = LinkBody {
        object: "onboarding_link",
        id: link.id,
        mode: caller.mode.as_str(),
        seller,
        url: format!("{}/onboarding/{}", state.public_origin, link.token),
        expires_at: Time(link.expires_at),
        created_at: Time(link.created_at),
    };
    Ok((StatusCode::CREATED, Json(shown)))
}
