//! What is booked when something happens to a payout: to a seller's in the mirror only, to the platform's own in its books.
//! Pure.

use partita_provider::SettlementState;

use crate::chart::{Chart, PlatformAccount, SellerAccount, SellerNumber};
use crate::journal::Entry;

/// It left the account's balance, and with it the fee that it cost the seller.
pub fn sent(chart: Chart, seller: SellerNumber, (amount, fee): (i64, i64), state: SettlementState) -> Vec<Entry> {
    let (credit, in_transit) =
        (chart.connected(seller, state), chart.seller(seller, SellerAccount::ConnectedInTransit));
    let owner = chart.seller(seller, SellerAccount::Owner);
    vec![Entry { debit: in_transit, credit, amount }, Entry { debit: owner, credit, amount: fee }]
}

/// It reached the bank.
pub fn paid(chart: Chart, seller: SellerNumber, amount: i64) -> Vec<Entry> {
    let bank = chart.seller(seller, SellerAccount::ExternalBank);
    vec![Entry { debit: bank, credit: chart.seller(seller, SellerAccount::ConnectedInTransit), amount }]
}

/// It came back to the account's balance: before it was paid from the way, afterwards from the bank. What came back of its fee
/// is with it.
pub fn came_back(
    chart: Chart,
    seller: SellerNumber,
    (amount, fee): (i64, i64),
    state: SettlementState,
    after_paid: bool,
) -> Vec<Entry> {
    let from = if after_paid { SellerAccount::ExternalBank } else { SellerAccount::ConnectedInTransit };
    let debit = chart.connected(seller, state);
    let owner = chart.seller(seller, SellerAccount::Owner);
    vec![Entry { debit, credit: chart.seller(seller, from), amount }, Entry { debit, credit: owner, amount: fee }]
}

/// The platform got the fee of a payout.
pub fn fee_taken(chart: Chart, amount: i64, state: SettlementState) -> Vec<Entry> {
    vec![Entry { debit: chart.provider(state), credit: chart.platform(PlatformAccount::Fees), amount }]
}

/// It was given back, as the payout came back.
pub fn fee_returned(chart: Chart, amount: i64, state: SettlementState) -> Vec<Entry> {
    vec![Entry { debit: chart.platform(PlatformAccount::Fees), credit: chart.provider(state), amount }]
}

/// The provider took what instant payouts cost the platform; where it gives some back, the other way.
pub fn cost_taken(chart: Chart, amount: i64, state: SettlementState) -> Entry {
    Entry::signed(chart.platform(PlatformAccount::PayoutCost), chart.provider(state), amount)
}

/// A payout of the platform's own left its balance.
pub fn platform_sent(chart: Chart, amount: i64, state: SettlementState) -> Vec<Entry> {
    let in_transit = chart.platform(PlatformAccount::ProviderInTransit);
    vec![Entry { debit: in_transit, credit: chart.provider(state), amount }]
}

/// It reached the platform's bank.
pub fn platform_paid(chart: Chart, amount: i64) -> Vec<Entry> {
    let in_transit = chart.platform(PlatformAccount::ProviderInTransit);
    vec![Entry { debit: chart.platform(PlatformAccount::Bank), credit: in_transit, amount }]
}

/// It came back to the balance, by the way that it went: after it was paid, the bank gives it up first.
pub fn platform_came_back(chart: Chart, amount: i64, state: SettlementState, after_paid: bool) -> Vec<Entry> {
    let in_transit = chart.platform(PlatformAccount::ProviderInTransit);
    let mut entries = vec![Entry { debit: chart.provider(state), credit: in_transit, amount }];
    if after_paid {
        entries.push(Entry { debit: in_transit, credit: chart.platform(PlatformAccount::Bank), amount });
    }
    entries
}

#[cfg(test)]
mod tests {
    use partita_db::BookId;
    use partita_provider::Currency;

    use super::*;

    const A: SellerNumber = SellerNumber(1);

    #[test]
    fn a_platform_payout_of_500_sent_paid_and_returned() {
        let c = Chart {
            book: BookId::try_new(1).expect("in range"),
            currency: Currency::parse("EUR").expect("a currency"),
        };
        let [available, transit, bank] =
            [PlatformAccount::ProviderAvailable, PlatformAccount::ProviderInTransit, PlatformAccount::Bank]
                .map(|kind| c.platform(kind));
        let entry = |debit, credit| Entry { debit, credit, amount: 500_00 };
        let state = SettlementState::Available;
        assert_eq!(platform_sent(c, 500_00, state), [entry(transit, available)]);
        assert_eq!(platform_paid(c, 500_00), [entry(bank, transit)]);
        assert_eq!(platform_came_back(c, 500_00, state, false), [entry(available, transit)]);
        assert_eq!(platform_came_back(c, 500_00, state, true), [entry(available, transit), entry(transit, bank)]);
    }

    #[test]
    fn a_payout_of_54_sent_paid_and_returned() {
        let c = Chart {
            book: BookId::try_new(1).expect("in range"),
            currency: Currency::parse("EUR").expect("a currency"),
        };
        let available = c.seller(A, SellerAccount::ConnectedAvailable);
        let (transit, bank) =
            (c.seller(A, SellerAccount::ConnectedInTransit), c.seller(A, SellerAccount::ExternalBank));
        let owner = c.seller(A, SellerAccount::Owner);
        let entry = |debit, credit| Entry { debit, credit, amount: 54_00 };
        let free = |debit, credit| Entry { debit, credit, amount: 0 };
        let state = SettlementState::Available;
        assert_eq!(sent(c, A, (54_00, 0), state), [entry(transit, available), free(owner, available)]);
        assert_eq!(paid(c, A, 54_00), [entry(bank, transit)]);
        let back = |after_paid| came_back(c, A, (54_00, 0), state, after_paid);
        assert_eq!(back(false), [entry(available, transit), free(available, owner)]);
        assert_eq!(back(true), [entry(available, bank), free(available, owner)]);
    }

    #[test]
    fn an_instant_payout_of_32_00_costs_the_seller_0_50_and_the_platform_0_32() {
        let c = Chart {
            book: BookId::try_new(1).expect("in range"),
            currency: Currency::parse("EUR").expect("a currency"),
        };
        let seller = |kind| c.seller(A, kind);
        let available = seller(SellerAccount::ConnectedAvailable);
        let (transit, owner) = (seller(SellerAccount::ConnectedInTransit), seller(SellerAccount::Owner));
        let entry = |debit, credit, amount| Entry { debit, credit, amount };
        let state = SettlementState::Available;
        assert_eq!(sent(c, A, (32_00, 50), state), [entry(transit, available, 32_00), entry(owner, available, 50)]);
        let (provider, fees) = (c.platform(PlatformAccount::ProviderAvailable), c.platform(PlatformAccount::Fees));
        assert_eq!(fee_taken(c, 50, state), [entry(provider, fees, 50)]);
        assert_eq!(cost_taken(c, 32, state), entry(c.platform(PlatformAccount::PayoutCost), provider, 32));
        assert_eq!(fee_returned(c, 50, state), [entry(fees, provider, 50)]);
        assert_eq!(
            came_back(c, A, (32_00, 50), state, false),
            [entry(available, transit, 32_00), entry(available, owner, 50)]
        );
    }
}
