//! Recovery: whatever dies or gets lost between us and the provider, every command has its effect once.

use std::sync::Arc;

use jiff::Timestamp;
use partita::actor::Actor;
use partita::app::App;
use partita::events::{self, Driven, Holder};
use partita::id::{PaymentId, RefundId, SellerId, TopUpId};
use partita::idempotency::{Begun, Request};
use partita::payments::{self, LineKind, NewLine, NewPayment, TaxLiability};
use partita::refunds::{self, Asked, NewRefund, Overrides};
use partita::sellers::{self, NewSeller};
use partita::top_ups::{self, NewTopUp};
use partita::{operations, worker};
use partita_db::Scope;
use partita_provider::{Currency, Money, PayoutInterval};
use partita_simulator::{Fault, FaultKind, Settings};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use uuid::Uuid;

use crate::support::{cart, item, taxed};
use crate::test_app::{DAY, TestApp, text};

fn eur(minor: i64) -> Money {
    Money::new(minor, Currency::parse("EUR").expect("a currency"))
}

fn request(key: &str) -> Request {
    Request { key: key.to_owned(), fingerprint: [7; 32] }
}

fn fresh<T: std::fmt::Debug>(begun: Begun<T>) -> T {
    match begun {
        Begun::Fresh(id) => id,
        other => panic!("{other:?}"),
    }
}

/// The first transaction of a payment to one seller, and no more.
pub(crate) async fn plan_payment(app: &Arc<App>, t: &TestApp, seller: &Value, reference: &str) -> PaymentId {
    let line = NewLine {
        kind: LineKind::Item,
        seller: Some(text(&seller["id"]).parse().expect("an id")),
        amount: 60_00,
        tax_amount: 0,
        tax_liability: TaxLiability::Platform,
        tax_jurisdiction: None,
        category: None,
        fee_policy: None,
        release: None,
    };
    let new = NewPayment {
        reference: reference.to_owned(),
        amount: eur(60_00),
        payment_method: "pm_card_visa".to_owned(),
        description: None,
        capture: partita_provider::CaptureMethod::Automatic,
        return_url: None,
        payer: partita::payments::Payer::default(),
        charge_type: None,
        on_behalf_of: None,
        lines: vec![line],
        discounts: Vec::new(),
        metadata: json!({}),
    };
    fresh(payments::create(app, t.book.id, Actor::System, request(reference), new).await.expect("planned"))
}

async fn plan_refund(t: &TestApp, payment: &Value) -> RefundId {
    let new = NewRefund {
        payment: text(&payment["id"]).parse().expect("an id"),
        asked: Asked::Amount(10_00),
        said: Overrides::default(),
        reason: None,
        reference: None,
        metadata: json!({}),
    };
    fresh(refunds::create(&t.app, t.book.id, Actor::System, request("refund"), new).await.expect("planned"))
}

async fn plan_top_up(t: &TestApp) -> TopUpId {
    let new = NewTopUp { reference: "late".to_owned(), amount: eur(5_00), description: None, metadata: json!({}) };
    fresh(top_ups::create(&t.app, t.book.id, Actor::System, request("top-up"), new).await.expect("planned"))
}

async fn plan_seller(t: &TestApp) -> SellerId {
    let new = NewSeller {
        reference: "late".to_owned(),
        email: "late@example.com".to_owned(),
        country: "DE".to_owned(),
        default_currency: Currency::parse("EUR").expect("a currency"),
        business_type: None,
        locale: "en".to_owned(),
        payout_interval: PayoutInterval::Manual,
        metadata: json!({}),
    };
    fresh(sellers::create(&t.app, t.book.id, Actor::System, Some(request("seller")), new).await.expect("planned"))
}

/// Works step by step until a command of this kind is planned and not sent.
async fn work_until_planned(t: &TestApp, kind: &str) {
    for _ in 0..50 {
        if !open_of_kind(t, kind).await.is_empty() {
            return;
        }
        t.control.flush_webhooks().await.expect("flushed");
        worker::step(&t.app).await.expect("a step");
    }
    panic!("no {kind} was planned");
}

