//! Every kind of end that a submission can have.

use std::time::{Duration, Instant};

use partita_provider::{
    EvidenceFile, FetchError, FileKind, Lookup, Outcome, PaymentStatus, PreparedRequest, Provider as _, ProviderObject,
    Submission,
};
use serde_json::{Value, json};

use crate::support::{Fake, Reply, SECRET, adapter, commands, error, example, intent, payment};

const PATIENCE: Duration = Duration::from_secs(20);

fn prepared() -> PreparedRequest {
    adapter("http://127.0.0.1:1", PATIENCE).prepare(&payment()).expect("a lawful payment")
}

/// Submits a payment to a server that answers so.
async fn submit(answer: impl Fn() -> Reply + Send + Sync + 'static) -> Submission {
    let fake = Fake::start(move |_| answer()).await;
    let submission = adapter(&fake.address, PATIENCE).submit(&prepared(), "op_1.1").await;
    fake.only();
    submission
}

async fn answered(status: u16, headers: &'static [(&str, &str)], body: Value) -> Submission {
    submit(move || Reply::json(status, headers, &body)).await
}

fn unknown(submission: &Submission) -> &str {
    match &submission.outcome {
        Outcome::Unknown { reason } => reason,
        other => panic!("not unknown: {other:?}"),
    }
}

fn done(submission: &Submission) -> &ProviderObject {
    match &submission.outcome {
        Outcome::Done(object) => object,
        other => panic!("not done: {other:?}"),
    }
}

#[tokio::test]
async fn stored_bytes_and_stored_key_are_sent_as_they_are() {
    let fake = Fake::start(|_| Reply::json(200, &[], &intent("succeeded"))).await;
    let mut request = prepared();
    request.account = Some("acct_7".into());
    let submission = adapter(&format!("{}/prefix/", fake.address), PATIENCE).submit(&request, "op_1.1").await;
    assert_eq!(done(&submission).id(), "pi_1");
    let raw = submission.raw.expect("an answer came");
    assert_eq!((raw.status, raw.request_id.as_deref()), (200, Some("req_test")));
    assert_eq!(serde_json::from_slice::<Value>(&raw.body).expect("as it came"), intent("succeeded"));

    let seen = fake.only();
    assert_eq!((seen.method.as_str(), seen.path.as_str()), ("POST", "/prefix/v1/payment_intents"));
    assert_eq!((seen.query.as_str(), &seen.body), ("", &request.body));
    let header = |name: &str| seen.headers.get(name).map(String::as_str);
    assert_eq!(header("idempotency-key"), Some("op_1.1"));
    assert_eq!(header("stripe-account"), Some("acct_7"));
    assert_eq!(header("stripe-version"), Some(partita_stripe::API_VERSION));
    assert_eq!(header("content-type"), Some("application/x-www-form-urlencoded"));
    assert_eq!(header("authorization"), Some(format!("Bearer {SECRET}").as_str()));
}

#[tokio::test]
async fn a_decline_carries_its_payment() {
    let declined = error(
        "card_error",
        &json!("card_declined"),
        json!({"decline_code": "insufficient_funds", "payment_intent": intent("requires_payment_method")}),
    );
    let submission = answered(402, &[], declined.clone()).await;
    let Outcome::Refused { refusal, object: Some(object) } = &submission.outcome else {
        panic!("not refused with its payment: {:?}", submission.outcome)
    };
    assert_eq!((refusal.code.as_str(), refusal.decline_code.as_deref()), ("card_declined", Some("insufficient_funds")));
    assert_eq!((refusal.message.as_str(), refusal.request_id.as_deref()), ("Why not.", Some("req_test")));
    let ProviderObject::Payment(read) = object.as_ref() else { panic!("a payment") };
    assert_eq!((read.id.as_str(), &read.status), ("pi_1", &PaymentStatus::RequiresPaymentMethod));

    let stored = submission.raw.expect("an answer came").body;
    let again = adapter("http://127.0.0.1:1", PATIENCE).read_answer(&prepared(), &stored);
    assert_eq!(again.as_ref(), Ok(object.as_ref()), "the stored answer reads as it did when it came");
}

#[tokio::test]
async fn the_status_of_a_payment_outranks_the_error_that_carries_it() {
    for status in ["succeeded", "processing", "requires_capture", "something_new"] {
        let body = error("card_error", &json!("card_declined"), json!({"payment_intent": intent(status)}));
        let submission = answered(402, &[], body).await;
        assert_eq!(done(&submission).id(), "pi_1", "{status}");
    }
    let body = error(
        "invalid_request_error",
        &json!("payment_intent_unexpected_state"),
        json!({"payment_intent": intent("succeeded")}),
    );
    let submission = answered(400, &[], body).await;
    assert!(matches!(submission.outcome, Outcome::Refused { object: Some(_), .. }), "a cancellation that came late");
}

