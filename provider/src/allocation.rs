//! Splitting an amount over shares so that no minor unit is lost or made.

/// Why an amount cannot be split over the given shares.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AllocationError {
    /// Shares must be zero or positive, and one of them positive.
    #[error("shares must be zero or positive, and at least one positive")]
    BadShares,
    /// The cumulative amount must lie between zero and the sum of the shares, and never fall.
    #[error("amount out of range of the shares")]
    BadAmount,
}

/// Splits `amount` (minor units, zero or positive) in proportion to `shares` by largest remainder.
///
/// Ties go to the earlier share. The parts sum to `amount` exactly.
///
/// # Errors
/// [`AllocationError::BadShares`] when a share is negative or all are zero; [`AllocationError::BadAmount`] when
/// `amount` is negative.
pub fn allocate(amount: i64, shares: &[i64]) -> Result<Vec<i64>, AllocationError> {
    if shares.iter().any(|share| *share < 0) {
        return Err(AllocationError::BadShares);
    }
    if amount < 0 {
        return Err(AllocationError::BadAmount);
    }
    let total: i128 = shares.iter().copied().map(i128::from).sum();
    if total == 0 {
        return Err(AllocationError::BadShares);
    }
    let exact = |share: i64| i128::from(amount) * i128::from(share);
    let mut parts: Vec<i64> =
        shares.iter().map(|s| i64::try_from(exact(*s) / total).expect("a part is at most the amount")).collect();
    let mut left = amount - parts.iter().sum::<i64>();
    let mut by_remainder: Vec<usize> = (0..shares.len()).collect();
    by_remainder.sort_by_key(|i| (std::cmp::Reverse(exact(shares[*i]) % total), *i));
    for index in by_remainder {
        if left == 0 {
            break;
        }
        parts[index] += 1;
        left -= 1;
    }
    Ok(parts)
}

