//! The fee policies of a cart.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use jiff::Timestamp;
use partita_db::Tx;

use super::{NewLine, NewPayment, PaymentError};
use crate::fees::{self, FeePolicy};
use crate::id::FeePolicyId;

/// What prices the lines of a cart, each policy in the version that holds now.
pub(super) struct Policies {
    named: HashMap<FeePolicyId, FeePolicy>,
    default: Option<FeePolicy>,
}

impl Policies {
    pub(super) async fn find(tx: &mut Tx, input: &NewPayment, now: Timestamp) -> Result<Self, PaymentError> {
        let mut named = HashMap::new();
        for (index, line) in input.lines.iter().enumerate() {
            let Some(id) = line.fee_policy else { continue };
            if let Entry::Vacant(place) = named.entry(id) {
                place.insert(fees::find(tx, id, now).await?.ok_or(PaymentError::UnknownFeePolicy { line: index })?);
            }
        }
        let default = fees::find_default(tx, now).await?;
        Ok(Self { named, default })
    }

    pub(super) fn of(&self, line: &NewLine) -> Option<&FeePolicy> {
        match line.fee_policy {
            Some(id) => self.named.get(&id),
            None => self.default.as_ref(),
        }
    }
}
