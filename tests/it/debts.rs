//! Debts of sellers: opened at the end of the day, paid by later sales, given up by two people, and what comes back late.

use partita::worker;
use partita_simulator::{Fault, FaultKind, ReversalWhenShort, Settings};
use serde_json::{Value, json};

use crate::adjustments::{adjust, adjustment, allow_alone};
use crate::disputes::{assert_balances, at_provider, dispute_at_provider};
use crate::doubt::{decide, second_key};
use crate::support::{cart, item};
use crate::test_app::{DAY, TestApp, text};

/// Lets the day end: what is tried every hour has been tried before.
pub(crate) async fn end_of_day(t: &TestApp) {
    worker::schedule_day_ends(&t.app).await.expect("scheduled");
    let left = DAY - t.clock.now().as_second().rem_euclid(DAY);
    t.move_clocks(left - 60).await;
    t.settle().await;
    t.move_clocks(60).await;
    t.settle().await;
}

/// Seller A has sold for 60.00 with a commission of 10 %, was sent 54.00 and has paid it out; what is asked back of it is
/// refused from now on.
async fn paid_out(t: &TestApp) -> (Value, Value) {
    t.control.set_fees("eur", 0, 0).await.expect("free");
    t.default_fee(1_000).await;
    let a = t.seller("A", "DE", "EUR", "daily").await;
    t.top_up("float", 100_00, "EUR").await;
    let payment = t.pay(cart("order-1", "EUR", &[item(&a, 60_00)])).await;
    t.advance(8 * DAY).await;
    let refuse = Settings { reversal_when_short: ReversalWhenShort::Refuse, ..t.control.settings() };
    t.control.set_settings(refuse).await.expect("lawful settings");
    (a, payment)
}

/// The same, and 25.00 were refunded: A is short of 22.50.
async fn short(t: &TestApp) -> (Value, Value) {
    let (a, payment) = paid_out(t).await;
    let body = json!({"payment": payment["id"], "lines": [{"line": 0, "amount": 25_00}]});
    t.post("/v1/refunds", "ret-1", body).await.expect(201);
    t.settle().await;
    assert_eq!(t.balances().await["sel.A.available EUR"], -22_50);
    (a, payment)
}

/// The only debt there is.
async fn the_debt(t: &TestApp) -> Value {
    let mut all = t.list("/v1/debts").await;
    assert_eq!(all.len(), 1, "{all:#?}");
    all.remove(0)
}

/// What paid a debt, oldest first.
async fn settlements(t: &TestApp, debt: &Value) -> Vec<Value> {
    let path = format!("/v1/debts/{}/settlements", text(&debt["id"]));
    t.get(&path).await["data"].as_array().expect("a list").clone()
}

pub(crate) async fn propose_write_off(t: &TestApp, debt: &Value, status: u16) -> Value {
    let path = format!("/v1/debts/{}/write_off", text(&debt["id"]));
    t.send("POST", &path, None, Some(json!({"reason": "the shop is gone"}))).await.expect(status)
}

/// A ladder as it is declared.
pub(crate) fn ladder(net_after: i64, write_off_after: i64) -> Value {
    json!({
        "reverse_transfers": {"owner": "robots"},
        "net_from_sales": {"after_days": net_after, "owner": "finance"},
        "write_off": {"after_days": write_off_after, "up_to": 60_00, "owner": "the head of finance"},
    })
}

pub(crate) async fn declare(t: &TestApp, net_after: i64, write_off_after: i64) -> Value {
    let ladder = ladder(net_after, write_off_after);
    let declared = t.send("PUT", "/v1/recovery_policy", None, Some(ladder)).await;
    // One that recovers less than what holds takes a second person.
    if declared.status == 202 {
        decide(t, &second_key(t).await, &declared.expect(202), "approve").await.expect(200);
        return t.get("/v1/recovery_policy").await;
    }
    declared.expect(200)
}

