//! Taking the provider's word on a dispute, whoever brings it.
//!
//! Every reading of a dispute has all that it moved so far, so that one first heard of when it is over is opened, booked
//! and closed at once, by the same steps.

use jiff::{SignedDuration, Timestamp};
use partita_db::Tx;
use partita_ledger::Floors;
use partita_provider::{BalanceTransaction, Dispute as Said, Money};

use super::entries::{self, Turn};
use super::policy::{Hold, Policy};
use super::{DEADLINE_DUE_KIND, Dispute, DisputeError, DisputeStatus, REMIND_FIRST_HOURS, record, state, store};
use crate::actor::Actor;
use crate::chart::{Chart, Kind, PlatformAccount};
use crate::clock;
use crate::due;
use crate::exchange::{self, Moved};
use crate::id::DisputeId;
use crate::journal::{Entry, Journal, Record};
use crate::payments::{self, ChargeType, DirectCharge, Funds, Line, LineChange, Payment, PaymentStatus};
use crate::provider_movements::{self, Owner, Recorded, effective_at};
use crate::reserves;
use crate::transfers;

/// Takes the provider's word on a dispute, told by an account of it (empty: the platform's own). Returns ours; none when its payment
/// is not one of this book's.
///
/// # Errors
/// [`DisputeError::Contradiction`] when it is not about the payment that was charged; [`DisputeError::Incomplete`] when
/// its payment is not booked yet, or it is decided and its money has not moved accordingly.
pub async fn apply(
    tx: &mut Tx,
    (provider, account): (&str, &str),
    said: &Said,
    journal: &mut Journal,
    now: Timestamp,
) -> Result<Option<DisputeId>, DisputeError> {
    let Some(provider_payment) = &said.payment else { return Ok(None) };
    // The payment is locked before its disputes, everywhere.
    let Some(payment) = payments::find_by_provider_for_update(tx, provider_payment).await? else {
        return Ok(None);
    };
    let direct = payments::find_direct(tx, &payment).await?;
    if !payments::is_told_by(direct.as_ref(), account) {
        return Err(DisputeError::Contradiction(format!("{} is told by the account {account:?}", said.id)));
    }
    if payment.status != PaymentStatus::Succeeded {
        return Err(DisputeError::Incomplete("its payment is not booked yet"));
    }
    if payment.provider_charge.as_ref() != Some(&said.charge) || said.amount.currency != payment.amount.currency {
        return Err(DisputeError::Contradiction(format!("{} of charge {}", said.amount, said.charge)));
    }
    let dispute = match store::find_by_provider_for_update(tx, &said.id).await? {
        Some(dispute) => dispute,
        None => open(tx, &payment, provider, said, journal, now).await?,
    };
    let mut case = Case { payment: &payment, direct: direct.as_ref(), journal, now, effective: now };
    let dispute = case.book_movements(tx, dispute, said).await?;
    let dispute = case.take_details(tx, dispute, said).await?;
    case.decide(tx, &dispute, said).await?;
    Ok(Some(dispute.id))
}

async fn open(
    tx: &mut Tx,
    payment: &Payment,
    provider: &str,
    said: &Said,
    journal: &Journal,
    now: Timestamp,
) -> Result<Dispute, DisputeError> {
    // The accounts of disputes came after many a book.
    payments::chart(tx.book_id(), payment.amount.currency).open_platform(tx).await?;
    let policy = match payment.charge_type {
        ChargeType::Direct => Policy::OF_DIRECT_CHARGES,
        _ => store::find_policy(tx).await?,
    };
    let key = journal.keys().next(tx).await?;
    let first = state::first(&said.status);
    let dispute = store::insert(tx, key, payment, provider, said, first, policy, now).await?;
    record(tx, &dispute, None, "dispute.opened", Actor::System, now).await?;
    remind(tx, &dispute, now).await?;
    Ok(dispute)
}

