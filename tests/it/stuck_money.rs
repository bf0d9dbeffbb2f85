//! Money that does not move on: each cause is found and told once, with what helps, and cleared; a healthy marketplace has none.

use partita::worker;
use partita_simulator::FaultKind;
use serde_json::{Value, json};

use crate::second_person::let_one_decide;
use crate::support::{cart, item};
use crate::test_app::{DAY, TestApp, text};

/// A platform with 100.00 of its own at the provider, a commission of 10 % and no fees, looked at every day.
async fn market(t: &TestApp) {
    t.control.set_fees("eur", 0, 0).await.expect("free");
    t.default_fee(1_000).await;
    t.top_up("float", 100_00, "EUR").await;
    worker::schedule_stuck_money(&t.app).await.expect("scheduled");
}

/// What is told and stands, by cause and amount.
async fn open(t: &TestApp) -> Vec<(String, i64)> {
    let found = t.list("/v1/stuck_money?status=open").await;
    found.iter().map(|one| (text(&one["cause"]), one["amount"].as_i64().expect("an amount"))).collect()
}

fn one(cause: &str, amount: i64) -> Vec<(String, i64)> {
    vec![(cause.to_owned(), amount)]
}

async fn only(t: &TestApp) -> Value {
    let mut all = t.list("/v1/stuck_money").await;
    assert_eq!(all.len(), 1, "{all:#?}");
    all.remove(0)
}

/// The types of the events of stuck money, oldest first.
async fn told(t: &TestApp) -> Vec<String> {
    let mut kinds: Vec<String> = t.list("/v1/events").await.iter().map(|event| text(&event["type"])).collect();
    kinds.retain(|kind| kind.starts_with("stuck_money."));
    kinds.reverse();
    kinds
}

