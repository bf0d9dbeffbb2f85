//! `/v1/ledger/..`: accounts, transactions and the trial balance, at any instant.

mod trial_balance;

use axum::Json;
use axum::extract::{OriginalUri, Path, State};
use axum::response::Response;
use jiff::Timestamp;
use partita_db::{BookId, Tx};
use partita_ledger::{
    AccountFilter, AccountKey, AccountView, LedgerError, NormalSide, PositionVector, PostingView, TransactionFilter,
    TransactionView, balance_at, current_position, find_transaction, list_accounts, list_transactions,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::HttpState;
use super::auth::Caller;
use super::cursor::{self, List};
use super::fields::{Currency, currency_schema};
use super::problem::{Place, Problem};
use super::problem_types;
use super::query::{NoParameters, Query};
use super::render::{Refusals, Time};
use crate::id::LedgerId;

/// The routes.
pub fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new()
        .routes(routes!(accounts))
        .routes(routes!(account))
        .routes(routes!(transactions))
        .routes(routes!(transaction))
        .routes(routes!(trial_balance::trial_balance))
}

/// A sum as it is shown. Sums are exact in the ledger; one beyond 64 bits is shown as the largest number there is.
pub(super) fn shown(sum: i128) -> i64 {
    i64::try_from(sum).unwrap_or(if sum < 0 { i64::MIN } else { i64::MAX })
}

fn side(side: NormalSide) -> &'static str {
    match side {
        NormalSide::Debit => "debit",
        NormalSide::Credit => "credit",
    }
}

/// An instant of the books. Two axes: what was effective, and what was known.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Instant {
    /// Only what was effective at this business time; RFC 3339. Everything when absent.
    #[param(value_type = Option<String>, format = DateTime)]
    as_of: Option<Timestamp>,
    /// Only what was posted up to this position, as an earlier answer named it. Everything when absent.
    #[param(example = "1:523,2:88")]
    position: Option<String>,
}

impl Instant {
    fn position(&self) -> Result<Option<PositionVector>, Problem> {
        let read = |text: &String| {
            text.parse::<PositionVector>().map_err(|error| {
                Problem::new(&problem_types::VALIDATION_FAILED).error(
                    Place::Parameter("position".to_owned()),
                    &problem_types::INVALID_VALUE,
                    error.to_string(),
                )
            })
        };
        self.position.as_ref().map(read).transpose()
    }
}

/// A ledger account.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = LedgerAccount)]
struct AccountBody {
    /// Always `ledger_account`.
    #[schema(value_type = String, example = "ledger_account")]
    object: &'static str,
    #[schema(example = "lac_00000000000000800000000001")]
    id: String,
    /// `test` or `live`.
    #[schema(value_type = String, example = "test")]
    mode: &'static str,
    /// Its name; unique with the currency.
    #[schema(example = "prov.available")]
    path: String,
    #[schema(schema_with = currency_schema)]
    currency: Currency,
    /// `debit` or `credit`: the side on which the balance is positive.
    #[schema(value_type = String, example = "debit")]
    normal_side: &'static str,
    /// When it was opened.
    created_at: Time,
}

impl AccountBody {
    fn show(caller: &Caller, account: AccountView) -> Self {
        Self {
            object: "ledger_account",
            id: LedgerId::account(caller.book, account.key.get()).to_string(),
            mode: caller.mode.as_str(),
            path: account.path,
            currency: account.key.currency(),
            normal_side: side(account.normal_side),
            created_at: Time(account.opened_at),
        }
    }
}

/// Filters of the accounts.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct AccountFilters {
    /// The account of this path and those below it: `sel.slr_x` gives `sel.slr_x.available` too.
    #[param(example = "prov")]
    path: Option<String>,
    /// Of this currency only.
    #[param(value_type = Option<String>, example = "EUR")]
    currency: Option<Currency>,
    /// How many a page has, 1 to 100; 20 when absent.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u8>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Ledger accounts, in order of their keys.
#[utoipa::path(
    get, path = "/v1/ledger/accounts", tag = "Ledger", operation_id = "list_ledger_accounts",
    params(AccountFilters),
    responses((status = 200, description = "A page of accounts", body = List<AccountBody>), Refusals),
)]
async fn accounts(
    State(state): State<HttpState>,
    caller: Caller,
    OriginalUri(uri): OriginalUri,
    Query(filters): Query<AccountFilters>,
) -> Result<Response, Problem> {
    caller.require("ledger:read")?;
    let bound = (&filters.path, &filters.currency);
    let page = cursor::page::<i64, _>("/v1/ledger/accounts", &bound, filters.limit, filters.cursor.as_deref())?;
    let after = page.after.and_then(AccountKey::from_raw);
    let filter = AccountFilter { path: filters.path, currency: filters.currency, after };
    let limit = u16::from(page.limit) + 1;
    let rows = state
        .app
        .db
        .read("list ledger accounts", caller.scope(), move |tx| {
            let filter = filter.clone();
            Box::pin(async move { list_accounts(tx, &filter, limit).await })
        })
        .await?;
    Ok(page.list(rows, |account| account.key.get(), |account| AccountBody::show(&caller, account)).respond(&uri))
}

