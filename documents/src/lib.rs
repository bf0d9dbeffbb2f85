//! The formats that finance opens: pure writers, which know nothing of the service, of a clock or of chance.
//!
//! Every writer takes rows one after the other, checks them, adds up what it writes and gives the sums back when it is
//! finished ([`ControlTotals`]). The same input gives the same bytes. A writer that has refused a row has written a part of
//! a file: throw it away.
//!
//! | for | module |
//! |---|---|
//! | tables: CSV, JSON, XLSX | [`table`] |
//! | the journal as DATEV takes it | [`datev`] |
//! | a bank's statement, camt.053.001.08 | [`camt053`] |
//! | what platforms report of sellers, the OECD's DPI | [`dpi`] |
//! | a seller's statement, HTML and PDF | [`statement`] |
//! | charts, SVG with a table | [`chart`] |
//! | what stands beside each file | [`manifest`] |

mod amount;
pub mod camt053;
pub mod chart;
pub mod datev;
pub mod dpi;
mod error;
mod locale;
pub mod manifest;
pub mod statement;
pub mod table;
mod totals;
mod xml;

pub use error::Error;
pub use locale::Language;
pub use totals::{ControlTotals, Sum};
