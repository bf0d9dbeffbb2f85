//! SQL of reserve_policies and their amounts.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use partita_db::{DbError, Tx};
use partita_provider::{Currency, Money};
use uuid::Uuid;

use crate::actor::Actor;
use crate::id::SellerId;
use crate::reserves::{Declared, Rolling, Rules};

/// What is kept back of a seller's shares in one currency.
pub(in crate::reserves) struct RulesOf {
    pub(in crate::reserves) seller: SellerId,
    pub(in crate::reserves) version: i32,
    pub(in crate::reserves) rolling: Option<Rolling>,
    /// Up to which amount a fixed reserve is filled; minor units, 0 for none.
    pub(in crate::reserves) fixed: i64,
}

/// The rules of those of some sellers that have any.
pub(in crate::reserves) async fn rules_of(
    tx: &mut Tx,
    sellers: &[SellerId],
    currency: Currency,
) -> Result<Vec<RulesOf>, DbError> {
    let book = tx.book_id();
    let ids: Vec<Uuid> = sellers.iter().map(|seller| seller.uuid()).collect();
    let rows = sqlx::query!(
        r#"select s.id as "seller!", p.version as "version!", p.rolling_bps, p.hold_days, coalesce(a.amount, 0) as "fixed!"
           from unnest($2::uuid[]) with ordinality s (id, place)
           left join lateral (select version, inherits from reserve_policies
                              where book_id = $1 and seller_id = s.id order by version desc limit 1) own on true
           join lateral (select version, rolling_bps, hold_days from reserve_policies
                         where book_id = $1
                           and case when own.inherits is false then version = own.version else seller_id is null end
                         order by version desc limit 1) p on true
           left join reserve_policy_amounts a on a.book_id = $1 and a.version = p.version and a.currency = $3
           where p.rolling_bps is not null or a.amount is not null
           order by s.place"#,
        book.get(),
        &ids,
        currency.code()
    )
    .fetch_all(tx.conn())
    .await?;
    let rules = rows.into_iter().map(|row| RulesOf {
        seller: row.seller.into(),
        version: row.version,
        rolling: rolling(row.rolling_bps, row.hold_days),
        fixed: row.fixed,
    });
    Ok(rules.collect())
}

fn rolling(percent_bps: Option<i32>, hold_days: Option<i32>) -> Option<Rolling> {
    percent_bps.zip(hold_days).map(|(percent_bps, hold_days)| Rolling { percent_bps, hold_days })
}

/// What holds for a seller: its own declaration, or that for all.
///
/// # Errors
/// What the database says.
pub async fn find_declared(tx: &mut Tx, seller: SellerId) -> Result<Declared, DbError> {
    let book = tx.book_id();
    let own = sqlx::query!(
        "select version, inherits, rolling_bps, hold_days from reserve_policies
         where book_id = $1 and seller_id = $2 order by version desc limit 1",
        book.get(),
        seller.uuid()
    )
    .fetch_optional(tx.conn())
    .await?;
    match own.filter(|own| !own.inherits) {
        Some(own) => read(tx, own.version, true, rolling(own.rolling_bps, own.hold_days)).await,
        None => find_declared_for_all(tx).await,
    }
}

/// What holds for sellers without a declaration of their own.
pub(in crate::reserves) async fn find_declared_for_all(tx: &mut Tx) -> Result<Declared, DbError> {
    let book = tx.book_id();
    let newest = sqlx::query!(
        "select version, rolling_bps, hold_days from reserve_policies
         where book_id = $1 and seller_id is null order by version desc limit 1",
        book.get()
    )
    .fetch_optional(tx.conn())
    .await?;
    match newest {
        Some(row) => read(tx, row.version, false, rolling(row.rolling_bps, row.hold_days)).await,
        None => Ok(Declared::default()),
    }
}

async fn read(tx: &mut Tx, version: i32, is_own: bool, rolling: Option<Rolling>) -> Result<Declared, DbError> {
    let book = tx.book_id();
    let rows = sqlx::query!(
        "select currency, amount from reserve_policy_amounts where book_id = $1 and version = $2 order by currency",
        book.get(),
        version
    )
    .fetch_all(tx.conn())
    .await?;
    let amount = |currency: &str| Currency::parse(currency).expect("written from a currency");
    let fixed = rows.into_iter().map(|row| Money::new(row.amount, amount(&row.currency))).collect();
    Ok(Declared { version, is_own, rules: Rules { rolling, fixed } })
}

/// Declares what is kept back; who calls has locked the declaration.
pub(in crate::reserves) async fn insert_policy(
    tx: &mut Tx,
    seller: Option<SellerId>,
    rules: Option<&Rules>,
    actor: Actor,
    now: Timestamp,
) -> Result<(), DbError> {
    let book = tx.book_id();
    let rolling = rules.and_then(|rules| rules.rolling);
    let version = sqlx::query_scalar!(
        "insert into reserve_policies (book_id, version, seller_id, inherits, rolling_bps, hold_days, created_by, created_at)
         select $1, coalesce(max(version), 0) + 1, $2, $3, $4, $5, $6, $7 from reserve_policies where book_id = $1
         returning version",
        book.get(),
        seller.map(SellerId::uuid),
        rules.is_none(),
        rolling.map(|rolling| rolling.percent_bps),
        rolling.map(|rolling| rolling.hold_days),
        actor.to_string(),
        now.to_sqlx() as _
    )
    .fetch_one(tx.conn())
    .await?;
    for amount in rules.map(|rules| rules.fixed.as_slice()).unwrap_or_default() {
        sqlx::query!(
            "insert into reserve_policy_amounts (book_id, version, currency, amount) values ($1, $2, $3, $4)",
            book.get(),
            version,
            amount.currency.code(),
            amount.minor
        )
        .execute(tx.conn())
        .await?;
    }
    Ok(())
}

/// Has every open fixed reserve looked at that a declaration concerns.
pub(in crate::reserves) async fn schedule_fixed(
    tx: &mut Tx,
    due_kind: &str,
    seller: Option<SellerId>,
    now: Timestamp,
) -> Result<(), DbError> {
    let book = tx.book_id();
    sqlx::query!(
        "insert into due (kind, book_id, id, due_at)
         select $2, $1, key, $4::timestamptz from reserves
         where book_id = $1 and kind = 'fixed' and status = 'open' and ($3::uuid is null or seller_id = $3)
         on conflict (kind, book_id, id) do update set due_at = least(due.due_at, excluded.due_at), lease_until = null",
        book.get(),
        due_kind,
        seller.map(SellerId::uuid),
        now.to_sqlx() as _
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}
