//! `/v1/payments/{id}/lines/{n}/hold`, `../release`, `/v1/release_policy`: when the shares of lines are released.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::super::HttpState;
use super::super::auth::Caller;
use super::super::commands::{self, Progress, Reply};
use super::super::fields::{Country, Text};
use super::super::idempotency::Idempotent;
use super::super::json::Json as Body;
use super::super::problem::Problem;
use super::super::problem_types;
use super::super::query::{NoParameters, Query};
use super::super::render::{CommandRefusals, Refusals, Time};
use super::{PaymentBody, read};
use crate::id::{LineReleaseId, PaymentId};
use crate::idempotency::Begun;
use crate::payments::line_release::{
    self, AtLimit, LineRelease, ReleaseFrom, ReleasePolicy, ReleaseRule, declare_release_policy, find_release_policy,
};
use crate::platforms::Mode;
use crate::transfers;

const MOST_DAYS: i32 = 730;
const MOST_WARN_DAYS: i32 = 90;

/// The routes.
pub(super) fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new().routes(routes!(hold)).routes(routes!(release)).routes(routes!(policy, declare))
}

/// From when on the days count.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ReleaseFrom)]
enum FromBody {
    /// When the provider made the payment's money usable.
    Available,
    /// When it was delivered, as you tell it (`POST ../release` with `delivered_at`).
    Delivery,
    /// They do not: you release it.
    Request,
}

impl From<FromBody> for ReleaseFrom {
    fn from(body: FromBody) -> Self {
        match body {
            FromBody::Available => Self::Available,
            FromBody::Delivery => Self::Delivery,
            FromBody::Request => Self::Request,
        }
    }
}

/// When a share is released; never before the payment's money is usable.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ReleaseRule, example = json!({"from": "delivery", "after_days": 14}))]
pub(super) struct ReleaseRuleBody {
    from: FromBody,
    /// How many days later, 0 to 730, each of 24 hours; 0 when absent, and of `request`. Of a line, no more than money may be held
    /// for its seller.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 730, example = 14)]
    after_days: i32,
}

impl ReleaseRuleBody {
    /// The rule, if it can be; `place` is where it stands.
    pub(super) fn read<S: AsRef<str>>(self, place: &[S]) -> Result<ReleaseRule, Problem> {
        let path: Vec<&str> = place.iter().map(AsRef::as_ref).chain(["after_days"]).collect();
        let from = ReleaseFrom::from(self.from);
        if from == ReleaseFrom::Request && self.after_days != 0 {
            let detail = "no days count for what is released on request";
            return Err(Problem::invalid_field(&path, &problem_types::NOT_ALLOWED, detail));
        }
        in_range(&path, self.after_days, 0, MOST_DAYS)?;
        Ok(ReleaseRule { from, after_days: self.after_days })
    }
}

fn in_range(path: &[&str], days: i32, least: i32, most: i32) -> Result<(), Problem> {
    if (least..=most).contains(&days) {
        return Ok(());
    }
    let detail = format!("must be from {least} to {most}");
    Err(Problem::invalid_field(path, &problem_types::OUT_OF_RANGE, detail))
}

/// When the share of a line is released that does not come with the payment's money, and what became of it.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = LineRelease)]
pub(super) struct ReleaseBody {
    id: LineReleaseId,
    /// `available`, `delivery` or `request`: from when on the days count.
    #[schema(value_type = String, example = "delivery")]
    from: &'static str,
    #[schema(example = 14)]
    after_days: i32,
    /// `waiting`: for its date, or for what that counts from; `held`: by a person; `released`: it is the seller's to use.
    #[schema(value_type = String, example = "waiting")]
    status: &'static str,
    /// Why a person holds it, or held it last.
    reason: Option<String>,
    /// When it was delivered, as you told it.
    delivered_at: Option<Time>,
    /// When it is released, but not before `funds` is `available`; null while that is not known.
    release_at: Option<Time>,
    /// Until when it may be held; null before the charge.
    limit_at: Option<Time>,
    /// `keep` or `release`: what happens then.
    #[schema(value_type = String, example = "keep")]
    at_limit: &'static str,
    released_at: Option<Time>,
    /// What of it became usable then; below zero where more was taken from the line than it was worth to its seller. Minor units.
    #[schema(example = 5400)]
    released_amount: Option<i64>,
}

