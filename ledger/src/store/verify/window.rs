//! A stretch of a lane in memory. What there is much of comes [`packed`].

use jiff_sqlx::Timestamp;
use partita_db::Tx;

use super::packed;
use crate::{
    chain::{Asked, Captured, Held, Leg, Place, Posted, Refused, Released},
    error::LedgerError,
};

pub(super) struct TransactionRow {
    pub(super) place: Place,
    pub(super) asked: Asked,
    pub(super) posted: Posted,
}

/// All rows of a lane between two positions, each sort in order of position.
#[derive(Default)]
pub(super) struct Window {
    transactions: Vec<TransactionRow>,
    refusals: Vec<(Place, Asked, Refused)>,
    holds: Vec<(Place, Asked, Held)>,
    releases: Vec<(Place, Released)>,
    captures: Vec<Captured>,
    pub(super) legs: Vec<Leg>,
}

/// What stands at one position.
pub(super) struct Row<'a> {
    pub(super) transactions: &'a [TransactionRow],
    pub(super) refusals: &'a [(Place, Asked, Refused)],
    pub(super) holds: &'a [(Place, Asked, Held)],
    pub(super) releases: &'a [(Place, Released)],
    pub(super) captures: &'a [Captured],
    pub(super) legs: &'a [Leg],
}

impl Row<'_> {
    pub(super) fn decisions(&self) -> usize {
        self.transactions.len() + self.refusals.len() + self.holds.len() + self.releases.len()
    }
}

/// The rest of a window, as it is gone through by rising position.
pub(super) struct Rows<'a>(Row<'a>);

impl<'a> Rows<'a> {
    /// What stands at the next position asked for.
    pub(super) fn at(&mut self, seq: i64) -> Row<'a> {
        Row {
            transactions: split(&mut self.0.transactions, |row| row.place.seq == seq),
            refusals: split(&mut self.0.refusals, |row| row.0.seq == seq),
            holds: split(&mut self.0.holds, |row| row.0.seq == seq),
            releases: split(&mut self.0.releases, |row| row.0.seq == seq),
            captures: split(&mut self.0.captures, |row| row.seq == seq),
            legs: split(&mut self.0.legs, |row| row.seq == seq),
        }
    }
}

/// Takes the rows at the front that are meant.
fn split<'a, T>(rows: &mut &'a [T], is_meant: impl Fn(&T) -> bool) -> &'a [T] {
    let count = rows.iter().take_while(|row| is_meant(row)).count();
    let (meant, rest) = rows.split_at(count);
    *rows = rest;
    meant
}

impl Window {
    pub(super) async fn read(tx: &mut Tx, book: i32, lane: i16, after: i64, until: i64) -> Result<Self, LedgerError> {
        if after >= until {
            return Ok(Self::default());
        }
        let range = Range { book, lane, after, until };
        let mut window = Self {
            transactions: range.transactions(tx).await?,
            refusals: range.refusals(tx).await?,
            holds: range.holds(tx).await?,
            releases: range.releases(tx).await?,
            captures: range.captures(tx).await?,
            legs: range.legs(tx).await?,
        };
        // The rows were asked for in this order, and aggregates keep it; where it counts, that is not left to trust.
        if !window.legs.is_sorted_by_key(|leg| (leg.seq, leg.ordinal)) {
            window.legs.sort_by_key(|leg| (leg.seq, leg.ordinal));
        }
        if !window.transactions.is_sorted_by_key(|row| row.place.seq) {
            window.transactions.sort_by_key(|row| row.place.seq);
        }
        Ok(window)
    }

    pub(super) fn decisions(&self) -> u64 {
        let rows = self.rows().0.decisions();
        u64::try_from(rows).unwrap_or(u64::MAX)
    }

    pub(super) fn rows(&self) -> Rows<'_> {
        let Self { transactions, refusals, holds, releases, captures, legs } = self;
        Rows(Row { transactions, refusals, holds, releases, captures, legs })
    }
}

struct Range {
    book: i32,
    lane: i16,
    after: i64,
    until: i64,
}

