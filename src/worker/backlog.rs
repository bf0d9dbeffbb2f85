//! Counts what waits, for the metrics: commands that have not ended, events that are not applied, differences that stand.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use partita_db::Scope;
use partita_webhooks::inbox::{self, InboxState};

use crate::app::App;
use crate::events::ApplyError;
use crate::operations::{self, OperationState};
use crate::platforms;
use crate::reconciliation;
use crate::stuck_money::{self, Cause};
use crate::telemetry::names;

/// What waits, over all books.
#[derive(Default)]
struct Backlog {
    operations: BTreeMap<String, i64>,
    events: BTreeMap<&'static str, i64>,
    oldest_doubt: Option<Timestamp>,
    open_breaks: i64,
    stuck: BTreeMap<&'static str, i64>,
    reconciled_through: Option<Timestamp>,
}

/// Measures the backlog of every book.
///
/// # Errors
/// What the database says.
pub(super) async fn measure(app: &Arc<App>) -> Result<(), ApplyError> {
    let books =
        app.db.read("books", Scope::Routing, |tx| Box::pin(async move { platforms::list_books(tx).await })).await?;
    let mut backlog = Backlog::default();
    for book in books {
        let (open, events, standing, stuck) = app
            .db
            .read("backlog", Scope::Book(book.id), |tx| {
                Box::pin(async move {
                    let standing = reconciliation::standing(tx).await?;
                    let stuck = stuck_money::count_open(tx).await?;
                    let open = operations::count_open(tx).await?;
                    Ok::<_, ApplyError>((open, inbox::waiting(tx).await?, standing, stuck))
                })
            })
            .await?;
        for count in open {
            if count.state == OperationState::Unknown.as_str() {
                backlog.oldest_doubt = backlog.oldest_doubt.into_iter().chain(count.oldest_sent_at).min();
            }
            *backlog.operations.entry(count.state).or_default() += count.operations;
        }
        backlog.open_breaks += standing.open_breaks;
        backlog.reconciled_through = backlog.reconciled_through.into_iter().chain(standing.reconciled_through).min();
        for (cause, count) in stuck {
            *backlog.stuck.entry(cause.as_str()).or_default() += count;
        }
        for (state, count) in events {
            *backlog.events.entry(state.as_str()).or_default() += count;
        }
    }
    backlog.tell(app.clock.now());
    Ok(())
}

impl Backlog {
    fn tell(&self, now: Timestamp) {
        let gauge = |count: i64| f64::from(u32::try_from(count.max(0)).unwrap_or(u32::MAX));
        for state in OperationState::ALL.into_iter().filter(|state| !state.is_final()).map(OperationState::as_str) {
            let count = self.operations.get(state).copied().unwrap_or_default();
            metrics::gauge!(names::OPERATIONS, "state" => state).set(gauge(count));
        }
        for state in [InboxState::Received, InboxState::Parked, InboxState::Quarantined].map(InboxState::as_str) {
            let count = self.events.get(state).copied().unwrap_or_default();
            metrics::gauge!(names::INBOX_EVENTS, "state" => state).set(gauge(count));
        }
        for cause in Cause::ALL.map(Cause::as_str) {
            let count = self.stuck.get(cause).copied().unwrap_or_default();
            metrics::gauge!(names::STUCK_MONEY, "cause" => cause).set(gauge(count));
        }
        let since = |at: Option<Timestamp>| gauge(at.map_or(0, |at| now.duration_since(at).as_secs()));
        metrics::gauge!(names::OLDEST_DOUBT).set(since(self.oldest_doubt));
        metrics::gauge!(names::RECONCILIATION_BREAKS).set(gauge(self.open_breaks));
        metrics::gauge!(names::RECONCILIATION_LAG).set(since(self.reconciled_through));
    }
}
