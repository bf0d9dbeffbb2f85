//! `verify`, always on: recomputes the invariants of a book from its rows. It repairs nothing.
//!
//! - [`run`] recomputes everything and only tells.
//! - [`check`] does the same, or only what is new ([`Depth::New`], every minute by the worker), stores what it found with
//!   the position it is valid for, tells of what was not broken before by the event `verify.violation`, and *halts* the
//!   book if an integrity invariant is broken.
//! - [`check_next`] is [`check`] of the book whose complete run is due: each has one a day, never two at a time.
//! - In a halted book nothing that moves money is started ([`is_halted`]): no payment, refund, top-up or transfer, and no
//!   command that was planned is sent for the first time. Reading, events, the resolution of doubt and reconciliation go on.
//! - A person takes the book out again ([`clear_halt`]), after a complete run that found nothing.
//! - When another server takes over, the book is as if halted until the provider was asked what that one lacks.
//!
//! Liveness and agreement only alarm: an outage must not halt the work that ends it.

mod by_bank;
mod changed;
mod direct;
mod discounts;
mod invariants;
mod kept_back;
mod line_releases;
mod payout_fees;
mod positions;
mod rows;
mod schedule;
mod store;
mod takeover;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use partita_db::{BookId, DbError, Scope, Tx};
use partita_ledger::{LedgerError, Verification, Violation};
use serde::Serialize;

pub use schedule::{DUE_KIND, Turn, check_next, schedule};
pub use store::{Halt, count_broken, count_halted, find_halt};
pub use takeover::{books_taken_over, know_server, lost_since};

use crate::actor::Actor;
use crate::app::App;
use crate::id::VerifyRunId;
use crate::outbox::{self, Change};
use crate::verify::changed::Changed;

/// What a broken invariant means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Rows contradict each other: what the books say cannot be trusted. Halts.
    Integrity,
    /// Something does not go on. Alarms.
    Liveness,
    /// Two records of one thing differ, or a limit was passed. Alarms.
    Agreement,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Integrity, Self::Liveness, Self::Agreement];

    /// As it is stored and told.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Integrity => "integrity",
            Self::Liveness => "liveness",
            Self::Agreement => "agreement",
        }
    }
}

/// How much is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// What the ledger booked after the last verified position, the balances that touches, and the objects that changed
    /// since the last run.
    New,
    /// Everything.
    Complete,
}

impl Depth {
    /// How long a run may take before the database is taken for lost. The minute's run waits for the one before it, so that
    /// a server that vanished must not keep it for long.
    pub fn limit(self) -> Duration {
        match self {
            Self::New => Duration::from_mins(10),
            Self::Complete => Duration::from_hours(12),
        }
    }

    /// As it is stored and told.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Complete => "complete",
        }
    }
}

/// A row that contradicts another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The invariant's code in docs/reliability.md.
    pub code: &'static str,
    /// Which invariant is broken.
    pub invariant: &'static str,
    /// What that means.
    pub kind: Kind,
    /// What should hold, in a sentence.
    pub sentence: &'static str,
    /// What was found, in words, with the offender's id.
    pub detail: String,
}

/// What a run of `verify` found.
#[derive(Debug, Clone)]
pub struct Report {
    /// What is broken; empty when nothing is.
    pub findings: Vec<Finding>,
    /// The ledger's position that the report is valid for.
    pub position: String,
    /// Decisions of the ledger that were read.
    pub decisions: u64,
    /// Postings that were read.
    pub postings: u64,
    /// When it began, by the database's clock.
    pub started_at: Timestamp,
    ledger: Verification,
}

impl Report {
    /// Whether nothing is broken.
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty()
    }

    /// Whether the books cannot be trusted.
    pub fn breaks_integrity(&self) -> bool {
        self.findings.iter().any(|finding| finding.kind == Kind::Integrity)
    }

    /// What is broken, by invariant.
    fn by_invariant(&self) -> serde_json::Value {
        let mut found: BTreeMap<(&str, &str), (Kind, Vec<&str>)> = BTreeMap::new();
        for finding in &self.findings {
            let of = found.entry((finding.code, finding.invariant)).or_insert((finding.kind, Vec::new()));
            of.1.push(&finding.detail);
        }
        let entry = |((code, invariant), (kind, offenders)): (_, (Kind, Vec<&str>))| serde_json::json!({ "code": code, "invariant": invariant, "kind": kind, "offenders": offenders });
        found.into_iter().map(entry).collect()
    }
}

