//! The chain of hashes of a lane, recomputed from its rows.
//!
//! `ledger_post` links each call to the lane's head: `sha256(head || lane || first position || recorded_at || number of
//! transactions || their columns || their postings' columns || the refusals' columns)`. A column is the binary form that
//! Postgres itself gives an array (`array_send`), so that hashing a call costs a few function calls, whatever its size.
//! This is the second implementation: `verify` compares the two.

use jiff::Timestamp;
use sha2::{Digest, Sha256};

/// sha256 of a lane up to a position; zeroes before the first call.
pub(crate) type Head = [u8; 32];

/// A transaction or a refusal as the chain sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Decision {
    pub(crate) seq: i64,
    pub(crate) in_call: i16,
    pub(crate) recorded_at: Timestamp,
    pub(crate) id: i64,
    pub(crate) kind: i16,
    pub(crate) source: i64,
    pub(crate) actor: i64,
    pub(crate) effective_at: Timestamp,
}

/// What a transaction has beside a [`Decision`].
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
    pub(crate) debit: i64,
    pub(crate) credit: i64,
    pub(crate) amount: i64,
    pub(crate) subject: i64,
}

/// What a refusal has beside a [`Decision`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Refused {
    pub(crate) reason: i16,
    pub(crate) reference: Option<i64>,
    pub(crate) needed: Option<i64>,
    pub(crate) available: Option<i64>,
}

/// Walks a lane in order of position and gives its head. Holds the rows of one call at a time.
pub(crate) struct Chain {
    lane: i16,
    head: Head,
    call: Option<Call>,
    coherent: bool,
}

impl Chain {
    pub(crate) fn new(lane: i16) -> Self {
        Self { lane, head: Head::default(), call: None, coherent: true }
    }

    /// Takes the next row of the lane if it is a transaction.
    pub(crate) fn transaction(&mut self, decision: &Decision, posted: &Posted, legs: &[Leg]) {
        self.call(decision).transaction(decision, posted, legs);
    }

    /// Takes the next row of the lane if it is a refusal.
    pub(crate) fn refusal(&mut self, decision: &Decision, refused: &Refused) {
        self.call(decision).refusal(decision, refused);
    }

    /// The head after the last row; `None` if the rows cannot be those of whole calls.
    pub(crate) fn finish(mut self) -> Option<Head> {
        self.link();
        self.coherent.then_some(self.head)
    }

    /// The call that a row belongs to. Ordinal and time of every row are determined by the first one's.
    fn call(&mut self, decision: &Decision) -> &mut Call {
        if decision.in_call == 0 {
            self.link();
        }
        let call = self.call.get_or_insert_with(|| Call::new(decision));
        let in_order = call.first_seq.checked_add(i64::from(decision.in_call)) == Some(decision.seq);
        self.coherent &= in_order && call.recorded_at == decision.recorded_at;
        call
    }

    fn link(&mut self) {
        if let Some(call) = self.call.take() {
            self.head = call.hash(self.head, self.lane);
        }
    }
}

/// The rows of one call of `ledger_post`, by column.
#[derive(Debug)]
struct Call {
    first_seq: i64,
    recorded_at: Timestamp,
    id: Column,
    kind: Column,
    source: Column,
    actor: Column,
    effective_at: Column,
    period: Column,
    passes_floor: Column,
    reverses: Column,
    postings: Column,
    debit: Column,
    credit: Column,
    amount: Column,
    subject: Column,
    refused: Refusals,
}

#[derive(Debug)]
struct Refusals {
    in_call: Column,
    id: Column,
    kind: Column,
    source: Column,
    actor: Column,
    effective_at: Column,
    reason: Column,
    reference: Column,
    needed: Column,
    available: Column,
}

impl Call {
    fn new(first: &Decision) -> Self {
        Self {
            first_seq: first.seq,
            recorded_at: first.recorded_at,
            id: Column::new(oid::INT8),
            kind: Column::new(oid::INT2),
            source: Column::new(oid::INT8),
            actor: Column::new(oid::INT8),
            effective_at: Column::new(oid::TIMESTAMPTZ),
            period: Column::new(oid::INT4),
            passes_floor: Column::new(oid::BOOL),
            reverses: Column::new(oid::INT8),
            postings: Column::new(oid::INT2),
            debit: Column::new(oid::INT8),
            credit: Column::new(oid::INT8),
            amount: Column::new(oid::INT8),
            subject: Column::new(oid::INT8),
            refused: Refusals {
                in_call: Column::new(oid::INT2),
                id: Column::new(oid::INT8),
                kind: Column::new(oid::INT2),
                source: Column::new(oid::INT8),
                actor: Column::new(oid::INT8),
                effective_at: Column::new(oid::TIMESTAMPTZ),
                reason: Column::new(oid::INT2),
                reference: Column::new(oid::INT8),
                needed: Column::new(oid::INT8),
                available: Column::new(oid::INT8),
            },
        }
    }

