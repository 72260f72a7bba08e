//! One client: from its request to its session, through the gates of all transports.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::HOST;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, request};
use sockeye_engine::wt::{Decoder, Hello};
use sockeye_engine::{Revision, Sid};
use tokio::time::timeout;
use wtransport::endpoint::{IncomingSessionFuture, SessionRequest};
use wtransport::quinn::Incoming;
use wtransport::{Connection, RecvStream, SendStream};

use super::quic;
use super::stream::{SessionStream, reject};
use crate::core::Core;
use crate::cors::Page;
use crate::hooks::ErrorContext;
use crate::http::PeerAddr;
use crate::http::denial::{Code, Denial};
use crate::http::open::{admit, note_denial};
use crate::http::route::{Opening, Secured, enter, request_peer};
use crate::link::{Link, Request as LinkRequest};
use crate::session::task::Task;
use crate::transport::carrier::Carrier;
use crate::transport::io::Stream;
use crate::transport::stream::{Framing, StreamTransport};
use crate::transport::webtransport::WebTransport;

/// How long a client may take for its QUIC handshake and its request.
const DEADLINE: Duration = Duration::from_secs(10);
/// How long it is waited for it to have received a refusal.
const REFUSAL: Duration = Duration::from_secs(1);
/// Longest first packet: room for the longest id, however it is escaped.
const MAX_HELLO: usize = 1024;

/// Serves one connection until its session has a task of its own, or none is to be.
pub(super) async fn receive(core: Arc<Core>, incoming: Incoming) {
    let request = match timeout(DEADLINE, IncomingSessionFuture::with_quic_incoming(incoming)).await {
        Ok(Ok(request)) => request,
        Ok(Err(error)) => return tracing::debug!(%error, "a QUIC connection ended"),
        Err(_) => return tracing::debug!("a client of QUIC did not ask for a session in time"),
    };
    let Some(parts) = parts(&core, &request).filter(|parts| core.config.answers(parts.uri.path())) else {
        drop(timeout(REFUSAL, request.not_found()).await);
        return;
    };
    let headers = match may_come(&core, &parts).and_then(|()| headers(&core, &parts)) {
        Ok(headers) => headers,
        Err(denial) => {
            note_denial(&core, &parts, &denial);
            // The library knows no other status that fits.
            drop(timeout(REFUSAL, request.forbidden()).await);
            return;
        }
    };
    let answer = request.accept_with_headers(headers);
    let Ok(Ok(session)) = timeout(DEADLINE, answer).await else {
        return tracing::debug!("a client of WebTransport left before it was answered");
    };
    let gone = session.clone();
    tokio::select! {
        () = converse(&core, &parts, session) => {}
        _ = gone.closed() => tracing::debug!("a client of WebTransport left before it had a session"),
    }
}

/// The request as the rest of the server knows requests.
fn parts(core: &Core, request: &SessionRequest) -> Option<request::Parts> {
    let uri: Uri = request.path().parse().ok().filter(|uri: &Uri| uri.path().starts_with('/'))?;
    let mut made = Request::builder().method(Method::CONNECT).uri(uri);
    let headers = made.headers_mut()?;
    for (name, value) in request.headers() {
        // Those that begin with a colon belong to HTTP/3.
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            headers.append(name, value);
        }
    }
    headers.insert(HOST, HeaderValue::try_from(request.authority()).ok()?);
    let (mut parts, ()) = made.body(()).ok()?.into_parts();
    let address = core.config.trusted.client(request.remote_address(), &parts.headers);
    parts.extensions.insert(PeerAddr(address));
    parts.extensions.insert(Secured);
    Some(parts)
}

/// What can be said before it is known whether it is a new session.
fn may_come(core: &Core, parts: &request::Parts) -> Result<(), Denial> {
    match core.config.cors.judge(parts)? {
        Page::Welcome => Ok(()),
        Page::Stranger => Err(Denial::stranger()),
    }
}

