//! How much a file may have, so that a hostile one costs little.

/// The most of everything. What is kept of a file while it is read: one piece, one entry with its details, and some forty
/// bytes for each entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the file.
    pub bytes: u64,
    /// Bytes of one line, record, tag or text.
    pub piece: usize,
    /// Levels of elements within elements.
    pub depth: usize,
    /// Entries of all statements.
    pub entries: u64,
    /// Payments of one entry, as of a batch.
    pub details: usize,
    /// Bytes of the texts of one entry with its payments.
    pub entry: usize,
}

impl Default for Limits {
    /// 1 GiB, pieces of 64 KiB, 32 levels, two million entries of 100,000 payments and 16 MiB each.
    fn default() -> Self {
        Self { bytes: 1 << 30, piece: 64 * 1024, depth: 32, entries: 2_000_000, details: 100_000, entry: 16 << 20 }
    }
}