/// Why a book could not be verified.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The ledger could not be read.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The database failed.
    #[error(transparent)]
    Db(#[from] DbError),
    /// The book is not halted.
    #[error("the book is not halted")]
    NotHalted,
    /// A complete run still finds something.
    #[error("a complete run still finds {findings} contradictions: the halt stays")]
    NotClean {
        /// How many.
        findings: usize,
    },
}

/// Verifies a book: one snapshot, everything recomputed, nothing written.
///
/// # Errors
/// [`VerifyError`] when it could not be finished; that says nothing about the books.
pub async fn run(app: &Arc<App>, book: BookId) -> Result<Report, VerifyError> {
    read(app, book, Depth::Complete).await
}

async fn read(app: &Arc<App>, book: BookId, depth: Depth) -> Result<Report, VerifyError> {
    let now = app.clock.now();
    app.db
        .read_at_length("verify", Scope::Book(book), depth.limit(), move |tx| Box::pin(recompute(tx, depth, now)))
        .await
}

async fn recompute(tx: &mut Tx, depth: Depth, now: Timestamp) -> Result<Report, VerifyError> {
    let started_at = store::now(tx).await?;
    let (ledger, changed) = match depth {
        Depth::New => {
            let ledger = partita_ledger::verify_new(tx).await?;
            let changed = Changed::find(tx, &ledger).await?;
            (ledger, changed)
        }
        Depth::Complete => (partita_ledger::verify(tx).await?, None),
    };
    let mut findings: Vec<Finding> = ledger.violations.iter().map(of_ledger).collect();
    findings.extend(invariants::run(tx, changed.as_ref(), now).await?);
    Ok(Report {
        findings,
        position: ledger.position().to_string(),
        decisions: ledger.decisions,
        postings: ledger.postings,
        started_at,
        ledger,
    })
}

/// What a contradiction of the ledger means to the service.
pub fn of_ledger(violation: &Violation) -> Finding {
    let (code, kind, sentence) = match violation {
        Violation::PostingMalformed { .. } | Violation::PostingsDiffer { .. } | Violation::OrphanPostings { .. } => {
            ("I1", Kind::Integrity, "Each transaction is whole and balances in each currency.")
        }
        Violation::FloorPassed { .. } => {
            ("I2", Kind::Agreement, "No transaction that respects floors left an account below its floor.")
        }
        Violation::NotUnique { .. } | Violation::HoldNotUnique { .. } => {
            ("unique", Kind::Integrity, "Ids, sources and reversals of the ledger stand once.")
        }
        Violation::AccountMissing { .. }
        | Violation::BalanceDiffers { .. }
        | Violation::BalanceShape { .. }
        | Violation::DayDiffers { .. }
        | Violation::DaysAhead { .. }
        | Violation::HoldDiffers { .. }
        | Violation::HeldDiffers { .. }
        | Violation::CaptureDiffers { .. } => {
            ("I2", Kind::Integrity, "Each stored balance, day sum and hold is what its rows come to.")
        }
        Violation::HeadDiffers { .. }
        | Violation::SequenceBroken { .. }
        | Violation::LaneBehind { .. }
        | Violation::AnchorDiffers { .. }
        | Violation::AnchoredHeadDiffers { .. }
        | Violation::AnchoredLaneShort { .. }
        | Violation::ReversalDiffers { .. }
        | Violation::PeriodTooEarly { .. } => {
            ("I6", Kind::Integrity, "The past is as it was written: chain, positions, anchors, reversals, periods.")
        }
    };
    Finding { code, invariant: "ledger", kind, sentence, detail: violation.to_string() }
}

/// Verifies a book and acts on what it finds: stores the run, notes up to where the ledger is verified, tells of what was
/// not broken before, and halts the book if its integrity is broken.
///
/// # Errors
/// As [`run`].
pub async fn check(app: &Arc<App>, book: BookId, depth: Depth) -> Result<Report, VerifyError> {
    Ok(check_as(app, book, depth).await?.1)
}

async fn check_as(app: &Arc<App>, book: BookId, depth: Depth) -> Result<(VerifyRunId, Report), VerifyError> {
    let report = read(app, book, depth).await?;
    let id = act(app, book, depth, &report).await?;
    Ok((id, report))
}

