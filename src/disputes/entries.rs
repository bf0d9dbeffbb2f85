//! What a dispute takes from whom, and what is booked when something happens to it. Pure.

use std::collections::BTreeMap;

use partita_provider::{SettlementState, allocate, clamped_cumulative};

use super::policy::{Bearer, Hold, Policy};
use crate::chart::{Chart, PlatformAccount, SellerAccount};
use crate::id::SellerId;
use crate::journal::Entry;
use crate::payments::{Funds, Line, LineChange, SellerShare, owner_account, tax_on_commission};

/// What one line has in a dispute; minor units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DisputeShare {
    /// Net goods, tax, and the commission on the goods.
    pub share: SellerShare,
    /// Its part of the dispute's fee, where sellers bear that.
    pub fee: i64,
}

impl DisputeShare {
    /// The seller's own part: its goods, and the tax that it owes itself, less the commission.
    pub fn of_seller(&self, line: &Line) -> i64 {
        if line.seller.is_none() {
            return 0;
        }
        self.share.amount + line.sellers_tax(self.share.tax) - self.share.commission
    }
}

/// Spreads a disputed amount over what is left of the lines, by the clamped cumulative rule; what goes beyond them is
/// nobody's share.
pub fn spread(lines: &[Line], amount: i64) -> Vec<SellerShare> {
    let original: Vec<i64> = lines.iter().flat_map(|line| [line.amount, line.tax_amount]).collect();
    let already: Vec<i64> = lines.iter().flat_map(|line| [line.gone_amount(), line.gone_tax()]).collect();
    let (all, before) = (original.iter().sum::<i64>(), already.iter().sum::<i64>());
    let gross = amount.clamp(0, all - before);
    let parts = clamped_cumulative(before + gross, &original, &already).expect("no more is spread than is left");
    lines
        .iter()
        .zip(parts.chunks_exact(2))
        .filter(|(_, part)| part[0] + part[1] > 0)
        .map(|(line, part)| {
            let commission = line.commission_of(part[0]);
            SellerShare { line: line.number, amount: part[0], tax: part[1], commission, vat: line.vat_of(commission) }
        })
        .collect()
}

/// Adds each line's part of the fee, by its goods. The part of the platform's own lines stays the platform's.
pub fn with_fee(lines: &[Line], shares: &[SellerShare], fee: i64, bearer: Bearer) -> Vec<DisputeShare> {
    let goods: Vec<i64> = shares.iter().map(|share| share.amount).collect();
    let parts = match bearer {
        // Only tax is disputed, or the provider gave something: there is nothing to divide by, or nothing to divide.
        Bearer::Sellers if fee > 0 && goods.iter().any(|amount| *amount > 0) => {
            allocate(fee, &goods).expect("a fee over amounts that are not all zero")
        }
        _ => vec![0; shares.len()],
    };
    let is_sold = |share: &SellerShare| lines.iter().any(|line| line.number == share.line && line.seller.is_some());
    shares
        .iter()
        .zip(parts)
        .map(|(share, part)| DisputeShare { share: *share, fee: if is_sold(share) { part } else { 0 } })
        .collect()
}

/// The provider took a disputed amount (negative) with its fee, or gave it back (positive) with a negative fee or none.
pub fn moved(chart: Chart, amount: i64, fee: i64, state: SettlementState) -> Vec<Entry> {
    let provider = chart.provider(state);
    vec![
        Entry::signed(chart.platform(PlatformAccount::Disputed), provider, -amount),
        Entry::signed(chart.platform(PlatformAccount::DisputeFee), provider, fee),
    ]
}

/// The sellers' parts are held, from where the payment's shares stand.
pub fn held(chart: Chart, lines: &[Line], shares: &[DisputeShare], funds: Funds) -> Vec<Entry> {
    each(lines, shares)
        .filter_map(|(line, share)| {
            let (_, seller) = line.seller?;
            let held = chart.seller(seller, SellerAccount::Held);
            Some(Entry::signed(owner_account(chart, line, funds), held, share.of_seller(line)))
        })
        .collect()
}

/// What was held is the sellers' again, where the payment's shares stand now.
pub fn released(chart: Chart, lines: &[Line], shares: &[DisputeShare], funds: Funds) -> Vec<Entry> {
    held(chart, lines, shares, funds)
        .into_iter()
        .map(|entry| Entry { debit: entry.credit, credit: entry.debit, ..entry })
        .collect()
}

/// A dispute is lost: who bears what is still out of `outstanding`, and the fee.
pub fn lost(
    chart: Chart,
    lines: &[Line],
    shares: &[DisputeShare],
    policy: Policy,
    outstanding: i64,
    funds: Funds,
) -> Vec<Entry> {
    let mut entries = match policy.liability {
        Bearer::Sellers => lost_by_sellers(chart, lines, shares, policy, outstanding, funds),
        Bearer::Platform => lost_by_platform(chart, lines, shares, policy, outstanding, funds),
    };
    let fee = chart.platform(PlatformAccount::DisputeFee);
    for (line, share) in each(lines, shares) {
        entries.push(Entry { debit: owner_account(chart, line, funds), credit: fee, amount: share.fee });
    }
    entries
}

