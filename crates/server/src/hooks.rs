//! What the application wants to know of requests, before there is a socket.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use http::HeaderMap;

use crate::error::Refusal;
use crate::panics::{Panicked, call};
use crate::peer::Peer;

/// Functions of the application that see requests.
#[derive(Clone, Default)]
pub(crate) struct Hooks {
    pub(crate) allow_request: Option<Arc<dyn Fn(Peer) -> Verdict + Send + Sync>>,
    pub(crate) generate_id: Option<IdHook>,
    pub(crate) initial_headers: Vec<HeaderHook>,
    pub(crate) headers: Vec<HeaderHook>,
    pub(crate) connection_error: Vec<ErrorHook>,
}

pub(crate) type Verdict = Pin<Box<dyn Future<Output = Result<(), Refusal>> + Send>>;
pub(crate) type IdHook = Arc<dyn Fn(&Peer) -> String + Send + Sync>;
pub(crate) type ErrorHook = Arc<dyn Fn(&ConnectionError) + Send + Sync>;
pub(crate) type HeaderHook = Arc<dyn Fn(&mut HeaderMap, &Peer) + Send + Sync>;

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hooks")
    }
}

impl Hooks {
    /// Lets the application change the headers of a response; `first` is the one that opens a session. If it panics, the
    /// headers may lack one on which browsers rely: nobody must get the response.
    pub(crate) fn see_headers(
        &self,
        headers: &mut HeaderMap,
        peer: impl FnOnce() -> Peer,
        first: bool,
    ) -> Result<(), Panicked> {
        let initial = if first { self.initial_headers.as_slice() } else { &[] };
        if initial.is_empty() && self.headers.is_empty() {
            return Ok(());
        }
        let peer = peer();
        initial.iter().try_for_each(|hook| call("on_initial_headers", || hook(headers, &peer)))?;
        self.headers.iter().try_for_each(|hook| call("on_headers", || hook(headers, &peer)))
    }

    pub(crate) fn see_error(&self, error: impl FnOnce() -> ConnectionError) {
        if self.connection_error.is_empty() {
            return;
        }
        let error = error();
        for hook in &self.connection_error {
            // The others are to be told, and the client was refused already.
            let _ = call("on_connection_error", || hook(&error));
        }
    }
}

/// The errors of the Engine.IO protocol, by which requests are refused. [JS engine.io 6.6 server.ts Server.errors]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorCode {
    /// 0: `transport` in the query is none that is enabled.
    TransportUnknown,
    /// 1: there is no such session, or it has ended.
    UnknownSession,
    /// 2: a session was to be opened by something else than GET.
    BadMethod,
    /// 3: the request does not fit its session; see [`ErrorContext`].
    BadRequest,
    /// 4: the application, or the origin policy, said no.
    Forbidden,
    /// 5: `EIO` in the query is not spoken.
    UnsupportedVersion,
    /// 4 for the client, with status 503: there are too many sessions, they come too fast, or
    /// [`allow_request`](crate::ServerBuilder::allow_request) did not decide in time.
    Busy,
    /// 3 for the client, with status 500: a function of the application panicked which was to decide about the request, or
    /// to see the headers of its answer.
    Internal,
}

impl ErrorCode {
    /// The number in the answer.
    pub fn number(self) -> u8 {
        match self {
            Self::TransportUnknown => 0,
            Self::UnknownSession => 1,
            Self::BadMethod => 2,
            Self::BadRequest | Self::Internal => 3,
            Self::Forbidden | Self::Busy => 4,
            Self::UnsupportedVersion => 5,
        }
    }
}

/// A request that was refused; for [`ServerBuilder::on_connection_error`](crate::ServerBuilder::on_connection_error).
#[derive(Clone, Debug)]
pub struct ConnectionError {
    pub(crate) code: ErrorCode,
    pub(crate) message: String,
    pub(crate) context: Option<ErrorContext>,
    pub(crate) peer: Peer,
}

impl ConnectionError {
    /// The number of the Engine.IO protocol, as in the answer: 0 transport unknown, 1 session unknown, 2 bad handshake
    /// method, 3 bad request, 4 forbidden, 5 unsupported protocol version.
    pub fn code(&self) -> u8 {
        self.code.number()
    }

    /// The error with a name.
    pub fn error(&self) -> ErrorCode {
        self.code
    }

    /// What the client was told.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What the code alone does not say.
    pub fn context(&self) -> Option<ErrorContext> {
        self.context
    }

    /// Who asked: headers, query and address of the request.
    pub fn peer(&self) -> &Peer {
        &self.peer
    }
}

/// Which of several causes a [`ConnectionError`] has. `Display` gives the names of the official server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorContext {
    /// `ID_GENERATION_ERROR`: the id of the application's generator is taken or cannot be an id.
    IdGeneration,
    /// `INVALID_ORIGIN`: a page of another origin asked for a WebSocket.
    InvalidOrigin,
    /// `PROTOCOL_MISMATCH`: the session was opened with another `EIO`.
    ProtocolMismatch,
    /// `TRANSPORT_HANDSHAKE_ERROR`: `transport=websocket` without a WebSocket handshake, or the other way round.
    TransportHandshake,
    /// `TRANSPORT_MISMATCH`: the session uses another transport.
    TransportMismatch,
}

impl ErrorContext {
    /// The name that the official server uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::IdGeneration => "ID_GENERATION_ERROR",
            Self::InvalidOrigin => "INVALID_ORIGIN",
            Self::ProtocolMismatch => "PROTOCOL_MISMATCH",
            Self::TransportHandshake => "TRANSPORT_HANDSHAKE_ERROR",
            Self::TransportMismatch => "TRANSPORT_MISMATCH",
        }
    }
}

impl fmt::Display for ErrorContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
