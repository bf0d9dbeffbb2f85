//! Makes the demo's marketplace: opens the shops, tells the story of its days, ends at the present.
//!
//! Everything goes the way it always goes: over the interface to the service, from there to the simulator by the Stripe
//! adapter, and back by signed webhooks over HTTP. Only time is driven: one clock for the service and the simulator, and
//! after each step the queues of both are emptied, so that nothing is waited for.

use std::sync::Arc;

use anyhow::{Context as _, bail, ensure};
use jiff::{SignedDuration, Timestamp};
use partita_postgres::{PrivateServer, Role};
use partita_simulator::{ClockMode, Control, NewEndpoint, Simulator};
use partita_webhooks::endpoint::EndpointKind;
use secrecy::SecretString;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::client::{Client, text};
use super::marketplace::{self, DAYS, Deed, NAME, NEWCOMER, Order, Part, REFERENCE, SHOPS, Step};
use super::place::{Marketplace, Place};
use super::progress::Progress;
use super::stack::{
    DATABASE, Ports, SIMULATOR_DATABASE, connect_provider, egress, open_database, start_service, start_simulator,
};
use crate::app::{App, RESEND_UP_TO, Secrets};
use crate::cli::register_endpoint;
use crate::clock::{Clock, DrivenClock, system_now};
use crate::id::{PaymentId, SellerId, random_hex};
use crate::platforms::{self, Book, Mode, SCOPES};
use crate::{verify, worker};

/// What the simulator takes of a charge: currency, basis points, minor units.
const PROCESSOR_FEES: [(&str, u32, i64); 2] = [("eur", 150, 25), ("gbp", 150, 20)];
/// What the marketplace adds to its balance at the provider: currency, minor units.
const TOP_UPS: [(&str, i64); 2] = [("EUR", 250_000), ("GBP", 200_000)];
/// How often the queues of both sides are emptied after a step before something must be wrong.
const ROUNDS: u32 = 30;

/// Makes both databases anew and the marketplace in them; none when it was told to stop.
///
/// # Errors
/// With what failed; the next start begins again.
pub(super) async fn make_marketplace(
    place: &Place,
    server: &PrivateServer,
    ports: &Ports,
    progress: &Progress,
    stop: &CancellationToken,
) -> anyhow::Result<Option<Marketplace>> {
    progress.phase("Making the databases");
    for (name, owner) in [(DATABASE, Role::Owner), (SIMULATOR_DATABASE, Role::Simulator)] {
        server.cluster().drop_database(name).await?;
        server.cluster().create_database(name, owner).await?;
    }
    let start = whole_second(system_now() - SignedDuration::from_hours(24 * DAYS));
    let simulator = start_simulator(place, server, ports, ClockMode::Manual(start.as_second())).await?;
    let made = with_simulator(place, server, ports, &simulator, start, progress, stop).await;
    simulator.shutdown().await;
    made
}

async fn with_simulator(
    place: &Place,
    server: &PrivateServer,
    ports: &Ports,
    simulator: &Simulator,
    start: Timestamp,
    progress: &Progress,
    stop: &CancellationToken,
) -> anyhow::Result<Option<Marketplace>> {
    let db = open_database(server).await?;
    let clock = DrivenClock::new(start);
    let pepper = random_hex::<32>();
    let secrets = Secrets { pepper: SecretString::from(pepper.clone()), vault: place.vault()? };
    let app = App::new(db.clone(), Clock::Driven(clock.clone()), secrets, egress(), RESEND_UP_TO);
    let service = start_service(Arc::clone(&app), ports, false)?;
    progress.phase("Opening the shops");
    let told = async {
        let api_key = open_platform(&app, place, ports, simulator).await?;
        let client = Client::new(&ports.origin()?, &api_key)?;
        let world = World { app: Arc::clone(&app), clock, control: simulator.control(), client };
        let sellers = world.open_shops().await?;
        let Some(example) = world.live(&sellers, start, progress, stop).await? else { return Ok(None) };
        Ok(Some(Marketplace { api_key, pepper, sellers, example }))
    };
    let told = told.await;
    service.stop().await;
    db.close().await;
    told
}

/// Makes the platform with its books, webhooks and API key; the key.
async fn open_platform(app: &Arc<App>, place: &Place, ports: &Ports, simulator: &Simulator) -> anyhow::Result<String> {
    let books = platforms::create(app, REFERENCE, NAME).await?;
    let book: &Book = books.iter().find(|book| book.mode == Mode::Test).context("a platform has a test book")?;
    connect_provider(app, place, simulator).await?;
    let control = simulator.control();
    for kind in [EndpointKind::Platform, EndpointKind::Connect] {
        let secret = format!("whsec_{}", random_hex::<32>());
        let address = register_endpoint(app, book, kind, &secret, &ports.origin()?).await?;
        let connect = kind == EndpointKind::Connect;
        let endpoint = NewEndpoint { url: address.url, secret: Some(secret), connect, enabled_events: Vec::new() };
        control.register_endpoint(endpoint).await?;
    }
    for (currency, basis_points, fixed) in PROCESSOR_FEES {
        control.set_fees(currency, basis_points, fixed).await?;
    }
    // One day on the way, so that some payouts have arrived by now.
    let settings = partita_simulator::Settings { payout_arrival_days: 1, ..control.settings() };
    control.set_settings(settings).await?;
    let scopes = SCOPES.iter().map(ToString::to_string).collect();
    let (_, key) = platforms::create_key(app, book, "demo", scopes, None).await?;
    Ok(key)
}

/// Everything the story happens in.
struct World {
    app: Arc<App>,
    clock: DrivenClock,
    control: Control,
    client: Client,
}

