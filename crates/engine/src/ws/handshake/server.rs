//! The server's side of the handshake.                                                                [RFC 6455 §4.2]

use crate::ws::deflate::{Options, Params};

use super::headers::{accept_key, elements, names, token};

/// A request that may become a WebSocket, and what was agreed with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted<'h> {
    accept: [u8; 28],
    /// permessage-deflate, if the client offered it in a way the options allow.
    pub deflate: Option<Params>,
    /// The subprotocol chosen.
    pub protocol: Option<&'h str>,
}

/// Why a request cannot become a WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// `Sec-WebSocket-Extensions` does not follow the grammar. [RFC 6455 §9.1]
    #[error("malformed Sec-WebSocket-Extensions")]
    Extensions,
    /// `Sec-WebSocket-Key` is missing, not 16 bytes of base64, or there twice.
    #[error("missing or invalid Sec-WebSocket-Key")]
    Key,
    /// The method is not GET.
    #[error("method is not GET")]
    Method,
    /// `Sec-WebSocket-Protocol` is not a list of tokens.
    #[error("malformed Sec-WebSocket-Protocol")]
    Protocol,
    /// `Upgrade: websocket` or `Connection: upgrade` is missing: an ordinary request.
    #[error("not a websocket upgrade")]
    Upgrade,
    /// `Sec-WebSocket-Version` is missing or not 13. [RFC 6455 §4.4]
    #[error("unsupported websocket version")]
    Version,
}

impl Accepted<'_> {
    /// The value of `Sec-WebSocket-Accept`.
    pub fn accept(&self) -> &str {
        // base64 is ASCII.
        std::str::from_utf8(&self.accept).unwrap_or_default()
    }

    /// The value of `Sec-WebSocket-Extensions`, if anything was agreed.
    pub fn extensions(&self) -> Option<String> {
        self.deflate.as_ref().map(Params::answer)
    }

    /// Appends the whole head of the response, for servers which write HTTP themselves.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let head =
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ";
        out.extend_from_slice(head.as_bytes());
        out.extend_from_slice(&self.accept);
        if let Some(extensions) = self.extensions() {
            out.extend_from_slice(b"\r\nSec-WebSocket-Extensions: ");
            out.extend_from_slice(extensions.as_bytes());
        }
        if let Some(protocol) = self.protocol {
            out.extend_from_slice(b"\r\nSec-WebSocket-Protocol: ");
            out.extend_from_slice(protocol.as_bytes());
        }
        out.extend_from_slice(b"\r\n\r\n");
    }
}

impl Refusal {
    /// The status of the HTTP response.
    pub fn status(self) -> u16 {
        match self {
            Self::Version => 426,
            Self::Method => 405,
            _ => 400,
        }
    }

    /// The header which the response must carry, if any.
    pub fn header(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Version => Some(("sec-websocket-version", "13")),
            Self::Method => Some(("allow", "GET")),
            _ => None,
        }
    }
}

/// Judges a request of HTTP/1.1 or later by its method and headers, in time linear in their length.
///
/// Without `deflate` nothing is compressed. Of the subprotocols which the client asks for, the first that `choose` likes
/// is taken; the JS server takes the first of all (`|_| true`), since browsers insist on an answer. Whether the origin
/// is welcome is for the caller to judge: browsers let any page open a WebSocket.
pub fn accept<'h>(
    method: &[u8],
    headers: impl IntoIterator<Item = (&'h [u8], &'h [u8])>,
    deflate: Option<&Options>,
    mut choose: impl FnMut(&str) -> bool,
) -> Result<Accepted<'h>, Refusal> {
    let mut seen = Seen::default();
    let mut agreed = (None, None);
    let mut fault = None;
    for (name, value) in headers {
        match Header::of(name) {
            Some(Header::Extensions) if agreed.0.is_none() => {
                match deflate.copied().unwrap_or_default().accept(value) {
                    Ok(params) => agreed.0 = params,
                    Err(_) => fault = fault.or(Some(Refusal::Extensions)),
                }
            }
            Some(Header::Protocol) if agreed.1.is_none() => match protocol(value, &mut choose) {
                Ok(protocol) => agreed.1 = protocol,
                Err(refusal) => fault = fault.or(Some(refusal)),
            },
            Some(header) => seen.note(header, value),
            None => {}
        }
    }
    let accept = seen.judge(method)?;
    match fault {
        Some(refusal) => Err(refusal),
        None => Ok(Accepted { accept, deflate: agreed.0.filter(|_| deflate.is_some()), protocol: agreed.1 }),
    }
}

/// The headers that matter.
#[derive(Clone, Copy)]
enum Header {
    Connection,
    Extensions,
    Key,
    Protocol,
    Upgrade,
    Version,
}

