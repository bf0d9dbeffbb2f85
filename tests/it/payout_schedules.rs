//! Sellers' own payout schedules, carried out by the worker: when, how much, once, and why not. And payouts by hand.

use partita::worker;
use partita_simulator::FaultKind;
use serde_json::{Value, json};

use crate::support::{cart, item};
use crate::test_app::{Answer, DAY, TestApp, text};

const HOUR: i64 = 3_600;

async fn schedule(t: &TestApp, seller: &Value, schedule: Value) -> Answer {
    let path = format!("/v1/sellers/{}", text(&seller["id"]));
    t.send("PATCH", &path, None, Some(json!({"payout_schedule": schedule}))).await
}

/// Every business day at four in the afternoon of Berlin, which is 15:00 UTC in winter.
fn daily() -> Value {
    json!({"interval": "daily", "cut_off": "16:00", "time_zone": "Europe/Berlin"})
}

async fn reread(t: &TestApp, seller: &Value) -> Value {
    t.get(&format!("/v1/sellers/{}", text(&seller["id"]))).await
}

/// Amounts and statuses of a seller's payouts, oldest first.
async fn payouts(t: &TestApp, seller: &Value) -> Vec<(i64, String)> {
    let mut found = t.list(&format!("/v1/sellers/{}/payouts", text(&seller["id"]))).await;
    found.reverse();
    found.iter().map(|payout| (payout["amount"].as_i64().expect("minor units"), text(&payout["status"]))).collect()
}

/// A seller with `amount` on its account at the provider: Wednesday, 4 March, at nine.
async fn seller_with(t: &TestApp, reference: &str, amount: i64, interval: &str) -> Value {
    let seller = t.seller(reference, "DE", "EUR", interval).await;
    t.pay(cart(&format!("order-{reference}"), "EUR", &[item(&seller, amount)])).await;
    seller
}

