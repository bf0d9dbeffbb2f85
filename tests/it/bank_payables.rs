//! What is noted of payments and adjustments for sellers paid by bank file.

use serde_json::{Value, json};

use crate::adjustments::{adjust, adjustment, allow_alone};
use crate::bank_payouts::{ask, by_bank, sold_40, with_bank_details};
use crate::debts::end_of_day;
use crate::destinations::sent;
use crate::disputes::{at_provider, dispute_at_provider};
use crate::reserves::market;
use crate::support::{cart, item};
use crate::test_app::{DAY, TestApp, text};

#[tokio::test(flavor = "multi_thread")]
async fn what_was_just_refunded_is_not_paid_of_its_payment() {
    let t = TestApp::new().await;
    let (a, first) = sold_40(&t).await;
    t.pay(cart("order-2", "EUR", &[item(&a, 40_00)])).await;
    t.advance(4 * DAY).await;
    let body = json!({"payment": first["id"], "lines": [{"line": 0, "amount": 10_00}]});
    t.post("/v1/refunds", "ret-1", body).await.expect(201);
    // Nothing has looked at the payment since.
    let payout = ask(&t, &a, "one").await.expect(201);
    assert_eq!(payout["amount"], 63_00, "36 and 36, less 10 and its commission of 1");
    let explained = t.get(&format!("/v1/payouts/{}/explain", text(&payout["id"]))).await;
    let lines = explained["lines"].as_array().expect("lines").iter();
    let paid: Vec<_> = lines.map(|line| (text(&line["payment_reference"]), line["amount"].clone())).collect();
    assert_eq!(paid, [("order-2".to_owned(), json!(36_00)), ("order-1".to_owned(), json!(27_00))]);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_share_that_could_not_be_noted_whole_is_looked_at_again() {
    let t = TestApp::new().await;
    let a = by_bank(&t).await;
    allow_alone(&t, "EUR", 100_00).await;
    let taken = adjust(&t, adjustment(&a, "case-1", "debit", 22_50, "penalty")).await.expect(201);
    t.pay(cart("order-1", "EUR", &[item(&a, 40_00)])).await;
    t.advance(4 * DAY).await;
    assert_eq!(t.count("select sum(amount)::bigint from bank_payables").await, 13_50, "36 less 22.50");
    let path = format!("/v1/adjustments/{}/reverse", text(&taken["id"]));
    t.post(&path, "undo", json!({"reference": "undo", "note": "it was another shop"})).await.expect(201);
    t.advance(2 * DAY).await;
    assert_eq!(t.list("/v1/stuck_money").await, Vec::<Value>::new());
    assert_eq!(ask(&t, &a, "one").await.expect(201)["amount"], 36_00);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_noted_at_the_moment_in_which_the_details_ended_is_sent_at_the_end_of_the_day() {
    let t = TestApp::new().await;
    sold_40(&t).await;
    let ended = "insert into seller_bank_details (book_id, id, seller_id, version, created_by, created_at)
                 select book_id, gen_random_uuid(), seller_id, version + 1, 'system', now() from seller_bank_details";
    assert_eq!(t.tamper(ended).await, 1, "as if the rule of transfers had read before and written after it");
    t.advance(3600).await;
    assert_eq!(t.list("/v1/transfers").await, Vec::<Value>::new());
    end_of_day(&t).await;
    assert_eq!(t.balances().await["conn.available.A EUR"], 36_00);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_won_dispute_gives_back_of_a_sale_that_was_sent_before_is_paid_by_bank() {
    let t = TestApp::new().await;
    let a = market(&t).await;
    let payment = t.pay(sent("order-1", &[item(&a, 40_00)])).await;
    t.advance(4 * DAY).await;
    assert_eq!(t.balances().await["conn.available.A EUR"], 36_00, "sent with the charge");
    with_bank_details(&t, &a).await;
    let id = dispute_at_provider(&t, at_provider(&payment)).await;
    t.settle().await;
    assert_eq!(t.balances().await.get("conn.available.A EUR"), None, "taken back for the dispute");
    let refused = ask(&t, &a, "disputed").await.expect(409);
    assert!(text(&refused["detail"]).contains("nothing_to_pay"), "{refused}");
    t.control.decide_dispute(&id, "won").await.expect("decided");
    t.settle().await;
    assert_eq!(t.list("/v1/transfers").await.len(), 1, "nothing is sent to the account any more");
    assert_eq!(ask(&t, &a, "won").await.expect(201)["amount"], 36_00);
    t.finish().await;
}
