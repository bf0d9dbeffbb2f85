//! What stands beside each file: what it is, of when, and what it adds up to.

use std::io::{self, Read, Write};

use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::{ControlTotals, Error};

/// The facts of one file, as JSON beside it.
///
/// `generated_at` is the only fact that differs when a report is run again at the same position: `sha256` is the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Manifest {
    /// The run that made the file.
    pub run_id: String,
    /// The report's name, as `trial-balance`.
    pub report: String,
    /// The file's name, without folders.
    pub file: String,
    /// The format, as `csv`.
    pub format: String,
    /// The book it is of.
    pub book: String,
    /// The first day, in `timezone`.
    pub from: Date,
    /// The last day, inclusive, in `timezone`.
    pub to: Date,
    /// The time zone that days are cut in, a name of the IANA database.
    pub timezone: String,
    /// When the run was made.
    pub generated_at: Timestamp,
    /// The ledger's position that the run saw, as text: a run at the same one gives the same file.
    pub position: String,
    /// What was written.
    pub content: Content,
    /// What the file adds up to.
    pub control_totals: ControlTotals,
}

/// How a file is known again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Content {
    /// Length in bytes.
    pub bytes: u64,
    /// SHA-256 of the bytes, lower-case hexadecimal.
    pub sha256: String,
}

impl Content {
    /// Reads a finished file to its end.
    ///
    /// # Errors
    /// Those of the reader.
    pub fn of(mut file: impl Read) -> io::Result<Self> {
        let (mut hash, mut bytes, mut buffer) = (Sha256::new(), 0, vec![0; 65_536]);
        loop {
            let read = file.read(&mut buffer)?;
            if read == 0 {
                return Ok(Self { bytes, sha256: hex::encode(hash.finalize()) });
            }
            hash.update(&buffer[..read]);
            bytes += u64::try_from(read).expect("a buffer is shorter than that");
        }
    }
}

impl Manifest {
    /// Writes it as JSON, a fact a line.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn write(&self, mut out: impl Write) -> Result<(), Error> {
        serde_json::to_writer_pretty(&mut out, self).map_err(io::Error::from)?;
        out.write_all(b"\n")?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_known_by_the_hash_of_its_bytes() {
        let content = Content::of(&b"abc"[..]).expect("memory is read");
        assert_eq!(content.bytes, 3);
        // The first vector of FIPS 180-4.
        assert_eq!(content.sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(Content::of(&vec![7; 200_000][..]).expect("memory is read").bytes, 200_000);
    }
}
