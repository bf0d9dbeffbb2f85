//! `partita rebuild`.

use anyhow::Context as _;
use serde::Serialize;

use super::connection::ToolArgs;
use super::{Outcome, books, output};
use crate::rebuild::{self, Comparison};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  partita rebuild --check
  partita rebuild --check --platform acme --json

What the ledger must say is made anew from the stored facts (what was asked, what the provider moved, in which order)
and compared with what it says, posting by posting and balance by balance. Nothing is changed. Exit code 0: they agree.
3: they do not. 1: it could not be finished, which says nothing about the books.")]
pub(super) struct Args {
    /// Compare, and change nothing; the only way so far, and to be said
    #[arg(long, required = true)]
    check: bool,
    /// Only the books of this platform, by its reference
    #[arg(long, value_name = "REFERENCE")]
    platform: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    tool: ToolArgs,
}

/// What was found in a book.
#[derive(Debug, Serialize)]
struct BookReport {
    platform: String,
    mode: &'static str,
    position: String,
    agrees: bool,
    expected: u64,
    found: u64,
    accounts: u64,
    differing: u64,
    differences: Vec<Difference>,
}

#[derive(Debug, Serialize)]
struct Difference {
    kind: i16,
    source: i64,
    detail: String,
}

impl BookReport {
    fn new(platform: String, mode: &'static str, comparison: Comparison) -> Self {
        Self {
            platform,
            mode,
            agrees: comparison.agrees(),
            position: comparison.position,
            expected: comparison.expected,
            found: comparison.found,
            accounts: comparison.accounts,
            differing: comparison.differing,
            differences: comparison
                .differences
                .into_iter()
                .map(|one| Difference { kind: one.kind, source: one.source, detail: one.detail })
                .collect(),
        }
    }
}

pub(super) async fn run(args: Args) -> anyhow::Result<Outcome> {
    let app = args.tool.connect().await?;
    let mut reports = Vec::new();
    for book in books::list(&app, args.platform.as_deref()).await? {
        let comparison = rebuild::check(&app, book.id)
            .await
            .with_context(|| format!("{} ({}) could not be compared", book.reference, book.mode.as_str()))?;
        reports.push(BookReport::new(book.reference, book.mode.as_str(), comparison));
    }
    app.db.close().await;
    let agree = reports.iter().all(|report| report.agrees);
    if args.json {
        output::json(&serde_json::json!({ "agree": agree, "books": reports }))?;
    } else {
        output::text(&for_people(&reports))?;
    }
    Ok(Outcome::agreed(agree))
}

fn for_people(reports: &[BookReport]) -> String {
    let mut lines = Vec::new();
    for report in reports {
        let verdict = match report.differing {
            0 => "all as the facts make them".to_owned(),
            1 => "1 difference".to_owned(),
            count => format!("{count} differences"),
        };
        let BookReport { platform, mode, found, accounts, .. } = report;
        lines.push(format!("{platform} ({mode}): {found} transactions, {accounts} accounts, {verdict}"));
        let shown = report.differences.iter();
        lines.extend(shown.map(|one| format!("  kind {}, source {}: {}", one.kind, one.source, one.detail)));
    }
    if reports.is_empty() {
        lines.push("there are no books yet".to_owned());
    }
    lines.join("\n")
}