/// The headers that the application adds to the answer.
fn headers(core: &Core, parts: &request::Parts) -> Result<Vec<(String, String)>, Denial> {
    let mut headers = HeaderMap::new();
    core.config.hooks.see_headers(&mut headers, || request_peer(parts), false)?;
    let text = |(name, value): (&HeaderName, &HeaderValue)| Some((name.to_string(), value.to_str().ok()?.to_owned()));
    Ok(headers.iter().filter_map(text).collect())
}

/// Waits for the stream and its first packet, and does what that asks for.
async fn converse(core: &Arc<Core>, parts: &request::Parts, session: Connection) {
    let done = match timeout(core.config.engine.upgrade_timeout, hello(&session)).await {
        Ok(Ok((hello, stream))) => match hello {
            Some(Hello::Open) => open(core, parts, stream).await,
            Some(Hello::Upgrade(sid)) => upgrade(core, &sid, stream),
            None => Err(Denial::bad_request(ErrorContext::TransportHandshake)),
        },
        Ok(Err(error)) => return tracing::debug!(%error, "a client of WebTransport left before it said anything"),
        Err(_) => Err(Denial::bad_request(ErrorContext::TransportHandshake)),
    };
    if let Err(denial) = done {
        note_denial(core, parts, &denial);
        reject(&session, denial.message());
    }
}

/// A stream whose first packet was read.
struct Begun {
    session: Connection,
    stream: (SendStream, RecvStream),
    /// What came behind it.
    rest: Bytes,
}

/// The first packet, if it is one, and the stream behind it.
async fn hello(session: &Connection) -> io::Result<(Option<Hello>, Begun)> {
    let (send, mut receive) = session.accept_bi().await.map_err(io::Error::other)?;
    let (hello, rest) = read_hello(&mut receive).await?;
    Ok((hello, Begun { session: session.clone(), stream: (send, receive), rest }))
}

async fn read_hello(receive: &mut RecvStream) -> io::Result<(Option<Hello>, Bytes)> {
    let (mut decoder, mut buffer) = (Decoder::new(MAX_HELLO), [0; MAX_HELLO]);
    loop {
        let read = receive.read(&mut buffer).await.map_err(io::Error::other)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        match decoder.decode(&buffer[..read]) {
            Ok((_, None)) => {}
            Ok((used, Some(item))) => {
                let hello = Hello::parse(item);
                return Ok((hello, Bytes::copy_from_slice(&buffer[used..read])));
            }
            Err(error) => {
                tracing::debug!(%error, "no first packet");
                return Ok((None, Bytes::new()));
            }
        }
    }
}

/// Opens a session.
async fn open(core: &Arc<Core>, parts: &request::Parts, stream: Begun) -> Result<(), Denial> {
    let opening = Opening { carrier: Carrier::Webtransport, revision: Revision::V4, takes_binary: true };
    let link = admit(core, parts, opening).await?;
    enter(core, &link)?;
    let now = tokio::time::Instant::now().into_std();
    let stream = transport(stream, &link);
    Task::streaming(Arc::clone(core), link, stream, now).spawn();
    Ok(())
}

/// Lets a polling session go over to the stream.
fn upgrade(core: &Core, sid: &Sid, stream: Begun) -> Result<(), Denial> {
    let link = core.table.get(sid.as_str()).filter(|link| !link.is_ended()).ok_or(Code::UnknownSession)?;
    if link.revision != Revision::V4 {
        return Err(Denial::bad_request(ErrorContext::ProtocolMismatch));
    }
    if !link.begin_upgrade() {
        return Err(Denial::bad_request(ErrorContext::TransportMismatch));
    }
    let stream = Box::new(transport(stream, &link));
    // If the session has ended meanwhile, the stream is dropped here and thereby closed.
    drop(link.request(LinkRequest::Upgrade(stream)));
    Ok(())
}

fn transport(stream: Begun, link: &Link) -> StreamTransport {
    let Begun { session, stream, rest } = stream;
    let connection = session.quic_connection().clone();
    let io = SessionStream::new(session, stream);
    let framing =
        Framing::Webtransport(WebTransport::new(link.max_payload(), io.ending(), move || quic::widen(&connection)));
    StreamTransport::new(Stream::new(Box::new(io), rest), framing)
}
