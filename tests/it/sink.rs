//! A receiver of webhooks as a platform would run it: answers as the test says, remembers what came, and checks signatures
//! by itself.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use axum::routing::post;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::sync::{Notify, Semaphore};

use crate::test_app::{TestApp, text};

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(30);

/// A request that came.
#[derive(Debug, Clone)]
pub(crate) struct Got {
    pub id: String,
    pub timestamp: i64,
    pub signature: String,
    pub raw: Vec<u8>,
}

impl Got {
    pub(crate) fn body(&self) -> Value {
        serde_json::from_slice(&self.raw).expect("JSON")
    }

    fn signed(&self) -> Vec<u8> {
        [format!("{}.{}.", self.id, self.timestamp).as_bytes(), &self.raw].concat()
    }

    /// How many of the signatures are HMACs under the secret (`whsec_..`) over what came.
    pub(crate) fn signed_with(&self, secret: &str) -> usize {
        let key = BASE64.decode(secret.strip_prefix("whsec_").expect("a secret")).expect("base64");
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("any length is a key");
        mac.update(&self.signed());
        let expected = format!("v1,{}", BASE64.encode(mac.finalize().into_bytes()));
        self.signature.split(' ').filter(|signature| *signature == expected).count()
    }

    /// Whether one of the signatures is of the public key (`whpk_..`).
    pub(crate) fn signed_with_public_key(&self, key: &str) -> bool {
        use ed25519_dalek::Verifier as _;
        let key = BASE64.decode(key.strip_prefix("whpk_").expect("a public key")).expect("base64");
        let key = ed25519_dalek::VerifyingKey::from_bytes(&key.try_into().expect("32 bytes")).expect("a key");
        let signatures = self.signature.split(' ').filter_map(|text| text.strip_prefix("v1a,"));
        signatures.filter_map(|encoded| BASE64.decode(encoded).ok()).any(|bytes| {
            let signature = ed25519_dalek::Signature::from_slice(&bytes).expect("64 bytes");
            key.verify(&self.signed(), &signature).is_ok()
        })
    }
}

/// What to answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reply {
    pub status: u16,
    pub retry_after: Option<u32>,
}

impl From<u16> for Reply {
    fn from(status: u16) -> Self {
        Self { status, retry_after: None }
    }
}

struct Inner {
    got: Mutex<Vec<Got>>,
    replies: Mutex<VecDeque<Reply>>,
    always: Mutex<Reply>,
    came: Notify,
    /// One permit for each answer that may be given; many unless the sink is closed.
    gate: Semaphore,
}

/// The receiver.
#[derive(Clone)]
pub(crate) struct Sink {
    pub url: String,
    inner: Arc<Inner>,
}

impl Sink {
    /// Answers 204 unless told otherwise.
    pub(crate) async fn start() -> Self {
        Self::start_with(Semaphore::MAX_PERMITS).await
    }

    /// Takes requests and answers none before it is opened.
    pub(crate) async fn start_hanging() -> Self {
        Self::start_with(0).await
    }

