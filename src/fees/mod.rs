//! Fee policies: what the platform keeps of a sale. A policy has versions that never change; a payment keeps the
//! version it was priced with, so that a new price never touches an old sale.

mod policy;
mod store;

use std::sync::Arc;

use jiff::Timestamp;
use partita_db::{BookId, DbError, Scope};

pub use policy::{FeeAmounts, FeeTerms, commission};
pub use store::{find, find_default, list};

use crate::actor::Actor;
use crate::app::App;
use crate::id::FeePolicyId;
use crate::idempotency::{self, Begun, ClaimError};

/// A policy with its newest version.
#[derive(Debug, Clone)]
pub struct FeePolicy {
    /// Its id.
    pub id: FeePolicyId,
    /// The platform's own id of it.
    pub reference: String,
    /// Its name.
    pub name: String,
    /// Whether it prices lines that name none.
    pub is_default: bool,
    /// The newest version; the first is 1.
    pub version: i32,
    /// The newest version's terms.
    pub terms: FeeTerms,
    /// When it was made, by the business clock.
    pub created_at: Timestamp,
    /// When its newest version was made.
    pub updated_at: Timestamp,
}

/// What a platform says of a new policy.
#[derive(Debug, Clone)]
pub struct NewFeePolicy {
    /// The platform's own id, unique among its policies.
    pub reference: String,
    /// Its name.
    pub name: String,
    /// Whether it prices lines that name none; the default before loses that.
    pub is_default: bool,
    /// Its terms.
    pub terms: FeeTerms,
}

/// Why something cannot be done with a fee policy.
#[derive(Debug, thiserror::Error)]
pub enum FeeError {
    /// No such policy in this book.
    #[error("no such fee policy")]
    NotFound,
    /// Another policy has the reference.
    #[error("a fee policy with this reference exists")]
    ReferenceTaken,
    /// The idempotency key cannot be claimed.
    #[error(transparent)]
    Claim(#[from] ClaimError),
    /// A minimum above its maximum.
    #[error("the minimum for {currency} is above its maximum")]
    MinimumAboveMaximum {
        /// The currency's code.
        currency: String,
    },
    /// The database refused.
    #[error(transparent)]
    Db(#[from] DbError),
}

/// Makes a policy with its first version.
///
/// # Errors
/// [`FeeError`].
pub async fn create(
    app: &Arc<App>,
    book: BookId,
    actor: Actor,
    request: Option<idempotency::Request>,
    input: NewFeePolicy,
) -> Result<Begun<FeePolicyId>, FeeError> {
    input.terms.check()?;
    let now = app.clock.now();
    app.db
        .run_tx("create fee policy", Scope::Book(book), move |tx| {
            let (input, request) = (input.clone(), request.clone());
            Box::pin(async move {
                if let Some(request) = &request
                    && let Some(earlier) = idempotency::claim(tx, request, now).await?
                {
                    return Ok(earlier);
                }
                let id = FeePolicyId::new();
                if input.is_default {
                    store::clear_default(tx).await?;
                }
                store::insert(tx, id, &input, now).await?;
                store::insert_version(tx, id, 1, &input.terms, actor, now).await?;
                if let Some(request) = &request {
                    idempotency::bind(tx, &request.key, "fee_policy", id.uuid()).await?;
                }
                Ok(Begun::Fresh(id))
            })
        })
        .await
}

/// Gives a policy new terms: a new version, valid for payments from now on.
///
/// # Errors
/// [`FeeError`].
pub async fn change_terms(
    app: &Arc<App>,
    book: BookId,
    actor: Actor,
    id: FeePolicyId,
    terms: FeeTerms,
) -> Result<FeePolicy, FeeError> {
    terms.check()?;
    let now = app.clock.now();
    app.db
        .run_tx("change fee policy", Scope::Book(book), move |tx| {
            let terms = terms.clone();
            Box::pin(async move {
                let version = store::next_version(tx, id, now).await?.ok_or(FeeError::NotFound)?;
                store::insert_version(tx, id, version, &terms, actor, now).await?;
                store::find(tx, id).await?.ok_or(FeeError::NotFound)
            })
        })
        .await
}
