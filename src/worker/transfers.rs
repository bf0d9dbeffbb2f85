//! Brings what sellers have got of a payment to what they are entitled to, gives back what was kept back of it, and releases the
//! shares of lines that waited.

use std::sync::Arc;

use jiff::SignedDuration;

use super::Next;
use crate::app::App;
use crate::due::Due;
use crate::events::ApplyError;
use crate::journal::JournalError;
use crate::transfers::{self, TransferError};

/// How soon it is tried again when another payment took the seller's money first.
const OVERTAKEN_SECONDS: i64 = 1;

pub(super) async fn rebalance(app: &Arc<App>, due: &Due) -> Result<Next, ApplyError> {
    let rebalanced = transfers::rebalance(app, due.book, due.id).await;
    crate::crash::point("after_rebalance");
    match rebalanced {
        Ok(None) => Ok(Next::Done),
        Ok(Some(at)) => Ok(Next::At(at)),
        Err(TransferError::Journal(JournalError::Refused { refusal, .. })) => {
            tracing::info!(?refusal, "a seller's balance was spent meanwhile; looked at again");
            Ok(Next::At(app.clock.now() + SignedDuration::from_secs(OVERTAKEN_SECONDS)))
        }
        Err(error) => Err(error.into()),
    }
}

pub(super) async fn advance_reserve(app: &Arc<App>, due: &Due) -> Result<Next, ApplyError> {
    match transfers::advance_reserve(app, due.book, due.id).await? {
        None => Ok(Next::Done),
        Some(at) => Ok(Next::At(at)),
    }
}

pub(super) async fn advance_line(app: &Arc<App>, due: &Due) -> Result<Next, ApplyError> {
    match transfers::advance_line(app, due.book, due.id).await? {
        None => Ok(Next::Done),
        Some(at) => Ok(Next::At(at)),
    }
}
