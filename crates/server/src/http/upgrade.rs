//! From an HTTP request to a WebSocket.                                                                [RFC 6455 §4.2]

use std::sync::Arc;

use bytes::Bytes;
use futures_channel::oneshot;
use http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_PROTOCOL, UPGRADE};
use http::{HeaderName, HeaderValue, Response, StatusCode, request};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto;
use sockeye_engine::ws;
use sockeye_engine::ws::deflate::Params;
use tokio::net::TcpStream;

use super::Body;
use super::denial::{Code, Denial};
use super::handover::Handover;
use super::response::{closing, empty, respond};
use super::route::{enter, request_peer};
use crate::compression::Deflate;
use crate::config::Config;
use crate::core::Core;
use crate::link::{Link, Request};
use crate::panics::Panicked;
use crate::session::task::Task;
use crate::transport::carrier::Carrier;
use crate::transport::io::Stream;
use crate::transport::paced::Paced;
use crate::transport::stream::{Framing, StreamTransport};
use crate::transport::websocket::{Form, WebSocket};

/// Opens a session with a WebSocket.
pub(crate) fn open_stream(
    core: &Arc<Core>,
    parts: &mut request::Parts,
    link: Arc<Link>,
) -> Result<Response<Body>, Denial> {
    let Switched { mut response, coming, params } = match switch(parts, &core.config) {
        Ok(switched) => switched,
        Err(refusal) => return Ok(refusal),
    };
    enter(core, &link)?;
    if let Err(panicked) = see_headers(&core.config, &mut response, parts, true) {
        core.table.remove(&link);
        return Err(panicked.into());
    }
    let core = Arc::clone(core);
    tokio::spawn(async move {
        match coming.stream().await {
            Some(stream) => {
                let socket = websocket(stream, &link, params);
                let now = tokio::time::Instant::now().into_std();
                Task::streaming(Arc::clone(&core), link, socket, now).spawn();
            }
            None => {
                core.table.remove(&link);
            }
        }
    });
    Ok(response)
}

/// Lets a polling session go over to a WebSocket.
pub(crate) fn upgrade(core: &Core, link: Arc<Link>, parts: &mut request::Parts) -> Result<Response<Body>, Denial> {
    let Switched { mut response, coming, params } = match switch(parts, &link.config) {
        Ok(switched) => switched,
        Err(refusal) => {
            core.metrics.upgrades_failed.up();
            link.set_carrier(Carrier::Polling);
            return Ok(refusal);
        }
    };
    if let Err(panicked) = see_headers(&link.config, &mut response, parts, false) {
        drop(link.request(Request::UpgradeGone));
        return Err(panicked.into());
    }
    tokio::spawn(async move {
        let request = match coming.stream().await {
            Some(stream) => Request::Upgrade(Box::new(websocket(stream, &link, params))),
            None => Request::UpgradeGone,
        };
        // If the session has ended meanwhile, the stream is dropped here and thereby closed.
        drop(link.request(request));
    });
    Ok(response)
}

/// Opens a WebSocket for a session that has one already, only to close it: as the official server does.
pub(crate) fn surplus(link: &Arc<Link>, parts: &mut request::Parts) -> Result<Response<Body>, Denial> {
    let Switched { mut response, coming, .. } = match switch(parts, &link.config) {
        Ok(switched) => switched,
        Err(refusal) => return Ok(refusal),
    };
    see_headers(&link.config, &mut response, parts, false)?;
    let link = Arc::clone(link);
    tokio::spawn(async move {
        if let Some(stream) = coming.stream().await {
            websocket(stream, &link, None).close(None, ()).await;
        }
    });
    Ok(response)
}

/// Lets the application change the headers of a response that switches protocols: before anybody waits for the stream, as
/// hyper hands it over whatever the response has become.
fn see_headers(
    config: &Config,
    response: &mut Response<Body>,
    parts: &request::Parts,
    first: bool,
) -> Result<(), Panicked> {
    config.hooks.see_headers(response.headers_mut(), || request_peer(parts), first)
}

