//! Doubt: what becomes of a command when nobody can tell whether it had its effect.

use partita::platforms::{self, SCOPES};
use partita::worker;
use partita_simulator::{Fault, FaultKind, Settings};
use serde_json::{Value, json};

use crate::recovery::{drive, plan_payment};
use crate::support::{cart, item, taxed};
use crate::test_app::{Answer, DAY, TestApp, text};

const HOUR: i64 = 3_600;

/// Time passes, and work is done every three seconds for a minute, then every minute: retries come after seconds.
pub(crate) async fn pass(t: &TestApp, minutes: i64) {
    for _ in 0..20 {
        t.advance(3).await;
    }
    for _ in 1..minutes {
        t.advance(60).await;
    }
}

/// A seller whose share of a payment has been charged; the money becomes usable within three days.
async fn charged(t: &TestApp) -> (Value, Value) {
    t.default_fee(1_000).await;
    let a = t.seller("A", "DE", "EUR", "manual").await;
    t.top_up("float", 200_00, "EUR").await;
    let payment = t.pay(cart("order-1", "EUR", &[taxed(&a, 60_00, 12_00)])).await;
    (a, payment)
}

pub(crate) async fn only_operation(t: &TestApp, filter: &str) -> Value {
    let mut found = t.list(&format!("/v1/operations?{filter}")).await;
    assert_eq!(found.len(), 1, "{found:#?}");
    let id = text(&found.remove(0)["id"]);
    t.get(&format!("/v1/operations/{id}")).await
}

