//! Customers: buyers who come again, and their payment methods, saved as the provider's tokens.
//!
//! 1. [`create`] has the provider know a customer; nothing of a buyer is kept but the platform's own reference.
//! 2. [`save`] sets a method up for later charges: the buyer may have to confirm it, as with a payment. What the provider makes
//!    of the token is the saved method; [`apply_setup`] takes its word, whoever brings it.
//! 3. Payments name a saved method, also while the buyer is away (`payments`).
//! 4. [`detach`] takes a method from its customer, for good.
//!
//! No money moves here, and nothing is booked.

mod apply;
mod error;
mod state;
mod store;

use std::sync::Arc;

use jiff::Timestamp;
use partita_db::{BookId, Scope, Tx};
use partita_provider::{Command, CreateCustomer, CreateSetup, DetachMethod, Provider, Refusal};

pub use apply::{apply, apply_method, apply_refusal, apply_setup, apply_setup_refusal};
pub use error::CustomerError;
pub use state::{CustomerStatus, MethodStatus};
pub use store::{MethodFilter, find, find_method, list, list_methods};

use crate::actor::Actor;
use crate::app::App;
use crate::id::{CustomerId, OperationId, PaymentMethodId};
use crate::idempotency::{self, Begun};
use crate::operations::{self, FirstTry, NewOperation, Target};
use crate::outbox::{self, Change};

/// A buyer who comes again.
#[derive(Debug, Clone)]
pub struct Customer {
    /// Its id.
    pub id: CustomerId,
    /// Its number.
    pub key: i64,
    /// The platform's own id of it.
    pub reference: String,
    /// Where it stands.
    pub status: CustomerStatus,
    /// The provider's name.
    pub provider: String,
    /// Its id at the provider.
    pub provider_customer: Option<String>,
    /// Why it failed.
    pub failure: Option<Refusal>,
    /// The platform's own data.
    pub metadata: serde_json::Value,
    /// How often it changed.
    pub sequence: i32,
    /// When it was made, by the business clock.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// What a buyer is shown of a method, to tell it from others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Looks {
    /// The provider's word for its type: `card`.
    pub kind: Option<String>,
    /// The card's brand.
    pub brand: Option<String>,
    /// The last four digits.
    pub last4: Option<String>,
    /// The month in which it expires, from 1.
    pub expires_month: Option<i32>,
    /// The year in which it expires.
    pub expires_year: Option<i32>,
}

