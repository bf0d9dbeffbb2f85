//! Tells of disputes whose deadline is near.

use std::sync::Arc;

use super::Next;
use crate::app::App;
use crate::disputes;
use crate::due::Due;
use crate::events::ApplyError;

pub(super) async fn remind(app: &Arc<App>, due: &Due) -> Result<Next, ApplyError> {
    Ok(match disputes::remind(app, due.book, due.id).await? {
        Some(at) => Next::At(at),
        None => Next::Done,
    })
}
