//! Why some of a seller's money is held.

use partita_db::{DbError, Tx};
use partita_provider::Currency;
use serde::Serialize;
use utoipa::ToSchema;

use super::render::day;
use crate::disputes;
use crate::id::{DisputeId, PaymentId, SellerId};
use crate::payments::line_release;
use crate::reserves;

/// How many reasons are shown of each sort.
const SHOWN: i64 = 100;

/// Why some of a seller's money is held.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = HeldMoney)]
pub(super) struct HeldBody {
    /// `dispute`; the kind of reserve: `rolling`, `fixed`, `manual`; or `line`: the share of a line waits though the money is usable.
    #[schema(value_type = String, example = "rolling")]
    why: &'static str,
    /// Minor units.
    #[schema(example = 540)]
    amount: i64,
    /// The dispute that hangs over it.
    dispute: Option<DisputeId>,
    /// The payment whose line waits.
    payment: Option<PaymentId>,
    /// Which of its lines, from 0.
    #[schema(example = 0)]
    line: Option<i32>,
    /// In how many reserves.
    #[schema(example = 1)]
    reserves: Option<i64>,
    /// In the words of who keeps it back.
    reason: Option<String>,
    /// On which day (UTC) it goes back; null where that is not known.
    #[schema(value_type = Option<String>, format = Date, example = "2026-05-31")]
    release_on: Option<String>,
}

/// The first reasons of each sort, those that end next first; one for each dispute, for each line that waits, and for each day on
/// which reserves of a kind are released.
pub(super) async fn because(tx: &mut Tx, seller: SellerId, currency: Currency) -> Result<Vec<HeldBody>, DbError> {
    let kept = reserves::held_of(tx, seller, currency, SHOWN).await?;
    let mut held: Vec<HeldBody> = kept
        .into_iter()
        .map(|held| HeldBody {
            why: held.kind.as_str(),
            amount: held.amount,
            dispute: None,
            payment: None,
            line: None,
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
            payment: None,
            line: None,
            reserves: None,
            reason: None,
            release_on: None,
        });
    }
    for waiting in line_release::waiting_of(tx, seller, currency, SHOWN).await? {
        held.push(HeldBody {
            why: "line",
            amount: waiting.amount,
            dispute: None,
            payment: Some(waiting.payment),
            line: Some(waiting.line),
            reserves: None,
            reason: waiting.reason.filter(|_| waiting.is_held),
            release_on: waiting.release_at.map(day),
        });
    }
    Ok(held)
}
