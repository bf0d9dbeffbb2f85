//! Transfers: what moves the sellers' shares of a payment to their accounts, and takes them back.
//!
//! One rule, [`rebalance`]: what a seller has got of a payment (transfers asked or done, less reversals asked or done)
//! is what it is entitled to (its share, less refunds). Above it, a transfer is asked; below it, reversals are. It is
//! run whenever either side may have changed and does nothing when they agree, so it may run at any time, twice too. What a
//! seller was given by hand follows the same rule, as a payment of which it is entitled to all. Before anything is sent, what
//! the seller has pays its debts; what of it is still missing at the end of a day becomes one ([`end_day`]).
//!
//! Debits are booked when asked, credits when confirmed: a transfer leaves the seller's balance for clearing when it
//! is asked, a reversal comes back only when the provider has it.

mod apply;
mod by_bank;
pub mod entries;
mod error;
mod plan;
mod releasing;
mod reserving;
mod shortfalls;
mod store;

use std::collections::HashMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use partita_db::{BookId, Scope, Tx};
use partita_ledger::{Floors, balances};
use partita_provider::{Command, CreateReversal, CreateTransfer, Currency, Money, PrepareError, Provider, Refusal};

pub(crate) use apply::WITH_CHARGE;
pub use apply::{apply, apply_refusal, apply_reversal, apply_reversal_refusal, apply_sent};
pub use by_bank::{BankPart, collect, give_back, lock_parts, lock_payables, paid, send_instead};
pub use error::TransferError;
pub use releasing::{advance_line, release_line};
pub use reserving::advance_reserve;
pub use shortfalls::{DAY_END_DUE_KIND, end_day};
pub use store::{
    ListFilter, Payable, find, find_reversal, going_back, list, list_by_adjustment, list_by_payment, list_reversals,
    list_reversals_of, open_reversal_transfers, parts_of, taken_back, without_transfer,
};

use crate::actor::Actor;
use crate::adjustments::{self, Adjustment};
use crate::app::App;
use crate::chart::{Chart, Kind, SellerAccount};
use crate::debts;
use crate::due;
use crate::id::{Of, OperationId, ReversalId, SellerId, TransferId};
use crate::journal::{Journal, Record};
use crate::operations::{self, FirstTry, NewOperation, Target};
use crate::outbox::{self, Change};
use crate::payments::{self, ChargeType, Funds, Payment};
use crate::reserves;
use crate::sellers::{self, Seller};
use crate::verify;

/// The kind of `due` rows that name payments whose transfers may have to change.
pub const DUE_KIND: &str = "rebalance";

/// How soon a payment is looked at again while its book is halted.
const HALTED_MINUTES: i64 = 1;

/// How long a share waits that could not be transferred yet: the seller is short or not onboarded.
const WAIT_HOURS: i64 = 24;

/// Where a transfer or a reversal stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransferStatus {
    /// Asked; no definite answer yet.
    Processing,
    /// The provider moved it.
    Succeeded,
    /// Refused; nothing moved.
    Failed,
}

impl TransferStatus {
    /// The stored and shown word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Processing => "processing",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
        }
    }

    /// Reads the stored word.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Processing, Self::Succeeded, Self::Failed].into_iter().find(|status| status.as_str() == text)
    }
}

