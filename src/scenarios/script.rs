//! What a scenario is: a YAML file that says what happens in a marketplace, step by step, and what must be true then.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Span, SpanRelativeTo, Timestamp};
use partita_provider::Currency;
use partita_simulator::FaultKind;
use serde::{Deserialize, Deserializer, de};
use serde_json::{Map, Value};

use super::amount::Amount;

/// When a scenario begins that does not say so.
const START: &str = "2026-03-02T09:00:00Z";

/// A marketplace's story.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Script {
    /// What it shows, in one line.
    pub title: String,
    /// The problem, and what happens here.
    pub about: String,
    /// When it begins; UTC.
    #[serde(default = "start")]
    pub(super) starts: Timestamp,
    /// Settings of the simulated provider that differ from its usual ones.
    #[serde(default)]
    pub(super) provider: Map<String, Value>,
    /// What happens, in order.
    pub(super) steps: Vec<Step>,
    /// What differs at the end on purpose.
    #[serde(default)]
    pub(super) ends: Ends,
}

impl Script {
    /// Reads a scenario.
    ///
    /// # Errors
    /// With the line, what is wrong there, and what may stand there.
    pub fn parse(text: &str) -> Result<Self, ScriptError> {
        serde_saphyr::from_str(text).map_err(|error| ScriptError(error.to_string()))
    }
}

/// Why a text is no scenario: where, and what may stand there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ScriptError(String);

fn start() -> Timestamp {
    START.parse().expect("a time")
}

/// What is not as it should be at the end, because the scenario is about it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ends {
    /// Differences that reconciliation finds.
    #[serde(default)]
    pub(super) breaks: i32,
    /// Commands that wait for people or for the provider.
    #[serde(default)]
    pub(super) open_operations: i64,
    /// Events of the provider that wait for people.
    #[serde(default)]
    pub(super) quarantined_events: i64,
}

/// One thing that happens.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Step {
    /// Says what is going on.
    Say(String),
    /// A seller opens an account and does what the provider wants.
    Seller(NewSeller),
    /// The platform adds money to its balance at the provider.
    TopUp(Amount),
    /// A buyer pays.
    Pay(Pay),
    /// A buyer gets money back.
    Refund(Refund),
    /// Time passes.
    Wait(Wait),
    /// Any request to the service.
    Call(Call),
    /// Something happens at the provider or at the bank.
    Provider(Act),
    /// What must be true now.
    Expect(Expect),
}

/// A new seller.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewSeller {
    pub(super) name: String,
    pub(super) country: String,
    pub(super) currency: Currency,
    /// The provider's schedule for it.
    #[serde(default = "manual")]
    pub(super) payouts: String,
    /// Whether it finishes its onboarding now.
    #[serde(default = "yes")]
    pub(super) onboarded: bool,
}

fn manual() -> String {
    "manual".to_owned()
}

fn yes() -> bool {
    true
}

/// A payment. All amounts are of one currency.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pay {
    pub(super) name: String,
    #[serde(default = "visa")]
    pub(super) method: String,
    pub(super) lines: Vec<Line>,
    #[serde(default = "created")]
    pub(super) answer: u16,
    /// Further fields of the request.
    #[serde(default)]
    pub(super) with: Map<String, Value>,
}

fn visa() -> String {
    "pm_card_visa".to_owned()
}

fn created() -> u16 {
    201
}

fn done() -> u16 {
    200
}

/// A line of a cart.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Line {
    /// Whose it is; the platform's own when none.
    #[serde(default)]
    pub(super) seller: Option<String>,
    pub(super) amount: Amount,
    #[serde(default)]
    pub(super) tax: Option<Amount>,
    /// Further fields of the line.
    #[serde(default)]
    pub(super) with: Map<String, Value>,
}

/// A refund: of everything that is left, of an amount, or by line.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Refund {
    pub(super) name: String,
    pub(super) of: String,
    #[serde(default)]
    pub(super) amount: Option<Amount>,
    /// Net amounts by the line's number, from 0.
    #[serde(default)]
    pub(super) lines: BTreeMap<u32, Amount>,
    #[serde(default = "created")]
    pub(super) answer: u16,
}

