//! The transactions that facts make. Pure.

mod banking;
mod direct;
mod lines;

use std::collections::BTreeMap;

use jiff::Timestamp;
use partita_provider::SettlementState;
use uuid::Uuid;

pub(super) use banking::{of_payout, of_platform_payout, of_top_up};

use super::store::{Moment, MovementRow};
use super::{Postings, Transactions};
use crate::adjustments::{self, Adjustment};
use crate::chart::{Chart, Kind, PlatformAccount, SellerNumber};
use crate::debts::{self, Debt, Settled};
use crate::disputes::entries::Turn;
use crate::disputes::{self, Dispute, DisputeShare, Hold};
use crate::events;
use crate::exchange::{self, Closed};
use crate::journal::Entry;
use crate::operations::Operation;
use crate::payments::line_release::LineRelease;
use crate::payments::{self, DirectCharge, Funds, Line, RefundShare, Remaining, SellerShare};
use crate::transfers::BankPart;
use crate::{payouts, reserves, transfers};

/// What is known of a payment and of what hangs on it.
pub(super) struct PaymentFacts {
    pub(super) key: i64,
    pub(super) id: Uuid,
    /// What the provider sent with the charge; minor units.
    pub(super) sent_with_charge: i64,
    pub(super) lines: Vec<Line>,
    /// What each refund gives back.
    pub(super) refunds: Vec<(Uuid, Vec<RefundShare>)>,
    /// The number of each refund: the source of what somebody decides about it.
    pub(super) refund_keys: BTreeMap<Uuid, i64>,
    /// To whom each transfer goes, and how much.
    pub(super) transfers: BTreeMap<Uuid, (SellerNumber, i64)>,
    /// From whom each reversal comes.
    pub(super) reversals: BTreeMap<Uuid, SellerNumber>,
    /// Of a direct charge: whose it is, and the tax in what went back of its fee, by the number of the movement.
    pub(super) direct: Option<(DirectCharge, BTreeMap<i64, i64>)>,
    /// Its disputes with what each line has in them.
    pub(super) disputes: Vec<(Dispute, Vec<DisputeShare>)>,
    /// Its lines that wait by themselves, or did.
    pub(super) releases: Vec<LineRelease>,
    pub(super) debts: DebtFacts,
    /// What of it went into reserves and out of them.
    pub(super) kept_back: Vec<reserves::Step>,
    /// What of it was paid by bank file.
    pub(super) by_bank: Vec<(SellerNumber, BankPart)>,
    /// What was brought home as its position was closed, by the source of each booking.
    pub(super) closings: Vec<(i64, Vec<Closed>)>,
    pub(super) asks: Vec<Operation>,
    pub(super) movements: Vec<MovementRow>,
    pub(super) moments: Vec<Moment>,
}

/// What is known of the debts of a payment or an adjustment, and of those that its money paid.
pub(super) struct DebtFacts {
    /// By who owes them.
    pub(super) debts: Vec<(SellerNumber, Debt)>,
    pub(super) settled: Vec<Settled>,
}

/// What is known of what hangs on an adjustment.
pub(super) struct AdjustmentFacts {
    /// The booked adjustment that undoes it.
    pub(super) undone_by: Option<Adjustment>,
    pub(super) debts: DebtFacts,
    /// To whom each transfer goes, and how much.
    pub(super) transfers: BTreeMap<Uuid, (SellerNumber, i64)>,
    /// From whom each reversal comes.
    pub(super) reversals: BTreeMap<Uuid, SellerNumber>,
    /// What of it was paid by bank file.
    pub(super) by_bank: Vec<(SellerNumber, BankPart)>,
    /// What was brought home as its position was closed, by the source of each booking.
    pub(super) closings: Vec<(i64, Vec<Closed>)>,
    pub(super) asks: Vec<Operation>,
    pub(super) movements: Vec<MovementRow>,
    pub(super) moments: Vec<Moment>,
}

