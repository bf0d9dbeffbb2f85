//! SQL of charge_policies.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use partita_db::{DbError, Tx};

use crate::actor::Actor;
use crate::payments::{ChargePolicy, ChargeType};

/// What holds for payments made now.
///
/// # Errors
/// What the database says.
pub async fn find_charge_policy(tx: &mut Tx) -> Result<ChargePolicy, DbError> {
    let book = tx.book_id();
    let row = sqlx::query!(
        "select version, charge_type, on_behalf_of from charge_policies where book_id = $1 order by version desc limit 1",
        book.get()
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(row.map_or_else(ChargePolicy::default, |row| ChargePolicy {
        version: row.version,
        charge_type: ChargeType::parse(&row.charge_type).expect("charge_policies_type_known allows no other word"),
        on_behalf_of: row.on_behalf_of,
    }))
}

/// Who calls has locked the declaration.
pub(in crate::payments) async fn insert_charge_policy(
    tx: &mut Tx,
    policy: ChargePolicy,
    actor: Actor,
    now: Timestamp,
) -> Result<ChargePolicy, DbError> {
    let book = tx.book_id();
    let version = sqlx::query_scalar!(
        r#"insert into charge_policies (book_id, version, charge_type, on_behalf_of, created_by, created_at)
           select $1, 1 + coalesce((select max(version) from charge_policies where book_id = $1), 0), $2, $3, $4, $5
           returning version"#,
        book.get(),
        policy.charge_type.as_str(),
        policy.on_behalf_of,
        actor.to_string(),
        now.to_sqlx() as _
    )
    .fetch_one(tx.conn())
    .await?;
    Ok(ChargePolicy { version, ..policy })
}
