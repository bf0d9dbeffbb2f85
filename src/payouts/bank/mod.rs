//! Payouts by bank file: the platform pays a seller from its own bank account.
//!
//! 1. A seller with bank details ([`declare_details`]) is paid so: [`ask`] takes what it has ([`transfers::collect`]), under the
//!    locks of what that is of; nothing more than that, and nothing while the seller owes.
//! 2. [`create_file`] puts what waits into a file for the bank, once; its bytes never change.
//! 3. What the bank did is told by people: [`confirm`], [`send_back`] with the bank's code. What waits is given up by [`cancel`].
//!
//! Such a payout is `pending` until it is in a file, then `in_transit`, `paid`, or `failed` with the code of its return.

mod details;
mod file;
mod pain;

use std::sync::Arc;

use jiff::Timestamp;
use partita_db::{BookId, DbError, Scope, Tx};
use partita_ledger::{balance_at, balances};
use partita_provider::Money;

pub use details::{OwnAccount, declare_details, declare_own_account, end_details, reseal};
pub use file::{BankFile, NewBankFile, create_file, read_file};

use super::ask::NewPayout;
use super::decision::{Means, Standing};
use super::{Payout, PayoutError, PayoutStatus, record, store};
use crate::actor::Actor;
use crate::app::App;
use crate::chart::{Chart, SellerAccount};
use crate::id::{BankDetailsId, BankFileId, PayoutId};
use crate::idempotency::{self, Begun};
use crate::journal::Journal;
use crate::limit::Limit;
use crate::sellers::{self, BankDetails, Seller};
use crate::transfers::{self, BankPart, Payable};

/// The most that a transfer of SEPA moves (EPC125-05), which no other bank takes less than; minor units.
const MOST: i64 = 999_999_999_99;

/// The bank's reasons that lie with the seller's account: it is closed, blocked, or not what it seems (ISO 20022, external code
/// sets). Those about who pays (`AC13`, `RR01`) or about an address, of which the file has none (`BE04`), do not.
const OF_THE_ACCOUNT: [&str; 9] = ["AC01", "AC03", "AC04", "AC06", "AC07", "AC14", "AG01", "BE01", "MD07"];

/// What is known of a payout by bank file alone.
#[derive(Debug, Clone)]
pub struct ByBank {
    /// Where it goes.
    pub details: BankDetailsId,
    /// What of the IBAN may be shown.
    pub masked: String,
    /// The file that it is in.
    pub file: Option<BankFileId>,
    /// Why the bank sent it back.
    pub return_code: Option<String>,
}

impl ByBank {
    /// What the bank's statement names a payout by.
    pub fn end_to_end(payout: PayoutId) -> String {
        pain::bank_id(&payout.to_string())
    }
}

/// The most that can be paid by one transfer of a bank, up to `minor`.
pub(super) fn sendable(minor: i64) -> i64 {
    minor.min(MOST)
}

/// What is known of a seller, which is locked and paid by bank file, and what it may be paid of, which is locked too.
pub(super) async fn standing_of(
    tx: &mut Tx,
    seller: &Seller,
    details: &BankDetails,
    until: Option<Timestamp>,
) -> Result<(Standing, Vec<Payable>), PayoutError> {
    let payables = transfers::lock_payables(tx, seller).await?;
    let chart = Chart { book: tx.book_id(), currency: seller.default_currency };
    let kinds = [SellerAccount::Available, SellerAccount::Debt];
    let found = balances(tx, &kinds.map(|kind| chart.seller(seller.number, kind))).await?;
    let [available, debt] = [found[0], found[1]];
    let came_by = match until {
        Some(until) => balance_at(tx, available.account, Some(until), None).await?.credits,
        None => available.credits,
    };
    let minor = |amount: i128| i64::try_from(amount).map_err(|_| PayoutError::OutOfRange);
    let noted: i64 = payables.iter().map(|payable| payable.amount).sum();
    let standing = Standing {
        has_account: true,
        payouts_enabled: true,
        bank_account_blocked: store::is_bank_blocked(tx, details.id, &OF_THE_ACCOUNT).await?,
        means: Means {
            at_provider: noted.min(minor(available.signed().max(0))?),
            too_late: minor((available.credits - came_by).max(0))?,
            going_out: 0,
            going_back: 0,
            owed: minor((-available.signed()).max(0) + debt.signed())?,
        },
    };
    Ok((standing, payables))
}

