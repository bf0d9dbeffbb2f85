//! Transfers: what moves the sellers' shares of a payment to their accounts, and takes them back.
//!
//! One rule, [`rebalance`]: what a seller has got of a payment (transfers asked or done, less reversals asked or done)
//! is what it is entitled to (its share, less refunds). Above it, a transfer is asked; below it, reversals are. It is
//! run whenever either side may have changed and does nothing when they agree, so it may run at any time, twice too.
//!
//! Debits are booked when asked, credits when confirmed: a transfer leaves the seller's balance for clearing when it
//! is asked, a reversal comes back only when the provider has it.

mod apply;
pub mod entries;
mod error;
mod plan;
mod store;

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use partita_db::{BookId, Scope, Tx};
use partita_ledger::{Floors, balances};
use partita_provider::{Command, CreateReversal, CreateTransfer, Money, Provider, Refusal};

pub use apply::{apply, apply_refusal, apply_reversal, apply_reversal_refusal};
pub use error::TransferError;
pub use store::{
    ListFilter, find, find_reversal, list, list_by_payment, list_reversals, open_reversal_transfers,
    payments_without_transfer,
};

use crate::actor::Actor;
use crate::app::App;
use crate::chart::{Chart, Kind, SellerAccount};
use crate::due;
use crate::id::{OperationId, PaymentId, ReversalId, SellerId, TransferId};
use crate::journal::{Journal, Record};
use crate::operations::{self, FirstTry, NewOperation, Target};
use crate::outbox::{self, Change};
use crate::payments::{self, Funds, Payment};
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
    /// The payment whose share it moves.
    pub payment: PaymentId,
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
    /// The payment whose share it was.
    pub payment: PaymentId,
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

/// Makes sure that a payment's transfers are looked at again, at `at`.
///
/// # Errors
/// What the database says.
pub async fn schedule_rebalance(tx: &mut Tx, payment_key: i64, at: Timestamp) -> Result<(), TransferError> {
    Ok(due::schedule(tx, DUE_KIND, payment_key, at).await?)
}

/// Asks for the transfers and reversals that bring what sellers have got of a payment to what they are entitled to.
///
/// # Errors
/// [`TransferError`]; nothing is asked then.
///
/// Returns when to look again, if a seller could not be sent all of its share.
pub async fn rebalance(app: &Arc<App>, book: BookId, payment_key: i64) -> Result<Option<Timestamp>, TransferError> {
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
                let again = rebalance_in(tx, &*provider, payment_key, &mut journal, now).await?;
                journal.post(tx).await?;
                Ok(again)
            })
        })
        .await
}

async fn rebalance_in(
    tx: &mut Tx,
    provider: &dyn Provider,
    payment_key: i64,
    journal: &mut Journal,
    now: Timestamp,
) -> Result<Option<Timestamp>, TransferError> {
    let Some(id) = payments::find_by_key(tx, payment_key).await?.map(|payment| payment.id) else {
        return Err(TransferError::PaymentNotFound);
    };
    let payment = payments::find_for_update(tx, id).await?.ok_or(TransferError::PaymentNotFound)?;
    if payment.funds != Funds::Available {
        return Ok(None);
    }
    let lines = payments::find_lines(tx, id).await?;
    let shares = payments::seller_shares(&lines);
    let transfers = store::list_by_payment_for_update(tx, id).await?;
    let ids: Vec<SellerId> = shares.values().map(|(id, _)| *id).collect();
    let sellers = sellers::find_by_ids(tx, &ids).await?;
    let chart = payments::chart(tx.book_id(), payment.amount.currency);
    let mut waits = false;
    for (seller_id, share) in shares.into_values() {
        let Some(seller) = sellers.iter().find(|seller| seller.id == seller_id) else { continue };
        let spendable = spendable(tx, chart, seller).await?;
        let of_seller: Vec<&Transfer> = transfers.iter().filter(|transfer| transfer.seller == seller_id).collect();
        let plan = plan::plan(share, &of_seller, spendable);
        waits |= plan.short > 0;
        if plan.transfer > 0 {
            ask_transfer(tx, provider, &payment, seller, plan.transfer, chart, journal, now).await?;
        }
        for (transfer, amount) in plan.reversals {
            ask_reversal(tx, provider, &payment, transfer, amount, journal, now).await?;
        }
    }
    Ok(waits.then(|| now + SignedDuration::from_hours(WAIT_HOURS)))
}

