//! What is booked for an adjustment. Pure.

use super::{Direction, Reason};
use crate::chart::{Chart, PlatformAccount, SellerAccount, SellerNumber};
use crate::journal::Entry;

/// A seller was given money, or gave it; the reason says which account of the platform's is on the other side.
pub fn booked(chart: Chart, seller: SellerNumber, direction: Direction, reason: Reason, amount: i64) -> Vec<Entry> {
    let available = chart.seller(seller, SellerAccount::Available);
    let platforms = chart.platform(match reason {
        Reason::Goodwill | Reason::Other => PlatformAccount::Goodwill,
        Reason::Penalty => PlatformAccount::Fees,
        Reason::FeeCorrection => PlatformAccount::Commission,
    });
    vec![match direction {
        Direction::Credit => Entry { debit: platforms, credit: available, amount },
        Direction::Debit => Entry { debit: available, credit: platforms, amount },
    }]
}

#[cfg(test)]
mod tests {
    use partita_db::BookId;
    use partita_provider::Currency;

    use super::*;

    const B: SellerNumber = SellerNumber(2);

    #[test]
    fn five_of_goodwill_to_b_and_back() {
        let c = Chart {
            book: BookId::try_new(1).expect("in range"),
            currency: Currency::parse("EUR").expect("a currency"),
        };
        let (goodwill, available) = (c.platform(PlatformAccount::Goodwill), c.seller(B, SellerAccount::Available));
        let given = booked(c, B, Direction::Credit, Reason::Goodwill, 5_00);
        assert_eq!(given, [Entry { debit: goodwill, credit: available, amount: 5_00 }]);
        let back = booked(c, B, Direction::Credit.opposite(), Reason::Goodwill, 5_00);
        assert_eq!(back, [Entry { debit: available, credit: goodwill, amount: 5_00 }]);
        let penalty = booked(c, B, Direction::Debit, Reason::Penalty, 7_50);
        assert_eq!(penalty, [Entry { debit: available, credit: c.platform(PlatformAccount::Fees), amount: 7_50 }]);
        let fee = booked(c, B, Direction::Credit, Reason::FeeCorrection, 1_25);
        assert_eq!(fee, [Entry { debit: c.platform(PlatformAccount::Commission), credit: available, amount: 1_25 }]);
    }
}
