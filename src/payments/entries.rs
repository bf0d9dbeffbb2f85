//! What is booked when something happens to a payment. Pure: lines and the provider's figures in, entries out.

use partita_ledger::AccountKey;
use partita_provider::SettlementState;

use super::{Funds, Line, LineKind};
use crate::chart::{Chart, PlatformAccount, SellerAccount, SellerNumber};
use crate::journal::Entry;

/// A buyer was charged: the cart's lines and taxes as they were captured, the commission, and the processor's fee that the
/// platform bears. Of what the provider `moved`, anything beyond the lines was not captured and goes back to the buyer.
pub fn charged(chart: Chart, lines: &[Line], moved: i64, fee: i64, state: SettlementState) -> Vec<Entry> {
    let provider = chart.provider(state);
    let mut entries = Vec::with_capacity(lines.len() * 3 + 2);
    for line in lines {
        let owner = match line.seller {
            Some((_, number)) => chart.seller(number, SellerAccount::Pending),
            None => chart.platform(PlatformAccount::Fees),
        };
        entries.push(Entry { debit: provider, credit: owner, amount: line.amount });
        let tax = match line.sellers_tax(line.tax_amount) {
            0 => chart.platform(PlatformAccount::TaxPayable),
            _ => owner,
        };
        entries.push(Entry { debit: provider, credit: tax, amount: line.tax_amount });
    }
    for line in lines {
        if let Some((_, number)) = line.seller {
            let seller = chart.seller(number, SellerAccount::Pending);
            let commission = chart.platform(PlatformAccount::Commission);
            entries.push(Entry { debit: seller, credit: commission, amount: line.commission - line.commission_vat });
            let vat = chart.platform(PlatformAccount::CommissionVat);
            entries.extend(tax_on_commission(seller, vat, line.commission_vat));
        }
    }
    let captured: i64 = lines.iter().map(|line| line.amount + line.tax_amount).sum();
    let clearing = chart.platform(PlatformAccount::ClearingRefund);
    entries.push(Entry::signed(provider, clearing, moved - captured));
    entries.push(Entry::signed(chart.platform(PlatformAccount::Processing), provider, fee));
    entries
}

/// The tax on a commission goes where the commission goes, and most have none.
pub(crate) fn tax_on_commission(debit: AccountKey, credit: AccountKey, amount: i64) -> Option<Entry> {
    (amount > 0).then_some(Entry { debit, credit, amount })
}

/// The provider gave back what was authorised and not captured, with whatever that did to its fee.
pub fn rest_released(chart: Chart, amount: i64, fee: i64, state: SettlementState) -> Vec<Entry> {
    let provider = chart.provider(state);
    let clearing = chart.platform(PlatformAccount::ClearingRefund);
    vec![
        Entry { debit: clearing, credit: provider, amount },
        Entry::signed(chart.platform(PlatformAccount::Processing), provider, fee),
    ]
}

/// The provider made a movement of the platform's usable.
pub fn funds_available(chart: Chart, net: i64) -> Vec<Entry> {
    let available = chart.platform(PlatformAccount::ProviderAvailable);
    let pending = chart.platform(PlatformAccount::ProviderPending);
    vec![Entry::signed(available, pending, net)]
}

/// The sellers' shares became usable.
pub fn shares_released(chart: Chart, shares: &[(SellerNumber, i64)]) -> Vec<Entry> {
    let entry = |(number, share): &(SellerNumber, i64)| {
        let pending = chart.seller(*number, SellerAccount::Pending);
        let available = chart.seller(*number, SellerAccount::Available);
        Entry::signed(pending, available, *share)
    };
    shares.iter().map(entry).collect()
}

/// What one line gives back in a refund; minor units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SellerShare {
    /// The line, from 0.
    pub line: i32,
    /// Of the net amount.
    pub amount: i64,
    /// Of the tax.
    pub tax: i64,
    /// Commission that the platform returns.
    pub commission: i64,
    /// Of it, the tax.
    pub vat: i64,
}

