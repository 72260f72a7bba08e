//! What a request wants, or which error it gets.                                          [EIO4 "HTTP long-polling"]

use std::net::SocketAddr;
use std::sync::Arc;

use http::header::{CONNECTION, UPGRADE};
use http::{Method, Version, request};
use sockeye_engine::Revision;
use sockeye_engine::handshake::{Query, TransportName};
use sockeye_protocol::OwnedArgs;

use super::denial::{Code, Denial};
use crate::core::Core;
use crate::cors::Page;
use crate::hooks::ErrorContext;
use crate::link::Link;
use crate::peer::{Handshake, Peer};
use crate::transport::carrier::Carrier;

/// Address of the other end, as an extension of a request.
///
/// [`Server::listen`](crate::Server::listen) sets it; inside of a framework the application may, for
/// [`Peer::address`](crate::Peer::address) to know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerAddr(pub SocketAddr);

/// Marks a request that came over TLS.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Secured;

/// What a request wants.
pub(crate) enum Route {
    /// Open a session.
    Open(Opening),
    /// Wait for packets.
    Poll(Arc<Link>),
    /// Bring packets.
    Post(Arc<Link>),
    /// Go over to a WebSocket.
    Upgrade(Arc<Link>),
    /// Go over to a WebSocket, where one is there or on its way.
    Surplus(Arc<Link>),
    /// A method that means nothing for a session.
    Unsupported,
}

/// The session that a request wants to open.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Opening {
    pub(crate) carrier: Carrier,
    pub(crate) revision: Revision,
    pub(crate) takes_binary: bool,
}

/// Decides about a request, in the order of the official server's checks.
pub(crate) fn route(core: &Core, parts: &request::Parts, page: Page) -> Result<Route, Denial> {
    let query = Query::parse(parts.uri.query().unwrap_or(""));
    // WebTransport comes over HTTP/3, and never here.
    let known = |name: &TransportName| core.config.allows(*name) && *name != TransportName::Webtransport;
    let transport = query.transport().filter(known).ok_or(Code::TransportUnknown)?;
    let stream = transport == TransportName::Websocket;
    let upgrade = is_upgrade(parts);
    if query.jsonp.is_some() && !stream && !core.config.jsonp {
        return Err(Denial::bad_request(ErrorContext::TransportHandshake));
    }
    // Browsers let any page open a WebSocket; the rest they guard themselves.
    if upgrade && page == Page::Stranger {
        return Err(Denial::stranger());
    }
    if let Some(sid) = &query.sid {
        let link = session(core, sid, query.revision())?;
        if stream != upgrade {
            if stream {
                // Most likely a proxy has taken the handshake away.
                core.metrics.upgrades_failed.up();
            }
            return Err(Denial::bad_request(ErrorContext::TransportMismatch));
        }
        return continued(link, stream, &parts.method);
    }
    if parts.method != Method::GET {
        return Err(Code::BadMethod.into());
    }
    if stream != upgrade {
        return Err(Denial::bad_request(ErrorContext::TransportHandshake));
    }
    let revision = query.revision().filter(|revision| core.config.speaks(*revision));
    let revision = revision.ok_or(Code::UnsupportedVersion)?;
    let carrier = if stream { Carrier::Websocket } else { Carrier::Polling };
    Ok(Route::Open(Opening { carrier, revision, takes_binary: !query.b64 && query.jsonp.is_none() }))
}

/// The session of this id.
pub(crate) fn session(core: &Core, sid: &str, revision: Option<Revision>) -> Result<Arc<Link>, Denial> {
    let link = core.table.get(sid).filter(|link| !link.is_ended()).ok_or(Code::UnknownSession)?;
    if revision != Some(link.revision) {
        return Err(Denial::bad_request(ErrorContext::ProtocolMismatch));
    }
    Ok(link)
}

fn continued(link: Arc<Link>, stream: bool, method: &Method) -> Result<Route, Denial> {
    let mismatch = Denial::bad_request(ErrorContext::TransportMismatch);
    match (stream, method) {
        (true, _) if link.begin_upgrade() => Ok(Route::Upgrade(link)),
        (true, _) => Ok(Route::Surplus(link)),
        (false, _) if link.carrier().is_stream() => Err(mismatch),
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

/// Makes the session known.
pub(crate) fn enter(core: &Core, link: &Arc<Link>) -> Result<(), Denial> {
    match core.enter(link) {
        true => Ok(()),
        false if core.config.hooks.generate_id.is_some() => Err(Denial::bad_request(ErrorContext::IdGeneration)),
        // The random source repeats itself, or the server is going down.
        false => Err(Code::BadRequest.into()),
    }
}

/// Who asks, as far as requests tell.
pub(crate) fn request_peer(parts: &request::Parts) -> Peer {
    Peer::new(Arc::new(handshake(parts)), OwnedArgs::default(), None)
}

/// The request, as far as it is remembered.
fn handshake(parts: &request::Parts) -> Handshake {
    let address = parts.extensions.get::<PeerAddr>().map(|address| address.0);
    let secure = parts.extensions.get::<Secured>().is_some()
        || parts.uri.scheme().is_some_and(|scheme| *scheme == http::uri::Scheme::HTTPS);
    Handshake::new(&parts.uri, &parts.headers, address, secure)
}
