//! Reads files as tests want them: all parts at once.

use partita_statements::{Entry, FileRead, Options, Part, Refusal, Statement, read};

/// A file with its parts.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct File {
    pub(crate) read: FileRead,
    pub(crate) statements: Vec<Statement>,
    pub(crate) entries: Vec<Entry>,
}

impl File {
    pub(crate) fn read(bytes: &[u8], options: &Options) -> Result<Self, Refusal> {
        let (mut statements, mut entries) = (Vec::new(), Vec::new());
        let read = read(bytes, options, &mut |part| match part {
            Part::Entry(entry) => entries.push(*entry),
            Part::Statement(statement) => statements.push(*statement),
        })?;
        Ok(Self { read, statements, entries })
    }
}

/// A file that is right.
#[track_caller]
pub(crate) fn whole(text: &str) -> File {
    File::read(text.as_bytes(), &Options::default()).expect("a file that is right")
}

/// Why a file is not.
#[track_caller]
pub(crate) fn refused(text: &str) -> Refusal {
    File::read(text.as_bytes(), &Options::default()).expect_err("a file that is wrong")
}

/// The lines with their ends.
pub(crate) fn lines_of(text: &str) -> Vec<&str> {
    text.split_inclusive('\n').collect()
}
