//! What can be proposed.

use partita_provider::{Currency, Money};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::debts::Policy;
use crate::id::{AdjustmentId, DebtId, OperationId, PayoutId, RefundId, public_id};
use crate::refunds;

/// What became of a command, as a person found out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Resolution {
    /// The provider made this object: it is read there and booked.
    Succeeded {
        /// Its id at the provider.
        provider_object: String,
    },
    /// It had no effect: what was booked when it was asked is undone.
    Failed,
}

/// What is done when it is approved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proposal {
    /// To say what became of a command in `needs_review`.
    Resolution {
        /// The command.
        operation: OperationId,
        /// What became of it.
        resolution: Resolution,
    },
    /// To book an adjustment that waits.
    Adjustment {
        /// Which one.
        adjustment: AdjustmentId,
    },
    /// To let one key adjust up to so much alone in a day.
    AdjustmentLimit {
        /// The limit in its currency.
        alone_up_to: Money,
    },
    /// To give up what is left of a seller's debt.
    WriteOff {
        /// Which one.
        debt: DebtId,
        /// What was left of it then; minor units. It may be less when it is decided.
        left: i64,
    },
    /// To decide about a refund that came back.
    RefundResolution {
        /// Which one.
        refund: RefundId,
        /// What becomes of it.
        outcome: refunds::Resolution,
    },
    /// To let one key decide about refunds that came back, up to so much alone in a day.
    RefundResolutionLimit {
        /// The limit in its currency.
        alone_up_to: Money,
    },
    /// To take a bank's word that it sent a payout back.
    PayoutReturn {
        /// Which one.
        payout: PayoutId,
        /// The bank's code.
        code: String,
    },
    /// To let one key say that payouts came back, up to so much alone in a day.
    PayoutReturnLimit {
        /// The limit in its currency.
        alone_up_to: Money,
    },
    /// To declare a ladder that recovers less than the one that holds.
    RecoveryPolicy {
        /// The ladder.
        ladder: Policy,
    },
}

/// A limit as it is stored.
#[derive(Serialize, Deserialize)]
struct StoredLimit {
    alone_up_to: i64,
    currency: String,
}

