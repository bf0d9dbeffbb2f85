//! What is booked of direct charges. Pure.

use partita_provider::SettlementState;

use crate::chart::{Chart, PlatformAccount, SellerAccount, SellerNumber};
use crate::journal::Entry;
use crate::payments::entries::tax_on_commission;

/// Mirror: the provider moved so much on the seller's own account, for a direct charge or what became of it; below zero where it
/// left.
pub(crate) fn moved(chart: Chart, seller: SellerNumber, net: i64, state: SettlementState) -> Vec<Entry> {
    let owner = chart.seller(seller, SellerAccount::Owner);
    vec![Entry::signed(chart.connected(seller, state), owner, net)]
}

/// The platform's part of a direct charge came onto its balance: the commission, of which `vat` is tax, less what the processor
/// kept of it.
pub(crate) fn fee_received(
    chart: Chart,
    amount: i64,
    vat: i64,
    processor_fee: i64,
    state: SettlementState,
) -> Vec<Entry> {
    let provider = chart.provider(state);
    let mut entries =
        vec![Entry { debit: provider, credit: chart.platform(PlatformAccount::Commission), amount: amount - vat }];
    entries.extend(tax_on_commission(provider, chart.platform(PlatformAccount::CommissionVat), vat));
    entries.push(Entry::signed(chart.platform(PlatformAccount::Processing), provider, processor_fee));
    entries
}

/// Of that, so much went back to the seller's account, with whatever that did to what the processor kept.
pub(crate) fn fee_returned(
    chart: Chart,
    amount: i64,
    vat: i64,
    processor_fee: i64,
    state: SettlementState,
) -> Vec<Entry> {
    let provider = chart.provider(state);
    let mut entries =
        vec![Entry { debit: chart.platform(PlatformAccount::Commission), credit: provider, amount: amount - vat }];
    entries.extend(tax_on_commission(chart.platform(PlatformAccount::CommissionVat), provider, vat));
    entries.push(Entry::signed(chart.platform(PlatformAccount::Processing), provider, processor_fee));
    entries
}

#[cfg(test)]
mod tests {
    use partita_db::BookId;
    use partita_ledger::AccountKey;
    use partita_provider::Currency;

    use super::*;
    use crate::payments::worked_cart::A;

    fn chart() -> Chart {
        Chart { book: BookId::try_new(1).expect("in range"), currency: Currency::parse("EUR").expect("a currency") }
    }

    fn entry(debit: AccountKey, credit: AccountKey, amount: i64) -> Entry {
        Entry { debit, credit, amount }
    }

    #[test]
    fn of_120_on_the_sellers_account_106_80_stay_there_and_10_are_the_platforms() {
        let c = chart();
        let (connected, owner) = (c.seller(A, SellerAccount::ConnectedPending), c.seller(A, SellerAccount::Owner));
        assert_eq!(moved(c, A, 106_80, SettlementState::Pending), [entry(connected, owner, 106_80)]);
        let (p, revenue) = (c.platform(PlatformAccount::ProviderPending), c.platform(PlatformAccount::Commission));
        let cost = c.platform(PlatformAccount::Processing);
        let kept = fee_received(c, 10_00, 0, 0, SettlementState::Pending);
        assert_eq!(kept, [entry(p, revenue, 10_00), entry(cost, p, 0)]);
    }

    #[test]
    fn a_refund_of_30_leaves_the_account_with_2_50_of_the_fee_back_on_it() {
        let c = chart();
        let usable = SettlementState::Available;
        let (connected, owner) = (c.seller(A, SellerAccount::ConnectedAvailable), c.seller(A, SellerAccount::Owner));
        assert_eq!(moved(c, A, -27_50, usable), [entry(owner, connected, 27_50)]);
        let (p, revenue) = (c.platform(PlatformAccount::ProviderAvailable), c.platform(PlatformAccount::Commission));
        let cost = c.platform(PlatformAccount::Processing);
        assert_eq!(fee_returned(c, 2_50, 0, 0, usable), [entry(revenue, p, 2_50), entry(cost, p, 0)]);
    }

    #[test]
    fn vat_on_the_commission_goes_with_it_and_a_processors_fee_that_the_platform_bears_is_its_expense() {
        let c = chart();
        let state = SettlementState::Pending;
        let (p, revenue) = (c.platform(PlatformAccount::ProviderPending), c.platform(PlatformAccount::Commission));
        let (vat, cost) = (c.platform(PlatformAccount::CommissionVat), c.platform(PlatformAccount::Processing));
        let kept = fee_received(c, 12_10, 2_10, 3_20, state);
        assert_eq!(kept, [entry(p, revenue, 10_00), entry(p, vat, 2_10), entry(cost, p, 3_20)]);
        let back = fee_returned(c, 3_03, 53, 0, state);
        assert_eq!(back, [entry(revenue, p, 2_50), entry(vat, p, 53), entry(cost, p, 0)]);
    }
}
