//! What is booked when something happens to a transfer. Pure.

use partita_provider::SettlementState;

use crate::chart::{Chart, PlatformAccount, SellerAccount, SellerNumber};
use crate::journal::Entry;
use crate::payments::Funds;

/// A transfer was asked: the seller's money waits in clearing.
pub fn asked(chart: Chart, seller: SellerNumber, amount: i64) -> Vec<Entry> {
    let available = chart.seller(seller, SellerAccount::Available);
    vec![Entry { debit: available, credit: chart.platform(PlatformAccount::ClearingTransfer), amount }]
}

/// The provider took it from the platform's balance.
pub fn confirmed(chart: Chart, amount: i64, state: SettlementState) -> Vec<Entry> {
    let clearing = chart.platform(PlatformAccount::ClearingTransfer);
    vec![Entry { debit: clearing, credit: chart.provider(state), amount }]
}

/// The provider refused it: the seller has its money back.
pub fn refused(chart: Chart, seller: SellerNumber, amount: i64) -> Vec<Entry> {
    let available = chart.seller(seller, SellerAccount::Available);
    vec![Entry { debit: chart.platform(PlatformAccount::ClearingTransfer), credit: available, amount }]
}

/// The provider sent a seller its share with the charge itself, before it was usable or at once.
pub fn with_charge(chart: Chart, seller: SellerNumber, amount: i64, state: SettlementState) -> Vec<Entry> {
    let pending = chart.seller(seller, SellerAccount::Pending);
    vec![Entry { debit: pending, credit: chart.provider(state), amount }]
}

/// Mirror: it arrived on the seller's account.
pub fn arrived(chart: Chart, seller: SellerNumber, amount: i64, state: SettlementState) -> Vec<Entry> {
    let owner = chart.seller(seller, SellerAccount::Owner);
    vec![Entry { debit: chart.connected(seller, state), credit: owner, amount }]
}

/// The provider gave a reversal back to the platform's balance. It is the seller's where its share stands: `funds`.
pub fn reversed(chart: Chart, seller: SellerNumber, amount: i64, state: SettlementState, funds: Funds) -> Vec<Entry> {
    let account = match funds {
        Funds::Available => SellerAccount::Available,
        Funds::None | Funds::Pending => SellerAccount::Pending,
    };
    vec![Entry { debit: chart.provider(state), credit: chart.seller(seller, account), amount }]
}

/// Mirror: a reversal left the seller's account.
pub fn taken(chart: Chart, seller: SellerNumber, amount: i64, state: SettlementState) -> Vec<Entry> {
    let owner = chart.seller(seller, SellerAccount::Owner);
    vec![Entry { debit: owner, credit: chart.connected(seller, state), amount }]
}

/// A payout by bank file was asked: what it pays of a payment or an adjustment waits in clearing.
pub fn bank_asked(chart: Chart, seller: SellerNumber, amount: i64) -> Vec<Entry> {
    let available = chart.seller(seller, SellerAccount::Available);
    vec![Entry { debit: available, credit: chart.platform(PlatformAccount::ClearingPayout), amount }]
}

/// The platform's bank paid it.
pub fn bank_paid(chart: Chart, amount: i64) -> Vec<Entry> {
    let bank = chart.platform(PlatformAccount::Bank);
    vec![Entry { debit: chart.platform(PlatformAccount::ClearingPayout), credit: bank, amount }]
}

/// It is the seller's again: out of clearing, or, after it was paid, from the platform's bank account.
pub fn bank_given_back(chart: Chart, seller: SellerNumber, amount: i64, after_paid: bool) -> Vec<Entry> {
    let from = if after_paid { PlatformAccount::Bank } else { PlatformAccount::ClearingPayout };
    vec![Entry { debit: chart.platform(from), credit: chart.seller(seller, SellerAccount::Available), amount }]
}

#[cfg(test)]
mod tests {
    use partita_db::BookId;
    use partita_ledger::AccountKey;
    use partita_provider::Currency;

    use super::*;

    const A: SellerNumber = SellerNumber(1);

    fn chart() -> Chart {
        Chart { book: BookId::try_new(1).expect("in range"), currency: Currency::parse("EUR").expect("a currency") }
    }

