//! What the clock brings. A job is done in a database transaction of its own, at its own time: when the clock jumps
//! over five midnights, five days happen, one after the other.

use serde_json::json;

use crate::app::App;
use crate::books;
use crate::context::{Cx, RequestInfo};
use crate::error::ApiError;
use crate::resources::{captures, charges, debits, disputes, payouts, refunds, topups};
use crate::settings::{DAY, start_of_day};
use crate::store;

/// How often a job is tried again when the database found it in a deadlock.
const TRIES: u32 = 5;

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Pending funds of `account:currency` become available.
    Settle,
    /// Refunds of `account:currency` that waited for funds are tried again.
    RetryRefunds,
    /// A hold on a card expires.
    AuthorizationExpiry,
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
    /// A charge by a card of that kind is disputed.
    DisputeOpen,
    /// A bank answers a debit.
    DebitDecision,
    /// A dispute's decision falls.
    DisputeDecision,
    /// A dispute's deadline passes.
    DisputeDue,
}

impl Kind {
    const ALL: [Self; 13] = [
        Self::AuthorizationExpiry,
        Self::DebitDecision,
        Self::Settle,
        Self::RetryRefunds,
        Self::Capture,
        Self::TopUp,
        Self::DailyPayouts,
        Self::AutomaticPayout,
        Self::PayoutInTransit,
        Self::PayoutPaid,
        Self::DisputeOpen,
        Self::DisputeDecision,
        Self::DisputeDue,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::AuthorizationExpiry => "authorization_expiry",
            Self::DebitDecision => "debit_decision",
            Self::Settle => "settle",
            Self::RetryRefunds => "retry_refunds",
            Self::Capture => "capture",
            Self::TopUp => "topup",
            Self::DailyPayouts => "daily_payouts",
            Self::AutomaticPayout => "automatic_payout",
            Self::PayoutInTransit => "payout_in_transit",
            Self::PayoutPaid => "payout_paid",
            Self::DisputeOpen => "dispute_open",
            Self::DisputeDecision => "dispute_decision",
            Self::DisputeDue => "dispute_due",
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

/// Does everything that is due by now, in order of time; how many jobs that was. When somebody else is at it, waits for
/// them: afterwards nothing is due.
pub(crate) async fn run_due(app: &App) -> Result<u64, ApiError> {
    let mut done = 0;
    if !any_due(app).await? {
        return Ok(done);
    }
    let _at_it = app.doing.lock().await;
    let mut tries = 0;
    while let Some(job) = next(app).await? {
        match run_one(app, &job).await {
            Ok(()) => (done, tries) = (done + 1, 0),
            Err(error) if error.retryable && tries < TRIES => tries += 1,
            Err(error) => postpone(app, &job, &error).await?,
        }
    }
    Ok(done)
}

async fn any_due(app: &App) -> Result<bool, ApiError> {
    Ok(sqlx::query_scalar("select exists (select from jobs where due_at <= $1)")
        .bind(app.clock.now())
        .fetch_one(&app.pool)
        .await?)
}

#[derive(Debug, sqlx::FromRow)]
struct Job {
    id: i64,
    due_at: i64,
    kind: String,
    target: String,
}

async fn next(app: &App) -> Result<Option<Job>, ApiError> {
    Ok(sqlx::query_as("select id, due_at, kind, target from jobs where due_at <= $1 order by due_at, id limit 1")
        .bind(app.clock.now())
        .fetch_optional(&app.pool)
        .await?)
}

async fn run_one(app: &App, job: &Job) -> Result<(), ApiError> {
    let mut cx = app.open(None, RequestInfo::default()).await?;
    cx.now = job.due_at;
    sqlx::query("delete from jobs where id = $1").bind(job.id).execute(&mut *cx.conn).await?;
    let kind = Kind::ALL.into_iter().find(|kind| kind.name() == job.kind);
    run(&mut cx, kind.ok_or_else(|| ApiError::internal("A job of unknown kind."))?, &job.target).await?;
    cx.commit().await
}

/// A job that cannot be done must not hold up the others: it is told of, and tried again an hour later.
async fn postpone(app: &App, job: &Job, error: &ApiError) -> Result<(), ApiError> {
    tracing::error!(kind = job.kind, target = job.target, message = %error.message, "a job cannot be done");
    sqlx::query("update jobs set due_at = $2 where id = $1")
        .bind(job.id)
        .bind(app.clock.now() + 3_600)
        .execute(&app.pool)
        .await?;
    Ok(())
}

async fn run(cx: &mut Cx, kind: Kind, target: &str) -> Result<(), ApiError> {
    let (account, currency) = target.split_once(':').unwrap_or((target, ""));
    // What becomes of a charge happens on the account that made it.
    if matches!(
        kind,
        Kind::AuthorizationExpiry
            | Kind::DebitDecision
            | Kind::Capture
            | Kind::DisputeOpen
            | Kind::DisputeDecision
            | Kind::DisputeDue
    ) {
        store::act_for_owner(cx, account).await?;
    }
    match kind {
        Kind::AuthorizationExpiry => captures::expire(cx, target).await,
        Kind::DebitDecision => debits::decide(cx, target).await,
        Kind::Settle => settle(cx, account, currency).await,
        Kind::RetryRefunds => refunds::retry_pending(cx, account, currency).await,
        Kind::Capture => charges::book_late(cx, target).await,
        Kind::TopUp => topups::arrive(cx, target).await,
        Kind::DailyPayouts => payouts::plan_day(cx).await,
        Kind::AutomaticPayout => payouts::pay_out_account(cx, target).await,
        Kind::PayoutInTransit => payouts::send(cx, target).await,
        Kind::PayoutPaid => payouts::arrive(cx, target).await,
        Kind::DisputeOpen => disputes::open_planned(cx, target).await,
        Kind::DisputeDecision => disputes::decide_planned(cx, target).await,
        Kind::DisputeDue => disputes::pass_deadline(cx, target).await,
    }
}

async fn settle(cx: &mut Cx, account: &str, currency: &str) -> Result<(), ApiError> {
    if books::settle(cx, account, currency).await? != 0 {
        let balance = books::balance(cx, account).await?;
        cx.emit(account, "balance.available", &json!(balance));
    }
    Ok(())
}
