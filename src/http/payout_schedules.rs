//! When sellers are paid out, as it is declared and shown; `/v1/bank_holidays`.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use jiff::civil::{Date, Time as TimeOfDay};
use jiff::tz::TimeZone;
use partita_db::{DbError, Tx};
use partita_provider::Money;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::HttpState;
use super::auth::Caller;
use super::cursor::List;
use super::fields::{Amount, Country, Currency, Text, currency_schema};
use super::json::Json as Body;
use super::problem::Problem;
use super::problem_types::{self, FieldCode};
use super::query::{NoParameters, Query};
use super::render::{CommandRefusals, MoneyBody, Refusals, Time};
use crate::id::{PayoutId, SellerId};
use crate::payouts::{self, Block, Day, Declared, Holidays, Outcome, Rhythm, Schedule};
use crate::platforms::Mode;
use crate::sellers::Seller;

const MOST_DELAY_DAYS: i16 = 90;
const MOST_HOLIDAYS: usize = 1_000;
const MOST_MINIMUMS: usize = 20;

/// The routes.
pub fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new().routes(routes!(holidays, declare_holidays))
}

/// On which days a seller is paid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = PayoutRhythm)]
enum RhythmBody {
    /// Every business day.
    Daily,
    /// On `weekdays`.
    Weekly,
    /// On `month_days`.
    Monthly,
    /// When you ask: `POST /v1/payouts`.
    Manual,
}

/// A day of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Weekday {
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
    Sunday,
}

const WEEK: [Weekday; 7] = [
    Weekday::Monday,
    Weekday::Tuesday,
    Weekday::Wednesday,
    Weekday::Thursday,
    Weekday::Friday,
    Weekday::Saturday,
    Weekday::Sunday,
];

impl Weekday {
    fn number(self) -> i8 {
        1 + i8::try_from(WEEK.iter().position(|day| *day == self).expect("it is one of seven")).expect("below seven")
    }
}

/// The least that is paid out in a currency.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PayoutMinimum)]
struct MinimumBody {
    amount: Amount,
    #[schema(schema_with = currency_schema)]
    currency: Currency,
}

/// When a seller is paid out. A day that is a Saturday, a Sunday or one of the declared bank holidays of the seller's
/// country moves to the next business day; several that meet there are one payout.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewPayoutSchedule, example = json!({
    "interval": "weekly", "weekdays": ["monday", "thursday"], "cut_off": "16:00", "time_zone": "Europe/Berlin",
    "delay_days": 2, "minimums": [{"amount": 1000, "currency": "EUR"}]
}))]
pub(super) struct NewScheduleBody {
    interval: RhythmBody,
    /// With `weekly`, and then at least one.
    #[serde(default)]
    weekdays: Vec<Weekday>,
    /// With `monthly`, and then at least one: 1 to 31. What a month does not have is its last day.
    #[serde(default)]
    #[schema(example = json!([1, 15]))]
    month_days: Vec<i64>,
    /// Money that came onto the account within so many days before the cut-off stays for the next time, 0 to 90.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 90)]
    delay_days: i64,
    /// When the payouts of a day are made, in the time zone; `00:00` when absent.
    #[schema(value_type = Option<String>, pattern = "^([01][0-9]|2[0-3]):[0-5][0-9]$", example = "16:00")]
    cut_off: Option<Text<5, 5>>,
    /// Name of the IANA time zone database.
    #[schema(value_type = String, example = "Europe/Berlin")]
    time_zone: Text<1, 64>,
    /// Less than this is kept for the next time; one for each currency.
    #[serde(default)]
    minimums: Vec<MinimumBody>,
}