/// Stores a run and acts on what it found.
async fn act(app: &Arc<App>, book: BookId, depth: Depth, report: &Report) -> Result<VerifyRunId, VerifyError> {
    let id = VerifyRunId::new();
    let (stored, now) = (Arc::new(report.clone()), app.clock.now());
    let halted = app
        .db
        .run_tx("store verify run", Scope::Book(book), move |tx| {
            let report = Arc::clone(&stored);
            Box::pin(async move { take(tx, id, depth, &report, now).await })
        })
        .await?;
    for finding in &report.findings {
        tracing::error!(
            book = book.get(), code = finding.code, kind = ?finding.kind, invariant = finding.invariant,
            detail = finding.detail, "an invariant is broken"
        );
    }
    if halted {
        tracing::error!(book = book.get(), run = %id, "the movement of money is halted until a person clears it");
    }
    Ok(id)
}

/// Whether this run halted the book.
async fn take(
    tx: &mut Tx,
    id: VerifyRunId,
    depth: Depth,
    report: &Report,
    now: Timestamp,
) -> Result<bool, VerifyError> {
    let findings = report.by_invariant();
    // Not every minute anew while the same things are broken.
    let known = store::known_broken(tx).await?;
    let is_news = report.findings.iter().any(|found| !known.contains(&format!("{} {}", found.code, found.invariant)));
    store::insert_run(tx, id, depth, report, &findings).await?;
    partita_ledger::record_verified(tx, &report.ledger).await?;
    let halted = report.breaks_integrity() && store::insert_halt(tx, id).await?;
    if is_news || halted {
        let payload = serde_json::json!({
            "id": id.to_string(), "object": "verify_run", "position": report.position, "findings": findings,
            "halted": report.breaks_integrity(),
        });
        outbox::record(tx, &violated(id, payload, now)).await?;
    }
    Ok(halted)
}

fn violated(run: VerifyRunId, payload: serde_json::Value, at: Timestamp) -> Change {
    Change {
        object_type: "verify_run",
        object_id: run.uuid(),
        sequence: 1,
        from: None,
        to: "violated",
        event: "verify.violation",
        payload,
        actor: Actor::System,
        detail: None,
        at,
    }
}

/// The second and last event of a run that halted its book; the first told of the violation.
fn cleared(run: VerifyRunId, payload: serde_json::Value, detail: String, at: Timestamp) -> Change {
    Change {
        sequence: 2,
        from: Some("violated"),
        to: "cleared",
        event: "verify.cleared",
        detail: Some(detail),
        ..violated(run, payload, at)
    }
}

/// Whether nothing that moves money may be started in the transaction's book: the gate. It is halted, or another server
/// has taken over and the provider was not asked yet what that one lacks. What was sent before may be resolved, and what
/// the provider tells is taken.
///
/// # Errors
/// What the database says.
pub async fn is_halted(tx: &mut Tx) -> Result<bool, DbError> {
    store::is_halted(tx).await
}

/// Whether the transaction's book knows the server that the database runs on. Until it does, a command in doubt is not
/// sent again either: the server may have forgotten that it was sent under a newer key.
///
/// # Errors
/// What the database says.
pub async fn knows_server(tx: &mut Tx) -> Result<bool, DbError> {
    store::knows_server(tx).await
}

/// Takes a book out of its halt, if a complete run finds nothing any more; who did it and why is kept.
///
/// # Errors
/// [`VerifyError::NotHalted`], [`VerifyError::NotClean`], and as [`run`].
pub async fn clear_halt(app: &Arc<App>, book: BookId, actor: &str, reason: &str) -> Result<Report, VerifyError> {
    let halt = app
        .db
        .read("halt", Scope::Book(book), move |tx| Box::pin(async move { find_halt(tx, book).await }))
        .await?
        .ok_or(VerifyError::NotHalted)?;
    let (run, report) = check_as(app, book, Depth::Complete).await?;
    if !report.is_clean() {
        return Err(VerifyError::NotClean { findings: report.findings.len() });
    }
    let (actor, reason, now) = (actor.to_owned(), reason.to_owned(), app.clock.now());
    let is_cleared = app
        .db
        .run_tx("clear halt", Scope::Book(book), move |tx| {
            let (actor, reason) = (actor.clone(), reason.clone());
            Box::pin(async move {
                if !store::clear_halt(tx, halt, run.uuid(), &actor, &reason).await? {
                    return Ok(false);
                }
                let payload = serde_json::json!({
                    "id": halt.run.to_string(), "object": "verify_run", "cleared_by": actor, "reason": reason,
                    "clean_run": run.to_string(),
                });
                let detail = format!("{actor}: {reason}");
                outbox::record(tx, &cleared(halt.run, payload, detail, now)).await?;
                Ok::<_, DbError>(true)
            })
        })
        .await?;
    if is_cleared { Ok(report) } else { Err(VerifyError::NotHalted) }
}
