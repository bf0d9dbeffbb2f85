//! Payouts, by hand and by the clock.

use crate::support::{DAY, START, Sim};

/// Midnight after the tests' start.
const MIDNIGHT: i64 = START - START % DAY + DAY;

async fn newest(sim: &Sim, account: &str) -> serde_json::Value {
    sim.get_as(account, "/v1/payouts?expand[]=data.balance_transaction&expand[]=data.failure_balance_transaction")
        .await
        .ok()
        .body["data"][0]
        .clone()
}

#[tokio::test]
async fn a_daily_schedule_pays_out_at_midnight_and_the_payout_arrives() {
    let sim = Sim::start().await;
    let seller = sim.seller("daily").await;
    sim.fund("10000").await;
    sim.transfer("2000", &seller).await.ok();
    sim.transfer("3000", &seller).await.ok();
    sim.control.set_time(MIDNIGHT - 1).await.expect("time passes");
    assert!(newest(&sim, &seller).await.is_null());
    sim.control.advance(1).await.expect("time passes");
    let payout = newest(&sim, &seller).await;
    assert_eq!((&payout["amount"], &payout["status"]), (&5_000.into(), &"pending".into()));
    assert_eq!((&payout["automatic"], &payout["created"]), (&true.into(), &MIDNIGHT.into()));
    assert_eq!(payout["balance_transaction"]["net"], -5_000);
    assert_eq!(sim.balance(Some(&seller)).await, (0, 0, 0));
    let id = payout["id"].as_str().expect("an id");
    let members = sim.get_as(&seller, &format!("/v1/balance_transactions?payout={id}")).await.ok().body;
    assert_eq!(members["data"].as_array().map(Vec::len), Some(3));
    sim.control.advance(3_600).await.expect("time passes");
    assert_eq!(newest(&sim, &seller).await["status"], "in_transit");
    sim.control.set_time(payout["arrival_date"].as_i64().expect("a time")).await.expect("time passes");
    assert_eq!(newest(&sim, &seller).await["status"], "paid");
    sim.finish().await;
}

#[tokio::test]
async fn a_leap_over_days_does_what_each_day_brings_at_its_time() {
    let sim = Sim::start().await;
    let seller = sim.seller("daily").await;
    let payment = sim.pay("12000", "pm_card_visa").await.ok();
    let charge = payment.body["latest_charge"]["id"].as_str().expect("a charge");
    let form = [("amount", "5400"), ("currency", "eur"), ("destination", &seller), ("source_transaction", charge)];
    sim.post("/v1/transfers", &form).await.ok();
    sim.control.set_time(START + 30 * DAY).await.expect("a month passes");
    let payout = newest(&sim, &seller).await;
    // The funds settle at the second midnight and leave with that midnight's payouts.
    assert_eq!((&payout["created"], &payout["status"]), (&(MIDNIGHT + DAY).into(), &"paid".into()));
    assert_eq!(sim.balance(Some(&seller)).await, (0, 0, 0));
    sim.finish().await;
}

#[tokio::test]
async fn a_payout_by_hand_needs_funds_and_onboarding() {
    let sim = Sim::start().await;
    let seller = sim.seller("manual").await;
    let form = [("amount", "2000"), ("currency", "eur")];
    assert_eq!(sim.post_as(&seller, "/v1/payouts", &form).await.error().2, "balance_insufficient");
    sim.fund("5000").await;
    sim.transfer("2000", &seller).await.ok();
    let payout = sim.post_as(&seller, "/v1/payouts", &form).await.ok();
    assert_eq!((&payout.body["automatic"], &payout.body["amount"]), (&false.into(), &2_000.into()));
    assert_eq!(sim.balance(Some(&seller)).await, (0, 0, 0));
    sim.post("/v1/payouts", &[("amount", "1000"), ("currency", "eur")]).await.ok();
    assert_eq!(sim.balance(None).await, (20_00, 0, 0));
    let form = [("type", "express"), ("country", "DE")];
    let fresh = sim.post("/v1/accounts", &form).await.ok().id().to_owned();
    let reply = sim.post_as(&fresh, "/v1/payouts", &[("amount", "1"), ("currency", "eur")]).await;
    assert_eq!(reply.error().2, "payouts_not_allowed");
    sim.finish().await;
}

#[tokio::test]
async fn a_payout_can_fail_after_it_was_paid_and_stops_the_schedule() {
    let sim = Sim::start().await;
    let seller = sim.seller("daily").await;
    sim.fund("10000").await;
    sim.transfer("2000", &seller).await.ok();
    sim.control.advance(5 * DAY).await.expect("time passes");
    let paid = newest(&sim, &seller).await;
    assert_eq!(paid["status"], "paid");
    let id = paid["id"].as_str().expect("an id").to_owned();
    sim.control.fail_payout(&id, "account_closed").await.expect("it fails");
    let failed = newest(&sim, &seller).await;
    assert_eq!((&failed["status"], &failed["failure_code"]), (&"failed".into(), &"account_closed".into()));
    assert_eq!(failed["failure_balance_transaction"]["net"], 2_000);
    assert_eq!(sim.balance(Some(&seller)).await, (20_00, 0, 0));
    assert!(sim.control.fail_payout(&id, "again").await.is_err());
    sim.control.advance(3 * DAY).await.expect("time passes");
    assert_eq!(sim.balance(Some(&seller)).await, (20_00, 0, 0), "no payout to a bank account that failed");
    sim.control.complete_onboarding(&seller).await.expect("a new bank account");
    sim.control.advance(DAY).await.expect("time passes");
    assert_eq!(sim.balance(Some(&seller)).await, (0, 0, 0));
    sim.finish().await;
}

