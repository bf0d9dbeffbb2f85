//! What a refund takes from whom. Pure.
//!
//! By line: the named net amount, its tax in proportion, the commission in proportion to the net amount. By amount:
//! the gross is spread over all net amounts and taxes by the clamped cumulative rule, so that any sequence of refunds
//! is exact, never negative, and ends at the lines. Taxes and commissions are the rounded proportion of what was given
//! back *so far*, less what was returned before: they too end at their whole.

use partita_provider::clamped_cumulative;

use super::{FeePolicy, RefundError};
use crate::payments::{Line, SellerShare, proportion};

/// How much of what a platform asks back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// Everything that is left.
    Everything,
    /// A gross amount; minor units.
    Amount(i64),
    /// Net amounts of lines: (line, minor units).
    Lines(Vec<(i32, i64)>),
}

/// Who gives what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allocated {
    /// What the buyer gets, tax included; minor units.
    pub gross: i64,
    /// By line, in their order; only lines that give something.
    pub shares: Vec<SellerShare>,
}

/// Allocates a refund over the lines of its payment. What disputes have taken is not left.
///
/// # Errors
/// [`RefundError`] when more is asked than is left; [`RefundError::Disputed`] when only a dispute stands in the way.
pub(super) fn allocate(lines: &[Line], asked: &Asked, fee: FeePolicy) -> Result<Allocated, RefundError> {
    spread(lines, asked, fee).map_err(|error| because_of_dispute(lines, asked, error))
}

/// What would be left without disputes is not too much: it is disputed.
fn because_of_dispute(lines: &[Line], asked: &Asked, error: RefundError) -> RefundError {
    let disputed: i64 = lines.iter().map(|line| line.disputed_amount + line.disputed_tax).sum();
    let undisputed: Vec<Line> = lines
        .iter()
        .cloned()
        .map(|line| Line { disputed_amount: 0, disputed_tax: 0, disputed_commission: 0, ..line })
        .collect();
    let is_too_much = matches!(
        error,
        RefundError::NothingLeft | RefundError::MoreThanLeft { .. } | RefundError::MoreThanLeftOfLine { .. }
    );
    if disputed > 0 && is_too_much && spread(&undisputed, asked, FeePolicy::Kept).is_ok() {
        return RefundError::Disputed { disputed };
    }
    error
}

fn spread(lines: &[Line], asked: &Asked, fee: FeePolicy) -> Result<Allocated, RefundError> {
    let given = match asked {
        Asked::Everything => lines.iter().map(|line| (line.refundable().amount, line.refundable().tax)).collect(),
        Asked::Amount(amount) => by_amount(lines, *amount)?,
        Asked::Lines(named) => by_line(lines, named)?,
    };
    let shares: Vec<SellerShare> = lines
        .iter()
        .zip(given)
        .filter(|(_, (amount, tax))| *amount > 0 || *tax > 0)
        .map(|(line, (amount, tax))| SellerShare {
            line: line.number,
            amount,
            tax,
            commission: returned_commission(line, amount, fee),
        })
        .collect();
    let gross = shares.iter().map(|share| share.amount + share.tax).sum();
    if gross == 0 { Err(RefundError::NothingLeft) } else { Ok(Allocated { gross, shares }) }
}

fn by_amount(lines: &[Line], amount: i64) -> Result<Vec<(i64, i64)>, RefundError> {
    let original: Vec<i64> = lines.iter().flat_map(|line| [line.amount, line.tax_amount]).collect();
    let already: Vec<i64> = lines.iter().flat_map(|line| [line.gone_amount(), line.gone_tax()]).collect();
    let before: i64 = already.iter().sum();
    let left = original.iter().sum::<i64>() - before;
    if left == 0 {
        return Err(RefundError::NothingLeft);
    }
    if amount > left {
        return Err(RefundError::MoreThanLeft { asked: amount, left });
    }
    let parts = clamped_cumulative(before + amount, &original, &already)
        .map_err(|_| RefundError::MoreThanLeft { asked: amount, left })?;
    Ok(parts.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect())
}