impl Header {
    fn of(name: &[u8]) -> Option<Self> {
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        match name.len() {
            7 if is("upgrade") => Some(Self::Upgrade),
            10 if is("connection") => Some(Self::Connection),
            17 if is("sec-websocket-key") => Some(Self::Key),
            21 if is("sec-websocket-version") => Some(Self::Version),
            22 if is("sec-websocket-protocol") => Some(Self::Protocol),
            24 if is("sec-websocket-extensions") => Some(Self::Extensions),
            _ => None,
        }
    }
}

/// What must be there, and once.
#[derive(Default)]
struct Seen<'h> {
    connection: bool,
    upgrade: bool,
    versions: usize,
    version_13: bool,
    keys: usize,
    key: &'h [u8],
}

impl<'h> Seen<'h> {
    fn note(&mut self, header: Header, value: &'h [u8]) {
        match header {
            Header::Connection => self.connection |= names(value, "upgrade"),
            Header::Upgrade => self.upgrade |= names(value, "websocket"),
            Header::Version => {
                self.versions += 1;
                self.version_13 = value.trim_ascii() == b"13";
            }
            Header::Key => {
                self.keys += 1;
                self.key = value.trim_ascii();
            }
            Header::Extensions | Header::Protocol => {}
        }
    }

    /// The value of `Sec-WebSocket-Accept`, if the request is in order.
    fn judge(&self, method: &[u8]) -> Result<[u8; 28], Refusal> {
        if !self.connection || !self.upgrade {
            return Err(Refusal::Upgrade);
        }
        if method != b"GET" {
            return Err(Refusal::Method);
        }
        if self.versions != 1 || !self.version_13 {
            return Err(Refusal::Version);
        }
        if self.keys != 1 || !is_key(self.key) {
            return Err(Refusal::Key);
        }
        Ok(accept_key(self.key))
    }
}

/// The first of the client's wishes that `choose` likes.
fn protocol<'h>(header: &'h [u8], choose: &mut impl FnMut(&str) -> bool) -> Result<Option<&'h str>, Refusal> {
    let mut chosen = None;
    for element in elements(header) {
        let protocol = token(element).ok_or(Refusal::Protocol)?;
        if chosen.is_none() && choose(protocol) {
            chosen = Some(protocol);
        }
    }
    Ok(chosen)
}

