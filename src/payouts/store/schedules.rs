//! SQL of payout_schedules, bank_holidays and payout_days.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff_sqlx::ToSqlx as _;
use partita_db::{DbError, Tx};
use partita_provider::Currency;
use uuid::Uuid;

use super::super::calendar::{Holidays, Rhythm, Schedule};
use super::super::decision::Means;
use super::super::schedule::{Day, Declared, Outcome, SkipReason};
use crate::actor::Actor;
use crate::id::{PayoutId, SellerId};

struct Row {
    seller_id: Uuid,
    version: i32,
    rhythm: String,
    weekdays: Vec<i16>,
    month_days: Vec<i16>,
    delay_days: i16,
    cut_off: jiff_sqlx::Time,
    time_zone: String,
    minimums: serde_json::Value,
    created_at: jiff_sqlx::Timestamp,
}

fn small(days: Vec<i16>) -> BTreeSet<i8> {
    days.into_iter().map(|day| i8::try_from(day).expect("payout_schedules keeps days between 1 and 31")).collect()
}

impl From<Row> for Declared {
    fn from(row: Row) -> Self {
        let minimums: BTreeMap<String, i64> = serde_json::from_value(row.minimums).expect("written from such a map");
        let minimums = minimums
            .into_iter()
            .map(|(code, least)| (Currency::parse(&code).expect("written from a currency"), least))
            .collect();
        Self {
            seller: row.seller_id.into(),
            version: row.version,
            at: row.created_at.to_jiff(),
            schedule: Schedule {
                rhythm: match row.rhythm.as_str() {
                    "daily" => Rhythm::Daily,
                    "weekly" => Rhythm::Weekly(small(row.weekdays)),
                    "monthly" => Rhythm::Monthly(small(row.month_days)),
                    _ => Rhythm::Manual,
                },
                delay_days: row.delay_days,
                cut_off: row.cut_off.to_jiff(),
                time_zone: TimeZone::get(&row.time_zone).expect("it was known when it was declared"),
                minimums,
            },
        }
    }
}

/// The schedules that hold of these sellers, in no order.
///
/// # Errors
/// What the database says.
pub async fn find_schedules(tx: &mut Tx, sellers: &[SellerId]) -> Result<Vec<Declared>, DbError> {
    let book = tx.book_id();
    let ids: Vec<Uuid> = sellers.iter().map(|id| id.uuid()).collect();
    let rows = sqlx::query_as!(
        Row,
        r#"select distinct on (seller_id) seller_id, version, rhythm, weekdays, month_days, delay_days,
                  cut_off as "cut_off: _", time_zone, minimums, created_at as "created_at: _"
           from payout_schedules where book_id = $1 and seller_id = any($2) order by seller_id, version desc"#,
        book.get(),
        &ids
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(Declared::from).collect())
}

