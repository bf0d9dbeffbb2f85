//! SQL of exchanges and `position_closings`, and what the ledger has under a subject that crossed currencies.

use partita_db::{DbError, Tx};
use partita_provider::Currency;

use super::closing::{Balance, Earlier, Position};
use super::{Closed, Moved, Ratio};
use crate::chart::PlatformAccount;

fn currency(code: &str) -> Currency {
    Currency::parse(code).expect("written from a currency")
}

pub(super) async fn insert(
    tx: &mut Tx,
    movement: i64,
    subject: i64,
    moved: Moved,
    rate: Option<&str>,
) -> Result<(), DbError> {
    let book = tx.book_id();
    sqlx::query!(
        "insert into exchanges (book_id, movement, subject, currency, amount, settled_currency, settled_amount, exchange_rate)
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
        book.get(),
        movement,
        subject,
        moved.of.currency.code(),
        moved.of.minor,
        moved.gross.currency.code(),
        moved.gross.minor,
        rate
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// What the first crossing of a subject moved; none if it has none.
///
/// # Errors
/// What the database says.
pub async fn ratio_of(tx: &mut Tx, subject: i64) -> Result<Option<Ratio>, DbError> {
    let book = tx.book_id();
    let row = sqlx::query!(
        "select amount, settled_amount from exchanges where book_id = $1 and subject = $2 order by movement limit 1",
        book.get(),
        subject
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(row.map(|row| Ratio { of: row.amount, settled: row.settled_amount }))
}

/// What stands under a subject; none if it never crossed currencies.
pub(super) async fn find(tx: &mut Tx, subject: i64) -> Result<Option<Position>, DbError> {
    let book = tx.book_id();
    let first = sqlx::query!(
        "select currency, amount, settled_currency, settled_amount
         from exchanges where book_id = $1 and subject = $2 order by movement limit 1",
        book.get(),
        subject
    )
    .fetch_optional(tx.conn())
    .await?;
    let Some(first) = first else { return Ok(None) };
    let balances = sqlx::query!(
        r#"select a.path, a.currency as "currency!", sum(e.amount)::bigint as "amount!"
           from (select credit_account as account, amount from ledger_postings where book_id = $1 and subject = $2
                 union all
                 select debit_account, -amount from ledger_postings where book_id = $1 and subject = $2) e
           join ledger_accounts a on a.book_id = $1 and a.account = e.account
           group by a.path, a.currency order by a.path, a.currency"#,
        book.get(),
        subject
    )
    .fetch_all(tx.conn())
    .await?;
    let earlier = sqlx::query!(
        r#"select account, sum(amount)::bigint as "amount!", sum(settled_amount)::bigint as "settled!", max(number) as "number!"
           from position_closings where book_id = $1 and subject = $2 group by account order by account"#,
        book.get(),
        subject
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(Some(Position {
        subject,
        own: currency(&first.currency),
        settled: currency(&first.settled_currency),
        ratio: Ratio { of: first.amount, settled: first.settled_amount },
        closings: earlier.iter().map(|row| row.number).max().unwrap_or(0),
        balances: balances
            .into_iter()
            .filter_map(|row| {
                let currency = Currency::from_numeric(u16::try_from(row.currency).ok()?)?;
                Some(Balance { path: row.path, currency, amount: row.amount })
            })
            .collect(),
        earlier: earlier
            .into_iter()
            .map(|row| Earlier { account: row.account, amount: row.amount, settled: row.settled })
            .collect(),
    }))
}

/// Writes a closing down; one at a time of a subject, for its number stands once.
pub(super) async fn insert_closing(
    tx: &mut Tx,
    key: i64,
    position: &Position,
    closed: &[Closed],
) -> Result<(), DbError> {
    let book = tx.book_id();
    for one in closed {
        sqlx::query!(
            "insert into position_closings (book_id, subject, number, account, settled_currency, key, currency, amount, settled_amount)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            book.get(),
            position.subject,
            position.closings + 1,
            one.account.path(),
            one.settled.code(),
            key,
            one.own.code(),
            one.amount,
            one.settled_amount
        )
        .execute(tx.conn())
        .await?;
    }
    Ok(())
}

/// The closings of a subject: the source of each booking with what it brought home.
///
/// # Errors
/// What the database says.
pub async fn closings_of(tx: &mut Tx, subject: i64) -> Result<Vec<(i64, Vec<Closed>)>, DbError> {
    let book = tx.book_id();
    let rows = sqlx::query!(
        "select key, account, currency, amount, settled_currency, settled_amount
         from position_closings where book_id = $1 and subject = $2 order by number, account",
        book.get(),
        subject
    )
    .fetch_all(tx.conn())
    .await?;
    let mut closings: Vec<(i64, Vec<Closed>)> = Vec::new();
    for row in rows {
        let Some(account) = PlatformAccount::ALL.iter().find(|account| account.path() == row.account) else { continue };
        let closed = Closed {
            account: *account,
            own: currency(&row.currency),
            amount: row.amount,
            settled: currency(&row.settled_currency),
            settled_amount: row.settled_amount,
        };
        match closings.last_mut() {
            Some((key, of_key)) if *key == row.key => of_key.push(closed),
            _ => closings.push((row.key, vec![closed])),
        }
    }
    Ok(closings)
}
