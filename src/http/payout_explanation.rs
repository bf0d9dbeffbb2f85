//! `/v1/payouts/{id}/explain`: why a payout has its amount.

use axum::Json;
use axum::extract::State;
use partita_ledger::LedgerError;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::HttpState;
use super::auth::Caller;
use super::cursor::{self, List};
use super::fields::{Currency, currency_schema};
use super::json::PathId;
use super::problem::Problem;
use super::problem_types;
use super::query::Query;
use super::render::{Refusals, Time};
use crate::id::{AdjustmentId, PaymentId, PayoutId, SellerId};
use crate::payouts::{self, Day, Explanation, Line, NotPaid, Place};
use crate::platforms::Mode;

/// The routes.
pub fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new().routes(routes!(explain))
}

/// What came onto a seller's account at the provider, or left it; minor units.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = PayoutLine)]
struct LineBody {
    /// When the provider moved it.
    at: Time,
    /// `transfer`: a share or an adjustment came, or is paid by bank file; `reversal`: it was taken back; `payout_returned`: a payout came back;
    /// `direct_charge`: a direct charge came, or left with a refund, a dispute or a late failure of it; `other`.
    #[schema(value_type = String, example = "transfer")]
    what: &'static str,
    /// Below zero where it left.
    #[schema(example = 5400)]
    amount: i64,
    /// The payment that it belongs to.
    payment: Option<PaymentId>,
    /// Your own id of that.
    #[schema(example = "order-1")]
    payment_reference: Option<String>,
    /// The adjustment that it belongs to.
    adjustment: Option<AdjustmentId>,
}

impl From<Line> for LineBody {
    fn from(line: Line) -> Self {
        Self {
            at: Time(line.at),
            what: line.what.as_str(),
            amount: line.amount,
            payment: line.payment,
            payment_reference: line.payment_reference,
            adjustment: line.adjustment,
        }
    }
}

/// How the amount was decided on its payout day; minor units. `usable` less the others is `payable`.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = PayoutDecision)]
struct DecisionBody {
    /// The day, in the schedule's time zone.
    #[schema(format = Date, example = "2026-11-26")]
    on: String,
    /// What was usable on the account.
    usable: i64,
    /// Of that, what came too late for the day, by the schedule's delay.
    too_late: i64,
    /// Payouts that were asked and not answered.
    being_paid_out: i64,
    /// Transfers that were asked back and not answered.
    being_taken_back: i64,
    /// What could be paid out. The payout is less only where the provider sends no such amount.
    payable: i64,
}

impl From<Day> for DecisionBody {
    fn from(day: Day) -> Self {
        Self {
            on: day.on.to_string(),
            usable: day.means.at_provider,
            too_late: day.means.too_late,
            being_paid_out: day.means.going_out,
            being_taken_back: day.means.going_back,
            payable: day.means.payable(),
        }
    }
}

/// What a seller has now that is not paid out.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = NotPaidOut)]
struct NotPaidBody {
    /// `pending`, `waiting`, `available`, `held`, `reserve`, `debt`, `provider_pending`, `provider_available`, `in_transit`.
    #[schema(value_type = String, example = "held")]
    what: &'static str,
    /// Minor units.
    #[schema(example = 3600)]
    amount: i64,
    /// In a few words.
    #[schema(value_type = String, example = "held while disputes hang over it")]
    why: &'static str,
}

impl From<NotPaid> for NotPaidBody {
    fn from(part: NotPaid) -> Self {
        Self { what: part.what, amount: part.amount, why: part.why }
    }
}

