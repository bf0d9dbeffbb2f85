//! What the tests stand on: a simulator on a database of its own, and a client.

use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use partita_postgres::testing::TestDatabase;
use partita_simulator::{ClockMode, Control, MIGRATOR, NewEndpoint, Simulator, SimulatorOptions};
use serde_json::Value;
use sqlx::Connection;

/// 2026-11-02, 10:00 UTC.
pub(crate) const START: i64 = 1_793_613_600;
/// Seconds of a day.
pub(crate) const DAY: i64 = 86_400;
/// A payment that is confirmed at once, but for its card and amount.
pub(crate) const CONFIRMED: [(&str, &str); 2] = [("confirm", "true"), ("allowed_payment_method_types[]", "card")];

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) text: String,
    pub(crate) body: Value,
}

impl Reply {
    pub(crate) fn id(&self) -> &str {
        self.body["id"].as_str().unwrap_or_else(|| panic!("an object with an id, not {}", self.text))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Type, code and parameter of an error.
    pub(crate) fn error(&self) -> (u16, &str, &str, &str) {
        let field = |name: &str| self.body["error"][name].as_str().unwrap_or_default();
        (self.status, field("type"), field("code"), field("param"))
    }

    pub(crate) fn ok(self) -> Self {
        assert_eq!(self.status, 200, "{}", self.text);
        self
    }
}

/// Available, pending and reserved; minor units.
pub(crate) type Amounts = (i64, i64, i64);

/// A simulator under test.
pub(crate) struct Sim {
    pub(crate) simulator: Simulator,
    pub(crate) control: Control,
    pub(crate) http: reqwest::Client,
    pub(crate) database: TestDatabase,
}

pub(crate) async fn database() -> TestDatabase {
    let key: String = MIGRATOR.iter().map(|migration| hex::encode(&migration.checksum)).collect();
    let migrate = |url: String| async move {
        let mut connection = sqlx::PgConnection::connect(&url).await?;
        MIGRATOR.run(&mut connection).await?;
        connection.close().await?;
        Ok::<(), sqlx::Error>(())
    };
    TestDatabase::create_for_simulator(migrate, &key).await.expect("a test database")
}

impl Sim {
    /// A simulator on a driven clock that takes 2.5 % + 20 of each charge and sends webhooks only when flushed.
    pub(crate) async fn start() -> Self {
        let database = database().await;
        let sim = Self::on(database).await;
        sim.control.set_fees("eur", 250, 20).await.expect("fees are set");
        sim
    }

    pub(crate) async fn on(database: TestDatabase) -> Self {
        let options = SimulatorOptions {
            clock: ClockMode::Manual(START),
            background_webhooks: false,
            ..SimulatorOptions::new(database.app_url.clone())
        };
        let simulator = Simulator::start(options).await.expect("a running simulator");
        let control = simulator.control();
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .expect("a client");
        Self { simulator, control, http, database }
    }

    /// Ends a test: the books agree.
    pub(crate) async fn finish(self) {
        let breaks = self.control.check_books().await.expect("the books can be read");
        assert!(breaks.is_empty(), "{breaks:?}");
        self.simulator.shutdown().await;
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.simulator.base_url())
    }

    pub(crate) async fn send(&self, request: reqwest::RequestBuilder) -> Reply {
        let answer = request.send().await.expect("an answer");
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let text = answer.text().await.expect("a body");
        let body = serde_json::from_str(&text).unwrap_or_default();
        Reply { status, headers, text, body }
    }

