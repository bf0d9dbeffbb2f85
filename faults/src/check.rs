//! What must hold after a run, whatever happened in it: the invariants I1 to I12 of `docs/reliability.md`.
//!
//! Some are asked of the service's own `verify`; each of those that a defect in the service could hide is asked a second
//! time, of the database by its superuser or of the provider's own books.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use futures::StreamExt as _;
use partita::app::App;
use partita::reconciliation;
use partita::verify;
use partita_db::BookId;
use partita_simulator::Control;
use serde::Serialize;
use sqlx::PgPool;

use crate::client::Client;
use crate::history::Acknowledged;

/// A breach of an invariant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// `I1` to `I12`; `bar` when it is one of time or size that a fault sets itself.
    pub invariant: &'static str,
    /// What was found.
    pub detail: String,
}

/// What was found in a run.
#[derive(Debug, Clone, Default)]
pub struct Findings(Vec<Violation>);

impl Findings {
    /// Adds a violation.
    pub fn add(&mut self, invariant: &'static str, detail: impl Into<String>) {
        self.0.push(Violation { invariant, detail: detail.into() });
    }

    /// Adds a violation when a count is not zero.
    pub(crate) fn none(&mut self, invariant: &'static str, count: i64, what: &str) {
        if count != 0 {
            self.add(invariant, format!("{count} {what}"));
        }
    }

    /// All of them.
    pub fn into_violations(self) -> Vec<Violation> {
        self.0
    }
}

/// Where to look.
#[derive(Debug)]
pub struct Places<'a> {
    /// The service's database, as its superuser.
    pub admin: &'a PgPool,
    /// The provider's database, as its superuser.
    pub provider: &'a PgPool,
    /// Control over the provider.
    pub control: &'a Control,
    /// The book.
    pub book: BookId,
}

/// I1, I2, I6, I9, I10 and I11: what the service's own `verify` finds, and what its database says to its superuser.
///
/// # Errors
/// When it cannot be found out.
pub async fn books(app: &Arc<App>, places: &Places<'_>, found: &mut Findings) -> anyhow::Result<()> {
    let report = verify::run(app, places.book).await.context("verify")?;
    for finding in report.findings {
        found.add("I1 I2 I6 I8 I10 I11", format!("{}: {}", finding.invariant, finding.detail));
    }
    for (invariant, what, sql) in [
        ("I1", "postings with an account that is none, or of two currencies or books", POSTINGS_ACROSS),
        ("I2", "balances that are not the sum of their postings", WRONG_BALANCES),
        ("I9", "rows of a book that is none", ROWS_OF_NO_BOOK),
        ("I10", "operations that went where they may not", WRONG_TRANSITIONS),
        ("I10", "ends of attempts that the attempt in force did not bring", STALE_ENDS),
        ("I11", "payments refunded beyond what was charged", REFUNDED_TOO_MUCH),
        ("I8", "objects whose events have gaps", EVENT_GAPS),
    ] {
        found.none(invariant, count(places.admin, sql).await.with_context(|| what.to_owned())?, what);
    }
    Ok(())
}

const POSTINGS_ACROSS: &str = "
    select count(*) from ledger_postings p
        left join ledger_accounts d on d.book_id = p.book_id and d.account = p.debit_account
        left join ledger_accounts c on c.book_id = p.book_id and c.account = p.credit_account
    where d.account is null or c.account is null or d.book_id <> c.book_id or d.currency <> c.currency or p.book_id <> d.book_id or p.amount <= 0";

const WRONG_BALANCES: &str = "
    with moved as (
        select account, sum(debit)::numeric as debits, sum(credit)::numeric as credits
        from (select debit_account as account, amount as debit, 0 as credit from ledger_postings
              union all select credit_account, 0, amount from ledger_postings) as sides
        group by account
    ), kept as (
        select account, sum(debits)::numeric as debits, sum(credits)::numeric as credits
        from ledger_balances group by account
    )
    select count(*) from moved full join kept using (account)
    where coalesce(moved.debits, 0) <> coalesce(kept.debits, 0) or coalesce(moved.credits, 0) <> coalesce(kept.credits, 0)";

const ROWS_OF_NO_BOOK: &str = "
    select (select count(*) from payments p where not exists (select from books b where b.book_id = p.book_id))
         + (select count(*) from operations o where not exists (select from books b where b.book_id = o.book_id))
         + (select count(*) from ledger_transactions t where not exists (select from books b where b.book_id = t.book_id))
         + (select count(*) from payment_lines l where not exists
               (select from payments p where p.book_id = l.book_id and p.id = l.payment_id))
         + (select count(*) from refunds r where not exists
               (select from payments p where p.book_id = r.book_id and p.id = r.payment_id))
         + (select count(*) from transfers t where t.payment_id is not null and not exists
               (select from payments p where p.book_id = t.book_id and p.id = t.payment_id))";

