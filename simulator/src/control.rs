//! Control over a running simulator: what no client of Stripe can do. The same calls stand below `/_control` over HTTP.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::app::App;
use crate::books::{self, BookBreak};
use crate::clock::system_now;
use crate::context::{Answer, Cx, RequestInfo};
use crate::error::ApiError;
use crate::ids::{new_id, random_text};
use crate::jobs;
use crate::resources::accounts::{self, Details};
use crate::resources::{payouts, refunds, topups};
use crate::settings::{FeeRate, Settings};
use crate::webhooks::{self, Delivery, Endpoint, FlushReport, Round};

/// Why a control call was not done.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The call cannot be done in the present state, or names what does not exist.
    #[error("{0}")]
    Refused(String),
    /// The simulator's database failed.
    #[error("the simulator's database failed")]
    Database(#[from] sqlx::Error),
}

impl From<ApiError> for ControlError {
    fn from(error: ApiError) -> Self {
        Self::Refused(error.message)
    }
}

/// An endpoint to be registered.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewEndpoint {
    /// Address that events are posted to.
    pub url: String,
    /// Signing secret; one is made when none is given.
    #[serde(default)]
    pub secret: Option<String>,
    /// Whether it hears of connected accounts; otherwise of the platform's own.
    #[serde(default)]
    pub connect: bool,
    /// Event types; empty means all.
    #[serde(default)]
    pub enabled_events: Vec<String>,
}

/// A request that changed something. Each is there once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, sqlx::FromRow)]
pub struct Effect {
    /// Number, in order of time.
    pub seq: i64,
    /// When; seconds.
    pub at: i64,
    /// The account acted for.
    pub account: String,
    /// HTTP method.
    pub method: String,
    /// Path.
    pub path: String,
    /// `Request-Id` of the answer.
    pub request_id: String,
    /// `Idempotency-Key`, when one came.
    pub idempotency_key: Option<String>,
    /// `metadata[op_id]`, when one came.
    pub operation: Option<String>,
    /// The object that was made or changed.
    pub object: Option<String>,
    /// HTTP status of the answer.
    pub status: i16,
}

/// A handle on a running simulator. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Control {
    pub(crate) app: Arc<App>,
}

impl Control {
    /// The platform's account id.
    pub fn platform_account(&self) -> &str {
        &self.app.platform
    }

    /// The simulator's time, in seconds since 1970-01-01 UTC.
    pub fn now(&self) -> i64 {
        self.app.clock.now()
    }

    /// Whether the clock is driven; otherwise it is the machine's.
    pub fn clock_is_driven(&self) -> bool {
        self.app.clock.driven().is_some()
    }

    /// Drives the clock to a second and does everything that falls due on the way, each at its own time.
    ///
    /// # Errors
    /// [`ControlError::Refused`] when the second lies in the past: what has happened stays.
    pub async fn set_time(&self, at: i64) -> Result<i64, ControlError> {
        let now = self.now();
        if at < now {
            return Err(ControlError::Refused(format!("the clock stands at {now} and cannot go back to {at}")));
        }
        self.keep_clock(Some(at)).await?;
        jobs::run_due(&self.app).await?;
        self.app.wake.notify_one();
        Ok(at)
    }

    /// Drives the clock forward by some seconds; the new time. See [`Control::set_time`].
    ///
    /// # Errors
    /// [`ControlError::Refused`] for a negative number of seconds.
    pub async fn advance(&self, seconds: i64) -> Result<i64, ControlError> {
        self.set_time(self.now().saturating_add(seconds)).await
    }

    /// Leaves the clock to the machine from now on.
    ///
    /// # Errors
    /// [`ControlError::Refused`] when the driven clock is ahead of the machine's.
    pub async fn use_system_clock(&self) -> Result<i64, ControlError> {
        if self.app.clock.driven().is_some_and(|driven| driven > system_now()) {
            return Err(ControlError::Refused("the driven clock is ahead of the machine's".into()));
        }
        self.keep_clock(None).await?;
        jobs::run_due(&self.app).await?;
        self.app.wake.notify_one();
        Ok(self.now())
    }

