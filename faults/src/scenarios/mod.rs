//! The faults, one file each: what is done to the service while the load runs.
//!
//! Every run has the same frame ([`run`]): start, open the marketplace, load and fault together, heal, wait for quiet,
//! check. A fault only says what it does in between.

mod f14_races;
mod f1_crashes;
mod f2_replica;
mod f3_postgres;
mod f4_network;
mod f5_commits;
mod f6_clients;
mod f7_provider;
mod f8_keys;
mod f9_webhooks;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::{Map, Value};

use crate::check::{self, Findings, Places};
use crate::load::{Amount, Load};
use crate::market::Market;
use crate::report::{Report, ms};
use crate::rig::Rig;

/// How long what is open may take to become less: the leases of attempts and of pieces of work are 40 s, a pause after a
/// failure is a minute.
const PATIENCE: Duration = Duration::from_mins(2);

/// A fault of the table in `docs/reliability.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Fault {
    /// `abort` at every crash point; only with the feature `failpoints`.
    #[value(name = "F1")]
    Crashes,
    /// `kill -9` of replicas.
    #[value(name = "F2")]
    Replica,
    /// `kill -9` of Postgres.
    #[value(name = "F3")]
    Postgres,
    /// Resets and black holes, towards Postgres and towards the provider.
    #[value(name = "F4")]
    Network,
    /// Commits whose reply is eaten.
    #[value(name = "F5")]
    Commits,
    /// Clients that go away.
    #[value(name = "F6")]
    Clients,
    /// A provider that fails, hangs and lies; clocks are driven.
    #[value(name = "F7")]
    Provider,
    /// Keys that the provider has forgotten; clocks are driven.
    #[value(name = "F8")]
    Keys,
    /// Webhooks several times, shuffled, late, foreign; clocks are driven.
    #[value(name = "F9")]
    Webhooks,
    /// Races.
    #[value(name = "F14")]
    Races,
}

impl Fault {
    /// All that can be run.
    pub const ALL: [Self; 10] = [
        Self::Crashes,
        Self::Replica,
        Self::Postgres,
        Self::Network,
        Self::Commits,
        Self::Clients,
        Self::Provider,
        Self::Keys,
        Self::Webhooks,
        Self::Races,
    ];

    /// Its number and what it is.
    pub fn name(self) -> (&'static str, &'static str) {
        match self {
            Self::Crashes => ("F1", "abort at every crash point"),
            Self::Replica => ("F2", "kill -9 of a replica"),
            Self::Postgres => ("F3", "kill -9 of Postgres"),
            Self::Network => ("F4", "resets and black holes"),
            Self::Commits => ("F5", "commits whose reply is eaten"),
            Self::Clients => ("F6", "clients that go away"),
            Self::Provider => ("F7", "a provider that fails, hangs and lies"),
            Self::Keys => ("F8", "keys that the provider has forgotten"),
            Self::Webhooks => ("F9", "webhooks shuffled, late, repeated and foreign"),
            Self::Races => ("F14", "races"),
        }
    }

    /// Why it cannot be run by this build.
    pub fn why_not(self) -> Option<&'static str> {
        (self == Self::Crashes && !cfg!(feature = "failpoints"))
            .then_some("the crash points are not in this build: cargo run -p partita-faults --features failpoints")
    }

    /// Runs it for about so long, in a folder of its own.
    ///
    /// # Errors
    /// When the run could not be made; what it found is in the report.
    pub async fn run(self, seed: u64, lasts: Duration, folder: &Path) -> anyhow::Result<Report> {
        if let Some(why) = self.why_not() {
            anyhow::bail!("{}: {why}", self.name().0);
        }
        match self {
            Self::Provider => f7_provider::run(seed, lasts, folder).await,
            Self::Keys => f8_keys::run(seed, lasts, folder).await,
            Self::Webhooks => f9_webhooks::run(seed, lasts, folder).await,
            _ => run(self, seed, lasts, folder).await,
        }
    }
}

/// What a fault sees.
pub(crate) struct Scene {
    pub(crate) rig: Rig,
    pub(crate) market: Arc<Market>,
    /// Until when it goes on.
    pub(crate) until: Instant,
    /// What it did, for the report.
    pub(crate) done: Map<String, Value>,
    /// What only it can see.
    pub(crate) found: Findings,
}

