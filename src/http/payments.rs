//! `/v1/payments`.

use axum::Json;
use axum::extract::{OriginalUri, State};
use axum::http::StatusCode;
use axum::response::Response;
use partita_db::DbError;
use partita_provider::{Money, Refusal};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::HttpState;
use super::auth::Caller;
use super::commands::{self, Progress, Reply};
use super::cursor::{self, List};
use super::fields::{
    Amount, AmountOrZero, Currency, Metadata, PaymentToken, Reference, Text, currency_schema,
};
use super::idempotency::Idempotent;
use super::json::PathId;
use super::problem::Problem;
use super::problem_types;
use super::query::{NoParameters, Query, TimeRange, known_words};
use super::render::{CommandRefusals, Failure, ProviderRef, Refusals, Time, problem_response, provider_problem};
use crate::id::{FeePolicyId, PaymentId, SellerId};
use crate::payments::{self, Line, LineKind, NewLine, NewPayment, Payment, PaymentStatus, TaxLiability};
use crate::platforms::Mode;

/// Most lines of one payment.
const MOST_LINES: usize = 100;

/// The routes.
pub fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new().routes(routes!(create, list)).routes(routes!(fetch)).routes(routes!(cancel))
}

/// What a line is for.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum LineType {
    /// Goods or services of a seller.
    #[default]
    Item,
    /// Shipping by a seller.
    Shipping,
    /// A tip for a seller.
    Tip,
    /// The platform's own; has no seller.
    Platform,
}

/// Who owes a tax to the state.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Liability {
    /// The platform, as a marketplace facilitator: it is kept as the platform's debt to the state.
    #[default]
    Platform,
    /// The seller: it is part of what the seller is owed.
    Seller,
}

/// The tax of a line.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewLineTax)]
struct NewTaxBody {
    /// On top of the line's amount.
    amount: AmountOrZero,
    /// Who owes it to the state; `platform` when absent.
    #[serde(default)]
    liability: Liability,
    /// Where it is owed, in your own words: `DE`, `US-CA`.
    jurisdiction: Option<Text<1, 40>>,
}

/// A line of a cart.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewPaymentLine)]
struct NewLineBody {
    /// What it is for; `item` when absent.
    #[serde(default, rename = "type")]
    kind: LineType,
    /// Whose it is. Required, except for lines of the type `platform`, which have none.
    seller: Option<SellerId>,
    /// Net of its tax.
    amount: Amount,
    tax: Option<NewTaxBody>,
    /// Your own category of the goods.
    category: Option<Text<1, 100>>,
    /// What prices it; your default policy when absent.
    fee_policy: Option<FeePolicyId>,
}

/// When the buyer is charged.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum CaptureMethod {
    /// At once.
    Automatic,
}

/// A cart: one buyer, any number of sellers.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewPayment, example = json!({
    "amount": 12000, "currency": "EUR", "payment_method": "pm_card_visa", "reference": "order-1",
    "lines": [
        {"seller": "slr_01jd9z6x5sf1vb3vsy3p0gq6ra", "amount": 6000, "tax": {"amount": 1200}},
        {"seller": "slr_01jd9z7c2wf8zr4m1v8x9q2tbk", "amount": 4000, "tax": {"amount": 800}}
    ]
}))]
struct NewPaymentBody {
    /// What the buyer pays: the sum of all lines and their taxes.
    amount: Amount,
    /// That of every seller in the cart.
    #[schema(schema_with = currency_schema)]
    currency: Currency,
    /// The provider's token of the buyer's payment method. Never a card number.
    payment_method: PaymentToken,
    /// `automatic`: the buyer is charged at once.
    #[serde(rename = "capture_method")]
    _capture_method: Option<CaptureMethod>,
    /// Your own id of the payment, unique among your payments.
    reference: Reference,
    /// What the provider shows in its dashboard.
    description: Option<Text<1, 500>>,
    /// 1 to 100 lines.
    #[schema(min_items = 1, max_items = 100)]
    lines: Vec<NewLineBody>,
    #[serde(default)]
    metadata: Metadata,
}

