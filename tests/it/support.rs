//! What several tests need beside the rig: carts, other platforms, the provider's own view, and the database behind the
//! service's back.

use std::collections::BTreeMap;
use std::sync::Arc;

use hmac::{Hmac, KeyInit as _, Mac as _};
use partita::app::{App, RESEND_UP_TO};
use partita::clock::Clock;
use partita::platforms::{self, Book, ProviderConnection, SCOPES};
use partita::verify;
use partita_db::{Db, DbOptions};
use partita_postgres::Role;
use partita_simulator::{Fault, FaultKind};
use serde_json::{Value, json};
use sha2::Sha256;
use sqlx::AssertSqlSafe;

use crate::test_app::{Answer, TestApp, answer, egress, secrets, text};

/// A line of a seller's goods without tax; minor units.
pub(crate) fn item(seller: &Value, amount: i64) -> Value {
    json!({"seller": seller["id"], "amount": amount})
}

/// A line of a seller's goods with tax on top; minor units.
pub(crate) fn taxed(seller: &Value, amount: i64, tax: i64) -> Value {
    json!({"seller": seller["id"], "amount": amount, "tax": {"amount": tax}})
}

/// A cart whose amount is the sum of its lines and taxes, paid with a card that works.
pub(crate) fn cart(reference: &str, currency: &str, lines: &[Value]) -> Value {
    let of_line =
        |line: &Value| line["amount"].as_i64().expect("an amount") + line["tax"]["amount"].as_i64().unwrap_or(0);
    let amount: i64 = lines.iter().map(of_line).sum();
    json!({
        "amount": amount, "currency": currency, "payment_method": "pm_card_visa", "reference": reference, "lines": lines,
    })
}

/// The same cart, paid with another test card.
pub(crate) fn paid_with(mut cart: Value, payment_method: &str) -> Value {
    cart["payment_method"] = json!(payment_method);
    cart
}

/// `Stripe-Signature` of a body under a secret (docs.stripe.com/webhooks/signature).
pub(crate) fn signature(secret: &str, at: i64, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any length is a key");
    mac.update(format!("{at}.").as_bytes());
    mac.update(body);
    format!("t={at},v1={}", hex::encode(mac.finalize().into_bytes()))
}

/// Numbers that look random and are the same in every run.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// From `least` to `most`, both included.
    pub(crate) fn roll(&mut self, least: i64, most: i64) -> i64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let span = u64::try_from(most - least).expect("least is not above most") + 1;
        least + i64::try_from(self.0 % span).expect("below the span")
    }
}

/// Another platform on the same instance, with its own book and key.
pub(crate) struct Tenant {
    pub book: Book,
    pub key: String,
    pub live_key: String,
}

/// A request in all its details, for what a well-behaved client would not send.
#[derive(Default)]
pub(crate) struct Raw<'a> {
    pub method: &'a str,
    pub path: &'a str,
    pub headers: Vec<(&'a str, &'a str)>,
    pub body: Vec<u8>,
}

impl TestApp {
    /// Sends a request with another key.
    pub(crate) async fn send_as(
        &self,
        key: &str,
        method: &str,
        path: &str,
        idem: Option<&str>,
        body: Option<Value>,
    ) -> Answer {
        let method = method.parse().expect("a method");
        let mut request = self.client.request(method, format!("{}{path}", self.base)).bearer_auth(key);
        if let Some(idem) = idem {
            request = request.header("Idempotency-Key", idem);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        answer(request).await
    }

    /// Sends bytes as they are, authenticated unless the headers say otherwise.
    pub(crate) async fn send_raw(&self, raw: Raw<'_>) -> Answer {
        let method = raw.method.parse().expect("a method");
        let mut request = self.client.request(method, format!("{}{}", self.base, raw.path)).body(raw.body);
        if !raw.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("authorization")) {
            request = request.bearer_auth(&self.key);
        }
        for (name, value) in raw.headers {
            request = request.header(name, value);
        }
        answer(request).await
    }

    /// Charges a cart and settles.
    pub(crate) async fn pay(&self, cart: Value) -> Value {
        let reference = text(&cart["reference"]);
        let payment = self.post("/v1/payments", &reference, cart).await.expect(201);
        assert_eq!(payment["status"], "succeeded");
        self.settle().await;
        payment
    }