/// Puts a transaction to the others; entries of nothing make no postings, and without postings there is none.
fn add(to: &mut Transactions, kind: Kind, source: i64, entries: Vec<Entry>) {
    let mut postings: Postings = entries
        .into_iter()
        .filter(|entry| entry.amount != 0)
        .map(|entry| (entry.debit.get(), entry.credit.get(), entry.amount))
        .collect();
    postings.sort_unstable();
    if !postings.is_empty() {
        to.insert((kind.number(), source), postings);
    }
}

/// As [`add`], of a movement that may have crossed currencies.
fn add_crossed(
    to: &mut Transactions,
    (chart, kind): (Chart, Kind),
    movement: &MovementRow,
    made: Vec<Entry>,
    cost: PlatformAccount,
) {
    add(to, kind, movement.key, movement.moved().entries(chart.book, made, cost));
}

fn add_closings(to: &mut Transactions, chart: Chart, closings: &[(i64, Vec<Closed>)]) {
    for (key, closed) in closings {
        add(to, Kind::PositionClosed, *key, exchange::entries(chart.book, closed));
    }
}

/// When an event of an object was written down.
fn moment(moments: &[Moment], object: Uuid, event: &str) -> Option<Timestamp> {
    moments.iter().find(|moment| moment.object == object && moment.event == event).map(|moment| moment.at)
}

/// When a dispute gave back to the sellers what it had kept from them: when it was won, and when it was closed with what it
/// took given back. One that took nothing kept nothing.
fn given_back(moments: &[Moment], dispute: Uuid) -> Option<Timestamp> {
    moment(moments, dispute, "dispute.won").or_else(|| moment(moments, dispute, "dispute.closed"))
}

fn ask_of(asks: &[Operation], object: Uuid) -> Option<i64> {
    asks.iter().find(|ask| ask.object_id == object && ask.kind.starts_with("create_")).map(|ask| ask.key)
}

impl PaymentFacts {
    /// Where the payment's money was at a time.
    fn funds_at(&self, at: Timestamp) -> Funds {
        let at_once = self.charge().is_some_and(|charge| charge.booked_as == SettlementState::Available);
        let released = moment(&self.moments, self.id, "payment.funds_available");
        if at_once || released.is_some_and(|released| released < at) { Funds::Available } else { Funds::Pending }
    }

    fn charge(&self) -> Option<&MovementRow> {
        self.movements.iter().find(|movement| movement.object == Some(self.id) && movement.object_type == "payment")
    }

    /// Of what the processor kept of the charge in all, what lines passed to their sellers.
    fn fees_at_charge(&self) -> Vec<(i32, i64)> {
        let of_charge = |movement: &&MovementRow| matches!(movement.object_type.as_str(), "payment" | "capture_rest");
        let fee = self.movements.iter().filter(of_charge).map(|movement| movement.fee).sum();
        let fee = self.charge().map_or(fee, |charge| charge.moved().own_fee(fee));
        payments::fees_at_charge(&self.lines, fee)
    }

    /// When the payment failed after it had succeeded, if it did.
    fn failed_late(&self) -> Option<Timestamp> {
        let own: Vec<&Moment> = self.moments.iter().filter(|moment| moment.object == self.id).collect();
        let last = |event: &str| own.iter().rposition(|moment| moment.event == event);
        let (succeeded, failed) = (last("payment.succeeded")?, last("payment.failed")?);
        (failed > succeeded).then(|| own[failed].at)
    }

