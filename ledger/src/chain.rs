//! The chain of hashes of a lane, recomputed from its rows.
//!
//! `ledger_post` and the functions of holds link each call to the lane's head: `sha256(head || lane || first position ||
//! recorded_at || number of transactions || their columns || their postings' columns || the refusals' columns || 'C' and
//! the captures' columns || 'H' and the holds' columns || 'R' and the releases' columns)`, each part only if the call has
//! any. A column is the binary form that Postgres itself gives an array (`array_send`), so that hashing a call costs a few
//! function calls, whatever its size. This is the second implementation: `verify` compares the two.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::chain::column::{Column, oid};

mod column;

/// sha256 of a lane up to a position; zeroes before the first call.
pub(crate) type Head = [u8; 32];

/// Where a row stands on its lane.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) seq: i64,
    pub(crate) in_call: i16,
    pub(crate) recorded_at: Timestamp,
}

/// What transactions, refusals and holds have in common.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    pub(crate) id: i64,
    pub(crate) kind: i16,
    pub(crate) source: i64,
    pub(crate) actor: i64,
    pub(crate) effective_at: Timestamp,
}

/// What a transaction has beside [`Asked`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Posted {
    pub(crate) period: i32,
    pub(crate) passes_floor: bool,
    pub(crate) reverses: Option<i64>,
    pub(crate) postings: i16,
}

/// A posting as the chain sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Leg {
    pub(crate) seq: i64,
    pub(crate) ordinal: i16,
    pub(crate) debit: i64,
    pub(crate) credit: i64,
    pub(crate) amount: i64,
    pub(crate) subject: i64,
}

/// That a transaction captures a hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Captured {
    pub(crate) seq: i64,
    pub(crate) hold: i64,
    pub(crate) amount: i64,
}

/// What a refusal has beside [`Asked`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Refused {
    pub(crate) reason: i16,
    pub(crate) reference: Option<i64>,
    pub(crate) needed: Option<i64>,
    pub(crate) available: Option<i64>,
}

/// What a hold has beside [`Asked`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Held {
    pub(crate) account: i64,
    pub(crate) amount: i64,
    pub(crate) subject: i64,
    pub(crate) expires_at: Option<Timestamp>,
}

/// A release. Reason, actor and time are those of its whole call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Released {
    pub(crate) reason: i16,
    pub(crate) hold: i64,
    pub(crate) actor: i64,
    pub(crate) amount: i64,
    pub(crate) effective_at: Timestamp,
}

/// Walks a lane in order of position and gives its head. Holds the rows of one call at a time.
pub(crate) struct Chain {
    lane: i16,
    head: Head,
    call: Call,
    coherent: bool,
    /// Heads that are asked for, by position, as far as they were passed.
    asked: BTreeMap<i64, Option<Head>>,
}

/// Where a walk came to.
pub(crate) struct Walked {
    /// The head after the last row; `None` if the rows cannot be those of whole calls.
    pub(crate) head: Option<Head>,
    /// The heads at the positions asked for; `None` where no call ends.
    pub(crate) at: BTreeMap<i64, Option<Head>>,
}

impl Chain {
    /// A walk that starts after `seq`, where the lane's head is `head`, and notes the heads at the positions `asked`.
    pub(crate) fn new(lane: i16, seq: i64, head: Head, asked: impl Iterator<Item = i64>) -> Self {
        let mut asked: BTreeMap<i64, Option<Head>> = asked.map(|seq| (seq, None)).collect();
        if let Some(start) = asked.get_mut(&seq) {
            *start = Some(head);
        }
        Self { lane, head, call: Call::new(), coherent: true, asked }
    }

    /// Takes the next row of the lane if it is a transaction.
    pub(crate) fn transaction(
        &mut self,
        place: Place,
        asked: &Asked,
        posted: &Posted,
        legs: &[Leg],
        captures: &[Captured],
    ) {
        self.enter(place);
        self.call.transaction(place, asked, posted, legs, captures);
    }

    /// Takes the next row of the lane if it is a refusal.
    pub(crate) fn refusal(&mut self, place: Place, asked: &Asked, refused: &Refused) {
        self.enter(place);
        self.call.refused.push(place, asked, refused);
    }

    /// Takes the next row of the lane if it is a hold.
    pub(crate) fn hold(&mut self, place: Place, asked: &Asked, held: &Held) {
        self.enter(place);
        self.call.held.push(place, asked, held);
    }

    /// Takes the next row of the lane if it is a release.
    pub(crate) fn release(&mut self, place: Place, released: &Released) {
        self.enter(place);
        self.coherent &= self.call.released.push(place, released);
    }

    pub(crate) fn finish(mut self) -> Walked {
        self.link();
        Walked { head: self.coherent.then_some(self.head), at: self.asked }
    }