impl From<&LineRelease> for ReleaseBody {
    fn from(release: &LineRelease) -> Self {
        Self {
            id: release.id,
            from: release.rule.from.as_str(),
            after_days: release.rule.after_days,
            status: release.status.as_str(),
            reason: release.reason.clone(),
            delivered_at: release.delivered_at.map(Time),
            release_at: release.release_at.map(Time),
            limit_at: release.limit_at.map(Time),
            at_limit: release.at_limit.as_str(),
            released_at: release.released_at.map(Time),
            released_amount: release.released_amount,
        }
    }
}

/// The payment and the line in the path. Text that names none: 404.
struct PathLine(PaymentId, i32);

impl<S: Send + Sync> FromRequestParts<S> for PathLine {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let not_found = || Problem::not_found("payment line");
        let Path((payment, line)) =
            Path::<(String, String)>::from_request_parts(parts, state).await.map_err(|_| not_found())?;
        let (payment, line) = (payment.parse().ok(), line.parse().ok());
        payment.zip(line).map(|(payment, line)| Self(payment, line)).ok_or_else(not_found)
    }
}

/// Why a share is held.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewLineHold, example = json!({"reason": "the buyer says that it never came"}))]
struct NewHoldBody {
    /// In your own words.
    reason: Option<Text<1, 1000>>,
}

/// Holds the share of a line until you release it, or until it was held for as long as the provider lets it be and your
/// `/v1/release_policy` says that it goes then. Possible until it is released: of a line without a rule, until the payment's money is
/// usable.
#[utoipa::path(
    post, path = "/v1/payments/{id}/lines/{n}/hold", tag = "Payments", operation_id = "hold_payment_line",
    request_body = NewHoldBody,
    params(
        ("id" = PaymentId, Path, description = "The payment"),
        ("n" = i32, Path, description = "Its line, from 0"),
        ("Idempotency-Key" = String, Header, description = "Your unique text for this action, 1 to 255 visible ASCII characters"),
    ),
    responses((status = 200, description = "It is held", body = PaymentBody), CommandRefusals),
)]
async fn hold(
    State(state): State<HttpState>,
    caller: Caller,
    PathLine(id, line): PathLine,
    input: Idempotent<NewHoldBody>,
) -> Result<Response, Problem> {
    caller.require("payments:write")?;
    let (claim, reason) = (input.claim.clone(), input.body.reason.map(Text::into_string));
    let begun = line_release::hold(&state.app, caller.book, caller.actor, claim.clone(), (id, line), reason).await?;
    answer(&state, &caller, begun, &claim).await
}

/// When a line was delivered.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewLineRelease, example = json!({"delivered_at": "2026-11-22T09:30:00Z"}))]
struct NewReleaseBody {
    /// When it was delivered; the days of its rule count from then. When absent, it is released now.
    #[schema(value_type = Option<String>, format = DateTime)]
    delivered_at: Option<Timestamp>,
}

