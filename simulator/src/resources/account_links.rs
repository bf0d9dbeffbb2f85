//! Account links (docs.stripe.com/api/account_links): the way of a seller to the hosted onboarding. A link opens once.

use serde_json::json;

use crate::context::{Answer, Cx};
use crate::error::ApiError;
use crate::ids::random_text;
use crate::params::Params;
use crate::store;

/// `POST /v1/account_links`.
pub(crate) async fn create(cx: &mut Cx, mut params: Params) -> Answer {
    let account = params.required_text("account")?;
    let (refresh_url, return_url) = (address(&mut params, "refresh_url")?, address(&mut params, "return_url")?);
    let kind = params.choice("type", &["account_onboarding", "account_update"])?;
    kind.ok_or_else(|| params.missing("type"))?;
    params.choice("collect", &["currently_due", "eventually_due"])?;
    if let Some(mut options) = params.hash("collection_options")? {
        options.choice("fields", &["currently_due", "eventually_due"])?;
        options.choice("future_requirements", &["include", "omit"])?;
        options.finish()?;
    }
    params.finish()?;
    let platform = cx.platform.clone();
    if account == *platform || store::find(&mut cx.conn, &platform, "account", &account).await?.is_none() {
        return Err(ApiError::no_such_param("account", &account, "account"));
    }
    let token = random_text(32);
    let expires_at = cx.now + i64::from(cx.settings.account_link_seconds);
    sqlx::query(
        "insert into account_links (token, account, refresh_url, return_url, created, expires_at)
         values ($1, $2, $3, $4, $5, $6)",
    )
    .bind(&token)
    .bind(&account)
    .bind(&refresh_url)
    .bind(&return_url)
    .bind(cx.now)
    .bind(expires_at)
    .execute(&mut *cx.conn)
    .await?;
    Ok(json!({
        "object": "account_link",
        "created": cx.now,
        "expires_at": expires_at,
        "url": format!("{}/connect/onboarding/{token}", cx.base_url),
    }))
}

/// An absolute address that a browser can be sent to.
fn address(params: &mut Params, field: &str) -> Result<String, ApiError> {
    let text = params.required_text(field)?;
    match url::Url::parse(&text) {
        Ok(address) if ["http", "https"].contains(&address.scheme()) => Ok(text),
        _ => Err(ApiError::invalid("Not a valid URL").code("url_invalid").param(field)),
    }
}
