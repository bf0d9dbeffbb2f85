//! Why some of a seller's money is held.

use partita_db::{DbError, Tx};
use partita_provider::Currency;
use serde::Serialize;
use utoipa::ToSchema;

use crate::disputes;
use crate::id::{DisputeId, SellerId};
use crate::reserves;

/// How many reasons are shown of each sort.
const SHOWN: i64 = 100;

/// Why some of a seller's money is held.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = HeldMoney)]
pub(super) struct HeldBody {
    /// `dispute`; or the kind of reserve: `rolling`, `fixed`, `manual`.
    #[schema(value_type = String, example = "rolling")]
    why: &'static str,
    /// Minor units.
    #[schema(example = 540)]
    amount: i64,
    /// The dispute that hangs over it.
    dispute: Option<DisputeId>,
    /// In how many reserves.
    #[schema(example = 1)]
    reserves: Option<i64>,
    /// In the words of who keeps it back.
    reason: Option<String>,
    /// On which day (UTC) it goes back; null where that is not known.
    #[schema(value_type = Option<String>, format = Date, example = "2026-05-31")]
    release_on: Option<String>,
}

/// The first reasons, those that end next first; one for each dispute and for each day on which reserves of a kind are released.
pub(super) async fn because(tx: &mut Tx, seller: SellerId, currency: Currency) -> Result<Vec<HeldBody>, DbError> {
    let kept = reserves::held_of(tx, seller, currency, SHOWN).await?;
    let mut held: Vec<HeldBody> = kept
        .into_iter()
        .map(|held| HeldBody {
            why: held.kind.as_str(),
            amount: held.amount,
            dispute: None,
            reserves: Some(held.reserves),
            reason: held.reason,
            release_on: held.release_on,
        })
        .collect();
    for (dispute, amount) in disputes::held_of(tx, seller, currency, SHOWN).await? {
        held.push(HeldBody {
            why: "dispute",
            amount,
            dispute: Some(dispute),
            reserves: None,
            reason: None,
            release_on: None,
        });
    }
    Ok(held)
}
