//! What can be asked of a payment that is not charged yet: to capture what is authorised, and to give it up.

use std::sync::Arc;

use jiff::Timestamp;
use partita_db::{BookId, Scope, Tx};
use partita_provider::{CancelPayment, CapturePayment, Command, Money, Provider};

use super::capture::{self, CaptureAsked};
use super::charge_type;
use super::direct::find_direct;
use super::{ChargeType, Line, Payment, PaymentError, PaymentStatus, SellerShare, store};
use crate::actor::Actor;
use crate::app::App;
use crate::id::{OperationId, PaymentId};
use crate::idempotency::{self, Begun};
use crate::operations::{self, FirstTry, NewOperation, Target};

/// Plans to capture what is authorised, in part or whole; the caller submits the operation.
///
/// # Errors
/// [`PaymentError::WrongState`] in any other state; [`PaymentError::CommandOpen`] while it is being captured or canceled;
/// [`PaymentError`] when more is asked than is authorised.
pub async fn capture(
    app: &Arc<App>,
    book: BookId,
    actor: Actor,
    request: idempotency::Request,
    id: PaymentId,
    asked: CaptureAsked,
) -> Result<Begun<PaymentId>, PaymentError> {
    let provider = app.provider(book).await?;
    let now = app.clock.now();
    let (app_in, asked) = (Arc::clone(app), Arc::new(asked));
    app.db
        .run_tx("capture payment", Scope::Book(book), move |tx| {
            let (app, asked, provider, request) =
                (Arc::clone(&app_in), Arc::clone(&asked), Arc::clone(&provider), request.clone());
            Box::pin(async move {
                if let Some(earlier) = idempotency::claim_movement(tx, &request, now).await? {
                    return Ok(earlier);
                }
                let payment = store::find_for_update(tx, id).await?.ok_or(PaymentError::NotFound)?;
                let provider_payment = waiting(&payment, "captured", &[PaymentStatus::Authorized])?;
                refuse_open_command(tx, &payment).await?;
                let lines = store::find_lines(tx, id).await?;
                let (gross, shares) = capture::spread(&lines, &asked)?;
                let amount = Money::new(gross, payment.amount.currency);
                let sent = sent_of(&payment, &lines, &shares)?;
                let command = Command::CapturePayment(CapturePayment { payment: provider_payment, amount, sent });
                idempotency::bind(tx, &request.key, "payment", id.uuid()).await?;
                let operation = plan(tx, &app, &*provider, &payment, command, actor, now).await?;
                store::insert_capture(tx, operation, id, &shares).await?;
                Ok(Begun::Fresh(id))
            })
        })
        .await
}

/// Plans to give up a payment that waits for its buyer or is authorised; the caller submits the operation.
///
/// # Errors
/// [`PaymentError::WrongState`] in any other state; [`PaymentError::CommandOpen`] while it is being captured or canceled.
pub async fn cancel(
    app: &Arc<App>,
    book: BookId,
    actor: Actor,
    request: idempotency::Request,
    id: PaymentId,
) -> Result<Begun<PaymentId>, PaymentError> {
    let provider = app.provider(book).await?;
    let now = app.clock.now();
    let app_in = Arc::clone(app);
    app.db
        .run_tx("cancel payment", Scope::Book(book), move |tx| {
            let (app, provider, request) = (Arc::clone(&app_in), Arc::clone(&provider), request.clone());
            Box::pin(async move {
                if let Some(earlier) = idempotency::claim(tx, &request, now).await? {
                    return Ok(earlier);
                }
                let payment = store::find_for_update(tx, id).await?.ok_or(PaymentError::NotFound)?;
                let lawful = [PaymentStatus::RequiresAction, PaymentStatus::Authorized];
                let provider_payment = waiting(&payment, "canceled", &lawful)?;
                refuse_open_command(tx, &payment).await?;
                let direct = find_direct(tx, &payment).await?;
                let command = Command::CancelPayment(CancelPayment { payment: provider_payment })
                    .on(direct.as_ref().map(|direct| direct.account.as_str()));
                idempotency::bind(tx, &request.key, "payment", id.uuid()).await?;
                plan(tx, &app, &*provider, &payment, command, actor, now).await?;
                Ok(Begun::Fresh(id))
            })
        })
        .await
}

/// What of a capture the provider sends to the payment's destination: the share of what is captured.
fn sent_of(payment: &Payment, lines: &[Line], captured: &[SellerShare]) -> Result<Option<Money>, PaymentError> {
    if payment.charge_type != ChargeType::Destination {
        return Ok(None);
    }
    let of = |line: &Line| {
        let share = captured.iter().find(|share| share.line == line.number);
        let (amount, tax, commission) = share.map_or((0, 0, 0), |share| (share.amount, share.tax, share.commission));
        Line { amount, tax_amount: tax, commission, ..line.clone() }
    };
    let sent = charge_type::sent(&lines.iter().map(of).collect::<Vec<_>>());
    if sent < 1 {
        return Err(PaymentError::NothingToSendOfCapture);
    }
    Ok(Some(Money::new(sent, payment.amount.currency)))
}

/// Its id at the provider, if it is in one of the lawful states.
fn waiting(payment: &Payment, action: &'static str, lawful: &[PaymentStatus]) -> Result<String, PaymentError> {
    match &payment.provider_payment {
        Some(provider_payment) if lawful.contains(&payment.status) => Ok(provider_payment.clone()),
        _ => Err(PaymentError::WrongState { action, status: payment.status }),
    }
}

async fn refuse_open_command(tx: &mut Tx, payment: &Payment) -> Result<(), PaymentError> {
    let newest = operations::find_newest_by_object(tx, payment.id.uuid()).await?;
    let changes = |kind: &str| matches!(kind, "cancel_payment" | "capture_payment");
    if newest.is_some_and(|operation| changes(&operation.kind) && !operation.state.is_final()) {
        return Err(PaymentError::CommandOpen);
    }
    Ok(())
}

async fn plan(
    tx: &mut Tx,
    app: &App,
    provider: &dyn Provider,
    payment: &Payment,
    command: Command,
    actor: Actor,
    now: Timestamp,
) -> Result<OperationId, PaymentError> {
    let operation = NewOperation {
        id: OperationId::new(),
        key: app.keys.next(tx).await?,
        target: Target { object_type: "payment", object_id: payment.id.uuid(), object_key: payment.key },
        provider: provider.name(),
        request: provider.prepare(&command)?,
        command,
        actor,
    };
    operations::plan(tx, &operation, FirstTry::Now, now).await?;
    Ok(operation.id)
}