#[tokio::test]
async fn a_request_that_stripe_finds_wrong_is_refused() {
    let submission = answered(400, &[], error("invalid_request_error", &json!("parameter_unknown"), json!({}))).await;
    let Outcome::Refused { refusal, object: None } = submission.outcome else { panic!("{:?}", submission.outcome) };
    assert_eq!(refusal.code, "parameter_unknown");
    let submission = answered(404, &[], error("invalid_request_error", &Value::Null, json!({}))).await;
    let Outcome::Refused { refusal, .. } = submission.outcome else { panic!("{:?}", submission.outcome) };
    assert_eq!(refusal.code, "unknown", "an error without a code");
}

#[tokio::test]
async fn what_stripe_did_not_look_at_may_be_sent_again() {
    let in_use = error("idempotency_error", &json!("idempotency_key_in_use"), json!({}));
    let submission = answered(409, &[], in_use).await;
    assert_eq!(submission.outcome, Outcome::Retry { after: None });
    let lock = error("invalid_request_error", &json!("lock_timeout"), json!({}));
    let submission = answered(429, &[("retry-after", "7")], lock).await;
    assert_eq!(submission.outcome, Outcome::Retry { after: Some(Duration::from_secs(7)) });
    let submission = submit(|| Reply::text(429, &[("retry-after", "soon")], "<html>slow down</html>")).await;
    assert_eq!(submission.outcome, Outcome::Retry { after: None }, "of whoever stands between");
}

#[tokio::test]
async fn a_refusal_that_stripe_wants_repeated_is_not_final() {
    let body = error("invalid_request_error", &json!("resource_missing"), json!({}));
    let submission = answered(400, &[("stripe-should-retry", "true")], body).await;
    assert_eq!(submission.outcome, Outcome::Retry { after: None });
}

#[tokio::test]
async fn a_key_that_belongs_to_other_bytes_is_never_taken_for_nothing_happened() {
    let submission = answered(400, &[], error("idempotency_error", &Value::Null, json!({}))).await;
    assert!(unknown(&submission).contains("idempotency_error"));
}

#[tokio::test]
async fn a_wrong_key_or_permission_is_ours_to_mend() {
    for (status, code) in [(401, Value::Null), (403, json!("account_invalid"))] {
        let submission = answered(status, &[], error("invalid_request_error", &code, json!({}))).await;
        assert!(matches!(submission.outcome, Outcome::Misconfigured(_)), "{status}: {:?}", submission.outcome);
    }
}

#[tokio::test]
async fn a_key_that_may_not_upload_is_not_taken_for_a_file_that_is_not_wanted() {
    for (status, refused) in [(401, false), (403, false), (400, true)] {
        let body = error("invalid_request_error", &Value::Null, json!({}));
        let fake = Fake::start(move |_| Reply::json(status, &[], &body)).await;
        let file = EvidenceFile { name: "a.pdf".into(), kind: FileKind::Pdf, bytes: b"%PDF-1.7".to_vec().into() };
        let told = adapter(&fake.address, PATIENCE).upload_evidence(None, &file).await;
        assert_eq!(matches!(told, Err(FetchError::Refused(_))), refused, "{status}: {told:?}");
        assert!(refused || matches!(told, Err(FetchError::Unreachable(_))), "{status}: {told:?}");
    }
}