impl NewScheduleBody {
    /// The schedule, if its parts go together. `at` is where it stands in the body.
    pub(super) fn read(self, at: &[&str]) -> Result<Schedule, Problem> {
        let wrong = |field: &str, code: &'static FieldCode, detail: &str| {
            let path: Vec<&str> = at.iter().copied().chain([field]).collect();
            Problem::invalid_field(&path, code, detail)
        };
        let (weekdays, month_days) = (self.weekdays(&wrong)?, self.month_days(&wrong)?);
        let delay_days = i16::try_from(self.delay_days)
            .ok()
            .filter(|days| (0..=MOST_DELAY_DAYS).contains(days))
            .ok_or_else(|| wrong("delay_days", &problem_types::OUT_OF_RANGE, "must be from 0 to 90"))?;
        let cut_off = self.cut_off.map_or(Some(TimeOfDay::midnight()), |text| time_of_day(text.as_str()));
        let cut_off = cut_off
            .ok_or_else(|| wrong("cut_off", &problem_types::INVALID_VALUE, "must be a time of day such as 16:00"))?;
        let time_zone = time_zone(self.time_zone.as_str()).ok_or_else(|| {
            wrong("time_zone", &problem_types::INVALID_VALUE, "must be a name of the IANA time zone database")
        })?;
        let minimums: BTreeMap<Currency, i64> =
            self.minimums.iter().map(|minimum| (minimum.currency, minimum.amount.minor())).collect();
        if minimums.len() != self.minimums.len() || minimums.len() > MOST_MINIMUMS {
            let detail = "must have each currency once, and 20 at most";
            return Err(wrong("minimums", &problem_types::INVALID_VALUE, detail));
        }
        let rhythm = match self.interval {
            RhythmBody::Daily => Rhythm::Daily,
            RhythmBody::Weekly => Rhythm::Weekly(weekdays),
            RhythmBody::Monthly => Rhythm::Monthly(month_days),
            RhythmBody::Manual => Rhythm::Manual,
        };
        Ok(Schedule { rhythm, delay_days, cut_off, time_zone, minimums })
    }

    fn weekdays(&self, wrong: &impl Fn(&str, &'static FieldCode, &str) -> Problem) -> Result<BTreeSet<i8>, Problem> {
        if (self.interval == RhythmBody::Weekly) == self.weekdays.is_empty() {
            let detail = "are given with the interval weekly, at least one, and with no other";
            return Err(wrong("weekdays", &problem_types::INVALID_VALUE, detail));
        }
        Ok(self.weekdays.iter().map(|day| day.number()).collect())
    }

    fn month_days(&self, wrong: &impl Fn(&str, &'static FieldCode, &str) -> Problem) -> Result<BTreeSet<i8>, Problem> {
        if (self.interval == RhythmBody::Monthly) == self.month_days.is_empty() {
            let detail = "are given with the interval monthly, at least one, and with no other";
            return Err(wrong("month_days", &problem_types::INVALID_VALUE, detail));
        }
        let days = self.month_days.iter().map(|day| i8::try_from(*day).ok().filter(|day| (1..=31).contains(day)));
        days.collect::<Option<_>>()
            .ok_or_else(|| wrong("month_days", &problem_types::OUT_OF_RANGE, "must be from 1 to 31"))
    }
}

fn time_of_day(text: &str) -> Option<TimeOfDay> {
    let (hour, minute) = text.split_once(':')?;
    let number = |digits: &str| (digits.len() == 2).then(|| digits.parse::<i8>().ok()).flatten();
    TimeOfDay::new(number(hour)?, number(minute)?, 0, 0).ok()
}

fn time_zone(name: &str) -> Option<TimeZone> {
    TimeZone::get(name).ok().filter(|zone| !zone.is_unknown() && zone.iana_name().is_some())
}

/// When a seller is paid out.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = PayoutSchedule)]
pub(super) struct ScheduleBody {
    /// `daily`, `weekly`, `monthly` or `manual`.
    #[schema(value_type = String, example = "weekly")]
    interval: &'static str,
    weekdays: Vec<Weekday>,
    month_days: Vec<i8>,
    #[schema(example = 2)]
    delay_days: i16,
    #[schema(example = "16:00")]
    cut_off: String,
    #[schema(example = "Europe/Berlin")]
    time_zone: String,
    minimums: Vec<MoneyBody>,
    /// Counts the declarations, from 1.
    #[schema(example = 1)]
    version: i32,
    declared_at: Time,
}

impl From<Declared> for ScheduleBody {
    fn from(declared: Declared) -> Self {
        let Declared { version, at, schedule, .. } = declared;
        let numbers = |named: &BTreeSet<i8>| named.iter().copied().collect::<Vec<i8>>();
        let (weekdays, month_days) = match &schedule.rhythm {
            Rhythm::Weekly(named) => (numbers(named), Vec::new()),
            Rhythm::Monthly(named) => (Vec::new(), numbers(named)),
            Rhythm::Daily | Rhythm::Manual => (Vec::new(), Vec::new()),
        };
        Self {
            interval: schedule.rhythm.as_str(),
            weekdays: WEEK.into_iter().filter(|day| weekdays.contains(&day.number())).collect(),
            month_days,
            delay_days: schedule.delay_days,
            cut_off: schedule.cut_off.strftime("%H:%M").to_string(),
            time_zone: schedule.time_zone.iana_name().unwrap_or_default().to_owned(),
            minimums: schedule.minimums.iter().map(|(currency, least)| Money::new(*least, *currency).into()).collect(),
            version,
            declared_at: Time(at),
        }
    }
}

/// What became of a payout day.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = PayoutDay)]
pub(super) struct DayBody {
    /// The day, in the schedule's time zone.
    #[schema(format = Date, example = "2026-11-26")]
    on: String,
    /// What could be paid out, minor units; below zero where the seller's account at the provider is short.
    #[schema(example = 5400)]
    payable: i64,
    #[schema(schema_with = currency_schema)]
    currency: Currency,
    /// The payout that was asked.
    payout: Option<PayoutId>,
    /// Why none was: `no_account`, `payouts_disabled`, `bank_account_blocked`, `provider_pays_out` (its own schedule has not ended yet),
    /// `owes_platform`, `short`, `nothing_to_pay`, `below_minimum`, `not_supported`.
    #[schema(value_type = Option<String>, example = "below_minimum")]
    skipped: Option<&'static str>,
}

impl From<Day> for DayBody {
    fn from(day: Day) -> Self {
        let (payout, skipped) = match day.outcome {
            Outcome::Asked(payout) => (Some(payout), None),
            Outcome::Skipped(reason) => (None, Some(reason.as_str())),
        };
        Self { on: day.on.to_string(), payable: day.means.payable(), currency: day.currency, payout, skipped }
    }
}

/// When a seller is and was paid out by a schedule.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) schedule: Option<ScheduleBody>,
    pub(super) next_on: Option<String>,
    pub(super) newest_day: Option<DayBody>,
    pub(super) block: Option<Block>,
}