    pub(crate) fn request(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method, self.url(path)).bearer_auth(self.simulator.secret_key())
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.send(self.request(reqwest::Method::GET, path)).await
    }

    pub(crate) async fn get_as(&self, account: &str, path: &str) -> Reply {
        self.send(self.request(reqwest::Method::GET, path).header("stripe-account", account)).await
    }

    pub(crate) async fn post(&self, path: &str, form: &[(&str, &str)]) -> Reply {
        self.send(self.request(reqwest::Method::POST, path).form(form)).await
    }

    pub(crate) async fn post_with_key(&self, path: &str, form: &[(&str, &str)], key: &str) -> Reply {
        self.send(self.request(reqwest::Method::POST, path).form(form).header("idempotency-key", key)).await
    }

    pub(crate) async fn post_as(&self, account: &str, path: &str, form: &[(&str, &str)]) -> Reply {
        self.send(self.request(reqwest::Method::POST, path).form(form).header("stripe-account", account)).await
    }

    /// A connected account that may be paid, on this payout schedule.
    pub(crate) async fn seller(&self, interval: &str) -> String {
        let form = [
            ("type", "express"),
            ("country", "DE"),
            ("email", "seller@example.com"),
            ("capabilities[transfers][requested]", "true"),
            ("settings[payouts][schedule][interval]", interval),
        ];
        let account = self.post("/v1/accounts", &form).await.ok().id().to_owned();
        self.control.complete_onboarding(&account).await.expect("onboarding");
        account
    }

    /// A seller that may be charged for itself.
    pub(crate) async fn seller_with_cards(&self) -> String {
        let form = [
            ("type", "express"),
            ("country", "DE"),
            ("email", "cards@example.com"),
            ("capabilities[transfers][requested]", "true"),
            ("capabilities[card_payments][requested]", "true"),
        ];
        let account = self.post("/v1/accounts", &form).await.ok().id().to_owned();
        self.control.complete_onboarding(&account).await.expect("onboarding");
        account
    }

    /// Adds money to the platform's balance.
    pub(crate) async fn fund(&self, amount: &str) -> String {
        self.post("/v1/topups", &[("amount", amount), ("currency", "eur")]).await.ok().id().to_owned()
    }

    /// A payment by a card, with its charge and balance transaction.
    pub(crate) async fn pay(&self, amount: &str, card: &str) -> Reply {
        let form = [
            ("amount", amount),
            ("currency", "eur"),
            ("payment_method", card),
            ("expand[]", "latest_charge.balance_transaction"),
        ];
        self.post("/v1/payment_intents", &[form.as_slice(), &CONFIRMED].concat()).await
    }

    pub(crate) async fn transfer(&self, amount: &str, destination: &str) -> Reply {
        let form = [("amount", amount), ("currency", "eur"), ("destination", destination)];
        self.post("/v1/transfers", &form).await
    }

    pub(crate) async fn refund(&self, intent: &str, amount: &str) -> Reply {
        self.post("/v1/refunds", &[("payment_intent", intent), ("amount", amount)]).await
    }

    pub(crate) async fn reverse(&self, transfer: &str, amount: &str) -> Reply {
        self.post(&format!("/v1/transfers/{transfer}/reversals"), &[("amount", amount)]).await
    }

    /// The euro balance of the platform or a connected account.
    pub(crate) async fn balance(&self, account: Option<&str>) -> Amounts {
        let account = account.unwrap_or(self.control.platform_account());
        let body = self.get_as(account, "/v1/balance").await.ok().body;
        let amount = |state: &str| {
            let rows = body[state].as_array().map(Vec::as_slice).unwrap_or_default();
            rows.iter().find(|row| row["currency"] == "eur").map_or(0, |row| row["amount"].as_i64().unwrap_or(0))
        };
        (amount("available"), amount("pending"), amount("connect_reserved"))
    }

    /// The types of the balance transactions of an account, newest first.
    pub(crate) async fn movements(&self, account: Option<&str>) -> Vec<(String, i64)> {
        let account = account.unwrap_or(self.control.platform_account());
        let body = self.get_as(account, "/v1/balance_transactions?limit=100").await.ok().body;
        let rows = body["data"].as_array().cloned().unwrap_or_default();
        let row = |r: &Value| (r["type"].as_str().unwrap_or_default().to_owned(), r["net"].as_i64().unwrap_or(0));
        rows.iter().map(row).collect()
    }
}

/// What a sink received.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) signature: String,
    pub(crate) body: Bytes,
}

impl Received {
    pub(crate) fn event(&self) -> Value {
        serde_json::from_slice(&self.body).expect("an event")
    }
}

#[derive(Debug, Clone)]
struct SinkState {
    status: Arc<Mutex<StatusCode>>,
    received: Arc<Mutex<Vec<Received>>>,
}

/// A webhook endpoint under test.
#[derive(Debug)]
pub(crate) struct Sink {
    pub(crate) url: String,
    state: SinkState,
}

impl Sink {
    pub(crate) async fn start() -> Self {
        let state = SinkState { status: Arc::new(Mutex::new(StatusCode::OK)), received: Arc::default() };
        let router = axum::Router::new().fallback(receive).with_state(state.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}/hook", listener.local_addr().expect("an address"));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, state }
    }

    pub(crate) fn answer_with(&self, status: StatusCode) {
        *self.state.status.lock().expect("not poisoned") = status;
    }

    /// Takes what has arrived.
    pub(crate) fn take(&self) -> Vec<Received> {
        std::mem::take(&mut *self.state.received.lock().expect("not poisoned"))
    }

    /// Registers the sink at a simulator; its signing secret.
    pub(crate) async fn register(&self, control: &Control, connect: bool) -> String {
        let endpoint = NewEndpoint { url: self.url.clone(), secret: None, connect, enabled_events: Vec::new() };
        control.register_endpoint(endpoint).await.expect("a registered endpoint").secret
    }
}

async fn receive(State(state): State<SinkState>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let signature = headers.get("stripe-signature").and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
    state.received.lock().expect("not poisoned").push(Received { signature, body });
    *state.status.lock().expect("not poisoned")
}

/// The types of some events.
pub(crate) fn kinds(received: &[Received]) -> Vec<String> {
    received.iter().map(|r| r.event()["type"].as_str().unwrap_or_default().to_owned()).collect()
}
