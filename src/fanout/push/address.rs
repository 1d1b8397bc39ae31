//! Which addresses a subscription may name, and to which a push may be sent: nothing inside this network.
//!
//! An endpoint is a client's word. Its URL is checked when it is stored and whenever it is used; the addresses that its name has are
//! checked after the look-up, and the connection goes to one of those that were checked.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use hyper_util::client::legacy::connect::dns::Name;
use url::{Host, Url};

use crate::limits::PUSH_ENDPOINT_BYTES_MAX;

/// Push services that an operator allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostRule {
    /// Every host with a public address.
    Any,
    /// This host.
    Host(String),
    /// Hosts below this domain, which begins with a full stop.
    Below(String),
}

/// A rule that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotARule;

impl FromStr for HostRule {
    type Err = NotARule;

    /// `*`, a host's name, or a full stop with a domain.
    fn from_str(text: &str) -> Result<Self, NotARule> {
        let text = text.to_ascii_lowercase();
        let name = text.strip_prefix('.').unwrap_or(&text);
        let is_name = !name.is_empty()
            && name.split('.').all(|label| !label.is_empty())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'));
        match &*text {
            "*" => Ok(Self::Any),
            _ if !is_name => Err(NotARule),
            _ if text.starts_with('.') => Ok(Self::Below(text)),
            _ => Ok(Self::Host(text)),
        }
    }
}

/// Which endpoints are allowed.
#[derive(Debug, Clone, Default)]
pub struct Hosts {
    /// One of these must fit.
    pub rules: Vec<HostRule>,
    /// For tests: also push services on this machine, without TLS.
    pub has_loopback: bool,
}

/// Why an endpoint is not allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadEndpoint {
    /// It is no `https:` URL of a host's name, without user, password and port, or it is too long.
    Form,
    /// Its host is none of the push services that an operator allows.
    Host,
}

impl fmt::Display for BadEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Form => "its endpoint is no https: URL of a push service",
            Self::Host => "its push service is not allowed by PREGON_PUSH_HOSTS",
        })
    }
}

impl Hosts {
    /// The endpoint as a URL.
    ///
    /// # Errors
    /// It is not allowed.
    pub fn check(&self, endpoint: &str) -> Result<Url, BadEndpoint> {
        if endpoint.len() > PUSH_ENDPOINT_BYTES_MAX || !endpoint.is_ascii() {
            return Err(BadEndpoint::Form);
        }
        let url = Url::parse(endpoint).map_err(|_| BadEndpoint::Form)?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(BadEndpoint::Form);
        }
        match url.host() {
            Some(Host::Ipv4(address)) if self.has_loopback && address.is_loopback() && url.scheme() == "http" => {
                Ok(url)
            }
            Some(Host::Domain(name)) if url.scheme() == "https" && url.port().is_none() => {
                let fits = |rule: &HostRule| match rule {
                    HostRule::Any => true,
                    HostRule::Host(host) => host == name,
                    HostRule::Below(domain) => name.ends_with(domain.as_str()),
                };
                if self.rules.iter().any(fits) { Ok(url) } else { Err(BadEndpoint::Host) }
            }
            _ => Err(BadEndpoint::Form),
        }
    }
}

/// Looks up the addresses of push services, and gives only public ones.
#[derive(Debug, Clone)]
pub(super) struct PublicAddresses;

impl tower::Service<Name> for PublicAddresses {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Self::Response>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        Box::pin(async move {
            // The connector puts in the port.
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let public: Vec<SocketAddr> = found.filter(|address| is_public(address.ip())).collect();
            if public.is_empty() {
                return Err(io::Error::other("the push service's name has no public address"));
            }
            Ok(public.into_iter())
        })
    }
}

