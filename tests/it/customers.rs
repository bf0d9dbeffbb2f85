//! Buyers who come again: methods saved, confirmed, refused, detached, and charged while the buyer is there and away.

use partita_simulator::FaultKind;
use serde_json::{Value, json};

use crate::support::{cart, item};
use crate::test_app::{Answer, TestApp, text};

async fn customer(t: &TestApp, reference: &str) -> Value {
    let customer = t.post("/v1/customers", reference, json!({"reference": reference})).await.expect(201);
    assert_eq!(customer["status"], "active");
    customer
}

async fn save(t: &TestApp, key: &str, customer: &Value, token: &str) -> Answer {
    t.post("/v1/payment_methods", key, json!({"customer": customer["id"], "token": token})).await
}

fn paid_by(reference: &str, seller: &Value, method: &Value, off_session: bool) -> Value {
    let mut cart = cart(reference, "EUR", &[item(seller, 50_00)]);
    (cart["payment_method"], cart["off_session"]) = (method["id"].clone(), json!(off_session));
    cart
}

fn path(method: &Value, what: &str) -> String {
    format!("/v1/payment_methods/{}{what}", text(&method["id"]))
}

/// The types of the events of customers and methods, oldest first.
async fn told(t: &TestApp) -> Vec<String> {
    let mut kinds: Vec<String> = t.list("/v1/events").await.iter().map(|event| text(&event["type"])).collect();
    kinds.retain(|kind| kind.starts_with("customer.") || kind.starts_with("payment_method."));
    kinds.reverse();
    kinds
}