    /// The lines as they stood at a time: less what refunds had taken by then and not given back, and with what disputes
    /// kept from sellers by then. Of a payment that had failed, nothing.
    fn lines_at(&self, at: Timestamp) -> Vec<Line> {
        let mut lines: Vec<Line> = self
            .standing_at(at)
            .into_iter()
            .map(|line| Line {
                refunded_amount: 0,
                refunded_tax: 0,
                returned_commission: 0,
                returned_vat: 0,
                withheld_share: 0,
                passed_fee: 0,
                failed: Remaining::default(),
                ..line
            })
            .collect();
        for (number, fee) in self.fees_at_charge() {
            lines.iter_mut().filter(|line| line.number == number).for_each(|line| line.passed_fee = fee);
        }
        for (id, shares) in &self.refunds {
            let before = |event| moment(&self.moments, *id, event).is_some_and(|then| then < at);
            if !before("refund.created") || before("refund.failed") {
                continue;
            }
            for RefundShare { share, processor_fee } in shares {
                let Some(line) = lines.iter_mut().find(|line| line.number == share.line) else { continue };
                line.passed_fee += processor_fee;
                line.refunded_amount += share.amount;
                line.refunded_tax += share.tax;
                line.returned_commission += share.commission;
                line.returned_vat += share.vat;
            }
        }
        for (dispute, shares) in &self.disputes {
            let id = dispute.id.uuid();
            let turns = [
                (Turn::Withdrawn, moment(&self.moments, id, "dispute.funds_withdrawn")),
                (Turn::Won, given_back(&self.moments, id)),
                (Turn::Lost, moment(&self.moments, id, "dispute.lost")),
            ];
            for (turn, then) in turns {
                if then.is_none_or(|then| then >= at) {
                    continue;
                }
                for change in disputes::entries::changes(&self.lines, shares, dispute.policy, turn) {
                    let Some(line) = lines.iter_mut().find(|line| line.number == change.line) else { continue };
                    line.withheld_share += change.withheld;
                }
            }
        }
        if self.failed_late().is_some_and(|failed| failed < at) {
            for line in &mut lines {
                line.failed = line.remaining();
            }
        }
        lines
    }

    fn released_at(&self, chart: Chart, at: Timestamp) -> Vec<Entry> {
        let sent = self.sent_with_charge - self.came_back_by(at);
        payments::shares_released(chart, &payments::to_release(&self.lines_at(at), sent))
    }

    /// What had come back by a time of what was sent with the charge.
    fn came_back_by(&self, at: Timestamp) -> i64 {
        let is_reversal = |movement: &&MovementRow| {
            let reversal = movement.object.filter(|id| movement.account.is_empty() && self.reversals.contains_key(id));
            reversal.is_some_and(|id| moment(&self.moments, id, "reversal.succeeded").is_some_and(|then| then < at))
        };
        self.movements.iter().filter(is_reversal).map(|movement| movement.moved().net()).sum()
    }

    /// Where the payment's money was when a reversal was confirmed.
    fn funds_of_reversal(&self, reversal: Uuid) -> Funds {
        moment(&self.moments, reversal, "reversal.succeeded").map_or(Funds::Available, |at| self.funds_at(at))
    }
}

/// Everything that is booked under a payment.
pub(super) fn of_payment(chart: Chart, facts: &PaymentFacts) -> Transactions {
    if let Some((direct, returned_vats)) = &facts.direct {
        return direct::of_direct(chart, direct, returned_vats, facts);
    }
    let mut booked = Transactions::new();
    if let Some(charge) = facts.charge() {
        let moved = charge.moved();
        let mut made = payments::charged(chart, &facts.lines, moved.amount(), moved.fee(), charge.booked_as);
        made.extend(payments::fees_passed(chart, &facts.lines, &facts.fees_at_charge(), Funds::Pending));
        add_crossed(&mut booked, (chart, Kind::PaymentCharged), charge, made, PlatformAccount::Processing);
        if let Some(at) = moment(&facts.moments, facts.id, "payment.funds_available") {
            let balance = Chart { currency: charge.currency, ..chart };
            add(&mut booked, Kind::FundsAvailable, charge.key, payments::funds_available(balance, charge.net));
            add(&mut booked, Kind::SharesReleased, facts.key, facts.released_at(chart, at));
        } else if charge.booked_as == SettlementState::Available {
            add(&mut booked, Kind::SharesReleased, facts.key, facts.released_at(chart, Timestamp::MIN));
        }
    }
    if let Some(at) = facts.failed_late() {
        add_late_failure(&mut booked, chart, facts, at);
    }
    for (id, shares) in &facts.refunds {
        add_refund(&mut booked, chart, facts, *id, shares);
    }
    add_transfers(&mut booked, chart, &facts.transfers, &facts.asks, &facts.moments);
    for (dispute, shares) in &facts.disputes {
        add_dispute(&mut booked, chart, facts, dispute, shares);
    }
    for movement in &facts.movements {
        add_movement(&mut booked, chart, facts, movement);
    }
    lines::add_released(&mut booked, chart, facts);
    add_debts(&mut booked, chart, &facts.debts);
    add_by_bank(&mut booked, chart, &facts.by_bank, &facts.moments);
    add_closings(&mut booked, chart, &facts.closings);
    for step in &facts.kept_back {
        let (kind, entries) = reserves::entries::step(chart, step.number, step.kind, step.amount);
        add(&mut booked, kind, step.key, entries);
    }
    booked
}

