//! Payouts by sellers' own schedules.
//!
//! 1. [`declare`]: a seller's schedule; the provider is told to leave the account alone (`update_account`).
//! 2. The worker wakes at each cut-off and calls [`pay_by_schedule`]: under the seller's lock the payout day is decided, once
//!    (`payout_days`): a payout is asked by a durable command, or the reason why not is kept.
//! 3. What becomes of the payout is mirrored as any other is.

use std::sync::Arc;

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use partita_db::{BookId, DbError, Scope, Tx};
use partita_ledger::{balance_at, balances};
use partita_provider::{Command, Currency, Money, PayoutInterval, PrepareError, Provider, UpdateAccount};
use serde_json::json;

use super::ask::{self, NewPayout};
use super::calendar::{Holidays, PayoutDay, Rhythm, Schedule};
use super::decision::{Means, Standing, decide};
use super::{PayoutError, bank, blocks, store};
use crate::actor::Actor;
use crate::app::App;
use crate::chart::{Chart, SellerAccount};
use crate::due;
use crate::id::{OperationId, PayoutId, SellerId};
use crate::journal::Journal;
use crate::operations::{self, FirstTry, NewOperation, Target};
use crate::outbox::{self, Declaration};
use crate::sellers::{self, Seller};
use crate::{transfers, verify};

pub use super::decision::SkipReason;

/// The kind of `due` rows that name sellers with a schedule.
pub const DUE_KIND: &str = "payout_schedule";

/// When a halted book is looked at again: a person has to act first.
const HALTED_MINUTES: i64 = 5;

/// A schedule as it was declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declared {
    /// Whose it is.
    pub seller: SellerId,
    /// Which declaration, from 1.
    pub version: i32,
    /// When, by the business clock.
    pub at: Timestamp,
    /// What was declared.
    pub schedule: Schedule,
}

/// What became of a payout day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// This payout was asked.
    Asked(PayoutId),
    /// None, for this reason.
    Skipped(SkipReason),
}

/// A payout day that has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Day {
    /// Whose it is.
    pub seller: SellerId,
    /// The currency.
    pub currency: Currency,
    /// The day, where the schedule is.
    pub on: Date,
    /// What the seller had and owed then.
    pub means: Means,
    /// What became of it.
    pub outcome: Outcome,
}

/// Declares when a seller is paid out. The same again changes nothing.
///
/// # Errors
/// [`PayoutError::Seller`] where there is no such seller or the provider has not opened its account yet.
pub async fn declare(
    app: &Arc<App>,
    book: BookId,
    actor: Actor,
    seller: SellerId,
    schedule: Schedule,
) -> Result<(), PayoutError> {
    let provider = app.provider(book).await?;
    let now = app.clock.now();
    let (app_in, schedule) = (Arc::clone(app), Arc::new(schedule));
    app.db
        .run_tx("declare payout schedule", Scope::Book(book), move |tx| {
            let (app, schedule, provider) = (Arc::clone(&app_in), Arc::clone(&schedule), Arc::clone(&provider));
            Box::pin(async move {
                let seller = sellers::find_by_id_for_update(tx, seller).await?.ok_or(sellers::SellerError::NotFound)?;
                let by_bank = !sellers::find_bank_details(tx, &[seller.id]).await?.is_empty();
                if seller.account.is_none() && !by_bank {
                    return Err(sellers::SellerError::NoAccount.into());
                }
                let before = store::find_schedules(tx, &[seller.id]).await?.pop();
                if before.is_none_or(|before| before.schedule != *schedule) {
                    store::insert_schedule(tx, seller.id, &schedule, actor, now).await?;
                    let detail = Some(schedule.rhythm.as_str().to_owned());
                    sellers::note(tx, &seller, "seller.payout_schedule_changed", actor, detail, now).await?;
                    wake(tx, &seller, &schedule, now).await?;
                }
                if let Some(account) = seller.account.clone()
                    && seller.payout_interval != PayoutInterval::Manual
                {
                    stop_provider(tx, &app, &*provider, &seller, account, actor, now).await?;
                }
                Ok(())
            })
        })
        .await
}