/// What one line has in a refund; minor units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RefundShare {
    /// Net goods, tax, and the commission that goes back.
    pub share: SellerShare,
    /// Of the processor's fee, what is passed to the seller with it.
    pub processor_fee: i64,
}

/// A refund was asked: who gives how much, to the clearing account until the provider confirms; and what of the processor's fee
/// is passed to the sellers with it.
///
/// The seller's part is taken where the share of this payment stands: pending until it is released, then available.
pub fn refund_shares(chart: Chart, lines: &[Line], given: &[RefundShare], funds: Funds) -> Vec<Entry> {
    let shares: Vec<SellerShare> = given.iter().map(|given| given.share).collect();
    let mut entries = taken_from(chart, lines, &shares, funds, chart.platform(PlatformAccount::ClearingRefund));
    entries.extend(fees_passed(chart, lines, &refund_fees(given), funds));
    entries
}

fn refund_fees(given: &[RefundShare]) -> Vec<(i32, i64)> {
    given.iter().map(|given| (given.share.line, given.processor_fee)).collect()
}

/// The sellers bear so much of the processor's fee, (line, minor units): the platform's expense is less by it.
pub fn fees_passed(chart: Chart, lines: &[Line], fees: &[(i32, i64)], funds: Funds) -> Vec<Entry> {
    let expense = chart.platform(PlatformAccount::Processing);
    fees.iter()
        .filter(|(_, amount)| *amount > 0)
        .filter_map(|(number, amount)| {
            let line = lines.iter().find(|line| line.number == *number)?;
            Some(Entry { debit: owner_account(chart, line, funds), credit: expense, amount: *amount })
        })
        .collect()
}

/// The shares leave those who got them for another account.
fn taken_from(chart: Chart, lines: &[Line], given: &[SellerShare], funds: Funds, to: AccountKey) -> Vec<Entry> {
    let part_of = |share: &SellerShare| lines.iter().find(|line| line.number == share.line);
    let mut entries = Vec::with_capacity(given.len() * 3);
    for share in given {
        let Some(line) = part_of(share) else { continue };
        let owner = owner_account(chart, line, funds);
        entries.push(Entry { debit: owner, credit: to, amount: share.amount });
        let tax = match line.sellers_tax(share.tax) {
            0 => chart.platform(PlatformAccount::TaxPayable),
            _ => owner,
        };
        entries.push(Entry { debit: tax, credit: to, amount: share.tax });
    }
    for share in given {
        let Some(line) = part_of(share).filter(|line| line.kind != LineKind::Platform) else { continue };
        let commission = chart.platform(PlatformAccount::Commission);
        let (owner, vat) = (owner_account(chart, line, funds), chart.platform(PlatformAccount::CommissionVat));
        entries.push(Entry { debit: commission, credit: owner, amount: share.commission - share.vat });
        entries.extend(tax_on_commission(vat, owner, share.vat));
    }
    entries
}

/// The provider took a refund from the platform's balance.
pub fn refund_confirmed(chart: Chart, amount: i64, state: SettlementState) -> Vec<Entry> {
    let clearing = chart.platform(PlatformAccount::ClearingRefund);
    vec![Entry { debit: clearing, credit: chart.provider(state), amount }]
}

/// A refund came back after its money had left: it is owed to the buyer again.
pub fn refund_returned(chart: Chart, amount: i64, state: SettlementState) -> Vec<Entry> {
    let clearing = chart.platform(PlatformAccount::ClearingRefund);
    vec![Entry { debit: chart.provider(state), credit: clearing, amount }]
}

