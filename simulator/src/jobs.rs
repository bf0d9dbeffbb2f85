//! What the clock brings. A job is done in a database transaction of its own, at its own time: when the clock jumps
//! over five midnights, five days happen, one after the other.

use serde_json::json;

use crate::app::App;
use crate::books;
use crate::context::{Cx, RequestInfo};
use crate::error::ApiError;
use crate::resources::{charges, payouts, refunds, topups};
use crate::settings::{DAY, start_of_day};

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Pending funds of `account:currency` become available.
    Settle,
    /// Refunds of `account:currency` that waited for funds are tried again.
    RetryRefunds,
    /// A charge gets its balance transaction.
    Capture,
    /// A top-up arrives.
    TopUp,
    /// Every account with a daily schedule is looked at, and again tomorrow.
    DailyPayouts,
    /// An account is paid out by its schedule.
    AutomaticPayout,
    /// A payout leaves for the bank.
    PayoutInTransit,
    /// A payout arrives.
    PayoutPaid,
}

impl Kind {
    const ALL: [Self; 8] = [
        Self::Settle,
        Self::RetryRefunds,
        Self::Capture,
        Self::TopUp,
        Self::DailyPayouts,
        Self::AutomaticPayout,
        Self::PayoutInTransit,
        Self::PayoutPaid,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Settle => "settle",
            Self::RetryRefunds => "retry_refunds",
            Self::Capture => "capture",
            Self::TopUp => "topup",
            Self::DailyPayouts => "daily_payouts",
            Self::AutomaticPayout => "automatic_payout",
            Self::PayoutInTransit => "payout_in_transit",
            Self::PayoutPaid => "payout_paid",
        }
    }
}

/// Plans a job, once per time and target. Not by a unique constraint: its check would wait for a job at work, which may
/// itself wait for a balance that the caller holds. A job at work that still waits will see what the caller did.
pub(crate) async fn schedule(cx: &mut Cx, due_at: i64, kind: Kind, target: &str) -> Result<(), ApiError> {
    sqlx::query(
        "insert into jobs (due_at, kind, target)
         select $1, $2, $3
         where not exists (select from jobs where kind = $2 and target = $3 and due_at = $1)",
    )
    .bind(due_at)
    .bind(kind.name())
    .bind(target)
    .execute(&mut *cx.conn)
    .await?;
    Ok(())
}

/// Plans the daily look at payouts, if it is not planned.
pub(crate) async fn ensure_daily(cx: &mut Cx) -> Result<(), ApiError> {
    let planned: bool = sqlx::query_scalar("select exists (select from jobs where kind = $1)")
        .bind(Kind::DailyPayouts.name())
        .fetch_one(&mut *cx.conn)
        .await?;
    if planned { Ok(()) } else { schedule(cx, start_of_day(cx.now) + DAY, Kind::DailyPayouts, "all").await }
}

/// Does everything that is due by now, in order of time; how many jobs that was.
pub(crate) async fn run_due(app: &App) -> Result<u64, ApiError> {
    let mut done = 0;
    while run_next(app).await? {
        done += 1;
    }
    Ok(done)
}

async fn run_next(app: &App) -> Result<bool, ApiError> {
    let now = app.clock.now();
    let due: bool = sqlx::query_scalar("select exists (select from jobs where due_at <= $1)")
        .bind(now)
        .fetch_one(&app.pool)
        .await?;
    if !due {
        return Ok(false);
    }
    let mut cx = app.open(None, RequestInfo::default()).await?;
    let next: Option<(i64, String, String)> = sqlx::query_as(
        "delete from jobs where id = (
             select id from jobs where due_at <= $1 order by due_at, id limit 1 for update skip locked
         )
         returning due_at, kind, target",
    )
    .bind(now)
    .fetch_optional(&mut *cx.conn)
    .await?;
    let Some((due_at, name, target)) = next else { return Ok(false) };
    cx.now = due_at;
    let kind = Kind::ALL.into_iter().find(|k| k.name() == name);
    run(&mut cx, kind.ok_or_else(|| ApiError::internal("A job of unknown kind."))?, &target).await?;
    cx.commit().await?;
    Ok(true)
}

async fn run(cx: &mut Cx, kind: Kind, target: &str) -> Result<(), ApiError> {
    let (account, currency) = target.split_once(':').unwrap_or((target, ""));
    match kind {
        Kind::Settle => settle(cx, account, currency).await,
        Kind::RetryRefunds => refunds::retry_pending(cx, account, currency).await,
        Kind::Capture => charges::book_late(cx, target).await,
        Kind::TopUp => topups::arrive(cx, target).await,
        Kind::DailyPayouts => payouts::plan_day(cx).await,
        Kind::AutomaticPayout => payouts::pay_out_account(cx, target).await,
        Kind::PayoutInTransit => payouts::send(cx, target).await,
        Kind::PayoutPaid => payouts::arrive(cx, target).await,
    }
}

async fn settle(cx: &mut Cx, account: &str, currency: &str) -> Result<(), ApiError> {
    if books::settle(cx, account, currency).await? != 0 {
        let balance = books::balance(cx, account).await?;
        cx.emit(account, "balance.available", &json!(balance));
    }
    Ok(())
}
