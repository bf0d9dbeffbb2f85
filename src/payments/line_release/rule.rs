//! When the share of a line is released, and what happens when it is held for too long. Pure.

use jiff::{SignedDuration, Timestamp};

use super::LineRelease;
use crate::words::words;

const DAY_HOURS: i64 = 24;

/// For how many days Stripe lets money be held that is not paid out, by the business's country: docs.stripe.com/connect/manual-payouts.
const LONGEST_HOLD_DAYS: i32 = 90;
const LONGEST_HOLDS: [(&str, i32); 2] = [("TH", 10), ("US", 730)];
const WARN_DAYS: i32 = 7;

words! {
    /// From when on the days of a rule count.
    ReleaseFrom {
        /// When the provider made the payment's money usable.
        Available = "available",
        /// When the platform tells that it was delivered.
        Delivery = "delivery",
        /// They do not: the platform releases it.
        Request = "request",
    }

    /// Where the release of a line's share stands.
    ReleaseStatus {
        /// Its date has not come, or is not known.
        Waiting = "waiting",
        /// A person holds it.
        Held = "held",
        /// The share is the seller's to use.
        Released = "released",
    }

    /// What happens to a share that is held for as long as it may be.
    AtLimit {
        /// It is told, and waits for a person.
        Keep = "keep",
        /// It is released.
        Release = "release",
    }
}

/// When a share is released.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReleaseRule {
    /// From when on the days count.
    pub from: ReleaseFrom,
    /// How many days; none for [`ReleaseFrom::Request`].
    pub after_days: i32,
}

impl ReleaseRule {
    /// With the payment's money.
    pub const AT_ONCE: Self = Self { from: ReleaseFrom::Available, after_days: 0 };

    /// Whether it does not come with the payment's money.
    pub fn waits(self) -> bool {
        self != Self::AT_ONCE
    }
}

/// When shares are released of lines that do not say it themselves, and how long any may be held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleasePolicy {
    /// Which declaration; 0 is what holds without any.
    pub version: i32,
    /// When they are released.
    pub rule: ReleaseRule,
    /// For how many days after the charge money may be held.
    pub longest_hold_days: i32,
    /// The same for sellers of single countries: ISO 3166 alpha-2, days.
    pub countries: Vec<(String, i32)>,
    /// How many days before that it is told.
    pub warn_days: i32,
    /// What happens then.
    pub at_limit: AtLimit,
}

impl Default for ReleasePolicy {
    fn default() -> Self {
        Self {
            version: 0,
            rule: ReleaseRule::AT_ONCE,
            longest_hold_days: LONGEST_HOLD_DAYS,
            countries: LONGEST_HOLDS.iter().map(|(country, days)| ((*country).to_owned(), *days)).collect(),
            warn_days: WARN_DAYS,
            at_limit: AtLimit::Keep,
        }
    }
}

impl ReleasePolicy {
    /// For how many days money may be held for a seller of a country.
    pub fn longest_hold(&self, country: &str) -> i32 {
        let own = self.countries.iter().find(|(of, _)| of == country);
        own.map_or(self.longest_hold_days, |(_, days)| *days)
    }
}

/// A time so many days later.
pub(super) fn days_after(at: Timestamp, days: i32) -> Timestamp {
    at.checked_add(SignedDuration::from_hours(i64::from(days) * DAY_HOURS)).unwrap_or(Timestamp::MAX)
}

/// How a payment stands to one of its lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ground {
    /// Whether the provider has made its money usable.
    pub(super) is_usable: bool,
    /// Whether the buyer's bank took it back.
    pub(super) has_failed: bool,
    /// What the line's seller is entitled to; minor units, signed.
    pub(super) share: i64,
}

/// What is to be done about a line that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// Its share is released.
    Release,
    /// It is told that it may not be held for much longer.
    Warn,
    /// It is told that it may not be held any longer.
    TellLimit,
    /// Nothing before that time; none: nothing until something else happens.
    Wait(Option<Timestamp>),
}

impl LineRelease {
    /// What is to be done now. Of a payment that failed, and of a line of which nothing is left, nothing is worth holding: what
    /// is below zero becomes the seller's shortfall.
    pub(super) fn turn(&self, ground: Ground, now: Timestamp) -> Turn {
        let has_come = |at: Option<Timestamp>| at.is_some_and(|at| at <= now);
        if self.status == ReleaseStatus::Released {
            return Turn::Wait(None);
        }
        let date = self.release_at.filter(|_| self.status == ReleaseStatus::Waiting);
        let at_limit = has_come(self.limit_at);
        let must_go = at_limit && (self.at_limit == AtLimit::Release || ground.share <= 0);
        if ground.is_usable && (ground.has_failed || has_come(date) || must_go) {
            return Turn::Release;
        }
        let warn_at = self.warn_at();
        if ground.share > 0 && !ground.has_failed {
            if at_limit && self.at_limit == AtLimit::Keep && self.limit_told_at.is_none() {
                return Turn::TellLimit;
            }
            if !at_limit && has_come(warn_at) {
                return Turn::Warn;
            }
        }
        Turn::Wait([date, warn_at, self.limit_at].into_iter().flatten().filter(|at| *at > now).min())
    }

