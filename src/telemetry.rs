//! Logs and metrics.
//!
//! Logs are lines of JSON or text on standard error, made of fields that the code names; nothing logs a value that a
//! client sent. Metrics have no ids in their labels: the number of time series does not grow with the business.

use metrics::Unit;
use metrics_exporter_prometheus::{BuildError, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::config::{LogFormat, LogSettings};

/// Names of the metrics.
pub mod names {
    /// Answered requests, by method, route template and status.
    pub const HTTP_REQUESTS: &str = "partita_http_requests_total";
    /// How long requests took, by method and route template.
    pub const HTTP_DURATION: &str = "partita_http_request_duration_seconds";
    /// Open connections of clients.
    pub const HTTP_CONNECTIONS: &str = "partita_http_connections";
    /// Connections to the database, by use: open or idle.
    pub const DATABASE_CONNECTIONS: &str = "partita_database_connections";
    /// Commands that have not ended, by state.
    pub const OPERATIONS: &str = "partita_operations";
    /// How long the oldest command is in doubt, in seconds.
    pub const OLDEST_DOUBT: &str = "partita_operations_oldest_doubt_seconds";
    /// Events of providers that wait, by state: received and parked for the worker, quarantined for a person.
    pub const INBOX_EVENTS: &str = "partita_inbox_events";
    /// Webhooks of providers, by outcome: stored, duplicate, other_mode, refused or failed.
    pub const WEBHOOKS_RECEIVED: &str = "partita_webhooks_received_total";
    /// Attempts to deliver a webhook, by outcome: delivered, failed (tried again), given_up or gone.
    pub const WEBHOOK_DELIVERIES: &str = "partita_webhook_deliveries_total";
    /// How long the endpoint has been due that has been due longest, in seconds.
    pub const WEBHOOK_OLDEST_WAITING: &str = "partita_webhook_oldest_waiting_seconds";
    /// Runs of verify, by depth (new or complete) and outcome (clean, violated or failed).
    pub const VERIFY_RUNS: &str = "partita_verify_runs_total";
    /// Contradictions that the last run over every book found, by kind: integrity, liveness or agreement.
    pub const VERIFY_FINDINGS: &str = "partita_verify_findings";
    /// Runs of reconciliation by schedule, by scope (complete or recent) and outcome (succeeded or failed).
    pub const RECONCILIATION_RUNS: &str = "partita_reconciliation_runs_total";
    /// Differences between ledger and provider that stand.
    pub const RECONCILIATION_BREAKS: &str = "partita_reconciliation_open_breaks";
    /// How long ago that was up to which the book is compared that is furthest behind, in seconds.
    pub const RECONCILIATION_LAG: &str = "partita_reconciliation_lag_seconds";
    /// Money that does not move on, by cause: how many findings stand.
    pub const STUCK_MONEY: &str = "partita_stuck_money";
    /// Books in which the movement of money is halted.
    pub const HALTED_BOOKS: &str = "partita_halted_books";
}

/// Upper bounds of the buckets of durations, in seconds.
const DURATION_BUCKETS: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// Why logs or metrics could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter of levels cannot be read.
    #[error("the log level {filter:?} is not a filter such as info or warn,partita=debug")]
    Filter {
        /// What was given.
        filter: String,
        /// What is wrong with it.
        #[source]
        source: tracing_subscriber::filter::ParseError,
    },
    /// Logs were set up before.
    #[error("logs were set up before in this process")]
    LogsTwice,
    /// The recorder of metrics could not be set up.
    #[error("metrics could not be set up")]
    Metrics(#[from] BuildError),
}

/// Sets up logs for this process, on standard error: standard output is for data.
///
/// # Errors
/// [`TelemetryError`].
pub fn init_logs(settings: &LogSettings) -> Result<(), TelemetryError> {
    let subscriber = subscriber(settings, std::io::stderr)?;
    tracing::subscriber::set_global_default(subscriber).map_err(|_| TelemetryError::LogsTwice)
}

fn subscriber<W>(
    settings: &LogSettings,
    writer: W,
) -> Result<Box<dyn tracing::Subscriber + Send + Sync>, TelemetryError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let filter = EnvFilter::try_new(&settings.filter)
        .map_err(|source| TelemetryError::Filter { filter: settings.filter.clone(), source })?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).with_ansi(false);
    Ok(match settings.format {
        LogFormat::Json => {
            Box::new(builder.json().flatten_event(true).with_current_span(true).with_span_list(false).finish())
        }
        LogFormat::Plain => Box::new(builder.finish()),
    })
}

/// What is counted, for `/metrics`.
#[derive(Debug, Clone)]
pub struct Metrics(PrometheusHandle);

impl Metrics {
    /// Counts for this process; once.
    ///
    /// # Errors
    /// [`TelemetryError::Metrics`] when called twice.
    pub fn install() -> Result<Self, TelemetryError> {
        let handle = builder()?.install_recorder()?;
        describe();
        Ok(Self(handle))
    }

    /// Counts nothing: for tests, which share a process.
    ///
    /// # Errors
    /// As [`Self::install`].
    pub fn detached() -> Result<Self, TelemetryError> {
        Ok(Self(builder()?.build_recorder().handle()))
    }

    /// The metrics in Prometheus' text format.
    pub fn render(&self) -> String {
        self.0.render()
    }

    /// Moves what was measured on; to be called every few seconds, or memory grows until someone asks for `/metrics`.
    pub fn run_upkeep(&self) {
        self.0.run_upkeep();
    }