    async fn start_with(permits: usize) -> Self {
        let inner = Arc::new(Inner {
            got: Mutex::default(),
            replies: Mutex::default(),
            always: Mutex::new(Reply::from(204)),
            came: Notify::new(),
            gate: Semaphore::new(permits),
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/hooks", listener.local_addr().expect("an address"));
        let router = axum::Router::new().route("/hooks", post(take)).with_state(Arc::clone(&inner));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, inner }
    }

    /// Everything that came, in the order in which it came.
    pub(crate) fn got(&self) -> Vec<Got> {
        self.inner.got.lock().expect("not poisoned").clone()
    }

    /// The types of the events that came.
    pub(crate) fn types(&self) -> Vec<String> {
        self.got().iter().map(|got| got.body()["type"].as_str().expect("text").to_owned()).collect()
    }

    /// Answers these, one after the other, and then as before.
    pub(crate) fn then(&self, replies: &[u16]) {
        self.inner.replies.lock().expect("not poisoned").extend(replies.iter().map(|status| Reply::from(*status)));
    }

    /// Answers this once, before anything else that was said.
    pub(crate) fn next(&self, reply: Reply) {
        self.inner.replies.lock().expect("not poisoned").push_front(reply);
    }

    /// Answers this from now on.
    pub(crate) fn always(&self, status: u16) {
        *self.inner.always.lock().expect("not poisoned") = Reply::from(status);
    }

    /// Gives so many answers of those that are waited for.
    pub(crate) fn open(&self, answers: usize) {
        self.inner.gate.add_permits(answers);
    }

    /// Waits until so many requests came.
    pub(crate) async fn until(&self, count: usize) {
        let all_came = async {
            loop {
                let came = self.inner.came.notified();
                if self.got().len() >= count {
                    return;
                }
                came.await;
            }
        };
        tokio::time::timeout(PATIENCE, all_came)
            .await
            .unwrap_or_else(|_| panic!("{} of {count} came", self.got().len()));
    }
}

async fn take(State(inner): State<Arc<Inner>>, headers: HeaderMap, body: Bytes) -> impl IntoResponse {
    let header = |name: &str| headers[name].to_str().expect("ASCII").to_owned();
    let got = Got {
        id: header("webhook-id"),
        timestamp: header("webhook-timestamp").parse().expect("seconds"),
        signature: header("webhook-signature"),
        raw: body.to_vec(),
    };
    inner.got.lock().expect("not poisoned").push(got);
    inner.came.notify_waiters();
    inner.gate.acquire().await.expect("never closed").forget();
    let scripted = inner.replies.lock().expect("not poisoned").pop_front();
    let reply = scripted.unwrap_or_else(|| *inner.always.lock().expect("not poisoned"));
    let status = StatusCode::from_u16(reply.status).expect("a status");
    let retry_after = reply.retry_after.map(|seconds| [("retry-after", seconds.to_string())]);
    (status, retry_after.unwrap_or([("retry-after", String::new())]), "taken")
}

impl TestApp {
    /// An endpoint for these events, with what the receiver verifies with.
    pub(crate) async fn endpoint(&self, sink: &Sink, events: &[&str]) -> Value {
        let body = json!({"url": sink.url, "events": events});
        self.send("POST", "/v1/webhook_endpoints", None, Some(body)).await.expect(201)
    }

    pub(crate) async fn act(&self, path: &str, body: Value, status: u16) -> Value {
        self.send("POST", path, None, Some(body)).await.expect(status)
    }

    /// One event that only endpoints for `webhook_endpoint.*` get: another endpoint's description is changed.
    pub(crate) async fn something_happens(&self, other: &Value, what: &str) {
        let path = format!("/v1/webhook_endpoints/{}", text(&other["id"]));
        self.send("PATCH", &path, None, Some(json!({"description": what}))).await.expect(200);
    }

    /// An endpoint that is never sent anything, to change.
    pub(crate) async fn bystander(&self) -> Value {
        let body = json!({"url": "https://shop.example/hooks", "events": ["top_up.failed"]});
        self.send("POST", "/v1/webhook_endpoints", None, Some(body)).await.expect(201)
    }

    pub(crate) async fn deliveries(&self, endpoint: &Value) -> Vec<Value> {
        self.list(&format!("/v1/deliveries?endpoint={}", text(&endpoint["id"]))).await
    }

    pub(crate) async fn delivery(&self, delivery: &Value) -> Value {
        self.get(&format!("/v1/deliveries/{}", text(&delivery["id"]))).await
    }

    pub(crate) async fn endpoint_now(&self, endpoint: &Value) -> Value {
        self.get(&format!("/v1/webhook_endpoints/{}", text(&endpoint["id"]))).await
    }

    /// As if every worker that held a delivery had died long ago.
    pub(crate) async fn forget_leases(&self) {
        self.tamper("update webhook_deliveries set lease_until = clock_timestamp() - interval '1 second' where status = 'sending'")
            .await;
        self.tamper("update due set lease_until = null where kind = 'webhook_endpoint'").await;
    }
}