fn add_debts(booked: &mut Transactions, chart: Chart, facts: &DebtFacts) {
    for (seller, debt) in &facts.debts {
        add(booked, Kind::DebtOpened, debt.key, debts::entries::opened(chart, *seller, debt.amount.minor));
        let given_up = debts::entries::written_off(chart, *seller, debt.written_off);
        add(booked, Kind::DebtWrittenOff, debt.key, given_up);
    }
    for Settled { key, number, kind, amount, .. } in &facts.settled {
        let (kind, entries) = debts::settlement(chart, *number, *kind, *amount);
        add(booked, kind, *key, entries);
    }
}

/// What payouts by bank file took of something, paid, and gave back.
fn add_by_bank(booked: &mut Transactions, chart: Chart, parts: &[(SellerNumber, BankPart)], moments: &[Moment]) {
    for (seller, part) in parts {
        let happened = |event| moment(moments, part.payout.uuid(), event).is_some();
        let was_paid = happened("payout.paid");
        add(booked, Kind::BankPayoutAsked, part.key, transfers::entries::bank_asked(chart, *seller, part.amount));
        if was_paid {
            add(booked, Kind::BankPayoutPaid, part.key, transfers::entries::bank_paid(chart, part.amount));
        }
        if happened("payout.returned") || happened("payout.canceled") {
            let kind = if was_paid { Kind::BankPayoutReturned } else { Kind::BankPayoutEnded };
            let entries = transfers::entries::bank_given_back(chart, *seller, part.amount, was_paid);
            add(booked, kind, part.key, entries);
        }
    }
}

/// Everything that is booked under an adjustment.
pub(super) fn of_adjustment(
    chart: Chart,
    adjustment: &Adjustment,
    seller: SellerNumber,
    facts: &AdjustmentFacts,
) -> Transactions {
    let mut booked = Transactions::new();
    let is_booked = moment(&facts.moments, adjustment.id.uuid(), "adjustment.booked").is_some();
    for one in [Some(adjustment).filter(|_| is_booked), facts.undone_by.as_ref()].into_iter().flatten() {
        let entries = adjustments::entries::booked(chart, seller, one.direction, one.reason, one.amount.minor);
        add(&mut booked, Kind::AdjustmentBooked, one.key, entries);
    }
    add_debts(&mut booked, chart, &facts.debts);
    add_by_bank(&mut booked, chart, &facts.by_bank, &facts.moments);
    add_closings(&mut booked, chart, &facts.closings);
    add_transfers(&mut booked, chart, &facts.transfers, &facts.asks, &facts.moments);
    for movement in &facts.movements {
        let (sent, back) = (&facts.transfers, &facts.reversals);
        add_transfer_movement(&mut booked, chart, sent, back, movement, Funds::Available);
    }
    booked
}