    async fn keep_clock(&self, driven: Option<i64>) -> Result<(), ControlError> {
        sqlx::query("update simulator_state set clock_seconds = $1").bind(driven).execute(&self.app.pool).await?;
        self.app.clock.set(driven);
        Ok(())
    }

    /// Registers a webhook endpoint.
    ///
    /// # Errors
    /// [`ControlError::Refused`] for an address that is none, or an empty secret.
    pub async fn register_endpoint(&self, endpoint: NewEndpoint) -> Result<Endpoint, ControlError> {
        if url::Url::parse(&endpoint.url).is_err() {
            return Err(ControlError::Refused(format!("{:?} is not an address", endpoint.url)));
        }
        let secret = endpoint.secret.unwrap_or_else(|| format!("whsec_{}", random_text(32)));
        if secret.is_empty() {
            return Err(ControlError::Refused("the signing secret is empty".into()));
        }
        let mut enabled_events = endpoint.enabled_events;
        if enabled_events.is_empty() {
            enabled_events.push("*".into());
        }
        let kept = Endpoint { id: new_id("we"), url: endpoint.url, secret, connect: endpoint.connect, enabled_events };
        sqlx::query(
            "insert into webhook_endpoints (id, url, secret, connect, enabled_events) values ($1, $2, $3, $4, $5)",
        )
        .bind(&kept.id)
        .bind(&kept.url)
        .bind(&kept.secret)
        .bind(kept.connect)
        .bind(&kept.enabled_events)
        .execute(&self.app.pool)
        .await?;
        self.reload_endpoints().await?;
        Ok(kept)
    }

    /// The registered endpoints.
    pub fn endpoints(&self) -> Vec<Endpoint> {
        self.app.endpoints().to_vec()
    }

    /// Removes an endpoint with its deliveries; whether it was there.
    ///
    /// # Errors
    /// [`ControlError::Database`].
    pub async fn remove_endpoint(&self, id: &str) -> Result<bool, ControlError> {
        let done = sqlx::query("delete from webhook_endpoints where id = $1").bind(id).execute(&self.app.pool).await?;
        self.reload_endpoints().await?;
        Ok(done.rows_affected() == 1)
    }

    async fn reload_endpoints(&self) -> Result<(), ControlError> {
        self.app.keep_endpoints(load_endpoints(&self.app.pool).await?);
        Ok(())
    }

    /// Attempts every delivery that has not been answered 2xx, once each and in order of events, whether or not its
    /// next attempt is due, and returns when all have been attempted.
    ///
    /// # Errors
    /// [`ControlError::Database`]; an endpoint that does not answer is no error but counted.
    pub async fn flush_webhooks(&self) -> Result<FlushReport, ControlError> {
        jobs::run_due(&self.app).await?;
        Ok(webhooks::deliver(&self.app, Round::All).await?)
    }

    /// Attempts every delivery whose time has come, several at once, and returns when all have been attempted.
    ///
    /// # Errors
    /// As [`Control::flush_webhooks`].
    pub async fn deliver_due_webhooks(&self) -> Result<FlushReport, ControlError> {
        jobs::run_due(&self.app).await?;
        Ok(webhooks::deliver(&self.app, Round::Due).await?)
    }

    /// Whether deliveries are also made in the background, as they fall due.
    pub fn deliver_in_background(&self, on: bool) {
        self.app.background_webhooks.store(on, std::sync::atomic::Ordering::Relaxed);
        self.app.wake.notify_one();
    }

    /// Every delivery, oldest first.
    ///
    /// # Errors
    /// [`ControlError::Database`].
    pub async fn deliveries(&self) -> Result<Vec<Delivery>, ControlError> {
        Ok(sqlx::query_as(
            "select d.id, d.event, e.type, d.endpoint, d.due_at, d.attempts, d.state, d.last_status, d.last_error
             from deliveries d join events e on e.id = d.event
             order by d.id",
        )
        .fetch_all(&self.app.pool)
        .await?)
    }

