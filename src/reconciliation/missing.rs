//! What commands of ours have moved that the ledger does not have: asked once another server has taken over.

use std::sync::Arc;

use jiff::Timestamp;
use partita_db::BookId;
use partita_provider::PageRequest;

use super::{Account, PAGE, ReconciliationError, adopt, known_of};
use crate::app::{App, ProviderSetupError};
use crate::events;

/// The movements on the platform's own account since a time, or all, that commands of ours have caused and that the
/// ledger has not. What can be taken over is taken over, as in a run; these are what is left. What commands cause is
/// always a movement there, so that no other account is looked at.
///
/// # Errors
/// [`ReconciliationError`] when it could not be finished.
pub async fn missing_since(
    app: &Arc<App>,
    book: BookId,
    since: Option<Timestamp>,
) -> Result<Vec<String>, ReconciliationError> {
    let provider = match app.provider(book).await {
        Ok(provider) => provider,
        // No command of this book has ever been sent.
        Err(ProviderSetupError::NotConnected) => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let mode = events::mode_of(app, book).await?;
    let own = Account { id: None, seller: None };
    let created_from = since.map(Timestamp::as_second);
    let mut request = PageRequest { limit: PAGE, created_from, ..PageRequest::default() };
    let mut missing = Vec::new();
    loop {
        let page = provider.balance_transactions(None, &request).await?;
        let known = known_of(app, book, &own, &page.data).await?;
        for movement in page.data.iter().filter(|movement| !known.contains_key(&movement.id)) {
            let taken = adopt::adopt(app, book, &provider, mode, &own, movement).await?;
            if !taken && adopt::is_of_our_command(&provider, movement).await? {
                missing.push(movement.clone());
            }
        }
        match page.data.last() {
            Some(last) if page.has_more => request.after = Some(last.id.clone()),
            _ => break,
        }
    }
    // A command that was under way when its page was read may have been booked before it was looked at here, by whoever
    // sent it.
    let booked = known_of(app, book, &own, &missing).await?;
    Ok(missing.into_iter().map(|movement| movement.id).filter(|id| !booked.contains_key(id)).collect())
}
