//! The platform's own payouts: from its balance at the provider to its bank, of what is free ([`Coverage`]) and nothing else.
//!
//! What is free is computed under the lock of the balance's row in `funding`, so that no two payouts count the same money;
//! one that is asked and not answered counts as gone. It books nothing until the provider has taken it. What somebody pays
//! out in the provider's dashboard is nobody's here: it shows as a break in reconciliation.

mod coverage;
mod store;

use std::sync::Arc;

use jiff::Timestamp;
use partita_db::{BookId, Scope, Tx};
use partita_ledger::Floors;
use partita_provider::{BalanceTransaction, Command, CreatePayout, Money, Payout as Said, Refusal};

pub use coverage::Coverage;
pub use store::{coverage_of, find, list};

use super::{PayoutError, PayoutStatus, entries, refusal_of, status_of};
use crate::actor::Actor;
use crate::app::App;
use crate::chart::{Chart, Kind};
use crate::id::{OperationId, PlatformPayoutId};
use crate::idempotency::{self, Begun};
use crate::journal::{Entry, Journal, Record};
use crate::operations::{self, FirstTry, NewOperation, Target};
use crate::outbox::{self, Change};
use crate::provider_movements::{self, Owner, Recorded, effective_at};
use crate::sellers::{self, METADATA_OBJECT};