    /// Plans `times` more deliveries of an event to each endpoint that hears of it; how many were planned.
    ///
    /// # Errors
    /// [`ControlError::Refused`] for an unknown event.
    pub async fn resend(&self, event: &str, times: u32) -> Result<u64, ControlError> {
        let found: Option<(String, String)> = sqlx::query_as("select account, type from events where id = $1")
            .bind(event)
            .fetch_optional(&self.app.pool)
            .await?;
        let Some((account, kind)) = found else {
            return Err(ControlError::Refused(format!("there is no event {event:?}")));
        };
        let listeners: Vec<String> = self
            .app
            .endpoints()
            .iter()
            .filter(|e| e.hears(account != *self.app.platform, &kind))
            .map(|e| e.id.clone())
            .collect();
        let done = sqlx::query(
            "insert into deliveries (event, endpoint, due_at)
             select $1, endpoint, $3 from unnest($2::text[]) as e (endpoint) cross join generate_series(1, $4)",
        )
        .bind(event)
        .bind(&listeners)
        .bind(self.now())
        .bind(i64::from(times))
        .execute(&self.app.pool)
        .await?;
        self.app.wake.notify_one();
        Ok(done.rows_affected())
    }

    /// The switches.
    pub fn settings(&self) -> Settings {
        (*self.app.settings()).clone()
    }

    /// Sets the switches.
    ///
    /// # Errors
    /// [`ControlError::Database`].
    pub async fn set_settings(&self, settings: Settings) -> Result<(), ControlError> {
        sqlx::query("update simulator_state set settings = $1")
            .bind(sqlx::types::Json(&settings))
            .execute(&self.app.pool)
            .await?;
        self.app.keep_settings(settings);
        Ok(())
    }

    /// Sets the fee of charges in a currency (lower-case code): basis points, and minor units.
    ///
    /// # Errors
    /// [`ControlError::Database`].
    pub async fn set_fees(&self, currency: &str, basis_points: u32, fixed: i64) -> Result<(), ControlError> {
        let mut settings = self.settings();
        settings.fees.insert(currency.to_lowercase(), FeeRate { basis_points, fixed });
        self.set_settings(settings).await
    }

    /// Does what a seller does on the hosted page, with the name "Test Seller" and a bank account that works.
    ///
    /// # Errors
    /// [`ControlError::Refused`] for an unknown account.
    pub async fn complete_onboarding(&self, account: &str) -> Result<Value, ControlError> {
        self.complete_onboarding_with(account, "Test Seller", "DE89370400440532013000").await
    }

    /// As [`Control::complete_onboarding`], with a name and a bank account number; Stripe's test numbers fail.
    ///
    /// # Errors
    /// [`ControlError::Refused`] for an unknown account.
    pub async fn complete_onboarding_with(
        &self,
        account: &str,
        name: &str,
        bank_account: &str,
    ) -> Result<Value, ControlError> {
        let details =
            Details { name: name.into(), business_type: "individual".into(), bank_account: bank_account.into() };
        let mut cx = self.open(None).await?;
        let answer = accounts::complete(&mut cx, account, &details).await;
        self.close(cx, answer).await
    }

    /// Pays an account out, the platform when none is named; the payout.
    ///
    /// # Errors
    /// [`ControlError::Refused`] when the balance does not cover it.
    pub async fn create_payout(
        &self,
        account: Option<&str>,
        amount: i64,
        currency: &str,
    ) -> Result<Value, ControlError> {
        let mut cx = self.open(account).await?;
        let answer = payouts::pay_out_by_hand(&mut cx, amount, currency).await;
        self.close(cx, answer).await
    }

    /// Lets the bank refuse a payout, or return one that was paid.
    ///
    /// # Errors
    /// [`ControlError::Refused`] for one that has failed or was given up.
    pub async fn fail_payout(&self, payout: &str, failure_code: &str) -> Result<Value, ControlError> {
        let mut cx = self.open(None).await?;
        let answer = payouts::fail(&mut cx, payout, failure_code).await;
        self.close(cx, answer).await
    }

