//! Says to each lane when something is due for it. One question to the database serves all of them, so that the lanes with
//! nothing to do cost nothing however often the others are woken.

use std::sync::Arc;
use std::time::Duration;

use partita_db::{DbError, Scope};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::KINDS;
use crate::app::App;
use crate::due;

/// How soon the queue is looked at again when nobody woke the lookout.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// Looks until cancelled; `lanes` are those of [`KINDS`], in their order.
pub(super) async fn run(app: Arc<App>, lanes: &[Notify; KINDS.len()], stop: CancellationToken) {
    let mut woken = app.wake.subscribe();
    while !stop.is_cancelled() {
        woken.mark_unchanged();
        match look(&app).await {
            Ok(kinds) => {
                for (lane, _) in lanes.iter().zip(KINDS).filter(|(_, kind)| kinds.iter().any(|due| due == kind)) {
                    lane.notify_one();
                }
            }
            Err(error) => tracing::error!(%error, "the worker cannot read its queue"),
        }
        tokio::select! {
            () = stop.cancelled() => {}
            _ = woken.changed() => {}
            () = tokio::time::sleep(POLL_INTERVAL) => {}
        }
    }
}

async fn look(app: &Arc<App>) -> Result<Vec<String>, DbError> {
    let (now, kinds) = (app.clock.now(), KINDS.map(str::to_owned));
    app.db
        .read("kinds of due work", Scope::Routing, move |tx| {
            let kinds = kinds.clone();
            Box::pin(async move { due::kinds_due(tx, &kinds, now).await })
        })
        .await
}
