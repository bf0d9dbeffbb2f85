//! `partita migrate`.

use anyhow::Context as _;
use secrecy::ExposeSecret as _;

use super::connection::QuietLogArgs;
use super::{Outcome, output};
use crate::MIGRATOR;
use crate::config::{ConfigError, OwnerArgs};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  PARTITA_OWNER_URL=postgres://partita_owner:..@db/partita partita migrate

It runs as the role that owns the schema, on a direct connection (not through a pooler), changes nothing that is up to
date, and may run while the service does. Roles belong to the server, so they and the database are made once, by an
administrator:
  create role partita_owner login password '..';
  create role partita_app login nosuperuser nobypassrls nocreaterole nocreatedb password '..';
  create database partita owner partita_owner;")]
pub(super) struct Args {
    #[command(flatten)]
    owner: OwnerArgs,
    #[command(flatten)]
    log: QuietLogArgs,
}

pub(super) async fn run(args: Args) -> anyhow::Result<Outcome> {
    args.log.set_up()?;
    let url = args.owner.url()?.ok_or(ConfigError::Missing {
        setting: "PARTITA_OWNER_URL",
        fix: "Give the URL of the database under the role that owns the schema, in PARTITA_OWNER_URL or \
              PARTITA_OWNER_URL_FILE; see `partita migrate --help`",
    })?;
    partita_db::migrate(url.expose_secret(), &MIGRATOR).await.context(
        "the schema could not be brought up to date; were the roles partita_owner and partita_app made? See \
         `partita migrate --help`",
    )?;
    let newest = MIGRATOR.iter().map(|migration| migration.version).max().unwrap_or_default();
    output::text(&format!("the schema is up to date, at migration {newest}"))?;
    Ok(Outcome::Done)
}
