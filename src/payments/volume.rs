//! What sellers have sold in a calendar month, for prices with tiers.
//!
//! A seller's **volume** is the sum of the net amounts of its lines, of whatever kind, in one currency, in payments that
//! succeeded and were made since the month began, by the business clock in UTC. Refunds are not taken off: a volume
//! only grows until the month is over, a tier that was reached is not lost again, and what held for a payment can be
//! computed again later from the payments before it.
//!
//! It is read when a payment is priced, in the payment's transaction and without a lock: two payments of one seller that
//! are priced at the same time do not count for each other, nor do payments that have not succeeded yet. Each line keeps
//! the volume that it was priced with.

use std::collections::HashMap;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use partita_db::{DbError, Tx};
use partita_provider::Currency;

use super::store;
use crate::id::SellerId;

/// What each of these sellers has sold in the month of `now`, in minor units of `currency`; who has sold nothing is
/// missing.
///
/// # Errors
/// What the database says.
pub(super) async fn read(
    tx: &mut Tx,
    sellers: &[SellerId],
    currency: Currency,
    now: Timestamp,
) -> Result<HashMap<SellerId, i64>, DbError> {
    if sellers.is_empty() {
        return Ok(HashMap::new());
    }
    store::monthly_volumes(tx, sellers, currency, month_of(now)).await
}

/// When the calendar month of a time began, in UTC.
pub(super) fn month_of(time: Timestamp) -> Timestamp {
    let first = time.to_zoned(TimeZone::UTC).date().first_of_month();
    first.to_zoned(TimeZone::UTC).expect("a month that has come has begun").timestamp()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_begins_at_midnight_of_its_first_day_in_utc() {
        let month = |text: &str| month_of(text.parse().expect("a time")).to_string();
        assert_eq!(month("2026-03-31T23:59:59.999999Z"), "2026-03-01T00:00:00Z");
        assert_eq!(month("2026-03-01T00:00:00Z"), "2026-03-01T00:00:00Z");
        assert_eq!(month("2026-03-01T01:00:00+02:00"), "2026-02-01T00:00:00Z");
    }
}
