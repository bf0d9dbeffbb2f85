//! SQL of what is looked for. Each question has an order of its own, a text, so that it can be asked page by page.

use jiff::{SignedDuration, Timestamp};
use jiff_sqlx::ToSqlx as _;
use partita_db::{DbError, Tx};
use partita_provider::{Currency, Money};
use uuid::Uuid;

use crate::id::SellerId;
use crate::stuck_money::cause::Unsent;
use crate::stuck_money::{Cause, Finding};

/// How long the provider may be late with its own date, and a command without a definite answer.
const LATE_HOURS: i64 = 24;
/// How long refunds and top-ups may wait for money, a returned refund for a decision, and a payout by bank file for its file or its
/// bank.
const WAITING_DAYS: i64 = 7;
/// For how long nothing was paid out where payouts are made by hand.
const PARKED_DAYS: i64 = 30;
const DAY_HOURS: i64 = 24;

fn before(now: Timestamp, hours: i64) -> Timestamp {
    now - SignedDuration::from_hours(hours)
}

fn money(amount: i64, currency: &str) -> Money {
    Money::new(amount, Currency::parse(currency).expect("written from a currency"))
}

/// Sellers who have something that could be sent, of which the rule of transfers waits for a better day.
pub(in crate::stuck_money) async fn find_unsent(
    tx: &mut Tx,
    now: Timestamp,
    after: &str,
    limit: i64,
) -> Result<Vec<Finding>, DbError> {
    let book = tx.book_id();
    let rows = sqlx::query!(
        r#"select s.id, s.status, s.default_currency, s.transfers_active and s.account is not null as "can_receive!",
                  has.amount as "amount!", lpad(s.number::text, 10, '0') as "place!"
           from (select ((b.account & ((1::bigint << 33) - 1)) >> 7)::integer as number, sum(b.credits - b.debits)::bigint as amount
                 from ledger_accounts a
                 join ledger_balances b on b.book_id = a.book_id and b.account = a.account
                 where a.book_id = $1 and a.path like 'sel.%.available'
                 group by b.account having sum(b.credits - b.debits) > 0) has
           join sellers s on s.book_id = $1 and s.number = has.number
           where lpad(s.number::text, 10, '0') > $3
             and not exists (select from (select sealed from seller_bank_details d
                                          where d.book_id = $1 and d.seller_id = s.id order by version desc limit 1) newest
                             where newest.sealed is not null)
             and (exists (select from payment_lines l
                          join payments p on p.book_id = l.book_id and p.id = l.payment_id and p.funds = 'available'
                          join due d on d.kind = 'rebalance' and d.book_id = l.book_id and d.id = p.key
                          where l.book_id = $1 and l.seller_id = s.id and d.due_at > $2)
                  or exists (select from adjustments j
                             join due d on d.kind = 'rebalance' and d.book_id = j.book_id and d.id = j.key
                             where j.book_id = $1 and j.seller_id = s.id and d.due_at > $2))
           order by 6 limit $4"#,
        book.get(),
        now.to_sqlx() as _,
        after,
        limit
    )
    .fetch_all(tx.conn())
    .await?;
    let finding = rows.into_iter().map(|row| {
        let amount = money(row.amount, &row.default_currency);
        let unsent = Unsent {
            was_active: matches!(row.status.as_str(), "active" | "restricted"),
            can_receive: row.can_receive,
            currency: amount.currency,
            amount: amount.minor,
        };
        let id = SellerId::from(row.id);
        Finding {
            cause: unsent.cause(),
            seller: Some(id),
            object_type: "seller",
            object_id: id.uuid(),
            amount,
            since: None,
            place: row.place,
        }
    });
    Ok(finding.collect())
}