    fn entry(debit: AccountKey, credit: AccountKey, amount: i64) -> Vec<Entry> {
        vec![Entry { debit, credit, amount }]
    }

    #[test]
    fn a_transfer_of_54_asked_confirmed_and_mirrored() {
        let c = chart();
        let (available, clearing) =
            (c.seller(A, SellerAccount::Available), c.platform(PlatformAccount::ClearingTransfer));
        let provider = c.platform(PlatformAccount::ProviderAvailable);
        let (connected, owner) = (c.seller(A, SellerAccount::ConnectedAvailable), c.seller(A, SellerAccount::Owner));
        assert_eq!(asked(c, A, 54_00), entry(available, clearing, 54_00));
        assert_eq!(confirmed(c, 54_00, SettlementState::Available), entry(clearing, provider, 54_00));
        assert_eq!(refused(c, A, 54_00), entry(clearing, available, 54_00));
        assert_eq!(arrived(c, A, 54_00, SettlementState::Available), entry(connected, owner, 54_00));
    }

    #[test]
    fn a_transfer_of_unsettled_funds_stands_pending_on_both_sides() {
        let c = chart();
        let (clearing, pending) =
            (c.platform(PlatformAccount::ClearingTransfer), c.platform(PlatformAccount::ProviderPending));
        let (connected, owner) = (c.seller(A, SellerAccount::ConnectedPending), c.seller(A, SellerAccount::Owner));
        assert_eq!(confirmed(c, 54_00, SettlementState::Pending), entry(clearing, pending, 54_00));
        assert_eq!(arrived(c, A, 54_00, SettlementState::Pending), entry(connected, owner, 54_00));
    }

    #[test]
    fn a_share_of_54_sent_with_its_charge_leaves_the_sellers_pending_and_no_clearing() {
        let c = chart();
        let (owed, held) = (c.seller(A, SellerAccount::Pending), c.platform(PlatformAccount::ProviderPending));
        assert_eq!(with_charge(c, A, 54_00, SettlementState::Pending), entry(owed, held, 54_00));
        let usable = c.platform(PlatformAccount::ProviderAvailable);
        assert_eq!(with_charge(c, A, 54_00, SettlementState::Available), entry(owed, usable, 54_00));
    }

    #[test]
    fn a_reversal_of_22_50_comes_back_and_leaves_the_mirror() {
        let c = chart();
        let (available, provider) =
            (c.seller(A, SellerAccount::Available), c.platform(PlatformAccount::ProviderAvailable));
        let (connected, owner) = (c.seller(A, SellerAccount::ConnectedAvailable), c.seller(A, SellerAccount::Owner));
        let back = reversed(c, A, 22_50, SettlementState::Available, Funds::Available);
        assert_eq!(back, entry(provider, available, 22_50));
        assert_eq!(taken(c, A, 22_50, SettlementState::Available), entry(owner, connected, 22_50));
    }

    #[test]
    fn a_payout_of_36_by_bank_asked_paid_and_returned() {
        let c = chart();
        let (available, clearing, bank) = (
            c.seller(A, SellerAccount::Available),
            c.platform(PlatformAccount::ClearingPayout),
            c.platform(PlatformAccount::Bank),
        );
        assert_eq!(bank_asked(c, A, 36_00), entry(available, clearing, 36_00));
        assert_eq!(bank_paid(c, 36_00), entry(clearing, bank, 36_00));
        assert_eq!(bank_given_back(c, A, 36_00, true), entry(bank, available, 36_00));
        assert_eq!(bank_given_back(c, A, 36_00, false), entry(clearing, available, 36_00));
    }

    #[test]
    fn of_22_50_that_were_sent_with_a_charge_and_come_back_before_it_is_usable_all_stands_pending() {
        let c = chart();
        let (owed, held) = (c.seller(A, SellerAccount::Pending), c.platform(PlatformAccount::ProviderPending));
        let (connected, owner) = (c.seller(A, SellerAccount::ConnectedPending), c.seller(A, SellerAccount::Owner));
        let state = SettlementState::Pending;
        assert_eq!(reversed(c, A, 22_50, state, Funds::Pending), entry(held, owed, 22_50));
        assert_eq!(taken(c, A, 22_50, state), entry(owner, connected, 22_50));
    }
}
