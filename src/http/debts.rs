//! `/v1/debts`: what sellers owe; `/v1/recovery_policy`: the ladder by which it is recovered.

use axum::Json;
use axum::extract::{OriginalUri, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use jiff::Timestamp;
use partita_db::DbError;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::HttpState;
use super::approvals::ApprovalBody;
use super::auth::Caller;
use super::cursor::{self, List};
use super::fields::{Amount, Currency, Text, currency_schema};
use super::json::{self, PathId};
use super::problem::Problem;
use super::problem_types;
use super::query::{NoParameters, Query, known_words};
use super::render::{CommandRefusals, Refusals, Time};
use crate::approvals::{self, Declared};
use crate::debts::{self, Debt, DebtStatus, Policy, Rung, RungKind, Settled};
use crate::id::{AdjustmentId, DebtId, PaymentId, SellerId};
use crate::platforms::Mode;

/// The longest that a rung may have to be waited for: ten years.
const MOST_DAYS: i32 = 3_650;

/// What stands in the record of a ladder whose maker gave no reason.
const LADDER_WITHOUT_REASON: &str = "the recovery ladder was declared anew";

/// The routes.
pub fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(fetch))
        .routes(routes!(list_settlements))
        .routes(routes!(write_off))
        .routes(routes!(policy, declare))
}

/// What a seller was short of at the end of a day, and owes since. Amounts in minor units.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Debt)]
struct DebtBody {
    /// Always `debt`.
    #[schema(value_type = String, example = "debt")]
    object: &'static str,
    id: DebtId,
    /// `test` or `live`.
    #[schema(value_type = String, example = "test")]
    mode: &'static str,
    seller: SellerId,
    /// The payment that took more than the seller had.
    payment: Option<PaymentId>,
    /// The adjustment that did.
    adjustment: Option<AdjustmentId>,
    /// `open`; `paid`: out of later money of the seller; `written_off`: what was left of it was given up.
    #[schema(value_type = String, example = "open")]
    status: &'static str,
    #[schema(example = 2250)]
    amount: i64,
    #[schema(schema_with = currency_schema)]
    currency: Currency,
    /// What later money of the seller paid.
    #[schema(example = 0)]
    paid: i64,
    /// What two people gave up.
    #[schema(example = 0)]
    written_off: i64,
    /// Of what was given up, what came back all the same.
    #[schema(example = 0)]
    recovered: i64,
    /// What is still owed.
    #[schema(example = 2250)]
    left: i64,
    /// From when on the money was missing.
    short_since: Time,
    /// Whole days since then.
    #[schema(example = 3)]
    age_days: i64,
    /// Where it stands on your recovery ladder: `reverse_transfers`, `net_from_sales`, `seller_reserve` or `write_off`; null
    /// when nothing is owed any more.
    #[schema(example = "net_from_sales")]
    rung: Option<&'static str>,
    /// Who looks after debts there.
    #[schema(example = "finance")]
    owner: Option<String>,
    created_at: Time,
    updated_at: Time,
}

impl DebtBody {
    fn show(mode: Mode, debt: &Debt, ladder: &Policy, now: Timestamp) -> Self {
        let is_open = debt.status == DebtStatus::Open;
        let rung = is_open.then(|| ladder.stands_on(debt.age_days(now), debt.left()));
        Self {
            object: "debt",
            id: debt.id,
            mode: mode.as_str(),
            seller: debt.seller,
            payment: debt.of.payment(),
            adjustment: debt.of.adjustment(),
            status: debt.status.as_str(),
            amount: debt.amount.minor,
            currency: debt.amount.currency,
            paid: debt.paid,
            written_off: debt.written_off,
            recovered: debt.recovered,
            left: debt.left(),
            short_since: Time(debt.short_since),
            age_days: debt.age_days(now),
            rung: rung.map(|rung| rung.kind.as_str()),
            owner: rung.map(|rung| rung.owner.clone()),
            created_at: Time(debt.created_at),
            updated_at: Time(debt.updated_at),
        }
    }
}

