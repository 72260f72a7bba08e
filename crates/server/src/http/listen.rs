//! An accept loop of our own, for those who need no framework.

#[cfg(feature = "http2")]
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
#[cfg(feature = "http2")]
use http::{Request, Response};
#[cfg(feature = "http2")]
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
#[cfg(feature = "http2")]
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
#[cfg(unix)]
use tokio::net::UnixListener;

use super::counted::{Counted, full, seated};
use super::http1::{Speaker, converse};
use super::site::Site;
use super::tcp;
#[cfg(feature = "http2")]
use super::{
    layer::LayeredBody,
    request_body::RequestBody,
    service::answer,
    site::BesideBody,
    wear::{Owed, Wear},
};
use crate::core::{Core, Hold};
use crate::limits::Limit;
use crate::proxy::{self, Preface};
use crate::transport::io::Io;
#[cfg(feature = "http2")]
use crate::transport::{io::Stream, paced::Paced};

/// Pause after an accept that failed because something is exhausted, file descriptors as a rule.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Where connections come from.
pub(crate) enum Listener {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(UnixListener),
}

/// What those who connect speak first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spoken {
    Http,
    #[cfg(feature = "tls")]
    Tls,
}

/// What was accepted; no stream if there is no place for it.
type Accepted = (Option<Box<dyn Io>>, Option<SocketAddr>);

impl Listener {
    async fn accept(&self, core: &Core, spoken: Spoken) -> io::Result<Accepted> {
        match self {
            Self::Tcp(listener) => {
                let (stream, address) = listener.accept().await?;
                tcp::tune(&SockRef::from(&stream), core.config.heartbeat());
                let counted = Counted::new(core, stream, Some(address));
                let counted = counted.map_err(|(stream, limit)| turn_away(&SockRef::from(&stream), spoken, limit));
                Ok((boxed(counted), Some(address)))
            }
            #[cfg(unix)]
            Self::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                let counted = Counted::new(core, stream, None);
                let counted = counted.map_err(|(stream, limit)| turn_away(&SockRef::from(&stream), spoken, limit));
                Ok((boxed(counted), None))
            }
        }
    }
}

fn boxed<S: Io + 'static>(counted: Result<Counted<S>, ()>) -> Option<Box<dyn Io>> {
    counted.ok().map(|stream| Box::new(stream) as Box<dyn Io>)
}

/// Tells a client that there is no place for it, if it fits into the empty buffer of its socket, as it does.
fn turn_away(socket: &SockRef<'_>, spoken: Spoken, limit: Limit) {
    // Straight to the socket: the runtime does not know yet that it is writable. Whoever speaks TLS would not understand.
    if spoken == Spoken::Http
        && let Err(error) = socket.send(full(limit).as_bytes())
    {
        tracing::trace!(%error, "a client was not told that there are too many");
    }
}

/// Accepts connections until the server is closed, and has each served by a task of its own. Returns when these have
/// ended too, as far as the grace of the end allows.
pub(crate) async fn serve<F>(site: Site, listener: Listener, spoken: Spoken, serve_one: impl Fn(Box<Connection>) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let core = &site.core;
    let mut closing = core.closing();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept(core, spoken) => accepted,
            () = closing.wait() => break,
        };
        match accepted {
            Ok((None, _)) => {}
            Ok((Some(io), address)) => {
                let connection = Box::new(Connection::new(site.clone(), io, address));
                drop(tokio::spawn(serve_one(connection)));
            }
            Err(error) if is_about_one_client(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "no connection can be accepted at the moment");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    closing.wait_for_end().await;
}

fn is_about_one_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// One byte stream on which requests come. It stays where it is while it is served: what futures hold by value they hold
/// several times.
pub(crate) struct Connection {
    pub(crate) site: Site,
    pub(crate) io: Box<dyn Io>,
    pub(crate) speaker: Speaker,
    _hold: Hold,
}

impl Connection {
    pub(crate) fn new(site: Site, io: Box<dyn Io>, address: Option<SocketAddr>) -> Self {
        let hold = site.core.hold_connection();
        Self { site, io, speaker: Speaker { address, secured: false }, _hold: hold }
    }

    /// Lets the proxy in front of it speak first, if there is one: `None` if it does not say who the client is, or there
    /// is no place for more of that address.
    pub(crate) async fn announced(mut self: Box<Self>, spoken: Spoken) -> Option<Box<Self>> {
        let core = &self.site.core;
        if !core.config.proxy_protocol {
            return Some(self);
        }
        let limit = core.config.request_timeout;
        let mut closing = core.closing();
        let header = announced(core, &mut self.io, self.speaker.address);
        let header = tokio::select! {
            header = tokio::time::timeout(limit, header) => header,
            () = closing.wait() => return None,
        };
        match header {
            Ok(Ok(client)) => {
                self.speaker.address = client;
                return self.seated(spoken).map(Box::new);
            }
            Ok(Err(error)) => tracing::debug!(%error, "no header of the PROXY protocol"),
            Err(_) => tracing::debug!("no header of the PROXY protocol in time"),
        }
        None
    }

    /// Takes one of the places of the address that was announced.
    fn seated(self, spoken: Spoken) -> Option<Self> {
        match seated(&self.site.core, self.io, self.speaker.address) {
            Ok(io) => Some(Self { io, ..self }),
            Err((mut io, limit)) => {
                if spoken == Spoken::Http {
                    // Written now or never.
                    drop(io.write(full(limit).as_bytes()).now_or_never());
                }
                None
            }
        }
    }

