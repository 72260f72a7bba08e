//! The client's side of the handshake.                                                                [RFC 6455 §4.1]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::ws::deflate::{Options, Params};

use super::headers::{accept_key, names, token};

/// Longest head of a response, in bytes.
pub const MAX_HEAD: usize = 16 * 1024;

/// A request to open a WebSocket.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The `Host` header: name, and port unless it is the scheme's own.
    pub host: &'a str,
    /// Path and query, beginning with `/`.
    pub path: &'a str,
    /// Sixteen fresh random bytes.
    pub key: [u8; 16],
    /// Further headers, such as `Cookie` and `Origin`. Those of the handshake itself are not allowed here.
    pub headers: &'a [(&'a str, &'a str)],
    /// Subprotocols, the best first.
    pub protocols: &'a [&'a str],
    /// Offers permessage-deflate.
    pub deflate: Option<&'a Options>,
}

/// The request cannot be written as HTTP: some part holds a character that must not be there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidRequest {
    /// The name or value of a header, or a header which belongs to the handshake.
    #[error("invalid header {0:?}")]
    Header(String),
    /// The host.
    #[error("invalid host")]
    Host,
    /// The path.
    #[error("invalid path")]
    Path,
    /// A subprotocol which is not a token.
    #[error("invalid subprotocol")]
    Protocol,
}

/// The server did not agree. The connection cannot be used any more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Rejected {
    /// `Sec-WebSocket-Accept` is missing or belongs to another key: the server, or a cache, did not understand.
    #[error("wrong Sec-WebSocket-Accept")]
    Accept,
    /// An extension, or a parameter, which was not offered.
    #[error("extension was not offered")]
    Extensions,
    /// More than [`MAX_HEAD`] bytes or 100 headers.
    #[error("response head too large")]
    HeadTooLarge,
    /// Not a response of HTTP/1.1.
    #[error("malformed response")]
    Malformed,
    /// A subprotocol which was not offered.
    #[error("subprotocol was not offered")]
    Protocol,
    /// Another status than 101: the server speaks HTTP, but no WebSocket here and now.
    #[error("server answered with status {0}")]
    Status(u16),
    /// `Upgrade: websocket` or `Connection: upgrade` is missing.
    #[error("server did not upgrade")]
    Upgrade,
}

/// What was agreed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Established {
    /// permessage-deflate, if the server accepted it.
    pub deflate: Option<Params>,
    /// The subprotocol chosen by the server.
    pub protocol: Option<String>,
    /// All headers of the response, as sent: cookies of a load balancer, for instance.
    pub headers: Vec<(String, Vec<u8>)>,
}

/// Waits for the response to a [`Request`].
#[derive(Debug)]
pub struct Handshake {
    accept: [u8; 28],
    deflate_offered: bool,
    protocols: Vec<String>,
    head: Vec<u8>,
}

impl Request<'_> {
    /// Appends the head of the request, and gives what will judge the response.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<Handshake, InvalidRequest> {
        self.check()?;
        let key = STANDARD.encode(self.key);
        let (path, host) = (self.path, self.host);
        let mut head = format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"
        );
        let offer = self.deflate.map(|options| ("Sec-WebSocket-Extensions", options.offer()));
        let wishes = (!self.protocols.is_empty()).then(|| ("Sec-WebSocket-Protocol", self.protocols.join(", ")));
        for (name, value) in offer.into_iter().chain(wishes) {
            head.extend([name, ": ", value.as_str(), "\r\n"]);
        }
        for (name, value) in self.headers {
            head.extend([name, ": ", value, "\r\n"]);
        }
        out.extend_from_slice(head.as_bytes());
        out.extend_from_slice(b"\r\n");
        Ok(Handshake {
            accept: accept_key(key.as_bytes()),
            deflate_offered: self.deflate.is_some(),
            protocols: self.protocols.iter().copied().map(str::to_owned).collect(),
            head: Vec::new(),
        })
    }

    /// Nothing may break out of its place in the head.
    fn check(&self) -> Result<(), InvalidRequest> {
        let visible = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        if !visible(self.host) {
            return Err(InvalidRequest::Host);
        }
        if !visible(self.path) || !self.path.starts_with('/') {
            return Err(InvalidRequest::Path);
        }
        if self.protocols.iter().any(|protocol| token(protocol.as_bytes()).is_none()) {
            return Err(InvalidRequest::Protocol);
        }
        let bad = self.headers.iter().find(|(name, value)| {
            let value_is_good = value.chars().all(|character| character == '\t' || !character.is_control());
            token(name.as_bytes()).is_none() || is_ours(name) || !value_is_good
        });
        bad.map_or(Ok(()), |(name, _)| Err(InvalidRequest::Header((*name).to_owned())))
    }
}

