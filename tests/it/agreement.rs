//! Ours and the provider's, object by object: every payment, charge, refund, transfer, reversal, top-up, payout and
//! movement that either has, by the provider's id, with amount, currency and state. Asked of both databases by their
//! superusers, so that no code of the service or of the simulator's interface stands between.

use std::collections::BTreeSet;

use partita_postgres::Role;
use serde_json::json;

use crate::support::{cart, taxed};
use crate::test_app::{DAY, TestApp};

/// One line per object. Amounts are brought to ISO minor units; a payment that was refused is open for another try at the
/// provider and failed with us.
const THEIRS: &str = "
    with object as (
        select o.id, o.object, o.body, o.account, o.account = p.account as of_platform, body ->> 'status' as status,
               upper(body ->> 'currency') as currency,
               case when body ->> 'currency' in ('isk', 'ugx') then 0.01 when body ->> 'currency' = 'mga' then 100 else 1 end
                   as unit
        from objects o cross join platform p
    ), priced as (
        select *, ((body ->> 'amount')::bigint * unit)::bigint as amount from object
    )
    select concat_ws(' ', 'payment', id, amount, currency,
                     case status when 'requires_payment_method' then 'failed' when 'requires_capture' then 'authorized'
                                 else status end)
    from priced where object = 'payment_intent'
    union all
    select concat_ws(' ', 'charge', id, amount, currency, 'refunded', ((body ->> 'amount_refunded')::bigint * unit)::bigint,
                     'of', body ->> 'payment_intent')
    from priced where object = 'charge' and (of_platform or body ->> 'payment_intent' is not null) and status = 'succeeded' and (body ->> 'captured')::boolean
    union all
    select concat_ws(' ', 'refund', id, amount, currency, status, 'of', body ->> 'payment_intent')
    from priced where object = 'refund' and (of_platform or body ->> 'payment_intent' is not null) and not exists (
        select from balance_transactions t where t.source = priced.id and t.reporting_category = 'partial_capture_reversal')
    union all
    select concat_ws(' ', 'transfer', id, amount, currency, 'reversed', ((body ->> 'amount_reversed')::bigint * unit)::bigint,
                     'to', body ->> 'destination')
    from priced where object = 'transfer'
    union all
    select concat_ws(' ', 'reversal', id, amount, currency, 'of', body ->> 'transfer')
    from priced where object = 'transfer_reversal'
    union all
    select concat_ws(' ', 'top_up', id, amount, currency, status) from priced where object = 'topup'
    union all
    select concat_ws(' ', 'payout', id, amount, currency, status, 'of', account) from priced
    where object = 'payout' and not of_platform
    union all
    select concat_ws(' ', 'movement', t.id, (t.amount * u.unit)::bigint, 'fee', (t.fee * u.unit)::bigint,
                     upper(t.currency::text), t.status, 'of', case when t.account = p.account then 'platform' else t.account end)
    from balance_transactions t cross join platform p
        cross join lateral (
            select case when t.currency in ('isk', 'ugx') then 0.01 when t.currency = 'mga' then 100 else 1 end as unit) u";

const OURS: &str = "
    select concat_ws(' ', 'payment', provider_payment, amount, currency, status)
    from payments where provider_payment is not null
    union all
    select concat_ws(' ', 'charge', provider_charge, amount, currency, 'refunded',
                     refunded_amount + uncaptured_amount - (select coalesce(sum(r.amount), 0) from refunds r where r.book_id = payments.book_id
                         and r.payment_id = payments.id and r.status in ('returned', 'settled')), 'of', provider_payment)
    from payments where provider_charge is not null and status = 'succeeded'
    union all
    select concat_ws(' ', 'refund', r.provider_refund, r.amount, r.currency,
                     case when r.status in ('returned', 'settled') then 'failed' else r.status end, 'of', p.provider_payment)
    from refunds r join payments p on p.book_id = r.book_id and p.id = r.payment_id where r.provider_refund is not null
    union all
    select concat_ws(' ', 'transfer', t.provider_transfer, t.amount, t.currency, 'reversed', t.reversed_amount, 'to', s.account)
    from transfers t join sellers s on s.book_id = t.book_id and s.id = t.seller_id where t.provider_transfer is not null
    union all
    select concat_ws(' ', 'reversal', v.provider_reversal, v.amount, v.currency, 'of', t.provider_transfer)
    from transfer_reversals v join transfers t on t.book_id = v.book_id and t.id = v.transfer_id
    where v.provider_reversal is not null
    union all
    select concat_ws(' ', 'top_up', provider_top_up, amount, currency, status) from top_ups where provider_top_up is not null
    union all
    select concat_ws(' ', 'payout', o.provider_payout, o.amount, o.currency, o.status, 'of', s.account)
    from payouts o join sellers s on s.book_id = o.book_id and s.id = o.seller_id where o.provider_payout is not null
    union all
    select concat_ws(' ', 'movement', movement_id, amount, 'fee', fee, currency, state, 'of',
                     case when account = '' then 'platform' else account end)
    from provider_movements";

