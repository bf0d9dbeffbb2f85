//! Where sellers are paid by bank file, and the platform's own accounts that they are paid from.

use std::sync::Arc;

use jiff::Timestamp;
use partita_db::{BookId, Column, Scope, Sealed, Vault, VaultError};
use partita_provider::Currency;
use secrecy::{ExposeSecret as _, SecretString};

use super::super::{PayoutError, store};
use super::file;
use crate::actor::Actor;
use crate::app::App;
use crate::bank_account::BankAccount;
use crate::due;
use crate::id::{OwnBankAccountId, SellerId};
use crate::outbox::{self, Declaration};
use crate::sellers::{self, SellerError};
use crate::transfers;

/// How many values are sealed in one transaction.
const SEALED_AT_ONCE: i64 = 100;

/// The platform's own bank account that a currency is paid from.
#[derive(Debug, Clone)]
pub struct OwnAccount {
    /// Its id.
    pub id: OwnBankAccountId,
    /// What is paid from it.
    pub currency: Currency,
    /// Counts the declarations for the currency, from 1.
    pub version: i32,
    /// What of the IBAN may be shown.
    pub masked: String,
    /// When it was declared, by the business clock.
    pub at: Timestamp,
    pub(in crate::payouts) sealed: Sealed,
}

fn column(id: OwnBankAccountId) -> Column {
    Column { table: "own_bank_accounts", column: "sealed", row: id.uuid() }
}

impl OwnAccount {
    /// The account in clear, to write it into a file.
    pub(super) fn open(&self, vault: &Vault) -> Result<BankAccount, VaultError> {
        let text = vault.open(column(self.id), &self.sealed)?;
        Ok(serde_json::from_str(text.expose_secret()).expect("written from a bank account"))
    }
}

/// Declares where a seller is paid by bank file, from now on.
///
/// # Errors
/// [`PayoutError::Waiting`] while a payout waits for its file that would go elsewhere.
pub async fn declare_details(
    app: &Arc<App>,
    book: BookId,
    actor: Actor,
    seller: SellerId,
    account: BankAccount,
) -> Result<(), PayoutError> {
    let now = app.clock.now();
    let (vault, account) = (app.vault.clone(), Arc::new(account));
    app.db
        .run_tx("declare bank details", Scope::Book(book), move |tx| {
            let (vault, account) = (vault.clone(), Arc::clone(&account));
            Box::pin(async move {
                let seller = sellers::find_by_id_for_update(tx, seller).await?.ok_or(SellerError::NotFound)?;
                if !sellers::declare_bank_details(tx, &vault, &seller, &account, actor, now).await? {
                    return Ok(());
                }
                if store::waits_for_file(tx, seller.id).await? {
                    return Err(PayoutError::Waiting);
                }
                // What could not be sent to it before need not wait any longer.
                let waiting = transfers::without_transfer(tx, seller.id).await?;
                Ok::<_, PayoutError>(due::schedule_all(tx, transfers::DUE_KIND, &waiting, now).await?)
            })
        })
        .await?;
    app.wake.now();
    Ok(())
}

/// Ends that a seller is paid by bank file; what it has is sent to its account at the provider instead.
///
/// # Errors
/// [`PayoutError::Seller`] where it is not paid so, [`PayoutError::Waiting`].
pub async fn end_details(app: &Arc<App>, book: BookId, actor: Actor, seller: SellerId) -> Result<(), PayoutError> {
    let now = app.clock.now();
    app.db
        .run_tx("end bank details", Scope::Book(book), move |tx| {
            Box::pin(async move {
                let seller = sellers::find_by_id_for_update(tx, seller).await?.ok_or(SellerError::NotFound)?;
                sellers::end_bank_details(tx, &seller, actor, now).await?;
                if store::waits_for_file(tx, seller.id).await? {
                    return Err(PayoutError::Waiting);
                }
                Ok::<_, PayoutError>(transfers::send_instead(tx, seller.id, now).await?)
            })
        })
        .await?;
    app.wake.now();
    Ok(())
}

/// Declares the platform's own account that a currency is paid from, from the next file on. The same account again changes
/// nothing.
///
/// # Errors
/// [`PayoutError::Vault`].
pub async fn declare_own_account(
    app: &Arc<App>,
    book: BookId,
    actor: Actor,
    currency: Currency,
    account: BankAccount,
) -> Result<OwnAccount, PayoutError> {
    let now = app.clock.now();
    let (vault, account) = (app.vault.clone(), Arc::new(account));
    app.db
        .run_tx("declare own bank account", Scope::Book(book), move |tx| {
            let (vault, account) = (vault.clone(), Arc::clone(&account));
            Box::pin(async move {
                outbox::lock_declaration(tx, Declaration::OwnBankAccount).await?;
                if let Some(before) = store::find_own_account(tx, currency).await?
                    && before.open(&vault)? == *account
                {
                    return Ok(before);
                }
                let id = OwnBankAccountId::new();
                let text = SecretString::from(serde_json::to_string(&*account).expect("texts serialise"));
                let sealed = vault.seal(column(id), &text)?;
                store::insert_own_account(tx, id, currency, (&account.masked(), &sealed), actor, now).await?;
                let declared = store::find_own_account(tx, currency).await?.ok_or(PayoutError::NotFound)?;
                let payload = serde_json::json!({
                    "object": "own_bank_account", "currency": currency, "version": declared.version, "iban": declared.masked,
                });
                outbox::record_declaration(tx, Declaration::OwnBankAccount, payload, actor, None, now).await?;
                Ok(declared)
            })
        })
        .await
}

/// Seals bank details and files of a book that are under an older encryption key; returns how many that were.
///
/// # Errors
/// Without an encryption key, or where an older one is missing.
pub async fn reseal(app: &Arc<App>, book: BookId) -> Result<usize, PayoutError> {
    let vault = app.vault.clone();
    app.db
        .run_tx("seal bank details", Scope::Book(book), move |tx| {
            let vault = vault.clone();
            Box::pin(async move {
                let version = vault.version().ok_or(VaultError::NoKey)?;
                let mut sealed = sellers::reseal_bank_details(tx, &vault, SEALED_AT_ONCE).await?;
                for (id, old) in store::own_accounts_of_other_keys(tx, version, SEALED_AT_ONCE).await? {
                    let again = vault.seal(column(id), &vault.open(column(id), &old)?)?;
                    store::set_sealed_own_account(tx, id, &again).await?;
                    sealed += 1;
                }
                for (id, old) in store::files_of_other_keys(tx, version, SEALED_AT_ONCE).await? {
                    let again = vault.seal(file::column(id), &vault.open(file::column(id), &old)?)?;
                    store::set_sealed_file(tx, id, &again).await?;
                    sealed += 1;
                }
                Ok::<_, PayoutError>(sealed)
            })
        })
        .await
}
