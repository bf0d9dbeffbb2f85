//! Who calls: the API key of the request, the book it opens and what it may do.
//!
//! A key is looked up by its keyed hash in a routing table and remembered for four seconds, so that its revocation takes
//! effect everywhere within five. Only keys that exist are remembered.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use partita_db::{BookId, DbError, Scope};
use tokio::time::Instant;

use super::HttpState;
use super::problem::Problem;
use super::problem_types;
use crate::actor::Actor;
use crate::id::{PlatformId, RequestId};
use crate::platforms::{self, ApiKeyRecord, Mode, keys};

/// How long a key that was read is honoured without asking again.
const REMEMBERED: Duration = Duration::from_secs(4);
/// Most keys remembered at once.
const MOST_REMEMBERED: usize = 10_000;

/// The caller of a request.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Who acts, for rows.
    pub actor: Actor,
    /// The book the key opens.
    pub book: BookId,
    /// Whether real money moves there.
    pub mode: Mode,
    /// Whose book it is.
    pub platform: PlatformId,
    /// The request, as its answer and the log name it.
    pub request: RequestId,
    key: Arc<ApiKeyRecord>,
}

impl Caller {
    fn new(key: Arc<ApiKeyRecord>, request: RequestId) -> Self {
        let actor = Actor::Key { id: key.id, number: key.number };
        Self { actor, book: key.book, mode: key.mode, platform: key.platform, request, key }
    }

    /// What the caller's transactions may see.
    pub fn scope(&self) -> Scope {
        Scope::Book(self.book)
    }

    /// Demands a scope of the key.
    ///
    /// # Errors
    /// 403 `scope_missing`.
    pub fn require(&self, scope: &'static str) -> Result<(), Problem> {
        if self.key.scopes.iter().any(|held| held == scope) {
            return Ok(());
        }
        Err(Problem::new(&problem_types::SCOPE_MISSING).detail(format!("The API key needs the scope {scope}.")))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        // Absent only where a route was not put behind `authenticate`.
        parts.extensions.get().cloned().ok_or_else(|| Problem::new(&problem_types::AUTHENTICATION_REQUIRED))
    }
}

/// Middleware of every route under `/v1`: finds the caller, counts the request against the key's limit.
pub async fn authenticate(State(state): State<HttpState>, mut request: Request, next: Next) -> Response {
    let key = match find_key(&state, request.headers()).await {
        Ok(key) => key,
        Err(problem) => return problem.into_response(),
    };
    let standing = match state.limits.check_key(key.id) {
        Ok(standing) => standing,
        Err(problem) => return problem.into_response(),
    };
    let request_id = request.extensions().get().copied().unwrap_or_else(RequestId::new);
    request.extensions_mut().insert(Caller::new(key, request_id));
    let mut response = next.run(request).await;
    if let Some(standing) = standing {
        standing.write(response.headers_mut());
    }
    response
}

async fn find_key(state: &HttpState, headers: &HeaderMap) -> Result<Arc<ApiKeyRecord>, Problem> {
    let key = bearer(headers)?;
    keys::parse(key).map_err(|_| Problem::new(&problem_types::API_KEY_INVALID))?;
    let hash = keys::hash(&state.app.pepper, key);
    let record = match state.known_keys.get(&hash) {
        Some(record) => record,
        None => read_key(state, hash).await?,
    };
    if record.revoked {
        return Err(Problem::new(&problem_types::API_KEY_REVOKED));
    }
    if record.expires_at.is_some_and(|at| at <= state.app.clock.now()) {
        return Err(Problem::new(&problem_types::API_KEY_EXPIRED));
    }
    Ok(record)
}

async fn read_key(state: &HttpState, hash: [u8; 32]) -> Result<Arc<ApiKeyRecord>, Problem> {
    // Before the question, so that the answer is never taken for fresher than it is.
    let asked_at = Instant::now();
    let found = state
        .app
        .db
        .read("find API key", Scope::Routing, move |tx| {
            Box::pin(async move { platforms::find_api_key(tx, &hash).await })
        })
        .await
        .map_err(|error: DbError| Problem::from(error))?;
    let record = Arc::new(found.ok_or_else(|| Problem::new(&problem_types::API_KEY_INVALID))?);
    state.known_keys.put(hash, Arc::clone(&record), asked_at);
    Ok(record)
}