fn add_transfers(
    booked: &mut Transactions,
    chart: Chart,
    sent: &BTreeMap<Uuid, (SellerNumber, i64)>,
    asks: &[Operation],
    moments: &[Moment],
) {
    for (id, (seller, amount)) in sent {
        let Some(source) = ask_of(asks, *id) else { continue };
        add(booked, Kind::TransferAsked, source, transfers::entries::asked(chart, *seller, *amount));
        if moment(moments, *id, "transfer.failed").is_some() {
            add(booked, Kind::TransferRefused, source, transfers::entries::refused(chart, *seller, *amount));
        }
    }
}

fn add_refund(booked: &mut Transactions, chart: Chart, facts: &PaymentFacts, id: Uuid, shares: &[RefundShare]) {
    let (Some(source), Some(asked)) = (ask_of(&facts.asks, id), moment(&facts.moments, id, "refund.created")) else {
        return;
    };
    let lines = facts.standing_at(asked);
    add(booked, Kind::RefundAsked, source, payments::refund_shares(chart, &lines, shares, facts.funds_at(asked)));
    let returned = moment(&facts.moments, id, "refund.returned");
    if let Some(at) = moment(&facts.moments, id, "refund.failed") {
        let payment_failed = facts.failed_late().is_some_and(|failed| failed < at);
        let lines = facts.standing_at(at);
        let entries = payments::refund_reinstated(chart, &lines, shares, facts.funds_at(at), payment_failed);
        match (returned, facts.refund_keys.get(&id)) {
            (Some(_), Some(key)) => add(booked, Kind::RefundReinstated, *key, entries),
            _ => add(booked, Kind::RefundRefused, source, entries),
        }
    }
    if let (Some(_), Some(key)) = (moment(&facts.moments, id, "refund.settled"), facts.refund_keys.get(&id)) {
        let amount = shares.iter().map(|given| given.share.amount + given.share.tax).sum();
        add(booked, Kind::RefundSettled, *key, payments::refund_settled(chart, amount));
    }
}

fn add_late_failure(booked: &mut Transactions, chart: Chart, facts: &PaymentFacts, at: Timestamp) {
    let lines = facts.lines_at(at);
    let shares: Vec<SellerShare> = lines
        .iter()
        .map(|line| {
            let Remaining { amount, tax, commission, vat } = line.remaining();
            SellerShare { line: line.number, amount, tax, commission, vat }
        })
        .collect();
    for taken in facts.movements.iter().filter(|movement| movement.object_type == "payment_failure") {
        let (moved, funds) = (taken.moved(), facts.funds_at(at));
        let (amount, fee) = (-moved.amount(), moved.fee());
        let made = payments::taken_back(chart, &lines, &shares, amount, fee, taken.booked_as, funds);
        add_crossed(booked, (chart, Kind::PaymentFailed), taken, made, PlatformAccount::Processing);
    }
}

fn add_dispute(
    booked: &mut Transactions,
    chart: Chart,
    facts: &PaymentFacts,
    dispute: &Dispute,
    shares: &[DisputeShare],
) {
    let id = dispute.id.uuid();
    let at = |event| moment(&facts.moments, id, event).map(|time| (facts.standing_at(time), facts.funds_at(time)));
    if dispute.policy.hold == Hold::Shares {
        if let Some((lines, funds)) = at("dispute.funds_withdrawn") {
            let held = disputes::entries::held(chart, &lines, shares, funds);
            add(booked, Kind::DisputeHeld, dispute.key, held);
        }
        if let Some(time) = given_back(&facts.moments, id) {
            let lines = facts.standing_at(time);
            let released = disputes::entries::released(chart, &lines, shares, facts.funds_at(time));
            add(booked, Kind::DisputeWon, dispute.key, released);
        }
    }
    if let Some((lines, funds)) = at("dispute.lost") {
        let lost = disputes::entries::lost(chart, &lines, shares, dispute.policy, dispute.outstanding(), funds);
        add(booked, Kind::DisputeLost, dispute.key, lost);
    }
}

