//! The provider's word, whoever brings it: the answer to a command, a webhook, or reconciliation. All of it goes
//! through [`apply_object`], which also ends the command that asked for the object, so that every way to learn a fact
//! converges on one booking, in any order.

mod error;
mod refresh;
mod resolve;
mod store;
mod submit;
mod sweep;

use jiff::Timestamp;
use partita_db::Tx;
use partita_ledger::Floors;
use partita_provider::{BalanceTransaction, Money, ProviderObject, Refusal, SettlementState};
use uuid::Uuid;

pub use error::{ApplyError, Remedy};
pub use refresh::{client_action, method_action};
pub use resolve::{adopt, give_up, lookup_of, search_for};
pub use submit::{Driven, Holder, drive, may_go_on, mode_of, submit};
pub use sweep::{SWEEP_DUE_KIND, schedule_sweeps, sweep};

use crate::actor::Actor;
use crate::chart::{Chart, Kind, PlatformAccount, SellerAccount, SellerNumber};
use crate::due;
use crate::id::{CustomerId, PaymentMethodId, RefundId, ReversalId, TopUpId, TransferId};
use crate::journal::{Entry, Journal, Record};
use crate::operations::{self, Conclusion, Operation};
use crate::platforms::Mode;
use crate::provider_movements::{self, Movement, Owner, Recorded, effective_at};
use crate::sellers::METADATA_OPERATION;
use crate::{customers, disputes, payments, payouts, refunds, sellers, top_ups, transfers};

/// What applying came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// It is of this object of ours; what was news is booked.
    Ours(Uuid),
    /// It is of nothing that this book knows.
    NotOurs,
}

/// Where and when a provider's object was learnt of.
#[derive(Debug, Clone, Copy)]
pub struct Origin<'a> {
    /// The provider's name.
    pub provider: &'a str,
    /// The connected account it belongs to; empty for the platform's own.
    pub account: &'a str,
    /// Whether the book is one of real money.
    pub mode: Mode,
    /// Business time.
    pub now: Timestamp,
}

/// Books what is news in a provider's object and ends the command that asked for it. What is to be posted goes into
/// the journal, which the caller posts as its last statement.
///
/// # Errors
/// [`ApplyError`]; the caller's transaction must not commit.
pub async fn apply_object(
    tx: &mut Tx,
    object: &ProviderObject,
    origin: Origin<'_>,
    journal: &mut Journal,
) -> Result<Applied, ApplyError> {
    let ours = apply_by_kind(tx, object, origin, journal).await?;
    let Some(id) = ours else { return Ok(Applied::NotOurs) };
    let newest = operations::find_newest_by_object(tx, id).await?;
    let open = newest.filter(|operation| !operation.state.is_final() && ends(operation, object));
    if let Some(operation) = open {
        let conclusion = Conclusion::Succeeded { provider_object: object.id().to_owned() };
        operations::conclude(tx, &operation, &conclusion, origin.now).await?;
    }
    Ok(Applied::Ours(id))
}

async fn apply_by_kind(
    tx: &mut Tx,
    object: &ProviderObject,
    origin: Origin<'_>,
    journal: &mut Journal,
) -> Result<Option<Uuid>, ApplyError> {
    let now = origin.now;
    Ok(match object {
        ProviderObject::Account(said) => apply_account(tx, said, now).await?,
        ProviderObject::AccountLink(_) => None,
        ProviderObject::Payment(said) if said.livemode != (origin.mode == Mode::Live) => {
            return Err(ApplyError::OtherMode);
        }
        ProviderObject::Payment(said) => apply_payment(tx, said, origin, journal).await?,
        ProviderObject::Refund(said) => {
            refunds::apply(tx, said, origin.account, journal, now).await?.map(RefundId::uuid)
        }
        ProviderObject::Transfer(said) => transfers::apply(tx, said, journal, now).await?.map(TransferId::uuid),
        ProviderObject::Reversal(said) => {
            transfers::apply_reversal(tx, said, journal, now).await?.map(ReversalId::uuid)
        }
        ProviderObject::TopUp(said) => top_ups::apply(tx, said, journal, now).await?.map(TopUpId::uuid),
        ProviderObject::Payout(said) if origin.account.is_empty() => {
            payouts::platform::apply(tx, said, journal, now).await?.map(crate::id::PlatformPayoutId::uuid)
        }
        ProviderObject::Payout(said) => payouts::apply(tx, origin.provider, origin.account, said, journal, now)
            .await?
            .map(crate::id::PayoutId::uuid),
        ProviderObject::PayoutFee(said) => {
            payouts::apply_fee(tx, origin.provider, said, journal).await?.map(crate::id::PayoutId::uuid)
        }
        ProviderObject::Dispute(said) if said.livemode != (origin.mode == Mode::Live) => {
            return Err(ApplyError::OtherMode);
        }
        ProviderObject::Customer(said) => customers::apply(tx, said, now).await?.map(CustomerId::uuid),
        ProviderObject::Setup(said) => customers::apply_setup(tx, said, now).await?.map(PaymentMethodId::uuid),
        ProviderObject::Method(said) => customers::apply_method(tx, said, now).await?.map(PaymentMethodId::uuid),
        ProviderObject::Dispute(said) => {
            let from = (origin.provider, origin.account);
            disputes::apply(tx, from, said, journal, now).await?.map(crate::id::DisputeId::uuid)
        }
        ProviderObject::ApplicationFee(said) if said.livemode != (origin.mode == Mode::Live) => {
            return Err(ApplyError::OtherMode);
        }
        ProviderObject::ApplicationFee(said) => {
            payments::apply_fee(tx, said, journal, now).await?.map(crate::id::PaymentId::uuid)
        }
    })
}

