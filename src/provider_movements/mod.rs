//! The provider's balance transactions that the ledger has booked, one row each, by the provider's id. The row's key
//! is the source of its ledger transactions, so that answer, webhook and reconciliation book one movement once.

mod store;

use partita_db::{DbError, Keys, Tx};
use partita_provider::{BalanceTransaction, Currency, SettlementState};
use uuid::Uuid;

pub use store::{find_by_key, list_of_account, mark_available};

use crate::due;

/// The kind of `due` rows that name movements whose money is not usable yet.
pub const DUE_KIND: &str = "availability";

/// What a movement belongs to.
#[derive(Debug, Clone, Copy)]
pub struct Owner {
    /// The resource: `payment`, `transfer` ..
    pub object_type: &'static str,
    /// Which one; none for movements of the account as a whole.
    pub object_id: Option<Uuid>,
}

/// A booked movement.
#[derive(Debug, Clone)]
pub struct Movement {
    /// The source of its ledger transactions.
    pub key: i64,
    /// The connected account's id at the provider; empty for the platform's own balance.
    pub account: String,
    /// Its id at the provider.
    pub id: String,
    /// The provider's word for what it is.
    pub kind: String,
    /// What the provider kept; minor units.
    pub fee: i64,
    /// What the balance changed by; minor units.
    pub net: i64,
    /// The balance's currency.
    pub currency: Currency,
    /// Whether the ledger has its money as usable.
    pub state: SettlementState,
    /// The resource it belongs to.
    pub object_type: String,
    /// Which one.
    pub object_id: Option<Uuid>,
}

/// What recording a movement found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorded {
    /// It is new: book it under this key.
    New(i64),
    /// It was booked before.
    Known,
}

/// Records a movement before it is booked, and makes its availability due. `account` is empty for the platform's own.
///
/// # Errors
/// What the database says.
pub async fn record(
    tx: &mut Tx,
    keys: &Keys,
    provider: &str,
    account: &str,
    movement: &BalanceTransaction,
    owner: Owner,
) -> Result<Recorded, DbError> {
    let key = keys.next(tx).await?;
    if !store::insert(tx, key, provider, account, movement, owner).await? {
        return Ok(Recorded::Known);
    }
    if movement.state == SettlementState::Pending {
        due::schedule(tx, DUE_KIND, key, available_on(movement)).await?;
    }
    Ok(Recorded::New(key))
}

fn available_on(movement: &BalanceTransaction) -> jiff::Timestamp {
    crate::clock::from_seconds(movement.available_on).unwrap_or(jiff::Timestamp::MAX)
}

/// When a movement happened, as its ledger transactions' effective time.
pub fn effective_at(movement: &BalanceTransaction) -> jiff::Timestamp {
    crate::clock::from_seconds(movement.created).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
}