async fn wake(tx: &mut Tx, seller: &Seller, schedule: &Schedule, now: Timestamp) -> Result<(), DbError> {
    let holidays = store::find_holidays(tx, &seller.country).await?;
    match schedule.next(now, &holidays) {
        Some(day) => due::schedule(tx, DUE_KIND, seller.key, day.at).await,
        None => Ok(()),
    }
}

/// Has the provider leave the account alone, unless it was asked already and has not answered.
async fn stop_provider(
    tx: &mut Tx,
    app: &App,
    provider: &dyn Provider,
    seller: &Seller,
    account: String,
    actor: Actor,
    now: Timestamp,
) -> Result<(), PayoutError> {
    let newest = operations::find_newest_by_object(tx, seller.id.uuid()).await?;
    if newest.is_some_and(|newest| newest.kind == "update_account" && !newest.state.is_final()) {
        return Ok(());
    }
    let command = Command::UpdateAccount(UpdateAccount { account, payout_interval: PayoutInterval::Manual });
    let operation = NewOperation {
        id: OperationId::new(),
        key: app.keys.next(tx).await?,
        target: Target { object_type: "seller", object_id: seller.id.uuid(), object_key: seller.key },
        provider: provider.name(),
        request: provider.prepare(&command)?,
        command,
        actor,
    };
    Ok(operations::plan(tx, &operation, FirstTry::Queued, now).await?)
}

/// Declares the bank holidays of a country; its sellers' next payout days follow them at once. Returns the version.
///
/// # Errors
/// What the database says.
pub async fn declare_holidays(
    app: &Arc<App>,
    book: BookId,
    actor: Actor,
    country: String,
    holidays: Holidays,
) -> Result<i32, PayoutError> {
    let now = app.clock.now();
    let declared = Arc::new((country, holidays));
    let version = app
        .db
        .run_tx("declare bank holidays", Scope::Book(book), move |tx| {
            let declared = Arc::clone(&declared);
            Box::pin(async move {
                let (country, holidays) = &*declared;
                outbox::lock_declaration(tx, Declaration::BankHolidays).await?;
                let version = store::insert_holidays(tx, country, holidays, actor, now).await?;
                // What falls earlier now must not wait for its old time; the worker finds the right one.
                let payload = json!({"country": country, "version": version, "days": holidays.0});
                outbox::record_declaration(tx, Declaration::BankHolidays, payload, actor, None, now).await?;
                let keys = store::scheduled_in(tx, country).await?;
                due::schedule_all(tx, DUE_KIND, &keys, now).await?;
                Ok::<_, PayoutError>(version)
            })
        })
        .await?;
    app.wake.now();
    Ok(version)
}

/// Decides the payout day whose moment has come, if it is not decided. Returns when to look again; none for a seller without
/// payout days.
///
/// # Errors
/// [`PayoutError`]; nothing is decided then.
pub async fn pay_by_schedule(app: &Arc<App>, book: BookId, key: i64) -> Result<Option<Timestamp>, PayoutError> {
    let provider = app.provider(book).await?;
    let now = app.clock.now();
    let app_in = Arc::clone(app);
    let next = app
        .db
        .run_tx("pay out by schedule", Scope::Book(book), move |tx| {
            let (app, provider) = (Arc::clone(&app_in), Arc::clone(&provider));
            Box::pin(async move {
                let Some(seller) = sellers::find_by_key_for_update(tx, key).await? else { return Ok(None) };
                let Some(declared) = store::find_schedules(tx, &[seller.id]).await?.pop() else { return Ok(None) };
                if declared.schedule.rhythm == Rhythm::Manual {
                    return Ok(None);
                }
                if verify::is_halted(tx).await? {
                    return Ok(Some(now + SignedDuration::from_mins(HALTED_MINUTES)));
                }
                let holidays = store::find_holidays(tx, &seller.country).await?;
                if let Some(day) = declared.schedule.latest(now, declared.at, &holidays)
                    && !store::is_decided(tx, seller.id, seller.default_currency, day.on).await?
                {
                    let mut journal = Journal::new(&app.keys);
                    let planned = (&declared.schedule, day);
                    decide_day(tx, &app, &*provider, &seller, planned, &mut journal, now).await?;
                    journal.post(tx).await?;
                }
                Ok::<_, PayoutError>(declared.schedule.next(now, &holidays).map(|day| day.at))
            })
        })
        .await?;
    app.wake.now();
    Ok(next)
}