/// An account that can receive now gets what waited for it; one that can be paid out to another bank account is.
async fn apply_account(
    tx: &mut Tx,
    said: &partita_provider::Account,
    now: Timestamp,
) -> Result<Option<Uuid>, ApplyError> {
    let Some(id) = sellers::apply(tx, said, now).await? else { return Ok(None) };
    let seller = sellers::find(tx, id).await?.ok_or(sellers::SellerError::NotFound)?;
    payouts::see_bank_account(tx, &seller, now).await?;
    if seller.standing.transfers_active {
        let waiting = transfers::without_transfer(tx, id).await?;
        due::schedule_all(tx, transfers::DUE_KIND, &waiting, now).await?;
    }
    Ok(Some(id.uuid()))
}

/// A charge whose money is usable at once has no availability to wait for.
async fn apply_payment(
    tx: &mut Tx,
    said: &partita_provider::Payment,
    origin: Origin<'_>,
    journal: &mut Journal,
) -> Result<Option<Uuid>, ApplyError> {
    let now = origin.now;
    let Some(id) = payments::apply(tx, said, origin.account, journal, now).await? else { return Ok(None) };
    let payment = payments::find(tx, id).await?.ok_or(payments::PaymentError::NotFound)?;
    let sent = said.charge.as_ref().and_then(|charge| charge.transfer.as_ref());
    if let Some(sent) = sent.filter(|_| payment.sent_with_charge > 0) {
        transfers::apply_sent(tx, &payment, sent, journal, now).await?;
    }
    // What was sent with the charge can be taken back before it is usable.
    let is_held_here = payment.charge_type != payments::ChargeType::Direct;
    if (is_held_here && payment.funds == payments::Funds::Available) || payment.sent_with_charge > 0 {
        transfers::schedule_rebalance(tx, payment.key, now).await?;
    }
    Ok(Some(id.uuid()))
}

/// Whether the news of an object is the end of a command about it: a creation ends with the object's id, what changes an
/// object only with the change.
fn ends(operation: &Operation, object: &ProviderObject) -> bool {
    match object {
        ProviderObject::Payment(payment) if operation.kind == "cancel_payment" => {
            payment.status == partita_provider::PaymentStatus::Canceled
        }
        ProviderObject::Payment(payment) if operation.kind == "capture_payment" => {
            payment.status == partita_provider::PaymentStatus::Succeeded
        }
        ProviderObject::Account(account) if operation.kind == "update_account" => {
            account.payout_interval == Some(partita_provider::PayoutInterval::Manual)
        }
        // Evidence leaves its operation's mark on the dispute; a dispute that was given up is lost.
        ProviderObject::Dispute(dispute) if operation.kind == "submit_evidence" => {
            dispute.metadata.get(METADATA_OPERATION) == Some(&operation.id.to_string())
        }
        ProviderObject::Dispute(dispute) if operation.kind == "accept_dispute" => {
            dispute.status == partita_provider::DisputeStatus::Lost
        }
        // Nobody asks for a fee by itself: it comes with a charge or a payout.
        ProviderObject::ApplicationFee(_) | ProviderObject::PayoutFee(_) => false,
        ProviderObject::Method(method) => operation.kind == "detach_method" && method.customer.is_none(),
        _ => operation.kind.starts_with("create_"),
    }
}

/// Takes the provider's definite no to a command: what was booked when it was asked is undone.
///
/// # Errors
/// [`ApplyError`]; the caller's transaction must not commit.
pub async fn apply_refusal(
    tx: &mut Tx,
    operation: &Operation,
    refusal: &Refusal,
    journal: &mut Journal,
    now: Timestamp,
) -> Result<(), ApplyError> {
    let id = operation.object_id;
    match operation.kind.as_str() {
        "create_account" => sellers::apply_refusal(tx, id.into(), refusal, now).await?,
        "create_customer" => customers::apply_refusal(tx, id.into(), refusal, now).await?,
        "create_setup" => customers::apply_setup_refusal(tx, id.into(), refusal, now).await?,
        "create_payment" => payments::apply_refusal(tx, id.into(), refusal, now).await?,
        "create_transfer" => transfers::apply_refusal(tx, id.into(), operation, refusal, journal, now).await?,
        "create_reversal" => transfers::apply_reversal_refusal(tx, id.into(), operation, refusal, now).await?,
        "create_refund" => refunds::apply_refusal(tx, id.into(), operation, refusal, journal, now).await?,
        "create_payout" if operation.object_type == "platform_payout" => {
            payouts::platform::apply_refusal(tx, id.into(), refusal, now).await?;
        }
        "create_payout" => payouts::apply_refusal(tx, id.into(), refusal, now).await?,
        "create_top_up" => top_ups::apply_refusal(tx, id.into(), operation, refusal, journal, now).await?,
        // A payment that cannot be captured or cancelled, a dispute that cannot be answered or given up, an account that
        // cannot be changed, stays what it is.
        _ => {}
    }
    Ok(())
}

