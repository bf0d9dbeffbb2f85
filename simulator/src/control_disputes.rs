//! Control over disputes: what buyers and their banks do.

use serde::Deserialize;
use serde_json::Value;

use crate::control::{Control, ControlError};
use crate::resources::disputes::{self, Decision, Draft};

/// A dispute to be opened.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewDispute {
    /// The charge, or the payment intent whose latest charge is meant.
    pub charge: String,
    /// Minor units; all of the charge when none. May be more than the charge, as rates may have changed.
    #[serde(default)]
    pub amount: Option<i64>,
    /// Stripe's word for it.
    #[serde(default = "fraudulent")]
    pub reason: String,
    /// Whether the bank only asks: nothing is withdrawn.
    #[serde(default)]
    pub inquiry: bool,
}

fn fraudulent() -> String {
    "fraudulent".into()
}

impl NewDispute {
    /// A dispute of all of a charge, or of a payment intent's latest one, as fraudulent.
    pub fn of(charge: &str) -> Self {
        Self { charge: charge.into(), amount: None, reason: fraudulent(), inquiry: false }
    }
}

impl Control {
    /// Lets a buyer's bank dispute a charge of the platform's or a connected account's; the dispute.
    ///
    /// # Errors
    /// [`ControlError::Refused`] for a charge that is none, or did not succeed.
    pub async fn open_dispute(&self, dispute: NewDispute) -> Result<Value, ControlError> {
        let mut cx = self.open(None).await?;
        crate::store::act_for_owner(&mut cx, &dispute.charge).await?;
        let account = cx.account.clone();
        let intent = crate::store::find(&mut cx.conn, &account, "payment_intent", &dispute.charge).await?;
        let latest = intent.and_then(|intent| intent["latest_charge"].as_str().map(str::to_owned));
        let charge = latest.unwrap_or(dispute.charge);
        let draft = Draft { amount: dispute.amount, reason: dispute.reason, inquiry: dispute.inquiry };
        let answer = disputes::open(&mut cx, &charge, &draft).await;
        self.close(cx, answer).await
    }

    /// Decides a dispute: `won`, `lost`, `escalated` (an inquiry becomes a dispute) or `warning_closed` (it does not).
    ///
    /// # Errors
    /// [`ControlError::Refused`] for one that is decided, and for what cannot become of it.
    pub async fn decide_dispute(&self, dispute: &str, outcome: &str) -> Result<Value, ControlError> {
        let decision = Decision::parse(outcome)?;
        let mut cx = self.open(None).await?;
        crate::store::act_for_owner(&mut cx, dispute).await?;
        let answer = disputes::decide(&mut cx, dispute, decision).await;
        self.close(cx, answer).await
    }
}
