//! Taking over a movement that the ledger does not have: its object is read and applied like any other news.

use std::sync::Arc;

use partita_db::{BookId, Scope};
use partita_provider::{ApplicationFee, BalanceTransaction, FetchError, Lookup, Provider, ProviderObject};

use super::ReconciliationError;
use super::account::Account;
use crate::app::App;
use crate::events::{self, Applied, ApplyError, Origin, Remedy};
use crate::journal::Journal;
use crate::payouts;
use crate::platforms::Mode;
use crate::sellers::METADATA_OPERATION;
use crate::{payments, transfers};

/// Most application fees that are looked through for what went back of one.
const MOST_FEES: i64 = 100;

/// Returns whether the ledger has the movement now. What cannot be taken over is left to be a break.
pub(super) async fn adopt(
    app: &Arc<App>,
    book: BookId,
    provider: &Arc<dyn Provider>,
    mode: Mode,
    account: &Account,
    movement: &BalanceTransaction,
) -> Result<bool, ReconciliationError> {
    let object = match concerns(account.id.as_deref(), movement) {
        None => return Ok(false),
        Some(Concerns::Reserve | Concerns::PayoutCost) => None,
        Some(Concerns::Object(lookup)) => match provider.fetch(&lookup).await {
            Ok(object) => Some(object),
            Err(FetchError::Unreachable(why)) => return Err(FetchError::Unreachable(why).into()),
            Err(error) => {
                tracing::warn!(book = book.get(), movement = movement.id, %error, "what is behind a movement cannot be read");
                return Ok(false);
            }
        },
        Some(Concerns::Reversal(reversal)) => match find_reversal(app, book, provider, &reversal).await? {
            Some(object) => Some(object),
            None => return Ok(false),
        },
        Some(Concerns::FeeRefund) => match find_fee(app, book, provider, movement).await? {
            Some(object) => Some(object),
            None => return Ok(false),
        },
    };
    let object = match object {
        Some(ProviderObject::Refund(refund)) => rest_of_capture(provider, account.id.as_deref(), &refund, movement)
            .await?
            .or(Some(ProviderObject::Refund(refund))),
        Some(ProviderObject::Transfer(transfer)) => {
            sent_with_charge(provider, &transfer).await?.or(Some(ProviderObject::Transfer(transfer)))
        }
        Some(ProviderObject::ApplicationFee(fee)) => {
            take_charge_of(app, book, provider, mode, movement, &fee).await?;
            Some(ProviderObject::ApplicationFee(fee))
        }
        object => object,
    };
    let taken = take(app, book, mode, account, movement, object).await;
    match taken {
        Ok(Applied::Ours(_)) => Ok(true),
        Ok(Applied::NotOurs) => Ok(false),
        Err(error) if error.remedy() != Remedy::Again => {
            tracing::warn!(book = book.get(), movement = movement.id, %error, "a movement cannot be taken over");
            Ok(false)
        }
        Err(error) => Err(error.into()),
    }
}

