//! The database's clock.

use std::time::{Duration, Instant};

use crate::{Db, DbError, Scope};

/// What the database's clock said, and when by time that is measured here.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    /// Microseconds since 1970.
    pub unix_micros: i64,
    /// The middle of the question: the clock stood there at this moment, give or take half of [`Reading::took`].
    pub at: Instant,
    /// How long the answer took.
    pub took: Duration,
}

impl Db {
    /// Reads the database's clock.
    ///
    /// # Errors
    /// [`DbError`] when the database does not answer.
    pub async fn read_clock(&self) -> Result<Reading, DbError> {
        self.read("clock", Scope::Routing, |tx| {
            Box::pin(async move {
                let asked = Instant::now();
                let sql = "select (extract(epoch from clock_timestamp()) * 1000000)::bigint";
                let unix_micros: i64 = sqlx::query_scalar(sql).fetch_one(tx.conn()).await?;
                let took = asked.elapsed();
                Ok(Reading { unix_micros, at: asked + took / 2, took })
            })
        })
        .await
    }
}