impl NewPaymentBody {
    fn read(self) -> Result<NewPayment, Problem> {
        let count = self.lines.len();
        if !(1..=MOST_LINES).contains(&count) {
            let code = if count == 0 { &problem_types::TOO_SHORT } else { &problem_types::TOO_LONG };
            return Err(Problem::invalid_field(&["lines"], code, format!("expected 1 to {MOST_LINES} lines, not {count}")));
        }
        let lines: Result<Vec<NewLine>, Problem> =
            self.lines.into_iter().enumerate().map(|(at, line)| line.read(at)).collect();
        Ok(NewPayment {
            reference: self.reference.into_string(),
            amount: Money::new(self.amount.minor(), self.currency),
            payment_method: self.payment_method.into_string(),
            description: self.description.map(Text::into_string),
            lines: lines?,
            metadata: self.metadata.into_json(),
        })
    }
}

impl NewLineBody {
    fn read(self, at: usize) -> Result<NewLine, Problem> {
        let kind = match self.kind {
            LineType::Item => LineKind::Item,
            LineType::Shipping => LineKind::Shipping,
            LineType::Tip => LineKind::Tip,
            LineType::Platform => LineKind::Platform,
        };
        let of_seller = |code, detail| Problem::invalid_field(&["lines", &at.to_string(), "seller"], code, detail);
        match (kind, self.seller) {
            (LineKind::Platform, Some(_)) => {
                return Err(of_seller(&problem_types::NOT_ALLOWED, "a line of the type platform has no seller"));
            }
            (LineKind::Platform, None) => {}
            (_, None) => return Err(of_seller(&problem_types::MISSING, "a line of this type needs a seller")),
            (_, Some(_)) => {}
        }
        let liability = self.tax.as_ref().map_or(Liability::Platform, |tax| tax.liability);
        Ok(NewLine {
            kind,
            seller: self.seller,
            amount: self.amount.minor(),
            tax_amount: self.tax.as_ref().map_or(0, |tax| tax.amount.minor()),
            tax_liability: match liability {
                Liability::Platform => TaxLiability::Platform,
                Liability::Seller => TaxLiability::Seller,
            },
            tax_jurisdiction: self.tax.and_then(|tax| tax.jurisdiction).map(Text::into_string),
            category: self.category.map(Text::into_string),
            fee_policy: self.fee_policy,
        })
    }
}

/// The tax of a line; minor units.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = LineTax)]
struct TaxBody {
    /// On top of the line's amount.
    #[schema(example = 1200)]
    amount: i64,
    /// `platform` or `seller`: who owes it to the state.
    #[schema(value_type = String, example = "platform")]
    liability: &'static str,
    jurisdiction: Option<String>,
}

/// A line as it was priced, and what became of it. Amounts in minor units.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = PaymentLine)]
struct LineBody {
    /// Its place in the cart, from 0.
    line: i32,
    /// `item`, `shipping`, `tip` or `platform`.
    #[serde(rename = "type")]
    #[schema(value_type = String, example = "item")]
    kind: &'static str,
    seller: Option<SellerId>,
    /// Net of its tax.
    #[schema(example = 6000)]
    amount: i64,
    tax: TaxBody,
    category: Option<String>,
    /// What the platform keeps of the amount.
    #[schema(example = 600)]
    commission: i64,
    /// The policy that priced it.
    fee_policy: Option<FeePolicyId>,
    /// The version of the policy that priced it.
    fee_policy_version: Option<i32>,
    /// Given back of `amount`.
    refunded_amount: i64,
    /// Given back of `tax.amount`.
    refunded_tax: i64,
    /// Returned of `commission`.
    returned_commission: i64,
}

impl From<Line> for LineBody {
    fn from(line: Line) -> Self {
        Self {
            line: line.number,
            kind: line.kind.as_str(),
            seller: line.seller.map(|(id, _)| id),
            amount: line.amount,
            tax: TaxBody {
                amount: line.tax_amount,
                liability: line.tax_liability.as_str(),
                jurisdiction: line.tax_jurisdiction,
            },
            category: line.category,
            commission: line.commission,
            fee_policy: line.fee_policy.map(|(id, _)| id),
            fee_policy_version: line.fee_policy.map(|(_, version)| version),
            refunded_amount: line.refunded_amount,
            refunded_tax: line.refunded_tax,
            returned_commission: line.returned_commission,
        }
    }
}

