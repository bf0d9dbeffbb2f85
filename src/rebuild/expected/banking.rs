//! The transactions of what comes from banks and goes to them: top-ups and payouts. Pure.

use partita_provider::SettlementState;

use super::{add, moment};
use crate::chart::{Chart, Kind};
use crate::journal::Entry;
use crate::operations::Operation;
use crate::rebuild::Transactions;
use crate::rebuild::store::{Moment, MovementRow, PayoutRow, PlatformPayoutRow};
use crate::{payouts, top_ups};

/// Everything that is booked under a top-up.
pub(in crate::rebuild) fn of_top_up(
    chart: Chart,
    amount: i64,
    asks: &[Operation],
    movements: &[MovementRow],
    moments: &[Moment],
) -> Transactions {
    let mut booked = Transactions::new();
    for ask in asks {
        add(&mut booked, Kind::TopUpAsked, ask.key, vec![top_ups::entries::asked(chart, amount)]);
        if moment(moments, ask.object_id, "top_up.failed").is_some() {
            add(&mut booked, Kind::TopUpRefused, ask.key, vec![top_ups::entries::refused(chart, amount)]);
        }
    }
    for movement in movements {
        let entry = top_ups::entries::confirmed(chart, movement.net, movement.booked_as);
        add(&mut booked, Kind::TopUpConfirmed, movement.key, vec![entry]);
    }
    booked
}

/// Everything that is booked under a seller's payout: what left is negative, what came back positive. One by bank file is booked
/// under what it pays of.
pub(in crate::rebuild) fn of_payout(
    chart: Chart,
    payout: &PayoutRow,
    movements: &[MovementRow],
    moments: &[Moment],
) -> Transactions {
    let mut booked = Transactions::new();
    let was_paid = !payout.is_by_bank && moment(moments, payout.id, "payout.paid").is_some();
    for movement in movements {
        let (net, fee, state) = (movement.net, movement.fee, movement.booked_as);
        let (kind, entries) = if movement.object_type == payouts::FEE_OWNER {
            fee_moved(chart, net, state)
        } else if net < 0 {
            (Kind::PayoutSent, payouts::entries::sent(chart, payout.seller, (-net - fee, fee), state))
        } else {
            let amounts = (net + fee, -fee);
            (Kind::PayoutFailed, payouts::entries::came_back(chart, payout.seller, amounts, state, was_paid))
        };
        add(&mut booked, kind, movement.key, entries);
    }
    if was_paid {
        add(&mut booked, Kind::PayoutPaid, payout.key, payouts::entries::paid(chart, payout.seller, payout.amount));
    }
    booked
}

/// What the platform got for it, or gave back.
fn fee_moved(chart: Chart, net: i64, state: SettlementState) -> (Kind, Vec<Entry>) {
    if net < 0 {
        (Kind::PayoutFeeReturned, payouts::entries::fee_returned(chart, -net, state))
    } else {
        (Kind::PayoutFeeTaken, payouts::entries::fee_taken(chart, net, state))
    }
}

/// Everything that is booked under a payout of the platform's own.
pub(in crate::rebuild) fn of_platform_payout(
    chart: Chart,
    payout: &PlatformPayoutRow,
    movements: &[MovementRow],
    moments: &[Moment],
) -> Transactions {
    let mut booked = Transactions::new();
    let was_paid = moment(moments, payout.id, "platform_payout.paid").is_some();
    for movement in movements {
        let (net, state) = (movement.net, movement.booked_as);
        if net < 0 {
            let entries = payouts::entries::platform_sent(chart, -net, state);
            add(&mut booked, Kind::PlatformPayoutSent, movement.key, entries);
        } else {
            let entries = payouts::entries::platform_came_back(chart, net, state, was_paid);
            add(&mut booked, Kind::PlatformPayoutFailed, movement.key, entries);
        }
    }
    if was_paid {
        let entries = payouts::entries::platform_paid(chart, payout.amount);
        add(&mut booked, Kind::PlatformPayoutPaid, payout.key, entries);
    }
    booked
}
