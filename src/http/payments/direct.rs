//! What is shown of a direct charge, and a payment with all that belongs to it.

use partita_db::{DbError, Tx};
use serde::Serialize;
use utoipa::ToSchema;

use crate::id::SellerId;
use crate::payments::line_release::{LineRelease, list_releases};
use crate::payments::{self, DirectCharge, Discount, Line, Payment};

/// Where a direct charge was made, and what you keep of it.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = DirectCharge)]
pub(super) struct DirectBody {
    /// Whose sale it is.
    seller: SellerId,
    /// The seller's account at the provider: the payment, its refunds and its disputes stand there.
    #[schema(example = "acct_1Qx2h4KfGz7LmN8p")]
    account: String,
    application_fee: ApplicationFeeBody,
}

/// What you keep of a direct charge; minor units of the payment's currency.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = ApplicationFee)]
struct ApplicationFeeBody {
    /// The commission on all lines, with the tax on it.
    #[schema(example = 1000)]
    amount: i64,
    /// Whether it came onto your balance at the provider.
    received: bool,
    /// What of it went back to the seller's account with refunds, as the provider says.
    #[schema(example = 250)]
    returned_amount: i64,
    /// The fee's id at the provider, once the buyer was charged.
    id: Option<String>,
}

impl From<DirectCharge> for DirectBody {
    fn from(direct: DirectCharge) -> Self {
        Self {
            seller: direct.seller,
            account: direct.account,
            application_fee: ApplicationFeeBody {
                amount: direct.application_fee,
                received: direct.fee_received,
                returned_amount: direct.returned_fee,
                id: direct.provider_fee,
            },
        }
    }
}

/// A payment with what belongs to it.
pub(super) struct Whole {
    pub(super) payment: Payment,
    pub(super) lines: Vec<Line>,
    /// Of its lines those that wait by themselves, or did.
    pub(super) releases: Vec<LineRelease>,
    pub(super) discounts: Vec<Discount>,
    pub(super) direct: Option<DirectCharge>,
}

impl Whole {
    pub(super) async fn of(tx: &mut Tx, payment: Payment) -> Result<Self, DbError> {
        let lines = payments::find_lines(tx, payment.id).await?;
        let releases = list_releases(tx, payment.id).await?;
        let discounts = payments::find_discounts(tx, &[payment.id]).await?.remove(&payment.id).unwrap_or_default();
        let direct = payments::find_direct(tx, &payment).await?;
        Ok(Self { payment, lines, releases, discounts, direct })
    }
}
