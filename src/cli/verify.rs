//! `partita verify`.

use anyhow::Context as _;
use serde::Serialize;

use super::connection::ToolArgs;
use super::{Outcome, books, output};
use crate::verify;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  partita verify
  partita verify --platform acme --json

Everything is recomputed from the rows, the hash chain too; nothing is changed or repaired. Exit code 0: every
invariant holds. 3: some do not. 1: it could not be finished, which says nothing about the books.")]
pub(super) struct Args {
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
    clean: bool,
    findings: Vec<Finding>,
}

#[derive(Debug, Serialize)]
struct Finding {
    invariant: &'static str,
    detail: String,
}

pub(super) async fn run(args: Args) -> anyhow::Result<Outcome> {
    let app = args.tool.connect().await?;
    let mut reports = Vec::new();
    for book in books::list(&app, args.platform.as_deref()).await? {
        let report = verify::run(&app, book.id)
            .await
            .with_context(|| format!("{} ({}) could not be verified", book.reference, book.mode.as_str()))?;
        let clean = report.is_clean();
        let findings = report.findings.into_iter();
        reports.push(BookReport {
            platform: book.reference,
            mode: book.mode.as_str(),
            position: report.position,
            clean,
            findings: findings.map(|f| Finding { invariant: f.invariant, detail: f.detail }).collect(),
        });
    }
    app.db.close().await;
    let clean = reports.iter().all(|report| report.clean);
    if args.json {
        output::json(&serde_json::json!({ "clean": clean, "books": reports }))?;
    } else {
        output::text(&for_people(&reports))?;
    }
    Ok(Outcome::agreed(clean))
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
        lines.extend(report.findings.iter().map(|finding| format!("  {}: {}", finding.invariant, finding.detail)));
    }
    if reports.is_empty() {
        lines.push("there are no books yet".to_owned());
    }
    lines.join("\n")
}