#[tokio::test]
async fn an_error_of_stripes_own_is_unknown_and_says_whether_it_sticks() {
    let body = error("api_error", &Value::Null, json!({}));
    for status in [500, 502, 503, 504] {
        let submission = answered(status, &[], body.clone()).await;
        assert!(!unknown(&submission).contains("the same"), "{status}");
    }
    let submission = answered(500, &[("stripe-should-retry", "false")], body.clone()).await;
    assert!(unknown(&submission).contains("the same"));
    let submission = answered(402, &[], body).await;
    assert!(unknown(&submission).contains("api_error"), "no refusal is documented for this type");
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_is_unknown() {
    for status in [200, 201, 400, 401, 402, 409] {
        for body in ["", "<html>", "{", "null", "{\"id\":\"pi_1\"}", "\u{0}"] {
            let submission = submit(move || Reply::text(status, &[], body)).await;
            unknown(&submission);
            assert_eq!(submission.raw.expect("kept as it came").body, body.as_bytes(), "{status} {body:?}");
        }
    }
    for status in [204, 301, 307, 418] {
        let submission = submit(move || Reply::text(status, &[("location", "http://127.0.0.1:1/")], "")).await;
        unknown(&submission);
    }
}

#[tokio::test]
async fn a_success_without_a_required_field_is_unknown_never_a_failure() {
    for field in ["id", "amount", "currency", "status", "livemode", "metadata"] {
        let mut body = intent("succeeded");
        body.as_object_mut().expect("an object").remove(field);
        let submission = answered(200, &[], body).await;
        unknown(&submission);
    }
}

#[tokio::test]
async fn unknown_words_are_kept_as_they_are() {
    let mut body = intent("entirely_new");
    body["capture_method"] = json!("by_pigeon");
    body["next_action"] = Value::Null;
    let submission = answered(200, &[], body).await;
    let ProviderObject::Payment(read) = done(&submission) else { panic!("a payment") };
    assert_eq!(read.status, PaymentStatus::Other("entirely_new".into()));
}

#[tokio::test]
async fn silence_ends_at_the_timeout_and_is_unknown() {
    let fake = Fake::start(|_| Reply::Silence).await;
    let started = Instant::now();
    let submission = adapter(&fake.address, Duration::from_millis(300)).submit(&prepared(), "op_1.1").await;
    assert!(unknown(&submission).contains("300 ms"));
    assert!(started.elapsed() < Duration::from_secs(5));
    assert_eq!(submission.raw, None);
    fake.only();
}

#[tokio::test]
async fn a_cut_in_the_middle_of_a_body_is_unknown_and_what_came_is_kept() {
    let body = intent("succeeded").to_string();
    let half = body[..body.len() / 2].to_owned();
    let (sent, length) = (half.clone(), body.len());
    let submission = submit(move || Reply::promising(length, 200, &[], &sent)).await;
    unknown(&submission);
    let raw = submission.raw.expect("half an answer");
    assert_eq!((raw.status, raw.request_id.as_deref(), raw.body), (200, Some("req_test"), half.into_bytes()));
}

#[tokio::test]
async fn a_connection_that_closes_before_the_answer_is_unknown() {
    let submission = submit(|| Reply::Raw(String::new())).await;
    unknown(&submission);
    assert_eq!(submission.raw, None);
}

#[tokio::test]
async fn an_answer_without_end_is_not_read_to_its_end() {
    let submission = submit(|| Reply::text(200, &[], &" ".repeat(1024 * 1024 + 1))).await;
    assert!(unknown(&submission).contains("1048576"));
}

#[tokio::test]
async fn a_refused_connection_has_sent_nothing() {
    let closed = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        format!("http://{}", listener.local_addr().expect("a bound listener"))
    };
    let submission = adapter(&closed, PATIENCE).submit(&prepared(), "op_1.1").await;
    assert_eq!(submission, Submission { outcome: Outcome::Retry { after: None }, raw: None });
}

#[tokio::test]
async fn what_cannot_be_sent_is_unknown_and_not_sent() {
    let fake = Fake::start(|_| Reply::json(200, &[], &intent("succeeded"))).await;
    let stripe = adapter(&fake.address, PATIENCE);
    let submission = stripe.submit(&prepared(), "op_1\n.1").await;
    unknown(&submission);
    let stranger = PreparedRequest { path: "/v1/payment_intents/pi_1/increment_authorization".into(), ..prepared() };
    unknown(&stripe.submit(&stranger, "op_1.1").await);
    let read = PreparedRequest { method: "GET".into(), ..prepared() };
    unknown(&stripe.submit(&read, "op_1.1").await);
    assert!(fake.seen().is_empty());
}

#[tokio::test]
async fn a_payment_is_absent_only_when_stripe_says_so() {
    let lookup = Lookup::Payment("pi_1".into());
    let fetched = |status: u16, body: String| {
        let lookup = lookup.clone();
        async move {
            let fake = Fake::start(move |_| Reply::text(status, &[], &body)).await;
            adapter(&fake.address, PATIENCE).fetch(&lookup).await.expect_err("no object")
        }
    };
    let missing = error("invalid_request_error", &json!("resource_missing"), json!({})).to_string();
    let no_address = error("invalid_request_error", &Value::Null, json!({})).to_string();
    assert_eq!(fetched(404, missing).await, FetchError::NotFound);
    assert!(matches!(fetched(404, no_address.clone()).await, FetchError::Refused(_)));
    assert!(matches!(fetched(404, "<html>nginx</html>".into()).await, FetchError::Unreadable(_)));
    assert!(matches!(fetched(401, no_address.clone()).await, FetchError::Refused(_)));
    for status in [409, 429, 500, 503] {
        assert!(matches!(fetched(status, no_address.clone()).await, FetchError::Unreachable(_)), "{status}");
    }
    assert!(matches!(fetched(302, String::new()).await, FetchError::Unreadable(_)));
    assert!(matches!(fetched(200, "{}".into()).await, FetchError::Unreadable(_)));
    let nowhere = adapter("http://127.0.0.1:1", PATIENCE).fetch(&lookup).await;
    assert!(matches!(nowhere, Err(FetchError::Unreachable(_))));
}

