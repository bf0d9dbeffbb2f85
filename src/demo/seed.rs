//! Makes the demo's marketplace: opens the shops, tells the story of its days, ends at the present.
//!
//! Everything goes the way it always goes: over the interface to the service, from there to the simulator by the Stripe
//! adapter, and back by signed webhooks over HTTP. Only time is driven: one clock for the service and the simulator, and
//! after each step the queues of both are emptied, so that nothing is waited for.

use std::sync::Arc;

use anyhow::{Context as _, bail};
use jiff::{SignedDuration, Timestamp};
use partita_postgres::{PrivateServer, Role};
use partita_simulator::{ClockMode, Simulator};
use secrecy::SecretString;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::marketplace::{self, DAYS, Deed, NAME, NEWCOMER, Order, Part, REFERENCE, SHOPS, Step};
use super::place::{Marketplace, Place};
use super::progress::Progress;
use super::stack::{DATABASE, Ports, SIMULATOR_DATABASE, connection, open_database, start_service, start_simulator};
use crate::app::{App, RESEND_UP_TO, Secrets};
use crate::clock::{Clock, DrivenClock, system_now};
use crate::id::{PaymentId, SellerId, random_hex};
use crate::platforms::{self, Mode};
use crate::stage::{Client, Stage, egress, text};
use crate::verify;

/// What the simulator takes of a charge: currency, basis points, minor units.
const PROCESSOR_FEES: [(&str, u32, i64); 2] = [("eur", 150, 25), ("gbp", 150, 20)];
/// What the marketplace adds to its balance at the provider: currency, minor units.
const TOP_UPS: [(&str, i64); 2] = [("EUR", 250_000), ("GBP", 200_000)];

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
        let stage = Stage { app: Arc::clone(&app), clock, control: simulator.control() };
        let api_key = open_platform(&stage, place, ports, simulator).await?;
        let client = Client::new(&ports.origin()?, &api_key)?;
        let world = World { stage, client };
        let sellers = world.open_shops().await?;
        let Some(example) = world.live(&sellers, start, progress, stop).await? else { return Ok(None) };
        Ok(Some(Marketplace { api_key, pepper, sellers, example }))
    };
    let told = told.await;
    service.stop().await;
    db.close().await;
    told
}

/// Makes the platform, and the provider behave as in the story; the platform's API key.
async fn open_platform(stage: &Stage, place: &Place, ports: &Ports, simulator: &Simulator) -> anyhow::Result<String> {
    let connection = connection(place, simulator)?;
    let (_, key) = stage.open_platform(REFERENCE, NAME, connection, &ports.origin()?).await?;
    for (currency, basis_points, fixed) in PROCESSOR_FEES {
        stage.control.set_fees(currency, basis_points, fixed).await?;
    }
    // One day on the way, so that some payouts have arrived by now.
    let settings = partita_simulator::Settings { payout_arrival_days: 1, ..stage.control.settings() };
    stage.control.set_settings(settings).await?;
    Ok(key)
}

/// Everything the story happens in.
struct World {
    stage: Stage,
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
                self.stage.control.complete_onboarding_with(account, shop.name, shop.bank_account).await?;
            }
            sellers.push(text(&seller, "/id")?.parse()?);
        }
        for (currency, amount) in TOP_UPS {
            let body = json!({ "reference": format!("opening-{currency}"), "amount": amount, "currency": currency });
            self.client.create("/v1/top_ups", &body).await?;
        }
        self.stage.settle().await?;
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
        self.stage.advance(step.at).await?;
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
        self.stage.settle().await?;
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

    /// Ends at the present, and leaves the simulator's clock to the machine.
    async fn catch_up(&self) -> anyhow::Result<()> {
        self.stage.advance(whole_second(system_now())).await?;
        self.stage.control.use_system_clock().await?;
        self.stage.clock.set(system_now());
        self.stage.settle().await
    }

    async fn verify(&self) -> anyhow::Result<()> {
        let book = platforms::book_of(&self.stage.app, REFERENCE, Mode::Test).await?;
        let report = verify::run(&self.stage.app, book.id).await?;
        if let Some(finding) = report.findings.first() {
            bail!("the books of the demo are not clean: {}: {}", finding.invariant, finding.detail);
        }
        Ok(())
    }
}

fn whole_second(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).expect("less of a valid time is valid")
}