fn by_line(lines: &[Line], named: &[(i32, i64)]) -> Result<Vec<(i64, i64)>, RefundError> {
    let mut given = vec![(0, 0); lines.len()];
    for (index, (number, amount)) in named.iter().enumerate() {
        let place = lines
            .iter()
            .position(|line| line.number == *number)
            .ok_or(RefundError::UnknownLine { index, line: *number })?;
        if given[place] != (0, 0) {
            return Err(RefundError::RepeatedLine { index, line: *number });
        }
        let line = &lines[place];
        let left = line.refundable().amount;
        if *amount > left {
            return Err(RefundError::MoreThanLeftOfLine { index, line: *number, asked: *amount, left });
        }
        let tax = proportion(line.tax_amount, line.gone_amount() + amount, line.amount);
        // Never below zero: refunds by amount may have given more of the tax than the proportion.
        given[place] = (*amount, (tax - line.gone_tax()).max(0));
    }
    Ok(given)
}

fn returned_commission(line: &Line, amount: i64, fee: FeePolicy) -> i64 {
    match fee {
        FeePolicy::Kept => 0,
        FeePolicy::Returned => line.commission_of(amount),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::chart::SellerNumber;
    use crate::payments::worked_cart::{line, worked_cart};

    fn record(lines: &mut [Line], allocated: &Allocated) {
        for share in &allocated.shares {
            let line = lines.iter_mut().find(|line| line.number == share.line).expect("allocated over these lines");
            line.refunded_amount += share.amount;
            line.refunded_tax += share.tax;
            line.returned_commission += share.commission;
        }
    }

    #[test]
    fn the_worked_cart_gives_25_and_its_tax_then_the_rest() {
        let mut cart = worked_cart();
        let first = allocate(&cart, &Asked::Lines(vec![(0, 25_00)]), FeePolicy::Returned).expect("lawful");
        assert_eq!(first.gross, 30_00);
        assert_eq!(first.shares, [SellerShare { line: 0, amount: 25_00, tax: 5_00, commission: 2_50 }]);
        record(&mut cart, &first);
        let rest = allocate(&cart, &Asked::Everything, FeePolicy::Returned).expect("lawful");
        assert_eq!(rest.gross, 90_00);
        assert_eq!(
            rest.shares,
            [
                SellerShare { line: 0, amount: 35_00, tax: 7_00, commission: 3_50 },
                SellerShare { line: 1, amount: 40_00, tax: 8_00, commission: 4_00 },
            ]
        );
        record(&mut cart, &rest);
        assert!(matches!(allocate(&cart, &Asked::Everything, FeePolicy::Returned), Err(RefundError::NothingLeft)));
    }

    #[test]
    fn a_gross_amount_is_spread_over_goods_and_taxes() {
        let allocated = allocate(&worked_cart(), &Asked::Amount(12_00), FeePolicy::Returned).expect("lawful");
        assert_eq!(allocated.gross, 12_00);
        assert_eq!(
            allocated.shares,
            [
                SellerShare { line: 0, amount: 6_00, tax: 1_20, commission: 60 },
                SellerShare { line: 1, amount: 4_00, tax: 80, commission: 40 },
            ]
        );
    }

    #[test]
    fn a_kept_commission_stays_with_the_platform() {
        let mut cart = worked_cart();
        let kept = allocate(&cart, &Asked::Lines(vec![(0, 30_00)]), FeePolicy::Kept).expect("lawful");
        assert_eq!(kept.shares[0].commission, 0);
        record(&mut cart, &kept);
        let returned = allocate(&cart, &Asked::Lines(vec![(0, 30_00)]), FeePolicy::Returned).expect("lawful");
        assert_eq!(returned.shares[0].commission, 3_00, "only what the second half of the goods carries");
    }

    #[test]
    fn more_than_is_left_is_refused_with_what_is_left() {
        let cart = worked_cart();
        let fee = FeePolicy::Returned;
        assert!(matches!(
            allocate(&cart, &Asked::Amount(120_01), fee),
            Err(RefundError::MoreThanLeft { asked: 120_01, left: 120_00 })
        ));
        assert!(matches!(
            allocate(&cart, &Asked::Lines(vec![(1, 40_01)]), fee),
            Err(RefundError::MoreThanLeftOfLine { index: 0, line: 1, asked: 40_01, left: 40_00 })
        ));
        assert!(matches!(
            allocate(&cart, &Asked::Lines(vec![(0, 1), (7, 1)]), fee),
            Err(RefundError::UnknownLine { index: 1, line: 7 })
        ));
        assert!(matches!(
            allocate(&cart, &Asked::Lines(vec![(0, 1), (0, 1)]), fee),
            Err(RefundError::RepeatedLine { index: 1, line: 0 })
        ));
    }

    #[test]
    fn what_a_dispute_has_taken_is_not_given_a_second_time() {
        let mut cart = worked_cart();
        (cart[0].disputed_amount, cart[0].disputed_tax, cart[0].disputed_commission) = (60_00, 12_00, 6_00);
        let fee = FeePolicy::Returned;
        for asked in [Asked::Amount(48_01), Asked::Lines(vec![(0, 1)])] {
            let refused = allocate(&cart, &asked, fee);
            assert!(matches!(refused, Err(RefundError::Disputed { disputed: 72_00 })), "{refused:?}");
        }
        let more = allocate(&cart, &Asked::Amount(120_01), fee);
        assert!(matches!(more, Err(RefundError::MoreThanLeft { left: 48_00, .. })), "too much even without a dispute");
        let rest = allocate(&cart, &Asked::Everything, fee).expect("B's line");
        assert_eq!(rest.shares, [SellerShare { line: 1, amount: 40_00, tax: 8_00, commission: 4_00 }]);
        record(&mut cart, &rest);
        assert!(matches!(allocate(&cart, &Asked::Everything, fee), Err(RefundError::Disputed { .. })));
        (cart[0].disputed_amount, cart[0].disputed_tax, cart[0].disputed_commission) = (0, 0, 0);
        assert_eq!(allocate(&cart, &Asked::Everything, fee).expect("won").gross, 72_00);
    }

    fn carts() -> impl Strategy<Value = Vec<Line>> {
        prop::collection::vec((1_i64..50_000, 0_i64..9_000, 0_i64..=10_000), 1..6).prop_map(|parts| {
            let lines = parts.into_iter().enumerate();
            lines
                .map(|(index, (amount, tax, bps))| {
                    let number = i32::try_from(index).expect("few");
                    line(number, Some(SellerNumber(number + 1)), amount, tax, amount * bps / 10_000)
                })
                .collect()
        })
    }

    fn left(lines: &[Line]) -> i64 {
        lines.iter().map(|line| line.remaining().amount + line.remaining().tax).sum()
    }

    proptest! {
        #[test]
        fn any_sequence_of_refunds_is_exact_and_ends_at_the_whole(
            mut lines in carts(), steps in prop::collection::vec((any::<bool>(), 1_i64..30_000, 0_usize..6), 0..10)
        ) {
            for (by_line, amount, place) in steps {
                if left(&lines) == 0 { break; }
                let line = &lines[place % lines.len()];
                let asked = match line.remaining().amount {
                    rest if by_line && rest > 0 => Asked::Lines(vec![(line.number, amount.min(rest))]),
                    _ => Asked::Amount(amount.min(left(&lines))),
                };
                let allocated = allocate(&lines, &asked, FeePolicy::Returned).expect("lawful");
                if let Asked::Amount(amount) = asked { prop_assert_eq!(allocated.gross, amount); }
                for share in &allocated.shares {
                    prop_assert!(share.amount >= 0 && share.tax >= 0 && share.commission >= 0);
                }
                record(&mut lines, &allocated);
                for line in &lines {
                    let rest = line.remaining();
                    prop_assert!(rest.amount >= 0 && rest.tax >= 0 && rest.commission >= 0);
                }
            }
            if left(&lines) > 0 {
                let rest = allocate(&lines, &Asked::Everything, FeePolicy::Returned).expect("lawful");
                record(&mut lines, &rest);
            }
            prop_assert_eq!(left(&lines), 0);
            for line in &lines {
                prop_assert_eq!(line.remaining().commission, 0);
            }
        }
    }
}
