//! What can go wrong outside of single events.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::cause::Cause;

pub use sockeye_protocol::event::{AckError, BoxError, EmitError};

/// The configuration contradicts itself, or cannot be used. The message says what to change.
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

/// A namespace was not connected. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ConnectError(Arc<Kind>);

#[derive(Debug)]
enum Kind {
    Closed,
    Config(ConfigError),
    OldServer,
    Refused { message: String, data: Option<serde_json::Value> },
    Timeout(&'static str),
    Unreachable(Unreachable),
}

/// How an attempt to reach the server failed.
#[derive(Debug)]
pub(crate) struct Unreachable {
    /// What was tried.
    pub(crate) what: String,
    pub(crate) source: Option<BoxError>,
    pub(crate) cause: Option<Cause>,
    /// The server asked to be left alone this long.
    pub(crate) retry_after: Option<Duration>,
}

impl ConnectError {
    /// `disconnect()` was called.
    pub(crate) fn closed() -> Self {
        Self(Arc::new(Kind::Closed))
    }

    pub(crate) fn refused(message: String, data: Option<serde_json::Value>) -> Self {
        Self(Arc::new(Kind::Refused { message, data }))
    }

    pub(crate) fn timeout(what: &'static str) -> Self {
        Self(Arc::new(Kind::Timeout(what)))
    }

    /// The server speaks another version of the protocol: no attempt will succeed.
    pub(crate) fn old_server() -> Self {
        Self(Arc::new(Kind::OldServer))
    }

    pub(crate) fn unreachable(what: impl Into<String>, source: Option<BoxError>) -> Self {
        Self::failed(what, source, None)
    }

    pub(crate) fn io(what: impl Into<String>, error: std::io::Error) -> Self {
        let cause = Cause::Io(error.kind());
        Self::failed(what, Some(error.into()), Some(cause))
    }

    /// The connection has ended, and this is why.
    pub(crate) fn ended(cause: Cause) -> Self {
        Self::failed(cause.to_string(), None, Some(cause))
    }

    pub(crate) fn failed(what: impl Into<String>, source: Option<BoxError>, cause: Option<Cause>) -> Self {
        Self(Arc::new(Kind::Unreachable(Unreachable { what: what.into(), source, cause, retry_after: None })))
    }

    /// The connection ended before the server had let the client into its namespace.
    pub(crate) fn lost(reason: DisconnectReason, cause: Cause, failure: Option<Self>) -> Self {
        let what = format!("the connection was lost before the namespace was joined: {reason}");
        match failure {
            Some(failure) if failure.is_incompatible() => failure,
            Some(failure) => {
                let (cause, retry_after) = (Some(cause), failure.retry_after());
                let source = Some(failure.into());
                Self(Arc::new(Kind::Unreachable(Unreachable { what, source, cause, retry_after })))
            }
            None => Self::failed(what, None, Some(cause)),
        }
    }

    /// The server answered, but not as a Socket.IO server does.
    pub(crate) fn answered(what: impl Into<String>, cause: Cause, retry_after: Option<Duration>) -> Self {
        let (what, cause) = (what.into(), Some(cause));
        Self(Arc::new(Kind::Unreachable(Unreachable { what, source: None, cause, retry_after })))
    }

    /// Whether `disconnect()` came first.
    pub fn is_closed(&self) -> bool {
        matches!(*self.0, Kind::Closed)
    }

    /// Whether the configuration was at fault: no attempt could succeed.
    pub fn is_config(&self) -> bool {
        matches!(*self.0, Kind::Config(_))
    }

    /// Whether the server runs a version of Socket.IO which this client does not speak (2.x and older). No further
    /// attempt is made.
    pub fn is_incompatible(&self) -> bool {
        matches!(*self.0, Kind::OldServer)
    }

    /// Whether the server refused the namespace; see [`Self::message`] and [`Self::data`]. No further attempt is made
    /// until the application asks for one.
    pub fn is_refused(&self) -> bool {
        matches!(*self.0, Kind::Refused { .. })
    }

    /// Whether the server took too long.
    pub fn is_timeout(&self) -> bool {
        matches!(*self.0, Kind::Timeout(_))
    }

    /// Whether the server could not be reached, or did not answer as a Socket.IO server does.
    pub fn is_unreachable(&self) -> bool {
        matches!(*self.0, Kind::Unreachable(_))
    }

    /// The server's words, if it refused.
    pub fn message(&self) -> Option<&str> {
        match &*self.0 {
            Kind::Refused { message, .. } => Some(message),
            _ => None,
        }
    }

    /// What the server's application added to a refusal (`err.data` of the official servers).
    pub fn data(&self) -> Option<&serde_json::Value> {
        match &*self.0 {
            Kind::Refused { data, .. } => data.as_ref(),
            _ => None,
        }
    }

    /// What happened, in a form that can be acted on; `None` where the questions above say it all. A server which has
    /// no room answers with [`Cause::Refused`], for instance, and one which was sent too much closes with a code.
    ///
    /// ```no_run
    /// # async fn example(client: sockeye_client::Client) {
    /// use sockeye_client::Cause;
    ///
    /// if let Err(error) = client.connect().await {
    ///     match error.cause() {
    ///         Some(Cause::Refused { status: 503, text }) => println!("the server is full: {text}"),
    ///         Some(Cause::Io(kind)) => println!("no way to the server: {kind}"),
    ///         _ => println!("{error}"),
    ///     }
    /// }
    /// # }
    /// ```
    pub fn cause(&self) -> Option<&Cause> {
        match &*self.0 {
            Kind::Unreachable(failure) => failure.cause.as_ref(),
            _ => None,
        }
    }

