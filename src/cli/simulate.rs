//! `partita simulate`.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::connection::QuietLogArgs;
use super::{Outcome, output};
use crate::scenarios::{self, Played, Script, TemporaryGround};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  partita simulate scenarios/refund-after-payout.yaml
  partita simulate scenarios/*.yaml --json

A scenario says what happens in a marketplace and what must be true then; docs/scenarios.md says how one is written. It is
played by the service and a look-alike of Stripe on one driven clock, in databases that are removed afterwards: months take
seconds. It needs Postgres' server programs (15 or newer) and nothing else. Exit code 3: something did not come out as
expected.")]
pub(super) struct Args {
    /// Scenarios, played one after the other
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    log: QuietLogArgs,
}

pub(super) async fn run(args: Args) -> anyhow::Result<Outcome> {
    args.log.set_up()?;
    let scripts: Vec<(PathBuf, Script)> =
        args.files.into_iter().map(|file| Ok((file.clone(), read(&file)?))).collect::<anyhow::Result<_>>()?;
    let server = TemporaryGround::open().await?;
    let outcome = play_all(&server, &scripts, args.json).await;
    server.close().await?;
    outcome
}

fn read(file: &Path) -> anyhow::Result<Script> {
    let text = std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
    Script::parse(&text).with_context(|| format!("{} is no scenario", file.display()))
}

async fn play_all(server: &TemporaryGround, scripts: &[(PathBuf, Script)], json: bool) -> anyhow::Result<Outcome> {
    let mut all = Vec::new();
    for (file, script) in scripts {
        let ground = server.make().await?;
        let played = scenarios::play(script, &ground).await;
        server.remove(&ground).await?;
        let played = played.with_context(|| format!("{} cannot be played", file.display()))?;
        if !json {
            output::text(&for_people(script, &played))?;
        }
        all.push(played);
    }
    let agreed = all.iter().all(|played| played.failures.is_empty());
    if json {
        output::json(&all)?;
    }
    Ok(Outcome::agreed(agreed))
}

fn for_people(script: &Script, played: &Played) -> String {
    let told = played.told.iter().map(|told| format!("{}  {}", told.at.strftime("%Y-%m-%d %H:%M"), told.what));
    let row = |row: &scenarios::Balance| vec![row.account.clone(), row.amount.to_string()];
    let books = output::table(&["account", "balance"], played.books.iter().map(row).collect());
    let failures = played.failures.iter().map(|failure| format!("NOT AS EXPECTED: {failure}"));
    let end = format!(
        "{} expectations hold. Every invariant holds, the ledger follows from the stored facts, and {} movements agree with \
         the provider.",
        played.expectations, played.movements
    );
    let end: Vec<String> = if played.failures.is_empty() { vec![end] } else { failures.collect() };
    let story = told.collect::<Vec<_>>().join("\n");
    format!("{}\n\n{}\n\n{story}\n\n{books}\n\n{}\n", played.title, script.about.trim(), end.join("\n"))
}
