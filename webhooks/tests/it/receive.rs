//! A delivery from the request to the row.

use crate::support::{TestDb, at, book, number, run_sql};
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use partita_db::{Scope, Vault};
use partita_webhooks::endpoint::{
    EndpointError, EndpointKind, EndpointMode, NewEndpoint, disable_endpoint, insert_endpoint, rotate_secret,
    seal_secrets,
};
use partita_webhooks::inbox::{InboxKey, Stored};
use partita_webhooks::stripe_signature::SignatureError;
use partita_webhooks::{Delivery, ReceiveError, Received, WebhookSecret, receive};
use secrecy::SecretString;
use sha2::Sha256;

const TOKEN: &str = "we_0123456789abcdefghijkl";
const SECRET: &str = "whsec_platform_secret";
const BODY: &[u8] =
    br#"{"id":"evt_1","type":"charge.succeeded","livemode":false,"created":1763795990,"api_version":"x"}"#;

const FIRST_KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const SECOND_KEY: &str = "2:f0e1d2c3b4a5968778695a4b3c2d1e0f00112233445566778899aabbccddeeff";

fn vault() -> Vault {
    vault_of(FIRST_KEY)
}

fn vault_of(keys: &str) -> Vault {
    Vault::parse(&SecretString::from(keys)).expect("keys")
}

fn secret(text: &str) -> WebhookSecret {
    WebhookSecret::parse(text).expect("a good secret")
}

fn signature(secret: &str, body: &[u8], when: Timestamp) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(format!("{}.", when.as_second()).as_bytes());
    mac.update(body);
    format!("t={},v1={}", when.as_second(), hex::encode(mac.finalize().into_bytes()))
}

async fn add_endpoint(test: &TestDb, token: &str, kind: EndpointKind, mode: EndpointMode) {
    let endpoint = NewEndpoint {
        token: token.to_owned(),
        book: book(1),
        provider: "stripe".into(),
        kind,
        mode,
        secret: secret(SECRET),
        created_at: at(-100),
    };
    test.db
        .run_tx("endpoint", Scope::Routing, move |tx| {
            let endpoint = endpoint.clone();
            Box::pin(async move { insert_endpoint(tx, &vault(), &endpoint).await })
        })
        .await
        .expect("an endpoint can be made");
}

async fn with_endpoint() -> TestDb {
    let test = TestDb::create().await;
    add_endpoint(&test, TOKEN, EndpointKind::Platform, EndpointMode::Test).await;
    test
}

async fn deliver(test: &TestDb, token: &str, signature: &str, body: &[u8]) -> Result<Received, ReceiveError> {
    receive(&test.db, &vault(), Delivery { provider: "stripe", token, signature, body }, at(0)).await
}

async fn rows(test: &TestDb) -> i64 {
    number(&test.db, Scope::Book(book(1)), "select count(*) from inbox_events").await
        + number(&test.db, Scope::Routing, "select count(*) from due").await
}

#[tokio::test]
async fn a_signed_event_is_stored_once_however_often_it_comes() {
    let test = with_endpoint().await;
    let header = signature(SECRET, BODY, at(0));
    let received = deliver(&test, TOKEN, &header, BODY).await.expect("it is good");
    let key = InboxKey { provider: "stripe".into(), account: String::new(), event_id: "evt_1".into() };
    let expected = Received { book: book(1), key, kind: "charge.succeeded".into(), stored: Stored::New };
    assert_eq!(received, expected);
    // Each attempt of the provider has a time, and so a signature, of its own.
    let later = signature(SECRET, BODY, at(200));
    let again = deliver(&test, TOKEN, &later, BODY).await.expect("it is good");
    assert_eq!(again, Received { stored: Stored::Duplicate, ..expected });
    assert_eq!(rows(&test).await, 2, "one event, one due book");
    test.close().await;
}

