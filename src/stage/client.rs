//! A customer of the service: over HTTP, with its API key, like everyone.

use std::time::Duration;

use anyhow::{Context as _, bail};
use reqwest::{Method, StatusCode};
use serde_json::Value;

/// Longer than the service waits for its provider.
const PATIENCE: Duration = Duration::from_secs(30);

/// A client of the service.
#[derive(Debug)]
pub(crate) struct Client {
    http: reqwest::Client,
    origin: String,
    api_key: String,
}

impl Client {
    pub(crate) fn new(origin: &str, api_key: &str) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build()?;
        Ok(Self { http, origin: origin.to_owned(), api_key: api_key.to_owned() })
    }

    /// Makes a resource. The reference in the body is its idempotency key too.
    pub(crate) async fn create(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        let (status, answer) = self.create_or_not(path, body).await?;
        expect(StatusCode::CREATED, status, path, answer)
    }

    /// Makes a payment; none when it was declined.
    pub(crate) async fn pay(&self, body: &Value) -> anyhow::Result<Option<Value>> {
        let (status, answer) = self.create_or_not("/v1/payments", body).await?;
        if status == StatusCode::PAYMENT_REQUIRED {
            return Ok(None);
        }
        expect(StatusCode::CREATED, status, "/v1/payments", answer).map(Some)
    }

    async fn create_or_not(&self, path: &str, body: &Value) -> anyhow::Result<(StatusCode, Value)> {
        let key = format!("{path}:{}", body["reference"].as_str().unwrap_or_default());
        self.send(Method::POST, path, Some(&key), Some(body)).await
    }

    /// Sends a request; its status and JSON.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        key: Option<&str>,
        body: Option<&Value>,
    ) -> anyhow::Result<(StatusCode, Value)> {
        let mut request = self.http.request(method, format!("{}{path}", self.origin)).bearer_auth(&self.api_key);
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await.context("the service does not answer")?;
        let status = response.status();
        if status == StatusCode::NO_CONTENT {
            return Ok((status, Value::Null));
        }
        Ok((status, response.json().await.context("the service's answer is no JSON")?))
    }
}

fn expect(wanted: StatusCode, status: StatusCode, path: &str, answer: Value) -> anyhow::Result<Value> {
    if status == wanted {
        return Ok(answer);
    }
    bail!("{path} was answered {status}: {answer}")
}

/// The text at a place of an answer.
pub(crate) fn text<'a>(answer: &'a Value, pointer: &str) -> anyhow::Result<&'a str> {
    answer.pointer(pointer).and_then(Value::as_str).with_context(|| format!("the service's answer lacks {pointer}"))
}
