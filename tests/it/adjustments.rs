//! Adjustments by hand: who may, what is booked, how the money reaches the seller, and how it is undone.

use partita_simulator::FaultKind;
use serde_json::{Value, json};

use crate::disputes::assert_balances;
use crate::doubt::{decide, second_key};
use crate::support::{cart, item};
use crate::test_app::{Answer, DAY, TestApp, text};

/// What is asked of `POST /v1/adjustments`.
pub(crate) fn adjustment(seller: &Value, reference: &str, direction: &str, amount: i64, reason: &str) -> Value {
    json!({
        "reference": reference, "seller": seller["id"], "direction": direction, "amount": amount, "currency": "EUR",
        "reason": reason, "note": "a parcel was lost",
    })
}

pub(crate) async fn adjust(t: &TestApp, body: Value) -> Answer {
    let answer = t.post("/v1/adjustments", &text(&body["reference"]), body).await;
    t.settle().await;
    answer
}

async fn reverse(t: &TestApp, adjustment: &Value, reference: &str) -> Answer {
    let path = format!("/v1/adjustments/{}/reverse", text(&adjustment["id"]));
    let answer = t.post(&path, reference, json!({"reference": reference, "note": "it was found"})).await;
    t.settle().await;
    answer
}

async fn read(t: &TestApp, adjustment: &Value) -> Value {
    t.get(&format!("/v1/adjustments/{}", text(&adjustment["id"]))).await
}

/// What one key may adjust alone, as two people declared it.
pub(crate) async fn allow_alone(t: &TestApp, currency: &str, amount: i64) {
    let body = json!({"currency": currency, "alone_up_to": amount, "reason": "the support team's allowance"});
    let approval = t.send("POST", "/v1/adjustment_limits", None, Some(body)).await.expect(201);
    assert_eq!((&approval["kind"], &approval["proposal"]["alone_up_to"]), (&json!("adjustment_limit"), &json!(amount)));
    decide(t, &second_key(t).await, &approval, "approve").await.expect(200);
}

/// The types of the events of a resource, oldest first.
async fn told(t: &TestApp, resource: &str) -> Vec<String> {
    let mut kinds: Vec<String> = t.list("/v1/events").await.iter().map(|event| text(&event["type"])).collect();
    kinds.retain(|kind| kind.starts_with(resource));
    kinds.reverse();
    kinds
}