/// A refund that came back is given up: everyone has back what was taken for it, where the shares stand now. Of a payment
/// that failed nobody has a share: it makes good what that had cost the platform.
pub fn refund_reinstated(
    chart: Chart,
    lines: &[Line],
    given: &[RefundShare],
    funds: Funds,
    payment_failed: bool,
) -> Vec<Entry> {
    let mirror = |entry: Entry| Entry { debit: entry.credit, credit: entry.debit, ..entry };
    if payment_failed {
        let clearing = chart.platform(PlatformAccount::ClearingRefund);
        let amount = given.iter().map(|given| given.share.amount + given.share.tax).sum();
        let loss = Entry { debit: clearing, credit: chart.platform(PlatformAccount::DisputeLoss), amount };
        let fees = fees_passed(chart, lines, &refund_fees(given), funds).into_iter().map(mirror);
        return std::iter::once(loss).chain(fees).collect();
    }
    refund_shares(chart, lines, given, funds).into_iter().map(mirror).collect()
}

/// A refund that came back was paid from the platform's bank account.
pub fn refund_settled(chart: Chart, amount: i64) -> Vec<Entry> {
    let clearing = chart.platform(PlatformAccount::ClearingRefund);
    vec![Entry { debit: clearing, credit: chart.platform(PlatformAccount::Bank), amount }]
}

/// The buyer's bank took a payment back that had succeeded: `taken` and the processor's `fee` left the platform's balance. What
/// the lines do not have any more, the buyer had got by refunds: nobody else bears it.
pub fn taken_back(
    chart: Chart,
    lines: &[Line],
    shares: &[SellerShare],
    taken: i64,
    fee: i64,
    state: SettlementState,
    funds: Funds,
) -> Vec<Entry> {
    let provider = chart.provider(state);
    let mut entries = taken_from(chart, lines, shares, funds, provider);
    let of_lines: i64 = shares.iter().map(|share| share.amount + share.tax).sum();
    entries.push(Entry::signed(chart.platform(PlatformAccount::DisputeLoss), provider, taken - of_lines));
    entries.push(Entry::signed(chart.platform(PlatformAccount::Processing), provider, fee));
    entries
}

/// Where the owner of a line has its share: pending until it is released, with the payment's money or by itself, then available.
pub(crate) fn owner_account(chart: Chart, line: &Line, funds: Funds) -> AccountKey {
    match line.seller {
        None => chart.platform(PlatformAccount::Fees),
        Some((_, number)) if funds == Funds::Available && !line.waits() => {
            chart.seller(number, SellerAccount::Available)
        }
        Some((_, number)) => chart.seller(number, SellerAccount::Pending),
    }
}

#[cfg(test)]
mod tests {
    use partita_db::BookId;
    use partita_provider::Currency;

    use super::*;
    use crate::payments::worked_cart::{A, B, line, worked_cart};
    use crate::payments::{Standing, TaxLiability, fee_parts, fees_at_charge, seller_shares};

    fn chart() -> Chart {
        Chart { book: BookId::try_new(1).expect("in range"), currency: Currency::parse("EUR").expect("a currency") }
    }

    fn entry(debit: AccountKey, credit: AccountKey, amount: i64) -> Entry {
        Entry { debit, credit, amount }
    }

    #[test]
    fn the_charge_of_the_worked_cart() {
        let c = chart();
        let (p, tax) = (c.platform(PlatformAccount::ProviderPending), c.platform(PlatformAccount::TaxPayable));
        let (a, b) = (c.seller(A, SellerAccount::Pending), c.seller(B, SellerAccount::Pending));
        let (revenue, cost) = (c.platform(PlatformAccount::Commission), c.platform(PlatformAccount::Processing));
        assert_eq!(
            charged(c, &worked_cart(), 120_00, 3_20, SettlementState::Pending),
            [
                entry(p, a, 60_00),
                entry(p, tax, 12_00),
                entry(p, b, 40_00),
                entry(p, tax, 8_00),
                entry(a, revenue, 6_00),
                entry(b, revenue, 4_00),
                entry(p, c.platform(PlatformAccount::ClearingRefund), 0),
                entry(cost, p, 3_20),
            ]
        );
    }

