//! What ended a connection, or an attempt to get one: more than the reason strings of the official client say.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::Deserialize;
use sockeye_engine::ws;

/// What ended a connection, beside the [`DisconnectReason`](crate::DisconnectReason): see
/// [`Client::last_disconnect`](crate::Client::last_disconnect) and [`ConnectError::cause`](crate::ConnectError::cause).
/// `Display` says it in a sentence.
///
/// A Sockeye server names the limit that a client ran into: in `text` of [`Self::Closed`] over a WebSocket, of
/// [`Self::Refused`] over polling. What the server says is cut to 256 bytes and has no control characters; it is for
/// people, and as trustworthy as the server.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// This side called `disconnect()`.
    ClientDisconnect,
    /// The server closed the connection, by a close frame or by the packet CLOSE.
    Closed {
        /// Of the close frame. 1008: this client broke a rule, such as a limit; 1009: it sent too long a message.
        /// [RFC 6455 §7.4]
        code: Option<u16>,
        /// The reason in the close frame.
        text: Box<str>,
    },
    /// The stream below failed; [`io::ErrorKind::UnexpectedEof`]: it ended without a word, as when a proxy gives it up.
    Io(io::ErrorKind),
    /// The server went beyond a limit of this client.
    Limit {
        /// Which.
        limit: Limit,
        /// How far it went, as far as that is known: in bytes where the limit is of bytes, or how many. What is judged as
        /// it comes stops at the first beyond.
        actual: Option<u64>,
        /// How far it may go, in the same unit; in milliseconds where the limit is of time.
        bound: Option<u64>,
    },
    /// No heartbeat of the server in time.
    PingTimeout {
        /// How long ago its last byte had come.
        heard: Duration,
        /// How long ago its last ping had come, if any had; with `eio3`: the last of this client was sent.
        pinged: Option<Duration>,
    },
    /// The server sent what cannot be understood, or what it must not send.
    Protocol(Box<str>),
    /// A request was answered with another status than it should be.
    Refused {
        /// Of HTTP. 413: what was posted is larger than the server takes.
        status: u16,
        /// The message in the body of an Engine.IO server; of another body its beginning, which may repeat the request and
        /// its query: the client logs none of it.
        text: Box<str>,
    },
    /// The server disconnected this client from its namespace.
    ServerDisconnect,
}

impl Cause {
    /// A close frame.
    pub(crate) fn closed(said: Option<(ws::CloseCode, &str)>) -> Self {
        let (code, text) = said.map_or((None, ""), |(code, text)| (Some(code.0), text));
        Self::Closed { code, text: printable(text) }
    }

    /// Something was there that is beyond a bound.
    pub(crate) fn limit_of(limit: Limit, actual: u64, bound: usize) -> Self {
        Self::Limit { limit, actual: Some(actual), bound: Some(bound as u64) }
    }

    /// It was judged at the first that is beyond the bound.
    fn limit_by_one(limit: Limit, bound: usize) -> Self {
        Self::limit_of(limit, bound as u64 + 1, bound)
    }

    /// A deadline has passed, which is that of attachments.
    pub(crate) fn late(error: sockeye_protocol::ProtocolError, most: Duration) -> Self {
        let bound = u64::try_from(most.as_millis()).ok();
        match error {
            sockeye_protocol::ProtocolError::AttachmentTimeout => {
                Self::Limit { limit: Limit::AttachmentTime, actual: None, bound }
            }
            error => error.into(),
        }
    }

    /// An answer other than 200, or 101.
    pub(crate) fn refused(status: u16, body: &[u8]) -> Self {
        let text = match Refusal::read(body) {
            Some(refusal) => refusal.message(),
            None => printable(&String::from_utf8_lossy(body)),
        };
        Self::Refused { status, text }
    }

    /// What a log may have of it: pages of errors repeat the request, and with it the query.
    pub(crate) fn loggable(&self) -> Self {
        match self {
            Self::Refused { status, .. } => Self::Refused { status: *status, text: "".into() },
            cause => cause.clone(),
        }
    }