impl Handshake {
    /// Takes what was read: how many bytes belong to the head, and the agreement once it is complete. What follows
    /// belongs to the first frames.
    pub fn read(&mut self, input: &[u8]) -> Result<(usize, Option<Established>), Rejected> {
        let before = self.head.len();
        let room = MAX_HEAD.saturating_sub(before);
        self.head.extend_from_slice(input.get(..room).unwrap_or(input));
        let Some(length) = head_length(&self.head, before) else {
            return if input.len() > room { Err(Rejected::HeadTooLarge) } else { Ok((input.len(), None)) };
        };
        let head = std::mem::take(&mut self.head);
        let established = self.judge(head.get(..length).unwrap_or_default())?;
        Ok((length.saturating_sub(before), Some(established)))
    }

    fn judge(&self, head: &[u8]) -> Result<Established, Rejected> {
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut response = httparse::Response::new(&mut headers);
        match response.parse(head) {
            Ok(httparse::Status::Complete(_)) => {}
            Err(httparse::Error::TooManyHeaders) => return Err(Rejected::HeadTooLarge),
            Ok(httparse::Status::Partial) | Err(_) => return Err(Rejected::Malformed),
        }
        match response.code {
            Some(101) if response.version == Some(1) => self.agree(response.headers),
            Some(101) | None => Err(Rejected::Malformed),
            Some(status) => Err(Rejected::Status(status)),
        }
    }

    fn agree(&self, headers: &[httparse::Header]) -> Result<Established, Rejected> {
        let all = |wanted: &'static str| {
            let wanted = headers.iter().filter(move |header| header.name.eq_ignore_ascii_case(wanted));
            wanted.map(|header| header.value.trim_ascii())
        };
        // The server names one protocol to upgrade to, not a choice.
        let upgrade = all("upgrade").any(|value| value.eq_ignore_ascii_case(b"websocket"));
        if !upgrade || !all("connection").any(|value| names(value, "upgrade")) {
            return Err(Rejected::Upgrade);
        }
        if !all("sec-websocket-accept").eq([self.accept.as_slice()]) {
            return Err(Rejected::Accept);
        }
        let deflate = self.agreed_deflate(all("sec-websocket-extensions"))?;
        let protocol = self.agreed_protocol(all("sec-websocket-protocol"))?;
        let headers = headers.iter().map(|header| (header.name.to_owned(), header.value.to_vec())).collect();
        Ok(Established { deflate, protocol, headers })
    }

    fn agreed_deflate<'h>(&self, values: impl Iterator<Item = &'h [u8]>) -> Result<Option<Params>, Rejected> {
        let mut agreed = None;
        for value in values {
            let params = Options::confirm(value).map_err(|_| Rejected::Extensions)?;
            if params.is_some() && (!self.deflate_offered || agreed.is_some()) {
                return Err(Rejected::Extensions);
            }
            agreed = agreed.or(params);
        }
        Ok(agreed)
    }

    fn agreed_protocol<'h>(&self, mut values: impl Iterator<Item = &'h [u8]>) -> Result<Option<String>, Rejected> {
        let Some(value) = values.next() else { return Ok(None) };
        let protocol = self.protocols.iter().find(|protocol| protocol.as_bytes() == value);
        match (protocol, values.next()) {
            (Some(protocol), None) => Ok(Some(protocol.clone())),
            _ => Err(Rejected::Protocol),
        }
    }
}

