use partita_db::BookId;
use partita_ledger::AccountKey;
use partita_provider::Currency;
use proptest::prelude::*;

use super::*;
use crate::chart::SellerNumber;
use crate::payments::worked_cart::{A, B, line, worked_cart};
use crate::payments::{Standing, seller_shares};

fn chart() -> Chart {
    Chart { book: BookId::try_new(1).expect("in range"), currency: Currency::parse("EUR").expect("a currency") }
}

fn all_of_it(lines: &[Line], policy: Policy) -> Vec<DisputeShare> {
    with_fee(lines, &spread(lines, 120_00), 15_00, policy.fee)
}

fn entry(debit: AccountKey, credit: AccountKey, amount: i64) -> Entry {
    Entry { debit, credit, amount }
}

fn without_nothing(entries: Vec<Entry>) -> Vec<Entry> {
    entries.into_iter().filter(|entry| entry.amount != 0).collect()
}

/// Lines after some changes.
fn changed(mut lines: Vec<Line>, changes: &[LineChange]) -> Vec<Line> {
    for change in changes {
        let line = lines.iter_mut().find(|line| line.number == change.line).expect("of these lines");
        line.disputed_amount += change.amount;
        line.disputed_tax += change.tax;
        line.disputed_commission += change.commission;
        line.disputed_vat += change.vat;
        line.withheld_share += change.withheld;
    }
    lines
}

fn entitled(lines: &[Line]) -> Vec<i64> {
    seller_shares(lines).into_values().map(|(_, share)| share).collect()
}

#[test]
fn a_dispute_of_120_and_its_fee_of_15_is_taken_and_the_shares_of_54_and_36_are_held() {
    let (c, cart) = (chart(), worked_cart());
    let policy = Policy::default();
    let shares = all_of_it(&cart, policy);
    let (disputed, fee) = (c.platform(PlatformAccount::Disputed), c.platform(PlatformAccount::DisputeFee));
    let provider = c.platform(PlatformAccount::ProviderAvailable);
    assert_eq!(
        moved(c, -120_00, 15_00, SettlementState::Available),
        [entry(disputed, provider, 120_00), entry(fee, provider, 15_00)]
    );
    assert_eq!(
        held(c, &cart, &shares, Funds::Available),
        [
            entry(c.seller(A, SellerAccount::Available), c.seller(A, SellerAccount::Held), 54_00),
            entry(c.seller(B, SellerAccount::Available), c.seller(B, SellerAccount::Held), 36_00),
        ]
    );
    assert_eq!(held(c, &cart, &shares, Funds::Pending)[0].debit, c.seller(A, SellerAccount::Pending));
    let open = changed(cart.clone(), &changes(&cart, &shares, policy, Turn::Withdrawn));
    assert_eq!(entitled(&open), [0, 0]);
    assert_eq!((open[0].refundable().amount, open[0].refundable().tax), (0, 0));
}

#[test]
fn a_dispute_that_is_won_brings_everything_back() {
    let (c, cart) = (chart(), worked_cart());
    let policy = Policy::default();
    let shares = all_of_it(&cart, policy);
    let (disputed, fee) = (c.platform(PlatformAccount::Disputed), c.platform(PlatformAccount::DisputeFee));
    let provider = c.platform(PlatformAccount::ProviderAvailable);
    assert_eq!(
        moved(c, 120_00, -15_00, SettlementState::Available),
        [entry(provider, disputed, 120_00), entry(provider, fee, 15_00)]
    );
    assert_eq!(
        without_nothing(moved(c, 120_00, 0, SettlementState::Available)),
        [entry(provider, disputed, 120_00)],
        "a fee that is kept stays an expense"
    );
    assert_eq!(
        released(c, &cart, &shares, Funds::Available),
        [
            entry(c.seller(A, SellerAccount::Held), c.seller(A, SellerAccount::Available), 54_00),
            entry(c.seller(B, SellerAccount::Held), c.seller(B, SellerAccount::Available), 36_00),
        ]
    );
    let open = changed(cart.clone(), &changes(&cart, &shares, policy, Turn::Withdrawn));
    let won = changed(open.clone(), &changes(&open, &shares, policy, Turn::Won));
    assert_eq!(entitled(&won), [54_00, 36_00]);
    assert_eq!(won[1].refundable().amount, 40_00);
}