/// The balance of a ledger account at an instant; minor units.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = LedgerBalance)]
struct BalanceBody {
    /// Always `ledger_balance`.
    #[schema(value_type = String, example = "ledger_balance")]
    object: &'static str,
    /// The account's id.
    #[schema(example = "lac_00000000000000800000000001")]
    account: String,
    /// `test` or `live`.
    #[schema(value_type = String, example = "test")]
    mode: &'static str,
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
    /// What was effective at this time; null: everything.
    as_of: Option<Time>,
    /// What was posted up to here.
    #[schema(example = "1:523,2:88")]
    position: String,
}

/// The balance of one account, now or at an instant of the past.
#[utoipa::path(
    get, path = "/v1/ledger/accounts/{id}", tag = "Ledger", operation_id = "get_ledger_balance",
    params(("id" = String, Path, description = "The account: `lac_..`"), Instant),
    responses((status = 200, description = "Its balance, exact", body = BalanceBody), Refusals),
)]
async fn account(
    State(state): State<HttpState>,
    caller: Caller,
    Path(id): Path<String>,
    Query(instant): Query<Instant>,
) -> Result<Json<BalanceBody>, Problem> {
    caller.require("ledger:read")?;
    let not_found = || Problem::not_found("ledger account");
    let raw = LedgerId::parse_account(caller.book, &id).map_err(|_| not_found())?;
    let key = AccountKey::from_raw(raw).filter(|key| key.book() == caller.book).ok_or_else(not_found)?;
    let (as_of, position) = (instant.as_of, instant.position()?);
    let read = state.app.db.read("ledger balance", caller.scope(), move |tx| {
        let position = position.clone();
        Box::pin(async move {
            let known = known_position(tx, position).await?;
            Ok::<_, LedgerError>((balance_at(tx, key, as_of, Some(&known)).await?, known))
        })
    });
    let (balance, position) = match read.await {
        Err(LedgerError::UnknownAccount { .. }) => return Err(not_found()),
        other => other?,
    };
    Ok(Json(BalanceBody {
        object: "ledger_balance",
        account: id,
        mode: caller.mode.as_str(),
        currency: key.currency(),
        normal_side: side(balance.normal_side),
        debits: shown(balance.debits),
        credits: shown(balance.credits),
        balance: shown(balance.signed()),
        as_of: as_of.map(Time),
        position: position.to_string(),
    }))
}

/// The position that was asked for, or where the book stands.
async fn known_position(tx: &mut Tx, asked: Option<PositionVector>) -> Result<PositionVector, LedgerError> {
    match asked {
        Some(position) => Ok(position),
        None => current_position(tx).await,
    }
}

/// A posting: one amount, from one account to another.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Posting)]
pub(super) struct PostingBody {
    /// Its transaction.
    #[schema(example = "ltx_00000000000000800000000001")]
    transaction: String,
    /// What happened.
    #[schema(example = "payment_charged")]
    kind: String,
    /// When, in business time.
    effective_at: Time,
    /// When it was recorded, by the database's clock.
    recorded_at: Time,
    /// Name of the account that is debited.
    #[schema(example = "prov.pending")]
    debit: String,
    /// Name of the account that is credited.
    #[schema(example = "tax.payable")]
    credit: String,
    /// Minor units, above zero.
    #[schema(example = 2000)]
    amount: i64,
    #[schema(schema_with = currency_schema)]
    currency: Currency,
}

impl PostingBody {
    /// The posting as it is shown.
    pub(super) fn show(book: BookId, posting: PostingView) -> Self {
        Self {
            transaction: LedgerId::transaction(book, posting.transaction_id).to_string(),
            kind: kind(posting.kind_name, posting.kind),
            effective_at: Time(posting.effective_at),
            recorded_at: Time(posting.recorded_at),
            debit: posting.debit_path,
            credit: posting.credit_path,
            amount: posting.amount,
            currency: posting.currency,
        }
    }
}

fn kind(name: Option<String>, number: i16) -> String {
    name.unwrap_or_else(|| number.to_string())
}

