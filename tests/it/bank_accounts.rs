//! Bank accounts that send payouts back: blocked where it lies with them, and paid out to again when there is another one.

use serde_json::{Value, json};

use crate::support::{cart, item};
use crate::test_app::{DAY, TestApp, text};

/// A seller with a schedule, whose 60.00 were paid out on the first payout day that had them: Wednesday, 4 March.
async fn paid_out(t: &TestApp) -> Value {
    let seller = t.seller("A", "DE", "EUR", "manual").await;
    let schedule = json!({"payout_schedule": {"interval": "daily", "cut_off": "15:00", "time_zone": "UTC"}});
    t.send("PATCH", &path(&seller), None, Some(schedule)).await.expect(200);
    t.pay(cart("order-1", "EUR", &[item(&seller, 60_00)])).await;
    t.advance(3 * DAY).await;
    assert_eq!(newest(t).await["amount"], 60_00);
    seller
}

fn path(seller: &Value) -> String {
    format!("/v1/sellers/{}", text(&seller["id"]))
}

async fn newest(t: &TestApp) -> Value {
    t.list("/v1/payouts").await.remove(0)
}

/// The bank sends the newest payout back.
async fn returned(t: &TestApp, code: &str) {
    let payout = newest(t).await;
    t.control.fail_payout(&text(&payout["provider"]["id"]), code).await.expect("failed");
    t.settle().await;
    assert_eq!(newest(t).await["status"], "failed");
}

async fn onboarding_page(t: &TestApp, seller: &Value) -> String {
    let link = json!({"return_url": "https://market.example/done"});
    let link = t.send("POST", &format!("{}/onboarding_links", path(seller)), None, Some(link)).await.expect(201);
    t.client.get(text(&link["url"])).send().await.expect("a page").text().await.expect("text")
}

async fn events(t: &TestApp, kind: &str) -> usize {
    t.list(&format!("/v1/events?type={kind}")).await.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_was_closed_gets_nothing_more_until_there_is_another() {
    let t = TestApp::new().await;
    let a = paid_out(&t).await;
    t.advance(4 * DAY).await;
    assert_eq!(newest(&t).await["status"], "paid");
    assert_eq!(t.balances().await["ext.bank.A EUR"], 60_00);
    returned(&t, "account_closed").await;
    let shown = t.get(&path(&a)).await;
    let blocked = &shown["bank_account"]["blocked"];
    assert_eq!(
        (&blocked["code"], &blocked["payout"]),
        (&json!("account_closed"), &newest(&t).await["id"]),
        "{shown:#}"
    );
    assert_eq!(shown["requirements"]["currently_due"], json!(["external_account"]));
    assert_eq!(t.balances().await["conn.available.A EUR"], 60_00);
    t.advance(DAY).await;
    let day = t.get(&path(&a)).await["last_payout_day"].clone();
    assert_eq!((&day["skipped"], &day["payable"]), (&json!("bank_account_blocked"), &json!(60_00)));
    t.post("/v1/payouts", "now", json!({"reference": "now", "seller": a["id"]})).await.expect(409);
    let page = onboarding_page(&t, &a).await;
    assert!(page.contains("Your bank sent a payout back"), "{page}");

    t.control.complete_onboarding(&text(&a["provider"]["id"])).await.expect("another bank account");
    t.settle().await;
    let shown = t.get(&path(&a)).await;
    assert_eq!(shown["bank_account"]["blocked"], Value::Null);
    assert_eq!(shown["requirements"]["currently_due"], json!([]));
    t.advance(DAY).await;
    let again = newest(&t).await;
    assert_eq!((&again["amount"], &again["status"]), (&json!(60_00), &json!("pending")));
    let told = (events(&t, "seller.bank_account_blocked").await, events(&t, "seller.bank_account_unblocked").await);
    assert_eq!(told, (1, 1));
    t.advance(3 * DAY).await;
    assert_eq!(t.balances().await["ext.bank.A EUR"], 60_00);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payout_that_fails_before_it_was_paid_blocks_as_well_and_a_person_may_know_better() {
    let t = TestApp::new().await;
    let a = paid_out(&t).await;
    returned(&t, "no_account").await;
    t.advance(DAY).await;
    assert_eq!(t.list("/v1/payouts").await.len(), 1);
    let unblock = format!("{}/unblock_bank_account", path(&a));
    let lifted =
        t.send("POST", &unblock, None, Some(json!({"reason": "the bank says that it works"}))).await.expect(200);
    assert_eq!(lifted["bank_account"]["blocked"], Value::Null);
    assert_eq!(lifted["requirements"]["currently_due"], json!(["external_account"]), "the provider still wants one");
    let page = onboarding_page(&t, &a).await;
    assert!(!page.contains("Your bank sent a payout back"), "{page}");
    let twice = t.send("POST", &unblock, None, Some(json!({"reason": "once more"}))).await.expect(409);
    assert_eq!(twice["code"], "state_conflict");
    t.advance(3 * DAY).await;
    assert_eq!(t.list("/v1/payouts").await.len(), 2);
    // It was not so: the next one comes back, too.
    returned(&t, "no_account").await;
    assert_eq!(t.get(&path(&a)).await["bank_account"]["blocked"]["code"], "no_account");
    assert_eq!(t.count("select count(*) from bank_account_blocks").await, 2);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_lie_with_the_bank_account_blocks_nothing() {
    let t = TestApp::new().await;
    let a = paid_out(&t).await;
    returned(&t, "could_not_process").await;
    assert_eq!(t.get(&path(&a)).await["bank_account"]["blocked"], Value::Null);
    t.advance(DAY).await;
    assert_eq!(t.list("/v1/payouts").await.len(), 2, "tried again on the next payout day");
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_back_from_an_account_that_was_replaced_blocks_nothing() {
    let t = TestApp::new().await;
    let a = paid_out(&t).await;
    let former = t.get(&path(&a)).await["bank_account"]["id"].clone();
    t.control.complete_onboarding(&text(&a["provider"]["id"])).await.expect("another bank account");
    t.settle().await;
    assert_ne!(t.get(&path(&a)).await["bank_account"]["id"], former);
    returned(&t, "account_closed").await;
    assert_eq!(t.get(&path(&a)).await["bank_account"]["blocked"], Value::Null);
    assert_eq!(events(&t, "seller.bank_account_blocked").await, 0);
    t.advance(DAY).await;
    assert_eq!(t.list("/v1/payouts").await.len(), 2);
    t.finish().await;
}