#[tokio::test(flavor = "multi_thread")]
async fn five_of_goodwill_reach_the_seller_from_the_platforms_balance_and_are_undone_by_another_one() {
    let t = TestApp::new().await;
    let b = t.seller("B", "DE", "EUR", "manual").await;
    t.top_up("float", 100_00, "EUR").await;
    allow_alone(&t, "EUR", 5_00).await;
    let given = adjust(&t, adjustment(&b, "case-77", "credit", 5_00, "goodwill")).await.expect(201);
    assert_eq!((&given["status"], &given["approval"]), (&json!("booked"), &Value::Null));
    let paid = [
        ("bank", -100_00),
        ("prov.available", 95_00),
        ("exp.goodwill", 5_00),
        ("conn.available.B", 5_00),
        ("owner.B", 5_00),
    ];
    assert_balances(&t, &paid).await;
    let sent = t.list("/v1/transfers").await;
    assert_eq!((&sent[0]["payment"], &sent[0]["adjustment"]), (&Value::Null, &given["id"]), "of no payment");
    assert_eq!(t.reconcile().await.breaks, 0);
    assert_eq!(t.get("/v1/balances").await["balances"][0]["goodwill"], 5_00);

    t.advance(DAY).await;
    let undone = reverse(&t, &given, "case-77-undone").await.expect(201);
    assert_eq!((&undone["direction"], &undone["reverses"]), (&json!("debit"), &given["id"]));
    assert_balances(&t, &[("bank", -100_00), ("prov.available", 100_00)]).await;
    let back = t.get(&format!("/v1/transfers/{}/reversals", text(&sent[0]["id"]))).await["data"][0].clone();
    assert_eq!((&back["amount"], &back["adjustment"]), (&json!(5_00), &given["id"]));

    let counts = t.row_counts().await;
    for original in [&given, &undone] {
        assert_eq!(reverse(&t, original, "again").await.expect(409)["code"], "state_conflict");
    }
    assert_eq!(t.row_counts().await, counts, "nothing was stored");
    assert_eq!(told(&t, "adjustment").await, ["adjustment.booked", "adjustment.booked"]);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn above_the_limit_nothing_is_booked_until_a_second_person_agrees() {
    let t = TestApp::new().await;
    let b = t.seller("B", "DE", "EUR", "manual").await;
    t.top_up("float", 100_00, "EUR").await;
    let before = [("bank", -100_00), ("prov.available", 100_00)];
    let waits = adjust(&t, adjustment(&b, "case-1", "credit", 5_00, "goodwill")).await.expect(202);
    assert_eq!(waits["status"], "pending", "nobody may anything alone where nothing was declared");
    assert_balances(&t, &before).await;
    let approval = t.get(&format!("/v1/approvals/{}", text(&waits["approval"]))).await;
    assert_eq!((&approval["kind"], &approval["target"]["id"]), (&json!("adjustment"), &waits["id"]));
    let own = decide(&t, &t.key, &approval, "approve").await;
    assert_eq!(own.expect(409)["code"], "approval_of_own_proposal");
    assert_eq!(reverse(&t, &waits, "early").await.expect(409)["code"], "state_conflict", "there is nothing to undo");
    assert_balances(&t, &before).await;

    let checker = second_key(&t).await;
    let halted = "insert into halted_books (book_id, run_id) select book_id, gen_random_uuid() from sellers";
    assert_eq!(t.tamper(halted).await, 1);
    assert_eq!(decide(&t, &checker, &approval, "approve").await.expect(503)["code"], "money_movement_halted");
    assert_balances(&t, &before).await;
    assert_eq!(t.tamper("delete from halted_books").await, 1);
    decide(&t, &checker, &approval, "approve").await.expect(200);
    t.settle().await;
    let booked = read(&t, &waits).await;
    assert_eq!(booked["status"], "booked");
    assert!(booked["approved_by"] != booked["created_by"] && booked["approved_by"].is_string(), "{booked:#}");
    let paid = [
        ("bank", -100_00),
        ("prov.available", 95_00),
        ("exp.goodwill", 5_00),
        ("conn.available.B", 5_00),
        ("owner.B", 5_00),
    ];
    assert_balances(&t, &paid).await;
    assert_eq!(decide(&t, &checker, &approval, "reject").await.expect(409)["code"], "state_conflict");

    let rejected = adjust(&t, adjustment(&b, "case-2", "credit", 7_00, "other")).await.expect(202);
    let approval = t.get(&format!("/v1/approvals/{}", text(&rejected["approval"]))).await;
    decide(&t, &checker, &approval, "reject").await.expect(200);
    assert_eq!(read(&t, &rejected).await["status"], "rejected");
    let expired = adjust(&t, adjustment(&b, "case-3", "credit", 9_00, "other")).await.expect(202);
    t.advance(DAY).await;
    assert_eq!(read(&t, &expired).await["status"], "expired");
    let approval = t.get(&format!("/v1/approvals/{}", text(&expired["approval"]))).await;
    assert_eq!(approval["state"], "expired");
    assert_eq!(decide(&t, &checker, &approval, "approve").await.expect(409)["code"], "state_conflict");
    assert_balances(&t, &paid).await;
    let mut outcomes = told(&t, "adjustment").await;
    outcomes.retain(|kind| kind != "adjustment.created");
    assert_eq!(outcomes, ["adjustment.booked", "adjustment.rejected", "adjustment.expired"]);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_small_ones_are_no_way_around_the_limit_of_the_day() {
    let t = TestApp::new().await;
    let b = t.seller("B", "DE", "EUR", "manual").await;
    t.top_up("float", 100_00, "EUR").await;
    allow_alone(&t, "EUR", 5_00).await;
    let one = |name: &str, direction: &str| adjustment(&b, name, direction, 3_00, "goodwill");
    let (first, second) = tokio::join!(adjust(&t, one("a", "credit")), adjust(&t, one("b", "debit")));
    let mut statuses = [first.status, second.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 202], "two at once do not both find room");
    assert_eq!(adjust(&t, one("c", "credit")).await.status, 202);
    let two = adjustment(&b, "d", "credit", 2_00, "goodwill");
    assert_eq!(adjust(&t, two).await.status, 201, "up to the limit itself");
    t.advance(DAY).await;
    assert_eq!(adjust(&t, one("e", "credit")).await.status, 201, "another day");
    let counted = t.get("/v1/adjustment_limits").await;
    assert_eq!((&counted["data"][0]["alone_up_to"], &counted["data"][0]["version"]), (&json!(5_00), &json!(1)));
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_penalty_is_kept_from_the_next_sale() {
    let t = TestApp::new().await;
    let a = t.seller("A", "DE", "EUR", "manual").await;
    t.control.set_fees("eur", 0, 0).await.expect("free");
    allow_alone(&t, "EUR", 10_00).await;
    adjust(&t, adjustment(&a, "late-parcels", "debit", 7_50, "penalty")).await.expect(201);
    assert_balances(&t, &[("sel.A.available", -7_50), ("rev.fees", 7_50)]).await;
    t.pay(cart("order-1", "EUR", &[item(&a, 54_00)])).await;
    t.advance(4 * DAY).await;
    let balances = t.balances().await;
    assert_eq!((balances["conn.available.A EUR"], balances["rev.fees EUR"]), (46_50, 7_50), "{balances:?}");
    assert_eq!(balances["prov.available EUR"], 7_50, "what the penalty left with the platform");
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credit_that_the_platform_cannot_pay_yet_waits_and_one_in_doubt_is_sent_once() {
    let t = TestApp::new().await;
    let b = t.seller("B", "DE", "EUR", "manual").await;
    allow_alone(&t, "EUR", 50_00).await;
    adjust(&t, adjustment(&b, "early", "credit", 5_00, "goodwill")).await.expect(201);
    assert_balances(&t, &[("exp.goodwill", 5_00), ("sel.B.available", 5_00)]).await;
    assert_eq!(t.list("/v1/transfers").await[0]["failure"]["code"], "balance_insufficient");
    t.top_up("float", 100_00, "EUR").await;
    t.advance(2 * 3_600).await;
    assert_eq!(t.balances().await["conn.available.B EUR"], 5_00);

    t.next_post_fails(FaultKind::AnswerLost, "/v1/transfers");
    adjust(&t, adjustment(&b, "doubtful", "credit", 8_00, "goodwill")).await.expect(201);
    t.advance(3_600).await;
    assert_eq!(t.balances().await["conn.available.B EUR"], 13_00);
    t.assert_no_double_effect().await;
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seller_who_cannot_receive_yet_gets_it_when_it_can() {
    let t = TestApp::new().await;
    t.top_up("float", 100_00, "EUR").await;
    allow_alone(&t, "EUR", 50_00).await;
    let body = json!({"reference": "B", "email": "b@example.com", "country": "DE", "default_currency": "EUR", "payout_interval": "manual"});
    let b = t.post("/v1/sellers", "B", body).await.expect(201);
    adjust(&t, adjustment(&b, "welcome", "credit", 5_00, "goodwill")).await.expect(201);
    assert_eq!(t.balances().await["sel.B.available EUR"], 5_00);
    t.control.complete_onboarding(&text(&b["provider"]["id"])).await.expect("onboarded");
    t.settle().await;
    assert_eq!(t.balances().await["conn.available.B EUR"], 5_00);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_named_and_changes_nothing_and_a_repetition_is_answered_as_before() {
    let t = TestApp::new().await;
    let b = t.seller("B", "DE", "EUR", "manual").await;
    let good = adjustment(&b, "case-1", "credit", 5_00, "goodwill");
    let with = |field: &str, value: Value| {
        let mut body = good.clone();
        body[field] = value;
        body
    };
    let counts = t.row_counts().await;
    for (body, pointer, code) in [
        (with("seller", json!("slr_01jd9z8p3hfh7s4k2n0q5r6t7v")), "#/seller", "unknown_reference"),
        (with("currency", json!("USD")), "#/currency", "currency_mismatch"),
        (with("amount", json!(0)), "#/amount", "out_of_range"),
        (with("amount", json!(-5)), "#/amount", "out_of_range"),
        (with("direction", json!("sideways")), "#/direction", "invalid_value"),
        (with("reason", json!("because")), "#/reason", "invalid_value"),
        (with("note", json!(" ")), "#/note", "invalid_value"),
        (with("color", json!("red")), "#/color", "unknown_field"),
    ] {
        let problem = t.post("/v1/adjustments", "bad", body.clone()).await.expect(422);
        let error = &problem["errors"][0];
        assert_eq!((&error["pointer"], &error["code"]), (&json!(pointer), &json!(code)), "{body}");
    }
    let keyless = t.send("POST", "/v1/adjustments", None, Some(good.clone())).await;
    assert_eq!(keyless.expect(400)["code"], "idempotency_key_missing");
    assert_eq!(t.row_counts().await, counts, "nothing was stored");

    let first = t.post("/v1/adjustments", "key-1", good.clone()).await;
    let again = t.post("/v1/adjustments", "key-1", good.clone()).await;
    assert_eq!((first.status, &first.bytes), (again.status, &again.bytes));
    assert_eq!(again.headers["idempotency-replayed"], "true");
    let other = t.post("/v1/adjustments", "key-1", with("amount", json!(6_00))).await;
    assert_eq!(other.expect(422)["code"], "idempotency_key_reused");
    assert_eq!(t.post("/v1/adjustments", "key-2", good).await.expect(409)["code"], "reference_taken");
    assert_eq!(t.list("/v1/adjustments?status=pending").await.len(), 1);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_adjustment_is_seen_and_the_database_keeps_two_people_apart() {
    let t = TestApp::new().await;
    let b = t.seller("B", "DE", "EUR", "manual").await;
    t.top_up("float", 100_00, "EUR").await;
    allow_alone(&t, "EUR", 5_00).await;
    adjust(&t, adjustment(&b, "case-1", "credit", 5_00, "goodwill")).await.expect(201);
    for (change, undo, invariant) in [
        ("amount = 4", "amount = 500", "transfers less reversals are within the adjustment"),
        ("status = 'rejected'", "status = 'booked'", "an adjustment is booked when its status says so"),
    ] {
        assert_eq!(t.tamper(&format!("update adjustments set {change}")).await, 1);
        let findings = t.findings().await;
        assert!(findings.iter().any(|finding| finding.starts_with(invariant)), "{findings:#?}");
        t.tamper(&format!("update adjustments set {undo}")).await;
    }
    let owner = sqlx::PgPool::connect(&t.database.url(partita_postgres::Role::Admin)).await.expect("connected");
    for (sql, constraint) in [
        ("update adjustments set amount = 1", "adjustments_ended_once"),
        ("delete from adjustments", "append-only"),
        ("update adjustment_limits set alone_up_to = 1", "append-only"),
        (
            "insert into adjustments select book_id, gen_random_uuid(), key + 1, 'forged', seller_id, direction, amount, currency,
                reason, note, 'booked', null, metadata, created_by, created_by, 1, created_at, updated_at from adjustments",
            "adjustments_maker_is_not_checker",
        ),
    ] {
        let refused = sqlx::query(sql).execute(&owner).await.expect_err("refused");
        assert!(refused.to_string().contains(constraint) || format!("{refused:?}").contains(constraint), "{sql}: {refused}");
    }
    owner.close().await;
    t.finish().await;
}
