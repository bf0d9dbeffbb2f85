//! The whole service in one test: its own database, its own simulator, one clock for both, webhooks over HTTP.
//!
//! Time moves only by [`TestApp::advance`], work is done only by [`TestApp::settle`]. A test ends with
//! [`TestApp::finish`], which checks what must always hold.

use std::sync::Arc;

use jiff::Timestamp;
use partita::app::{App, RESEND_UP_TO, Secrets};
use partita::clock::{Clock, DrivenClock};
use partita::config::RateSettings;
use partita::http::{self, Shared};
use partita::platforms::{self, Book, ProviderConnection, SCOPES};
use partita::reconciliation::{self, Run};
use partita::telemetry::Metrics;
use partita::{MIGRATOR, rebuild, verify, web, worker};
use partita_db::{Db, DbOptions, Scope, Vault};
use partita_postgres::testing::TestDatabase;
use partita_simulator::{ClockMode, Control, NewEndpoint, Simulator, SimulatorOptions};
use partita_webhooks::WebhookSecret;
use partita_webhooks::endpoint::EndpointKind;
use partita_webhooks::sending::EgressPolicy;
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::agreement;

pub(crate) const PLATFORM_SECRET: &str = "whsec_of_the_platforms_endpoint";
pub(crate) const CONNECT_SECRET: &str = "whsec_of_the_connect_endpoint";
const SIMULATOR_KEY: &str = "sk_test_of_the_simulator";
const START: &str = "2026-03-02T09:00:00Z";
pub(crate) const DAY: i64 = 86_400;

pub(crate) struct TestApp {
    pub app: Arc<App>,
    pub base: String,
    pub client: reqwest::Client,
    pub key: String,
    pub book: Book,
    pub control: Control,
    pub clock: DrivenClock,
    pub database: TestDatabase,
    /// Tokens of the platform's and the Connect endpoint.
    pub endpoints: [String; 2],
    simulator: Simulator,
    stop: CancellationToken,
    pub simulator_database: TestDatabase,
    _secret_file: tempfile::NamedTempFile,
}

/// An answer as a client sees it.
pub(crate) struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub bytes: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or_else(|_| panic!("no JSON: {}", self.text()))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    /// The body, if the status is the expected one.
    pub(crate) fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        self.json()
    }
}

impl TestApp {
    pub(crate) async fn new() -> Self {
        let (database, simulator_database) = databases().await;
        let start: Timestamp = START.parse().expect("a time");
        let simulator = Simulator::start(SimulatorOptions {
            secret_key: SIMULATOR_KEY.to_owned(),
            clock: ClockMode::Manual(start.as_second()),
            background_webhooks: false,
            ..SimulatorOptions::new(simulator_database.app_url.clone())
        })
        .await
        .expect("a simulator");
        let control = simulator.control();

        let db = Db::connect(&DbOptions::new(database.app_url.clone())).await.expect("the application's role");
        let clock = DrivenClock::new(start);
        let app = App::new(db, Clock::Driven(clock.clone()), secrets(), egress(), RESEND_UP_TO);
        let secret_file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(secret_file.path(), SIMULATOR_KEY).expect("written");

        let [book, _live] =
            <[Book; 2]>::try_from(platforms::create(&app, "market", "Marktplatz").await.expect("a platform"))
                .expect("two books");
        let connection = ProviderConnection {
            provider: "stripe".to_owned(),
            base_url: simulator.base_url(),
            secret_ref: format!("file:{}", secret_file.path().display()),
        };
        platforms::connect_provider(&app, book.id, connection).await.expect("connected");
        let scopes = SCOPES.iter().map(ToString::to_string).collect();
        let (_, key) = platforms::create_key(&app, &book, "tests", scopes, None).await.expect("a key");

        let stop = CancellationToken::new();
        let base = serve(&app, &stop).await;
        let mut endpoints = [String::new(), String::new()];
        for (index, (kind, secret)) in
            [(EndpointKind::Platform, PLATFORM_SECRET), (EndpointKind::Connect, CONNECT_SECRET)].into_iter().enumerate()
        {
            let parsed = WebhookSecret::parse(secret).expect("a secret");
            let token = platforms::open_webhook_endpoint(&app, &book, kind, parsed).await.expect("an endpoint");
            let endpoint = NewEndpoint {
                url: format!("{base}/webhooks/stripe/{token}"),
                secret: Some(secret.to_owned()),
                connect: kind == EndpointKind::Connect,
                enabled_events: Vec::new(),
            };
            control.register_endpoint(endpoint).await.expect("registered");
            endpoints[index] = token;
        }
        Self {
            app,
            base,
            client: client(),
            key,
            book,
            control,
            clock,
            database,
            endpoints,
            simulator,
            stop,
            simulator_database,
            _secret_file: secret_file,
        }
    }