const WRONG_TRANSITIONS: &str = "
    select count(*) from operation_history h
    where h.from_state is not null and not exists
        (select from operation_transitions t where t.from_state = h.from_state and t.to_state = h.to_state)";

/// An attempt that ends without the provider's object leaves its answer with its own number, in the same transaction.
/// Where there is none, an older attempt ended a newer one.
const STALE_ENDS: &str = "
    select count(*) from operation_history h
    where h.from_state = 'submitting' and h.to_state in ('planned', 'unknown', 'failed', 'needs_review')
        and not exists (select from provider_answers a where a.book_id = h.book_id and a.operation_id = h.operation_id
                        and a.attempt = h.attempt)";

const REFUNDED_TOO_MUCH: &str = "
    select count(*) from payments p
    where p.amount < (select coalesce(sum(r.amount), 0) from refunds r
                      where r.book_id = p.book_id and r.payment_id = p.id and r.status not in ('failed', 'canceled'))";

const EVENT_GAPS: &str = "
    select count(*) from (
        select book_id, object_id from outbox group by book_id, object_id
        having count(*) <> max(sequence) or min(sequence) <> 1
    ) as gaps";

/// I3: everything that was acknowledged is answered the same again, byte for byte.
///
/// # Errors
/// When the service does not answer.
pub async fn acknowledgements(client: &Client, kept: &[Acknowledged], found: &mut Findings) -> anyhow::Result<()> {
    let replays = futures::stream::iter(kept)
        .map(|acknowledged| async move { (acknowledged, client.replay(acknowledged).await) });
    let mut replays = replays.buffer_unordered(8);
    while let Some((acknowledged, replay)) = replays.next().await {
        let replay = replay.with_context(|| format!("the replay of {}", acknowledged.key))?;
        if (replay.status, &replay.bytes) != (acknowledged.status, &acknowledged.answer) {
            let (was, is) = (String::from_utf8_lossy(&acknowledged.answer), String::from_utf8_lossy(&replay.bytes));
            let detail = format!("{}: {} {was} and then {} {is}", acknowledged.key, acknowledged.status, replay.status);
            found.add("I3", detail);
        }
    }
    Ok(())
}

/// I4: no operation had two effects at the provider, by the provider's own log, and none that is taken for failed had one.
///
/// # Errors
/// When the log or the database cannot be read.
pub async fn effects(admin: &PgPool, control: &Control, found: &mut Findings) -> anyhow::Result<usize> {
    let effects = control.effects().await?;
    let failed: Vec<String> = sqlx::query_scalar(FAILED_OPERATIONS).fetch_all(admin).await?;
    let failed: BTreeSet<String> = failed.into_iter().collect();
    let mut asked: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for effect in &effects {
        // A cancellation carries no metadata; its key names the operation before the last dot.
        let by_key = effect.idempotency_key.as_deref().and_then(|key| key.rsplit_once('.')).map(|(name, _)| name);
        match effect.operation.as_deref().or(by_key) {
            Some(operation) => {
                let object = effect.object.as_deref().unwrap_or("-");
                asked.entry(operation).or_default().push(object);
                if effect.status != DECLINED && failed.contains(operation) {
                    found.add("I4", format!("{operation} is taken for failed, and had an effect: {object}"));
                }
            }
            None => found.add("I4", format!("{} {} was asked by nobody", effect.method, effect.path)),
        }
    }
    for (operation, objects) in asked.into_iter().filter(|(_, objects)| objects.len() > 1) {
        found.add("I4", format!("{operation} had {} effects: {}", objects.len(), objects.join(", ")));
    }
    Ok(effects.len())
}

/// The answer to a payment that was declined: its object is there, and moved nothing.
const DECLINED: i16 = 402;

/// By the name that the provider knows them under: the key before its generation.
const FAILED_OPERATIONS: &str = "select split_part(idempotency_key, '.', 1) from operations where state = 'failed'";