/// The parts of the next step of a cumulative split: what each share bears when the amount split so far grows to
/// `cumulative`, given what each bore `already`.
///
/// The target is [`allocate`] of the *cumulative* amount over the *original* shares. An increment that would be
/// negative becomes zero and its excess is taken from the share furthest above its ideal, so that a sequence of steps
/// is exact, never negative and drifts from the ideal by less than one minor unit; no share ever bears more than its
/// original.
///
/// # Errors
/// [`AllocationError`] when shares are negative, `already` does not fit them, or `cumulative` is not between the sum
/// of `already` and the sum of `shares`.
pub fn clamped_cumulative(cumulative: i64, shares: &[i64], already: &[i64]) -> Result<Vec<i64>, AllocationError> {
    let before: i128 = already.iter().copied().map(i128::from).sum();
    let total: i128 = shares.iter().copied().map(i128::from).sum();
    let fits = shares.len() == already.len() && already.iter().zip(shares).all(|(a, s)| (0..=*s).contains(a));
    if !fits {
        return Err(AllocationError::BadShares);
    }
    if i128::from(cumulative) < before || i128::from(cumulative) > total {
        return Err(AllocationError::BadAmount);
    }
    if cumulative == 0 {
        return Ok(vec![0; shares.len()]);
    }
    let target = allocate(cumulative, shares)?;
    let mut parts: Vec<i64> = target.iter().zip(already).map(|(t, a)| (t - a).max(0)).collect();
    let step = i64::try_from(i128::from(cumulative) - before).map_err(|_| AllocationError::BadAmount)?;
    let mut excess = parts.iter().sum::<i64>() - step;
    if excess > i64::try_from(parts.len()).unwrap_or(i64::MAX) {
        // Earlier steps were not made by this rule (a share was named by itself): what is left is spread over the room
        // that is left, in one pass instead of one for each minor unit.
        let room: Vec<i64> = shares.iter().zip(already).map(|(share, borne)| share - borne).collect();
        return allocate(step, &room);
    }
    while excess > 0 {
        // Scaled by the sum of the shares, so that the comparison is exact.
        let above_ideal =
            |i: usize| i128::from(already[i] + parts[i]) * total - i128::from(cumulative) * i128::from(shares[i]);
        let furthest = (0..parts.len())
            .filter(|i| parts[*i] > 0)
            .max_by_key(|i| (above_ideal(*i), std::cmp::Reverse(*i)))
            .expect("an excess leaves a positive part");
        parts[furthest] -= 1;
        excess -= 1;
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn largest_remainder_gives_the_odd_cent_to_the_earlier_of_equals() {
        assert_eq!(allocate(100, &[1, 1, 1]), Ok(vec![34, 33, 33]));
        assert_eq!(allocate(3_20, &[60, 40]), Ok(vec![1_92, 1_28]));
        assert_eq!(allocate(0, &[1, 2]), Ok(vec![0, 0]));
    }

    #[test]
    fn impossible_splits_are_refused() {
        assert_eq!(allocate(1, &[]), Err(AllocationError::BadShares));
        assert_eq!(allocate(1, &[0, 0]), Err(AllocationError::BadShares));
        assert_eq!(allocate(1, &[2, -1]), Err(AllocationError::BadShares));
        assert_eq!(allocate(-1, &[1]), Err(AllocationError::BadAmount));
        assert_eq!(clamped_cumulative(3, &[1, 1], &[0, 0]), Err(AllocationError::BadAmount));
        assert_eq!(clamped_cumulative(1, &[1, 1], &[1, 1]), Err(AllocationError::BadAmount));
    }

    #[test]
    fn a_step_after_a_share_was_named_by_itself_is_spread_over_the_room() {
        let half = 499_999_99;
        assert_eq!(clamped_cumulative(half + 1, &[half, half], &[half, 0]), Ok(vec![0, 1]));
        assert_eq!(clamped_cumulative(150, &[100, 60, 40], &[100, 0, 0]), Ok(vec![0, 30, 20]));
    }

    #[test]
    fn the_largest_amounts_do_not_overflow() {
        let parts = allocate(i64::MAX, &[i64::MAX / 2, i64::MAX / 2]).expect("a lawful split");
        assert_eq!(parts.iter().map(|p| i128::from(*p)).sum::<i128>(), i128::from(i64::MAX));
    }

    proptest! {
        #[test]
        fn a_split_is_exact_and_within_one_unit_of_ideal(
            amount in 0_i64..10_000_000, shares in prop::collection::vec(0_i64..1_000_000, 1..30)
        ) {
            prop_assume!(shares.iter().sum::<i64>() > 0);
            let total = i128::from(shares.iter().sum::<i64>());
            let parts = allocate(amount, &shares).expect("lawful");
            prop_assert_eq!(parts.iter().sum::<i64>(), amount);
            for (part, share) in parts.iter().zip(&shares) {
                let drift = i128::from(*part) * total - i128::from(amount) * i128::from(*share);
                prop_assert!(drift.abs() < total);
            }
        }

        #[test]
        fn any_sequence_of_steps_is_exact_never_negative_and_ends_at_the_shares(
            shares in prop::collection::vec(0_i64..5_000, 1..12), cuts in prop::collection::vec(1_i64..4_000, 1..12)
        ) {
            let total: i64 = shares.iter().sum();
            prop_assume!(total > 0);
            let mut already = vec![0; shares.len()];
            let mut cumulative = 0;
            for cut in cuts.into_iter().chain([total]) {
                let next = (cumulative + cut).min(total);
                let parts = clamped_cumulative(next, &shares, &already).expect("lawful");
                prop_assert_eq!(parts.iter().sum::<i64>(), next - cumulative);
                for i in 0..shares.len() {
                    prop_assert!(parts[i] >= 0);
                    already[i] += parts[i];
                    prop_assert!(already[i] <= shares[i]);
                    let drift = i128::from(already[i]) * i128::from(total) - i128::from(next) * i128::from(shares[i]);
                    prop_assert!(drift.abs() < i128::from(total), "drift of share {i}");
                }
                cumulative = next;
            }
            prop_assert_eq!(already, shares);
        }
    }
}