/// Whether an address is reached by the internet alone: by the registries of RFC 6890 and its successors, as of 2026.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(address) => is_public_v4(address),
            None => is_public_v6(address),
        },
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [one, two, three, _] = address.octets();
    !(address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        || one == 0
        // Shared by a provider's customers, protocols, the old 6to4 relays, benchmarks.
        || (one == 100 && (64..128).contains(&two))
        || (one, two, three) == (192, 0, 0)
        || (one, two, three) == (192, 88, 99)
        || (one == 198 && (two == 18 || two == 19))
        // Multicast, reserved, broadcast.
        || one >= 224)
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [one, two, ..] = address.segments();
    // Global unicast is 2000::/3 alone: this leaves out ::1, unique local, link-local, multicast, and NAT64.
    (one & 0xe000) == 0x2000
        // Protocols and Teredo, documentation (two of them), and 6to4, which carries addresses of IPv4.
        && !(one == 0x2001 && two < 0x0200)
        && !(one == 0x2001 && two == 0x0db8)
        && !(one == 0x3fff && two < 0x1000)
        && one != 0x2002
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(rules: &[&str]) -> Hosts {
        Hosts { rules: rules.iter().map(|rule| rule.parse().unwrap()).collect(), has_loopback: false }
    }

    #[test]
    fn an_endpoint_is_a_https_url_of_an_allowed_name() {
        let some = hosts(&["fcm.googleapis.com", ".push.apple.com"]);
        for good in [
            "https://fcm.googleapis.com/fcm/send/a:b",
            "https://WEB.push.apple.com/x",
            "https://fcm.googleapis.com:443/",
        ] {
            assert!(some.check(good).is_ok(), "{good}");
        }
        for (bad, why) in [
            ("https://push.apple.com.evil.org/", BadEndpoint::Host),
            ("https://evilpush.apple.com/", BadEndpoint::Host),
            ("https://push.apple.com/", BadEndpoint::Host),
            ("https://xfcm.googleapis.com/", BadEndpoint::Host),
            ("http://fcm.googleapis.com/", BadEndpoint::Form),
            ("https://fcm.googleapis.com:8443/", BadEndpoint::Form),
            ("https://user@fcm.googleapis.com/", BadEndpoint::Form),
            ("https://fcm.googleapis.com@evil.org/", BadEndpoint::Form),
            ("https://10.0.0.1/", BadEndpoint::Form),
            ("https://2130706433/", BadEndpoint::Form),
            ("https://[::1]/", BadEndpoint::Form),
            ("file:///etc/passwd", BadEndpoint::Form),
            ("https:", BadEndpoint::Form),
            ("", BadEndpoint::Form),
        ] {
            assert_eq!(some.check(bad), Err(why), "{bad}");
        }
        let any = hosts(&["*"]);
        assert!(any.check("https://push.example.org/x").is_ok());
        for bad in ["https://127.0.0.1/", "https://0x7f.1/", "https://[fd00::1]/", "http://127.0.0.1:80/"] {
            assert_eq!(any.check(bad), Err(BadEndpoint::Form), "{bad}");
        }
        assert_eq!(
            any.check(&format!("https://push.example.org/{}", "x".repeat(PUSH_ENDPOINT_BYTES_MAX))),
            Err(BadEndpoint::Form)
        );
        assert_eq!(hosts(&[]).check("https://push.example.org/x"), Err(BadEndpoint::Host));
    }

    #[test]
    fn loopback_is_for_tests_alone() {
        let tests = Hosts { has_loopback: true, ..hosts(&["*"]) };
        assert!(tests.check("http://127.0.0.1:8080/x").is_ok());
        for bad in ["http://10.0.0.1/", "https://127.0.0.1/", "http://localhost:80/", "http://[::1]/"] {
            assert!(tests.check(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn only_public_addresses_are_connected_to() {
        let is = |text: &str| is_public(text.parse().unwrap());
        for public in ["8.8.8.8", "142.250.1.95", "2a00:1450:4003:80a::200a", "2600:1901::1", "::ffff:8.8.8.8"] {
            assert!(is(public), "{public}");
        }
        for private in [
            "0.0.0.0",
            "0.1.2.3",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.169.254",
            "172.16.0.1",
            "192.0.0.8",
            "192.0.2.1",
            "192.168.1.1",
            "198.18.0.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::7f00:1",
            "fc00::1",
            "fd12::1",
            "fe80::1",
            "ff02::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "3fff::1",
        ] {
            assert!(!is(private), "{private}");
        }
    }

    #[tokio::test]
    async fn a_name_of_this_machine_has_no_public_address() {
        use tower::Service;
        let found = PublicAddresses.call("localhost".parse().unwrap()).await;
        assert!(found.is_err_and(|error| error.to_string().contains("no public address")));
    }

    #[test]
    fn rules_are_names() {
        assert_eq!("*".parse(), Ok(HostRule::Any));
        assert_eq!(".Push.Apple.com".parse(), Ok(HostRule::Below(".push.apple.com".into())));
        for bad in ["", ".", "https://x", "a b", "a..b", "*.apple.com", "x:443"] {
            assert_eq!(bad.parse::<HostRule>(), Err(NotARule), "{bad}");
        }
    }
}
