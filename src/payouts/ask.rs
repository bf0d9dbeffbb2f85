//! Asking the provider for a payout: the intent, and by hand.

use std::sync::Arc;

use jiff::Timestamp;
use partita_db::{BookId, Scope, Tx};
use partita_provider::{Command, CreatePayout, Money, Provider};

use super::decision::decide;
use super::instant::{self, Quote};
use super::schedule::standing_of;
use super::{Payout, PayoutError, bank, record, store};
use crate::actor::Actor;
use crate::app::App;
use crate::id::{OperationId, PayoutId, SellerId};
use crate::idempotency::{self, Begun};
use crate::journal::Journal;
use crate::operations::{self, FirstTry, NewOperation, Target};
use crate::sellers::{self, Seller, SellerError};

/// A payout to be stored.
#[derive(Debug)]
pub(super) struct NewPayout<'a> {
    /// Its id.
    pub(super) id: PayoutId,
    /// Who is paid.
    pub(super) seller: &'a Seller,
    /// What is sent; minor units of the seller's currency.
    pub(super) amount: i64,
    /// Whether a schedule makes it.
    pub(super) automatic: bool,
    /// What was quoted for it, if it is to arrive within minutes.
    pub(super) instant: Option<Quote>,
    /// The platform's own id of it.
    pub(super) reference: Option<String>,
    /// The platform's own data.
    pub(super) metadata: serde_json::Value,
}

/// What a platform asks by hand.
#[derive(Debug, Clone)]
pub struct ByHand {
    /// The platform's own id, unique among its payouts.
    pub reference: String,
    /// Who is paid.
    pub seller: SellerId,
    /// What is sent; all that can be when none is said.
    pub amount: Option<Money>,
    /// Whether it is to arrive within minutes, for a fee.
    pub instant: bool,
    /// The platform's own data.
    pub metadata: serde_json::Value,
}

/// Stores a payout of a seller, which is locked, and the intent to ask it.
pub(super) async fn plan(
    tx: &mut Tx,
    app: &App,
    provider: &dyn Provider,
    new: &NewPayout<'_>,
    actor: Actor,
    first: FirstTry,
    now: Timestamp,
) -> Result<Payout, PayoutError> {
    let operation_id = OperationId::new();
    let command = Command::CreatePayout(CreatePayout {
        account: Some(new.seller.account.clone().ok_or(SellerError::NoAccount)?),
        amount: Money::new(new.amount, new.seller.default_currency),
        instant_to: new.instant.as_ref().map(|quote| quote.destination.clone()),
        metadata: sellers::metadata(operation_id, &new.id.to_string()),
    });
    let request = provider.prepare(&command)?;
    let key = app.keys.next(tx).await?;
    let operation = NewOperation {
        id: operation_id,
        key: app.keys.next(tx).await?,
        target: Target { object_type: "payout", object_id: new.id.uuid(), object_key: key },
        provider: provider.name(),
        request,
        command,
        actor,
    };
    let payout = store::insert_asked(tx, key, new, provider.name(), actor, now).await?;
    operations::plan(tx, &operation, first, now).await?;
    record(tx, &payout, None, actor, now).await?;
    Ok(payout)
}

/// Stores a payout by hand and the intent to ask it; the caller submits the operation. Neither minimum nor delay of a
/// schedule holds for it, everything else that keeps a seller from being paid does.
///
/// # Errors
/// [`PayoutError::NotPayable`], [`PayoutError::TooMuch`] ..; nothing is stored then.
pub async fn create(
    app: &Arc<App>,
    book: BookId,
    actor: Actor,
    request: idempotency::Request,
    input: ByHand,
) -> Result<Begun<PayoutId>, PayoutError> {
    let provider = app.provider(book).await?;
    let now = app.clock.now();
    let offer = if input.instant { Some(instant::offer(app, book, &*provider, input.seller).await?) } else { None };
    let offer = Arc::new(offer);
    let (app_in, input) = (Arc::clone(app), Arc::new(input));
    app.db
        .run_tx("create payout", Scope::Book(book), move |tx| {
            let (app, input, provider, request, offer) =
                (Arc::clone(&app_in), Arc::clone(&input), Arc::clone(&provider), request.clone(), Arc::clone(&offer));
            Box::pin(async move {
                if let Some(earlier) = idempotency::claim_movement(tx, &request, now).await? {
                    return Ok(earlier);
                }
                let seller =
                    sellers::find_by_id_for_update(tx, input.seller).await?.ok_or(PayoutError::SellerUnknown)?;
                if let Some(offer) = &*offer {
                    let quote = instant::quote(tx, &*provider, &seller, offer, input.amount).await?;
                    let new = NewPayout {
                        id: PayoutId::new(),
                        seller: &seller,
                        amount: quote.amount.minor,
                        automatic: false,
                        instant: Some(quote),
                        reference: Some(input.reference.clone()),
                        metadata: input.metadata.clone(),
                    };
                    idempotency::bind(tx, &request.key, "payout", new.id.uuid()).await?;
                    plan(tx, &app, &*provider, &new, actor, FirstTry::Now, now).await?;
                    return Ok(Begun::Fresh(new.id));
                }
                let currency = seller.default_currency;
                if input.amount.is_some_and(|amount| amount.currency != currency) {
                    return Err(PayoutError::OtherCurrency { currency });
                }
                let details = sellers::find_bank_details(tx, &[seller.id]).await?.pop();
                let (standing, payables) = match &details {
                    Some(details) => bank::standing_of(tx, &seller, details, None).await?,
                    None => (standing_of(tx, &seller, None).await?, Vec::new()),
                };
                let sendable = |minor| match &details {
                    Some(_) => bank::sendable(minor),
                    None => provider.payable(Money::new(minor, currency)),
                };
                let most = decide(&standing, 0, sendable)
                    .map_err(|reason| PayoutError::NotPayable { reason: reason.as_str() })?;
                let amount = input.amount.map_or(most, |amount| amount.minor);
                if amount > most {
                    return Err(PayoutError::TooMuch { payable: Money::new(most, currency) });
                }
                let new = NewPayout {
                    id: PayoutId::new(),
                    seller: &seller,
                    amount,
                    automatic: false,
                    instant: None,
                    reference: Some(input.reference.clone()),
                    metadata: input.metadata.clone(),
                };
                idempotency::bind(tx, &request.key, "payout", new.id.uuid()).await?;
                let mut journal = Journal::new(&app.keys);
                match &details {
                    Some(details) => {
                        bank::ask(tx, &new, (details, &payables), actor, &mut journal, now).await?;
                    }
                    None => {
                        plan(tx, &app, &*provider, &new, actor, FirstTry::Now, now).await?;
                    }
                }
                journal.post(tx).await?;
                Ok(Begun::Fresh(new.id))
            })
        })
        .await
}
