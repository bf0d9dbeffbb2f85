//! The demo: one supervisor for a private Postgres, the simulated provider and the service with its worker.
//!
//! 1. [`place`] finds the data folder; the private server is started there, or the one that a killed run left is adopted.
//! 2. The first time, [`seed`] makes a marketplace: its own service on a clock that is driven together with the
//!    simulator's, from some days ago to now, over the same interface that everyone uses.
//! 3. The service that people use then runs on the machine's clock, on the same port.
//!
//! Invariants:
//! - Everything listens on loopback. Everything stops with this process; Postgres too, even when it is killed.
//! - What the demo keeps is in its folder alone, secrets in files that only the owner reads.
//! - `state.json` is written when the marketplace is complete. Without it both databases are made anew: an interrupted
//!   first start leaves nothing half done, and had shown nobody an address or a key.

mod marketplace;
mod place;
mod progress;
mod seed;
mod stack;
mod welcome;

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use partita_postgres::PrivateServer;
use tokio_util::sync::CancellationToken;

use self::place::{Place, State};
use self::progress::Progress;
use self::stack::{Ports, Stack};
use crate::cli::output;

pub use place::{Running, find_running, reset};

/// How to run the demo.
#[derive(Debug, Clone, Default)]
pub struct DemoOptions {
    /// Port of the service; the one of the last time or a free one when none is given.
    pub port: Option<u16>,
    /// Port for metrics and health; likewise.
    pub admin_port: Option<u16>,
    /// Port of the simulator; likewise.
    pub simulator_port: Option<u16>,
    /// Where the data are: below this folder.
    pub data: Option<PathBuf>,
}

/// Runs the demo until `stop` is cancelled, then stops everything it started.
///
/// # Errors
/// With what to do about it, as far as that can be said.
pub async fn run(options: DemoOptions, stop: CancellationToken) -> anyhow::Result<()> {
    let progress = Progress::new();
    progress.phase("Starting a private Postgres");
    let (place, server) = place::open(options.data.as_deref()).await?;
    let outcome = with_server(&options, &place, &server, &progress, &stop).await;
    progress.done();
    output::note("Stopping");
    place.forget_running();
    let stopped = server.shutdown().await;
    outcome?;
    stopped.context("Postgres does not stop")?;
    Ok(())
}

async fn with_server(
    options: &DemoOptions,
    place: &Place,
    server: &PrivateServer,
    progress: &Progress,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    place.forget_running();
    let known = place.read_state()?;
    if stop.is_cancelled() {
        return Ok(());
    }
    let ports = Ports::choose(options, known.as_ref().map(|state| state.ports))?;
    let marketplace = match known {
        Some(state) => state.marketplace,
        None => match seed::make_marketplace(place, server, &ports, progress, stop).await? {
            Some(marketplace) => marketplace,
            None => return Ok(()),
        },
    };
    progress.phase("Starting the service");
    let mut stack = Stack::start(place, server, &ports, &marketplace).await?;
    let state = State { marketplace, ports: stack.ports };
    let outcome = serve(options, place, &mut stack, &state, progress, stop).await;
    stack.stop().await;
    outcome
}

async fn serve(
    options: &DemoOptions,
    place: &Place,
    stack: &mut Stack,
    state: &State,
    progress: &Progress,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    place.write_state(state)?;
    place.write_running(&stack.running)?;
    let link = stack.onboarding_link(&state.marketplace).await?;
    progress.done();
    output::text(&welcome::text(&welcome::Facts {
        state,
        onboarding_link: &link,
        folder: place.folder(),
        data: options.data.as_deref(),
        program: &program(),
    }))?;
    stop.run_until_cancelled(stack.broken()).await.map_or(Ok(()), Err)
}

/// How this program was called, for commands to be pasted.
fn program() -> String {
    std::env::args().next().unwrap_or_else(|| "partita".to_owned())
}

/// The folder of the demo below a folder for data.
fn below(data: &Path) -> PathBuf {
    data.join("demo")
}
