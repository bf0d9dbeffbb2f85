//! Brings a signed webhook to its destination, once.
//!
//! What is checked is the address that is dialled: names are resolved by a resolver that hands out allowed addresses only,
//! so a name that answers differently the next time (DNS rebinding) gains nothing. Addresses in numbers do not pass a
//! resolver; [`Destination::parse`] has judged them. There are no redirects, no proxies from the environment, no
//! repetitions below ours, and no more of an answer is read than [`LARGEST_ANSWER`].

use std::error::Error;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Client, redirect, retry};

use super::destination::{Destination, DestinationError, EgressPolicy, Refused, Way};
use super::schedule::parse_retry_after;
use crate::standard_signature::{ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER};

/// Most bytes of an answer that are read.
pub const LARGEST_ANSWER: usize = 64 * 1024;
/// Most bytes of an answer that are kept.
const KEPT: usize = 2_000;
/// How long an answer may take, from the first byte sent to the last one read.
pub const TIMEOUT: Duration = Duration::from_secs(15);
/// How long a connection may take of that.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Finds the addresses of a name. The machine's resolver in service, an own one in tests.
pub trait Lookup: Send + Sync + 'static {
    /// The addresses of a name, allowed or not.
    fn addresses(&self, name: String) -> futures::future::BoxFuture<'static, io::Result<Vec<IpAddr>>>;
}

/// The resolver of the machine.
#[derive(Debug, Clone, Copy)]
pub struct SystemLookup;

impl Lookup for SystemLookup {
    fn addresses(&self, name: String) -> futures::future::BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    }
}

/// Hands out the addresses that may be dialled.
#[derive(Clone)]
struct AllowedOnly {
    policy: Arc<EgressPolicy>,
    way: Way,
    lookup: Arc<dyn Lookup>,
}

impl Resolve for AllowedOnly {
    fn resolve(&self, name: Name) -> Resolving {
        let this = self.clone();
        Box::pin(async move {
            let found = this.lookup.addresses(name.as_str().to_owned()).await?;
            let (allowed, refused): (Vec<_>, Vec<_>) = found
                .into_iter()
                .map(|address| this.policy.check(address, this.way).map(|()| address))
                .partition(Result::is_ok);
            let allowed: Vec<_> = allowed.into_iter().flatten().map(|address| SocketAddr::new(address, 0)).collect();
            match refused.into_iter().find_map(Result::err) {
                Some(refused) if allowed.is_empty() => Err(refused.into()),
                _ => Ok(Box::new(allowed.into_iter()) as Addrs),
            }
        })
    }
}

/// Sends webhooks. Clones share connections.
#[derive(Debug, Clone)]
pub struct Courier {
    policy: Arc<EgressPolicy>,
    public: Client,
    inside: Client,
}

/// One attempt.
#[derive(Debug, Clone)]
pub struct Parcel {
    /// Where to.
    pub destination: Destination,
    /// The message's id, the same for every attempt.
    pub id: String,
    /// This attempt's time.
    pub timestamp: Timestamp,
    /// Signatures over id, time and body.
    pub signature: String,
    /// JSON.
    pub body: Vec<u8>,
}

/// What the receiver said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// The beginning of the body: at most 2,000 bytes, card numbers masked, unreadable bytes replaced. Untrusted text.
    pub body: String,
    /// What `Retry-After` asks for.
    pub retry_after: Option<Duration>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// Every address of the name may not be dialled. Nothing was sent.
    #[error(transparent)]
    Refused(Refused),
    /// No whole answer in time, or not even a connection.
    #[error("no whole answer within {} s", TIMEOUT.as_secs())]
    TimedOut,
    /// The name does not resolve, nobody listens, TLS fails. Nothing was sent.
    #[error("no connection: {0}")]
    NotConnected(String),
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Broken(String),
}

impl Courier {
    /// A courier that keeps to the policy.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn try_new(policy: EgressPolicy, lookup: impl Lookup) -> Result<Self, reqwest::Error> {
        let (policy, lookup) = (Arc::new(policy), Arc::new(lookup));
        let client = |way| {
            let resolver =
                AllowedOnly { policy: Arc::clone(&policy), way, lookup: Arc::clone(&lookup) as Arc<dyn Lookup> };
            Client::builder()
                .user_agent(concat!("Partita/", env!("CARGO_PKG_VERSION")))
                .dns_resolver(resolver)
                .timeout(TIMEOUT)
                .connect_timeout(CONNECT_TIMEOUT)
                .pool_idle_timeout(Duration::from_secs(20))
                .pool_max_idle_per_host(2)
                .redirect(redirect::Policy::none())
                .retry(retry::never())
                .referer(false)
                // A proxy would be dialled instead of what was checked.
                .no_proxy()
                .build()
        };
        let (public, inside) = (client(Way::Public)?, client(Way::Inside)?);
        Ok(Self { policy, public, inside })
    }

    /// Reads an address that webhooks may be sent to.
    ///
    /// # Errors
    /// [`DestinationError`].
    pub fn destination(&self, url: &str) -> Result<Destination, DestinationError> {
        Destination::parse(url, &self.policy)
    }

    /// Sends once. `now` is what dates in the answer are measured against.
    ///
    /// # Errors
    /// [`SendError`]; only [`SendError::Refused`] and [`SendError::NotConnected`] say that the receiver got nothing.
    pub async fn send(&self, parcel: Parcel, now: Timestamp) -> Result<Answer, SendError> {
        let client = match parcel.destination.way {
            Way::Public => &self.public,
            Way::Inside => &self.inside,
        };
        let sent = client
            .post(parcel.destination.url)
            .header(CONTENT_TYPE, "application/json")
            .header(ID_HEADER, parcel.id)
            .header(TIMESTAMP_HEADER, parcel.timestamp.as_second())
            .header(SIGNATURE_HEADER, parcel.signature)
            .body(parcel.body)
            .send()
            .await;
        match sent {
            Ok(response) => receive(response, now).await,
            Err(error) => Err(told(error)),
        }
    }
}

async fn receive(mut response: reqwest::Response, now: Timestamp) -> Result<Answer, SendError> {
    let status = response.status().as_u16();
    let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let retry_after = retry_after.and_then(|value| parse_retry_after(value, now));
    let mut body = Vec::new();
    while body.len() < LARGEST_ANSWER {
        match response.chunk().await {
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => break,
            Err(error) => return Err(told(error)),
        }
    }
    // What is left is not read: dropping the response closes its connection.
    Ok(Answer { status, body: kept(&body), retry_after })
}

fn kept(body: &[u8]) -> String {
    let masked = partita_provider::mask_card_numbers(body);
    let text = String::from_utf8_lossy(&masked[..masked.len().min(KEPT)]);
    text.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect()
}

/// The error in words, without the address: it may hold a token.
fn told(error: reqwest::Error) -> SendError {
    let error = error.without_url();
    let mut sources = std::iter::successors(error.source(), |error| (*error).source());
    if let Some(refused) = sources.find_map(|error| error.downcast_ref::<Refused>()) {
        return SendError::Refused(*refused);
    }
    if error.is_timeout() {
        return SendError::TimedOut;
    }
    let words: Vec<_> =
        std::iter::successors(Some(&error as &dyn Error), |error| (*error).source()).map(ToString::to_string).collect();
    let words = words.join(": ");
    if error.is_connect() { SendError::NotConnected(words) } else { SendError::Broken(words) }
}
