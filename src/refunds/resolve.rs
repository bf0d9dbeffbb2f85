//! Deciding about a refund that came back: the buyer is still owed, and only a person knows another way to pay. Who may decide
//! alone is asked here; what needs a second person is proposed by `approvals`.

use jiff::Timestamp;
use partita_db::{DbError, Tx};
use partita_ledger::Floors;
use partita_provider::Money;

use super::apply::{find_locked, keep_again};
use super::{Refund, RefundError, RefundStatus, check_outcome, record, store};
use crate::actor::Actor;
use crate::chart::Kind;
use crate::id::RefundId;
use crate::journal::{Journal, Record};
use crate::limit::Limit;
use crate::payments::{self, ChargeType, Payment, PaymentStatus};
use crate::transfers;

/// What somebody decides about a refund that came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolution {
    /// The buyer is not owed any more: everyone has back what was taken for it.
    Reinstated,
    /// The buyer was paid from the platform's bank account.
    PaidFromBank,
}

impl Resolution {
    /// The stored and shown word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reinstated => "reinstated",
            Self::PaidFromBank => "paid_from_bank",
        }
    }

    /// Reads the stored word.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Reinstated, Self::PaidFromBank].into_iter().find(|one| one.as_str() == text)
    }
}

/// A decision, with those who took it.
#[derive(Debug, Clone)]
pub struct Decided {
    /// What was decided.
    pub outcome: Resolution,
    /// Why, in the words of who decided.
    pub reason: String,
    /// Who decided, or proposed to.
    pub made_by: String,
    /// Who agreed; none where one person was enough.
    pub approved_by: Option<Actor>,
}

/// Whether this maker may decide about so much without a second person: with what it decided alone today it is within the
/// declared limit. Waits for others that ask the same of this maker.
///
/// # Errors
/// What the database says.
pub async fn may_decide_alone(tx: &mut Tx, actor: Actor, amount: Money, now: Timestamp) -> Result<bool, DbError> {
    let limits = store::list_limits(tx).await?;
    if !Limit::allows(&limits, amount, 0) {
        return Ok(false);
    }
    let alone = store::decided_alone(tx, &actor.to_string(), amount.currency, now).await?;
    Ok(Limit::allows(&limits, amount, alone))
}

/// Refuses a refund that wants no decision.
///
/// # Errors
/// [`RefundError::NotReturned`].
pub fn check_returned(refund: &Refund) -> Result<(), RefundError> {
    match refund.status {
        RefundStatus::Returned => Ok(()),
        status => Err(RefundError::NotReturned { status }),
    }
}

/// A refund that wants a decision, and its payment, both locked.
///
/// # Errors
/// [`RefundError::NotReturned`] in any other state.
pub async fn lock_returned(tx: &mut Tx, id: RefundId) -> Result<(Refund, Payment), RefundError> {
    let (refund, payment) = find_locked(tx, Some(id), "").await?.ok_or(RefundError::NotFound)?;
    check_returned(&refund)?;
    Ok((refund, payment))
}

/// Takes the decision about a refund that came back, once, and books it; `actor` completes it.
///
/// # Errors
/// [`RefundError::NotReturned`] in any other state; [`RefundError::SellersRefund`].
pub async fn resolve(
    tx: &mut Tx,
    id: RefundId,
    decided: &Decided,
    actor: Actor,
    journal: &mut Journal,
    now: Timestamp,
) -> Result<(), RefundError> {
    let (refund, payment) = lock_returned(tx, id).await?;
    check_outcome(&payment, decided.outcome)?;
    let (status, event) = match decided.outcome {
        Resolution::Reinstated => (RefundStatus::Failed, "refund.failed"),
        Resolution::PaidFromBank => (RefundStatus::Settled, "refund.settled"),
    };
    store::insert_resolution(tx, &refund, decided, now).await?;
    let changed = store::set_resolved(tx, &refund, status, decided, now).await?;
    record(tx, &changed, Some(refund.status), event, actor, now).await?;
    let chart = payments::chart(tx.book_id(), refund.amount.currency);
    let mut kept_again = None;
    let (kind, entries) = match decided.outcome {
        Resolution::PaidFromBank => (Kind::RefundSettled, payments::refund_settled(chart, refund.amount.minor)),
        Resolution::Reinstated => {
            let shares = store::find_lines(tx, id).await?;
            let lines = payments::find_lines(tx, payment.id).await?;
            let has_failed = payment.status == PaymentStatus::Failed;
            payments::give_up_refund(tx, &payment, &shares, now).await?;
            transfers::schedule_rebalance(tx, payment.key, now).await?;
            let given = match payment.charge_type {
                ChargeType::Direct => Vec::new(),
                _ => payments::refund_reinstated(chart, &lines, &shares, payment.funds, has_failed),
            };
            kept_again = Some((lines, shares));
            (Kind::RefundReinstated, given)
        }
    };
    journal.add(Record {
        kind,
        source: refund.key,
        subject: payment.key,
        effective_at: now,
        actor,
        floors: Floors::Pass,
        entries,
    });
    if let Some((lines, shares)) = kept_again {
        keep_again(tx, &refund, &payment, &lines, &shares, journal, now).await?;
    }
    Ok(())
}
