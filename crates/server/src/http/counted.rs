//! Byte streams that are counted, and bounded in number.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::core::Core;
use crate::gate::Seat;
use crate::limits::Limit;
use crate::metrics::Metrics;
use crate::transport::io::Io;

/// What is said to those who are too many, as far as it can be said at once: as to those who are refused a session.
pub(crate) fn full(limit: Limit) -> String {
    let body = format!("{{\"code\":4,\"message\":\"{limit}\"}}");
    let head =
        "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nConnection: close\r\nContent-Type: application/json";
    format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// A byte stream that has one of the server's places for connections, and gives it back when dropped: whatever it becomes,
/// TLS, a WebSocket, keeps the place for as long as it is open.
#[derive(Debug)]
pub(crate) struct Counted<S, P = Place> {
    // Closed before the place is free.
    io: S,
    _place: P,
}

impl<S> Counted<S> {
    /// Gives the stream back if there is no place for it, in all or for its address, and says which. Behind a proxy that is yet to say the
    /// address, [`seated`] is to follow.
    pub(crate) fn new(core: &Core, io: S, address: Option<SocketAddr>) -> Result<Self, (S, Limit)> {
        let address = address.filter(|_| !core.config.proxy_protocol);
        match Place::take(core, address) {
            Ok(place) => Ok(Self { io, _place: place }),
            Err(limit) => Err((io, limit)),
        }
    }
}

/// Gives a stream that has a place one of those of its address, too; gives it back if there is none.
pub(crate) fn seated(
    core: &Core,
    io: Box<dyn Io>,
    address: Option<SocketAddr>,
) -> Result<Box<dyn Io>, (Box<dyn Io>, Limit)> {
    match seat(core, address) {
        Ok(None) => Ok(io),
        Ok(Some(seat)) => Ok(Box::new(Counted { io, _place: seat })),
        Err(limit) => Err((io, limit)),
    }
}

/// One of `max_connections`, and of those of an address.
#[derive(Debug)]
pub(crate) struct Place {
    metrics: Arc<Metrics>,
    // Boxed: as a rule there is none.
    _seat: Option<Box<Seat>>,
}

impl Place {
    fn take(core: &Core, address: Option<SocketAddr>) -> Result<Self, Limit> {
        let seat = seat(core, address)?.map(Box::new);
        let metrics = &core.metrics;
        if !metrics.connections.up_within(core.config.max_connections) {
            metrics.limits.up(Limit::Connections);
            tracing::debug!("a connection was refused: there are too many");
            return Err(Limit::Connections);
        }
        Ok(Self { metrics: Arc::clone(metrics), _seat: seat })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.metrics.connections.down();
    }
}

/// One of the places of an address, if these are bounded. A proxy that is trusted speaks for many.
fn seat(core: &Core, address: Option<SocketAddr>) -> Result<Option<Seat>, Limit> {
    let Some(address) = address.map(|address| address.ip()) else { return Ok(None) };
    if core.config.gate.connections_per_address.is_none() || core.config.trusted.trusts(address) {
        return Ok(None);
    }
    core.gate.seat(address, tokio::time::Instant::now().into_std()).inspect_err(|limit| {
        core.metrics.limits.up(*limit);
        tracing::debug!("a connection was refused: there are too many from its address");
    })
}

impl<S: AsyncRead + Unpin, P: Unpin> AsyncRead for Counted<S, P> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin, P: Unpin> AsyncWrite for Counted<S, P> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}
