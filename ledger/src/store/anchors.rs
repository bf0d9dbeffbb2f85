//! Taking and reading anchors.

use futures::TryStreamExt;
use partita_db::{BookId, Tx};

use crate::{
    anchor::{Anchor, AnchoredLane},
    chain::Head,
    error::LedgerError,
    store::book_of,
};

/// Notes where all lanes of the transaction's book stand, chained to the anchor before, and gives it for export.
///
/// # Errors
/// [`LedgerError::BookNotOpen`], [`LedgerError::NoBook`], [`LedgerError::Db`].
pub async fn take_anchor(tx: &mut Tx) -> Result<Anchor, LedgerError> {
    let book = book_of(tx)?;
    sqlx::query!("select pg_advisory_xact_lock(hashtextextended(format('ledger anchor %s', $1::int), 0))", book.get())
        .fetch_one(tx.conn())
        .await?;
    let last = read(tx, book, None).await?.pop();
    let rows = sqlx::query!(
        r#"select lane, seq, head, clock_timestamp() as "taken_at!: jiff_sqlx::Timestamp"
           from ledger_lanes
           where book_id = $1
           order by lane"#,
        book.get()
    )
    .fetch_all(tx.conn())
    .await?;
    let taken_at = rows.first().ok_or(LedgerError::BookNotOpen { book })?.taken_at.to_jiff();
    let lanes = rows.into_iter().map(|row| lane(row.lane, row.seq, &row.head)).collect::<Result<_, _>>()?;
    let number = last.as_ref().map_or(1, |last| last.number + 1);
    let previous = last.map_or([0; 32], |last| last.digest);
    let anchor = Anchor::new(book, number, taken_at, lanes, previous);
    sqlx::query!(
        "insert into ledger_anchors (book_id, number, taken_at, lanes, seqs, heads, previous, digest)
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
        book.get(),
        anchor.number,
        jiff_sqlx::ToSqlx::to_sqlx(anchor.taken_at) as jiff_sqlx::Timestamp,
        &anchor.lanes.iter().map(|l| l.lane).collect::<Vec<_>>(),
        &anchor.lanes.iter().map(|l| l.seq).collect::<Vec<_>>(),
        &anchor.lanes.iter().map(|l| l.head.to_vec()).collect::<Vec<_>>(),
        &anchor.previous,
        &anchor.digest
    )
    .execute(tx.conn())
    .await?;
    Ok(anchor)
}

/// The newest anchor of the transaction's book.
///
/// # Errors
/// [`LedgerError::NoBook`], [`LedgerError::Db`].
pub async fn last_anchor(tx: &mut Tx) -> Result<Option<Anchor>, LedgerError> {
    let book = book_of(tx)?;
    Ok(read(tx, book, None).await?.pop())
}

/// The anchor of this number as it is stored.
pub(super) async fn find(tx: &mut Tx, book: BookId, number: i64) -> Result<Option<Anchor>, LedgerError> {
    Ok(read(tx, book, Some(number)).await?.pop())
}

async fn read(tx: &mut Tx, book: BookId, number: Option<i64>) -> Result<Vec<Anchor>, LedgerError> {
    let rows = sqlx::query_as!(
        AnchorRow,
        r#"select number, lanes, seqs, heads, previous, digest,
                  taken_at as "taken_at: jiff_sqlx::Timestamp"
           from ledger_anchors
           where book_id = $1 and ($2::bigint is null or number = $2)
           order by number desc
           limit 1"#,
        book.get(),
        number
    )
    .fetch_all(tx.conn())
    .await?;
    rows.into_iter().map(|row| row.into_anchor(book)).collect()
}

/// Goes through all anchors of a book in order of number.
pub(super) async fn for_each(
    tx: &mut Tx,
    book: BookId,
    mut take: impl FnMut(Anchor) + Send,
) -> Result<(), LedgerError> {
    let mut rows = sqlx::query_as!(
        AnchorRow,
        r#"select number, lanes, seqs, heads, previous, digest,
                  taken_at as "taken_at: jiff_sqlx::Timestamp"
           from ledger_anchors
           where book_id = $1
           order by number"#,
        book.get()
    )
    .fetch(tx.conn());
    while let Some(row) = rows.try_next().await? {
        take(row.into_anchor(book)?);
    }
    Ok(())
}

struct AnchorRow {
    number: i64,
    taken_at: jiff_sqlx::Timestamp,
    lanes: Vec<i16>,
    seqs: Vec<i64>,
    heads: Vec<Vec<u8>>,
    previous: Vec<u8>,
    digest: Vec<u8>,
}

impl AnchorRow {
    fn into_anchor(self, book: BookId) -> Result<Anchor, LedgerError> {
        let lanes = self.lanes.iter().zip(&self.seqs).zip(&self.heads);
        Ok(Anchor {
            book,
            number: self.number,
            taken_at: self.taken_at.to_jiff(),
            lanes: lanes.map(|((lane_, seq), head)| lane(*lane_, *seq, head)).collect::<Result<_, _>>()?,
            previous: head(&self.previous)?,
            digest: head(&self.digest)?,
        })
    }
}

fn lane(lane: i16, seq: i64, bytes: &[u8]) -> Result<AnchoredLane, LedgerError> {
    Ok(AnchoredLane { lane, seq, head: head(bytes)? })
}

/// sha256 as it is stored.
pub(super) fn head(bytes: &[u8]) -> Result<Head, LedgerError> {
    bytes.try_into().map_err(|_| LedgerError::Unreadable("a sha256"))
}
