//! What a request wants, or which error it gets.                                          [EIO4 "HTTP long-polling"]

use std::net::SocketAddr;
use std::sync::Arc;

use http::header::{CONNECTION, CONTENT_TYPE, UPGRADE};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Version, request};
use sockeye_engine::handshake::{Query, TransportName};
use sockeye_engine::{Revision, Sid};

use super::Body;
use crate::link::{Carrier, Link, Opening};
use crate::peer::Handshake;
use crate::server::Core;

/// Address of the other end, as an extension of a request.
///
/// [`Server::listen`](crate::Server::listen) sets it; inside of a framework the application may, for
/// [`Peer::address`](crate::Peer::address) to know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerAddr(pub SocketAddr);

/// The errors of the Engine.IO protocol, with their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    TransportUnknown = 0,
    UnknownSession = 1,
    BadMethod = 2,
    BadRequest = 3,
    Forbidden = 4,
    UnsupportedVersion = 5,
}

impl Refused {
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

    /// The answer to a plain request: JSON with the number.
    pub(crate) fn response(self) -> Response<Body> {
        let status = if self == Self::Forbidden { StatusCode::FORBIDDEN } else { StatusCode::BAD_REQUEST };
        let body = format!("{{\"code\":{},\"message\":\"{}\"}}", self as u8, self.message());
        respond(status, "application/json", body)
    }

    /// The answer to a request for a WebSocket: the message, and the connection is closed.
    pub(crate) fn upgrade_response(self) -> Response<Body> {
        let status = if self == Self::Forbidden { StatusCode::FORBIDDEN } else { StatusCode::BAD_REQUEST };
        let mut response = respond(status, "text/html", self.message());
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        response
    }
}

/// A response of one piece.
pub(crate) fn respond(status: StatusCode, content_type: &'static str, body: impl Into<bytes::Bytes>) -> Response<Body> {
    let mut response = Response::new(Body::new(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// What a request wants.
pub(crate) enum Route {
    /// Open a session with long-polling.
    OpenPolling { revision: Revision, takes_binary: bool },
    /// Open a session with a WebSocket.
    OpenStream { revision: Revision, takes_binary: bool },
    /// Wait for packets.
    Poll(Arc<Link>),
    /// Bring packets.
    Post(Arc<Link>),
    /// Go over to a WebSocket.
    Upgrade(Arc<Link>),
    /// A method that means nothing for a session.
    Unsupported,
}

/// Decides about a request, in the order of the official server's checks.
pub(crate) fn route(core: &Core, parts: &request::Parts) -> Result<Route, Refused> {
    let query = Query::parse(parts.uri.query().unwrap_or(""));
    let transport = query.transport().filter(|name| core.config.allows(*name)).ok_or(Refused::TransportUnknown)?;
    let stream = transport == TransportName::Websocket;
    let upgrade = is_upgrade(parts);
    if let Some(sid) = &query.sid {
        let link = core.table.get(sid).filter(|link| !link.is_ended()).ok_or(Refused::UnknownSession)?;
        if query.revision() != Some(link.revision) || stream != upgrade {
            return Err(Refused::BadRequest);
        }
        return continued(link, stream, &parts.method);
    }
    if parts.method != Method::GET {
        return Err(Refused::BadMethod);
    }
    if stream != upgrade {
        return Err(Refused::BadRequest);
    }
    if upgrade && !core.config.origins.allows(&parts.headers) {
        return Err(Refused::Forbidden);
    }
    let revision = query.revision().filter(|revision| core.config.speaks(*revision));
    let revision = revision.ok_or(Refused::UnsupportedVersion)?;
    let takes_binary = !query.b64;
    Ok(if stream {
        Route::OpenStream { revision, takes_binary }
    } else {
        Route::OpenPolling { revision, takes_binary }
    })
}

fn continued(link: Arc<Link>, stream: bool, method: &Method) -> Result<Route, Refused> {
    match (stream, method) {
        (true, _) if link.begin_upgrade() => Ok(Route::Upgrade(link)),
        (true, _) => Err(Refused::BadRequest),
        (false, _) if link.carrier() == Carrier::Stream => Err(Refused::BadRequest),
        (false, &Method::GET) => Ok(Route::Poll(link)),
        (false, &Method::POST) => Ok(Route::Post(link)),
        (false, _) => Ok(Route::Unsupported),
    }
}

fn is_upgrade(parts: &request::Parts) -> bool {
    parts.version == Version::HTTP_11
        && parts.headers.contains_key(CONNECTION)
        && parts.headers.get(UPGRADE).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// A session that a request opens.
pub(crate) fn open(
    core: &Core,
    parts: &request::Parts,
    revision: Revision,
    takes_binary: bool,
    carrier: Carrier,
) -> Option<Arc<Link>> {
    let sid = Sid::new(Core::random_id());
    let link = Link::new(
        Opening { sid, revision, takes_binary, handshake: handshake(parts), carrier },
        Arc::clone(&core.config),
        Arc::clone(&core.metrics),
    );
    let link = Arc::new(link);
    // False only if the random source repeats itself, or the server is going down.
    core.enter(&link).then_some(link)
}

fn handshake(parts: &request::Parts) -> Handshake {
    let address = parts.extensions.get::<PeerAddr>().map(|address| address.0);
    let secure = parts.uri.scheme().is_some_and(|scheme| *scheme == http::uri::Scheme::HTTPS);
    Handshake::new(&parts.uri, &parts.headers, address, secure)
}

/// Whether the client says that a body is binary.
pub(crate) fn is_binary(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes() == b"application/octet-stream")
}