/// A transfer of a seller's share.
#[derive(Debug, Clone)]
pub struct Transfer {
    /// Its id.
    pub id: TransferId,
    /// Its number.
    pub key: i64,
    /// What it moves money of.
    pub of: Of,
    /// Who gets it.
    pub seller: SellerId,
    /// What moves.
    pub amount: Money,
    /// Where it stands.
    pub status: TransferStatus,
    /// Taken back; minor units.
    pub reversed_amount: i64,
    /// Asked to be taken back, not answered yet; minor units.
    pub reversing_amount: i64,
    /// The provider's name.
    pub provider: String,
    /// Its id at the provider.
    pub provider_transfer: Option<String>,
    /// Why it failed.
    pub failure: Option<Refusal>,
    /// How often it changed.
    pub sequence: i32,
    /// When it was asked, by the business clock.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// A transfer taken back, in part or whole.
#[derive(Debug, Clone)]
pub struct Reversal {
    /// Its id.
    pub id: ReversalId,
    /// Its number.
    pub key: i64,
    /// What is taken back.
    pub transfer: TransferId,
    /// What it moved money of.
    pub of: Of,
    /// Whose it was.
    pub seller: SellerId,
    /// What comes back.
    pub amount: Money,
    /// Where it stands.
    pub status: TransferStatus,
    /// The provider's name.
    pub provider: String,
    /// Its id at the provider.
    pub provider_reversal: Option<String>,
    /// Why it failed.
    pub failure: Option<Refusal>,
    /// How often it changed.
    pub sequence: i32,
    /// When it was asked, by the business clock.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// Makes sure that the transfers of a payment or an adjustment are looked at again, at `at`.
///
/// # Errors
/// What the database says.
pub async fn schedule_rebalance(tx: &mut Tx, key: i64, at: Timestamp) -> Result<(), TransferError> {
    Ok(due::schedule(tx, DUE_KIND, key, at).await?)
}

/// Asks for the transfers and reversals that bring what sellers have got of a payment or an adjustment to what they are
/// entitled to.
///
/// # Errors
/// [`TransferError`]; nothing is asked then.
///
/// Returns when to look again, if a seller could not be sent all of its share.
pub async fn rebalance(app: &Arc<App>, book: BookId, key: i64) -> Result<Option<Timestamp>, TransferError> {
    let provider = app.provider(book).await?;
    let now = app.clock.now();
    let app_in = Arc::clone(app);
    app.db
        .run_tx("rebalance transfers", Scope::Book(book), move |tx| {
            let (app, provider) = (Arc::clone(&app_in), Arc::clone(&provider));
            Box::pin(async move {
                if verify::is_halted(tx).await? {
                    return Ok(Some(now + SignedDuration::from_mins(HALTED_MINUTES)));
                }
                let mut journal = Journal::new(&app.keys);
                let again = rebalance_in(tx, &*provider, key, &mut journal, now).await?;
                journal.post(tx).await?;
                Ok(again)
            })
        })
        .await
}

/// Of what sellers are sent their shares, locked.
struct Ground {
    of: Of,
    /// Its ledger subject.
    key: i64,
    currency: Currency,
    /// The provider's charge that the money comes from; none: the platform's balance.
    source_charge: Option<String>,
    /// How the provider groups what belongs together.
    transfer_group: String,
    /// Whether the money is usable; until then nothing is sent, and only what came with the charge can be taken back.
    is_usable: bool,
    /// What each seller is entitled to; minor units.
    shares: Vec<(SellerId, i64)>,
    /// Where some of that may be kept back.
    reserves: Option<reserves::Ground>,
}

impl Ground {
    /// None while nobody may be sent anything.
    async fn find(tx: &mut Tx, key: i64) -> Result<Option<Self>, TransferError> {
        if let Some(found) = payments::find_by_key(tx, key).await? {
            let payment = payments::find_for_update(tx, found.id).await?.ok_or(TransferError::PaymentNotFound)?;
            return Self::of_payment(tx, payment).await;
        }
        let adjustment = adjustments::find_by_key_for_update(tx, key).await?.ok_or(TransferError::PaymentNotFound)?;
        Ok(Some(Self::of_adjustment(tx, &adjustment).await?))
    }

    async fn of_payment(tx: &mut Tx, payment: Payment) -> Result<Option<Self>, TransferError> {
        let is_usable = match payment.funds {
            // On the seller's own account already, and never the platform's to send.
            _ if payment.charge_type == ChargeType::Direct => return Ok(None),
            Funds::Available => true,
            Funds::Pending if payment.sent_with_charge > 0 => false,
            Funds::Pending | Funds::None => return Ok(None),
        };
        let lines = payments::find_lines(tx, payment.id).await?;
        Ok(Some(Self {
            of: Of::Payment(payment.id),
            key: payment.key,
            currency: payment.amount.currency,
            reserves: Some(payment.reserve_ground()),
            // Of a charge with a destination the provider has sent all that it sends by itself.
            source_charge: payment.provider_charge.filter(|_| payment.charge_type == ChargeType::Separate),
            transfer_group: payment.id.to_string(),
            is_usable,
            shares: payments::released_shares(&lines).into_values().collect(),
        }))
    }

