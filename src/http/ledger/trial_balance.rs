//! `/v1/ledger/trial_balance`.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use partita_db::BookId;
use partita_ledger::{LedgerError, TrialBalanceRow, trial_balance as ledger_trial_balance};
use serde::Serialize;
use utoipa::ToSchema;

use super::super::HttpState;
use super::super::auth::Caller;
use super::super::fields::{Currency, currency_schema};
use super::super::problem::Problem;
use super::super::query::Query;
use super::super::render::{Refusals, Time};
use super::{Instant, known_position, shown, side};
use crate::id::LedgerId;

/// A line of the trial balance; minor units.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = TrialBalanceRow)]
struct RowBody {
    /// The account's id.
    #[schema(example = "lac_00000000000000800000000001")]
    account: String,
    /// Its name.
    #[schema(example = "prov.available")]
    path: String,
    #[schema(schema_with = currency_schema)]
    currency: Currency,
    /// `debit` or `credit`.
    #[schema(value_type = String, example = "debit")]
    normal_side: &'static str,
    #[schema(example = 11680)]
    debits: i64,
    #[schema(example = 5400)]
    credits: i64,
    /// Positive on the normal side.
    #[schema(example = 6280)]
    balance: i64,
}

impl RowBody {
    fn show(book: BookId, row: &TrialBalanceRow) -> Self {
        Self {
            account: LedgerId::account(book, row.account.get()).to_string(),
            path: row.path.clone(),
            currency: row.currency,
            normal_side: side(row.normal_side),
            debits: shown(row.debits),
            credits: shown(row.credits),
            balance: shown(row.normal_side.signed(row.debits, row.credits)),
        }
    }
}

/// The sums of one currency; they are equal, or the books are broken.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[schema(as = TrialBalanceTotal)]
struct TotalBody {
    #[schema(schema_with = currency_schema)]
    currency: Currency,
    #[schema(example = 48000)]
    debits: i64,
    #[schema(example = 48000)]
    credits: i64,
}

/// The trial balance: every account with its sums, and the sums of each currency.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = TrialBalance)]
pub(super) struct TrialBalanceBody {
    /// Always `trial_balance`.
    #[schema(value_type = String, example = "trial_balance")]
    object: &'static str,
    /// `test` or `live`.
    #[schema(value_type = String, example = "test")]
    mode: &'static str,
    /// What was effective at this time; null: everything.
    as_of: Option<Time>,
    /// What was posted up to here; name it to get the same figures again.
    #[schema(example = "1:523,2:88")]
    position: String,
    rows: Vec<RowBody>,
    totals: Vec<TotalBody>,
}

fn totals(rows: &[TrialBalanceRow]) -> Vec<TotalBody> {
    let mut sums: BTreeMap<Currency, (i128, i128)> = BTreeMap::new();
    for row in rows {
        let sum = sums.entry(row.currency).or_default();
        sum.0 += row.debits;
        sum.1 += row.credits;
    }
    let show = |(currency, (debits, credits))| TotalBody { currency, debits: shown(debits), credits: shown(credits) };
    sums.into_iter().map(show).collect()
}

/// The trial balance, now or at an instant of the past. Debits equal credits, per currency.
#[utoipa::path(
    get, path = "/v1/ledger/trial_balance", tag = "Ledger", operation_id = "get_trial_balance",
    params(Instant),
    responses((status = 200, description = "Every account that has postings", body = TrialBalanceBody), Refusals),
)]
pub(super) async fn trial_balance(
    State(state): State<HttpState>,
    caller: Caller,
    Query(instant): Query<Instant>,
) -> Result<Json<TrialBalanceBody>, Problem> {
    caller.require("ledger:read")?;
    let (as_of, position) = (instant.as_of, instant.position()?);
    let (rows, position) = state
        .app
        .db
        .read("trial balance", caller.scope(), move |tx| {
            let position = position.clone();
            Box::pin(async move {
                let known = known_position(tx, position).await?;
                Ok::<_, LedgerError>((ledger_trial_balance(tx, as_of, Some(&known)).await?, known))
            })
        })
        .await?;
    Ok(Json(TrialBalanceBody {
        object: "trial_balance",
        mode: caller.mode.as_str(),
        as_of: as_of.map(Time),
        position: position.to_string(),
        totals: totals(&rows),
        rows: rows.iter().map(|row| RowBody::show(caller.book, row)).collect(),
    }))
}
