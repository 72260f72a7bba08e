//! Requests and responses, as far as Engine.IO needs them.

use std::io;

use crate::wire::Wire;

/// The example key of [RFC 6455 §1.3]: the answer is known without a hash.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// A poll, or the request for a session if there is no `sid` yet.
pub(crate) fn get(query: &str, sid: Option<&str>) -> String {
    format!("GET {} HTTP/1.1\r\nHost: soak\r\n\r\n", path(query, "polling", sid))
}

/// Packets from the client.
pub(crate) fn post(query: &str, sid: &str, body: &str) -> String {
    let path = path(query, "polling", Some(sid));
    let length = body.len();
    format!("POST {path} HTTP/1.1\r\nHost: soak\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\r\n{body}")
}

/// Opens a WebSocket: for a new session, or as an upgrade.
pub(crate) fn websocket(query: &str, sid: Option<&str>) -> String {
    format!(
        "GET {} HTTP/1.1\r\nHost: soak\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: {KEY}\r\n\r\n",
        path(query, "websocket", sid)
    )
}

/// The body of the next response, which has status 200. Cancel safe.
pub(crate) async fn body(wire: &mut Wire) -> io::Result<String> {
    let (head, end) = head(wire).await?;
    let length: usize = field(&head, "content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    while wire.unread.len() < end + length {
        wire.read().await?;
    }
    let body = wire.unread.drain(..end + length).skip(end).collect();
    let body = String::from_utf8(body).map_err(io::Error::other)?;
    if head.starts_with("HTTP/1.1 200 ") {
        return Ok(body);
    }
    Err(io::Error::other(format!("{}: {body}", head.lines().next().unwrap_or_default())))
}

/// The answer to [`websocket`].
pub(crate) async fn switched(wire: &mut Wire) -> io::Result<()> {
    let (head, end) = head(wire).await?;
    if !head.starts_with("HTTP/1.1 101 ") || field(&head, "sec-websocket-accept") != Some(ACCEPT) {
        return Err(io::Error::other(format!("no WebSocket: {}", head.lines().next().unwrap_or_default())));
    }
    wire.unread.drain(..end);
    Ok(())
}

/// The head of the next response, left where it is, and where it ends.
async fn head(wire: &mut Wire) -> io::Result<(String, usize)> {
    loop {
        if let Some(at) = wire.unread.windows(4).position(|window| window == b"\r\n\r\n") {
            return Ok((String::from_utf8_lossy(&wire.unread[..at]).into_owned(), at + 4));
        }
        wire.read().await?;
    }
}

fn path(query: &str, transport: &str, sid: Option<&str>) -> String {
    let sid = sid.map(|sid| format!("&sid={sid}")).unwrap_or_default();
    format!("/socket.io/?{query}&transport={transport}{sid}")
}

fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut fields = head.lines().filter_map(|line| line.split_once(':'));
    fields.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}