    /// Gives a pending payout up.
    ///
    /// # Errors
    /// [`ControlError::Refused`] for one that has left.
    pub async fn cancel_payout(&self, payout: &str) -> Result<Value, ControlError> {
        let mut cx = self.open(None).await?;
        let answer = payouts::cancel(&mut cx, payout).await;
        self.close(cx, answer).await
    }

    /// Lets a refund fail, even one that had succeeded.
    ///
    /// # Errors
    /// [`ControlError::Refused`] for one that has failed already.
    pub async fn fail_refund(&self, refund: &str, reason: &str) -> Result<Value, ControlError> {
        let mut cx = self.open(None).await?;
        crate::store::act_for_owner(&mut cx, refund).await?;
        let answer = refunds::fail(&mut cx, refund, reason).await;
        self.close(cx, answer).await
    }

    /// Lets the bank refuse a top-up that is on its way.
    ///
    /// # Errors
    /// [`ControlError::Refused`] for one that has arrived.
    pub async fn fail_topup(&self, topup: &str, failure_code: &str) -> Result<Value, ControlError> {
        let mut cx = self.open(None).await?;
        let answer = topups::fail(&mut cx, topup, failure_code).await;
        self.close(cx, answer).await
    }

    pub(crate) async fn open(&self, account: Option<&str>) -> Result<Cx, ControlError> {
        jobs::run_due(&self.app).await?;
        Ok(self.app.open(account, RequestInfo::default()).await?)
    }

    pub(crate) async fn close(&self, cx: Cx, answer: Answer) -> Result<Value, ControlError> {
        let answer = answer?;
        cx.commit().await?;
        jobs::run_due(&self.app).await?;
        self.app.wake.notify_one();
        Ok(answer)
    }

    /// Every request that changed something, oldest first.
    ///
    /// # Errors
    /// [`ControlError::Database`].
    pub async fn effects(&self) -> Result<Vec<Effect>, ControlError> {
        Ok(sqlx::query_as(
            "select seq, at, account, method, path, request_id, idempotency_key, operation, object, status
             from effects order by seq",
        )
        .fetch_all(&self.app.pool)
        .await?)
    }

    /// Balances that differ from their movements; there must be none.
    ///
    /// # Errors
    /// [`ControlError::Database`].
    pub async fn check_books(&self) -> Result<Vec<BookBreak>, ControlError> {
        let mut conn = self.app.pool.acquire().await?;
        Ok(books::breaks(&mut conn).await?)
    }

    /// What an account's balance is, as `GET /v1/balance` shows it; the platform's when none is named.
    ///
    /// # Errors
    /// [`ControlError::Refused`] for an unknown account.
    pub async fn balance(&self, account: Option<&str>) -> Result<Value, ControlError> {
        let mut cx = self.open(account).await?;
        let account = cx.account.clone();
        Ok(books::balance(&mut cx, &account).await?)
    }

    /// Forgets everything but the switches, the clock and the endpoints.
    ///
    /// # Errors
    /// [`ControlError::Database`].
    pub async fn reset(&self) -> Result<(), ControlError> {
        self.app.faults.clear();
        let mut cx = self.app.open(None, RequestInfo::default()).await?;
        sqlx::raw_sql(
            "truncate objects, balances, balance_transactions, legs, connect_reserves, pending_refunds,
                bank_behaviours, jobs, idempotency_keys, effects, events, deliveries, account_links",
        )
        .execute(&mut *cx.conn)
        .await?;
        prepare(&mut cx, &self.app.country).await?;
        cx.commit().await?;
        Ok(())
    }
}

/// What must stand in the database before the first request.
pub(crate) async fn prepare(cx: &mut Cx, country: &str) -> Result<(), ApiError> {
    let platform = cx.platform.clone();
    if crate::store::find(&mut cx.conn, &platform, "account", &platform).await?.is_none() {
        accounts::create_platform(cx, country).await?;
    }
    jobs::ensure_daily(cx).await
}

/// The endpoints in the database.
pub(crate) async fn load_endpoints(pool: &sqlx::PgPool) -> Result<Vec<Endpoint>, sqlx::Error> {
    sqlx::query_as("select id, url, secret, connect, enabled_events from webhook_endpoints order by seq")
        .fetch_all(pool)
        .await
}
