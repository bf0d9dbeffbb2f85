//! One kind of work, done as fast as it comes. Each kind has a lane of its own, and a book has only so many pieces under
//! way in each: a provider that hangs or a marketplace with a mountain of work holds up nobody else.

use std::collections::HashMap;
use std::sync::Arc;

use partita_db::BookId;
use tokio::sync::Notify;
use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use super::Piece;
use crate::app::App;

/// Pieces under way at once.
const UNDER_WAY: usize = 64;
/// Of which one book may have so many.
const OF_A_BOOK: usize = 8;

/// Works until cancelled, whenever the lookout says that something is due; what is under way is finished.
pub(super) async fn run(app: Arc<App>, kind: &'static str, due: &Notify, stop: CancellationToken) {
    let mut pieces = UnderWay::default();
    while !stop.is_cancelled() {
        let free = UNDER_WAY - pieces.tasks.len();
        tokio::select! {
            () = stop.cancelled() => {}
            Some(ended) = pieces.tasks.join_next_with_id() => {
                pieces.note(ended);
                // There is room again, and what was done may have to be done again.
                app.wake.now();
            }
            () = due.notified(), if free > 0 => while begin(&app, kind, &mut pieces).await > 0 {},
        }
    }
    while let Some(ended) = pieces.tasks.join_next_with_id().await {
        pieces.note(ended);
    }
}

/// Claims what is due and begins it; what is too much of one book goes back. Returns how many pieces were begun.
async fn begin(app: &Arc<App>, kind: &'static str, pieces: &mut UnderWay) -> usize {
    let free = UNDER_WAY - pieces.tasks.len();
    if free == 0 {
        return 0;
    }
    // No more than one book may have, so that little goes back when all of it is one book's.
    let claimed = match Piece::claim(app, kind, free.min(OF_A_BOOK), &pieces.full_books()).await {
        Ok(claimed) => claimed,
        Err(error) => {
            tracing::error!(kind, %error, "the worker cannot read its queue");
            return 0;
        }
    };
    let mut too_much = Vec::new();
    let mut began = 0;
    for piece in claimed {
        if pieces.of_book(piece.book()) >= OF_A_BOOK {
            too_much.push(piece);
        } else {
            pieces.spawn(Arc::clone(app), piece);
            began += 1;
        }
    }
    if let Err(error) = Piece::release(app, too_much).await {
        tracing::error!(kind, %error, "work that was too much could not be given back; its lease runs out");
    }
    began
}

#[derive(Default)]
struct UnderWay {
    tasks: JoinSet<()>,
    books: HashMap<Id, BookId>,
}

impl UnderWay {
    fn spawn(&mut self, app: Arc<App>, piece: Piece) {
        let book = piece.book();
        let task = self.tasks.spawn(async move { piece.work(&app).await });
        self.books.insert(task.id(), book);
    }

    fn note(&mut self, ended: Result<(Id, ()), JoinError>) {
        let id = match ended {
            Ok((id, ())) => id,
            Err(error) => {
                tracing::error!(%error, "a piece of work died; its lease runs out and it is done again");
                error.id()
            }
        };
        self.books.remove(&id);
    }

    fn of_book(&self, book: BookId) -> usize {
        self.books.values().filter(|of| **of == book).count()
    }

    fn full_books(&self) -> Vec<BookId> {
        let mut counts: HashMap<BookId, usize> = HashMap::new();
        for book in self.books.values() {
            *counts.entry(*book).or_default() += 1;
        }
        counts.into_iter().filter(|(_, count)| *count >= OF_A_BOOK).map(|(book, _)| book).collect()
    }
}
