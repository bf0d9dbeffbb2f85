//! Reconciliation by its schedule: what differs is found within one cycle, told once, and runs go on where they stopped.

use std::sync::Arc;

use jiff::SignedDuration;
use partita::reconciliation;
use partita::worker;
use serde_json::{Value, json};

use crate::sink::Sink;
use crate::support::{cart, item, taxed};
use crate::test_app::{DAY, TestApp, text};

const CYCLE: i64 = 900;

/// A payment that went its whole way, on a book that is reconciled by schedule.
async fn story(t: &TestApp) -> Value {
    t.default_fee(1_000).await;
    let a = t.seller("A", "DE", "EUR", "daily").await;
    t.top_up("float", 200_00, "EUR").await;
    let payment = t.pay(cart("order-1", "EUR", &[taxed(&a, 60_00, 12_00)])).await;
    t.advance(6 * DAY).await;
    worker::schedule_reconciliation(&t.app).await.expect("scheduled");
    t.advance(CYCLE).await;
    payment
}

/// The runs of the schedule, newest first.
async fn runs(t: &TestApp) -> Vec<Value> {
    t.list("/v1/reconciliation/runs").await.into_iter().filter(|run| run["scheduled"] == true).collect()
}

/// The events that told of breaks, oldest first: kind and movement.
async fn told(t: &TestApp) -> Vec<(String, Value)> {
    let events = t.list("/v1/events?type=reconciliation.break_found").await;
    let of =
        |event: &Value| (text(&event["data"]["object"]["kind"]), event["data"]["object"]["provider_movement"].clone());
    events.iter().rev().map(of).collect()
}

async fn standing(t: &TestApp) -> Value {
    t.get("/v1/reconciliation").await
}

