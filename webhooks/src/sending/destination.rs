//! Where webhooks may be sent: what can be told from an address, and what can only be told from what it resolves to.

use std::net::IpAddr;

use url::{Host, Url};

use super::special_addresses::{canonical, special_purpose};
use crate::network::Network;

/// Longest address, in bytes.
pub const LONGEST_URL: usize = 2_000;
/// Names that mean this machine or a network around it wherever they are asked for (RFC 6761, RFC 6762, RFC 8375, and
/// ICANN's resolution of 2024 on `internal`).
const LOCAL_NAMES: [&str; 5] = ["localhost", "local", "localdomain", "internal", "home.arpa"];

/// What the operator allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EgressPolicy {
    ports: Vec<u16>,
    inside: Vec<Network>,
}

impl Default for EgressPolicy {
    /// `https` on port 443 to public addresses, and nothing else.
    fn default() -> Self {
        Self { ports: vec![443], inside: Vec::new() }
    }
}

impl EgressPolicy {
    /// `https` to public addresses on these ports; and to the networks `inside`, which may be private, anything: every
    /// port, plain `http` too.
    pub fn new(ports: Vec<u16>, inside: Vec<Network>) -> Self {
        Self { ports, inside }
    }

    fn is_inside(&self, address: IpAddr) -> bool {
        let canonical = canonical(address);
        self.inside.iter().any(|network| network.contains(canonical))
    }

    /// Whether an address may be dialled on this way.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn check(&self, address: IpAddr, way: Way) -> Result<(), Refused> {
        if self.is_inside(address) {
            return Ok(());
        }
        match (way, special_purpose(address)) {
            (_, Some(purpose)) => Err(Refused { address, purpose }),
            (Way::Inside, None) => Err(Refused { address, purpose: "outside of the operator's own networks" }),
            (Way::Public, None) => Ok(()),
        }
    }
}

/// Which addresses a destination may resolve to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Way {
    /// Public ones and those of the operator's networks.
    Public,
    /// Those of the operator's networks only: for plain `http`, other ports, local names.
    Inside,
}

/// An address that is never dialled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{address} may not be sent to: {purpose}")]
pub struct Refused {
    /// The address.
    pub address: IpAddr,
    /// Why.
    pub purpose: &'static str,
}

/// Why text is no destination of webhooks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DestinationError {
    /// Not an absolute address, or too long.
    #[error("must be an absolute address of at most {LONGEST_URL} characters, such as https://shop.example/hooks")]
    NotAnAddress,
    /// Neither `https` nor `http`; or `http`, which the operator allows nowhere.
    #[error("must begin with https://")]
    Scheme,
    /// With a user name or a password, which would be sent in the clear text of every log on the way.
    #[error("must have no user name and password")]
    UserInfo,
    /// With a fragment, which would not be sent.
    #[error("must have no fragment (#)")]
    Fragment,
    /// A port that is not on the operator's list.
    #[error("the port {0} is not allowed here")]
    Port(u16),
    /// A name of this machine or of a network around it.
    #[error("must not be a local name")]
    LocalName,
    /// An address that is never dialled.
    #[error("{0}")]
    Refused(#[from] Refused),
}

/// An address that webhooks may be sent to, as far as can be told before its name is resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    pub(super) url: Url,
    pub(super) way: Way,
}

impl Destination {
    /// Reads an address. Numbers in any notation that URLs know (decimal, octal, hexadecimal, short forms, wide digits)
    /// are addresses, not names.
    ///
    /// # Errors
    /// [`DestinationError`].
    pub fn parse(text: &str, policy: &EgressPolicy) -> Result<Self, DestinationError> {
        if text.len() > LONGEST_URL || text.chars().any(|c| c.is_control() || c.is_whitespace() || c == '\\') {
            return Err(DestinationError::NotAnAddress);
        }
        let url = Url::parse(text).map_err(|_| DestinationError::NotAnAddress)?;
        if !matches!(url.scheme(), "https" | "http") {
            return Err(DestinationError::Scheme);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(DestinationError::UserInfo);
        }
        if url.fragment().is_some() {
            return Err(DestinationError::Fragment);
        }
        let way = way_of(&url, policy)?;
        let literal = match url.host().ok_or(DestinationError::NotAnAddress)? {
            Host::Domain(_) => None,
            Host::Ipv4(address) => Some(IpAddr::V4(address)),
            Host::Ipv6(address) => Some(IpAddr::V6(address)),
        };
        if let Some(address) = literal {
            policy.check(address, way)?;
        }
        Ok(Self { url, way })
    }

    /// The address, in the form in which it is used.
    pub fn as_str(&self) -> &str {
        self.url.as_str()
    }
}

/// Only networks of the operator's may be reached in other ways than `https`, a port of the list and a name of the world.
fn way_of(url: &Url, policy: &EgressPolicy) -> Result<Way, DestinationError> {
    let port = url.port_or_known_default().ok_or(DestinationError::NotAnAddress)?;
    let obstacle = if url.scheme() != "https" {
        DestinationError::Scheme
    } else if !policy.ports.contains(&port) {
        DestinationError::Port(port)
    } else if url.domain().is_some_and(is_local_name) {
        DestinationError::LocalName
    } else {
        return Ok(Way::Public);
    };
    if policy.inside.is_empty() { Err(obstacle) } else { Ok(Way::Inside) }
}

