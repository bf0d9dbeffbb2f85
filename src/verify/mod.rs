//! `verify`: recomputes every integrity invariant of a book from its rows. It changes nothing and repairs nothing.

mod store;

use std::sync::Arc;

use partita_db::{BookId, DbError, Scope};
use partita_ledger::{LedgerError, current_position};

use crate::app::App;

/// A row that contradicts another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Which invariant is broken; see docs/reliability.md.
    pub invariant: &'static str,
    /// What was found, in words.
    pub detail: String,
}

/// What a run of `verify` found.
#[derive(Debug, Clone)]
pub struct Report {
    /// What is broken; empty when nothing is.
    pub findings: Vec<Finding>,
    /// The ledger's position that the report is valid for.
    pub position: String,
}

impl Report {
    /// Whether nothing is broken.
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty()
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
}

/// Verifies a book: one snapshot, everything recomputed.
///
/// # Errors
/// [`VerifyError`] when it could not be finished; that says nothing about the books.
pub async fn run(app: &Arc<App>, book: BookId) -> Result<Report, VerifyError> {
    app.db
        .read("verify", Scope::Book(book), |tx| {
            Box::pin(async move {
                let position = current_position(tx).await?.to_string();
                let violations = partita_ledger::verify(tx).await?;
                let mut findings: Vec<Finding> = violations
                    .into_iter()
                    .map(|violation| Finding { invariant: "ledger", detail: violation.to_string() })
                    .collect();
                for check in store::CHECKS {
                    findings.extend(store::run_check(tx, check).await?);
                }
                Ok(Report { findings, position })
            })
        })
        .await
}
