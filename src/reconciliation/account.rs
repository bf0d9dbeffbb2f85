//! Comparing one account with the provider, page by page. Where it stands is written down with each page, so that another
//! process can go on with it; what was found counts only for the turn that the run names.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use partita_db::{BookId, Scope as Book};
use partita_ledger::current_position;
use partita_provider::{BalanceTransaction, FetchError, PageRequest, Provider, SettlementState};
use serde::{Deserialize, Serialize};

use super::compare::{self, Finding};
use super::pages::{Edge, Span};
use super::store::{breaks as break_store, ledger, runs, tasks};
use super::{OVERLAP_HOURS, ReconciliationError, Scope, adopt, breaks};
use crate::app::App;
use crate::chart::{Chart, SellerNumber};
use crate::events::{self, ApplyError};
use crate::id::RunId;
use crate::journal::Journal;
use crate::platforms::Mode;
use crate::provider_movements::Movement;

pub(super) const PAGE: u8 = 100;
const LOOKS_AT_BALANCES: u32 = 3;

/// One balance at the provider that is compared.
#[derive(Debug, Clone)]
pub(super) struct Account {
    /// The connected account's id; none for the platform's own.
    pub(super) id: Option<String>,
    /// Whose it is; none for the platform's own.
    pub(super) seller: Option<SellerNumber>,
}

impl Account {
    pub(super) fn name(&self) -> String {
        self.id.clone().unwrap_or_default()
    }
}

/// How far an account is compared.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Progress {
    /// When it was begun, by the database's clock: what was recorded later is not missed.
    started: Timestamp,
    /// When it was begun, by the business clock.
    compared_to: Timestamp,
    /// Only what the provider made at this second or later.
    from: Option<i64>,
    /// The last movement that was compared.
    after: Option<String>,
    /// The edge of the last page.
    edge: Edge,
    /// All movements are compared, the balances are not.
    is_listed: bool,
}

/// What the ledger has of these movements.
pub(super) async fn known_of(
    app: &Arc<App>,
    book: BookId,
    account: &Account,
    page: &[BalanceTransaction],
) -> Result<compare::Known, ReconciliationError> {
    let ids: Vec<String> = page.iter().map(|movement| movement.id.clone()).collect();
    let (name, seller) = (account.name(), account.seller);
    app.db
        .read("movements in the ledger", Book::Book(book), move |tx| {
            let (ids, name) = (ids.clone(), name.clone());
            Box::pin(async move { ledger::known(tx, &name, seller, &ids).await })
        })
        .await
}

/// What comparing a page came to.
struct Compared {
    matched: i64,
    adopted: i64,
    /// What agrees or differs, by the provider's ids and ours.
    subjects: Vec<String>,
    findings: Vec<Finding>,
}

/// A turn of a run: whoever has it works on the run, and nobody else does.
pub(super) struct Turn {
    pub(super) app: Arc<App>,
    pub(super) book: BookId,
    pub(super) run: RunId,
    pub(super) number: i32,
    pub(super) scope: Scope,
    pub(super) provider: Arc<dyn Provider>,
    pub(super) mode: Mode,
}

impl Turn {
    /// Compares an account, as far as `pages` suffice; whether it is done.
    pub(super) async fn compare(
        &self,
        account: &Account,
        progress: Option<Progress>,
        pages: &mut u32,
    ) -> Result<bool, ReconciliationError> {
        let mut progress = match progress {
            Some(progress) => progress,
            None => self.first_progress(account).await?,
        };
        while !progress.is_listed {
            let Some(left) = pages.checked_sub(1) else { return Ok(false) };
            *pages = left;
            self.compare_page(account, &mut progress).await?;
        }
        self.compare_balances(account, &progress).await?;
        Ok(true)
    }

    async fn first_progress(&self, account: &Account) -> Result<Progress, ReconciliationError> {
        let (name, now) = (account.name(), self.app.clock.now());
        let (started, compared_to) = self
            .app
            .db
            .read("begin account", Book::Book(self.book), move |tx| {
                let name = name.clone();
                Box::pin(async move {
                    let before = tasks::compared_to(tx, &name).await?;
                    Ok::<_, ReconciliationError>((tasks::database_now(tx).await?, before))
                })
            })
            .await?;
        let from = compared_to
            .filter(|_| self.scope == Scope::Recent)
            .map(|to| (to - SignedDuration::from_hours(OVERLAP_HOURS)).as_second());
        Ok(Progress { started, compared_to: now, from, after: None, edge: Edge::default(), is_listed: false })
    }