/// Has the deadline looked at some days before it passes.
async fn remind(tx: &mut Tx, dispute: &Dispute, now: Timestamp) -> Result<(), DisputeError> {
    if let Some(due_by) = dispute.due_by.filter(|due_by| *due_by > now) {
        let at = due_by - SignedDuration::from_hours(REMIND_FIRST_HOURS);
        due::schedule(tx, DEADLINE_DUE_KIND, dispute.key, at.max(now)).await?;
    }
    Ok(())
}

/// One dispute while its news is taken.
struct Case<'a> {
    payment: &'a Payment,
    /// Where the charge was made, if not on the platform's account.
    direct: Option<&'a DirectCharge>,
    journal: &'a mut Journal,
    now: Timestamp,
    /// When the newest movement happened: so did what follows from it.
    effective: Timestamp,
}

impl Case<'_> {
    /// Books what the provider moved since, each movement once, oldest first.
    async fn book_movements(
        &mut self,
        tx: &mut Tx,
        mut dispute: Dispute,
        said: &Said,
    ) -> Result<Dispute, DisputeError> {
        let mut movements: Vec<&BalanceTransaction> = said.movements.iter().collect();
        // What was taken was taken before it came back, even within a second.
        movements.sort_by_key(|movement| (movement.created, movement.amount > 0));
        for movement in movements {
            let owner = Owner { object_type: "dispute", object_id: Some(dispute.id.uuid()) };
            let keys = self.journal.keys();
            let account = self.direct.map_or("", |direct| direct.account.as_str());
            let recorded = provider_movements::record(tx, keys, &dispute.provider, account, movement, owner).await?;
            let Recorded::New(source) = recorded else { continue };
            // What is converted on a seller's own account is not mirrored.
            let is_mirrored = self.direct.is_none() || movement.currency == dispute.amount.currency;
            if movement.amount == 0 || !is_mirrored {
                let moved = Money::new(movement.amount, movement.currency);
                return Err(DisputeError::Contradiction(format!("{} moved {moved}", movement.id)));
            }
            self.effective = effective_at(movement);
            dispute = if movement.amount < 0 {
                self.withdraw(tx, dispute, movement, source).await?
            } else {
                self.reinstate(tx, dispute, movement, source).await?
            };
        }
        Ok(dispute)
    }

    /// The provider took the amount and its fee; the shares of what is disputed are held.
    async fn withdraw(
        &mut self,
        tx: &mut Tx,
        dispute: Dispute,
        movement: &BalanceTransaction,
        source: i64,
    ) -> Result<Dispute, DisputeError> {
        if dispute.withdrawn_amount > 0 || dispute.status.is_final() {
            return Err(DisputeError::Contradiction(format!("{} takes money once more", movement.id)));
        }
        let moved = Moved::new(movement, Money::new(-dispute.amount.minor, dispute.amount.currency));
        let fee = self.own_fee(tx, moved).await?;
        let lines = payments::find_lines(tx, self.payment.id).await?;
        let mut spread = entries::spread(&lines, -moved.amount());
        if self.direct.is_some() {
            // The seller bears all of it, and what the platform kept of the charge it keeps.
            for share in &mut spread {
                (share.commission, share.vat) = (0, 0);
            }
        }
        let shares = entries::with_fee(&lines, &spread, fee, dispute.policy.fee);
        store::insert_lines(tx, dispute.id, &shares).await?;
        let changes = entries::changes(&lines, &shares, dispute.policy, Turn::Withdrawn);
        payments::record_dispute(tx, self.payment.id, &changes).await?;
        self.follow(tx, dispute.id, &lines, &changes).await?;
        let new = Dispute { withdrawn_amount: -moved.amount(), fee, ..dispute };
        let changed = store::update(tx, &new, self.now).await?;
        let status = Some(changed.status);
        record(tx, &changed, status, "dispute.funds_withdrawn", Actor::System, self.now).await?;
        let kind = if self.direct.is_some() { Kind::DirectDisputed } else { Kind::DisputeWithdrawn };
        let booked = self.moved(tx, source, movement, moved).await?;
        self.add(kind, source, booked);
        if changed.policy.hold == Hold::Shares {
            let held = entries::held(self.chart(tx), &lines, &shares, self.payment.funds);
            self.add(Kind::DisputeHeld, changed.key, held);
        }
        transfers::schedule_rebalance(tx, self.payment.key, self.now).await?;
        Ok(changed)
    }

    /// The provider gave the amount back, or some of it.
    async fn reinstate(
        &mut self,
        tx: &mut Tx,
        dispute: Dispute,
        movement: &BalanceTransaction,
        source: i64,
    ) -> Result<Dispute, DisputeError> {
        // Converted, it does not say of how much it is: of all that was taken.
        let moved = Moved::new(movement, Money::new(dispute.outstanding(), dispute.amount.currency));
        let fee = self.own_fee(tx, moved).await?;
        let back = dispute.reinstated_amount + moved.amount();
        if back > dispute.withdrawn_amount || moved.amount() == 0 || dispute.status.is_final() {
            return Err(DisputeError::Contradiction(format!("{} gives back {}", movement.id, movement.amount)));
        }
        let new = Dispute { reinstated_amount: back, fee: dispute.fee + fee, ..dispute };
        let changed = store::update(tx, &new, self.now).await?;
        let status = Some(changed.status);
        record(tx, &changed, status, "dispute.funds_reinstated", Actor::System, self.now).await?;
        let kind = if self.direct.is_some() { Kind::DirectDisputeReinstated } else { Kind::DisputeReinstated };
        let booked = self.moved(tx, source, movement, moved).await?;
        self.add(kind, source, booked);
        Ok(changed)
    }

    /// What the provider took for the dispute, in the payment's currency: at the charge's rate, so that what it gives back is as
    /// much.
    async fn own_fee(&self, tx: &mut Tx, moved: Moved) -> Result<i64, DisputeError> {
        let ratio = if moved.crosses() { exchange::ratio_of(tx, self.payment.key).await? } else { None };
        Ok(ratio.map_or_else(|| moved.own_fee(moved.fee), |ratio| ratio.own(moved.fee)))
    }

    async fn moved(
        &self,
        tx: &mut Tx,
        source: i64,
        movement: &BalanceTransaction,
        moved: Moved,
    ) -> Result<Vec<Entry>, DisputeError> {
        let chart = self.chart(tx);
        if let Some(direct) = self.direct {
            return Ok(payments::direct::entries::moved(chart, direct.number, movement.net, movement.state));
        }
        let made = entries::moved(chart, moved.amount(), moved.fee(), movement.state);
        let (at, cost) = ((source, self.payment.key), PlatformAccount::DisputeFee);
        Ok(exchange::cross(tx, at, movement, moved, made, cost, self.now).await?)
    }

    /// A deadline that moved, evidence that was submitted elsewhere, another reason.
    async fn take_details(&mut self, tx: &mut Tx, dispute: Dispute, said: &Said) -> Result<Dispute, DisputeError> {
        let due_by = said.due_by.and_then(clock::from_seconds);
        let submissions = i32::try_from(said.submissions).unwrap_or(i32::MAX).max(dispute.submissions);
        let status = state::next(dispute.status, &said.status).filter(|status| !status.is_final());
        let same = due_by == dispute.due_by && submissions == dispute.submissions && said.reason == dispute.reason;
        if dispute.status.is_final() || same && status.is_none() {
            return Ok(dispute);
        }
        let (before, moved) = (dispute.status, due_by != dispute.due_by);
        let status = status.unwrap_or(before);
        let new = Dispute { due_by, submissions, status, reason: said.reason.clone(), ..dispute };
        let changed = store::update(tx, &new, self.now).await?;
        record(tx, &changed, Some(before), "dispute.updated", Actor::System, self.now).await?;
        if moved {
            remind(tx, &changed, self.now).await?;
        }
        Ok(changed)
    }

    /// It is over.
    async fn decide(&mut self, tx: &mut Tx, dispute: &Dispute, said: &Said) -> Result<(), DisputeError> {
        let Some(status) = state::next(dispute.status, &said.status).filter(|status| status.is_final()) else {
            return Ok(());
        };
        if status == DisputeStatus::Won && dispute.outstanding() > 0 {
            return Err(DisputeError::Incomplete("it is won and its money is not back yet"));
        }
        if status == DisputeStatus::Lost && dispute.withdrawn_amount == 0 {
            return Err(DisputeError::Incomplete("it is lost and its money was not taken yet"));
        }
        if status == DisputeStatus::Closed && dispute.outstanding() > 0 {
            return Err(DisputeError::Contradiction("it is closed with money taken and not given back".to_owned()));
        }
        let changed = store::update(tx, &Dispute { status, ..dispute.clone() }, self.now).await?;
        record(tx, &changed, Some(dispute.status), status.event(), Actor::System, self.now).await?;
        if changed.withdrawn_amount > 0 {
            self.settle(tx, &changed).await?;
        }
        Ok(())
    }

    async fn settle(&mut self, tx: &mut Tx, dispute: &Dispute) -> Result<(), DisputeError> {
        let lines = payments::find_lines(tx, self.payment.id).await?;
        let shares = store::find_lines(tx, dispute.id).await?;
        let (chart, policy, funds) = (self.chart(tx), dispute.policy, self.payment.funds);
        let is_lost = dispute.status == DisputeStatus::Lost;
        let turn = if is_lost { Turn::Lost } else { Turn::Won };
        let changes = entries::changes(&lines, &shares, policy, turn);
        payments::record_dispute(tx, self.payment.id, &changes).await?;
        self.follow(tx, dispute.id, &lines, &changes).await?;
        // Of a direct charge, what it took and gave back is all there is to book.
        if is_lost && self.direct.is_none() {
            let lost = entries::lost(chart, &lines, &shares, policy, dispute.outstanding(), funds);
            self.add(Kind::DisputeLost, dispute.key, lost);
        } else if policy.hold == Hold::Shares {
            self.add(Kind::DisputeWon, dispute.key, entries::released(chart, &lines, &shares, funds));
        }
        if !is_lost && funds == Funds::Available && self.payment.charge_type == ChargeType::Separate {
            // A share that was disputed before it was released is the seller's for the first time now.
            let lines = payments::find_lines(tx, self.payment.id).await?;
            let ground = self.payment.reserve_ground();
            for (line, shares) in payments::shares_by_release(&lines) {
                reserves::shares_released(tx, &ground, line, &shares, self.journal.keys(), self.now).await?;
            }
        }
        transfers::schedule_rebalance(tx, self.payment.key, self.now).await?;
        Ok(())
    }

    /// What the dispute keeps from sellers now, the payment's reserves give first; what it keeps no more is theirs again.
    async fn follow(
        &mut self,
        tx: &mut Tx,
        id: DisputeId,
        lines: &[Line],
        changes: &[LineChange],
    ) -> Result<(), DisputeError> {
        let (lost, back) = entries::kept_by_seller(lines, changes);
        let (ground, now) = (self.payment.reserve_ground(), self.now);
        reserves::draw(tx, &ground, id.uuid(), &lost, self.journal, now).await?;
        Ok(reserves::restore(tx, &ground, id.uuid(), &back, self.journal, now).await?)
    }

    fn chart(&self, tx: &Tx) -> Chart {
        payments::chart(tx.book_id(), self.payment.amount.currency)
    }

    fn add(&mut self, kind: Kind, source: i64, entries: Vec<Entry>) {
        self.journal.add(Record {
            kind,
            source,
            subject: self.payment.key,
            effective_at: self.effective,
            actor: Actor::System,
            floors: Floors::Pass,
            entries,
        });
    }
}