/// What one side has and the other has not, or has otherwise; an object that differs stands there twice.
pub(crate) async fn differences(t: &TestApp) -> Vec<String> {
    let ours = lines(&t.database.url(Role::Admin), OURS).await;
    let theirs = lines(&t.simulator_database.url(Role::Admin), THEIRS).await;
    let only_ours = ours.difference(&theirs).map(|line| format!("ours: {line}"));
    only_ours.chain(theirs.difference(&ours).map(|line| format!("theirs: {line}"))).collect()
}

async fn lines(url: &str, sql: &'static str) -> BTreeSet<String> {
    let pool = sqlx::PgPool::connect(url).await.expect("the superuser");
    let rows: Vec<String> = sqlx::query_scalar(sql).fetch_all(&pool).await.expect("lines");
    pool.close().await;
    let (count, set) = (rows.len(), rows.into_iter().collect::<BTreeSet<_>>());
    assert_eq!(set.len(), count, "an object stands twice on one side");
    set
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_differs_in_anything_or_is_missing_on_one_side_is_seen() {
    let t = TestApp::new().await;
    t.default_fee(1_000).await;
    let a = t.seller("A", "DE", "EUR", "daily").await;
    t.top_up("float", 200_00, "EUR").await;
    let payment = t.pay(cart("order-1", "EUR", &[taxed(&a, 60_00, 12_00)])).await;
    t.advance(6 * DAY).await;
    t.post("/v1/refunds", "ret-1", json!({"payment": payment["id"], "amount": 30_00})).await.expect(201);
    t.settle().await;
    t.reconcile().await;
    assert_eq!(differences(&t).await, Vec::<String>::new());
    let table = [
        ("payment", "update payments set status = 'failed'", "update payments set status = 'succeeded'"),
        ("charge", "update payments set provider_charge = 'ch_x'", ""),
        ("refund", "update refunds set status = 'pending'", "update refunds set status = 'succeeded'"),
        (
            "transfer",
            "update transfers set reversed_amount = reversed_amount - 1",
            "update transfers set reversed_amount = reversed_amount + 1",
        ),
        (
            "reversal",
            "update transfer_reversals set amount = amount + 1",
            "update transfer_reversals set amount = amount - 1",
        ),
        ("top_up", "update top_ups set currency = 'USD'", "update top_ups set currency = 'EUR'"),
        ("payout", "update payouts set status = 'failed'", "update payouts set status = 'paid'"),
        (
            "movement",
            "update provider_movements set state = 'pending' where kind = 'topup'",
            "update provider_movements set state = 'available' where kind = 'topup'",
        ),
    ];
    let admin = t.admin().await;
    let charge: String =
        sqlx::query_scalar("select provider_charge from payments").fetch_one(&admin).await.expect("a charge");
    admin.close().await;
    for (what, plant, undo) in table {
        assert_eq!(t.tamper(plant).await, 1, "{plant}");
        let found = differences(&t).await;
        let (about, others): (Vec<_>, Vec<_>) = found.iter().partition(|line| line.contains(&format!(": {what} ")));
        let [ours, theirs] = about.as_slice() else { panic!("{what}: {found:#?}") };
        assert!(ours.starts_with("ours: ") && theirs.starts_with("theirs: "), "{found:#?}");
        // The charge of a payment that is none is missing, too.
        assert_eq!(others.len(), usize::from(what == "payment"), "{found:#?}");
        let restore = format!("update payments set provider_charge = '{charge}'");
        assert_eq!(t.tamper(if undo.is_empty() { &restore } else { undo }).await, 1);
        assert_eq!(differences(&t).await, Vec::<String>::new(), "{undo}");
    }
    // Missing on one side alone: theirs, then ours.
    t.control.create_payout(None, 1_00, "eur").await.expect("the platform pays itself out");
    let found = differences(&t).await;
    assert!(matches!(found.as_slice(), [one] if one.starts_with("theirs: movement ")), "{found:#?}");
    t.tamper("update provider_movements set movement_id = 'txn_x' where kind = 'topup'").await;
    let found = differences(&t).await;
    assert!(found.iter().any(|line| line.starts_with("ours: movement txn_x ")), "{found:#?}");
    t.close().await;
}