    #[test]
    fn half_of_a_captured_with_the_rest_moved_and_given_back() {
        let c = chart();
        let cart = vec![line(0, Some(A), 30_00, 6_00, 3_00)];
        let (p, clearing) = (c.platform(PlatformAccount::ProviderPending), c.platform(PlatformAccount::ClearingRefund));
        let (a, tax) = (c.seller(A, SellerAccount::Pending), c.platform(PlatformAccount::TaxPayable));
        let cost = c.platform(PlatformAccount::Processing);
        assert_eq!(
            charged(c, &cart, 120_00, 1_10, SettlementState::Pending),
            [
                entry(p, a, 30_00),
                entry(p, tax, 6_00),
                entry(a, c.platform(PlatformAccount::Commission), 3_00),
                entry(p, clearing, 84_00),
                entry(cost, p, 1_10),
            ]
        );
        assert_eq!(
            rest_released(c, 84_00, -20, SettlementState::Pending),
            [entry(clearing, p, 84_00), entry(p, cost, 20)]
        );
    }

    #[test]
    fn a_tax_that_the_seller_owes_is_the_sellers() {
        let c = chart();
        let mut cart = vec![line(0, Some(A), 60_00, 12_00, 6_00)];
        cart[0].tax_liability = TaxLiability::Seller;
        let (p, a) = (c.platform(PlatformAccount::ProviderPending), c.seller(A, SellerAccount::Pending));
        let entries = charged(c, &cart, 72_00, 0, SettlementState::Pending);
        assert_eq!(entries[1], entry(p, a, 12_00));
        assert_eq!(seller_shares(&cart)[&A].1, 66_00);
    }

    #[test]
    fn availability_of_the_worked_cart() {
        let c = chart();
        let (p, v) = (c.platform(PlatformAccount::ProviderPending), c.platform(PlatformAccount::ProviderAvailable));
        assert_eq!(funds_available(c, 116_80), [entry(v, p, 116_80)]);
        let shares: Vec<_> =
            seller_shares(&worked_cart()).into_iter().map(|(number, (_, share))| (number, share)).collect();
        assert_eq!(
            shares_released(c, &shares),
            [
                entry(c.seller(A, SellerAccount::Pending), c.seller(A, SellerAccount::Available), 54_00),
                entry(c.seller(B, SellerAccount::Pending), c.seller(B, SellerAccount::Available), 36_00),
            ]
        );
    }

    #[test]
    fn a_refund_of_25_and_its_tax_with_the_commission_returned() {
        let c = chart();
        let share = SellerShare { line: 0, amount: 25_00, tax: 5_00, commission: 2_50, vat: 0 };
        let given = [RefundShare { share, processor_fee: 0 }];
        let (clearing, a) = (c.platform(PlatformAccount::ClearingRefund), c.seller(A, SellerAccount::Available));
        assert_eq!(
            refund_shares(c, &worked_cart(), &given, Funds::Available),
            [
                entry(a, clearing, 25_00),
                entry(c.platform(PlatformAccount::TaxPayable), clearing, 5_00),
                entry(c.platform(PlatformAccount::Commission), a, 2_50),
            ]
        );
        let pending = refund_shares(c, &worked_cart(), &given, Funds::Pending);
        assert_eq!(pending[0].debit, c.seller(A, SellerAccount::Pending));
        assert_eq!(
            refund_confirmed(c, 30_00, SettlementState::Available),
            [entry(clearing, c.platform(PlatformAccount::ProviderAvailable), 30_00)]
        );
    }

    #[test]
    fn a_refund_of_a_line_that_waits_takes_its_share_where_it_stands() {
        let c = chart();
        let share = SellerShare { line: 1, amount: 20_00, tax: 4_00, commission: 2_00, vat: 0 };
        let mut cart = worked_cart();
        cart[1].standing = Standing::Waiting;
        let given = [RefundShare { share, processor_fee: 0 }];
        let entries = refund_shares(c, &cart, &given, Funds::Available);
        assert_eq!(entries[0].debit, c.seller(B, SellerAccount::Pending));
        assert_eq!(entries[2].credit, c.seller(B, SellerAccount::Pending));
        cart[1].standing = Standing::Released;
        assert_eq!(refund_shares(c, &cart, &given, Funds::Available)[0].debit, c.seller(B, SellerAccount::Available));
    }

