//! `GET /v1/payments/{id}/explain`: each line of a payment in plain words.

use axum::Json;
use axum::extract::State;
use partita_db::DbError;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::super::HttpState;
use super::super::auth::Caller;
use super::super::fields::{Currency, currency_schema};
use super::super::json::PathId;
use super::super::problem::Problem;
use super::super::query::{NoParameters, Query};
use super::super::render::Refusals;
use crate::id::{FeePolicyId, PaymentId, SellerId};
use crate::payments::{self, Line};
use crate::sellers::{self, Seller};

/// The routes.
pub(super) fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new().routes(routes!(explain))
}

/// A line in plain words. Amounts in minor units.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PaymentLineExplanation)]
struct LineBody {
    /// Its place in the cart, from 0.
    line: i32,
    seller: Option<SellerId>,
    /// Your own id of the seller.
    seller_reference: Option<String>,
    /// Net of its tax.
    #[schema(example = 6000)]
    amount: i64,
    /// What the platform keeps of the amount.
    #[schema(example = 630)]
    commission: i64,
    /// The policy that priced it.
    fee_policy: Option<FeePolicyId>,
    /// Its version.
    fee_policy_version: Option<i32>,
    /// The number of the rule that priced it, from 1; null when none was for it.
    #[schema(example = 2)]
    fee_rule: Option<i32>,
    /// Where the rule has tiers: what the seller had sold in the month when it was priced.
    fee_volume: Option<i64>,
    /// How the commission came about, as it was written down when the line was priced.
    #[schema(example = "10 % of 60.00 EUR is 6.00, plus 0.30: 6.30 by rule 2 'books' of policy standard, version 3.")]
    fee: String,
    /// Who gets what of the line, and what went back.
    #[schema(example = "The buyer pays 60.00 EUR. Seller A gets 53.70 EUR; the platform keeps 6.30 EUR commission.")]
    shares: String,
}

impl LineBody {
    fn show(line: &Line, sellers: &[Seller], currency: Currency) -> Self {
        let seller = line.seller.and_then(|(id, _)| sellers.iter().find(|seller| seller.id == id));
        let reference = seller.map(|seller| seller.reference.as_str());
        Self {
            line: line.number,
            seller: line.seller.map(|(id, _)| id),
            seller_reference: reference.map(ToOwned::to_owned),
            amount: line.amount,
            commission: line.commission,
            fee: payments::fee_in_words(line, currency),
            shares: payments::who_gets_what(line, reference, currency),
            fee_policy: line.fee_policy.as_ref().map(|fee| fee.policy),
            fee_policy_version: line.fee_policy.as_ref().map(|fee| fee.version),
            fee_rule: line.fee_policy.as_ref().and_then(|fee| fee.rule),
            fee_volume: line.fee_policy.as_ref().and_then(|fee| fee.volume),
        }
    }
}

/// A payment in plain words.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PaymentExplanation)]
struct ExplanationBody {
    /// Always `payment_explanation`.
    #[schema(value_type = String, example = "payment_explanation")]
    object: &'static str,
    /// `test` or `live`.
    #[schema(value_type = String, example = "test")]
    mode: &'static str,
    payment: PaymentId,
    /// The payment's status: only of one that `succeeded` has anybody anything.
    #[schema(value_type = String, example = "succeeded")]
    status: &'static str,
    /// What the buyer pays; minor units.
    #[schema(example = 12000)]
    amount: i64,
    #[schema(schema_with = currency_schema)]
    currency: Currency,
    /// In the order of the cart.
    lines: Vec<LineBody>,
}

/// Why a payment's commissions are what they are, and who gets what of each line.
#[utoipa::path(
    get, path = "/v1/payments/{id}/explain", tag = "Payments", operation_id = "explain_payment",
    params(("id" = PaymentId, Path, description = "The payment")),
    responses((status = 200, description = "Each line in words", body = ExplanationBody), Refusals),
)]
async fn explain(
    State(state): State<HttpState>,
    caller: Caller,
    PathId(id): PathId<PaymentId>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Json<ExplanationBody>, Problem> {
    caller.require("payments:read")?;
    let found = state
        .app
        .db
        .read("explain payment", caller.scope(), move |tx| {
            Box::pin(async move {
                let Some(payment) = payments::find(tx, id).await? else { return Ok(None) };
                let lines = payments::find_lines(tx, id).await?;
                let mut ids: Vec<SellerId> = lines.iter().filter_map(|line| Some(line.seller?.0)).collect();
                ids.sort_unstable();
                ids.dedup();
                let sellers = sellers::find_by_ids(tx, &ids).await?;
                Ok::<_, DbError>(Some((payment, lines, sellers)))
            })
        })
        .await?;
    let (payment, lines, sellers) = found.ok_or_else(|| Problem::not_found("payment"))?;
    let currency = payment.amount.currency;
    Ok(Json(ExplanationBody {
        object: "payment_explanation",
        mode: caller.mode.as_str(),
        payment: id,
        status: payment.status.as_str(),
        amount: payment.amount.minor,
        currency,
        lines: lines.iter().map(|line| LineBody::show(line, &sellers, currency)).collect(),
    }))
}
