//! Plays a script: every step over the service's interface or at the simulated provider, on one clock.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use partita_db::{Scope, Vault};
use partita_provider::{Currency, Money};
use partita_simulator::{ClockMode, Simulator, SimulatorOptions};
use partita_webhooks::inbox::{self, InboxError, InboxState};
use reqwest::Method;
use secrecy::SecretString;
use serde_json::{Map, Value, json};

use super::names::{Names, missing};
use super::script::{Call, Caller, Ends, Expect, NewSeller, Pay, Refund, Script, Step};
use super::{Balance, Ground, Played, Told};
use crate::actor::Actor;
use crate::app::{App, RESEND_UP_TO, Secrets};
use crate::cli::service::{Listeners, Service, ServiceOptions, listen};
use crate::clock::{Clock, DrivenClock};
use crate::config::RateSettings;
use crate::id::random_hex;
use crate::platforms::{Book, ProviderConnection};
use crate::stage::{Client, Stage, egress, loopback, text};
use crate::telemetry::Metrics;
use crate::{operations, rebuild, reconciliation, verify, worker};

const CONNECTIONS: u32 = 12;
const MAX_CONNECTIONS: usize = 64;
/// The longest that queues stay unlooked at while a scenario waits: what a day brings is done on that day.
const LONGEST_STRIDE: jiff::SignedDuration = jiff::SignedDuration::from_hours(24);

/// A marketplace on which a script is played.
pub(super) struct Player {
    pub(super) stage: Stage,
    pub(super) simulator: Simulator,
    pub(super) secret_key: String,
    pub(super) names: Names,
    client: Client,
    colleague: Client,
    service: Service,
    book: Book,
    key_file: PathBuf,
    /// Names by the ids that stand in account paths.
    sellers: BTreeMap<String, String>,
    requests: u32,
    told: Vec<Told>,
    expectations: u32,
    failures: Vec<String>,
}

impl Player {
    /// Starts everything and opens the marketplace.
    pub(super) async fn open(script: &Script, ground: &Ground) -> anyhow::Result<Self> {
        if let Some(owner) = &ground.owner_url {
            partita_db::migrate(owner, &crate::MIGRATOR).await.context("the scenario's database cannot be made")?;
        }
        let db = crate::cli::connect(&SecretString::from(ground.app_url.clone()), CONNECTIONS).await?;
        let secret_key = format!("sk_test_{}", random_hex::<16>());
        let key_file = ground.folder.join(format!("scenario-{}.key", random_hex::<6>()));
        write_secret(&key_file, &secret_key)?;
        let simulator = Simulator::start(SimulatorOptions {
            bind: loopback(0),
            secret_key: secret_key.clone(),
            clock: ClockMode::Manual(script.starts.as_second()),
            background_webhooks: false,
            ..SimulatorOptions::new(ground.simulator_url.clone())
        })
        .await?;
        let clock = DrivenClock::new(script.starts);
        let vault = Vault::parse(&SecretString::from(random_hex::<32>()))?;
        let secrets = Secrets { pepper: SecretString::from(random_hex::<32>()), vault };
        let app = App::new(db, Clock::Driven(clock.clone()), secrets, egress(), RESEND_UP_TO);
        let (service, origin) = start_service(&app)?;
        let stage = Stage { app, clock, control: simulator.control() };
        let connection = ProviderConnection {
            provider: "stripe".to_owned(),
            base_url: simulator.base_url(),
            secret_ref: format!("file:{}", key_file.display()),
        };
        let (book, api_key) = stage.open_platform("market", "Market Square", connection, &origin).await?;
        // What a service of its own schedules when it has a minute: here minutes are the scenario's.
        worker::schedule_day_ends(&stage.app).await?;
        worker::schedule_stuck_money(&stage.app).await?;
        let client = Client::new(&origin, &api_key)?;
        let colleague = Client::new(&origin, &stage.open_key(&book, "colleague").await?)?;
        let player = Self {
            stage,
            simulator,
            secret_key,
            names: Names::default(),
            client,
            colleague,
            service,
            book,
            key_file,
            sellers: BTreeMap::new(),
            requests: 0,
            told: Vec::new(),
            expectations: 0,
            failures: Vec::new(),
        };
        player.set(&script.provider).await?;
        Ok(player)
    }