pub(in crate::payouts) async fn insert_schedule(
    tx: &mut Tx,
    seller: SellerId,
    schedule: &Schedule,
    actor: Actor,
    now: Timestamp,
) -> Result<(), DbError> {
    let book = tx.book_id();
    let days = |days: &BTreeSet<i8>| days.iter().copied().map(i16::from).collect::<Vec<i16>>();
    let (weekdays, month_days) = match &schedule.rhythm {
        Rhythm::Weekly(named) => (days(named), Vec::new()),
        Rhythm::Monthly(named) => (Vec::new(), days(named)),
        Rhythm::Daily | Rhythm::Manual => (Vec::new(), Vec::new()),
    };
    let minimums: BTreeMap<&str, i64> =
        schedule.minimums.iter().map(|(currency, least)| (currency.code(), *least)).collect();
    sqlx::query!(
        "insert into payout_schedules (book_id, seller_id, version, rhythm, weekdays, month_days, delay_days, cut_off,
                                       time_zone, minimums, created_by, created_at)
         select $1, $2, coalesce(max(version), 0) + 1, $3, $4, $5, $6, $7, $8, $9, $10, $11
         from payout_schedules where book_id = $1 and seller_id = $2",
        book.get(),
        seller.uuid(),
        schedule.rhythm.as_str(),
        &weekdays,
        &month_days,
        schedule.delay_days,
        schedule.cut_off.to_sqlx() as _,
        schedule.time_zone.iana_name().expect("declared by its name"),
        serde_json::to_value(minimums).expect("a map of texts and numbers serialises"),
        actor.to_string(),
        now.to_sqlx() as _
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// The bank holidays that hold in a country.
pub(in crate::payouts) async fn find_holidays(tx: &mut Tx, country: &str) -> Result<Holidays, DbError> {
    let found = list_holidays(tx, Some(&[country.to_owned()])).await?.pop();
    Ok(found.map_or_else(Holidays::default, |(_, _, holidays)| holidays))
}

pub(in crate::payouts) async fn insert_holidays(
    tx: &mut Tx,
    country: &str,
    holidays: &Holidays,
    actor: Actor,
    now: Timestamp,
) -> Result<i32, DbError> {
    let book = tx.book_id();
    let days: Vec<jiff_sqlx::Date> = holidays.0.iter().map(|day| day.to_sqlx()).collect();
    let version = sqlx::query_scalar!(
        "insert into bank_holidays (book_id, country, version, days, created_by, created_at)
         select $1, $2, coalesce(max(version), 0) + 1, $3, $4, $5 from bank_holidays where book_id = $1 and country = $2
         returning version",
        book.get(),
        country,
        &days as _,
        actor.to_string(),
        now.to_sqlx() as _
    )
    .fetch_one(tx.conn())
    .await?;
    Ok(version)
}

/// The bank holidays that hold, by country, with their versions: of these countries, or of all.
///
/// # Errors
/// What the database says.
pub async fn list_holidays(tx: &mut Tx, countries: Option<&[String]>) -> Result<Vec<(String, i32, Holidays)>, DbError> {
    let book = tx.book_id();
    let rows = sqlx::query!(
        r#"select distinct on (country) country, version, days as "days: Vec<jiff_sqlx::Date>" from bank_holidays
           where book_id = $1 and ($2::text[] is null or country = any($2)) order by country, version desc"#,
        book.get(),
        countries
    )
    .fetch_all(tx.conn())
    .await?;
    let holidays = |days: Vec<jiff_sqlx::Date>| Holidays(days.into_iter().map(jiff_sqlx::Date::to_jiff).collect());
    Ok(rows.into_iter().map(|row| (row.country, row.version, holidays(row.days))).collect())
}

/// Ledger subjects of a country's sellers that have a schedule.
pub(in crate::payouts) async fn scheduled_in(tx: &mut Tx, country: &str) -> Result<Vec<i64>, DbError> {
    let book = tx.book_id();
    let keys = sqlx::query_scalar!(
        "select key from sellers s where s.book_id = $1 and s.country = $2 and exists (
             select from payout_schedules p where p.book_id = s.book_id and p.seller_id = s.id)
         order by key",
        book.get(),
        country
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(keys)
}

struct DayRow {
    seller_id: Uuid,
    currency: String,
    payout_on: jiff_sqlx::Date,
    outcome: String,
    reason: Option<String>,
    at_provider: i64,
    too_late: i64,
    going_out: i64,
    going_back: i64,
    owed: i64,
    payout_id: Option<Uuid>,
}

impl From<DayRow> for Day {
    fn from(row: DayRow) -> Self {
        let reason = row.reason.as_deref().and_then(SkipReason::parse);
        Self {
            seller: row.seller_id.into(),
            currency: Currency::parse(&row.currency).expect("written from a currency"),
            on: row.payout_on.to_jiff(),
            means: Means {
                at_provider: row.at_provider,
                too_late: row.too_late,
                going_out: row.going_out,
                going_back: row.going_back,
                owed: row.owed,
            },
            outcome: match (row.outcome.as_str(), row.payout_id, reason) {
                ("asked", Some(payout), _) => Outcome::Asked(payout.into()),
                (_, _, Some(reason)) => Outcome::Skipped(reason),
                _ => unreachable!("payout_days_skipped_says_why and payout_days_asked_is_a_payout"),
            },
        }
    }
}

/// The newest payout day of each of these sellers that has come, in no order.
///
/// # Errors
/// What the database says.
pub async fn find_newest_days(tx: &mut Tx, sellers: &[SellerId]) -> Result<Vec<Day>, DbError> {
    let book = tx.book_id();
    let ids: Vec<Uuid> = sellers.iter().map(|id| id.uuid()).collect();
    let rows = sqlx::query_as!(
        DayRow,
        r#"select d.seller_id as "seller_id!", d.currency as "currency!", d.payout_on as "payout_on!: _",
                  d.outcome as "outcome!", d.reason as "reason?", d.at_provider as "at_provider!", d.too_late as "too_late!",
                  d.going_out as "going_out!", d.going_back as "going_back!", d.owed as "owed!", d.payout_id as "payout_id?"
           from unnest($2::uuid[]) as s (id)
           cross join lateral (
               select seller_id, currency, payout_on, outcome, reason, at_provider, too_late, going_out, going_back, owed,
                      payout_id
               from payout_days where book_id = $1 and seller_id = s.id order by payout_on desc limit 1) d"#,
        book.get(),
        &ids
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(Day::from).collect())
}

/// The payout day that a payout was asked on, if a schedule of ours did.
pub(in crate::payouts) async fn find_day_of(tx: &mut Tx, payout: PayoutId) -> Result<Option<Day>, DbError> {
    let book = tx.book_id();
    let row = sqlx::query_as!(
        DayRow,
        r#"select seller_id, currency, payout_on as "payout_on: _", outcome, reason, at_provider, too_late, going_out,
                  going_back, owed, payout_id
           from payout_days where book_id = $1 and payout_id = $2"#,
        book.get(),
        payout.uuid()
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(row.map(Day::from))
}

/// Whether a payout day of a seller is decided.
pub(in crate::payouts) async fn is_decided(
    tx: &mut Tx,
    seller: SellerId,
    currency: Currency,
    on: Date,
) -> Result<bool, DbError> {
    let book = tx.book_id();
    let found = sqlx::query_scalar!(
        r#"select exists (select from payout_days
                          where book_id = $1 and seller_id = $2 and currency = $3 and payout_on = $4) as "found!""#,
        book.get(),
        seller.uuid(),
        currency.code(),
        on.to_sqlx() as _
    )
    .fetch_one(tx.conn())
    .await?;
    Ok(found)
}

pub(in crate::payouts) async fn insert_day(tx: &mut Tx, day: &Day, now: Timestamp) -> Result<(), DbError> {
    let book = tx.book_id();
    let (outcome, reason, payout) = match day.outcome {
        Outcome::Asked(payout) => ("asked", None, Some(payout.uuid())),
        Outcome::Skipped(reason) => ("skipped", Some(reason.as_str()), None),
    };
    sqlx::query!(
        "insert into payout_days (book_id, seller_id, currency, payout_on, outcome, reason, at_provider, too_late, going_out,
                                  going_back, owed, payout_id, created_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
        book.get(),
        day.seller.uuid(),
        day.currency.code(),
        day.on.to_sqlx() as _,
        outcome,
        reason,
        day.means.at_provider,
        day.means.too_late,
        day.means.going_out,
        day.means.going_back,
        day.means.owed,
        payout,
        now.to_sqlx() as _
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}