/// Releases the share of a line that waits or is held: now, or as many days after its delivery as its rule says. Never before the
/// payment's money is usable: until then it waits, and goes with that.
#[utoipa::path(
    post, path = "/v1/payments/{id}/lines/{n}/release", tag = "Payments", operation_id = "release_payment_line",
    request_body = NewReleaseBody,
    params(
        ("id" = PaymentId, Path, description = "The payment"),
        ("n" = i32, Path, description = "Its line, from 0"),
        ("Idempotency-Key" = String, Header, description = "Your unique text for this action, 1 to 255 visible ASCII characters"),
    ),
    responses((status = 200, description = "It is released, or has a date", body = PaymentBody), CommandRefusals),
)]
async fn release(
    State(state): State<HttpState>,
    caller: Caller,
    PathLine(id, line): PathLine,
    input: Idempotent<NewReleaseBody>,
) -> Result<Response, Problem> {
    caller.require("payments:write")?;
    let (claim, delivered_at) = (input.claim.clone(), input.body.delivered_at);
    let begun =
        transfers::release_line(&state.app, caller.book, caller.actor, claim.clone(), (id, line), delivered_at).await?;
    state.app.wake.now();
    answer(&state, &caller, begun, &claim).await
}

async fn answer(
    state: &HttpState,
    caller: &Caller,
    begun: Begun<PaymentId>,
    claim: &crate::idempotency::Request,
) -> Result<Response, Problem> {
    let id = match commands::begun(begun) {
        Progress::Answered(response) => return Ok(response),
        Progress::Read(id) => id,
    };
    let body = PaymentBody::show(caller.mode, read(state, caller, id).await?);
    commands::answer(state, caller, Some(claim), Reply::Done(StatusCode::OK, body)).await
}

/// What happens to a share that was held for as long as it may be.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = AtHoldLimit)]
enum AtLimitBody {
    /// It is told (`payment_line.limit_reached`), stands in `/v1/stuck_money`, and waits for you.
    #[default]
    Keep,
    /// It is released, held by a person or not.
    Release,
}

/// For how long money may be held for sellers of a country.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewHoldLimit)]
struct NewLimitBody {
    country: Country,
    /// 1 to 730.
    #[schema(minimum = 1, maximum = 730, example = 730)]
    longest_hold_days: i32,
}

/// When shares are released of lines that do not say it themselves, and how long any may be held after the charge.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewReleasePolicy, example = json!({"release": {"from": "delivery", "after_days": 14}, "at_limit": "keep"}))]
struct NewPolicyBody {
    release: ReleaseRuleBody,
    /// 1 to 730; 90 when absent, as Stripe has it.
    #[schema(minimum = 1, maximum = 730, example = 90)]
    longest_hold_days: Option<i32>,
    /// Figures of their own for countries of sellers; when absent those of Stripe: 10 days for TH, 730 for US.
    countries: Option<Vec<NewLimitBody>>,
    /// How many days before that it is told (`payment_line.limit_near`), 1 to 90; 7 when absent.
    #[schema(minimum = 1, maximum = 90, example = 7)]
    warn_days: Option<i32>,
    /// `keep` when absent.
    #[serde(default)]
    at_limit: AtLimitBody,
}

impl NewPolicyBody {
    fn read(self) -> Result<ReleasePolicy, Problem> {
        let usual = ReleasePolicy::default();
        let rule = self.release.read(&["release"])?;
        let longest_hold_days = self.longest_hold_days.unwrap_or(usual.longest_hold_days);
        in_range(&["longest_hold_days"], longest_hold_days, 1, MOST_DAYS)?;
        if rule.after_days > longest_hold_days {
            let detail = format!("is more than money may be held: {longest_hold_days}");
            return Err(Problem::invalid_field(&["release", "after_days"], &problem_types::OUT_OF_RANGE, detail));
        }
        let warn_days = self.warn_days.unwrap_or(usual.warn_days);
        in_range(&["warn_days"], warn_days, 1, MOST_WARN_DAYS)?;
        let mut seen = BTreeSet::new();
        let mut countries = Vec::new();
        for (at, limit) in self.countries.iter().flatten().enumerate() {
            let place = at.to_string();
            in_range(&["countries", &place, "longest_hold_days"], limit.longest_hold_days, 1, MOST_DAYS)?;
            let country = limit.country.clone().into_string();
            if !seen.insert(country.clone()) {
                let path = ["countries", &place, "country"];
                return Err(Problem::invalid_field(&path, &problem_types::NOT_ALLOWED, "stands twice"));
            }
            countries.push((country, limit.longest_hold_days));
        }
        Ok(ReleasePolicy {
            version: 0,
            rule,
            longest_hold_days,
            countries: if self.countries.is_some() { countries } else { usual.countries },
            warn_days,
            at_limit: match self.at_limit {
                AtLimitBody::Keep => AtLimit::Keep,
                AtLimitBody::Release => AtLimit::Release,
            },
        })
    }
}

