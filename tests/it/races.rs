//! Races: what is asked for at the same moment cannot be given twice.

use serde_json::{Value, json};

use partita::worker;

use crate::support::{cart, item, taxed};
use crate::test_app::{DAY, TestApp, text};

#[tokio::test(flavor = "multi_thread")]
async fn of_fifty_refunds_of_sixty_percent_one_succeeds_and_the_others_are_told_why_not() {
    let t = TestApp::new().await;
    let a = t.seller("A", "DE", "EUR", "manual").await;
    t.top_up("float", 200_00, "EUR").await;
    let payment = t.pay(cart("order-1", "EUR", &[taxed(&a, 80_00, 20_00)])).await;
    let refund = |number: usize| {
        let (t, payment) = (&t, &payment);
        async move {
            let body = json!({"payment": payment["id"], "amount": 60_00});
            t.post("/v1/refunds", &format!("refund-{number}"), body).await
        }
    };
    let answers = futures::future::join_all((0..50).map(refund)).await;
    let (done, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 201);
    assert_eq!(done.len(), 1);
    for answer in refused {
        let problem = answer.expect(422);
        assert_eq!(problem["code"], "validation_failed", "{problem:#}");
        assert_eq!(problem["errors"][0]["code"], "too_much", "{problem:#}");
    }
    t.settle().await;
    assert_eq!(t.effects("/v1/refunds").await, 1);
    assert_eq!(t.payment(&payment).await["refunded_amount"], 60_00);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_racing_the_transfer_of_the_same_share_never_leaves_it_with_both() {
    let t = TestApp::new().await;
    let a = t.seller("A", "DE", "EUR", "manual").await;
    t.top_up("float", 500_00, "EUR").await;
    let mut payments = Vec::new();
    for number in 0..12 {
        payments.push(t.pay(cart(&format!("order-{number}"), "EUR", &[item(&a, 10_00)])).await);
    }
    // The money is usable, the transfers are about to be asked.
    let now = t.control.advance(4 * DAY).await.expect("advanced");
    t.clock.set(jiff::Timestamp::from_second(now).expect("a time"));
    let refund = |payment: &Value| {
        let body = json!({"payment": payment["id"], "amount": 10_00});
        let key = format!("ret-{}", text(&payment["reference"]));
        let t = &t;
        async move { t.post("/v1/refunds", &key, body).await }
    };
    let refunds = futures::future::join_all(payments.iter().map(refund));
    let (answers, one, other) = tokio::join!(refunds, worker::drain(&t.app), worker::drain(&t.app));
    one.expect("drained");
    other.expect("drained");
    assert!(answers.iter().all(|answer| answer.status == 201 || answer.status == 202));
    t.settle().await;
    t.advance(DAY).await;
    let balances = t.balances().await;
    assert!(!balances.contains_key("sel.A.available EUR"), "nothing is owed either way: {balances:#?}");
    assert!(!balances.contains_key("conn.available.A EUR"), "what went out came back: {balances:#?}");
    t.assert_no_double_effect().await;
    t.finish().await;
}
