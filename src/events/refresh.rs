//! Reading a payment at the provider because somebody waits for it: what is read is booked like any other news.

use std::sync::Arc;

use partita_db::{BookId, Scope};
use partita_provider::{ClientAction, Lookup, ProviderObject};

use super::{ApplyError, Origin, apply_object, mode_of};
use crate::app::App;
use crate::id::PaymentId;
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
            Box::pin(async move { Ok::<_, ApplyError>(payments::find(tx, id).await?) })
        })
        .await?;
    let payment = found.ok_or(PaymentError::NotFound)?;
    let Some(at_provider) = payment.provider_payment else { return Ok(None) };
    let provider = app.provider(book).await?;
    let said = provider.fetch(&Lookup::Payment(at_provider)).await.map_err(ApplyError::Fetch)?;
    let action = match &said {
        ProviderObject::Payment(payment) => payment.client_action.clone(),
        _ => None,
    };
    let mode = mode_of(app, book).await?;
    let (app_in, said, now) = (Arc::clone(app), Arc::new(said), app.clock.now());
    app.db
        .run_tx("take payment's news", Scope::Book(book), move |tx| {
            let (app, said) = (Arc::clone(&app_in), Arc::clone(&said));
            Box::pin(async move {
                let mut journal = Journal::new(&app.keys);
                let origin = Origin { provider: "stripe", account: "", mode, now };
                apply_object(tx, &said, origin, &mut journal).await?;
                journal.post(tx).await?;
                Ok::<_, ApplyError>(())
            })
        })
        .await?;
    Ok(action)
}
