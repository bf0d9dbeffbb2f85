//! `Idempotency-Key` (docs.stripe.com/api/idempotent_requests): a key is claimed before the endpoint runs, its result is
//! written in the same database transaction as the effect, and given again for 24 hours. Keys belong to an account.

use serde_json::Value;
use sha2::{Digest, Sha256};
use sqlx::PgPool;

use crate::context::Cx;
use crate::error::ApiError;
use crate::settings::DAY;

/// A claimed key.
#[derive(Debug, Clone)]
pub(crate) struct Claim {
    pub(crate) account: String,
    pub(crate) key: String,
}

/// A result that was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) status: u16,
    pub(crate) body: String,
    /// Id of the request that it answered first.
    pub(crate) request_id: String,
}

/// What became of a claim.
#[derive(Debug)]
pub(crate) enum Claimed {
    /// The key is ours: run the endpoint.
    New(Claim),
    /// The key has a result.
    Replay(Kept),
}

#[derive(sqlx::FromRow)]
struct Row {
    fingerprint: Vec<u8>,
    endpoint: String,
    request_id: String,
    status: Option<i16>,
    body: Option<String>,
}

/// Claims a key for a request, or gives its kept result.
pub(crate) async fn claim(
    pool: &PgPool,
    claim: Claim,
    endpoint: &str,
    parameters: &str,
    request_id: &str,
    now: i64,
) -> Result<Claimed, ApiError> {
    if claim.key.is_empty() || claim.key.len() > 255 {
        return Err(ApiError::invalid("Idempotency keys must be between 1 and 255 characters."));
    }
    let fingerprint = Sha256::digest(format!("{endpoint}\n{parameters}").as_bytes()).to_vec();
    let claimed = sqlx::query(
        "insert into idempotency_keys (account, key, fingerprint, endpoint, created, request_id)
         values ($1, $2, $3, $4, $5, $6)
         on conflict (account, key) do update
         set fingerprint = excluded.fingerprint, endpoint = excluded.endpoint, created = excluded.created,
             request_id = excluded.request_id, status = null, body = null
         where idempotency_keys.created <= $7 and idempotency_keys.status is not null",
    )
    .bind(&claim.account)
    .bind(&claim.key)
    .bind(&fingerprint)
    .bind(endpoint)
    .bind(now)
    .bind(request_id)
    .bind(now - DAY)
    .execute(pool)
    .await?;
    if claimed.rows_affected() == 1 {
        return Ok(Claimed::New(claim));
    }
    let row: Option<Row> = sqlx::query_as(
        "select fingerprint, endpoint, request_id, status, body from idempotency_keys where account = $1 and key = $2",
    )
    .bind(&claim.account)
    .bind(&claim.key)
    .fetch_optional(pool)
    .await?;
    // A row that is gone belonged to a request that did not validate: to this one it was in use.
    let Some(row) = row else { return Err(in_use(&claim.key)) };
    answer(row, &claim.key, endpoint, &fingerprint)
}

fn answer(row: Row, key: &str, endpoint: &str, fingerprint: &[u8]) -> Result<Claimed, ApiError> {
    if row.endpoint != endpoint {
        return Err(ApiError::idempotency(format!(
            "Keys for idempotent requests can only be used for the same endpoint they were first used for ('{endpoint}' \
             vs '{}'). Try using a key other than '{key}' if you meant to execute a different request.",
            row.endpoint
        )));
    }
    if row.fingerprint != fingerprint {
        return Err(ApiError::idempotency(format!(
            "Keys for idempotent requests can only be used with the same parameters they were first used with. Try \
             using a key other than '{key}' if you meant to execute a different request."
        )));
    }
    match (row.status.and_then(|s| u16::try_from(s).ok()), row.body) {
        (Some(status), Some(body)) => Ok(Claimed::Replay(Kept { status, body, request_id: row.request_id })),
        _ => Err(in_use(key)),
    }
}

/// The key's first request is still at work.
pub(crate) fn in_use(key: &str) -> ApiError {
    ApiError::idempotency(format!(
        "There is currently another in-progress request using this Idempotent Key (that probably means you submitted \
         twice, and the other request is still going through): {key}. Please try again later."
    ))
    .status(409)
    .code("idempotency_key_in_use")
}

/// Writes the result with the effect.
pub(crate) async fn keep(cx: &mut Cx, claim: &Claim, status: u16, body: &Value) -> Result<(), ApiError> {
    store(&mut *cx.conn, claim, status, body).await
}

/// Writes the result of a request whose effect was undone.
pub(crate) async fn keep_apart(pool: &PgPool, claim: &Claim, status: u16, body: &Value) -> Result<(), ApiError> {
    store(pool, claim, status, body).await
}

async fn store<'e>(
    executor: impl sqlx::PgExecutor<'e>,
    claim: &Claim,
    status: u16,
    body: &Value,
) -> Result<(), ApiError> {
    sqlx::query("update idempotency_keys set status = $3, body = $4 where account = $1 and key = $2")
        .bind(&claim.account)
        .bind(&claim.key)
        .bind(i16::try_from(status).unwrap_or(500))
        .bind(body.to_string())
        .execute(executor)
        .await?;
    Ok(())
}

/// Frees the key of a request that did not validate.
pub(crate) async fn release(pool: &PgPool, claim: &Claim) -> Result<(), ApiError> {
    sqlx::query("delete from idempotency_keys where account = $1 and key = $2 and status is null")
        .bind(&claim.account)
        .bind(&claim.key)
        .execute(pool)
        .await?;
    Ok(())
}

/// Frees keys whose request a stopped process left behind: its effect was undone with its transaction.
pub(crate) async fn release_abandoned(pool: &PgPool) -> Result<(), sqlx::Error> {
    sqlx::query("delete from idempotency_keys where status is null").execute(pool).await?;
    Ok(())
}
