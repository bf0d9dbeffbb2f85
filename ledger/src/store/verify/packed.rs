//! Rows as one run of bytes. Postgres puts the binary forms of a row's columns one after the other and of all rows, too:
//! that costs it half of what an array per column does, and nearly nothing to read.
//!
//! A column that is null where none may be makes its row disappear, which shows as a gap.

use jiff::Timestamp;

use crate::{chain::from_postgres_time, error::LedgerError};

/// What is left of the bytes.
pub(super) struct Packed<'a>(&'a [u8]);

/// Reads rows until the bytes are at their end; there are none where nothing was aggregated.
pub(super) fn rows<T>(
    bytes: Option<Vec<u8>>,
    mut row: impl FnMut(&mut Packed<'_>) -> Result<T, LedgerError>,
) -> Result<Vec<T>, LedgerError> {
    let bytes = bytes.unwrap_or_default();
    let mut packed = Packed(&bytes);
    let mut rows = Vec::new();
    while !packed.0.is_empty() {
        rows.push(row(&mut packed)?);
    }
    Ok(rows)
}

impl Packed<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], LedgerError> {
        let (field, rest) = self.0.split_first_chunk().ok_or(LedgerError::Unreadable("a row that ends early"))?;
        self.0 = rest;
        Ok(*field)
    }

    pub(super) fn int2(&mut self) -> Result<i16, LedgerError> {
        self.take().map(i16::from_be_bytes)
    }

    pub(super) fn int4(&mut self) -> Result<i32, LedgerError> {
        self.take().map(i32::from_be_bytes)
    }

    pub(super) fn int8(&mut self) -> Result<i64, LedgerError> {
        self.take().map(i64::from_be_bytes)
    }

    pub(super) fn boolean(&mut self) -> Result<bool, LedgerError> {
        self.take().map(|[byte]| byte != 0)
    }

    /// A boolean that says whether there is one, and then it.
    pub(super) fn optional_int8(&mut self) -> Result<Option<i64>, LedgerError> {
        if self.boolean()? { self.int8().map(Some) } else { Ok(None) }
    }

    pub(super) fn time(&mut self) -> Result<Timestamp, LedgerError> {
        from_postgres_time(self.take()?).ok_or(LedgerError::Unreadable("a time that is none"))
    }
}
