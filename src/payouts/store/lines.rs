//! SQL of explanations: the movements of sellers' accounts.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use partita_db::{DbError, Tx};

use super::super::Payout;
use super::super::explain::{Line, Place, Sums, What, Window};
use crate::transfers;

/// Where a payout stands among the movements of its account.
pub(in crate::payouts) async fn window_of(tx: &mut Tx, payout: &Payout, account: &str) -> Result<Window, DbError> {
    let book = tx.book_id();
    let before = sqlx::query_scalar!(
        r#"select recorded_at as "at: jiff_sqlx::Timestamp" from provider_movements
           where book_id = $1 and object_id = $2 and object_type = 'payout' and net < 0"#,
        book.get(),
        payout.id.uuid()
    )
    .fetch_optional(tx.conn())
    .await?
    .map(jiff_sqlx::Timestamp::to_jiff);
    let after = sqlx::query_scalar!(
        r#"select max(recorded_at) as "at: jiff_sqlx::Timestamp" from provider_movements
           where book_id = $1 and account = $2 and object_type = 'payout' and net < 0
               and recorded_at < coalesce($3::timestamptz, 'infinity')"#,
        book.get(),
        account,
        before.map(jiff_sqlx::ToSqlx::to_sqlx) as _
    )
    .fetch_one(tx.conn())
    .await?
    .map(jiff_sqlx::Timestamp::to_jiff);
    Ok(Window { after, before })
}

/// What movements came to, on an account on which `standing` stands now; minor units. What stood there before is what stands
/// now less what moved since, so that only that is read: each movement is booked to the account once.
pub(in crate::payouts) async fn sums_in(
    tx: &mut Tx,
    account: &str,
    window: Window,
    standing: i64,
) -> Result<Sums, DbError> {
    let book = tx.book_id();
    let sums = sqlx::query!(
        r#"select coalesce(sum(net), 0)::bigint as "since!",
                  coalesce(sum(net) filter (where m.within and object_type in ('transfer', 'charge_transfer')), 0)::bigint as "transfers!",
                  coalesce(sum(net) filter (where m.within and object_type = 'reversal'), 0)::bigint as "reversals!",
                  coalesce(sum(net) filter (where m.within and object_type = 'payout'), 0)::bigint as "payouts_returned!",
                  coalesce(sum(net) filter (where m.within and object_type in ('direct_charge', 'direct_failure', 'refund', 'dispute')), 0)::bigint
                      as "direct_charges!",
                  coalesce(sum(net) filter (where m.within and object_type not in
                      ('transfer', 'charge_transfer', 'reversal', 'payout', 'direct_charge', 'direct_failure', 'refund', 'dispute')), 0)::bigint
                      as "other!"
           from (select net, object_type, recorded_at < coalesce($4::timestamptz, 'infinity') as within from provider_movements
                 where book_id = $1 and account = $2 and recorded_at > coalesce($3::timestamptz, '-infinity')) m"#,
        book.get(),
        account,
        window.after.map(jiff_sqlx::ToSqlx::to_sqlx) as _,
        window.before.map(jiff_sqlx::ToSqlx::to_sqlx) as _
    )
    .fetch_one(tx.conn())
    .await?;
    Ok(Sums {
        opening: standing - sums.since,
        transfers: sums.transfers,
        reversals: sums.reversals,
        payouts_returned: sums.payouts_returned,
        direct_charges: sums.direct_charges,
        other: sums.other,
    })
}

/// Movements, newest first.
pub(in crate::payouts) async fn lines_in(
    tx: &mut Tx,
    account: &str,
    window: Window,
    after: Option<Place>,
    limit: i64,
) -> Result<Vec<Line>, DbError> {
    let book = tx.book_id();
    let place = after.and_then(|place| Some((Timestamp::from_microsecond(place.recorded_micros).ok()?, place.key)));
    let rows = sqlx::query!(
        r#"select m.key, m.net, m.object_type, m.created_on as "created_on: jiff_sqlx::Timestamp",
                  m.recorded_at as "recorded_at: jiff_sqlx::Timestamp",
                  p.id as "payment?: uuid::Uuid",
                  coalesce(t.adjustment_id, v.adjustment_id) as "adjustment: uuid::Uuid", p.reference as "reference?"
           from provider_movements m
           left join transfers t on t.book_id = $1 and t.id = m.object_id and m.object_type in ('transfer', 'charge_transfer')
           left join transfer_reversals v on v.book_id = $1 and v.id = m.object_id and m.object_type = 'reversal'
           left join refunds r on r.book_id = $1 and r.id = m.object_id and m.object_type = 'refund'
           left join disputes i on i.book_id = $1 and i.id = m.object_id and m.object_type = 'dispute'
           left join payments p on p.book_id = $1 and p.id = case when m.object_type in ('direct_charge', 'direct_failure') then m.object_id
               else coalesce(t.payment_id, v.payment_id, r.payment_id, i.payment_id) end
           where m.book_id = $1 and m.account = $2
               and m.recorded_at > coalesce($3::timestamptz, '-infinity') and m.recorded_at < coalesce($4::timestamptz, 'infinity')
               and ($5::timestamptz is null or (m.recorded_at, m.key) < ($5, $6))
           order by m.recorded_at desc, m.key desc limit $7"#,
        book.get(),
        account,
        window.after.map(jiff_sqlx::ToSqlx::to_sqlx) as _,
        window.before.map(jiff_sqlx::ToSqlx::to_sqlx) as _,
        place.map(|(at, _)| at.to_sqlx()) as _,
        place.map_or(0, |(_, key)| key),
        limit
    )
    .fetch_all(tx.conn())
    .await?;
    let line = rows.into_iter().map(|row| Line {
        place: Place { recorded_micros: row.recorded_at.to_jiff().as_microsecond(), key: row.key },
        at: row.created_on.to_jiff(),
        what: match row.object_type.as_str() {
            "transfer" | transfers::WITH_CHARGE => What::Transfer,
            "reversal" => What::Reversal,
            "payout" => What::PayoutReturned,
            "direct_charge" | "direct_failure" | "refund" | "dispute" => What::DirectCharge,
            _ => What::Other,
        },
        amount: row.net,
        payment: row.payment.map(Into::into),
        payment_reference: row.reference,
        adjustment: row.adjustment.map(Into::into),
    });
    Ok(line.collect())
}

/// What a payout by bank file pays of each payment and adjustment, newest first. All of it was taken when the payout was asked.
pub(in crate::payouts) async fn lines_by_bank(
    tx: &mut Tx,
    payout: &Payout,
    after: Option<Place>,
    limit: i64,
) -> Result<Vec<Line>, DbError> {
    let book = tx.book_id();
    let rows = sqlx::query!(
        r#"select b.key, b.amount, b.payment_id, b.adjustment_id, p.reference as "reference?"
           from bank_payout_parts b
           left join payments p on p.book_id = b.book_id and p.id = b.payment_id
           where b.book_id = $1 and b.payout_id = $2 and ($3::bigint is null or b.key < $3)
           order by b.key desc limit $4"#,
        book.get(),
        payout.id.uuid(),
        after.map(|place| place.key),
        limit
    )
    .fetch_all(tx.conn())
    .await?;
    let line = rows.into_iter().map(|row| Line {
        place: Place { recorded_micros: payout.created_at.as_microsecond(), key: row.key },
        at: payout.created_at,
        what: What::Transfer,
        amount: row.amount,
        payment: row.payment_id.map(Into::into),
        payment_reference: row.reference,
        adjustment: row.adjustment_id.map(Into::into),
    });
    Ok(line.collect())
}