/// What a seller may be sent now; minor units. Nothing before its account can receive.
async fn spendable(tx: &mut Tx, chart: Chart, seller: &Seller) -> Result<i64, TransferError> {
    if seller.account.is_none() || !seller.standing.transfers_active {
        return Ok(0);
    }
    let account = chart.seller(seller.number, SellerAccount::Available);
    let balance = balances(tx, &[account]).await?;
    let available = balance.first().map_or(0, |balance| balance.credits - balance.debits);
    Ok(i64::try_from(available.max(0)).unwrap_or(i64::MAX))
}

#[expect(clippy::too_many_arguments, reason = "one call site; the facts are of seven types")]
async fn ask_transfer(
    tx: &mut Tx,
    provider: &dyn Provider,
    payment: &Payment,
    seller: &Seller,
    amount: i64,
    chart: Chart,
    journal: &mut Journal,
    now: Timestamp,
) -> Result<(), TransferError> {
    let (id, operation_id) = (TransferId::new(), OperationId::new());
    let money = Money::new(amount, payment.amount.currency);
    let command = Command::CreateTransfer(CreateTransfer {
        amount: money,
        destination: seller.account.clone().ok_or(TransferError::SellerHasNoAccount)?,
        source_charge: payment.provider_charge.clone(),
        transfer_group: payment.id.to_string(),
        metadata: sellers::metadata(operation_id, &id.to_string()),
    });
    let key = journal.keys().next(tx).await?;
    let operation = NewOperation {
        id: operation_id,
        key: journal.keys().next(tx).await?,
        target: Target { object_type: "transfer", object_id: id.uuid(), object_key: payment.key },
        provider: provider.name(),
        request: provider.prepare(&command)?,
        command,
        actor: Actor::System,
    };
    let transfer = store::insert(tx, id, key, payment, seller.id, money, now).await?;
    operations::plan(tx, &operation, FirstTry::Queued, now).await?;
    record(tx, &transfer, None, "transfer.created", now).await?;
    journal.add(Record {
        kind: Kind::TransferAsked,
        source: operation.key,
        subject: payment.key,
        effective_at: now,
        actor: Actor::System,
        floors: Floors::Respect,
        entries: entries::asked(chart, seller.number, amount),
    });
    Ok(())
}

async fn ask_reversal(
    tx: &mut Tx,
    provider: &dyn Provider,
    payment: &Payment,
    transfer: &Transfer,
    amount: i64,
    journal: &mut Journal,
    now: Timestamp,
) -> Result<(), TransferError> {
    let (id, operation_id) = (ReversalId::new(), OperationId::new());
    let money = Money::new(amount, payment.amount.currency);
    let command = Command::CreateReversal(CreateReversal {
        transfer: transfer.provider_transfer.clone().ok_or(TransferError::Contradiction("no id".to_owned()))?,
        amount: money,
        metadata: sellers::metadata(operation_id, &id.to_string()),
    });
    let key = journal.keys().next(tx).await?;
    let operation = NewOperation {
        id: operation_id,
        key: journal.keys().next(tx).await?,
        target: Target { object_type: "reversal", object_id: id.uuid(), object_key: payment.key },
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
            "object": "transfer", "id": transfer.id, "payment": transfer.payment, "seller": transfer.seller,
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
            "object": "reversal", "id": reversal.id, "transfer": reversal.transfer, "payment": reversal.payment,
            "seller": reversal.seller, "status": reversal.status.as_str(), "amount": reversal.amount.minor,
            "currency": reversal.amount.currency,
        }),
        actor: Actor::System,
        detail: reversal.failure.as_ref().map(|failure| failure.message.clone()),
        at: now,
    };
    Ok(outbox::record(tx, &change).await?)
}