    /// Tells how many connections to the database are open, and how many of these idle.
    pub fn set_database_connections(&self, open: u32, idle: usize) {
        metrics::gauge!(names::DATABASE_CONNECTIONS, "use" => "open").set(f64::from(open));
        let idle = u32::try_from(idle).unwrap_or(u32::MAX);
        metrics::gauge!(names::DATABASE_CONNECTIONS, "use" => "idle").set(f64::from(idle));
    }
}

fn builder() -> Result<PrometheusBuilder, BuildError> {
    PrometheusBuilder::new().set_buckets(DURATION_BUCKETS)
}

fn describe() {
    metrics::describe_counter!(names::HTTP_REQUESTS, Unit::Count, "Answered requests, by method, route and status.");
    metrics::describe_histogram!(names::HTTP_DURATION, Unit::Seconds, "How long requests took, by method and route.");
    metrics::describe_gauge!(names::HTTP_CONNECTIONS, Unit::Count, "Open connections of clients.");
    metrics::describe_gauge!(
        names::DATABASE_CONNECTIONS,
        Unit::Count,
        "Connections to the database: open, and idle of these."
    );
    metrics::describe_counter!(
        partita_db::TRANSACTIONS,
        Unit::Count,
        "Database transactions, by unit of work and outcome; each try counts."
    );
    metrics::describe_gauge!(names::OPERATIONS, Unit::Count, "Commands to providers that have not ended, by state.");
    metrics::describe_gauge!(names::OLDEST_DOUBT, Unit::Seconds, "How long the oldest command is in doubt.");
    metrics::describe_gauge!(names::INBOX_EVENTS, Unit::Count, "Events of providers that wait, by state.");
    metrics::describe_counter!(names::WEBHOOKS_RECEIVED, Unit::Count, "Webhooks of providers, by outcome.");
    metrics::describe_counter!(names::WEBHOOK_DELIVERIES, Unit::Count, "Attempts to deliver webhooks, by outcome.");
    metrics::describe_gauge!(
        names::WEBHOOK_OLDEST_WAITING,
        Unit::Seconds,
        "How long the webhook endpoint has been due that has been due longest."
    );
    metrics::describe_counter!(names::VERIFY_RUNS, Unit::Count, "Runs of verify, by depth and outcome.");
    metrics::describe_gauge!(names::VERIFY_FINDINGS, Unit::Count, "Contradictions that stand, by kind.");
    metrics::describe_counter!(
        names::RECONCILIATION_RUNS,
        Unit::Count,
        "Runs of reconciliation, by scope and outcome."
    );
    metrics::describe_gauge!(
        names::RECONCILIATION_BREAKS,
        Unit::Count,
        "Differences between ledger and provider that stand."
    );
    metrics::describe_gauge!(
        names::RECONCILIATION_LAG,
        Unit::Seconds,
        "How long ago that was up to which the book is compared that is furthest behind."
    );
    metrics::describe_gauge!(names::STUCK_MONEY, Unit::Count, "Money that does not move on, by cause.");
    metrics::describe_gauge!(names::HALTED_BOOKS, Unit::Count, "Books in which the movement of money is halted.");
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use secrecy::SecretString;

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("not poisoned").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: LogFormat, filter: &str, work: impl FnOnce()) -> String {
        let lines = Lines::default();
        let writer = lines.clone();
        let settings = LogSettings { format, filter: filter.to_owned() };
        let subscriber = subscriber(&settings, move || writer.clone()).expect("a filter");
        tracing::subscriber::with_default(subscriber, work);
        let bytes = lines.0.lock().expect("not poisoned").clone();
        String::from_utf8(bytes).expect("UTF-8")
    }

    #[test]
    fn a_line_of_json_has_its_fields_and_its_span() {
        let text = logged(LogFormat::Json, "info", || {
            let span = tracing::info_span!("request", route = "/v1/payments");
            span.in_scope(|| tracing::info!(status = 201, "request"));
            tracing::debug!("not told");
        });
        let line: serde_json::Value = serde_json::from_str(&text).expect("one line of JSON");
        assert_eq!(line["status"], 201);
        assert_eq!(line["span"]["route"], "/v1/payments");
        assert_eq!(line["level"], "INFO");
    }

    #[test]
    fn a_secret_is_not_told_even_if_logged() {
        let secret = SecretString::from("sk_live_hunter2");
        let text = logged(LogFormat::Plain, "info", || tracing::info!(?secret, "on purpose"));
        assert!(text.contains("on purpose") && !text.contains("hunter2"), "{text}");
    }

    #[test]
    fn a_wrong_filter_is_refused_with_a_hint() {
        let settings = LogSettings { format: LogFormat::Plain, filter: "partita=loudest".to_owned() };
        let error = subscriber(&settings, io::sink).err().expect("no such level");
        assert!(error.to_string().contains("partita=loudest") && error.to_string().contains("such as info"));
    }

    #[test]
    fn metrics_are_rendered() {
        let recorder = builder().expect("bounds").build_recorder();
        let handle = recorder.handle();
        metrics::with_local_recorder(&recorder, || {
            describe();
            metrics::counter!(names::HTTP_REQUESTS, "method" => "GET", "route" => "/v1/payments", "status" => "200")
                .increment(1);
            metrics::histogram!(names::HTTP_DURATION, "method" => "GET", "route" => "/v1/payments").record(0.003);
        });
        let text = handle.render();
        assert!(text.contains("# HELP partita_http_requests_total"), "{text}");
        assert!(text.contains("partita_http_request_duration_seconds_bucket"), "{text}");
    }
}