    /// How long the server asked to be left alone (`Retry-After`).
    pub fn retry_after(&self) -> Option<Duration> {
        match &*self.0 {
            Kind::Unreachable(failure) => failure.retry_after,
            _ => None,
        }
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            Kind::Closed => f.write_str("the client was disconnected"),
            Kind::Config(error) => error.fmt(f),
            Kind::OldServer => f.write_str(OLD_SERVER),
            Kind::Refused { message, .. } => write!(f, "the server refused: {message}"),
            Kind::Timeout(what) => write!(f, "{what} took too long"),
            Kind::Unreachable(failure) => match &failure.source {
                Some(source) => write!(f, "{}: {source}", failure.what),
                None => f.write_str(&failure.what),
            },
        }
    }
}

impl std::error::Error for ConnectError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &*self.0 {
            Kind::Config(error) => Some(error),
            Kind::Unreachable(Unreachable { source: Some(source), .. }) => Some(&**source),
            _ => None,
        }
    }
}

impl From<ConfigError> for ConnectError {
    fn from(error: ConfigError) -> Self {
        Self(Arc::new(Kind::Config(error)))
    }
}

/// Why a client left its namespace. `Display` gives the reason strings of the official client.
/// [`Client::last_disconnect`](crate::Client::last_disconnect) says more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DisconnectReason {
    /// This side called `disconnect()`: `io client disconnect`. It stays disconnected.
    ClientDisconnect,
    /// The server sent what cannot be decoded: `parse error`.
    ParseError,
    /// No heartbeat of the server in time: `ping timeout`.
    PingTimeout,
    /// The server disconnected the client: `io server disconnect`. It stays disconnected until the application connects
    /// it again.
    ServerDisconnect,
    /// The connection was closed: `transport close`.
    TransportClose,
    /// The connection failed: `transport error`.
    TransportError,
}

impl DisconnectReason {
    /// The reason string of the official client.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClientDisconnect => "io client disconnect",
            Self::ParseError => "parse error",
            Self::PingTimeout => "ping timeout",
            Self::ServerDisconnect => "io server disconnect",
            Self::TransportClose => "transport close",
            Self::TransportError => "transport error",
        }
    }

    /// Whether the client comes back by itself, if its policy of reconnection allows any attempt.
    pub fn is_temporary(self) -> bool {
        !matches!(self, Self::ClientDisconnect | Self::ServerDisconnect)
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
            _ => Self::TransportError,
        }
    }
}

/// A handler that failed: it returned an error, its arguments did not fit, or it panicked. Or an event that was given up:
/// see [`Self::is_unacknowledged`] and [`Self::is_too_large`].
#[derive(Debug, thiserror::Error)]
#[error("{what} {event:?}: {source}")]
pub struct HandlerError {
    what: &'static str,
    event: Box<str>,
    source: BoxError,
}

impl HandlerError {
    pub(crate) fn new(event: Box<str>, source: BoxError) -> Self {
        Self { what: HANDLER, event, source }
    }

    /// An event was emitted which is not sent (again).
    pub(crate) fn given_up(event: Box<str>, error: AckError) -> Self {
        match error {
            AckError::Emit(error) => Self { what: NOT_SENT, event, source: error.into() },
            error => Self { what: GIVEN_UP, event, source: error.into() },
        }
    }

    /// Whether it was no handler that failed, but an event that `emit` sent as often as
    /// [`retries`](crate::ClientBuilder::retries) says, and the server did not acknowledge. It is not sent again.
    pub fn is_unacknowledged(&self) -> bool {
        self.what == GIVEN_UP
    }

    /// Whether it was no handler that failed, but an event that `emit` had queued, and which is larger than the server
    /// takes: [`EmitError::TooLarge`]. It is not sent; those behind it are.
    pub fn is_too_large(&self) -> bool {
        self.what == NOT_SENT
    }

    /// The event's name; `connect`, `disconnect` and `connect_error` stand for those handlers, `ack` for an answer that was
    /// too large.
    pub fn event(&self) -> &str {
        &self.event
    }

    /// What the handler returned.
    pub fn into_source(self) -> BoxError {
        self.source
    }

    /// Logs it, where nobody else wants to know.
    pub(crate) fn log(&self) {
        let source: &(dyn std::error::Error + 'static) = &*self.source;
        let shown: &dyn fmt::Display = if quotes(source) { &"what came does not fit the types" } else { &source };
        let what = match self.what {
            GIVEN_UP => "an event was given up",
            NOT_SENT => "an event was not sent",
            _ => "a handler failed",
        };
        tracing::warn!(event = short(&self.event), error = %shown, "{what}");
    }
}

/// Whether an error has in it what the server sent, because it does not fit a type: that stays out of the log.
fn quotes(error: &(dyn std::error::Error + 'static)) -> bool {
    error.is::<sockeye_protocol::DecodeError>() || error.source().is_some_and(quotes)
}

/// A name as it is logged: the server may choose it, but not how long.
fn short(name: &str) -> &str {
    const MOST: usize = 64;
    name.char_indices().nth(MOST).and_then(|(end, _)| name.get(..end)).unwrap_or(name)
}

const OLD_SERVER: &str =
    "the server speaks Engine.IO 3: it runs Socket.IO 2.x or older, and this client needs the option eio3 for it";
/// What failed.
const GIVEN_UP: &str = "gave up";
const HANDLER: &str = "handler of";
const NOT_SENT: &str = "did not send";
