//! Is it alive, is it ready, which version is it, what does it count.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use partita_db::{Db, Scope};
use serde::Serialize;
use tokio::time::Instant;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::HttpState;
use super::problem::Problem;
use super::problem_types;
use crate::verify;

/// The dated version of the interface that this release speaks.
pub const API_VERSION: &str = "2026-11-22";
/// How long the database may take to say that it is there.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long an answer of the database is good for: probes cannot be used to load it.
const GOOD_FOR: Duration = Duration::from_secs(1);

/// For how long after a refused write the database is taken for one that takes none. The worker writes more often than
/// that, and so do requests.
const REFUSED_FOR: Duration = Duration::from_secs(10);

/// Whether the service wants requests.
#[derive(Debug, Default)]
pub struct Readiness {
    stopping: AtomicBool,
    seen: Mutex<Option<Seen>>,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    at: Instant,
    database: bool,
    halted: i64,
}

impl Readiness {
    /// From now on not ready: the first step of a shutdown, so that balancers send no more.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    async fn has_database(&self, db: &Db) -> bool {
        if let Some(seen) = *self.seen.lock().expect("no code panics while holding it")
            && seen.at.elapsed() < GOOD_FOR
        {
            return seen.database;
        }
        // The read runs in a task of its own, so giving up the wait leaves no connection half-way.
        let asked = db.read("readiness", Scope::Routing, |tx| Box::pin(async move { verify::count_halted(tx).await }));
        let halted = tokio::time::timeout(PATIENCE, asked).await.ok().and_then(Result::ok);
        // A database whose disk is full, or that is a standby, answers questions and takes no writes.
        let database = halted.is_some() && !db.refused_writes_within(REFUSED_FOR);
        let seen = Seen { at: Instant::now(), database, halted: halted.unwrap_or(0) };
        *self.seen.lock().expect("no code panics while holding it") = Some(seen);
        seen.database
    }

    /// In how many books the movement of money was halted when the database was last asked.
    fn halted_books(&self) -> i64 {
        self.seen.lock().expect("no code panics while holding it").map_or(0, |seen| seen.halted)
    }
}

/// The routes of both ports.
pub fn routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new().routes(routes!(livez)).routes(routes!(readyz)).routes(routes!(version))
}

/// What the admin port has beside them.
pub fn admin_routes() -> Router<HttpState> {
    Router::new().route("/metrics", get(metrics))
}

/// Whether the process lives.
#[utoipa::path(
    get, path = "/livez", tag = "Health", operation_id = "get_livez", security(()),
    responses((status = 200, description = "It does", body = String, content_type = "text/plain")),
)]
async fn livez() -> &'static str {
    "ok\n"
}

/// Whether the service wants requests: its database answers and takes writes, and it is not stopping.
///
/// The text says, too, in how many books the movement of money is halted. Those are read and reconciled as ever, so the
/// service stays ready.
#[utoipa::path(
    get, path = "/readyz", tag = "Health", operation_id = "get_readyz", security(()),
    responses(
        (status = 200, description = "It does", body = String, content_type = "text/plain"),
        (status = 503, description = "It does not: `temporarily_unavailable`"),
    ),
)]
async fn readyz(State(state): State<HttpState>) -> Result<String, Problem> {
    if state.readiness.is_stopping() || !state.readiness.has_database(&state.app.db).await {
        return Err(Problem::new(&problem_types::TEMPORARILY_UNAVAILABLE));
    }
    Ok(match state.readiness.halted_books() {
        0 => "ok\n".to_owned(),
        1 => "ok\nthe movement of money is halted in 1 book\n".to_owned(),
        count => format!("ok\nthe movement of money is halted in {count} books\n"),
    })
}

/// What runs here.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Version {
    /// Always `partita`.
    #[schema(value_type = String, example = "partita")]
    pub name: &'static str,
    /// The release.
    #[schema(value_type = String, example = "0.1.0")]
    pub version: &'static str,
    /// The dated version of the interface.
    #[schema(value_type = String, example = "2026-11-22")]
    pub api_version: &'static str,
}

/// Which release runs, and which version of the interface it speaks.
#[utoipa::path(
    get, path = "/version", tag = "Health", operation_id = "get_version", security(()),
    responses((status = 200, description = "What runs here", body = Version)),
)]
async fn version() -> Json<Version> {
    Json(Version { name: "partita", version: env!("CARGO_PKG_VERSION"), api_version: API_VERSION })
}

async fn metrics(State(state): State<HttpState>) -> impl IntoResponse {
    let (open, idle) = state.app.db.connections();
    state.metrics.set_database_connections(open, idle);
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], state.metrics.render())
}
