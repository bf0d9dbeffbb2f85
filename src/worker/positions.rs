//! Closes the positions of payments that the provider settled in another currency.

use std::sync::Arc;

use super::Next;
use crate::app::App;
use crate::due::Due;
use crate::events::ApplyError;
use crate::exchange;

pub(super) async fn close(app: &Arc<App>, due: &Due) -> Result<Next, ApplyError> {
    Ok(exchange::close(app, due.book, due.id).await?.map_or(Next::Done, Next::At))
}
