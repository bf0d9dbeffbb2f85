//! Recomputes what the ledger claims from its rows.

mod checks;

use std::collections::BTreeMap;

use jiff_sqlx::Timestamp;
use partita_db::Tx;

use crate::{
    chain::{Chain, Decision, Head, Leg, Posted, Refused},
    error::LedgerError,
    position::Position,
    store::book_of,
    violation::Violation,
};

/// Positions of a lane that are held in memory at a time.
const WINDOW: i64 = 2_000;

/// The most violations of one sort that are reported.
const REPORTED: i64 = 100;

/// Recomputes every balance, every day sum and every chain of the transaction's book from the rows, and checks what the
/// constraints should have kept. Empty when all is well; at most 100 violations of a sort.
///
/// Reads the whole book, a window of rows at a time; run it in a read-only transaction
/// ([`Db::read`](partita_db::Db::read)), where all its statements see one state. It lifts the statement timeout for the
/// rest of the database transaction.
///
/// # Errors
/// [`LedgerError::NoBook`], [`LedgerError::Db`]. A violation is not an error.
pub async fn verify(tx: &mut Tx) -> Result<Vec<Violation>, LedgerError> {
    let book = book_of(tx)?.get();
    sqlx::query!("select set_config('statement_timeout', '0', true)").fetch_one(tx.conn()).await?;
    let mut violations = Vec::new();
    let lanes = sqlx::query!("select lane, seq, head from ledger_lanes where book_id = $1 order by lane", book)
        .fetch_all(tx.conn())
        .await?;
    for lane in lanes {
        let head = walk_lane(tx, book, lane.lane, lane.seq, &mut violations).await?;
        if head.is_none_or(|head| head.as_slice() != lane.head) {
            violations.push(Violation::HeadDiffers { lane: lane.lane, seq: lane.seq });
        }
    }
    violations.extend(checks::strays(tx, book).await?);
    violations.extend(checks::malformed_postings(tx, book).await?);
    violations.extend(checks::balances(tx, book).await?);
    violations.extend(checks::balance_rows(tx, book).await?);
    violations.extend(checks::days(tx, book).await?);
    violations.extend(checks::reversals(tx, book).await?);
    violations.extend(checks::periods(tx, book).await?);
    violations.extend(checks::doubles(tx, book).await?);
    Ok(violations)
}

/// Follows the lane to its end, a window at a time, and gives the head its rows lead to.
async fn walk_lane(
    tx: &mut Tx,
    book: i32,
    lane: i16,
    last: i64,
    violations: &mut Vec<Violation>,
) -> Result<Option<Head>, LedgerError> {
    let mut chain = Chain::new(lane);
    let mut after = 0;
    while after < last {
        let until = last.min(after + WINDOW);
        let window = Window::read(tx, book, lane, after, until).await?;
        window.check(lane, after, until, violations);
        for row in window.rows.values() {
            match row {
                Row::Transaction(decision, posted) => {
                    let legs = window.legs.get(&decision.seq).map_or(&[][..], |legs| legs.as_slice());
                    chain.transaction(decision, posted, legs);
                }
                Row::Refusal(decision, refused) => chain.refusal(decision, refused),
            }
        }
        after = until;
    }
    Ok(chain.finish())
}

/// A stretch of a lane.
#[derive(Default)]
struct Window {
    rows: BTreeMap<i64, Row>,
    twice: Vec<i64>,
    legs: BTreeMap<i64, Vec<Leg>>,
    misnumbered: Vec<i64>,
}

enum Row {
    Transaction(Decision, Posted),
    Refusal(Decision, Refused),
}

