//! What a platform declares of when shares are released.

use std::sync::Arc;

use partita_db::{BookId, Scope};

use super::{ReleasePolicy, store};
use crate::actor::Actor;
use crate::app::App;
use crate::outbox::{self, Declaration};
use crate::payments::PaymentError;

/// Declares when shares are released from now on of lines that do not say it themselves, and how long any may be held. Payments
/// made before stay as they are.
///
/// # Errors
/// What the database says.
pub async fn declare_release_policy(
    app: &Arc<App>,
    book: BookId,
    actor: Actor,
    policy: ReleasePolicy,
) -> Result<ReleasePolicy, PaymentError> {
    let now = app.clock.now();
    let policy = Arc::new(policy);
    app.db
        .run_tx("declare release policy", Scope::Book(book), move |tx| {
            let policy = Arc::clone(&policy);
            Box::pin(async move {
                outbox::lock_declaration(tx, Declaration::ReleasePolicy).await?;
                let declared = store::insert_release_policy(tx, &policy, actor, now).await?;
                let country =
                    |(country, days): &(String, i32)| serde_json::json!({"country": country, "longest_hold_days": days});
                let payload = serde_json::json!({
                    "object": "release_policy", "version": declared.version, "from": declared.rule.from.as_str(),
                    "after_days": declared.rule.after_days, "longest_hold_days": declared.longest_hold_days,
                    "countries": declared.countries.iter().map(country).collect::<Vec<_>>(),
                    "warn_days": declared.warn_days, "at_limit": declared.at_limit.as_str(),
                });
                outbox::record_declaration(tx, Declaration::ReleasePolicy, payload, actor, None, now).await?;
                Ok(declared)
            })
        })
        .await
}