/// Sellers with their plans, in the order given.
pub(super) async fn plans(tx: &mut Tx, sellers: Vec<Seller>, now: Timestamp) -> Result<Vec<(Seller, Plan)>, DbError> {
    let ids: Vec<SellerId> = sellers.iter().map(|seller| seller.id).collect();
    let mut schedules: HashMap<SellerId, Declared> =
        payouts::find_schedules(tx, &ids).await?.into_iter().map(|declared| (declared.seller, declared)).collect();
    let mut days: HashMap<SellerId, Day> =
        payouts::find_newest_days(tx, &ids).await?.into_iter().map(|day| (day.seller, day)).collect();
    let mut blocks: HashMap<SellerId, Block> =
        payouts::find_blocks(tx, &ids).await?.into_iter().map(|block| (block.seller, block)).collect();
    let countries: Vec<String> = sellers.iter().map(|seller| seller.country.clone()).collect();
    let holidays: HashMap<String, Holidays> = payouts::list_holidays(tx, Some(&countries))
        .await?
        .into_iter()
        .map(|(country, _, holidays)| (country, holidays))
        .collect();
    let none = Holidays::default();
    let mut planned = Vec::with_capacity(sellers.len());
    for seller in sellers {
        let newest_day = days.remove(&seller.id).map(DayBody::from);
        let mut plan = Plan { newest_day, block: blocks.remove(&seller.id), ..Plan::default() };
        if let Some(declared) = schedules.remove(&seller.id) {
            let next = declared.schedule.next(now, holidays.get(&seller.country).unwrap_or(&none));
            plan.next_on = next.map(|day| day.on.to_string());
            plan.schedule = Some(declared.into());
        }
        planned.push((seller, plan));
    }
    Ok(planned)
}

