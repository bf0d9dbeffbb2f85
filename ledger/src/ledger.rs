//! Posting for callers without a database transaction of their own: what queues while a call is under way is the next call.
//!
//! Each book has a queue and a few *lanes*: tasks that have at most one call of [`post`] in flight each, take whatever
//! queued meanwhile (no timer waits for more), and end when nothing is queued. So a caller alone pays one call and one
//! commit, and many callers at once share both.
//!
//! - **Bounded.** A book's queue takes so many; the next caller waits for room before it is queued.
//! - **Cancel-safe.** A caller that goes away while it waits for room is not queued. Once queued, its transaction is posted
//!   or refused whether or not anybody waits for the answer, once: the queue hands each transaction to one call.
//! - **Each its own outcome.** A call that the database refuses as a whole, because of one of its transactions, was rolled
//!   back; its transactions are then posted one by one, and only the culprit fails.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
};

use partita_db::{BookId, Db, DbError, Scope};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::{error::LedgerError, outcome::PostOutcome, store::posting::post, transaction::NewTransaction};

/// How [`Ledger::post`] queues.
#[derive(Clone, Copy, Debug)]
pub struct LedgerOptions {
    /// Calls of one book that may be under way at the same time, each on a connection of its own.
    pub lanes: usize,
    /// Calls that may be under way at the same time in all books together; fewer than the pool has connections.
    pub connections: usize,
    /// Transactions of one book that may be queued or under way; the next caller waits.
    pub queue: usize,
    /// Transactions that one call takes at most.
    pub batch: usize,
}

impl Default for LedgerOptions {
    fn default() -> Self {
        Self { lanes: 2, connections: 4, queue: 4_096, batch: 256 }
    }
}

/// A ledger to post to one transaction at a time. Clones share the queues.
#[derive(Clone, Debug)]
pub struct Ledger {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    db: Db,
    options: LedgerOptions,
    connections: Arc<Semaphore>,
    /// Queues of the books that were ever posted to: a few hundred bytes each.
    queues: Mutex<HashMap<BookId, Arc<Queue>>>,
}

impl Ledger {
    /// Posts through this pool. Every option counts as at least 1.
    pub fn new(db: Db, options: LedgerOptions) -> Self {
        let LedgerOptions { lanes, connections, queue, batch } = options;
        let options = LedgerOptions {
            lanes: lanes.max(1),
            connections: connections.max(1),
            queue: queue.clamp(1, Semaphore::MAX_PERMITS),
            batch: batch.clamp(1, 1_000),
        };
        let connections = Arc::new(Semaphore::new(options.connections));
        Self { shared: Arc::new(Shared { db, options, connections, queues: Mutex::default() }) }
    }

    /// Posts one transaction in a database transaction that it may share with others of the same book, and says what
    /// became of it once that is committed.
    ///
    /// Transactions of one book that are under way at the same time are posted in no particular order; one caller that
    /// waits for each answer sees its own in order.
    ///
    /// # Errors
    /// As [`post`]; the error of a call that failed as a whole is shared by all its callers.
    /// [`DbError::CommitUnknown`] and [`LedgerError::NotHeard`] leave open whether it is posted: bring it again from the
    /// same source.
    pub async fn post(&self, book: BookId, transaction: NewTransaction) -> Result<PostOutcome, Arc<LedgerError>> {
        let queue = self.shared.queue(book);
        let room = Arc::clone(&queue.room).acquire_owned().await.map_err(|_| Arc::new(LedgerError::NotHeard))?;
        let (answer, heard) = oneshot::channel();
        if queue.push(Waiting { transaction, answer, room }, self.shared.options.lanes) {
            tokio::spawn(run_lane(Arc::clone(&self.shared), book, queue));
        }
        heard.await.unwrap_or_else(|_| Err(Arc::new(LedgerError::NotHeard)))
    }
}

impl Shared {
    fn queue(&self, book: BookId) -> Arc<Queue> {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(queues.entry(book).or_insert_with(|| Arc::new(Queue::new(self.options.queue))))
    }
}

#[derive(Debug)]
struct Waiting {
    transaction: NewTransaction,
    answer: oneshot::Sender<Result<PostOutcome, Arc<LedgerError>>>,
    room: OwnedSemaphorePermit,
}