#[tokio::test]
async fn a_payment_is_found_by_its_charge_and_a_charge_without_one_is_not_ours() {
    let fake = Fake::start(|seen| match seen.path.as_str() {
        "/v1/charges/ch_1" => {
            Reply::json(200, &[], &example("charge", json!({"id": "ch_1", "payment_intent": "pi_1"})))
        }
        "/v1/charges/ch_2" => Reply::json(200, &[], &example("charge", json!({"id": "ch_2", "payment_intent": null}))),
        _ => Reply::json(200, &[], &intent("succeeded")),
    })
    .await;
    let stripe = adapter(&fake.address, PATIENCE);
    let found = stripe.fetch(&Lookup::PaymentOfCharge("ch_1".into())).await.expect("a payment");
    assert_eq!(found.id(), "pi_1");
    assert_eq!(stripe.fetch(&Lookup::PaymentOfCharge("ch_2".into())).await, Err(FetchError::NotFound));
    let paths: Vec<String> = fake.seen().into_iter().map(|seen| seen.path).collect();
    assert_eq!(paths, ["/v1/charges/ch_1", "/v1/payment_intents/pi_1", "/v1/charges/ch_2"]);
}

#[tokio::test]
async fn an_id_that_is_none_is_not_asked_for() {
    let fake = Fake::start(|_| Reply::json(200, &[], &intent("succeeded"))).await;
    let stripe = adapter(&fake.address, PATIENCE);
    for id in ["", "../accounts", "pi_1?expand=x", "pi_1/cancel"] {
        let read = stripe.fetch(&Lookup::Payment(id.into())).await;
        assert!(matches!(read, Err(FetchError::Unreadable(_))), "{id:?}");
    }
    assert!(stripe.balance_transaction(None, "a/b").await.is_err());
    assert!(fake.seen().is_empty());
}

#[tokio::test]
async fn the_secret_key_shows_nowhere() {
    let stripe = adapter("http://127.0.0.1:1", PATIENCE);
    let mut shown = vec![format!("{stripe:?}")];
    for command in commands() {
        let request = stripe.prepare(&command).expect("a lawful command");
        shown.push(format!("{request:?} {:?}", stripe.submit(&request, "op_1.1").await));
    }
    let mut options = partita_stripe::StripeOptions::new(SECRET.into());
    shown.push(format!("{options:?}"));
    options.base_url = "http://user:hunter2@example.com".parse().expect("an address");
    let refused = partita_stripe::Stripe::try_new(&options).expect_err("credentials in an address");
    shown.push(format!("{refused} {refused:?}"));
    for text in shown {
        assert!(!text.contains("thisIsTheSecret") && !text.contains("hunter2"), "{text}");
    }
}

#[test]
fn a_live_key_is_not_sent_in_the_clear_and_nonsense_is_refused_at_start() {
    let try_new = |key: &str, address: &str| {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut options = partita_stripe::StripeOptions::new(key.into());
        options.base_url = address.parse().expect("an address");
        partita_stripe::Stripe::try_new(&options).map(drop)
    };
    assert!(try_new("sk_live_1", "https://api.stripe.com").is_ok());
    assert!(try_new("sk_test_1", "http://127.0.0.1:1").is_ok());
    for (key, address) in [
        ("sk_live_1", "http://127.0.0.1:1"),
        ("rk_live_1", "http://api.stripe.com"),
        ("", "https://api.stripe.com"),
        ("sk_test_1\n", "https://api.stripe.com"),
        ("sk_test_1", "ftp://api.stripe.com"),
        ("sk_test_1", "https://api.stripe.com/?a=b"),
        ("sk_test_1", "https://me@api.stripe.com"),
        ("sk_test_1", "data:text/plain,x"),
    ] {
        assert!(try_new(key, address).is_err(), "{key:?} {address}");
    }
}
