//! Ends proposals that nobody decided about in time.

use std::sync::Arc;

use jiff::SignedDuration;

use super::{Next, RETRY_AFTER_FAILURE_SECONDS};
use crate::app::App;
use crate::approvals;
use crate::due::Due;

pub(super) async fn expire(app: &Arc<App>, due: &Due) -> Next {
    match approvals::expire(app, due.book, due.id).await {
        Ok(None) => Next::Done,
        Ok(Some(at)) => Next::At(at),
        Err(error) => {
            tracing::error!(book = due.book.get(), id = due.id, %error, "a proposal could not be ended; tried again later");
            Next::At(app.clock.now() + SignedDuration::from_secs(RETRY_AFTER_FAILURE_SECONDS))
        }
    }
}