    async fn of_adjustment(tx: &mut Tx, adjustment: &Adjustment) -> Result<Self, TransferError> {
        let undone = adjustments::find_reversal(tx, adjustment.id).await?.is_some();
        let share = if undone { 0 } else { adjustment.entitlement() };
        Ok(Self {
            of: Of::Adjustment(adjustment.id),
            key: adjustment.key,
            currency: adjustment.amount.currency,
            source_charge: None,
            transfer_group: adjustment.id.to_string(),
            is_usable: true,
            shares: vec![(adjustment.seller, share)],
            reserves: None,
        })
    }
}

async fn rebalance_in(
    tx: &mut Tx,
    provider: &dyn Provider,
    key: i64,
    journal: &mut Journal,
    now: Timestamp,
) -> Result<Option<Timestamp>, TransferError> {
    let Some(ground) = Ground::find(tx, key).await? else { return Ok(None) };
    let transfers = store::list_of_for_update(tx, ground.of).await?;
    let ids: Vec<SellerId> = ground.shares.iter().map(|(id, _)| *id).collect();
    let sellers = sellers::find_by_ids(tx, &ids).await?;
    let chart = payments::chart(tx.book_id(), ground.currency);
    let standing = debts::Standing::read(tx, ground.of).await?;
    let kept = reserving::kept(tx, &ground).await?;
    let paid_by_bank = by_bank::paid_of(tx, ground.of).await?;
    let by_bank: Vec<SellerId> =
        sellers::find_bank_details(tx, &ids).await?.into_iter().map(|details| details.seller).collect();
    let mut waits = false;
    for (seller_id, share) in &ground.shares {
        let Some(seller) = sellers.iter().find(|seller| seller.id == *seller_id) else { continue };
        let of_seller: Vec<&Transfer> = transfers.iter().filter(|transfer| transfer.seller == seller.id).collect();
        let of = |amounts: &HashMap<SellerId, i64>| amounts.get(&seller.id).copied().unwrap_or(0);
        let share = share + standing.entitlement(seller.id) - of(&kept) - of(&paid_by_bank);
        let is_sent = !by_bank.contains(&seller.id);
        let has = if ground.is_usable { available(tx, chart, seller).await? } else { 0 };
        let missing = plan::missing(share, &of_seller).min(has);
        let settling = if missing > 0 {
            debts::settle(tx, (ground.of, ground.key), seller, missing, journal, now).await?
        } else {
            debts::Settling::default()
        };
        for key in &settling.returned {
            schedule_rebalance(tx, *key, now).await?;
        }
        let keeping = reserving::keep(tx, &ground, seller, missing - settling.paid, journal, now).await?;
        // What was given back is another one's to send, under its own lock.
        let gone = settling.paid + keeping;
        let spendable = if is_sent && can_receive(seller) { has - gone } else { 0 };
        let plan = plan::plan(share - gone, &of_seller, spendable);
        let noted = if is_sent { 0 } else { plan.short.min(has - gone) };
        if !is_sent {
            by_bank::note(tx, &ground, seller.id, noted).await?;
        }
        // What is missing elsewhere may be there tomorrow.
        waits |= ground.is_usable && plan.short > noted;
        if plan.transfer > 0 {
            match ask_transfer(tx, provider, &ground, seller, plan.transfer, journal, now).await {
                // Finer than the provider moves, or more than it moves at once: it keeps no other seller waiting.
                Err(TransferError::Prepare(PrepareError::Amount(why))) => {
                    tracing::warn!(seller = %seller.id, why, "a share cannot be sent as it is");
                    waits = true;
                }
                asked => asked?,
            }
        }
        for (transfer, amount) in plan.reversals {
            match ask_reversal(tx, provider, &ground, transfer, amount, journal, now).await {
                Err(TransferError::Prepare(PrepareError::Amount(why))) => {
                    tracing::warn!(seller = %seller.id, why, "a share cannot be taken back as it is");
                    waits = true;
                }
                asked => asked?,
            }
        }
    }
    Ok(waits.then(|| now + SignedDuration::from_hours(WAIT_HOURS)))
}

/// What a seller has to be sent or to pay debts with, of whatever it is; minor units, not below zero.
async fn available(tx: &mut Tx, chart: Chart, seller: &Seller) -> Result<i64, TransferError> {
    let account = chart.seller(seller.number, SellerAccount::Available);
    let balance = balances(tx, &[account]).await?;
    let available = balance.first().map_or(0, |balance| balance.credits - balance.debits);
    Ok(i64::try_from(available.max(0)).unwrap_or(i64::MAX))
}

/// Nothing is sent before the seller's account can receive.
fn can_receive(seller: &Seller) -> bool {
    seller.account.is_some() && seller.standing.transfers_active
}

async fn ask_transfer(
    tx: &mut Tx,
    provider: &dyn Provider,
    ground: &Ground,
    seller: &Seller,
    amount: i64,
    journal: &mut Journal,
    now: Timestamp,
) -> Result<(), TransferError> {
    let (id, operation_id) = (TransferId::new(), OperationId::new());
    let money = Money::new(amount, ground.currency);
    let command = Command::CreateTransfer(CreateTransfer {
        amount: money,
        destination: seller.account.clone().ok_or(TransferError::SellerHasNoAccount)?,
        source_charge: ground.source_charge.clone(),
        transfer_group: ground.transfer_group.clone(),
        metadata: sellers::metadata(operation_id, &id.to_string()),
    });
    let key = journal.keys().next(tx).await?;
    let operation = NewOperation {
        id: operation_id,
        key: journal.keys().next(tx).await?,
        target: Target { object_type: "transfer", object_id: id.uuid(), object_key: ground.key },
        provider: provider.name(),
        request: provider.prepare(&command)?,
        command,
        actor: Actor::System,
    };
    let transfer = store::insert(tx, (id, key), ground.of, seller.id, money, provider.name(), now).await?;
    operations::plan(tx, &operation, FirstTry::Queued, now).await?;
    record(tx, &transfer, None, "transfer.created", now).await?;
    journal.add(Record {
        kind: Kind::TransferAsked,
        source: operation.key,
        subject: ground.key,
        effective_at: now,
        actor: Actor::System,
        floors: Floors::Respect,
        entries: entries::asked(payments::chart(tx.book_id(), ground.currency), seller.number, amount),
    });
    Ok(())
}

async fn ask_reversal(
    tx: &mut Tx,
    provider: &dyn Provider,
    ground: &Ground,
    transfer: &Transfer,
    amount: i64,
    journal: &mut Journal,
    now: Timestamp,
) -> Result<(), TransferError> {
    let (id, operation_id) = (ReversalId::new(), OperationId::new());
    let money = Money::new(amount, ground.currency);
    let command = Command::CreateReversal(CreateReversal {
        transfer: transfer.provider_transfer.clone().ok_or(TransferError::Contradiction("no id".to_owned()))?,
        amount: money,
        metadata: sellers::metadata(operation_id, &id.to_string()),
    });
    let key = journal.keys().next(tx).await?;
    let operation = NewOperation {
        id: operation_id,
        key: journal.keys().next(tx).await?,
        target: Target { object_type: "reversal", object_id: id.uuid(), object_key: ground.key },
        provider: provider.name(),
        request: provider.prepare(&command)?,
        command,
        actor: Actor::System,
    };
    store::add_reversing(tx, transfer.id, amount, 0, now).await?;
    let reversal = store::insert_reversal(tx, id, key, transfer, money, now).await?;
    operations::plan(tx, &operation, FirstTry::Queued, now).await?;
    record_reversal(tx, &reversal, None, "reversal.created", now).await
}

async fn record(
    tx: &mut Tx,
    transfer: &Transfer,
    from: Option<TransferStatus>,
    event: &'static str,
    now: Timestamp,
) -> Result<(), TransferError> {
    let change = Change {
        object_type: "transfer",
        object_id: transfer.id.uuid(),
        sequence: transfer.sequence,
        from: from.map(TransferStatus::as_str),
        to: transfer.status.as_str(),
        event,
        payload: serde_json::json!({
            "object": "transfer", "id": transfer.id, "payment": transfer.of.payment(), "adjustment": transfer.of.adjustment(), "seller": transfer.seller,
            "status": transfer.status.as_str(), "amount": transfer.amount.minor, "currency": transfer.amount.currency,
            "reversed_amount": transfer.reversed_amount,
        }),
        actor: Actor::System,
        detail: transfer.failure.as_ref().map(|failure| failure.message.clone()),
        at: now,
    };
    Ok(outbox::record(tx, &change).await?)
}

async fn record_reversal(
    tx: &mut Tx,
    reversal: &Reversal,
    from: Option<TransferStatus>,
    event: &'static str,
    now: Timestamp,
) -> Result<(), TransferError> {
    let change = Change {
        object_type: "reversal",
        object_id: reversal.id.uuid(),
        sequence: reversal.sequence,
        from: from.map(TransferStatus::as_str),
        to: reversal.status.as_str(),
        event,
        payload: serde_json::json!({
            "object": "reversal", "id": reversal.id, "transfer": reversal.transfer, "payment": reversal.of.payment(),
            "adjustment": reversal.of.adjustment(),
            "seller": reversal.seller, "status": reversal.status.as_str(), "amount": reversal.amount.minor,
            "currency": reversal.amount.currency,
        }),
        actor: Actor::System,
        detail: reversal.failure.as_ref().map(|failure| failure.message.clone()),
        at: now,
    };
    Ok(outbox::record(tx, &change).await?)
}
