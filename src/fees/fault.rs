//! What can be wrong with terms, and where.

use super::rules::{MOST_RULES, MOST_TIERS, MOST_VALUES};

/// What is wrong with terms, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct TermsFault {
    /// Where, from the list of rules inwards: `0`, `when`, `countries`, `2`.
    pub path: Vec<String>,
    /// What.
    pub problem: TermsProblem,
}

/// What can be wrong with terms.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TermsProblem {
    /// An empty list of rules.
    #[error("there is no rule")]
    NoRules,
    /// More rules than there may be.
    #[error("at most {MOST_RULES} rules, not {count}")]
    TooManyRules {
        /// How many there are.
        count: usize,
    },
    /// A rule after one that is for every line.
    #[error("no line ever comes to this rule: rule {earlier} has no conditions and is for every line")]
    Unreachable {
        /// The number of the rule without conditions, from 1.
        earlier: usize,
    },
    /// More values of a condition than there may be.
    #[error("at most {MOST_VALUES} values, not {count}")]
    TooManyValues {
        /// How many there are.
        count: usize,
    },
    /// Not a country.
    #[error("no country has this code (ISO 3166-1, two upper-case letters)")]
    UnknownCountry,
    /// Not a seller of this book.
    #[error("there is no such seller")]
    UnknownSeller,
    /// A range that holds no amount.
    #[error("the range holds no amount: below must be above from")]
    EmptyRange,
    /// A percentage below nothing or above the whole.
    #[error("must be 0 to 10000 basis points")]
    PercentOutOfRange,
    /// A fixed part or bound below nothing.
    #[error("must not be negative")]
    Negative,
    /// A minimum above its maximum.
    #[error("the minimum is above the maximum")]
    MinimumAboveMaximum,
    /// No tier, or too many.
    #[error("1 to {MOST_TIERS} tiers, not {count}")]
    TierCount {
        /// How many there are.
        count: usize,
    },
    /// A tier that does not begin above the one before it.
    #[error("tiers ascend: each begins above the one before, the first above 0")]
    TiersDoNotAscend,
}

impl TermsFault {
    pub(super) fn at(path: &[&str], problem: TermsProblem) -> Self {
        Self { path: path.iter().map(ToString::to_string).collect(), problem }
    }

    pub(super) fn inside(mut self, segment: &str) -> Self {
        self.path.insert(0, segment.to_owned());
        self
    }
}
