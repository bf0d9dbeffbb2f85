//! `POST /v1/fee_policies/{id}/simulate`.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::super::HttpState;
use super::super::auth::Caller;
use super::super::fields::{Currency, currency_schema};
use super::super::json::{Json as Body, PathId};
use super::super::ledger::shown;
use super::super::problem::Problem;
use super::super::problem_types;
use super::super::render::{Refusals, Time};
use super::terms::{AmountsBody, BasisPoints, Given, RuleBody};
use crate::id::FeePolicyId;
use crate::payments::{self, NewSimulation, Simulation, Trial};

/// The routes.
pub(super) fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new().routes(routes!(simulate))
}

/// Which lines are priced again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = SimulatedLines)]
enum LinesBody {
    /// Those that this policy priced.
    #[default]
    OfPolicy,
    /// Every seller's line.
    All,
}

/// Which period to price again, and by which terms: those of a version, those that are given, or, without either, those
/// of the version that holds now.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewFeeSimulation, example = json!({
    "from": "2026-01-01T00:00:00Z", "before": "2026-04-01T00:00:00Z", "percent_bps": 900, "amounts": {"EUR": {"fixed": 30}}
}))]
struct NewSimulationBody {
    /// Payments made at this time or later.
    #[schema(value_type = String, format = DateTime)]
    from: Timestamp,
    /// Payments made earlier than this time, which has passed; at most 92 days after `from`.
    #[schema(value_type = String, format = DateTime)]
    before: Timestamp,
    /// `of_policy` when absent.
    #[serde(default)]
    lines: LinesBody,
    /// The terms of this version of the policy.
    #[schema(minimum = 1)]
    version: Option<i32>,
    /// Terms in the short form.
    percent_bps: Option<BasisPoints>,
    /// Fixed parts and bounds by currency, for the short form.
    amounts: Option<BTreeMap<String, AmountsBody>>,
    /// Terms as rules.
    #[schema(min_items = 1, max_items = 100)]
    rules: Option<Vec<RuleBody>>,
}

/// Sums over lines in one currency; minor units.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FeeSimulationTotal)]
struct TotalBody {
    #[schema(schema_with = currency_schema)]
    currency: Currency,
    /// How many lines.
    lines: u64,
    /// Their net amounts.
    #[schema(example = 1_200_000)]
    amount: i64,
    /// What was charged, before refunds.
    #[schema(example = 120_000)]
    charged: i64,
    /// What these terms would have charged.
    #[schema(example = 108_000)]
    simulated: i64,
    /// `simulated` less `charged`: negative when these terms take less.
    difference: i64,
}

/// What one rule would have charged in one currency; minor units.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FeeSimulationRule)]
struct RuleTotalBody {
    /// Its number, from 1; null for lines that no rule is for.
    rule: Option<usize>,
    /// Its name.
    name: Option<String>,
    #[schema(schema_with = currency_schema)]
    currency: Currency,
    /// How many lines it is for.
    lines: u64,
    /// Their net amounts.
    amount: i64,
    /// What was charged for them, before refunds.
    charged: i64,
    /// What the rule would have charged.
    simulated: i64,
}

/// What a period would have cost.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FeeSimulation)]
struct SimulationBody {
    /// Always `fee_simulation`.
    #[schema(value_type = String, example = "fee_simulation")]
    object: &'static str,
    /// `test` or `live`.
    #[schema(value_type = String, example = "test")]
    mode: &'static str,
    fee_policy: FeePolicyId,
    /// The version that was tried; null for terms that were given.
    fee_policy_version: Option<i32>,
    from: Time,
    before: Time,
    /// How many lines were priced again.
    lines: u64,
    /// By currency.
    totals: Vec<TotalBody>,
    /// By rule and currency.
    rules: Vec<RuleTotalBody>,
}

impl SimulationBody {
    fn show(caller: &Caller, policy: FeePolicyId, range: (Timestamp, Timestamp), found: Simulation) -> Self {
        let totals = found.totals.into_iter().map(|(currency, sums)| TotalBody {
            currency,
            lines: sums.lines,
            amount: shown(sums.amount),
            charged: shown(sums.charged),
            simulated: shown(sums.simulated),
            difference: shown(sums.simulated - sums.charged),
        });
        let rules = found.rules.into_iter().map(|((place, currency), sums)| RuleTotalBody {
            rule: place.map(|place| place + 1),
            name: place.and_then(|place| found.terms.rules.get(place)).and_then(|rule| rule.name.clone()),
            currency,
            lines: sums.lines,
            amount: shown(sums.amount),
            charged: shown(sums.charged),
            simulated: shown(sums.simulated),
        });
        Self {
            object: "fee_simulation",
            mode: caller.mode.as_str(),
            fee_policy: policy,
            fee_policy_version: found.version,
            from: Time(range.0),
            before: Time(range.1),
            lines: found.lines,
            totals: totals.collect(),
            rules: rules.collect(),
        }
    }
}

/// What a past period would have cost under other terms, beside what was charged. Changes nothing.
///
/// Payments that succeeded are priced again in the order they were made, at most a million lines; sellers' volumes are
/// those that these payments make.
#[utoipa::path(
    post, path = "/v1/fee_policies/{id}/simulate", tag = "Fee policies", operation_id = "simulate_fee_policy",
    params(("id" = FeePolicyId, Path, description = "The policy")),
    request_body = NewSimulationBody,
    responses((status = 200, description = "The sums", body = SimulationBody), Refusals),
)]
async fn simulate(
    State(state): State<HttpState>,
    caller: Caller,
    PathId(id): PathId<FeePolicyId>,
    Body(body): Body<NewSimulationBody>,
) -> Result<Json<SimulationBody>, Problem> {
    caller.require("payments:read")?;
    let given = Given { percent_bps: body.percent_bps, amounts: body.amounts, rules: body.rules };
    let trial = match (body.version, given.is_nothing()) {
        (None, true) => Trial::Current,
        (None, false) => Trial::Terms(given.read()?),
        (Some(version), true) => Trial::Version(version),
        (Some(_), false) => {
            let detail = "give either a version or terms";
            return Err(Problem::invalid_field(&["version"], &problem_types::NOT_ALLOWED, detail));
        }
    };
    let (from, before) = (body.from, body.before);
    let asked = NewSimulation { policy: id, trial, from, before, all_lines: body.lines == LinesBody::All };
    let found = payments::simulate(&state.app, caller.book, asked).await?;
    Ok(Json(SimulationBody::show(&caller, id, (from, before), found)))
}
