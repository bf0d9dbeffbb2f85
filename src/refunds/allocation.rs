//! What a refund takes from whom. Pure.
//!
//! By line: the named net amount, its tax in proportion, the commission in proportion to the net amount. By amount:
//! the gross is spread over all net amounts and taxes by the clamped cumulative rule, so that any sequence of refunds
//! is exact, never negative, and ends at the lines. Taxes and commissions are the rounded proportion of what was given
//! back *so far*, less what was returned before: they too end at their whole. Where the policy keeps the tax, the net amounts
//! alone are given back; a later refund that returns the tax brings it to the proportion of all goods given back. Where sellers
//! bear the processor's fee, each line's part of it goes with its goods, as far as it was not passed before.

use partita_provider::clamped_cumulative;

use super::{Commission, Policy, ProcessorFee, RefundError, Tax};
use crate::payments::{DirectCharge, Line, RefundShare, SellerShare, fee_parts, proportion};

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
    pub shares: Vec<RefundShare>,
    /// Of a direct charge: what the provider is expected to give back of its application fee; minor units.
    pub application_fee: i64,
}

/// Allocates a refund over the lines of its payment, of whose charge the processor kept a fee. What disputes have taken is not
/// left.
///
/// # Errors
/// [`RefundError`] when more is asked than is left; [`RefundError::Disputed`] when only a dispute stands in the way.
pub(super) fn allocate(
    lines: &[Line],
    asked: &Asked,
    policy: Policy,
    processor_fee: i64,
) -> Result<Allocated, RefundError> {
    let shares = spread(lines, asked, policy).map_err(|error| because_of_dispute(lines, asked, policy, error))?;
    let parts = fee_parts(lines, processor_fee);
    let with_fee = |share: SellerShare| {
        let of_line = lines.iter().zip(&parts).find(|(line, _)| line.number == share.line);
        let processor_fee = match (policy.processor_fee, of_line) {
            (ProcessorFee::Sellers, Some((line, part))) => line.fee_of(*part, share.amount),
            _ => 0,
        };
        RefundShare { share, processor_fee }
    };
    let gross = shares.iter().map(|share| share.amount + share.tax).sum();
    Ok(Allocated { gross, shares: shares.into_iter().map(with_fee).collect(), application_fee: 0 })
}

/// The same of a direct charge: the seller gives all of it, and bears what the processor keeps already. What goes back of the
/// application fee is one amount of the provider's, of no line.
pub(super) fn allocate_direct(
    lines: &[Line],
    asked: &Asked,
    policy: Policy,
    direct: &DirectCharge,
) -> Result<Allocated, RefundError> {
    let of_seller = Policy { commission: Commission::Kept, processor_fee: ProcessorFee::Platform, ..policy };
    let allocated = allocate(lines, asked, of_seller, 0)?;
    let charged = lines.iter().map(|line| line.amount + line.tax_amount).sum();
    let application_fee = match policy.commission {
        Commission::Returned => direct.fee_of(allocated.gross, charged),
        Commission::Kept => 0,
    };
    Ok(Allocated { application_fee, ..allocated })
}

/// What would be left without disputes is not too much: it is disputed.
fn because_of_dispute(lines: &[Line], asked: &Asked, policy: Policy, error: RefundError) -> RefundError {
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
    if disputed > 0 && is_too_much && spread(&undisputed, asked, policy).is_ok() {
        return RefundError::Disputed { disputed };
    }
    error
}

fn spread(lines: &[Line], asked: &Asked, policy: Policy) -> Result<Vec<SellerShare>, RefundError> {
    let given: Vec<(i64, i64)> = match asked {
        Asked::Everything => lines.iter().map(|line| (line.refundable().amount, line.refundable().tax)).collect(),
        Asked::Amount(amount) => by_amount(lines, *amount, policy.tax)?,
        Asked::Lines(named) => by_line(lines, named)?,
    };
    let kept = |tax: i64| if policy.tax == Tax::Kept { 0 } else { tax };
    let shares: Vec<SellerShare> = lines
        .iter()
        .zip(given)
        .map(|(line, (amount, tax))| (line, amount, kept(tax)))
        .filter(|(_, amount, tax)| *amount > 0 || *tax > 0)
        .map(|(line, amount, tax)| {
            let commission = returned_commission(line, amount, policy.commission);
            SellerShare { line: line.number, amount, tax, commission, vat: line.vat_of(commission) }
        })
        .collect();
    if shares.is_empty() { Err(RefundError::NothingLeft) } else { Ok(shares) }
}

