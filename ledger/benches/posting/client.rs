//! Who posts charges.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use jiff::SignedDuration;
use partita_db::{BookId, Db, Scope};
use partita_ledger::{Floors, Ledger, LedgerError, NewPosting, NewTransaction, PostOutcome};
use rand::{RngExt, SeedableRng, rngs::StdRng};

use crate::{
    NOON,
    books::{FIRST_SELLER, HOT_FEE, PROVIDER, book_id, key},
    scenario::{Fee, Scenario, Way},
};

/// One connection's worth of buyers.
pub(crate) struct Client {
    db: Db,
    ledger: Ledger,
    ids: Arc<AtomicI64>,
    scenario: Scenario,
    random: StdRng,
}

impl Client {
    pub(crate) fn new(db: Db, ledger: Ledger, ids: Arc<AtomicI64>, scenario: Scenario) -> Self {
        Self { db, ledger, ids, scenario, random: StdRng::from_rng(&mut rand::rng()) }
    }

    /// Posts batch after batch and gives the latency of each, from when it was due.
    pub(crate) async fn post_until(
        mut self,
        start: Instant,
        length: Duration,
        pace: Option<Duration>,
    ) -> Result<Vec<Duration>> {
        let mut latencies = Vec::new();
        let mut due = start;
        while start.elapsed() < length {
            let books = self.scenario.books;
            let book = book_id(self.random.random_range(books.first..books.first + books.count));
            let slice: Vec<_> = (0..self.scenario.batch).map(|_| self.charge(book)).collect();
            match pace {
                None => due = Instant::now(),
                Some(pace) => {
                    due += pace;
                    tokio::time::sleep_until(due.into()).await;
                }
            }
            self.post(book, slice).await?;
            latencies.push(due.elapsed());
        }
        Ok(latencies)
    }

    /// Fills a book up to an id, the charges spread over so many days before noon.
    pub(crate) async fn fill(mut self, until: i64, days: i64) -> Result<()> {
        let book = book_id(self.scenario.books.first);
        loop {
            let mut slice: Vec<_> = (0..self.scenario.batch).map(|_| self.charge(book)).collect();
            slice.retain(|charge| charge.id <= until);
            if slice.is_empty() {
                return Ok(());
            }
            for charge in &mut slice {
                let minutes = (until - charge.id) * days * 24 * 60 / until;
                charge.effective_at = NOON - SignedDuration::from_mins(minutes);
            }
            self.post(book, slice).await?;
        }
    }

    async fn post(&self, book: BookId, mut slice: Vec<NewTransaction>) -> Result<()> {
        if self.scenario.way == Way::Queue {
            for charge in slice.drain(..) {
                let outcome = self.ledger.post(book, charge).await?;
                ensure!(matches!(outcome, PostOutcome::Posted { .. }), "not posted: {outcome:?}");
            }
            return Ok(());
        }
        let slice = Arc::new(slice);
        let posted: Result<Vec<_>, LedgerError> = self
            .db
            .run_tx("charge", Scope::Book(book), move |tx| {
                let slice = Arc::clone(&slice);
                Box::pin(async move { partita_ledger::post(tx, &slice).await })
            })
            .await;
        let outcomes = posted?;
        ensure!(outcomes.iter().all(|o| matches!(o, PostOutcome::Posted { .. })), "not posted: {outcomes:?}");
        Ok(())
    }

    fn charge(&mut self, book: BookId) -> NewTransaction {
        let id = self.ids.fetch_add(1, Ordering::Relaxed);
        let sellers = self.scenario.books.sellers;
        let fee = match self.scenario.fee {
            Fee::Hot => HOT_FEE,
            Fee::Uniform => FIRST_SELLER + sellers + self.random.random_range(0..sellers),
        };
        let sellers = [(); 3].map(|()| FIRST_SELLER + self.random.random_range(0..sellers));
        let debit = key(book, PROVIDER);
        let posting = |number, amount| NewPosting { debit, credit: key(book, number), amount, subject: id };
        let mut postings = sellers.map(|seller| posting(seller, self.random.random_range(100..10_000))).to_vec();
        postings.push(posting(fee, 100));
        NewTransaction { id, kind: 1, source: id, actor: 1, effective_at: NOON, floors: Floors::Respect, postings }
    }
}