impl Window {
    async fn read(tx: &mut Tx, book: i32, lane: i16, after: i64, until: i64) -> Result<Self, LedgerError> {
        let mut window = Self::default();
        let transactions = sqlx::query!(
            r#"select seq, in_call, id, kind, source, actor, period, passes_floor, reverses, postings,
                      effective_at as "effective_at: Timestamp",
                      recorded_at as "recorded_at: Timestamp"
               from ledger_transactions
               where book_id = $1 and lane = $2 and seq > $3 and seq <= $4"#,
            book,
            lane,
            after,
            until
        )
        .fetch_all(tx.conn())
        .await?;
        for t in transactions {
            let decision = Decision {
                seq: t.seq,
                in_call: t.in_call,
                recorded_at: t.recorded_at.to_jiff(),
                id: t.id,
                kind: t.kind,
                source: t.source,
                actor: t.actor,
                effective_at: t.effective_at.to_jiff(),
            };
            let posted =
                Posted { period: t.period, passes_floor: t.passes_floor, reverses: t.reverses, postings: t.postings };
            window.insert(t.seq, Row::Transaction(decision, posted));
        }
        window.read_refusals(tx, book, lane, after, until).await?;
        window.read_postings(tx, book, lane, after, until).await?;
        Ok(window)
    }

    async fn read_refusals(
        &mut self,
        tx: &mut Tx,
        book: i32,
        lane: i16,
        after: i64,
        until: i64,
    ) -> Result<(), LedgerError> {
        let refusals = sqlx::query!(
            r#"select seq, in_call, id, kind, source, actor, reason, reference, needed, available,
                      effective_at as "effective_at: Timestamp",
                      recorded_at as "recorded_at: Timestamp"
               from ledger_refusals
               where book_id = $1 and lane = $2 and seq > $3 and seq <= $4"#,
            book,
            lane,
            after,
            until
        )
        .fetch_all(tx.conn())
        .await?;
        for r in refusals {
            let decision = Decision {
                seq: r.seq,
                in_call: r.in_call,
                recorded_at: r.recorded_at.to_jiff(),
                id: r.id,
                kind: r.kind,
                source: r.source,
                actor: r.actor,
                effective_at: r.effective_at.to_jiff(),
            };
            let refused =
                Refused { reason: r.reason, reference: r.reference, needed: r.needed, available: r.available };
            self.insert(r.seq, Row::Refusal(decision, refused));
        }
        Ok(())
    }

    async fn read_postings(
        &mut self,
        tx: &mut Tx,
        book: i32,
        lane: i16,
        after: i64,
        until: i64,
    ) -> Result<(), LedgerError> {
        let postings = sqlx::query!(
            "select seq, ordinal, debit_account, credit_account, amount, subject
             from ledger_postings
             where book_id = $1 and lane = $2 and seq > $3 and seq <= $4
             order by seq, ordinal",
            book,
            lane,
            after,
            until
        )
        .fetch_all(tx.conn())
        .await?;
        for p in postings {
            let legs = self.legs.entry(p.seq).or_default();
            legs.push(Leg { debit: p.debit_account, credit: p.credit_account, amount: p.amount, subject: p.subject });
            if usize::try_from(p.ordinal) != Ok(legs.len()) {
                self.misnumbered.push(p.seq);
            }
        }
        Ok(())
    }

    fn insert(&mut self, seq: i64, row: Row) {
        if self.rows.insert(seq, row).is_some() {
            self.twice.push(seq);
        }
    }

    fn check(&self, lane: i16, after: i64, until: i64, violations: &mut Vec<Violation>) {
        let at = |seq| Position { lane, seq };
        let missing = (after + 1..=until).filter(|seq| !self.rows.contains_key(seq));
        let broken = missing.chain(self.twice.iter().copied());
        violations.extend(broken.map(|seq| Violation::SequenceBroken { position: at(seq) }));
        for row in self.rows.values() {
            let Row::Transaction(decision, posted) = row else { continue };
            let found = self.legs.get(&decision.seq).map_or(0, Vec::len);
            if usize::try_from(posted.postings) != Ok(found) || self.misnumbered.contains(&decision.seq) {
                violations.push(Violation::PostingsDiffer {
                    position: at(decision.seq),
                    expected: posted.postings,
                    found: i64::try_from(found).unwrap_or(i64::MAX),
                });
            }
        }
        let has_transaction = |seq: &i64| matches!(self.rows.get(seq), Some(Row::Transaction(..)));
        let orphans = self.legs.keys().filter(|seq| !has_transaction(seq));
        violations.extend(orphans.map(|seq| Violation::OrphanPostings { position: at(*seq) }));
    }
}
