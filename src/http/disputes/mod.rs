//! `/v1/disputes`, `/v1/dispute_policy`.

mod evidence;
mod files;
mod policy;

use axum::Json;
use axum::extract::{OriginalUri, State};
use axum::http::StatusCode;
use axum::response::Response;
use partita_db::{DbError, Tx};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use evidence::EvidenceBody;
use policy::PolicyBody;

use super::HttpState;
use super::auth::Caller;
use super::commands::{self, Progress, Reply};
use super::cursor::{self, List};
use super::fields::{Currency, currency_schema};
use super::idempotency::Idempotent;
use super::json::PathId;
use super::problem::Problem;
use super::problem_types;
use super::query::{NoParameters, Query, TimeRange, known_words};
use super::render::{CommandRefusals, ProviderRef, Refusals, Time};
use crate::disputes::{self, Asked, Dispute, DisputeShare, DisputeStatus};
use crate::id::{DisputeId, PaymentId, SellerId};
use crate::payments::{self, Line};
use crate::platforms::Mode;

/// The routes.
pub fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(fetch))
        .routes(routes!(evidence))
        .routes(routes!(accept))
        .merge(files::routes())
        .merge(policy::routes())
}

/// What a line of the payment has in a dispute; minor units.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = DisputeLine)]
struct LineBody {
    /// The payment's line, from 0.
    line: i32,
    seller: Option<SellerId>,
    /// Net goods.
    #[schema(example = 6000)]
    amount: i64,
    /// Its tax.
    #[schema(example = 1200)]
    tax_amount: i64,
    /// The commission on the goods.
    #[schema(example = 600)]
    commission: i64,
    /// What is held from the seller now.
    #[schema(example = 5400)]
    held: i64,
    /// What the seller bears of the fee if the dispute is lost.
    #[schema(example = 0)]
    fee: i64,
}

/// A payment that the buyer's bank takes back, in part or whole, or asks about.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Dispute)]
struct DisputeBody {
    /// Always `dispute`.
    #[schema(value_type = String, example = "dispute")]
    object: &'static str,
    id: DisputeId,
    /// `test` or `live`.
    #[schema(value_type = String, example = "test")]
    mode: &'static str,
    payment: PaymentId,
    /// The seller's account at the provider that the disputed charge was made on: the seller bears all of it, and the money moves
    /// there. Null: your own.
    account: Option<String>,
    /// `inquiry`: the bank asks and has taken nothing; `needs_response`: the money was taken, evidence is wanted;
    /// `under_review`: the bank has the evidence; `won`: the money is back; `lost`; `closed`: it ended before money was
    /// taken.
    #[schema(value_type = String, example = "needs_response")]
    status: &'static str,
    /// The provider's word for why.
    #[schema(example = "fraudulent")]
    reason: String,
    /// What is disputed; may be more than was charged. Minor units.
    #[schema(example = 12000)]
    amount: i64,
    #[schema(schema_with = currency_schema)]
    currency: Currency,
    /// What the provider took; minor units.
    #[schema(example = 12000)]
    withdrawn_amount: i64,
    /// What of it came back; minor units.
    #[schema(example = 0)]
    reinstated_amount: i64,
    /// What the provider took for the dispute and did not give back; minor units.
    #[schema(example = 1500)]
    fee: i64,
    /// Until when evidence is taken; an unanswered dispute is lost then.
    evidence_due_at: Option<Time>,
    /// How often evidence went to the bank.
    #[schema(example = 0)]
    evidence_submissions: i32,
    /// Who bears what, as it was declared when the dispute was opened.
    policy: PolicyBody,
    /// Every share of it; empty before money was taken. What goes beyond the lines is the platform's.
    lines: Vec<LineBody>,
    provider: ProviderRef,
    created_at: Time,
    updated_at: Time,
}

/// A dispute with what belongs to it.
struct Whole {
    dispute: Dispute,
    shares: Vec<DisputeShare>,
    lines: Vec<Line>,
}

impl Whole {
    async fn of(tx: &mut Tx, dispute: Dispute) -> Result<Self, DbError> {
        let shares = disputes::find_lines(tx, dispute.id).await?;
        let lines = payments::find_lines(tx, dispute.payment).await?;
        Ok(Self { dispute, shares, lines })
    }
}

