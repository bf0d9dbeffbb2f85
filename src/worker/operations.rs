//! Sends commands that nobody sent, or whose holder died, or whose outcome nobody knows.

use std::sync::Arc;

use partita_db::Scope;

use super::Next;
use crate::app::App;
use crate::due::Due;
use crate::events::{self, ApplyError};
use crate::operations::{self, OperationState};

/// How soon a command is looked at again whose lease another process holds.
const HELD_ELSEWHERE_SECONDS: i64 = 5;

pub(super) async fn send(app: &Arc<App>, due: &Due) -> Result<Next, ApplyError> {
    let (key, now) = (due.id, app.clock.now());
    let (claimed, found) = app
        .db
        .run_tx("claim operation", Scope::Book(due.book), move |tx| {
            Box::pin(async move {
                let claimed = operations::claim(tx, key, now).await?;
                let found = operations::find_for_update(tx, key).await?;
                Ok::<_, ApplyError>((claimed, found))
            })
        })
        .await?;
    if let Some(operation) = claimed {
        crate::crash::point("after_claim");
        events::submit(app, operation).await?;
        return Ok(Next::Done);
    }
    Ok(match found {
        Some(operation) if operation.state == OperationState::Submitting => {
            Next::At(now + jiff::SignedDuration::from_secs(HELD_ELSEWHERE_SECONDS))
        }
        Some(operation) if !operation.state.is_final() => Next::At(operation.next_attempt_at),
        _ => Next::Done,
    })
}