    async fn compare_page(&self, account: &Account, progress: &mut Progress) -> Result<(), ReconciliationError> {
        let request = PageRequest { after: progress.after.clone(), created_from: progress.from, limit: PAGE };
        let page = self.provider.balance_transactions(account.id.as_deref(), &request).await?;
        let next = page.data.last().filter(|_| page.has_more).map(|last| last.id.clone());
        let mut compared = self.compare_movements(account, page.data.clone()).await?;
        let span = progress.edge.take(&page.data, next.is_none(), progress.from);
        let missing = self.missing_at_provider(account, span, progress.started).await?;
        compared.subjects.extend(missing.iter().filter_map(|finding| finding.movement.clone()));
        compared.findings.extend(missing);
        progress.is_listed = next.is_none();
        progress.after = next;
        self.keep_page(account, compared, progress.clone()).await
    }

    async fn compare_movements(
        &self,
        account: &Account,
        page: Vec<BalanceTransaction>,
    ) -> Result<Compared, ReconciliationError> {
        let known = known_of(&self.app, self.book, account, &page).await?;
        let unknown: Vec<&BalanceTransaction> = page.iter().filter(|m| !known.contains_key(&m.id)).collect();
        let mut adopted = 0;
        for movement in &unknown {
            self.renew().await?;
            adopted +=
                i64::from(adopt::adopt(&self.app, self.book, &self.provider, self.mode, account, movement).await?);
        }
        let late = self.settle_late(&page, &known).await?;
        let known =
            if unknown.is_empty() && !late { known } else { known_of(&self.app, self.book, account, &page).await? };
        let findings = compare::compare_page(&page, &known, self.app.clock.now());
        let matched = i64::try_from(page.len()).unwrap_or(i64::MAX) - i64::try_from(findings.len()).unwrap_or(0);
        let subjects = page.into_iter().map(|movement| movement.id).collect();
        Ok(Compared { matched, adopted, subjects, findings })
    }

