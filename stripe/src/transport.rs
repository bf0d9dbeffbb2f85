//! Sending: one pooled client, one attempt, explicit limits, and the whole answer handed back as it came.

use std::error::Error as _;
use std::time::{Duration, Instant};

use partita_provider::RawAnswer;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Client, Method, redirect, retry};
use tracing::Instrument as _;

use crate::resource::template;
use crate::upload::{self, Form};

/// No object of Stripe's that we read comes near this; more is not read to the end.
const LARGEST_ANSWER_BYTES: usize = 1024 * 1024;

/// One request on its way out.
#[derive(Debug)]
pub(crate) struct Outgoing<'a> {
    pub(crate) method: Method,
    /// With its leading slash and version.
    pub(crate) path: &'a str,
    /// Without the question mark; may be empty.
    pub(crate) query: &'a str,
    /// None for a GET.
    pub(crate) body: Option<Content<'a>>,
    /// The connected account to act for.
    pub(crate) account: Option<&'a str>,
    pub(crate) idempotency_key: Option<&'a str>,
}

/// What a request brings.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Content<'a> {
    /// Form-encoded parameters.
    Parameters(&'a str),
    /// A form with a file.
    Form(&'a Form),
}

/// A complete answer.
#[derive(Debug, Clone, Default)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
    pub(crate) request_id: Option<String>,
    /// `Retry-After`, when given in seconds.
    pub(crate) retry_after: Option<Duration>,
    /// `Stripe-Should-Retry`, when given.
    pub(crate) should_retry: Option<bool>,
}

impl Answer {
    pub(crate) fn into_raw(self) -> RawAnswer {
        RawAnswer { status: self.status, body: self.body, request_id: self.request_id }
    }
}

/// The end of one attempt.
#[derive(Debug)]
pub(crate) enum Exchange {
    /// A whole answer came.
    Answered(Answer),
    /// No connection was made, so that Stripe has seen nothing of the request.
    NotSent(String),
    /// Sent in part or whole, and no whole answer came.
    Unclear {
        /// What happened, for a person.
        reason: String,
        /// What had come until then.
        partial: Option<Answer>,
    },
}

/// The pooled client with what every request carries.
pub(crate) struct Transport {
    client: Client,
    base: String,
    files_base: String,
    timeout: Duration,
}