    /// Serves the requests until the stream ends, or the server is closed and what was asked is answered.
    pub(crate) async fn serve(self: Box<Self>) {
        // What was needed on the way takes no room afterwards.
        match Box::pin(self.begun()).await {
            #[cfg(feature = "http2")]
            Some((this, begun, true)) => Box::pin(this.serve_http2(begun)).await,
            Some((this, begun, _)) => this.serve_http1(begun).await,
            None => {}
        }
    }

    /// Sees by how the client begins whether it speaks HTTP/2; with what was read for that.
    #[cfg(feature = "http2")]
    async fn begun(self: Box<Self>) -> Option<(Box<Self>, Bytes, bool)> {
        let mut this = self.announced(Spoken::Http).await?;
        let mut closing = this.site.core.closing();
        let limit = this.site.core.config.request_timeout;
        let begun = tokio::select! {
            begun = tokio::time::timeout(limit, super::preface::read(&mut *this.io)) => begun,
            () = closing.wait() => return None,
        };
        match begun {
            Ok(Ok((bytes, is_http2))) => return Some((this, bytes, is_http2)),
            Ok(Err(error)) => tracing::debug!(%error, "an HTTP connection ended"),
            Err(_) => tracing::debug!("a client connected and said nothing"),
        }
        None
    }

    #[cfg(not(feature = "http2"))]
    async fn begun(self: Box<Self>) -> Option<(Box<Self>, Bytes, bool)> {
        Some((self.announced(Spoken::Http).await?, Bytes::new(), false))
    }

    /// HTTP/1.1; `begun` are bytes that were read already.
    pub(crate) async fn serve_http1(self: Box<Self>, begun: Bytes) {
        converse(&self.site, self.io, begun, &self.speaker).await;
    }

    /// HTTP/2, with bounds on what a client can make the server keep.
    #[cfg(feature = "http2")]
    pub(crate) async fn serve_http2(self: Box<Self>, begun: Bytes) {
        let Self { site, io, speaker: Speaker { address, secured }, _hold } = *self;
        let mut closing = site.core.closing();
        let (max_head, limit) = (site.core.config.max_head, site.core.config.request_timeout);
        let wear = Wear::default();
        let used = wear.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            let (site, used) = (site.clone(), used.clone());
            async move { Ok::<_, Infallible>(answer_http2(&site, request, address, secured, &used).await) }
        });
        let http = http2::Builder::new(hyper_util::rt::TokioExecutor::new())
            .timer(TokioTimer::new())
            // Two requests at a time for each session; pages of one browser share a connection.
            .max_concurrent_streams(256)
            // Of the headers as they are when decoded, whatever their compression: measured before they are kept.
            .max_header_list_size(u32::try_from(max_head).unwrap_or(u32::MAX))
            .max_pending_accept_reset_streams(20)
            .max_local_error_reset_streams(64)
            .initial_stream_window_size(64 * 1024)
            .initial_connection_window_size(256 * 1024)
            .max_send_buf_size(64 * 1024)
            .keep_alive_interval(limit)
            .keep_alive_timeout(limit)
            .serve_connection(TokioIo::new(Paced::new(Stream::new(io, begun), limit)), service);
        let ending = async {
            tokio::select! {
                () = closing.wait() => {}
                () = wear.worn(limit) => tracing::debug!("an HTTP/2 connection was used enough, or not at all"),
            }
        };
        let mut http = std::pin::pin!(http);
        let result = tokio::select! {
            result = &mut http => result,
            () = ending => {
                // Requests which are being answered are answered; none follows.
                http.as_mut().graceful_shutdown();
                tokio::select! {
                    result = http => result,
                    () = wear.overdrawn() => return tracing::debug!("a client of HTTP/2 did not hear of the end"),
                }
            }
        };
        if let Err(error) = result {
            tracing::debug!(%error, "an HTTP connection ended");
        }
    }
}

#[cfg(feature = "http2")]
async fn answer_http2(
    site: &Site,
    request: Request<Incoming>,
    address: Option<SocketAddr>,
    secured: bool,
    wear: &Wear,
) -> Response<Owed<LayeredBody<BesideBody>>> {
    if let Some(beside) = site.beside(request.uri().path()) {
        let running = wear.begin(None);
        let response = beside.answer(&site.core, request.map(RequestBody::http2), address).await;
        return response.map(|body| running.owing(LayeredBody::Inner(Box::pin(body))));
    }
    let running = wear.begin(Some(request.uri().query().unwrap_or_default()));
    let response = answer(site.core.clone(), request, address, secured).await;
    response.map(|body| running.owing(LayeredBody::Ours(body)))
}

/// The address that a proxy announces by the PROXY protocol.
///
/// Its header is read byte by byte: what follows belongs to HTTP, and must not be read here.
async fn announced(core: &Core, stream: &mut Box<dyn Io>, peer: Option<SocketAddr>) -> io::Result<Option<SocketAddr>> {
    let trusted = &core.config.trusted;
    if !trusted.is_empty() && peer.is_none_or(|peer| !trusted.trusts(peer.ip())) {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "the proxy is not trusted"));
    }
    let mut header = Vec::with_capacity(64);
    loop {
        header.push(stream.read_u8().await?);
        match proxy::preface(&header) {
            Preface::Incomplete => {}
            Preface::Header { client, .. } => return Ok(client.or(peer)),
            Preface::Invalid => return Err(io::ErrorKind::InvalidData.into()),
        }
    }
}