/// A payout of the platform's own.
#[derive(Debug, Clone)]
pub struct PlatformPayout {
    /// Its id.
    pub id: PlatformPayoutId,
    /// Its ledger subject.
    pub key: i64,
    /// The platform's own id of it.
    pub reference: String,
    /// What is sent.
    pub amount: Money,
    /// Where it stands.
    pub status: PayoutStatus,
    /// The provider's name.
    pub provider: String,
    /// Its id at the provider; none until the provider has taken it.
    pub provider_payout: Option<String>,
    /// When the bank has it.
    pub arrival_on: Option<Timestamp>,
    /// Why it failed.
    pub failure: Option<Refusal>,
    /// The platform's own data.
    pub metadata: serde_json::Value,
    /// What was free when it was asked; minor units.
    pub free_before: i64,
    /// How often it changed.
    pub sequence: i32,
    /// When it was asked, by the business clock.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// What a platform asks.
#[derive(Debug, Clone)]
pub struct NewPlatformPayout {
    /// The platform's own id, unique among its payouts of this kind.
    pub reference: String,
    /// What is sent.
    pub amount: Money,
    /// The platform's own data.
    pub metadata: serde_json::Value,
}

/// Stores a payout of the platform's own and the intent to ask it; the caller submits the operation.
///
/// # Errors
/// [`PayoutError::NotCovered`] where it is more than what is free ..; nothing is stored then.
pub async fn create(
    app: &Arc<App>,
    book: BookId,
    actor: Actor,
    request: idempotency::Request,
    input: NewPlatformPayout,
) -> Result<Begun<PlatformPayoutId>, PayoutError> {
    let provider = app.provider(book).await?;
    let now = app.clock.now();
    let (app_in, input) = (Arc::clone(app), Arc::new(input));
    app.db
        .run_tx("create platform payout", Scope::Book(book), move |tx| {
            let (app, input, provider, request) =
                (Arc::clone(&app_in), Arc::clone(&input), Arc::clone(&provider), request.clone());
            Box::pin(async move {
                if let Some(earlier) = idempotency::claim_movement(tx, &request, now).await? {
                    return Ok(earlier);
                }
                let currency = input.amount.currency;
                Chart { book, currency }.open_platform(tx).await?;
                store::lock_funding(tx, provider.name(), currency).await?;
                let coverage = store::coverage_of(tx, currency).await?;
                if input.amount.minor > coverage.free() {
                    return Err(PayoutError::NotCovered { asked: input.amount, coverage });
                }
                let (id, operation_id) = (PlatformPayoutId::new(), OperationId::new());
                let key = app.keys.next(tx).await?;
                let command = Command::CreatePayout(CreatePayout {
                    account: None,
                    amount: input.amount,
                    instant_to: None,
                    metadata: sellers::metadata(operation_id, &id.to_string()),
                });
                let operation = NewOperation {
                    id: operation_id,
                    key: app.keys.next(tx).await?,
                    target: Target { object_type: "platform_payout", object_id: id.uuid(), object_key: key },
                    provider: provider.name(),
                    request: provider.prepare(&command)?,
                    command,
                    actor,
                };
                let free = coverage.free();
                let payout = store::insert(tx, (id, key), &input, provider.name(), free, actor, now).await?;
                idempotency::bind(tx, &request.key, "platform_payout", id.uuid()).await?;
                operations::plan(tx, &operation, FirstTry::Now, now).await?;
                record(tx, &payout, None, actor, now).await?;
                Ok(Begun::Fresh(id))
            })
        })
        .await
}

/// Takes the provider's word on a payout of the platform's balance. None when it is none of ours.
///
/// # Errors
/// [`PayoutError`].
pub async fn apply(
    tx: &mut Tx,
    said: &Said,
    journal: &mut Journal,
    now: Timestamp,
) -> Result<Option<PlatformPayoutId>, PayoutError> {
    let named = said.metadata.get(METADATA_OBJECT).and_then(|text| PlatformPayoutId::parse(text).ok());
    let Some(payout) = store::find_for_update(tx, named, &said.id).await? else { return Ok(None) };
    if payout.amount != said.amount {
        return Err(PayoutError::Contradiction(format!("{} of {}", said.amount, said.id)));
    }
    let payout = match &payout.provider_payout {
        Some(known) if *known == said.id => payout,
        Some(_) => return Err(PayoutError::Contradiction(format!("{} is another payout of one command", said.id))),
        None if payout.status == PayoutStatus::Processing => take(tx, payout, said, journal, now).await?,
        None => return Err(PayoutError::Contradiction("it was refused before".to_owned())),
    };
    let told = status_of(&said.status);
    if told.rank() > payout.status.rank() {
        advance(tx, &payout, told, said, journal, now).await?;
    }
    Ok(Some(payout.id))
}

/// The provider has taken it: it left the balance.
async fn take(
    tx: &mut Tx,
    payout: PlatformPayout,
    said: &Said,
    journal: &mut Journal,
    now: Timestamp,
) -> Result<PlatformPayout, PayoutError> {
    let movement = said.balance_transaction.as_ref().ok_or(PayoutError::Incomplete("no balance transaction"))?;
    let taken = store::accept(tx, &payout, said, now).await?;
    record(tx, &taken, Some(payout.status), Actor::System, now).await?;
    let entries = entries::platform_sent(chart(tx, &taken), -movement.net, movement.state);
    book(tx, &taken, movement, Kind::PlatformPayoutSent, entries, journal).await?;
    Ok(taken)
}

async fn advance(
    tx: &mut Tx,
    payout: &PlatformPayout,
    told: PayoutStatus,
    said: &Said,
    journal: &mut Journal,
    now: Timestamp,
) -> Result<(), PayoutError> {
    let failure = refusal_of(said, told);
    let changed = store::set_status(tx, payout, told, failure.as_ref(), now).await?;
    record(tx, &changed, Some(payout.status), Actor::System, now).await?;
    if told == PayoutStatus::Paid {
        journal.add(Record {
            kind: Kind::PlatformPayoutPaid,
            source: payout.key,
            subject: payout.key,
            effective_at: now,
            actor: Actor::System,
            floors: Floors::Pass,
            entries: entries::platform_paid(chart(tx, payout), payout.amount.minor),
        });
    }
    if told.came_back() {
        let movement = said.failure_transaction.as_ref().ok_or(PayoutError::Incomplete("no failure transaction"))?;
        let after_paid = payout.status == PayoutStatus::Paid;
        let entries = entries::platform_came_back(chart(tx, payout), movement.net, movement.state, after_paid);
        book(tx, payout, movement, Kind::PlatformPayoutFailed, entries, journal).await?;
    }
    Ok(())
}

async fn book(
    tx: &mut Tx,
    payout: &PlatformPayout,
    movement: &BalanceTransaction,
    kind: Kind,
    entries: Vec<Entry>,
    journal: &mut Journal,
) -> Result<(), PayoutError> {
    if movement.currency != payout.amount.currency || movement.net.abs() != payout.amount.minor {
        return Err(PayoutError::Contradiction(format!("{} moved {}", movement.id, movement.net)));
    }
    let owner = Owner { object_type: "platform_payout", object_id: Some(payout.id.uuid()) };
    let recorded = provider_movements::record(tx, journal.keys(), &payout.provider, "", movement, owner).await?;
    let Recorded::New(source) = recorded else {
        return Err(PayoutError::Contradiction(format!("{} is booked for something else", movement.id)));
    };
    journal.add(Record {
        kind,
        source,
        subject: payout.key,
        effective_at: effective_at(movement),
        actor: Actor::System,
        floors: Floors::Pass,
        entries,
    });
    Ok(())
}

fn chart(tx: &Tx, payout: &PlatformPayout) -> Chart {
    Chart { book: tx.book_id(), currency: payout.amount.currency }
}

/// Takes the provider's refusal of a payout: nothing moved.
///
/// # Errors
/// What the database says.
pub async fn apply_refusal(
    tx: &mut Tx,
    id: PlatformPayoutId,
    refusal: &Refusal,
    now: Timestamp,
) -> Result<(), PayoutError> {
    let payout = store::find_for_update(tx, Some(id), "").await?.ok_or(PayoutError::NotFound)?;
    if payout.status != PayoutStatus::Processing {
        return Ok(());
    }
    let changed = store::set_status(tx, &payout, PayoutStatus::Failed, Some(refusal), now).await?;
    record(tx, &changed, Some(payout.status), Actor::System, now).await
}

fn event(status: PayoutStatus, from: Option<PayoutStatus>) -> &'static str {
    match status {
        PayoutStatus::Pending if from.is_some() => "platform_payout.accepted",
        PayoutStatus::Processing | PayoutStatus::Pending => "platform_payout.created",
        PayoutStatus::InTransit => "platform_payout.in_transit",
        PayoutStatus::Paid => "platform_payout.paid",
        PayoutStatus::Failed => "platform_payout.failed",
        PayoutStatus::Canceled => "platform_payout.canceled",
    }
}

async fn record(
    tx: &mut Tx,
    payout: &PlatformPayout,
    from: Option<PayoutStatus>,
    actor: Actor,
    now: Timestamp,
) -> Result<(), PayoutError> {
    let change = Change {
        object_type: "platform_payout",
        object_id: payout.id.uuid(),
        sequence: payout.sequence,
        from: from.map(PayoutStatus::as_str),
        to: payout.status.as_str(),
        event: event(payout.status, from),
        payload: serde_json::json!({
            "object": "platform_payout", "id": payout.id, "reference": payout.reference,
            "status": payout.status.as_str(), "amount": payout.amount.minor, "currency": payout.amount.currency,
        }),
        actor,
        detail: payout.failure.as_ref().map(|failure| failure.message.clone()),
        at: now,
    };
    Ok(outbox::record(tx, &change).await?)
}
