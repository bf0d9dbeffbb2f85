//! What a past period would have cost under other terms. Reads payments in the order they were made, some at a time, and
//! keeps nothing of them but sums; changes nothing.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use partita_db::{BookId, DbError, Scope};
use partita_provider::Currency;

use super::store::{self, PastLine, PastPayment};
use super::volume::month_of;
use crate::app::App;
use crate::fees::{self, FeeError, FeeTerms, Sale};
use crate::id::{FeePolicyId, SellerId};

/// Longest period: a quarter of a year.
pub const LONGEST_PERIOD_DAYS: i64 = 92;
/// Most lines of one simulation.
pub const MOST_SIMULATED_LINES: u64 = 1_000_000;
/// How many payments are read at a time.
const PAGE: i64 = 500;

/// Which terms to try.
#[derive(Debug, Clone)]
pub enum Trial {
    /// The version that holds now.
    Current,
    /// A version of the policy.
    Version(i32),
    /// These.
    Terms(FeeTerms),
}

/// What to simulate.
#[derive(Debug, Clone)]
pub struct NewSimulation {
    /// The policy.
    pub policy: FeePolicyId,
    /// Which terms.
    pub trial: Trial,
    /// Payments made at this time or later.
    pub from: Timestamp,
    /// Payments made earlier than this time.
    pub before: Timestamp,
    /// Every seller's line; only those that the policy priced when not.
    pub all_lines: bool,
}

/// Sums over lines, minor units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sums {
    /// How many lines.
    pub lines: u64,
    /// Their net amounts.
    pub amount: i128,
    /// Their commissions as they were charged, before refunds.
    pub charged: i128,
    /// Their commissions under the terms that were tried.
    pub simulated: i128,
}

impl Sums {
    fn add(&mut self, line: &PastLine, simulated: i64) {
        self.lines += 1;
        self.amount += i128::from(line.amount);
        self.charged += i128::from(line.commission);
        self.simulated += i128::from(simulated);
    }
}

/// What came out.
#[derive(Debug, Clone)]
pub struct Simulation {
    /// The version that was tried, if it was one.
    pub version: Option<i32>,
    /// The terms that were tried.
    pub terms: FeeTerms,
    /// How many lines were priced.
    pub lines: u64,
    /// By currency.
    pub totals: BTreeMap<Currency, Sums>,
    /// By the place of the rule, from 0, and currency; none where no rule was for a line.
    pub rules: BTreeMap<(Option<usize>, Currency), Sums>,
}

