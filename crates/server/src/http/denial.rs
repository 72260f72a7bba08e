//! Requests that are refused.                                                    [JS engine.io 6.6 server.ts Server.errors]

use std::time::Duration;

use http::header::{CONNECTION, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};

use super::Body;
use super::response::respond;
use crate::error::Refusal;
use crate::gate::Busy;
pub(crate) use crate::hooks::ErrorCode as Code;
use crate::hooks::{ConnectionError, ErrorContext};
use crate::limits::Limit;
use crate::panics::Panicked;
use crate::peer::Peer;

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Denial {
    code: Code,
    /// What the application said instead of the message that belongs to the code.
    message: Option<String>,
    context: Option<ErrorContext>,
    /// When to try again; there is no room now.
    retry_after: Option<Duration>,
    /// The status, where it is not the one that belongs to the code.
    status: Option<StatusCode>,
}

impl From<Code> for Denial {
    fn from(code: Code) -> Self {
        Self { code, message: None, context: None, retry_after: None, status: None }
    }
}

impl From<Panicked> for Denial {
    fn from(Panicked: Panicked) -> Self {
        Code::Internal.into()
    }
}

impl Denial {
    pub(crate) fn bad_request(context: ErrorContext) -> Self {
        Self { context: Some(context), ..Code::BadRequest.into() }
    }

    /// What would have to be kept of the request is too much.
    pub(crate) fn long_head() -> Self {
        let status = Some(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
        Self { message: Some("Request headers too long".to_owned()), status, ..Code::BadRequest.into() }
    }

    /// A page of another origin.
    pub(crate) fn stranger() -> Self {
        Self { context: Some(ErrorContext::InvalidOrigin), ..Code::Forbidden.into() }
    }

    /// The application said no.
    pub(crate) fn forbidden(refusal: &Refusal) -> Self {
        Self { message: Some(refusal.message.clone()), ..Code::Forbidden.into() }
    }

    /// A body is too large: nothing of it was taken, and the session goes on.
    pub(crate) fn too_large(limit: Limit) -> Self {
        Self { status: Some(StatusCode::PAYLOAD_TOO_LARGE), ..Self::too_much(limit) }
    }

    /// What was posted ran into a limit, and the session has ended.
    pub(crate) fn too_much(limit: Limit) -> Self {
        Self { message: Some(limit.as_str().to_owned()), ..Code::BadRequest.into() }
    }

    /// What was posted is too much for all together, and was not taken.
    pub(crate) fn overloaded(limit: Limit) -> Self {
        Self {
            message: Some(limit.as_str().to_owned()),
            retry_after: Some(Duration::from_secs(1)),
            ..Code::Busy.into()
        }
    }

    /// There are too many sessions, or they come too fast.
    pub(crate) fn busy(busy: Busy) -> Self {
        Self { message: Some(busy.limit.as_str().to_owned()), retry_after: Some(busy.wait), ..Code::Busy.into() }
    }

    /// The application has not said in time whether it says no.
    pub(crate) fn undecided() -> Self {
        let message = Some("Not decided in time".to_owned());
        Self { message, retry_after: Some(Duration::from_secs(5)), ..Code::Busy.into() }
    }

    /// The server is about to end; there may be another soon.
    pub(crate) fn closing() -> Self {
        let message = Some("Server shutting down".to_owned());
        Self { message, retry_after: Some(Duration::from_secs(1)), ..Code::Busy.into() }
    }

    pub(crate) fn code(&self) -> Code {
        self.code
    }

    pub(crate) fn message(&self) -> &str {
        self.message.as_deref().unwrap_or(match self.code {
            Code::TransportUnknown => "Transport unknown",
            Code::UnknownSession => "Session ID unknown",
            Code::BadMethod => "Bad handshake method",
            Code::BadRequest => "Bad request",
            Code::Forbidden => "Forbidden",
            Code::UnsupportedVersion => "Unsupported protocol version",
            Code::Busy => "Too many connections",
            Code::Internal => "Internal error",
        })
    }

    fn status(&self) -> StatusCode {
        self.status.unwrap_or(match self.code {
            Code::Busy => StatusCode::SERVICE_UNAVAILABLE,
            Code::Forbidden => StatusCode::FORBIDDEN,
            Code::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::BAD_REQUEST,
        })
    }

    fn mark(&self, mut response: Response<Body>) -> Response<Body> {
        if let Some(wait) = self.retry_after {
            // Whole seconds, and never none: a client that comes back at once would be refused again.
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            response.headers_mut().insert(RETRY_AFTER, seconds.max(1).into());
        }
        response
    }

    /// What the application may want to see.
    pub(crate) fn report(&self, peer: Peer) -> ConnectionError {
        ConnectionError { code: self.code, message: self.message().to_owned(), context: self.context, peer }
    }

    /// The answer to a plain request: JSON with the number.
    pub(crate) fn response(&self) -> Response<Body> {
        let message = serde_json::Value::from(self.message());
        let body = format!("{{\"code\":{},\"message\":{message}}}", self.code.number());
        self.mark(respond(self.status(), "application/json", body))
    }

    /// The answer to a request for a WebSocket: the message, and the connection is closed.
    pub(crate) fn upgrade_response(&self) -> Response<Body> {
        // The official server says `text/html`, so what the application says must not be read as such.
        let message = self.message().replace('&', "&amp;").replace('<', "&lt;");
        let mut response = respond(self.status(), "text/html", message);
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        self.mark(response)
    }
}
