//! The inbox as people see it, and the sweep that fills what webhooks left out.

use partita::worker;
use partita_simulator::{Fault, FaultKind};
use serde_json::{Value, json};

use crate::support::{cart, taxed};
use crate::test_app::{DAY, TestApp, text};

const HOUR: i64 = 3_600;

/// An applied event, set aside as a defect of ours would have set it.
async fn quarantined_event(t: &TestApp) -> String {
    let changed = t
        .tamper(
            "update inbox_events set state = 'quarantined', last_error = 'a defect', applied_at = null
             where kind = 'topup.succeeded'",
        )
        .await;
    assert_eq!(changed, 1);
    text(&t.list("/v1/inbox?state=quarantined").await[0]["id"])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quarantined_event_is_seen_and_replayed_once() {
    let t = TestApp::new().await;
    t.top_up("float", 100_00, "EUR").await;
    let id = quarantined_event(&t).await;
    let event = t.get(&format!("/v1/inbox/{id}")).await;
    assert_eq!((&event["state"], &event["last_error"]), (&json!("quarantined"), &json!("a defect")));
    assert_eq!(event["body"]["type"], "topup.succeeded");
    let before = t.balances().await;

    let replayed = t.send("POST", &format!("/v1/inbox/{id}/replay"), None, Some(json!({}))).await.expect(200);
    assert_eq!(replayed["state"], "received");
    t.settle().await;
    let event = t.get(&format!("/v1/inbox/{id}")).await;
    assert_eq!(event["state"], "applied");
    assert_eq!(t.balances().await, before, "what it tells of was booked before");
    let again = t.send("POST", &format!("/v1/inbox/{id}/replay"), None, Some(json!({}))).await.expect(409);
    assert_eq!(again["code"], "state_conflict");
    assert!(text(&again["detail"]).contains("applied"));
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_inbox_is_listed_in_pages_without_bodies() {
    let t = TestApp::new().await;
    t.seller("A", "DE", "EUR", "manual").await;
    t.top_up("float", 100_00, "EUR").await;
    let all = t.list("/v1/inbox").await;
    assert!(all.len() >= 3 && all.iter().all(|event| event.get("body").is_none()), "{all:#?}");
    let mut paged = Vec::new();
    let mut path = "/v1/inbox?limit=2".to_owned();
    loop {
        let page = t.get(&path).await;
        paged.extend(page["data"].as_array().expect("a list").clone());
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/v1/inbox?limit=2&cursor={cursor}");
    }
    assert_eq!(paged, all);
    let wrong = t.send("GET", "/v1/inbox?state=lost", None, None).await.expect(422);
    assert_eq!(wrong["errors"][0]["code"], "invalid_value", "{wrong:#}");
    assert_eq!(t.send("GET", "/v1/inbox/evt_none", None, None).await.expect(404)["code"], "not_found");
    t.finish().await;
}

/// State, attempts and reads of the events of top-ups, each once.
async fn top_up_events(t: &TestApp) -> Vec<(String, i32, i32)> {
    let admin = t.admin().await;
    let rows = sqlx::query_as("select distinct state, attempts, reads from inbox_events where kind like 'topup.%'");
    let rows = rows.fetch_all(&admin).await.expect("rows");
    admin.close().await;
    rows
}

/// Ten hours in which nothing can be read at the provider.
async fn outage(t: &TestApp) {
    reads_fail(t, FaultKind::RateLimited, u32::MAX);
    for _ in 0..10 {
        t.advance(HOUR).await;
    }
    t.control.clear_faults();
    assert_eq!(top_up_events(t).await, [("parked".to_owned(), 10, 0)], "tried, and nothing was shown");
}

fn reads_fail(t: &TestApp, kind: FaultKind, times: u32) {
    t.control.plan_fault(Fault { kind, method: "GET".to_owned(), path: "/v1/".to_owned(), times });
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_was_read_counts_towards_setting_an_event_aside() {
    let t = TestApp::new().await;
    let body = json!({"reference": "float", "amount": 100_00, "currency": "EUR"});
    t.post("/v1/top_ups", "float", body).await.expect(201);
    outage(&t).await;
    reads_fail(&t, FaultKind::Garbage, 1);
    t.advance(HOUR).await;
    assert_eq!(top_up_events(&t).await, [("parked".to_owned(), 11, 1)], "one unreadable answer gives nothing up");
    t.advance(HOUR).await;
    assert_eq!(top_up_events(&t).await[0].0, "applied");
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_never_readable_is_set_aside() {
    let t = TestApp::new().await;
    let body = json!({"reference": "float", "amount": 100_00, "currency": "EUR"});
    t.post("/v1/top_ups", "float", body).await.expect(201);
    outage(&t).await;
    reads_fail(&t, FaultKind::Garbage, u32::MAX);
    for _ in 0..8 {
        t.advance(HOUR).await;
    }
    assert_eq!(top_up_events(&t).await, [("parked".to_owned(), 18, 8)]);
    t.advance(HOUR).await;
    assert_eq!(top_up_events(&t).await, [("quarantined".to_owned(), 19, 8)], "the ninth answer was too much");
    t.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_was_read_counts_towards_ignoring_an_event() {
    let t = TestApp::new().await;
    t.at_provider("POST", "/v1/topups", &[("amount", "5000"), ("currency", "eur")]).await;
    outage(&t).await;
    for read in 1..=5 {
        t.advance(HOUR).await;
        assert_eq!(top_up_events(&t).await, [("parked".to_owned(), 10 + read, read)]);
    }
    t.advance(HOUR).await;
    assert_eq!(top_up_events(&t).await[0].0, "ignored");
    t.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_about_what_the_provider_has_not_is_tried_for_hours_and_then_set_aside() {
    let t = TestApp::new().await;
    let event = json!({
        "id": "evt_gone", "object": "event", "type": "transfer.created", "livemode": false, "created": 1_772_442_000,
        "data": {"object": {"object": "transfer", "id": "tr_gone"}},
    });
    assert_eq!(t.webhook(0, &event).await.status, 200);
    t.settle().await;
    // Nobody says in an outage that it is not there.
    reads_fail(&t, FaultKind::RateLimited, u32::MAX);
    t.advance(HOUR).await;
    t.control.clear_faults();
    for _ in 0..4 {
        t.advance(HOUR).await;
    }
    let waiting = t.list("/v1/inbox?state=parked").await;
    assert_eq!((waiting.len(), &waiting[0]["last_error"]), (1, &json!("the provider has no such object")));
    t.advance(HOUR).await;
    let aside = t.list("/v1/inbox?state=quarantined").await;
    assert_eq!(aside.len(), 1);
    let why = text(&aside[0]["last_error"]);
    assert!(why.starts_with("the provider has no such object, since 2026-03-02T09:00"), "{why}");

    let replay = format!("/v1/inbox/{}/replay", text(&aside[0]["id"]));
    t.send("POST", &replay, None, Some(json!({}))).await.expect(200);
    t.settle().await;
    assert_eq!(t.list("/v1/inbox?state=parked").await.len(), 1, "looked for anew");
    for _ in 0..6 {
        t.advance(HOUR).await;
    }
    assert_eq!(t.list("/v1/inbox?state=quarantined").await.len(), 1, "as long as the first time");
    t.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_about_a_charge_that_no_payment_made_is_ignored() {
    let t = TestApp::new().await;
    let event = json!({
        "id": "evt_charge", "object": "event", "type": "charge.succeeded", "livemode": false, "created": 1_772_442_000,
        "data": {"object": {"object": "charge", "id": "ch_by_hand", "payment_intent": null}},
    });
    assert_eq!(t.webhook(0, &event).await.status, 200);
    for _ in 0..6 {
        t.advance(HOUR).await;
    }
    assert_eq!(t.list("/v1/inbox?state=ignored").await.len(), 1);
    t.finish().await;
}

async fn without_webhooks(t: &TestApp) {
    for endpoint in t.control.endpoints() {
        t.control.remove_endpoint(&endpoint.id).await.expect("removed");
    }
}

async fn swept(t: &TestApp) -> Vec<(String, i64, i64)> {
    let admin = t.admin().await;
    let rows = sqlx::query_as("select account, events, missed from event_sweeps order by account");
    let rows = rows.fetch_all(&admin).await.expect("rows");
    admin.close().await;
    rows
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_webhook_brought_is_found_in_the_providers_own_list() {
    let t = TestApp::new().await;
    t.default_fee(1_000).await;
    let a = t.seller("A", "DE", "EUR", "daily").await;
    let payment = t.pay(cart("order-1", "EUR", &[taxed(&a, 60_00, 12_00)])).await;
    without_webhooks(&t).await;
    let body = json!({"reference": "float", "amount": 100_00, "currency": "EUR"});
    let top_up = t.post("/v1/top_ups", "float", body).await.expect(201);
    let top_up = format!("/v1/top_ups/{}", text(&top_up["id"]));
    t.advance(5 * DAY).await;
    assert_eq!(t.get(&top_up).await["status"], "pending", "nobody told");
    assert_eq!(t.payment(&payment).await["funds"], "available");
    assert_eq!(t.list("/v1/payouts").await, Vec::<Value>::new(), "nobody told of the seller's payout");

    worker::schedule_sweeps(&t.app).await.expect("scheduled");
    t.settle().await;
    assert_eq!(t.get(&top_up).await["status"], "pending", "older than the first sweep looks");
    assert_eq!(t.list("/v1/payouts").await.len(), 1);
    let first = swept(&t).await;
    assert_eq!(first.len(), 2, "the platform's own account and the seller's");
    assert!(first.iter().all(|(_, events, missed)| events >= missed) && first.iter().any(|row| row.2 > 0), "{first:?}");

    t.advance(DAY + 3_600).await;
    let second = swept(&t).await;
    assert_eq!(second.len(), 2);
    assert!(second.iter().zip(&first).all(|(now, then)| now.1 >= then.1));
    assert_eq!(
        t.count("select count(*) from (select event_id from inbox_events group by 1 having count(*) > 1) d").await,
        0
    );
    t.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_after_good_webhooks_finds_nothing_missed() {
    let t = TestApp::new().await;
    let a = t.seller("A", "DE", "EUR", "daily").await;
    t.top_up("float", 100_00, "EUR").await;
    t.pay(cart("order-1", "EUR", &[taxed(&a, 60_00, 12_00)])).await;
    t.advance(2 * DAY).await;
    worker::schedule_sweeps(&t.app).await.expect("scheduled");
    t.settle().await;
    let rows = swept(&t).await;
    assert_eq!(rows.len(), 2);
    assert!(
        rows.iter().all(|(_, _, missed)| *missed == 0) && rows.iter().any(|(_, events, _)| *events > 0),
        "{rows:?}"
    );
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_that_the_provider_does_not_show_keep_no_other_waiting() {
    let t = TestApp::new().await;
    let a = t.seller("A", "DE", "EUR", "manual").await;
    t.settle().await;
    // More than one turn takes, all of them before A by name.
    let lost = t
        .tamper(
            "insert into sellers
             select (jsonb_populate_record(s, jsonb_build_object(
                 'id', gen_random_uuid(), 'key', s.key + 1000 + n, 'number', 1000 + n, 'reference', 'lost-' || n,
                 'account', 'acct_000_lost' || n))).*
             from sellers s, generate_series(1, 25) n",
        )
        .await;
    assert_eq!(lost, 25);
    worker::schedule_sweeps(&t.app).await.expect("scheduled");
    t.settle().await;
    let known = text(&a["provider"]["id"]);
    let rows = swept(&t).await;
    assert!(rows.iter().any(|(account, ..)| *account == known), "{rows:?}");
    assert_eq!(t.count("select count(*) from event_sweeps where refused_at is not null").await, 25);
    t.advance(HOUR).await;
    let asked = "select count(*) from event_sweeps where refused_at = updated_at and swept_to is null";
    assert_eq!(t.count(asked).await, 25, "asked again");
    t.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_of_an_account_that_is_lost_is_tried_for_hours_and_then_set_aside() {
    let t = TestApp::new().await;
    let event = json!({
        "id": "evt_lost", "object": "event", "type": "payout.paid", "livemode": false, "created": 1_772_442_000,
        "account": "acct_lost", "data": {"object": {"object": "payout", "id": "po_lost"}},
    });
    assert_eq!(t.webhook(1, &event).await.status, 200);
    t.settle().await;
    for _ in 0..6 {
        t.advance(HOUR).await;
    }
    let aside = t.list("/v1/inbox?state=quarantined").await;
    assert_eq!(aside.len(), 1);
    let why = text(&aside[0]["last_error"]);
    assert!(why.starts_with("the provider gives us no access to the account, since "), "{why}");
    t.close().await;
}