    /// Sends a request; money POSTs carry the given idempotency key.
    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        idempotency_key: Option<&str>,
        body: Option<Value>,
    ) -> Answer {
        let method = method.parse().expect("a method");
        let mut request = self.client.request(method, format!("{}{path}", self.base)).bearer_auth(&self.key);
        if let Some(key) = idempotency_key {
            request = request.header("Idempotency-Key", key);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        answer(request).await
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        self.send("GET", path, None, None).await.expect(200)
    }

    pub(crate) async fn post(&self, path: &str, idempotency_key: &str, body: Value) -> Answer {
        self.send("POST", path, Some(idempotency_key), Some(body)).await
    }

    /// A seller who has done what the provider wants.
    pub(crate) async fn seller(&self, reference: &str, country: &str, currency: &str, interval: &str) -> Value {
        let body = json!({
            "reference": reference, "email": format!("{reference}@example.com"), "country": country,
            "default_currency": currency, "payout_interval": interval,
        });
        let seller = self.post("/v1/sellers", reference, body).await.expect(201);
        let account = seller["provider"]["id"].as_str().expect("an account").to_owned();
        self.control.complete_onboarding(&account).await.expect("onboarded");
        self.settle().await;
        self.get(&format!("/v1/sellers/{}", text(&seller["id"]))).await
    }

    /// Adds money to the platform's balance at the provider.
    pub(crate) async fn top_up(&self, reference: &str, amount: i64, currency: &str) -> Value {
        let body = json!({"reference": reference, "amount": amount, "currency": currency});
        let top_up = self.post("/v1/top_ups", reference, body).await;
        assert!(top_up.status < 300, "{}", top_up.text());
        self.settle().await;
        top_up.json()
    }

    /// A policy that takes these basis points of every line that names none.
    pub(crate) async fn default_fee(&self, percent_bps: i64) -> Value {
        let body = json!({"reference": format!("bps-{percent_bps}"), "name": "Standard", "default": true, "percent_bps": percent_bps});
        self.post("/v1/fee_policies", &format!("fee-{percent_bps}"), body).await.expect(201)
    }

    /// Delivers webhooks and does what is due, until nothing is left at this time.
    pub(crate) async fn settle(&self) {
        loop {
            let delivered = self.control.flush_webhooks().await.expect("flushed");
            let done = worker::drain(&self.app).await.expect("drained");
            if delivered.delivered == 0 && done == 0 {
                break;
            }
        }
    }

    /// Moves both clocks and settles, a day at a time.
    pub(crate) async fn advance(&self, seconds: i64) {
        let mut left = seconds;
        while left > 0 {
            self.move_clocks(left.min(DAY)).await;
            self.settle().await;
            left -= DAY;
        }
    }

    /// Moves both clocks, and nothing else.
    pub(crate) async fn move_clocks(&self, seconds: i64) {
        let now = self.control.advance(seconds).await.expect("advanced");
        self.clock.set(Timestamp::from_second(now).expect("a time"));
    }

    /// As [`Self::advance`], but each webhook comes at its own time, however late that is.
    pub(crate) async fn advance_on_time(&self, seconds: i64) {
        self.move_clocks(seconds).await;
        loop {
            let sent = self.control.deliver_due_webhooks().await.expect("sent");
            let done = worker::drain(&self.app).await.expect("drained");
            if sent.delivered == 0 && done == 0 {
                break;
            }
        }
    }

    pub(crate) async fn reconcile(&self) -> Run {
        reconciliation::run(&self.app, self.book.id, partita::actor::Actor::System).await.expect("reconciled")
    }

    /// The balances that are not zero, by account path with sellers' references instead of their ids, in minor units,
    /// positive on the account's normal side.
    pub(crate) async fn balances(&self) -> std::collections::BTreeMap<String, i64> {
        let mut names = std::collections::HashMap::new();
        for seller in self.get("/v1/sellers?limit=100").await["data"].as_array().expect("a list") {
            names.insert(text(&seller["id"]), text(&seller["reference"]));
        }
        let book = self.book.id;
        let rows = self
            .app
            .db
            .read("balances of test", Scope::Book(book), |tx| {
                Box::pin(async move { partita_ledger::trial_balance(tx, None, None).await })
            })
            .await
            .expect("a trial balance");
        let mut balances = std::collections::BTreeMap::new();
        for row in rows {
            let signed = i64::try_from(row.normal_side.signed(row.debits, row.credits)).expect("in range");
            if signed != 0 {
                let path = names.iter().fold(row.path, |path, (id, name)| path.replace(id.as_str(), name));
                balances.insert(format!("{path} {}", row.currency), signed);
            }
        }
        balances
    }

    /// How many rows a query finds, as the owner sees them.
    pub(crate) async fn count(&self, sql: &'static str) -> i64 {
        let pool = sqlx::PgPool::connect(&self.database.url(partita_postgres::Role::Admin)).await.expect("admin");
        let count = sqlx::query_scalar(sql).fetch_one(&pool).await.expect("a count");
        pool.close().await;
        count
    }

    /// What must hold at the end of every test: the books verify, ledger and provider agree to the cent and object by
    /// object, the provider's own books do, and nothing is stuck.
    pub(crate) async fn finish(self) {
        self.settle().await;
        let report = verify::run(&self.app, self.book.id).await.expect("verified");
        assert!(report.is_clean(), "verify: {:#?}", report.findings);
        let comparison = rebuild::check(&self.app, self.book.id).await.expect("compared");
        assert!(comparison.agrees(), "rebuild: {comparison:#?}");
        let run = self.reconcile().await;
        let breaks = self.get(&format!("/v1/reconciliation/runs/{}/breaks", run.id)).await;
        assert_eq!(run.breaks, 0, "{breaks:#}");
        assert!(run.accounts > 0);
        assert_eq!(agreement::differences(&self).await, Vec::<String>::new(), "object by object");
        let provider_breaks = self.control.check_books().await.expect("checked");
        assert!(provider_breaks.is_empty(), "{provider_breaks:?}");
        let open = self.count("select count(*) from operations where state not in ('succeeded', 'failed')").await;
        assert_eq!(open, 0, "operations are stuck");
        let quarantined = self.count("select count(*) from inbox_events where state = 'quarantined'").await;
        assert_eq!(quarantined, 0, "events are quarantined");
        self.close().await;
    }

    /// Stops everything without the checks; for tests that leave a contradiction behind on purpose.
    pub(crate) async fn close(self) {
        self.stop.cancel();
        self.simulator.shutdown().await;
        self.app.db.close().await;
    }
}

