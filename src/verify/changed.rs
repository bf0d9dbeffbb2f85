//! What has changed in a book since it was verified last.

use jiff::{SignedDuration, Timestamp};
use partita_db::{DbError, Tx};
use partita_ledger::Verification;
use uuid::Uuid;

use super::store;

/// A run sees what was committed when it began, not when it was written: what is younger than the last run by less than
/// this is looked at again. No transaction takes as long; what one did all the same is found by the next complete run.
const OVERLAP_MINUTES: i64 = 10;
/// If more objects changed than that, all are looked at.
const OBJECTS: i64 = 20_000;

/// Objects that changed, the payments that they hang on among them.
#[derive(Debug)]
pub(super) struct Changed {
    pub(super) objects: Vec<Uuid>,
    /// What was written from here on is new, by the database's clock.
    pub(super) since: Timestamp,
}

impl Changed {
    /// What changed since the last run, by history, events, movements and what the ledger has newly booked; none if that is
    /// everything, as in the first run.
    pub(super) async fn find(tx: &mut Tx, ledger: &Verification) -> Result<Option<Self>, DbError> {
        let Some(last) = store::last_started(tx).await? else { return Ok(None) };
        let since = last - SignedDuration::from_mins(OVERLAP_MINUTES);
        let objects = store::changed_objects(tx, since, ledger, OBJECTS + 1).await?;
        let are_few = i64::try_from(objects.len()).is_ok_and(|count| count <= OBJECTS);
        Ok(are_few.then_some(Self { objects, since }))
    }
}