/// Stores a payout of a seller, which is locked, and takes its amount of what was locked.
pub(super) async fn ask(
    tx: &mut Tx,
    new: &NewPayout<'_>,
    (details, payables): (&BankDetails, &[Payable]),
    actor: Actor,
    journal: &mut Journal,
    now: Timestamp,
) -> Result<Payout, PayoutError> {
    let key = journal.keys().next(tx).await?;
    let payout = store::insert_by_bank(tx, key, new, details.id, actor, now).await?;
    record(tx, &payout, None, actor, now).await?;
    let taken = transfers::collect(tx, (new.id, new.seller), payables, new.amount, actor, journal, now).await?;
    if taken != new.amount {
        return Err(PayoutError::Contradiction(format!("{taken} of {} could be taken", new.amount)));
    }
    Ok(payout)
}

/// The bank paid a payout.
///
/// # Errors
/// [`PayoutError::NotByBank`], [`PayoutError::State`]; nothing is changed then.
pub async fn confirm(
    app: &Arc<App>,
    book: BookId,
    actor: Actor,
    request: idempotency::Request,
    id: PayoutId,
) -> Result<Begun<PayoutId>, PayoutError> {
    let now = app.clock.now();
    let app_in = Arc::clone(app);
    app.db
        .run_tx("confirm payout by bank", Scope::Book(book), move |tx| {
            let (app, request) = (Arc::clone(&app_in), request.clone());
            Box::pin(async move {
                if let Some(earlier) = idempotency::claim(tx, &request, now).await? {
                    return Ok(earlier);
                }
                let payout = lock(tx, id, &[PayoutStatus::InTransit], "confirmed").await?;
                idempotency::bind(tx, &request.key, "payout", id.uuid()).await?;
                let changed = store::set_status(tx, &payout, PayoutStatus::Paid, None, now).await?;
                record(tx, &changed, Some(payout.status), actor, now).await?;
                let mut journal = Journal::new(&app.keys);
                transfers::paid(tx, id, chart_of(tx, &payout), actor, &mut journal, now).await?;
                journal.post(tx).await?;
                Ok(Begun::Fresh(id))
            })
        })
        .await
}

/// What people say of a payout that a bank sent back.
#[derive(Debug, Clone)]
pub struct SentBack {
    /// The bank's code.
    pub code: String,
    /// Why, in the words of who says it.
    pub reason: String,
    /// Who says it, or proposed to.
    pub made_by: String,
    /// Who agreed; none where one person was enough.
    pub approved_by: Option<Actor>,
}

/// Where a payout may be sent back from.
const RETURNABLE: [PayoutStatus; 2] = [PayoutStatus::InTransit, PayoutStatus::Paid];

/// Whether this maker may say without a second person that so much came back: with what it said alone today it is within the
/// declared limit. Waits for others that ask the same of this maker.
///
/// # Errors
/// What the database says.
pub async fn may_return_alone(tx: &mut Tx, actor: Actor, amount: Money, now: Timestamp) -> Result<bool, DbError> {
    let limits = store::list_return_limits(tx).await?;
    if !Limit::allows(&limits, amount, 0) {
        return Ok(false);
    }
    let alone = store::returned_alone(tx, &actor.to_string(), amount.currency, now).await?;
    Ok(Limit::allows(&limits, amount, alone))
}

/// Refuses a payout that no bank can have sent back.
///
/// # Errors
/// [`PayoutError::NotByBank`], [`PayoutError::State`].
pub fn check_returnable(payout: &Payout) -> Result<(), PayoutError> {
    check(payout, &RETURNABLE, "returned")
}

/// A payout that a bank may have sent back, locked.
///
/// # Errors
/// As [`check_returnable`].
pub async fn lock_returnable(tx: &mut Tx, id: PayoutId) -> Result<Payout, PayoutError> {
    lock(tx, id, &RETURNABLE, "returned").await
}

