//! Reads the application fees of direct charges: what the platform keeps of them is an object of its own at the provider, told by
//! no answer to a command.

use std::sync::Arc;

use jiff::SignedDuration;
use partita_db::Scope;
use partita_provider::{FetchError, Lookup};

use super::Next;
use crate::app::App;
use crate::due::Due;
use crate::events::{self, ApplyError, Origin, Remedy};
use crate::journal::Journal;
use crate::payments;

/// How soon a fee is read again that the provider did not show, or not all of.
const AGAIN_MINUTES: i64 = 1;
/// And one that contradicts the charge, for which a person has to look.
const CONTRADICTED_HOURS: i64 = 24;

pub(super) async fn read(app: &Arc<App>, due: &Due) -> Result<Next, ApplyError> {
    let key = due.id;
    let fee = app
        .db
        .read("application fee to read", Scope::Book(due.book), move |tx| {
            Box::pin(async move {
                let Some(payment) = payments::find_by_key(tx, key).await? else { return Ok(None) };
                let direct = payments::find_direct(tx, &payment).await?;
                Ok::<_, ApplyError>(direct.and_then(|direct| direct.provider_fee))
            })
        })
        .await?;
    let Some(fee) = fee else { return Ok(Next::Done) };
    let provider = app.provider(due.book).await?;
    let now = app.clock.now();
    let again = Next::At(now + SignedDuration::from_mins(AGAIN_MINUTES));
    let said = match provider.fetch(&Lookup::ApplicationFee(fee.clone())).await {
        Ok(said) => Arc::new(said),
        Err(error @ (FetchError::NotFound | FetchError::Refused(_) | FetchError::NoAccess)) => {
            tracing::error!(book = due.book.get(), fee, %error, "an application fee is not shown");
            return Ok(Next::At(now + SignedDuration::from_hours(CONTRADICTED_HOURS)));
        }
        Err(error) => {
            tracing::warn!(book = due.book.get(), fee, %error, "an application fee cannot be read; asked again later");
            return Ok(again);
        }
    };
    let mode = events::mode_of(app, due.book).await?;
    let app_in = Arc::clone(app);
    let taken = app
        .db
        .run_tx("take application fee", Scope::Book(due.book), move |tx| {
            let (app, said) = (Arc::clone(&app_in), Arc::clone(&said));
            Box::pin(async move {
                let mut journal = Journal::new(&app.keys);
                let origin = Origin { provider: "stripe", account: "", mode, now };
                events::apply_object(tx, &said, origin, &mut journal).await?;
                journal.post(tx).await?;
                Ok::<_, ApplyError>(())
            })
        })
        .await;
    match taken {
        Ok(()) => Ok(Next::Done),
        Err(error) if error.remedy() == Remedy::Later => Ok(again),
        Err(error) if error.remedy() == Remedy::Person => {
            tracing::error!(book = due.book.get(), fee, %error, "an application fee cannot be booked as it is");
            Ok(Next::At(now + SignedDuration::from_hours(CONTRADICTED_HOURS)))
        }
        Err(error) => Err(error),
    }
}