#[test]
fn lost_by_the_sellers_takes_what_was_held_and_gives_commission_and_tax_back() {
    let (c, cart) = (chart(), worked_cart());
    let policy = Policy { tax_relief: true, ..Policy::default() };
    let shares = all_of_it(&cart, policy);
    let disputed = c.platform(PlatformAccount::Disputed);
    let (commission, tax) = (c.platform(PlatformAccount::Commission), c.platform(PlatformAccount::TaxPayable));
    assert_eq!(
        without_nothing(lost(c, &cart, &shares, policy, 120_00, Funds::Available)),
        [
            entry(c.seller(A, SellerAccount::Held), disputed, 54_00),
            entry(commission, disputed, 6_00),
            entry(tax, disputed, 12_00),
            entry(c.seller(B, SellerAccount::Held), disputed, 36_00),
            entry(commission, disputed, 4_00),
            entry(tax, disputed, 8_00),
        ]
    );
    let open = changed(cart.clone(), &changes(&cart, &shares, policy, Turn::Withdrawn));
    let after = changed(open.clone(), &changes(&open, &shares, policy, Turn::Lost));
    assert_eq!(entitled(&after), [0, 0]);
    assert_eq!(after[0].refundable().amount, 0, "the buyer has it: it is never refunded too");
}

#[test]
fn without_relief_the_tax_is_the_platforms_loss() {
    let (c, cart) = (chart(), worked_cart());
    let policy = Policy::default();
    let entries = lost(c, &cart, &all_of_it(&cart, policy), policy, 120_00, Funds::Available);
    let loss = c.platform(PlatformAccount::DisputeLoss);
    let lost: i64 = entries.iter().filter(|entry| entry.debit == loss).map(|entry| entry.amount).sum();
    assert_eq!(lost, 20_00);
    assert!(entries.iter().all(|entry| entry.debit != c.platform(PlatformAccount::TaxPayable)));
}

#[test]
fn the_fee_is_passed_on_as_9_and_6() {
    let (c, cart) = (chart(), worked_cart());
    let policy = Policy { fee: Bearer::Sellers, ..Policy::default() };
    let shares = all_of_it(&cart, policy);
    let fee = c.platform(PlatformAccount::DisputeFee);
    let passed: Vec<Entry> = without_nothing(lost(c, &cart, &shares, policy, 120_00, Funds::Available))
        .into_iter()
        .filter(|entry| entry.credit == fee)
        .collect();
    assert_eq!(
        passed,
        [
            entry(c.seller(A, SellerAccount::Available), fee, 9_00),
            entry(c.seller(B, SellerAccount::Available), fee, 6_00),
        ]
    );
    let open = changed(cart.clone(), &changes(&cart, &shares, policy, Turn::Withdrawn));
    let after = changed(open.clone(), &changes(&open, &shares, policy, Turn::Lost));
    assert_eq!(entitled(&after), [-9_00, -6_00]);
}

#[test]
fn lost_by_the_platform_is_its_expense_and_the_holds_are_released() {
    let (c, cart) = (chart(), worked_cart());
    let policy = Policy { liability: Bearer::Platform, ..Policy::default() };
    let shares = all_of_it(&cart, policy);
    let (disputed, loss) = (c.platform(PlatformAccount::Disputed), c.platform(PlatformAccount::DisputeLoss));
    assert_eq!(
        without_nothing(lost(c, &cart, &shares, policy, 120_00, Funds::Available)),
        [
            entry(loss, disputed, 120_00),
            entry(c.seller(A, SellerAccount::Held), c.seller(A, SellerAccount::Available), 54_00),
            entry(c.seller(B, SellerAccount::Held), c.seller(B, SellerAccount::Available), 36_00),
        ]
    );
    let open = changed(cart.clone(), &changes(&cart, &shares, policy, Turn::Withdrawn));
    let after = changed(open.clone(), &changes(&open, &shares, policy, Turn::Lost));
    assert_eq!(entitled(&after), [54_00, 36_00]);
    assert_eq!(after[0].refundable().amount, 0);
}

