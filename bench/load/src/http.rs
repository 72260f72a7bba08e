//! HTTP/1.1 as far as Engine.IO needs it from a client.

/// The example key of [RFC 6455 §1.3]: what a server must answer is known without a hash.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// Whether the handshake offers permessage-deflate, as browsers do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compression {
    /// Do not offer it.
    Off,
    /// Offer it as Chromium does.
    Offer,
}

/// Request which opens a WebSocket, for a new session or (`sid`) as an upgrade.
pub(crate) fn websocket(port: u16, sid: Option<&str>, compression: Compression) -> String {
    let sid = sid.map(|sid| format!("&sid={sid}")).unwrap_or_default();
    let extensions = match compression {
        Compression::Off => "",
        Compression::Offer => "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n",
    };
    format!(
        "GET /socket.io/?EIO=4&transport=websocket{sid} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\
         Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: {KEY}\r\n{extensions}\r\n"
    )
}

/// A poll, or the request for a session when there is no `sid` yet.
pub(crate) fn get(port: u16, sid: Option<&str>) -> String {
    let sid = sid.map(|sid| format!("&sid={sid}")).unwrap_or_default();
    format!("GET /socket.io/?EIO=4&transport=polling{sid} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAccept: */*\r\n\r\n")
}

/// A payload from the client.
pub(crate) fn post(port: u16, sid: &str, body: &str) -> String {
    format!(
        "POST /socket.io/?EIO=4&transport=polling&sid={sid} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAccept: */*\r\n\
         Content-Type: text/plain;charset=UTF-8\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// How the server compresses. [RFC 7692 §7.1.1]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deflate {
    /// Every message starts with an empty window.
    EachAlone,
    /// A message may refer to those before it.
    Continued,
}

/// A response, complete.
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
    /// What was agreed on, when permessage-deflate was.
    pub(crate) deflate: Option<Deflate>,
    /// The answer to the key is the right one.
    pub(crate) accepted: bool,
    /// The server closes the connection after this response.
    pub(crate) last: bool,
}

/// Takes one response off `bytes`, with the number of bytes it took; `None` while it is incomplete.
pub(crate) fn response(bytes: &[u8]) -> Result<Option<(Response, usize)>, String> {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(None) };
    let head = bytes.get(..end).and_then(|head| std::str::from_utf8(head).ok()).ok_or("a head that is not text")?;
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or("no status code")?;
    let field = |name: &str| {
        let is_it = |line: &&str| line.split(':').next().is_some_and(|key| key.eq_ignore_ascii_case(name));
        head.lines().find(is_it).and_then(|line| line.split_once(':')).map(|(_, value)| value.trim())
    };
    let start = end + 4;
    let rest = bytes.get(start..).unwrap_or_default();
    let found = if status == 101 {
        Some((Vec::new(), 0))
    } else if field("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
        chunked(rest)?
    } else {
        let length = field("content-length").and_then(|value| value.parse().ok()).unwrap_or(0);
        rest.get(..length).map(|body| (body.to_vec(), length))
    };
    let Some((body, used)) = found else { return Ok(None) };
    let response = Response {
        status,
        body,
        deflate: field("sec-websocket-extensions").filter(|value| value.contains("permessage-deflate")).map(|value| {
            if value.contains("server_no_context_takeover") { Deflate::EachAlone } else { Deflate::Continued }
        }),
        accepted: field("sec-websocket-accept") == Some(ACCEPT),
        last: field("connection").is_some_and(|value| value.eq_ignore_ascii_case("close")),
    };
    Ok(Some((response, start + used)))
}

/// A chunked body, without trailers. [RFC 9112 §7.1]
fn chunked(bytes: &[u8]) -> Result<Option<(Vec<u8>, usize)>, String> {
    let (mut body, mut at) = (Vec::new(), 0);
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        let Some(line) = rest.windows(2).position(|window| window == b"\r\n") else { return Ok(None) };
        let size = rest.get(..line).and_then(|size| std::str::from_utf8(size).ok()).unwrap_or_default();
        let size = usize::from_str_radix(size.trim(), 16).map_err(|_| "a chunk without size")?;
        let Some(chunk) = rest.get(line + 2..).and_then(|rest| rest.get(..size + 2)) else { return Ok(None) };
        at += line + 2 + size + 2;
        if size == 0 {
            return Ok(Some((body, at)));
        }
        body.extend_from_slice(chunk.get(..size).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_body_with_length() {
        let bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP";
        let (response, used) = response(bytes).unwrap().expect("complete");
        assert_eq!((response.status, response.body.as_slice(), used), (200, &b"ok"[..], bytes.len() - 4));
        assert!(super::response(&bytes[..used - 1]).unwrap().is_none());
    }

    #[test]
    fn reads_a_chunked_body() {
        let bytes = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n2\r\nok\r\na\r\n0123456789\r\n0\r\n\r\n";
        let (response, used) = response(bytes).unwrap().expect("complete");
        assert_eq!((response.body.as_slice(), used, response.last), (&b"ok0123456789"[..], bytes.len(), true));
        assert!(super::response(&bytes[..used - 1]).unwrap().is_none());
    }

    #[test]
    fn knows_what_was_agreed_on() {
        let agreed = |line: &str| {
            let bytes = format!("HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Extensions: {line}\r\n\r\n");
            response(bytes.as_bytes()).unwrap().expect("complete").0.deflate
        };
        assert_eq!(agreed("permessage-deflate"), Some(Deflate::Continued));
        assert_eq!(agreed("permessage-deflate; server_no_context_takeover"), Some(Deflate::EachAlone));
        assert_eq!(agreed("something-else"), None);
    }

    #[test]
    fn knows_the_right_accept() {
        let bytes =
            b"HTTP/1.1 101 Switching Protocols\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n\x81";
        let (response, used) = response(bytes).unwrap().expect("complete");
        assert!(response.accepted && response.deflate.is_none());
        assert_eq!(used, bytes.len() - 1);
    }
}