#[tokio::test]
async fn stripes_failing_test_account_fails() {
    let sim = Sim::start().await;
    let seller = sim.seller("manual").await;
    sim.control.complete_onboarding_with(&seller, "Unlucky", "000111111116").await.expect("a new bank account");
    sim.fund("5000").await;
    sim.transfer("2000", &seller).await.ok();
    sim.post_as(&seller, "/v1/payouts", &[("amount", "2000"), ("currency", "eur")]).await.ok();
    sim.control.advance(3 * DAY).await.expect("time passes");
    let failed = newest(&sim, &seller).await;
    assert_eq!((&failed["status"], &failed["failure_code"]), (&"failed".into(), &"no_account".into()));
    assert_eq!(sim.balance(Some(&seller)).await, (20_00, 0, 0));
    sim.finish().await;
}

#[tokio::test]
async fn a_pending_payout_can_be_given_up() {
    let sim = Sim::start().await;
    sim.fund("5000").await;
    let payout = sim.control.create_payout(None, 5_000, "eur").await.expect("a payout");
    assert_eq!(sim.balance(None).await, (0, 0, 0));
    let id = payout["id"].as_str().expect("an id");
    sim.control.cancel_payout(id).await.expect("it is given up");
    assert_eq!(sim.balance(None).await, (50_00, 0, 0));
    sim.control.advance(5 * DAY).await.expect("time passes");
    assert_eq!(sim.get(&format!("/v1/payouts/{id}")).await.ok().body["status"], "canceled");
    sim.finish().await;
}

#[tokio::test]
async fn an_instant_payout_arrives_within_half_an_hour_and_its_fee_goes_and_comes_with_it() {
    let sim = Sim::start().await;
    let fee = partita_simulator::FeeRate { basis_points: 0, fixed: 50 };
    let settings = partita_simulator::Settings { instant_payout_fee: fee, ..sim.control.settings() };
    sim.control.set_settings(settings).await.expect("lawful");
    let seller = sim.seller("manual").await;
    sim.fund("10000").await;
    sim.transfer("3250", &seller).await.ok();
    let path = "/v1/balance?expand[]=instant_available.net_available";
    let balance = sim.get_as(&seller, path).await.ok().body;
    let instant = &balance["instant_available"][0];
    assert_eq!((&instant["amount"], &instant["net_available"][0]["amount"]), (&3_250.into(), &3_200.into()));
    assert_eq!(sim.get(path).await.error().0, 400, "the platform has none");
    let destination = instant["net_available"][0]["destination"].as_str().expect("a bank account").to_owned();
    let form = |amount: &'static str, to: String| {
        vec![
            ("amount", amount.to_owned()),
            ("currency", "eur".to_owned()),
            ("method", "instant".to_owned()),
            ("destination", to),
        ]
    };
    let post = |form: Vec<(&'static str, String)>| {
        let (sim, seller) = (&sim, &seller);
        async move {
            let form: Vec<(&str, &str)> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
            sim.post_as(seller, "/v1/payouts", &form).await
        }
    };
    assert_eq!(post(form("3201", destination.clone())).await.error().2, "balance_insufficient");
    let payout = post(form("3200", destination)).await.ok().body;
    assert_eq!((&payout["method"], &payout["application_fee_amount"]), (&"instant".into(), &50.into()));
    assert_eq!(sim.balance(Some(&seller)).await, (0, 0, 0));
    assert_eq!(sim.balance(None).await, (67_50 + 50 - 32, 0, 0), "the fee came, the cost of 1 % went");
    let fee = payout["application_fee"].as_str().expect("a fee");
    let fee =
        format!("/v1/application_fees/{fee}?expand[]=balance_transaction&expand[]=refunds.data.balance_transaction");
    assert_eq!(sim.get(&fee).await.ok().body["fee_source"]["payout"], payout["id"]);
    sim.control.advance(1_800).await.expect("time passes");
    assert_eq!(newest(&sim, &seller).await["status"], "paid");
    sim.control.fail_payout(payout["id"].as_str().expect("an id"), "account_closed").await.expect("it fails");
    assert_eq!(sim.balance(Some(&seller)).await, (32_50, 0, 0));
    let refunded = sim.get(&fee).await.ok().body;
    assert_eq!(refunded["refunds"]["data"][0]["balance_transaction"]["net"], -50);
    sim.finish().await;
}