/// A buyer's payment method.
#[derive(Debug, Clone)]
pub struct Method {
    /// Its id.
    pub id: PaymentMethodId,
    /// Its number.
    pub key: i64,
    /// Whose it is.
    pub customer: CustomerId,
    /// Where it stands.
    pub status: MethodStatus,
    /// What a buyer is shown of it, once it is saved.
    pub looks: Looks,
    /// The provider's name.
    pub provider: String,
    /// What set it up, by its id at the provider.
    pub provider_setup: Option<String>,
    /// Its id at the provider: the token that is charged.
    pub provider_method: Option<String>,
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

/// What a platform says of a new customer.
#[derive(Debug, Clone)]
pub struct NewCustomer {
    /// The platform's own id, unique among its customers.
    pub reference: String,
    /// The platform's own data.
    pub metadata: serde_json::Value,
}

/// A method to be saved.
#[derive(Debug, Clone)]
pub struct NewMethod {
    /// For whom.
    pub customer: CustomerId,
    /// The provider's token of it.
    pub token: String,
    /// Where the buyer comes back to from pages of its bank.
    pub return_url: Option<String>,
    /// The platform's own data.
    pub metadata: serde_json::Value,
}

/// Stores a customer and the intent to have the provider know it; the caller submits the operation.
///
/// # Errors
/// [`CustomerError`]; nothing is stored then.
pub async fn create(
    app: &Arc<App>,
    book: BookId,
    actor: Actor,
    request: idempotency::Request,
    input: NewCustomer,
) -> Result<Begun<CustomerId>, CustomerError> {
    let provider = app.provider(book).await?;
    let now = app.clock.now();
    let (app_in, input) = (Arc::clone(app), Arc::new(input));
    app.db
        .run_tx("create customer", Scope::Book(book), move |tx| {
            let (app, input, provider, request) =
                (Arc::clone(&app_in), Arc::clone(&input), Arc::clone(&provider), request.clone());
            Box::pin(async move {
                if let Some(earlier) = idempotency::claim(tx, &request, now).await? {
                    return Ok(earlier);
                }
                let (id, operation) = (CustomerId::new(), OperationId::new());
                let key = app.keys.next(tx).await?;
                let metadata = operations::metadata(operation, &id.to_string());
                let command = Command::CreateCustomer(CreateCustomer { metadata });
                let customer = store::insert(tx, id, key, &input, provider.name(), actor, now).await?;
                idempotency::bind(tx, &request.key, "customer", id.uuid()).await?;
                let target = Target { object_type: "customer", object_id: id.uuid(), object_key: key };
                plan(tx, &app, &*provider, (operation, target), command, actor, now).await?;
                record(tx, &customer, None, "customer.created", actor, now).await?;
                Ok(Begun::Fresh(id))
            })
        })
        .await
}

/// Stores a method and the intent to set it up for later charges; the caller submits the operation.
///
/// # Errors
/// [`CustomerError::UnknownCustomer`], [`CustomerError::CustomerNotActive`]; nothing is stored then.
pub async fn save(
    app: &Arc<App>,
    book: BookId,
    actor: Actor,
    request: idempotency::Request,
    input: NewMethod,
) -> Result<Begun<PaymentMethodId>, CustomerError> {
    let provider = app.provider(book).await?;
    let now = app.clock.now();
    let (app_in, input) = (Arc::clone(app), Arc::new(input));
    app.db
        .run_tx("save payment method", Scope::Book(book), move |tx| {
            let (app, input, provider, request) =
                (Arc::clone(&app_in), Arc::clone(&input), Arc::clone(&provider), request.clone());
            Box::pin(async move {
                if let Some(earlier) = idempotency::claim(tx, &request, now).await? {
                    return Ok(earlier);
                }
                let customer = store::find(tx, input.customer).await?.ok_or(CustomerError::UnknownCustomer)?;
                let at_provider = customer.provider_customer.filter(|_| customer.status == CustomerStatus::Active);
                let at_provider = at_provider.ok_or(CustomerError::CustomerNotActive(customer.status))?;
                let (id, operation) = (PaymentMethodId::new(), OperationId::new());
                let key = app.keys.next(tx).await?;
                let command = Command::CreateSetup(CreateSetup {
                    customer: at_provider,
                    payment_method: input.token.clone(),
                    return_url: input.return_url.clone(),
                    metadata: operations::metadata(operation, &id.to_string()),
                });
                let method = store::insert_method(tx, id, key, &input, provider.name(), actor, now).await?;
                idempotency::bind(tx, &request.key, "payment_method", id.uuid()).await?;
                let target = Target { object_type: "payment_method", object_id: id.uuid(), object_key: key };
                plan(tx, &app, &*provider, (operation, target), command, actor, now).await?;
                record_method(tx, &method, None, actor, now).await?;
                Ok(Begun::Fresh(id))
            })
        })
        .await
}

/// Stores the intent to take a saved method from its customer; the caller submits the operation.
///
/// # Errors
/// [`CustomerError::WrongState`] for what is not saved; [`CustomerError::CommandOpen`] while it is being detached.
pub async fn detach(
    app: &Arc<App>,
    book: BookId,
    actor: Actor,
    request: idempotency::Request,
    id: PaymentMethodId,
) -> Result<Begun<PaymentMethodId>, CustomerError> {
    let provider = app.provider(book).await?;
    let now = app.clock.now();
    let app_in = Arc::clone(app);
    app.db
        .run_tx("detach payment method", Scope::Book(book), move |tx| {
            let (app, provider, request) = (Arc::clone(&app_in), Arc::clone(&provider), request.clone());
            Box::pin(async move {
                if let Some(earlier) = idempotency::claim(tx, &request, now).await? {
                    return Ok(earlier);
                }
                let method = store::find_method_for_update(tx, id).await?.ok_or(CustomerError::MethodNotFound)?;
                let at_provider = method.provider_method.filter(|_| method.status == MethodStatus::Saved);
                let at_provider = at_provider.ok_or(CustomerError::WrongState(method.status))?;
                let newest = operations::find_newest_by_object(tx, id.uuid()).await?;
                if newest.is_some_and(|operation| !operation.state.is_final()) {
                    return Err(CustomerError::CommandOpen);
                }
                let command = Command::DetachMethod(DetachMethod { payment_method: at_provider });
                idempotency::bind(tx, &request.key, "payment_method", id.uuid()).await?;
                let target = Target { object_type: "payment_method", object_id: id.uuid(), object_key: method.key };
                plan(tx, &app, &*provider, (OperationId::new(), target), command, actor, now).await?;
                Ok(Begun::Fresh(id))
            })
        })
        .await
}

async fn plan(
    tx: &mut Tx,
    app: &App,
    provider: &dyn Provider,
    (id, target): (OperationId, Target),
    command: Command,
    actor: Actor,
    now: Timestamp,
) -> Result<(), CustomerError> {
    let operation = NewOperation {
        id,
        key: app.keys.next(tx).await?,
        target,
        provider: provider.name(),
        request: provider.prepare(&command)?,
        command,
        actor,
    };
    Ok(operations::plan(tx, &operation, FirstTry::Now, now).await?)
}

async fn record(
    tx: &mut Tx,
    customer: &Customer,
    from: Option<CustomerStatus>,
    event: &'static str,
    actor: Actor,
    now: Timestamp,
) -> Result<(), CustomerError> {
    let change = Change {
        object_type: "customer",
        object_id: customer.id.uuid(),
        sequence: customer.sequence,
        from: from.map(CustomerStatus::as_str),
        to: customer.status.as_str(),
        event,
        payload: serde_json::json!({
            "object": "customer", "id": customer.id, "reference": customer.reference, "status": customer.status.as_str(),
        }),
        actor,
        detail: customer.failure.as_ref().map(|failure| failure.message.clone()),
        at: now,
    };
    Ok(outbox::record(tx, &change).await?)
}

async fn record_method(
    tx: &mut Tx,
    method: &Method,
    from: Option<MethodStatus>,
    actor: Actor,
    now: Timestamp,
) -> Result<(), CustomerError> {
    let change = Change {
        object_type: "payment_method",
        object_id: method.id.uuid(),
        sequence: method.sequence,
        from: from.map(MethodStatus::as_str),
        to: method.status.as_str(),
        event: method.status.event(),
        payload: serde_json::json!({
            "object": "payment_method", "id": method.id, "customer": method.customer, "status": method.status.as_str(),
            "failure_code": method.failure.as_ref().map(|failure| failure.code.clone()),
        }),
        actor,
        detail: method.failure.as_ref().map(|failure| failure.message.clone()),
        at: now,
    };
    Ok(outbox::record(tx, &change).await?)
}