fn bearer(headers: &HeaderMap) -> Result<&str, Problem> {
    let missing = || Problem::new(&problem_types::AUTHENTICATION_REQUIRED);
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return Err(missing()) };
    let (scheme, key) = value.to_str().ok().and_then(|text| text.split_once(' ')).ok_or_else(missing)?;
    if scheme.eq_ignore_ascii_case("bearer") { Ok(key.trim()) } else { Err(missing()) }
}

/// Keys read a moment ago.
#[derive(Debug, Default)]
pub struct KnownKeys(Mutex<HashMap<[u8; 32], Known>>);

#[derive(Debug)]
struct Known {
    record: Arc<ApiKeyRecord>,
    asked_at: Instant,
}

impl Known {
    fn is_fresh(&self) -> bool {
        self.asked_at.elapsed() < REMEMBERED
    }
}

impl KnownKeys {
    fn get(&self, hash: &[u8; 32]) -> Option<Arc<ApiKeyRecord>> {
        let known = self.0.lock().expect("no code panics while holding it");
        known.get(hash).filter(|known| known.is_fresh()).map(|known| Arc::clone(&known.record))
    }

    fn put(&self, hash: [u8; 32], record: Arc<ApiKeyRecord>, asked_at: Instant) {
        let mut known = self.0.lock().expect("no code panics while holding it");
        if known.len() >= MOST_REMEMBERED {
            known.retain(|_, known| known.is_fresh());
        }
        if known.len() >= MOST_REMEMBERED {
            known.clear();
        }
        known.insert(hash, Known { record, asked_at });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::ApiKeyId;

    fn record(scopes: &[&str]) -> Arc<ApiKeyRecord> {
        Arc::new(ApiKeyRecord {
            id: ApiKeyId::new(),
            number: 7,
            book: BookId::try_new(1).expect("in range"),
            mode: Mode::Test,
            platform: PlatformId::new(),
            scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
            expires_at: None,
            revoked: false,
        })
    }

    #[test]
    fn a_scope_is_held_or_refused() {
        let caller = Caller::new(record(&["payments:read"]), RequestId::new());
        assert!(caller.require("payments:read").is_ok());
        let problem = caller.require("payments:write").expect_err("not held");
        assert_eq!((problem.status().as_u16(), problem.kind().code), (403, "scope_missing"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_known_key_is_forgotten_within_five_seconds() {
        let known = KnownKeys::default();
        known.put([1; 32], record(&[]), Instant::now());
        tokio::time::advance(Duration::from_millis(3_999)).await;
        assert!(known.get(&[1; 32]).is_some());
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(known.get(&[1; 32]).is_none());
        assert!(known.get(&[2; 32]).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn the_memory_of_keys_is_bounded() {
        let known = KnownKeys::default();
        let one = record(&[]);
        for number in 0..=MOST_REMEMBERED {
            let mut hash = [0; 32];
            hash[..8].copy_from_slice(&number.to_be_bytes());
            known.put(hash, Arc::clone(&one), Instant::now());
        }
        assert!(known.0.lock().expect("not poisoned").len() <= MOST_REMEMBERED);
    }

    #[test]
    fn the_key_is_read_from_one_bearer_header() {
        let headers = |values: &[&'static str]| {
            let mut map = HeaderMap::new();
            for value in values {
                map.append(header::AUTHORIZATION, header::HeaderValue::from_static(value));
            }
            map
        };
        assert_eq!(bearer(&headers(&["Bearer ptk_test_x"])).expect("a key"), "ptk_test_x");
        assert_eq!(bearer(&headers(&["bearer  ptk_test_x"])).expect("a key"), "ptk_test_x");
        for bad in [&[][..], &["Basic eDp5"], &["ptk_test_x"], &["Bearer a", "Bearer b"]] {
            assert!(bearer(&headers(bad)).is_err(), "{bad:?}");
        }
    }
}
