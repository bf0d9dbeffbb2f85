//! Bank statements and settlement files, read into one form.
//!
//! ```
//! use partita_statements::{Options, Part, read};
//!
//! let file = ":20:S1\n:25:DE02120300000000202051\n:28C:7/1\n:60F:C261126EUR10,00\n\
//!             :61:2611271127C2,50NTRFPO-4711//B-1\n:62F:C261127EUR12,50\n";
//! let mut entries = Vec::new();
//! let read = read(file.as_bytes(), &Options::default(), &mut |part| {
//!     if let Part::Entry(entry) = part {
//!         entries.push(entry);
//!     }
//! })?;
//! assert_eq!((read.statements, entries[0].amount.minor), (1, 2_50));
//! # Ok::<(), partita_statements::Refusal>(())
//! ```
//!
//! A file is taken whole or not at all: [`read`] gives out parts while it reads, so that a large file costs no memory, and
//! whoever takes them throws all of them away if it ends with a [`Refusal`], which says the line and the reason.
//!
//! What a file claims is checked against what it has: balances and totals have to follow from the entries. Amounts are
//! integers of minor units. Nothing of a file is trusted: sizes, depths and counts are limited by [`Limits`], document types
//! and entities are refused, and so are control characters and bytes that are not text.
//!
//! This crate knows neither a database nor a ledger. docs/statements.md says all of it for accountants.

mod accounts;
mod adyen;
mod amount;
mod camt;
mod chain;
mod charset;
mod csv;
mod error;
mod limits;
mod mapping;
mod mt940;
mod output;
mod paypal;
mod rows;
mod statement;
mod text;

use std::fmt;
use std::io::Read;

pub use chain::{ChainBreak, check_chain};
pub use charset::{Charset, UnknownCharset};
pub use error::{Reason, Refusal};
pub use limits::Limits;
pub use mapping::{Amounts, Given, Mapping, Order};
pub use statement::{Balance, Detail, Entry, Fingerprint, Part, Statement};

/// How to read a file.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The encoding of a file that does not say it itself, UTF-8 if it is not given. A mapping's own comes first.
    pub encoding: Option<Charset>,
    /// Reads the file as CSV with these columns, whatever it looks like.
    pub mapping: Option<Mapping>,
    /// How much a file may have.
    pub limits: Limits,
}

/// What a file was, by what is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// ISO 20022 camt.053, .001.02 or .001.08.
    Camt053,
    /// SWIFT MT940.
    Mt940,
    /// CSV by a [`Mapping`].
    Csv,
    /// PayPal's settlement report.
    PaypalSettlement,
    /// Adyen's settlement details report.
    AdyenSettlement,
    /// Adyen's accounting report of a balance platform.
    AdyenAccounting,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Camt053 => "camt053",
            Self::Mt940 => "mt940",
            Self::Csv => "csv",
            Self::PaypalSettlement => "paypal_settlement",
            Self::AdyenSettlement => "adyen_settlement",
            Self::AdyenAccounting => "adyen_accounting",
        })
    }
}

/// A file that was read to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRead {
    /// What it was.
    pub format: Format,
    /// SHA-256 of its bytes: the same file twice has the same.
    pub fingerprint: Fingerprint,
    /// Its bytes.
    pub bytes: u64,
    /// Its statements.
    pub statements: u32,
    /// The entries of all of them.
    pub entries: u64,
}

/// Reads a file to its end and gives out its parts.
///
/// [`Entry::identity`] is made of account, amount, dates, references and texts, and of how many equal entries stand before
/// it in the file. An entry that two files share has the same in both, so that statements that overlap are recognised; two
/// entries that are equal in everything, in two files that do not overlap, have the same too. Whether files overlap is said
/// by their balances and days ([`check_chain`]).
///
/// # Errors
/// A [`Refusal`] with the line and the reason. What was given out before is void then.
pub fn read(source: impl Read, options: &Options, take: &mut dyn FnMut(Part)) -> Result<FileRead, Refusal> {
    let named = options.mapping.as_ref().and_then(|mapping| mapping.encoding).or(options.encoding);
    let mut text = text::Text::open(source, options.limits, named.map(|charset| charset.0))?;
    let mut output = output::Output::new(options.limits, take);
    let recognised = recognise(text.start()?);
    let (format, text) = match (&options.mapping, recognised) {
        (Some(mapping), _) => (Format::Csv, csv::read(text, mapping, &mut output)?),
        (None, Some(Recognised::Camt)) => (Format::Camt053, camt::read(text, &mut output)?),
        (None, Some(Recognised::Mt940)) => (Format::Mt940, mt940::read(text, &mut output)?),
        (None, Some(Recognised::Paypal(delimiter))) => {
            (Format::PaypalSettlement, paypal::read(text, delimiter, &mut output)?)
        }
        (None, Some(Recognised::Adyen(report, delimiter))) => {
            let format = match report {
                adyen::Report::Settlement => Format::AdyenSettlement,
                adyen::Report::Accounting => Format::AdyenAccounting,
            };
            (format, adyen::read(text, report, delimiter, &mut output)?)
        }
        (None, None) => return Err(Reason::UnknownFormat.at(1)),
    };
    let (statements, entries) = output.counts();
    let (fingerprint, bytes) = text.finish();
    Ok(FileRead { format, fingerprint: Fingerprint(fingerprint), bytes, statements, entries })
}

enum Recognised {
    Camt,
    Mt940,
    Paypal(char),
    Adyen(adyen::Report, char),
}

/// What a file is, by its beginning.
fn recognise(start: &str) -> Option<Recognised> {
    let start = start.trim_start();
    let line = start.lines().next()?;
    if start.starts_with('<') {
        Some(Recognised::Camt)
    } else if start.starts_with("{1:") || start.starts_with("{4:") || start.starts_with(":20:") {
        Some(Recognised::Mt940)
    } else if let Some(delimiter) = paypal::recognise(line) {
        Some(Recognised::Paypal(delimiter))
    } else {
        adyen::recognise(line).map(|(report, delimiter)| Recognised::Adyen(report, delimiter))
    }
}
