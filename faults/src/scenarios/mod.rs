//! The faults, one file each: what is done to the service while the load runs.
//!
//! Every run has the same frame ([`run`]): start, open the marketplace, load and fault together, heal, wait for quiet,
//! check. A fault only says what it does in between.

mod f10_clocks;
mod f11_disk;
mod f12_failover;
mod f13_upgrade;
mod f14_races;
mod f15_poison;
mod f16_restore;
mod f17_soak;
mod f1_crashes;
mod f2_replica;
mod f3_postgres;
mod f4_network;
mod f5_commits;
mod f6_clients;
mod f7_provider;
mod f8_keys;
mod f9_webhooks;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::{Map, Value};

use crate::check::{self, Findings, Places};
use crate::forgotten::{self, Forgotten};
use crate::load::{Amount, Load};
use crate::market::Market;
use crate::neighbour::Neighbour;
use crate::report::{Report, ms};
use crate::rig::{Ground, Rig};
use crate::sink::Sink;

/// How long what is open may take to become less: the leases of attempts and of pieces of work are 40 s, a pause after a
/// failure is a minute.
const PATIENCE: Duration = Duration::from_mins(2);

/// The same where the provider answered with errors of its own: what it keeps under a key is looked up twice, ten
/// minutes apart.
const PATIENCE_WITH_LOOK_UPS: Duration = Duration::from_mins(13);

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
    /// Clocks of replicas that are wrong and jump.
    #[value(name = "F10")]
    Clocks,
    /// A disk that is full.
    #[value(name = "F11")]
    Disk,
    /// The loss of the primary with a synchronous standby.
    #[value(name = "F12")]
    Failover,
    /// The loss of the primary with a standby that is behind.
    #[value(name = "F12-async")]
    FailoverBehind,
    /// From the previous release to this one and back.
    #[value(name = "F13")]
    Upgrade,
    /// Races.
    #[value(name = "F14")]
    Races,
    /// A webhook endpoint that hangs, and a loud platform.
    #[value(name = "F15")]
    Poison,
    /// A backup, restored as of a point in time.
    #[value(name = "F16")]
    Restore,
    /// Much load for long, with kills and a failing provider.
    #[value(name = "F17")]
    Soak,
}

