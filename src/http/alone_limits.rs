//! How much one key may decide alone in a day, as it is declared and shown: of adjustments, of refunds and payouts that came back.

use partita_provider::Money;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::fields::{AmountOrZero, Currency, Text, currency_schema};
use crate::limit::Limit;
use crate::platforms::Mode;

/// How much one key may decide alone in a day.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = AloneLimit)]
pub(super) struct LimitBody {
    /// Of what: `adjustment_limit`, `refund_resolution_limit`, `payout_return_limit`.
    #[schema(value_type = String, example = "adjustment_limit")]
    object: &'static str,
    /// `test` or `live`.
    #[schema(value_type = String, example = "test")]
    mode: &'static str,
    #[schema(schema_with = currency_schema)]
    currency: Currency,
    /// The sum of what one key may decide in a day of UTC without a second person; minor units. Of adjustments, credits and
    /// debits count alike.
    #[schema(example = 5000)]
    alone_up_to: i64,
    /// Counts the declarations for the currency, from 1.
    #[schema(example = 1)]
    version: i32,
}

impl LimitBody {
    pub(super) fn show(object: &'static str, mode: Mode, limit: Limit) -> Self {
        Self {
            object,
            mode: mode.as_str(),
            currency: limit.currency,
            alone_up_to: limit.alone_up_to,
            version: limit.version,
        }
    }
}

/// A limit to be declared.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewAloneLimit, example = json!({"currency": "EUR", "alone_up_to": 5000, "reason": "support team's allowance"}))]
pub(super) struct NewLimitBody {
    #[schema(schema_with = currency_schema)]
    currency: Currency,
    alone_up_to: AmountOrZero,
    /// Why, for the record.
    reason: Text<1, 1000>,
}

impl NewLimitBody {
    /// The limit, and why.
    pub(super) fn read(self) -> (Money, String) {
        (Money::new(self.alone_up_to.minor(), self.currency), self.reason.into_string())
    }
}
