//! Sweeps the provider's own list of events, for webhooks that never came.

use std::sync::Arc;

use super::Next;
use crate::app::App;
use crate::due::Due;
use crate::events::{self, ApplyError};

pub(super) use crate::events::SWEEP_DUE_KIND as DUE_KIND;
pub use crate::events::schedule_sweeps;

pub(super) async fn sweep(app: &Arc<App>, due: &Due) -> Result<Next, ApplyError> {
    Ok(Next::At(events::sweep(app, due.book).await?))
}
