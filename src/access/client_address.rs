//! Finds the client's address, also behind trusted proxies.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use axum::http::HeaderMap;
use ipnet::{IpNet, Ipv6Net};

/// The peer's address. The connection layer adds it to each request's extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerAddr(pub SocketAddr);

/// An IP network: an address and the number of leading bits that count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network(IpNet);

/// The text is neither an address nor a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotANetwork;

impl FromStr for Network {
    type Err = NotANetwork;

    /// Reads `10.0.0.0/8` or `::1`.
    fn from_str(text: &str) -> Result<Self, NotANetwork> {
        let one = || text.parse().map(|address: IpAddr| IpNet::from(address));
        text.parse().or_else(|_| one()).map(Self).map_err(|_| NotANetwork)
    }
}

impl Network {
    /// Whether `address` is in the network. An IPv4-mapped IPv6 address counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }
}

/// The client's address. It is the peer's; if the peer is a trusted proxy, it is the last untrusted one in
/// `X-Forwarded-For`.
pub fn client(peer: SocketAddr, headers: &HeaderMap, trusted: &[Network]) -> IpAddr {
    let is_trusted = |address| trusted.iter().any(|network| network.contains(address));
    let mut client = peer.ip().to_canonical();
    let names = headers.get_all("x-forwarded-for").into_iter().filter_map(|value| value.to_str().ok());
    let names: Vec<&str> = names.flat_map(|value| value.split(',')).collect();
    for name in names.into_iter().rev().map(str::trim).filter(|name| !name.is_empty()) {
        if !is_trusted(client) {
            break;
        }
        match forwarded(name) {
            Some(address) => client = address.to_canonical(),
            None => break,
        }
    }
    client
}

/// Reads an address as proxies write it: with or without a port, IPv6 bare or in brackets, a zone being ignored.
fn forwarded(name: &str) -> Option<IpAddr> {
    let name = name.strip_prefix('"').and_then(|name| name.strip_suffix('"')).unwrap_or(name);
    let (address, port) = match name.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?,
        None if name.matches(':').count() == 1 => name.split_at(name.find(':')?),
        None => (name, ""),
    };
    let is_port = |port: &str| port.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok());
    if !port.is_empty() && !is_port(port) {
        return None;
    }
    match address.split_once('%') {
        Some((address, zone)) if !zone.is_empty() => address.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        _ => address.parse().ok(),
    }
}

/// The key that rates are counted by: the IPv4 address, or the /64, which every IPv6 customer has at least.
pub fn rate_key(client: IpAddr) -> IpAddr {
    shortened(client, 64)
}

/// The larger IPv6 networks that a single customer may own, smallest first. For IPv4 there are none.
pub fn wider_networks(client: IpAddr) -> &'static [u8] {
    match client {
        IpAddr::V4(_) => &[],
        IpAddr::V6(_) => &[56, 48],
    }
}

/// The largest network that one customer has: an IPv4 address, or an IPv6 /48.
pub fn site(client: IpAddr) -> IpAddr {
    shortened(client, 48)
}

/// The first `bits` of an IPv6 address.
pub fn shortened(client: IpAddr, bits: u8) -> IpAddr {
    match client {
        IpAddr::V4(_) => client,
        IpAddr::V6(address) => Ipv6Net::new(address, bits).map_or(address, |network| network.network()).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client_of(peer: &str, forwarded: &[&str], trusted: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append("x-forwarded-for", value.parse().unwrap());
        }
        let trusted: Vec<Network> = trusted.iter().map(|text| text.parse().unwrap()).collect();
        client(peer.parse().unwrap(), &headers, &trusted).to_string()
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        assert_eq!(client_of("9.9.9.9:1", &["1.1.1.1"], &[]), "9.9.9.9");
        assert_eq!(client_of("10.0.0.1:1", &["1.1.1.1"], &["10.0.0.0/8"]), "1.1.1.1");
        assert_eq!(client_of("10.0.0.1:1", &["6.6.6.6, 1.1.1.1", "10.9.9.9"], &["10.0.0.0/8"]), "1.1.1.1");
        assert_eq!(client_of("10.0.0.1:1", &["1.1.1.1, nonsense"], &["10.0.0.0/8"]), "10.0.0.1");
        assert_eq!(client_of("[::ffff:10.0.0.1]:1", &["2001:db8::1"], &["10.0.0.1"]), "2001:db8::1");
        assert_eq!(client_of("[::1]:1", &[], &["::1"]), "::1");
    }

    #[test]
    fn proxies_write_addresses_in_many_ways() {
        for (written, expected) in [
            ("203.0.113.7:5000", "203.0.113.7"),
            ("[2001:db8::1]:443", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("\"[2001:db8::1]:443\"", "2001:db8::1"),
            ("fe80::1%eth0", "fe80::1"),
            ("[fe80::1%25eth0]:80", "fe80::1"),
            ("::ffff:203.0.113.7", "203.0.113.7"),
            ("203.0.113.7, ", "203.0.113.7"),
            (", 203.0.113.7:1,,", "203.0.113.7"),
            ("6.6.6.6:1, 203.0.113.7:5000,10.0.0.2:80", "203.0.113.7"),
        ] {
            assert_eq!(client_of("10.0.0.1:1", &[written], &["10.0.0.0/8"]), expected, "{written}");
        }
        for written in
            ["203.0.113.7:", "203.0.113.7:x", "[2001:db8::1", "[2001:db8::1]x", "203.0.113.7%eth0", "unknown", ""]
        {
            assert_eq!(client_of("10.0.0.1:1", &[written], &["10.0.0.0/8"]), "10.0.0.1", "{written}");
        }
    }

    #[test]
    fn networks_count_leading_bits() {
        let contains =
            |network: &str, address: &str| network.parse::<Network>().unwrap().contains(address.parse().unwrap());
        assert!(contains("0.0.0.0/0", "8.8.8.8") && contains("::/0", "2001:db8::1"));
        assert!(contains("192.168.4.0/22", "192.168.7.255") && !contains("192.168.4.0/22", "192.168.8.0"));
        assert!(!contains("0.0.0.0/0", "::1") && contains("fe80::/10", "fe80::1"));
        for bad in ["", "10.0.0.0/33", "::/129", "10.0.0.0/", "host"] {
            assert_eq!(bad.parse::<Network>(), Err(NotANetwork), "{bad}");
        }
        let address = "2001:db8:1:2ff:3::4".parse().unwrap();
        assert_eq!(rate_key(address).to_string(), "2001:db8:1:2ff::");
        assert_eq!(
            (shortened(address, 56).to_string(), site(address).to_string()),
            ("2001:db8:1:200::".into(), "2001:db8:1::".into())
        );
        let address: IpAddr = "10.1.2.3".parse().unwrap();
        assert_eq!((rate_key(address), site(address), wider_networks(address).len()), (address, address, 0));
    }
}
