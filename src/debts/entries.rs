//! What is booked when something happens to a debt. Pure.

use crate::chart::{Chart, PlatformAccount, SellerAccount, SellerNumber};
use crate::journal::Entry;

fn entry(debit: partita_ledger::AccountKey, credit: partita_ledger::AccountKey, amount: i64) -> Vec<Entry> {
    vec![Entry { debit, credit, amount }]
}

/// What the seller was short of is its debt: its balance is level again, and what it owes ages apart from it.
pub fn opened(chart: Chart, seller: SellerNumber, amount: i64) -> Vec<Entry> {
    entry(chart.seller(seller, SellerAccount::Debt), chart.seller(seller, SellerAccount::Available), amount)
}

/// Later money of the seller pays it.
pub fn offset(chart: Chart, seller: SellerNumber, amount: i64) -> Vec<Entry> {
    entry(chart.seller(seller, SellerAccount::Available), chart.seller(seller, SellerAccount::Debt), amount)
}

/// What had paid it is the seller's again: the debt's own money has come.
pub fn returned(chart: Chart, seller: SellerNumber, amount: i64) -> Vec<Entry> {
    opened(chart, seller, amount)
}

/// It is given up.
pub fn written_off(chart: Chart, seller: SellerNumber, amount: i64) -> Vec<Entry> {
    entry(chart.platform(PlatformAccount::BadDebt), chart.seller(seller, SellerAccount::Debt), amount)
}

/// What was given up came back.
pub fn recovered(chart: Chart, seller: SellerNumber, amount: i64) -> Vec<Entry> {
    entry(chart.seller(seller, SellerAccount::Available), chart.platform(PlatformAccount::BadDebt), amount)
}

#[cfg(test)]
mod tests {
    use partita_db::BookId;
    use partita_provider::Currency;

    use super::*;

    #[test]
    fn a_debt_of_22_50_opened_paid_given_up_and_come_back() {
        let a = SellerNumber(1);
        let c = Chart {
            book: BookId::try_new(1).expect("in range"),
            currency: Currency::parse("EUR").expect("a currency"),
        };
        let (debt, available) = (c.seller(a, SellerAccount::Debt), c.seller(a, SellerAccount::Available));
        let loss = c.platform(PlatformAccount::BadDebt);
        assert_eq!(opened(c, a, 22_50), [Entry { debit: debt, credit: available, amount: 22_50 }]);
        assert_eq!(offset(c, a, 22_50), [Entry { debit: available, credit: debt, amount: 22_50 }]);
        assert_eq!(returned(c, a, 22_50), [Entry { debit: debt, credit: available, amount: 22_50 }]);
        assert_eq!(written_off(c, a, 22_50), [Entry { debit: loss, credit: debt, amount: 22_50 }]);
        assert_eq!(recovered(c, a, 22_50), [Entry { debit: available, credit: loss, amount: 22_50 }]);
    }
}
