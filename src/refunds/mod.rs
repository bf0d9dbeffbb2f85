//! Refunds: money back to the buyer, taken from those who got it.
//!
//! Who bears what of it (commission, processor's fee, tax) is declared ([`declare`]), and each refund may say otherwise. What it
//! takes from whom is decided by [`allocation`] when it is asked, under the payment's row lock and
//! counting everything asked before; the rows' constraints refuse more than there is. The sellers' parts leave their
//! balances when the refund is asked; the provider's confirmation takes it from the platform's balance, and then the
//! transfers are taken back as far as the refund made them too large.
//!
//! A refund that fails after its money had left is `returned`: the money is back and stays in clearing, because the buyer is
//! still owed, until somebody decides ([`resolve()`]): one person within what is declared for a day, two above it (`approvals`).

mod allocation;
mod apply;
mod direct;
mod error;
mod policy;
mod resolve;
mod store;

use std::sync::Arc;

use jiff::Timestamp;
use partita_db::{BookId, DbError, Scope, Tx};
use partita_ledger::Floors;
use partita_provider::{Command, CreateRefund, Money, Refusal};

pub use allocation::{Allocated, Asked};
pub use apply::{apply, apply_refusal};
pub use direct::check_outcome;
pub use error::RefundError;
pub use policy::{Commission, Overrides, Policy, ProcessorFee, Tax};
pub use resolve::{Decided, Resolution, check_returned, lock_returned, may_decide_alone, resolve};
pub use store::{ListFilter, find, find_lines, find_policy, insert_limit, list, list_by_payment, list_limits};

use crate::actor::Actor;
use crate::app::App;
use crate::chart::Kind;
use crate::id::{OperationId, PaymentId, RefundId};
use crate::idempotency::{self, Begun};
use crate::journal::{Journal, Record};
use crate::operations::{self, FirstTry, NewOperation, Target};
use crate::outbox::{self, Change, Declaration};
use crate::payments::{self, DirectCharge, Payment, PaymentStatus, RefundShare};
use crate::reserves;
use crate::sellers;

/// Where a refund stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefundStatus {
    /// Asked; no definite answer yet.
    Processing,
    /// The provider has it and waits.
    Pending,
    /// Sent to the buyer.
    Succeeded,
    /// It failed after its money had left: the money is back, and still owed to the buyer until somebody decides.
    Returned,
    /// It came back and was paid from the platform's bank account instead.
    Settled,
    /// Refused, or given up after it came back: everyone has what was taken for it.
    Failed,
}

impl RefundStatus {
    /// The stored and shown word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Processing => "processing",
            Self::Pending => "pending",
            Self::Succeeded => "succeeded",
            Self::Returned => "returned",
            Self::Settled => "settled",
            Self::Failed => "failed",
        }
    }

    /// Reads the stored word.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Processing, Self::Pending, Self::Succeeded, Self::Returned, Self::Settled, Self::Failed]
            .into_iter()
            .find(|status| status.as_str() == text)
    }
}

