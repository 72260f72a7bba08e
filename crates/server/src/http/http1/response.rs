//! The bytes of a response.                                                                           [RFC 9112 §4–6]

use std::cell::Cell;
use std::io::Write as _;
use std::time::Duration;

use futures_channel::oneshot;
use http::header::{CONNECTION, CONTENT_LENGTH, DATE, TRANSFER_ENCODING};
use http::{HeaderMap, Response, StatusCode};
use tokio::time::Instant;

use super::super::polling::Usual;
use super::head::names;
use crate::transport::io::Stream;

/// What becomes of the connection after a response.
#[derive(Debug)]
pub(super) enum After {
    /// Another request may follow.
    Next,
    /// The same, which a client of HTTP/1.0 has to be told.
    NextIfTold,
    /// None follows.
    Close,
    /// Another protocol, spoken by whoever gets the stream.
    Handover(oneshot::Sender<Stream>),
}

impl After {
    /// `is_old` is a client of HTTP/1.0.
    pub(super) fn new(may_go_on: bool, is_old: bool) -> Self {
        match (may_go_on, is_old) {
            (false, _) => Self::Close,
            (true, false) => Self::Next,
            (true, true) => Self::NextIfTold,
        }
    }
}

/// How the end of a response's body is told.                                                            [RFC 9112 §6.3]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Length {
    Bytes(u64),
    Chunks,
    /// Not at all: by the end of the connection, if there is a body.
    Unsaid,
}

/// Appends the head of a response.
pub(super) fn put(out: &mut Vec<u8>, status: StatusCode, headers: &HeaderMap, length: Length, after: &After) {
    put_status(out, status);
    for (name, value) in headers {
        // How the body ends is said here and nowhere else; what becomes of the connection is said below.
        let said = name == CONNECTION && matches!(after, After::Close);
        if !said && name != CONTENT_LENGTH && name != TRANSFER_ENCODING {
            put_header(out, name.as_str().as_bytes(), value.as_bytes());
        }
    }
    match length {
        _ if is_bare(status) => {}
        Length::Bytes(length) => put_length(out, length),
        Length::Chunks => put_header(out, b"transfer-encoding", b"chunked"),
        Length::Unsaid => {}
    }
    match after {
        After::Next | After::Handover(_) => {}
        After::NextIfTold => put_header(out, b"connection", b"keep-alive"),
        After::Close => put_header(out, b"connection", b"close"),
    }
    if !headers.contains_key(DATE) {
        put_date(out);
    }
    out.extend_from_slice(b"\r\n");
}

/// Whether a response is the last one.
pub(super) fn is_last<B>(response: &Response<B>) -> bool {
    names(response.headers(), CONNECTION, "close")
}

/// Whether a response of this status never has a body. [RFC 9112 §6.3]
pub(super) fn is_bare(status: StatusCode) -> bool {
    status.is_informational() || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}

/// Appends the head of an answer of the usual kind, after which another request may follow.
pub(super) fn put_usual(out: &mut Vec<u8>, usual: &Usual) {
    put_status(out, StatusCode::OK);
    put_header(out, b"content-type", usual.kind.as_bytes());
    put_header(out, b"cache-control", b"no-store");
    if let Some(encoding) = usual.encoding {
        put_header(out, b"content-encoding", encoding.as_str().as_bytes());
    }
    put_length(out, usual.body.len() as u64);
    put_date(out);
    out.extend_from_slice(b"\r\n");
}

fn put_status(out: &mut Vec<u8>, status: StatusCode) {
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(status.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(status.canonical_reason().unwrap_or_default().as_bytes());
    out.extend_from_slice(b"\r\n");
}

fn put_header(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    for part in [name, b": ", value, b"\r\n"] {
        out.extend_from_slice(part);
    }
}

fn put_length(out: &mut Vec<u8>, length: u64) {
    // Writing to memory does not fail.
    let _ = write!(out, "content-length: {length}\r\n");
}

/// Appends the time of day, which is written out once a second.
fn put_date(out: &mut Vec<u8>) {
    thread_local! {
        static DATE: Cell<Option<(Instant, [u8; 29])>> = const { Cell::new(None) };
    }
    let now = Instant::now();
    let text = match DATE.get() {
        Some((until, text)) if now < until => text,
        _ => {
            let (text, left) = time_of_day();
            DATE.set(Some((now + left, text)));
            text
        }
    };
    put_header(out, b"date", &text);
}

/// The time of day, and how long it stays true.
#[expect(clippy::disallowed_methods, reason = "clients are told the time of day")]
fn time_of_day() -> ([u8; 29], Duration) {
    let now = std::time::SystemTime::now();
    let mut text = [b' '; 29];
    let _ = write!(text.as_mut_slice(), "{}", httpdate::HttpDate::from(now));
    let part = now.duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.subsec_nanos());
    (text, Duration::from_secs(1).saturating_sub(Duration::from_nanos(part.into())))
}