    /// Plays every step, as far as they can be played, and judges the end.
    pub(super) async fn play(&mut self, script: &Script) -> anyhow::Result<Played> {
        let mut movements = 0;
        let mut whole = true;
        for (number, step) in (1..).zip(&script.steps) {
            if let Err(error) = self.take(step).await {
                self.failures.push(format!("step {number} cannot be played: {error:#}"));
                whole = false;
                break;
            }
        }
        if whole {
            movements = self.judge(&script.ends).await?;
        }
        Ok(Played {
            title: script.title.clone(),
            told: std::mem::take(&mut self.told),
            expectations: self.expectations,
            failures: std::mem::take(&mut self.failures),
            books: self.books().await?,
            movements,
        })
    }

    pub(super) async fn close(self) {
        self.service.stop().await;
        self.simulator.shutdown().await;
        self.stage.app.db.close().await;
        if let Err(error) = fs::remove_file(&self.key_file) {
            tracing::warn!(%error, "the scenario's key cannot be removed");
        }
    }

    async fn take(&mut self, step: &Step) -> anyhow::Result<()> {
        match step {
            Step::Say(text) => self.tell(text.trim().to_owned()),
            Step::Seller(seller) => self.seller(seller).await?,
            Step::TopUp(amount) => {
                let reference = format!("top-up-{}", self.requests);
                let body = json!({"reference": reference, "amount": amount.0.minor, "currency": amount.0.currency});
                self.post("/v1/top_ups", &body, 201).await?;
                self.tell(format!("the platform tops up {}", amount.0));
            }
            Step::Pay(pay) => self.pay(pay).await?,
            Step::Refund(refund) => self.refund(refund).await?,
            Step::Wait(wait) => {
                let until = self.stage.clock.now() + wait.0;
                while self.stage.clock.now() < until {
                    self.stage.advance((self.stage.clock.now() + LONGEST_STRIDE).min(until)).await?;
                }
            }
            Step::Call(call) => self.call(call).await?,
            Step::Provider(act) => {
                let what = self.act(act).await?;
                self.tell(what);
            }
            Step::Expect(expect) => self.expect(expect).await?,
        }
        self.stage.settle().await
    }

    fn tell(&mut self, what: String) {
        self.told.push(Told { at: self.stage.clock.now(), what });
    }

    async fn seller(&mut self, new: &NewSeller) -> anyhow::Result<()> {
        let body = json!({
            "reference": new.name, "email": format!("{}@example.com", new.name), "country": new.country,
            "default_currency": new.currency, "payout_interval": new.payouts,
        });
        let seller = self.post("/v1/sellers", &body, 201).await?;
        self.sellers.insert(text(&seller, "/id")?.to_owned(), new.name.clone());
        self.names.give(&new.name, seller);
        if new.onboarded {
            self.onboard(&new.name).await?;
        }
        self.tell(format!("{} opens a shop in {}", new.name, new.country));
        Ok(())
    }

    async fn pay(&mut self, pay: &Pay) -> anyhow::Result<()> {
        let first = pay.lines.first().context("a payment has lines")?.amount.0;
        let mut total = Money::new(0, first.currency);
        let mut lines = Vec::new();
        for line in &pay.lines {
            total = total.checked_add(line.amount.0)?;
            let mut body = line.with.clone();
            body.insert("amount".to_owned(), json!(line.amount.0.minor));
            match &line.seller {
                Some(seller) => body.insert("seller".to_owned(), json!(self.names.id(seller)?)),
                None => body.insert("type".to_owned(), json!("platform")),
            };
            if let Some(tax) = line.tax {
                total = total.checked_add(tax.0)?;
                body.insert("tax".to_owned(), json!({"amount": tax.0.minor}));
            }
            lines.push(Value::Object(body));
        }
        let mut body: Map<String, Value> = pay.with.clone();
        for (key, value) in [
            ("reference", json!(pay.name)),
            ("amount", json!(total.minor)),
            ("currency", json!(total.currency)),
            ("payment_method", json!(pay.method)),
            ("lines", Value::Array(lines)),
        ] {
            body.insert(key.to_owned(), value);
        }
        let payment = self.post("/v1/payments", &Value::Object(body), pay.answer).await?;
        self.tell(format!("{}: a buyer pays {total}: {}", pay.name, status(&payment)));
        self.names.give(&pay.name, payment);
        Ok(())
    }