async fn events(t: &TestApp, kind: &str) -> usize {
    t.list(&format!("/v1/events?type={kind}")).await.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_pays_out_at_its_cut_off_once_and_the_payout_arrives() {
    let t = TestApp::new().await;
    let a = seller_with(&t, "A", 60_00, "manual").await;
    let declared = schedule(&t, &a, daily()).await.expect(200);
    assert_eq!(declared["next_payout_on"], "2026-03-02", "{declared:#}");
    assert_eq!((&declared["payout_schedule"]["version"], &declared["payout_interval"]), (&json!(1), &json!("manual")));
    t.advance(2 * DAY).await;
    assert_eq!(t.balances().await["conn.available.A EUR"], 60_00);
    t.advance(6 * HOUR - 1).await;
    assert_eq!(payouts(&t, &a).await, [], "not before the cut-off");
    assert_eq!(reread(&t, &a).await["last_payout_day"]["skipped"], "nothing_to_pay");
    t.move_clocks(1).await;
    let (one, other) = tokio::join!(worker::drain(&t.app), worker::drain(&t.app));
    one.expect("drained");
    other.expect("drained");
    t.settle().await;
    assert_eq!(payouts(&t, &a).await, [(60_00, "pending".to_owned())]);
    let shown = reread(&t, &a).await;
    let day = &shown["last_payout_day"];
    assert_eq!((&day["on"], &day["payable"], &day["skipped"]), (&json!("2026-03-04"), &json!(60_00), &Value::Null));
    assert_eq!(shown["next_payout_on"], "2026-03-05");
    let payout = t.list("/v1/payouts").await.remove(0);
    assert_eq!((&payout["id"], &payout["automatic"]), (&day["payout"], &json!(true)));
    assert_eq!(t.balances().await["conn.in_transit.A EUR"], 60_00);
    // The same again declares nothing new.
    assert_eq!(schedule(&t, &a, daily()).await.expect(200)["payout_schedule"]["version"], 1);
    t.advance(5 * DAY).await;
    assert_eq!(payouts(&t, &a).await, [(60_00, "paid".to_owned())]);
    assert_eq!(t.balances().await["ext.bank.A EUR"], 60_00);
    assert_eq!(t.effects("/v1/payouts").await, 1);
    t.assert_no_double_effect().await;
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_provider_stops_paying_out_whom_a_schedule_pays_out() {
    let t = TestApp::new().await;
    let a = seller_with(&t, "A", 60_00, "daily").await;
    let declared = schedule(&t, &a, json!({"interval": "weekly", "weekdays": ["friday"], "time_zone": "UTC"})).await;
    assert_eq!(declared.expect(200)["payout_interval"], "daily", "the provider has not answered yet");
    t.settle().await;
    assert_eq!(reread(&t, &a).await["payout_interval"], "manual");
    t.advance(3 * DAY).await;
    assert_eq!(payouts(&t, &a).await, [], "the provider's midnight of Thursday passed");
    t.advance(DAY).await;
    assert_eq!(payouts(&t, &a).await.len(), 1, "Friday's");
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_becomes_of_the_answer_there_is_one_payout() {
    let t = TestApp::new().await;
    for (kind, reference) in
        [(FaultKind::AnswerLost, "lost"), (FaultKind::ErrorAfter, "error"), (FaultKind::RateLimited, "busy")]
    {
        let seller = seller_with(&t, reference, 60_00, "manual").await;
        t.advance(3 * DAY).await;
        t.next_post_fails(kind, "/v1/payouts");
        let (id, key) = (text(&seller["id"]), format!("payout-{reference}"));
        let answer = t.post("/v1/payouts", &key, json!({"reference": reference, "seller": id})).await.expect(202);
        assert_eq!((&answer["status"], &answer["provider"]["id"]), (&json!("processing"), &Value::Null), "{kind:?}");
        // What is asked and not answered is not paid out a second time.
        let again = t.post("/v1/payouts", &format!("{key}-again"), json!({"reference": "again", "seller": id})).await;
        assert_eq!(again.expect(409)["code"], "state_conflict", "{kind:?}");
        for _ in 0..6 {
            t.advance(300).await;
        }
        assert_eq!(payouts(&t, &seller).await.len(), 1, "{kind:?}");
        assert_ne!(payouts(&t, &seller).await[0].1, "processing", "{kind:?}");
        let same = t.post("/v1/payouts", &key, json!({"reference": reference, "seller": id})).await;
        assert_eq!(same.headers["idempotency-replayed"], "true");
        assert_eq!(same.expect(202), answer);
    }
    assert_eq!(t.effects("/v1/payouts").await, 3);
    t.assert_no_double_effect().await;
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_comes_before_the_answer_books_the_payout_that_was_asked() {
    let t = TestApp::new().await;
    let a = seller_with(&t, "A", 60_00, "manual").await;
    schedule(&t, &a, daily()).await.expect(200);
    t.advance(2 * DAY).await;
    t.next_post_fails(FaultKind::AnswerLost, "/v1/payouts");
    t.move_clocks(6 * HOUR).await;
    worker::drain(&t.app).await.expect("drained");
    assert_eq!(payouts(&t, &a).await, [(60_00, "processing".to_owned())]);
    assert!(!t.balances().await.contains_key("conn.in_transit.A EUR"), "nothing is booked that nobody has said");
    t.settle().await;
    assert_eq!(payouts(&t, &a).await, [(60_00, "pending".to_owned())]);
    assert_eq!(t.list("/v1/operations?state=unknown").await, Vec::<Value>::new());
    assert_eq!((events(&t, "payout.created").await, events(&t, "payout.accepted").await), (1, 1));
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_provider_refuses_moved_nothing_and_the_next_day_is_another() {
    let t = TestApp::new().await;
    let a = seller_with(&t, "A", 60_00, "manual").await;
    schedule(&t, &a, daily()).await.expect(200);
    t.advance(2 * DAY).await;
    // Somebody pays the seller out in the provider's dashboard, and nobody has told us yet.
    t.control.create_payout(Some(&text(&a["provider"]["id"])), 60_00, "eur").await.expect("paid out");
    t.move_clocks(6 * HOUR).await;
    worker::drain(&t.app).await.expect("drained");
    let refused = t.list("/v1/payouts").await.remove(0);
    assert_eq!((&refused["status"], &refused["failure"]["code"]), (&json!("failed"), &json!("balance_insufficient")));
    t.settle().await;
    assert_eq!(payouts(&t, &a).await, [(60_00, "failed".to_owned()), (60_00, "in_transit".to_owned())]);
    t.advance(DAY).await;
    assert_eq!(reread(&t, &a).await["last_payout_day"]["skipped"], "nothing_to_pay");
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn delay_and_minimum_keep_money_for_the_next_time() {
    let t = TestApp::new().await;
    let (a, b) = (seller_with(&t, "A", 60_00, "manual").await, seller_with(&t, "B", 40_00, "manual").await);
    let mut delayed = daily();
    delayed["delay_days"] = json!(2);
    schedule(&t, &a, delayed).await.expect(200);
    let mut least = daily();
    least["minimums"] = json!([{"amount": 41_00, "currency": "EUR"}, {"amount": 1, "currency": "USD"}]);
    schedule(&t, &b, least).await.expect(200);
    t.advance(2 * DAY + 6 * HOUR).await;
    let day = reread(&t, &b).await["last_payout_day"].clone();
    assert_eq!((&day["skipped"], &day["payable"]), (&json!("below_minimum"), &json!(40_00)));
    // On the account since Wednesday at nine: Friday is the first day that has it two days before.
    t.advance(DAY).await;
    assert_eq!(payouts(&t, &a).await, []);
    t.advance(DAY).await;
    assert_eq!(payouts(&t, &a).await.len(), 1);
    assert_eq!(payouts(&t, &b).await, []);
    t.pay(cart("order-2", "EUR", &[item(&b, 1_00)])).await;
    t.advance(5 * DAY).await;
    assert_eq!(payouts(&t, &b).await.iter().map(|payout| payout.0).collect::<Vec<_>>(), [41_00]);
    assert_eq!(events(&t, "seller.payout_skipped").await, 0, "nobody waits for what is too little");
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seller_that_owes_or_is_short_is_skipped_and_told_of() {
    let t = TestApp::new().await;
    t.top_up("float", 200_00, "EUR").await;
    let a = t.seller("A", "DE", "EUR", "manual").await;
    schedule(&t, &a, daily()).await.expect(200);
    let payment = t.pay(cart("order-1", "EUR", &[item(&a, 60_00)])).await;
    t.advance(3 * DAY).await;
    assert_eq!(payouts(&t, &a).await.len(), 1);
    // It is paid out: the refund takes its account below zero.
    t.post("/v1/refunds", "ret-1", json!({"payment": payment["id"], "amount": 10_00})).await.expect(201);
    t.settle().await;
    assert_eq!(t.balances().await["conn.available.A EUR"], -10_00);
    t.advance(DAY).await;
    let day = reread(&t, &a).await["last_payout_day"].clone();
    assert_eq!((&day["skipped"], &day["payable"]), (&json!("short"), &json!(-10_00)));
    assert_eq!(events(&t, "seller.payout_skipped").await, 1);
    let by_hand = json!({"reference": "now", "seller": a["id"]});
    let refused = t.post("/v1/payouts", "now", by_hand).await.expect(409);
    assert!(text(&refused["detail"]).contains("short"), "{refused:#}");
    assert_eq!(t.reconcile().await.breaks, 0);
    t.finish().await;
}

/// Declares the bank holidays of Germany.
async fn closed(t: &TestApp, days: &[&str]) -> Value {
    let body = json!({"country": "DE", "days": days});
    t.send("PUT", "/v1/bank_holidays", None, Some(body)).await.expect(200)
}

#[tokio::test(flavor = "multi_thread")]
async fn bank_holidays_move_payout_days_also_those_that_wait() {
    let t = TestApp::new().await;
    let a = seller_with(&t, "A", 60_00, "manual").await;
    schedule(&t, &a, daily()).await.expect(200);
    let declared = closed(&t, &["2026-03-06", "2026-03-04", "2026-03-05"]).await;
    assert_eq!((&declared["version"], &declared["days"][0]), (&json!(1), &json!("2026-03-04")));
    assert_eq!(t.get("/v1/bank_holidays").await["data"], json!([declared]));
    t.advance(2 * DAY).await;
    assert_eq!(reread(&t, &a).await["next_payout_on"], "2026-03-09", "after the weekend");
    t.advance(DAY).await;
    assert_eq!(payouts(&t, &a).await, []);
    // Friday is none after all: the seller need not wait for Monday.
    closed(&t, &["2026-03-04", "2026-03-05"]).await;
    assert_eq!(reread(&t, &a).await["next_payout_on"], "2026-03-06");
    t.advance(DAY + 6 * HOUR).await;
    assert_eq!(payouts(&t, &a).await.len(), 1);
    assert_eq!(reread(&t, &a).await["last_payout_day"]["on"], "2026-03-06");
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_payouts_by_hand_at_once_share_what_there_is() {
    let t = TestApp::new().await;
    let a = seller_with(&t, "A", 60_00, "manual").await;
    t.advance(3 * DAY).await;
    let ask = |reference: &'static str, amount: i64| {
        let body = json!({"reference": reference, "seller": a["id"], "amount": amount, "currency": "EUR"});
        t.post("/v1/payouts", reference, body)
    };
    let (one, other) = tokio::join!(ask("one", 40_00), ask("other", 40_00));
    let mut statuses = [one.status, other.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 422], "{} {}", one.text(), other.text());
    let refused = if one.status == 422 { one } else { other };
    assert_eq!(refused.json()["errors"][0]["code"], "too_much");
    ask("rest", 20_00).await.expect(201);
    assert_eq!(ask("more", 1).await.expect(409)["code"], "state_conflict");
    t.advance(3 * DAY).await;
    assert_eq!(t.balances().await["ext.bank.A EUR"], 60_00);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_of_a_schedule_has_its_place_and_changes_nothing() {
    let t = TestApp::new().await;
    let a = t.seller("A", "DE", "EUR", "manual").await;
    let counts = t.row_counts().await;
    for (body, field, code) in [
        (json!({"interval": "daily"}), "time_zone", "missing"),
        (json!({"interval": "hourly", "time_zone": "UTC"}), "interval", "invalid_value"),
        (json!({"interval": "daily", "time_zone": "Europe/Atlantis"}), "time_zone", "invalid_value"),
        (json!({"interval": "daily", "time_zone": "Etc/Unknown"}), "time_zone", "invalid_value"),
        (json!({"interval": "weekly", "time_zone": "UTC"}), "weekdays", "invalid_value"),
        (json!({"interval": "daily", "time_zone": "UTC", "weekdays": ["monday"]}), "weekdays", "invalid_value"),
        (json!({"interval": "weekly", "time_zone": "UTC", "weekdays": ["someday"]}), "weekdays/0", "invalid_value"),
        (json!({"interval": "monthly", "time_zone": "UTC"}), "month_days", "invalid_value"),
        (json!({"interval": "monthly", "time_zone": "UTC", "month_days": [0]}), "month_days", "out_of_range"),
        (json!({"interval": "monthly", "time_zone": "UTC", "month_days": [32]}), "month_days", "out_of_range"),
        (json!({"interval": "daily", "time_zone": "UTC", "delay_days": 91}), "delay_days", "out_of_range"),
        (json!({"interval": "daily", "time_zone": "UTC", "delay_days": -1}), "delay_days", "out_of_range"),
        (json!({"interval": "daily", "time_zone": "UTC", "cut_off": "24:00"}), "cut_off", "invalid_value"),
        (json!({"interval": "daily", "time_zone": "UTC", "cut_off": "9:000"}), "cut_off", "invalid_value"),
        (
            json!({"interval": "daily", "time_zone": "UTC", "minimums": [
                {"amount": 1, "currency": "EUR"}, {"amount": 2, "currency": "EUR"}]}),
            "minimums",
            "invalid_value",
        ),
    ] {
        let problem = schedule(&t, &a, body.clone()).await.expect(422);
        let fault = &problem["errors"][0];
        let place = format!("#/payout_schedule/{field}");
        assert_eq!((&fault["pointer"], &fault["code"]), (&json!(place), &json!(code)), "{body}: {problem:#}");
    }
    assert_eq!(t.row_counts().await, counts);
    let unknown = json!({"id": "slr_01h455vb4pex5vsknk084sn02q"});
    schedule(&t, &unknown, daily()).await.expect(404);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_owes_is_not_paid_out_until_it_was_taken_back_and_nobody_is_while_the_book_is_halted() {
    let t = TestApp::new().await;
    t.top_up("float", 200_00, "EUR").await;
    let a = t.seller("A", "DE", "EUR", "manual").await;
    let payment = t.pay(cart("order-1", "EUR", &[item(&a, 60_00)])).await;
    t.advance(3 * DAY).await;
    t.next_post_fails(FaultKind::RateLimited, "/v1/transfers");
    t.post("/v1/refunds", "ret-1", json!({"payment": payment["id"], "amount": 10_00})).await.expect(201);
    t.settle().await;
    assert_eq!(t.balances().await["conn.available.A EUR"], 60_00, "the reversal waits for another try");
    let ask =
        |reference: &'static str| t.post("/v1/payouts", reference, json!({"reference": reference, "seller": a["id"]}));
    let refused = ask("too-soon").await.expect(409);
    assert_eq!(refused["detail"], "The seller cannot be paid out: owes_platform.");
    t.advance(300).await;
    assert_eq!(t.balances().await["conn.available.A EUR"], 50_00);
    let halted = "insert into halted_books (book_id, run_id) select book_id, gen_random_uuid() from sellers";
    assert_eq!(t.tamper(halted).await, 1);
    assert_eq!(ask("halted").await.expect(503)["code"], "money_movement_halted");
    schedule(&t, &a, daily()).await.expect(200);
    t.advance(2 * DAY).await;
    assert_eq!(t.effects("/v1/payouts").await, 0, "the schedule pays nobody out then, either");
    assert_eq!(t.tamper("delete from halted_books").await, 1);
    t.advance(DAY).await;
    assert_eq!(payouts(&t, &a).await.first().map(|(amount, _)| *amount), Some(50_00));
    assert_eq!(t.effects("/v1/payouts").await, 1);
    t.finish().await;
}