    /// The payment as it is now.
    pub(crate) async fn payment(&self, payment: &Value) -> Value {
        self.get(&format!("/v1/payments/{}", text(&payment["id"]))).await
    }

    /// What a list holds on its first page of a hundred; `path` may have filters.
    pub(crate) async fn list(&self, path: &str) -> Vec<Value> {
        let joint = if path.contains('?') { '&' } else { '?' };
        self.get(&format!("{path}{joint}limit=100")).await["data"].as_array().expect("a list").clone()
    }

    /// Sellers without tax or commission to think of, called `shop-0` and so on, opened side by side.
    pub(crate) async fn many_sellers(&self, count: usize, country: &str, currency: &str, interval: &str) -> Vec<Value> {
        use futures::StreamExt as _;
        let open = |number: usize| async move {
            let reference = format!("shop-{number}");
            let body = json!({
                "reference": reference, "email": format!("{reference}@example.com"), "country": country,
                "default_currency": currency, "payout_interval": interval,
            });
            let seller = self.post("/v1/sellers", &reference, body).await.expect(201);
            self.control.complete_onboarding(&text(&seller["provider"]["id"])).await.expect("onboarded");
            seller
        };
        let sellers = futures::stream::iter(0..count).map(open).buffered(8).collect().await;
        self.settle().await;
        sellers
    }

    /// A second platform on this instance; it has its own key and the same provider.
    pub(crate) async fn tenant(&self, reference: &str) -> Tenant {
        let books = platforms::create(&self.app, reference, reference).await.expect("a platform");
        let [book, live] = <[Book; 2]>::try_from(books).expect("two books");
        let connection = self.connection().await;
        for id in [book.id, live.id] {
            platforms::connect_provider(&self.app, id, connection.clone()).await.expect("connected");
        }
        let scopes: Vec<String> = SCOPES.iter().map(ToString::to_string).collect();
        let (_, key) = platforms::create_key(&self.app, &book, "tests", scopes.clone(), None).await.expect("a key");
        let (_, live_key) = platforms::create_key(&self.app, &live, "tests", scopes, None).await.expect("a key");
        Tenant { book, key, live_key }
    }

    /// How this book reaches the provider.
    pub(crate) async fn connection(&self) -> ProviderConnection {
        let admin = self.admin().await;
        let (base_url, secret_ref): (String, String) =
            sqlx::query_as("select base_url, secret_ref from provider_connections where book_id = $1")
                .bind(self.book.id.get())
                .fetch_one(&admin)
                .await
                .expect("a connection");
        admin.close().await;
        ProviderConnection { provider: "stripe".to_owned(), base_url, secret_ref }
    }

    /// This service as another process would run it, towards another provider's address: same database, same clock.
    pub(crate) async fn process_towards(&self, base_url: &str) -> Arc<App> {
        let right = self.connection().await;
        let wrong = ProviderConnection { base_url: base_url.to_owned(), ..right.clone() };
        let db = Db::connect(&DbOptions::new(self.database.app_url.clone())).await.expect("connected");
        let app = App::new(db, Clock::Driven(self.clock.clone()), secrets(), egress(), RESEND_UP_TO);
        platforms::connect_provider(&app, self.book.id, wrong).await.expect("stored");
        app.provider(self.book.id).await.expect("remembered by this process");
        platforms::connect_provider(&app, self.book.id, right).await.expect("stored");
        app
    }

    /// The superuser's way into the database.
    pub(crate) async fn admin(&self) -> sqlx::PgPool {
        sqlx::PgPool::connect(&self.database.url(Role::Admin)).await.expect("admin")
    }

    /// Changes rows behind the service's back, with triggers and row-level security out of the way.
    pub(crate) async fn tamper(&self, sql: &str) -> u64 {
        let admin = self.admin().await;
        let mut tx = admin.begin().await.expect("a transaction");
        sqlx::query("set local session_replication_role = replica").execute(&mut *tx).await.expect("a superuser");
        let done =
            sqlx::query(AssertSqlSafe(sql.to_owned())).execute(&mut *tx).await.unwrap_or_else(|e| panic!("{sql}: {e}"));
        tx.commit().await.expect("committed");
        admin.close().await;
        done.rows_affected()
    }