impl Transport {
    /// Opens a client. `base` has no trailing slash; `authorization` is marked sensitive, so that no `Debug` shows it.
    pub(crate) fn try_new(
        base: String,
        mut authorization: HeaderValue,
        version: &'static str,
        timeout: Duration,
    ) -> Result<Self, reqwest::Error> {
        authorization.set_sensitive(true);
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, authorization);
        headers.insert("stripe-version", HeaderValue::from_static(version));
        let client = Client::builder()
            .default_headers(headers)
            .user_agent(concat!("partita/", env!("CARGO_PKG_VERSION")))
            .timeout(timeout)
            .connect_timeout(timeout.min(Duration::from_secs(10)))
            .pool_idle_timeout(Duration::from_secs(50))
            .tcp_nodelay(true)
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            // The environment is read in one place of the service, and that is not here.
            .no_proxy()
            .build()?;
        let files_base = files_base(&base);
        Ok(Self { client, base, files_base, timeout })
    }

    /// Sends one request, once.
    pub(crate) async fn exchange(&self, outgoing: Outgoing<'_>) -> Exchange {
        let path = template(outgoing.path);
        let span = tracing::info_span!(
            "stripe.request",
            method = outgoing.method.as_str(),
            path,
            status = tracing::field::Empty,
            ms = tracing::field::Empty,
            request_id = tracing::field::Empty,
        );
        let started = Instant::now();
        let exchange = self.send(&outgoing).instrument(span.clone()).await;
        let elapsed = started.elapsed();
        span.record("ms", u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX));
        let labels = [("provider", "stripe".to_owned()), ("method", outgoing.method.to_string()), ("path", path)];
        metrics::histogram!("provider_request_seconds", &labels).record(elapsed.as_secs_f64());
        let result = span.in_scope(|| report(&span, &exchange));
        let [provider, method, path] = labels;
        metrics::counter!("provider_requests_total", &[provider, method, path, ("result", result)]).increment(1);
        exchange
    }

    async fn send(&self, outgoing: &Outgoing<'_>) -> Exchange {
        let request = match self.request(outgoing).build() {
            Ok(request) => request,
            Err(error) => {
                return Exchange::Unclear { reason: format!("cannot be sent: {}", chain(error)), partial: None };
            }
        };
        let response = match self.client.execute(request).await {
            Ok(response) => response,
            // Covers names that do not resolve, refused connections and failed TLS handshakes: the request's own bytes
            // are written only to a connection that stands.
            Err(error) if error.is_connect() => return Exchange::NotSent(chain(error)),
            Err(error) => return Exchange::Unclear { reason: self.describe(error), partial: None },
        };
        self.receive(response).await
    }

    fn request(&self, outgoing: &Outgoing<'_>) -> reqwest::RequestBuilder {
        let base = if outgoing.path == upload::PATH { &self.files_base } else { &self.base };
        let mut url = format!("{base}{}", outgoing.path);
        if !outgoing.query.is_empty() {
            url.push('?');
            url.push_str(outgoing.query);
        }
        let mut request = self.client.request(outgoing.method.clone(), url);
        request = match outgoing.body {
            None => request,
            Some(Content::Parameters(body)) => {
                request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(body.to_owned())
            }
            Some(Content::Form(form)) => request.header(CONTENT_TYPE, &form.content_type).body(form.body.clone()),
        };
        if let Some(account) = outgoing.account {
            request = request.header("stripe-account", account);
        }
        if let Some(key) = outgoing.idempotency_key {
            request = request.header("idempotency-key", key);
        }
        request
    }

    async fn receive(&self, mut response: reqwest::Response) -> Exchange {
        let text = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
        let mut answer = Answer {
            status: response.status().as_u16(),
            body: Vec::new(),
            request_id: text("request-id").map(str::to_owned),
            retry_after: text("retry-after").and_then(|value| value.trim().parse().ok()).map(Duration::from_secs),
            should_retry: text("stripe-should-retry").and_then(|value| value.trim().parse().ok()),
        };
        loop {
            match response.chunk().await {
                Ok(None) => return Exchange::Answered(answer),
                Ok(Some(chunk)) if answer.body.len() + chunk.len() <= LARGEST_ANSWER_BYTES => {
                    answer.body.extend_from_slice(&chunk);
                }
                Ok(Some(_)) => {
                    let reason = format!("an answer of more than {LARGEST_ANSWER_BYTES} bytes");
                    return Exchange::Unclear { reason, partial: Some(answer) };
                }
                Err(error) => {
                    return Exchange::Unclear { reason: self.describe(error), partial: Some(answer) };
                }
            }
        }
    }

    fn describe(&self, error: reqwest::Error) -> String {
        if error.is_timeout() {
            format!("no whole answer within {} ms", self.timeout.as_millis())
        } else {
            chain(error)
        }
    }
}

/// Stripe takes files on a host of their own; whoever stands in for it takes them where it takes everything.
fn files_base(base: &str) -> String {
    if base == "https://api.stripe.com" { "https://files.stripe.com".to_owned() } else { base.to_owned() }
}

/// The error and its causes, without the address: that holds ids.
fn chain(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text.push_str(": ");
        text.push_str(&next.to_string());
        cause = next.source();
    }
    text
}

/// Records what came on the span, and names it for the counter.
fn report(span: &tracing::Span, exchange: &Exchange) -> String {
    match exchange {
        Exchange::Answered(answer) => {
            span.record("status", answer.status);
            if let Some(id) = &answer.request_id {
                span.record("request_id", id.as_str());
            }
            tracing::debug!("provider answered");
            answer.status.to_string()
        }
        Exchange::NotSent(reason) => {
            tracing::warn!(reason, "provider not reached");
            "not_sent".to_owned()
        }
        Exchange::Unclear { reason, partial } => {
            if let Some(id) = partial.as_ref().and_then(|answer| answer.request_id.as_ref()) {
                span.record("request_id", id.as_str());
            }
            tracing::warn!(reason, "provider gave no whole answer");
            "unclear".to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_have_a_host_of_their_own_at_stripe_only() {
        assert_eq!(files_base("https://api.stripe.com"), "https://files.stripe.com");
        assert_eq!(files_base("http://127.0.0.1:4010/stripe"), "http://127.0.0.1:4010/stripe");
    }
}