/// One debt.
#[utoipa::path(
    get, path = "/v1/debts/{id}", tag = "Debts", operation_id = "get_debt",
    params(("id" = DebtId, Path, description = "The debt")),
    responses((status = 200, description = "The debt", body = DebtBody), Refusals),
)]
async fn fetch(
    State(state): State<HttpState>,
    caller: Caller,
    PathId(id): PathId<DebtId>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Json<DebtBody>, Problem> {
    caller.require("sellers:read")?;
    let found = state
        .app
        .db
        .read("get debt", caller.scope(), move |tx| {
            Box::pin(async move {
                let Some(debt) = debts::find(tx, id).await? else { return Ok(None) };
                Ok::<_, DbError>(Some((debt, debts::find_policy(tx).await?)))
            })
        })
        .await?;
    let (debt, ladder) = found.ok_or_else(|| Problem::not_found("debt"))?;
    Ok(Json(DebtBody::show(caller.mode, &debt, &ladder, state.app.clock.now())))
}

/// Filters of the list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Filters {
    /// Any of these; may be repeated.
    #[serde(default)]
    #[param(example = json!(["open"]))]
    status: Vec<String>,
    /// Of this seller.
    seller: Option<SellerId>,
    /// How many a page has, 1 to 100; 20 when absent.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u8>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Debts, newest first.
#[utoipa::path(
    get, path = "/v1/debts", tag = "Debts", operation_id = "list_debts",
    params(Filters),
    responses((status = 200, description = "A page of debts", body = List<DebtBody>), Refusals),
)]
async fn list(
    State(state): State<HttpState>,
    caller: Caller,
    OriginalUri(uri): OriginalUri,
    Query(filters): Query<Filters>,
) -> Result<Response, Problem> {
    caller.require("sellers:read")?;
    known_words("status", &filters.status, |word| DebtStatus::parse(word).is_some())?;
    let bound = (&filters.status, &filters.seller);
    let page = cursor::page::<DebtId, _>("/v1/debts", &bound, filters.limit, filters.cursor.as_deref())?;
    let (limit, now) = (page.fetch_limit(), state.app.clock.now());
    let filter = debts::ListFilter { statuses: filters.status, seller: filters.seller, before: page.after };
    let (rows, ladder) = state
        .app
        .db
        .read("list debts", caller.scope(), move |tx| {
            let filter = filter.clone();
            Box::pin(async move {
                Ok::<_, DbError>((debts::list(tx, &filter, limit).await?, debts::find_policy(tx).await?))
            })
        })
        .await?;
    let show = |debt: Debt| DebtBody::show(caller.mode, &debt, &ladder, now);
    Ok(page.list(rows, |debt| debt.id, show).respond(&uri))
}

/// What paid a debt: money of a payment or an adjustment that went to it instead of to the seller.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = DebtSettlement)]
struct SettlementBody {
    /// Always `debt_settlement`.
    #[schema(value_type = String, example = "debt_settlement")]
    object: &'static str,
    debt: DebtId,
    /// The payment whose share it was.
    payment: Option<PaymentId>,
    /// The adjustment that it was of.
    adjustment: Option<AdjustmentId>,
    /// `offset`: the debt was open; `recovery`: it had been written off, and this came back for it; `return`: an offset was given
    /// back, as the debt's own money came.
    #[schema(value_type = String, example = "offset")]
    kind: &'static str,
    /// Minor units.
    #[schema(example = 2250)]
    amount: i64,
    created_at: Time,
}

impl From<Settled> for SettlementBody {
    fn from(settled: Settled) -> Self {
        Self {
            object: "debt_settlement",
            debt: settled.debt,
            payment: settled.of.payment(),
            adjustment: settled.of.adjustment(),
            kind: settled.kind.as_str(),
            amount: settled.amount,
            created_at: Time(settled.created_at),
        }
    }
}

