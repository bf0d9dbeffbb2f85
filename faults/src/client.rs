//! A client as a platform writes one: an idempotency key for each request, kept over all its tries.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::history::{Acknowledged, History, Kind, Line};

/// How long a client waits for an answer.
const TIMEOUT: Duration = Duration::from_secs(45);

/// How often a request is tried before it is given up: for more than three minutes, in which four that hold it may die one
/// after the other.
const TRIES: u32 = 120;

/// An answer that settles a request.
#[derive(Debug, Clone)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// The body's bytes.
    pub bytes: Vec<u8>,
}

impl Answer {
    /// The body; null when it is no JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or_default()
    }
}

/// One of the load's clients.
#[derive(Debug, Clone)]
pub struct Client {
    number: usize,
    http: reqwest::Client,
    /// Base addresses of the replicas; another one for each try.
    bases: Vec<String>,
    api_key: String,
    history: Arc<History>,
}

/// What a try came to.
enum Tried {
    /// The request is settled.
    Settled(Kind, Answer),
    /// Nobody can tell; to be tried again.
    Unclear(String, Option<u16>),
}

impl Client {
    /// A client of the replicas at these base addresses.
    ///
    /// # Errors
    /// When the HTTP client cannot be made.
    pub fn try_new(
        number: usize,
        bases: Vec<String>,
        api_key: String,
        history: Arc<History>,
    ) -> Result<Self, reqwest::Error> {
        let http = reqwest::Client::builder().no_proxy().timeout(TIMEOUT).build()?;
        Ok(Self { number, http, bases, api_key, history })
    }

    /// Posts until somebody says how it ended; none when it was given up.
    pub async fn post(&self, path: &str, key: &str, body: &Value) -> Option<Answer> {
        for number in 0..TRIES {
            if let Some(answer) = self.ask(number, path, key, body).await {
                return Some(answer);
            }
            tokio::time::sleep(Duration::from_millis(25 << number.min(6))).await;
        }
        self.history.give_up();
        None
    }

    /// Posts once; none when nobody can tell how it ended. It is for the caller to ask again.
    pub async fn post_once(&self, path: &str, key: &str, body: &Value) -> Option<Answer> {
        self.ask(0, path, key, body).await
    }

    /// One try, with its lines in the history.
    async fn ask(&self, number: u32, path: &str, key: &str, body: &Value) -> Option<Answer> {
        let (began, at_ms) = (Instant::now(), self.history.now_ms());
        let line = |kind| Line { at_ms, client: self.number, kind, path, key, status: None, error: None };
        self.history.write(&line(Kind::Invoke));
        let tried = self.try_once(number, path, key, body).await;
        let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let at_ms = self.history.now_ms();
        match tried {
            Tried::Settled(kind, answer) => {
                self.history.count(kind, Some(answer.status), took_ms);
                self.history.write(&Line { at_ms, status: Some(answer.status), ..line(kind) });
                if kind == Kind::Ok {
                    self.history.acknowledge(Acknowledged {
                        path: path.to_owned(),
                        key: key.to_owned(),
                        body: body.clone(),
                        status: answer.status,
                        answer: answer.bytes.clone(),
                    });
                }
                Some(answer)
            }
            Tried::Unclear(error, status) => {
                self.history.count(Kind::Info, status, took_ms);
                self.history.write(&Line { at_ms, status, error: Some(error), ..line(Kind::Info) });
                None
            }
        }
    }

    async fn try_once(&self, number: u32, path: &str, key: &str, body: &Value) -> Tried {
        let replica = usize::try_from(number).unwrap_or(0) + self.number;
        let base = &self.bases[replica % self.bases.len()];
        let request = self.http.post(format!("{base}{path}")).bearer_auth(&self.api_key).json(body);
        let answer = match request.header("Idempotency-Key", key).send().await {
            Ok(answer) => answer,
            Err(error) => return Tried::Unclear(error.without_url().to_string(), None),
        };
        let (status, retry) = (answer.status().as_u16(), answer.headers().contains_key("retry-after"));
        let bytes = match answer.bytes().await {
            Ok(bytes) => bytes.to_vec(),
            Err(error) => return Tried::Unclear(error.without_url().to_string(), Some(status)),
        };
        match status {
            // 402: the payment was declined, and is there.
            200..=299 | 402 => Tried::Settled(Kind::Ok, Answer { status, bytes }),
            409 if retry => Tried::Unclear("its first try is under way".to_owned(), Some(status)),
            429 | 500..=599 => Tried::Unclear(String::from_utf8_lossy(&bytes).into_owned(), Some(status)),
            _ => Tried::Settled(Kind::Fail, Answer { status, bytes }),
        }
    }

    /// The same client with another API key.
    #[must_use]
    pub fn with_key(&self, api_key: String) -> Self {
        Self { api_key, ..self.clone() }
    }

    /// Posts once, without an idempotency key and without a line in the history.
    ///
    /// # Errors
    /// When no answer comes.
    pub async fn tell(&self, path: &str, body: &Value) -> anyhow::Result<Answer> {
        let base = &self.bases[self.number % self.bases.len()];
        let answer = self.http.post(format!("{base}{path}")).bearer_auth(&self.api_key).json(body).send().await?;
        let status = answer.status().as_u16();
        Ok(Answer { status, bytes: answer.bytes().await?.to_vec() })
    }

    /// Reads something.
    ///
    /// # Errors
    /// When no replica answers it.
    pub async fn get(&self, path: &str) -> anyhow::Result<Value> {
        let base = &self.bases[self.number % self.bases.len()];
        let answer = self.http.get(format!("{base}{path}")).bearer_auth(&self.api_key).send().await?;
        Ok(answer.error_for_status()?.json().await?)
    }

    /// Sends a request again under its key; status and bytes of the answer.
    ///
    /// # Errors
    /// When no answer comes.
    pub async fn replay(&self, acknowledged: &Acknowledged) -> anyhow::Result<Answer> {
        let base = &self.bases[self.number % self.bases.len()];
        let request = self.http.post(format!("{base}{}", acknowledged.path)).bearer_auth(&self.api_key);
        let request = request.json(&acknowledged.body).header("Idempotency-Key", &acknowledged.key);
        let answer = request.send().await?;
        let status = answer.status().as_u16();
        Ok(Answer { status, bytes: answer.bytes().await?.to_vec() })
    }
}