/// The bank sent a payout back, or did not take it; `actor` completes that. Where it lies with the account, nothing is paid there
/// any more.
///
/// # Errors
/// As [`check_returnable`].
pub async fn send_back(
    tx: &mut Tx,
    id: PayoutId,
    said: &SentBack,
    actor: Actor,
    journal: &mut Journal,
    now: Timestamp,
) -> Result<(), PayoutError> {
    let (seller, parts) = lock_ground(tx, id).await?;
    let payout = lock_returnable(tx, id).await?;
    store::insert_return(tx, &payout, said, now).await?;
    let changed = store::set_returned(tx, &payout, said, now).await?;
    record(tx, &changed, Some(payout.status), actor, now).await?;
    if OF_THE_ACCOUNT.contains(&said.code.as_str()) {
        let detail = Some(said.code.clone());
        sellers::note(tx, &seller, "seller.bank_account_blocked", actor, detail, now).await?;
    }
    let after_paid = payout.status == PayoutStatus::Paid;
    let place = (chart_of(tx, &payout), seller.number);
    Ok(transfers::give_back(tx, &parts, place, after_paid, actor, journal, now).await?)
}

/// Whose payout it is, and what it pays of, both locked: before the payout.
async fn lock_ground(tx: &mut Tx, id: PayoutId) -> Result<(Seller, Vec<BankPart>), PayoutError> {
    let found = store::find(tx, id).await?.ok_or(PayoutError::NotFound)?;
    let seller = sellers::find_by_id_for_update(tx, found.seller).await?.ok_or(PayoutError::SellerUnknown)?;
    Ok((seller, transfers::lock_parts(tx, id).await?))
}

/// Gives a payout up that no file has yet.
///
/// # Errors
/// [`PayoutError::NotByBank`], [`PayoutError::State`]; nothing is changed then.
pub async fn cancel(
    app: &Arc<App>,
    book: BookId,
    actor: Actor,
    request: idempotency::Request,
    id: PayoutId,
) -> Result<Begun<PayoutId>, PayoutError> {
    let now = app.clock.now();
    let app_in = Arc::clone(app);
    let begun = app
        .db
        .run_tx("cancel payout by bank", Scope::Book(book), move |tx| {
            let (app, request) = (Arc::clone(&app_in), request.clone());
            Box::pin(async move {
                if let Some(earlier) = idempotency::claim_movement(tx, &request, now).await? {
                    return Ok(earlier);
                }
                let (seller, parts) = lock_ground(tx, id).await?;
                let payout = lock(tx, id, &[PayoutStatus::Pending], "canceled").await?;
                idempotency::bind(tx, &request.key, "payout", id.uuid()).await?;
                let changed = store::set_status(tx, &payout, PayoutStatus::Canceled, None, now).await?;
                record(tx, &changed, Some(payout.status), actor, now).await?;
                let mut journal = Journal::new(&app.keys);
                let place = (chart_of(tx, &payout), seller.number);
                transfers::give_back(tx, &parts, place, false, actor, &mut journal, now).await?;
                journal.post(tx).await?;
                Ok::<_, PayoutError>(Begun::Fresh(id))
            })
        })
        .await?;
    app.wake.now();
    Ok(begun)
}

/// A payout by bank file in one of these states, locked.
async fn lock(tx: &mut Tx, id: PayoutId, lawful: &[PayoutStatus], word: &'static str) -> Result<Payout, PayoutError> {
    let payout = store::find_for_update(tx, Some(id), "").await?.ok_or(PayoutError::NotFound)?;
    check(&payout, lawful, word)?;
    Ok(payout)
}

fn check(payout: &Payout, lawful: &[PayoutStatus], word: &'static str) -> Result<(), PayoutError> {
    if payout.bank.is_none() {
        return Err(PayoutError::NotByBank);
    }
    if lawful.contains(&payout.status) { Ok(()) } else { Err(PayoutError::State { status: payout.status, word }) }
}

fn chart_of(tx: &Tx, payout: &Payout) -> Chart {
    Chart { book: tx.book_id(), currency: payout.amount.currency }
}