/// A payment: one cart, one buyer, any number of sellers.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Payment)]
struct PaymentBody {
    /// Always `payment`.
    #[schema(value_type = String, example = "payment")]
    object: &'static str,
    id: PaymentId,
    /// `test` or `live`.
    #[schema(value_type = String, example = "test")]
    mode: &'static str,
    /// Your own id of the payment.
    reference: String,
    /// `processing`: the provider has not answered definitely; `requires_action`: the buyer must do something;
    /// `succeeded`: the buyer was charged; `failed`: declined, final; `canceled`: given up, final.
    #[schema(value_type = String, example = "succeeded")]
    status: &'static str,
    /// What the buyer pays; minor units.
    #[schema(example = 12000)]
    amount: i64,
    #[schema(schema_with = currency_schema)]
    currency: Currency,
    payment_method: String,
    description: Option<String>,
    /// Where the money is. `none`: with the buyer; `pending`: at the provider, not usable yet; `available`: usable.
    #[schema(value_type = String, example = "pending")]
    funds: &'static str,
    /// When the provider makes the money usable.
    available_at: Option<Time>,
    /// What the processor kept, once known; minor units.
    #[schema(example = 320)]
    processor_fee: Option<i64>,
    /// What was given back or is being given back; minor units.
    refunded_amount: i64,
    lines: Vec<LineBody>,
    provider: ProviderRef,
    /// The charge's id at the provider.
    provider_charge: Option<String>,
    failure: Option<Failure>,
    #[schema(value_type = std::collections::BTreeMap<String, String>)]
    metadata: serde_json::Value,
    created_at: Time,
    updated_at: Time,
}

impl PaymentBody {
    fn show(mode: Mode, payment: Payment, lines: Vec<Line>) -> Self {
        Self {
            object: "payment",
            id: payment.id,
            mode: mode.as_str(),
            reference: payment.reference,
            status: payment.status.as_str(),
            amount: payment.amount.minor,
            currency: payment.amount.currency,
            payment_method: payment.payment_method,
            description: payment.description,
            funds: payment.funds.as_str(),
            available_at: payment.available_on.map(Time),
            processor_fee: payment.processor_fee,
            refunded_amount: payment.refunded_amount,
            lines: lines.into_iter().map(LineBody::from).collect(),
            provider: ProviderRef { name: payment.provider, id: payment.provider_payment },
            provider_charge: payment.provider_charge,
            failure: payment.failure.map(Failure::from),
            metadata: payment.metadata,
            created_at: Time(payment.created_at),
            updated_at: Time(payment.updated_at),
        }
    }
}

fn declined(payment: &Payment, body: PaymentBody) -> Problem {
    let mut problem = Problem::new(&problem_types::PAYMENT_DECLINED);
    if let Some(refusal) = &payment.failure {
        problem = told(problem, &payment.provider, refusal);
    }
    problem.object(serde_json::to_value(body).expect("texts, numbers and lists always serialise"))
}

fn told(problem: Problem, provider: &str, refusal: &Refusal) -> Problem {
    problem.detail(refusal.message.clone()).provider(provider_problem(provider, refusal))
}

/// Takes a buyer's payment for a cart and splits it over its sellers.
///
/// Waits for the provider for up to ten seconds. An answer is final for its key; 202 means that the result comes by
/// event or by reading the payment.
#[utoipa::path(
    post, path = "/v1/payments", tag = "Payments",
    request_body = NewPaymentBody,
    params(("Idempotency-Key" = String, Header, description = "Your unique text for this action, 1 to 255 visible ASCII characters")),
    responses(
        (status = 201, description = "The buyer was charged, or must act (`requires_action`)", body = PaymentBody),
        (status = 202, description = "The provider has not answered definitely yet", body = PaymentBody),
        (status = 402, response = Declined),
        CommandRefusals,
    ),
)]
async fn create(
    State(state): State<HttpState>,
    caller: Caller,
    input: Idempotent<NewPaymentBody>,
) -> Result<Response, Problem> {
    caller.require("payments:write")?;
    let new = input.body.read()?;
    let begun = payments::create(&state.app, caller.book, caller.actor, input.claim.clone(), new).await?;
    let id = match commands::drive(&state, &caller, begun, PaymentId::uuid).await? {
        Progress::Answered(response) => return Ok(response),
        Progress::Read(id) => id,
    };
    let (payment, lines) = read(&state, &caller, id).await?;
    let body = PaymentBody::show(caller.mode, payment.clone(), lines);
    let reply = match payment.status {
        PaymentStatus::Processing => Reply::Open(body),
        PaymentStatus::Failed => Reply::Refused(declined(&payment, body)),
        PaymentStatus::RequiresAction | PaymentStatus::Succeeded | PaymentStatus::Canceled => Reply::created(body),
    };
    commands::answer(&state, &caller, Some(&input.claim), reply).await
}