impl Proposal {
    /// The stored and shown word of its kind.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Resolution { .. } => "operation_resolution",
            Self::Adjustment { .. } => "adjustment",
            Self::AdjustmentLimit { .. } => "adjustment_limit",
            Self::WriteOff { .. } => "debt_write_off",
            Self::RefundResolution { .. } => "refund_resolution",
            Self::RefundResolutionLimit { .. } => "refund_resolution_limit",
            Self::PayoutReturn { .. } => "payout_return",
            Self::PayoutReturnLimit { .. } => "payout_return_limit",
            Self::RecoveryPolicy { .. } => "recovery_policy",
        }
    }

    /// The resource that it is about, and which one; no id where there is only one of it.
    pub fn target(&self) -> (&'static str, Option<Uuid>) {
        match self {
            Self::Resolution { operation, .. } => ("operation", Some(operation.uuid())),
            Self::Adjustment { adjustment } => ("adjustment", Some(adjustment.uuid())),
            Self::AdjustmentLimit { .. } => ("adjustment_limit", None),
            Self::WriteOff { debt, .. } => ("debt", Some(debt.uuid())),
            Self::RefundResolution { refund, .. } => ("refund", Some(refund.uuid())),
            Self::RefundResolutionLimit { .. } => ("refund_resolution_limit", None),
            Self::PayoutReturn { payout, .. } => ("payout", Some(payout.uuid())),
            Self::PayoutReturnLimit { .. } => ("payout_return_limit", None),
            Self::RecoveryPolicy { .. } => ("recovery_policy", None),
        }
    }

    /// What it is stored under: of the same there is one pending proposal. What there is only one of has a number for its kind.
    pub(super) fn place(&self) -> Uuid {
        match self {
            Self::RefundResolutionLimit { .. } => Uuid::from_u128(1),
            Self::RecoveryPolicy { .. } => Uuid::from_u128(2),
            Self::PayoutReturnLimit { .. } => Uuid::from_u128(3),
            _ => self.target().1.unwrap_or_default(),
        }
    }

    /// The public id of what it is about.
    pub fn target_id(&self) -> Option<String> {
        let (object, id) = self.target();
        id.map(|id| public_id(object, id))
    }

    /// What the kind does not say, as it is stored.
    pub(super) fn to_json(&self) -> serde_json::Value {
        let stored = match self {
            Self::Resolution { resolution, .. } => serde_json::to_value(resolution),
            Self::Adjustment { .. } => Ok(serde_json::json!({})),
            Self::WriteOff { left, .. } => Ok(serde_json::json!({ "left": left })),
            Self::RefundResolution { outcome, .. } => Ok(serde_json::json!({ "outcome": outcome.as_str() })),
            Self::RecoveryPolicy { ladder } => Ok(serde_json::json!({ "rungs": ladder.to_json() })),
            Self::PayoutReturn { code, .. } => Ok(serde_json::json!({ "code": code })),
            Self::AdjustmentLimit { alone_up_to }
            | Self::RefundResolutionLimit { alone_up_to }
            | Self::PayoutReturnLimit { alone_up_to } => serde_json::to_value(StoredLimit {
                alone_up_to: alone_up_to.minor,
                currency: alone_up_to.currency.code().to_owned(),
            }),
        };
        stored.expect("texts and numbers serialise")
    }

    /// Reads what was stored; none for a kind that this release does not know.
    pub(super) fn read(kind: &str, object: Uuid, stored: serde_json::Value) -> Option<Self> {
        Some(match kind {
            "operation_resolution" => {
                Self::Resolution { operation: object.into(), resolution: serde_json::from_value(stored).ok()? }
            }
            "adjustment" => Self::Adjustment { adjustment: object.into() },
            "debt_write_off" => Self::WriteOff { debt: object.into(), left: stored.get("left")?.as_i64()? },
            "adjustment_limit" => Self::AdjustmentLimit { alone_up_to: read_limit(stored)? },
            "payout_return" => {
                Self::PayoutReturn { payout: object.into(), code: stored.get("code")?.as_str()?.to_owned() }
            }
            "payout_return_limit" => Self::PayoutReturnLimit { alone_up_to: read_limit(stored)? },
            "refund_resolution_limit" => Self::RefundResolutionLimit { alone_up_to: read_limit(stored)? },
            "refund_resolution" => Self::RefundResolution {
                refund: object.into(),
                outcome: refunds::Resolution::parse(stored.get("outcome")?.as_str()?)?,
            },
            "recovery_policy" => Self::RecoveryPolicy { ladder: Policy::from_json(stored.get("rungs")?.clone())? },
            _ => return None,
        })
    }
}

fn read_limit(stored: serde_json::Value) -> Option<Money> {
    let limit: StoredLimit = serde_json::from_value(stored).ok()?;
    Some(Money::new(limit.alone_up_to, Currency::parse(&limit.currency).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_proposed_is_read_back_as_it_was_stored() {
        let limit = Money::new(50_00, Currency::parse("EUR").expect("a currency"));
        let proposals = [
            Proposal::Resolution { operation: OperationId::new(), resolution: Resolution::Failed },
            Proposal::Resolution {
                operation: OperationId::new(),
                resolution: Resolution::Succeeded { provider_object: "tr_1".to_owned() },
            },
            Proposal::Adjustment { adjustment: AdjustmentId::new() },
            Proposal::AdjustmentLimit { alone_up_to: limit },
            Proposal::WriteOff { debt: DebtId::new(), left: 22_50 },
            Proposal::RefundResolution { refund: RefundId::new(), outcome: refunds::Resolution::PaidFromBank },
            Proposal::RefundResolutionLimit { alone_up_to: limit },
            Proposal::PayoutReturn { payout: PayoutId::new(), code: "AC04".to_owned() },
            Proposal::PayoutReturnLimit { alone_up_to: limit },
            Proposal::RecoveryPolicy { ladder: Policy::default() },
        ];
        let mut places = std::collections::HashSet::new();
        for proposal in proposals {
            assert!(
                places.insert(proposal.place()),
                "a proposal of one kind stands in the way of another: {proposal:?}"
            );
            let read = Proposal::read(proposal.kind(), proposal.place(), proposal.to_json());
            assert_eq!(read, Some(proposal));
        }
        assert_eq!(Proposal::read("moon_landing", Uuid::nil(), serde_json::json!({})), None);
    }
}
