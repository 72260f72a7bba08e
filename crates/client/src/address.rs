//! Where the server is.

use std::fmt::Write as _;

use crate::error::ConfigError;

/// A URL, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    /// `https` and `wss`.
    pub(crate) secure: bool,
    /// Name or address, without the brackets of IPv6.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// The path of the URL, which names a namespace as in the official client.
    pub(crate) namespace: String,
    /// The query of the URL, without `?`; goes with every request.
    pub(crate) query: String,
}

impl Address {
    /// Reads `http://`, `https://`, `ws://` or `wss://` URLs; without a scheme it is `http`.
    pub(crate) fn parse(url: &str) -> Result<Self, ConfigError> {
        // Only parts of it: a URL may hold credentials.
        let wrong = |why: &str| ConfigError::new(format!("the URL {why}"));
        if lacks_slashes(url) {
            return Err(wrong("has a scheme without `//` after it"));
        }
        let with_scheme = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
        let (scheme, rest) = with_scheme.split_once("://").unwrap_or_default();
        let secure = match scheme.to_ascii_lowercase().as_str() {
            "http" | "ws" => false,
            "https" | "wss" => true,
            other => return Err(wrong(&format!("has the scheme {other:?}; use http, https, ws or wss"))),
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let (before_query, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = match before_query.find('/') {
            Some(at) => before_query.split_at(at),
            None => (before_query, ""),
        };
        if authority.contains('@') {
            return Err(wrong("holds credentials; send them with `auth` or `header`"));
        }
        let (host, port) = split_port(authority).ok_or_else(|| wrong("has no valid port"))?;
        let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:%".contains(&byte);
        if host.is_empty() || !host.bytes().all(is_host) {
            return Err(wrong("has no valid host (write international names as xn--…)"));
        }
        if !query.bytes().chain(path.bytes()).all(|byte| byte.is_ascii_graphic()) {
            return Err(wrong("holds characters that must be percent-encoded"));
        }
        let port = port.unwrap_or(if secure { 443 } else { 80 });
        Ok(Self { secure, host: host.to_owned(), port, namespace: path.to_owned(), query: query.to_owned() })
    }

    /// The value of the `Host` header: the port only if it is not the scheme's own.
    pub(crate) fn host_header(&self) -> String {
        let usual = if self.secure { 443 } else { 80 };
        if self.port == usual { self.bracketed() } else { self.authority() }
    }

    /// Host and port.
    pub(crate) fn authority(&self) -> String {
        format!("{}:{}", self.bracketed(), self.port)
    }

    fn bracketed(&self) -> String {
        if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() }
    }
}

/// Whether a URL begins with `http:` and the like, but not with `http://`: it would be taken for a host of that name.
fn lacks_slashes(url: &str) -> bool {
    let Some((scheme, rest)) = url.split_once(':') else { return false };
    let is_scheme = ["http", "https", "ws", "wss"].iter().any(|known| scheme.eq_ignore_ascii_case(known));
    // A host may be called so, if its port follows.
    is_scheme && !rest.starts_with("//") && !rest.starts_with(|first: char| first.is_ascii_digit())
}

/// Host and port, brackets of IPv6 taken off. `None` if the port is no number.
pub(crate) fn split_port(authority: &str) -> Option<(&str, Option<u16>)> {
    let (host, rest) = match authority.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?,
        None => authority.find(':').map_or((authority, ""), |at| authority.split_at(at)),
    };
    match rest.strip_prefix(':') {
        None if rest.is_empty() => Some((host, None)),
        Some("") => Some((host, None)),
        Some(port) => Some((host, Some(port.parse().ok()?))),
        None => None,
    }
}

/// Appends `name=value` to a query, percent-encoded.
pub(crate) fn append(query: &mut String, name: &str, value: &str) {
    if !query.is_empty() {
        query.push('&');
    }
    encode(query, name);
    query.push('=');
    encode(query, value);
}

fn encode(query: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            query.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(query, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(url: &str) -> (bool, String, String, String) {
        let address = Address::parse(url).unwrap();
        (address.secure, address.authority(), address.namespace, address.query)
    }

    #[test]
    fn urls_are_taken_apart() {
        assert_eq!(address("http://a"), (false, "a:80".into(), String::new(), String::new()));
        assert_eq!(address("localhost:3000"), (false, "localhost:3000".into(), String::new(), String::new()));
        assert_eq!(
            address("WSS://a.example/admin?x=1#y"),
            (true, "a.example:443".into(), "/admin".into(), "x=1".into())
        );
        assert_eq!(address("https://[::1]:8443?x"), (true, "[::1]:8443".into(), String::new(), "x".into()));
        assert_eq!(address("http://a:"), (false, "a:80".into(), String::new(), String::new()));
    }

    #[test]
    fn what_is_no_url_is_refused() {
        let bad =
            ["", "http://", "ftp://a", "http://a:x", "http://a:70000", "http://[::1", "http://u:p@a", "http://a b"];
        for url in ["http:/localhost:4501", "HTTPS:localhost", "ws:", "wss:/"] {
            assert!(Address::parse(url).unwrap_err().to_string().contains("//"), "{url}");
        }
        assert_eq!(address("ws:8080"), (false, "ws:8080".into(), String::new(), String::new()));
        for url in bad.into_iter().chain(["http://é", "http://a/é", "http://a/x\r\ny", "http://a?x y", "http://[a]b"])
        {
            assert!(Address::parse(url).is_err(), "{url}");
        }
        let error = Address::parse("http://user:secret@a").unwrap_err().to_string();
        assert!(!error.contains("secret"));
    }

    #[test]
    fn hosts_leave_out_the_usual_port() {
        assert_eq!(Address::parse("https://a:443").unwrap().host_header(), "a");
        assert_eq!(Address::parse("https://a:80").unwrap().host_header(), "a:80");
        assert_eq!(Address::parse("http://[::1]").unwrap().host_header(), "[::1]");
    }

    #[test]
    fn queries_are_encoded() {
        let mut query = "a=1".to_owned();
        append(&mut query, "näme", "x y&z=1+1");
        assert_eq!(query, "a=1&n%C3%A4me=x%20y%26z%3D1%2B1");
    }
}