#[test]
fn where_nothing_is_held_a_loss_is_taken_from_the_sellers_balances() {
    let (c, cart) = (chart(), worked_cart());
    let policy = Policy { hold: Hold::Nothing, ..Policy::default() };
    let shares = all_of_it(&cart, policy);
    let open = changed(cart.clone(), &changes(&cart, &shares, policy, Turn::Withdrawn));
    assert_eq!(entitled(&open), [54_00, 36_00]);
    let entries = lost(c, &cart, &shares, policy, 120_00, Funds::Available);
    assert_eq!(entries[0].debit, c.seller(A, SellerAccount::Available));
    let after = changed(open.clone(), &changes(&open, &shares, policy, Turn::Lost));
    assert_eq!(entitled(&after), [0, 0]);
}

#[test]
fn what_goes_beyond_the_charge_is_the_platforms_loss() {
    let (c, cart) = (chart(), worked_cart());
    let policy = Policy { tax_relief: true, ..Policy::default() };
    let shares = with_fee(&cart, &spread(&cart, 125_00), 15_00, policy.fee);
    assert_eq!(shares, all_of_it(&cart, policy), "no line gives more than it has");
    let entries = lost(c, &cart, &shares, policy, 125_00, Funds::Available);
    assert_eq!(
        entries.iter().find(|entry| entry.debit == c.platform(PlatformAccount::DisputeLoss)),
        Some(&entry(c.platform(PlatformAccount::DisputeLoss), c.platform(PlatformAccount::Disputed), 5_00))
    );
}

#[test]
fn a_part_is_spread_over_what_refunds_have_left() {
    let mut cart = worked_cart();
    // Half of A's line was refunded.
    (cart[0].refunded_amount, cart[0].refunded_tax, cart[0].returned_commission) = (30_00, 6_00, 3_00);
    let all = spread(&cart, 500_00);
    assert_eq!(
        all,
        [
            SellerShare { line: 0, amount: 30_00, tax: 6_00, commission: 3_00, vat: 0 },
            SellerShare { line: 1, amount: 40_00, tax: 8_00, commission: 4_00, vat: 0 },
        ]
    );
    let part = spread(&cart, 24_00);
    assert_eq!(part.iter().map(|share| share.amount + share.tax).sum::<i64>(), 24_00);
    let gone = changed(
        cart.clone(),
        &changes(&cart, &with_fee(&cart, &all, 0, Bearer::Platform), Policy::default(), Turn::Withdrawn),
    );
    assert!(spread(&gone, 1).is_empty(), "nothing is left");
}

#[test]
fn the_platforms_own_line_bears_its_own_loss_and_no_fee() {
    let c = chart();
    let cart = vec![line(0, Some(A), 60_00, 0, 6_00), line(1, None, 40_00, 0, 0)];
    let policy = Policy { fee: Bearer::Sellers, ..Policy::default() };
    let shares = with_fee(&cart, &spread(&cart, 100_00), 15_00, policy.fee);
    assert_eq!(shares.iter().map(|share| share.fee).collect::<Vec<_>>(), [9_00, 0]);
    let entries = without_nothing(lost(c, &cart, &shares, policy, 100_00, Funds::Available));
    assert!(entries.contains(&entry(c.platform(PlatformAccount::Fees), c.platform(PlatformAccount::Disputed), 40_00)));
    assert_eq!(held(c, &cart, &shares, Funds::Available).len(), 1);
}

