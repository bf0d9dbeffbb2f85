//! SQL of reconciliation_breaks and reconciliation_open_breaks.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use partita_db::{DbError, Tx};

use crate::id::{BreakId, RunId};
use crate::reconciliation::breaks::Sighting;
use crate::reconciliation::compare::Finding;
use crate::reconciliation::{Break, BreakKind};

/// Writes down what a run found.
pub(in crate::reconciliation) async fn insert(
    tx: &mut Tx,
    id: BreakId,
    run: RunId,
    account: &str,
    finding: &Finding,
    now: Timestamp,
) -> Result<(), DbError> {
    let book = tx.book_id();
    sqlx::query!(
        "insert into reconciliation_breaks (book_id, id, run_id, kind, account, movement_id, currency, ledger_amount,
                                            provider_amount, detail, created_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        book.get(),
        id.uuid(),
        run.uuid(),
        finding.kind.as_str(),
        account,
        finding.movement,
        finding.currency.code(),
        finding.ledger_amount,
        finding.provider_amount,
        finding.detail,
        now.to_sqlx() as _
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Notes that a difference stands. While nobody was told of it, it begins anew with another amount.
pub(in crate::reconciliation) async fn sight(
    tx: &mut Tx,
    id: BreakId,
    run: RunId,
    account: &str,
    finding: &Finding,
    now: Timestamp,
) -> Result<Sighting, DbError> {
    let book = tx.book_id();
    let row = sqlx::query!(
        r#"insert into reconciliation_open_breaks as known
               (book_id, account, kind, subject, currency, break_id, last_run, difference, first_found_at, last_found_at)
           values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9)
           on conflict (book_id, account, kind, subject, currency) do update
           set last_run = excluded.last_run, last_found_at = excluded.last_found_at, difference = excluded.difference,
               break_id = case when known.told_at is null and known.difference is distinct from excluded.difference
                               then excluded.break_id else known.break_id end,
               first_found_at = case when known.told_at is null and known.difference is distinct from excluded.difference
                                     then excluded.first_found_at else known.first_found_at end
           returning break_id, first_found_at as "first_found_at: jiff_sqlx::Timestamp", told_at is not null as "is_told!""#,
        book.get(),
        account,
        finding.kind.as_str(),
        finding.subject(),
        finding.currency.code(),
        id.uuid(),
        run.uuid(),
        finding.difference(),
        now.to_sqlx() as _
    )
    .fetch_one(tx.conn())
    .await?;
    Ok(Sighting { id: row.break_id.into(), first_found_at: row.first_found_at.to_jiff(), is_told: row.is_told })
}

/// Notes that an event tells of the difference.
pub(in crate::reconciliation) async fn mark_told(
    tx: &mut Tx,
    account: &str,
    finding: &Finding,
    now: Timestamp,
) -> Result<(), DbError> {
    let book = tx.book_id();
    sqlx::query!(
        "update reconciliation_open_breaks set told_at = $6
         where book_id = $1 and account = $2 and kind = $3 and subject = $4 and currency = $5 and told_at is null",
        book.get(),
        account,
        finding.kind.as_str(),
        finding.subject(),
        finding.currency.code(),
        now.to_sqlx() as _
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Forgets differences of these subjects that were not found again: they are gone.
pub(in crate::reconciliation) async fn close_others(
    tx: &mut Tx,
    account: &str,
    subjects: &[String],
    found: &[Finding],
) -> Result<(), DbError> {
    let book = tx.book_id();
    let kinds: Vec<String> = found.iter().map(|finding| finding.kind.as_str().to_owned()).collect();
    let found_subjects: Vec<String> = found.iter().map(|finding| finding.subject().to_owned()).collect();
    let currencies: Vec<String> = found.iter().map(|finding| finding.currency.code().to_owned()).collect();
    sqlx::query!(
        "delete from reconciliation_open_breaks as known
         where book_id = $1 and account = $2 and subject = any($3)
             and not exists (
                 select from unnest($4::text[], $5::text[], $6::text[]) as found (kind, subject, currency)
                 where found.kind = known.kind and found.subject = known.subject and found.currency = known.currency)",
        book.get(),
        account,
        subjects,
        &kinds,
        &found_subjects,
        &currencies
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Forgets differences of an account that the run, which has seen all of it, did not find.
pub(in crate::reconciliation) async fn close_unseen(tx: &mut Tx, run: RunId, account: &str) -> Result<(), DbError> {
    let book = tx.book_id();
    sqlx::query!(
        "delete from reconciliation_open_breaks where book_id = $1 and account = $2 and last_run <> $3",
        book.get(),
        account,
        run.uuid()
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Whether some difference was found at `since` or later for the first time and nobody was told of it yet.
pub(in crate::reconciliation) async fn any_untold(tx: &mut Tx, since: Timestamp) -> Result<bool, DbError> {
    let book = tx.book_id();
    Ok(sqlx::query_scalar!(
        r#"select exists (select from reconciliation_open_breaks
                          where book_id = $1 and told_at is null and first_found_at >= $2) as "any!""#,
        book.get(),
        since.to_sqlx() as _
    )
    .fetch_one(tx.conn())
    .await?)
}

/// The breaks of a run, oldest first, newer than `after`.
///
/// # Errors
/// What the database says.
pub async fn list(tx: &mut Tx, run: RunId, after: Option<BreakId>, limit: i64) -> Result<Vec<Break>, DbError> {
    let book = tx.book_id();
    let rows = sqlx::query!(
        r#"select id, run_id, kind, account, movement_id, currency, ledger_amount, provider_amount, detail,
                  created_at as "created_at: jiff_sqlx::Timestamp"
           from reconciliation_breaks
           where book_id = $1 and run_id = $2 and ($3::uuid is null or id > $3) order by id limit $4"#,
        book.get(),
        run.uuid(),
        after.map(BreakId::uuid),
        limit
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Break {
            id: row.id.into(),
            run: row.run_id.into(),
            kind: BreakKind::parse(&row.kind).expect("reconciliation_breaks_kind_known allows no other word"),
            account: row.account,
            movement: row.movement_id,
            currency: row.currency,
            ledger_amount: row.ledger_amount,
            provider_amount: row.provider_amount,
            detail: row.detail,
            created_at: row.created_at.to_jiff(),
        })
        .collect())
}