#[tokio::test]
async fn a_connected_account_s_event_is_stored_under_the_account() {
    let test = with_endpoint().await;
    let body = br#"{"id":"evt_1","type":"payout.paid","livemode":false,"account":"acct_7","created":1763795990}"#;
    let received = deliver(&test, TOKEN, &signature(SECRET, body, at(0)), body).await.expect("it is good");
    assert_eq!(received.key.account, "acct_7");
    test.close().await;
}

#[tokio::test]
async fn what_is_not_proved_leaves_no_row() {
    let test = with_endpoint().await;
    for (header, reason) in [
        (String::new(), SignatureError::NoTime),
        (signature("whsec_another_secret", BODY, at(0)), SignatureError::Mismatch),
        (signature(SECRET, b"{}", at(0)), SignatureError::Mismatch),
        (signature(SECRET, BODY, at(-301)), SignatureError::TooOld),
        (signature(SECRET, BODY, at(301)), SignatureError::InFuture),
    ] {
        let refused = deliver(&test, TOKEN, &header, BODY).await;
        assert!(matches!(refused, Err(ReceiveError::BadSignature(error)) if error == reason), "{header}: {refused:?}");
    }
    assert_eq!(rows(&test).await, 0);
    test.close().await;
}

#[tokio::test]
async fn an_endpoint_that_is_not_there_takes_nothing() {
    let test = with_endpoint().await;
    let header = signature(SECRET, BODY, at(0));
    for token in ["", "x", "we_0123456789abcdefghijkm", "we_0123\0", "' or 1=1 --"] {
        assert!(matches!(deliver(&test, token, &header, BODY).await, Err(ReceiveError::UnknownEndpoint)), "{token:?}");
    }
    let other = Delivery { provider: "other", token: TOKEN, signature: &header, body: BODY };
    assert!(matches!(receive(&test.db, &vault(), other, at(0)).await, Err(ReceiveError::UnknownEndpoint)));
    let disable = |number: i32| {
        test.db.run_tx("disable", Scope::Routing, move |tx| Box::pin(disable_endpoint(tx, book(number), TOKEN, at(0))))
    };
    assert!(matches!(disable(2).await, Err(EndpointError::NotFound)), "another book's endpoint");
    disable(1).await.expect("it is in use");
    assert!(matches!(deliver(&test, TOKEN, &header, BODY).await, Err(ReceiveError::UnknownEndpoint)));
    assert_eq!(rows(&test).await, 0);
    test.close().await;
}

#[tokio::test]
async fn what_is_no_event_or_of_the_other_mode_leaves_no_row() {
    let test = with_endpoint().await;
    for body in [b"".as_slice(), b"not json", br#"{"id":"evt_1"}"#] {
        let refused = deliver(&test, TOKEN, &signature(SECRET, body, at(0)), body).await;
        assert!(matches!(refused, Err(ReceiveError::Unreadable(_))), "{refused:?}");
    }
    let large = vec![b' '; partita_webhooks::receive::LARGEST_BODY + 1];
    let refused = deliver(&test, TOKEN, &signature(SECRET, &large, at(0)), &large).await;
    assert!(matches!(refused, Err(ReceiveError::Unreadable(_))), "{refused:?}");

    let live = br#"{"id":"evt_1","type":"charge.succeeded","livemode":true,"created":1763795990}"#;
    let refused = deliver(&test, TOKEN, &signature(SECRET, live, at(0)), live).await.expect_err("it is live");
    assert!(matches!(refused, ReceiveError::WrongMode { .. }) && !refused.is_expected(), "{refused:?}");

    let connect = "we_connect_0123456789abcdef";
    add_endpoint(&test, connect, EndpointKind::Connect, EndpointMode::Live).await;
    let refused = deliver(&test, connect, &signature(SECRET, BODY, at(0)), BODY).await.expect_err("it is a test event");
    assert!(refused.is_expected(), "{refused:?}");
    assert_eq!(rows(&test).await, 0);
    test.close().await;
}