/// What is booked with a movement of a refund, a dispute, a transfer or a reversal.
fn add_movement(booked: &mut Transactions, chart: Chart, facts: &PaymentFacts, movement: &MovementRow) {
    let Some(object) = movement.object else { return };
    let (moved, state) = (movement.moved(), movement.booked_as);
    let net = moved.net();
    if movement.object_type == "capture_rest" {
        let made = payments::rest_released(chart, -moved.amount(), moved.fee(), state);
        add_crossed(booked, (chart, Kind::CaptureRestReleased), movement, made, PlatformAccount::Processing);
    } else if facts.refunds.iter().any(|(id, _)| *id == object) {
        let (kind, made) = if net < 0 {
            (Kind::RefundConfirmed, payments::refund_confirmed(chart, -net, state))
        } else {
            (Kind::RefundReturned, payments::refund_returned(chart, net, state))
        };
        add_crossed(booked, (chart, kind), movement, made, PlatformAccount::Processing);
    } else if facts.disputes.iter().any(|(dispute, _)| dispute.id.uuid() == object) {
        let kind = if moved.amount() < 0 { Kind::DisputeWithdrawn } else { Kind::DisputeReinstated };
        let made = disputes::entries::moved(chart, moved.amount(), moved.fee(), state);
        add_crossed(booked, (chart, kind), movement, made, PlatformAccount::DisputeFee);
    } else {
        let funds = facts.funds_of_reversal(object);
        add_transfer_movement(booked, chart, &facts.transfers, &facts.reversals, movement, funds);
    }
}

/// What is booked with a movement of a transfer or a reversal; `funds`: where the money stood when it came back.
fn add_transfer_movement(
    booked: &mut Transactions,
    chart: Chart,
    sent: &BTreeMap<Uuid, (SellerNumber, i64)>,
    reversals: &BTreeMap<Uuid, SellerNumber>,
    movement: &MovementRow,
    funds: Funds,
) {
    let Some(object) = movement.object else { return };
    let (net, state, of_platform) = (movement.moved().net(), movement.booked_as, movement.account.is_empty());
    if let Some((seller, _)) = sent.get(&object) {
        let (kind, entries) = if of_platform && movement.object_type == transfers::WITH_CHARGE {
            (Kind::TransferWithCharge, transfers::entries::with_charge(chart, *seller, -net, state))
        } else if of_platform {
            (Kind::TransferConfirmed, transfers::entries::confirmed(chart, -net, state))
        } else {
            (Kind::TransferArrived, transfers::entries::arrived(chart, *seller, net, state))
        };
        add_crossed(booked, (chart, kind), movement, entries, PlatformAccount::Processing);
    } else if let Some(seller) = reversals.get(&object) {
        let (kind, entries) = if of_platform {
            (Kind::ReversalConfirmed, transfers::entries::reversed(chart, *seller, net, state, funds))
        } else {
            (Kind::ReversalTaken, transfers::entries::taken(chart, *seller, -net, state))
        };
        add_crossed(booked, (chart, kind), movement, entries, PlatformAccount::Processing);
    }
}

/// What is booked for a movement alone. That a charge's money became usable is booked under its payment.
pub(super) fn of_movement(chart: Chart, movement: &MovementRow, seller: Option<SellerNumber>) -> Transactions {
    let mut booked = Transactions::new();
    if movement.object_type == "provider_reserve" {
        let entry = events::reserve_changed(chart, movement.net, movement.booked_as);
        add(&mut booked, Kind::ReserveChanged, movement.key, vec![entry]);
    }
    if movement.object_type == payouts::COST_OWNER {
        let entry = payouts::entries::cost_taken(chart, -movement.net, movement.booked_as);
        add(&mut booked, Kind::PayoutCostTaken, movement.key, vec![entry]);
    }
    let became = movement.booked_as == SettlementState::Pending && movement.is_available;
    if became && movement.object_type != "payment" {
        let entry = events::became_available(chart, seller, movement.net);
        add(&mut booked, Kind::FundsAvailable, movement.key, vec![entry]);
    }
    booked
}
