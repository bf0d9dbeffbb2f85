//! `partita reconcile run`.

use std::sync::Arc;

use anyhow::Context as _;
use partita_db::Scope;
use serde_json::{Value, json};

use super::books::{self, ModeArg};
use super::connection::ToolArgs;
use super::{Outcome, output};
use crate::actor::Actor;
use crate::app::App;
use crate::platforms::Book;
use crate::reconciliation::{self, Break, Run};

/// Breaks read at once.
const PAGE: i64 = 100;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Compare every movement and balance of the provider with the ledger; exit code 3 if they differ
    Run(Args),
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  partita reconcile run --platform acme --mode live
  partita reconcile run --json

Movements of the platform's own account and of each seller's are compared one to one, then the balances. What the
ledger did not know yet is booked the way a webhook books it (\"adopted\"); what then still differs is a break. Nothing is
ever adjusted. Exit code 0: no breaks. 3: some. 1: it could not be finished.")]
pub(super) struct Args {
    /// The platform, by its reference; may be left out where there is only one
    #[arg(long, value_name = "REFERENCE")]
    platform: Option<String>,
    /// Which of its books
    #[arg(long, value_enum, default_value = "test")]
    mode: ModeArg,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    tool: ToolArgs,
}

pub(super) async fn run(Command::Run(args): Command) -> anyhow::Result<Outcome> {
    let app = args.tool.connect().await?;
    let book = books::one(&app, args.platform.as_deref(), args.mode).await?;
    let run = reconciliation::run(&app, book.id, Actor::System)
        .await
        .with_context(|| format!("{} ({}) could not be reconciled", book.reference, book.mode.as_str()))?;
    let breaks = list_breaks(&app, &book, &run).await?;
    app.db.close().await;
    if args.json {
        output::json(&as_json(&book, &run, &breaks))?;
    } else {
        output::text(&for_people(&book, &run, &breaks))?;
    }
    Ok(Outcome::agreed(run.breaks == 0))
}

async fn list_breaks(app: &Arc<App>, book: &Book, run: &Run) -> anyhow::Result<Vec<Break>> {
    let id = run.id;
    let mut breaks: Vec<Break> = Vec::new();
    loop {
        let after = breaks.last().map(|last| last.id);
        let page = app
            .db
            .read("list breaks", Scope::Book(book.id), move |tx| {
                Box::pin(async move { reconciliation::list_breaks(tx, id, after, PAGE).await })
            })
            .await?;
        let full = i64::try_from(page.len()).is_ok_and(|count| count == PAGE);
        breaks.extend(page);
        if !full {
            return Ok(breaks);
        }
    }
}

fn as_json(book: &Book, run: &Run, breaks: &[Break]) -> Value {
    let breaks: Vec<Value> = breaks
        .iter()
        .map(|one| {
            json!({
                "id": one.id, "kind": one.kind.as_str(), "account": one.account, "movement": one.movement,
                "currency": one.currency, "ledger_amount": one.ledger_amount, "provider_amount": one.provider_amount,
                "detail": one.detail,
            })
        })
        .collect();
    json!({
        "id": run.id, "platform": book.reference, "mode": book.mode.as_str(), "status": run.status.as_str(),
        "reconciled_through": run.reconciled_through, "accounts": run.accounts, "matched": run.matched, "adopted": run.adopted, "breaks": breaks,
        "balances": run.balances,
    })
}

fn for_people(book: &Book, run: &Run, breaks: &[Break]) -> String {
    let mut lines = vec![format!(
        "{} ({}), run {}: {} accounts, {} movements matched, {} adopted, {} breaks",
        book.reference,
        book.mode.as_str(),
        run.id,
        run.accounts,
        run.matched,
        run.adopted,
        run.breaks
    )];
    lines.extend(breaks.iter().map(|one| {
        let account = if one.account.is_empty() { "the platform's own account" } else { &one.account };
        format!("  {} on {account}: {}", one.kind.as_str(), one.detail)
    }));
    lines.join("\n")
}
