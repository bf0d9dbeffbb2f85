//! What is captured of an authorised payment, line by line. Pure.
//!
//! By line: the named net amount, its tax and its commission in proportion. By amount: the gross is spread over all net
//! amounts and taxes by largest remainder. What is not captured was never anybody's: the line counts for the rest.

use partita_provider::allocate;

use super::{Line, PaymentError, SellerShare, proportion};

/// How much of what a platform captures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CaptureAsked {
    /// Everything that is authorised.
    Everything,
    /// A gross amount; minor units.
    Amount(i64),
    /// Net amounts of lines: (line, minor units). Lines that are not named are not captured.
    Lines(Vec<(i32, i64)>),
}

/// What is captured of each line, in their order, and in all, taxes included; minor units. `lines` are as authorised.
pub(super) fn spread(lines: &[Line], asked: &CaptureAsked) -> Result<(i64, Vec<SellerShare>), PaymentError> {
    let parts: Vec<(i64, i64)> = match asked {
        CaptureAsked::Everything => lines.iter().map(|line| (line.amount, line.tax_amount)).collect(),
        CaptureAsked::Amount(amount) => by_amount(lines, *amount)?,
        CaptureAsked::Lines(named) => by_line(lines, named)?,
    };
    let share = |(line, (amount, tax)): (&Line, (i64, i64))| {
        let commission = proportion(line.commission, amount, line.amount);
        SellerShare { line: line.number, amount, tax, commission, vat: line.vat_of(commission) }
    };
    let shares: Vec<SellerShare> = lines.iter().zip(parts).map(share).collect();
    Ok((shares.iter().map(|share| share.amount + share.tax).sum(), shares))
}

fn by_amount(lines: &[Line], amount: i64) -> Result<Vec<(i64, i64)>, PaymentError> {
    let authorized: Vec<i64> = lines.iter().flat_map(|line| [line.amount, line.tax_amount]).collect();
    let all: i64 = authorized.iter().sum();
    if amount > all {
        return Err(PaymentError::MoreThanAuthorized { asked: amount, authorized: all });
    }
    let parts = allocate(amount, &authorized).expect("lines have positive amounts");
    Ok(parts.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect())
}

fn by_line(lines: &[Line], named: &[(i32, i64)]) -> Result<Vec<(i64, i64)>, PaymentError> {
    let mut parts = vec![(0, 0); lines.len()];
    for (index, (number, amount)) in named.iter().enumerate() {
        let place = lines.iter().position(|line| line.number == *number);
        let place = place.ok_or(PaymentError::UnknownLine { index, line: *number })?;
        if parts[place] != (0, 0) {
            return Err(PaymentError::RepeatedLine { index, line: *number });
        }
        let line = &lines[place];
        if *amount > line.amount {
            let authorized = line.amount;
            return Err(PaymentError::MoreThanAuthorizedOfLine { index, line: *number, asked: *amount, authorized });
        }
        parts[place] = (*amount, proportion(line.tax_amount, *amount, line.amount));
    }
    Ok(parts)
}

/// What of each line was authorised and is not captured.
pub(super) fn rests(lines: &[Line], captured: &[SellerShare]) -> Vec<SellerShare> {
    lines
        .iter()
        .zip(captured)
        .map(|(line, share)| SellerShare {
            line: line.number,
            amount: line.amount - share.amount,
            tax: line.tax_amount - share.tax,
            commission: line.commission - share.commission,
            vat: line.commission_vat - share.vat,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::payments::worked_cart::{line, worked_cart};

    fn share(line: i32, amount: i64, tax: i64, commission: i64) -> SellerShare {
        SellerShare { line, amount, tax, commission, vat: 0 }
    }

    #[test]
    fn half_of_a_and_nothing_of_b() {
        let (gross, shares) = spread(&worked_cart(), &CaptureAsked::Lines(vec![(0, 30_00)])).expect("lawful");
        assert_eq!(gross, 36_00);
        assert_eq!(shares, [share(0, 30_00, 6_00, 3_00), share(1, 0, 0, 0)]);
        assert_eq!(rests(&worked_cart(), &shares), [share(0, 30_00, 6_00, 3_00), share(1, 40_00, 8_00, 4_00)]);
    }

    #[test]
    fn a_gross_amount_is_spread_over_goods_and_taxes() {
        let (gross, shares) = spread(&worked_cart(), &CaptureAsked::Amount(12_00)).expect("lawful");
        assert_eq!((gross, &shares[..]), (12_00, &[share(0, 6_00, 1_20, 60), share(1, 4_00, 80, 40)][..]));
        let (gross, shares) = spread(&worked_cart(), &CaptureAsked::Everything).expect("lawful");
        assert_eq!((gross, &shares[..]), (120_00, &[share(0, 60_00, 12_00, 6_00), share(1, 40_00, 8_00, 4_00)][..]));
    }

    #[test]
    fn more_than_is_authorised_is_refused_with_what_is() {
        let refused = |asked| spread(&worked_cart(), &asked).expect_err("refused on purpose");
        assert!(matches!(
            refused(CaptureAsked::Amount(120_01)),
            PaymentError::MoreThanAuthorized { asked: 120_01, authorized: 120_00 }
        ));
        assert!(matches!(
            refused(CaptureAsked::Lines(vec![(0, 1), (1, 40_01)])),
            PaymentError::MoreThanAuthorizedOfLine { index: 1, line: 1, asked: 40_01, authorized: 40_00 }
        ));
        assert!(matches!(refused(CaptureAsked::Lines(vec![(7, 1)])), PaymentError::UnknownLine { index: 0, line: 7 }));
        assert!(matches!(
            refused(CaptureAsked::Lines(vec![(0, 1), (0, 2)])),
            PaymentError::RepeatedLine { index: 1, line: 0 }
        ));
    }

    proptest! {
        #[test]
        fn any_capture_is_exact_and_no_line_passes_what_was_authorised(
            parts in prop::collection::vec((1_i64..50_000, 0_i64..9_000, 0_i64..=10_000), 1..6), permille in 1_i64..=1_000
        ) {
            let lines: Vec<Line> = parts
                .iter()
                .zip(0..)
                .map(|((amount, tax, bps), number)| line(number, None, *amount, *tax, amount * bps / 10_000))
                .collect();
            let all: i64 = lines.iter().map(|line| line.amount + line.tax_amount).sum();
            let asked = (all * permille / 1_000).max(1);
            let (gross, shares) = spread(&lines, &CaptureAsked::Amount(asked)).expect("lawful");
            prop_assert_eq!(gross, asked);
            for rest in rests(&lines, &shares) {
                prop_assert!(rest.amount >= 0 && rest.tax >= 0 && rest.commission >= 0);
            }
            for (line, share) in lines.iter().zip(&shares) {
                prop_assert!(share.amount >= 0 && share.tax >= 0 && share.commission <= share.amount, "{line:?} {share:?}");
            }
        }
    }
}
