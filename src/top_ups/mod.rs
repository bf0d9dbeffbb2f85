//! Top-ups: money of the platform's bank account, added to its balance at the provider, to cover refunds.
//!
//! The bank is credited when the top-up is asked; the provider's confirmation ends the clearing.

pub mod entries;
mod store;

use std::sync::Arc;

use jiff::Timestamp;
use partita_db::{BookId, DbError, Scope, Tx};
use partita_ledger::{Floors, LedgerError};
use partita_provider::{
    Command, CreateTopUp, Money, PrepareError, Refusal, TopUp as Said, TopUpStatus as ProviderStatus,
};

pub use store::{find, list};

use crate::actor::Actor;
use crate::app::{App, ProviderSetupError};
use crate::chart::{Chart, Kind};
use crate::id::{OperationId, TopUpId};
use crate::idempotency::{self, Begun, ClaimError};
use crate::journal::{Entry, Journal, JournalError, Record};
use crate::operations::{self, FirstTry, NewOperation, Operation, Target};
use crate::outbox::{self, Change};
use crate::provider_movements::{self, Owner, Recorded, effective_at};
use crate::sellers::{self, METADATA_OBJECT};

/// Where a top-up stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TopUpStatus {
    /// Asked; no definite answer yet.
    Processing,
    /// On its way from the bank.
    Pending,
    /// Arrived.
    Succeeded,
    /// Refused; nothing moved.
    Failed,
}

impl TopUpStatus {
    /// The stored and shown word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Processing => "processing",
            Self::Pending => "pending",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
        }
    }

    /// Reads the stored word.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Processing, Self::Pending, Self::Succeeded, Self::Failed].into_iter().find(|s| s.as_str() == text)
    }

    fn is_open(self) -> bool {
        matches!(self, Self::Processing | Self::Pending)
    }
}

