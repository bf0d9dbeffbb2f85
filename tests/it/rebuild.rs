//! The ledger made anew from the facts: what contradicts them is seen, wherever it stands.

use partita::rebuild;
use serde_json::json;

use crate::support::{cart, taxed};
use crate::test_app::{DAY, TestApp};

/// A life with everything in it: refunds before and after the money was usable, a payout, a top-up.
async fn life(t: &TestApp) {
    t.default_fee(1_000).await;
    let a = t.seller("A", "DE", "EUR", "daily").await;
    let b = t.seller("B", "DE", "EUR", "manual").await;
    t.top_up("float", 200_00, "EUR").await;
    let early = t.pay(cart("order-1", "EUR", &[taxed(&a, 60_00, 12_00), taxed(&b, 40_00, 8_00)])).await;
    t.post("/v1/refunds", "ret-1", json!({"payment": early["id"], "amount": 10_00})).await.expect(201);
    t.advance(4 * DAY).await;
    t.post("/v1/refunds", "ret-2", json!({"payment": early["id"], "amount": 20_00})).await.expect(201);
    t.advance(2 * DAY).await;
    t.reconcile().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_facts_make_is_what_the_ledger_says() {
    let t = TestApp::new().await;
    life(&t).await;
    let comparison = rebuild::check(&t.app, t.book.id).await.expect("compared");
    assert!(comparison.agrees(), "{comparison:#?}");
    assert_eq!(comparison.expected, comparison.found);
    assert!(comparison.found > 15, "{comparison:#?}");
    let balances = t.count("select count(distinct account) from ledger_balances where book_id = 1").await;
    assert_eq!(i64::try_from(comparison.accounts), Ok(balances));
    let kinds = t.count("select count(distinct kind) from ledger_transactions").await;
    assert!(kinds >= 13, "only {kinds} kinds of transactions were compared");
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_that_says_something_else_is_seen() {
    for (lie, told) in [
        ("update ledger_postings set amount = amount + 1 where ordinal = 1 and seq = 3 and lane = 1", "instead of"),
        ("delete from ledger_postings where seq = 2 and lane = 1", "is missing"),
        ("update ledger_transactions set kind = 41 where kind = 40", "follows from no fact"),
        ("update provider_movements set net = net - 1, fee = fee + 1 where object_type = 'payment'", "instead of"),
        ("delete from provider_movements where object_type = 'payout'", "follows from no fact"),
        ("update refund_lines set commission = commission + 1 where commission > 0", "instead of"),
        (
            "update ledger_balances set debits = debits + 1, credits = credits + 1 where debits > 0",
            "the facts make debits",
        ),
    ] {
        let t = TestApp::new().await;
        life(&t).await;
        assert!(t.tamper(lie).await > 0, "{lie}");
        let comparison = rebuild::check(&t.app, t.book.id).await.expect("compared");
        assert!(comparison.differences.iter().any(|one| one.detail.contains(told)), "{lie}: {comparison:#?}");
        t.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement: cargo test -p partita --test it thousand_payments -- --ignored --nocapture"]
#[expect(clippy::print_stdout, reason = "a measurement prints its result")]
async fn how_long_a_thousand_payments_take() {
    const PAYMENTS: u32 = 300;
    let t = TestApp::new().await;
    t.default_fee(1_000).await;
    let a = t.seller("A", "DE", "EUR", "manual").await;
    let b = t.seller("B", "DE", "EUR", "manual").await;
    t.top_up("float", 200_00, "EUR").await;
    for number in 0..PAYMENTS {
        t.pay(cart(&format!("order-{number}"), "EUR", &[taxed(&a, 60_00, 12_00), taxed(&b, 40_00, 8_00)])).await;
    }
    t.advance(6 * DAY).await;
    let start = std::time::Instant::now();
    let comparison = rebuild::check(&t.app, t.book.id).await.expect("compared");
    let elapsed = start.elapsed();
    assert!(comparison.agrees(), "{comparison:#?}");
    println!(
        "{PAYMENTS} payments, {} transactions, {} accounts in {} ms: {} ms for a thousand payments",
        comparison.found,
        comparison.accounts,
        elapsed.as_millis(),
        (elapsed * 1_000 / PAYMENTS).as_millis()
    );
    t.close().await;
}