/// I5: every movement of the provider is booked, and no other; reconciliation finds no break; the provider's own books
/// agree with themselves.
///
/// # Errors
/// When it cannot be found out.
pub async fn agreement(app: &Arc<App>, places: &Places<'_>, found: &mut Findings) -> anyhow::Result<usize> {
    let theirs = sqlx::query_scalar(THEIR_MOVEMENTS).fetch_all(places.provider).await?;
    let ours = sqlx::query_scalar(OUR_MOVEMENTS).bind(places.book.get()).fetch_all(places.admin).await?;
    let (theirs, ours): (BTreeSet<String>, BTreeSet<String>) =
        (theirs.into_iter().collect(), ours.into_iter().collect());
    for missing in theirs.difference(&ours) {
        found.add("I5", format!("the provider has {missing}, the ledger has not"));
    }
    for invented in ours.difference(&theirs) {
        found.add("I5", format!("the ledger has {invented}, the provider has not"));
    }
    let run = reconciliation::run(app, places.book, partita::actor::Actor::System).await.context("reconciliation")?;
    found.none("I5", run.breaks.into(), "breaks of reconciliation");
    for broken in places.control.check_books().await? {
        found.add("I5", format!("the provider's own books: {broken:?}"));
    }
    Ok(theirs.len())
}

const THEIR_MOVEMENTS: &str = "
    select t.id || ' ' || t.amount || ' ' || t.fee || ' ' || upper(t.currency::text) from balance_transactions t";

const OUR_MOVEMENTS: &str = "
    select movement_id || ' ' || amount || ' ' || fee || ' ' || currency
    from provider_movements where book_id = $1";

/// I7: what is still open; none is quiet. What waits for people is not open: [`left_to_people`].
///
/// # Errors
/// When the database cannot be asked.
pub async fn open_work(admin: &PgPool) -> anyhow::Result<Vec<(i64, &'static str)>> {
    counted(admin, &OPEN_WORK).await
}

/// I7: what the service gave up on and left to people. None of the faults contradicts itself, so that nothing must be.
///
/// # Errors
/// When the database cannot be asked.
pub async fn left_to_people(admin: &PgPool, found: &mut Findings) -> anyhow::Result<()> {
    for (count, what) in counted(admin, &LEFT_TO_PEOPLE).await? {
        found.add("I7", format!("{count} {what}"));
    }
    Ok(())
}

/// I7, where something was forgotten: events about it have nothing to be applied to, and are parked or set aside.
///
/// # Errors
/// When the database cannot be asked.
pub async fn open_work_beside_forgotten(admin: &PgPool) -> anyhow::Result<Vec<(i64, &'static str)>> {
    let [operations, _, fanout, deliveries] = OPEN_WORK;
    let events = ("events that nobody looked at", "select count(*) from inbox_events where state = 'received'");
    counted(admin, &[operations, events, fanout, deliveries]).await
}

async fn counted(admin: &PgPool, what: &[(&'static str, &'static str)]) -> anyhow::Result<Vec<(i64, &'static str)>> {
    let mut there = Vec::new();
    for (what, sql) in what {
        let count = count(admin, sql).await.with_context(|| (*what).to_owned())?;
        if count != 0 {
            there.push((count, *what));
        }
    }
    Ok(there)
}

const OPEN_WORK: [(&str, &str); 4] = [
    (
        "operations that have not ended",
        "select count(*) from operations where state not in ('succeeded', 'failed', 'needs_review')",
    ),
    ("events that are not applied", "select count(*) from inbox_events where state in ('received', 'parked')"),
    ("events that nobody has been told of", "select count(*) from event_fanout"),
    // What a receiver that hung has refused twice is not tried again for minutes.
    (
        "deliveries that have not ended",
        "select count(*) from webhook_deliveries
         where status in ('pending', 'sending') and next_attempt_at < now() + interval '1 minute'",
    ),
];

const LEFT_TO_PEOPLE: [(&str, &str); 2] = [
    ("operations that wait for two people", "select count(*) from operations where state = 'needs_review'"),
    ("events that were set aside", "select count(*) from inbox_events where state = 'quarantined'"),
];

/// I12: no session is left in a transaction, and nobody used one that was.
///
/// # Errors
/// When the database or its log cannot be read.
pub async fn sessions(admin: &PgPool, postgres: &Path, found: &mut Findings) -> anyhow::Result<()> {
    let idle = "select count(*) from pg_stat_activity
                where state like 'idle in transaction%' and state_change < clock_timestamp() - interval '5 seconds'";
    found.none("I12", count(admin, idle).await?, "sessions left in a transaction");
    let log = std::fs::read(postgres.join("server.log")).context("Postgres' log")?;
    let log = String::from_utf8_lossy(&log);
    for sign in ["current transaction is aborted", "already a transaction in progress"] {
        let times = log.matches(sign).count();
        if times > 0 {
            found.add("I12", format!("{times} times \"{sign}\" in Postgres' log"));
        }
    }
    Ok(())
}

/// Counts what a statement finds.
///
/// # Errors
/// What the database says.
pub async fn count(pool: &PgPool, sql: &'static str) -> sqlx::Result<i64> {
    sqlx::query_scalar(sql).fetch_one(pool).await
}
