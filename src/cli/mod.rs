//! The command line: reads options, calls, prints. Nothing is decided here.
//!
//! Standard output is for data, standard error for everything else. The exit code is 0 when the command did what it was
//! asked and everything agrees, 1 when it could not, 2 when it was asked wrongly (options or configuration), 3 when it
//! did what it was asked and found contradictions (`verify`), differences (`rebuild --check`, `reconcile run`) or something
//! that did not come out as expected (`simulate`).

mod books;
mod configuration;
mod connection;
mod demo;
mod inbox;
mod keys;
mod ledger;
mod migrate;
pub(crate) mod output;
mod platforms;
mod rebuild;
mod reconcile;
mod serve;
pub(crate) mod service;
pub(crate) mod signals;
mod simulate;
mod verify;
mod worker;

use std::process::ExitCode;

pub(crate) use self::connection::connect;
pub(crate) use self::platforms::register_endpoint;

use clap::{Parser, Subcommand};

use crate::config::ConfigError;
use crate::scenarios::ScriptError;

/// Orchestrates the money of a marketplace: one payment, many payees, one double-entry ledger.
#[derive(Debug, Parser)]
#[command(name = "partita", version, max_term_width = 110, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  partita demo                      try everything on this machine, with play money
  partita migrate                   bring the schema of your own Postgres up to date
  partita platforms create --reference acme --name 'Acme Market'
  partita keys create --platform acme --mode test --name backend --scope all
  partita serve                     the service, with its worker

Exit codes:
  0  done, and everything agrees
  1  it could not be done
  2  wrong options or configuration
  3  done, and contradictions (verify), differences (rebuild, reconcile run) or surprises (simulate) were found

The service is configured by environment variables or options; `partita config print` shows what is in force.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Try it: a private database, a simulated provider, a marketplace with some days of orders
    Demo(demo::Args),
    /// Play a marketplace's months in seconds, from a file that says what happens; exit code 3 if it comes out otherwise
    Simulate(simulate::Args),
    /// Serve the interface, and by default run the worker too
    Serve(serve::Args),
    /// Run the worker alone
    Worker(worker::Args),
    /// Bring the database's schema up to date
    Migrate(migrate::Args),
    /// Recompute every invariant of the books from their rows; exit code 3 if one is broken
    Verify(verify::Args),
    /// Make the ledger anew from the stored facts and compare; exit code 3 if they differ
    Rebuild(rebuild::Args),
    /// Anchor the ledger
    #[command(subcommand)]
    Ledger(ledger::Command),
    /// Compare the ledger with the provider
    #[command(subcommand)]
    Reconcile(reconcile::Command),
    /// Look into what the provider told, and have what was given up tried again
    #[command(subcommand)]
    Inbox(inbox::Command),
    /// Make marketplaces and connect them to their provider
    #[command(subcommand)]
    Platforms(platforms::Command),
    /// Make and revoke API keys
    #[command(subcommand)]
    Keys(keys::Command),
    /// Show the configuration
    #[command(subcommand)]
    Config(configuration::Command),
    /// Print the contract of the interface, as OpenAPI 3.1 in YAML
    Openapi,
}

/// What a command that did not fail came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Done, and everything agrees.
    Done,
    /// Done, and something does not agree.
    Differs,
}

impl Outcome {
    fn agreed(agreed: bool) -> Self {
        if agreed { Self::Done } else { Self::Differs }
    }
}

/// Reads the command line, does what it says, and tells how it went.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    #[cfg(feature = "failpoints")]
    let _armed = crate::crash::arm();
    // One for the process: two linked libraries could each want another one, and rustls panics then.
    let _already_installed = rustls::crypto::ring::default_provider().install_default();
    match start(cli.command) {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Differs) => ExitCode::from(3),
        Err(error) => {
            output::failure(&error);
            let asked_wrongly = error.chain().any(|cause| cause.is::<ConfigError>() || cause.is::<ScriptError>());
            ExitCode::from(if asked_wrongly { 2 } else { 1 })
        }
    }
}

fn start(command: Command) -> anyhow::Result<Outcome> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(run(command))
}

async fn run(command: Command) -> anyhow::Result<Outcome> {
    match command {
        Command::Demo(args) => demo::run(args).await,
        Command::Simulate(args) => simulate::run(args).await,
        Command::Serve(args) => serve::run(args).await,
        Command::Worker(args) => worker::run(args).await,
        Command::Migrate(args) => migrate::run(args).await,
        Command::Verify(args) => verify::run(args).await,
        Command::Rebuild(args) => rebuild::run(args).await,
        Command::Ledger(command) => ledger::run(command).await,
        Command::Reconcile(command) => reconcile::run(command).await,
        Command::Inbox(command) => inbox::run(command).await,
        Command::Platforms(command) => platforms::run(command).await,
        Command::Keys(command) => keys::run(command).await,
        Command::Config(command) => configuration::run(command),
        Command::Openapi => {
            output::text(crate::http::openapi::openapi_yaml().trim_end())?;
            Ok(Outcome::Done)
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn secrets_are_not_shown_in_the_help() {
        let mut command = Cli::command();
        for sub in command.get_subcommands_mut() {
            let help = sub.render_long_help().to_string();
            for secret in ["--pepper <", "--database-url <", "--encryption-key <"] {
                assert!(!help.contains(secret), "{help}");
            }
        }
    }

    #[test]
    fn every_command_says_what_it_is_for() {
        fn check(command: &clap::Command) {
            assert!(command.get_about().is_some(), "{} has no help", command.get_name());
            command.get_subcommands().for_each(check);
        }
        Cli::command().get_subcommands().for_each(check);
    }
}