    /// When it is told that it may not be held for much longer; none where that is told, or it is released before.
    fn warn_at(&self) -> Option<Timestamp> {
        let limit = self.limit_at.filter(|_| self.warned_at.is_none())?;
        let goes_before = self.status == ReleaseStatus::Waiting && self.release_at.is_some_and(|at| at <= limit);
        (!goes_before).then(|| days_after(limit, -self.warn_days))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{LineReleaseId, PaymentId, SellerId};

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    /// Charged on March 2nd, held for 90 days at most: until May 31st; told from May 24th on.
    fn held() -> LineRelease {
        LineRelease {
            id: LineReleaseId::new(),
            key: 7,
            payment: PaymentId::new(),
            line: 0,
            seller: SellerId::new(),
            rule: ReleaseRule { from: ReleaseFrom::Request, after_days: 0 },
            status: ReleaseStatus::Held,
            reason: None,
            delivered_at: None,
            release_at: None,
            longest_hold_days: 90,
            warn_days: 7,
            at_limit: AtLimit::Keep,
            limit_at: Some(days_after(at("2026-03-02T09:00:00Z"), 90)),
            warned_at: None,
            limit_told_at: None,
            released_at: None,
            released_amount: None,
            sequence: 1,
            created_at: at("2026-03-02T09:00:00Z"),
            updated_at: at("2026-03-02T09:00:00Z"),
        }
    }

    const USABLE: Ground = Ground { is_usable: true, has_failed: false, share: 54_00 };
    const PENDING: Ground = Ground { is_usable: false, ..USABLE };

    #[test]
    fn a_share_that_is_held_is_told_once_before_its_limit_and_once_at_it() {
        let (warn, limit) = (at("2026-05-24T09:00:00Z"), at("2026-05-31T09:00:00Z"));
        let told = LineRelease { warned_at: Some(warn), ..held() };
        assert_eq!(held().turn(USABLE, at("2026-05-24T08:59:59Z")), Turn::Wait(Some(warn)));
        assert_eq!(held().turn(USABLE, warn), Turn::Warn);
        assert_eq!(told.turn(USABLE, warn), Turn::Wait(Some(limit)));
        assert_eq!(told.turn(USABLE, limit), Turn::TellLimit);
        let kept = LineRelease { limit_told_at: Some(limit), ..told.clone() };
        assert_eq!(kept.turn(USABLE, limit), Turn::Wait(None));
        let goes = LineRelease { at_limit: AtLimit::Release, ..told };
        assert_eq!(goes.turn(USABLE, at("2026-05-31T08:59:59Z")), Turn::Wait(Some(limit)));
        assert_eq!(goes.turn(USABLE, limit), Turn::Release);
        assert_eq!(goes.turn(PENDING, limit), Turn::Wait(None), "not before it is usable");
    }

    #[test]
    fn a_share_goes_on_its_date_but_not_before_the_money_is_usable() {
        let date = at("2026-03-16T09:00:00Z");
        let dated = LineRelease { status: ReleaseStatus::Waiting, release_at: Some(date), ..held() };
        assert_eq!(dated.turn(USABLE, at("2026-03-16T08:59:59Z")), Turn::Wait(Some(date)), "no word of a limit");
        assert_eq!(dated.turn(USABLE, date), Turn::Release);
        assert!(matches!(dated.turn(PENDING, date), Turn::Wait(_)));
        let by_hand = LineRelease { status: ReleaseStatus::Held, ..dated.clone() };
        assert_ne!(by_hand.turn(USABLE, date), Turn::Release, "what a person holds has no date");
        let after = LineRelease { release_at: Some(at("2026-06-30T09:00:00Z")), ..dated };
        assert_eq!(after.turn(USABLE, at("2026-05-24T09:00:00Z")), Turn::Warn, "its date is after the limit");
    }

    #[test]
    fn what_is_nothing_is_not_told_of_and_a_payment_that_failed_is_not_held() {
        let nothing = Ground { share: 0, ..USABLE };
        let limit = at("2026-05-31T09:00:00Z");
        assert_eq!(held().turn(nothing, at("2026-05-24T09:00:00Z")), Turn::Wait(Some(limit)));
        assert_eq!(held().turn(nothing, limit), Turn::Release);
        let failed = Ground { has_failed: true, share: -80, ..USABLE };
        assert_eq!(held().turn(failed, at("2026-03-03T09:00:00Z")), Turn::Release);
        let done = LineRelease { status: ReleaseStatus::Released, ..held() };
        assert_eq!(done.turn(failed, limit), Turn::Wait(None));
    }

    #[test]
    fn a_country_may_have_a_figure_of_its_own() {
        let policy = ReleasePolicy::default();
        assert_eq!(["DE", "TH", "US"].map(|country| policy.longest_hold(country)), [90, 10, 730]);
    }
}