/// The provider keeps an error under the key although nothing happened: both posts of attempts 1 and 2 get it.
async fn pay_into_a_kept_error(t: &TestApp, seller: &Value, reference: &str, amount: i64) -> Value {
    t.next_post_fails(FaultKind::ErrorBefore, "/v1/payment_intents");
    let cart = cart(reference, "EUR", &[item(seller, amount)]);
    let payment = t.post("/v1/payments", reference, cart).await.expect(202);
    pass(t, 1).await;
    payment
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_that_the_provider_keeps_is_looked_up_twice_and_then_sent_under_a_new_key() {
    let t = TestApp::new().await;
    let a = t.seller("A", "DE", "EUR", "manual").await;
    let payment = pay_into_a_kept_error(&t, &a, "order-1", 60_00).await;
    let operation = only_operation(&t, "state=unknown").await;
    assert_eq!((&operation["generation"], &operation["attempts"]), (&json!(1), &json!(3)), "{operation:#}");
    assert_eq!(operation["last_error"], "the provider has no object of it yet");
    pass(&t, 5).await;
    assert_eq!(t.payment(&payment).await["status"], "processing", "one look-up settles nothing");
    assert_eq!(t.effects("/v1/payment_intents").await, 0);

    pass(&t, 6).await;
    assert_eq!(t.payment(&payment).await["status"], "succeeded");
    assert_eq!(t.effects("/v1/payment_intents").await, 1);
    let operation = t.get(&format!("/v1/operations/{}", text(&operation["id"]))).await;
    assert_eq!((&operation["generation"], &operation["state"]), (&json!(2), &json!("succeeded")));
    let story: Vec<String> =
        operation["history"].as_array().expect("steps").iter().map(|step| text(&step["text"])).collect();
    assert!(story[0].contains("stored and is being sent"), "{story:#?}");
    assert!(story.iter().any(|line| line.starts_with("Nobody can tell what became of attempt 1: HTTP 500")));
    assert!(story.iter().any(|line| line.contains("sent again under a new key")), "{story:#?}");
    assert_eq!(story.last().map(String::as_str), Some("The provider did it."));
    let timeline = t.get(&format!("/v1/payments/{}/timeline", text(&payment["id"]))).await;
    let of: Vec<&Value> = timeline["data"].as_array().expect("a list").iter().map(|change| &change["of"]).collect();
    assert!(of.contains(&&json!("operation")) && of.contains(&&json!("payment")));
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_look_up_prolongs_its_lease_so_that_its_end_counts() {
    let t = TestApp::new().await;
    let a = t.seller("A", "DE", "EUR", "manual").await;
    let payment = pay_into_a_kept_error(&t, &a, "order-1", 60_00).await;
    // The second look-up is the one that settles it: a page of its list comes late.
    t.control.set_settings(Settings { hang_ms: 11_500, ..t.control.settings() }).await.expect("lawful settings");
    let (method, path) = ("GET".to_owned(), "/v1/payment_intents".to_owned());
    t.control.plan_fault(Fault { kind: FaultKind::HangBefore, method, path, times: 1 });
    t.move_clocks(11 * 60).await;
    let app = std::sync::Arc::clone(&t.app);
    let working = tokio::spawn(async move { worker::step(&app).await });
    // Leases are the database's time, which no test moves.
    tokio::time::sleep(std::time::Duration::from_millis(10_700)).await;
    let left = "select coalesce(max(extract(epoch from lease_until - clock_timestamp())), 0)::bigint from operations";
    let left = t.count(left).await;
    assert!((33..=40).contains(&left), "of 40 s {left} are left, 10 s after they were given");
    working.await.expect("no panic").expect("done");
    t.settle().await;
    assert_eq!(t.payment(&payment).await["status"], "succeeded");
    assert_eq!(t.effects("/v1/payment_intents").await, 1);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_effect_behind_a_kept_error_is_found_without_any_webhook() {
    let t = TestApp::new().await;
    let (_, payment) = charged(&t).await;
    // No webhook comes any more.
    for endpoint in t.control.endpoints() {
        t.control.remove_endpoint(&endpoint.id).await.expect("removed");
    }
    t.next_post_fails(FaultKind::ErrorAfter, "/v1/transfers");
    t.advance(4 * DAY).await;
    pass(&t, 2).await;
    assert_eq!(t.balances().await["conn.available.A EUR"], 54_00, "the transfer");
    t.next_post_fails(FaultKind::ErrorAfter, "/v1/refunds");
    t.next_post_fails(FaultKind::ErrorAfter, "/v1/transfers/");
    t.post("/v1/refunds", "ret-1", json!({"payment": payment["id"], "amount": 12_00})).await.expect(202);
    t.next_post_fails(FaultKind::ErrorAfter, "/v1/topups");
    t.post("/v1/top_ups", "more", json!({"reference": "more", "amount": 9_00, "currency": "EUR"})).await.expect(202);
    t.next_post_fails(FaultKind::ErrorAfter, "/v1/accounts");
    let body = json!({"reference": "B", "email": "b@example.com", "country": "DE", "default_currency": "EUR"});
    let b = t.post("/v1/sellers", "B", body).await.expect(202);
    pass(&t, 5).await;
    assert_eq!(t.list("/v1/operations?state=unknown").await, Vec::<Value>::new());
    assert_eq!(t.balances().await["conn.available.A EUR"], 54_00 - 9_00, "the reversal");
    assert!(t.get(&format!("/v1/sellers/{}", text(&b["id"]))).await["provider"]["id"].is_string());
    assert_eq!(t.count("select max(generation)::bigint from operations").await, 1, "nothing was made again");
    t.assert_no_double_effect().await;
    t.close().await;
}

/// Stands between us and the provider, and changes the answers to POSTs.
async fn changing_provider(t: &TestApp, change: fn(Value) -> Value) -> String {
    let (base, client) = (t.connection().await.base_url, t.client.clone());
    let forward = move |request: axum::extract::Request| {
        let (base, client) = (base.clone(), client.clone());
        async move {
            let (parts, body) = request.into_parts();
            let body = axum::body::to_bytes(body, 1 << 20).await.expect("a body");
            let is_post = parts.method == "POST";
            let mut headers = parts.headers;
            headers.remove("host");
            let sent = client.request(parts.method, format!("{base}{}", parts.uri)).headers(headers).body(body);
            let answer = sent.send().await.expect("an answer");
            let status = answer.status();
            let body = answer.json::<Value>().await.expect("JSON");
            (status, axum::Json(if is_post { change(body) } else { body }))
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move { axum::serve(listener, axum::Router::new().fallback(forward)).await });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_cannot_be_booked_yet_is_read_again_by_its_id() {
    let t = TestApp::new().await;
    let a = t.seller("A", "DE", "EUR", "manual").await;
    for endpoint in t.control.endpoints() {
        t.control.remove_endpoint(&endpoint.id).await.expect("removed");
    }
    let early = changing_provider(&t, |mut payment| {
        payment["latest_charge"]["balance_transaction"] = Value::Null;
        payment
    });
    let process = t.process_towards(&early.await).await;
    let id = plan_payment(&process, &t, &a, "order-1").await;
    drive(&process, &t, id.uuid()).await;
    let operation = only_operation(&t, "state=unknown").await;
    assert!(text(&operation["provider_object"]).starts_with("pi_"), "{operation:#}");
    assert!(text(&operation["last_error"]).contains("no balance transaction"), "{operation:#}");
    process.db.close().await;
    // Nothing that is looked for by its mark would be found: the id alone leads to it.
    let lost = "update operations set command = jsonb_set(command, '{metadata,op_id}', '\"opn_of_nothing\"')
                where kind = 'create_payment'";
    assert_eq!(t.tamper(lost).await, 1);
    pass(&t, 25).await;
    assert_eq!(t.effects("/v1/payment_intents").await, 1, "never made again, whatever the lists say");
    assert_eq!(t.list("/v1/payments").await[0]["status"], "succeeded");
    let sent = t
        .count(
            "select count(*) from provider_answers a join operations o on o.id = a.operation_id
             where o.kind = 'create_payment' and a.status is not null",
        )
        .await;
    assert_eq!(sent, 1, "it was read, not sent again");
    t.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_contradicts_what_was_asked_is_for_people() {
    let t = TestApp::new().await;
    let a = t.seller("A", "DE", "EUR", "manual").await;
    for endpoint in t.control.endpoints() {
        t.control.remove_endpoint(&endpoint.id).await.expect("removed");
    }
    let dearer = changing_provider(&t, |mut payment| {
        payment["amount"] = json!(99_99);
        payment
    });
    let process = t.process_towards(&dearer.await).await;
    let id = plan_payment(&process, &t, &a, "order-1").await;
    drive(&process, &t, id.uuid()).await;
    process.db.close().await;
    let operation = only_operation(&t, "state=needs_review").await;
    assert!(text(&operation["review_reason"]).contains("instead of"), "{operation:#}");
    assert_eq!(t.list("/v1/payments").await[0]["status"], "processing", "nothing was booked");
    assert!(t.balances().await.is_empty());
    t.close().await;
}

/// Another person's key.
pub(crate) async fn second_key(t: &TestApp) -> String {
    let scopes = SCOPES.iter().map(ToString::to_string).collect();
    let (_, key) = platforms::create_key(&t.app, &t.book, "checker", scopes, None).await.expect("a key");
    key
}

pub(crate) async fn propose(t: &TestApp, operation: &Value, proposal: Value) -> Answer {
    let path = format!("/v1/operations/{}/resolution", text(&operation["id"]));
    t.send("POST", &path, None, Some(proposal)).await
}

pub(crate) async fn decide(t: &TestApp, key: &str, approval: &Value, word: &str) -> Answer {
    let path = format!("/v1/approvals/{}/{word}", text(&approval["id"]));
    t.send_as(key, "POST", &path, None, Some(json!({"reason": "looked it up"}))).await
}

/// A payment above the limit that the provider has no trace of, given up by two people.
pub(crate) async fn decided_review(t: &TestApp, seller: &Value) {
    let (_, operation) = review_of(t, seller, "doubtful").await;
    let approval = propose(t, &operation, json!({"outcome": "failed", "reason": "no trace"})).await.expect(201);
    decide(t, &second_key(t).await, &approval, "approve").await.expect(200);
}

/// A payment above the limit that the provider has no trace of.
async fn in_review(t: &TestApp) -> (Value, Value) {
    let a = t.seller("A", "DE", "EUR", "manual").await;
    review_of(t, &a, "order-1").await
}

async fn review_of(t: &TestApp, seller: &Value, reference: &str) -> (Value, Value) {
    let payment = pay_into_a_kept_error(t, seller, reference, 20_000_00).await;
    pass(t, 12).await;
    (payment, only_operation(t, "state=needs_review").await)
}

#[tokio::test(flavor = "multi_thread")]
async fn above_the_limit_two_people_decide_and_a_failure_is_undone() {
    let t = TestApp::new().await;
    let (payment, operation) = in_review(&t).await;
    assert_eq!(t.effects("/v1/payment_intents").await, 0, "not sent again on its own");
    assert!(text(&operation["review_reason"]).contains("above the amount"), "{operation:#}");
    assert_eq!(operation["next_attempt_at"], Value::Null);
    let events = t.list("/v1/events?type=operation.needs_review").await;
    assert_eq!(events[0]["data"]["object"]["target"]["id"], payment["id"]);

    let proposal = json!({"outcome": "failed", "reason": "not in the dashboard"});
    let approval = propose(&t, &operation, proposal.clone()).await.expect(201);
    assert_eq!(approval["state"], "pending");
    assert_eq!(propose(&t, &operation, proposal).await.expect(409)["code"], "state_conflict");
    let own = decide(&t, &t.key, &approval, "approve").await;
    assert_eq!(own.expect(409)["code"], "approval_of_own_proposal");
    assert_eq!(t.payment(&payment).await["status"], "processing", "nothing was done");

    let checker = second_key(&t).await;
    let done = decide(&t, &checker, &approval, "approve").await.expect(200);
    assert_eq!((&done["state"], &done["decision_reason"]), (&json!("approved"), &json!("looked it up")));
    assert_eq!(t.payment(&payment).await["status"], "failed");
    assert_eq!(t.payment(&payment).await["failure"]["code"], "resolved_by_review");
    assert_eq!(decide(&t, &checker, &approval, "reject").await.expect(409)["code"], "state_conflict");
    assert_eq!(t.list("/v1/events?type=operation.resolved").await.len(), 1);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_people_found_at_the_provider_is_booked_as_the_provider_tells_it() {
    let t = TestApp::new().await;
    let (payment, operation) = in_review(&t).await;
    let checker = second_key(&t).await;
    // Found late, for instance by the provider's support.
    let form = [
        ("amount", "2000000"),
        ("currency", "eur"),
        ("payment_method", "pm_card_visa"),
        ("confirm", "true"),
        ("automatic_payment_methods[enabled]", "true"),
        ("automatic_payment_methods[allow_redirects]", "never"),
        ("expand[]", "latest_charge"),
    ];
    let (mark, id) = (text(&payment["id"]), text(&operation["id"]));
    let mut marked = form.to_vec();
    marked.extend([("metadata[partita_object]", mark.as_str()), ("metadata[op_id]", id.as_str())]);
    let other = t.at_provider("POST", "/v1/payment_intents", &form).await;
    let wrong = json!({"outcome": "succeeded", "provider_object": other["id"], "reason": "support said so"});
    let approval = propose(&t, &operation, wrong).await.expect(201);
    let refused = decide(&t, &checker, &approval, "approve").await.expect(422);
    assert_eq!(refused["code"], "provider_refused", "an object of something else");
    let missing = json!({"outcome": "succeeded", "provider_object": "pi_missing", "reason": "typo"});
    decide(&t, &t.key, &approval, "reject").await.expect(200);
    let approval = propose(&t, &operation, missing).await.expect(201);
    assert_eq!(decide(&t, &checker, &approval, "approve").await.expect(422)["code"], "provider_refused");
    assert_eq!(t.payment(&payment).await["status"], "processing");
    decide(&t, &checker, &approval, "reject").await.expect(200);

    let found = t.at_provider("POST", "/v1/payment_intents", &marked).await;
    let failed = json!({"outcome": "failed", "reason": "nobody knew of it"});
    let approval = propose(&t, &operation, failed).await.expect(201);
    let refused = decide(&t, &checker, &approval, "approve").await.expect(409);
    assert!(text(&refused["detail"]).contains(&text(&found["id"])), "{refused:#}");
    assert_eq!(t.payment(&payment).await["status"], "processing", "what exists is not given up");
    decide(&t, &checker, &approval, "reject").await.expect(200);

    let right = json!({"outcome": "succeeded", "provider_object": found["id"], "reason": "support said so"});
    let approval = propose(&t, &operation, right).await.expect(201);
    decide(&t, &checker, &approval, "approve").await.expect(200);
    assert_eq!(t.payment(&payment).await["status"], "succeeded");
    assert_eq!(t.payment(&payment).await["provider"]["id"], found["id"]);
    // The other one is nobody's: taken back, so that the books can be compared.
    t.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proposal_that_nobody_decides_expires() {
    let t = TestApp::new().await;
    let (_, operation) = in_review(&t).await;
    let proposal = json!({"outcome": "failed", "reason": "not in the dashboard"});
    let first = propose(&t, &operation, proposal.clone()).await.expect(201);
    t.advance(DAY).await;
    let checker = second_key(&t).await;
    assert_eq!(decide(&t, &checker, &first, "approve").await.expect(409)["code"], "state_conflict");
    assert_eq!(t.get(&format!("/v1/approvals/{}", text(&first["id"]))).await["state"], "expired");
    assert_eq!(t.list("/v1/approvals?state=pending").await, Vec::<Value>::new());
    let second = propose(&t, &operation, proposal).await.expect(201);
    decide(&t, &checker, &second, "approve").await.expect(200);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_maker_cannot_be_the_checker_in_the_database_either() {
    let t = TestApp::new().await;
    let (_, operation) = in_review(&t).await;
    let approval = propose(&t, &operation, json!({"outcome": "failed", "reason": "no trace"})).await.expect(201);
    let pool = sqlx::PgPool::connect(&t.database.app_url).await.expect("connected");
    let mut tx = pool.begin().await.expect("a transaction");
    let book = format!("set local partita.book = '{}'", t.book.id.get());
    sqlx::query(sqlx::AssertSqlSafe(book)).execute(&mut *tx).await.expect("set");
    let forged = "update approvals set state = 'approved', decided_by = made_by, decided_at = now()";
    let error = sqlx::query(forged).execute(&mut *tx).await.expect_err("refused");
    assert!(error.to_string().contains("approvals_maker_is_not_checker"), "{error}");
    tx.rollback().await.expect("rolled back");
    pool.close().await;
    decide(&t, &second_key(&t).await, &approval, "approve").await.expect(200);
    t.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_objects_of_one_command_are_for_people() {
    let t = TestApp::new().await;
    let (_, payment) = charged(&t).await;
    for endpoint in t.control.endpoints() {
        t.control.remove_endpoint(&endpoint.id).await.expect("removed");
    }
    t.next_post_fails(FaultKind::ErrorAfter, "/v1/topups");
    let body = json!({"reference": "more", "amount": 9_00, "currency": "EUR"});
    t.post("/v1/top_ups", "more", body).await.expect(202);
    // A bug of ours or of somebody's makes a second one with the same mark.
    let operation = only_operation(&t, "state=unknown").await;
    let (id, object) = (text(&operation["id"]), text(&operation["target"]["id"]));
    let form = [
        ("amount", "900"),
        ("currency", "eur"),
        ("metadata[op_id]", id.as_str()),
        ("metadata[partita_object]", object.as_str()),
    ];
    t.at_provider("POST", "/v1/topups", &form).await;
    pass(&t, 5).await;
    let operation = only_operation(&t, "state=needs_review").await;
    assert!(text(&operation["review_reason"]).contains("several objects"), "{operation:#}");
    assert_eq!(t.payment(&payment).await["status"], "succeeded");
    t.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_key_is_looked_up_and_what_is_found_is_taken() {
    let t = TestApp::new().await;
    let (_, _) = charged(&t).await;
    for endpoint in t.control.endpoints() {
        t.control.remove_endpoint(&endpoint.id).await.expect("removed");
    }
    t.next_post_fails(FaultKind::AnswerLost, "/v1/topups");
    let body = json!({"reference": "more", "amount": 9_00, "currency": "EUR"});
    let top_up = t.post("/v1/top_ups", "more", body).await.expect(202);
    // Nobody works for longer than the provider remembers keys.
    let now = t.control.advance(25 * HOUR).await.expect("advanced");
    t.clock.set(jiff::Timestamp::from_second(now).expect("a time"));
    t.settle().await;
    assert_eq!(t.get(&format!("/v1/top_ups/{}", text(&top_up["id"]))).await["status"], "succeeded");
    t.assert_no_double_effect().await;
    t.close().await;
}