/// Sellers who have something at the provider that it does not pay out, or that nobody asks to be paid out.
pub(in crate::stuck_money) async fn find_not_paid_out(
    tx: &mut Tx,
    now: Timestamp,
    after: &str,
    limit: i64,
) -> Result<Vec<Finding>, DbError> {
    let book = tx.book_id();
    let rows = sqlx::query!(
        r#"select s.id, s.payouts_enabled, s.default_currency, has.amount as "amount!", lpad(s.number::text, 10, '0') as "place!"
           from (select ((b.account & ((1::bigint << 33) - 1)) >> 7)::integer as number, sum(b.debits - b.credits)::bigint as amount
                 from ledger_accounts a
                 join ledger_balances b on b.book_id = a.book_id and b.account = a.account
                 where a.book_id = $1 and a.path like 'conn.available.%'
                 group by b.account having sum(b.debits - b.credits) > 0) has
           join sellers s on s.book_id = $1 and s.number = has.number
           where lpad(s.number::text, 10, '0') > $3 and (not s.payouts_enabled
                  or s.payout_interval = 'manual'
                     and coalesce((select d.rhythm from payout_schedules d where d.book_id = $1 and d.seller_id = s.id
                                   order by d.version desc limit 1), 'manual') = 'manual'
                     and not exists (select from bank_account_blocks k
                                     where k.book_id = $1 and k.seller_id = s.id and k.lifted_at is null)
                     and not exists (select from payouts p
                                     where p.book_id = $1 and p.seller_id = s.id and p.created_at > $2
                                       and p.status not in ('failed', 'canceled')))
           order by 5 limit $4"#,
        book.get(),
        before(now, PARKED_DAYS * DAY_HOURS).to_sqlx() as _,
        after,
        limit
    )
    .fetch_all(tx.conn())
    .await?;
    let finding = rows.into_iter().map(|row| Finding {
        cause: if row.payouts_enabled { Cause::PayoutsParked } else { Cause::PayoutsDisabled },
        seller: Some(row.id.into()),
        object_type: "seller",
        object_id: row.id,
        amount: money(row.amount, &row.default_currency),
        since: None,
        place: row.place,
    });
    Ok(finding.collect())
}

/// Sellers whose last three payouts all came back, or whose bank account is blocked since one did; what the provider refused
/// went nowhere and does not count.
pub(in crate::stuck_money) async fn find_payouts_that_come_back(
    tx: &mut Tx,
    after: &str,
    limit: i64,
) -> Result<Vec<Finding>, DbError> {
    let book = tx.book_id();
    let rows = sqlx::query!(
        r#"select s.id, last.currency as "currency!", last.amount as "amount!", last.since as "since!: jiff_sqlx::Timestamp",
                  lpad(s.number::text, 10, '0') as "place!"
           from sellers s
           join lateral (select max(p.amount) filter (where p.place = 1) as amount,
                                max(p.currency) filter (where p.place = 1) as currency, min(p.created_at) as since,
                                count(*) filter (where p.status = 'failed') as failed
                         from (select amount, currency, status, created_at, row_number() over (order by id desc) as place
                               from payouts where book_id = $1 and seller_id = s.id and provider_payout is not null
                               order by id desc limit 3) p) last
             on last.failed = 3 or last.amount is not null and exists (
                 select from bank_account_blocks k where k.book_id = $1 and k.seller_id = s.id and k.lifted_at is null)
           where s.book_id = $1 and lpad(s.number::text, 10, '0') > $2
           order by 5 limit $3"#,
        book.get(),
        after,
        limit
    )
    .fetch_all(tx.conn())
    .await?;
    let finding = rows.into_iter().map(|row| Finding {
        cause: Cause::PayoutsComeBack,
        seller: Some(row.id.into()),
        object_type: "seller",
        object_id: row.id,
        amount: money(row.amount, &row.currency),
        since: Some(row.since.to_jiff()),
        place: row.place,
    });
    Ok(finding.collect())
}