/// A duration, as `10 days` or `36h`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wait(pub(super) SignedDuration);

impl<'de> Deserialize<'de> for Wait {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let span: Span = String::deserialize(deserializer)?.parse().map_err(de::Error::custom)?;
        let duration = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(de::Error::custom)?;
        if duration.is_positive() { Ok(Self(duration)) } else { Err(de::Error::custom("time only goes forward")) }
    }
}

/// A request. In its path and body, `$name` stands for the id of what that name was given to, `$name.field` for a field of
/// it, and `60.00 EUR` for the amount in minor units.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Call {
    #[serde(default = "post")]
    pub(super) method: String,
    pub(super) path: String,
    #[serde(default)]
    pub(super) body: Option<Value>,
    /// Who asks.
    #[serde(default)]
    pub(super) by: Caller,
    /// What its answer is called from here on.
    #[serde(default)]
    pub(super) name: Option<String>,
    #[serde(default = "created")]
    pub(super) answer: u16,
    /// What its answer must contain.
    #[serde(default)]
    pub(super) has: Option<Value>,
}

/// Whose API key a request carries: what one proposes, another one has to approve.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Caller {
    /// Who does everything else.
    #[default]
    Operator,
    /// Somebody else at the platform.
    Colleague,
}

fn post() -> String {
    "POST".to_owned()
}

/// What the provider, a bank or a buyer's bank does.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Act {
    /// A buyer's bank disputes a payment.
    Dispute {
        name: String,
        of: String,
        #[serde(default)]
        amount: Option<Amount>,
        #[serde(default = "fraudulent")]
        reason: String,
        #[serde(default)]
        inquiry: bool,
    },
    /// It decides: `won` or `lost` for the platform, `escalated`, `warning_closed`.
    Decide { dispute: String, outcome: String },
    /// A bank refuses or returns the newest payout of a seller.
    FailPayout { seller: String, code: String },
    /// A refund does not reach the buyer.
    FailRefund { refund: String, reason: String },
    /// A seller takes its balance in the provider's dashboard.
    PayOut { seller: String, amount: Amount },
    /// A seller does what the provider wants.
    Onboard { seller: String },
    /// The next requests that fit go wrong.
    Fault {
        kind: FaultKind,
        #[serde(default = "post")]
        method: String,
        path: String,
        #[serde(default = "once")]
        times: u32,
    },
    /// What was planned to go wrong and has not yet goes well.
    Heal,
    /// The simulated provider behaves differently from here on.
    Settings(Map<String, Value>),
    /// A person does something in the provider's dashboard: a request of Stripe's, as form fields.
    Dashboard { path: String, fields: BTreeMap<String, String> },
}

fn fraudulent() -> String {
    "fraudulent".to_owned()
}

fn once() -> u32 {
    1
}

/// What must be true.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Expect {
    /// These accounts have these balances, on their normal side.
    Balances(BTreeMap<String, Amount>),
    /// These and no others are not zero.
    Books(Vec<(String, Amount)>),
    /// A resource looks so; what is not named may be anything.
    Get {
        path: String,
        #[serde(default = "done")]
        answer: u16,
        has: Value,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typo_is_told_with_its_line_and_what_may_stand_there() {
        let error = Script::parse("title: A\nabout: B\nsteps:\n  - pya: { name: order-1, lines: [] }\n");
        let told = error.expect_err("no such step").to_string();
        assert!(told.contains("pya") && told.contains("pay") && told.contains('4'), "{told}");
    }

    #[test]
    fn time_goes_forward() {
        let wait = |text| Script::parse(&format!("title: A\nabout: B\nsteps:\n  - wait: {text}\n"));
        assert!(wait("10 days").is_ok() && wait("36h").is_ok());
        assert!(wait("-1 day").is_err() && wait("1 month").is_err() && wait("soon").is_err());
    }
}
