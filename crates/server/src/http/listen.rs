//! An accept loop of our own, for those who need no framework.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

use super::response::respond;
use super::route::PeerAddr;
use super::{Body, SocketService};
use crate::core::Core;
use crate::proxy::{self, Preface};
use crate::transport::io::Io;

/// How long a client may take for the head of a request.
const HEAD_DEADLINE: Duration = Duration::from_secs(30);
/// Pause after an accept that failed because something is exhausted, file descriptors as a rule.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Accepts connections until the server is closed.
pub(crate) async fn serve(core: Arc<Core>, listener: TcpListener) -> io::Result<()> {
    let mut closing = core.closing();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = closing.wait() => return Ok(()),
        };
        match accepted {
            Ok((stream, address)) => {
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::trace!(%error, "TCP_NODELAY not set");
                }
                tokio::spawn(connection(Arc::clone(&core), Box::new(stream), Some(address)));
            }
            Err(error) if is_about_one_client(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "no connection can be accepted at the moment");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn is_about_one_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// Serves the requests of one byte stream until it ends, or the server is closed and what was asked is answered.
pub(crate) async fn connection(core: Arc<Core>, mut stream: Box<dyn Io>, mut address: Option<SocketAddr>) {
    if core.config.proxy_protocol {
        let announced = announced(&core, &mut stream, address);
        match tokio::time::timeout(HEAD_DEADLINE, announced).await {
            Ok(Ok(client)) => address = client,
            Ok(Err(error)) => return tracing::debug!(%error, "no header of the PROXY protocol"),
            Err(_) => return tracing::debug!("no header of the PROXY protocol in time"),
        }
    }
    let mut closing = core.closing();
    let service = service_fn(move |request| answer(Arc::clone(&core), request, address));
    let http = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_DEADLINE)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut http = std::pin::pin!(http);
    let result = tokio::select! {
        result = &mut http => result,
        () = closing.wait() => {
            // Requests which are being answered are answered; none follows.
            http.as_mut().graceful_shutdown();
            http.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "an HTTP connection ended");
    }
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

async fn answer(
    core: Arc<Core>,
    mut request: Request<Incoming>,
    address: Option<SocketAddr>,
) -> Result<Response<Body>, Infallible> {
    if !core.config.is_path(request.uri().path()) {
        return Ok(respond(StatusCode::NOT_FOUND, "text/plain", "Not found"));
    }
    if let Some(address) = address {
        request.extensions_mut().insert(PeerAddr(address));
    }
    Ok(SocketService::new(core).answer(request).await)
}