/// Where the tax is kept, a line has nothing to give of it.
fn by_amount(lines: &[Line], amount: i64, tax: Tax) -> Result<Vec<(i64, i64)>, RefundError> {
    let of = |tax_amount: i64| if tax == Tax::Kept { 0 } else { tax_amount };
    let original: Vec<i64> = lines.iter().flat_map(|line| [line.amount, of(line.tax_amount)]).collect();
    let already: Vec<i64> = lines.iter().flat_map(|line| [line.gone_amount(), of(line.gone_tax())]).collect();
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

fn returned_commission(line: &Line, amount: i64, commission: Commission) -> i64 {
    match commission {
        Commission::Kept => 0,
        Commission::Returned => line.commission_of(amount),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::chart::SellerNumber;
    use crate::payments::worked_cart::{line, worked_cart};

    const RETURNED: Policy = Policy {
        version: 0,
        commission: Commission::Returned,
        processor_fee: ProcessorFee::Platform,
        tax: Tax::Returned,
    };
    const KEPT: Policy = Policy { commission: Commission::Kept, ..RETURNED };

    fn share(line: i32, amount: i64, tax: i64, commission: i64) -> RefundShare {
        RefundShare { share: SellerShare { line, amount, tax, commission, vat: 0 }, processor_fee: 0 }
    }

    fn record(lines: &mut [Line], allocated: &Allocated) {
        for RefundShare { share, processor_fee } in &allocated.shares {
            let line = lines.iter_mut().find(|line| line.number == share.line).expect("allocated over these lines");
            line.passed_fee += processor_fee;
            line.refunded_amount += share.amount;
            line.refunded_tax += share.tax;
            line.returned_commission += share.commission;
            line.returned_vat += share.vat;
        }
    }

    #[test]
    fn the_worked_cart_gives_25_and_its_tax_then_the_rest() {
        let mut cart = worked_cart();
        let first = allocate(&cart, &Asked::Lines(vec![(0, 25_00)]), RETURNED, 0).expect("lawful");
        assert_eq!(first.gross, 30_00);
        assert_eq!(first.shares, [share(0, 25_00, 5_00, 2_50)]);
        record(&mut cart, &first);
        let rest = allocate(&cart, &Asked::Everything, RETURNED, 0).expect("lawful");
        assert_eq!(rest.gross, 90_00);
        assert_eq!(rest.shares, [share(0, 35_00, 7_00, 3_50), share(1, 40_00, 8_00, 4_00)]);
        record(&mut cart, &rest);
        assert!(matches!(allocate(&cart, &Asked::Everything, RETURNED, 0), Err(RefundError::NothingLeft)));
    }

    #[test]
    fn a_gross_amount_is_spread_over_goods_and_taxes() {
        let allocated = allocate(&worked_cart(), &Asked::Amount(12_00), RETURNED, 0).expect("lawful");
        assert_eq!(allocated.gross, 12_00);
        assert_eq!(allocated.shares, [share(0, 6_00, 1_20, 60), share(1, 4_00, 80, 40)]);
    }

    #[test]
    fn a_kept_commission_stays_with_the_platform() {
        let mut cart = worked_cart();
        let kept = allocate(&cart, &Asked::Lines(vec![(0, 30_00)]), KEPT, 0).expect("lawful");
        assert_eq!(kept.shares[0].share.commission, 0);
        record(&mut cart, &kept);
        let returned = allocate(&cart, &Asked::Lines(vec![(0, 30_00)]), RETURNED, 0).expect("lawful");
        assert_eq!(returned.shares[0].share.commission, 3_00, "only what the second half of the goods carries");
    }

    #[test]
    fn more_than_is_left_is_refused_with_what_is_left() {
        let cart = worked_cart();
        let fee = RETURNED;
        assert!(matches!(
            allocate(&cart, &Asked::Amount(120_01), fee, 0),
            Err(RefundError::MoreThanLeft { asked: 120_01, left: 120_00 })
        ));
        assert!(matches!(
            allocate(&cart, &Asked::Lines(vec![(1, 40_01)]), fee, 0),
            Err(RefundError::MoreThanLeftOfLine { index: 0, line: 1, asked: 40_01, left: 40_00 })
        ));
        assert!(matches!(
            allocate(&cart, &Asked::Lines(vec![(0, 1), (7, 1)]), fee, 0),
            Err(RefundError::UnknownLine { index: 1, line: 7 })
        ));
        assert!(matches!(
            allocate(&cart, &Asked::Lines(vec![(0, 1), (0, 1)]), fee, 0),
            Err(RefundError::RepeatedLine { index: 1, line: 0 })
        ));
    }

    #[test]
    fn what_a_dispute_has_taken_is_not_given_a_second_time() {
        let mut cart = worked_cart();
        (cart[0].disputed_amount, cart[0].disputed_tax, cart[0].disputed_commission) = (60_00, 12_00, 6_00);
        let fee = RETURNED;
        for asked in [Asked::Amount(48_01), Asked::Lines(vec![(0, 1)])] {
            let refused = allocate(&cart, &asked, fee, 0);
            assert!(matches!(refused, Err(RefundError::Disputed { disputed: 72_00 })), "{refused:?}");
        }
        let more = allocate(&cart, &Asked::Amount(120_01), fee, 0);
        assert!(matches!(more, Err(RefundError::MoreThanLeft { left: 48_00, .. })), "too much even without a dispute");
        let rest = allocate(&cart, &Asked::Everything, fee, 0).expect("B's line");
        assert_eq!(rest.shares, [share(1, 40_00, 8_00, 4_00)]);
        record(&mut cart, &rest);
        assert!(matches!(allocate(&cart, &Asked::Everything, fee, 0), Err(RefundError::Disputed { .. })));
        (cart[0].disputed_amount, cart[0].disputed_tax, cart[0].disputed_commission) = (0, 0, 0);
        assert_eq!(allocate(&cart, &Asked::Everything, fee, 0).expect("won").gross, 72_00);
    }

    #[test]
    fn a_processors_fee_of_3_20_is_passed_with_the_goods() {
        let mut cart = worked_cart();
        let policy = Policy { processor_fee: ProcessorFee::Sellers, ..RETURNED };
        let fees = |allocated: &Allocated| -> Vec<i64> { allocated.shares.iter().map(|s| s.processor_fee).collect() };
        let first = allocate(&cart, &Asked::Lines(vec![(0, 25_00)]), policy, 3_20).expect("lawful");
        assert_eq!(fees(&first), [80], "25 of 60 of 1.92");
        record(&mut cart, &first);
        let borne = allocate(&cart, &Asked::Lines(vec![(0, 5_00)]), RETURNED, 3_20).expect("lawful");
        assert_eq!(fees(&borne), [0], "what the platform bears once stays its expense");
        record(&mut cart, &borne);
        let rest = allocate(&cart, &Asked::Everything, policy, 3_20).expect("lawful");
        assert_eq!(fees(&rest), [96, 1_28]);
        let mut charged = worked_cart();
        (charged[0].passed_fee, charged[1].passed_fee) = (1_92, 0);
        let all = allocate(&charged, &Asked::Everything, policy, 3_20).expect("lawful");
        assert_eq!(fees(&all), [0, 1_28], "A bears it since the charge");
    }

    #[test]
    fn a_tax_that_is_kept_stays_owed_until_a_refund_returns_it() {
        let mut cart = worked_cart();
        let net_only = Policy { tax: Tax::Kept, ..RETURNED };
        let goodwill = allocate(&cart, &Asked::Amount(10_00), net_only, 0).expect("lawful");
        assert_eq!(goodwill.shares, [share(0, 6_00, 0, 60), share(1, 4_00, 0, 40)]);
        record(&mut cart, &goodwill);
        let too_much = allocate(&cart, &Asked::Amount(90_01), net_only, 0);
        assert!(matches!(too_much, Err(RefundError::MoreThanLeft { left: 90_00, .. })), "the net price is left");
        let line = allocate(&cart, &Asked::Lines(vec![(0, 24_00)]), RETURNED, 0).expect("lawful");
        assert_eq!(line.shares, [share(0, 24_00, 6_00, 2_40)], "half of the goods are back, and half of the tax");
        record(&mut cart, &line);
        let net = allocate(&cart, &Asked::Everything, net_only, 0).expect("lawful");
        assert_eq!(net.gross, 66_00);
        record(&mut cart, &net);
        assert!(matches!(allocate(&cart, &Asked::Everything, net_only, 0), Err(RefundError::NothingLeft)));
        assert_eq!(allocate(&cart, &Asked::Everything, RETURNED, 0).expect("the taxes").gross, 14_00);
    }

    fn carts() -> impl Strategy<Value = Vec<Line>> {
        prop::collection::vec((1_i64..50_000, 0_i64..9_000, 0_i64..=10_000), 1..6).prop_map(|parts| {
            let lines = parts.into_iter().enumerate();
            lines
                .map(|(index, (amount, tax, bps))| {
                    let number = i32::try_from(index).expect("few");
                    let mut line = line(number, Some(SellerNumber(number + 1)), amount, tax, amount * bps / 10_000);
                    line.commission_vat = line.commission * 21 / 121;
                    line
                })
                .collect()
        })
    }

    fn left(lines: &[Line]) -> i64 {
        lines.iter().map(|line| line.remaining().amount + line.remaining().tax).sum()
    }

    fn policies() -> impl Strategy<Value = Policy> {
        (any::<bool>(), any::<bool>(), any::<bool>()).prop_map(|(kept, passed, net_only)| Policy {
            version: 0,
            commission: if kept { Commission::Kept } else { Commission::Returned },
            processor_fee: if passed { ProcessorFee::Sellers } else { ProcessorFee::Platform },
            tax: if net_only { Tax::Kept } else { Tax::Returned },
        })
    }

    /// By line as far as the line has something, else by amount, never more than is left.
    fn ask(lines: &[Line], tax: Tax, by_line: bool, amount: i64, place: usize) -> Option<Asked> {
        let of_tax = |line: &Line| if tax == Tax::Kept { 0 } else { line.remaining().tax };
        let left: i64 = lines.iter().map(|line| line.remaining().amount + of_tax(line)).sum();
        let line = &lines[place % lines.len()];
        match line.remaining().amount {
            rest if by_line && rest > 0 => Some(Asked::Lines(vec![(line.number, amount.min(rest))])),
            _ if left > 0 => Some(Asked::Amount(amount.min(left))),
            _ => None,
        }
    }

    proptest! {
        #[test]
        fn any_sequence_of_refunds_is_exact_and_ends_at_the_whole(
            mut lines in carts(), fee in 0_i64..3_000,
            steps in prop::collection::vec((any::<bool>(), 1_i64..30_000, 0_usize..6, policies()), 0..10)
        ) {
            let parts = fee_parts(&lines, fee);
            prop_assert_eq!(parts.iter().sum::<i64>(), fee);
            for (by_line, amount, place, policy) in steps {
                let Some(asked) = ask(&lines, policy.tax, by_line, amount, place) else { continue };
                let allocated = allocate(&lines, &asked, policy, fee).expect("lawful");
                if let Asked::Amount(amount) = asked { prop_assert_eq!(allocated.gross, amount); }
                for RefundShare { share, processor_fee } in &allocated.shares {
                    prop_assert!(share.amount >= 0 && share.tax >= 0 && share.commission >= 0 && *processor_fee >= 0);
                    prop_assert!((0..=share.commission).contains(&share.vat));
                    prop_assert!(policy.tax == Tax::Returned || share.tax == 0);
                    prop_assert!(policy.commission == Commission::Returned || share.commission == 0);
                    prop_assert!(policy.processor_fee == ProcessorFee::Sellers || *processor_fee == 0);
                }
                record(&mut lines, &allocated);
                for (line, part) in lines.iter().zip(&parts) {
                    let rest = line.remaining();
                    prop_assert!(rest.amount >= 0 && rest.tax >= 0 && rest.commission >= 0 && rest.vat >= 0);
                    prop_assert!(line.passed_fee <= *part);
                }
            }
            if left(&lines) > 0 {
                let rest = allocate(&lines, &Asked::Everything, RETURNED, fee).expect("lawful");
                record(&mut lines, &rest);
            }
            prop_assert_eq!(left(&lines), 0);
        }

        #[test]
        fn one_policy_from_beginning_to_end_leaves_nothing_and_passes_the_whole_fee(
            mut lines in carts(), fee in 0_i64..3_000,
            steps in prop::collection::vec((any::<bool>(), 1_i64..30_000, 0_usize..6), 0..10)
        ) {
            let policy = Policy { processor_fee: ProcessorFee::Sellers, ..RETURNED };
            for (by_line, amount, place) in steps {
                let Some(asked) = ask(&lines, policy.tax, by_line, amount, place) else { break };
                let allocated = allocate(&lines, &asked, policy, fee).expect("lawful");
                record(&mut lines, &allocated);
            }
            if left(&lines) > 0 {
                let rest = allocate(&lines, &Asked::Everything, policy, fee).expect("lawful");
                record(&mut lines, &rest);
            }
            for (line, part) in lines.iter().zip(fee_parts(&lines, fee)) {
                prop_assert_eq!((line.remaining().commission, line.remaining().vat, line.passed_fee), (0, 0, part));
            }
        }

        #[test]
        fn refunds_by_amount_never_stray_a_minor_unit_from_the_ideal(
            mut lines in carts(), steps in prop::collection::vec(1_i64..30_000, 1..12)
        ) {
            let whole: i64 = lines.iter().map(|line| line.amount + line.tax_amount).sum();
            let mut given = 0;
            for amount in steps {
                let amount = amount.min(whole - given);
                if amount == 0 { break; }
                let allocated = allocate(&lines, &Asked::Amount(amount), RETURNED, 0).expect("lawful");
                given += allocated.gross;
                record(&mut lines, &allocated);
                for line in &lines {
                    for (part, gone) in [(line.amount, line.refunded_amount), (line.tax_amount, line.refunded_tax)] {
                        // Below one minor unit of part * given / whole, without a division.
                        let stray = i128::from(gone) * i128::from(whole) - i128::from(part) * i128::from(given);
                        prop_assert!(stray.abs() < i128::from(whole), "{gone} of {part} at {given} of {whole}");
                    }
                }
            }
        }
    }
}
