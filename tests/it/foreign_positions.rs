//! Payments that the provider settles in another currency: told twice, late and in doubt, with what sellers owe of them; and what
//! watches their positions.

use partita_simulator::{Fault, FaultKind};
use serde_json::{Value, json};

use crate::debts::{end_of_day, propose_write_off};
use crate::disputes::declare;
use crate::doubt::{decide, second_key};
use crate::foreign_currency::{assert_balances, charged, dispute, market, settle_so, transferred, usd_at};
use crate::support::{cart, item};
use crate::test_app::{DAY, TestApp, text};

/// A dispute of USD 130.00 is lost at 0.95 after A was paid: A owes the fee of EUR 15.00, which is USD 16.25 at the charge's rate.
async fn owing(t: &TestApp) -> Value {
    declare(t, json!({"liability": "sellers", "hold": "shares", "tax_relief": true, "fee": "sellers"})).await;
    let payment = transferred(t).await;
    usd_at(t, "0.95").await;
    let id = dispute(t, &payment).await;
    t.control.decide_dispute(&id, "lost").await.expect("decided");
    t.settle().await;
    assert_eq!(t.balances().await["sel.A.available USD"], -16_25);
    end_of_day(t).await;
    // The debt stays in dollars, against its position; in euros it is told as a loss at once.
    let owed = [
        ("bank EUR", -200_00),
        ("fx USD", -16_25),
        ("fx.result EUR", 15_95),
        ("prov.available EUR", 184_05),
        ("sel.A.debt USD", 16_25),
    ];
    assert_balances(t, &owed).await;
    assert_eq!(t.findings().await, Vec::<String>::new());
    t.list("/v1/debts").await.remove(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_debt_that_a_later_sale_pays_leaves_nothing_on_either_position() {
    let t = TestApp::new().await;
    owing(&t).await;
    let a = t.list("/v1/sellers").await.remove(0);
    t.pay(cart("order-2", "USD", &[item(&a, 130_00)])).await;
    t.advance(4 * DAY).await;
    // Settled as EUR 123.50; of A's USD 117.00, 16.25 pay the debt and 100.75 cost EUR 95.71; the commission is EUR 12.35.
    let paid = [
        ("bank EUR", -200_00),
        ("conn.available.A USD", 100_75),
        ("fx.result EUR", 51),
        ("owner.A USD", 100_75),
        ("prov.available EUR", 211_84),
        ("rev.commission EUR", 12_35),
    ];
    assert_balances(&t, &paid).await;
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_debt_that_is_given_up_becomes_the_platforms_expense_at_the_charges_rate() {
    let t = TestApp::new().await;
    let debt = owing(&t).await;
    t.advance(31 * DAY).await;
    let approval = propose_write_off(&t, &debt, 201).await;
    decide(&t, &second_key(&t).await, &approval, "approve").await.expect(200);
    t.settle().await;
    let given_up =
        [("bank EUR", -200_00), ("exp.bad_debt EUR", 15_00), ("fx.result EUR", 95), ("prov.available EUR", 184_05)];
    assert_balances(&t, &given_up).await;
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_told_again_and_in_the_wrong_order_book_nothing_twice() {
    let t = TestApp::new().await;
    let a = market(&t).await;
    let body = cart("order-1", "USD", &[item(&a, 130_00)]);
    let payment = t.post("/v1/payments", "order-1", body.clone()).await.expect(201);
    // Refunded before anything was told of the charge.
    usd_at(&t, "0.95").await;
    let refund = json!({"payment": payment["id"], "lines": [{"line": 0, "amount": 25_00}]});
    let first = t.post("/v1/refunds", "ret-1", refund.clone()).await.expect(201);
    t.settle().await;
    t.advance(4 * DAY).await;
    let (balances, counts) = (t.balances().await, t.count("select count(*) from ledger_transactions").await);
    let mut events: Vec<String> =
        t.control.deliveries().await.expect("deliveries").into_iter().map(|delivery| delivery.event).collect();
    events.reverse();
    events.dedup();
    for event in events {
        t.control.resend(&event, 2).await.expect("planned");
    }
    t.settle().await;
    assert_eq!(t.post("/v1/payments", "order-1", body).await.expect(201)["id"], payment["id"]);
    assert_eq!(t.post("/v1/refunds", "ret-1", refund).await.expect(201)["id"], first["id"]);
    t.settle().await;
    assert_eq!(t.balances().await, balances);
    assert_eq!(t.count("select count(*) from ledger_transactions").await, counts);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_lost_after_the_effect_is_booked_once_at_the_rate_of_the_effect() {
    let t = TestApp::new().await;
    let payment = transferred(&t).await;
    usd_at(&t, "0.95").await;
    t.control.plan_fault(Fault {
        kind: FaultKind::AnswerLost,
        method: "POST".to_owned(),
        path: "/v1/refunds".to_owned(),
        times: 1,
    });
    let body = json!({"payment": payment["id"]});
    t.post("/v1/refunds", "ret-1", body).await;
    usd_at(&t, "0.50").await;
    t.settle().await;
    t.advance(DAY).await;
    // The buyer's EUR 123.50 are at 0.95; A's USD 117.00 came back at 0.50, for EUR 58.50.
    let nothing = [("bank EUR", -200_00), ("fx.result EUR", 53_60), ("prov.available EUR", 146_40)];
    assert_balances(&t, &nothing).await;
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_converted_for_a_seller_is_not_the_platforms_and_is_told_when_it_stays() {
    let t = TestApp::new().await;
    t.control.set_fees("eur", 0, 0).await.expect("free");
    t.default_fee(1_000).await;
    let body = json!({"reference": "A", "email": "a@example.com", "country": "US", "default_currency": "USD"});
    let a = t.post("/v1/sellers", "A", body).await.expect(201);
    t.settle().await;
    t.top_up("float", 200_00, "EUR").await;
    usd_at(&t, "0.923077").await;
    partita::worker::schedule_stuck_money(&t.app).await.expect("scheduled");
    let payment = t.pay(cart("order-1", "USD", &[item(&a, 130_00)])).await;
    let pay_out = async |reference: &str, amount: i64| {
        let body = json!({"reference": reference, "amount": amount, "currency": "EUR"});
        t.post("/v1/platform_payouts", reference, body).await
    };
    let refused = |problem: &Value| text(&problem["errors"][0]["detail"]);
    for days in [0, 3] {
        t.advance(days * DAY).await;
        let problem = pay_out(&format!("too-much-{days}"), 200_01).await.expect(422);
        assert!(refused(&problem).starts_with("no more than 20000 is free"), "{problem:#}");
        assert!(refused(&problem).ends_with("12000 is for payments in other currencies"), "{problem:#}");
    }
    t.advance(31 * DAY).await;
    let stuck = t.list("/v1/stuck_money?status=open&cause=position_open").await;
    assert_eq!(stuck.len(), 1, "{stuck:#?}");
    assert_eq!((&stuck[0]["amount"], &stuck[0]["currency"]), (&json!(130_00), &json!("USD")));
    // As soon as A can be sent its share, the rest is the platform's: EUR 12.00.
    let account = text(&t.get(&format!("/v1/sellers/{}", text(&a["id"]))).await["provider"]["id"]);
    t.control.complete_onboarding(&account).await.expect("onboarded");
    t.advance(2 * DAY).await;
    assert_eq!(t.list("/v1/stuck_money?status=open&cause=position_open").await, Vec::<Value>::new());
    let problem = pay_out("still-too-much", 212_01).await.expect(422);
    assert!(refused(&problem).starts_with("no more than 21200 is free"), "{problem:#}");
    assert_eq!(t.payment(&payment).await["status"], "succeeded");
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_provider_converts_no_transfers_the_share_stays_the_sellers() {
    let t = TestApp::new().await;
    let a = market(&t).await;
    settle_so(&t, "eur", &[("usd", "0.923077")], false).await;
    t.pay(cart("order-1", "USD", &[item(&a, 130_00)])).await;
    t.advance(6 * DAY).await;
    let balances = t.balances().await;
    assert_eq!((balances["sel.A.available USD"], balances.get("clr.transfer USD")), (117_00, None));
    let tried = t.list("/v1/transfers").await;
    assert!(tried.len() > 1, "it is tried again");
    assert_eq!(tried[0]["failure"]["code"], "transfer_source_balance_parameters_mismatch");
    // As soon as it does, the seller has it.
    usd_at(&t, "0.923077").await;
    t.advance(DAY).await;
    assert_eq!(t.balances().await["conn.available.A USD"], 117_00);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_position_that_nobody_looks_at_or_that_is_not_closed_is_found() {
    let t = TestApp::new().await;
    charged(&t).await;
    let found = async || t.findings().await;
    assert_eq!(found().await, Vec::<String>::new());
    let late = "update due set due_at = due_at - interval '3 days' where kind = 'currency_position'";
    assert_eq!(t.tamper(late).await, 1);
    let findings = found().await;
    assert!(matches!(findings.as_slice(), [one] if one.starts_with("no position waits for its look")), "{findings:?}");
    t.settle().await;
    assert_eq!(found().await, Vec::<String>::new());
    // The last of its money moves, and nobody closes it.
    t.move_clocks(4 * DAY).await;
    t.settle().await;
    assert_eq!(t.count("select count(*) from position_closings").await, 1);
    t.tamper(
        "update ledger_postings set subject = 0 where (lane, seq) in
                  (select lane, seq from ledger_transactions where kind = 85)",
    )
    .await;
    let findings = found().await;
    assert!(findings.iter().any(|one| one.starts_with("a position is closed when nothing")), "{findings:?}");
    t.close().await;
}