    /// Opens the call that a row belongs to. Ordinal and time of every row are determined by the first one's.
    fn enter(&mut self, place: Place) {
        if place.in_call == 0 || self.call.first.is_none() {
            self.link();
            self.call.first = Some(place);
        }
        let first = self.call.first.unwrap_or(place);
        let in_order = first.seq.checked_add(i64::from(place.in_call)) == Some(place.seq);
        self.coherent &= in_order && first.recorded_at == place.recorded_at;
        self.call.last_seq = place.seq;
    }

    fn link(&mut self) {
        if let Some(first) = self.call.first.take() {
            self.head = self.call.hash(self.head, self.lane, first);
            if let Some(asked) = self.asked.get_mut(&self.call.last_seq) {
                *asked = Some(self.head);
            }
            self.call.clear();
        }
    }
}

/// The rows of one call, by column.
#[derive(Debug)]
struct Call {
    first: Option<Place>,
    last_seq: i64,
    asked: AskedColumns,
    period: Column,
    passes_floor: Column,
    reverses: Column,
    postings: Column,
    debit: Column,
    credit: Column,
    amount: Column,
    subject: Column,
    captured: [Column; 3],
    refused: Refusals,
    held: Holds,
    released: Releases,
}

impl Call {
    fn new() -> Self {
        Self {
            first: None,
            last_seq: 0,
            asked: AskedColumns::new(),
            period: Column::new(oid::INT4),
            passes_floor: Column::new(oid::BOOL),
            reverses: Column::new(oid::INT8),
            postings: Column::new(oid::INT2),
            debit: Column::new(oid::INT8),
            credit: Column::new(oid::INT8),
            amount: Column::new(oid::INT8),
            subject: Column::new(oid::INT8),
            captured: [Column::new(oid::INT2), Column::new(oid::INT8), Column::new(oid::INT8)],
            refused: Refusals::new(),
            held: Holds::new(),
            released: Releases::new(),
        }
    }

    fn transaction(&mut self, place: Place, asked: &Asked, posted: &Posted, legs: &[Leg], captures: &[Captured]) {
        self.asked.push(asked);
        self.period.push(&posted.period.to_be_bytes());
        self.passes_floor.push(&[u8::from(posted.passes_floor)]);
        self.reverses.push_optional(posted.reverses);
        self.postings.push(&posted.postings.to_be_bytes());
        for leg in legs {
            self.debit.push(&leg.debit.to_be_bytes());
            self.credit.push(&leg.credit.to_be_bytes());
            self.amount.push(&leg.amount.to_be_bytes());
            self.subject.push(&leg.subject.to_be_bytes());
        }
        let [in_call, hold, amount] = &mut self.captured;
        for capture in captures {
            in_call.push(&place.in_call.to_be_bytes());
            hold.push(&capture.hold.to_be_bytes());
            amount.push(&capture.amount.to_be_bytes());
        }
    }

    fn clear(&mut self) {
        self.asked.clear();
        let transactions = [&mut self.period, &mut self.passes_floor, &mut self.reverses, &mut self.postings];
        transactions.into_iter().for_each(Column::clear);
        let legs = [&mut self.debit, &mut self.credit, &mut self.amount, &mut self.subject];
        legs.into_iter().for_each(Column::clear);
        self.captured.iter_mut().for_each(Column::clear);
        self.refused.clear();
        self.held.clear();
        self.released.clear();
    }

    fn hash(&self, head: Head, lane: i16, first: Place) -> Head {
        let mut hash = Sha256::new();
        hash.update(head);
        hash.update(lane.to_be_bytes());
        hash.update(first.seq.to_be_bytes());
        hash.update(postgres_time(first.recorded_at));
        hash.update(self.period.count().to_be_bytes());
        if self.period.count() > 0 {
            self.asked.update(&mut hash);
            self.period.update(&mut hash);
            self.passes_floor.update(&mut hash);
            if self.reverses.has_values() {
                self.reverses.update(&mut hash);
            }
            for column in [&self.postings, &self.debit, &self.credit, &self.amount, &self.subject] {
                column.update(&mut hash);
            }
        }
        self.refused.update(&mut hash);
        if self.captured[0].count() > 0 {
            hash.update(b"C");
            self.captured.iter().for_each(|column| column.update(&mut hash));
        }
        self.held.update(&mut hash);
        self.released.update(&mut hash);
        hash.finalize().into()
    }
}

#[derive(Debug)]
struct AskedColumns([Column; 5]);

impl AskedColumns {
    fn new() -> Self {
        Self([oid::INT8, oid::INT2, oid::INT8, oid::INT8, oid::TIMESTAMPTZ].map(Column::new))
    }

    fn push(&mut self, asked: &Asked) {
        let [id, kind, source, actor, effective_at] = &mut self.0;
        id.push(&asked.id.to_be_bytes());
        kind.push(&asked.kind.to_be_bytes());
        source.push(&asked.source.to_be_bytes());
        actor.push(&asked.actor.to_be_bytes());
        effective_at.push(&postgres_time(asked.effective_at));
    }