/// What waits for one book.
#[derive(Debug)]
struct Queue {
    room: Arc<Semaphore>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Waiting>,
    lanes: usize,
}

impl Queue {
    fn new(room: usize) -> Self {
        Self { room: Arc::new(Semaphore::new(room)), state: Mutex::default() }
    }

    /// Queues, and says whether the caller is to start another lane.
    fn push(&self, waiting: Waiting, lanes: usize) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.waiting.push_back(waiting);
        let start = state.lanes < lanes;
        state.lanes += usize::from(start);
        start
    }

    /// Whatever is queued, at most `batch`; `None` if nothing is: the lane that asked has then ended.
    fn take(&self, batch: usize) -> Option<Vec<Waiting>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let count = state.waiting.len().min(batch);
        if count == 0 {
            state.lanes -= 1;
            return None;
        }
        Some(state.waiting.drain(..count).collect())
    }
}

/// Posts what is queued until nothing is.
async fn run_lane(shared: Arc<Shared>, book: BookId, queue: Arc<Queue>) {
    loop {
        // What queues while this waits for a connection is taken with the rest.
        let connection = Arc::clone(&shared.connections).acquire_owned().await;
        let Some(batch) = queue.take(shared.options.batch) else { return };
        // In a task of its own, so that a panic costs the answers of this call and not the lane.
        if let Err(error) = tokio::spawn(fly(shared.db.clone(), book, batch)).await {
            tracing::error!(%book, %error, "a call of the ledger's queue ended without its outcomes");
        }
        drop(connection);
    }
}

/// Posts a batch and answers each caller.
async fn fly(db: Db, book: BookId, batch: Vec<Waiting>) {
    let (transactions, answers): (Vec<_>, Vec<_>) =
        batch.into_iter().map(|waiting| (waiting.transaction, (waiting.answer, waiting.room))).unzip();
    let transactions = Arc::new(transactions);
    let posted = post_slice(&db, book, Arc::clone(&transactions)).await;
    let outcomes = match posted {
        Ok(outcomes) => outcomes.into_iter().map(Ok).collect(),
        Err(error) if transactions.len() > 1 && is_of_one(&error) => one_by_one(&db, book, &transactions).await,
        Err(error) => {
            let error = Arc::new(error);
            transactions.iter().map(|_| Err(Arc::clone(&error))).collect()
        }
    };
    for ((answer, room), outcome) in answers.into_iter().zip(outcomes) {
        drop(room);
        // A caller that went away has no use for the answer.
        let _gone = answer.send(outcome);
    }
}

async fn post_slice(
    db: &Db,
    book: BookId,
    transactions: Arc<Vec<NewTransaction>>,
) -> Result<Vec<PostOutcome>, LedgerError> {
    db.run_tx("ledger post", Scope::Book(book), move |tx| {
        let transactions = Arc::clone(&transactions);
        Box::pin(async move { post(tx, &transactions).await })
    })
    .await
}

/// After a call that was rolled back because of one of its transactions.
async fn one_by_one(
    db: &Db,
    book: BookId,
    transactions: &[NewTransaction],
) -> Vec<Result<PostOutcome, Arc<LedgerError>>> {
    let mut outcomes = Vec::with_capacity(transactions.len());
    for transaction in transactions {
        match post_slice(db, book, Arc::new(vec![transaction.clone()])).await {
            Ok(alone) => outcomes.extend(alone.into_iter().map(Ok)),
            Err(error) if is_of_one(&error) => outcomes.push(Err(Arc::new(error))),
            Err(error) => {
                // The database is gone, not this transaction at fault: nothing of the rest was posted.
                let error = Arc::new(error);
                outcomes.resize_with(transactions.len(), || Err(Arc::clone(&error)));
                break;
            }
        }
    }
    outcomes
}

/// Whether a call failed, and was rolled back, because of something in it rather than of the way to the database.
fn is_of_one(error: &LedgerError) -> bool {
    matches!(error, LedgerError::DuplicateId | LedgerError::Db(DbError::Sqlx(sqlx::Error::Database(_))))
}
