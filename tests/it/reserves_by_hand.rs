//! Reserves by hand; what is refused, and what is seen when reserves were changed behind the books.

use serde_json::{Value, json};

use crate::disputes::assert_balances;
use crate::reserves::{amounts, kept, kept_5_40, market, only_reserve, read, refund, ten_per_cent};
use crate::support::{cart, item};
use crate::test_app::{DAY, TestApp, text};

async fn by_hand(t: &TestApp, seller: &Value, amount: i64) -> Value {
    let body = json!({
        "seller": seller["id"], "amount": amount, "currency": "EUR", "reason": "orders are late", "release_on": "2026-06-01",
    });
    let made = t.post("/v1/reserves", &format!("rsv-{amount}"), body).await.expect(201);
    t.settle().await;
    made
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reserve_by_hand_is_filled_by_sales_and_given_back_by_hand() {
    let t = TestApp::new().await;
    let a = market(&t).await;
    let made = by_hand(&t, &a, 30_00).await;
    assert_eq!(
        (&made["kind"], &made["reason"], &made["release_at"]),
        (&json!("manual"), &json!("orders are late"), &json!("2026-06-01T00:00:00.000Z"))
    );
    assert_eq!(amounts(&read(&t, &made).await), [0, 0, 0], "there is nothing yet");
    let again = json!({
        "seller": a["id"], "amount": 30_00, "currency": "EUR", "reason": "orders are late", "release_on": "2026-06-01",
    });
    assert_eq!(t.post("/v1/reserves", "rsv-3000", again).await.expect(201), made, "the first answer");
    for (name, held, sent) in [("order-1", 18_00, 0), ("order-2", 30_00, 6_00), ("order-3", 30_00, 24_00)] {
        t.pay(cart(name, "EUR", &[item(&a, 20_00)])).await;
        t.advance(4 * DAY).await;
        assert_eq!(amounts(&read(&t, &made).await), [held, 0, 0], "{name}");
        assert_eq!(t.balances().await.get("owner.A EUR").copied().unwrap_or(0), sent, "{name}");
    }
    let payments = t.list("/v1/payments").await;
    let second = payments.iter().find(|payment| payment["reference"] == "order-2").expect("it was made");
    refund(&t, second, "ret-1", 20_00).await;
    assert_eq!(amounts(&read(&t, &made).await), [18_00, 12_00, 0], "used by the refund of what filled it");
    assert_eq!(t.balances().await["owner.A EUR"], 18_00, "and only the rest was taken back");

    let path = format!("/v1/reserves/{}/release", text(&made["id"]));
    let why = json!({"reason": "the orders have arrived"});
    let releasing = t.post(&path, "free-1", why.clone()).await.expect(200);
    assert_eq!(releasing["status"], "releasing");
    t.settle().await;
    assert_eq!(t.post(&path, "free-1", why.clone()).await.expect(200), releasing, "the first answer");
    let over = t.post(&path, "free-2", why).await.expect(409);
    assert_eq!(over["detail"], "A reserve that is released cannot be released.");
    assert_eq!(amounts(&read(&t, &made).await), [0, 12_00, 18_00]);
    assert_eq!(t.balances().await["owner.A EUR"], 36_00, "two of the three sales");
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reserve_by_hand_takes_what_was_not_sent_yet_and_ends_on_its_day() {
    let t = TestApp::new().await;
    t.control.set_fees("eur", 0, 0).await.expect("free");
    t.default_fee(1_000).await;
    let body = json!({"reference": "A", "email": "a@example.com", "country": "DE", "default_currency": "EUR"});
    let a = t.post("/v1/sellers", "A", body).await.expect(201);
    t.settle().await;
    t.pay(cart("order-1", "EUR", &[item(&a, 20_00)])).await;
    t.advance(4 * DAY).await;
    assert_eq!(t.balances().await["sel.A.available EUR"], 18_00, "its account cannot receive yet");
    let made = by_hand(&t, &a, 10_00).await;
    assert_eq!(amounts(&read(&t, &made).await), [10_00, 0, 0]);
    let balances = t.balances().await;
    assert_eq!((balances["sel.A.available EUR"], balances["sel.A.reserve EUR"]), (8_00, 10_00));
    let account = text(&t.get(&format!("/v1/sellers/{}", text(&a["id"]))).await["provider"]["id"]);
    t.control.complete_onboarding(&account).await.expect("onboarded");
    t.advance(2 * DAY).await;
    assert_eq!(t.balances().await["owner.A EUR"], 8_00, "what is kept back is not sent");
    t.advance(90 * DAY).await;
    assert_eq!(read(&t, &made).await["status"], "released");
    assert_eq!(t.balances().await["owner.A EUR"], 18_00);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_valid_is_refused_where_it_stands_and_changes_nothing() {
    let t = TestApp::new().await;
    let a = market(&t).await;
    let counts = t.row_counts().await;
    for (field, value, pointer) in [
        ("amount", json!(0), "#/amount"),
        ("amount", json!(1.5), "#/amount"),
        ("currency", json!("USD"), "#/currency"),
        ("seller", json!("slr_01h455vb4pex5vsknk084sn02q"), "#/seller"),
        ("reason", json!(" "), "#/reason"),
        ("release_on", json!("2026-03-02"), "#/release_on"),
        ("release_on", json!("2026-02-30"), "#/release_on"),
        ("release_on", json!("soon"), "#/release_on"),
        ("until", json!("2026-06-01"), "#/until"),
    ] {
        let mut body = json!({
            "seller": a["id"], "amount": 5_00, "currency": "EUR", "reason": "late", "release_on": "2026-06-01",
        });
        body[field] = value;
        let problem = t.post("/v1/reserves", "bad", body).await.expect(422);
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem:#}");
    }
    for (policy, pointer) in [
        (json!({"rolling": {"percent_bps": 0, "hold_days": 90}}), "#/rolling/percent_bps"),
        (json!({"rolling": {"percent_bps": 10_001, "hold_days": 90}}), "#/rolling/percent_bps"),
        (json!({"rolling": {"percent_bps": 1_000, "hold_days": 0}}), "#/rolling/hold_days"),
        (json!({"rolling": {"percent_bps": 1_000}}), "#/rolling/hold_days"),
        (json!({"fixed": [{"amount": 0, "currency": "EUR"}]}), "#/fixed/0/amount"),
        (json!({"fixed": [{"amount": 1, "currency": "EUR"}, {"amount": 2, "currency": "EUR"}]}), "#/fixed/1/currency"),
    ] {
        let problem = t.send("PUT", "/v1/reserve_policy", None, Some(policy)).await.expect(422);
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem:#}");
    }
    let nobody = "/v1/sellers/slr_01h455vb4pex5vsknk084sn02q/reserve_policy";
    t.send("PUT", nobody, None, Some(ten_per_cent())).await.expect(404);
    t.send("GET", "/v1/reserves?kind=eternal", None, None).await.expect(422);
    assert_eq!(t.row_counts().await, counts, "nothing was stored");
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_halted_book_gives_nothing_back() {
    let t = TestApp::new().await;
    let (a, _) = kept_5_40(&t).await;
    let halted = "insert into halted_books (book_id, run_id) select book_id, gen_random_uuid() from sellers";
    assert_eq!(t.tamper(halted).await, 1);
    let path = format!("/v1/reserves/{}/release", text(&only_reserve(&t).await["id"]));
    assert_eq!(t.post(&path, "free-1", json!({"reason": "x"})).await.expect(503)["code"], "money_movement_halted");
    let body = json!({"seller": a["id"], "amount": 5_00, "currency": "EUR", "reason": "x", "release_on": "2026-06-01"});
    assert_eq!(t.post("/v1/reserves", "rsv-1", body).await.expect(503)["code"], "money_movement_halted");
    t.move_clocks(100 * DAY).await;
    t.settle().await;
    assert_balances(&t, &kept()).await;
    assert_eq!(t.tamper("delete from halted_books").await, 1);
    t.advance(DAY).await;
    assert_eq!(t.balances().await["owner.A EUR"], 54_00);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reserve_that_was_changed_behind_the_books_is_seen() {
    let t = TestApp::new().await;
    kept_5_40(&t).await;
    for (change, undo, invariant) in [
        (
            "reserves set taken_amount = taken_amount - 1",
            "reserves set taken_amount = taken_amount + 1",
            "what is kept back of sellers is what their reserves say",
        ),
        (
            "reserve_moves set amount = amount - 1",
            "reserve_moves set amount = amount + 1",
            "a reserve holds what was put in and not taken out",
        ),
    ] {
        assert_eq!(t.tamper(&format!("update {change}")).await, 1);
        let findings = t.findings().await;
        assert!(findings.iter().any(|finding| finding.starts_with(invariant)), "{findings:#?}");
        t.tamper(&format!("update {undo}")).await;
    }
    t.tamper("update reserve_moves set amount = amount - 1").await;
    let compared = partita::rebuild::check(&t.app, t.book.id).await.expect("compared");
    assert!(!compared.agrees(), "the ledger does not follow from the facts");
    t.tamper("update reserve_moves set amount = amount + 1").await;
    let admin = t.admin().await;
    for (sql, constraint) in [
        ("update reserves set drawn_amount = taken_amount + 1", "reserves_amounts_within"),
        ("update reserves set taken_amount = amount + 1", "reserves_taken_within"),
        ("update reserves set status = 'released'", "reserves_released_hold_nothing"),
        ("delete from reserves", "append-only"),
        ("update reserve_moves set amount = 1", "append-only"),
        ("update reserve_policies set hold_days = 1", "append-only"),
    ] {
        let refused = sqlx::query(sql).execute(&admin).await.expect_err("refused");
        assert!(refused.to_string().contains(constraint), "{sql}: {refused}");
    }
    admin.close().await;
    t.finish().await;
}
