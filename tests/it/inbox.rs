//! The inbox as people see it, and the sweep that fills what webhooks left out.

use partita::worker;
use serde_json::{Value, json};

use crate::support::{cart, taxed};
use crate::test_app::{DAY, TestApp, text};

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
