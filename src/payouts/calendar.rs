//! On which days a schedule pays out, and at which moment. Pure.
//!
//! A schedule names days: every day, days of the week, days of the month. One that is no business day (a Saturday, a
//! Sunday, a declared bank holiday) moves to the next business day; several that meet there are one payout. The moment is
//! the cut-off in the schedule's time zone. Where clocks go forward over it, it is as much later as they go; where they go
//! back over it, it is the first of the two.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};
use partita_provider::Currency;

/// How far the next or the latest payout day is looked for: beyond the longest month with every holiday that can be declared
/// in a row.
const LOOK_DAYS: i32 = 1_200;

/// Which days a schedule names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rhythm {
    /// Every day.
    Daily,
    /// These days of the week, 1 Monday to 7 Sunday.
    Weekly(BTreeSet<i8>),
    /// These days of the month, 1 to 31; what a month does not have is its last day.
    Monthly(BTreeSet<i8>),
    /// None: payouts are asked by hand.
    Manual,
}

impl Rhythm {
    /// The stored and shown word.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Daily => "daily",
            Self::Weekly(_) => "weekly",
            Self::Monthly(_) => "monthly",
            Self::Manual => "manual",
        }
    }

    fn names(&self, day: Date) -> bool {
        match self {
            Self::Daily => true,
            Self::Weekly(days) => days.contains(&day.weekday().to_monday_one_offset()),
            Self::Monthly(days) => {
                let last = day.days_in_month();
                days.contains(&day.day()) || day.day() == last && days.last().is_some_and(|named| *named > last)
            }
            Self::Manual => false,
        }
    }
}

/// Days on which banks do nothing, beside Saturdays and Sundays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holidays(pub BTreeSet<Date>);

impl Holidays {
    fn is_business_day(&self, day: Date) -> bool {
        day.weekday().to_monday_one_offset() <= 5 && !self.0.contains(&day)
    }
}

/// When a seller is paid out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// Which days.
    pub rhythm: Rhythm,
    /// Money that came onto the account within so many days before the cut-off stays.
    pub delay_days: i16,
    /// When, on the day.
    pub cut_off: Time,
    /// Where.
    pub time_zone: TimeZone,
    /// Less than this is kept for the next time; minor units.
    pub minimums: BTreeMap<Currency, i64>,
}

/// One payout day of a schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PayoutDay {
    /// The day, where the schedule is.
    pub on: Date,
    /// Its moment.
    pub at: Timestamp,
}

impl Schedule {
    /// The first payout day whose moment is after this one.
    pub fn next(&self, after: Timestamp, holidays: &Holidays) -> Option<PayoutDay> {
        let today = after.to_zoned(self.time_zone.clone()).date();
        self.days(today.yesterday().ok()?, 1, holidays).find(|day| day.at > after)
    }

    /// The last payout day whose moment has come, if that was after `since`.
    pub fn latest(&self, now: Timestamp, since: Timestamp, holidays: &Holidays) -> Option<PayoutDay> {
        let today = now.to_zoned(self.time_zone.clone()).date();
        self.days(today, -1, holidays).find(|day| day.at <= now).filter(|day| day.at > since)
    }

    /// Until when money must have come onto the account to be paid out on a day.
    pub fn funds_until(&self, day: PayoutDay) -> Option<Timestamp> {
        self.moment(day.on.checked_sub(i64::from(self.delay_days).days()).ok()?)
    }

    fn days(&self, from: Date, step: i32, holidays: &Holidays) -> impl Iterator<Item = PayoutDay> {
        (0..LOOK_DAYS).filter_map(move |count| {
            let on = from.checked_add(i64::from(count * step).days()).ok()?;
            if !self.pays_on(on, holidays) {
                return None;
            }
            Some(PayoutDay { on, at: self.moment(on)? })
        })
    }

    fn pays_on(&self, day: Date, holidays: &Holidays) -> bool {
        if !holidays.is_business_day(day) {
            return false;
        }
        let mut named = day;
        loop {
            if self.rhythm.names(named) {
                return true;
            }
            match named.yesterday() {
                Ok(before) if !holidays.is_business_day(before) => named = before,
                _ => return false,
            }
        }
    }

