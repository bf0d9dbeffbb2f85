//! Files for the bank: each is made once, of all that waits in a currency, and never changes.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};
use partita_db::{BookId, Column, Scope, Tx};
use partita_provider::{Currency, Money};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};

use super::super::{Payout, PayoutError, record, store};
use super::ByBank;
use super::pain::{self, Instruction, Order};
use crate::actor::Actor;
use crate::app::App;
use crate::id::{BankDetailsId, BankFileId};
use crate::idempotency::{self, Begun};
use crate::outbox::{self, Change};
use crate::sellers;

/// Payouts of one file; what is more waits for the next one.
const MOST_PAYOUTS: i64 = 1_000;
/// How far ahead a bank is asked to pay.
const MOST_DAYS: i64 = 365;

/// A file for the bank.
#[derive(Debug, Clone)]
pub struct BankFile {
    /// Its id.
    pub id: BankFileId,
    /// The platform's own id of it.
    pub reference: String,
    /// When the bank is to pay.
    pub execute_on: Date,
    /// How many payouts are in it.
    pub payouts: i32,
    /// What they come to.
    pub amount: Money,
    /// What of the IBAN that they are paid from may be shown.
    pub paid_from: String,
    /// SHA-256 of its bytes.
    pub digest: Vec<u8>,
    /// When it was made, by the business clock.
    pub created_at: Timestamp,
}

/// What a platform asks for.
#[derive(Debug, Clone)]
pub struct NewBankFile {
    /// The platform's own id, unique among its files.
    pub reference: String,
    /// Which payouts.
    pub currency: Currency,
    /// When the bank is to pay; tomorrow when none is said.
    pub execute_on: Option<Date>,
}

pub(super) fn column(id: BankFileId) -> Column {
    Column { table: "bank_files", column: "sealed", row: id.uuid() }
}

/// Makes a file of the payouts that wait in a currency.
///
/// # Errors
/// [`PayoutError::NoOwnAccount`], [`PayoutError::NothingWaits`], [`PayoutError::ExecutedWhen`]; nothing is changed then.
pub async fn create_file(
    app: &Arc<App>,
    book: BookId,
    actor: Actor,
    request: idempotency::Request,
    new: NewBankFile,
) -> Result<Begun<BankFileId>, PayoutError> {
    let now = app.clock.now();
    let today = now.to_zoned(TimeZone::UTC).date();
    let last = today.checked_add(MOST_DAYS.days()).map_err(|_| PayoutError::OutOfRange)?;
    let execute_on = new.execute_on.or_else(|| today.tomorrow().ok()).ok_or(PayoutError::OutOfRange)?;
    if !(today..=last).contains(&execute_on) {
        return Err(PayoutError::ExecutedWhen { first: today, last });
    }
    let (app_in, new) = (Arc::clone(app), Arc::new(new));
    app.db
        .run_tx("create bank file", Scope::Book(book), move |tx| {
            let (app, new, request) = (Arc::clone(&app_in), Arc::clone(&new), request.clone());
            Box::pin(async move {
                if let Some(earlier) = idempotency::claim_movement(tx, &request, now).await? {
                    return Ok(earlier);
                }
                let id = make(tx, &app, &new, execute_on, actor, now).await?;
                idempotency::bind(tx, &request.key, "bank_file", id.uuid()).await?;
                Ok(Begun::Fresh(id))
            })
        })
        .await
}

async fn make(
    tx: &mut Tx,
    app: &App,
    new: &NewBankFile,
    execute_on: Date,
    actor: Actor,
    now: Timestamp,
) -> Result<BankFileId, PayoutError> {
    let currency = new.currency;
    let own = store::find_own_account(tx, currency).await?.ok_or(PayoutError::NoOwnAccount { currency })?;
    let waiting = store::list_waiting_for_update(tx, currency, MOST_PAYOUTS).await?;
    if waiting.is_empty() {
        return Err(PayoutError::NothingWaits { currency });
    }
    let id = BankFileId::new();
    let orders = orders_of(tx, app, &waiting).await?;
    let amount = orders.iter().try_fold(0_i64, |sum, order| sum.checked_add(order.amount));
    let amount = Money::new(amount.ok_or(PayoutError::OutOfRange)?, currency);
    let from = own.open(&app.vault)?;
    let message = pain::bank_id(&id.to_string());
    let instruction = Instruction { message, made_at: now, execute_on, currency, from: &from, orders: &orders };
    let text = SecretString::from(pain::write(&instruction, amount.minor));
    let file = BankFile {
        id,
        reference: new.reference.clone(),
        execute_on,
        payouts: i32::try_from(waiting.len()).expect("at most a thousand"),
        amount,
        paid_from: own.masked.clone(),
        digest: Sha256::digest(text.expose_secret().as_bytes()).to_vec(),
        created_at: now,
    };
    store::insert_file(tx, &file, &app.vault.seal(column(id), &text)?, own.id, actor).await?;
    outbox::record(tx, &created(&file, actor)).await?;
    for payout in &waiting {
        let changed = store::put_into_file(tx, payout, id, now).await?;
        record(tx, &changed, Some(payout.status), actor, now).await?;
    }
    Ok(id)
}

/// What the bank is asked to pay, in the order of the payouts.
async fn orders_of(tx: &mut Tx, app: &App, waiting: &[Payout]) -> Result<Vec<Order>, PayoutError> {
    let ids: Vec<BankDetailsId> =
        waiting.iter().filter_map(|payout| payout.bank.as_ref().map(|bank| bank.details)).collect();
    let details: HashMap<BankDetailsId, _> =
        sellers::list_bank_details(tx, &ids).await?.into_iter().map(|details| (details.id, details)).collect();
    let mut orders = Vec::with_capacity(waiting.len());
    for payout in waiting {
        let details = payout.bank.as_ref().and_then(|bank| details.get(&bank.details)).ok_or(PayoutError::NotByBank)?;
        let end_to_end = ByBank::end_to_end(payout.id);
        orders.push(Order { end_to_end, amount: payout.amount.minor, to: details.open(&app.vault)? });
    }
    Ok(orders)
}

fn created(file: &BankFile, actor: Actor) -> Change {
    Change {
        object_type: "bank_file",
        object_id: file.id.uuid(),
        sequence: 1,
        from: None,
        to: "created",
        event: "bank_file.created",
        payload: serde_json::json!({
            "object": "bank_file", "id": file.id, "reference": file.reference, "payouts": file.payouts,
            "amount": file.amount.minor, "currency": file.amount.currency, "execute_on": file.execute_on,
            "sha256": hex::encode(&file.digest),
        }),
        actor,
        detail: None,
        at: file.created_at,
    }
}

/// The text of a file, as it was made. None if there is no such file.
///
/// # Errors
/// [`PayoutError::Contradiction`] where its bytes are not those that were made.
pub async fn read_file(app: &Arc<App>, book: BookId, id: BankFileId) -> Result<Option<SecretString>, PayoutError> {
    let found = app
        .db
        .read("read bank file", Scope::Book(book), move |tx| {
            Box::pin(async move { store::find_sealed_file(tx, id).await })
        })
        .await?;
    let Some((sealed, digest)) = found else { return Ok(None) };
    let text = app.vault.open(column(id), &sealed)?;
    if Sha256::digest(text.expose_secret().as_bytes()).as_slice() != digest {
        return Err(PayoutError::Contradiction(format!("the bytes of {id} are not those that were made")));
    }
    Ok(Some(text))
}
