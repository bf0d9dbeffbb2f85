//! `partita verify`.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use partita_db::{BookId, Scope};
use partita_ledger::{Anchor, LedgerError, Violation};
use serde::Serialize;

use super::connection::ToolArgs;
use super::{Outcome, books, output};
use crate::app::App;
use crate::platforms::Book;
use crate::verify::{self, Depth, Finding};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  partita verify
  partita verify --platform acme --json
  partita verify --against anchor.json
  partita verify --platform acme --clear-halt --by 'J. Doe' --reason 'restored from backup, ticket 4711'

Everything is recomputed from the rows, the hash chain too; nothing is repaired. A broken integrity invariant halts the
movement of money in its book, as in the service. Exit code 0: every invariant holds. 3: some do not. 1: it could not be
finished, which says nothing about the books.")]
pub(super) struct Args {
    /// Only the books of this platform, by its reference
    #[arg(long, value_name = "REFERENCE")]
    platform: Option<String>,
    /// Also compare with an anchor that was kept elsewhere (`partita ledger anchor`)
    #[arg(long, value_name = "FILE", conflicts_with = "clear_halt")]
    against: Option<std::path::PathBuf>,
    /// Take the halted books out of their halt, if nothing is found any more
    #[arg(long, requires_all = ["reason", "by"])]
    clear_halt: bool,
    /// Why the halt may be cleared; kept
    #[arg(long, value_name = "TEXT", requires = "clear_halt")]
    reason: Option<String>,
    /// Who clears it; kept
    #[arg(long, value_name = "NAME", requires = "clear_halt")]
    by: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    tool: ToolArgs,
}

/// What was found in a book.
#[derive(Debug, Serialize)]
struct BookReport {
    #[serde(skip)]
    book: BookId,
    platform: String,
    mode: &'static str,
    position: String,
    clean: bool,
    halted: bool,
    findings: Vec<Finding>,
}

pub(super) async fn run(args: Args) -> anyhow::Result<Outcome> {
    let app = args.tool.connect().await?;
    let anchor = args.against.as_deref().map(read_anchor).transpose()?;
    let mut reports = Vec::new();
    for book in books::list(&app, args.platform.as_deref()).await? {
        let mut report = check(&app, &book, &args).await?;
        if let Some(anchor) = anchor.as_ref().filter(|anchor| anchor.book == book.id) {
            report.findings.extend(against(&app, anchor).await?);
            report.clean = report.findings.is_empty();
        }
        reports.push(report);
    }
    app.db.close().await;
    if let Some(anchor) = anchor
        && !reports.iter().any(|report| report.book == anchor.book)
    {
        anyhow::bail!("the anchor is of a book that is not among these");
    }
    let clean = reports.iter().all(|report| report.clean);
    if args.json {
        output::json(&serde_json::json!({ "clean": clean, "books": reports }))?;
    } else {
        output::text(&for_people(&reports))?;
    }
    Ok(Outcome::agreed(clean))
}

/// Verifies a book completely, and takes it out of its halt if that is asked.
async fn check(app: &Arc<App>, book: &Book, args: &Args) -> anyhow::Result<BookReport> {
    let name = format!("{} ({})", book.reference, book.mode.as_str());
    let clears = args.clear_halt && is_halted(app, book).await?;
    let report = if clears {
        let (by, reason) = (args.by.as_deref().unwrap_or_default(), args.reason.as_deref().unwrap_or_default());
        verify::clear_halt(app, book.id, by, reason).await.with_context(|| format!("{name} stays halted"))?
    } else {
        verify::check(app, book.id, Depth::Complete).await.with_context(|| format!("{name} could not be verified"))?
    };
    Ok(BookReport {
        book: book.id,
        platform: book.reference.clone(),
        mode: book.mode.as_str(),
        clean: report.is_clean(),
        position: report.position,
        halted: is_halted(app, book).await?,
        findings: report.findings,
    })
}

async fn is_halted(app: &Arc<App>, book: &Book) -> anyhow::Result<bool> {
    let id = book.id;
    let halt = app
        .db
        .read("halt", Scope::Book(id), move |tx| Box::pin(async move { verify::find_halt(tx, id).await }))
        .await
        .context("it cannot be read which books are halted")?;
    Ok(halt.is_some())
}

fn read_anchor(path: &Path) -> anyhow::Result<Anchor> {
    let text = std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
    Anchor::from_json(&text).with_context(|| format!("{} is not an anchor", path.display()))
}

async fn against(app: &Arc<App>, anchor: &Anchor) -> anyhow::Result<Vec<Finding>> {
    let (book, anchor) = (anchor.book, anchor.clone());
    let differences: Result<Vec<Violation>, LedgerError> = app
        .db
        .read_at_length("verify against an anchor", Scope::Book(book), Depth::Complete.limit(), move |tx| {
            let anchor = anchor.clone();
            Box::pin(async move { partita_ledger::verify_against(tx, &anchor).await })
        })
        .await;
    let differences = differences.context("the ledger could not be compared with the anchor")?;
    Ok(differences.iter().map(verify::of_ledger).collect())
}

fn for_people(reports: &[BookReport]) -> String {
    let mut lines = Vec::new();
    for report in reports {
        let verdict = match report.findings.len() {
            0 => "clean".to_owned(),
            1 => "1 contradiction".to_owned(),
            count => format!("{count} contradictions"),
        };
        lines.push(format!("{} ({}), position {}: {verdict}", report.platform, report.mode, report.position));
        let line = |f: &Finding| format!("  {} {}: {}", f.code, f.invariant, f.detail);
        lines.extend(report.findings.iter().map(line));
        if report.halted {
            lines.push("  the movement of money is halted in this book (--clear-halt)".to_owned());
        }
    }
    if reports.is_empty() {
        lines.push("there are no books yet".to_owned());
    }
    lines.join("\n")
}