/// Why a payout has its amount; minor units. `opening`, `transfers`, `reversals`, `payouts_returned`, `direct_charges` and `other`
/// add up to `amount`, `fee` and `left`.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = PayoutExplanation)]
struct ExplanationBody {
    /// Always `payout_explanation`.
    #[schema(value_type = String, example = "payout_explanation")]
    object: &'static str,
    /// `test` or `live`.
    #[schema(value_type = String, example = "test")]
    mode: &'static str,
    payout: PayoutId,
    seller: SellerId,
    #[schema(example = 5400)]
    amount: i64,
    #[schema(schema_with = currency_schema)]
    currency: Currency,
    /// What the payout cost the seller.
    fee: i64,
    /// What stood on the seller's account after the payout before, usable or not.
    opening: i64,
    /// What came since by transfers.
    transfers: i64,
    /// What reversals took since; zero or less.
    reversals: i64,
    /// What came back of payouts since.
    payouts_returned: i64,
    /// What direct charges left on the account since, after fees, refunds and disputes.
    direct_charges: i64,
    other: i64,
    /// What was left on the account, usable or not.
    left: i64,
    /// How the amount was decided; null for payouts by hand and of the provider's own schedule.
    decision: Option<DecisionBody>,
    /// What the seller has now that is not paid out, and why.
    not_paid_out: Vec<NotPaidBody>,
    /// Each movement between the payout before and this one, newest first, in pages.
    lines: Vec<LineBody>,
    /// Whether older lines follow.
    has_more: bool,
    /// Send it as `cursor` to get them.
    next_cursor: Option<String>,
}

impl ExplanationBody {
    fn show(mode: Mode, explanation: Explanation, page: &cursor::PageOf<Place>) -> Self {
        let (left, sums) = (explanation.left(), explanation.sums);
        let Explanation { payout, day, not_paid, lines, .. } = explanation;
        let List { data: lines, has_more, next_cursor, .. } = page.list(lines, |line| line.place, LineBody::from);
        Self {
            object: "payout_explanation",
            mode: mode.as_str(),
            payout: payout.id,
            seller: payout.seller,
            amount: payout.amount.minor,
            currency: payout.amount.currency,
            fee: payout.fee.taken,
            opening: sums.opening,
            transfers: sums.transfers,
            reversals: sums.reversals,
            payouts_returned: sums.payouts_returned,
            direct_charges: sums.direct_charges,
            other: sums.other,
            left,
            decision: day.map(DecisionBody::from),
            not_paid_out: not_paid.into_iter().map(NotPaidBody::from).collect(),
            lines,
            has_more,
            next_cursor,
        }
    }
}

/// Pages of the lines.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Pages {
    /// How many lines a page has, 1 to 100; 20 when absent.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u8>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Why a payout has its amount, line by line, and what of the seller is not paid out.
#[utoipa::path(
    get, path = "/v1/payouts/{id}/explain", tag = "Payouts", operation_id = "explain_payout",
    params(("id" = PayoutId, Path, description = "The payout"), Pages),
    responses((status = 200, description = "The explanation", body = ExplanationBody), Refusals),
)]
async fn explain(
    State(state): State<HttpState>,
    caller: Caller,
    PathId(id): PathId<PayoutId>,
    Query(pages): Query<Pages>,
) -> Result<Json<ExplanationBody>, Problem> {
    caller.require("payouts:read")?;
    let page = cursor::page::<Place, _>("/v1/payouts/explain", &id, pages.limit, pages.cursor.as_deref())?;
    let (after, limit) = (page.after, page.fetch_limit());
    let found = state
        .app
        .db
        .read("explain payout", caller.scope(), move |tx| {
            Box::pin(async move {
                let Some(payout) = payouts::find(tx, id).await? else { return Ok(None) };
                if !payouts::is_explainable(&payout) {
                    return Ok(Some(None));
                }
                Ok::<_, LedgerError>(Some(Some(payouts::explain(tx, payout, after, limit).await?)))
            })
        })
        .await?;
    let refused =
        || Problem::new(&problem_types::STATE_CONFLICT).detail("The payout was refused: nothing moved.".to_owned());
    let explanation = found.ok_or_else(|| Problem::not_found("payout"))?.ok_or_else(refused)?;
    Ok(Json(ExplanationBody::show(caller.mode, explanation, &page)))
}
