//! One that is slow or broken does not hold up the others.

use std::sync::Arc;
use std::time::Duration;

use partita::platforms::{self, ProviderConnection};
use partita::worker;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::recovery::{drive, plan_payment};
use crate::support::{cart, item};
use crate::test_app::{TestApp, text};

/// A provider that takes every request and never answers.
async fn hanging_provider() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            held.push(stream);
        }
    });
    address
}

/// Waits for what another task brings about; gives up after a minute.
async fn eventually(t: &TestApp, path: &str, what: impl Fn(&Value) -> bool) {
    for _ in 0..600 {
        if what(&t.get(path).await) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("it never came to that: {:#}", t.get(path).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_hangs_holds_up_its_own_book_only() {
    let t = TestApp::new().await;
    let a = t.seller("A", "DE", "EUR", "manual").await;
    // Another marketplace, whose provider never answers, has more work due than a lane takes of one book.
    let other = t.tenant("slow").await;
    let hanging = ProviderConnection { base_url: hanging_provider().await, ..t.connection().await };
    platforms::connect_provider(&t.app, other.book.id, hanging).await.expect("connected");
    for number in 0..20 {
        let seller = json!({
            "reference": format!("slow-{number}"), "email": "slow@example.com", "country": "DE", "default_currency": "EUR",
        });
        let t = &t;
        let (key, idempotency) = (other.key.clone(), format!("slow-{number}"));
        let request = t.send_as(&key, "POST", "/v1/sellers", Some(&idempotency), Some(seller));
        // The client goes away, the command is in the queue.
        let _gone = tokio::time::timeout(Duration::from_millis(20), request).await;
    }
    t.expire_leases().await;

    // Two payments of ours are charged, and their process dies before it can tell.
    let process = t.process_towards("http://127.0.0.1:9").await;
    let id = plan_payment(&process, &t, &a, "order-1").await;
    drive(&process, &t, id.uuid()).await;
    process.db.close().await;
    let now = t.control.advance(60).await.expect("advanced");
    t.clock.set(jiff::Timestamp::from_second(now).expect("a time"));
    t.expire_leases().await;

    let stop = CancellationToken::new();
    let working = tokio::spawn(worker::run(Arc::clone(&t.app), stop.clone()));
    eventually(&t, &format!("/v1/payments/{id}"), |payment| payment["status"] == "succeeded").await;
    let stuck = t.count("select count(*) from operations where kind = 'create_account' and state = 'submitting'").await;
    assert!(stuck > 0, "the slow ones still wait");
    stop.cancel();
    working.abort();
    t.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_keeps_failing_is_left_alone_and_comes_back_by_itself() {
    let t = TestApp::new().await;
    let a = t.seller("A", "DE", "EUR", "manual").await;
    let kind = partita_simulator::FaultKind::ErrorBefore;
    let fault =
        |times| partita_simulator::Fault { kind, method: "POST".to_owned(), path: "/v1/topups".to_owned(), times };
    t.control.plan_fault(fault(10));
    for number in 0..10 {
        let body = json!({"reference": format!("t-{number}"), "amount": 1_00, "currency": "EUR"});
        t.post("/v1/top_ups", &format!("t-{number}"), body).await.expect(202);
    }
    // Ten failures in a row: it is open for every command of this address.
    let before = t.effects("/v1/").await;
    let payment = t.post("/v1/payments", "order-1", cart("order-1", "EUR", &[item(&a, 60_00)])).await.expect(202);
    assert_eq!(t.effects("/v1/").await, before, "nothing was sent");
    let id = text(&payment["id"]);
    let planned = t.list("/v1/operations?state=planned").await;
    assert_eq!((planned.len(), &planned[0]["target"]["id"]), (1, &json!(id)), "and there is no doubt about it");
    for _ in 0..5 {
        t.advance(60).await;
    }
    assert_eq!(t.payment(&payment).await["status"], "succeeded");
    for _ in 0..15 {
        t.advance(60).await;
    }
    assert_eq!(t.list("/v1/top_ups?status=processing").await, Vec::<Value>::new());
    t.assert_no_double_effect().await;
    t.finish().await;
}