impl DisputeBody {
    fn show(mode: Mode, whole: Whole) -> Self {
        let Whole { dispute, shares, lines } = whole;
        let is_held = dispute.holds_shares();
        let line = |share: &DisputeShare| {
            let line = lines.iter().find(|line| line.number == share.share.line)?;
            Some(LineBody {
                line: line.number,
                seller: line.seller.map(|(id, _)| id),
                amount: share.share.amount,
                tax_amount: share.share.tax,
                commission: share.share.commission,
                held: if is_held { share.of_seller(line) } else { 0 },
                fee: share.fee,
            })
        };
        Self {
            object: "dispute",
            id: dispute.id,
            mode: mode.as_str(),
            payment: dispute.payment,
            account: dispute.account,
            status: dispute.status.as_str(),
            amount: dispute.amount.minor,
            currency: dispute.amount.currency,
            withdrawn_amount: dispute.withdrawn_amount,
            reinstated_amount: dispute.reinstated_amount,
            fee: dispute.fee,
            evidence_due_at: dispute.due_by.map(Time),
            evidence_submissions: dispute.submissions,
            policy: PolicyBody::show(mode, dispute.policy),
            lines: shares.iter().filter_map(line).collect(),
            reason: dispute.reason,
            provider: ProviderRef { name: dispute.provider, id: Some(dispute.provider_dispute) },
            created_at: Time(dispute.created_at),
            updated_at: Time(dispute.updated_at),
        }
    }
}

async fn read(state: &HttpState, caller: &Caller, id: DisputeId) -> Result<Whole, Problem> {
    let found = state
        .app
        .db
        .read("get dispute", caller.scope(), move |tx| {
            Box::pin(async move {
                let Some(dispute) = disputes::find(tx, id).await? else { return Ok(None) };
                Whole::of(tx, dispute).await.map(Some)
            })
        })
        .await?;
    found.ok_or_else(|| Problem::not_found("dispute"))
}

/// One dispute with its shares.
#[utoipa::path(
    get, path = "/v1/disputes/{id}", tag = "Disputes", operation_id = "get_dispute",
    params(("id" = DisputeId, Path, description = "The dispute")),
    responses((status = 200, description = "The dispute", body = DisputeBody), Refusals),
)]
async fn fetch(
    State(state): State<HttpState>,
    caller: Caller,
    PathId(id): PathId<DisputeId>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Json<DisputeBody>, Problem> {
    caller.require("payments:read")?;
    Ok(Json(DisputeBody::show(caller.mode, read(&state, &caller, id).await?)))
}

/// Filters of the list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Filters {
    /// Any of these; may be repeated.
    #[serde(default)]
    #[param(example = json!(["needs_response"]))]
    status: Vec<String>,
    /// Of this payment.
    payment: Option<PaymentId>,
    /// In which a line of this seller's is disputed.
    seller: Option<SellerId>,
    /// Until when evidence is taken: `evidence_due_at[lt]=..` (before); RFC 3339.
    #[serde(default)]
    #[param(style = DeepObject, explode, inline)]
    evidence_due_at: TimeRange,
    /// How many a page has, 1 to 100; 20 when absent.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u8>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Disputes, newest first.
#[utoipa::path(
    get, path = "/v1/disputes", tag = "Disputes", operation_id = "list_disputes",
    params(Filters),
    responses((status = 200, description = "A page of disputes", body = List<DisputeBody>), Refusals),
)]
async fn list(
    State(state): State<HttpState>,
    caller: Caller,
    OriginalUri(uri): OriginalUri,
    Query(filters): Query<Filters>,
) -> Result<Response, Problem> {
    caller.require("payments:read")?;
    known_words("status", &filters.status, |word| DisputeStatus::parse(word).is_some())?;
    let bound = (&filters.status, &filters.payment, &filters.seller, &filters.evidence_due_at);
    let page = cursor::page::<DisputeId, _>("/v1/disputes", &bound, filters.limit, filters.cursor.as_deref())?;
    let limit = page.fetch_limit();
    let filter = disputes::ListFilter {
        statuses: filters.status,
        payment: filters.payment,
        seller: filters.seller,
        due_from: filters.evidence_due_at.from(),
        due_before: filters.evidence_due_at.before(),
        before: page.after,
    };
    let rows = state
        .app
        .db
        .read("list disputes", caller.scope(), move |tx| {
            let filter = filter.clone();
            Box::pin(async move {
                let mut rows = Vec::new();
                for dispute in disputes::list(tx, &filter, limit).await? {
                    rows.push(Whole::of(tx, dispute).await?);
                }
                Ok::<_, DbError>(rows)
            })
        })
        .await?;
    Ok(page.list(rows, |whole| whole.dispute.id, |whole| DisputeBody::show(caller.mode, whole)).respond(&uri))
}

