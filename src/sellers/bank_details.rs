//! Where sellers are paid by bank file, from the platform's own bank account. A seller with bank details here is paid so; one
//! without is paid out by the provider. They are personal data: stored encrypted, shown masked.

use jiff::Timestamp;
use partita_db::{Column, Sealed, Tx, Vault};
use secrecy::{ExposeSecret as _, SecretString};

use super::{Seller, SellerError, note, store};
use crate::actor::Actor;
use crate::bank_account::BankAccount;
use crate::id::{BankDetailsId, SellerId};

/// Where a seller is paid by bank file.
#[derive(Debug, Clone)]
pub struct BankDetails {
    /// Its id.
    pub id: BankDetailsId,
    /// Whose they are.
    pub seller: SellerId,
    /// Which declaration, from 1.
    pub version: i32,
    /// What of the IBAN may be shown.
    pub masked: String,
    /// When they were declared, by the business clock.
    pub at: Timestamp,
    pub(super) sealed: Sealed,
}

/// Where an encrypted row of bank details belongs.
pub(super) fn column(id: BankDetailsId) -> Column {
    Column { table: "seller_bank_details", column: "sealed", row: id.uuid() }
}

impl BankDetails {
    /// The account in clear, to write it into a file.
    ///
    /// # Errors
    /// [`SellerError::Vault`].
    pub fn open(&self, vault: &Vault) -> Result<BankAccount, SellerError> {
        let text = vault.open(column(self.id), &self.sealed)?;
        Ok(serde_json::from_str(text.expose_secret()).expect("written from a bank account"))
    }
}

/// Declares where a seller, which is locked, is paid by bank file from now on. The same again changes nothing; whether it did is
/// returned.
///
/// # Errors
/// [`SellerError::Vault`].
pub async fn declare_bank_details(
    tx: &mut Tx,
    vault: &Vault,
    seller: &Seller,
    account: &BankAccount,
    actor: Actor,
    now: Timestamp,
) -> Result<bool, SellerError> {
    let before = store::find_bank_details(tx, &[seller.id]).await?.pop();
    if let Some(before) = before
        && before.open(vault)? == *account
    {
        return Ok(false);
    }
    let id = BankDetailsId::new();
    let text = SecretString::from(serde_json::to_string(account).expect("texts serialise"));
    let sealed = vault.seal(column(id), &text)?;
    store::insert_bank_details(tx, id, seller.id, Some((&account.masked(), &sealed)), actor, now).await?;
    note(tx, seller, "seller.bank_details_changed", actor, Some(account.masked()), now).await?;
    Ok(true)
}

/// Ends that a seller, which is locked, is paid by bank file.
///
/// # Errors
/// [`SellerError::NoBankDetails`].
pub async fn end_bank_details(tx: &mut Tx, seller: &Seller, actor: Actor, now: Timestamp) -> Result<(), SellerError> {
    store::find_bank_details(tx, &[seller.id]).await?.pop().ok_or(SellerError::NoBankDetails)?;
    store::insert_bank_details(tx, BankDetailsId::new(), seller.id, None, actor, now).await?;
    note(tx, seller, "seller.bank_details_changed", actor, Some("paid out by the provider".to_owned()), now).await?;
    Ok(())
}

/// Encrypts bank details that are under an older key anew; returns how many that were.
///
/// # Errors
/// [`SellerError::Vault`].
pub async fn reseal_bank_details(tx: &mut Tx, vault: &Vault, limit: i64) -> Result<usize, SellerError> {
    let version = vault.version().ok_or(partita_db::VaultError::NoKey)?;
    let old = store::bank_details_of_other_keys(tx, version, limit).await?;
    for (id, sealed) in &old {
        let again = vault.seal(column(*id), &vault.open(column(*id), sealed)?)?;
        store::set_sealed_bank_details(tx, *id, &again).await?;
    }
    Ok(old.len())
}
