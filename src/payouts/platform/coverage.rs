//! What of the platform's balance at the provider is its own. Pure.
//!
//! Sellers, buyers and the state come first. What they are owed now (sellers' available, held and reserved money, shares of lines
//! that wait though the money is usable, refunds and
//! transfers that are asked, taxes) must stay in what is usable now; what sellers are still waiting for is covered by what
//! the provider has not made usable yet, and where that is not enough, for the processor keeps its fee of it, by what is.
//! One seller's debt covers nothing of another's money: it counts as nothing.
//!
//! Each currency counts by itself. What the provider converted from a payment's own currency is there to pay its sellers and
//! buyer in that one, as long as its position is open.

/// What the books say of one currency; minor units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Coverage {
    /// Usable at the provider.
    pub available: i64,
    /// At the provider, not usable yet.
    pub pending: i64,
    /// Sellers' available, held and reserved money, and what waits by itself though it is usable; of each what is above zero.
    pub sellers_now: i64,
    /// What sellers earned that is not usable yet.
    pub sellers_pending: i64,
    /// What the state is owed.
    pub taxes: i64,
    /// Refunds and transfers that are asked and not confirmed, and refunds that came back.
    pub clearing: i64,
    /// Payouts of the platform's own that are asked and not answered.
    pub going_out: i64,
    /// What open positions of other currencies have of what is usable; of each what is above zero.
    pub positions_now: i64,
    /// What they have of what is not usable yet.
    pub positions_pending: i64,
}

impl Coverage {
    /// What may be paid out; below zero where others are not covered.
    pub fn free(&self) -> i64 {
        let uncovered_pending = (self.sellers_pending + self.positions_pending - self.pending).max(0);
        let owed_now = self.sellers_now + self.taxes + self.clearing + self.going_out + self.positions_now;
        self.available - owed_now - uncovered_pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worked_cart_leaves_the_commission_less_the_fee() {
        // Topped up with 100, charged 120 with a fee of 3.20; usable, nothing transferred: A 54, B 36, tax 20.
        let cart = Coverage { available: 216_80, sellers_now: 90_00, taxes: 20_00, ..Coverage::default() };
        assert_eq!(cart.free(), 106_80, "the top-up, and 10 less 3.20");
        // Transferred: what was the sellers' has left the balance.
        let sent = Coverage { available: 126_80, taxes: 20_00, ..Coverage::default() };
        assert_eq!(sent.free(), 106_80);
    }

    #[test]
    fn what_is_not_usable_yet_covers_those_who_wait_for_it_and_nobody_else() {
        // Charged 120 with a fee of 3.20 and nothing else: 116.80 are pending, of which sellers wait for 90.
        let charged = Coverage { pending: 116_80, sellers_pending: 90_00, taxes: 20_00, ..Coverage::default() };
        assert_eq!(charged.free(), -20_00, "the tax is not usable yet");
        let float = Coverage { available: 100_00, ..charged };
        assert_eq!(float.free(), 80_00);
        // All of it sold for sellers without commission: the fee is missing, and comes out of the platform's own.
        let short = Coverage { available: 100_00, pending: 116_80, sellers_pending: 120_00, ..Coverage::default() };
        assert_eq!(short.free(), 96_80);
    }

    #[test]
    fn what_was_converted_for_an_open_position_is_not_the_platforms() {
        // USD 130 came as EUR 120 less 3.20; the sellers' USD 117 count nowhere in euros.
        let pending = Coverage { available: 50_00, pending: 116_80, positions_pending: 120_00, ..Coverage::default() };
        assert_eq!(pending.free(), 46_80, "the fee is missing, and comes out of the platform's own");
        let usable = Coverage { available: 166_80, positions_now: 120_00, ..Coverage::default() };
        assert_eq!(usable.free(), 46_80);
        // Transferred for 108.60, and closed.
        let closed = Coverage { available: 58_20, ..Coverage::default() };
        assert_eq!(closed.free(), 58_20);
    }

    #[test]
    fn what_is_asked_is_gone() {
        let asked = Coverage { available: 100_00, clearing: 30_00, going_out: 50_00, ..Coverage::default() };
        assert_eq!(asked.free(), 20_00);
    }
}
