//! Rate limits: per API key, and per client address before the key is even looked at. In this process only: with
//! several replicas each grants its own share.

use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU32;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use governor::clock::{Clock as _, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};

use super::HttpState;
use super::problem::{Problem, whole_seconds};
use super::problem_types;
use crate::config::{Network, Rate, RateSettings};
use crate::id::ApiKeyId;

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const STATE: HeaderName = HeaderName::from_static("ratelimit");
const FORWARDED_FOR: &str = "x-forwarded-for";

/// The address that the connection came from, put into each request by the server.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub SocketAddr);

/// All limits of this process.
#[derive(Debug)]
pub struct Limits {
    keys: Option<Bucket<ApiKeyId>>,
    addresses: Option<Bucket<IpAddr>>,
    trusted_proxies: Vec<Network>,
}

impl Limits {
    /// The limits as configured; a rate of none limits nothing.
    pub fn new(settings: &RateSettings) -> Self {
        Self {
            keys: settings.per_key.map(|rate| Bucket::new("key", rate)),
            addresses: settings.per_address.map(|rate| Bucket::new("address", rate)),
            trusted_proxies: settings.trusted_proxies.clone(),
        }
    }

    /// Counts a request of this key.
    ///
    /// # Errors
    /// 429 with `Retry-After`.
    pub fn check_key(&self, key: ApiKeyId) -> Result<Option<Standing>, Problem> {
        self.keys.as_ref().map(|bucket| bucket.check(&key)).transpose()
    }

    /// Counts a request from this address; an IPv6 client is its /64 network.
    ///
    /// # Errors
    /// 429 with `Retry-After`.
    pub fn check_address(&self, address: IpAddr) -> Result<Option<Standing>, Problem> {
        self.addresses.as_ref().map(|bucket| bucket.check(&network_of(address))).transpose()
    }

    /// Forgets who has not called lately. To be called now and then, or memory grows with every caller ever seen.
    pub fn forget_idle(&self) {
        if let Some(bucket) = &self.keys {
            bucket.forget_idle();
        }
        if let Some(bucket) = &self.addresses {
            bucket.forget_idle();
        }
    }

    /// The client's address: the peer, or what trusted proxies say of whom they forward.
    pub fn client_address(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let trusted = |address: IpAddr| self.trusted_proxies.iter().any(|network| network.contains(address));
        if !trusted(peer) {
            return peer;
        }
        let values: Vec<_> = headers.get_all(FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok()).collect();
        let mut client = peer;
        // Each proxy appends whom it saw: from the right, the first one that is no proxy of ours is the client.
        for hop in values.join(",").rsplit(',') {
            let Ok(address) = hop.trim().parse::<IpAddr>() else { break };
            client = address;
            if !trusted(address) {
                break;
            }
        }
        client
    }
}

