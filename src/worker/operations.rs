//! Sends commands that nobody sent, or whose holder died, or whose outcome nobody knows.

use std::sync::Arc;
use std::time::Instant;

use partita_db::Scope;

use super::Next;
use crate::app::App;
use crate::due::Due;
use crate::events::{self, ApplyError};
use crate::operations::{self, OperationState};

/// How soon a command is looked at again whose lease another process holds.
const HELD_ELSEWHERE_SECONDS: i64 = 1;
/// How soon a command is looked at again that may not be sent while its book is halted or does not know its server.
const HALTED_SECONDS: i64 = 60;

pub(super) async fn send(app: &Arc<App>, due: &Due) -> Result<Next, ApplyError> {
    let (key, now, asked) = (due.id, app.clock.now(), Instant::now());
    let taken = app
        .db
        .run_tx("claim operation", Scope::Book(due.book), move |tx| {
            Box::pin(async move {
                let found = operations::find_for_update(tx, key).await?;
                if let Some(operation) = found.as_ref().filter(|operation| operation.state.is_worked_on())
                    && !events::may_go_on(tx, operation, now).await?
                {
                    return Ok(None);
                }
                let claimed = operations::claim(tx, key, now).await?;
                Ok::<_, ApplyError>(Some((claimed, found)))
            })
        })
        .await?;
    let Some((claimed, found)) = taken else {
        return Ok(Next::At(now + jiff::SignedDuration::from_secs(HALTED_SECONDS)));
    };
    if let Some(operation) = claimed {
        crate::crash::point_of("after_claim", [operation.kind.as_str()]);
        events::submit(app, operation, asked).await?;
        return Ok(Next::Done);
    }
    Ok(match found {
        Some(operation) if operation.state == OperationState::Submitting => {
            Next::At(now + jiff::SignedDuration::from_secs(HELD_ELSEWHERE_SECONDS))
        }
        Some(operation) if operation.state.is_worked_on() => Next::At(operation.next_attempt_at),
        // What people decide about is not ours to go on with.
        _ => Next::Done,
    })
}