#[tokio::test]
async fn while_a_secret_is_rotated_both_are_good_until_the_old_one_ends() {
    let test = with_endpoint().await;
    let rotate = |number: i32, until: i64| {
        test.db.run_tx("rotate", Scope::Routing, move |tx| {
            Box::pin(async move {
                let new = WebhookSecret::parse("whsec_the_new_secret")?;
                rotate_secret(tx, &vault(), book(number), TOKEN, &new, at(-10), at(until)).await
            })
        })
    };
    assert!(matches!(rotate(2, 1).await, Err(EndpointError::NotFound)), "another book's endpoint");
    rotate(1, 1).await.expect("the endpoint is there");
    for secret in [SECRET, "whsec_the_new_secret"] {
        assert!(deliver(&test, TOKEN, &signature(secret, BODY, at(0)), BODY).await.is_ok(), "{secret}");
    }
    let at_the_end = |secret: &'static str| {
        let header = signature(secret, BODY, at(1));
        let db = test.db.clone();
        async move {
            receive(&db, &vault(), Delivery { provider: "stripe", token: TOKEN, signature: &header, body: BODY }, at(1))
                .await
        }
    };
    assert!(matches!(at_the_end(SECRET).await, Err(ReceiveError::BadSignature(SignatureError::Mismatch))));
    assert!(at_the_end("whsec_the_new_secret").await.is_ok());
    test.close().await;
}

#[tokio::test]
async fn secrets_are_encrypted_at_rest_also_those_of_older_releases_and_older_keys() {
    let test = with_endpoint().await;
    let clear = "insert into incoming_webhook_secrets (token, secret, created_at)
                 values ('we_0123456789abcdefghijkl', 'whsec_of_older_release', 'epoch')";
    assert_eq!(run_sql(&test.db, Scope::Routing, clear).await.expect("as an older release does it"), 1);
    let in_clear = "select count(*) from incoming_webhook_secrets where secret is not null";
    let open_under = |version: &str| match version {
        "1" => {
            "select count(*) from incoming_webhook_secrets where key_version = 1 and position('whsec_' in encode(sealed, 'escape')) = 0"
        }
        _ => "select count(*) from incoming_webhook_secrets where key_version = 2",
    };
    assert_eq!(number(&test.db, Scope::Routing, in_clear).await, 1);
    let accepted = async |keys: &str| {
        for secret in [SECRET, "whsec_of_older_release"] {
            let header = signature(secret, BODY, at(0));
            let delivery = Delivery { provider: "stripe", token: TOKEN, signature: &header, body: BODY };
            receive(&test.db, &vault_of(keys), delivery, at(0)).await?;
        }
        Ok::<_, ReceiveError>(())
    };
    let seal = async |keys: &'static str| {
        let sealed = test.db.run_tx("seal", Scope::Routing, move |tx| {
            Box::pin(async move { seal_secrets(tx, &vault_of(keys), 10).await })
        });
        sealed.await.expect("sealed")
    };
    accepted(FIRST_KEY).await.expect("clear text is read until it is sealed");
    assert_eq!(seal(FIRST_KEY).await, 1);
    assert_eq!(seal(FIRST_KEY).await, 0);
    assert_eq!(number(&test.db, Scope::Routing, in_clear).await, 0);
    assert_eq!(number(&test.db, Scope::Routing, open_under("1")).await, 2);
    accepted(FIRST_KEY).await.expect("sealed");
    let both: &'static str = Box::leak(format!("{SECOND_KEY},1:{FIRST_KEY}").into_boxed_str());
    assert_eq!(seal(both).await, 2);
    assert_eq!(number(&test.db, Scope::Routing, open_under("2")).await, 2);
    accepted(SECOND_KEY).await.expect("the old key is not needed any more");
    assert!(matches!(accepted(FIRST_KEY).await, Err(ReceiveError::Endpoint(EndpointError::Vault(_)))));
    let moved =
        "update incoming_webhook_secrets a set sealed = b.sealed from incoming_webhook_secrets b where a.id <> b.id";
    assert_eq!(run_sql(&test.db, Scope::Routing, moved).await.expect("the rows change places"), 2);
    assert!(accepted(SECOND_KEY).await.is_err(), "what was moved to another row does not open");
    test.close().await;
}