    /// Books what the provider made usable and the worker has not come to yet; whether there was any.
    async fn settle_late(
        &self,
        page: &[BalanceTransaction],
        known: &compare::Known,
    ) -> Result<bool, ReconciliationError> {
        let now = self.app.clock.now();
        let usable = page.iter().filter(|said| said.state == SettlementState::Available);
        let late: Vec<Movement> = usable
            .filter_map(|said| known.get(&said.id))
            .map(|ours| ours.movement.clone())
            .filter(|movement| movement.state == SettlementState::Pending)
            .collect();
        let any = !late.is_empty();
        for movement in late {
            let app_in = Arc::clone(&self.app);
            self.app
                .db
                .run_tx("book late availability", Book::Book(self.book), move |tx| {
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

    /// What the list did not show where it should have. Lists are not always in the order of time, so each is asked for
    /// by its id.
    async fn missing_at_provider(
        &self,
        account: &Account,
        span: Span,
        started: Timestamp,
    ) -> Result<Vec<Finding>, ReconciliationError> {
        if span.after >= span.until {
            return Ok(Vec::new());
        }
        let name = account.name();
        let suspects = self
            .app
            .db
            .read("movements not shown", Book::Book(self.book), move |tx| {
                let (name, span) = (name.clone(), span.clone());
                Box::pin(async move { ledger::not_shown(tx, &name, &span, started).await })
            })
            .await?;
        let mut missing = Vec::new();
        for movement in suspects {
            self.renew().await?;
            match self.provider.balance_transaction(account.id.as_deref(), &movement.id).await {
                Ok(_) => {}
                Err(FetchError::NotFound) => missing.push(compare::missing_at_provider(&movement)),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(missing)
    }

    /// What a page came to and how far that is, at once: a page that is compared again finds nothing twice.
    async fn keep_page(
        &self,
        account: &Account,
        compared: Compared,
        progress: Progress,
    ) -> Result<(), ReconciliationError> {
        let (run, number, name, now) = (self.run, self.number, account.name(), self.app.clock.now());
        let kept = Arc::new((compared, progress));
        self.app
            .db
            .run_tx("keep compared page", Book::Book(self.book), move |tx| {
                let (kept, name) = (Arc::clone(&kept), name.clone());
                Box::pin(async move {
                    let (compared, progress) = &*kept;
                    if !runs::renew(tx, run, number).await? {
                        return Err(ReconciliationError::Overtaken);
                    }
                    let count = i32::try_from(compared.findings.len()).unwrap_or(i32::MAX);
                    breaks::keep(tx, run, &name, &compared.subjects, &compared.findings, now).await?;
                    runs::add_tally(tx, run, 0, compared.matched, compared.adopted, count).await?;
                    Ok(tasks::keep_progress(tx, run, &name, progress).await?)
                })
            })
            .await
    }

    /// Compares the balances, and ends the account.
    async fn compare_balances(&self, account: &Account, progress: &Progress) -> Result<(), ReconciliationError> {
        // Two clocks are never read at one instant: a difference counts when it stands through several looks.
        let mut looks = 1;
        let (mut findings, mut rows) = self.look_at_balances(account).await?;
        while !findings.is_empty() && looks < LOOKS_AT_BALANCES {
            let again;
            (again, rows) = self.look_at_balances(account).await?;
            // On a busy account each look differs by something else, and none of it stands.
            findings.retain(|finding| again.contains(finding));
            looks += 1;
        }
        let (run, number, name, now) = (self.run, self.number, account.name(), self.app.clock.now());
        let (to, started, is_complete) = (progress.compared_to, progress.started, self.scope == Scope::Complete);
        let kept = Arc::new((findings, rows));
        self.app
            .db
            .run_tx("keep compared account", Book::Book(self.book), move |tx| {
                let (kept, name) = (Arc::clone(&kept), name.clone());
                Box::pin(async move {
                    let (findings, rows) = &*kept;
                    if !runs::renew(tx, run, number).await? {
                        return Err(ReconciliationError::Overtaken);
                    }
                    let count = i32::try_from(findings.len()).unwrap_or(i32::MAX);
                    let states = compare::BALANCE_STATES.map(ToOwned::to_owned);
                    breaks::keep(tx, run, &name, &states, findings, now).await?;
                    if is_complete {
                        break_store::close_unseen(tx, run, &name).await?;
                    }
                    runs::add_balances(tx, run, rows, !findings.is_empty()).await?;
                    runs::add_tally(tx, run, 1, 0, 0, count).await?;
                    tasks::note_compared(tx, &name, to, started).await?;
                    Ok(tasks::remove(tx, run, &name).await?)
                })
            })
            .await
    }

    async fn look_at_balances(
        &self,
        account: &Account,
    ) -> Result<(Vec<Finding>, serde_json::Value), ReconciliationError> {
        let said = self.provider.balance(account.id.as_deref()).await?;
        let (book, name, seller) = (self.book, account.name(), account.seller);
        let (compared, position) = self
            .app
            .db
            .read("compare balances", Book::Book(book), move |tx| {
                let (said, name) = (said.clone(), name.clone());
                Box::pin(async move {
                    let mut findings = Vec::new();
                    let mut rows = Vec::new();
                    for currency in ledger::currencies(tx, seller, &said).await? {
                        let chart = Chart { book, currency };
                        let ours = ledger::ledger_balances(tx, chart, seller).await?;
                        let row = compare::BalanceRow::new(&name, currency, ours, &said);
                        findings.extend(row.findings());
                        rows.push(row.to_json());
                    }
                    let position = current_position(tx).await?;
                    Ok::<_, ReconciliationError>(((findings, serde_json::Value::Array(rows)), position.to_string()))
                })
            })
            .await?;
        let run = self.run;
        self.app
            .db
            .run_tx("keep position", Book::Book(book), move |tx| {
                let position = serde_json::Value::String(position.clone());
                Box::pin(async move { runs::set_position(tx, run, &position).await })
            })
            .await?;
        Ok(compared)
    }

    /// Notes that an account could not be compared; the run goes on with the others.
    pub(super) async fn give_account_up(&self, account: &Account, why: &str) -> Result<(), ReconciliationError> {
        let (run, number, name, why) = (self.run, self.number, account.name(), why.to_owned());
        self.app
            .db
            .run_tx("give account up", Book::Book(self.book), move |tx| {
                let (name, why) = (name.clone(), why.clone());
                Box::pin(async move {
                    if !runs::renew(tx, run, number).await? {
                        return Err(ReconciliationError::Overtaken);
                    }
                    runs::note_failure(tx, run, &why).await?;
                    tasks::note_failing(tx, &name).await?;
                    Ok(tasks::remove(tx, run, &name).await?)
                })
            })
            .await
    }

    /// A sign of life during what takes long.
    async fn renew(&self) -> Result<(), ReconciliationError> {
        let (run, number) = (self.run, self.number);
        let is_ours = self
            .app
            .db
            .run_tx("renew reconciliation", Book::Book(self.book), move |tx| {
                Box::pin(async move { runs::renew(tx, run, number).await })
            })
            .await?;
        if is_ours { Ok(()) } else { Err(ReconciliationError::Overtaken) }
    }
}
