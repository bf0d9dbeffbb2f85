//! What a book declares of itself, of which there is one: it has no row whose sequence could count its changes.

use jiff::Timestamp;
use partita_db::{DbError, Tx};
use uuid::Uuid;

use super::{Change, record, store};
use crate::actor::Actor;

/// What is declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Declaration {
    /// How what sellers are short of is recovered.
    RecoveryPolicy,
    /// Who bears what of refunds.
    RefundPolicy,
    /// Who bears what of lost disputes.
    DisputePolicy,
    /// On which days the banks of a country do not work.
    BankHolidays,
    /// What is kept back of sellers.
    ReservePolicy,
    /// How charges reach their sellers.
    ChargePolicy,
    /// Which bank account of the platform's own sellers are paid from.
    OwnBankAccount,
    /// When shares of lines are released, and how long they may be held.
    ReleasePolicy,
    /// What sellers pay for instant payouts.
    InstantPayoutPolicy,
}

impl Declaration {
    fn object_type(self) -> &'static str {
        match self {
            Self::RecoveryPolicy => "recovery_policy",
            Self::RefundPolicy => "refund_policy",
            Self::DisputePolicy => "dispute_policy",
            Self::BankHolidays => "bank_holidays",
            Self::ReservePolicy => "reserve_policy",
            Self::ChargePolicy => "charge_policy",
            Self::OwnBankAccount => "own_bank_account",
            Self::ReleasePolicy => "release_policy",
            Self::InstantPayoutPolicy => "instant_payout_policy",
        }
    }

    fn event(self) -> &'static str {
        match self {
            Self::RecoveryPolicy => "recovery_policy.declared",
            Self::RefundPolicy => "refund_policy.declared",
            Self::DisputePolicy => "dispute_policy.declared",
            Self::BankHolidays => "bank_holidays.declared",
            Self::ReservePolicy => "reserve_policy.declared",
            Self::ChargePolicy => "charge_policy.declared",
            Self::OwnBankAccount => "own_bank_account.declared",
            Self::ReleasePolicy => "release_policy.declared",
            Self::InstantPayoutPolicy => "instant_payout_policy.declared",
        }
    }

    /// Stands in rows: never reuse one.
    fn object_id(self) -> Uuid {
        Uuid::from_u128(match self {
            Self::RecoveryPolicy => 1,
            Self::RefundPolicy => 2,
            Self::DisputePolicy => 3,
            Self::BankHolidays => 4,
            Self::ReservePolicy => 5,
            Self::ChargePolicy => 6,
            Self::OwnBankAccount => 7,
            Self::ReleasePolicy => 60,
            Self::InstantPayoutPolicy => 21,
        })
    }
}

/// Waits for others that declare the same, until the transaction ends. Before anything is read of what holds.
///
/// # Errors
/// What the database says.
pub async fn lock_declaration(tx: &mut Tx, what: Declaration) -> Result<(), DbError> {
    store::lock(tx, what.object_type()).await
}

/// Writes a declaration's history and event; who calls has locked it.
///
/// # Errors
/// What the database says.
pub async fn record_declaration(
    tx: &mut Tx,
    what: Declaration,
    payload: serde_json::Value,
    actor: Actor,
    detail: Option<String>,
    at: Timestamp,
) -> Result<(), DbError> {
    let sequence = store::next_sequence(tx, what.object_id()).await?;
    let change = Change {
        object_type: what.object_type(),
        object_id: what.object_id(),
        sequence,
        from: (sequence > 1).then_some("declared"),
        to: "declared",
        event: what.event(),
        payload,
        actor,
        detail,
        at,
    };
    record(tx, &change).await
}