    #[test]
    fn a_payment_of_120_taken_back_after_30_were_refunded() {
        let c = chart();
        let mut cart = worked_cart();
        (cart[0].refunded_amount, cart[0].refunded_tax, cart[0].returned_commission) = (25_00, 5_00, 2_50);
        let shares = [
            SellerShare { line: 0, amount: 35_00, tax: 7_00, commission: 3_50, vat: 0 },
            SellerShare { line: 1, amount: 40_00, tax: 8_00, commission: 4_00, vat: 0 },
        ];
        let (p, tax) = (c.platform(PlatformAccount::ProviderPending), c.platform(PlatformAccount::TaxPayable));
        let (a, b) = (c.seller(A, SellerAccount::Pending), c.seller(B, SellerAccount::Pending));
        let revenue = c.platform(PlatformAccount::Commission);
        assert_eq!(
            taken_back(c, &cart, &shares, 120_00, 0, SettlementState::Pending, Funds::Pending),
            [
                entry(a, p, 35_00),
                entry(tax, p, 7_00),
                entry(b, p, 40_00),
                entry(tax, p, 8_00),
                entry(revenue, a, 3_50),
                entry(revenue, b, 4_00),
                entry(c.platform(PlatformAccount::DisputeLoss), p, 30_00),
                entry(c.platform(PlatformAccount::Processing), p, 0),
            ]
        );
    }

    #[test]
    fn a_refund_of_30_that_came_back_is_reinstated_or_paid_from_the_bank() {
        let c = chart();
        let share = SellerShare { line: 0, amount: 25_00, tax: 5_00, commission: 2_50, vat: 0 };
        let given = [RefundShare { share, processor_fee: 0 }];
        let clearing = c.platform(PlatformAccount::ClearingRefund);
        let (p, a) = (c.platform(PlatformAccount::ProviderAvailable), c.seller(A, SellerAccount::Available));
        assert_eq!(refund_returned(c, 30_00, SettlementState::Available), [entry(p, clearing, 30_00)]);
        assert_eq!(
            refund_reinstated(c, &worked_cart(), &given, Funds::Available, false),
            [
                entry(clearing, a, 25_00),
                entry(clearing, c.platform(PlatformAccount::TaxPayable), 5_00),
                entry(a, c.platform(PlatformAccount::Commission), 2_50),
            ]
        );
        assert_eq!(
            refund_reinstated(c, &worked_cart(), &given, Funds::Available, true),
            [entry(clearing, c.platform(PlatformAccount::DisputeLoss), 30_00)]
        );
        assert_eq!(refund_settled(c, 30_00), [entry(clearing, c.platform(PlatformAccount::Bank), 30_00)]);
    }

    #[test]
    fn vat_of_21_percent_on_a_commission_of_6_goes_with_it() {
        let c = chart();
        let mut cart = vec![line(0, Some(A), 60_00, 0, 7_26)];
        cart[0].commission_vat = 1_26;
        let (a, revenue) = (c.seller(A, SellerAccount::Pending), c.platform(PlatformAccount::Commission));
        let vat = c.platform(PlatformAccount::CommissionVat);
        let charge = charged(c, &cart, 60_00, 0, SettlementState::Pending);
        assert_eq!(charge[2..4], [entry(a, revenue, 6_00), entry(a, vat, 1_26)]);
        assert_eq!(seller_shares(&cart)[&A].1, 52_74);
        // 25 of the 60: 3.03 of the 7.26, of which 0.53 are tax.
        let (commission, tax) = (cart[0].commission_of(25_00), cart[0].vat_of(3_03));
        assert_eq!((commission, tax), (3_03, 53));
        let share = SellerShare { line: 0, amount: 25_00, tax: 0, commission, vat: tax };
        let given = [RefundShare { share, processor_fee: 0 }];
        let refunded = refund_shares(c, &cart, &given, Funds::Pending);
        assert_eq!(refunded[2..], [entry(revenue, a, 2_50), entry(vat, a, 53)]);
        let back = refund_reinstated(c, &cart, &given, Funds::Pending, false);
        assert_eq!(back[2..], [entry(a, revenue, 2_50), entry(a, vat, 53)]);
        (cart[0].refunded_amount, cart[0].returned_commission, cart[0].returned_vat) = (25_00, 3_03, 53);
        assert_eq!((cart[0].commission_of(35_00), cart[0].vat_of(4_23)), (4_23, 73), "the rest, to the cent");
        assert_eq!(cart[0].vat_of(0), 0, "what is kept keeps its tax");
    }