/// Days on which sellers of a country are not paid out by schedule.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewBankHolidays, example = json!({"country": "DE", "days": ["2026-12-25", "2027-01-01"]}))]
struct NewHolidaysBody {
    /// Of the sellers that they are for.
    country: Country,
    /// In place of those declared before, 1000 at most. Saturdays and Sundays are none anyway.
    #[schema(value_type = Vec<String>, format = Date)]
    days: Vec<Date>,
}

/// Days on which sellers of a country are not paid out by schedule.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = BankHolidays)]
struct HolidaysBody {
    /// Always `bank_holidays`.
    #[schema(value_type = String, example = "bank_holidays")]
    object: &'static str,
    /// `test` or `live`.
    #[schema(value_type = String, example = "test")]
    mode: &'static str,
    #[schema(example = "DE")]
    country: String,
    /// Counts your declarations for the country, from 1.
    #[schema(example = 1)]
    version: i32,
    #[schema(value_type = Vec<String>, format = Date)]
    days: Vec<String>,
}

impl HolidaysBody {
    fn show(mode: Mode, country: String, version: i32, holidays: &Holidays) -> Self {
        let days = holidays.0.iter().map(ToString::to_string).collect();
        Self { object: "bank_holidays", mode: mode.as_str(), country, version, days }
    }
}

/// The bank holidays that hold, by country.
#[utoipa::path(
    get, path = "/v1/bank_holidays", tag = "Payouts", operation_id = "get_bank_holidays",
    responses((status = 200, description = "The bank holidays", body = List<HolidaysBody>), Refusals),
)]
async fn holidays(
    State(state): State<HttpState>,
    caller: Caller,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Json<List<HolidaysBody>>, Problem> {
    caller.require("sellers:read")?;
    let found = state
        .app
        .db
        .read("get bank holidays", caller.scope(), |tx| Box::pin(async move { payouts::list_holidays(tx, None).await }))
        .await?;
    let show =
        |(country, version, days): (String, i32, Holidays)| HolidaysBody::show(caller.mode, country, version, &days);
    Ok(Json(List::whole(found.into_iter().map(show).collect())))
}

/// Declares the bank holidays of a country. They hold at once, for the next payout days of its sellers.
#[utoipa::path(
    put, path = "/v1/bank_holidays", tag = "Payouts", operation_id = "declare_bank_holidays",
    request_body = NewHolidaysBody,
    responses((status = 200, description = "The bank holidays with their version", body = HolidaysBody), CommandRefusals),
)]
async fn declare_holidays(
    State(state): State<HttpState>,
    caller: Caller,
    Body(body): Body<NewHolidaysBody>,
) -> Result<Json<HolidaysBody>, Problem> {
    caller.require("sellers:write")?;
    if body.days.len() > MOST_HOLIDAYS {
        return Err(Problem::invalid_field(&["days"], &problem_types::TOO_LONG, "must be 1000 at most"));
    }
    let (country, holidays) = (body.country.into_string(), Holidays(body.days.into_iter().collect()));
    let version =
        payouts::declare_holidays(&state.app, caller.book, caller.actor, country.clone(), holidays.clone()).await?;
    Ok(Json(HolidaysBody::show(caller.mode, country, version, &holidays)))
}