/// The charge behind an application fee is booked before the fee; what cannot be is told when its own account is compared.
async fn take_charge_of(
    app: &Arc<App>,
    book: BookId,
    provider: &Arc<dyn Provider>,
    mode: Mode,
    movement: &BalanceTransaction,
    fee: &ApplicationFee,
) -> Result<(), ReconciliationError> {
    let payment = match provider.fetch(&Lookup::PaymentOfCharge(fee.charge.clone()).on(Some(&fee.account))).await {
        Ok(payment) => payment,
        Err(FetchError::Unreachable(why)) => return Err(FetchError::Unreachable(why).into()),
        Err(_) => return Ok(()),
    };
    let on = Account { id: Some(fee.account.clone()), seller: None };
    match take(app, book, mode, &on, movement, Some(payment)).await {
        Err(error) if error.remedy() == Remedy::Again => Err(error.into()),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// The payment behind a refund that nobody asked for, where it is what was authorised and not captured.
async fn rest_of_capture(
    provider: &Arc<dyn Provider>,
    account: Option<&str>,
    refund: &partita_provider::Refund,
    movement: &BalanceTransaction,
) -> Result<Option<ProviderObject>, ReconciliationError> {
    let Some(payment) = refund.payment.clone().filter(|_| !refund.metadata.contains_key(METADATA_OPERATION)) else {
        return Ok(None);
    };
    match provider.fetch(&Lookup::Payment(payment).on(account)).await {
        Ok(ProviderObject::Payment(payment)) => {
            let rest = payment.charge.as_ref().and_then(|charge| charge.rest_transaction.as_ref());
            let is_rest = rest.is_some_and(|rest| rest.id == movement.id);
            Ok(is_rest.then_some(ProviderObject::Payment(payment)))
        }
        Ok(_)
        | Err(FetchError::NotFound | FetchError::NoAccess | FetchError::Refused(_) | FetchError::Unreadable(_)) => {
            Ok(None)
        }
        Err(FetchError::Unreachable(why)) => Err(FetchError::Unreachable(why).into()),
    }
}

/// The payment behind a transfer that nobody asked for, where its charge brought it.
async fn sent_with_charge(
    provider: &Arc<dyn Provider>,
    transfer: &partita_provider::Transfer,
) -> Result<Option<ProviderObject>, ReconciliationError> {
    let Some(charge) = transfer.source_charge.clone().filter(|_| !transfer.metadata.contains_key(METADATA_OPERATION))
    else {
        return Ok(None);
    };
    match provider.fetch(&Lookup::PaymentOfCharge(charge)).await {
        Ok(ProviderObject::Payment(payment)) => {
            let sent = payment.charge.as_ref().and_then(|charge| charge.transfer.as_ref());
            // Another transfer that draws on the same charge is nobody's of ours.
            let came_with_it = sent.is_some_and(|sent| sent.id == transfer.id);
            Ok(came_with_it.then_some(ProviderObject::Payment(payment)))
        }
        Ok(_)
        | Err(FetchError::NotFound | FetchError::NoAccess | FetchError::Refused(_) | FetchError::Unreadable(_)) => {
            Ok(None)
        }
        Err(FetchError::Unreachable(why)) => Err(FetchError::Unreachable(why).into()),
    }
}

/// Whether a command of ours has caused a movement, by what its object carries. What a platform does at the provider past
/// us carries nothing of ours. A reversal cannot be read without its transfer: nobody else makes one of our transfers.
pub(super) async fn is_of_our_command(
    provider: &Arc<dyn Provider>,
    movement: &BalanceTransaction,
) -> Result<bool, ReconciliationError> {
    let lookup = match concerns(None, movement) {
        Some(Concerns::Object(lookup)) => lookup,
        Some(Concerns::Reversal(_) | Concerns::FeeRefund) => return Ok(true),
        Some(Concerns::Reserve | Concerns::PayoutCost) | None => return Ok(false),
    };
    let fetched = match provider.fetch(&lookup).await {
        // A fee carries nothing of ours, its payment or payout does.
        Ok(ProviderObject::ApplicationFee(fee)) => {
            provider.fetch(&Lookup::PaymentOfCharge(fee.charge).on(Some(&fee.account))).await
        }
        Ok(ProviderObject::PayoutFee(fee)) => {
            provider.fetch(&Lookup::Payout { account: Some(fee.account), payout: fee.payout }).await
        }
        fetched => fetched,
    };
    match fetched {
        Ok(object) => Ok(object.metadata().is_some_and(|metadata| metadata.contains_key(METADATA_OPERATION))),
        Err(FetchError::Unreachable(why)) => Err(FetchError::Unreachable(why).into()),
        // What cannot be read cannot be ruled out.
        Err(_) => Ok(true),
    }
}

/// The provider reads what went back of application fees by their fee: those that are expected to give something back are tried,
/// of payouts before those of charges.
async fn find_fee(
    app: &Arc<App>,
    book: BookId,
    provider: &Arc<dyn Provider>,
    movement: &BalanceTransaction,
) -> Result<Option<ProviderObject>, ReconciliationError> {
    let fees = app
        .db
        .read("fees that go back", Scope::Book(book), |tx| {
            Box::pin(async move {
                let mut fees = payouts::fees_to_return(tx).await?;
                fees.extend(payments::fees_going_back(tx, MOST_FEES).await?);
                Ok::<_, ReconciliationError>(fees)
            })
        })
        .await?;
    for fee in fees {
        match provider.fetch(&Lookup::ApplicationFee(fee)).await {
            Ok(fee) if gave_back(&fee, &movement.id) => return Ok(Some(fee)),
            Err(FetchError::Unreachable(why)) => return Err(FetchError::Unreachable(why).into()),
            Ok(_) | Err(_) => {}
        }
    }
    Ok(None)
}

/// Whether something went back of a fee by this movement.
fn gave_back(fee: &ProviderObject, movement: &str) -> bool {
    match fee {
        ProviderObject::ApplicationFee(fee) => {
            let mut movements = fee.refunds.iter().filter_map(|refund| refund.balance_transaction.as_ref());
            movements.any(|of_refund| of_refund.id == movement)
        }
        ProviderObject::PayoutFee(fee) => fee.refunds.iter().any(|of_refund| of_refund.id == movement),
        _ => false,
    }
}

/// The provider reads reversals by their transfer: those that are asked and not answered are tried.
async fn find_reversal(
    app: &Arc<App>,
    book: BookId,
    provider: &Arc<dyn Provider>,
    reversal: &str,
) -> Result<Option<ProviderObject>, ReconciliationError> {
    let transfers = app
        .db
        .read("transfers with open reversals", Scope::Book(book), |tx| {
            Box::pin(async move { transfers::open_reversal_transfers(tx).await })
        })
        .await?;
    for transfer in transfers {
        match provider.fetch(&Lookup::Reversal { transfer, reversal: reversal.to_owned() }).await {
            Ok(object) => return Ok(Some(object)),
            Err(FetchError::Unreachable(why)) => return Err(FetchError::Unreachable(why).into()),
            Err(_) => {}
        }
    }
    Ok(None)
}

async fn take(
    app: &Arc<App>,
    book: BookId,
    mode: Mode,
    account: &Account,
    movement: &BalanceTransaction,
    object: Option<ProviderObject>,
) -> Result<Applied, ApplyError> {
    let now = app.clock.now();
    let (app_in, account, movement, object) =
        (Arc::clone(app), account.name(), Arc::new(movement.clone()), Arc::new(object));
    app.db
        .run_tx("adopt movement", Scope::Book(book), move |tx| {
            let (app, account, movement, object) =
                (Arc::clone(&app_in), account.clone(), Arc::clone(&movement), Arc::clone(&object));
            Box::pin(async move {
                let mut journal = Journal::new(&app.keys);
                let origin = Origin { provider: "stripe", account: &account, mode, now };
                let applied = match &*object {
                    Some(object) => events::apply_object(tx, object, origin, &mut journal).await?,
                    None if is_payout_cost(&movement) => {
                        payouts::apply_cost(tx, origin.provider, &movement, &mut journal).await?;
                        Applied::Ours(uuid::Uuid::nil())
                    }
                    None => events::apply_reserve(tx, &movement, origin, &mut journal).await?,
                };
                journal.post(tx).await?;
                Ok(applied)
            })
        })
        .await
}

/// What is behind a movement.
enum Concerns {
    /// An object to read.
    Object(Lookup),
    /// A reversal: its transfer is one of those that wait for an answer.
    Reversal(String),
    /// What went back of an application fee: one of those that are expected to give something back.
    FeeRefund,
    /// Nothing but itself: a change of what the provider reserves.
    Reserve,
    /// Nothing but itself: what instant payouts cost the platform.
    PayoutCost,
}

/// Whether it is what the provider takes of the platform for instant payouts. Only its words for people say so; whatever else the
/// provider takes of its own accord is no business of sellers.
fn is_payout_cost(movement: &BalanceTransaction) -> bool {
    let says = |words: &String| words.to_ascii_lowercase().contains("instant payout");
    movement.kind == "stripe_fee" && movement.description.as_ref().is_some_and(says)
}

/// By the provider's words for movements (docs.stripe.com/reports/balance-transaction-types). On a connected account
/// payouts are its own, and direct charges with what became of them: everything else there is the other side of the platform's
/// transfers, booked with them.
fn concerns(account: Option<&str>, movement: &BalanceTransaction) -> Option<Concerns> {
    let source = movement.source.clone();
    let object =
        |lookup: fn(String) -> Lookup| source.clone().map(lookup).map(|lookup| Concerns::Object(lookup.on(account)));
    match (movement.kind.as_str(), account) {
        ("payout" | "payout_failure" | "payout_cancel", account) => {
            let payout = source?;
            Some(Concerns::Object(Lookup::Payout { account: account.map(ToOwned::to_owned), payout }))
        }
        // The other side of a transfer is a payment too, and of no payment intent: it is not found.
        ("charge" | "payment" | "payment_failure_refund", _) => object(Lookup::PaymentOfCharge),
        ("refund" | "payment_refund" | "refund_failure", _) => object(Lookup::Refund),
        // Of what Stripe calls an adjustment, disputes are ours; another's source is no dispute, and so not found.
        ("adjustment", _) => object(Lookup::Dispute),
        ("application_fee", None) => object(Lookup::ApplicationFee),
        ("application_fee_refund", None) => Some(Concerns::FeeRefund),
        ("transfer", None) => object(Lookup::Transfer),
        ("stripe_fee", None) => is_payout_cost(movement).then_some(Concerns::PayoutCost),
        ("topup", None) => object(Lookup::TopUp),
        ("transfer_refund", None) => source.map(Concerns::Reversal),
        ("reserve_transaction", None) => Some(Concerns::Reserve),
        _ => None,
    }
}