/// Books that the provider made a movement's money usable, and releases what waited for it.
///
/// # Errors
/// [`ApplyError`]; the caller's transaction must not commit.
pub async fn apply_availability(
    tx: &mut Tx,
    movement: &Movement,
    journal: &mut Journal,
    now: Timestamp,
) -> Result<(), ApplyError> {
    if let ("payment", Some(id)) = (movement.object_type.as_str(), movement.object_id) {
        // The payment is locked before its movement is marked.
        let payment = payments::find_for_update(tx, id.into()).await?.ok_or(payments::PaymentError::NotFound)?;
        let came_back = match payment.charge_type {
            payments::ChargeType::Destination => transfers::taken_back(tx, payment.id).await?,
            payments::ChargeType::Separate | payments::ChargeType::Direct => 0,
        };
        let net = Money::new(movement.net, movement.currency);
        payments::release(tx, payment.id, movement.key, net, came_back, journal, now).await?;
        if provider_movements::mark_available(tx, movement.key).await? {
            transfers::schedule_rebalance(tx, payment.key, now).await?;
        }
        return Ok(());
    }
    if let (payments::direct::DIRECT_CHARGE, Some(id)) = (movement.object_type.as_str(), movement.object_id) {
        payments::release_direct(tx, id.into(), now).await?;
    }
    if !provider_movements::mark_available(tx, movement.key).await? {
        return Ok(());
    }
    let chart = Chart { book: tx.book_id(), currency: movement.currency };
    let seller = sellers::find_by_account(tx, &movement.account).await?.map(|seller| seller.number);
    journal.add(Record {
        kind: Kind::FundsAvailable,
        source: movement.key,
        subject: movement.key,
        effective_at: now,
        actor: Actor::System,
        floors: Floors::Pass,
        entries: vec![became_available(chart, seller, movement.net)],
    });
    Ok(())
}

fn of_platform(chart: Chart) -> (partita_ledger::AccountKey, partita_ledger::AccountKey) {
    (chart.platform(PlatformAccount::ProviderAvailable), chart.platform(PlatformAccount::ProviderPending))
}

fn of_seller(chart: Chart, seller: SellerNumber) -> (partita_ledger::AccountKey, partita_ledger::AccountKey) {
    (chart.seller(seller, SellerAccount::ConnectedAvailable), chart.seller(seller, SellerAccount::ConnectedPending))
}

/// What is booked when the provider changes what it reserves.
pub fn reserve_changed(chart: Chart, net: i64, state: SettlementState) -> Entry {
    Entry::signed(chart.provider(state), chart.platform(PlatformAccount::ProviderReserved), net)
}

/// What is booked when money of a movement becomes usable, of the platform's balance or of a seller's.
pub fn became_available(chart: Chart, seller: Option<SellerNumber>, net: i64) -> Entry {
    let (available, pending) = match seller {
        Some(seller) => of_seller(chart, seller),
        None => of_platform(chart),
    };
    Entry::signed(available, pending, net)
}

/// Books a change of what the provider reserves against negative connected accounts; it is told by its movement alone.
///
/// # Errors
/// [`ApplyError`]; the caller's transaction must not commit.
pub async fn apply_reserve(
    tx: &mut Tx,
    movement: &BalanceTransaction,
    origin: Origin<'_>,
    journal: &mut Journal,
) -> Result<Applied, ApplyError> {
    let owner = Owner { object_type: "provider_reserve", object_id: None };
    let recorded =
        provider_movements::record(tx, journal.keys(), origin.provider, origin.account, movement, owner).await?;
    let Recorded::New(source) = recorded else { return Ok(Applied::Ours(Uuid::nil())) };
    let chart = Chart { book: tx.book_id(), currency: movement.currency };
    chart.open_platform(tx).await?;
    journal.add(Record {
        kind: Kind::ReserveChanged,
        source,
        subject: source,
        effective_at: effective_at(movement),
        actor: Actor::System,
        floors: Floors::Pass,
        entries: vec![reserve_changed(chart, movement.net, movement.state)],
    });
    Ok(Applied::Ours(Uuid::nil()))
}
