//! The address of a client that comes through proxies.
//!
//! What a header says is believed only if the TCP connection comes from a proxy that the application trusts, and then only
//! as far back as the chain of trusted proxies goes: the first address from the right that is not trusted is the client.

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;
use http::header::{FORWARDED, HeaderName};

use crate::error::ConfigError;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Addresses of a network: `10.0.0.0/8`, `::1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Network {
    address: u128,
    mask: u128,
}

impl Network {
    pub(crate) fn parse(text: &str) -> Result<Self, ConfigError> {
        let wrong = || ConfigError::new(format!("{text:?} is no network: write an address, or an address and /bits"));
        let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        let bits: u32 = bits.map_or(Ok(width), str::parse).map_err(|_| wrong())?;
        if bits > width {
            return Err(wrong());
        }
        let mask = u128::MAX.checked_shl(width - bits).unwrap_or(0);
        Ok(Self { address: number(address) & mask, mask })
    }

    fn contains(&self, address: IpAddr) -> bool {
        number(address) & self.mask == self.address
    }
}

/// An address as a number, IPv4 mapped into IPv6.
fn number(address: IpAddr) -> u128 {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

/// The header by which proxies say where a request comes from; for
/// [`ServerBuilder::proxy_header`](crate::ServerBuilder::proxy_header).
///
/// It is one, never either: a proxy that writes the one passes the other on as the client wrote it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProxyHeader {
    /// `Forwarded` of RFC 7239.
    Forwarded,
    /// `X-Forwarded-For`, which most proxies write. The default.
    #[default]
    XForwardedFor,
}

/// Proxies whose word counts, and where they have it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Trusted {
    pub(crate) networks: Vec<Network>,
    pub(crate) header: ProxyHeader,
}

impl Trusted {
    pub(crate) fn is_empty(&self) -> bool {
        self.networks.is_empty()
    }

    pub(crate) fn trusts(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(address))
    }

    /// The client of a request that came over a connection from `peer`. Its port is 0 if a proxy did not say.
    pub(crate) fn client(&self, peer: SocketAddr, headers: &HeaderMap) -> SocketAddr {
        if !self.trusts(peer.ip()) {
            return peer;
        }
        let mut client = peer;
        for hop in self.header.hops(headers).into_iter().rev() {
            // What cannot be read ends the chain: what stands before it may be invented.
            let Some(address) = hop else { break };
            client = address;
            if !self.trusts(address.ip()) {
                break;
            }
        }
        client
    }
}

impl ProxyHeader {
    /// The chain of addresses, the client's first; `None` is one that cannot be read.
    fn hops(self, headers: &HeaderMap) -> Vec<Option<SocketAddr>> {
        let values = |name| headers.get_all(name).iter().map(|value| value.to_str().unwrap_or("?"));
        match self {
            Self::Forwarded => values(FORWARDED).flat_map(elements).collect(),
            Self::XForwardedFor => values(X_FORWARDED_FOR).flat_map(|value| value.split(',')).map(address).collect(),
        }
    }
}

/// The addresses in one line of `Forwarded`.                                                           [RFC 7239 §4]
///
/// Commas and semicolons in quotes belong to a value, which a client may have chosen: a host, for example. A line whose
/// quotes do not end is none: what a proxy has added to it may stand within them.
fn elements(line: &str) -> Vec<Option<SocketAddr>> {
    match unquoted(line, ',') {
        Some(elements) => elements.into_iter().map(forwarded_for).collect(),
        None => vec![None],
    }
}

fn forwarded_for(element: &str) -> Option<SocketAddr> {
    let pairs = unquoted(element, ';')?;
    let mut values = pairs.into_iter().filter_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.trim().eq_ignore_ascii_case("for").then_some(value)
    });
    // Each parameter is there once.
    let (value, None) = (values.next()?, values.next()) else { return None };
    address(value.trim().trim_matches('"'))
}

/// The parts of a text between the separators that are not in quotes; `None` if the quotes do not end.
fn unquoted(text: &str, separator: char) -> Option<Vec<&str>> {
    let (mut quoted, mut escaped) = (false, false);
    let parts = text
        .split(|letter| {
            let separates = letter == separator && !quoted;
            (quoted, escaped) = match letter {
                _ if escaped => (quoted, false),
                '"' => (!quoted, false),
                '\\' => (quoted, quoted),
                _ => (quoted, false),
            };
            separates
        })
        .collect();
    if quoted { None } else { Some(parts) }
}

fn address(text: &str) -> Option<SocketAddr> {
    let text = text.trim();
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    text.parse().ok().or_else(|| Some(SocketAddr::new(bare.parse().ok()?, 0)))
}

/// Longest header of the PROXY protocol that is read. [PROXY protocol 2.1, §2.1 and §2.2]
const MAX_HEADER: usize = 536;
/// How version 2 begins.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// What was found at the beginning of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Preface {
    /// More bytes are needed.
    Incomplete,
    /// No header of the PROXY protocol, or a broken one.
    Invalid,
    /// A whole header: the client's address, unless the proxy speaks for itself.
    Header { client: Option<SocketAddr> },
}

/// Reads a header of the PROXY protocol, version 1 or 2.
pub(crate) fn preface(bytes: &[u8]) -> Preface {
    if bytes.starts_with(SIGNATURE) {
        return preface_v2(bytes);
    }
    if SIGNATURE.starts_with(bytes) || b"PROXY ".starts_with(bytes) {
        return Preface::Incomplete;
    }
    preface_v1(bytes)
}

fn preface_v1(bytes: &[u8]) -> Preface {
    let line = &bytes[..bytes.len().min(107)];
    let Some(end) = line.windows(2).position(|pair| pair == b"\r\n") else {
        return if bytes.len() < 107 && bytes.starts_with(b"PROXY ") { Preface::Incomplete } else { Preface::Invalid };
    };
    let Ok(text) = std::str::from_utf8(&line[..end]) else { return Preface::Invalid };
    let words: Vec<_> = text.split(' ').collect();
    match words.as_slice() {
        ["PROXY", "UNKNOWN", ..] => Preface::Header { client: None },
        ["PROXY", "TCP4" | "TCP6", source, _, port, _] => match (source.parse(), port.parse()) {
            (Ok(ip), Ok(port)) => Preface::Header { client: Some(SocketAddr::new(ip, port)) },
            _ => Preface::Invalid,
        },
        _ => Preface::Invalid,
    }
}

/// ```text
/// signature 12 | version, command 1 | family, protocol 1 | length 2, big endian | addresses …
/// ```
fn preface_v2(bytes: &[u8]) -> Preface {
    let Some((&[version, family, high, low], rest)) = bytes[12..].split_first_chunk::<4>() else {
        return Preface::Incomplete;
    };
    let size = usize::from(u16::from_be_bytes([high, low]));
    if version >> 4 != 2 || version & 15 > 1 || 16 + size > MAX_HEADER {
        return Preface::Invalid;
    }
    let Some(body) = rest.get(..size) else { return Preface::Incomplete };
    let client = match (version & 15, family >> 4) {
        (1, 1) => body
            .first_chunk::<12>()
            .map(|b| SocketAddr::new(IpAddr::from([b[0], b[1], b[2], b[3]]), u16::from_be_bytes([b[8], b[9]]))),
        (1, 2) => body.first_chunk::<36>().and_then(|b| {
            let ip = IpAddr::from(*b.first_chunk::<16>()?);
            Some(SocketAddr::new(ip, u16::from_be_bytes([b[32], b[33]])))
        }),
        // A health check of the proxy itself, or a family that has no address for us.
        _ => return Preface::Header { client: None },
    };
    client.map_or(Preface::Invalid, |client| Preface::Header { client: Some(client) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trusted(networks: &[&str]) -> Trusted {
        let networks = networks.iter().map(|text| Network::parse(text).unwrap()).collect();
        Trusted { networks, header: ProxyHeader::default() }
    }

    fn client(trusted: &Trusted, peer: &str, headers: &[(HeaderName, &str)]) -> String {
        let headers = headers.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect();
        trusted.client(peer.parse().unwrap(), &headers).ip().to_string()
    }

    #[test]
    fn spoofed_headers_are_not_believed() {
        let none = trusted(&[]);
        assert_eq!(client(&none, "9.9.9.9:1", &[(X_FORWARDED_FOR, "1.2.3.4")]), "9.9.9.9");
        let one = trusted(&["10.0.0.0/8"]);
        assert_eq!(client(&one, "9.9.9.9:1", &[(X_FORWARDED_FOR, "1.2.3.4")]), "9.9.9.9");
        assert_eq!(client(&one, "10.1.1.1:1", &[(X_FORWARDED_FOR, "6.6.6.6, 1.2.3.4")]), "1.2.3.4");
        assert_eq!(client(&one, "10.1.1.1:1", &[(X_FORWARDED_FOR, "1.2.3.4, 10.2.2.2")]), "1.2.3.4");
        assert_eq!(client(&one, "10.1.1.1:1", &[(X_FORWARDED_FOR, "1.2.3.4, unknown")]), "10.1.1.1");
        assert_eq!(client(&one, "10.1.1.1:1", &[]), "10.1.1.1");
    }

    #[test]
    fn the_header_that_the_proxy_does_not_write_is_the_clients() {
        let by = |header, headers: &[_]| client(&Trusted { header, ..trusted(&["10.0.0.1"]) }, "10.0.0.1:1", headers);
        let (mut both, mut one) =
            ([(FORWARDED, "for=6.6.6.6"), (X_FORWARDED_FOR, "1.2.3.4")], [(FORWARDED, "for=6.6.6.6")]);
        assert_eq!(by(ProxyHeader::XForwardedFor, &both), "1.2.3.4");
        assert_eq!(by(ProxyHeader::XForwardedFor, &one), "10.0.0.1");
        (both[0].1, both[1].1, one[0]) = ("for=1.2.3.4", "6.6.6.6", (X_FORWARDED_FOR, "6.6.6.6"));
        assert_eq!(by(ProxyHeader::Forwarded, &both), "1.2.3.4");
        assert_eq!(by(ProxyHeader::Forwarded, &one), "10.0.0.1");
    }

    #[test]
    fn forwarded_is_read_in_its_forms() {
        let one = Trusted { header: ProxyHeader::Forwarded, ..trusted(&["10.0.0.0/8", "::1"]) };
        let case = |value: &str| client(&one, "[::1]:7", &[(FORWARDED, value)]);
        assert_eq!(case("for=1.2.3.4"), "1.2.3.4");
        assert_eq!(case("proto=https; For=\"[2001:db8::1]:4711\";by=x"), "2001:db8::1");
        assert_eq!(case("for=6.6.6.6, for=1.2.3.4:80, for=10.0.0.9"), "1.2.3.4");
        assert_eq!(case("for=_hidden"), "::1");
        assert_eq!(client(&one, "[::1]:7", &[(FORWARDED, "for=6.6.6.6"), (FORWARDED, "for=1.2.3.4")]), "1.2.3.4");
    }

    #[test]
    fn what_a_client_put_into_quotes_is_no_address() {
        let one = Trusted { header: ProxyHeader::Forwarded, ..trusted(&["10.0.0.1"]) };
        for (value, found) in [
            ("host=\"a,for=6.6.6.6\";for=1.2.3.4", "1.2.3.4"),
            ("host=\"a;for=6.6.6.6\";for=1.2.3.4", "1.2.3.4"),
            ("for=1.2.3.4;host=\"\\\",for=6.6.6.6\"", "1.2.3.4"),
            ("for=6.6.6.6;for=1.2.3.4", "10.0.0.1"),
            ("for=6.6.6.6, for=\", for=1.2.3.4", "10.0.0.1"),
        ] {
            assert_eq!(client(&one, "10.0.0.1:7", &[(FORWARDED, value)]), found, "{value}");
        }
        assert_eq!(client(&one, "10.0.0.1:7", &[(FORWARDED, "for=\""), (FORWARDED, "for=1.2.3.4")]), "1.2.3.4");
    }

    #[test]
    fn networks() {
        assert!(
            Network::parse("10.0.0.0/33").is_err() && Network::parse("x").is_err() && Network::parse("::/129").is_err()
        );
        assert!(trusted(&["0.0.0.0/0"]).trusts("8.8.8.8".parse().unwrap()));
        assert!(!trusted(&["0.0.0.0/0"]).trusts("2001:db8::1".parse().unwrap()));
        assert!(trusted(&["::/0"]).trusts("8.8.8.8".parse().unwrap()));
        assert!(trusted(&["127.0.0.1"]).trusts("::ffff:127.0.0.1".parse().unwrap()));
    }

    #[test]
    fn proxy_protocol_version_1() {
        let found = preface(b"PROXY TCP4 1.2.3.4 5.6.7.8 4711 80\r\n");
        assert_eq!(found, Preface::Header { client: Some("1.2.3.4:4711".parse().unwrap()) });
        assert_eq!(preface(b"PROXY UNKNOWN\r\n"), Preface::Header { client: None });
        for part in [&b""[..], b"PRO", b"PROXY TCP4 1.2.3.4"] {
            assert_eq!(preface(part), Preface::Incomplete);
        }
        for wrong in [&b"GET / HTTP/1.1\r\n"[..], b"PROXY TCP4 x 5.6.7.8 1 2\r\n", &[b'P'; 200]] {
            assert_eq!(preface(wrong), Preface::Invalid);
        }
    }

    #[test]
    fn proxy_protocol_version_2_cut_anywhere() {
        let mut header = SIGNATURE.to_vec();
        header.extend_from_slice(&[0x21, 0x11, 0, 12, 1, 2, 3, 4, 5, 6, 7, 8, 0x12, 0x67, 0, 80]);
        for cut in 0..header.len() {
            assert_eq!(preface(&header[..cut]), Preface::Incomplete, "{cut}");
        }
        assert_eq!(preface(&header), Preface::Header { client: Some("1.2.3.4:4711".parse().unwrap()) });
        header[12] = 0x20;
        assert_eq!(preface(&header), Preface::Header { client: None }, "a health check");
        header[14] = 0xff;
        assert_eq!(preface(&header), Preface::Invalid, "too long");
        header[12] = 0x31;
        assert_eq!(preface(&header), Preface::Invalid, "version 3");
    }
}