    fn moment(&self, day: Date) -> Option<Timestamp> {
        Some(day.to_datetime(self.cut_off).to_zoned(self.time_zone.clone()).ok()?.timestamp())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    fn day(text: &str) -> Date {
        text.parse().expect("a day")
    }

    fn schedule(rhythm: Rhythm, cut_off: &str, zone: &str) -> Schedule {
        Schedule {
            rhythm,
            delay_days: 0,
            cut_off: cut_off.parse().expect("a time of day"),
            time_zone: TimeZone::get(zone).expect("a time zone"),
            minimums: BTreeMap::new(),
        }
    }

    fn next_days(of: &Schedule, mut after: Timestamp, holidays: &Holidays, count: usize) -> Vec<String> {
        let mut days = Vec::new();
        while days.len() < count {
            let next = of.next(after, holidays).expect("there is always another");
            assert!(next.at > after);
            days.push(next.on.to_string());
            after = next.at;
        }
        days
    }

    #[test]
    fn every_day_is_every_business_day() {
        let daily = schedule(Rhythm::Daily, "00:00", "UTC");
        // Good Friday and Easter Monday of 2026.
        let easter = Holidays(BTreeSet::from([day("2026-04-03"), day("2026-04-06")]));
        let days = next_days(&daily, at("2026-03-31T09:00:00Z"), &easter, 4);
        assert_eq!(days, ["2026-04-01", "2026-04-02", "2026-04-07", "2026-04-08"]);
    }

    #[test]
    fn days_of_the_week_move_to_the_next_business_day_and_meet_there() {
        let weekly = schedule(Rhythm::Weekly(BTreeSet::from([1, 5, 6])), "12:00", "Europe/Berlin");
        let easter = Holidays(BTreeSet::from([day("2026-04-03"), day("2026-04-06")]));
        // Friday, Saturday and Monday are all Tuesday the 7th; then Friday, and Saturday and Monday as one.
        let days = next_days(&weekly, at("2026-03-30T10:00:01Z"), &easter, 3);
        assert_eq!(days, ["2026-04-07", "2026-04-10", "2026-04-13"]);
    }

    #[test]
    fn days_that_a_month_does_not_have_are_its_last_one() {
        let monthly = schedule(Rhythm::Monthly(BTreeSet::from([15, 31])), "00:00", "UTC");
        let days = next_days(&monthly, at("2026-01-20T00:00:00Z"), &Holidays::default(), 6);
        // The 31st of January is a Saturday, the 15th of February a Sunday, the 28th a Saturday, the 15th of March a Sunday.
        assert_eq!(days, ["2026-02-02", "2026-02-16", "2026-03-02", "2026-03-16", "2026-03-31", "2026-04-15"]);
    }

    #[test]
    fn by_hand_has_no_day() {
        assert_eq!(
            schedule(Rhythm::Manual, "00:00", "UTC").next(at("2026-01-20T00:00:00Z"), &Holidays::default()),
            None
        );
    }

    #[test]
    fn the_cut_off_keeps_its_time_of_day_when_the_clocks_change() {
        let daily = schedule(Rhythm::Daily, "16:00", "America/New_York");
        let moment = |after| daily.next(at(after), &Holidays::default()).expect("a day").at;
        // Clocks go forward on Sunday, 8 March 2026, and back on Sunday, 1 November.
        assert_eq!(moment("2026-03-06T00:00:00Z"), at("2026-03-06T21:00:00Z"));
        assert_eq!(moment("2026-03-06T21:00:00Z"), at("2026-03-09T20:00:00Z"));
        assert_eq!(moment("2026-10-30T20:00:00Z"), at("2026-11-02T21:00:00Z"));
    }

    #[test]
    fn a_cut_off_that_the_clocks_skip_or_repeat_is_one_moment() {
        // In Cairo clocks go forward at midnight: Friday, the 24th of April 2026, begins at 01:00.
        let cairo = schedule(Rhythm::Daily, "00:00", "Africa/Cairo");
        let skipped = cairo.next(at("2026-04-23T00:00:00Z"), &Holidays::default()).expect("a day");
        assert_eq!((skipped.on, skipped.at), (day("2026-04-24"), at("2026-04-23T22:00:00Z")));
        // They go back at the midnight that ends Thursday the 29th of October: 23:30 is there twice.
        let cairo = schedule(Rhythm::Daily, "23:30", "Africa/Cairo");
        let twice = cairo.next(at("2026-10-29T12:00:00Z"), &Holidays::default()).expect("a day");
        assert_eq!((twice.on, twice.at), (day("2026-10-29"), at("2026-10-29T20:30:00Z")));
        let after = cairo.next(twice.at, &Holidays::default()).expect("a day");
        assert_eq!((after.on, after.at), (day("2026-10-30"), at("2026-10-30T21:30:00Z")));
    }

    #[test]
    fn the_day_is_the_sellers_own() {
        let auckland = schedule(Rhythm::Weekly(BTreeSet::from([1])), "09:00", "Pacific/Auckland");
        let next = auckland.next(at("2026-03-01T00:00:00Z"), &Holidays::default()).expect("a day");
        assert_eq!((next.on, next.at), (day("2026-03-02"), at("2026-03-01T20:00:00Z")), "it is Sunday in London");
    }

    #[test]
    fn a_schedule_begins_with_the_first_moment_after_it_was_declared() {
        let daily = schedule(Rhythm::Daily, "16:00", "UTC");
        let none = Holidays::default();
        let declared = at("2026-03-03T17:00:00Z");
        assert_eq!(daily.latest(at("2026-03-04T15:59:59Z"), declared, &none), None);
        let first = daily.latest(at("2026-03-04T16:00:00Z"), declared, &none).expect("its moment has come");
        assert_eq!(first.on, day("2026-03-04"));
        // However late somebody looks, it is the last one: the money of the others goes with it.
        let late = daily.latest(at("2026-03-09T10:00:00Z"), declared, &none).expect("a day");
        assert_eq!(late.on, day("2026-03-06"));
    }

    #[test]
    fn the_delay_counts_days_where_the_seller_is() {
        let delayed = Schedule { delay_days: 2, ..schedule(Rhythm::Daily, "16:00", "America/New_York") };
        let monday = delayed.next(at("2026-03-06T21:00:00Z"), &Holidays::default()).expect("a day");
        // Two days before the Monday after the change is Saturday at 16:00, which was one hour later in UTC.
        assert_eq!(delayed.funds_until(monday), Some(at("2026-03-07T21:00:00Z")));
    }
}
