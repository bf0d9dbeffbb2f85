//! Reconciliation: the provider's own movements, of the platform and of each connected account, against the ledger,
//! one to one by the provider's id, and then the balances per state and currency.
//!
//! A movement that the ledger does not have is first taken over the way every other news is (its object is read and
//! applied, under the same source); what then still differs is a break. Nothing is ever adjusted.
//!
//! The provider is read page by page and each page compared at once; nothing in memory grows with the data.

mod adopt;
mod compare;
mod missing;
mod store;

use std::sync::Arc;

use jiff::Timestamp;
use partita_db::{BookId, DbError, Scope};
use partita_ledger::{LedgerError, current_position};
use partita_provider::{BalanceTransaction, FetchError, PageRequest, Provider, SettlementState};

pub use compare::BreakKind;
pub use missing::missing_since;
pub use store::{find, list, list_breaks};

use crate::actor::Actor;
use crate::app::{App, ProviderSetupError};
use crate::chart::{Chart, SellerNumber};
use crate::events::{self, ApplyError};
use crate::id::{BreakId, RunId};
use crate::journal::Journal;
use crate::platforms::Mode;
use crate::provider_movements::Movement;
use crate::sellers;

const PAGE: u8 = 100;
const LOOKS_AT_BALANCES: u32 = 3;

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunStatus {
    /// Under way.
    Running,
    /// Everything was compared.
    Succeeded,
    /// It could not be finished; it says nothing.
    Failed,
}

impl RunStatus {
    /// The stored and shown word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Running, Self::Succeeded, Self::Failed].into_iter().find(|status| status.as_str() == text)
    }
}

/// A comparison of the ledger with the provider.
#[derive(Debug, Clone)]
pub struct Run {
    /// Its id.
    pub id: RunId,
    /// Where it stands.
    pub status: RunStatus,
    /// How many accounts at the provider were compared, the platform's own among them.
    pub accounts: i32,
    /// Movements that agree one to one.
    pub matched: i64,
    /// Movements that the ledger learnt of by this run.
    pub adopted: i64,
    /// Differences that remain.
    pub breaks: i32,
    /// The ledger's position when the balances were compared.
    pub ledger_position: Option<serde_json::Value>,
    /// The compared balances.
    pub balances: serde_json::Value,
    /// Why it failed.
    pub error: Option<String>,
    /// Who asked.
    pub created_by: String,
    /// When it began, by the business clock.
    pub created_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
}

/// A difference between ledger and provider.
#[derive(Debug, Clone)]
pub struct Break {
    /// Its id.
    pub id: BreakId,
    /// The run that found it.
    pub run: RunId,
    /// What kind of difference.
    pub kind: BreakKind,
    /// The connected account's id at the provider; empty for the platform's own.
    pub account: String,
    /// The provider's movement, unless a balance as a whole differs.
    pub movement: Option<String>,
    /// Its currency's code.
    pub currency: String,
    /// What the ledger has; minor units.
    pub ledger_amount: Option<i64>,
    /// What the provider has; minor units.
    pub provider_amount: Option<i64>,
    /// In words.
    pub detail: String,
    /// When it was found, by the business clock.
    pub created_at: Timestamp,
}