impl Fault {
    /// All that can be run.
    pub const ALL: [Self; 18] = [
        Self::Crashes,
        Self::Replica,
        Self::Postgres,
        Self::Network,
        Self::Commits,
        Self::Clients,
        Self::Provider,
        Self::Keys,
        Self::Webhooks,
        Self::Clocks,
        Self::Disk,
        Self::Failover,
        Self::FailoverBehind,
        Self::Upgrade,
        Self::Races,
        Self::Poison,
        Self::Restore,
        Self::Soak,
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
            Self::Clocks => ("F10", "clocks that are wrong and jump"),
            Self::Disk => ("F11", "a disk that is full"),
            Self::Failover => ("F12", "failover to a synchronous standby"),
            Self::FailoverBehind => ("F12-async", "failover to a standby that is behind"),
            Self::Upgrade => ("F13", "from the previous release to this one and back"),
            Self::Races => ("F14", "races"),
            Self::Poison => ("F15", "a webhook endpoint that hangs, and a loud platform"),
            Self::Restore => ("F16", "a restore as of a point in time"),
            Self::Soak => ("F17", "much load for long, with kills and a failing provider"),
        }
    }

    /// Why it cannot be run by this build.
    pub fn why_not(self) -> Option<&'static str> {
        (self == Self::Crashes && !cfg!(feature = "failpoints"))
            .then_some("the crash points are not in this build: cargo run -p partita-faults --features failpoints")
    }

    /// Runs it for about so long, in a folder of its own. `previous` is the program of the previous release, which only the
    /// upgrade needs.
    ///
    /// # Errors
    /// When the run could not be made; what it found is in the report.
    pub async fn run(
        self,
        seed: u64,
        lasts: Duration,
        folder: &Path,
        previous: Option<&Path>,
    ) -> anyhow::Result<Report> {
        if let Some(why) = self.why_not() {
            anyhow::bail!("{}: {why}", self.name().0);
        }
        match self {
            Self::Provider => f7_provider::run(seed, lasts, folder).await,
            Self::Keys => f8_keys::run(seed, lasts, folder).await,
            Self::Webhooks => f9_webhooks::run(seed, lasts, folder).await,
            _ => run(self, seed, lasts, folder, previous).await,
        }
    }

    /// The program of the previous release, if it begins with that one.
    fn begins_with(self, previous: Option<&Path>) -> anyhow::Result<Option<PathBuf>> {
        if self != Self::Upgrade {
            return Ok(None);
        }
        let previous = previous.context(
            "F13 needs --previous: the program `partita`, built from the release before the newest migration",
        )?;
        Ok(Some(previous.to_owned()))
    }

    /// What the service stands on.
    fn ground(self) -> Ground {
        match self {
            Self::Clocks => Ground { clocks: true, ..Ground::default() },
            Self::Disk => Ground { disk_mebibytes: Some(f11_disk::MEBIBYTES), ..Ground::default() },
            Self::Restore => Ground { archive_seconds: Some(f16_restore::ARCHIVE_SECONDS), ..Ground::default() },
            _ => Ground::default(),
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
    /// Other platforms, checked as the rig's own is.
    pub(crate) neighbours: Vec<Neighbour>,
    /// Receivers that stay until the end.
    pub(crate) sinks: Vec<Sink>,
    /// What the database has forgotten, when another one took over that does not have everything.
    pub(crate) forgotten: Option<Forgotten>,
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
async fn run(
    fault: Fault,
    seed: u64,
    lasts: Duration,
    folder: &Path,
    previous: Option<&Path>,
) -> anyhow::Result<Report> {
    let ground = Ground { previous: fault.begins_with(previous)?, ..fault.ground() };
    let rig = Rig::start(seed, folder, 2, &ground).await?;
    let market = rig.market().await?;
    let began = Instant::now();
    let mut scene = Scene {
        rig,
        market,
        until: began + lasts,
        done: Map::new(),
        found: Findings::default(),
        neighbours: Vec::new(),
        sinks: Vec::new(),
        forgotten: None,
    };
    let mut crashes = None;
    match fault {
        Fault::Crashes => crashes = Some(f1_crashes::strike(&mut scene).await?),
        Fault::Replica => f2_replica::strike(&mut scene).await?,
        Fault::Postgres => f3_postgres::strike(&mut scene).await?,
        Fault::Network => f4_network::strike(&mut scene).await?,
        Fault::Commits => f5_commits::strike(&mut scene).await?,
        Fault::Clients => f6_clients::strike(&mut scene).await?,
        Fault::Clocks => f10_clocks::strike(&mut scene).await?,
        Fault::Disk => f11_disk::strike(&mut scene).await?,
        Fault::Failover => f12_failover::strike(&mut scene).await?,
        Fault::FailoverBehind => f12_failover::strike_behind(&mut scene).await?,
        Fault::Upgrade => {
            let previous = ground.previous.context("an upgrade begins with another release")?;
            f13_upgrade::strike(&mut scene, &previous).await?;
        }
        Fault::Races => f14_races::strike(&mut scene).await?,
        Fault::Poison => f15_poison::strike(&mut scene).await?,
        Fault::Restore => f16_restore::strike(&mut scene).await?,
        Fault::Soak => f17_soak::strike(&mut scene).await?,
        Fault::Provider | Fault::Keys | Fault::Webhooks => anyhow::bail!("these have a rig of their own"),
    }
    let lasted_ms = ms(began.elapsed());
    scene.rig.heal().await.context("healing")?;
    let healed = Instant::now();
    let patience = if fault == Fault::Soak { PATIENCE_WITH_LOOK_UPS } else { PATIENCE };
    let left = wait_until_quiet(&scene, patience).await?;
    let quiet_after_ms = left.is_empty().then(|| ms(healed.elapsed()));
    for (count, what) in left {
        scene.found.add("I7", format!("{count} {what}"));
    }
    if let Some(aftermath) = crashes {
        f1_crashes::judge(&mut scene, aftermath).await?;
    }
    check(&mut scene).await.context("checking")?;
    let (fault, title) = fault.name();
    let Scene { rig, done, found, neighbours, .. } = scene;
    let requests = rig.history.totals();
    for neighbour in neighbours {
        neighbour.stop().await;
    }
    rig.stop().await?;
    Ok(Report { fault, title, seed, lasted_ms, quiet_after_ms, requests, done, violations: found.into_violations() })
}

/// Waits until nothing is open, for as long as it becomes less; what was left. Webhooks that failed are sent again at once
/// instead of after their pauses.
async fn wait_until_quiet(scene: &Scene, patience: Duration) -> anyhow::Result<Vec<(i64, &'static str)>> {
    let (mut least, mut deadline) = (i64::MAX, Instant::now() + patience);
    loop {
        scene.rig.control.flush_webhooks().await?;
        for neighbour in &scene.neighbours {
            neighbour.control.flush_webhooks().await?;
        }
        let admin = &scene.rig.admin;
        let mut open = match scene.forgotten {
            None => check::open_work(admin).await?,
            Some(_) => check::open_work_beside_forgotten(admin).await?,
        };
        let due = check::count(&scene.rig.admin, "select count(*) from due where due_at <= now()").await?;
        if due > 0 {
            open.push((due, "pieces of work that are due"));
        }
        let left: i64 = open.iter().map(|(count, _)| count).sum();
        if left < least {
            (least, deadline) = (left, Instant::now() + patience);
        }
        if left == 0 || Instant::now() > deadline {
            return Ok(open);
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

/// How many requests the service gets through in ten seconds in fair weather, with everything that follows from them:
/// clients without pauses ask for a while, and then what they left is waited for.
async fn most_in_ten_seconds(scene: &Scene, clients: usize, lasts: Duration) -> anyhow::Result<u32> {
    let began = Instant::now();
    let amount = Amount { clients, pause_ms: 0 };
    let client = |number| scene.rig.client(number);
    let load = Load::start("measured", scene.rig.seed, amount, &scene.market, client)?;
    tokio::time::sleep(lasts).await;
    let made = load.stop().await;
    let left = wait_until_quiet(scene, PATIENCE).await?;
    anyhow::ensure!(left.is_empty(), "it does not get through the load without any fault: {left:?}");
    Ok(u32::try_from(made * 10_000 / ms(began.elapsed()).max(1)).unwrap_or(u32::MAX))
}

async fn check(scene: &mut Scene) -> anyhow::Result<()> {
    let Scene { rig, found, forgotten, done, neighbours, .. } = scene;
    let app = rig.app().await?;
    let places = Places { admin: &rig.admin, provider: &rig.provider_admin, control: &rig.control, book: rig.book.id };
    check::books(&app, &places, found).await?;
    let mut acknowledged = rig.history.acknowledged();
    if let Some(forgotten) = forgotten {
        acknowledged.retain(|said| !forgotten.acknowledged.contains(&said.key));
    }
    check::acknowledgements(&rig.client(0)?, &acknowledged, found).await?;
    let effects = check::effects(&rig.control, found).await?;
    for neighbour in &*neighbours {
        neighbour.check(&app, &rig.admin, found).await?;
    }
    let movements = if let Some(forgotten) = forgotten {
        done.insert("acknowledgements_forgotten".into(), forgotten.acknowledged.len().into());
        done.insert("movements_adopted".into(), forgotten.adopted.into());
        done.insert("breaks_at_first".into(), forgotten.breaks.into());
        // The book is halted until a person has looked: there is nobody here.
        done.insert("requests_not_settled".into(), rig.history.totals().given_up.into());
        forgotten::is_told(rig, &places, found).await?
    } else {
        check::left_to_people(&rig.admin, found).await?;
        check::agreement(&app, &places, found).await?
    };
    check::sessions(&rig.admin, rig.postgres_folder(), found).await?;
    app.db.close().await;
    for replica in &mut rig.replicas {
        if replica.ended_by_itself()? {
            found.add("I7", "a replica ended by itself");
        }
    }
    let histories = neighbours.iter().map(|neighbour| &neighbour.history).chain([&rig.history]);
    let given_up: u64 = histories.map(|history| history.totals().given_up).sum();
    if given_up > 0 && forgotten.is_none() {
        found.add("I3", format!("{given_up} requests never got an answer that settles them"));
    }
    scene.note("acknowledgements_replayed", acknowledged.len());
    scene.note("effects_at_the_provider", effects);
    let name = if scene.forgotten.is_some() { "movements_forgotten_and_named" } else { "movements_compared" };
    scene.note(name, movements);
    Ok(())
}