async fn decide_day(
    tx: &mut Tx,
    app: &App,
    provider: &dyn Provider,
    seller: &Seller,
    (schedule, day): (&Schedule, PayoutDay),
    journal: &mut Journal,
    now: Timestamp,
) -> Result<(), PayoutError> {
    let currency = seller.default_currency;
    let until = schedule.funds_until(day);
    let details = sellers::find_bank_details(tx, &[seller.id]).await?.pop();
    let (standing, payables) = match &details {
        Some(details) => bank::standing_of(tx, seller, details, until).await?,
        None => (standing_of(tx, seller, until).await?, Vec::new()),
    };
    let least = schedule.minimums.get(&currency).copied().unwrap_or(0);
    let decided = match (&details, seller.payout_interval) {
        (Some(_), _) => decide(&standing, least, bank::sendable),
        (None, PayoutInterval::Manual) => {
            decide(&standing, least, |minor| provider.payable(Money::new(minor, currency)))
        }
        (None, PayoutInterval::Daily) => Err(SkipReason::ProviderPaysOut),
    };
    let outcome = match decided {
        Ok(amount) => {
            let new = NewPayout {
                id: PayoutId::new(),
                seller,
                amount,
                automatic: true,
                instant: None,
                reference: None,
                metadata: serde_json::json!({}),
            };
            let asked = match &details {
                Some(details) => bank::ask(tx, &new, (details, &payables), Actor::System, journal, now).await,
                None => ask::plan(tx, app, provider, &new, Actor::System, FirstTry::Queued, now).await,
            };
            match asked {
                Ok(payout) => Outcome::Asked(payout.id),
                Err(PayoutError::Prepare(PrepareError::Unsupported(_) | PrepareError::Amount(_))) => {
                    Outcome::Skipped(SkipReason::NotSupported)
                }
                Err(error) => return Err(error),
            }
        }
        Err(reason) => Outcome::Skipped(reason),
    };
    let day = Day { seller: seller.id, currency, on: day.on, means: standing.means, outcome };
    store::insert_day(tx, &day, now).await?;
    if let Outcome::Skipped(reason) = outcome
        && reason.is_news()
    {
        let detail = Some(reason.as_str().to_owned());
        sellers::note(tx, seller, "seller.payout_skipped", Actor::System, detail, now).await?;
    }
    Ok(())
}

/// What is known of a seller, which is locked, and of money that came onto its account after `until`.
pub(super) async fn standing_of(
    tx: &mut Tx,
    seller: &Seller,
    until: Option<Timestamp>,
) -> Result<Standing, PayoutError> {
    // Before the balances: what ends meanwhile is counted twice then, and never not at all.
    let going_out = store::processing_of(tx, seller.id).await?;
    let going_back = transfers::going_back(tx, seller.id).await?;
    let chart = Chart { book: tx.book_id(), currency: seller.default_currency };
    let kinds = [SellerAccount::ConnectedAvailable, SellerAccount::Available, SellerAccount::Debt];
    let found = balances(tx, &kinds.map(|kind| chart.seller(seller.number, kind))).await?;
    let [at_provider, available, debt] = [found[0], found[1], found[2]];
    let came_by = match until {
        Some(until) => balance_at(tx, at_provider.account, Some(until), None).await?.debits,
        None => at_provider.debits,
    };
    let minor = |amount: i128| i64::try_from(amount).map_err(|_| PayoutError::OutOfRange);
    Ok(Standing {
        has_account: seller.account.is_some(),
        payouts_enabled: seller.standing.payouts_enabled,
        bank_account_blocked: blocks::find(tx, seller.id).await?.is_some(),
        means: Means {
            at_provider: minor(at_provider.signed())?,
            too_late: minor((at_provider.debits - came_by).max(0))?,
            going_out,
            going_back,
            owed: minor((-available.signed()).max(0) + debt.signed())?,
        },
    })
}