impl Scene {
    pub(crate) fn note(&mut self, name: &str, value: impl Into<Value>) {
        self.done.insert(name.to_owned(), value.into());
    }

    pub(crate) fn load(&self, clients: usize, pause_ms: u64) -> anyhow::Result<Load> {
        Load::start("load", self.rig.seed, Amount { clients, pause_ms }, &self.market, |number| self.rig.client(number))
    }
}

/// The frame of every fault whose service runs in processes of its own.
async fn run(fault: Fault, seed: u64, lasts: Duration, folder: &Path) -> anyhow::Result<Report> {
    let rig = Rig::start(seed, folder, 2).await?;
    let market = rig.market().await?;
    let began = Instant::now();
    let mut scene = Scene { rig, market, until: began + lasts, done: Map::new(), found: Findings::default() };
    let mut crashes = None;
    match fault {
        Fault::Crashes => crashes = Some(f1_crashes::strike(&mut scene).await?),
        Fault::Replica => f2_replica::strike(&mut scene).await?,
        Fault::Postgres => f3_postgres::strike(&mut scene).await?,
        Fault::Network => f4_network::strike(&mut scene).await?,
        Fault::Commits => f5_commits::strike(&mut scene).await?,
        Fault::Clients => f6_clients::strike(&mut scene).await?,
        Fault::Races => f14_races::strike(&mut scene).await?,
        Fault::Provider | Fault::Keys | Fault::Webhooks => anyhow::bail!("these have a rig of their own"),
    }
    let lasted_ms = ms(began.elapsed());
    scene.rig.heal().await.context("healing")?;
    let healed = Instant::now();
    let quiet_after_ms = wait_until_quiet(&mut scene).await?.then(|| ms(healed.elapsed()));
    if let Some(aftermath) = crashes {
        f1_crashes::judge(&mut scene, aftermath).await?;
    }
    check(&mut scene).await.context("checking")?;
    let (fault, title) = fault.name();
    let Scene { rig, done, found, .. } = scene;
    let requests = rig.history.totals();
    rig.stop().await?;
    Ok(Report { fault, title, seed, lasted_ms, quiet_after_ms, requests, done, violations: found.into_violations() })
}

/// Waits until nothing is open, for as long as it becomes less; whether nothing was left. Webhooks that failed are sent
/// again at once instead of after their pauses.
async fn wait_until_quiet(scene: &mut Scene) -> anyhow::Result<bool> {
    let (mut least, mut deadline) = (i64::MAX, Instant::now() + PATIENCE);
    loop {
        scene.rig.control.flush_webhooks().await?;
        let mut open = check::open_work(&scene.rig.admin).await?;
        let due = check::count(&scene.rig.admin, "select count(*) from due where due_at <= now()").await?;
        if due > 0 {
            open.push((due, "pieces of work that are due"));
        }
        let left: i64 = open.iter().map(|(count, _)| count).sum();
        if left == 0 {
            return Ok(true);
        }
        if left < least {
            (least, deadline) = (left, Instant::now() + PATIENCE);
        }
        if Instant::now() > deadline {
            for (count, what) in open {
                scene.found.add("I7", format!("{count} {what}"));
            }
            return Ok(false);
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

async fn check(scene: &mut Scene) -> anyhow::Result<()> {
    let Scene { rig, found, .. } = scene;
    let app = rig.app().await?;
    let places = Places { admin: &rig.admin, provider: &rig.provider_admin, control: &rig.control, book: rig.book.id };
    check::books(&app, &places, found).await?;
    let acknowledged = rig.history.acknowledged();
    check::acknowledgements(&rig.client(0)?, &acknowledged, found).await?;
    let effects = check::effects(&rig.control, found).await?;
    let movements = check::agreement(&app, &places, found).await?;
    check::left_to_people(&rig.admin, found).await?;
    check::sessions(&rig.admin, rig.postgres_folder(), found).await?;
    app.db.close().await;
    for replica in &mut rig.replicas {
        if replica.ended_by_itself()? {
            found.add("I7", "a replica ended by itself");
        }
    }
    let given_up = rig.history.totals().given_up;
    if given_up > 0 {
        found.add("I3", format!("{given_up} requests never got an answer that settles them"));
    }
    scene.note("acknowledgements_replayed", acknowledged.len());
    scene.note("effects_at_the_provider", effects);
    scene.note("movements_compared", movements);
    Ok(())
}
