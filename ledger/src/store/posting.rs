//! The write path: one call of `ledger_post` for a slice.

use std::collections::HashMap;

use jiff_sqlx::{Timestamp, ToSqlx};
use partita_db::{BookId, Tx};
use sqlx::postgres::PgRow;

use crate::{
    error::LedgerError,
    hold::NewCapture,
    outcome::{PostOutcome, PostRefusal},
    position::Position,
    store::{account_key, book_of},
    transaction::{Floors, NewPosting, NewReversal, NewTransaction, has_repeated_source},
};

/// The most transactions one call takes.
const MAX_TRANSACTIONS: usize = 10_000;

/// Posts a slice of transactions, each as a whole or not at all, and says for each what became of it, in order.
///
/// The slice is worked through in its order, as if its items came one by one, in one call of one SQL function. It
/// should be the last statement of the caller's database transaction: it holds a lane of the book and the balance rows
/// until that ends. Refusals are data and are stored with the rest if the caller commits.
///
/// # Errors
/// [`LedgerError::Db`], of which a serialization failure means that another database transaction posted one of the
/// sources meanwhile ([`Db::run_tx`](partita_db::Db::run_tx) runs again and finds it); [`LedgerError::BookNotOpen`],
/// [`LedgerError::DuplicateId`], [`LedgerError::TooManyTransactions`], [`LedgerError::NoBook`].
pub async fn post(tx: &mut Tx, transactions: &[NewTransaction]) -> Result<Vec<PostOutcome>, LedgerError> {
    let item = |transaction| Item { transaction, reverses: None, captures: None };
    let items: Vec<Item<'_>> = transactions.iter().map(item).collect();
    post_items(tx, &items).await
}

/// Posts a slice of transactions that each capture a hold, in part or whole; otherwise as [`post`].
///
/// What a transaction takes from the held account, net, leaves the hold. A floor never refuses it: what is held was
/// counted against the floor already.
///
/// # Errors
/// As [`post`].
pub async fn capture(tx: &mut Tx, captures: &[NewCapture]) -> Result<Vec<PostOutcome>, LedgerError> {
    let items: Vec<Item<'_>> = captures
        .iter()
        .map(|NewCapture { hold, transaction }| Item { transaction, reverses: None, captures: Some(*hold) })
        .collect();
    post_items(tx, &items).await
}

/// Undoes a whole transaction by a new one with the sides swapped; at most once.
///
/// # Errors
/// As [`post`], and [`LedgerError::UnknownTransaction`].
pub async fn reverse(tx: &mut Tx, reversal: NewReversal) -> Result<PostOutcome, LedgerError> {
    let book = book_of(tx)?;
    let original = sqlx::query!(
        "select p.debit_account, p.credit_account, p.amount, p.subject
         from ledger_transactions t
         join ledger_postings p on p.book_id = t.book_id and p.lane = t.lane and p.seq = t.seq
         where t.book_id = $1 and t.id = $2
         order by p.ordinal",
        book.get(),
        reversal.original
    )
    .fetch_all(tx.conn())
    .await?;
    if original.is_empty() {
        return Err(LedgerError::UnknownTransaction { id: reversal.original });
    }
    let swap = |debit, credit, amount, subject| -> Result<NewPosting, LedgerError> {
        Ok(NewPosting { debit: account_key(credit)?, credit: account_key(debit)?, amount, subject })
    };
    let postings = original
        .into_iter()
        .map(|p| swap(p.debit_account, p.credit_account, p.amount, p.subject))
        .collect::<Result<Vec<_>, _>>()?;
    let NewReversal { original, id, kind, source, actor, effective_at, floors } = reversal;
    let transaction = NewTransaction { id, kind, source, actor, effective_at, floors, postings };
    let item = Item { transaction: &transaction, reverses: Some(original), captures: None };
    let outcomes = post_items(tx, &[item]).await?;
    outcomes.into_iter().next().ok_or(LedgerError::Unreadable("the outcome of a posting"))
}

struct Item<'a> {
    transaction: &'a NewTransaction,
    reverses: Option<i64>,
    captures: Option<i64>,
}