    fn transaction(&mut self, decision: &Decision, posted: &Posted, legs: &[Leg]) {
        self.id.push(&decision.id.to_be_bytes());
        self.kind.push(&decision.kind.to_be_bytes());
        self.source.push(&decision.source.to_be_bytes());
        self.actor.push(&decision.actor.to_be_bytes());
        self.effective_at.push(&postgres_time(decision.effective_at));
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
    }

    fn refusal(&mut self, decision: &Decision, refused: &Refused) {
        let columns = &mut self.refused;
        columns.in_call.push(&decision.in_call.to_be_bytes());
        columns.id.push(&decision.id.to_be_bytes());
        columns.kind.push(&decision.kind.to_be_bytes());
        columns.source.push(&decision.source.to_be_bytes());
        columns.actor.push(&decision.actor.to_be_bytes());
        columns.effective_at.push(&postgres_time(decision.effective_at));
        columns.reason.push(&refused.reason.to_be_bytes());
        columns.reference.push_optional(refused.reference);
        columns.needed.push_optional(refused.needed);
        columns.available.push_optional(refused.available);
    }

    /// The columns of the transactions and their postings; that of the originals only if there are any.
    fn transactions(&self) -> Vec<&Column> {
        let mut columns = vec![&self.id, &self.kind, &self.source, &self.actor, &self.effective_at];
        columns.extend([&self.period, &self.passes_floor]);
        columns.extend(Some(&self.reverses).filter(|column| column.has_values));
        columns.extend([&self.postings, &self.debit, &self.credit, &self.amount, &self.subject]);
        columns
    }

    fn hash(&self, head: Head, lane: i16) -> Head {
        let mut hash = Sha256::new();
        hash.update(head);
        hash.update(lane.to_be_bytes());
        hash.update(self.first_seq.to_be_bytes());
        hash.update(postgres_time(self.recorded_at));
        hash.update(self.id.count.to_be_bytes());
        if self.id.count > 0 {
            update_all(&mut hash, &self.transactions());
        }
        if self.refused.id.count > 0 {
            update_all(&mut hash, &self.refused.columns());
        }
        hash.finalize().into()
    }
}

impl Refusals {
    fn columns(&self) -> [&Column; 10] {
        let Self { in_call, id, kind, source, actor, effective_at, reason, reference, needed, available } = self;
        [in_call, id, kind, source, actor, effective_at, reason, reference, needed, available]
    }
}

fn update_all(hash: &mut Sha256, columns: &[&Column]) {
    for column in columns {
        column.update(hash);
    }
}

/// Types by their number in Postgres' catalogue, which stands in an array's binary form.
mod oid {
    pub(super) const BOOL: i32 = 16;
    pub(super) const INT8: i32 = 20;
    pub(super) const INT2: i32 = 21;
    pub(super) const INT4: i32 = 23;
    pub(super) const TIMESTAMPTZ: i32 = 1184;
}

/// An array in the binary form of Postgres' `array_send`.
#[derive(Debug)]
struct Column {
    oid: i32,
    count: i32,
    has_nulls: bool,
    has_values: bool,
    elements: Vec<u8>,
}

impl Column {
    fn new(oid: i32) -> Self {
        Self { oid, count: 0, has_nulls: false, has_values: false, elements: Vec::new() }
    }

    fn push(&mut self, element: &[u8]) {
        let length = i32::try_from(element.len()).expect("an element has at most eight bytes");
        self.count = self.count.saturating_add(1);
        self.has_values = true;
        self.elements.extend_from_slice(&length.to_be_bytes());
        self.elements.extend_from_slice(element);
    }

    fn push_optional(&mut self, element: Option<i64>) {
        if let Some(element) = element {
            return self.push(&element.to_be_bytes());
        }
        self.count = self.count.saturating_add(1);
        self.has_nulls = true;
        self.elements.extend_from_slice(&(-1_i32).to_be_bytes());
    }

    fn update(&self, hash: &mut Sha256) {
        let (dimensions, lower_bound) = (1_i32, 1_i32);
        for word in [dimensions, i32::from(self.has_nulls), self.oid, self.count, lower_bound] {
            hash.update(word.to_be_bytes());
        }
        hash.update(&self.elements);
    }
}

/// Microseconds since the start of the year 2000 in UTC, as Postgres keeps a time.
fn postgres_time(time: Timestamp) -> [u8; 8] {
    const START_OF_2000_US: i64 = 946_684_800_000_000;
    (time.as_microsecond() - START_OF_2000_US).to_be_bytes()
}
