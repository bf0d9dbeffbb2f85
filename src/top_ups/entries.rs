//! What is booked when something happens to a top-up. Pure.

use partita_provider::SettlementState;

use crate::chart::{Chart, PlatformAccount};
use crate::journal::Entry;

/// It was asked: the bank's money is on its way.
pub fn asked(chart: Chart, amount: i64) -> Entry {
    let clearing = chart.platform(PlatformAccount::ClearingTopUp);
    Entry { debit: clearing, credit: chart.platform(PlatformAccount::Bank), amount }
}

/// It arrived on the platform's balance.
pub fn confirmed(chart: Chart, amount: i64, state: SettlementState) -> Entry {
    let clearing = chart.platform(PlatformAccount::ClearingTopUp);
    Entry { debit: chart.provider(state), credit: clearing, amount }
}

/// The bank or the provider refused it: the bank has its money.
pub fn refused(chart: Chart, amount: i64) -> Entry {
    let clearing = chart.platform(PlatformAccount::ClearingTopUp);
    Entry { debit: chart.platform(PlatformAccount::Bank), credit: clearing, amount }
}