/// Posts what is well formed; what is not never reaches the database.
async fn post_items(tx: &mut Tx, items: &[Item<'_>]) -> Result<Vec<PostOutcome>, LedgerError> {
    let book = book_of(tx)?;
    if items.len() > MAX_TRANSACTIONS {
        return Err(LedgerError::TooManyTransactions { max: MAX_TRANSACTIONS });
    }
    let mut malformed = HashMap::new();
    let mut arrays = Arrays::with_capacity(items);
    for (place, item) in items.iter().enumerate() {
        match item.transaction.check(book) {
            Ok(()) => arrays.push(item)?,
            Err(reason) => {
                malformed.insert(place, PostOutcome::Refused(PostRefusal::Malformed(reason)));
            }
        }
    }
    if arrays.id.is_empty() {
        return Ok((0..items.len()).filter_map(|place| malformed.remove(&place)).collect());
    }
    let careful = has_repeated_source(items.iter().map(|item| item.transaction));
    let count = arrays.id.len();
    let row = arrays.call(tx, book, careful).await?;
    let mut decided = Decided::try_from(row)?.into_outcomes(count)?.into_iter();
    (0..items.len())
        .map(|place| malformed.remove(&place).or_else(|| decided.next()))
        .map(|outcome| outcome.ok_or(LedgerError::Unreadable("the outcome of a posting")))
        .collect()
}

/// The slice as the columns that `ledger_post` takes.
#[derive(Default)]
struct Arrays {
    id: Vec<i64>,
    kind: Vec<i16>,
    source: Vec<i64>,
    actor: Vec<i64>,
    effective_at: Vec<Timestamp>,
    passes_floor: Vec<bool>,
    reverses: Vec<Option<i64>>,
    captures: Vec<Option<i64>>,
    postings: Vec<i16>,
    item: Vec<i32>,
    ordinal: Vec<i16>,
    debit: Vec<i64>,
    credit: Vec<i64>,
    amount: Vec<i64>,
    subject: Vec<i64>,
}

impl Arrays {
    fn with_capacity(items: &[Item<'_>]) -> Self {
        let transactions = items.len();
        let postings = items.iter().map(|item| item.transaction.postings.len()).sum();
        Self {
            id: Vec::with_capacity(transactions),
            kind: Vec::with_capacity(transactions),
            source: Vec::with_capacity(transactions),
            actor: Vec::with_capacity(transactions),
            effective_at: Vec::with_capacity(transactions),
            passes_floor: Vec::with_capacity(transactions),
            reverses: Vec::with_capacity(transactions),
            captures: Vec::with_capacity(transactions),
            postings: Vec::with_capacity(transactions),
            item: Vec::with_capacity(postings),
            ordinal: Vec::with_capacity(postings),
            debit: Vec::with_capacity(postings),
            credit: Vec::with_capacity(postings),
            amount: Vec::with_capacity(postings),
            subject: Vec::with_capacity(postings),
        }
    }

    fn push(&mut self, item: &Item<'_>) -> Result<(), LedgerError> {
        let transaction = item.transaction;
        let count = i16::try_from(transaction.postings.len());
        self.id.push(transaction.id);
        self.kind.push(transaction.kind);
        self.source.push(transaction.source);
        self.actor.push(transaction.actor);
        self.effective_at.push(transaction.effective_at.to_sqlx());
        self.passes_floor.push(transaction.floors == Floors::Pass);
        self.reverses.push(item.reverses);
        self.captures.push(item.captures);
        self.postings.push(count.map_err(|_| LedgerError::Unreadable("the number of postings"))?);
        let place = i32::try_from(self.id.len()).map_err(|_| LedgerError::Unreadable("the number of transactions"))?;
        for (posting, ordinal) in transaction.postings.iter().zip(1_i16..) {
            self.item.push(place);
            self.ordinal.push(ordinal);
            self.debit.push(posting.debit.get());
            self.credit.push(posting.credit.get());
            self.amount.push(posting.amount);
            self.subject.push(posting.subject);
        }
        Ok(())
    }

    async fn call(self, tx: &mut Tx, book: BookId, careful: bool) -> Result<PgRow, LedgerError> {
        let given = |column: Vec<Option<i64>>| column.iter().any(Option::is_some).then_some(column);
        let (reverses, captures) = (given(self.reverses), given(self.captures));
        sqlx::query(
            "select o_lane, o_seq, o_outcome, o_seqs, o_lanes, o_reference, o_needed, o_available
             from ledger_post($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)",
        )
        .bind(book.get())
        .bind(self.id)
        .bind(self.kind)
        .bind(self.source)
        .bind(self.actor)
        .bind(self.effective_at)
        .bind(self.passes_floor)
        .bind(reverses)
        .bind(self.postings)
        .bind(self.item)
        .bind(self.ordinal)
        .bind(self.debit)
        .bind(self.credit)
        .bind(self.amount)
        .bind(self.subject)
        .bind(careful)
        .bind(captures)
        .fetch_one(tx.conn())
        .await
        .map_err(|error| {
            match error.as_database_error().and_then(sqlx::error::DatabaseError::code).as_deref() {
                Some("P0002") => LedgerError::BookNotOpen { book },
                _ => error.into(),
            }
        })
    }
}

/// What `ledger_post` answers: nothing per item in the common case that every item is posted.
struct Decided {
    lane: i16,
    seq: i64,
    special: Option<Special>,
}

/// An answer per item; the columns of `ledger_post` of the same names.
struct Special {
    outcome: Vec<i16>,
    seqs: Vec<i64>,
    lanes: Vec<i16>,
    reference: Vec<Option<i64>>,
    needed: Vec<Option<i64>>,
    available: Vec<Option<i64>>,
}

impl TryFrom<PgRow> for Decided {
    type Error = LedgerError;

    fn try_from(row: PgRow) -> Result<Self, LedgerError> {
        use sqlx::Row;
        let special = match row.try_get("o_outcome")? {
            None => None,
            Some(outcome) => Some(Special {
                outcome,
                seqs: row.try_get("o_seqs")?,
                lanes: row.try_get("o_lanes")?,
                reference: row.try_get("o_reference")?,
                needed: row.try_get("o_needed")?,
                available: row.try_get("o_available")?,
            }),
        };
        Ok(Self { lane: row.try_get("o_lane")?, seq: row.try_get("o_seq")?, special })
    }
}

impl Decided {
    fn into_outcomes(self, count: usize) -> Result<Vec<PostOutcome>, LedgerError> {
        match self.special {
            Some(special) if special.outcome.len() == count => (0..count).map(|i| special.outcome(i)).collect(),
            Some(_) => Err(LedgerError::Unreadable("the number of outcomes")),
            None => {
                let position = |seq| Position { lane: self.lane, seq };
                Ok((self.seq + 1..).take(count).map(|seq| PostOutcome::Posted { position: position(seq) }).collect())
            }
        }
    }
}

impl Special {
    fn outcome(&self, i: usize) -> Result<PostOutcome, LedgerError> {
        const UNREADABLE: LedgerError = LedgerError::Unreadable("the outcome of a posting");
        let position = Position { lane: self.lanes[i], seq: self.seqs[i] };
        let code = self.outcome[i];
        if code == 0 {
            return Ok(PostOutcome::Posted { position });
        }
        let reference = self.reference[i].ok_or(UNREADABLE)?;
        let refusal = match code {
            1 => return Ok(PostOutcome::Replayed { id: reference, position }),
            2 => PostRefusal::InsufficientFunds {
                account: account_key(reference)?,
                needed: self.needed[i].ok_or(UNREADABLE)?,
                available: self.available[i].ok_or(UNREADABLE)?,
            },
            3 => PostRefusal::UnknownAccount { account: account_key(reference)? },
            4 => PostRefusal::SourceConflict { existing: reference },
            5 => PostRefusal::Overflow { account: account_key(reference)? },
            6 => PostRefusal::AlreadyReversed { by: reference },
            7 => PostRefusal::UnknownHold { hold: reference },
            8 => PostRefusal::HoldTooSmall {
                hold: reference,
                needed: self.needed[i].ok_or(UNREADABLE)?,
                remaining: self.available[i].ok_or(UNREADABLE)?,
            },
            9 => PostRefusal::NothingCaptured { hold: reference },
            _ => return Err(UNREADABLE),
        };
        Ok(PostOutcome::Refused(refusal))
    }
}