/// Why a run could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ReconciliationError {
    /// No such run in this book.
    #[error("no such reconciliation run")]
    NotFound,
    /// Another run of this book is under way.
    #[error("another reconciliation run is under way")]
    AlreadyRunning,
    /// The provider could not be read.
    #[error("the provider could not be read")]
    Fetch(#[from] FetchError),
    /// The provider is not set up.
    #[error(transparent)]
    Provider(#[from] ProviderSetupError),
    /// What was missing could not be taken over.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// The ledger could not be read.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The database failed.
    #[error(transparent)]
    Db(#[from] DbError),
}

/// One balance at the provider that is compared.
#[derive(Debug, Clone)]
struct Account {
    /// The connected account's id; none for the platform's own.
    id: Option<String>,
    /// Whose it is; none for the platform's own.
    seller: Option<SellerNumber>,
}

impl Account {
    fn name(&self) -> String {
        self.id.clone().unwrap_or_default()
    }
}

/// What comparing came to, so far.
#[derive(Debug, Default)]
struct Tally {
    matched: i64,
    adopted: i64,
    breaks: i32,
}

/// Compares a book's ledger with its provider, completely, and stores what it finds.
///
/// # Errors
/// As [`start`] and [`finish`].
pub async fn run(app: &Arc<App>, book: BookId, actor: Actor) -> Result<Run, ReconciliationError> {
    let id = start(app, book, actor).await?;
    finish(app, book, id).await
}

/// Begins a run; of a book one at a time. A run that died an hour ago or earlier does not stand in the way.
///
/// # Errors
/// [`ReconciliationError::AlreadyRunning`].
pub async fn start(app: &Arc<App>, book: BookId, actor: Actor) -> Result<RunId, ReconciliationError> {
    let id = RunId::new();
    let now = app.clock.now();
    app.db
        .run_tx("start reconciliation", Scope::Book(book), move |tx| {
            Box::pin(async move {
                store::give_up_dead_runs(tx, now).await?;
                store::insert(tx, id, actor, now).await
            })
        })
        .await?;
    Ok(id)
}

/// Does the comparing of a run that was begun.
///
/// # Errors
/// [`ReconciliationError`] when it could not be finished; the run is stored as failed then.
pub async fn finish(app: &Arc<App>, book: BookId, id: RunId) -> Result<Run, ReconciliationError> {
    let outcome = compare_everything(app, book, id).await;
    let error = outcome.as_ref().err().map(ToString::to_string);
    let finished = app.clock.now();
    let run = app
        .db
        .run_tx("finish reconciliation", Scope::Book(book), move |tx| {
            let error = error.clone();
            Box::pin(async move {
                store::finish(tx, id, error.as_deref(), finished).await?;
                store::find(tx, id).await?.ok_or(ReconciliationError::NotFound)
            })
        })
        .await?;
    outcome.map(|()| run)
}

async fn compare_everything(app: &Arc<App>, book: BookId, run: RunId) -> Result<(), ReconciliationError> {
    let provider = app.provider(book).await?;
    let mode = events::mode_of(app, book).await?;
    let mut accounts = vec![Account { id: None, seller: None }];
    let sellers = app
        .db
        .read("accounts to reconcile", Scope::Book(book), |tx| {
            Box::pin(async move { sellers::list_accounts(tx).await })
        })
        .await?;
    accounts.extend(sellers.into_iter().map(|seller| Account { id: seller.account, seller: Some(seller.number) }));
    // One account that cannot be read says nothing about the others; the run as a whole has not succeeded then.
    let mut first_failure = None;
    for account in &accounts {
        if let Err(error) = compare_account(app, book, run, &provider, mode, account).await {
            tracing::warn!(book = book.get(), account = account.name(), %error, "an account could not be compared");
            first_failure.get_or_insert(error);
        }
    }
    first_failure.map_or(Ok(()), Err)
}

async fn compare_account(
    app: &Arc<App>,
    book: BookId,
    run: RunId,
    provider: &Arc<dyn Provider>,
    mode: Mode,
    account: &Account,
) -> Result<(), ReconciliationError> {
    let started = database_now(app, book).await?;
    let mut request = PageRequest { limit: PAGE, ..PageRequest::default() };
    loop {
        let page = provider.balance_transactions(account.id.as_deref(), &request).await?;
        let tally = compare_page(app, book, run, provider, mode, account, page.data.clone()).await?;
        keep_tally(app, book, run, &tally, 0).await?;
        match page.data.last() {
            Some(last) if page.has_more => request.after = Some(last.id.clone()),
            _ => break,
        }
    }
    let mut breaks = missing_at_provider(app, book, run, account, started).await?;
    // Two clocks are never read at one instant: a difference counts when it stands through several looks.
    let mut looks = 1;
    let (mut findings, mut rows) = compare_balances(app, book, run, provider, account).await?;
    while !findings.is_empty() && looks < LOOKS_AT_BALANCES {
        (findings, rows) = compare_balances(app, book, run, provider, account).await?;
        looks += 1;
    }
    keep_balances(app, book, run, rows).await?;
    breaks += keep_breaks(app, book, run, account, findings).await?;
    keep_tally(app, book, run, &Tally { breaks, ..Tally::default() }, 1).await
}

async fn compare_page(
    app: &Arc<App>,
    book: BookId,
    run: RunId,
    provider: &Arc<dyn Provider>,
    mode: Mode,
    account: &Account,
    page: Vec<BalanceTransaction>,
) -> Result<Tally, ReconciliationError> {
    let known = known_of(app, book, account, &page).await?;
    let unknown: Vec<BalanceTransaction> = page.iter().filter(|m| !known.contains_key(&m.id)).cloned().collect();
    let mut adopted = 0;
    for movement in &unknown {
        adopted += i64::from(adopt::adopt(app, book, provider, mode, account, movement).await?);
    }
    let late = settle_late(app, book, &page, &known).await?;
    let stands = unknown.is_empty() && !late;
    let known = if stands { known } else { known_of(app, book, account, &page).await? };
    let now = app.clock.now();
    let findings = compare::compare_page(&page, &known, now);
    let matched = i64::try_from(page.len()).unwrap_or(i64::MAX) - i64::try_from(findings.len()).unwrap_or(0);
    let breaks = keep_breaks(app, book, run, account, findings).await?;
    let ids: Vec<String> = page.into_iter().map(|movement| movement.id).collect();
    let name = account.name();
    app.db
        .run_tx("mark movements seen", Scope::Book(book), move |tx| {
            let (ids, name) = (ids.clone(), name.clone());
            Box::pin(async move { store::mark_seen(tx, run, &name, &ids).await })
        })
        .await?;
    Ok(Tally { matched, adopted, breaks })
}

/// Books what the provider made usable and the worker has not come to yet; whether there was any.
async fn settle_late(
    app: &Arc<App>,
    book: BookId,
    page: &[BalanceTransaction],
    known: &compare::Known,
) -> Result<bool, ReconciliationError> {
    let now = app.clock.now();
    let usable = page.iter().filter(|said| said.state == SettlementState::Available);
    let late: Vec<Movement> = usable
        .filter_map(|said| known.get(&said.id))
        .map(|ours| ours.movement.clone())
        .filter(|movement| movement.state == SettlementState::Pending)
        .collect();
    let any = !late.is_empty();
    for movement in late {
        let app_in = Arc::clone(app);
        app.db
            .run_tx("book late availability", Scope::Book(book), move |tx| {
                let (app, movement) = (Arc::clone(&app_in), movement.clone());
                Box::pin(async move {
                    let mut journal = Journal::new(&app.keys);
                    events::apply_availability(tx, &movement, &mut journal, now).await?;
                    journal.post(tx).await?;
                    Ok::<_, ApplyError>(())
                })
            })
            .await?;
    }
    Ok(any)
}

async fn known_of(
    app: &Arc<App>,
    book: BookId,
    account: &Account,
    page: &[BalanceTransaction],
) -> Result<compare::Known, ReconciliationError> {
    let ids: Vec<String> = page.iter().map(|movement| movement.id.clone()).collect();
    let (name, seller) = (account.name(), account.seller);
    app.db
        .read("movements in the ledger", Scope::Book(book), move |tx| {
            let (ids, name) = (ids.clone(), name.clone());
            Box::pin(async move { store::known(tx, &name, seller, &ids).await })
        })
        .await
}

async fn missing_at_provider(
    app: &Arc<App>,
    book: BookId,
    run: RunId,
    account: &Account,
    started: Timestamp,
) -> Result<i32, ReconciliationError> {
    let name = account.name();
    let unseen = app
        .db
        .read("movements not at the provider", Scope::Book(book), move |tx| {
            let name = name.clone();
            Box::pin(async move { store::unseen(tx, run, &name, started).await })
        })
        .await?;
    let findings = unseen.iter().map(compare::missing_at_provider).collect();
    keep_breaks(app, book, run, account, findings).await
}

async fn compare_balances(
    app: &Arc<App>,
    book: BookId,
    run: RunId,
    provider: &Arc<dyn Provider>,
    account: &Account,
) -> Result<(Vec<compare::Finding>, serde_json::Value), ReconciliationError> {
    let said = provider.balance(account.id.as_deref()).await?;
    let (name, seller) = (account.name(), account.seller);
    let (compared, position) = app
        .db
        .read("compare balances", Scope::Book(book), move |tx| {
            let (said, name) = (said.clone(), name.clone());
            Box::pin(async move {
                let mut findings = Vec::new();
                let mut rows = Vec::new();
                for currency in store::currencies(tx, seller, &said).await? {
                    let chart = Chart { book, currency };
                    let ours = store::ledger_balances(tx, chart, seller).await?;
                    let row = compare::BalanceRow::new(&name, currency, ours, &said);
                    findings.extend(row.findings());
                    rows.push(row.to_json());
                }
                let position = current_position(tx).await?;
                Ok::<_, ReconciliationError>(((findings, serde_json::Value::Array(rows)), position.to_string()))
            })
        })
        .await?;
    app.db
        .run_tx("keep position", Scope::Book(book), move |tx| {
            let position = serde_json::Value::String(position.clone());
            Box::pin(async move { store::set_position(tx, run, &position).await })
        })
        .await?;
    Ok(compared)
}

async fn keep_balances(
    app: &Arc<App>,
    book: BookId,
    run: RunId,
    rows: serde_json::Value,
) -> Result<(), ReconciliationError> {
    app.db
        .run_tx("keep balances", Scope::Book(book), move |tx| {
            let rows = rows.clone();
            Box::pin(async move { store::add_balances(tx, run, &rows).await })
        })
        .await?;
    Ok(())
}

async fn keep_breaks(
    app: &Arc<App>,
    book: BookId,
    run: RunId,
    account: &Account,
    findings: Vec<compare::Finding>,
) -> Result<i32, ReconciliationError> {
    if findings.is_empty() {
        return Ok(0);
    }
    let count = i32::try_from(findings.len()).unwrap_or(i32::MAX);
    let (name, now) = (account.name(), app.clock.now());
    tracing::warn!(book = book.get(), run = %run, count, "reconciliation found breaks");
    app.db
        .run_tx("keep breaks", Scope::Book(book), move |tx| {
            let (findings, name) = (findings.clone(), name.clone());
            Box::pin(async move {
                for finding in &findings {
                    store::insert_break(tx, run, &name, finding, now).await?;
                }
                Ok::<_, ReconciliationError>(())
            })
        })
        .await?;
    Ok(count)
}

async fn keep_tally(
    app: &Arc<App>,
    book: BookId,
    run: RunId,
    tally: &Tally,
    accounts: i32,
) -> Result<(), ReconciliationError> {
    let (matched, adopted, breaks) = (tally.matched, tally.adopted, tally.breaks);
    app.db
        .run_tx("keep tally", Scope::Book(book), move |tx| {
            Box::pin(async move { store::add_tally(tx, run, accounts, matched, adopted, breaks).await })
        })
        .await?;
    Ok(())
}

async fn database_now(app: &Arc<App>, book: BookId) -> Result<Timestamp, ReconciliationError> {
    Ok(app
        .db
        .read("database clock", Scope::Book(book), |tx| Box::pin(async move { store::database_now(tx).await }))
        .await?)
}
