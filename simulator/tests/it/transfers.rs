//! Transfers and reversals.

use crate::support::{DAY, Sim};

#[tokio::test]
async fn a_transfer_needs_funds_and_a_capable_destination() {
    let sim = Sim::start().await;
    let seller = sim.seller("manual").await;
    let short = sim.transfer("1000", &seller).await;
    assert_eq!(short.error(), (400, "invalid_request_error", "balance_insufficient", ""));
    sim.fund("1000").await;
    let form = [("type", "express"), ("country", "DE"), ("capabilities[transfers][requested]", "true")];
    let fresh = sim.post("/v1/accounts", &form).await.ok().id().to_owned();
    let incapable = sim.transfer("500", &fresh).await;
    assert_eq!(incapable.error(), (400, "invalid_request_error", "insufficient_capabilities_for_transfer", ""));
    let nobody = sim.transfer("500", "acct_nobody").await;
    assert_eq!(nobody.error(), (400, "invalid_request_error", "resource_missing", "destination"));
    let form = [
        ("amount", "1000"),
        ("currency", "eur"),
        ("destination", seller.as_str()),
        ("transfer_group", "cart_7"),
        ("metadata[op_id]", "op_7"),
        ("expand[]", "balance_transaction"),
        ("expand[]", "destination_payment.balance_transaction"),
    ];
    let transfer = sim.post("/v1/transfers", &form).await.ok().body;
    assert_eq!(transfer["balance_transaction"]["net"], -1_000);
    let payment = &transfer["destination_payment"];
    assert!(payment["id"].as_str().is_some_and(|id| id.starts_with("py_")));
    assert_eq!((&payment["balance_transaction"]["net"], &payment["source_transfer"]), (&1_000.into(), &transfer["id"]));
    assert_eq!(sim.balance(None).await, (0, 0, 0));
    assert_eq!(sim.balance(Some(&seller)).await, (10_00, 0, 0));
    let listed = sim.get("/v1/transfers?transfer_group=cart_7").await.ok().body;
    assert_eq!(listed["data"].as_array().map(Vec::len), Some(1));
    assert_eq!(
        sim.get("/v1/transfers?transfer_group=cart_8").await.ok().body["data"].as_array().map(Vec::len),
        Some(0)
    );
    sim.finish().await;
}

#[tokio::test]
async fn a_transfer_of_an_unsettled_charge_waits_with_it() {
    let sim = Sim::start().await;
    let seller = sim.seller("manual").await;
    let payment = sim.pay("12000", "pm_card_visa").await.ok();
    let charge = payment.body["latest_charge"]["id"].as_str().expect("a charge").to_owned();
    let form = |amount: &'static str| {
        [
            ("amount", amount),
            ("currency", "eur"),
            ("destination", seller.as_str()),
            ("source_transaction", charge.as_str()),
            ("expand[]", "balance_transaction"),
        ]
    };
    let transfer = sim.post("/v1/transfers", &form("5400")).await.ok().body;
    assert_eq!(transfer["balance_transaction"]["status"], "pending");
    assert_eq!(
        transfer["balance_transaction"]["available_on"],
        payment.body["latest_charge"]["balance_transaction"]["available_on"]
    );
    assert_eq!(transfer["transfer_group"].as_str(), Some(format!("group_{charge}").as_str()));
    assert_eq!((sim.balance(None).await, sim.balance(Some(&seller)).await), ((0, 62_80, 0), (0, 54_00, 0)));
    let over = sim.post("/v1/transfers", &form("6601")).await;
    assert_eq!(over.error(), (400, "invalid_request_error", "", "amount"));
    let id = transfer["id"].as_str().expect("an id");
    sim.reverse(id, "400").await.ok();
    assert_eq!((sim.balance(None).await, sim.balance(Some(&seller)).await), ((0, 66_80, 0), (0, 50_00, 0)));
    sim.control.advance(2 * DAY).await.expect("time passes");
    assert_eq!((sim.balance(None).await, sim.balance(Some(&seller)).await), ((66_80, 0, 0), (50_00, 0, 0)));
    sim.finish().await;
}