/// Money that the provider has not made usable long after its own date: by account and currency.
pub(in crate::stuck_money) async fn find_pending(
    tx: &mut Tx,
    now: Timestamp,
    after: &str,
    limit: i64,
) -> Result<Vec<Finding>, DbError> {
    let book = tx.book_id();
    let rows = sqlx::query!(
        r#"select id as "id?", currency as "currency!", amount as "amount!", since as "since!: jiff_sqlx::Timestamp", place as "place!"
           from (select s.id, m.currency, sum(m.net)::bigint as amount, min(m.available_on) as since,
                        lpad(coalesce(s.number, 0)::text, 10, '0') || m.currency as place
                 from due d
                 join provider_movements m on m.book_id = d.book_id and m.key = d.id and m.state = 'pending'
                 left join sellers s on s.book_id = d.book_id and s.account = m.account
                 where d.kind = 'availability' and d.book_id = $1 and m.available_on < $2
                 group by s.id, s.number, m.currency) late
           where place > $3 and amount <> 0 order by place limit $4"#,
        book.get(),
        before(now, LATE_HOURS).to_sqlx() as _,
        after,
        limit
    )
    .fetch_all(tx.conn())
    .await?;
    let finding = rows.into_iter().map(|row| Finding {
        cause: Cause::PendingTooLong,
        seller: row.id.map(SellerId::from),
        object_type: if row.id.is_some() { "seller" } else { "platform" },
        object_id: row.id.unwrap_or_else(Uuid::nil),
        amount: money(row.amount, &row.currency),
        since: Some(row.since.to_jiff()),
        place: row.place,
    });
    Ok(finding.collect())
}

/// Sellers who have something to be paid by bank file, by hand only, and nobody asks for it.
pub(in crate::stuck_money) async fn find_not_paid_by_bank(
    tx: &mut Tx,
    now: Timestamp,
    after: &str,
    limit: i64,
) -> Result<Vec<Finding>, DbError> {
    let book = tx.book_id();
    let rows = sqlx::query!(
        r#"select s.id, s.default_currency, sum(b.amount)::bigint as "amount!", lpad(s.number::text, 10, '0') as "place!"
           from bank_payables b join sellers s on s.book_id = b.book_id and s.id = b.seller_id
           where b.book_id = $1 and lpad(s.number::text, 10, '0') > $3
             and coalesce((select d.rhythm from payout_schedules d where d.book_id = $1 and d.seller_id = s.id
                           order by d.version desc limit 1), 'manual') = 'manual'
             and not exists (select from payouts p
                             where p.book_id = $1 and p.seller_id = s.id and p.created_at > $2
                               and p.status not in ('failed', 'canceled'))
           group by s.id, s.default_currency, s.number order by 4 limit $4"#,
        book.get(),
        before(now, PARKED_DAYS * DAY_HOURS).to_sqlx() as _,
        after,
        limit
    )
    .fetch_all(tx.conn())
    .await?;
    let finding = rows.into_iter().map(|row| Finding {
        cause: Cause::PayoutsParked,
        seller: Some(row.id.into()),
        object_type: "seller",
        object_id: row.id,
        amount: money(row.amount, &row.default_currency),
        since: None,
        place: row.place,
    });
    Ok(finding.collect())
}

