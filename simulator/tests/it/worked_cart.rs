//! A cart of two sellers from charge to the last reversal: EUR 120.00 = seller A 60 + seller B 40 + tax 20, commission
//! 10 %, processing fee 3.20, refunded in two steps. The balances of each step were worked out by hand.

use crate::support::{DAY, START, Sim};

#[tokio::test]
async fn the_worked_cart_ends_at_the_balances_worked_out_by_hand() {
    let sim = Sim::start().await;
    let (a, b) = (sim.seller("daily").await, sim.seller("manual").await);
    sim.fund("10000").await;
    assert_eq!(sim.balance(None).await, (100_00, 0, 0));

    let payment = sim.pay("12000", "pm_card_visa").await.ok();
    let transaction = &payment.body["latest_charge"]["balance_transaction"];
    assert_eq!(
        (transaction["amount"].as_i64(), transaction["fee"].as_i64(), transaction["net"].as_i64()),
        (Some(120_00), Some(3_20), Some(116_80))
    );
    assert_eq!(sim.balance(None).await, (100_00, 116_80, 0));

    // Two days later the funds are available. The hour is kept so that the next midnight is the payout's.
    sim.control.set_time(START + 2 * DAY).await.expect("two days pass");
    assert_eq!(sim.balance(None).await, (216_80, 0, 0));

    let to_a = sim.transfer("5400", &a).await.ok().id().to_owned();
    let to_b = sim.transfer("3600", &b).await.ok().id().to_owned();
    assert_eq!(sim.balance(None).await, (126_80, 0, 0));
    assert_eq!(sim.balance(Some(&a)).await, (54_00, 0, 0));
    assert_eq!(sim.balance(Some(&b)).await, (36_00, 0, 0));

    // A is paid out by its daily schedule at midnight; B has to ask.
    sim.control.advance(DAY).await.expect("a day passes");
    assert_eq!(sim.balance(Some(&a)).await, (0, 0, 0));
    assert_eq!(sim.balance(Some(&b)).await, (36_00, 0, 0));
    assert_eq!(sim.balance(None).await, (126_80, 0, 0));

    let refund = sim.refund(payment.id(), "3000").await.ok();
    assert_eq!(refund.body["status"], "succeeded");
    assert_eq!(sim.balance(None).await, (96_80, 0, 0));

    sim.reverse(&to_a, "2250").await.ok();
    assert_eq!(sim.balance(Some(&a)).await, (-22_50, 0, 0));
    assert_eq!(sim.balance(None).await, (119_30 - 22_50, 0, 22_50));

    sim.refund(payment.id(), "9000").await.ok();
    assert_eq!(sim.balance(None).await, (29_30 - 22_50, 0, 22_50));

    sim.reverse(&to_a, "3150").await.ok();
    sim.reverse(&to_b, "3600").await.ok();
    assert_eq!(sim.balance(Some(&a)).await, (-54_00, 0, 0));
    assert_eq!(sim.balance(Some(&b)).await, (0, 0, 0));
    assert_eq!(sim.balance(None).await, (96_80 - 54_00, 0, 54_00));

    let platform: Vec<(String, i64)> = sim.movements(None).await.into_iter().rev().collect();
    let expected = [
        ("topup", 100_00),
        ("charge", 116_80),
        ("transfer", -54_00),
        ("transfer", -36_00),
        ("refund", -30_00),
        ("transfer_refund", 22_50),
        ("reserve_transaction", -22_50),
        ("refund", -90_00),
        ("transfer_refund", 31_50),
        ("reserve_transaction", -31_50),
        ("transfer_refund", 36_00),
    ];
    assert_eq!(platform, expected.map(|(kind, net)| (kind.to_owned(), net)));
    let seller: Vec<(String, i64)> = sim.movements(Some(&a)).await.into_iter().rev().collect();
    let expected = [("payment", 54_00), ("payout", -54_00), ("payment_refund", -22_50), ("payment_refund", -31_50)];
    assert_eq!(seller, expected.map(|(kind, net)| (kind.to_owned(), net)));
    sim.finish().await;
}

#[tokio::test]
async fn the_reserve_comes_back_when_the_connected_account_recovers() {
    let sim = Sim::start().await;
    let seller = sim.seller("daily").await;
    sim.fund("20000").await;
    let transfer = sim.transfer("5000", &seller).await.ok().id().to_owned();
    sim.control.advance(DAY).await.expect("the payout is made");
    sim.reverse(&transfer, "5000").await.ok();
    assert_eq!(sim.balance(None).await, (150_00, 0, 50_00));
    sim.transfer("2000", &seller).await.ok();
    assert_eq!(sim.balance(Some(&seller)).await, (-30_00, 0, 0));
    assert_eq!(sim.balance(None).await, (150_00, 0, 30_00));
    sim.transfer("4000", &seller).await.ok();
    assert_eq!(sim.balance(Some(&seller)).await, (10_00, 0, 0));
    assert_eq!(sim.balance(None).await, (140_00, 0, 0));
    let reserve = sim.get("/v1/balance_transactions?type=reserve_transaction&expand[]=data.source").await.ok();
    let newest = &reserve.body["data"][0];
    assert_eq!(newest["reporting_category"], "connect_reserved_funds");
    assert_eq!(
        (newest["net"].as_i64(), newest["source"]["object"].as_str()),
        (Some(30_00), Some("reserve_transaction"))
    );
    sim.finish().await;
}
