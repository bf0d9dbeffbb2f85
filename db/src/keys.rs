//! Ledger-internal keys made by the caller: a sequence gives blocks, the process counts inside them.

use std::ops::Range;
use std::sync::{Arc, Mutex};

use crate::error::DbError;
use crate::transaction::Tx;

/// Gives out `i64` keys that no other process and no later run gets.
///
/// The sequence `internal_keys` gives the first key of a block; its `increment by` is the size of the block. A block is
/// fetched on the caller's own connection, so that a unit of work never waits for a second one: a pool whose every
/// connection waited for another would stand still. What a process has not used when it ends, or two transactions fetch
/// at the same time, is lost, never given twice: a sequence does not roll back, and a key that was written down durably
/// was given after the sequence's own record in the log, which is flushed with it. A server that takes over may never
/// have heard of a block and give it anew, so that a block is good on the timeline it came from only.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    free: Arc<Mutex<Block>>,
}

/// Keys that were fetched and not given yet.
#[derive(Debug, Default)]
struct Block {
    free: Range<i64>,
    timeline: Option<String>,
}

impl Keys {
    /// An allocator without keys; the first call fetches a block.
    pub fn new() -> Self {
        Self::default()
    }

    /// One key.
    ///
    /// # Errors
    /// If the sequence cannot be read.
    pub async fn next(&self, tx: &mut Tx) -> Result<i64, DbError> {
        let timeline = tx.timeline().map(str::to_owned);
        if let Some(key) = self.free_on(timeline.as_deref()) {
            return Ok(key);
        }
        let mut free = fetch_block(tx).await?;
        let key = free.next().ok_or_else(|| sqlx::Error::Protocol("internal_keys gives empty blocks".to_owned()))?;
        *self.block() = Block { free, timeline };
        Ok(key)
    }

    fn free_on(&self, timeline: Option<&str>) -> Option<i64> {
        let mut block = self.block();
        if block.timeline.as_deref() == timeline { block.free.next() } else { None }
    }

    fn block(&self) -> std::sync::MutexGuard<'_, Block> {
        self.free.lock().expect("nothing panics while holding it")
    }
}

async fn fetch_block(tx: &mut Tx) -> Result<Range<i64>, DbError> {
    let (first, size): (i64, i64) = sqlx::query_as(
        "select nextval('internal_keys'), seqincrement from pg_catalog.pg_sequence
         where seqrelid = 'internal_keys'::regclass",
    )
    .fetch_one(tx.conn())
    .await?;
    let end = first.checked_add(size).filter(|end| *end > first);
    let end = end.ok_or_else(|| {
        sqlx::Error::Protocol(format!("internal_keys gives no block: first key {first}, increment {size}"))
    })?;
    Ok(first..end)
}