/// A declined payment.
struct Declined;

impl<'r> utoipa::ToResponse<'r> for Declined {
    fn response() -> (&'r str, utoipa::openapi::RefOr<utoipa::openapi::response::Response>) {
        let response = problem_response("Declined: `payment_declined`. No money moved; `object` is the failed payment.");
        ("Declined", utoipa::openapi::RefOr::T(response))
    }
}

async fn read(state: &HttpState, caller: &Caller, id: PaymentId) -> Result<(Payment, Vec<Line>), Problem> {
    let found = state
        .app
        .db
        .read("get payment", caller.scope(), move |tx| {
            Box::pin(async move {
                let Some(payment) = payments::find(tx, id).await? else { return Ok(None) };
                Ok::<_, DbError>(Some((payment, payments::find_lines(tx, id).await?)))
            })
        })
        .await?;
    found.ok_or_else(|| Problem::not_found("payment"))
}

/// One payment with its lines.
#[utoipa::path(
    get, path = "/v1/payments/{id}", tag = "Payments",
    params(("id" = PaymentId, Path, description = "The payment")),
    responses((status = 200, description = "The payment", body = PaymentBody), Refusals),
)]
async fn fetch(
    State(state): State<HttpState>,
    caller: Caller,
    PathId(id): PathId<PaymentId>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Json<PaymentBody>, Problem> {
    caller.require("payments:read")?;
    let (payment, lines) = read(&state, &caller, id).await?;
    Ok(Json(PaymentBody::show(caller.mode, payment, lines)))
}

/// Filters of the list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Filters {
    /// Any of these; may be repeated.
    #[serde(default)]
    #[param(example = json!(["succeeded"]))]
    status: Vec<String>,
    /// Your own id of the payment.
    reference: Option<String>,
    /// With a line of this seller.
    seller: Option<SellerId>,
    /// When it was made: `created_at[gte]=..` (at or after) and `created_at[lt]=..` (before); RFC 3339.
    #[serde(default)]
    #[param(style = DeepObject, explode, inline)]
    created_at: TimeRange,
    /// How many a page has, 1 to 100; 20 when absent.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u8>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Payments, newest first.
#[utoipa::path(
    get, path = "/v1/payments", tag = "Payments",
    params(Filters),
    responses((status = 200, description = "A page of payments", body = List<PaymentBody>), Refusals),
)]
async fn list(
    State(state): State<HttpState>,
    caller: Caller,
    OriginalUri(uri): OriginalUri,
    Query(filters): Query<Filters>,
) -> Result<Response, Problem> {
    caller.require("payments:read")?;
    known_words("status", &filters.status, |word| PaymentStatus::parse(word).is_some())?;
    let bound = (&filters.status, &filters.reference, &filters.seller, &filters.created_at);
    let page = cursor::page::<PaymentId, _>("/v1/payments", &bound, filters.limit, filters.cursor.as_deref())?;
    let limit = page.fetch_limit();
    let filter = payments::ListFilter {
        statuses: filters.status,
        reference: filters.reference,
        seller: filters.seller,
        created_from: filters.created_at.from(),
        created_before: filters.created_at.before(),
        before: page.after,
    };
    let rows = state
        .app
        .db
        .read("list payments", caller.scope(), move |tx| {
            let filter = filter.clone();
            Box::pin(async move {
                let mut rows = Vec::new();
                for payment in payments::list(tx, &filter, limit).await? {
                    let lines = payments::find_lines(tx, payment.id).await?;
                    rows.push((payment, lines));
                }
                Ok::<_, DbError>(rows)
            })
        })
        .await?;
    let show = |(payment, lines)| PaymentBody::show(caller.mode, payment, lines);
    Ok(page.list(rows, |(payment, _)| payment.id, show).respond(&uri))
}

/// No fields.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Nothing {}

