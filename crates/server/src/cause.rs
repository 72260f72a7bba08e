//! What ended a connection: more than the reason strings of the official server say.

use std::fmt;
use std::io;
use std::time::Duration;

use sockeye_engine::ws;

use crate::error::DisconnectReason;
use crate::limits::{Excess, Limit};

/// How a socket left its namespace; see [`Socket::last_disconnect`](crate::Socket::last_disconnect).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Disconnect {
    /// In the words of the official server.
    pub reason: DisconnectReason,
    /// What happened.
    pub cause: Cause,
    /// How long the connection had lasted.
    pub age: Duration,
    /// How long nothing had passed on it in either direction.
    pub idle: Duration,
    /// It broke, after as long a silence as four of the last eight connections of this server that broke: to within half a
    /// second, and 5 s or more. Something between the two ends, such as a proxy, gives up what is idle for so long:
    /// [`ping_interval`](crate::ServerBuilder::ping_interval) must be less than `idle`.
    pub is_regular: bool,
}

/// What ended a connection, or took one socket out of its namespace. `Display` says it in a sentence.
///
/// The words of a client are 123 bytes at most and have no control characters; they are for people, and as trustworthy as
/// the client. The log has the cause without them.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// The client left this namespace by `disconnect()`.
    ClientDisconnect,
    /// The client closed the connection: by a close frame, by the packet CLOSE, or by ending its stream of WebTransport.
    Closed {
        /// Of the close frame. [RFC 6455 §7.4]
        code: Option<u16>,
        /// The reason in the close frame.
        text: Box<str>,
    },
    /// The stream below failed, or a request of polling was given up; [`io::ErrorKind::UnexpectedEof`]: the stream ended
    /// without a word, as when a proxy gives it up.
    Io(io::ErrorKind),
    /// The client went beyond a limit.
    Limit {
        /// Which.
        limit: Limit,
        /// How far it went, as far as that is known: in bytes where the limit is of bytes, in milliseconds where it is of
        /// time, or how many. What is judged as it comes stops at the first beyond.
        actual: Option<u64>,
        /// How far it may go, in the same unit.
        bound: Option<u64>,
    },
    /// The client used HTTP in a way that long-polling does not allow, such as two GETs at a time.
    Misuse(Box<str>),
    /// The client did not answer a heartbeat in time.
    PingTimeout {
        /// How long ago the last byte of it had come.
        heard: Duration,
        /// How long ago the last ping was sent; `None`: none ever was, as no GET had asked for it, or as it is for the
        /// client to ping (revision 3).
        pinged: Option<Duration>,
    },
    /// The client sent what cannot be understood, or what it must not send.
    Protocol(Box<str>),
    /// The client came back by another connection, which takes this one's place.
    Replaced,
    /// This side disconnected the client.
    ServerDisconnect,
    /// The server is going down.
    ServerShuttingDown,
}

impl Cause {
    /// A close frame.
    pub(crate) fn closed(said: Option<(ws::CloseCode, &str)>) -> Self {
        let (code, text) = said.map_or((None, ""), |(code, text)| (Some(code.0), text));
        Self::Closed { code, text: printable(text) }
    }

    /// Where nothing but the reason is known.
    pub(crate) fn of_reason(reason: DisconnectReason) -> Self {
        match reason {
            DisconnectReason::ClientDisconnect => Self::ClientDisconnect,
            DisconnectReason::LimitExceeded(limit) => Self::Limit { limit, actual: None, bound: None },
            DisconnectReason::SlowConsumer => Self::Limit { limit: Limit::Outbox, actual: None, bound: None },
            DisconnectReason::ForcedClose | DisconnectReason::ForcedServerClose | DisconnectReason::ParseError => {
                Self::Protocol(reason.as_str().into())
            }
            DisconnectReason::PingTimeout => Self::PingTimeout { heard: Duration::ZERO, pinged: None },
            DisconnectReason::ServerDisconnect => Self::ServerDisconnect,
            DisconnectReason::ServerShuttingDown => Self::ServerShuttingDown,
            DisconnectReason::TransportClose => Self::closed(None),
            DisconnectReason::TransportError => Self::Io(io::ErrorKind::Other),
        }
    }

    /// The limit that was exceeded, if it was one.
    pub fn limit(&self) -> Option<Limit> {
        match self {
            Self::Limit { limit, .. } => Some(*limit),
            _ => None,
        }
    }

    /// What a log may have of it: the client's words may be anything.
    pub(crate) fn loggable(&self) -> Self {
        match self {
            Self::Closed { code, .. } => Self::Closed { code: *code, text: "".into() },
            cause => cause.clone(),
        }
    }
}

impl From<Excess> for Cause {
    fn from(excess: Excess) -> Self {
        let Excess { limit, actual, bound } = excess;
        Self::Limit { limit, actual, bound }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ClientDisconnect => f.write_str("the client left the namespace"),
            Self::Closed { code: None, .. } => f.write_str("the client closed the connection"),
            Self::Closed { code: Some(code), text } if text.is_empty() => {
                write!(f, "the client closed the connection with code {code}")
            }
            Self::Closed { code: Some(code), text } => {
                write!(f, "the client closed the connection with code {code}: {text}")
            }
            Self::Io(io::ErrorKind::UnexpectedEof) => f.write_str("the connection ended without a word"),
            Self::Io(kind) => write!(f, "the connection failed: {kind}"),
            Self::Limit { limit, actual, bound } => {
                write!(
                    f,
                    "the client went beyond a limit: {}",
                    Excess { limit: *limit, actual: *actual, bound: *bound }
                )
            }
            Self::Misuse(what) => write!(f, "the client misused polling: {what}"),
            Self::PingTimeout { heard, pinged } => {
                let heard = heard.as_secs_f64();
                write!(f, "no answer to a heartbeat in time: the client was last heard {heard:.1} s ago, and ")?;
                match pinged {
                    Some(pinged) => write!(f, "pinged {:.1} s ago", pinged.as_secs_f64()),
                    None => f.write_str("never pinged"),
                }
            }
            Self::Protocol(what) => write!(f, "the client broke the protocol: {what}"),
            Self::Replaced => f.write_str("the client came back by another connection"),
            Self::ServerDisconnect => f.write_str("this side disconnected"),
            Self::ServerShuttingDown => f.write_str("the server is going down"),
        }
    }
}

impl fmt::Display for Disconnect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason, self.cause)?;
        match self.cause {
            Cause::Io(_) => write!(f, ", after {:.1} s without traffic", self.idle.as_secs_f64())?,
            _ => return Ok(()),
        }
        if self.is_regular { f.write_str(", as others before: perhaps the timeout of a proxy") } else { Ok(()) }
    }
}

/// What the client says, fit for a terminal. It is short: a close frame has room for 123 bytes. [RFC 6455 §5.5.1]
fn printable(text: &str) -> Box<str> {
    text.chars().filter(|character| !character.is_control()).collect::<String>().into()
}
