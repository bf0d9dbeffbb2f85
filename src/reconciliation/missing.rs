//! What commands of ours have moved that the ledger does not have: asked once another server has taken over.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use partita_db::{BookId, Scope};
use partita_provider::{EventQuery, PageRequest, Provider};

use super::account::{Account, PAGE, known_of};
use super::{ReconciliationError, adopt};
use crate::app::{App, ProviderSetupError};
use crate::events;
use crate::id::OperationId;
use crate::operations;
use crate::platforms::Mode;
use crate::sellers::METADATA_OPERATION;

/// What commands of ours have caused on the platform's own account since a time, or ever, and the books do not have: the
/// movements that the ledger has not, and the commands that are not there though events tell of their objects, which may
/// not have moved anything yet. What can be taken over is taken over, as in a run; these are what is left. What commands
/// cause shows there, except for sellers' payouts: one that was forgotten is asked again at most of what is left on the
/// seller's account, which is the seller's in any case, and is mirrored when its account is next compared.
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
    let created_from = since.map(Timestamp::as_second);
    let mut missing = movements(app, book, &provider, mode, created_from).await?;
    missing.extend(commands(app, book, &*provider, created_from).await?);
    Ok(missing)
}

async fn movements(
    app: &Arc<App>,
    book: BookId,
    provider: &Arc<dyn Provider>,
    mode: Mode,
    created_from: Option<i64>,
) -> Result<Vec<String>, ReconciliationError> {
    let own = Account { id: None, seller: None };
    let mut request = PageRequest { limit: PAGE, created_from, ..PageRequest::default() };
    let mut missing = Vec::new();
    loop {
        let page = provider.balance_transactions(None, &request).await?;
        let known = known_of(app, book, &own, &page.data).await?;
        for movement in page.data.iter().filter(|movement| !known.contains_key(&movement.id)) {
            let taken = adopt::adopt(app, book, provider, mode, &own, movement).await?;
            if !taken && adopt::is_of_our_command(provider, movement).await? {
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

/// The commands that events tell of and that are not there. An event shows what its object carries of ours from the first
/// moment on; it is stored before anything is sent, so that whoever is not there was forgotten.
async fn commands(
    app: &Arc<App>,
    book: BookId,
    provider: &dyn Provider,
    created_from: Option<i64>,
) -> Result<Vec<String>, ReconciliationError> {
    let mut query = EventQuery { created_from, limit: PAGE, ..EventQuery::default() };
    let mut missing = BTreeSet::new();
    loop {
        let page = provider.events(&query).await?;
        let told: BTreeSet<&str> = page
            .data
            .iter()
            .filter_map(|listed| Some(listed.event.metadata.get(METADATA_OPERATION)?.as_str()))
            .collect();
        let mut ids = Vec::new();
        for text in told {
            match OperationId::parse(text) {
                Ok(id) => ids.push(id),
                // Given by nobody who is still known.
                Err(_) => {
                    missing.insert(text.to_owned());
                }
            }
        }
        missing.extend(unknown_of(app, book, ids).await?.iter().map(ToString::to_string));
        match page.data.last() {
            Some(last) if page.has_more => query.after = Some(last.event.id.clone()),
            _ => return Ok(missing.into_iter().collect()),
        }
    }
}

async fn unknown_of(
    app: &Arc<App>,
    book: BookId,
    ids: Vec<OperationId>,
) -> Result<Vec<OperationId>, ReconciliationError> {
    let ids = Arc::new(ids);
    app.db
        .read("commands that are not there", Scope::Book(book), move |tx| {
            let ids = Arc::clone(&ids);
            Box::pin(async move { Ok(operations::unknown_of(tx, &ids).await?) })
        })
        .await
}
