//! `partita ledger`.

use anyhow::Context as _;
use partita_db::Scope;

use super::books::{self, ModeArg};
use super::connection::ToolArgs;
use super::{Outcome, output};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Note where the ledger stands, and print it to be kept elsewhere
    Anchor(AnchorArgs),
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  partita ledger anchor > anchors/2026-11-22.json
  partita verify --against anchors/2026-11-22.json

An anchor holds the heads of the ledger's chains, no amounts and no names. Kept where whoever runs the database cannot
change it, it shows even a past that was rewritten as a whole.")]
pub(super) struct AnchorArgs {
    /// The platform, by its reference; may be left out where there is only one
    #[arg(long, value_name = "REFERENCE")]
    platform: Option<String>,
    /// Which of its books
    #[arg(long, value_enum, default_value = "test")]
    mode: ModeArg,
    #[command(flatten)]
    tool: ToolArgs,
}

pub(super) async fn run(Command::Anchor(args): Command) -> anyhow::Result<Outcome> {
    let app = args.tool.connect().await?;
    let book = books::one(&app, args.platform.as_deref(), args.mode).await?;
    let anchor = app
        .db
        .run_tx("anchor", Scope::Book(book.id), |tx| Box::pin(async move { partita_ledger::take_anchor(tx).await }))
        .await
        .context("no anchor could be taken")?;
    app.db.close().await;
    output::text(&anchor.to_json())?;
    Ok(Outcome::Done)
}