fn is_local_name(domain: &str) -> bool {
    let name = domain.trim_end_matches('.');
    let ends_with = |local: &str| name == local || name.strip_suffix(local).is_some_and(|rest| rest.ends_with('.'));
    LOCAL_NAMES.into_iter().any(ends_with)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strict(text: &str) -> Result<String, DestinationError> {
        Destination::parse(text, &EgressPolicy::default()).map(|destination| destination.as_str().to_owned())
    }

    #[test]
    fn https_to_a_name_of_the_world_is_a_destination() {
        for text in [
            "https://shop.example/hooks?tenant=7",
            "https://shop.example:443/",
            "https://bücher.example/",
            "https://shop.example./",
            "https://1.1.1.1/",
            "https://[2606:4700::1111]/",
        ] {
            assert!(strict(text).is_ok(), "{text}: {:?}", strict(text));
        }
        assert_eq!(strict("https://Bücher.example"), Ok("https://xn--bcher-kva.example/".to_owned()));
    }

    #[test]
    fn what_is_no_public_address_over_https_is_refused() {
        for (text, error) in [
            ("", DestinationError::NotAnAddress),
            ("/hooks", DestinationError::NotAnAddress),
            ("https://", DestinationError::NotAnAddress),
            ("https://shop.example/a b", DestinationError::NotAnAddress),
            ("https://shop.example\\@evil.example/", DestinationError::NotAnAddress),
            ("http://shop.example/", DestinationError::Scheme),
            ("ftp://shop.example/", DestinationError::Scheme),
            ("file:///etc/passwd", DestinationError::Scheme),
            ("gopher://shop.example/", DestinationError::Scheme),
            ("https://user@shop.example/", DestinationError::UserInfo),
            ("https://:secret@shop.example/", DestinationError::UserInfo),
            ("https://127.0.0.1@shop.example/", DestinationError::UserInfo),
            ("https://shop.example/#x", DestinationError::Fragment),
            ("https://shop.example:22/", DestinationError::Port(22)),
            ("https://shop.example:8443/", DestinationError::Port(8443)),
            ("https://localhost/", DestinationError::LocalName),
            ("https://LOCALHOST./", DestinationError::LocalName),
            ("https://a.localhost/", DestinationError::LocalName),
            ("https://printer.local/", DestinationError::LocalName),
            ("https://metadata.google.internal/", DestinationError::LocalName),
        ] {
            assert_eq!(strict(text), Err(error), "{text}");
        }
        assert_eq!(strict(&format!("https://shop.example/{}", "x".repeat(2_000))), Err(DestinationError::NotAnAddress));
    }

    #[test]
    fn an_address_in_any_notation_is_seen() {
        for host in [
            "127.0.0.1",
            "127.0.0.1.",
            "2130706433",
            "0x7f000001",
            "0x7f.1",
            "0177.0.0.1",
            "017700000001",
            "127.1",
            "127.0.1",
            "0",
            "0.0.0.0",
            "１２７.0.0.1",
            "127。0。0。1",
            "⑯⑨。②⑤④。⑯⑨｡②⑤④",
            "%31%32%37.0.0.1",
            "169.254.169.254",
            "0xa9fea9fe",
            "2852039166",
            "10.0.0.1",
            "192.168.1.1",
            "100.100.100.200",
            "[::1]",
            "[::]",
            "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
            "[0:0:0:0:0:ffff:a9fe:a9fe]",
            "[::127.0.0.1]",
            "[64:ff9b::7f00:1]",
            "[2002:7f00:1::]",
            "[2001:0:4136:e378:8000:63bf:80ff:fffe]",
            "[fe80::1]",
            "[fd00:ec2::254]",
        ] {
            let parsed = strict(&format!("https://{host}/"));
            assert!(matches!(parsed, Err(DestinationError::Refused(_))), "{host}: {parsed:?}");
        }
        // What the notation does not know is no address at all.
        for host in ["127.0.0.256", "1.2.3.4.5", "[::1%25eth0]", "0x1ffffffff", "[127.0.0.1]", "127.0.0.1%00.x"] {
            assert_eq!(strict(&format!("https://{host}/")), Err(DestinationError::NotAnAddress), "{host}");
        }
    }

    #[test]
    fn the_operators_networks_take_anything_and_change_nothing_elsewhere() {
        let inside = vec!["127.0.0.0/8".parse().expect("a network")];
        let policy = EgressPolicy::new(vec![443, 8443], inside);
        let way = |text: &str| Destination::parse(text, &policy).map(|destination| destination.way);
        assert_eq!(way("http://127.0.0.1:8080/hooks"), Ok(Way::Inside));
        assert_eq!(way("http://[::ffff:127.0.0.1]:8080/hooks"), Ok(Way::Inside));
        assert_eq!(way("https://127.0.0.1/"), Ok(Way::Public));
        assert_eq!(way("https://shop.example:8443/"), Ok(Way::Public));
        // A name may turn out to be inside: it is resolved to addresses there or not at all.
        assert_eq!(way("http://shop.example/"), Ok(Way::Inside));
        assert_eq!(way("https://localhost/"), Ok(Way::Inside));
        for refused in ["http://1.1.1.1/", "http://10.0.0.1/", "https://10.0.0.1/", "https://1.1.1.1:22/"] {
            assert!(matches!(way(refused), Err(DestinationError::Refused(_))), "{refused}");
        }
        let address = |text: &str| text.parse().expect("an address");
        assert!(policy.check(address("127.0.0.1"), Way::Inside).is_ok());
        assert!(policy.check(address("1.1.1.1"), Way::Public).is_ok());
        assert!(policy.check(address("1.1.1.1"), Way::Inside).is_err());
        assert!(policy.check(address("10.0.0.1"), Way::Public).is_err());
    }
}
