//! Another server has taken over: no money moves until the provider was asked what that one lacks.

use partita::verify;
use partita::worker;
use serde_json::{Value, json};

use crate::support::{cart, taxed};
use crate::test_app::TestApp;

const DAY: i64 = 86_400;

/// A seller, and a paid cart whose money has not arrived.
async fn story(t: &TestApp) -> (Value, Value) {
    t.default_fee(1_000).await;
    let a = t.seller("A", "DE", "EUR", "manual").await;
    t.top_up("float", 200_00, "EUR").await;
    let payment = t.pay(cart("order-1", "EUR", &[taxed(&a, 60_00, 12_00)])).await;
    (a, payment)
}

/// As if the database had been served by another server until now.
async fn another_server_takes_over(t: &TestApp) {
    assert_eq!(t.tamper("update book_timelines set timeline = '000000FF'").await, 2);
}

async fn halted(t: &TestApp) -> i64 {
    t.count("select count(*) from halted_books").await
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_takeover_no_money_moves_until_the_provider_was_asked() {
    let t = TestApp::new().await;
    let (a, payment) = story(&t).await;
    another_server_takes_over(&t).await;
    for (path, key, body) in [
        ("/v1/payments", "order-2", cart("order-2", "EUR", &[taxed(&a, 10_00, 0)])),
        ("/v1/refunds", "ret-1", json!({"payment": payment["id"], "amount": 10_00})),
        ("/v1/top_ups", "more", json!({"amount": 5_00, "currency": "EUR", "reference": "more"})),
    ] {
        assert_eq!(t.post(path, key, body).await.expect(503)["code"], "money_movement_halted", "{path}");
    }
    let ready = t.send("GET", "/readyz", None, None).await;
    assert_eq!((ready.status, ready.text().contains("halted in 2 books")), (200, true), "{}", ready.text());
    // The payment's money arrives; the share waits.
    t.advance(6 * DAY).await;
    assert_eq!(t.count("select count(*) from transfers").await, 0);

    worker::know_servers(&t.app).await.expect("the books could be listed");
    assert_eq!(halted(&t).await, 0, "the provider has nothing that is not here");
    t.pay(cart("order-2", "EUR", &[taxed(&a, 10_00, 0)])).await;
    t.advance(60).await;
    assert_eq!(t.count("select count(*) from transfers").await, 1);
    t.advance(6 * DAY).await;
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_server_that_took_over_has_forgotten_halts_its_book_until_a_person_has_looked() {
    let t = TestApp::new().await;
    let (a, _) = story(&t).await;
    let charge = [
        ("amount", "5000"),
        ("currency", "eur"),
        ("confirm", "true"),
        ("payment_method", "pm_card_visa"),
        ("automatic_payment_methods[enabled]", "true"),
        ("automatic_payment_methods[allow_redirects]", "never"),
    ];
    // What the platform does at the provider past us is none of our commands.
    t.at_provider("POST", "/v1/payment_intents", &charge).await;
    another_server_takes_over(&t).await;
    worker::know_servers(&t.app).await.expect("the books could be listed");
    assert_eq!(halted(&t).await, 0);

    let ours = [charge.as_slice(), &[("metadata[op_id]", "opn_that_nobody_remembers")]].concat();
    t.at_provider("POST", "/v1/payment_intents", &ours).await;
    t.tamper("delete from book_timelines").await;
    worker::know_servers(&t.app).await.expect("the books could be listed");
    assert_eq!(halted(&t).await, 1);
    let told = t
        .count("select count(*) from outbox where event_type = 'verify.violation' and payload::text like '%takeover%'");
    assert_eq!(told.await, 1);
    let refused = t.post("/v1/payments", "order-2", cart("order-2", "EUR", &[taxed(&a, 10_00, 0)])).await;
    assert_eq!(refused.expect(503)["code"], "money_movement_halted");
    // Once is enough: the book knows the server now, and a person decides.
    worker::know_servers(&t.app).await.expect("the books could be listed");
    assert_eq!(halted(&t).await, 1);
    verify::clear_halt(&t.app, t.book.id, "J. Doe", "refunded at the provider").await.expect("nothing else is wrong");
    t.pay(cart("order-2", "EUR", &[taxed(&a, 10_00, 0)])).await;
    t.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_provider_nobody_knows_what_a_server_lacks_and_no_money_moves() {
    let t = TestApp::new().await;
    let (a, _) = story(&t).await;
    another_server_takes_over(&t).await;
    let deaf = t.process_towards("http://127.0.0.1:9").await;
    worker::know_servers(&deaf).await.expect("the books could be listed");
    let refused = t.post("/v1/payments", "order-2", cart("order-2", "EUR", &[taxed(&a, 10_00, 0)])).await;
    assert_eq!(refused.expect(503)["code"], "money_movement_halted");
    t.close().await;
}