/// A rule of release.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[schema(as = DeclaredRelease)]
struct RuleBody {
    /// `available`, `delivery` or `request`.
    #[schema(value_type = String, example = "delivery")]
    from: &'static str,
    #[schema(example = 14)]
    after_days: i32,
}

/// For how long money may be held for sellers of a country.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = HoldLimit)]
struct LimitBody {
    #[schema(example = "US")]
    country: String,
    #[schema(example = 730)]
    longest_hold_days: i32,
}

/// When shares are released of lines that do not say it themselves, and how long any may be held.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = ReleasePolicy)]
struct PolicyBody {
    /// Always `release_policy`.
    #[schema(value_type = String, example = "release_policy")]
    object: &'static str,
    /// `test` or `live`.
    #[schema(value_type = String, example = "test")]
    mode: &'static str,
    /// Counts your declarations; 0: none was made yet.
    #[schema(example = 1)]
    version: i32,
    release: RuleBody,
    #[schema(example = 90)]
    longest_hold_days: i32,
    countries: Vec<LimitBody>,
    #[schema(example = 7)]
    warn_days: i32,
    /// `keep` or `release`.
    #[schema(value_type = String, example = "keep")]
    at_limit: &'static str,
}

impl PolicyBody {
    fn show(mode: Mode, policy: ReleasePolicy) -> Self {
        let limit = |(country, longest_hold_days)| LimitBody { country, longest_hold_days };
        Self {
            object: "release_policy",
            mode: mode.as_str(),
            version: policy.version,
            release: RuleBody { from: policy.rule.from.as_str(), after_days: policy.rule.after_days },
            longest_hold_days: policy.longest_hold_days,
            countries: policy.countries.into_iter().map(limit).collect(),
            warn_days: policy.warn_days,
            at_limit: policy.at_limit.as_str(),
        }
    }
}

/// When shares are released now of lines that do not say it themselves, and how long any may be held.
#[utoipa::path(
    get, path = "/v1/release_policy", tag = "Payments", operation_id = "get_release_policy",
    responses((status = 200, description = "The policy", body = PolicyBody), Refusals),
)]
async fn policy(
    State(state): State<HttpState>,
    caller: Caller,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Json<PolicyBody>, Problem> {
    caller.require("payments:read")?;
    let policy = state
        .app
        .db
        .read("get release policy", caller.scope(), |tx| Box::pin(async move { find_release_policy(tx).await }))
        .await?;
    Ok(Json(PolicyBody::show(caller.mode, policy)))
}

/// Declares when shares are released from now on of lines that do not say it themselves, and how long any may be held. Payments made
/// before stay as they are.
#[utoipa::path(
    put, path = "/v1/release_policy", tag = "Payments", operation_id = "declare_release_policy",
    request_body = NewPolicyBody,
    responses((status = 200, description = "The policy with its version", body = PolicyBody), CommandRefusals),
)]
async fn declare(
    State(state): State<HttpState>,
    caller: Caller,
    Body(body): Body<NewPolicyBody>,
) -> Result<Json<PolicyBody>, Problem> {
    caller.require("payments:write")?;
    let policy = declare_release_policy(&state.app, caller.book, caller.actor, body.read()?).await?;
    Ok(Json(PolicyBody::show(caller.mode, policy)))
}
