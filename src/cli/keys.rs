//! `partita keys ..`.

use clap::builder::PossibleValuesParser;
use jiff::SignedDuration;
use serde_json::json;

use super::books::{self, ModeArg};
use super::connection::ToolArgs;
use super::{Outcome, output};
use crate::config::PepperArgs;
use crate::id::ApiKeyId;
use crate::platforms::{self, SCOPES};

/// Stands for every scope.
const ALL: &str = "all";

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Make an API key; it is shown this once
    Create(CreateArgs),
    /// Revoke an API key; it stops working everywhere within five seconds
    Revoke(RevokeArgs),
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  partita keys create --platform acme --mode test --name backend --scope all
  partita keys create --platform acme --mode live --name reports --scope ledger:read,payments:read --expires-in-days 90")]
pub(super) struct CreateArgs {
    /// The platform, by its reference; may be left out where there is only one
    #[arg(long, value_name = "REFERENCE")]
    platform: Option<String>,
    /// Which of its books the key opens
    #[arg(long, value_enum)]
    mode: ModeArg,
    /// What the key is for, for people
    #[arg(long)]
    name: String,
    /// What the key may do; several are separated by commas
    #[arg(
        long,
        value_name = "SCOPE",
        required = true,
        value_delimiter = ',',
        value_parser = PossibleValuesParser::new(SCOPES.iter().copied().chain([ALL]))
    )]
    scope: Vec<String>,
    /// Days until it stops working; for ever when absent
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u16).range(1..))]
    expires_in_days: Option<u16>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    pepper: PepperArgs,
    #[command(flatten)]
    tool: ToolArgs,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  partita keys revoke key_01jd9z6x5sf1vb3vsy3p0gq6ra")]
pub(super) struct RevokeArgs {
    /// The key's id, not the key itself
    id: ApiKeyId,
    #[command(flatten)]
    tool: ToolArgs,
}

pub(super) async fn run(command: Command) -> anyhow::Result<Outcome> {
    match command {
        Command::Create(args) => create(args).await?,
        Command::Revoke(args) => {
            let app = args.tool.connect().await?;
            platforms::revoke_key(&app, args.id).await?;
            app.db.close().await;
            output::text(&format!("{} is revoked", args.id))?;
        }
    }
    Ok(Outcome::Done)
}

async fn create(args: CreateArgs) -> anyhow::Result<()> {
    let app = args.tool.connect_with_pepper(&args.pepper).await?;
    let book = books::one(&app, args.platform.as_deref(), args.mode).await?;
    let scopes = scopes(args.scope);
    let days = args.expires_in_days.map(|days| SignedDuration::from_hours(i64::from(days) * 24));
    let expires_at = days.map(|duration| app.clock.now() + duration);
    let (id, key) = platforms::create_key(&app, &book, &args.name, scopes.clone(), expires_at).await?;
    app.db.close().await;
    if args.json {
        return output::json(&json!({
            "id": id, "key": key, "platform": book.reference, "mode": book.mode.as_str(), "name": args.name,
            "scopes": scopes, "expires_at": expires_at,
        }));
    }
    output::note(&format!(
        "{id} opens {} ({}). Keep the key with your secrets: it is not shown again.",
        book.reference,
        book.mode.as_str()
    ));
    output::text(&key)
}

fn scopes(asked: Vec<String>) -> Vec<String> {
    let mut scopes =
        if asked.iter().any(|scope| scope == ALL) { SCOPES.iter().map(ToString::to_string).collect() } else { asked };
    scopes.sort_unstable();
    scopes.dedup();
    scopes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_stands_for_every_scope() {
        assert_eq!(scopes(vec!["payments:read".to_owned(), ALL.to_owned()]).len(), SCOPES.len());
        assert_eq!(scopes(vec!["payments:read".to_owned(); 2]), ["payments:read"]);
    }
}