    fn clear(&mut self) {
        self.0.iter_mut().for_each(Column::clear);
    }

    fn update(&self, hash: &mut Sha256) {
        self.0.iter().for_each(|column| column.update(hash));
    }
}

#[derive(Debug)]
struct Refusals {
    in_call: Column,
    asked: AskedColumns,
    rest: [Column; 4],
}

impl Refusals {
    fn new() -> Self {
        let rest = [oid::INT2, oid::INT8, oid::INT8, oid::INT8].map(Column::new);
        Self { in_call: Column::new(oid::INT2), asked: AskedColumns::new(), rest }
    }

    fn push(&mut self, place: Place, asked: &Asked, refused: &Refused) {
        self.in_call.push(&place.in_call.to_be_bytes());
        self.asked.push(asked);
        let [reason, reference, needed, available] = &mut self.rest;
        reason.push(&refused.reason.to_be_bytes());
        reference.push_optional(refused.reference);
        needed.push_optional(refused.needed);
        available.push_optional(refused.available);
    }

    fn clear(&mut self) {
        self.in_call.clear();
        self.asked.clear();
        self.rest.iter_mut().for_each(Column::clear);
    }

    fn update(&self, hash: &mut Sha256) {
        if self.in_call.count() > 0 {
            self.in_call.update(hash);
            self.asked.update(hash);
            self.rest.iter().for_each(|column| column.update(hash));
        }
    }
}

#[derive(Debug)]
struct Holds {
    in_call: Column,
    asked: AskedColumns,
    rest: [Column; 4],
}

impl Holds {
    fn new() -> Self {
        let rest = [oid::INT8, oid::INT8, oid::INT8, oid::TIMESTAMPTZ].map(Column::new);
        Self { in_call: Column::new(oid::INT2), asked: AskedColumns::new(), rest }
    }

    fn push(&mut self, place: Place, asked: &Asked, held: &Held) {
        self.in_call.push(&place.in_call.to_be_bytes());
        self.asked.push(asked);
        let [account, amount, subject, expires_at] = &mut self.rest;
        account.push(&held.account.to_be_bytes());
        amount.push(&held.amount.to_be_bytes());
        subject.push(&held.subject.to_be_bytes());
        match held.expires_at {
            Some(time) => expires_at.push(&postgres_time(time)),
            None => expires_at.push_optional(None),
        }
    }

    fn clear(&mut self) {
        self.in_call.clear();
        self.asked.clear();
        self.rest.iter_mut().for_each(Column::clear);
    }

    fn update(&self, hash: &mut Sha256) {
        if self.in_call.count() > 0 {
            hash.update(b"H");
            self.in_call.update(hash);
            self.asked.update(hash);
            self.rest.iter().for_each(|column| column.update(hash));
        }
    }
}

#[derive(Debug)]
struct Releases {
    in_call: Column,
    hold: Column,
    amount: Column,
    /// Reason, actor and time of the call.
    of_call: Option<(i16, i64, Timestamp)>,
}

impl Releases {
    fn new() -> Self {
        let (hold, amount) = (Column::new(oid::INT8), Column::new(oid::INT8));
        Self { in_call: Column::new(oid::INT2), hold, amount, of_call: None }
    }

    /// Whether the row may belong to the same call as those before.
    fn push(&mut self, place: Place, released: &Released) -> bool {
        self.in_call.push(&place.in_call.to_be_bytes());
        self.hold.push(&released.hold.to_be_bytes());
        self.amount.push(&released.amount.to_be_bytes());
        let of_call = (released.reason, released.actor, released.effective_at);
        *self.of_call.get_or_insert(of_call) == of_call
    }

    fn clear(&mut self) {
        [&mut self.in_call, &mut self.hold, &mut self.amount].into_iter().for_each(Column::clear);
        self.of_call = None;
    }

    fn update(&self, hash: &mut Sha256) {
        if let Some((reason, actor, effective_at)) = self.of_call {
            hash.update(b"R");
            self.in_call.update(hash);
            self.hold.update(hash);
            hash.update(reason.to_be_bytes());
            hash.update(actor.to_be_bytes());
            hash.update(postgres_time(effective_at));
            self.amount.update(hash);
        }
    }
}

const START_OF_2000_US: i64 = 946_684_800_000_000;

/// Microseconds since the start of the year 2000 in UTC, as Postgres keeps a time.
pub(crate) fn postgres_time(time: Timestamp) -> [u8; 8] {
    (time.as_microsecond() - START_OF_2000_US).to_be_bytes()
}

/// The time that [`postgres_time`] gives these bytes; none for the infinite ones.
pub(crate) fn from_postgres_time(bytes: [u8; 8]) -> Option<Timestamp> {
    let microseconds = i64::from_be_bytes(bytes).checked_add(START_OF_2000_US)?;
    Timestamp::from_microsecond(microseconds).ok()
}
