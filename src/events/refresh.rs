//! Reading at the provider what somebody waits for, a payment or a method being saved: what is read is taken like any other news.

use std::sync::Arc;

use partita_db::{BookId, Scope};
use partita_provider::{ClientAction, Lookup, ProviderObject};

use super::{ApplyError, Origin, apply_object, mode_of};
use crate::app::App;
use crate::customers::{self, CustomerError};
use crate::id::{PaymentId, PaymentMethodId};
use crate::journal::Journal;
use crate::payments::{self, PaymentError};

/// Reads a payment at the provider and books what is news. Returns what its buyer has to do, which is kept
/// nowhere but in the provider's own words; none when there is nothing, or the provider does not have the payment yet.
///
/// # Errors
/// [`ApplyError::Fetch`] when the provider cannot be asked; [`ApplyError`] when its word cannot be taken.
pub async fn client_action(app: &Arc<App>, book: BookId, id: PaymentId) -> Result<Option<ClientAction>, ApplyError> {
    let found = app
        .db
        .read("payment to ask about", Scope::Book(book), move |tx| {
            Box::pin(async move {
                let Some(payment) = payments::find(tx, id).await? else { return Ok(None) };
                let direct = payments::find_direct(tx, &payment).await?;
                Ok::<_, ApplyError>(Some((payment, direct.map(|direct| direct.account))))
            })
        })
        .await?;
    let (payment, account) = found.ok_or(PaymentError::NotFound)?;
    let Some(at_provider) = payment.provider_payment else { return Ok(None) };
    match refreshed(app, book, Lookup::Payment(at_provider), account.as_deref()).await? {
        ProviderObject::Payment(said) => Ok(said.client_action),
        _ => Ok(None),
    }
}

/// The same of a payment method that is being saved.
///
/// # Errors
/// As [`client_action`].
pub async fn method_action(
    app: &Arc<App>,
    book: BookId,
    id: PaymentMethodId,
) -> Result<Option<ClientAction>, ApplyError> {
    let found = app
        .db
        .read("payment method to ask about", Scope::Book(book), move |tx| {
            Box::pin(async move { Ok::<_, ApplyError>(customers::find_method(tx, id).await?) })
        })
        .await?;
    let method = found.ok_or(CustomerError::MethodNotFound)?;
    let Some(setup) = method.provider_setup else { return Ok(None) };
    match refreshed(app, book, Lookup::Setup(setup), None).await? {
        ProviderObject::Setup(said) => Ok(said.client_action),
        _ => Ok(None),
    }
}

async fn refreshed(
    app: &Arc<App>,
    book: BookId,
    lookup: Lookup,
    account: Option<&str>,
) -> Result<ProviderObject, ApplyError> {
    let provider = app.provider(book).await?;
    let said = Arc::new(provider.fetch(&lookup.on(account)).await.map_err(ApplyError::Fetch)?);
    let account = account.unwrap_or_default().to_owned();
    let mode = mode_of(app, book).await?;
    let (app_in, said_in, now) = (Arc::clone(app), Arc::clone(&said), app.clock.now());
    app.db
        .run_tx("take news", Scope::Book(book), move |tx| {
            let (app, said, account) = (Arc::clone(&app_in), Arc::clone(&said_in), account.clone());
            Box::pin(async move {
                let mut journal = Journal::new(&app.keys);
                let origin = Origin { provider: "stripe", account: &account, mode, now };
                apply_object(tx, &said, origin, &mut journal).await?;
                journal.post(tx).await?;
                Ok::<_, ApplyError>(())
            })
        })
        .await?;
    Ok(Arc::unwrap_or_clone(said))
}