/// Sends evidence to the buyer's bank, once and for good.
#[utoipa::path(
    post, path = "/v1/disputes/{id}/evidence", tag = "Disputes", operation_id = "submit_dispute_evidence",
    request_body = EvidenceBody,
    params(
        ("id" = DisputeId, Path, description = "The dispute"),
        ("Idempotency-Key" = String, Header, description = "Your unique text for this action, 1 to 255 visible ASCII characters"),
    ),
    responses(
        (status = 200, description = "The provider has it", body = DisputeBody),
        (status = 202, description = "The provider has not answered definitely yet", body = DisputeBody),
        CommandRefusals,
    ),
)]
async fn evidence(
    State(state): State<HttpState>,
    caller: Caller,
    PathId(id): PathId<DisputeId>,
    input: Idempotent<EvidenceBody>,
) -> Result<Response, Problem> {
    caller.require("payments:write")?;
    let asked = Asked::Evidence(input.body.into_evidence()?);
    let begun = disputes::ask(&state.app, caller.book, caller.actor, input.claim.clone(), id, asked).await?;
    let id = match commands::drive(&state, &caller, begun, DisputeId::uuid).await? {
        Progress::Answered(response) => return Ok(response),
        Progress::Read(id) => id,
    };
    let refused = commands::was_refused(&state, &caller, id.uuid()).await?;
    let whole = read(&state, &caller, id).await?;
    let submitted = whole.dispute.submissions > 0;
    let body = DisputeBody::show(caller.mode, whole);
    let reply = if refused {
        let problem = Problem::new(&problem_types::PROVIDER_REFUSED);
        Reply::Refused(problem.detail("The provider did not take the evidence; the dispute is as it was."))
    } else if submitted {
        Reply::Done(StatusCode::OK, body)
    } else {
        Reply::Open(body)
    };
    commands::answer(&state, &caller, Some(&input.claim), reply).await
}

/// No fields.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NothingOfDispute)]
struct Nothing {}

/// Gives a dispute up: it is lost, for good.
#[utoipa::path(
    post, path = "/v1/disputes/{id}/accept", tag = "Disputes", operation_id = "accept_dispute",
    params(
        ("id" = DisputeId, Path, description = "The dispute"),
        ("Idempotency-Key" = String, Header, description = "Your unique text for this action, 1 to 255 visible ASCII characters"),
    ),
    responses(
        (status = 200, description = "It is lost", body = DisputeBody),
        (status = 202, description = "The provider has not answered definitely yet", body = DisputeBody),
        CommandRefusals,
    ),
)]
async fn accept(
    State(state): State<HttpState>,
    caller: Caller,
    PathId(id): PathId<DisputeId>,
    input: Idempotent<Nothing>,
) -> Result<Response, Problem> {
    caller.require("payments:write")?;
    let begun =
        disputes::ask(&state.app, caller.book, caller.actor, input.claim.clone(), id, Asked::Acceptance).await?;
    let id = match commands::drive(&state, &caller, begun, DisputeId::uuid).await? {
        Progress::Answered(response) => return Ok(response),
        Progress::Read(id) => id,
    };
    let refused = commands::was_refused(&state, &caller, id.uuid()).await?;
    let whole = read(&state, &caller, id).await?;
    let status = whole.dispute.status;
    let body = DisputeBody::show(caller.mode, whole);
    let reply = match status {
        DisputeStatus::Lost => Reply::Done(StatusCode::OK, body),
        _ if refused || status.is_final() => {
            let detail = format!("The dispute is {} and was not given up.", status.as_str());
            Reply::Refused(Problem::new(&problem_types::STATE_CONFLICT).detail(detail))
        }
        _ => Reply::Open(body),
    };
    commands::answer(&state, &caller, Some(&input.claim), reply).await
}