/// Why nothing was simulated.
#[derive(Debug, thiserror::Error)]
pub enum SimulationError {
    /// The policy has no such version.
    #[error("the policy has no such version")]
    UnknownVersion,
    /// It ends before it begins.
    #[error("must be later than from")]
    PeriodEmpty,
    /// It is longer than a quarter of a year.
    #[error("a period has at most {LONGEST_PERIOD_DAYS} days")]
    PeriodTooLong,
    /// It is not over yet.
    #[error("the period is not over yet")]
    PeriodNotOver,
    /// It has more lines than one request can take.
    #[error("the period has more than {MOST_SIMULATED_LINES} lines")]
    TooManyLines,
    /// The policy or the terms cannot be used.
    #[error(transparent)]
    Fee(#[from] FeeError),
    /// The database refused.
    #[error(transparent)]
    Db(#[from] DbError),
}

/// Prices the lines of a past period again, under other terms. Volumes are those that the payments before make, as they
/// stand now.
///
/// # Errors
/// [`SimulationError`].
pub async fn simulate(app: &Arc<App>, book: BookId, asked: NewSimulation) -> Result<Simulation, SimulationError> {
    let now = app.clock.now();
    let (from, before) = (asked.from, asked.before);
    if before <= from {
        return Err(SimulationError::PeriodEmpty);
    }
    if before.duration_since(from) > SignedDuration::from_hours(24 * LONGEST_PERIOD_DAYS) {
        return Err(SimulationError::PeriodTooLong);
    }
    if before > now {
        return Err(SimulationError::PeriodNotOver);
    }
    let only = (!asked.all_lines).then_some(asked.policy);
    let (version, terms) = terms_of(app, book, asked, now).await?;
    // Volumes are those of calendar months: the sales of the month before the period count for them.
    let start = if terms.have_tiers() { month_of(from) } else { from };
    let mut replay = Replay::new(terms, from, only);
    let mut after = None;
    loop {
        let page = app
            .db
            .read("past sales", Scope::Book(book), move |tx| {
                Box::pin(async move { store::past_payments(tx, start, before, after, PAGE).await })
            })
            .await?;
        let Some(last) = page.last() else { break };
        after = Some((last.created_at, last.id));
        for payment in &page {
            replay.take(payment);
        }
        if replay.read > MOST_SIMULATED_LINES {
            return Err(SimulationError::TooManyLines);
        }
    }
    Ok(Simulation { version, terms: replay.terms, lines: replay.priced, totals: replay.totals, rules: replay.rules })
}

async fn terms_of(
    app: &Arc<App>,
    book: BookId,
    asked: NewSimulation,
    now: Timestamp,
) -> Result<(Option<i32>, FeeTerms), SimulationError> {
    if let Trial::Terms(terms) = &asked.trial {
        terms.check().map_err(FeeError::from)?;
    }
    app.db
        .read("terms to simulate", Scope::Book(book), move |tx| {
            let asked = asked.clone();
            Box::pin(async move {
                let policy = fees::find(tx, asked.policy, now).await?.ok_or(FeeError::NotFound)?;
                Ok(match asked.trial {
                    Trial::Current => (Some(policy.version), policy.terms),
                    Trial::Version(version) => {
                        let found = fees::find_version(tx, policy.id, version).await?;
                        (Some(version), found.ok_or(SimulationError::UnknownVersion)?.terms)
                    }
                    Trial::Terms(terms) => {
                        fees::check_sellers(tx, &terms).await?;
                        (None, terms)
                    }
                })
            })
        })
        .await
}

/// Prices payments one after the other, in the order they were made. Holds one number for each seller of the month.
struct Replay {
    terms: FeeTerms,
    from: Timestamp,
    only: Option<FeePolicyId>,
    month: Timestamp,
    volumes: HashMap<(SellerId, Currency), i64>,
    read: u64,
    priced: u64,
    totals: BTreeMap<Currency, Sums>,
    rules: BTreeMap<(Option<usize>, Currency), Sums>,
}

impl Replay {
    fn new(terms: FeeTerms, from: Timestamp, only: Option<FeePolicyId>) -> Self {
        Self {
            terms,
            from,
            only,
            month: month_of(from),
            volumes: HashMap::new(),
            read: 0,
            priced: 0,
            totals: BTreeMap::new(),
            rules: BTreeMap::new(),
        }
    }

    fn take(&mut self, payment: &PastPayment) {
        let month = month_of(payment.created_at);
        if month != self.month {
            self.month = month;
            self.volumes.clear();
        }
        let currency = payment.currency;
        for line in &payment.lines {
            self.read += 1;
            if payment.created_at < self.from || self.only.is_some_and(|policy| line.policy != Some(policy)) {
                continue;
            }
            let sale = Sale {
                seller: Some(line.seller),
                country: Some(&line.country),
                currency,
                category: line.category.as_deref(),
                kind: line.kind,
                amount: line.amount,
            };
            let volume = self.volumes.get(&(line.seller, currency)).copied().unwrap_or(0);
            let priced = fees::price(&self.terms, &sale, volume);
            let commission = priced.map_or(0, |priced| priced.calculation.commission);
            self.priced += 1;
            self.totals.entry(currency).or_default().add(line, commission);
            let rule = priced.map(|priced| priced.rule);
            self.rules.entry((rule, currency)).or_default().add(line, commission);
        }
        // After all of them: the lines of one cart do not count for each other.
        if self.terms.have_tiers() {
            for line in &payment.lines {
                let volume = self.volumes.entry((line.seller, currency)).or_default();
                *volume = volume.saturating_add(line.amount);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fees::{SaleKind, Tier};
    use crate::id::PaymentId;

    fn eur() -> Currency {
        Currency::parse("EUR").expect("a currency")
    }

    fn payment(at: &str, lines: &[(SellerId, i64, Option<FeePolicyId>)]) -> PastPayment {
        let line = |(seller, amount, policy): &(SellerId, i64, Option<FeePolicyId>)| PastLine {
            seller: *seller,
            country: "DE".to_owned(),
            kind: SaleKind::Item,
            amount: *amount,
            category: None,
            commission: amount / 10,
            policy: *policy,
        };
        PastPayment {
            id: PaymentId::new(),
            created_at: at.parse().expect("a time"),
            currency: eur(),
            lines: lines.iter().map(line).collect(),
        }
    }

    /// 10 %, and 5 % from 100.00 of the month on.
    fn tiered() -> FeeTerms {
        let mut terms = FeeTerms::flat(1_000, BTreeMap::new());
        terms.rules[0].price.tiers.insert(eur(), vec![Tier { from: 100_00, percent_bps: 500 }]);
        terms
    }

    #[test]
    fn volumes_grow_by_payments_and_end_with_the_month() {
        let seller = SellerId::new();
        let mut replay = Replay::new(tiered(), "2026-03-10T00:00:00Z".parse().expect("a time"), None);
        let charged = |replay: &Replay| replay.totals.get(&eur()).map_or(0, |sums| sums.simulated);
        replay.take(&payment("2026-03-02T00:00:00Z", &[(seller, 60_00, None)]));
        assert_eq!((replay.read, replay.priced), (1, 0), "before the period: only its volume counts");
        replay.take(&payment("2026-03-10T00:00:00Z", &[(seller, 40_00, None), (seller, 20_00, None)]));
        assert_eq!(charged(&replay), 6_00, "60.00 so far: 4.00 and 2.00");
        replay.take(&payment("2026-03-11T00:00:00Z", &[(seller, 20_00, None), (SellerId::new(), 20_00, None)]));
        assert_eq!(charged(&replay), 9_00, "120.00 so far: 1.00; the other seller has none: 2.00");
        replay.take(&payment("2026-04-01T00:00:00Z", &[(seller, 20_00, None)]));
        assert_eq!(charged(&replay), 11_00, "a new month: 2.00");
        assert_eq!(replay.totals[&eur()], Sums { lines: 5, amount: 120_00, charged: 12_00, simulated: 11_00 });
    }

    #[test]
    fn only_the_lines_of_the_policy_are_priced_and_all_count_for_volumes() {
        let (seller, policy) = (SellerId::new(), FeePolicyId::new());
        let mut terms = tiered();
        terms.rules[0].when.countries = vec!["DE".to_owned()];
        let mut replay = Replay::new(terms, "2026-03-01T00:00:00Z".parse().expect("a time"), Some(policy));
        replay.take(&payment("2026-03-02T00:00:00Z", &[(seller, 100_00, Some(FeePolicyId::new()))]));
        replay.take(&payment("2026-03-03T00:00:00Z", &[(seller, 100_00, Some(policy)), (seller, 1_00, None)]));
        assert_eq!((replay.read, replay.priced), (3, 1));
        let sums = Sums { lines: 1, amount: 100_00, charged: 10_00, simulated: 5_00 };
        assert_eq!(replay.rules, BTreeMap::from([((Some(0), eur()), sums)]));
    }
}
