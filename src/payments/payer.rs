//! Who pays, and with what: a token that came with the request, or a method that a customer has saved.

use partita_db::Tx;

use super::PaymentError;
use crate::customers::{self, CustomerStatus, MethodStatus};
use crate::id::{CustomerId, PaymentMethodId};

/// Who pays, and whether the buyer is there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Payer {
    /// Whose payment it is; none for a buyer who is not known.
    pub customer: Option<CustomerId>,
    /// The saved method that is charged; none for a token that came with the request.
    pub method: Option<PaymentMethodId>,
    /// Whether the buyer is away and can confirm nothing.
    pub off_session: bool,
}

/// A payer as the provider knows it.
#[derive(Debug, Clone)]
pub(super) struct AtProvider {
    pub(super) payer: Payer,
    /// The customer's id at the provider.
    pub(super) customer: Option<String>,
    /// The token that is charged.
    pub(super) token: String,
}

/// Finds what a payment names of customers and saved methods; `token` is what it names beside.
pub(super) async fn find(tx: &mut Tx, payer: Payer, token: &str) -> Result<AtProvider, PaymentError> {
    let Some(id) = payer.method else {
        if payer.off_session {
            return Err(PaymentError::NotSavedForLater);
        }
        let customer = match payer.customer {
            Some(id) => Some(customer(tx, id).await?),
            None => None,
        };
        return Ok(AtProvider { payer, customer, token: token.to_owned() });
    };
    let method = customers::find_method(tx, id).await?.ok_or(PaymentError::UnknownMethod)?;
    if payer.customer.is_some_and(|named| named != method.customer) {
        return Err(PaymentError::MethodOfAnother);
    }
    let token = method.provider_method.filter(|_| method.status == MethodStatus::Saved);
    let token = token.ok_or(PaymentError::MethodNotSaved(method.status))?;
    let customer = Some(customer(tx, method.customer).await?);
    Ok(AtProvider { payer: Payer { customer: Some(method.customer), ..payer }, customer, token })
}

async fn customer(tx: &mut Tx, id: CustomerId) -> Result<String, PaymentError> {
    let customer = customers::find(tx, id).await?.ok_or(PaymentError::UnknownCustomer)?;
    let known = customer.provider_customer.filter(|_| customer.status == CustomerStatus::Active);
    known.ok_or(PaymentError::CustomerNotActive(customer.status))
}