/// Length of the head up to its empty line; only what came after `before` is searched.
fn head_length(head: &[u8], before: usize) -> Option<usize> {
    let start = before.saturating_sub(END.len() - 1);
    let end = head.get(start..)?.windows(END.len()).position(|window| window == END)?;
    Some(start + end + END.len())
}

/// Whether a header is written by the handshake itself.
fn is_ours(name: &str) -> bool {
    OURS.iter().any(|ours| name.eq_ignore_ascii_case(ours))
}

const END: &[u8] = b"\r\n\r\n";
/// More headers than any server sends.
const MAX_HEADERS: usize = 100;
const OURS: [&str; 9] = [
    "connection",
    "content-length",
    "host",
    "sec-websocket-extensions",
    "sec-websocket-key",
    "sec-websocket-protocol",
    "sec-websocket-version",
    "transfer-encoding",
    "upgrade",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn request(deflate: Option<&Options>) -> Request<'_> {
        let key = *b"the sample nonce";
        let headers = &[("Cookie", "a=b"), ("Origin", "http://é.example")];
        Request {
            host: "example.com:8080",
            path: "/socket.io/?EIO=4",
            key,
            headers,
            protocols: &["one", "two"],
            deflate,
        }
    }

    fn handshake() -> Handshake {
        request(Some(&Options::default())).encode(&mut Vec::new()).unwrap()
    }

    fn response(status: &str, headers: &str) -> String {
        format!("HTTP/1.1 {status}\r\n{headers}\r\n")
    }

    const GOOD: &str = "Upgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";

    #[test]
    fn the_request_is_written() {
        let mut out = Vec::new();
        request(Some(&Options::default())).encode(&mut out).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "GET /socket.io/?EIO=4 HTTP/1.1\r\nHost: example.com:8080\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover; client_max_window_bits\r\n\
             Sec-WebSocket-Protocol: one, two\r\nCookie: a=b\r\nOrigin: http://é.example\r\n\r\n"
        );
    }

    #[test]
    fn nothing_breaks_out_of_the_head() {
        let good = request(None);
        let encode = |request: Request| request.encode(&mut Vec::new()).map(|_| ());
        for bad in ["", "a b", "a\r\nX: y", "a\0", "é"] {
            assert_eq!(encode(Request { host: bad, ..good }), Err(InvalidRequest::Host));
            assert_eq!(encode(Request { path: &format!("/{bad} "), ..good }), Err(InvalidRequest::Path));
            assert_eq!(encode(Request { protocols: &[bad], ..good }), Err(InvalidRequest::Protocol));
            assert_eq!(encode(Request { headers: &[(bad, "x")], ..good }), Err(InvalidRequest::Header(bad.to_owned())));
        }
        assert_eq!(encode(Request { path: "x", ..good }), Err(InvalidRequest::Path));
        for bad in ["a\r\nX: y", "a\n", "\0", "\u{7f}"] {
            assert!(encode(Request { headers: &[("X", bad)], ..good }).is_err());
        }
        for ours in ["Host", "upgrade", "Sec-WebSocket-Key", "content-length"] {
            assert!(encode(Request { headers: &[(ours, "x")], ..good }).is_err());
        }
    }

    #[test]
    fn a_good_response_is_taken_however_it_is_cut() {
        let extensions =
            "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=10; client_max_window_bits=9\r\n";
        let head =
            response("101 Whatever", &format!("{GOOD}{extensions}Sec-WebSocket-Protocol: two\r\nSet-Cookie: x\r\n"));
        let input = format!("{head}\u{1}frames");
        for cut in 0..=input.len() {
            let mut handshake = handshake();
            let (first, second) = input.as_bytes().split_at(cut);
            let (mut used, mut established) = handshake.read(first).unwrap();
            if established.is_none() {
                assert_eq!(used, first.len());
                let (more, agreed) = handshake.read(second).unwrap();
                used += more;
                established = agreed;
            }
            let established = established.unwrap();
            assert_eq!(used, head.len());
            let params = Params {
                server_no_context_takeover: false,
                client_no_context_takeover: false,
                server_max_window_bits: 10,
                client_max_window_bits: 9,
            };
            assert_eq!(established.deflate, Some(params));
            assert_eq!(established.protocol.as_deref(), Some("two"));
            assert!(established.headers.contains(&("Set-Cookie".to_owned(), b"x".to_vec())));
        }
    }

    #[test]
    fn hostile_servers_are_rejected() {
        let with = |more: &str| response("101 OK", &format!("{GOOD}{more}\r\n"));
        let extension = |value: &str| with(&format!("Sec-WebSocket-Extensions: {value}"));
        let cases = [
            (response("400 Bad Request", GOOD), Rejected::Status(400)),
            (response("200 OK", GOOD), Rejected::Status(200)),
            (response("101 OK", GOOD).replace("/1.1", "/1.0"), Rejected::Malformed),
            ("SSH-2.0-x\r\n\r\n".to_owned(), Rejected::Malformed),
            (response("101 OK", &GOOD.replace("WebSocket\r", "h2c\r")), Rejected::Upgrade),
            (response("101 OK", &GOOD.replace("keep-alive, Upgrade", "close")), Rejected::Upgrade),
            (response("101 OK", &GOOD.replace("s3p", "S3p")), Rejected::Accept),
            (with("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), Rejected::Accept),
            (response("101 OK", "Upgrade: websocket\r\nConnection: upgrade\r\n"), Rejected::Accept),
            (with("Sec-WebSocket-Protocol: three"), Rejected::Protocol),
            (with("Sec-WebSocket-Protocol: one, two"), Rejected::Protocol),
            (with("Sec-WebSocket-Protocol: one\r\nSec-WebSocket-Protocol: one"), Rejected::Protocol),
            (extension("foo"), Rejected::Extensions),
            (extension("permessage-deflate; foo"), Rejected::Extensions),
            (extension("permessage-deflate; client_max_window_bits"), Rejected::Extensions),
            (extension("permessage-deflate; server_max_window_bits"), Rejected::Extensions),
            (extension("permessage-deflate; server_max_window_bits=99999999999"), Rejected::Extensions),
            (extension("permessage-deflate; server_max_window_bits=7"), Rejected::Extensions),
            (extension("permessage-deflate, permessage-deflate"), Rejected::Extensions),
            (with(&"a: b\r\n".repeat(100)), Rejected::HeadTooLarge),
        ];
        for (head, rejected) in cases {
            assert_eq!(handshake().read(head.as_bytes()), Err(rejected), "{head}");
        }
        let mut plain = request(None).encode(&mut Vec::new()).unwrap();
        assert_eq!(plain.read(extension("permessage-deflate").as_bytes()), Err(Rejected::Extensions));
    }

    #[test]
    fn the_head_is_bounded() {
        let padding = MAX_HEAD - response("101 OK", GOOD).len() - "X: \r\n".len();
        let fits = response("101 OK", &format!("{GOOD}X: {}\r\n", "x".repeat(padding)));
        assert_eq!(fits.len(), MAX_HEAD);
        assert!(handshake().read(format!("{fits}more").as_bytes()).unwrap().1.is_some());
        let over = response("101 OK", &format!("{GOOD}X: {}\r\n", "x".repeat(padding + 1)));
        assert_eq!(handshake().read(over.as_bytes()), Err(Rejected::HeadTooLarge));
        let mut dripped = handshake();
        let refused = std::iter::repeat_n(b"x", 1 << 20).position(|byte| dripped.read(byte).is_err());
        assert_eq!(refused, Some(MAX_HEAD));
    }
}
