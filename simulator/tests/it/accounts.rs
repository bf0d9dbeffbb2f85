//! Connected accounts.

use crate::support::{Sim, Sink, kinds};

#[tokio::test]
async fn a_new_account_is_restricted_until_its_seller_has_told_everything() {
    let sim = Sim::start().await;
    let sink = Sink::start().await;
    sink.register(&sim.control, true).await;
    let form = [
        ("controller[fees][payer]", "application"),
        ("controller[losses][payments]", "application"),
        ("controller[stripe_dashboard][type]", "express"),
        ("country", "FR"),
        ("email", "seller@example.com"),
        ("business_type", "individual"),
        ("default_currency", "eur"),
        ("capabilities[card_payments][requested]", "true"),
        ("capabilities[transfers][requested]", "true"),
        ("settings[payouts][schedule][interval]", "manual"),
        ("metadata[op_id]", "op_1"),
    ];
    let account = sim.post("/v1/accounts", &form).await.ok();
    let body = &account.body;
    assert_eq!((&body["charges_enabled"], &body["payouts_enabled"]), (&false.into(), &false.into()));
    assert_eq!(body["capabilities"]["transfers"], "inactive");
    assert_eq!(body["requirements"]["disabled_reason"], "requirements.past_due");
    assert!(body["requirements"]["currently_due"].as_array().is_some_and(|due| due.len() > 3));
    assert_eq!((&body["type"], &body["country"]), (&"express".into(), &"FR".into()));
    assert_eq!(body["controller"]["losses"]["payments"], "application");
    assert_eq!(body["settings"]["payouts"]["schedule"]["interval"], "manual");
    assert_eq!(body["metadata"]["op_id"], "op_1");
    sim.control.complete_onboarding(account.id()).await.expect("onboarding");
    let body = sim.get(&format!("/v1/accounts/{}", account.id())).await.ok().body;
    for field in ["charges_enabled", "payouts_enabled", "details_submitted"] {
        assert_eq!(body[field], true, "{field}");
    }
    assert_eq!(body["capabilities"]["transfers"], "active");
    assert_eq!(body["requirements"]["currently_due"].as_array().map(Vec::len), Some(0));
    assert_eq!(body["external_accounts"]["data"][0]["last4"], "3000");
    sim.control.flush_webhooks().await.expect("a flush");
    let received = sink.take();
    assert_eq!(kinds(&received), ["account.external_account.created", "account.updated"]);
    assert_eq!(received[1].event()["account"], account.body["id"]);
    sim.finish().await;
}

#[tokio::test]
async fn an_account_can_be_changed_and_is_listed() {
    let sim = Sim::start().await;
    let seller = sim.seller("daily").await;
    let form = [
        ("settings[payouts][schedule][interval]", "manual"),
        ("metadata[shelf]", "7"),
        ("business_profile[url]", "https://example.com"),
    ];
    let changed = sim.post(&format!("/v1/accounts/{seller}"), &form).await.ok().body;
    assert_eq!(changed["settings"]["payouts"]["schedule"]["interval"], "manual");
    assert_eq!(changed["metadata"]["shelf"], "7");
    let cleared = sim.post(&format!("/v1/accounts/{seller}"), &[("metadata[shelf]", "")]).await.ok().body;
    assert!(cleared["metadata"].get("shelf").is_none());
    let listed = sim.get("/v1/accounts").await.ok().body;
    assert_eq!(listed["data"].as_array().map(Vec::len), Some(1));
    assert_eq!(listed["data"][0]["id"], seller.as_str());
    let own = sim.get("/v1/account").await.ok().body;
    assert_eq!(own["id"], sim.control.platform_account());
    assert_eq!(own["settings"]["payouts"]["schedule"]["interval"], "manual");
    let theirs = sim.get_as(&seller, "/v1/account").await.ok().body;
    assert_eq!(theirs["id"], seller.as_str());
    assert_eq!(sim.get("/v1/accounts/acct_nobody").await.error().2, "account_invalid");
    sim.finish().await;
}

#[tokio::test]
async fn bad_accounts_are_refused() {
    let sim = Sim::start().await;
    for (form, param) in [
        ([("type", "express"), ("country", "Germany")], "country"),
        ([("type", "express"), ("email", "nobody")], "email"),
        ([("type", "gold"), ("country", "DE")], "type"),
        ([("type", "express"), ("capabilities[flying][requested]", "true")], "capabilities[flying]"),
        (
            [("type", "express"), ("settings[payouts][schedule][interval]", "hourly")],
            "settings[payouts][schedule][interval]",
        ),
    ] {
        let reply = sim.post("/v1/accounts", &form).await;
        assert_eq!((reply.status, reply.error().3), (400, param), "{}", reply.text);
    }
    sim.finish().await;
}