fn lost_by_sellers(
    chart: Chart,
    lines: &[Line],
    shares: &[DisputeShare],
    policy: Policy,
    outstanding: i64,
    funds: Funds,
) -> Vec<Entry> {
    let disputed = chart.platform(PlatformAccount::Disputed);
    let commission = chart.platform(PlatformAccount::Commission);
    let loss = chart.platform(PlatformAccount::DisputeLoss);
    let mut entries = Vec::with_capacity(shares.len() * 4 + 1);
    let mut borne = 0;
    for (line, share) in each(lines, shares) {
        let owner = match (line.seller, policy.hold) {
            (Some((_, seller)), Hold::Shares) => chart.seller(seller, SellerAccount::Held),
            _ => owner_account(chart, line, funds),
        };
        let own = if line.seller.is_some() { share.of_seller(line) } else { share.share.amount };
        entries.push(Entry::signed(owner, disputed, own));
        if line.seller.is_some() {
            let SellerShare { commission: all, vat, .. } = share.share;
            entries.push(Entry { debit: commission, credit: disputed, amount: all - vat });
            let account = chart.platform(PlatformAccount::CommissionVat);
            entries.extend(tax_on_commission(account, disputed, vat));
        }
        let relief = if policy.tax_relief { chart.platform(PlatformAccount::TaxPayable) } else { loss };
        let tax = share.share.tax - line.sellers_tax(share.share.tax);
        entries.push(Entry { debit: relief, credit: disputed, amount: tax });
        borne += share.share.amount + share.share.tax;
    }
    // More than the charge was worth, or less if the provider gave some of it back.
    entries.push(Entry::signed(loss, disputed, outstanding - borne));
    entries
}

fn lost_by_platform(
    chart: Chart,
    lines: &[Line],
    shares: &[DisputeShare],
    policy: Policy,
    outstanding: i64,
    funds: Funds,
) -> Vec<Entry> {
    let (loss, disputed) = (chart.platform(PlatformAccount::DisputeLoss), chart.platform(PlatformAccount::Disputed));
    let mut entries = vec![Entry::signed(loss, disputed, outstanding)];
    if policy.hold == Hold::Shares {
        entries.extend(released(chart, lines, shares, funds));
    }
    entries
}

fn each<'a>(lines: &'a [Line], shares: &'a [DisputeShare]) -> impl Iterator<Item = (&'a Line, &'a DisputeShare)> {
    shares.iter().filter_map(|share| Some((lines.iter().find(|line| line.number == share.share.line)?, share)))
}

/// What becomes of a dispute, as its payment's lines count it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// The money was taken.
    Withdrawn,
    /// It came back.
    Won,
    /// It did not.
    Lost,
}

/// How the lines change by a turn of the dispute: what is disputed of them, and what is kept from their sellers.
pub fn changes(lines: &[Line], shares: &[DisputeShare], policy: Policy, turn: Turn) -> Vec<LineChange> {
    let is_held = policy.hold == Hold::Shares;
    each(lines, shares)
        .map(|(line, share)| {
            let own = share.of_seller(line);
            let if_held = if is_held { own } else { 0 };
            let (sign, withheld) = match (turn, policy.liability) {
                (Turn::Withdrawn, _) => (1, if_held),
                (Turn::Won, _) => (-1, -if_held),
                (Turn::Lost, Bearer::Sellers) => (0, own - if_held + share.fee),
                (Turn::Lost, Bearer::Platform) => (0, share.fee - if_held),
            };
            LineChange {
                line: line.number,
                amount: sign * share.share.amount,
                tax: sign * share.share.tax,
                commission: sign * share.share.commission,
                vat: sign * share.share.vat,
                withheld,
            }
        })
        .collect()
}

/// What sellers lose, or have back, each of them once; minor units.
pub type BySeller = Vec<(SellerId, i64)>;

/// By how much more, and by how much less, each seller is kept from its shares than before. Lines that wait give out of themselves.
pub fn kept_by_seller(lines: &[Line], changes: &[LineChange]) -> (BySeller, BySeller) {
    let mut kept = BTreeMap::new();
    for change in changes {
        let Some(line) = lines.iter().find(|line| line.number == change.line && !line.waits()) else { continue };
        let Some((id, number)) = line.seller else { continue };
        kept.entry(number).or_insert((id, 0_i64)).1 += change.withheld;
    }
    let (more, less): (Vec<_>, Vec<_>) = kept.into_values().partition(|(_, amount)| *amount > 0);
    (more, less.into_iter().map(|(seller, amount)| (seller, -amount)).collect())
}

#[cfg(test)]
mod tests;