/// What is in clearing past its time: commands without a definite answer, refunds and top-ups that wait, refunds that came back,
/// payouts by bank file that nobody has put into one or confirmed, application fees that did not come.
pub(in crate::stuck_money) async fn find_clearing(
    tx: &mut Tx,
    now: Timestamp,
    after: &str,
    limit: i64,
) -> Result<Vec<Finding>, DbError> {
    let book = tx.book_id();
    let rows = sqlx::query!(
        r#"select object_type as "object_type!", object_id as "object_id!", seller_id, amount as "amount!",
                  currency as "currency!", since as "since!: jiff_sqlx::Timestamp", object_id::text as "place!"
           from (select 'operation' as object_type, o.id as object_id, coalesce(t.seller_id, p.seller_id) as seller_id,
                        coalesce(t.amount, r.amount, u.amount, p.amount, q.amount) as amount,
                        coalesce(t.currency, r.currency, u.currency, p.currency, q.currency) as currency,
                        o.created_at as since
                 from operations o
                 left join transfers t on t.book_id = o.book_id and t.id = o.object_id
                 left join refunds r on r.book_id = o.book_id and r.id = o.object_id
                 left join top_ups u on u.book_id = o.book_id and u.id = o.object_id
                 left join payouts p on p.book_id = o.book_id and p.id = o.object_id
                 left join platform_payouts q on q.book_id = o.book_id and q.id = o.object_id
                 where o.book_id = $1 and o.state in ('planned', 'submitting', 'unknown', 'needs_review') and o.created_at < $2
                   and coalesce(t.id, r.id, u.id, p.id, q.id) is not null
                 union all
                 select 'refund', r.id, null, r.amount, r.currency, r.updated_at
                 from refunds r where r.book_id = $1 and r.status in ('pending', 'returned') and r.updated_at < $3
                 union all
                 select 'top_up', u.id, null, u.amount, u.currency, u.updated_at
                 from top_ups u where u.book_id = $1 and u.status = 'pending' and u.updated_at < $3
                 union all
                 select 'payout', b.id, b.seller_id, b.amount, b.currency, b.updated_at
                 from payouts b where b.book_id = $1 and b.method = 'bank_file' and b.status in ('pending', 'in_transit')
                   and b.updated_at < $3
                 union all
                 select 'payment', c.id, d.seller_id, d.application_fee, c.currency, c.updated_at
                 from direct_charges d join payments c on c.book_id = d.book_id and c.id = d.payment_id
                 where d.book_id = $1 and not d.fee_received and d.application_fee > 0 and c.funds <> 'none'
                   and c.updated_at < $2) late
           where object_id::text > $4 order by 7 limit $5"#,
        book.get(),
        before(now, LATE_HOURS).to_sqlx() as _,
        before(now, WAITING_DAYS * DAY_HOURS).to_sqlx() as _,
        after,
        limit
    )
    .fetch_all(tx.conn())
    .await?;
    let finding = rows.into_iter().map(|row| Finding {
        cause: Cause::ClearingTooLong,
        seller: row.seller_id.map(SellerId::from),
        object_type: match row.object_type.as_str() {
            "refund" => "refund",
            "top_up" => "top_up",
            "payout" => "payout",
            "payment" => "payment",
            _ => "operation",
        },
        object_id: row.object_id,
        amount: money(row.amount, &row.currency),
        since: Some(row.since.to_jiff()),
        place: row.place,
    });
    Ok(finding.collect())
}

/// Shares of lines that are held past their limit, or that should have been released and were not.
pub(in crate::stuck_money) async fn find_held(
    tx: &mut Tx,
    now: Timestamp,
    after: &str,
    limit: i64,
) -> Result<Vec<Finding>, DbError> {
    let book = tx.book_id();
    let rows = sqlx::query!(
        r#"select r.id, r.seller_id, payment_line_share(l) as "amount!", p.currency, r.id::text as "place!",
                  least(r.limit_at, r.release_at) as "since!: jiff_sqlx::Timestamp"
           from line_releases r
           join payments p on p.book_id = r.book_id and p.id = r.payment_id and p.funds = 'available'
           join payment_lines l on l.book_id = r.book_id and l.payment_id = r.payment_id and l.line = r.line
           where r.book_id = $1 and r.status <> 'released' and (r.limit_at <= $2 or r.release_at < $3)
             and payment_line_share(l) > 0 and r.id::text > $4
           order by 5 limit $5"#,
        book.get(),
        now.to_sqlx() as _,
        before(now, LATE_HOURS).to_sqlx() as _,
        after,
        limit
    )
    .fetch_all(tx.conn())
    .await?;
    let finding = rows.into_iter().map(|row| Finding {
        cause: Cause::HeldTooLong,
        seller: Some(row.seller_id.into()),
        object_type: "payment_line",
        object_id: row.id,
        amount: money(row.amount, &row.currency),
        since: Some(row.since.to_jiff()),
        place: row.place,
    });
    Ok(finding.collect())
}