    /// The limit of this client that was exceeded, if it was one.
    pub fn limit(&self) -> Option<Limit> {
        match self {
            Self::Limit { limit, .. } => Some(*limit),
            _ => None,
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ClientDisconnect => f.write_str("this side disconnected"),
            Self::Closed { code: None, .. } => f.write_str("the server closed the connection"),
            Self::Closed { code: Some(code), text } if text.is_empty() => {
                write!(f, "the server closed the connection with code {code}")
            }
            Self::Closed { code: Some(code), text } => {
                write!(f, "the server closed the connection with code {code}: {text}")
            }
            Self::Io(io::ErrorKind::UnexpectedEof) => f.write_str("the connection ended without a word"),
            Self::Io(kind) => write!(f, "the connection failed: {kind}"),
            Self::Limit { limit, actual, bound } => {
                write!(f, "the server went beyond a limit of this client: {limit}")?;
                let unit = limit.unit();
                match (actual, bound) {
                    (Some(actual), Some(bound)) => write!(f, " ({actual}{unit} of at most {bound})"),
                    (None, Some(bound)) => write!(f, " (at most {bound}{unit})"),
                    (_, None) => Ok(()),
                }
            }
            Self::PingTimeout { heard, pinged } => {
                let heard = heard.as_secs_f64();
                write!(f, "no heartbeat in time: the server was last heard {heard:.1} s ago")?;
                match pinged {
                    Some(pinged) => write!(f, ", and the last ping was {:.1} s ago", pinged.as_secs_f64()),
                    None => Ok(()),
                }
            }
            Self::Protocol(what) => write!(f, "the server broke the protocol: {what}"),
            Self::Refused { status, text } if text.is_empty() => write!(f, "the server answered with status {status}"),
            Self::Refused { status, text } => write!(f, "the server answered with status {status}: {text}"),
            Self::ServerDisconnect => f.write_str("the server disconnected this client"),
        }
    }
}

impl From<ws::Error> for Cause {
    fn from(error: ws::Error) -> Self {
        match error {
            ws::Error::TooLarge { bytes, limit } => Self::limit_of(Limit::Payload, bytes, limit),
            ws::Error::TooManyFragments { limit } => Self::limit_by_one(Limit::Fragments, limit),
            error => Self::Protocol(error.to_string().into()),
        }
    }
}

impl From<sockeye_engine::ProtocolError> for Cause {
    fn from(error: sockeye_engine::ProtocolError) -> Self {
        match error {
            sockeye_engine::ProtocolError::TooLarge { limit } => {
                Self::Limit { limit: Limit::Payload, actual: None, bound: Some(limit as u64) }
            }
            error => Self::Protocol(error.to_string().into()),
        }
    }
}

impl From<sockeye_protocol::ProtocolError> for Cause {
    fn from(error: sockeye_protocol::ProtocolError) -> Self {
        use sockeye_protocol::ProtocolError;
        match error {
            ProtocolError::AttachmentsTooLarge { bytes, limit } => {
                Self::limit_of(Limit::AttachmentBytes, bytes as u64, limit)
            }
            ProtocolError::TooDeep { limit } => Self::limit_by_one(Limit::Depth, limit),
            ProtocolError::TooManyAttachments { count, limit } => {
                Self::limit_of(Limit::Attachments, count as u64, limit)
            }
            error => Self::Protocol(error.to_string().into()),
        }
    }
}

/// A limit of this client on what the server sends. Going beyond it ends the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Limit {
    /// Bytes of the attachments of one event: [`max_payload`](crate::ClientBuilder::max_payload). Default 100 MiB.
    AttachmentBytes,
    /// Time in which the attachments of an event must arrive: 60 s.
    AttachmentTime,
    /// Attachments of one event: [`max_attachments`](crate::ClientBuilder::max_attachments). Default 10.
    Attachments,
    /// Depth of arrays and objects: 128.
    Depth,
    /// Events before the answer to CONNECT: 65,536, or 64 MiB of names and arguments.
    EarlyEvents,
    /// Frames of one WebSocket message: 65,536.
    Fragments,
    /// Bytes of a message, or of an answer of polling: [`max_payload`](crate::ClientBuilder::max_payload). Default
    /// 100 MiB.
    Payload,
}