/// Middleware: counts the request against its address's limit.
pub async fn limit_address(State(state): State<HttpState>, request: Request, next: Next) -> Response {
    let Some(Peer(peer)) = request.extensions().get().copied() else { return next.run(request).await };
    let client = state.limits.client_address(peer.ip().to_canonical(), request.headers());
    match state.limits.check_address(client) {
        Ok(_) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

fn network_of(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

/// What is left of a limit, as `draft-ietf-httpapi-ratelimit-headers` spells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    policy: HeaderValue,
    state: HeaderValue,
}

impl Standing {
    /// Adds the headers `RateLimit-Policy` and `RateLimit`.
    pub fn write(&self, headers: &mut HeaderMap) {
        headers.insert(POLICY, self.policy.clone());
        headers.insert(STATE, self.state.clone());
    }
}

/// One limit for many callers.
#[derive(Debug)]
struct Bucket<K: Hash + Eq + Clone> {
    name: &'static str,
    rate: Rate,
    limiter: RateLimiter<K, DashMapStateStore<K>, DefaultClock, StateInformationMiddleware>,
}

impl<K: Hash + Eq + Clone> Bucket<K> {
    fn new(name: &'static str, rate: Rate) -> Self {
        let quota = Quota::per_second(rate.per_second).allow_burst(rate.burst);
        Self { name, rate, limiter: RateLimiter::dashmap(quota).with_middleware() }
    }

    fn check(&self, key: &K) -> Result<Standing, Problem> {
        match self.limiter.check_key(key) {
            Ok(snapshot) => Ok(self.standing(snapshot.remaining_burst_capacity())),
            Err(not_until) => {
                let wait = not_until.wait_time_from(DefaultClock::default().now());
                let Standing { policy, state } = self.standing(0);
                Err(Problem::new(&problem_types::TOO_MANY_REQUESTS)
                    .detail(format!("The limit is {} requests a second for each {}.", self.rate.per_second, self.name))
                    .retry_after(wait.max(Duration::from_secs(1)))
                    .header(POLICY, policy)
                    .header(STATE, state))
            }
        }
    }

    fn standing(&self, remaining: u32) -> Standing {
        let Rate { per_second, burst } = self.rate;
        let used = burst.get().saturating_sub(remaining);
        let text = |text: String| HeaderValue::try_from(text).expect("words and numbers are a header");
        Standing {
            policy: text(format!("\"{}\";q={burst};w={}", self.name, seconds(burst.get(), per_second))),
            state: text(format!("\"{}\";r={remaining};t={}", self.name, seconds(used, per_second))),
        }
    }

    fn forget_idle(&self) {
        self.limiter.retain_recent();
        self.limiter.shrink_to_fit();
    }
}

fn seconds(requests: u32, per_second: NonZeroU32) -> u64 {
    whole_seconds(Duration::from_secs(u64::from(requests.div_ceil(per_second.get()))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(per_second: u32, burst: u32) -> Limits {
        let number = |n| NonZeroU32::new(n).expect("not zero");
        let rate = Some(Rate { per_second: number(per_second), burst: number(burst) });
        Limits::new(&RateSettings {
            per_key: rate,
            per_address: rate,
            trusted_proxies: vec!["10.0.0.0/8".parse().expect("a network"), "::1".parse().expect("a network")],
        })
    }

    fn forwarded(values: &[&'static str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(FORWARDED_FOR, HeaderValue::from_static(value));
        }
        headers
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_key_is_refused_beyond_its_burst_and_others_are_not() {
        let limits = limits(1, 3);
        let (greedy, modest) = (ApiKeyId::new(), ApiKeyId::new());
        for _ in 0..3 {
            assert!(limits.check_key(greedy).is_ok());
        }
        let problem = limits.check_key(greedy).expect_err("over the limit");
        let response = problem.render(crate::id::RequestId::new());
        assert_eq!(response.status(), 429);
        assert_eq!(response.headers()["retry-after"], "1");
        assert_eq!(response.headers()["ratelimit-policy"], "\"key\";q=3;w=3");
        assert_eq!(response.headers()["ratelimit"], "\"key\";r=0;t=3");
        let standing = limits.check_key(modest).expect("its own limit").expect("limited");
        assert_eq!(standing.state, "\"key\";r=2;t=1");
    }

    #[test]
    fn an_ipv6_client_is_its_network() {
        let limits = limits(1, 1);
        assert!(limits.check_address(ip("2001:db8::1")).is_ok());
        assert!(limits.check_address(ip("2001:db8::ffff")).is_err());
        assert!(limits.check_address(ip("2001:db8:0:1::1")).is_ok());
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        let limits = limits(1, 1);
        let spoofed = forwarded(&["198.51.100.7"]);
        assert_eq!(limits.client_address(ip("203.0.113.9"), &spoofed), ip("203.0.113.9"));
        assert_eq!(limits.client_address(ip("10.1.2.3"), &spoofed), ip("198.51.100.7"));
        let chain = forwarded(&["192.0.2.66, 198.51.100.7", "10.9.9.9"]);
        assert_eq!(limits.client_address(ip("10.1.2.3"), &chain), ip("198.51.100.7"));
        assert_eq!(limits.client_address(ip("10.1.2.3"), &HeaderMap::new()), ip("10.1.2.3"));
        assert_eq!(limits.client_address(ip("10.1.2.3"), &forwarded(&["198.51.100.7, rubbish"])), ip("10.1.2.3"));
        assert_eq!(limits.client_address(ip("::1"), &spoofed), ip("198.51.100.7"));
    }

    #[test]
    fn idle_callers_are_forgotten() {
        let limits = limits(1_000_000, 1);
        for _ in 0..100 {
            assert!(limits.check_key(ApiKeyId::new()).is_ok());
        }
        let known = || limits.keys.as_ref().map(|bucket| bucket.limiter.len());
        assert_eq!(known(), Some(100));
        // A microsecond gives each its whole burst back; ends only if they are forgotten.
        while known() != Some(0) {
            limits.forget_idle();
        }
    }

    #[test]
    fn no_rate_is_no_limit() {
        let free = Limits::new(&RateSettings { per_key: None, per_address: None, trusted_proxies: Vec::new() });
        assert_eq!(free.check_key(ApiKeyId::new()).expect("free"), None);
    }
}