fn websocket(stream: Stream, link: &Link, params: Option<Params>) -> StreamTransport {
    let form = Form::new(link.revision, link.takes_binary);
    let limits = ws::Limits { max_message: link.max_payload(), max_fragments: link.config.max_fragments };
    let socket = WebSocket::new(form, limits);
    let socket = match (params, link.config.deflate) {
        (Some(params), Some(knobs)) => socket.with_deflate(params, knobs),
        _ => socket,
    };
    StreamTransport::new(stream, Framing::Websocket(socket))
}

/// The response that switches protocols, the stream to come, and the compression agreed upon.
struct Switched {
    response: Response<Body>,
    coming: Coming,
    params: Option<Params>,
}

/// The stream of a connection whose protocol is being switched.
enum Coming {
    Own(oneshot::Receiver<Stream>),
    Hyper(OnUpgrade),
}

impl Coming {
    fn of(request: &mut request::Parts) -> Option<Self> {
        let own = request.extensions.remove::<Handover>().and_then(|handover| handover.take());
        own.map(Self::Own).or_else(|| request.extensions.remove().map(Self::Hyper))
    }

    /// The stream; `None` if the client has gone meanwhile.
    async fn stream(self) -> Option<Stream> {
        match self {
            Self::Own(stream) => stream.await.ok(),
            Self::Hyper(upgraded) => upgraded.await.ok().map(into_stream),
        }
    }
}

#[expect(clippy::result_large_err, reason = "the error is the response, and is returned once")]
fn switch(parts: &mut request::Parts, config: &Config) -> Result<Switched, Response<Body>> {
    let headers = parts.headers.iter().map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()));
    let options = config.deflate.map(Deflate::options);
    let accepted = ws::handshake::accept(parts.method.as_str().as_bytes(), headers, options.as_ref(), |_| true);
    let accepted = accepted.map_err(refuse)?;
    let params = accepted.deflate;
    let mut response = empty(StatusCode::SWITCHING_PROTOCOLS);
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    insert(headers, SEC_WEBSOCKET_ACCEPT, Some(accepted.accept()));
    insert(headers, SEC_WEBSOCKET_EXTENSIONS, accepted.extensions().as_deref());
    insert(headers, SEC_WEBSOCKET_PROTOCOL, accepted.protocol);
    Coming::of(parts)
        .map(|coming| Switched { response, coming, params })
        .ok_or_else(|| Denial::from(Code::BadRequest).upgrade_response())
}

fn insert(headers: &mut http::HeaderMap, name: HeaderName, value: Option<&str>) {
    // Tokens and base64 are always valid values.
    if let Some(value) = value.and_then(|value| HeaderValue::from_str(value).ok()) {
        headers.insert(name, value);
    }
}

fn refuse(refusal: ws::handshake::Refusal) -> Response<Body> {
    let status = StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::BAD_REQUEST);
    let mut response = respond(status, "text/html", refusal.to_string());
    if let Some((name, value)) = refusal.header() {
        response.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    closing(response)
}

/// The stream itself where it is known, without hyper's wrapper and without its read buffer: the buffer is empty as a
/// rule, but would keep 8 KiB alive for as long as the connection. Frameworks serve TCP as it is.
fn into_stream(upgraded: Upgraded) -> Stream {
    let upgraded = match upgraded.downcast::<TokioIo<Paced<Stream>>>() {
        Ok(parts) => return parts.io.into_inner().into_inner().unread(&parts.read_buf),
        Err(upgraded) => upgraded,
    };
    let upgraded = match upgraded.downcast::<TokioIo<Paced<TcpStream>>>() {
        Ok(parts) => return Stream::new(Box::new(parts.io.into_inner().into_inner()), parts.read_buf),
        Err(upgraded) => upgraded,
    };
    let upgraded = match upgraded.downcast::<TokioIo<TcpStream>>() {
        Ok(parts) => return Stream::new(Box::new(parts.io.into_inner()), parts.read_buf),
        Err(upgraded) => upgraded,
    };
    match auto::upgrade::downcast::<TokioIo<TcpStream>>(upgraded) {
        Ok(parts) => Stream::new(Box::new(parts.io.into_inner()), parts.read_buf),
        Err(upgraded) => Stream::new(Box::new(TokioIo::new(upgraded)), Bytes::new()),
    }
}
