//! Ends each book's day, at midnight UTC: what sellers are short of becomes debt.

use std::sync::Arc;

use jiff::Timestamp;
use partita_db::Scope;

use super::Next;
use crate::app::App;
use crate::clock;
use crate::due::{self, Due};
use crate::events::ApplyError;
use crate::transfers::{self, DAY_END_DUE_KIND};

const DAY_SECONDS: i64 = 86_400;

/// Makes sure that every book's day ends.
///
/// # Errors
/// What the database says.
pub async fn schedule_day_ends(app: &Arc<App>) -> Result<(), ApplyError> {
    let midnight = next_midnight(app.clock.now());
    app.db
        .run_tx("schedule ends of days", Scope::Routing, move |tx| {
            Box::pin(async move { Ok(due::schedule_books_at(tx, DAY_END_DUE_KIND, midnight).await?) })
        })
        .await
}

pub(super) async fn end_day(app: &Arc<App>, due: &Due) -> Result<Next, ApplyError> {
    transfers::end_day(app, due.book).await?;
    Ok(Next::At(next_midnight(app.clock.now())))
}

/// Of UTC, after now.
fn next_midnight(now: Timestamp) -> Timestamp {
    clock::from_seconds((now.as_second().div_euclid(DAY_SECONDS) + 1) * DAY_SECONDS).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_ends_at_the_next_midnight_and_the_one_that_begins_then_a_day_later() {
        for (now, next) in [
            ("2026-03-02T09:00:00Z", "2026-03-03T00:00:00Z"),
            ("2026-03-02T23:59:59Z", "2026-03-03T00:00:00Z"),
            ("2026-03-03T00:00:00Z", "2026-03-04T00:00:00Z"),
        ] {
            assert_eq!(next_midnight(now.parse().expect("a time")), next.parse().expect("a time"), "{now}");
        }
    }
}
