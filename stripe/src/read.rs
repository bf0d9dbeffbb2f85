//! Reads as requests: which address, which expansions, for which connected account.

use partita_provider::{EventQuery, FetchError, Lookup, PageRequest};
use serde::Serialize;
use stripe_client_core::{RequestBuilder, StripeMethod, StripeRequest};
use stripe_connect::account as accounts;
use stripe_connect::{topup as topups, transfer as transfers, transfer_reversal as reversals};
use stripe_core::payment_intent as intents;
use stripe_core::setup_intent as setups;
use stripe_core::{
    balance, balance_transaction, charge as charges, customer as customers, dispute as disputes, event as events,
    payout as payouts, refund as refunds,
};
use stripe_types::{RangeBoundsTs, RangeQueryTs};

use crate::objects::expand;
use crate::resource::{Resource, is_id};

/// A GET, before it is sent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Read {
    /// With its leading `/v1`.
    pub(crate) path: String,
    /// Without the question mark; may be empty.
    pub(crate) query: String,
    /// The connected account to act for.
    pub(crate) account: Option<String>,
}

/// What to expand, for requests that no builder makes.
#[derive(Serialize)]
struct Expand {
    expand: Vec<String>,
}

impl Read {
    pub(crate) fn of(request: RequestBuilder, account: Option<&str>) -> Self {
        Self {
            path: format!("/v1{}", request.path),
            query: request.query.unwrap_or_default(),
            account: account.map(str::to_owned),
        }
    }
}

/// What it takes to answer a [`Lookup`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    /// One read gives the object.
    Object(Read, Resource),
    /// The charge must be read first; it names its payment.
    Charge(Read),
}

/// How to look an object up.
///
/// # Errors
/// [`FetchError::Unreadable`] when an id is none: nothing is asked then.
pub(crate) fn plan(lookup: &Lookup) -> Result<Plan, FetchError> {
    let object = |request: RequestBuilder, resource| Ok(Plan::Object(Read::of(request, None), resource));
    match lookup {
        Lookup::Account(id) => object(accounts::RetrieveAccount::new(checked(id)?).build(), Resource::Account),
        Lookup::Payment(id) => Ok(Plan::Object(payment(id)?, Resource::Payment)),
        Lookup::PaymentOfCharge(id) => {
            Ok(Plan::Charge(Read::of(charges::RetrieveCharge::new(checked(id)?).build(), None)))
        }
        Lookup::Dispute(id) => object(disputes::RetrieveDispute::new(checked(id)?).build(), Resource::Dispute),
        Lookup::Customer(id) => object(customers::RetrieveCustomer::new(checked(id)?).build(), Resource::Customer),
        Lookup::Setup(id) => {
            let request = setups::RetrieveSetupIntent::new(checked(id)?).expand(expand(&expand::SETUP));
            object(request.build(), Resource::Setup)
        }
        // Of a crate of async-stripe's that nothing else here needs.
        Lookup::Method(id) => object(
            RequestBuilder::new(StripeMethod::Get, format!("/payment_methods/{}", checked(id)?)),
            Resource::Method,
        ),
        Lookup::Refund(id) => {
            let request = refunds::RetrieveRefund::new(checked(id)?).expand(expand(&expand::REFUND));
            object(request.build(), Resource::Refund)
        }
        Lookup::Transfer(id) => {
            let request = transfers::RetrieveTransfer::new(checked(id)?).expand(expand(&expand::TRANSFER));
            object(request.build(), Resource::Transfer)
        }
        Lookup::Reversal { transfer, reversal } => {
            let request = reversals::RetrieveTransferReversal::new(checked(reversal)?, checked(transfer)?)
                .expand(expand(&expand::REVERSAL));
            object(request.build(), Resource::Reversal)
        }
        Lookup::TopUp(id) => {
            let request = topups::RetrieveTopup::new(checked(id)?).expand(expand(&expand::TOP_UP));
            object(request.build(), Resource::TopUp)
        }
        // Of a crate of async-stripe's that nothing else here needs.
        Lookup::ApplicationFee(id) => {
            let request = RequestBuilder::new(StripeMethod::Get, format!("/application_fees/{}", checked(id)?));
            object(request.query(&Expand { expand: expand(&expand::APPLICATION_FEE) }), Resource::ApplicationFee)
        }
        Lookup::OnAccount { account, of } => {
            let account = Some(checked(account)?.to_owned());
            Ok(match plan(of)? {
                Plan::Object(read, resource) => Plan::Object(Read { account, ..read }, resource),
                Plan::Charge(read) => Plan::Charge(Read { account, ..read }),
            })
        }
        Lookup::Payout { account, payout } => {
            let request = payouts::RetrievePayout::new(checked(payout)?).expand(expand(&expand::PAYOUT));
            Ok(Plan::Object(Read::of(request.build(), account.as_deref()), Resource::Payout))
        }
    }
}

/// How to read a payment.
///
/// # Errors
/// [`FetchError::Unreadable`] when the id is none.
pub(crate) fn payment(id: &str) -> Result<Read, FetchError> {
    let request = intents::RetrievePaymentIntent::new(checked(id)?).expand(expand(&expand::PAYMENT));
    Ok(Read::of(request.build(), None))
}

/// How to read one balance transaction.
///
/// # Errors
/// [`FetchError::Unreadable`] when the id is none.
pub(crate) fn balance_transaction(account: Option<&str>, id: &str) -> Result<Read, FetchError> {
    Ok(Read::of(balance_transaction::RetrieveBalanceTransaction::new(checked(id)?).build(), account))
}

/// How to read a page of balance transactions.
pub(crate) fn balance_transactions(account: Option<&str>, page: &PageRequest) -> Read {
    let mut request = balance_transaction::ListBalanceTransaction::new().limit(i64::from(page.limit.clamp(1, 100)));
    if let Some(after) = &page.after {
        request = request.starting_after(after.clone());
    }
    if let Some(from) = page.created_from {
        request = request.created(RangeQueryTs::gte(from));
    }
    Read::of(request.build(), account)
}

/// How to read a page of events.
pub(crate) fn events(query: &EventQuery) -> Read {
    let mut request = events::ListEvent::new().limit(i64::from(query.limit.clamp(1, 100)));
    if let Some(after) = &query.after {
        request = request.starting_after(after.clone());
    }
    if query.created_from.is_some() || query.created_until.is_some() {
        let bounds = RangeBoundsTs { gte: query.created_from, lte: query.created_until, ..RangeBoundsTs::default() };
        request = request.created(RangeQueryTs::Bounds(bounds));
    }
    if !query.kinds.is_empty() {
        request = request.types(query.kinds.clone());
    }
    Read::of(request.build(), query.account.as_deref())
}

/// How to read a balance.
pub(crate) fn balance(account: Option<&str>) -> Read {
    let request = balance::RetrieveForMyAccountBalance::new();
    let request = if account.is_some() { request.expand(expand(&expand::INSTANT)) } else { request };
    Read::of(request.build(), account)
}

/// An id that may stand in a path.
///
/// # Errors
/// [`FetchError::Unreadable`] when it is none.
pub(crate) fn checked(id: &str) -> Result<&str, FetchError> {
    if is_id(id) { Ok(id) } else { Err(FetchError::Unreadable(format!("{id:?} is not an id of Stripe's"))) }
}