impl World {
    /// Opens the shops, sets the prices of the marketplace and funds its balance.
    async fn open_shops(&self) -> anyhow::Result<[SellerId; 4]> {
        let policy = json!({
            "reference": "standard", "name": "10 % and a little", "default": true, "percent_bps": 1_000,
            "amounts": {
                "EUR": { "fixed": 30, "minimum": 50, "maximum": 50_00 },
                "GBP": { "fixed": 25, "minimum": 45, "maximum": 45_00 },
            },
        });
        self.client.create("/v1/fee_policies", &policy).await?;
        let mut sellers: Vec<SellerId> = Vec::new();
        for (index, shop) in SHOPS.iter().enumerate() {
            let body = json!({
                "reference": shop.reference, "email": shop.email, "country": shop.country,
                "default_currency": shop.currency, "locale": shop.locale, "metadata": { "name": shop.name },
            });
            let seller = self.client.create("/v1/sellers", &body).await?;
            if index != NEWCOMER {
                let account = text(&seller, "/provider/id")?;
                self.control.complete_onboarding_with(account, shop.name, shop.bank_account).await?;
            }
            sellers.push(text(&seller, "/id")?.parse()?);
        }
        for (currency, amount) in TOP_UPS {
            let body = json!({ "reference": format!("opening-{currency}"), "amount": amount, "currency": currency });
            self.client.create("/v1/top_ups", &body).await?;
        }
        self.settle().await?;
        <[SellerId; 4]>::try_from(sellers).ok().context("there are four shops")
    }

    /// Tells the story, then lets the clock catch up with the machine's; a payment that was refunded in part, or none when
    /// it was told to stop.
    async fn live(
        &self,
        sellers: &[SellerId; 4],
        start: Timestamp,
        progress: &Progress,
        stop: &CancellationToken,
    ) -> anyhow::Result<Option<PaymentId>> {
        let steps = marketplace::story(start, system_now());
        progress.steps("Day 1 of orders, payouts and refunds", steps.len());
        let (mut paid, mut example) = (Vec::new(), None);
        for step in steps {
            if stop.is_cancelled() {
                return Ok(None);
            }
            let day = (step.at.as_second() - start.as_second()) / 86_400 + 1;
            example = self.take(&step, sellers, &mut paid).await?.or(example);
            progress.step(&format!("Day {day} of orders, payouts and refunds"));
        }
        self.catch_up().await?;
        progress.phase("Verifying the books");
        self.verify().await?;
        example.context("the story has a refund in part").map(Some)
    }

    /// Does what a step says, at its time; the payment, if it was refunded in part. `paid` has a place for each order,
    /// empty for those that were declined.
    async fn take(
        &self,
        step: &Step,
        sellers: &[SellerId; 4],
        paid: &mut Vec<Option<PaymentId>>,
    ) -> anyhow::Result<Option<PaymentId>> {
        self.advance(step.at).await?;
        let mut refunded = None;
        match &step.deed {
            Deed::Order(order) => {
                paid.resize(order.number, None);
                paid.push(self.order(order, sellers).await?);
            }
            Deed::Refund { order, part, reason } => {
                if let Some(payment) = paid.get(*order).copied().flatten() {
                    self.refund(payment, *order, *part, reason).await?;
                    refunded = Some(payment).filter(|_| *part != Part::Whole);
                }
            }
            Deed::Look => {}
        }
        self.settle().await?;
        Ok(refunded)
    }

    async fn order(&self, order: &Order, sellers: &[SellerId]) -> anyhow::Result<Option<PaymentId>> {
        let Some(payment) = self.client.pay(&order.body(sellers)).await? else { return Ok(None) };
        Ok(Some(text(&payment, "/id")?.parse()?))
    }

    async fn refund(&self, payment: PaymentId, order: usize, part: Part, reason: &str) -> anyhow::Result<()> {
        let mut body = json!({ "payment": payment, "reference": format!("return-{order}"), "reason": reason });
        if let Part::FirstLine(amount) = part {
            body["lines"] = json!([{ "line": 0, "amount": amount }]);
        }
        self.client.create("/v1/refunds", &body).await.map(drop)
    }

    /// Moves both clocks to a time; what falls due at the provider on the way happens at its own time.
    async fn advance(&self, to: Timestamp) -> anyhow::Result<()> {
        let to = to.max(self.clock.now());
        self.control.set_time(to.as_second()).await?;
        self.clock.set(to);
        self.settle().await
    }

    /// Empties the queues of both sides.
    async fn settle(&self) -> anyhow::Result<()> {
        for _ in 0..ROUNDS {
            let sent = self.control.flush_webhooks().await?;
            ensure!(sent.failed == 0, "{} webhooks were not taken by the service", sent.failed);
            let done = worker::drain(&self.app).await?;
            if sent.delivered == 0 && done == 0 {
                return Ok(());
            }
        }
        bail!("the queues of the demo do not become empty")
    }

    /// Ends at the present, and leaves the simulator's clock to the machine.
    async fn catch_up(&self) -> anyhow::Result<()> {
        self.advance(whole_second(system_now())).await?;
        self.control.use_system_clock().await?;
        self.clock.set(system_now());
        self.settle().await
    }

    async fn verify(&self) -> anyhow::Result<()> {
        let book = platforms::book_of(&self.app, REFERENCE, Mode::Test).await?;
        let report = verify::run(&self.app, book.id).await?;
        if let Some(finding) = report.findings.first() {
            bail!("the books of the demo are not clean: {}: {}", finding.invariant, finding.detail);
        }
        Ok(())
    }
}

fn whole_second(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).expect("less of a valid time is valid")
}