impl Range {
    async fn transactions(&self, tx: &mut Tx) -> Result<Vec<TransactionRow>, LedgerError> {
        let bytes = sqlx::query_scalar!(
            r#"select string_agg(
                          int8send(t.seq) || int2send(t.in_call) || timestamptz_send(t.recorded_at)
                              || int8send(t.id) || int2send(t.kind) || int8send(t.source) || int8send(t.actor)
                              || timestamptz_send(t.effective_at)
                              || int4send(t.period) || boolsend(t.passes_floor) || int2send(t.postings)
                              || boolsend(t.reverses is not null) || coalesce(int8send(t.reverses), ''),
                          '')
               from (
                   select seq, in_call, id, kind, source, actor, period, passes_floor, reverses, postings, effective_at,
                          recorded_at
                   from ledger_transactions
                   where book_id = $1 and lane = $2 and seq > $3 and seq <= $4
                   order by seq
               ) t"#,
            self.book,
            self.lane,
            self.after,
            self.until
        )
        .fetch_one(tx.conn())
        .await?;
        packed::rows(bytes, |row| {
            let place = Place { seq: row.int8()?, in_call: row.int2()?, recorded_at: row.time()? };
            let (id, kind, source) = (row.int8()?, row.int2()?, row.int8()?);
            let asked = Asked { id, kind, source, actor: row.int8()?, effective_at: row.time()? };
            let (period, passes_floor, postings) = (row.int4()?, row.boolean()?, row.int2()?);
            let posted = Posted { period, passes_floor, reverses: row.optional_int8()?, postings };
            Ok(TransactionRow { place, asked, posted })
        })
    }

    async fn legs(&self, tx: &mut Tx) -> Result<Vec<Leg>, LedgerError> {
        let bytes = sqlx::query_scalar!(
            r#"select string_agg(
                          int8send(p.seq) || int2send(p.ordinal) || int8send(p.debit_account)
                              || int8send(p.credit_account) || int8send(p.amount) || int8send(p.subject),
                          '')
               from (
                   select seq, ordinal, debit_account, credit_account, amount, subject
                   from ledger_postings
                   where book_id = $1 and lane = $2 and seq > $3 and seq <= $4
                   order by seq, ordinal
               ) p"#,
            self.book,
            self.lane,
            self.after,
            self.until
        )
        .fetch_one(tx.conn())
        .await?;
        packed::rows(bytes, |row| {
            let (seq, ordinal) = (row.int8()?, row.int2()?);
            let (debit, credit) = (row.int8()?, row.int8()?);
            Ok(Leg { seq, ordinal, debit, credit, amount: row.int8()?, subject: row.int8()? })
        })
    }

    async fn refusals(&self, tx: &mut Tx) -> Result<Vec<(Place, Asked, Refused)>, LedgerError> {
        let rows = sqlx::query!(
            r#"select seq, in_call, id, kind, source, actor, reason, reference, needed, available,
                      effective_at as "effective_at: Timestamp",
                      recorded_at as "recorded_at: Timestamp"
               from ledger_refusals
               where book_id = $1 and lane = $2 and seq > $3 and seq <= $4
               order by seq"#,
            self.book,
            self.lane,
            self.after,
            self.until
        )
        .fetch_all(tx.conn())
        .await?;
        let row = rows.into_iter().map(|r| {
            let effective_at = r.effective_at.to_jiff();
            (
                Place { seq: r.seq, in_call: r.in_call, recorded_at: r.recorded_at.to_jiff() },
                Asked { id: r.id, kind: r.kind, source: r.source, actor: r.actor, effective_at },
                Refused { reason: r.reason, reference: r.reference, needed: r.needed, available: r.available },
            )
        });
        Ok(row.collect())
    }

    async fn holds(&self, tx: &mut Tx) -> Result<Vec<(Place, Asked, Held)>, LedgerError> {
        let rows = sqlx::query!(
            r#"select seq, in_call, id, kind, source, actor, account, amount, subject,
                      expires_at as "expires_at: Timestamp",
                      effective_at as "effective_at: Timestamp",
                      recorded_at as "recorded_at: Timestamp"
               from ledger_holds
               where book_id = $1 and lane = $2 and seq > $3 and seq <= $4
               order by seq"#,
            self.book,
            self.lane,
            self.after,
            self.until
        )
        .fetch_all(tx.conn())
        .await?;
        let row = rows.into_iter().map(|h| {
            let (effective_at, expires_at) = (h.effective_at.to_jiff(), h.expires_at.map(Timestamp::to_jiff));
            (
                Place { seq: h.seq, in_call: h.in_call, recorded_at: h.recorded_at.to_jiff() },
                Asked { id: h.id, kind: h.kind, source: h.source, actor: h.actor, effective_at },
                Held { account: h.account, amount: h.amount, subject: h.subject, expires_at },
            )
        });
        Ok(row.collect())
    }

    async fn releases(&self, tx: &mut Tx) -> Result<Vec<(Place, Released)>, LedgerError> {
        let rows = sqlx::query!(
            r#"select seq, in_call, reason, hold, actor, amount,
                      effective_at as "effective_at: Timestamp",
                      recorded_at as "recorded_at: Timestamp"
               from ledger_hold_releases
               where book_id = $1 and lane = $2 and seq > $3 and seq <= $4
               order by seq"#,
            self.book,
            self.lane,
            self.after,
            self.until
        )
        .fetch_all(tx.conn())
        .await?;
        let row = rows.into_iter().map(|r| {
            let effective_at = r.effective_at.to_jiff();
            (
                Place { seq: r.seq, in_call: r.in_call, recorded_at: r.recorded_at.to_jiff() },
                Released { reason: r.reason, hold: r.hold, actor: r.actor, amount: r.amount, effective_at },
            )
        });
        Ok(row.collect())
    }

    async fn captures(&self, tx: &mut Tx) -> Result<Vec<Captured>, LedgerError> {
        let rows = sqlx::query_as!(
            Captured,
            "select seq, hold, amount
             from ledger_hold_captures
             where book_id = $1 and lane = $2 and seq > $3 and seq <= $4
             order by seq",
            self.book,
            self.lane,
            self.after,
            self.until
        )
        .fetch_all(tx.conn())
        .await?;
        Ok(rows)
    }
}
