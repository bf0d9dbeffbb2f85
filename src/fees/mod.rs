//! Fee policies: what the platform keeps of a sale. A policy has versions that never change, each valid from a time; a
//! payment keeps the version and the rule it was priced with, so that a new price never touches an old sale.
//!
//! - `rules.rs`: which rule is for a line. `policy.rs`: what a rule takes of it. `explain.rs`: that, in words. All pure.
//! - Which version holds: of those that have begun, the one that began last; of two that began together, the newer.

mod countries;
mod explain;
mod fault;
mod policy;
mod rules;
mod store;

use std::sync::Arc;

use jiff::{Timestamp, Unit};
use partita_db::{BookId, DbError, Scope, Tx};

pub use explain::{sentence, vat_sentence};
pub use fault::{TermsFault, TermsProblem};
pub use policy::{Calculation, FeeAmounts, Price, Priced, Tier, Volume, price};
pub use rules::{
    AmountRange, Conditions, FeeBearer, FeeRule, FeeTerms, MOST_RULES, MOST_TIERS, MOST_VALUES, Sale, SaleKind,
};
pub use store::{find, find_default, find_version, list, list_versions};

use crate::actor::Actor;
use crate::app::App;
use crate::id::FeePolicyId;
use crate::idempotency::{self, Begun, ClaimError};

/// A policy with the version that holds at the time it was read for.
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
    /// The version that holds; the first is 1.
    pub version: i32,
    /// The newest version, which may be planned for later.
    pub newest_version: i32,
    /// The terms of the version that holds.
    pub terms: FeeTerms,
    /// When it was made, by the business clock.
    pub created_at: Timestamp,
    /// When its newest version was made.
    pub updated_at: Timestamp,
}

/// A version of a policy. Never changes.
#[derive(Debug, Clone)]
pub struct FeePolicyVersion {
    /// Its number, from 1.
    pub version: i32,
    /// From when it prices.
    pub valid_from: Timestamp,
    /// What it says.
    pub terms: FeeTerms,
    /// Who made it.
    pub created_by: String,
    /// When it was made, by the business clock.
    pub created_at: Timestamp,
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
    /// The terms cannot be.
    #[error(transparent)]
    Terms(#[from] TermsFault),
    /// A version that would have begun before it is made: payments were priced since.
    #[error("a new version is valid from now on or later")]
    ValidFromPast,
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
                check_sellers(tx, &input.terms).await?;
                let id = FeePolicyId::new();
                if input.is_default {
                    store::clear_default(tx).await?;
                }
                store::insert(tx, id, &input, now).await?;
                store::insert_version(tx, id, 1, &input.terms, now, actor, now).await?;
                if let Some(request) = &request {
                    idempotency::bind(tx, &request.key, "fee_policy", id.uuid()).await?;
                }
                Ok(Begun::Fresh(id))
            })
        })
        .await
}

/// Gives a policy new terms: a new version, for payments from `valid_from` on, which is now unless it says later.
/// Answers with the policy as it is now.
///
/// # Errors
/// [`FeeError`].
pub async fn change_terms(
    app: &Arc<App>,
    book: BookId,
    actor: Actor,
    id: FeePolicyId,
    terms: FeeTerms,
    valid_from: Option<Timestamp>,
) -> Result<FeePolicy, FeeError> {
    terms.check()?;
    let now = app.clock.now();
    // Rows keep microseconds: what is compared is what will be read.
    let valid_from = valid_from.map(|from| from.round(Unit::Microsecond).unwrap_or(from));
    if valid_from.is_some_and(|from| from < now) {
        return Err(FeeError::ValidFromPast);
    }
    let begins = valid_from.unwrap_or(now);
    app.db
        .run_tx("change fee policy", Scope::Book(book), move |tx| {
            let terms = terms.clone();
            Box::pin(async move {
                let version = store::next_version(tx, id).await?.ok_or(FeeError::NotFound)?;
                check_sellers(tx, &terms).await?;
                store::insert_version(tx, id, version, &terms, begins, actor, now).await?;
                store::set_changed(tx, id, (begins <= now).then_some(version), now).await?;
                store::find(tx, id, now).await?.ok_or(FeeError::NotFound)
            })
        })
        .await
}

/// Refuses terms that name sellers which this book does not have.
///
/// # Errors
/// [`FeeError::Terms`] with the seller's place.
pub async fn check_sellers(tx: &mut Tx, terms: &FeeTerms) -> Result<(), FeeError> {
    let named: Vec<_> = terms.named_sellers().collect();
    if named.is_empty() {
        return Ok(());
    }
    let ids: Vec<_> = named.iter().map(|(_, _, seller)| *seller).collect();
    let known = store::known_sellers(tx, &ids).await?;
    match named.iter().find(|(_, _, seller)| !known.contains(seller)) {
        None => Ok(()),
        Some((rule, place, _)) => {
            let path = [rule.to_string(), "when".to_owned(), "sellers".to_owned(), place.to_string()];
            Err(TermsFault { path: path.to_vec(), problem: TermsProblem::UnknownSeller }.into())
        }
    }
}