    async fn refund(&mut self, refund: &Refund) -> anyhow::Result<()> {
        let mut body = json!({"payment": self.names.id(&refund.of)?, "reference": refund.name});
        if let Some(amount) = refund.amount {
            body["amount"] = json!(amount.0.minor);
        }
        if !refund.lines.is_empty() {
            let line = |(line, amount): (&u32, &super::amount::Amount)| json!({"line": line, "amount": amount.0.minor});
            body["lines"] = refund.lines.iter().map(line).collect();
        }
        let made = self.post("/v1/refunds", &body, refund.answer).await?;
        self.tell(format!("{}: {} is refunded: {}", refund.name, refund.of, status(&made)));
        self.names.give(&refund.name, made);
        Ok(())
    }

    async fn call(&mut self, call: &Call) -> anyhow::Result<()> {
        let method: Method = call.method.parse().with_context(|| format!("{:?} is no method", call.method))?;
        let path = self.names.path(&call.path)?;
        let body = call.body.as_ref().map(|body| self.names.body(body)).transpose()?;
        let answer = self.send_as(call.by, method, &path, body.as_ref(), call.answer).await?;
        if let Some(has) = &call.has {
            self.compare(has, &answer, &call.path)?;
        }
        self.tell(format!("{} {}: {}", call.method, call.path, status(&answer)));
        if let Some(name) = &call.name {
            self.names.give(name, answer);
        }
        Ok(())
    }

    async fn post(&mut self, path: &str, body: &Value, answer: u16) -> anyhow::Result<Value> {
        self.send(Method::POST, path, Some(body), answer).await
    }

    async fn send(&mut self, method: Method, path: &str, body: Option<&Value>, answer: u16) -> anyhow::Result<Value> {
        self.send_as(Caller::Operator, method, path, body, answer).await
    }

    async fn send_as(
        &mut self,
        caller: Caller,
        method: Method,
        path: &str,
        body: Option<&Value>,
        answer: u16,
    ) -> anyhow::Result<Value> {
        self.requests += 1;
        let key = (method == Method::POST).then(|| format!("scenario-{}", self.requests));
        let client = match caller {
            Caller::Operator => &self.client,
            Caller::Colleague => &self.colleague,
        };
        let (status, found) = client.send(method, path, key.as_deref(), body).await?;
        if status.as_u16() != answer {
            bail!("{path} was answered {status} instead of {answer}: {found}");
        }
        Ok(found)
    }

    /// A resource as it is now.
    pub(super) async fn get(&self, path: &str) -> anyhow::Result<Value> {
        let (status, found) = self.client.send(Method::GET, path, None, None).await?;
        if !status.is_success() {
            bail!("{path} was answered {status}: {found}");
        }
        Ok(found)
    }

    async fn expect(&mut self, expect: &Expect) -> anyhow::Result<()> {
        match expect {
            Expect::Balances(wanted) => {
                let books = self.books().await?;
                for (account, amount) in wanted {
                    let found =
                        books.iter().find(|row| row.account == *account && row.amount.currency == amount.0.currency);
                    let found = found.map_or(Money::new(0, amount.0.currency), |row| row.amount);
                    self.check(found == amount.0, || format!("{account} is {found}, not {}", amount.0));
                }
            }
            Expect::Books(wanted) => {
                let books = self.books().await?;
                let mut wanted: Vec<Balance> = wanted
                    .iter()
                    .map(|(account, amount)| Balance { account: account.clone(), amount: amount.0 })
                    .collect();
                wanted.sort_by(by_account);
                self.check(books == wanted, || format!("the books are {}, not {}", listed(&books), listed(&wanted)));
            }
            Expect::Get { path, answer, has } => {
                let resolved = self.names.path(path)?;
                let found = self.send(Method::GET, &resolved, None, *answer).await?;
                self.compare(has, &found, path)?;
            }
        }
        Ok(())
    }

    fn compare(&mut self, has: &Value, found: &Value, path: &str) -> anyhow::Result<()> {
        let missing = missing(&self.names.body(has)?, found, "");
        self.check(missing.is_empty(), || format!("{path}: {}", missing.join("; ")));
        Ok(())
    }

