//! SQL of reconciliation_tasks and reconciliation_accounts.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use partita_db::{DbError, Tx};

use crate::chart::SellerNumber;
use crate::id::RunId;
use crate::reconciliation::Scope;
use crate::reconciliation::account::{Account, Progress};

/// What was written so long before an account was looked at may have been committed after it.
const COMMIT_MARGIN_SECONDS: f64 = 300.0;

pub(in crate::reconciliation) async fn database_now(tx: &mut Tx) -> Result<Timestamp, DbError> {
    let now =
        sqlx::query_scalar!(r#"select clock_timestamp() as "now!: jiff_sqlx::Timestamp""#).fetch_one(tx.conn()).await?;
    Ok(now.to_jiff())
}

/// Writes down which accounts a run has to compare: all, or the platform's own and those that moved since they were
/// compared, that could not be compared, or whose difference nobody was told of yet.
pub(in crate::reconciliation) async fn insert(tx: &mut Tx, run: RunId, scope: Scope) -> Result<(), DbError> {
    let book = tx.book_id();
    sqlx::query!(
        "insert into reconciliation_tasks (book_id, run_id, account, seller)
         select $1, $2, known.account, known.number
         from (select '' as account, null::integer as number
               union all
               select account, number from sellers where book_id = $1 and account is not null) as known
         left join reconciliation_accounts as last on last.book_id = $1 and last.account = known.account
         where $3 or known.account = '' or last.account is null or last.failing
             or exists (select from provider_movements m
                        where m.book_id = $1 and m.account = known.account
                            and m.recorded_at >= last.looked_at - make_interval(secs => $4))
             or known.account in (select e.account from inbox_events e
                                  join reconciliation_accounts l on l.book_id = e.book_id and l.account = e.account
                                  where e.book_id = $1 and e.received_at >= l.looked_at - make_interval(secs => $4)
                                      and e.received_at >= clock_timestamp() - interval '6 hours')
             or exists (select from reconciliation_open_breaks b
                        where b.book_id = $1 and b.account = known.account and b.told_at is null)",
        book.get(),
        run.uuid(),
        scope == Scope::Complete,
        COMMIT_MARGIN_SECONDS
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// An account that the run has still to compare, with how far it came.
pub(in crate::reconciliation) async fn next(
    tx: &mut Tx,
    run: RunId,
) -> Result<Option<(Account, Option<Progress>)>, DbError> {
    let book = tx.book_id();
    let row = sqlx::query!(
        "select account, seller, progress from reconciliation_tasks where book_id = $1 and run_id = $2
         order by account limit 1",
        book.get(),
        run.uuid()
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(row.map(|row| {
        let account =
            Account { id: Some(row.account).filter(|id| !id.is_empty()), seller: row.seller.map(SellerNumber) };
        // Another release may have written it: the account is then compared from its beginning.
        (account, row.progress.and_then(|value| serde_json::from_value(value).ok()))
    }))
}

/// Notes how far an account is compared.
pub(in crate::reconciliation) async fn keep_progress(
    tx: &mut Tx,
    run: RunId,
    account: &str,
    progress: &Progress,
) -> Result<(), DbError> {
    let book = tx.book_id();
    sqlx::query!(
        "update reconciliation_tasks set progress = $4 where book_id = $1 and run_id = $2 and account = $3",
        book.get(),
        run.uuid(),
        account,
        serde_json::to_value(progress).expect("progress serialises")
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Takes an account off a run's list.
pub(in crate::reconciliation) async fn remove(tx: &mut Tx, run: RunId, account: &str) -> Result<(), DbError> {
    let book = tx.book_id();
    sqlx::query!(
        "delete from reconciliation_tasks where book_id = $1 and run_id = $2 and account = $3",
        book.get(),
        run.uuid(),
        account
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Up to when an account was compared before.
pub(in crate::reconciliation) async fn compared_to(tx: &mut Tx, account: &str) -> Result<Option<Timestamp>, DbError> {
    let book = tx.book_id();
    let to = sqlx::query_scalar!(
        r#"select compared_to as "to: jiff_sqlx::Timestamp" from reconciliation_accounts
           where book_id = $1 and account = $2"#,
        book.get(),
        account
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(to.flatten().map(jiff_sqlx::Timestamp::to_jiff))
}

/// Notes that an account was compared to its end.
pub(in crate::reconciliation) async fn note_compared(
    tx: &mut Tx,
    account: &str,
    to: Timestamp,
    looked_at: Timestamp,
) -> Result<(), DbError> {
    let book = tx.book_id();
    sqlx::query!(
        "insert into reconciliation_accounts (book_id, account, compared_to, looked_at) values ($1, $2, $3, $4)
         on conflict (book_id, account) do update
         set compared_to = excluded.compared_to, looked_at = excluded.looked_at, failing = false",
        book.get(),
        account,
        to.to_sqlx() as _,
        looked_at.to_sqlx() as _
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Notes that an account could not be compared.
pub(in crate::reconciliation) async fn note_failing(tx: &mut Tx, account: &str) -> Result<(), DbError> {
    let book = tx.book_id();
    sqlx::query!(
        "insert into reconciliation_accounts (book_id, account, failing) values ($1, $2, true)
         on conflict (book_id, account) do update set failing = true",
        book.get(),
        account
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}
