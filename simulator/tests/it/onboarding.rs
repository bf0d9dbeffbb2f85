//! The hosted onboarding page, filled in as a browser would.

use crate::support::{Reply, Sim};

const RETURN: &str = "http://localhost:9/return";
const REFRESH: &str = "http://localhost:9/refresh";

async fn fresh(sim: &Sim) -> (String, String) {
    let form = [("type", "express"), ("country", "DE"), ("capabilities[transfers][requested]", "true")];
    let account = sim.post("/v1/accounts", &form).await.ok().id().to_owned();
    let url = link(sim, &account).await;
    (account, url)
}

async fn link(sim: &Sim, account: &str) -> String {
    let form = [("account", account), ("refresh_url", REFRESH), ("return_url", RETURN), ("type", "account_onboarding")];
    let link = sim.post("/v1/account_links", &form).await.ok().body;
    assert_eq!(link["expires_at"].as_i64().zip(link["created"].as_i64()).map(|(e, c)| e - c), Some(300));
    link["url"].as_str().expect("an address").to_owned()
}

fn session(page: &Reply) -> String {
    let after = page.text.split("name=\"session\" value=\"").nth(1).expect("a session in the form");
    after.split('"').next().expect("its end").to_owned()
}

async fn submit(sim: &Sim, url: &str, session: &str, bank_account: &str, action: &str) -> Reply {
    let form = [
        ("session", session),
        ("business_type", "individual"),
        ("name", "Ada <Lovelace>"),
        ("line1", "Example Street 1"),
        ("postal_code", "10115"),
        ("city", "Berlin"),
        ("bank_account", bank_account),
        ("terms", "yes"),
        ("action", action),
    ];
    sim.send(sim.http.post(url).form(&form)).await
}

#[tokio::test]
async fn a_person_fills_the_form_in_and_may_be_paid() {
    let sim = Sim::start().await;
    let (account, url) = fresh(&sim).await;
    assert_eq!(sim.send(sim.http.head(&url)).await.status, 200, "a preview does not use the link up");
    let page = sim.send(sim.http.get(&url)).await;
    assert_eq!((page.status, page.header("referrer-policy")), (200, Some("no-referrer")));
    assert!(page.text.contains("<html lang=\"en\">") && page.text.contains(&account));
    for id in ["name", "line1", "postal_code", "city", "bank_account"] {
        assert!(page.text.contains(&format!("<label for=\"{id}\">")), "a label for {id}");
    }
    let wrong = submit(&sim, &url, &session(&page), "12", "finish").await;
    assert_eq!(wrong.status, 422);
    assert!(wrong.text.contains("role=\"alert\"") && wrong.text.contains("href=\"#bank_account\""));
    assert!(wrong.text.contains("Ada &#60;Lovelace&#62;"), "what was typed is kept, escaped: {}", wrong.text);
    let done = submit(&sim, &url, &session(&wrong), "DE89 3704 0044 0532 0130 00", "finish").await;
    assert_eq!((done.status, done.header("location")), (303, Some(RETURN)));
    let body = sim.get(&format!("/v1/accounts/{account}")).await.ok().body;
    assert_eq!((&body["payouts_enabled"], &body["capabilities"]["transfers"]), (&true.into(), &"active".into()));
    assert_eq!(body["external_accounts"]["data"][0]["last4"], "3000");
    let again = submit(&sim, &url, &session(&page), "DE89370400440532013000", "finish").await;
    assert_eq!((again.status, again.header("location")), (303, Some(RETURN)));
    let body = sim.get(&format!("/v1/accounts/{account}")).await.ok().body;
    assert_eq!(body["external_accounts"]["data"].as_array().map(Vec::len), Some(1), "sent twice, done once");
    sim.finish().await;
}

#[tokio::test]
async fn coming_back_is_not_having_finished() {
    let sim = Sim::start().await;
    let (account, url) = fresh(&sim).await;
    let page = sim.send(sim.http.get(&url)).await;
    let later = submit(&sim, &url, &session(&page), "", "later").await;
    assert_eq!((later.status, later.header("location")), (303, Some(RETURN)));
    assert_eq!(sim.get(&format!("/v1/accounts/{account}")).await.ok().body["details_submitted"], false);
    sim.finish().await;
}

#[tokio::test]
async fn a_link_opens_once_and_not_late() {
    let sim = Sim::start().await;
    let (account, url) = fresh(&sim).await;
    let page = sim.send(sim.http.get(&url)).await;
    let second = sim.send(sim.http.get(&url)).await;
    assert_eq!((second.status, second.header("location")), (303, Some(REFRESH)));
    let forged = submit(&sim, &url, "guess", "DE89370400440532013000", "finish").await;
    assert_eq!(forged.header("location"), Some(REFRESH));
    assert_eq!(sim.get(&format!("/v1/accounts/{account}")).await.ok().body["details_submitted"], false);
    let late = link(&sim, &account).await;
    sim.control.advance(300).await.expect("time passes");
    let reply = sim.send(sim.http.get(&late)).await;
    assert_eq!(reply.header("location"), Some(REFRESH));
    assert_eq!(sim.send(sim.http.get(sim.url("/connect/onboarding/nothing"))).await.status, 404);
    sim.control.advance(3_600).await.expect("time passes");
    let overdue = submit(&sim, &url, &session(&page), "DE89370400440532013000", "finish").await;
    assert_eq!(overdue.header("location"), Some(REFRESH));
    sim.finish().await;
}

#[tokio::test]
async fn bad_links_are_refused() {
    let sim = Sim::start().await;
    let seller = sim.seller("manual").await;
    let link = async |account: &str, refresh: &str, kind: &str| {
        let form = [("account", account), ("refresh_url", refresh), ("return_url", RETURN), ("type", kind)];
        sim.post("/v1/account_links", &form).await
    };
    assert_eq!(link("acct_nobody", REFRESH, "account_onboarding").await.error().2, "resource_missing");
    assert_eq!(link(&seller, "javascript:alert(1)", "account_onboarding").await.error().2, "url_invalid");
    assert_eq!(link(&seller, REFRESH, "holiday").await.error().3, "type");
    sim.finish().await;
}