async fn open_of_kind(t: &TestApp, kind: &str) -> Vec<i64> {
    let admin = t.admin().await;
    let keys =
        sqlx::query_scalar("select key from operations where kind = $1 and state not in ('succeeded', 'failed')")
            .bind(kind)
            .fetch_all(&admin)
            .await
            .expect("keys");
    admin.close().await;
    keys
}

/// A worker claims the command and dies before it calls.
async fn claim_and_die(t: &TestApp, kind: &str) {
    let now = t.clock.now();
    for key in open_of_kind(t, kind).await {
        let claimed = t
            .app
            .db
            .run_tx("claim of test", Scope::Book(t.book.id), move |tx| {
                Box::pin(async move { operations::claim(tx, key, now).await })
            })
            .await
            .expect("a claim");
        assert!(claimed.is_some(), "{kind}");
    }
}

/// A seller, a float, and a payment whose money is about to become usable.
async fn charged(t: &TestApp) -> (Value, Value) {
    t.default_fee(1_000).await;
    let a = t.seller("A", "DE", "EUR", "manual").await;
    t.top_up("float", 200_00, "EUR").await;
    let payment = t.pay(cart("order-1", "EUR", &[taxed(&a, 60_00, 12_00)])).await;
    (a, payment)
}

/// Both clocks, without any work.
async fn let_time_pass(t: &TestApp, seconds: i64) {
    let now = t.control.advance(seconds).await.expect("advanced");
    t.clock.set(Timestamp::from_second(now).expect("a time"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_dies_between_claim_and_call_loses_no_command() {
    let t = TestApp::new().await;
    let (a, payment) = charged(&t).await;

    let_time_pass(&t, 4 * DAY).await;
    work_until_planned(&t, "create_transfer").await;
    claim_and_die(&t, "create_transfer").await;
    let before = t.control.effects().await.expect("effects").len();
    t.settle().await;
    assert_eq!(t.control.effects().await.expect("effects").len(), before, "the dead one's lease still runs");
    t.expire_leases().await;
    t.settle().await;
    assert_eq!(t.effects("/v1/transfers").await, 1);

    plan_payment(&t.app, &t, &a, "order-2").await;
    plan_refund(&t, &payment).await;
    plan_top_up(&t).await;
    let seller = plan_seller(&t).await;
    t.settle().await;
    assert_eq!(t.control.effects().await.expect("effects").len(), before + 1);
    t.expire_leases().await;
    worker::step(&t.app).await.expect("a step");
    work_until_planned(&t, "create_reversal").await;
    claim_and_die(&t, "create_reversal").await;
    t.settle().await;
    assert_eq!(open_of_kind(&t, "create_reversal").await.len(), 1);
    t.expire_leases().await;
    t.settle().await;

    let effects = t.control.effects().await.expect("effects");
    assert_eq!(effects.len(), before + 6, "transfer, payment, refund, reversal, top-up, account: {effects:#?}");
    t.assert_no_double_effect().await;
    assert_eq!(t.get(&format!("/v1/sellers/{seller}")).await["status"], "onboarding");
    t.advance(4 * DAY).await;
    assert_eq!(t.count("select max(attempt)::bigint from operations").await, 2);
    t.finish().await;
}

/// A command waits for its attempt's lease and for its place in the queue; the longer one counts.
#[tokio::test(flavor = "multi_thread")]
async fn a_dead_worker_holds_its_place_in_the_queue_no_longer_than_its_attempt() {
    let t = TestApp::new().await;
    charged(&t).await;
    let_time_pass(&t, 4 * DAY).await;
    work_until_planned(&t, "create_transfer").await;
    t.control.set_settings(Settings { hang_ms: 3_000, ..t.control.settings() }).await.expect("set");
    let path = "/v1/transfers".to_owned();
    t.control.plan_fault(Fault { kind: FaultKind::HangBefore, method: "POST".to_owned(), path, times: 1 });
    let app = Arc::clone(&t.app);
    let working = tokio::spawn(async move { worker::step(&app).await });
    while t.count("select count(*) from operations where state = 'submitting'").await == 0 {
        assert!(!working.is_finished(), "the transfer was not sent");
    }
    let held = t.count("select ceil(extract(epoch from max(lease_until) - clock_timestamp()))::bigint from due").await;
    assert!((1..=i64::from(operations::LEASE_SECONDS)).contains(&held), "{held} s");
    working.await.expect("worked").expect("a step");
    t.advance(4 * DAY).await;
    assert_eq!(t.effects("/v1/transfers").await, 1);
    t.finish().await;
}

/// Every kind of command, with the path it posts to; the story below makes each of them once after its fault is planned.
const PATHS: [&str; 4] = ["/v1/accounts", "/v1/topups", "/v1/payment_intents", "/v1/refunds"];

async fn story_under(t: &TestApp, kind: FaultKind) {
    let fault = |path: &str| Fault { kind, method: "POST".to_owned(), path: path.to_owned(), times: 1 };
    for path in PATHS {
        t.control.plan_fault(fault(path));
    }
    t.default_fee(1_000).await;
    let body = json!({
        "reference": "A", "email": "a@example.com", "country": "DE", "default_currency": "EUR", "payout_interval": "manual",
    });
    let a = t.post("/v1/sellers", "A", body).await.expect(202);
    t.advance(60).await;
    let a = t.get(&format!("/v1/sellers/{}", text(&a["id"]))).await;
    t.control.complete_onboarding(&text(&a["provider"]["id"])).await.expect("onboarded");
    t.settle().await;

    let body = json!({"reference": "float", "amount": 200_00, "currency": "EUR"});
    t.post("/v1/top_ups", "float", body).await.expect(202);
    t.advance(60).await;
    let payment =
        t.post("/v1/payments", "order-1", cart("order-1", "EUR", &[taxed(&a, 60_00, 12_00)])).await.expect(202);
    t.control.plan_fault(fault("/v1/transfers"));
    t.advance(4 * DAY).await;
    assert_eq!(t.payment(&payment).await["status"], "succeeded");
    assert_eq!(t.balances().await["conn.available.A EUR"], 54_00);

    // The fault of the transfer was used up; this one is for its reversal.
    t.control.plan_fault(fault("/v1/transfers/"));
    let refund = t.post("/v1/refunds", "ret-1", json!({"payment": payment["id"], "amount": 72_00})).await.expect(202);
    t.advance(60).await;
    t.advance(60).await;
    assert_eq!(t.get(&format!("/v1/refunds/{}", text(&refund["id"]))).await["status"], "succeeded");
    assert!(!t.balances().await.contains_key("conn.available.A EUR"), "all taken back");
    for path in ["/v1/accounts", "/v1/topups", "/v1/payment_intents", "/v1/refunds"] {
        assert_eq!(t.effects(path).await, 1, "{path}");
    }
    assert_eq!(t.effects("/v1/transfers").await, 2, "a transfer and its reversal");
    t.assert_no_double_effect().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_breaks_off_after_the_effect_is_asked_for_again() {
    let t = TestApp::new().await;
    story_under(&t, FaultKind::AnswerLost).await;
    assert!(t.count("select count(*) from provider_answers where note like 'unknown:%'").await >= 6);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_limit_is_waited_out() {
    let t = TestApp::new().await;
    story_under(&t, FaultKind::RateLimited).await;
    assert_eq!(t.count("select count(*) from provider_answers where status = 429").await, 6);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_500_after_the_effect_is_resolved_by_what_the_provider_tells_of_the_object() {
    let t = TestApp::new().await;
    let (a, payment) = charged(&t).await;
    for path in ["/v1/payment_intents", "/v1/refunds", "/v1/topups", "/v1/transfers"] {
        t.next_post_fails(FaultKind::ErrorAfter, path);
    }
    let second = t.post("/v1/payments", "order-2", cart("order-2", "EUR", &[item(&a, 30_00)])).await.expect(202);
    let refund = t.post("/v1/refunds", "ret-1", json!({"payment": payment["id"], "amount": 12_00})).await.expect(202);
    let body = json!({"reference": "more", "amount": 9_00, "currency": "EUR"});
    let top_up = t.post("/v1/top_ups", "more", body).await.expect(202);
    t.advance(4 * DAY).await;
    assert_eq!(t.payment(&second).await["status"], "succeeded");
    assert_eq!(t.get(&format!("/v1/refunds/{}", text(&refund["id"]))).await["status"], "succeeded");
    assert_eq!(t.get(&format!("/v1/top_ups/{}", text(&top_up["id"]))).await["status"], "succeeded");
    assert_eq!(t.balances().await["conn.available.A EUR"], 54_00 - 9_00 + 27_00);
    t.assert_no_double_effect().await;
    t.finish().await;
}

/// A provider that answers every request with these bytes and hangs up.
async fn broken_provider(answer: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = vec![0; 64 * 1024];
                let _read = stream.read(&mut request).await;
                let _written = stream.write_all(answer).await;
            });
        }
    });
    address
}

const BROKEN: [&[u8]; 7] = [
    b"",
    b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{\"id\":\"pi",
    b"HTTP/1.1 200 OK\r\ncontent-length: 400\r\n\r\n{\"id\":",
    b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}",
    b"HTTP/1.1 502 Bad Gateway\r\ncontent-type: text/html\r\ncontent-length: 13\r\n\r\n<h1>Sorry</h1",
    b"HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\n{}",
    b"not HTTP at all\r\n\r\n",
];

#[tokio::test(flavor = "multi_thread")]
async fn garbage_for_an_answer_is_unknown_and_asked_for_again() {
    let t = TestApp::new().await;
    let a = t.seller("A", "DE", "EUR", "manual").await;
    for (number, answer) in BROKEN.into_iter().enumerate() {
        let process = t.process_towards(&broken_provider(answer).await).await;
        let id = plan_payment(&process, &t, &a, &format!("order-{number}")).await;
        let driven = drive(&process, &t, id.uuid()).await;
        assert_eq!(driven, Driven::Open, "{}", String::from_utf8_lossy(answer));
        let payment = t.get(&format!("/v1/payments/{id}")).await;
        assert_eq!(payment["status"], "processing", "{}", String::from_utf8_lossy(answer));
        process.db.close().await;
        // The process is gone; another one, which reaches the provider, goes on.
        t.advance(60).await;
        assert_eq!(t.get(&format!("/v1/payments/{id}")).await["status"], "succeeded");
        assert_eq!(t.effects("/v1/payment_intents").await, number + 1);
    }
    t.finish().await;
}

pub(crate) async fn drive(app: &Arc<App>, t: &TestApp, object: Uuid) -> Driven {
    let wait = std::time::Duration::from_secs(10);
    events::drive(app, t.book.id, object, Holder::Us, wait).await.expect("driven")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_down_is_waited_for() {
    let t = TestApp::new().await;
    let a = t.seller("A", "DE", "EUR", "manual").await;
    let nobody = {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        format!("http://{}", listener.local_addr().expect("an address"))
    };
    let process = t.process_towards(&nobody).await;
    let id = plan_payment(&process, &t, &a, "order-1").await;
    assert_eq!(drive(&process, &t, id.uuid()).await, Driven::Open);
    assert_eq!(t.list("/v1/operations?state=planned").await.len(), 1, "it was never sent: no doubt about it");
    process.db.close().await;
    t.advance(60).await;
    assert_eq!(t.get(&format!("/v1/payments/{id}")).await["status"], "succeeded");
    assert_eq!(t.effects("/v1/payment_intents").await, 1);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_whose_key_the_provider_may_have_forgotten_is_looked_up_before_it_is_sent_again() {
    let t = TestApp::new().await;
    let a = t.seller("A", "DE", "EUR", "manual").await;
    let process = t.process_towards(&broken_provider(BROKEN[3]).await).await;
    let id = plan_payment(&process, &t, &a, "order-1").await;
    drive(&process, &t, id.uuid()).await;
    process.db.close().await;
    let_time_pass(&t, 23 * 3_600).await;
    t.settle().await;
    let operation = t.list("/v1/operations?state=unknown").await.remove(0);
    assert_eq!(operation["last_error"], "the provider has no object of it yet", "{operation:#}");
    assert_eq!(t.effects("/v1/payment_intents").await, 0);
    assert_eq!(t.get(&format!("/v1/payments/{id}")).await["status"], "processing");
    t.advance(11 * 60).await;
    assert_eq!(t.get(&format!("/v1/payments/{id}")).await["status"], "succeeded");
    assert_eq!(t.effects("/v1/payment_intents").await, 1);
    let keys = t.count("select count(*) from operations where generation = 2 and state = 'succeeded'").await;
    assert_eq!(keys, 1, "under a new key");
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_workers_and_a_client_that_hangs_up_share_the_work_without_doubling_it() {
    let t = TestApp::new().await;
    let (a, _) = charged(&t).await;
    let second = t.process_towards(&t.connection().await.base_url).await;
    let pay = |number: usize| {
        let (t, body) = (&t, cart(&format!("crowd-{number}"), "EUR", &[item(&a, 10_00)]));
        async move {
            let key = format!("crowd-{number}");
            let request = t.post("/v1/payments", &key, body);
            if number.is_multiple_of(2) {
                request.await.expect(201);
            } else {
                // The client goes away; what it asked for goes on.
                let _gone = tokio::time::timeout(std::time::Duration::from_millis(5), request).await;
            }
        }
    };
    let clients = futures::future::join_all((0..20).map(pay));
    let (_, one, other) = tokio::join!(clients, worker::drain(&t.app), worker::drain(&second));
    one.expect("drained");
    other.expect("drained");
    // Where the client went away early, nobody had begun to send: the queue does when the lease has run out.
    t.expire_leases().await;
    worker::drain(&second).await.expect("drained");
    for _ in 0..4 {
        let_time_pass(&t, DAY).await;
        t.control.flush_webhooks().await.expect("flushed");
        let (one, other) = tokio::join!(worker::drain(&t.app), worker::drain(&second));
        one.expect("drained");
        other.expect("drained");
    }
    second.db.close().await;
    t.advance(DAY).await;
    t.assert_no_double_effect().await;
    let paid = t.count("select count(*) from payments where status = 'succeeded'").await;
    let transfers = i64::try_from(t.effects("/v1/transfers").await).expect("few");
    assert_eq!(transfers, paid, "one transfer for each");
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_stopped_until_the_lease_ran_out_sends_nothing() {
    let t = TestApp::new().await;
    let a = t.seller("A", "DE", "EUR", "manual").await;
    let id = plan_payment(&t.app, &t, &a, "order-1").await;
    t.expire_leases().await;
    assert_eq!(drive(&t.app, &t, id.uuid()).await, Driven::Open);
    assert_eq!(t.effects("/v1/payment_intents").await, 0, "stopped before the call");
    claim_and_die(&t, "create_payment").await;
    assert_eq!(drive(&t.app, &t, id.uuid()).await, Driven::Open);
    assert_eq!(t.effects("/v1/payment_intents").await, 0, "another one has the attempt");
    t.expire_leases().await;
    t.settle().await;
    assert_eq!(t.effects("/v1/payment_intents").await, 1);
    t.finish().await;
}