async fn assert_cleared(t: &TestApp) {
    assert_eq!(only(t).await["status"], "cleared");
    assert_eq!(told(t).await, ["stuck_money.found", "stuck_money.cleared"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_share_of_a_seller_who_does_not_finish_onboarding_is_told_after_a_week() {
    let t = TestApp::new().await;
    market(&t).await;
    let body = json!({"reference": "A", "email": "a@example.com", "country": "DE", "default_currency": "EUR"});
    let a = t.post("/v1/sellers", "A", body).await.expect(201);
    t.settle().await;
    t.pay(cart("order-1", "EUR", &[item(&a, 20_00)])).await;
    t.advance(8 * DAY).await;
    assert_eq!(t.balances().await["sel.A.available EUR"], 18_00);
    assert_eq!(open(&t).await, vec![], "it may still come");
    assert_eq!(t.list("/v1/stuck_money").await, Vec::<Value>::new(), "what is only watched is not told");
    t.advance(5 * DAY).await;
    assert_eq!(open(&t).await, one("not_onboarded", 18_00));
    let found = only(&t).await;
    assert_eq!((&found["seller"], &found["on"]), (&a["id"], &Value::Null));
    assert!(text(&found["remedy"]).contains("onboarding_links"), "{found:#}");
    t.pay(cart("order-2", "EUR", &[item(&a, 20_00)])).await;
    t.advance(5 * DAY).await;
    assert_eq!(open(&t).await, one("not_onboarded", 36_00), "one finding, of what it is now");
    assert_eq!(told(&t).await, ["stuck_money.found"], "told once");
    let of_a = t.list(&format!("/v1/stuck_money?seller={}&cause=not_onboarded", text(&a["id"]))).await;
    assert_eq!(of_a.len(), 1);
    let account = text(&t.get(&format!("/v1/sellers/{}", text(&a["id"]))).await["provider"]["id"]);
    t.control.complete_onboarding(&account).await.expect("onboarded");
    t.advance(3 * DAY).await;
    assert_cleared(&t).await;
    assert_eq!(t.get(&format!("/v1/stuck_money/{}", text(&found["id"]))).await["status"], "cleared");
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_healthy_marketplace_has_nothing_that_is_stuck() {
    let t = TestApp::new().await;
    market(&t).await;
    let a = t.seller("A", "DE", "EUR", "daily").await;
    let b = t.seller("B", "DE", "EUR", "manual").await;
    for day in 0..20 {
        let payment = t.pay(cart(&format!("order-{day}"), "EUR", &[item(&a, 20_00), item(&b, 10_00)])).await;
        if day % 3 == 0 {
            let body = json!({"payment": payment["id"], "amount": 6_00});
            t.post("/v1/refunds", &format!("ret-{day}"), body).await.expect(201);
        }
        t.advance(DAY).await;
        assert_eq!(t.list("/v1/stuck_money").await, Vec::<Value>::new(), "day {day}");
    }
    t.advance(8 * DAY).await;
    assert_eq!(told(&t).await, Vec::<String>::new());
    let watched = "select count(*) from stuck_money where cause <> 'payouts_parked'";
    assert_eq!(t.count(watched).await, 0, "only what lies at the provider by the seller's own wish is watched");
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_account_that_was_shut_cannot_receive_is_told() {
    let t = TestApp::new().await;
    market(&t).await;
    let a = t.seller("A", "DE", "EUR", "manual").await;
    let shut = "update sellers set transfers_active = false, status = 'restricted'";
    assert_eq!(t.tamper(shut).await, 1);
    t.pay(cart("order-1", "EUR", &[item(&a, 20_00)])).await;
    t.advance(13 * DAY).await;
    assert_eq!(open(&t).await, one("account_restricted", 18_00));
    assert_eq!(t.tamper("update sellers set transfers_active = true, status = 'active'").await, 1);
    t.advance(3 * DAY).await;
    assert_cleared(&t).await;
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_amount_finer_than_the_provider_moves_waits_and_is_told_and_keeps_nobody_else_waiting() {
    let t = TestApp::new().await;
    market(&t).await;
    t.control.set_fees("kwd", 0, 0).await.expect("free");
    let a = t.seller("A", "DE", "KWD", "manual").await;
    let b = t.seller("B", "DE", "KWD", "manual").await;
    // A tenth of 1.230 is 0.123, and the provider does not move 1.107.
    t.pay(cart("order-1", "KWD", &[item(&a, 1_230), item(&b, 2_000)])).await;
    t.advance(4 * DAY).await;
    let balances = t.balances().await;
    assert_eq!((balances["sel.A.available KWD"], balances["owner.B KWD"]), (1_107, 1_800), "{balances:?}");
    t.advance(3 * DAY).await;
    assert_eq!(open(&t).await, one("below_one_unit", 1_107));
    assert_eq!(only(&t).await["currency"], "KWD");
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn payouts_that_come_back_three_times_are_told() {
    let t = TestApp::new().await;
    market(&t).await;
    let a = t.seller("A", "DE", "EUR", "manual").await;
    let account = text(&a["provider"]["id"]);
    t.pay(cart("order-1", "EUR", &[item(&a, 20_00)])).await;
    t.advance(4 * DAY).await;
    for number in 1..=3 {
        assert_eq!(open(&t).await, vec![], "before {number}");
        let payout = t.control.create_payout(Some(&account), 18_00, "eur").await.expect("paid out by hand");
        t.advance(4 * DAY).await;
        assert_eq!(t.list("/v1/payouts").await[0]["status"], "paid");
        t.control.fail_payout(&text(&payout["id"]), "account_closed").await.expect("returned");
        // Another bank account, which will not do either.
        t.control.complete_onboarding(&account).await.expect("a new bank account");
        t.settle().await;
    }
    t.advance(DAY).await;
    assert_eq!(open(&t).await, one("payouts_come_back", 18_00));
    assert_eq!(only(&t).await["seller"], a["id"]);
    t.control.create_payout(Some(&account), 18_00, "eur").await.expect("paid out by hand");
    t.advance(4 * DAY).await;
    assert_cleared(&t).await;
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lies_at_the_provider_for_a_month_because_nobody_asks_for_it_is_told() {
    let t = TestApp::new().await;
    market(&t).await;
    let a = t.seller("A", "DE", "EUR", "manual").await;
    t.pay(cart("order-1", "EUR", &[item(&a, 20_00)])).await;
    t.advance(25 * DAY).await;
    assert_eq!(open(&t).await, vec![]);
    t.advance(13 * DAY).await;
    assert_eq!(open(&t).await, one("payouts_parked", 18_00));
    let account = text(&a["provider"]["id"]);
    t.control.create_payout(Some(&account), 10_00, "eur").await.expect("paid out by hand");
    t.advance(2 * DAY).await;
    assert_cleared(&t).await;
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_provider_is_late_with_is_told_by_its_own_date() {
    let t = TestApp::new().await;
    market(&t).await;
    let a = t.seller("A", "DE", "EUR", "daily").await;
    t.pay(cart("order-1", "EUR", &[item(&a, 20_00)])).await;
    assert_eq!(
        t.tamper(
            "update provider_movements set available_on = available_on - interval '5 days' where state = 'pending'"
        )
        .await,
        1
    );
    t.advance(DAY).await;
    assert_eq!(open(&t).await, one("pending_too_long", 20_00));
    let found = only(&t).await;
    assert_eq!((&found["seller"], &found["on"]), (&Value::Null, &Value::Null), "the platform's");
    t.advance(5 * DAY).await;
    assert_cleared(&t).await;
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_without_an_answer_for_a_day_is_told_with_its_operation() {
    let t = TestApp::new().await;
    market(&t).await;
    let a = t.seller("A", "DE", "EUR", "daily").await;
    t.pay(cart("order-1", "EUR", &[item(&a, 20_00)])).await;
    let (method, path) = ("POST".to_owned(), "/v1/transfers".to_owned());
    t.control.plan_fault(partita_simulator::Fault { kind: FaultKind::RateLimited, method, path, times: u32::MAX });
    t.advance(6 * DAY).await;
    assert_eq!(open(&t).await, one("clearing_too_long", 18_00));
    let found = only(&t).await;
    let operation = t.get(&format!("/v1/operations/{}", text(&found["on"]))).await;
    assert_eq!((&found["seller"], &operation["kind"]), (&a["id"], &json!("create_transfer")));
    t.control.clear_faults();
    t.advance(3 * DAY).await;
    assert_cleared(&t).await;
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_that_came_back_and_nobody_decides_about_is_told_after_a_week() {
    let t = TestApp::new().await;
    market(&t).await;
    let_one_decide(&t, "EUR", 100_00).await;
    let a = t.seller("A", "DE", "EUR", "daily").await;
    let payment = t.pay(cart("order-1", "EUR", &[item(&a, 20_00)])).await;
    let refund = t.post("/v1/refunds", "ret-1", json!({"payment": payment["id"], "amount": 5_00})).await.expect(201);
    t.settle().await;
    t.control.fail_refund(&text(&refund["provider"]["id"]), "lost_or_stolen_card").await.expect("it has succeeded");
    t.advance(6 * DAY).await;
    assert_eq!(open(&t).await, vec![]);
    t.advance(3 * DAY).await;
    assert_eq!(open(&t).await, one("clearing_too_long", 5_00));
    assert_eq!(only(&t).await["on"], refund["id"]);
    let body = json!({"outcome": "reinstated", "reason": "the buyer took a voucher"});
    t.post(&format!("/v1/refunds/{}/resolution", text(&refund["id"])), "res-1", body).await.expect(200);
    t.advance(2 * DAY).await;
    assert_cleared(&t).await;
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_told_stays_and_only_known_words_are_asked_for() {
    let t = TestApp::new().await;
    for bad in ["status=watched", "status=lost", "cause=bad_luck"] {
        t.send("GET", &format!("/v1/stuck_money?{bad}"), None, None).await.expect(422);
    }
    market(&t).await;
    let a = t.seller("A", "DE", "EUR", "daily").await;
    t.pay(cart("order-1", "EUR", &[item(&a, 20_00)])).await;
    t.tamper("update provider_movements set available_on = available_on - interval '5 days' where state = 'pending'")
        .await;
    t.advance(DAY).await;
    let admin = t.admin().await;
    let refused = sqlx::query("delete from stuck_money").execute(&admin).await.expect_err("told");
    let constraint = refused.as_database_error().and_then(|error| error.constraint().map(str::to_owned));
    assert_eq!(constraint.as_deref(), Some("stuck_money_told_stays"));
    admin.close().await;
    t.advance(5 * DAY).await;
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seller_whom_the_provider_pays_out_no_more_is_told_after_a_week_whenever_the_last_payout_was() {
    let t = TestApp::new().await;
    market(&t).await;
    let a = t.seller("A", "DE", "EUR", "manual").await;
    t.pay(cart("order-1", "EUR", &[item(&a, 20_00)])).await;
    t.advance(4 * DAY).await;
    t.post("/v1/payouts", "out", json!({"reference": "out", "seller": a["id"]})).await.expect(201);
    t.pay(cart("order-2", "EUR", &[item(&a, 30_00)])).await;
    t.advance(4 * DAY).await;
    assert_eq!(t.balances().await["conn.available.A EUR"], 27_00);
    assert_eq!(t.tamper("update sellers set payouts_enabled = false").await, 1);
    t.advance(9 * DAY).await;
    assert_eq!(open(&t).await, one("payouts_disabled", 27_00));
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seller_whose_schedule_waits_for_more_is_not_told() {
    let t = TestApp::new().await;
    market(&t).await;
    let a = t.seller("A", "DE", "EUR", "manual").await;
    let schedule = json!({
        "interval": "daily", "time_zone": "Europe/Berlin", "minimums": [{"currency": "EUR", "amount": 500_00}],
    });
    let path = format!("/v1/sellers/{}", text(&a["id"]));
    t.send("PATCH", &path, None, Some(json!({"payout_schedule": schedule}))).await.expect(200);
    t.pay(cart("order-1", "EUR", &[item(&a, 20_00)])).await;
    t.advance(40 * DAY).await;
    assert_eq!(t.balances().await["conn.available.A EUR"], 18_00);
    assert_eq!(open(&t).await, vec![]);
    t.finish().await;
}