/// Whether these are 16 bytes in base64: 22 characters, of which the last may carry stray bits, and `==`.
fn is_key(key: &[u8]) -> bool {
    let Some((characters, b"==")) = key.split_last_chunk() else { return false };
    characters.len() == 22 && characters.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+/".contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    type Headers<'h> = Vec<(&'h str, &'h str)>;

    fn good<'h>() -> Headers<'h> {
        vec![
            ("Host", "x"),
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("Sec-WebSocket-Version", "13"),
        ]
    }

    fn with<'h>(name: &'h str, value: &'h str) -> Headers<'h> {
        let mut headers = good();
        headers.push((name, value));
        headers
    }

    fn replaced<'h>(name: &str, value: &'h str) -> Headers<'h> {
        good().into_iter().map(|header| if header.0 == name { (header.0, value) } else { header }).collect()
    }

    fn judge<'h>(headers: &Headers<'h>, deflate: Option<&Options>) -> Result<Accepted<'h>, Refusal> {
        accept(b"GET", headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())), deflate, |_| true)
    }

    #[test]
    fn a_good_request_is_accepted() {
        let headers = good();
        let accepted = judge(&headers, None).unwrap();
        assert_eq!(accepted.accept(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        let mut head = Vec::new();
        accepted.encode(&mut head);
        assert_eq!(
            String::from_utf8(head).unwrap(),
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
        );
        assert!(judge(&replaced("Connection", "keep-alive, upgrade"), None).is_ok());
        assert!(judge(&replaced("Upgrade", "h2c, WebSocket"), None).is_ok());
        assert!(judge(&replaced("Sec-WebSocket-Key", " AQIDBAUGBwgJCgsMDQ4PEB== "), None).is_ok(), "stray bits");
        let mut reversed = good();
        reversed.reverse();
        assert!(judge(&reversed, None).is_ok());
    }

    #[test]
    fn bad_requests_are_refused() {
        for (name, value, refusal) in [
            ("Upgrade", "h2c", Refusal::Upgrade),
            ("Connection", "close", Refusal::Upgrade),
            ("Sec-WebSocket-Version", "8", Refusal::Version),
            ("Sec-WebSocket-Version", "13, 8", Refusal::Version),
            ("Sec-WebSocket-Version", "013", Refusal::Version),
            ("Sec-WebSocket-Key", "", Refusal::Key),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=", Refusal::Key),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ===", Refusal::Key),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBs-SBub25jZQ==", Refusal::Key),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25j", Refusal::Key),
        ] {
            assert_eq!(judge(&replaced(name, value), None), Err(refusal), "{name}: {value}");
        }
        for missing in 1..5 {
            let mut headers = good();
            headers.remove(missing);
            assert!(judge(&headers, None).is_err());
        }
        assert_eq!(judge(&with("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="), None), Err(Refusal::Key));
        assert_eq!(judge(&with("sec-websocket-version", "13"), None), Err(Refusal::Version));
        let headers = good();
        let headers = headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        assert_eq!(accept(b"POST", headers, None, |_| true), Err(Refusal::Method));
        assert_eq!((Refusal::Version.status(), Refusal::Method.status(), Refusal::Key.status()), (426, 405, 400));
        assert_eq!(Refusal::Version.header(), Some(("sec-websocket-version", "13")));
    }

    #[test]
    fn deflate_is_agreed_on() {
        let accepted = |offer: &str, options: &Options| {
            judge(&with("Sec-WebSocket-Extensions", offer), Some(options)).map(|accepted| accepted.extensions())
        };
        let alone = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
        let options = Options::default();
        let browser = "permessage-deflate; client_max_window_bits";
        assert_eq!(accepted(browser, &options).unwrap().unwrap(), alone);
        let context = Options { server_no_context_takeover: false, client_no_context_takeover: false };
        assert_eq!(accepted(browser, &context).unwrap().unwrap(), "permessage-deflate");
        let asked = "x-webkit-deflate-frame, Permessage-Deflate; SERVER_NO_CONTEXT_TAKEOVER";
        assert_eq!(accepted(asked, &context).unwrap().unwrap(), "permessage-deflate; server_no_context_takeover");
        for declined in [
            "foo",
            "permessage-deflate; foo",
            "permessage-deflate; server_no_context_takeover=1",
            "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
            "permessage-deflate; server_max_window_bits",
            "permessage-deflate; server_max_window_bits=8",
            "permessage-deflate; server_max_window_bits=16",
            "permessage-deflate; server_max_window_bits=09",
            "permessage-deflate; client_max_window_bits=7",
            "permessage-deflate; client_max_window_bits; client_max_window_bits",
            "permessage-deflate; __proto__",
            "__proto__, constructor; toString=valueOf",
        ] {
            assert_eq!(accepted(declined, &options), Ok(None), "{declined}");
            assert_eq!(accepted(&format!("{declined}, permessage-deflate"), &options).unwrap().unwrap(), alone);
        }
        let narrow = accepted("permessage-deflate; server_max_window_bits=\"1\\0\"", &options);
        assert_eq!(narrow.unwrap().unwrap(), format!("{alone}; server_max_window_bits=10"));
        assert_eq!(accepted("permessage-deflate;", &options), Err(Refusal::Extensions));
        assert_eq!(judge(&with("Sec-WebSocket-Extensions", "a b"), None), Err(Refusal::Extensions));
        assert_eq!(judge(&with("Sec-WebSocket-Extensions", browser), None).unwrap().deflate, None);
    }

    #[test]
    fn the_first_good_protocol_is_taken() {
        let headers = with("Sec-WebSocket-Protocol", "one, two");
        assert_eq!(judge(&headers, None).unwrap().protocol, Some("one"));
        let headers = headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        let accepted = accept(b"GET", headers.clone(), None, |name| name == "two").unwrap();
        assert_eq!(accepted.protocol, Some("two"));
        assert_eq!(accept(b"GET", headers, None, |_| false).unwrap().protocol, None);
        assert_eq!(judge(&with("Sec-WebSocket-Protocol", "one two"), None), Err(Refusal::Protocol));
    }

    /// Linear time is shown by finishing at all: anything quadratic takes minutes here.
    #[test]
    fn hostile_headers_take_linear_time() {
        let options = Options::default();
        for unit in ["; a", "; a=\"b\"", ",", " ", "permessage-deflate;server_max_window_bits=8,", "\t, ", "=", "\""] {
            let header = format!("permessage-deflate{}", unit.repeat(100_000));
            let answer = judge(&with("Sec-WebSocket-Extensions", &header), Some(&options));
            assert!(answer.is_ok() || answer == Err(Refusal::Extensions));
            let answer = judge(&with("Sec-WebSocket-Protocol", &header), None);
            assert!(answer.is_ok() || answer == Err(Refusal::Protocol));
        }
        let mut many = vec![("x", "y"); 10_000];
        many.extend(good());
        assert!(judge(&many, None).is_ok());
        many.extend(vec![("connection", "upgrade"); 10_000]);
        assert!(judge(&many, None).is_ok());
    }
}
