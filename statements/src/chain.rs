//! Whether statements follow one another without a gap.

use std::collections::BTreeMap;

use partita_provider::Currency;

use crate::statement::{Balance, Statement};

/// Something between statements of one account that is not as it should be. Numbers are places in the list that was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChainBreak {
    /// The same statement again, to the last entry.
    Repeated {
        /// Where it is first.
        first: usize,
        /// Where it is again.
        again: usize,
    },
    /// A balance that is not the one the statement before has left.
    Gap {
        /// The statement before.
        before: usize,
        /// The statement that does not follow it.
        after: usize,
        /// The closing balance before, minor units.
        closing: i64,
        /// The opening balance after, minor units.
        opening: i64,
    },
    /// Numbers or pages of the sender's own that are left out or come again.
    Number {
        /// The statement before.
        before: usize,
        /// The statement that does not follow it.
        after: usize,
        /// The number that should follow.
        expected: u64,
        /// The number that does.
        found: u64,
    },
}

/// Compares the statements of each account and currency in the order of their closing balances' dates, numbers and pages.
/// Statements without balances are not part of a chain.
///
/// A count that begins anew at 1, as it does with a year, is no break; nor are equal numbers, which some banks give to all.
pub fn check_chain(statements: &[Statement]) -> Vec<ChainBreak> {
    let mut accounts: BTreeMap<(&str, Currency), Vec<Link>> = BTreeMap::new();
    let (mut breaks, mut seen) = (Vec::new(), BTreeMap::new());
    for (place, statement) in statements.iter().enumerate() {
        let (Some(opening), Some(closing)) = (statement.opening, statement.closing) else { continue };
        if let Some(first) = seen.get(&statement.fingerprint) {
            breaks.push(ChainBreak::Repeated { first: *first, again: place });
            continue;
        }
        seen.insert(statement.fingerprint, place);
        let links = accounts.entry((statement.account.as_str(), statement.currency)).or_default();
        links.push(Link { place, statement, opening, closing });
    }
    for links in accounts.values_mut() {
        links.sort_by_key(|link| (link.closing.date, link.statement.sequence, link.statement.page, link.place));
        for pair in links.windows(2) {
            breaks.extend(pair[1].breaks_from(&pair[0]));
        }
    }
    breaks
}

struct Link<'a> {
    place: usize,
    statement: &'a Statement,
    opening: Balance,
    closing: Balance,
}

impl Link<'_> {
    fn breaks_from(&self, before: &Self) -> impl Iterator<Item = ChainBreak> {
        let (closing, opening) = (before.closing.amount, self.opening.amount);
        let gap = (closing != opening).then_some(ChainBreak::Gap {
            before: before.place,
            after: self.place,
            closing,
            opening,
        });
        let number = self.missing_number(before).map(|(expected, found)| ChainBreak::Number {
            before: before.place,
            after: self.place,
            expected,
            found,
        });
        gap.into_iter().chain(number)
    }

    fn missing_number(&self, before: &Self) -> Option<(u64, u64)> {
        let (earlier, later) = (before.statement.sequence?, self.statement.sequence?);
        let expected = earlier.checked_add(1)?;
        if later == earlier {
            let (page, next) = (before.statement.page?, self.statement.page?);
            let expected = page.checked_add(1)?;
            return (next != expected && next != page).then_some((expected, next));
        }
        (later != expected && later != 1).then_some((expected, later))
    }
}