#[tokio::test(flavor = "multi_thread")]
async fn a_saved_method_is_charged_again_and_again_until_it_is_detached() {
    let t = TestApp::new().await;
    let a = t.seller("A", "DE", "EUR", "manual").await;
    let buyer = customer(&t, "buyer-7").await;
    let saved = save(&t, "save-1", &buyer, "pm_card_visa").await.expect(201);
    assert_eq!((&saved["status"], &saved["type"], &saved["customer"]), (&json!("saved"), &json!("card"), &buyer["id"]));
    assert_eq!((&saved["card"]["brand"], &saved["card"]["last4"]), (&json!("visa"), &json!("4242")));
    assert_eq!(save(&t, "save-1", &buyer, "pm_card_visa").await.expect(201), saved, "the first answer");
    t.settle().await;

    for (reference, off_session) in [("order-1", false), ("order-2", true), ("order-3", true)] {
        let payment = t.pay(paid_by(reference, &a, &saved, off_session)).await;
        assert_eq!((&payment["saved_payment_method"], &payment["customer"]), (&saved["id"], &buyer["id"]));
        assert_eq!(
            (&payment["off_session"], &payment["payment_method"]),
            (&json!(off_session), &saved["provider"]["id"])
        );
        let intent = format!("/v1/payment_intents/{}", text(&payment["provider"]["id"]));
        assert_eq!(t.at_provider("GET", &intent, &[]).await["customer"], buyer["provider"]["id"]);
    }

    let detached = t.post(&path(&saved, "/detach"), "det-1", json!({})).await.expect(200);
    assert_eq!(detached["status"], "detached");
    assert_eq!(t.post(&path(&saved, "/detach"), "det-1", json!({})).await.expect(200), detached, "the first answer");
    let again = t.post(&path(&saved, "/detach"), "det-2", json!({})).await.expect(409);
    assert_eq!(again["detail"], "A payment method that is detached cannot be detached.");
    let refused = t.post("/v1/payments", "order-4", paid_by("order-4", &a, &saved, true)).await.expect(422);
    assert_eq!(
        (&refused["errors"][0]["pointer"], &refused["errors"][0]["code"]),
        (&json!("#/payment_method"), &json!("not_allowed"))
    );
    assert!(t.list("/v1/payment_methods?status=saved").await.is_empty());
    t.settle().await;
    assert_eq!(
        told(&t).await,
        [
            "customer.created",
            "customer.activated",
            "payment_method.created",
            "payment_method.saved",
            "payment_method.detached"
        ]
    );
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_method_that_is_saved_again_is_told_as_the_one_it_is_and_leaves_nothing_open() {
    let t = TestApp::new().await;
    let buyer = customer(&t, "buyer-7").await;
    let saved = save(&t, "save-1", &buyer, "pm_card_visa").await.expect(201);
    let token = text(&saved["provider"]["id"]);
    for key in ["save-2", "save-3"] {
        save(&t, key, &buyer, &token).await;
        t.settle().await;
    }
    let failed = t.list("/v1/payment_methods?status=failed").await;
    assert_eq!(failed.len(), 2);
    assert_eq!(failed[0]["failure"]["code"], "payment_method_saved_already", "{:#}", failed[0]);
    let all_saved = t.list("/v1/payment_methods?status=saved").await;
    assert_eq!((all_saved.len(), &all_saved[0]["id"]), (1, &saved["id"]));
    let open = "select count(*) from operations where state not in ('succeeded', 'failed')";
    assert_eq!(t.count(open).await, 0);
    assert_eq!(t.count("select count(*) from inbox_events where state in ('received', 'parked')").await, 0);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_buyer_who_is_away_and_must_confirm_is_a_402_that_says_the_way_on() {
    let t = TestApp::new().await;
    let a = t.seller("A", "DE", "EUR", "manual").await;
    let buyer = customer(&t, "buyer-7").await;
    let body = json!({
        "customer": buyer["id"], "token": "pm_card_authenticationRequired", "return_url": "https://market.example/back",
    });
    let waiting = t.post("/v1/payment_methods", "save-1", body).await.expect(201);
    assert_eq!((&waiting["status"], &waiting["card"]), (&json!("requires_action"), &Value::Null));
    let early = t.post("/v1/payments", "early", paid_by("early", &a, &waiting, true)).await.expect(422);
    assert_eq!(early["errors"][0]["detail"], "a payment method that is requires_action cannot be charged");
    let action = t.get(&path(&waiting, "/client_action")).await;
    assert_eq!(action["kind"], "redirect");
    let setup = text(&action["client_secret"]);
    let setup = setup.split_once("_secret_").expect("an id and a secret").0;
    t.control.authenticate_setup(setup, true).await.expect("it waits");
    // No webhook has come: the buyer is back, and the provider is asked.
    let over = t.send("GET", &path(&waiting, "/client_action"), None, None).await.expect(409);
    assert_eq!(over["detail"], "The payment method is saved: its buyer has nothing to do.");

    let away = t.post("/v1/payments", "order-1", paid_by("order-1", &a, &waiting, true)).await.expect(402);
    assert_eq!((&away["code"], &away["object"]["status"]), (&json!("buyer_authentication_required"), &json!("failed")));
    assert_eq!(away["provider"]["code"], "authentication_required");
    assert_eq!(t.post("/v1/payments", "order-1", paid_by("order-1", &a, &waiting, true)).await.expect(402), away);
    t.settle().await;
    let mut there = paid_by("order-2", &a, &waiting, false);
    there["return_url"] = json!("https://market.example/back");
    let there = t.post("/v1/payments", "order-2", there).await.expect(201);
    assert_eq!(there["status"], "requires_action");
    t.control.authenticate(&text(&there["provider"]["id"]), true).await.expect("it waits");
    t.settle().await;
    assert_eq!(t.payment(&there).await["status"], "succeeded");
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_method_that_is_refused_or_not_confirmed_is_not_saved() {
    let t = TestApp::new().await;
    let buyer = customer(&t, "buyer-7").await;
    let refused = save(&t, "save-1", &buyer, "pm_card_chargeDeclinedExpiredCard").await.expect(402);
    assert_eq!(
        (&refused["code"], &refused["provider"]["code"]),
        (&json!("payment_method_refused"), &json!("expired_card"))
    );
    assert_eq!(refused["object"]["status"], "failed");
    let waiting = save(&t, "save-2", &buyer, "pm_card_authenticationRequired").await.expect(201);
    t.settle().await;
    let action = t.get(&path(&waiting, "/client_action")).await;
    assert_eq!((&action["kind"], &action["redirect_url"]), (&json!("script"), &Value::Null));
    let setup = text(&action["client_secret"]);
    t.control.authenticate_setup(setup.split_once("_secret_").expect("both").0, false).await.expect("it waits");
    t.settle().await;
    let failed = t.get(&path(&waiting, "")).await;
    assert_eq!(
        (&failed["status"], &failed["failure"]["code"]),
        (&json!("failed"), &json!("setup_intent_authentication_failure"))
    );
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_were_lost_are_found_and_nothing_is_made_twice() {
    let t = TestApp::new().await;
    t.next_post_fails(FaultKind::AnswerLost, "/v1/customers");
    let open = t.post("/v1/customers", "buyer-7", json!({"reference": "buyer-7"})).await.expect(202);
    let early = save(&t, "early", &open, "pm_card_visa").await.expect(422);
    assert_eq!(early["errors"][0]["pointer"], "#/customer");
    // An error that the provider keeps under the key: the customer is found by its mark.
    t.advance(60).await;
    let buyer = t.get(&format!("/v1/customers/{}", text(&open["id"]))).await;
    assert_eq!(buyer["status"], "active");
    t.next_post_fails(FaultKind::ErrorAfter, "/v1/setup_intents");
    let open = save(&t, "save-1", &buyer, "pm_card_visa").await.expect(202);
    assert_eq!(open["status"], "processing");
    t.advance(60).await;
    let saved = t.get(&path(&open, "")).await;
    assert_eq!(saved["status"], "saved");
    t.next_post_fails(FaultKind::AnswerLost, "/v1/payment_methods");
    t.post(&path(&saved, "/detach"), "det-1", json!({})).await.expect(202);
    t.advance(60).await;
    assert_eq!(t.get(&path(&saved, "")).await["status"], "detached");
    for what in ["/v1/customers", "/v1/setup_intents", "/v1/payment_methods"] {
        assert_eq!(t.effects(what).await, 1, "{what}");
    }
    t.assert_no_double_effect().await;
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_twenty_requests_to_detach_one_takes_effect_and_what_the_dashboard_detaches_is_heard_of() {
    let t = TestApp::new().await;
    let buyer = customer(&t, "buyer-7").await;
    let saved = save(&t, "save-1", &buyer, "pm_card_visa").await.expect(201);
    let ask = |number: usize| {
        let (t, path) = (&t, path(&saved, "/detach"));
        async move { t.post(&path, &format!("at-once-{number}"), json!({})).await.status }
    };
    let mut statuses = futures::future::join_all((0..20).map(ask)).await;
    statuses.sort_unstable();
    assert_eq!(statuses, [vec![200], vec![409; 19]].concat());
    let other = save(&t, "save-2", &buyer, "pm_card_mastercard").await.expect(201);
    let method = text(&other["provider"]["id"]);
    t.at_provider("POST", &format!("/v1/payment_methods/{method}/detach"), &[]).await;
    t.settle().await;
    assert_eq!(t.get(&path(&other, "")).await["status"], "detached");
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_names_no_customer_or_a_strangers_method_is_refused_and_says_where() {
    let t = TestApp::new().await;
    let a = t.seller("A", "DE", "EUR", "manual").await;
    let (buyer, other) = (customer(&t, "buyer-7").await, customer(&t, "buyer-8").await);
    let saved = save(&t, "save-1", &buyer, "pm_card_visa").await.expect(201);
    t.settle().await;
    let taken = t.post("/v1/customers", "again", json!({"reference": "buyer-7"})).await.expect(409);
    assert_eq!(taken["code"], "reference_taken");
    let counts = t.row_counts().await;
    let nobody = "cst_01jd9z6x5sf1vb3vsy3p0gq6ra";
    let unknown = json!({"customer": nobody, "token": "pm_card_visa"});
    let problem = t.post("/v1/payment_methods", "bad", unknown).await.expect(422);
    assert_eq!(problem["errors"][0]["pointer"], "#/customer");
    let cart = |change: fn(&mut Value, &Value), with: &Value| {
        let mut cart = paid_by("order-1", &a, &saved, false);
        change(&mut cart, with);
        cart
    };
    let table = [
        (cart(|cart, with| cart["customer"] = with["id"].clone(), &other), "#/payment_method", "not_allowed"),
        (
            cart(|cart, _| cart["customer"] = json!("cst_01jd9z6x5sf1vb3vsy3p0gq6ra"), &other),
            "#/payment_method",
            "not_allowed",
        ),
        (
            cart(|cart, _| cart["payment_method"] = json!("pmt_01jd9z6x5sf1vb3vsy3p0gq6ra"), &other),
            "#/payment_method",
            "unknown_reference",
        ),
        (
            cart(
                |cart, _| {
                    cart["payment_method"] = json!("pm_card_visa");
                    cart["off_session"] = json!(true);
                },
                &other,
            ),
            "#/off_session",
            "not_allowed",
        ),
        (
            cart(
                |cart, _| {
                    cart["return_url"] = json!("https://market.example/back");
                    cart["off_session"] = json!(true);
                },
                &other,
            ),
            "#/return_url",
            "not_allowed",
        ),
    ];
    for (number, (body, pointer, code)) in table.into_iter().enumerate() {
        let problem = t.post("/v1/payments", &format!("bad-{number}"), body.clone()).await.expect(422);
        let error = &problem["errors"][0];
        assert_eq!((&error["pointer"], &error["code"]), (&json!(pointer), &json!(code)), "{body}");
    }
    assert_eq!(t.row_counts().await, counts, "nothing was stored");
    // A known buyer may pay by a token that is not saved.
    let mut with_token = paid_by("order-2", &a, &saved, false);
    (with_token["payment_method"], with_token["customer"]) = (json!("pm_card_visa"), other["id"].clone());
    let paid = t.pay(with_token).await;
    assert_eq!((&paid["customer"], &paid["saved_payment_method"]), (&other["id"], &Value::Null));
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_cannot_name_a_method_of_another_customer_in_the_database_either() {
    let t = TestApp::new().await;
    let a = t.seller("A", "DE", "EUR", "manual").await;
    let (buyer, _) = (customer(&t, "buyer-7").await, customer(&t, "buyer-8").await);
    let saved = save(&t, "save-1", &buyer, "pm_card_visa").await.expect(201);
    t.pay(paid_by("order-1", &a, &saved, false)).await;
    let admin = t.admin().await;
    for (sql, constraint) in [
        ("update payments set customer_id = null", "payments_saved_method_has_customer"),
        (
            "update payments set customer_id = (select id from customers where reference = 'buyer-8')",
            "payments_saved_method_of_customer",
        ),
    ] {
        // As the service: in a book.
        let mut tx = admin.begin().await.expect("a transaction");
        let book = format!("set local partita.book = '{}'", t.book.id);
        sqlx::query(sqlx::AssertSqlSafe(book)).execute(&mut *tx).await.expect("a book");
        let refused = sqlx::query(sql).execute(&mut *tx).await.expect_err(sql);
        let error = refused.into_database_error().expect("of the database");
        assert_eq!(error.constraint(), Some(constraint), "{sql}: {error}");
    }
    admin.close().await;
    t.finish().await;
}
