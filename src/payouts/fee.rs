//! What the platform got for a payout of a seller's account: the provider took it with the payout, and says it by an object of its
//! own. What it costs the platform, the provider says by a movement alone.

use partita_db::Tx;
use partita_ledger::Floors;
use partita_provider::{BalanceTransaction, PayoutFee as Said};

use super::{Payout, PayoutError, entries, store};
use crate::actor::Actor;
use crate::chart::{Chart, Kind};
use crate::id::PayoutId;
use crate::journal::{Entry, Journal, Record};
use crate::provider_movements::{self, Owner, Recorded, effective_at};
use crate::sellers;

/// What movements of fees belong to.
pub(crate) const OWNER: &str = "payout_fee";
/// What movements of costs belong to.
pub(crate) const COST_OWNER: &str = "payout_cost";

/// Takes the provider's word on a payout's fee. None when it is of no seller of this book.
///
/// # Errors
/// [`PayoutError::Incomplete`] before the payout is known; [`PayoutError::Contradiction`].
pub async fn apply(
    tx: &mut Tx,
    provider: &str,
    said: &Said,
    journal: &mut Journal,
) -> Result<Option<PayoutId>, PayoutError> {
    if sellers::find_by_account(tx, &said.account).await?.is_none() {
        return Ok(None);
    }
    let payout =
        store::find_for_update(tx, None, &said.payout).await?.ok_or(PayoutError::Incomplete("an unknown payout"))?;
    if said.amount.currency != payout.amount.currency {
        return Err(PayoutError::Contradiction(format!("{} is in {}", said.id, said.amount.currency)));
    }
    let taken = said.balance_transaction.as_ref().ok_or(PayoutError::Incomplete("no balance transaction"))?;
    store::set_provider_fee(tx, payout.id, &said.id).await?;
    let chart = Chart { book: tx.book_id(), currency: payout.amount.currency };
    chart.open_platform(tx).await?;
    let entries = entries::fee_taken(chart, taken.net, taken.state);
    book(tx, provider, &payout, taken, (Kind::PayoutFeeTaken, entries), journal).await?;
    for back in &said.refunds {
        let entries = entries::fee_returned(chart, -back.net, back.state);
        book(tx, provider, &payout, back, (Kind::PayoutFeeReturned, entries), journal).await?;
    }
    Ok(Some(payout.id))
}

/// Books a movement of a fee, once; known, it is no news.
async fn book(
    tx: &mut Tx,
    provider: &str,
    payout: &Payout,
    movement: &BalanceTransaction,
    (kind, entries): (Kind, Vec<Entry>),
    journal: &mut Journal,
) -> Result<(), PayoutError> {
    if movement.currency != payout.amount.currency || entries.iter().any(|entry| entry.amount < 0) {
        return Err(PayoutError::Contradiction(format!("{} moved {}", movement.id, movement.net)));
    }
    let owner = Owner { object_type: OWNER, object_id: Some(payout.id.uuid()) };
    let recorded = provider_movements::record(tx, journal.keys(), provider, "", movement, owner).await?;
    if let Recorded::New(source) = recorded {
        journal.add(Record {
            kind,
            source,
            subject: payout.key,
            effective_at: effective_at(movement),
            actor: Actor::System,
            floors: Floors::Pass,
            entries,
        });
    }
    Ok(())
}

/// Books what instant payouts cost the platform; it is told by its movement alone, which names no payout.
///
/// # Errors
/// What the database says.
pub async fn apply_cost(
    tx: &mut Tx,
    provider: &str,
    movement: &BalanceTransaction,
    journal: &mut Journal,
) -> Result<(), PayoutError> {
    let owner = Owner { object_type: COST_OWNER, object_id: None };
    let recorded = provider_movements::record(tx, journal.keys(), provider, "", movement, owner).await?;
    let Recorded::New(source) = recorded else { return Ok(()) };
    let chart = Chart { book: tx.book_id(), currency: movement.currency };
    chart.open_platform(tx).await?;
    journal.add(Record {
        kind: Kind::PayoutCostTaken,
        source,
        subject: source,
        effective_at: effective_at(movement),
        actor: Actor::System,
        floors: Floors::Pass,
        entries: vec![entries::cost_taken(chart, -movement.net, movement.state)],
    });
    Ok(())
}
