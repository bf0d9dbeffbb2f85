//! `cargo run -p partita-faults -- --seed 7 --minutes 2 --only F2,F5`.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser;
use partita_faults::replica::SERVICE;
use partita_faults::report::Report;
use partita_faults::scenarios::Fault;
use tokio::signal::unix::{SignalKind, signal};

/// Does its worst to a running service and checks that no cent moved twice.
#[derive(Debug, Parser)]
#[command(name = "partita-faults", version)]
struct Arguments {
    /// Decides every chance; the same seed repeats a run as far as the machine lets it.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How long each fault lasts; healing and checking come after it.
    #[arg(long, default_value_t = 1)]
    minutes: u64,
    /// How long each fault lasts, in seconds, in place of minutes.
    #[arg(long)]
    seconds: Option<u64>,
    /// Which faults, by their numbers; all when none is named.
    #[arg(long, value_enum, value_delimiter = ',', ignore_case = true)]
    only: Vec<Fault>,
    /// Where logs, histories and databases are; a folder of its own below the temporary one when none is named.
    #[arg(long)]
    folder: Option<PathBuf>,
    /// The program `partita` of the previous release, for F13: built from before the newest migration.
    #[arg(long)]
    previous: Option<PathBuf>,
    /// Keep the folder though every invariant held.
    #[arg(long)]
    keep: bool,
    /// Print the reports as JSON.
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    // Under its other name this program is the service: see replica.rs.
    let name = std::env::args_os().next().unwrap_or_default();
    if Path::new(&name).file_name().is_some_and(|name| name == SERVICE) {
        return partita::cli::main();
    }
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "error".into()))
        .with_writer(std::io::stderr)
        .init();
    let _installed_before = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    match runtime.context("no runtime").and_then(|runtime| runtime.block_on(run(Arguments::parse()))) {
        Ok(true) => ExitCode::SUCCESS,
        // Something was found: the code that `partita verify` has for it.
        Ok(false) => ExitCode::from(3),
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs what was asked for; whether every invariant held.
async fn run(arguments: Arguments) -> anyhow::Result<bool> {
    let lasts = Duration::from_secs(arguments.seconds.unwrap_or(arguments.minutes * 60));
    let temporary = || std::env::temp_dir().join(format!("partita-faults-{}", std::process::id()));
    let folder = arguments.folder.clone().unwrap_or_else(temporary);
    let previous = arguments.previous.as_deref();
    let mut faults = if arguments.only.is_empty() { built()? } else { arguments.only.clone() };
    if arguments.only.is_empty() && previous.is_none() {
        faults.retain(|fault| *fault != Fault::Upgrade);
        writeln!(std::io::stderr(), "F13 is left out: it needs --previous")?;
    }
    let mut held = true;
    let mut stop = signal(SignalKind::terminate())?;
    for fault in faults {
        let own = folder.join(fault.name().0);
        // Whoever is stopped drops what it runs, and the processes with it.
        let report = tokio::select! {
            report = fault.run(arguments.seed, lasts, &own, previous) => report,
            _ = stop.recv() => Err(anyhow::anyhow!("stopped")),
            _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("stopped")),
        };
        let report = report.with_context(|| format!("{} in {}", fault.name().0, own.display()))?;
        held &= report.held();
        print(&report, arguments.json)?;
    }
    if held && !arguments.keep {
        std::fs::remove_dir_all(&folder).with_context(|| format!("the folder {}", folder.display()))?;
    } else {
        writeln!(std::io::stderr(), "logs, histories and databases: {}", folder.display())?;
    }
    Ok(held)
}

/// Everything that this build can run; what it cannot is told.
fn built() -> anyhow::Result<Vec<Fault>> {
    let mut built = Fault::ALL.to_vec();
    for fault in Fault::ALL {
        if let Some(why) = fault.why_not() {
            writeln!(std::io::stderr(), "{} is left out: {why}", fault.name().0)?;
            built.retain(|one| *one != fault);
        }
    }
    Ok(built)
}

fn print(report: &Report, json: bool) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    if json {
        serde_json::to_writer(&mut out, report)?;
        writeln!(out)?;
    } else {
        write!(out, "{report}")?;
    }
    Ok(out.flush()?)
}