/// A top-up.
#[derive(Debug, Clone)]
pub struct TopUp {
    /// Its id.
    pub id: TopUpId,
    /// Its ledger subject.
    pub key: i64,
    /// The platform's own id of it.
    pub reference: String,
    /// What is added.
    pub amount: Money,
    /// Where it stands.
    pub status: TopUpStatus,
    /// What the provider shows.
    pub description: Option<String>,
    /// The provider's name.
    pub provider: String,
    /// Its id at the provider.
    pub provider_top_up: Option<String>,
    /// Why it failed.
    pub failure: Option<Refusal>,
    /// The platform's own data.
    pub metadata: serde_json::Value,
    /// How often it changed.
    pub sequence: i32,
    /// When it was asked, by the business clock.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// What a platform asks.
#[derive(Debug, Clone)]
pub struct NewTopUp {
    /// The platform's own id, unique among its top-ups.
    pub reference: String,
    /// What is added.
    pub amount: Money,
    /// What the provider shows.
    pub description: Option<String>,
    /// The platform's own data.
    pub metadata: serde_json::Value,
}

/// Why something cannot be done with a top-up.
#[derive(Debug, thiserror::Error)]
pub enum TopUpError {
    /// No such top-up in this book.
    #[error("no such top-up")]
    NotFound,
    /// Another top-up has the reference.
    #[error("a top-up with this reference exists")]
    ReferenceTaken,
    /// The idempotency key cannot be claimed.
    #[error(transparent)]
    Claim(#[from] ClaimError),
    /// The provider's object contradicts ours: nothing is booked, a person has to look.
    #[error("the provider's object contradicts the top-up: {0}")]
    Contradiction(String),
    /// The provider's object lacks what its booking needs; read again later it may have it.
    #[error("the provider's object is not complete yet: {0}")]
    Incomplete(&'static str),
    /// The provider cannot take the command.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    /// The provider is not set up.
    #[error(transparent)]
    Provider(#[from] ProviderSetupError),
    /// The ledger refused.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The ledger refused to open accounts.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The database refused.
    #[error(transparent)]
    Db(#[from] DbError),
}

/// Stores a top-up and the intent to ask it; the caller submits the operation.
///
/// # Errors
/// [`TopUpError`]; nothing is stored then.
pub async fn create(
    app: &Arc<App>,
    book: BookId,
    actor: Actor,
    request: idempotency::Request,
    input: NewTopUp,
) -> Result<Begun<TopUpId>, TopUpError> {
    let provider = app.provider(book).await?;
    let now = app.clock.now();
    let (app_in, input) = (Arc::clone(app), Arc::new(input));
    app.db
        .run_tx("create top-up", Scope::Book(book), move |tx| {
            let (app, input, provider, request) =
                (Arc::clone(&app_in), Arc::clone(&input), Arc::clone(&provider), request.clone());
            Box::pin(async move {
                if let Some(earlier) = idempotency::claim_movement(tx, &request, now).await? {
                    return Ok(earlier);
                }
                let (id, operation_id) = (TopUpId::new(), OperationId::new());
                let key = app.keys.next(tx).await?;
                let command = Command::CreateTopUp(CreateTopUp {
                    amount: input.amount,
                    description: input.description.clone(),
                    metadata: sellers::metadata(operation_id, &id.to_string()),
                });
                let operation = NewOperation {
                    id: operation_id,
                    key: app.keys.next(tx).await?,
                    target: Target { object_type: "top_up", object_id: id.uuid(), object_key: key },
                    provider: provider.name(),
                    request: provider.prepare(&command)?,
                    command,
                    actor,
                };
                let top_up = store::insert(tx, id, key, &input, provider.name(), actor, now).await?;
                idempotency::bind(tx, &request.key, "top_up", id.uuid()).await?;
                operations::plan(tx, &operation, FirstTry::Now, now).await?;
                record(tx, &top_up, None, "top_up.created", actor, now).await?;
                let chart = Chart { book, currency: input.amount.currency };
                chart.open_platform(tx).await?;
                let mut journal = Journal::new(&app.keys);
                journal.add(booked(
                    Kind::TopUpAsked,
                    operation.key,
                    key,
                    now,
                    actor,
                    entries::asked(chart, input.amount.minor),
                ));
                journal.post(tx).await?;
                Ok(Begun::Fresh(id))
            })
        })
        .await
}

fn booked(kind: Kind, source: i64, subject: i64, effective_at: Timestamp, actor: Actor, entry: Entry) -> Record {
    Record { kind, source, subject, effective_at, actor, floors: Floors::Pass, entries: vec![entry] }
}

/// Takes the provider's word on a top-up. Returns ours, if it is one of this book's.
///
/// # Errors
/// [`TopUpError::Contradiction`], [`TopUpError::Incomplete`].
pub async fn apply(
    tx: &mut Tx,
    said: &Said,
    journal: &mut Journal,
    now: Timestamp,
) -> Result<Option<TopUpId>, TopUpError> {
    let named = said.metadata.get(METADATA_OBJECT).and_then(|text| TopUpId::parse(text).ok());
    let Some(top_up) = store::find_for_update(tx, named, &said.id).await? else {
        return Ok(None);
    };
    if said.amount != top_up.amount {
        return Err(TopUpError::Contradiction(format!("{} instead of {}", said.amount, top_up.amount)));
    }
    if top_up.provider_top_up.as_ref().is_some_and(|known| *known != said.id) {
        return Err(TopUpError::Contradiction(format!("{} is another top-up of the same amount", said.id)));
    }
    match &said.status {
        ProviderStatus::Succeeded if top_up.status == TopUpStatus::Failed => {
            return Err(TopUpError::Contradiction("it was refused before".to_owned()));
        }
        ProviderStatus::Succeeded if top_up.status.is_open() => succeed(tx, &top_up, said, journal, now).await?,
        ProviderStatus::Pending if top_up.status == TopUpStatus::Processing => {
            let changed = store::set_status(tx, &top_up, TopUpStatus::Pending, Some(&said.id), None, now).await?;
            record(tx, &changed, Some(top_up.status), "top_up.pending", Actor::System, now).await?;
        }
        ProviderStatus::Failed | ProviderStatus::Canceled if top_up.status.is_open() => {
            let refusal = Refusal {
                code: said.failure_code.clone().unwrap_or_else(|| "unknown".to_owned()),
                decline_code: None,
                message: "the bank or the provider refused the top-up".to_owned(),
                request_id: None,
            };
            let operation =
                operations::find_newest_by_object(tx, top_up.id.uuid()).await?.ok_or(TopUpError::NotFound)?;
            undo(tx, &top_up, &operation, Some(&said.id), &refusal, journal, now).await?;
        }
        ProviderStatus::Reversed | ProviderStatus::Failed if top_up.status == TopUpStatus::Succeeded => {
            return Err(TopUpError::Contradiction("it was taken back after it had arrived".to_owned()));
        }
        _ => {}
    }
    Ok(Some(top_up.id))
}

async fn succeed(
    tx: &mut Tx,
    top_up: &TopUp,
    said: &Said,
    journal: &mut Journal,
    now: Timestamp,
) -> Result<(), TopUpError> {
    let movement = said.balance_transaction.as_ref().ok_or(TopUpError::Incomplete("no balance transaction"))?;
    if movement.currency != top_up.amount.currency || movement.net != top_up.amount.minor {
        return Err(TopUpError::Contradiction(format!("{} moved {}", movement.id, movement.net)));
    }
    let owner = Owner { object_type: "top_up", object_id: Some(top_up.id.uuid()) };
    let recorded = provider_movements::record(tx, journal.keys(), &top_up.provider, "", movement, owner).await?;
    let Recorded::New(source) = recorded else {
        return Err(TopUpError::Contradiction(format!("{} is booked for something else", movement.id)));
    };
    let changed = store::set_status(tx, top_up, TopUpStatus::Succeeded, Some(&said.id), None, now).await?;
    record(tx, &changed, Some(top_up.status), "top_up.succeeded", Actor::System, now).await?;
    let chart = Chart { book: tx.book_id(), currency: top_up.amount.currency };
    let entry = entries::confirmed(chart, movement.net, movement.state);
    journal.add(booked(Kind::TopUpConfirmed, source, top_up.key, effective_at(movement), Actor::System, entry));
    Ok(())
}

/// Takes the provider's refusal of a top-up: the bank has its money back.
///
/// # Errors
/// What the database says.
pub async fn apply_refusal(
    tx: &mut Tx,
    id: TopUpId,
    operation: &Operation,
    refusal: &Refusal,
    journal: &mut Journal,
    now: Timestamp,
) -> Result<(), TopUpError> {
    let top_up = store::find_for_update(tx, Some(id), "").await?.ok_or(TopUpError::NotFound)?;
    if top_up.status != TopUpStatus::Processing {
        return Ok(());
    }
    undo(tx, &top_up, operation, None, refusal, journal, now).await
}

async fn undo(
    tx: &mut Tx,
    top_up: &TopUp,
    operation: &Operation,
    provider_top_up: Option<&str>,
    refusal: &Refusal,
    journal: &mut Journal,
    now: Timestamp,
) -> Result<(), TopUpError> {
    let changed = store::set_status(tx, top_up, TopUpStatus::Failed, provider_top_up, Some(refusal), now).await?;
    record(tx, &changed, Some(top_up.status), "top_up.failed", Actor::System, now).await?;
    let chart = Chart { book: tx.book_id(), currency: top_up.amount.currency };
    let entry = entries::refused(chart, top_up.amount.minor);
    journal.add(booked(Kind::TopUpRefused, operation.key, top_up.key, now, Actor::System, entry));
    Ok(())
}

async fn record(
    tx: &mut Tx,
    top_up: &TopUp,
    from: Option<TopUpStatus>,
    event: &'static str,
    actor: Actor,
    now: Timestamp,
) -> Result<(), TopUpError> {
    let change = Change {
        object_type: "top_up",
        object_id: top_up.id.uuid(),
        sequence: top_up.sequence,
        from: from.map(TopUpStatus::as_str),
        to: top_up.status.as_str(),
        event,
        payload: serde_json::json!({
            "object": "top_up", "id": top_up.id, "reference": top_up.reference, "status": top_up.status.as_str(),
            "amount": top_up.amount.minor, "currency": top_up.amount.currency,
        }),
        actor,
        detail: top_up.failure.as_ref().map(|failure| failure.message.clone()),
        at: now,
    };
    Ok(outbox::record(tx, &change).await?)
}
