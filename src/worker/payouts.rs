//! Decides the payout days of sellers' schedules.

use std::sync::Arc;

use super::Next;
use crate::app::App;
use crate::due::Due;
use crate::events::ApplyError;
use crate::payouts;

pub(super) async fn pay_by_schedule(app: &Arc<App>, due: &Due) -> Result<Next, ApplyError> {
    Ok(match payouts::pay_by_schedule(app, due.book, due.id).await? {
        Some(at) => Next::At(at),
        None => Next::Done,
    })
}
