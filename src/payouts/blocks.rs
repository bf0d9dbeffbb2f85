//! Bank accounts that sent a payout back, before or after it was `paid`.
//!
//! What lies with the account itself (it is closed, or not the seller's) would happen to the next payout too: the account is
//! blocked, its schedule skips it, and the seller has to give another one. The provider's word that there is another one
//! lifts the block; so does a person who knows better.

use std::sync::Arc;

use jiff::Timestamp;
use partita_db::{BookId, DbError, Scope, Tx};
use partita_provider::Payout as Said;

use super::{Payout, PayoutError, store};
use crate::actor::Actor;
use crate::app::App;
use crate::id::{PayoutId, SellerId};
use crate::sellers::{self, Seller, SellerError};

/// The provider's reasons that lie with the bank account. The others (`could_not_process`, `insufficient_funds`,
/// `declined` ..) pass, or lie with the provider or the platform.
const OF_THE_ACCOUNT: [&str; 14] = [
    "account_closed",
    "account_frozen",
    "bank_account_restricted",
    "bank_account_unusable",
    "bank_ownership_changed",
    "debit_not_authorized",
    "incorrect_account_holder_address",
    "incorrect_account_holder_name",
    "incorrect_account_holder_tax_id",
    "incorrect_account_type",
    "invalid_account_number",
    "invalid_currency",
    "no_account",
    "unsupported_card",
];

/// Why nothing is sent to a seller's bank account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// The payout that came back.
    pub payout: PayoutId,
    /// Whose bank account it is.
    pub seller: SellerId,
    /// Its id at the provider.
    pub bank_account: Option<String>,
    /// Why the payout came back, in the provider's words.
    pub code: String,
    /// Since when.
    pub at: Timestamp,
}

fn lies_with_account(code: &str) -> bool {
    OF_THE_ACCOUNT.contains(&code)
}

/// Blocks the bank account of a seller, which is locked, if a payout came back because of it and it is still the one.
pub(super) async fn block(
    tx: &mut Tx,
    seller: &Seller,
    payout: &Payout,
    said: &Said,
    now: Timestamp,
) -> Result<(), PayoutError> {
    let Some(code) = said.failure_code.as_ref().filter(|code| lies_with_account(code)) else { return Ok(()) };
    // A payout that names no account says nothing of another one.
    let replaced = matches!((&seller.standing.bank_account, &said.destination), (Some(now), Some(then)) if now != then);
    if replaced || find(tx, seller.id).await?.is_some() {
        return Ok(());
    }
    let block = Block {
        payout: payout.id,
        seller: seller.id,
        bank_account: said.destination.clone(),
        code: code.clone(),
        at: now,
    };
    store::insert_block(tx, &block).await?;
    let detail = Some(code.clone());
    sellers::note(tx, seller, "seller.bank_account_blocked", Actor::System, detail, now).await?;
    Ok(())
}

/// What blocks a seller's bank account now.
pub(super) async fn find(tx: &mut Tx, seller: SellerId) -> Result<Option<Block>, DbError> {
    Ok(store::find_blocks(tx, &[seller]).await?.pop())
}

/// Lifts the block of a seller, which is locked, that has another bank account by now.
///
/// # Errors
/// What the database says.
pub async fn see_bank_account(tx: &mut Tx, seller: &Seller, now: Timestamp) -> Result<(), PayoutError> {
    let Some(block) = find(tx, seller.id).await? else { return Ok(()) };
    if block.bank_account.is_none() || seller.standing.bank_account.is_none() {
        return Ok(());
    }
    if seller.standing.bank_account == block.bank_account {
        return Ok(());
    }
    lift(tx, seller, &block, Actor::System, "the seller has given another bank account", now).await
}

/// Lifts the block of a seller's bank account by hand.
///
/// # Errors
/// [`PayoutError::NotBlocked`].
pub async fn unblock(
    app: &Arc<App>,
    book: BookId,
    actor: Actor,
    seller: SellerId,
    reason: String,
) -> Result<(), PayoutError> {
    let now = app.clock.now();
    app.db
        .run_tx("unblock bank account", Scope::Book(book), move |tx| {
            let reason = reason.clone();
            Box::pin(async move {
                let seller = sellers::find_by_id_for_update(tx, seller).await?.ok_or(SellerError::NotFound)?;
                let block = find(tx, seller.id).await?.ok_or(PayoutError::NotBlocked)?;
                lift(tx, &seller, &block, actor, &reason, now).await
            })
        })
        .await
}

async fn lift(
    tx: &mut Tx,
    seller: &Seller,
    block: &Block,
    actor: Actor,
    because: &str,
    now: Timestamp,
) -> Result<(), PayoutError> {
    store::lift_block(tx, block, actor, because, now).await?;
    let detail = Some(because.to_owned());
    sellers::note(tx, seller, "seller.bank_account_unblocked", actor, detail, now).await?;
    Ok(())
}
