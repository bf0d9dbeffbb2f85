//! Control over payments: what buyers and their banks do.

use serde_json::Value;

use crate::control::{Control, ControlError};
use crate::resources::{debits, payment_intents, setup_intents};

impl Control {
    /// Lets the buyer of a payment intent in `requires_action` authenticate, or fail to; the intent.
    ///
    /// # Errors
    /// [`ControlError::Refused`] for one in another state.
    pub async fn authenticate(&self, intent: &str, succeeds: bool) -> Result<Value, ControlError> {
        let mut cx = self.open(None).await?;
        crate::store::act_for_owner(&mut cx, intent).await?;
        let answer = payment_intents::authenticate(&mut cx, intent, succeeds).await;
        self.close(cx, answer).await
    }

    /// Lets the buyer of a setup intent in `requires_action` authenticate, or fail to; the intent.
    ///
    /// # Errors
    /// [`ControlError::Refused`] for one in another state.
    pub async fn authenticate_setup(&self, intent: &str, succeeds: bool) -> Result<Value, ControlError> {
        let mut cx = self.open(None).await?;
        let answer = setup_intents::authenticate(&mut cx, intent, succeeds).await;
        self.close(cx, answer).await
    }

    /// Lets a bank take a payment back that has succeeded, for the code's reason; the intent.
    ///
    /// # Errors
    /// [`ControlError::Refused`] for one that has not succeeded.
    pub async fn fail_payment(&self, intent: &str, code: &str) -> Result<Value, ControlError> {
        let mut cx = self.open(None).await?;
        crate::store::act_for_owner(&mut cx, intent).await?;
        let answer = debits::fail_late(&mut cx, intent, code).await;
        self.close(cx, answer).await
    }
}
