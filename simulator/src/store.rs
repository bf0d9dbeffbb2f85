//! Stripe's objects in the database: one row each, the body as it is shown.

use serde_json::{Value, json};
use sqlx::PgConnection;

use crate::context::Cx;
use crate::error::ApiError;

/// The `id` of an object.
pub(crate) fn id(object: &Value) -> &str {
    text(object, "id")
}

/// A text field; empty when it is null.
pub(crate) fn text<'v>(object: &'v Value, field: &str) -> &'v str {
    object[field].as_str().unwrap_or_default()
}

/// An amount or a time.
pub(crate) fn integer(object: &Value, field: &str) -> i64 {
    object[field].as_i64().unwrap_or_default()
}

/// Writes a new object that `account` sees.
pub(crate) async fn insert(cx: &mut Cx, account: &str, parent: Option<&str>, object: &Value) -> Result<(), ApiError> {
    sqlx::query("insert into objects (id, account, object, parent, created, body) values ($1, $2, $3, $4, $5, $6)")
        .bind(id(object))
        .bind(account)
        .bind(text(object, "object"))
        .bind(parent)
        .bind(cx.now)
        .bind(object)
        .execute(&mut *cx.conn)
        .await?;
    Ok(())
}

/// Writes an object's new state.
pub(crate) async fn update(conn: &mut PgConnection, object: &Value) -> Result<(), ApiError> {
    let done =
        sqlx::query("update objects set body = $2 where id = $1").bind(id(object)).bind(object).execute(conn).await?;
    if done.rows_affected() == 1 {
        return Ok(());
    }
    Err(ApiError::internal("An object to change is not there."))
}

/// An object of this kind that the account sees.
pub(crate) async fn find(
    conn: &mut PgConnection,
    account: &str,
    object: &str,
    id: &str,
) -> Result<Option<Value>, ApiError> {
    Ok(sqlx::query_scalar("select body from objects where id = $1 and account = $2 and object = $3")
        .bind(id)
        .bind(account)
        .bind(object)
        .fetch_optional(conn)
        .await?)
}

/// As [`find`], locked until the transaction ends.
pub(crate) async fn find_for_update(
    conn: &mut PgConnection,
    account: &str,
    object: &str,
    id: &str,
) -> Result<Option<Value>, ApiError> {
    Ok(sqlx::query_scalar("select body from objects where id = $1 and account = $2 and object = $3 for no key update")
        .bind(id)
        .bind(account)
        .bind(object)
        .fetch_optional(conn)
        .await?)
}

/// An object whoever sees it, with its account.
pub(crate) async fn find_any(conn: &mut PgConnection, id: &str) -> Result<Option<(String, Value)>, ApiError> {
    Ok(sqlx::query_as("select account, body from objects where id = $1").bind(id).fetch_optional(conn).await?)
}

/// Objects of a kind below another, newest first.
pub(crate) async fn children(conn: &mut PgConnection, parent: &str, object: &str) -> Result<Vec<Value>, ApiError> {
    Ok(sqlx::query_scalar("select body from objects where parent = $1 and object = $2 order by seq desc")
        .bind(parent)
        .bind(object)
        .fetch_all(conn)
        .await?)
}

/// The lists inside an object that are kept as rows of their own: reversals, refunds, external accounts.
pub(crate) async fn with_children(conn: &mut PgConnection, mut object: Value) -> Result<Value, ApiError> {
    let (field, kind) = match text(&object, "object") {
        "dispute" => return crate::resources::disputes::shown(conn, object).await,
        "transfer" if integer(&object, "amount_reversed") > 0 => ("reversals", "transfer_reversal"),
        "charge" if integer(&object, "amount_refunded") > 0 => ("refunds", "refund"),
        "account" => ("external_accounts", "bank_account"),
        "application_fee" if integer(&object, "amount_refunded") > 0 => ("refunds", "fee_refund"),
        _ => return Ok(object),
    };
    if object[field].is_object() {
        let mut rows = children(conn, id(&object), kind).await?;
        object[field]["has_more"] = json!(rows.len() > 10);
        rows.truncate(10);
        object[field]["data"] = Value::Array(rows);
    }
    Ok(object)
}

/// An empty list, as it stands inside an object.
pub(crate) fn empty_list(url: &str) -> Value {
    json!({ "object": "list", "data": [], "has_more": false, "url": url })
}
