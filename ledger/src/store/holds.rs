//! Placing, voiding, expiring and reading holds. Capturing is posting: [`super::posting`].

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use partita_db::{BookId, Tx};

use crate::{
    account::NormalSide,
    error::LedgerError,
    hold::{Availability, ExpireProgress, HoldEnd, HoldOutcome, HoldRefusal, HoldView, NewHold, VoidOutcome},
    key::AccountKey,
    position::Position,
    store::{account_key, book_of, raw_keys},
};

/// The most holds one call takes.
const MAX_HOLDS: usize = 1_000;

/// `ledger_hold_releases.reason`.
const VOIDED: i16 = 1;
const EXPIRED: i16 = 2;

const UNREADABLE: LedgerError = LedgerError::Unreadable("the outcome of a hold");

/// Places a slice of holds, each or not, and says for each what became of it, in order.
///
/// It should stand at the end of the caller's database transaction: it holds a lane of the book and the balance rows of
/// the accounts until that ends.
///
/// # Errors
/// As [`post`](crate::post).
pub async fn place_holds(tx: &mut Tx, holds: &[NewHold]) -> Result<Vec<HoldOutcome>, LedgerError> {
    let book = book_of(tx)?;
    if holds.len() > MAX_HOLDS {
        return Err(LedgerError::TooManyTransactions { max: MAX_HOLDS });
    }
    let well_formed = |hold: &&NewHold| hold.amount > 0 && hold.account.book() == book;
    let asked: Vec<&NewHold> = holds.iter().filter(well_formed).collect();
    let mut placed = if asked.is_empty() { Vec::new() } else { place(tx, book, &asked).await? }.into_iter();
    holds
        .iter()
        .map(|hold| {
            if well_formed(&hold) {
                placed.next().ok_or(UNREADABLE)
            } else {
                let NewHold { account, amount, .. } = *hold;
                Ok(HoldOutcome::Refused(HoldRefusal::Malformed { account, amount }))
            }
        })
        .collect()
}

