//! Requests that are refused.                                                    [JS engine.io 6.6 server.ts Server.errors]

use http::header::CONNECTION;
use http::{HeaderValue, Response, StatusCode};

use super::Body;
use super::response::respond;
use crate::error::Refusal;
use crate::hooks::{ConnectionError, ErrorContext};
use crate::peer::Peer;

/// The errors of the Engine.IO protocol, with their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    TransportUnknown = 0,
    UnknownSession = 1,
    BadMethod = 2,
    BadRequest = 3,
    Forbidden = 4,
    UnsupportedVersion = 5,
}

impl Code {
    fn message(self) -> &'static str {
        match self {
            Self::TransportUnknown => "Transport unknown",
            Self::UnknownSession => "Session ID unknown",
            Self::BadMethod => "Bad handshake method",
            Self::BadRequest => "Bad request",
            Self::Forbidden => "Forbidden",
            Self::UnsupportedVersion => "Unsupported protocol version",
        }
    }
}

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Denial {
    code: Code,
    /// What the application said instead of the message that belongs to the code.
    message: Option<String>,
    context: Option<ErrorContext>,
}

impl From<Code> for Denial {
    fn from(code: Code) -> Self {
        Self { code, message: None, context: None }
    }
}

impl Denial {
    pub(crate) fn bad_request(context: ErrorContext) -> Self {
        Self { context: Some(context), ..Code::BadRequest.into() }
    }

    /// A page of another origin.
    pub(crate) fn stranger() -> Self {
        Self { context: Some(ErrorContext::InvalidOrigin), ..Code::Forbidden.into() }
    }

    /// The application said no.
    pub(crate) fn forbidden(refusal: &Refusal) -> Self {
        Self { message: Some(refusal.message.clone()), ..Code::Forbidden.into() }
    }

    fn message(&self) -> &str {
        self.message.as_deref().unwrap_or(self.code.message())
    }

    fn status(&self) -> StatusCode {
        if self.code == Code::Forbidden { StatusCode::FORBIDDEN } else { StatusCode::BAD_REQUEST }
    }

    /// What the application may want to see.
    pub(crate) fn report(&self, peer: Peer) -> ConnectionError {
        ConnectionError { code: self.code as u8, message: self.message().to_owned(), context: self.context, peer }
    }

    /// The answer to a plain request: JSON with the number.
    pub(crate) fn response(&self) -> Response<Body> {
        let message = serde_json::Value::from(self.message());
        let body = format!("{{\"code\":{},\"message\":{message}}}", self.code as u8);
        respond(self.status(), "application/json", body)
    }

    /// The answer to a request for a WebSocket: the message, and the connection is closed.
    pub(crate) fn upgrade_response(&self) -> Response<Body> {
        // The official server says `text/html`, so what the application says must not be read as such.
        let message = self.message().replace('&', "&amp;").replace('<', "&lt;");
        let mut response = respond(self.status(), "text/html", message);
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        response
    }
}