/// A ledger transaction: postings that happened together.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = LedgerTransaction)]
struct TransactionBody {
    /// Always `ledger_transaction`.
    #[schema(value_type = String, example = "ledger_transaction")]
    object: &'static str,
    #[schema(example = "ltx_00000000000000800000000001")]
    id: String,
    /// `test` or `live`.
    #[schema(value_type = String, example = "test")]
    mode: &'static str,
    /// What happened.
    #[schema(example = "payment_charged")]
    kind: String,
    /// When, in business time.
    effective_at: Time,
    /// When it was recorded, by the database's clock.
    recorded_at: Time,
    /// The accounting period it counts in.
    #[schema(example = "2026-11")]
    period: String,
    /// Where it stands: lane and number, in commit order.
    #[schema(example = "1:523")]
    position: String,
    /// The transaction that this one takes back.
    reverses: Option<String>,
    /// The transaction that takes this one back.
    reversed_by: Option<String>,
    postings: Vec<PostingBody>,
}

impl TransactionBody {
    fn show(caller: &Caller, transaction: TransactionView) -> Self {
        let id = |key: i64| LedgerId::transaction(caller.book, key).to_string();
        Self {
            object: "ledger_transaction",
            id: id(transaction.id),
            mode: caller.mode.as_str(),
            kind: kind(transaction.kind_name, transaction.kind),
            effective_at: Time(transaction.effective_at),
            recorded_at: Time(transaction.recorded_at),
            period: transaction.period.to_string(),
            position: transaction.position.to_string(),
            reverses: transaction.reverses.map(id),
            reversed_by: transaction.reversed_by.map(id),
            postings: transaction.postings.into_iter().map(|posting| PostingBody::show(caller.book, posting)).collect(),
        }
    }
}

/// Pages of transactions.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Pages {
    /// How many a page has, 1 to 100; 20 when absent.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u8>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Ledger transactions, newest first.
#[utoipa::path(
    get, path = "/v1/ledger/transactions", tag = "Ledger", operation_id = "list_ledger_transactions",
    params(Pages),
    responses((status = 200, description = "A page of transactions", body = List<TransactionBody>), Refusals),
)]
async fn transactions(
    State(state): State<HttpState>,
    caller: Caller,
    OriginalUri(uri): OriginalUri,
    Query(pages): Query<Pages>,
) -> Result<Response, Problem> {
    caller.require("ledger:read")?;
    let page = cursor::page::<i64, _>("/v1/ledger/transactions", &(), pages.limit, pages.cursor.as_deref())?;
    let filter = TransactionFilter { before: page.after, ..TransactionFilter::default() };
    let limit = u16::from(page.limit) + 1;
    let rows = state
        .app
        .db
        .read("list ledger transactions", caller.scope(), move |tx| {
            Box::pin(async move { list_transactions(tx, &filter, limit).await })
        })
        .await?;
    let show = |transaction| TransactionBody::show(&caller, transaction);
    Ok(page.list(rows, |transaction| transaction.id, show).respond(&uri))
}

/// One ledger transaction.
#[utoipa::path(
    get, path = "/v1/ledger/transactions/{id}", tag = "Ledger", operation_id = "get_ledger_transaction",
    params(("id" = String, Path, description = "The transaction: `ltx_..`")),
    responses((status = 200, description = "The transaction", body = TransactionBody), Refusals),
)]
async fn transaction(
    State(state): State<HttpState>,
    caller: Caller,
    Path(id): Path<String>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Json<TransactionBody>, Problem> {
    caller.require("ledger:read")?;
    let not_found = || Problem::not_found("ledger transaction");
    let key = LedgerId::parse_transaction(caller.book, &id).map_err(|_| not_found())?;
    let found = state
        .app
        .db
        .read("get ledger transaction", caller.scope(), move |tx| {
            Box::pin(async move { find_transaction(tx, key).await })
        })
        .await?;
    found.map(|transaction| Json(TransactionBody::show(&caller, transaction))).ok_or_else(not_found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_beyond_the_range_is_shown_as_its_end() {
        assert_eq!(shown(-5), -5);
        assert_eq!(shown(i128::from(i64::MAX) + 1), i64::MAX);
        assert_eq!(shown(i128::from(i64::MIN) - 1), i64::MIN);
    }

    #[test]
    fn a_position_must_be_readable() {
        let instant = |text: &str| Instant { as_of: None, position: Some(text.to_owned()) };
        assert!(instant("1:523,2:88").position().is_ok());
        let problem = instant("yesterday").position().expect_err("no position");
        let body = problem.body(crate::id::RequestId::new());
        assert_eq!((body.status, body.errors[0].parameter.as_deref()), (422, Some("position")));
    }
}