    #[test]
    fn a_processors_fee_of_3_20_passed_at_the_charge_and_with_a_full_refund() {
        let c = chart();
        let cart = worked_cart();
        assert_eq!(fee_parts(&cart, 3_20), [1_92, 1_28], "60 to 40");
        let (a, b) = (c.seller(A, SellerAccount::Pending), c.seller(B, SellerAccount::Pending));
        let cost = c.platform(PlatformAccount::Processing);
        let passed = [entry(a, cost, 1_92), entry(b, cost, 1_28)];
        assert_eq!(fees_passed(c, &cart, &[(0, 1_92), (1, 1_28)], Funds::Pending), passed);
        let share = |line, amount, tax, commission| SellerShare { line, amount, tax, commission, vat: 0 };
        let given = [
            RefundShare { share: share(0, 60_00, 12_00, 6_00), processor_fee: 1_92 },
            RefundShare { share: share(1, 40_00, 8_00, 4_00), processor_fee: 1_28 },
        ];
        let refunded = refund_shares(c, &cart, &given, Funds::Pending);
        assert_eq!(refunded[refunded.len() - 2..], passed);
        let back = refund_reinstated(c, &cart, &given, Funds::Pending, true);
        let (clearing, loss) = (c.platform(PlatformAccount::ClearingRefund), c.platform(PlatformAccount::DisputeLoss));
        assert_eq!(back, [entry(clearing, loss, 120_00), entry(cost, a, 1_92), entry(cost, b, 1_28)]);
    }

    #[test]
    fn the_processors_fee_is_divided_over_goods_and_the_platforms_lines_keep_their_part() {
        let mut cart = vec![line(0, Some(A), 60_00, 0, 0), line(1, None, 20_00, 0, 0), line(2, Some(B), 20_00, 0, 0)];
        let fee_policy = crate::payments::LineFee {
            policy: crate::id::FeePolicyId::new(),
            version: 1,
            rule: Some(1),
            volume: None,
            sentence: None,
            passes_processor_fee: true,
        };
        cart[0].fee_policy = Some(fee_policy.clone());
        cart[1].fee_policy = Some(fee_policy);
        assert_eq!(fee_parts(&cart, 1_00), [60, 20, 20]);
        assert_eq!(fees_at_charge(&cart, 1_00), [(0, 60)], "B's rule leaves it with the platform");
        assert!(fees_at_charge(&cart, 0).is_empty());
        assert!(fees_at_charge(&cart, -20).is_empty(), "the processor gave something");
        cart[0].passed_fee = 60;
        assert_eq!(seller_shares(&cart)[&A].1, 59_40);
    }

    #[test]
    fn shares_after_refunds_are_what_is_left() {
        let mut cart = worked_cart();
        cart[0].refunded_amount = 25_00;
        cart[0].refunded_tax = 5_00;
        cart[0].returned_commission = 2_50;
        assert_eq!(seller_shares(&cart)[&A].1, 31_50);
        cart[0].returned_commission = 0;
        assert_eq!(seller_shares(&cart)[&A].1, 29_00, "the platform kept its commission");
    }
}