/// The types of the events of debts, oldest first.
async fn told(t: &TestApp) -> Vec<String> {
    let mut kinds: Vec<String> = t.list("/v1/events").await.iter().map(|event| text(&event["type"])).collect();
    kinds.retain(|kind| kind.starts_with("debt."));
    kinds.reverse();
    kinds
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_refund_without_an_answer_takes_is_no_debt_at_midnight_and_is_taken_back_later() {
    let t = TestApp::new().await;
    let (_, payment) = paid_out(&t).await;
    let allow = Settings { reversal_when_short: ReversalWhenShort::NegativeBalance, ..t.control.settings() };
    t.control.set_settings(allow).await.expect("lawful settings");
    let (method, path) = ("POST".to_owned(), "/v1/refunds".to_owned());
    t.control.plan_fault(Fault { kind: FaultKind::RateLimited, method, path, times: u32::MAX });
    let body = json!({"payment": payment["id"], "lines": [{"line": 0, "amount": 25_00}]});
    let refund = t.post("/v1/refunds", "ret-1", body).await.expect(202);
    let refund = format!("/v1/refunds/{}", text(&refund["id"]));
    end_of_day(&t).await;
    assert_eq!(t.get(&refund).await["status"], "processing");
    assert_eq!(t.balances().await["sel.A.available EUR"], -22_50);
    assert_eq!(t.list("/v1/debts").await, Vec::<Value>::new(), "nothing was asked back yet that could be refused");

    t.control.clear_faults();
    t.advance(3_600).await;
    assert_eq!(t.get(&refund).await["status"], "succeeded");
    t.reconcile().await;
    let taken_back = [
        ("bank", -100_00),
        ("prov.available", 81_00),
        ("prov.reserved", 22_50),
        ("rev.commission", 3_50),
        ("ext.bank.A", 54_00),
        ("owner.A", 31_50),
        ("conn.available.A", -22_50),
    ];
    assert_balances(&t, &taken_back).await;
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_given_up_and_decided_stays_so_in_the_database_too() {
    let t = TestApp::new().await;
    short(&t).await;
    end_of_day(&t).await;
    let admin = t.admin().await;
    let refused = async |sql: &'static str| {
        let error = sqlx::query(sql).execute(&admin).await.expect_err(sql);
        error.as_database_error().and_then(|error| error.constraint().map(str::to_owned))
    };
    sqlx::query("update debts set written_off_amount = amount, status = 'written_off'")
        .execute(&admin)
        .await
        .expect("given up");
    assert_eq!(refused("update debts set written_off_amount = 1").await.as_deref(), Some("debts_given_up_onwards"));
    sqlx::query("update refunds set resolution = 'paid', resolved_by = 'key_1', resolved_at = now()")
        .execute(&admin)
        .await
        .expect("decided");
    let again = "update refunds set resolved_by = 'key_2'";
    assert_eq!(refused(again).await.as_deref(), Some("refunds_resolved_once"));
    admin.close().await;
    t.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_at_the_end_of_the_day_is_a_debt_that_the_next_sale_pays_before_anything_is_sent() {
    let t = TestApp::new().await;
    let (a, payment) = short(&t).await;
    let since = t.clock.now();
    assert_eq!(t.list("/v1/debts").await.len(), 0, "the day is not over");
    end_of_day(&t).await;
    let owed = [
        ("bank", -100_00),
        ("prov.available", 81_00),
        ("sel.A.debt", 22_50),
        ("rev.commission", 3_50),
        ("ext.bank.A", 54_00),
        ("owner.A", 54_00),
    ];
    assert_balances(&t, &owed).await;
    let debt = the_debt(&t).await;
    assert_eq!((&debt["left"], &debt["payment"]), (&json!(22_50), &payment["id"]));
    assert_eq!(
        (&debt["rung"], &debt["owner"], &debt["age_days"]),
        (&json!("net_from_sales"), &json!("finance"), &json!(0))
    );
    assert_eq!(text(&debt["short_since"]), format!("{since:.3}"), "it ages from when the money was missing");
    let balance = t.get(&format!("/v1/sellers/{}/balance", text(&a["id"]))).await["balances"][0].clone();
    assert_eq!((&balance["debt"], &balance["available"]), (&json!(22_50), &json!(0)));
    end_of_day(&t).await;
    assert_eq!(the_debt(&t).await["age_days"], 1, "and is opened once");

    let sale = t.pay(cart("order-2", "EUR", &[item(&a, 60_00)])).await;
    t.advance(8 * DAY).await;
    let paid = [
        ("bank", -100_00),
        ("prov.available", 109_50),
        ("rev.commission", 9_50),
        ("ext.bank.A", 85_50),
        ("owner.A", 85_50),
    ];
    assert_balances(&t, &paid).await;
    let debt = the_debt(&t).await;
    assert_eq!((&debt["status"], &debt["left"], &debt["rung"]), (&json!("paid"), &json!(0), &Value::Null));
    let settled = settlements(&t, &debt).await;
    assert_eq!((&settled[0]["payment"], &settled[0]["amount"]), (&sale["id"], &json!(22_50)));
    assert_eq!(settled.len(), 1);
    assert_eq!(t.count("select count(*) from due where kind = 'rebalance'").await, 0, "nobody waits for the rest");
    assert_eq!(told(&t).await, ["debt.opened", "debt.paid"]);
    let book = t.get(&format!("/v1/payments/{}/postings", text(&sale["id"]))).await;
    assert!(book.to_string().contains("debt_offset"), "the payment that paid shows it: {book:#}");
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_back_settles_its_own_debt() {
    let t = TestApp::new().await;
    let (_, payment) = paid_out(&t).await;
    let dispute = dispute_at_provider(&t, at_provider(&payment)).await;
    t.settle().await;
    end_of_day(&t).await;
    assert_eq!(t.balances().await["sel.A.debt EUR"], 54_00, "held, and gone from the account");
    t.control.decide_dispute(&dispute, "won").await.expect("decided");
    t.settle().await;
    assert_eq!(the_debt(&t).await["status"], "paid");
    let balances = t.balances().await;
    assert!(!balances.contains_key("sel.A.debt EUR") && !balances.contains_key("sel.A.available EUR"), "{balances:?}");
    assert_eq!(balances["owner.A EUR"], 54_00, "the seller has it already: nothing is sent");
    let itself = settlements(&t, &the_debt(&t).await).await;
    assert_eq!(itself[0]["payment"], payment["id"]);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_back_is_the_sellers_where_its_sales_have_paid() {
    let t = TestApp::new().await;
    let (a, payment) = paid_out(&t).await;
    let dispute = dispute_at_provider(&t, at_provider(&payment)).await;
    t.settle().await;
    end_of_day(&t).await;
    let sale = t.pay(cart("order-2", "EUR", &[item(&a, 60_00)])).await;
    t.advance(4 * DAY).await;
    assert_eq!(the_debt(&t).await["status"], "paid", "by the sale");
    assert_eq!(t.balances().await["owner.A EUR"], 54_00);
    t.control.decide_dispute(&dispute, "won").await.expect("decided");
    t.settle().await;
    assert_eq!(t.balances().await["owner.A EUR"], 108_00, "both sales are the seller's");
    assert_eq!(told(&t).await, ["debt.opened", "debt.paid", "debt.returned"]);
    let sent = t.list(&format!("/v1/transfers?payment={}", text(&sale["id"]))).await;
    assert_eq!((sent.len(), &sent[0]["amount"]), (1, &json!(54_00)), "the sale's own share, out of its own charge");
    assert_eq!(t.count("select count(*) from due where kind = 'rebalance'").await, 0);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_debt_is_given_up_by_two_people_and_what_comes_back_then_is_the_platforms() {
    let t = TestApp::new().await;
    let (a, payment) = paid_out(&t).await;
    let dispute = dispute_at_provider(&t, at_provider(&payment)).await;
    t.settle().await;
    end_of_day(&t).await;
    let debt = the_debt(&t).await;
    let early = propose_write_off(&t, &debt, 409).await;
    assert!(
        text(&early["detail"]).contains("net_from_sales") && text(&early["detail"]).contains("30 days"),
        "{early:#}"
    );
    assert_eq!(declare(&t, 0, 0).await["version"], 1);
    assert_eq!(the_debt(&t).await["owner"], "the head of finance");
    let approval = propose_write_off(&t, &debt, 201).await;
    assert_eq!((&approval["kind"], &approval["proposal"]["left"]), (&json!("debt_write_off"), &json!(54_00)));
    assert_eq!(propose_write_off(&t, &debt, 409).await["code"], "state_conflict", "one at a time");
    assert_eq!(decide(&t, &t.key, &approval, "approve").await.expect(409)["code"], "approval_of_own_proposal");
    assert_eq!(t.balances().await["sel.A.debt EUR"], 54_00);
    decide(&t, &second_key(&t).await, &approval, "approve").await.expect(200);
    let balances = t.balances().await;
    assert_eq!(balances["exp.bad_debt EUR"], 54_00);
    assert!(!balances.contains_key("sel.A.debt EUR"), "{balances:?}");
    let given_up = propose_write_off(&t, &debt, 409).await;
    assert!(text(&given_up["detail"]).contains("written_off"), "{given_up:#}");

    t.pay(cart("order-2", "EUR", &[item(&a, 60_00)])).await;
    t.advance(4 * DAY).await;
    assert_eq!(t.balances().await["owner.A EUR"], 108_00, "later sales owe nothing to it");
    t.control.decide_dispute(&dispute, "won").await.expect("decided");
    t.settle().await;
    let balances = t.balances().await;
    assert!(!balances.contains_key("exp.bad_debt EUR"), "{balances:?}");
    assert_eq!(balances["owner.A EUR"], 108_00);
    let debt = the_debt(&t).await;
    assert_eq!((&debt["status"], &debt["recovered"]), (&json!("written_off"), &json!(54_00)));
    assert_eq!(told(&t).await, ["debt.opened", "debt.written_off", "debt.recovered"]);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn debts_are_paid_oldest_first_by_sales_that_come_at_once() {
    let t = TestApp::new().await;
    t.control.set_fees("eur", 0, 0).await.expect("free");
    let a = t.seller("A", "DE", "EUR", "manual").await;
    allow_alone(&t, "EUR", 50_00).await;
    for (name, amount) in [("first", 5_00), ("second", 3_00)] {
        adjust(&t, adjustment(&a, name, "debit", amount, "penalty")).await.expect(201);
        end_of_day(&t).await;
    }
    t.pay(cart("order-1", "EUR", &[item(&a, 6_00)])).await;
    t.advance(4 * DAY).await;
    let mut left: Vec<(i64, String)> = Vec::new();
    for debt in t.list("/v1/debts").await {
        left.push((debt["left"].as_i64().expect("an amount"), text(&debt["status"])));
    }
    assert_eq!(left, [(2_00, "open".to_owned()), (0, "paid".to_owned())], "newest first in the list");
    assert_eq!(t.balances().await.get("owner.A EUR"), None, "nothing was sent");
    for name in ["order-2", "order-3", "order-4"] {
        t.pay(cart(name, "EUR", &[item(&a, 1_50)])).await;
    }
    t.advance(4 * DAY).await;
    let balances = t.balances().await;
    assert_eq!((balances["owner.A EUR"], balances["rev.fees EUR"]), (2_50, 8_00), "{balances:?}");
    assert!(!balances.contains_key("sel.A.debt EUR") && !balances.contains_key("sel.A.available EUR"), "{balances:?}");
    assert_eq!(t.count("select count(*) from due where kind = 'rebalance'").await, 0);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_debt_of_an_adjustment_ends_with_what_undoes_it() {
    let t = TestApp::new().await;
    let a = t.seller("A", "DE", "EUR", "manual").await;
    allow_alone(&t, "EUR", 50_00).await;
    let penalty = adjust(&t, adjustment(&a, "late", "debit", 7_50, "penalty")).await.expect(201);
    end_of_day(&t).await;
    assert_balances(&t, &[("sel.A.debt", 7_50), ("rev.fees", 7_50)]).await;
    assert_eq!(the_debt(&t).await["adjustment"], penalty["id"]);
    let path = format!("/v1/adjustments/{}/reverse", text(&penalty["id"]));
    t.post(&path, "undone", json!({"reference": "undone", "note": "not the shop's fault"})).await.expect(201);
    t.settle().await;
    assert_balances(&t, &[]).await;
    assert_eq!(the_debt(&t).await["status"], "paid");
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ladder_is_declared_and_a_shortfall_stays_one_until_its_rung() {
    let t = TestApp::new().await;
    short(&t).await;
    assert_eq!(t.get("/v1/recovery_policy").await["version"], 0);
    let counts = t.row_counts().await;
    for (field, value, pointer) in [
        ("net_from_sales", json!({"after_days": -1, "owner": "x"}), "#/net_from_sales/after_days"),
        ("net_from_sales", json!({"after_days": 3_651, "owner": "x"}), "#/net_from_sales/after_days"),
        ("net_from_sales", json!({"after_days": 31, "owner": "x"}), "#/write_off/after_days"),
        ("write_off", json!({"after_days": 30, "owner": " "}), "#/write_off/owner"),
        ("write_off", json!({"after_days": 30, "up_to": 0, "owner": "x"}), "#/write_off/up_to"),
        ("pray", json!({"owner": "x"}), "#/pray"),
    ] {
        let mut ladder = json!({
            "reverse_transfers": {"owner": "x"}, "net_from_sales": {"after_days": 0, "owner": "x"},
            "write_off": {"after_days": 30, "owner": "x"},
        });
        ladder[field] = value;
        let problem = t.send("PUT", "/v1/recovery_policy", None, Some(ladder)).await.expect(422);
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem:#}");
    }
    assert_eq!(t.row_counts().await, counts, "nothing was stored");
    declare(&t, 2, 30).await;
    end_of_day(&t).await;
    end_of_day(&t).await;
    assert_eq!(t.list("/v1/debts").await.len(), 0, "reversals are still tried");
    assert_eq!(t.balances().await["sel.A.available EUR"], -22_50);
    end_of_day(&t).await;
    assert_eq!(the_debt(&t).await["left"], 22_50);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reversal_that_goes_through_in_time_leaves_no_debt() {
    let t = TestApp::new().await;
    short(&t).await;
    let allow = Settings { reversal_when_short: ReversalWhenShort::NegativeBalance, ..t.control.settings() };
    t.control.set_settings(allow).await.expect("lawful settings");
    end_of_day(&t).await;
    assert_eq!(t.list("/v1/debts").await.len(), 0);
    assert_eq!(t.balances().await["conn.available.A EUR"], -22_50, "the provider carries it");
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_debt_that_was_changed_behind_the_books_is_seen() {
    let t = TestApp::new().await;
    let (a, _) = short(&t).await;
    end_of_day(&t).await;
    t.pay(cart("order-2", "EUR", &[item(&a, 10_00)])).await;
    t.advance(4 * DAY).await;
    assert_eq!(the_debt(&t).await["left"], 13_50);
    for (change, undo, invariant) in [
        ("debts set amount = amount + 1", "debts set amount = amount - 1", "what sellers owe is what their debts say"),
        (
            "debt_settlements set amount = amount - 1",
            "debt_settlements set amount = amount + 1",
            "a debt is paid by what was kept for it",
        ),
    ] {
        assert_eq!(t.tamper(&format!("update {change}")).await, 1);
        let findings = t.findings().await;
        assert!(findings.iter().any(|finding| finding.starts_with(invariant)), "{findings:#?}");
        let compared = partita::rebuild::check(&t.app, t.book.id).await.expect("compared");
        assert!(!compared.agrees(), "{change}");
        t.tamper(&format!("update {undo}")).await;
    }
    let admin = t.admin().await;
    for (sql, constraint) in [
        ("update debts set paid_amount = amount + 1", "debts_amounts_within"),
        ("update debts set status = 'paid'", "debts_open_while_owed"),
        ("delete from debts", "append-only"),
        ("update debt_settlements set amount = 1", "append-only"),
    ] {
        let refused = sqlx::query(sql).execute(&admin).await.expect_err("refused");
        assert!(refused.to_string().contains(constraint), "{sql}: {refused}");
    }
    admin.close().await;
    t.finish().await;
}
