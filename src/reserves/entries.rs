//! What is booked when something happens to a reserve. Pure.

use super::StepKind;
use crate::chart::{Chart, Kind, SellerAccount, SellerNumber};
use crate::journal::Entry;

/// A step of a reserve: what goes in leaves what the seller can be sent, what comes out is there again.
pub fn step(chart: Chart, seller: SellerNumber, kind: StepKind, amount: i64) -> (Kind, Vec<Entry>) {
    let (available, reserve) =
        (chart.seller(seller, SellerAccount::Available), chart.seller(seller, SellerAccount::Reserve));
    let put_in = vec![Entry { debit: available, credit: reserve, amount }];
    let taken_out = vec![Entry { debit: reserve, credit: available, amount }];
    match kind {
        StepKind::Take => (Kind::ReserveTaken, put_in),
        StepKind::Draw => (Kind::ReserveDrawn, taken_out),
        StepKind::Restore => (Kind::ReserveRestored, put_in),
        StepKind::Release => (Kind::ReserveReleased, taken_out),
    }
}

#[cfg(test)]
mod tests {
    use partita_db::BookId;
    use partita_provider::Currency;

    use super::*;

    #[test]
    fn ten_per_cent_of_54_taken_drawn_put_back_and_released() {
        let a = SellerNumber(1);
        let c = Chart {
            book: BookId::try_new(1).expect("in range"),
            currency: Currency::parse("EUR").expect("a currency"),
        };
        let (available, reserve) = (c.seller(a, SellerAccount::Available), c.seller(a, SellerAccount::Reserve));
        let put_in = vec![Entry { debit: available, credit: reserve, amount: 5_40 }];
        let taken_out = vec![Entry { debit: reserve, credit: available, amount: 5_40 }];
        assert_eq!(step(c, a, StepKind::Take, 5_40), (Kind::ReserveTaken, put_in.clone()));
        assert_eq!(step(c, a, StepKind::Draw, 5_40), (Kind::ReserveDrawn, taken_out.clone()));
        assert_eq!(step(c, a, StepKind::Restore, 5_40), (Kind::ReserveRestored, put_in));
        assert_eq!(step(c, a, StepKind::Release, 5_40), (Kind::ReserveReleased, taken_out));
    }
}
