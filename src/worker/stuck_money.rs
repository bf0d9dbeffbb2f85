//! Looks for money that does not move on, once a day in each book.

use std::sync::Arc;

use super::Next;
use crate::app::App;
use crate::due::Due;
use crate::events::ApplyError;
use crate::stuck_money;

/// Makes sure that every book is looked at.
///
/// # Errors
/// What the database says.
pub async fn schedule_stuck_money(app: &Arc<App>) -> Result<(), ApplyError> {
    Ok(stuck_money::schedule(app).await?)
}

pub(super) async fn look(app: &Arc<App>, due: &Due) -> Result<Next, ApplyError> {
    stuck_money::look(app, due.book).await?;
    Ok(Next::At(due.next_day(app.clock.now())))
}
