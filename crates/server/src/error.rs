//! What can go wrong outside of single events.

use std::fmt;

use crate::limits::Limit;

pub use sockeye_protocol::event::{AckError, BoxError, EmitError};

/// The configuration contradicts itself. The message says what to change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid configuration: {message}")]
pub struct ConfigError {
    message: String,
}

impl ConfigError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into() }
    }
}

/// Other servers of the cluster did not answer, or could not be told.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClusterError {
    /// The answer of a server does not fit the type that is waited for.
    #[error("an answer cannot be decoded: {0}")]
    Decode(#[from] sockeye_protocol::DecodeError),
    /// Something that was to be sent cannot be encoded.
    #[error("the arguments cannot be encoded: {0}")]
    Encode(#[from] sockeye_protocol::EncodeError),
    /// The broker cannot be reached.
    #[error("the broker cannot be reached: {0}")]
    Unreachable(#[source] BoxError),
    /// Not all servers answered in time.
    #[error("not all servers answered in time")]
    Timeout,
}

/// The refusal of a CONNECT: reaches the client as `connect_error`, with `message` and `data`.
#[derive(Debug, Clone, PartialEq)]
pub struct Refusal {
    pub(crate) message: String,
    pub(crate) data: Option<serde_json::Value>,
}

impl Refusal {
    /// A refusal which the client sees as `error.message`.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), data: None }
    }

    /// Adds what the client sees as `error.data`.
    #[must_use]
    pub fn with_data(mut self, data: impl Into<serde_json::Value>) -> Self {
        self.data = Some(data.into());
        self
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Refusal {}

/// Why a socket left its namespace. `Display` gives the official reason strings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DisconnectReason {
    /// The client called `disconnect()`: `client namespace disconnect`.
    ClientDisconnect,
    /// The client broke the Socket.IO protocol and was cut off: `forced close`.
    ForcedClose,
    /// `forced server close`, by which the official server ends what has joined no namespace in time. Here that is
    /// [`LimitExceeded`](Self::LimitExceeded).
    ForcedServerClose,
    /// The client sent what Engine.IO cannot decode: `parse error`.
    ParseError,
    /// The client ran into a limit of the server, which is told by the close frame of a WebSocket (code 1008 or 1009) and
    /// by the answer to a POST: `message too large`, `too many namespaces`, …
    LimitExceeded(Limit),
    /// The client did not answer a heartbeat in time: `ping timeout`.
    PingTimeout,
    /// This side called `disconnect()`: `server namespace disconnect`.
    ServerDisconnect,
    /// The server is going down: `server shutting down`.
    ServerShuttingDown,
    /// The client read more slowly than it was sent to, and its outbox reached its bound: `slow consumer`.
    SlowConsumer,
    /// The connection was closed: `transport close`.
    TransportClose,
    /// The connection failed, or the client misused it: `transport error`.
    TransportError,
}

impl DisconnectReason {
    /// The official reason string.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClientDisconnect => "client namespace disconnect",
            Self::ForcedClose => "forced close",
            Self::ForcedServerClose => "forced server close",
            Self::LimitExceeded(limit) => limit.as_str(),
            Self::ParseError => "parse error",
            Self::PingTimeout => "ping timeout",
            Self::ServerDisconnect => "server namespace disconnect",
            Self::ServerShuttingDown => "server shutting down",
            Self::SlowConsumer => "slow consumer",
            Self::TransportClose => "transport close",
            Self::TransportError => "transport error",
        }
    }
}

impl DisconnectReason {
    /// Whether the client may come back to where it was: nobody had wanted it to leave.
    pub(crate) fn is_recoverable(self) -> bool {
        matches!(
            self,
            Self::TransportError
                | Self::TransportClose
                | Self::ForcedClose
                | Self::PingTimeout
                | Self::ServerShuttingDown
                | Self::ForcedServerClose
        )
    }
}

impl fmt::Display for DisconnectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<sockeye_engine::CloseReason> for DisconnectReason {
    fn from(reason: sockeye_engine::CloseReason) -> Self {
        use sockeye_engine::CloseReason;
        match reason {
            CloseReason::ParseError => Self::ParseError,
            CloseReason::PingTimeout => Self::PingTimeout,
            CloseReason::TransportClose => Self::TransportClose,
            CloseReason::TransportError => Self::TransportError,
            _ => Self::ForcedClose,
        }
    }
}
