//! Reserves: taken by rule and by hand, used first for their own payments, given back on their day.

use partita_simulator::NewDispute;
use serde_json::{Value, json};

use crate::disputes::assert_balances;
use crate::second_person::let_one_decide;
use crate::support::{cart, item};
use crate::test_app::{DAY, TestApp, text};

/// What is kept back of everybody from now on.
pub(crate) async fn keep_back(t: &TestApp, policy: Value) -> Value {
    t.send("PUT", "/v1/reserve_policy", None, Some(policy)).await.expect(200)
}

pub(crate) fn ten_per_cent() -> Value {
    json!({"rolling": {"percent_bps": 1_000, "hold_days": 90}})
}

pub(crate) async fn only_reserve(t: &TestApp) -> Value {
    let mut all = t.list("/v1/reserves").await;
    assert_eq!(all.len(), 1, "{all:#?}");
    all.remove(0)
}

pub(crate) async fn read(t: &TestApp, reserve: &Value) -> Value {
    t.get(&format!("/v1/reserves/{}", text(&reserve["id"]))).await
}

/// What went in and out, oldest first.
async fn steps(t: &TestApp, reserve: &Value) -> Vec<(String, i64)> {
    let shown = t.get(&format!("/v1/reserves/{}/steps", text(&reserve["id"]))).await;
    let step = |step: &Value| (text(&step["kind"]), step["amount"].as_i64().expect("an amount"));
    shown["data"].as_array().expect("a list").iter().map(step).collect()
}

fn step(kind: &str, amount: i64) -> (String, i64) {
    (kind.to_owned(), amount)
}

/// Held, drawn and released.
pub(crate) fn amounts(reserve: &Value) -> [i64; 3] {
    ["held", "drawn", "released"].map(|name| reserve[name].as_i64().expect("an amount"))
}

/// The types of the events of reserves, oldest first.
async fn told(t: &TestApp) -> Vec<String> {
    let mut kinds: Vec<String> = t.list("/v1/events").await.iter().map(|event| text(&event["type"])).collect();
    kinds.retain(|kind| kind.starts_with("reserve."));
    kinds.reverse();
    kinds
}

/// A platform with 100.00 of its own at the provider, a commission of 10 % and no fees; its seller A.
pub(crate) async fn market(t: &TestApp) -> Value {
    t.control.set_fees("eur", 0, 0).await.expect("free");
    t.default_fee(1_000).await;
    t.top_up("float", 100_00, "EUR").await;
    t.seller("A", "DE", "EUR", "manual").await
}

/// A has sold for 60.00, and of its share of 54.00 a tenth is kept back.
pub(crate) async fn kept_5_40(t: &TestApp) -> (Value, Value) {
    let a = market(t).await;
    keep_back(t, ten_per_cent()).await;
    let payment = t.pay(cart("order-1", "EUR", &[item(&a, 60_00)])).await;
    t.advance(4 * DAY).await;
    (a, payment)
}

pub(crate) fn kept() -> Vec<(&'static str, i64)> {
    vec![
        ("bank", -100_00),
        ("prov.available", 111_40),
        ("sel.A.reserve", 5_40),
        ("rev.commission", 6_00),
        ("conn.available.A", 48_60),
        ("owner.A", 48_60),
    ]
}

