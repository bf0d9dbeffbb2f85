//! What is asked of the provider for a priced cart: how it is charged, of whom, and the bytes of the command.

use std::collections::HashMap;

use partita_db::Tx;
use partita_provider::{Command, CreatePayment, Currency, Money, PrepareError, PreparedRequest, Provider};

use super::charge_type::{self, ChargePolicy, Route};
use super::payer::{self, AtProvider};
use super::{ChargeType, Line, NewPayment, PaymentError, store};
use crate::id::{OperationId, PaymentId, SellerId};
use crate::reserves;
use crate::sellers::{self, Seller};

/// How a cart is charged, and the command that does it.
pub(super) struct Charging {
    pub(super) route: Route,
    pub(super) payer: AtProvider,
    pub(super) command: Command,
    pub(super) request: PreparedRequest,
}

/// Decides how a priced cart is charged. Where the payment does not say it itself and the provider could not send the share with
/// the charge, or charge on the seller's account, that is a separate charge.
pub(super) async fn decide(
    tx: &mut Tx,
    provider: &dyn Provider,
    input: &NewPayment,
    lines: &[Line],
    sellers: &HashMap<SellerId, Seller>,
    (id, operation): (PaymentId, OperationId),
) -> Result<Charging, PaymentError> {
    let policy = match input.charge_type {
        Some(_) => ChargePolicy::default(),
        None => store::find_charge_policy(tx).await?,
    };
    let is_to_be_sent = input.charge_type.unwrap_or(policy.charge_type) != ChargeType::Separate;
    let stays = match charge_type::only_seller(lines) {
        Ok(Some(_)) if is_to_be_sent && lines.iter().any(Line::waits) => Some(PaymentError::ShareWaits),
        Ok(Some(seller)) if is_to_be_sent => stays_here(tx, seller, input.amount.currency).await?,
        _ => None,
    };
    let route = charge_type::route(input, lines, sellers, policy, stays)?;
    let payer = payer::find(tx, input.payer, &input.payment_method).await?;
    let command_by = |route: &Route| {
        let fee = route.direct.as_ref().map(|direct| direct.application_fee).filter(|fee| *fee > 0);
        Command::CreatePayment(CreatePayment {
            amount: input.amount,
            payment_method: payer.token.clone(),
            transfer_group: id.to_string(),
            description: input.description.clone(),
            capture: input.capture,
            return_url: input.return_url.clone(),
            destination: route.destination.clone(),
            on_behalf_of: route.on_behalf_of_account.clone(),
            application_fee: fee.map(|fee| Money::new(fee, input.amount.currency)),
            customer: payer.customer.clone(),
            off_session: payer.payer.off_session,
            metadata: sellers::metadata(operation, &id.to_string()),
        })
        .on(route.direct.as_ref().map(|direct| direct.account.as_str()))
    };
    let command = command_by(&route);
    match provider.prepare(&command) {
        Err(PrepareError::Amount(why)) if route.charge_type != ChargeType::Separate => {
            let route = Route { charge_type: ChargeType::Separate, destination: None, direct: None, ..route };
            let command = command_by(&route);
            let request = provider.prepare(&command)?;
            if input.charge_type.is_some() {
                return Err(PaymentError::ShareNotMovable(why));
            }
            Ok(Charging { route, payer, command, request })
        }
        request => Ok(Charging { request: request?, route, payer, command }),
    }
}

/// Why nothing of a seller's is sent with a charge or charged on its account, whatever was declared.
async fn stays_here(tx: &mut Tx, seller: SellerId, currency: Currency) -> Result<Option<PaymentError>, PaymentError> {
    if !sellers::find_bank_details(tx, &[seller]).await?.is_empty() {
        return Ok(Some(PaymentError::SellerPaidByBank));
    }
    let is_kept_back = reserves::find_declared(tx, seller).await?.rules.keep_back(currency);
    Ok(is_kept_back.then_some(PaymentError::ShareKeptBack))
}