#[tokio::test]
async fn reversals_stop_at_what_was_transferred() {
    let sim = Sim::start().await;
    let seller = sim.seller("manual").await;
    sim.fund("5000").await;
    let transfer = sim.transfer("5000", &seller).await.ok().id().to_owned();
    let path = format!("/v1/transfers/{transfer}/reversals");
    let form = [
        ("amount", "2000"),
        ("expand[]", "balance_transaction"),
        ("expand[]", "destination_payment_refund.balance_transaction"),
    ];
    let reversal = sim.post(&path, &form).await.ok().body;
    assert_eq!(reversal["balance_transaction"]["net"], 2_000);
    assert_eq!(reversal["balance_transaction"]["type"], "transfer_refund");
    let refund = &reversal["destination_payment_refund"];
    assert!(refund["id"].as_str().is_some_and(|id| id.starts_with("pyr_")));
    assert_eq!(
        (&refund["balance_transaction"]["net"], &refund["balance_transaction"]["type"]),
        (&(-2_000).into(), &"payment_refund".into())
    );
    assert_eq!(sim.reverse(&transfer, "3001").await.error(), (400, "invalid_request_error", "", "amount"));
    assert_eq!(sim.post(&path, &[]).await.ok().body["amount"], 3_000);
    assert_eq!(sim.reverse(&transfer, "1").await.status, 400);
    let shown = sim.get(&format!("/v1/transfers/{transfer}")).await.ok().body;
    assert_eq!((&shown["amount_reversed"], &shown["reversed"]), (&5_000.into(), &true.into()));
    assert_eq!(shown["reversals"]["data"].as_array().map(Vec::len), Some(2));
    let id = reversal["id"].as_str().expect("an id");
    assert_eq!(sim.get(&format!("{path}/{id}")).await.ok().body["amount"], 2_000);
    assert_eq!(sim.get(&path).await.ok().body["data"].as_array().map(Vec::len), Some(2));
    sim.finish().await;
}

#[tokio::test]
async fn a_switch_refuses_reversals_that_are_not_covered() {
    let sim = Sim::start().await;
    let seller = sim.seller("daily").await;
    sim.fund("5000").await;
    let transfer = sim.transfer("5000", &seller).await.ok().id().to_owned();
    sim.control.advance(DAY).await.expect("the payout is made");
    let mut settings = sim.control.settings();
    settings.reversal_when_short = partita_simulator::ReversalWhenShort::Refuse;
    sim.control.set_settings(settings).await.expect("settings are set");
    assert_eq!(sim.reverse(&transfer, "1000").await.error().2, "balance_insufficient");
    assert_eq!(sim.balance(Some(&seller)).await, (0, 0, 0));
    sim.finish().await;
}

#[tokio::test]
async fn concurrent_transfers_never_pass_the_balance() {
    let sim = Sim::start().await;
    let sellers = [sim.seller("manual").await, sim.seller("manual").await];
    sim.fund("1000").await;
    let tries = (0..20).map(|n| sim.transfer("400", &sellers[n % 2]));
    let replies = futures::future::join_all(tries).await;
    assert_eq!(replies.iter().filter(|r| r.status == 200).count(), 2);
    assert!(replies.iter().filter(|r| r.status != 200).all(|r| r.error().2 == "balance_insufficient"));
    assert_eq!(sim.balance(None).await, (2_00, 0, 0));
    sim.finish().await;
}

#[tokio::test]
async fn concurrent_transfers_in_both_directions_keep_the_books() {
    let sim = Sim::start().await;
    sim.fund("100000").await;
    let (a, b) = (sim.seller("daily").await, sim.seller("daily").await);
    let ids: Vec<String> = futures::future::join_all([&a, &b].map(|seller| sim.transfer("10000", seller)))
        .await
        .into_iter()
        .map(|reply| reply.ok().id().to_owned())
        .collect();
    let ids = &ids;
    let work = (0..40).map(|n| {
        let (sim, seller) = (&sim, if n % 2 == 0 { &a } else { &b });
        async move {
            match n % 4 {
                0 | 1 => sim.transfer("700", seller).await,
                2 => sim.reverse(&ids[n % 2], "500").await,
                _ => sim.reverse(&ids[1], "300").await,
            }
        }
    });
    for reply in futures::future::join_all(work).await {
        reply.ok();
    }
    assert_eq!(sim.balance(None).await.0, 1_000_00 - 200_00 - 20 * 7_00 + 10 * 5_00 + 10 * 3_00);
    sim.finish().await;
}
