//! What postings come to, account by account.

use std::collections::BTreeMap;

use super::Postings;

/// Debits and credits of an account, minor units.
type Sums = (i128, i128);

/// Sums of accounts that something was posted to.
#[derive(Debug, Clone, Default)]
pub(super) struct Balances(BTreeMap<i64, Sums>);

impl Balances {
    pub(super) fn add(&mut self, postings: &Postings) {
        for (debit, credit, amount) in postings {
            self.0.entry(*debit).or_default().0 += i128::from(*amount);
            self.0.entry(*credit).or_default().1 += i128::from(*amount);
        }
    }

    /// Accounts whose stored sums are others, with what is wrong.
    pub(super) fn differences(mut self, stored: BTreeMap<i64, Sums>) -> impl Iterator<Item = (i64, String)> {
        let mut differing = Vec::new();
        for (account, found) in stored {
            let expected = self.0.remove(&account).unwrap_or_default();
            differing.extend((expected != found).then_some((account, expected, Some(found))));
        }
        differing.extend(self.0.into_iter().map(|(account, expected)| (account, expected, None)));
        differing.into_iter().map(|(account, (debits, credits), found)| {
            let stored = found
                .map_or("no balance".to_owned(), |(debits, credits)| format!("debits {debits}, credits {credits}"));
            (account, format!("has {stored}; the facts make debits {debits}, credits {credits}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::Balances;

    #[test]
    fn a_balance_differs_by_either_side_or_by_not_being_there() {
        let mut expected = Balances::default();
        expected.add(&vec![(1, 2, 500), (1, 3, 200), (2, 3, 100)]);
        let stored = BTreeMap::from([(1, (700, 0)), (2, (100, 400)), (4, (0, 0)), (5, (1, 0))]);
        let differences: Vec<_> = expected.differences(stored).collect();
        assert_eq!(
            differences,
            [
                (2, "has debits 100, credits 400; the facts make debits 100, credits 500".to_owned()),
                (5, "has debits 1, credits 0; the facts make debits 0, credits 0".to_owned()),
                (3, "has no balance; the facts make debits 0, credits 300".to_owned()),
            ]
        );
    }
}