    fn check(&mut self, holds: bool, otherwise: impl FnOnce() -> String) {
        self.expectations += 1;
        if !holds {
            let at = self.stage.clock.now();
            self.failures.push(format!("{at}: {}", otherwise()));
        }
    }

    /// What must hold in the end, whatever the script is about; how many movements agree.
    async fn judge(&mut self, ends: &Ends) -> anyhow::Result<i64> {
        let (app, book) = (Arc::clone(&self.stage.app), self.book.id);
        self.stage.settle().await?;
        for finding in verify::check(&app, book, verify::Depth::Complete).await?.findings {
            self.failures.push(format!("verify: {}: {}", finding.invariant, finding.detail));
        }
        let comparison = rebuild::check(&app, book).await?;
        if !comparison.agrees() {
            self.failures.push(format!("the ledger does not follow from the facts: {comparison:?}"));
        }
        let run = reconciliation::run(&app, book, Actor::System).await?;
        if run.breaks != ends.breaks {
            let breaks = self.get(&format!("/v1/reconciliation/runs/{}/breaks", run.id)).await?;
            self.failures
                .push(format!("reconciliation finds {} differences, not {}: {breaks}", run.breaks, ends.breaks));
        }
        let waiting = app
            .db
            .read("what waits in a scenario", Scope::Book(book), |tx| {
                Box::pin(async move {
                    let open = operations::count_open(tx).await?.iter().map(|state| state.operations).sum::<i64>();
                    let waiting = inbox::waiting(tx).await?;
                    let aside = waiting.iter().filter(|(state, _)| *state == InboxState::Quarantined);
                    Ok::<_, InboxError>((open, aside.map(|(_, events)| events).sum::<i64>()))
                })
            })
            .await?;
        if waiting != (ends.open_operations, ends.quarantined_events) {
            let (open, aside) = waiting;
            self.failures.push(format!("{open} operations and {aside} events wait"));
        }
        Ok(run.matched)
    }

    /// What is not zero, by account.
    async fn books(&self) -> anyhow::Result<Vec<Balance>> {
        let rows = self
            .stage
            .app
            .db
            .read("books of a scenario", Scope::Book(self.book.id), |tx| {
                Box::pin(async move { partita_ledger::trial_balance(tx, None, None).await })
            })
            .await?;
        let mut books = Vec::new();
        for row in rows {
            let minor =
                i64::try_from(row.normal_side.signed(row.debits, row.credits)).context("a balance beyond 64 bits")?;
            if minor != 0 {
                let account = self.sellers.iter().fold(row.path, |path, (id, name)| path.replace(id.as_str(), name));
                books.push(Balance { account, amount: Money::new(minor, Currency::parse(&row.currency.to_string())?) });
            }
        }
        books.sort_by(by_account);
        Ok(books)
    }
}

fn by_account(a: &Balance, b: &Balance) -> std::cmp::Ordering {
    (&a.account, a.amount.currency).cmp(&(&b.account, b.amount.currency))
}

fn listed(books: &[Balance]) -> String {
    let rows: Vec<String> = books.iter().map(|row| format!("{} {}", row.account, row.amount)).collect();
    rows.join(", ")
}

/// The state of what was answered, for the story.
fn status(answer: &Value) -> &str {
    ["status", "title", "code"].iter().find_map(|field| answer[field].as_str()).unwrap_or("done")
}

fn start_service(app: &Arc<App>) -> anyhow::Result<(Service, String)> {
    let listeners =
        Listeners { main: Some(listen(loopback(0), "a free port")?), admin: listen(loopback(0), "a free port")? };
    let main = listeners.main.as_ref().context("just made")?.local_addr()?;
    let origin = format!("http://{main}");
    let options = ServiceOptions {
        public_origin: origin.clone(),
        max_connections: MAX_CONNECTIONS,
        shutdown_delay: Duration::ZERO,
        drain: Duration::from_secs(1),
        rates: RateSettings::default(),
        with_worker: false,
    };
    Ok((Service::start(Arc::clone(app), listeners, Metrics::detached()?, &options)?, origin))
}

fn write_secret(file: &std::path::Path, secret: &str) -> anyhow::Result<()> {
    use std::io::Write as _;
    let mut open = fs::OpenOptions::new();
    let mut file = open.write(true).create_new(true).mode(0o600).open(file).context("the scenario's key")?;
    Ok(file.write_all(secret.as_bytes())?)
}