/// What paid a debt, oldest first; all of it.
#[utoipa::path(
    get, path = "/v1/debts/{id}/settlements", tag = "Debts", operation_id = "list_debt_settlements",
    params(("id" = DebtId, Path, description = "The debt")),
    responses((status = 200, description = "What paid it", body = List<SettlementBody>), Refusals),
)]
async fn list_settlements(
    State(state): State<HttpState>,
    caller: Caller,
    PathId(id): PathId<DebtId>,
    OriginalUri(uri): OriginalUri,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Response, Problem> {
    caller.require("sellers:read")?;
    let found = state
        .app
        .db
        .read("list debt settlements", caller.scope(), move |tx| {
            Box::pin(async move {
                if debts::find(tx, id).await?.is_none() {
                    return Ok(None);
                }
                Ok::<_, DbError>(Some(debts::list_settlements(tx, id).await?))
            })
        })
        .await?;
    let settled = found.ok_or_else(|| Problem::not_found("debt"))?;
    Ok(List::whole(settled.into_iter().map(SettlementBody::from).collect()).respond(&uri))
}

/// Why a debt should be given up.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewWriteOff, example = json!({"reason": "the shop is closed and its account is empty"}))]
struct NewWriteOffBody {
    /// Why, for the record.
    reason: Text<1, 1000>,
}

/// Proposes to give up what is left of a debt, if your recovery ladder lets it. Somebody else has to approve.
#[utoipa::path(
    post, path = "/v1/debts/{id}/write_off", tag = "Debts", operation_id = "propose_write_off",
    params(("id" = DebtId, Path, description = "The debt")),
    request_body = NewWriteOffBody,
    responses((status = 201, description = "The proposal, to be approved by somebody else", body = ApprovalBody), CommandRefusals),
)]
async fn write_off(
    State(state): State<HttpState>,
    caller: Caller,
    PathId(id): PathId<DebtId>,
    json::Json(body): json::Json<NewWriteOffBody>,
) -> Result<(StatusCode, Json<ApprovalBody>), Problem> {
    caller.require("adjustments:write")?;
    let reason = body.reason.into_string();
    let approval = approvals::propose_write_off(&state.app, caller.book, caller.actor, id, reason).await?;
    Ok((StatusCode::CREATED, Json(ApprovalBody::show(caller.mode, approval, state.app.clock.now()))))
}

/// A rung of the ladder, as you declare it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewRecoveryRung, example = json!({"after_days": 30, "up_to": 10_000, "owner": "finance"}))]
struct NewRungBody {
    /// From which age of the shortfall on, in days, 0 to 3650.
    #[schema(minimum = 0, maximum = 3650)]
    after_days: i32,
    /// The largest debt that it is for, in minor units of whatever currency; any when absent.
    up_to: Option<Amount>,
    /// Who looks after debts on it, in your words.
    owner: Text<1, 100>,
}

/// How you recover what sellers are short of.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewRecoveryPolicy)]
struct NewPolicyBody {
    /// What was sent too much is taken back from the seller's account. This rung is the lowest: it begins at once, takes any
    /// amount, and only has an owner.
    reverse_transfers: NewLowestRungBody,
    /// What is still missing at the end of a day (UTC) this old is a debt, which later sales pay before anything is sent.
    net_from_sales: NewRungBody,
    /// What is kept back of the seller's other sales (`/v1/reserves`) pays debts that stand here, at the end of each day; none
    /// when absent.
    seller_reserve: Option<NewRungBody>,
    /// Two people may give up what is left.
    write_off: NewRungBody,
    /// Why, for the record.
    reason: Option<Text<1, 1000>>,
}

/// The lowest rung of the ladder, as you declare it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewLowestRecoveryRung, example = json!({"owner": "finance"}))]
struct NewLowestRungBody {
    /// Who looks after shortfalls on it, in your words.
    owner: Text<1, 100>,
}

impl NewRungBody {
    fn read(self, kind: RungKind) -> Result<Rung, Problem> {
        if !(0..=MOST_DAYS).contains(&self.after_days) {
            let path = [kind.as_str(), "after_days"];
            let detail = format!("must be from 0 to {MOST_DAYS}");
            return Err(Problem::invalid_field(&path, &problem_types::OUT_OF_RANGE, detail));
        }
        let (after_days, up_to) = (self.after_days, self.up_to.map(Amount::minor));
        Ok(Rung { kind, after_days, up_to, owner: self.owner.into_string() })
    }
}