/// What was written until now was written a day ago, as far as the database tells.
async fn age(t: &TestApp) {
    t.tamper("update provider_movements set recorded_at = recorded_at - interval '1 day'").await;
    t.tamper("update inbox_events set received_at = received_at - interval '1 day'").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_compared_every_night_and_what_moved_every_quarter_of_an_hour() {
    let t = TestApp::new().await;
    story(&t).await;
    let b = t.seller("B", "DE", "EUR", "manual").await;
    let first = runs(&t).await;
    assert_eq!(first.len(), 1, "{first:#?}");
    assert_eq!((&first[0]["scope"], &first[0]["accounts"]), (&json!("complete"), &json!(2)), "the very first");
    assert_eq!((&first[0]["status"], &first[0]["actor"]), (&json!("succeeded"), &json!("system")));
    assert_eq!(first[0]["reconciled_through"], first[0]["created_at"]);
    age(&t).await;
    t.advance(CYCLE).await;
    let second = &runs(&t).await[0];
    assert_eq!(
        (&second["scope"], &second["accounts"]),
        (&json!("recent"), &json!(2)),
        "the platform's own, and the new one"
    );
    t.advance(CYCLE).await;
    assert_eq!(runs(&t).await[0]["accounts"], 1, "nothing moved but the clock");
    t.pay(cart("order-2", "EUR", &[item(&b, 10_00)])).await;
    t.advance(2 * DAY).await;
    let nightly = runs(&t).await.into_iter().filter(|run| run["scope"] == "complete").count();
    assert_eq!(nightly, 3, "the first, and one for each midnight");
    let newest = runs(&t).await[0].clone();
    let expected = json!({
        "object": "reconciliation", "mode": "test", "reconciled_through": newest["created_at"], "open_breaks": 0,
    });
    assert_eq!(standing(&t).await, expected);
    assert_eq!(t.count("select count(*) from reconciliation_runs where breaks > 0").await, 0);
    assert_eq!(t.count("select count(*) from reconciliation_tasks").await, 0, "nothing is left to do");
    assert_eq!(told(&t).await, []);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_movement_made_at_the_providers_side_only_is_told_once_within_a_cycle() {
    let t = TestApp::new().await;
    let sink = Sink::start().await;
    t.endpoint(&sink, &["reconciliation.*"]).await;
    story(&t).await;
    let before = t.balances().await;
    t.control.create_payout(None, 10_00, "eur").await.expect("the platform pays itself out, in the dashboard");
    t.advance(CYCLE).await;
    let tells = told(&t).await;
    assert_eq!(tells.len(), 1, "{tells:#?}");
    assert_eq!(tells[0].0, "missing_in_ledger");
    // That the balance differs too may have been money on its way: it is looked at again soon.
    t.advance(120).await;
    let kinds: Vec<String> = told(&t).await.into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, ["missing_in_ledger", "balance_mismatch"]);
    for _ in 0..8 {
        t.advance(CYCLE).await;
    }
    assert_eq!(told(&t).await.len(), 2, "once for each break, not for each run");
    assert!(runs(&t).await[0]["break_count"].as_i64().expect("a count") >= 2, "every run shows what stands");
    assert_eq!(standing(&t).await["open_breaks"], 2);
    assert_eq!(sink.types(), ["reconciliation.break_found"; 2]);
    let told = sink.got()[0].body()["data"]["object"].clone();
    assert_eq!(
        (&told["provider_amount"], &told["currency"], &told["ledger_amount"]),
        (&json!(-10_00), &json!("EUR"), &Value::Null)
    );
    assert_eq!(t.balances().await, before, "never adjusted");
    t.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_difference_is_told_once_for_as_long_as_it_stands_and_anew_when_it_comes_back() {
    let t = TestApp::new().await;
    story(&t).await;
    let made_up =
        "insert into provider_movements (book_id, key, provider, account, movement_id, kind, amount, fee, net,
                                                   currency, state, available_on, created_on, object_type)
                   select m.book_id, 1, provider, account, 'txn_nobody_made', kind, amount, fee, net, currency, state,
                          available_on, (select max(r.created_at) from reconciliation_runs r), object_type
                   from provider_movements m where kind = 'payout' limit 1";
    let never_made = "delete from provider_movements where movement_id = 'txn_nobody_made'";
    let more = "update ledger_postings set amount = amount + 1 where ordinal = 1 and (book_id, lane, seq) in
                    (select book_id, lane, seq from ledger_transactions where kind = 30)";
    let less = "update ledger_postings set amount = amount - 1 where ordinal = 1 and (book_id, lane, seq) in
                    (select book_id, lane, seq from ledger_transactions where kind = 30)";
    // The first is young enough for the runs of every quarter of an hour, the other one waits for the night.
    let table = [("missing_at_provider", made_up, never_made, CYCLE), ("amount_mismatch", more, less, DAY)];
    for (kind, plant, undo, within) in table {
        let before = told(&t).await.len();
        for time in 1..=2 {
            assert_eq!(t.tamper(plant).await, 1, "{kind}");
            t.advance(within).await;
            let news: Vec<String> = told(&t).await.into_iter().skip(before).map(|(kind, _)| kind).collect();
            assert_eq!(news, vec![kind; time], "it came {time} times");
            t.advance(DAY).await;
            assert_eq!(told(&t).await.len(), before + time, "{kind} stands, and is not told again");
            assert_eq!(standing(&t).await["open_breaks"], 1);
            assert_eq!(t.tamper(undo).await, 1, "{kind}");
            t.advance(DAY).await;
            assert_eq!(standing(&t).await["open_breaks"], 0, "the night finds it gone");
        }
    }
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn money_on_its_way_is_no_news() {
    let t = TestApp::new().await;
    let payment = story(&t).await;
    // The refund is given, and nobody has told us yet when the run looks.
    t.at_provider("POST", "/v1/topups", &[("amount", "5000"), ("currency", "eur")]).await;
    t.move_clocks(CYCLE - 60).await;
    t.at_provider("POST", "/v1/topups", &[("amount", "7000"), ("currency", "eur")]).await;
    t.move_clocks(60).await;
    worker::drain(&t.app).await.expect("drained");
    let tells = told(&t).await;
    assert_eq!(tells.len(), 1, "the one that is a minute old may still come: {tells:#?}");
    let newest = &runs(&t).await[0];
    let breaks = t.list(&format!("/v1/reconciliation/runs/{}/breaks", text(&newest["id"]))).await;
    assert!(breaks.iter().any(|found| found["kind"] == "timing"), "{breaks:#?}");
    t.move_clocks(120).await;
    worker::drain(&t.app).await.expect("drained");
    let kinds: Vec<String> = told(&t).await.into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds.iter().filter(|kind| *kind == "missing_in_ledger").count(), 2, "it did not come: {kinds:?}");
    assert_eq!(t.payment(&payment).await["status"], "succeeded");
    t.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_process_died_goes_on_and_never_beside_another() {
    let t = TestApp::new().await;
    story(&t).await;
    t.clock.set(t.clock.now() + SignedDuration::from_secs(CYCLE));
    // A process that the provider leaves waiting, and that dies so.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = format!("http://{}", silent.local_addr().expect("an address"));
    let process = t.process_towards(&address).await;
    let (dying, book) = (Arc::clone(&process), t.book.id);
    let turn = tokio::spawn(async move { reconciliation::take_turn(&dying, book).await });
    while t.count("select count(*) from reconciliation_runs where status = 'running' and scheduled").await == 0 {
        tokio::task::yield_now().await;
    }
    turn.abort();
    assert!(turn.await.expect_err("it died").is_cancelled());
    let at = reconciliation::take_turn(&t.app, book).await.expect("somebody is at it");
    assert!(at > t.clock.now(), "nobody works beside it");
    let asked = t.send("POST", "/v1/reconciliation/runs", None, Some(json!({}))).await.expect(409);
    assert_eq!(asked["code"], "state_conflict");
    let died = runs(&t).await[0].clone();
    t.tamper("update reconciliation_runs set lease_until = clock_timestamp() where status = 'running'").await;
    let (one, other) = tokio::join!(reconciliation::take_turn(&t.app, book), reconciliation::take_turn(&t.app, book));
    one.and(other).expect("one of them went on with it");
    let run = runs(&t).await[0].clone();
    assert_eq!((&run["id"], &run["status"]), (&died["id"], &json!("succeeded")), "the same run: {run:#}");
    assert_eq!((&run["accounts"], &run["break_count"]), (&json!(2), &json!(0)), "each once");
    assert_eq!(t.count("select max(turn)::bigint from reconciliation_runs").await, 2);
    process.db.close().await;
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn books_have_their_own_times_and_those_without_a_provider_none() {
    let t = TestApp::new().await;
    t.tenant("other").await;
    worker::schedule_reconciliation(&t.app).await.expect("scheduled");
    worker::schedule_reconciliation(&t.app).await.expect("and again, which changes nothing");
    assert_eq!(t.count("select count(distinct due_at) from due where kind = 'reconciliation'").await, 3);
    assert_eq!(t.count("select count(*) from due where kind = 'reconciliation'").await, 3, "of four books");
    t.tamper("delete from due where kind = 'reconciliation'").await;
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_cannot_be_read_does_not_keep_the_others_and_is_tried_again() {
    let t = TestApp::new().await;
    story(&t).await;
    t.control.plan_fault(partita_simulator::Fault {
        kind: partita_simulator::FaultKind::RateLimited,
        method: "GET".to_owned(),
        path: "/v1/balance".to_owned(),
        times: 1,
    });
    t.tamper("update reconciliation_accounts set looked_at = 'epoch'").await;
    let through = standing(&t).await["reconciled_through"].clone();
    t.advance(CYCLE).await;
    let run = runs(&t).await[0].clone();
    assert_eq!(
        (&run["status"], &run["accounts"], &run["reconciled_through"]),
        (&json!("failed"), &json!(1), &Value::Null)
    );
    assert_eq!(standing(&t).await["reconciled_through"], through, "nothing is promised that was not seen");
    t.advance(CYCLE).await;
    let run = runs(&t).await[0].clone();
    assert_eq!(run["status"], "succeeded", "{run:#}");
    assert_eq!(standing(&t).await["reconciled_through"], run["created_at"]);
    t.finish().await;
}