impl Limit {
    /// The limit in words; those that a Sockeye server has too, in the words that it uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AttachmentBytes => "attachments too large",
            Self::AttachmentTime => "attachments did not arrive in time",
            Self::Attachments => "too many attachments",
            Self::Depth => "nested too deep",
            Self::EarlyEvents => "too many events before the answer to CONNECT",
            Self::Fragments => "message in too many frames",
            Self::Payload => "message too large",
        }
    }

    /// What stands behind figures of it.
    fn unit(self) -> &'static str {
        match self {
            Self::AttachmentBytes | Self::Payload => " bytes",
            Self::AttachmentTime => " ms",
            Self::Attachments | Self::Depth | Self::EarlyEvents | Self::Fragments => "",
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How often each limit was exceeded on a connection, and on those before it.
#[derive(Debug, Default)]
pub(crate) struct Tally([AtomicU64; COUNT]);

impl Tally {
    pub(crate) fn up(&self, limit: Limit) {
        if let Some(count) = self.0.get(limit as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn get(&self, limit: Limit) -> u64 {
        self.0.get(limit as usize).map_or(0, |count| count.load(Ordering::Relaxed))
    }
}

/// What an Engine.IO server says in the body of an error.                     [JS engine.io 6.6 server.ts Server.errors]
#[derive(Deserialize)]
pub(crate) struct Refusal {
    pub(crate) code: u32,
    message: String,
}

impl Refusal {
    pub(crate) fn read(body: &[u8]) -> Option<Self> {
        serde_json::from_slice(body).ok()
    }

    pub(crate) fn message(&self) -> Box<str> {
        printable(&self.message)
    }
}

/// The beginning of what the server says, fit for a log.
fn printable(text: &str) -> Box<str> {
    let mut printable = String::new();
    for character in text.chars().filter(|character| !character.is_control()) {
        if printable.len() + character.len_utf8() > MAX_TEXT {
            break;
        }
        printable.push(character);
    }
    printable.into()
}

/// Most of what is kept of the server's words, in bytes.
pub(crate) const MAX_TEXT: usize = 256;
/// As many as there are in [`Limit`].
const COUNT: usize = Limit::Payload as usize + 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_the_server_are_short_and_printable() {
        let text = |body: &str| match Cause::refused(400, body.as_bytes()) {
            Cause::Refused { status: 400, text } => text,
            cause => panic!("{cause:?}"),
        };
        assert_eq!(&*text(r#"{"code":3,"message":"too many attachments"}"#), "too many attachments");
        assert_eq!(&*text("<html>\r\n\u{1b}[31mno"), "<html>[31mno");
        assert_eq!(&*text(""), "");
        for (length, kept) in [(255, 255), (256, 256), (257, 256), (100_000, 256)] {
            assert_eq!(text(&"x".repeat(length)).len(), kept);
            let message = format!(r#"{{"code":3,"message":"{}"}}"#, "x".repeat(length));
            assert_eq!(text(&message).len(), kept);
        }
        // A character is kept as a whole or not at all.
        assert_eq!(
            &*text(&format!(r#"{{"code":3,"message":"x{}"}}"#, "€".repeat(100))),
            format!("x{}", "€".repeat(85))
        );
        let closed = Cause::closed(Some((ws::CloseCode::POLICY, "too\nmany")));
        assert_eq!(closed.to_string(), "the server closed the connection with code 1008: toomany");
    }

    #[test]
    fn limits_are_counted_apart() {
        let tally = Tally::default();
        tally.up(Limit::Payload);
        tally.up(Limit::AttachmentBytes);
        tally.up(Limit::Payload);
        let counts = [Limit::AttachmentBytes, Limit::Depth, Limit::Payload].map(|limit| tally.get(limit));
        assert_eq!(counts, [1, 0, 2]);
    }
}
