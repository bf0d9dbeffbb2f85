//! Looks whether the provider made a movement's money usable, from the date that it named.

use std::sync::Arc;

use jiff::SignedDuration;
use partita_db::Scope;
use partita_provider::SettlementState;

use super::Next;
use crate::app::App;
use crate::due::Due;
use crate::events::{self, ApplyError};
use crate::journal::Journal;
use crate::provider_movements;

/// How soon the provider is asked again when its own date has passed and the money is not usable yet.
const LATE_MINUTES: i64 = 60;

pub(super) async fn settle(app: &Arc<App>, due: &Due) -> Result<Next, ApplyError> {
    let key = due.id;
    let movement = app
        .db
        .read("movement", Scope::Book(due.book), move |tx| {
            Box::pin(async move { provider_movements::find_by_key(tx, key).await })
        })
        .await?;
    let Some(movement) = movement.filter(|movement| movement.state == SettlementState::Pending) else {
        return Ok(Next::Done);
    };
    let provider = app.provider(due.book).await?;
    let account = Some(movement.account.as_str()).filter(|account| !account.is_empty());
    let now = app.clock.now();
    match provider.balance_transaction(account, &movement.id).await {
        Ok(said) if said.state == SettlementState::Available => {}
        Ok(_) => return Ok(Next::At(now + SignedDuration::from_mins(LATE_MINUTES))),
        Err(error) => {
            tracing::warn!(%error, "the provider cannot be asked about a movement; asked again later");
            return Ok(Next::At(now + SignedDuration::from_mins(1)));
        }
    }
    crate::crash::point_of("before_availability", [movement.object_type.as_str()]);
    let app_in = Arc::clone(app);
    app.db
        .run_tx("book availability", Scope::Book(due.book), move |tx| {
            let (app, movement) = (Arc::clone(&app_in), movement.clone());
            Box::pin(async move {
                let mut journal = Journal::new(&app.keys);
                events::apply_availability(tx, &movement, &mut journal, now).await?;
                crate::crash::point_of("within_availability", [movement.object_type.as_str()]);
                journal.post(tx).await?;
                Ok::<_, ApplyError>(())
            })
        })
        .await?;
    crate::crash::point("after_availability");
    Ok(Next::Done)
}