async fn place(tx: &mut Tx, book: BookId, holds: &[&NewHold]) -> Result<Vec<HoldOutcome>, LedgerError> {
    let ids: Vec<i64> = holds.iter().map(|h| h.id).collect();
    let kinds: Vec<i16> = holds.iter().map(|h| h.kind).collect();
    let sources: Vec<i64> = holds.iter().map(|h| h.source).collect();
    let actors: Vec<i64> = holds.iter().map(|h| h.actor).collect();
    let effective: Vec<_> = holds.iter().map(|h| h.effective_at.to_sqlx()).collect();
    let accounts: Vec<i64> = holds.iter().map(|h| h.account.get()).collect();
    let amounts: Vec<i64> = holds.iter().map(|h| h.amount).collect();
    let subjects: Vec<i64> = holds.iter().map(|h| h.subject).collect();
    let expires: Vec<_> = holds.iter().map(|h| h.expires_at.map(ToSqlx::to_sqlx)).collect();
    let in_use: Vec<bool> = holds.iter().map(|h| h.in_use).collect();
    let row = sqlx::query!(
        r#"select o_outcome as "outcome!",
                  o_seqs as "seqs!",
                  o_lanes as "lanes!",
                  o_reference as "reference!: Vec<Option<i64>>",
                  o_needed as "needed!: Vec<Option<i64>>",
                  o_available as "available!: Vec<Option<i64>>"
           from ledger_place_holds($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"#,
        book.get(),
        &ids,
        &kinds,
        &sources,
        &actors,
        &effective as &[jiff_sqlx::Timestamp],
        &accounts,
        &amounts,
        &subjects,
        &expires as &[Option<jiff_sqlx::Timestamp>],
        &in_use
    )
    .fetch_one(tx.conn())
    .await
    .map_err(|error| not_open(error, book))?;
    (0..holds.len())
        .map(|i| {
            let position =
                Position { lane: *row.lanes.get(i).ok_or(UNREADABLE)?, seq: *row.seqs.get(i).ok_or(UNREADABLE)? };
            let code = *row.outcome.get(i).ok_or(UNREADABLE)?;
            if code == 0 {
                return Ok(HoldOutcome::Placed { position });
            }
            let reference = row.reference.get(i).copied().flatten().ok_or(UNREADABLE)?;
            if code == 1 {
                return Ok(HoldOutcome::Replayed { id: reference, position });
            }
            let amounts = (row.needed.get(i).copied().flatten(), row.available.get(i).copied().flatten());
            refusal(code, reference, amounts).map(HoldOutcome::Refused)
        })
        .collect()
}

/// The refusal of this code of `ledger_refusals.reason`.
fn refusal(code: i16, reference: i64, amounts: (Option<i64>, Option<i64>)) -> Result<HoldRefusal, LedgerError> {
    Ok(match (code, amounts) {
        (2, (Some(needed), Some(available))) => {
            HoldRefusal::InsufficientFunds { account: account_key(reference)?, needed, available }
        }
        (3, _) => HoldRefusal::UnknownAccount { account: account_key(reference)? },
        (4, _) => HoldRefusal::SourceConflict { existing: reference },
        (5, _) => HoldRefusal::Overflow { account: account_key(reference)? },
        (10, _) => HoldRefusal::NotFloored { account: account_key(reference)? },
        _ => return Err(UNREADABLE),
    })
}

fn not_open(error: sqlx::Error, book: BookId) -> LedgerError {
    match error.as_database_error().and_then(sqlx::error::DatabaseError::code).as_deref() {
        Some("P0002") => LedgerError::BookNotOpen { book },
        _ => error.into(),
    }
}

/// Gives back what a hold has left, whether or not it is in use. Voiding again changes nothing.
///
/// # Errors
/// [`LedgerError::BookNotOpen`], [`LedgerError::NoBook`], [`LedgerError::Db`].
pub async fn void_hold(
    tx: &mut Tx,
    hold: i64,
    actor: i64,
    effective_at: Timestamp,
) -> Result<VoidOutcome, LedgerError> {
    let book = book_of(tx)?;
    let row = sqlx::query!(
        r#"select o_lane as "lane!",
                  o_seq as "seq!",
                  o_amount as amount
           from ledger_release_holds($1, array[$2::bigint], $3, $4, $5)"#,
        book.get(),
        hold,
        VOIDED,
        actor,
        effective_at.to_sqlx() as jiff_sqlx::Timestamp
    )
    .fetch_one(tx.conn())
    .await
    .map_err(|error| not_open(error, book))?;
    if let Some(amount) = row.amount.as_deref().and_then(<[i64]>::first) {
        return Ok(VoidOutcome::Voided { amount: *amount, position: Position { lane: row.lane, seq: row.seq + 1 } });
    }
    match find_hold(tx, hold).await? {
        None => Ok(VoidOutcome::Unknown),
        Some(hold) => Ok(VoidOutcome::Already { end: hold.end.ok_or(UNREADABLE)? }),
    }
}

/// A worker's step: gives back what is left of up to `limit` holds whose time has come at `now` (business time), but for
/// those in use.
///
/// # Errors
/// [`LedgerError::BookNotOpen`], [`LedgerError::NoBook`], [`LedgerError::Db`].
pub async fn expire_holds(tx: &mut Tx, now: Timestamp, actor: i64, limit: u16) -> Result<ExpireProgress, LedgerError> {
    let book = book_of(tx)?;
    // A hold and a release share a call's ordinals, which are 16 bits wide.
    let limit = i64::from(limit.clamp(1, 10_000));
    let due = sqlx::query_scalar!(
        "select id
         from ledger_holds
         where book_id = $1 and expires_at <= $2 and remaining > 0 and not in_use
         order by expires_at
         limit $3",
        book.get(),
        now.to_sqlx() as jiff_sqlx::Timestamp,
        limit
    )
    .fetch_all(tx.conn())
    .await?;
    if due.is_empty() {
        return Ok(ExpireProgress { expired: 0, finished: true });
    }
    let released = sqlx::query_scalar!(
        r#"select cardinality(o_hold) as "released!" from ledger_release_holds($1, $2, $3, $4, $5)"#,
        book.get(),
        &due,
        EXPIRED,
        actor,
        now.to_sqlx() as jiff_sqlx::Timestamp
    )
    .fetch_one(tx.conn())
    .await
    .map_err(|error| not_open(error, book))?;
    let finished = i64::try_from(due.len()).is_ok_and(|found| found < limit);
    Ok(ExpireProgress { expired: u64::from(released.unsigned_abs()), finished })
}

/// Says that something hangs on a hold that must not lose it (`true`: it does not expire), or no longer does.
///
/// False if the hold is closed or unknown: then nothing is changed.
///
/// # Errors
/// [`LedgerError::NoBook`], [`LedgerError::Db`].
pub async fn set_hold_in_use(tx: &mut Tx, hold: i64, in_use: bool) -> Result<bool, LedgerError> {
    let book = book_of(tx)?;
    let updated = sqlx::query!(
        "update ledger_holds set in_use = $3 where book_id = $1 and id = $2 and remaining > 0",
        book.get(),
        hold,
        in_use
    )
    .execute(tx.conn())
    .await?;
    Ok(updated.rows_affected() == 1)
}

/// The hold of this id.
///
/// # Errors
/// [`LedgerError::NoBook`], [`LedgerError::Db`].
pub async fn find_hold(tx: &mut Tx, hold: i64) -> Result<Option<HoldView>, LedgerError> {
    let holds = read(tx, Some(hold), None, 1).await?;
    Ok(holds.into_iter().next())
}

/// The open holds of an account by rising id, at most `limit`.
///
/// # Errors
/// [`LedgerError::NoBook`], [`LedgerError::Db`].
pub async fn list_open_holds(tx: &mut Tx, account: AccountKey, limit: u16) -> Result<Vec<HoldView>, LedgerError> {
    read(tx, None, Some(account), i64::from(limit)).await
}

async fn read(
    tx: &mut Tx,
    hold: Option<i64>,
    account: Option<AccountKey>,
    limit: i64,
) -> Result<Vec<HoldView>, LedgerError> {
    let book = book_of(tx)?;
    let rows = sqlx::query!(
        r#"select h.id, h.kind, h.source, h.actor, h.account, h.amount, h.remaining, h.subject, h.in_use, h.lane, h.seq,
                  h.effective_at as "effective_at: jiff_sqlx::Timestamp",
                  h.recorded_at as "recorded_at: jiff_sqlx::Timestamp",
                  h.expires_at as "expires_at: jiff_sqlx::Timestamp",
                  r.reason as "reason?",
                  coalesce(r.amount, 0) as "released!"
           from ledger_holds h
           left join ledger_hold_releases r on r.book_id = h.book_id and r.hold = h.id
           where h.book_id = $1
             and ($2::bigint is null or h.id = $2)
             and ($3::bigint is null or h.account = $3 and h.remaining > 0)
           order by h.id
           limit $4"#,
        book.get(),
        hold,
        account.map(AccountKey::get),
        limit
    )
    .fetch_all(tx.conn())
    .await?;
    rows.into_iter()
        .map(|h| {
            let end = match (h.remaining, h.reason) {
                (1.., _) => None,
                (_, None) => Some(HoldEnd::Captured),
                (_, Some(VOIDED)) => Some(HoldEnd::Voided),
                (_, Some(_)) => Some(HoldEnd::Expired),
            };
            Ok(HoldView {
                id: h.id,
                kind: h.kind,
                source: h.source,
                actor: h.actor,
                account: account_key(h.account)?,
                amount: h.amount,
                remaining: h.remaining,
                captured: h.amount - h.remaining - h.released,
                subject: h.subject,
                effective_at: h.effective_at.to_jiff(),
                recorded_at: h.recorded_at.to_jiff(),
                expires_at: h.expires_at.map(jiff_sqlx::Timestamp::to_jiff),
                in_use: h.in_use,
                end,
                position: Position { lane: h.lane, seq: h.seq },
            })
        })
        .collect()
}

/// What these floored accounts have for those who respect their floors: balance, holds and floor, in the order asked.
///
/// # Errors
/// [`LedgerError::UnknownAccount`] also if the account has no floor, [`LedgerError::NoBook`], [`LedgerError::Db`].
pub async fn availability(tx: &mut Tx, accounts: &[AccountKey]) -> Result<Vec<Availability>, LedgerError> {
    let book = book_of(tx)?;
    let rows = sqlx::query!(
        r#"select account,
                  normal_side,
                  debits,
                  credits,
                  held,
                  floor as "floor!"
           from ledger_balances
           where book_id = $1 and account = any ($2) and stripe = 0 and floor is not null"#,
        book.get(),
        &raw_keys(accounts)
    )
    .fetch_all(tx.conn())
    .await?;
    accounts
        .iter()
        .map(|account| {
            let row = rows.iter().find(|row| row.account == account.get());
            let row = row.ok_or(LedgerError::UnknownAccount { account: *account })?;
            let normal_side = NormalSide::from_code(row.normal_side).ok_or(LedgerError::Unreadable("a normal side"))?;
            let balance = normal_side.signed(row.debits.into(), row.credits.into());
            Ok(Availability { account: *account, normal_side, balance, held: row.held, floor: row.floor })
        })
        .collect()
}