fn carts() -> impl Strategy<Value = Vec<Line>> {
    prop::collection::vec((1_i64..50_000, 0_i64..9_000, 0_i64..=10_000, any::<bool>()), 1..6).prop_map(|parts| {
        let lines = parts.into_iter().enumerate().map(|(index, (amount, tax, bps, sold))| {
            let seller = sold.then(|| SellerNumber(i32::try_from(index + 1).expect("few")));
            let commission = if sold { amount * bps / 10_000 } else { 0 };
            line(i32::try_from(index).expect("few"), seller, amount, tax, commission)
        });
        lines.collect()
    })
}

fn policies() -> impl Strategy<Value = Policy> {
    (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>()).prop_map(|(sellers, shares, tax_relief, passed)| {
        let bearer = |sellers| if sellers { Bearer::Sellers } else { Bearer::Platform };
        let hold = if shares { Hold::Shares } else { Hold::Nothing };
        Policy { version: 1, liability: bearer(sellers), hold, tax_relief, fee: bearer(passed) }
    })
}

proptest! {
    /// Any disputes, won and lost under any policy: what is out comes to zero, nothing stays held, and the lines never
    /// give more than they have.
    #[test]
    fn every_dispute_ends_with_nothing_outstanding(
        mut lines in carts(), turns in prop::collection::vec((1_i64..80_000, any::<bool>(), policies()), 1..5)
    ) {
        let c = chart();
        for (amount, wins, policy) in turns {
            let before = lines.clone();
            let shares = with_fee(&lines, &spread(&lines, amount), 15_00, policy.fee);
            let mut entries = moved(c, -amount, 15_00, SettlementState::Available);
            lines = changed(lines.clone(), &changes(&lines, &shares, policy, Turn::Withdrawn));
            for line in &lines {
                let left = line.refundable();
                prop_assert!(left.amount >= 0 && left.tax >= 0 && left.commission >= 0);
            }
            if policy.hold == Hold::Shares { entries.extend(held(c, &lines, &shares, Funds::Available)); }
            if wins {
                entries.extend(moved(c, amount, -15_00, SettlementState::Available));
                if policy.hold == Hold::Shares { entries.extend(released(c, &lines, &shares, Funds::Available)); }
                lines = changed(lines.clone(), &changes(&lines, &shares, policy, Turn::Won));
                prop_assert_eq!(entitled(&lines), entitled(&before));
            } else {
                entries.extend(lost(c, &lines, &shares, policy, amount, Funds::Available));
                lines = changed(lines.clone(), &changes(&lines, &shares, policy, Turn::Lost));
            }
            let sum = |account: AccountKey| -> i64 {
                entries.iter().map(|e| if e.debit == account { e.amount } else if e.credit == account { -e.amount } else { 0 }).sum()
            };
            prop_assert_eq!(sum(c.platform(PlatformAccount::Disputed)), 0);
            for line in &lines {
                if let Some((_, seller)) = line.seller {
                    prop_assert_eq!(sum(c.seller(seller, SellerAccount::Held)), 0);
                }
            }
            // What the sellers' balances lost is what their entitlement lost.
            let of_sellers: i64 = lines.iter().filter_map(|line| line.seller).map(|(_, seller)| sum(c.seller(seller, SellerAccount::Available))).sum();
            prop_assert_eq!(of_sellers, entitled(&before).iter().sum::<i64>() - entitled(&lines).iter().sum::<i64>());
        }
    }
}

#[test]
fn what_a_line_that_waits_loses_is_drawn_of_no_reserve() {
    let mut cart = worked_cart();
    let change =
        |line, amount, tax, commission, withheld| LineChange { line, amount, tax, commission, vat: 0, withheld };
    let changes = [change(0, 60_00, 12_00, 6_00, 54_00), change(1, 40_00, 8_00, 4_00, 36_00)];
    let lost =
        |cart: &[Line]| kept_by_seller(cart, &changes).0.into_iter().map(|(_, amount)| amount).collect::<Vec<_>>();
    assert_eq!(lost(&cart), [54_00, 36_00]);
    cart[0].standing = Standing::Waiting;
    assert_eq!(lost(&cart), [36_00]);
    cart[0].standing = Standing::Released;
    assert_eq!(lost(&cart), [54_00, 36_00]);
}