    /// As if every process that held a command or a piece of work had died long ago.
    pub(crate) async fn expire_leases(&self) {
        self.tamper(
            "update operations set lease_until = clock_timestamp() - interval '1 second' where lease_until is not null",
        )
        .await;
        self.tamper("update due set lease_until = null, due_at = 'epoch' where kind = 'operation'").await;
    }

    /// How many rows each table of the service has.
    pub(crate) async fn row_counts(&self) -> BTreeMap<String, i64> {
        let admin = self.admin().await;
        let tables: Vec<String> =
            sqlx::query_scalar("select tablename::text from pg_tables where schemaname = 'public' order by 1")
                .fetch_all(&admin)
                .await
                .expect("tables");
        let mut counts = BTreeMap::new();
        for table in tables {
            let sql = format!("select count(*) from {table}");
            let count: i64 = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&admin).await.expect("a count");
            counts.insert(table, count);
        }
        admin.close().await;
        counts
    }

    /// How many requests below a path had an effect at the simulator.
    pub(crate) async fn effects(&self, path: &str) -> usize {
        let effects = self.control.effects().await.expect("effects");
        effects.iter().filter(|effect| effect.path.starts_with(path)).count()
    }

    /// No operation had more than one effect at the simulator.
    pub(crate) async fn assert_no_double_effect(&self) {
        let mut seen = std::collections::HashSet::new();
        for effect in self.control.effects().await.expect("effects") {
            if let Some(operation) = effect.operation {
                assert!(seen.insert(operation.clone()), "{operation} had two effects");
            }
        }
    }

    /// Makes the next request of a method POST below a path fail.
    pub(crate) fn next_post_fails(&self, kind: FaultKind, path: &str) {
        self.control.plan_fault(Fault { kind, method: "POST".to_owned(), path: path.to_owned(), times: 1 });
    }

    /// What another program of the platform, or a person in the provider's dashboard, does at the provider.
    pub(crate) async fn at_provider(&self, method: &str, path: &str, form: &[(&str, &str)]) -> Value {
        self.at_account(None, method, path, form).await
    }

    /// The same for a connected account.
    pub(crate) async fn at_account(
        &self,
        account: Option<&str>,
        method: &str,
        path: &str,
        form: &[(&str, &str)],
    ) -> Value {
        let connection = self.connection().await;
        let file = connection.secret_ref.strip_prefix("file:").expect("a file");
        let secret = std::fs::read_to_string(file).expect("the secret");
        let mut request = self
            .client
            .request(method.parse().expect("a method"), format!("{}{path}", connection.base_url))
            .bearer_auth(secret.trim());
        if let Some(account) = account {
            request = request.header("Stripe-Account", account);
        }
        if method == "POST" {
            request = request.form(form);
        }
        answer(request).await.expect(200)
    }

    /// Brings a webhook to one of our two endpoints, signed now; 0 is the platform's, 1 the Connect one.
    pub(crate) async fn webhook(&self, endpoint: usize, body: &Value) -> Answer {
        let secret = [crate::test_app::PLATFORM_SECRET, crate::test_app::CONNECT_SECRET][endpoint];
        let bytes = body.to_string().into_bytes();
        let signed = signature(secret, self.clock.now().as_second(), &bytes);
        self.webhook_with(endpoint, Some(&signed), bytes).await
    }

    /// Brings a webhook with the given signature header.
    pub(crate) async fn webhook_with(&self, endpoint: usize, signature: Option<&str>, body: Vec<u8>) -> Answer {
        let path = format!("{}/webhooks/stripe/{}", self.base, self.endpoints[endpoint]);
        let mut request = self.client.post(path).header("Content-Type", "application/json").body(body);
        if let Some(signature) = signature {
            request = request.header("Stripe-Signature", signature);
        }
        answer(request).await
    }

    /// What `verify` finds, in words.
    pub(crate) async fn findings(&self) -> Vec<String> {
        let report = verify::run(&self.app, self.book.id).await.expect("verified");
        report.findings.into_iter().map(|finding| format!("{}: {}", finding.invariant, finding.detail)).collect()
    }
}