pub(crate) async fn refund(t: &TestApp, payment: &Value, key: &str, net: i64) -> Value {
    let body = json!({"payment": payment["id"], "lines": [{"line": 0, "amount": net}]});
    let refund = t.post("/v1/refunds", key, body).await.expect(201);
    t.settle().await;
    refund
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenth_of_a_share_is_kept_back_for_ninety_days_and_then_sent() {
    let t = TestApp::new().await;
    let (a, payment) = kept_5_40(&t).await;
    assert_balances(&t, &kept()).await;
    let reserve = only_reserve(&t).await;
    assert_eq!((&reserve["kind"], &reserve["status"]), (&json!("rolling"), &json!("open")));
    assert_eq!((&reserve["payment"], &reserve["seller"]), (&payment["id"], &a["id"]));
    assert_eq!((&reserve["amount"], amounts(&reserve)), (&json!(5_40), [5_40, 0, 0]));
    let balance = t.get(&format!("/v1/sellers/{}/balance", text(&a["id"]))).await;
    let shown = &balance["balances"][0];
    assert_eq!((&shown["reserve"], &shown["available"], &shown["held"]), (&json!(5_40), &json!(0), &json!(0)));
    let why = &balance["held_because"][0];
    assert_eq!((&why["why"], &why["amount"], &why["reserves"]), (&json!("rolling"), &json!(5_40), &json!(1)));
    let until = text(&reserve["release_at"]);
    assert_eq!(text(&why["release_on"]), until[..10]);
    let book = t.get(&format!("/v1/payments/{}/postings", text(&payment["id"]))).await;
    assert!(book.to_string().contains("reserve_taken"), "the payment shows it: {book:#}");

    t.advance(85 * DAY).await;
    assert_balances(&t, &kept()).await;
    t.advance(6 * DAY).await;
    let sent = [
        ("bank", -100_00),
        ("prov.available", 106_00),
        ("rev.commission", 6_00),
        ("conn.available.A", 54_00),
        ("owner.A", 54_00),
    ];
    assert_balances(&t, &sent).await;
    let reserve = read(&t, &reserve).await;
    assert_eq!((&reserve["status"], amounts(&reserve)), (&json!("released"), [0, 0, 5_40]));
    assert_eq!(steps(&t, &reserve).await, [step("take", 5_40), step("release", 5_40)]);
    let whole = ["reserve.created", "reserve.taken", "reserve.releasing", "reserve.returned", "reserve.released"];
    assert_eq!(told(&t).await, whole);
    assert_eq!(t.count("select count(*) from due where kind in ('reserve', 'rebalance')").await, 0);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_uses_what_was_kept_back_of_its_payment_before_anything_else() {
    let t = TestApp::new().await;
    let (_, payment) = kept_5_40(&t).await;
    // 3.00 and its commission: A loses 2.70, all of it from the reserve.
    refund(&t, &payment, "ret-1", 3_00).await;
    let small = [
        ("bank", -100_00),
        ("prov.available", 108_40),
        ("sel.A.reserve", 2_70),
        ("rev.commission", 5_70),
        ("conn.available.A", 48_60),
        ("owner.A", 48_60),
    ];
    assert_balances(&t, &small).await;
    assert!(t.list("/v1/transfers").await.iter().all(|transfer| transfer["reversed_amount"] == 0));
    // 25.00 more: A loses 22.50, 2.70 of it from the reserve and 19.80 by a reversal.
    refund(&t, &payment, "ret-2", 25_00).await;
    let large = [
        ("bank", -100_00),
        ("prov.available", 103_20),
        ("rev.commission", 3_20),
        ("conn.available.A", 28_80),
        ("owner.A", 28_80),
    ];
    assert_balances(&t, &large).await;
    let reserve = only_reserve(&t).await;
    assert_eq!((&reserve["status"], amounts(&reserve)), (&json!("open"), [0, 5_40, 0]));
    assert_eq!(steps(&t, &reserve).await, [step("take", 5_40), step("draw", 2_70), step("draw", 2_70)]);
    t.advance(91 * DAY).await;
    assert_eq!(read(&t, &reserve).await["status"], "released");
    assert_balances(&t, &large).await;
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_that_comes_back_and_is_given_up_fills_the_reserve_again() {
    let t = TestApp::new().await;
    let_one_decide(&t, "EUR", 100_00).await;
    let (_, payment) = kept_5_40(&t).await;
    let given = refund(&t, &payment, "ret-1", 25_00).await;
    let reserve = only_reserve(&t).await;
    assert_eq!(amounts(&reserve), [0, 5_40, 0]);
    t.control.fail_refund(&text(&given["provider"]["id"]), "lost_or_stolen_card").await.expect("it has succeeded");
    t.settle().await;
    let body = json!({"outcome": "reinstated", "reason": "the buyer took a voucher"});
    t.post(&format!("/v1/refunds/{}/resolution", text(&given["id"])), "res-1", body).await.expect(200);
    t.settle().await;
    assert_balances(&t, &kept()).await;
    assert_eq!(steps(&t, &reserve).await, [step("take", 5_40), step("draw", 5_40), step("restore", 5_40)]);
    assert_eq!(amounts(&read(&t, &reserve).await), [5_40, 0, 0]);
    t.advance(91 * DAY).await;
    assert_eq!(t.balances().await["owner.A EUR"], 54_00);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_that_the_provider_refuses_leaves_the_reserve_as_it_was() {
    let t = TestApp::new().await;
    let (_, payment) = kept_5_40(&t).await;
    // Somebody was faster, in the provider's dashboard.
    t.at_provider("POST", "/v1/refunds", &[("payment_intent", &text(&payment["provider"]["id"]))]).await;
    let body = json!({"payment": payment["id"], "amount": 40_00});
    t.post("/v1/refunds", "ret-1", body).await.expect(422);
    assert_eq!(amounts(&only_reserve(&t).await), [5_40, 0, 0]);
    assert_balances(&t, &kept()).await;
    assert_eq!(t.findings().await, Vec::<String>::new());
    // The other refund is nobody's: a break of the reconciliation, not a test of this file.
    t.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_after_the_reserve_was_released_or_its_day_came_gives_nothing_back_to_it() {
    let t = TestApp::new().await;
    let_one_decide(&t, "EUR", 100_00).await;
    let (_, payment) = kept_5_40(&t).await;
    let given = refund(&t, &payment, "ret-1", 25_00).await;
    t.advance(91 * DAY).await;
    assert_eq!(only_reserve(&t).await["status"], "released");
    t.control.fail_refund(&text(&given["provider"]["id"]), "lost_or_stolen_card").await.expect("it has succeeded");
    t.settle().await;
    let body = json!({"outcome": "reinstated", "reason": "the buyer took a voucher"});
    t.post(&format!("/v1/refunds/{}/resolution", text(&given["id"])), "res-1", body).await.expect(200);
    t.settle().await;
    assert_eq!(t.balances().await["owner.A EUR"], 54_00, "all of it is sent");
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dispute_uses_the_reserve_first_and_a_win_fills_it_again() {
    let t = TestApp::new().await;
    let (a, payment) = kept_5_40(&t).await;
    let at_provider = NewDispute::of(&text(&payment["provider"]["id"]));
    let dispute = text(&t.control.open_dispute(at_provider).await.expect("disputed")["id"]);
    t.settle().await;
    let disputed = [
        ("bank", -100_00),
        ("prov.available", 85_00),
        ("dsp.receivable", 60_00),
        ("exp.dispute_fee", 15_00),
        ("sel.A.held", 54_00),
        ("rev.commission", 6_00),
    ];
    assert_balances(&t, &disputed).await;
    let reserve = only_reserve(&t).await;
    assert_eq!(amounts(&reserve), [0, 5_40, 0]);
    let balance = t.get(&format!("/v1/sellers/{}/balance", text(&a["id"]))).await;
    let why = &balance["held_because"][0];
    assert_eq!((&why["why"], &why["amount"]), (&json!("dispute"), &json!(54_00)), "{balance:#}");
    assert_eq!(why["dispute"], t.list("/v1/disputes").await[0]["id"]);

    t.control.decide_dispute(&dispute, "won").await.expect("decided");
    t.settle().await;
    let balances = t.balances().await;
    assert_eq!((balances["sel.A.reserve EUR"], balances["owner.A EUR"]), (5_40, 48_60), "{balances:?}");
    assert_eq!(steps(&t, &reserve).await, [step("take", 5_40), step("draw", 5_40), step("restore", 5_40)]);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dispute_without_a_hold_uses_the_reserve_when_it_is_lost() {
    let t = TestApp::new().await;
    let policy = json!({"liability": "sellers", "hold": "nothing", "tax_relief": false, "fee": "platform"});
    t.send("PUT", "/v1/dispute_policy", None, Some(policy)).await.expect(200);
    let (_, payment) = kept_5_40(&t).await;
    let at_provider = NewDispute::of(&text(&payment["provider"]["id"]));
    let dispute = text(&t.control.open_dispute(at_provider).await.expect("disputed")["id"]);
    t.settle().await;
    assert_eq!(amounts(&only_reserve(&t).await), [5_40, 0, 0], "nothing is held");
    t.control.decide_dispute(&dispute, "lost").await.expect("decided");
    t.settle().await;
    assert_eq!(amounts(&only_reserve(&t).await), [0, 5_40, 0]);
    assert_balances(&t, &[("bank", -100_00), ("prov.available", 85_00), ("exp.dispute_fee", 15_00)]).await;
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_that_fails_late_uses_its_reserve_first() {
    let t = TestApp::new().await;
    let (_, payment) = kept_5_40(&t).await;
    t.control.fail_payment(&text(&payment["provider"]["id"]), "insufficient_funds").await.expect("it has succeeded");
    t.settle().await;
    assert_balances(&t, &[("bank", -100_00), ("prov.available", 100_00)]).await;
    assert_eq!(amounts(&only_reserve(&t).await), [0, 5_40, 0]);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_back_to_a_fixed_reserve_that_is_full_again_is_sent() {
    let t = TestApp::new().await;
    let_one_decide(&t, "EUR", 100_00).await;
    let a = market(&t).await;
    keep_back(&t, json!({"fixed": [{"amount": 10_00, "currency": "EUR"}]})).await;
    let first = t.pay(cart("order-1", "EUR", &[item(&a, 60_00)])).await;
    t.advance(4 * DAY).await;
    let given = refund(&t, &first, "ret-1", 25_00).await;
    t.pay(cart("order-2", "EUR", &[item(&a, 60_00)])).await;
    t.advance(4 * DAY).await;
    assert_eq!(amounts(&only_reserve(&t).await), [10_00, 10_00, 0], "used by the refund, filled by the next sale");
    t.control.fail_refund(&text(&given["provider"]["id"]), "lost_or_stolen_card").await.expect("it has succeeded");
    t.settle().await;
    let body = json!({"outcome": "reinstated", "reason": "the buyer took a voucher"});
    t.post(&format!("/v1/refunds/{}/resolution", text(&given["id"])), "res-1", body).await.expect(200);
    t.settle().await;
    assert_eq!(amounts(&only_reserve(&t).await), [10_00, 10_00, 0], "no more than its rule says");
    assert_eq!(t.balances().await["owner.A EUR"], 98_00, "54.00 twice, less what is kept back");
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fixed_reserve_is_filled_used_filled_again_and_follows_its_rule() {
    let t = TestApp::new().await;
    let a = market(&t).await;
    let ten = json!({"fixed": [{"amount": 10_00, "currency": "EUR"}]});
    keep_back(&t, ten).await;
    let first = t.pay(cart("order-1", "EUR", &[item(&a, 60_00)])).await;
    t.advance(4 * DAY).await;
    let reserve = only_reserve(&t).await;
    assert_eq!(
        (&reserve["kind"], &reserve["release_at"], amounts(&reserve)),
        (&json!("fixed"), &Value::Null, [10_00, 0, 0])
    );
    assert_eq!(t.balances().await["owner.A EUR"], 44_00);
    refund(&t, &first, "ret-1", 25_00).await;
    assert_eq!(amounts(&read(&t, &reserve).await), [0, 10_00, 0]);
    assert_eq!(t.balances().await["owner.A EUR"], 31_50, "12.50 were taken back");
    t.pay(cart("order-2", "EUR", &[item(&a, 60_00)])).await;
    t.advance(4 * DAY).await;
    assert_eq!(amounts(&read(&t, &reserve).await), [10_00, 10_00, 0], "filled again");
    assert_eq!(t.balances().await["owner.A EUR"], 75_50);

    keep_back(&t, json!({"fixed": [{"amount": 4_00, "currency": "EUR"}]})).await;
    t.settle().await;
    let lower = read(&t, &reserve).await;
    assert_eq!(
        (&lower["amount"], &lower["status"], amounts(&lower)),
        (&json!(4_00), &json!("open"), [4_00, 10_00, 6_00])
    );
    assert_eq!(t.balances().await["owner.A EUR"], 81_50);
    keep_back(&t, json!({})).await;
    t.settle().await;
    let over = read(&t, &reserve).await;
    assert_eq!((&over["status"], amounts(&over)), (&json!("released"), [0, 10_00, 10_00]));
    assert_eq!(t.balances().await["owner.A EUR"], 85_50);
    t.pay(cart("order-3", "EUR", &[item(&a, 60_00)])).await;
    t.advance(4 * DAY).await;
    assert_eq!(t.balances().await["owner.A EUR"], 139_50, "nothing is kept back any more");
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sales_that_are_released_at_once_fill_a_fixed_reserve_once() {
    let t = TestApp::new().await;
    let a = market(&t).await;
    keep_back(&t, json!({"fixed": [{"amount": 10_00, "currency": "EUR"}]})).await;
    for number in 0..8 {
        t.pay(cart(&format!("order-{number}"), "EUR", &[item(&a, 6_00)])).await;
    }
    t.advance(4 * DAY).await;
    assert_eq!(amounts(&only_reserve(&t).await), [10_00, 0, 0]);
    assert_eq!(t.balances().await["owner.A EUR"], 33_20, "8 shares of 5.40, less 10.00");
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sellers_own_policy_stands_above_that_of_all_until_it_is_withdrawn() {
    let t = TestApp::new().await;
    let a = market(&t).await;
    let b = t.seller("B", "DE", "EUR", "manual").await;
    let path = format!("/v1/sellers/{}/reserve_policy", text(&b["id"]));
    assert_eq!(
        (&t.get(&path).await["version"], &t.get("/v1/reserve_policy").await["rolling"]),
        (&json!(0), &Value::Null)
    );
    let all = keep_back(&t, ten_per_cent()).await;
    assert_eq!((&all["version"], &all["seller"], &all["rolling"]["hold_days"]), (&json!(1), &Value::Null, &json!(90)));
    let half = json!({"rolling": {"percent_bps": 5_000, "hold_days": 10}});
    let own = t.send("PUT", &path, None, Some(half)).await.expect(200);
    assert_eq!((&own["version"], &own["own"], &own["seller"]), (&json!(2), &json!(true), &b["id"]));
    t.pay(cart("order-1", "EUR", &[item(&a, 10_00), item(&b, 10_00)])).await;
    t.advance(4 * DAY).await;
    let balances = t.balances().await;
    assert_eq!((balances["sel.A.reserve EUR"], balances["sel.B.reserve EUR"]), (90, 4_50), "{balances:?}");

    let theirs = t.send("DELETE", &path, None, None).await.expect(200);
    assert_eq!((&theirs["version"], &theirs["own"]), (&json!(1), &json!(false)));
    t.pay(cart("order-2", "EUR", &[item(&b, 10_00)])).await;
    t.advance(4 * DAY).await;
    assert_eq!(t.balances().await["sel.B.reserve EUR"], 5_40, "what was kept before stays until its day");
    let of_b = t.list(&format!("/v1/reserves?seller={}&status=open&kind=rolling", text(&b["id"]))).await;
    assert_eq!(of_b.len(), 2);
    t.advance(5 * DAY).await;
    assert_eq!(t.balances().await["sel.B.reserve EUR"], 90);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_debt_takes_is_not_kept_back_and_what_is_given_back_pays_debts_first() {
    let t = TestApp::new().await;
    let (a, _) = kept_5_40(&t).await;
    crate::adjustments::allow_alone(&t, "EUR", 50_00).await;
    let penalty = crate::adjustments::adjustment(&a, "late", "debit", 8_00, "penalty");
    crate::adjustments::adjust(&t, penalty).await.expect(201);
    crate::debts::end_of_day(&t).await;
    assert_eq!(t.balances().await["sel.A.debt EUR"], 8_00, "the reserve is of another payment");
    t.advance(91 * DAY).await;
    let balances = t.balances().await;
    assert_eq!(
        (balances["sel.A.debt EUR"], balances["owner.A EUR"]),
        (2_60, 48_60),
        "the 5.40 have paid: {balances:?}"
    );
    // Of 9.00, 2.60 are owed and 6.40 left: 90 cents are a tenth of the share.
    t.pay(cart("order-2", "EUR", &[item(&a, 10_00)])).await;
    t.advance(4 * DAY).await;
    let balances = t.balances().await;
    assert_eq!((balances["sel.A.reserve EUR"], balances["owner.A EUR"]), (90, 54_10), "{balances:?}");
    assert!(!balances.contains_key("sel.A.debt EUR") && !balances.contains_key("sel.A.available EUR"), "{balances:?}");
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_back_pays_debts_where_the_ladder_says_so() {
    let t = TestApp::new().await;
    let (a, _) = kept_5_40(&t).await;
    crate::adjustments::allow_alone(&t, "EUR", 50_00).await;
    let mut ladder = json!({
        "reverse_transfers": {"owner": "robots"}, "net_from_sales": {"after_days": 0, "owner": "finance"},
        "seller_reserve": {"after_days": 31, "owner": "risk"}, "write_off": {"after_days": 30, "owner": "finance"},
    });
    let problem = t.send("PUT", "/v1/recovery_policy", None, Some(ladder.clone())).await.expect(422);
    assert_eq!(problem["errors"][0]["pointer"], "#/write_off/after_days", "{problem:#}");
    ladder["seller_reserve"]["after_days"] = json!(1);
    let shown = t.send("PUT", "/v1/recovery_policy", None, Some(ladder)).await.expect(200);
    assert_eq!((&shown["rungs"][2]["rung"], &shown["rungs"][2]["owner"]), (&json!("seller_reserve"), &json!("risk")));
    let penalty = crate::adjustments::adjustment(&a, "late", "debit", 8_00, "penalty");
    crate::adjustments::adjust(&t, penalty).await.expect(201);
    crate::debts::end_of_day(&t).await;
    let balances = t.balances().await;
    assert_eq!((balances["sel.A.debt EUR"], balances["sel.A.reserve EUR"]), (8_00, 5_40), "it is too young");
    crate::debts::end_of_day(&t).await;
    let balances = t.balances().await;
    assert_eq!((balances["sel.A.debt EUR"], balances["owner.A EUR"]), (2_60, 48_60), "{balances:?}");
    assert!(!balances.contains_key("sel.A.reserve EUR"), "{balances:?}");
    let debt = t.list("/v1/debts").await.remove(0);
    assert_eq!(
        (&debt["rung"], &debt["owner"], &debt["left"]),
        (&json!("seller_reserve"), &json!("risk"), &json!(2_60))
    );
    let reserve = only_reserve(&t).await;
    assert_eq!((&reserve["status"], amounts(&reserve)), (&json!("open"), [0, 0, 5_40]));
    t.advance(91 * DAY).await;
    assert_eq!(only_reserve(&t).await["status"], "released");
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_debt_takes_of_what_is_kept_back_what_it_wants_and_once() {
    let t = TestApp::new().await;
    let (a, _) = kept_5_40(&t).await;
    crate::adjustments::allow_alone(&t, "EUR", 50_00).await;
    let ladder = json!({
        "reverse_transfers": {"owner": "robots"}, "net_from_sales": {"after_days": 0, "owner": "finance"},
        "seller_reserve": {"after_days": 0, "owner": "risk"}, "write_off": {"after_days": 30, "owner": "finance"},
    });
    t.send("PUT", "/v1/recovery_policy", None, Some(ladder)).await.expect(200);
    let penalty = crate::adjustments::adjustment(&a, "late", "debit", 2_00, "penalty");
    crate::adjustments::adjust(&t, penalty).await.expect(201);
    for _ in 0..3 {
        crate::debts::end_of_day(&t).await;
    }
    assert_eq!(amounts(&only_reserve(&t).await), [3_40, 0, 2_00]);
    let balances = t.balances().await;
    assert_eq!((balances["sel.A.reserve EUR"], balances.get("sel.A.debt EUR")), (3_40, None), "{balances:?}");
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_share_that_was_disputed_before_it_was_released_is_kept_back_of_when_the_dispute_is_won() {
    let t = TestApp::new().await;
    let a = market(&t).await;
    keep_back(&t, ten_per_cent()).await;
    let payment = t.pay(cart("order-1", "EUR", &[item(&a, 60_00)])).await;
    let at_provider = NewDispute::of(&text(&payment["provider"]["id"]));
    let dispute = text(&t.control.open_dispute(at_provider).await.expect("disputed")["id"]);
    t.settle().await;
    t.advance(4 * DAY).await;
    assert_eq!(t.list("/v1/reserves").await, Vec::<Value>::new(), "nothing of it is the seller's");
    t.control.decide_dispute(&dispute, "won").await.expect("decided");
    t.settle().await;
    assert_eq!(amounts(&only_reserve(&t).await), [5_40, 0, 0]);
    assert_eq!(t.balances().await["owner.A EUR"], 48_60);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reserve_whose_state_no_event_tells_of_is_seen() {
    let t = TestApp::new().await;
    kept_5_40(&t).await;
    assert_eq!(t.findings().await, Vec::<String>::new());
    assert_eq!(t.tamper("update reserves set status = 'releasing'").await, 1);
    let findings = t.findings().await;
    let seen = "the newest event of an object is of its present state";
    assert!(findings.iter().any(|finding| finding.starts_with(seen)), "{findings:#?}");
    t.close().await;
}
