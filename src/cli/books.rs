//! Which books a command is about.

use std::sync::Arc;

use anyhow::bail;
use clap::ValueEnum;
use partita_db::Scope;

use crate::app::App;
use crate::platforms::{self, Book, Mode};

/// Whether real money moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ModeArg {
    /// The provider's test mode, or the simulator.
    Test,
    /// Real money.
    Live,
}

impl From<ModeArg> for Mode {
    fn from(mode: ModeArg) -> Self {
        match mode {
            ModeArg::Test => Self::Test,
            ModeArg::Live => Self::Live,
        }
    }
}

/// Every book, or those of one platform.
pub(super) async fn list(app: &Arc<App>, platform: Option<&str>) -> anyhow::Result<Vec<Book>> {
    let books = app
        .db
        .read("list books", Scope::Routing, |tx| Box::pin(async move { platforms::list_books(tx).await }))
        .await?;
    let Some(reference) = platform else { return Ok(books) };
    let known = references(&books);
    let found: Vec<Book> = books.into_iter().filter(|book| book.reference == reference).collect();
    if found.is_empty() {
        bail!("there is no platform {reference:?}; {known}");
    }
    Ok(found)
}

/// The book of a platform; the platform may stay unnamed where there is only one.
pub(super) async fn one(app: &Arc<App>, platform: Option<&str>, mode: ModeArg) -> anyhow::Result<Book> {
    let books = list(app, platform).await?;
    let mode = Mode::from(mode);
    let mut of_mode: Vec<Book> = books.iter().filter(|book| book.mode == mode).cloned().collect();
    match (of_mode.pop(), of_mode.is_empty()) {
        (Some(book), true) => Ok(book),
        _ => bail!("say which platform, with --platform; {}", references(&books)),
    }
}

fn references(books: &[Book]) -> String {
    let mut references: Vec<&str> = books.iter().map(|book| book.reference.as_str()).collect();
    references.dedup();
    match references.as_slice() {
        [] => "there is none yet: make one with `partita platforms create`".to_owned(),
        _ => format!("there are: {}", references.join(", ")),
    }
}