/// Lets go of connections before the server closes them, which on a busy machine may be between two requests.
fn client() -> reqwest::Client {
    let builder = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
    builder.pool_idle_timeout(std::time::Duration::from_secs(3)).build().expect("a client")
}

/// What every process of a test hashes and encrypts with.
pub(crate) fn secrets() -> Secrets {
    let key = SecretString::from("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f");
    Secrets {
        pepper: SecretString::from("a pepper for tests, long enough for them"),
        vault: Vault::parse(&key).expect("a key"),
    }
}

/// Webhooks may go to the one address of this machine where tests listen.
pub(crate) fn egress() -> EgressPolicy {
    EgressPolicy::new(vec![443], vec!["127.0.0.1/32".parse().expect("a network")])
}

async fn serve(app: &Arc<App>, stop: &CancellationToken) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let base = format!("http://{}", listener.local_addr().expect("an address"));
    let rates = RateSettings { per_key: None, per_address: None, trusted_proxies: Vec::new() };
    let metrics = Metrics::detached().expect("metrics");
    let state = Shared::new(Arc::clone(app), metrics, &rates, base.clone());
    let router = http::router::main_router(state, web::router());
    let options = http::server::ServerOptions { max_connections: 512, drain: std::time::Duration::from_secs(1) };
    tokio::spawn(http::server::serve(listener, router, options, stop.clone()));
    base
}

pub(crate) async fn answer(request: reqwest::RequestBuilder) -> Answer {
    let response = request.send().await.expect("an answer");
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let bytes = response.bytes().await.expect("a body").to_vec();
    Answer { status, headers, bytes }
}

/// The service's database and the simulator's, each with its schema and nothing else.
pub(crate) async fn databases() -> (TestDatabase, TestDatabase) {
    // Another test of this process may have installed it.
    let _installed_before = rustls::crypto::ring::default_provider().install_default();
    let database = TestDatabase::create(
        |owner_url| async move { partita_db::migrate(&owner_url, &MIGRATOR).await },
        &template_key(&MIGRATOR),
    )
    .await
    .expect("a database for the test");
    let simulator_database = TestDatabase::create_for_simulator(
        |url| async move {
            let pool = sqlx::PgPool::connect(&url).await?;
            partita_simulator::MIGRATOR.run(&pool).await?;
            pool.close().await;
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
        },
        &template_key(&partita_simulator::MIGRATOR),
    )
    .await
    .expect("a database for the simulator");
    (database, simulator_database)
}

/// Names a template by everything that its migrations say.
fn template_key(migrator: &sqlx::migrate::Migrator) -> String {
    migrator.iter().map(|migration| hex::encode(&migration.checksum)).collect()
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("text instead of {value}")).to_owned()
}