/// Gives up a payment that waits for its buyer (`requires_action`).
#[utoipa::path(
    post, path = "/v1/payments/{id}/cancel", tag = "Payments",
    params(
        ("id" = PaymentId, Path, description = "The payment"),
        ("Idempotency-Key" = String, Header, description = "Your unique text for this action, 1 to 255 visible ASCII characters"),
    ),
    responses(
        (status = 200, description = "It is canceled", body = PaymentBody),
        (status = 202, description = "The provider has not answered definitely yet", body = PaymentBody),
        CommandRefusals,
    ),
)]
async fn cancel(
    State(state): State<HttpState>,
    caller: Caller,
    PathId(id): PathId<PaymentId>,
    input: Idempotent<Nothing>,
) -> Result<Response, Problem> {
    caller.require("payments:write")?;
    let begun = payments::cancel(&state.app, caller.book, caller.actor, input.claim.clone(), id).await?;
    let id = match commands::drive(&state, &caller, begun, PaymentId::uuid).await? {
        Progress::Answered(response) => return Ok(response),
        Progress::Read(id) => id,
    };
    let (payment, lines) = read(&state, &caller, id).await?;
    let status = payment.status;
    let body = PaymentBody::show(caller.mode, payment, lines);
    let reply = match status {
        PaymentStatus::Canceled => Reply::Done(StatusCode::OK, body),
        PaymentStatus::Processing | PaymentStatus::RequiresAction => Reply::Open(body),
        PaymentStatus::Succeeded | PaymentStatus::Failed => {
            let detail = format!("The payment is {} and was not canceled.", status.as_str());
            Reply::Refused(Problem::new(&problem_types::STATE_CONFLICT).detail(detail))
        }
    };
    commands::answer(&state, &caller, Some(&input.claim), reply).await
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::json::read as read_body;
    use super::*;
    use crate::id::RequestId;

    fn cart() -> serde_json::Value {
        json!({
            "amount": 12000, "currency": "EUR", "payment_method": "pm_card_visa", "reference": "order-1",
            "lines": [
                {"seller": "slr_01h455vb4pex5vsknk084sn02q", "amount": 6000, "tax": {"amount": 1200}},
                {"type": "platform", "amount": 4800},
            ],
        })
    }

    fn refused(change: impl FnOnce(&mut serde_json::Value)) -> (String, String) {
        let mut cart = cart();
        change(&mut cart);
        let problem = match read_body::<NewPaymentBody>(&cart) {
            Ok(body) => body.read().expect_err("refused on purpose"),
            Err(problem) => problem,
        };
        let error = problem.body(RequestId::new()).errors.remove(0);
        (error.pointer.expect("a field"), error.code)
    }

    #[test]
    fn a_cart_is_read_with_its_defaults() {
        let new = read_body::<NewPaymentBody>(&cart()).expect("valid").read().expect("valid");
        assert_eq!(new.amount.to_string(), "120.00 EUR");
        assert_eq!(new.lines[0].kind, LineKind::Item);
        assert_eq!((new.lines[0].tax_amount, new.lines[0].tax_liability), (1200, TaxLiability::Platform));
        assert_eq!((new.lines[1].kind, new.lines[1].seller), (LineKind::Platform, None));
    }

    #[test]
    fn each_fault_of_a_cart_points_at_its_field() {
        let is = |pointer: &str, code: &str| (pointer.to_owned(), code.to_owned());
        assert_eq!(refused(|cart| cart["amount"] = json!(-5)), is("#/amount", "out_of_range"));
        assert_eq!(refused(|cart| cart["amount"] = json!(120.5)), is("#/amount", "not_an_integer"));
        assert_eq!(refused(|cart| cart["currency"] = json!("eur")), is("#/currency", "invalid_value"));
        assert_eq!(refused(|cart| cart["lines"] = json!([])), is("#/lines", "too_short"));
        assert_eq!(refused(|cart| cart["lines"][0]["seller"] = json!(null)), is("#/lines/0/seller", "missing"));
        assert_eq!(refused(|cart| cart["lines"][0]["seller"] = json!("pay_01h455vb4pex5vsknk084sn02q")), is("#/lines/0/seller", "invalid_value"));
        assert_eq!(refused(|cart| cart["lines"][1]["seller"] = json!("slr_01h455vb4pex5vsknk084sn02q")), is("#/lines/1/seller", "not_allowed"));
        assert_eq!(refused(|cart| cart["lines"][0]["tax"]["rate"] = json!(20)), is("#/lines/0/tax/rate", "unknown_field"));
        assert_eq!(refused(|cart| cart["lines"][0]["type"] = json!("gift")), is("#/lines/0/type", "invalid_value"));
        assert_eq!(refused(|cart| cart["capture_method"] = json!("manual")), is("#/capture_method", "invalid_value"));
        let line = cart()["lines"][1].clone();
        assert_eq!(refused(|cart| cart["lines"] = json!(vec![line; 101])), is("#/lines", "too_long"));
    }
}
