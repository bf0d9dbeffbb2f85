//! `partita config print`.

use super::{Outcome, output};
use crate::config::{
    self, CommandArgs, DatabaseArgs, EgressArgs, EncryptionArgs, HttpArgs, LogArgs, OwnerArgs, PepperArgs,
};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Print every setting as it is in force; secrets are not shown
    Print(Args),
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  partita config print
  partita config print --json")]
pub(super) struct Args {
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(flatten)]
    owner: OwnerArgs,
    #[command(flatten)]
    pepper: PepperArgs,
    #[command(flatten)]
    encryption: EncryptionArgs,
    #[command(flatten)]
    egress: EgressArgs,
    #[command(flatten)]
    http: HttpArgs,
    #[command(flatten)]
    commands: CommandArgs,
    #[command(flatten)]
    log: LogArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(Command::Print(args): Command) -> anyhow::Result<Outcome> {
    let Args { database, owner, pepper, encryption, egress, http, commands, log, .. } = &args;
    let settings = config::print(log, database, owner, pepper, encryption, egress, http, commands);
    if args.json {
        let values: serde_json::Map<_, _> =
            settings.into_iter().map(|setting| (setting.name.to_owned(), setting.value.into())).collect();
        output::json(&values)?;
    } else {
        let rows = settings.into_iter().map(|setting| vec![setting.name.to_owned(), setting.value]).collect();
        output::text(&output::table(&["setting", "value"], rows))?;
    }
    Ok(Outcome::Done)
}