/// A refund.
#[derive(Debug, Clone)]
pub struct Refund {
    /// Its id.
    pub id: RefundId,
    /// Its number.
    pub key: i64,
    /// The platform's own id of it.
    pub reference: Option<String>,
    /// What is given back.
    pub payment: PaymentId,
    /// How much, tax included.
    pub amount: Money,
    /// Where it stands.
    pub status: RefundStatus,
    /// Who bears what of it.
    pub policy: Policy,
    /// Why, in the platform's words.
    pub reason: Option<String>,
    /// The provider's name.
    pub provider: String,
    /// Its id at the provider.
    pub provider_refund: Option<String>,
    /// Why it failed, or came back.
    pub failure: Option<Refusal>,
    /// What was decided when it had come back, in the words of who decided.
    pub resolution: Option<String>,
    /// Who decided.
    pub resolved_by: Option<String>,
    /// Who agreed; none where one person was enough.
    pub resolution_approved_by: Option<String>,
    /// When, by the business clock.
    pub resolved_at: Option<Timestamp>,
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
pub struct NewRefund {
    /// The payment to give back of.
    pub payment: PaymentId,
    /// How much of what.
    pub asked: Asked,
    /// What it says itself of who bears what.
    pub said: Overrides,
    /// Why, in the platform's words.
    pub reason: Option<String>,
    /// The platform's own id, unique among its refunds.
    pub reference: Option<String>,
    /// The platform's own data.
    pub metadata: serde_json::Value,
}

/// Checks, allocates, books and stores a refund and the intent to ask it; the caller submits the operation.
///
/// # Errors
/// [`RefundError`]; nothing is stored then.
pub async fn create(
    app: &Arc<App>,
    book: BookId,
    actor: Actor,
    request: idempotency::Request,
    input: NewRefund,
) -> Result<Begun<RefundId>, RefundError> {
    let provider = app.provider(book).await?;
    let now = app.clock.now();
    let (app_in, input) = (Arc::clone(app), Arc::new(input));
    app.db
        .run_tx("create refund", Scope::Book(book), move |tx| {
            let (app, input, provider, request) =
                (Arc::clone(&app_in), Arc::clone(&input), Arc::clone(&provider), request.clone());
            Box::pin(async move {
                if let Some(earlier) = idempotency::claim_movement(tx, &request, now).await? {
                    return Ok(earlier);
                }
                let payment =
                    payments::find_for_update(tx, input.payment).await?.ok_or(RefundError::PaymentNotFound)?;
                let provider_payment = refundable(&payment)?;
                let lines = payments::find_lines(tx, payment.id).await?;
                let policy = store::find_policy(tx).await?.with(input.said);
                let direct = payments::find_direct(tx, &payment).await?;
                let allocated = direct::allocate(&lines, &input.asked, policy, &payment, direct.as_ref())?;
                let (id, operation_id) = (RefundId::new(), OperationId::new());
                let amount = Money::new(allocated.gross, payment.amount.currency);
                let command = command(operation_id, id, provider_payment, amount, policy, direct.as_ref());
                let key = app.keys.next(tx).await?;
                let operation = NewOperation {
                    id: operation_id,
                    key: app.keys.next(tx).await?,
                    target: Target { object_type: "refund", object_id: id.uuid(), object_key: payment.key },
                    provider: provider.name(),
                    request: provider.prepare(&command)?,
                    command,
                    actor,
                };
                let refund = store::insert(tx, id, key, &input, policy, &payment, amount, actor, now).await?;
                store::insert_lines(tx, id, &allocated.shares).await?;
                payments::record_refund(tx, payment.id, &allocated.shares, 1, now).await?;
                idempotency::bind(tx, &request.key, "refund", id.uuid()).await?;
                operations::plan(tx, &operation, FirstTry::Now, now).await?;
                record(tx, &refund, None, "refund.created", actor, now).await?;
                let mut journal = Journal::new(&app.keys);
                let (ground, lost) = (payment.reserve_ground(), payments::losses(&lines, &allocated.shares));
                reserves::draw(tx, &ground, id.uuid(), &lost, &mut journal, now).await?;
                let chart = payments::chart(book, payment.amount.currency);
                let entries = match direct {
                    None => payments::refund_shares(chart, &lines, &allocated.shares, payment.funds),
                    // The seller's own account gives it when the provider says so.
                    Some(_) => Vec::new(),
                };
                journal.add(Record {
                    kind: Kind::RefundAsked,
                    source: operation.key,
                    subject: payment.key,
                    effective_at: now,
                    actor,
                    floors: Floors::Pass,
                    entries,
                });
                journal.post(tx).await?;
                Ok(Begun::Fresh(id))
            })
        })
        .await
}

/// Declares who bears what of refunds from now on. Refunds that were asked keep what they were asked with.
///
/// # Errors
/// What the database says.
pub async fn declare(app: &Arc<App>, book: BookId, actor: Actor, policy: Policy) -> Result<Policy, DbError> {
    let now = app.clock.now();
    app.db
        .run_tx("declare refund policy", Scope::Book(book), move |tx| {
            Box::pin(async move {
                outbox::lock_declaration(tx, Declaration::RefundPolicy).await?;
                let declared = store::insert_policy(tx, policy, actor, now).await?;
                let payload = serde_json::json!({
                    "object": "refund_policy", "version": declared.version, "fee": declared.commission.as_str(),
                    "processor_fee": declared.processor_fee.as_str(), "tax": declared.tax.as_str(),
                    "declared_by": actor.to_string(),
                });
                outbox::record_declaration(tx, Declaration::RefundPolicy, payload, actor, None, now).await?;
                Ok(declared)
            })
        })
        .await
}

/// What a refund would take from whom. Changes nothing.
///
/// # Errors
/// As [`create`].
pub async fn preview(
    app: &Arc<App>,
    book: BookId,
    payment: PaymentId,
    asked: Asked,
    said: Overrides,
) -> Result<(Payment, Policy, Allocated), RefundError> {
    let (provider, asked) = (app.provider(book).await?, Arc::new(asked));
    app.db
        .read("preview refund", Scope::Book(book), move |tx| {
            let (provider, asked) = (Arc::clone(&provider), Arc::clone(&asked));
            Box::pin(async move {
                let payment = payments::find(tx, payment).await?.ok_or(RefundError::PaymentNotFound)?;
                let provider_payment = refundable(&payment)?;
                let lines = payments::find_lines(tx, payment.id).await?;
                let policy = store::find_policy(tx).await?.with(said);
                let direct = payments::find_direct(tx, &payment).await?;
                let allocated = direct::allocate(&lines, &asked, policy, &payment, direct.as_ref())?;
                // What the provider cannot be asked is not shown as if it could: amounts that are too fine for it.
                let amount = Money::new(allocated.gross, payment.amount.currency);
                let (operation, id) = (OperationId::new(), RefundId::new());
                provider.prepare(&command(operation, id, provider_payment, amount, policy, direct.as_ref()))?;
                Ok((payment, policy, allocated))
            })
        })
        .await
}

fn command(
    operation: OperationId,
    id: RefundId,
    payment: String,
    amount: Money,
    policy: Policy,
    direct: Option<&DirectCharge>,
) -> Command {
    let metadata = sellers::metadata(operation, &id.to_string());
    let has_fee = direct.is_some_and(|direct| direct.application_fee > 0);
    let returns_application_fee = has_fee && policy.commission == Commission::Returned;
    Command::CreateRefund(CreateRefund { payment, amount, returns_application_fee, metadata })
        .on(direct.map(|direct| direct.account.as_str()))
}

fn refundable(payment: &Payment) -> Result<String, RefundError> {
    match (payment.status, &payment.provider_payment) {
        (PaymentStatus::Succeeded, Some(provider_payment)) => Ok(provider_payment.clone()),
        (status, _) => Err(RefundError::WrongState { status }),
    }
}

async fn record(
    tx: &mut Tx,
    refund: &Refund,
    from: Option<RefundStatus>,
    event: &'static str,
    actor: Actor,
    now: Timestamp,
) -> Result<(), RefundError> {
    let change = Change {
        object_type: "refund",
        object_id: refund.id.uuid(),
        sequence: refund.sequence,
        from: from.map(RefundStatus::as_str),
        to: refund.status.as_str(),
        event,
        payload: serde_json::json!({
            "object": "refund", "id": refund.id, "payment": refund.payment, "status": refund.status.as_str(),
            "amount": refund.amount.minor, "currency": refund.amount.currency, "fee": refund.policy.commission.as_str(),
            "processor_fee": refund.policy.processor_fee.as_str(), "tax": refund.policy.tax.as_str(),
        }),
        actor,
        detail: refund.resolution.clone().or_else(|| refund.failure.as_ref().map(|failure| failure.message.clone())),
        at: now,
    };
    Ok(outbox::record(tx, &change).await?)
}

/// The lines of a refund as shares of its payment's lines.
pub(crate) type Shares = Vec<RefundShare>;