impl NewPolicyBody {
    fn read(self) -> Result<Policy, Problem> {
        let owner = self.reverse_transfers.owner.into_string();
        let reverse = Rung { kind: RungKind::ReverseTransfers, after_days: 0, up_to: None, owner };
        let net = self.net_from_sales.read(RungKind::NetFromSales)?;
        let reserve = self.seller_reserve.map(|rung| rung.read(RungKind::SellerReserve)).transpose()?;
        let write_off = self.write_off.read(RungKind::WriteOff)?;
        let policy = Policy { version: 0, reverse, net, reserve, write_off };
        let mut below = &policy.reverse;
        for rung in policy.rungs() {
            if rung.after_days < below.after_days {
                let detail = format!("must not be less than that of {}, the rung below", below.kind.as_str());
                let path = [rung.kind.as_str(), "after_days"];
                return Err(Problem::invalid_field(&path, &problem_types::OUT_OF_RANGE, detail));
            }
            below = rung;
        }
        Ok(policy)
    }
}

/// A rung of the ladder.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = RecoveryRung)]
pub(super) struct RungBody {
    /// `reverse_transfers`, `net_from_sales`, `seller_reserve` or `write_off`.
    #[schema(value_type = String, example = "net_from_sales")]
    rung: &'static str,
    #[schema(example = 0)]
    after_days: i32,
    /// Minor units of whatever currency; null: any.
    up_to: Option<i64>,
    #[schema(example = "finance")]
    owner: String,
}

impl From<&Rung> for RungBody {
    fn from(rung: &Rung) -> Self {
        Self { rung: rung.kind.as_str(), after_days: rung.after_days, up_to: rung.up_to, owner: rung.owner.clone() }
    }
}

/// How you recover what sellers are short of: the rungs from below.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = RecoveryPolicy)]
struct PolicyBody {
    /// Always `recovery_policy`.
    #[schema(value_type = String, example = "recovery_policy")]
    object: &'static str,
    /// `test` or `live`.
    #[schema(value_type = String, example = "test")]
    mode: &'static str,
    /// Counts your declarations; 0: none was made yet.
    #[schema(example = 1)]
    version: i32,
    rungs: Vec<RungBody>,
}

impl PolicyBody {
    fn show(mode: Mode, policy: &Policy) -> Self {
        Self {
            object: "recovery_policy",
            mode: mode.as_str(),
            version: policy.version,
            rungs: policy.rungs().map(RungBody::from).collect(),
        }
    }
}

/// The recovery ladder that holds.
#[utoipa::path(
    get, path = "/v1/recovery_policy", tag = "Debts", operation_id = "get_recovery_policy",
    responses((status = 200, description = "The ladder", body = PolicyBody), Refusals),
)]
async fn policy(
    State(state): State<HttpState>,
    caller: Caller,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Json<PolicyBody>, Problem> {
    caller.require("sellers:read")?;
    let policy = state
        .app
        .db
        .read("get recovery policy", caller.scope(), |tx| Box::pin(async move { debts::find_policy(tx).await }))
        .await?;
    Ok(Json(PolicyBody::show(caller.mode, &policy)))
}

/// Declares the recovery ladder. It holds at once, for debts that are open too, if it recovers as much as the one before or more.
/// One that recovers less (debts that begin later or up to a smaller amount, are given up sooner or up to a larger one) is a
/// proposal that somebody else has to approve.
#[utoipa::path(
    put, path = "/v1/recovery_policy", tag = "Debts", operation_id = "declare_recovery_policy",
    request_body = NewPolicyBody,
    responses(
        (status = 200, description = "The ladder with its version", body = PolicyBody),
        (status = 202, description = "It recovers less: the proposal, to be approved by somebody else", body = ApprovalBody),
        CommandRefusals,
    ),
)]
async fn declare(
    State(state): State<HttpState>,
    caller: Caller,
    json::Json(mut body): json::Json<NewPolicyBody>,
) -> Result<Response, Problem> {
    caller.require("adjustments:write")?;
    let reason = body.reason.take().map_or_else(|| LADDER_WITHOUT_REASON.to_owned(), Text::into_string);
    let declared = approvals::declare_ladder(&state.app, caller.book, caller.actor, body.read()?, reason).await?;
    Ok(match declared {
        Declared::Holds(policy) => Json(PolicyBody::show(caller.mode, &policy)).into_response(),
        Declared::Waits(approval) => {
            let shown = ApprovalBody::show(caller.mode, *approval, state.app.clock.now());
            (StatusCode::ACCEPTED, Json(shown)).into_response()
        }
    })
}
