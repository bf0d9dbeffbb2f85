//! SQL of the question for positions that stay open.

use jiff::{SignedDuration, Timestamp};
use jiff_sqlx::ToSqlx as _;
use partita_db::{DbError, Tx};
use partita_provider::{Currency, Money};

use crate::stuck_money::{Cause, Finding};

/// For how long a position may be open: as long as a payout by hand may be waited for.
const OPEN_DAYS: i64 = 30;

/// Payments and adjustments that were settled in another currency, with the last crossing long ago and the position still open. Not
/// while a line waits to be released: that has a limit of its own.
pub(in crate::stuck_money) async fn find_open_positions(
    tx: &mut Tx,
    now: Timestamp,
    after: &str,
    limit: i64,
) -> Result<Vec<Finding>, DbError> {
    let book = tx.book_id();
    let rows = sqlx::query!(
        r#"select coalesce(p.id, a.id) as "id!", p.id is not null as "is_payment!", x.currency as "currency!",
                  x.amount as "amount!", x.since as "since!: jiff_sqlx::Timestamp", coalesce(p.id, a.id)::text as "place!"
           from due d
           join lateral (select min(e.currency) as currency, (array_agg(abs(e.amount) order by e.movement))[1] as amount,
                                max(m.created_on) as since
                         from exchanges e join provider_movements m on m.book_id = e.book_id and m.key = e.movement
                         where e.book_id = d.book_id and e.subject = d.id) x on x.since < $2
           left join payments p on p.book_id = d.book_id and p.key = d.id
           left join adjustments a on a.book_id = d.book_id and a.key = d.id
           where d.kind = 'currency_position' and d.book_id = $1 and coalesce(p.id, a.id)::text > $3
             and not exists (select from line_releases r
                             where r.book_id = d.book_id and r.payment_id = p.id and r.status <> 'released')
           order by 6 limit $4"#,
        book.get(),
        (now - SignedDuration::from_hours(24 * OPEN_DAYS)).to_sqlx() as _,
        after,
        limit
    )
    .fetch_all(tx.conn())
    .await?;
    let finding = rows.into_iter().map(|row| Finding {
        cause: Cause::PositionOpen,
        seller: None,
        object_type: if row.is_payment { "payment" } else { "adjustment" },
        object_id: row.id,
        amount: Money::new(row.amount, Currency::parse(&row.currency).expect("written from a currency")),
        since: Some(row.since.to_jiff()),
        place: row.place,
    });
    Ok(finding.collect())
}
