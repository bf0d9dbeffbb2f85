//! Taking the provider's word on customers and saved methods, whoever brings it.

use jiff::Timestamp;
use partita_db::Tx;
use partita_provider::{Customer as Said, Method as SaidMethod, Refusal, Setup};

use super::{
    Customer, CustomerError, CustomerStatus, Looks, Method, MethodStatus, record, record_method, state, store,
};
use crate::actor::Actor;
use crate::id::{CustomerId, PaymentMethodId};
use crate::operations::METADATA_OBJECT;

/// Takes the provider's word on a customer. Returns ours, if it is one of this book's.
///
/// # Errors
/// [`CustomerError::Contradiction`].
pub async fn apply(tx: &mut Tx, said: &Said, now: Timestamp) -> Result<Option<CustomerId>, CustomerError> {
    let named = said.metadata.get(METADATA_OBJECT).and_then(|text| CustomerId::parse(text).ok());
    let Some(id) = named else { return Ok(None) };
    let Some(customer) = store::find_for_update(tx, id).await? else { return Ok(None) };
    match (customer.status, &customer.provider_customer) {
        (CustomerStatus::Active, Some(known)) if *known == said.id => return Ok(Some(id)),
        (CustomerStatus::Processing, _) => {}
        _ => return Err(CustomerError::Contradiction(format!("{} is another customer", said.id))),
    }
    let changed = store::set_status(tx, &customer, CustomerStatus::Active, Some(&said.id), None, now).await?;
    record(tx, &changed, Some(customer.status), "customer.activated", Actor::System, now).await?;
    Ok(Some(id))
}

/// Takes the provider's refusal to know a customer.
///
/// # Errors
/// What the database says.
pub async fn apply_refusal(
    tx: &mut Tx,
    id: CustomerId,
    refusal: &Refusal,
    now: Timestamp,
) -> Result<(), CustomerError> {
    let customer: Customer = store::find_for_update(tx, id).await?.ok_or(CustomerError::NotFound)?;
    if customer.status != CustomerStatus::Processing {
        return Ok(());
    }
    let changed = store::set_status(tx, &customer, CustomerStatus::Failed, None, Some(refusal), now).await?;
    record(tx, &changed, Some(customer.status), "customer.failed", Actor::System, now).await
}

/// Takes the provider's word on setting a method up. Returns ours, if it is one of this book's.
///
/// # Errors
/// [`CustomerError::Contradiction`] when it is of another customer; [`CustomerError::Incomplete`] when it is saved and does not
/// say as what.
pub async fn apply_setup(tx: &mut Tx, said: &Setup, now: Timestamp) -> Result<Option<PaymentMethodId>, CustomerError> {
    let named = said.metadata.get(METADATA_OBJECT).and_then(|text| PaymentMethodId::parse(text).ok());
    let Some(id) = named else { return Ok(None) };
    let Some(method) = store::find_method_for_update(tx, id).await? else { return Ok(None) };
    if method.provider_setup.as_ref().is_some_and(|known| *known != said.id) {
        return Err(CustomerError::Contradiction(format!("{} sets another method up", said.id)));
    }
    let customer = store::find(tx, method.customer).await?.ok_or(CustomerError::NotFound)?;
    if said.customer != customer.provider_customer {
        return Err(CustomerError::Contradiction(format!("{} is of another customer", said.id)));
    }
    let Some(status) = state::next(method.status, &said.status) else { return Ok(Some(id)) };
    let mut new = Method { status, provider_setup: Some(said.id.clone()), ..method.clone() };
    match status {
        MethodStatus::Saved => {
            let saved = said.method.as_ref().ok_or(CustomerError::Incomplete("the set-up names no method"))?;
            match store::find_method_by_provider_for_update(tx, &saved.id).await?.filter(|other| other.id != id) {
                Some(_) if method.status == MethodStatus::Failed => return Ok(Some(id)),
                Some(other) => {
                    new.status = MethodStatus::Failed;
                    new.failure = Some(saved_already(other.id));
                }
                None => {
                    new.provider_method = Some(saved.id.clone());
                    new.looks = looks(saved);
                    new.failure = None;
                }
            }
        }
        MethodStatus::Failed => new.failure = Some(said.last_error.clone().unwrap_or_else(unexplained)),
        MethodStatus::Processing | MethodStatus::RequiresAction | MethodStatus::Detached => {}
    }
    change(tx, &method, &new, now).await?;
    Ok(Some(id))
}

fn looks(said: &SaidMethod) -> Looks {
    let card = said.card.as_ref();
    let number = |value: i64| i32::try_from(value).ok();
    Looks {
        kind: Some(said.kind.clone()),
        brand: card.map(|card| card.brand.clone()),
        last4: card.map(|card| card.last4.clone()),
        expires_month: card.and_then(|card| number(card.expires_month)),
        expires_year: card.and_then(|card| number(card.expires_year)),
    }
}

/// One method of the provider's is one of ours: whoever saves it again is told which.
fn saved_already(other: PaymentMethodId) -> Refusal {
    Refusal {
        code: "payment_method_saved_already".to_owned(),
        decline_code: None,
        message: format!("it is {other}"),
        request_id: None,
    }
}

fn unexplained() -> Refusal {
    Refusal {
        code: "payment_method_refused".to_owned(),
        decline_code: None,
        message: "the payment method was refused".to_owned(),
        request_id: None,
    }
}

/// Takes the provider's word on a method: one that is with no customer any more is detached. Returns ours, if it is one of this
/// book's.
///
/// # Errors
/// What the database says.
pub async fn apply_method(
    tx: &mut Tx,
    said: &SaidMethod,
    now: Timestamp,
) -> Result<Option<PaymentMethodId>, CustomerError> {
    let Some(method) = store::find_method_by_provider_for_update(tx, &said.id).await? else { return Ok(None) };
    if method.status == MethodStatus::Saved && said.customer.is_none() {
        let new = Method { status: MethodStatus::Detached, ..method.clone() };
        change(tx, &method, &new, now).await?;
    }
    Ok(Some(method.id))
}

/// Takes the provider's refusal to set a method up.
///
/// # Errors
/// What the database says.
pub async fn apply_setup_refusal(
    tx: &mut Tx,
    id: PaymentMethodId,
    refusal: &Refusal,
    now: Timestamp,
) -> Result<(), CustomerError> {
    let method = store::find_method_for_update(tx, id).await?.ok_or(CustomerError::MethodNotFound)?;
    if method.status != MethodStatus::Processing {
        return Ok(());
    }
    let new = Method { status: MethodStatus::Failed, failure: Some(refusal.clone()), ..method.clone() };
    change(tx, &method, &new, now).await
}

async fn change(tx: &mut Tx, old: &Method, new: &Method, now: Timestamp) -> Result<(), CustomerError> {
    let changed = store::update_method(tx, old, new, now).await?;
    record_method(tx, &changed, Some(old.status), Actor::System, now).await
}
