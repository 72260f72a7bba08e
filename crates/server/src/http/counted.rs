//! Byte streams that are counted, and bounded in number.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::core::Core;
use crate::limits::Limit;
use crate::metrics::Metrics;

/// What is said to those who are too many, as far as it can be said at once.
pub(crate) const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nConnection: close\r\n\
    Content-Type: text/plain\r\nContent-Length: 20\r\n\r\nToo many connections";

/// A byte stream that has one of the server's places for connections, and gives it back when dropped: whatever it becomes,
/// TLS, a WebSocket, keeps the place for as long as it is open.
#[derive(Debug)]
pub(crate) struct Counted<S> {
    // Closed before the place is free.
    io: S,
    _place: Place,
}

impl<S> Counted<S> {
    /// Gives the stream back if there is no place for it.
    pub(crate) fn new(core: &Core, io: S) -> Result<Self, S> {
        match Place::take(core) {
            Some(place) => Ok(Self { io, _place: place }),
            None => Err(io),
        }
    }
}

/// One of `max_connections`.
#[derive(Debug)]
struct Place(Arc<Metrics>);

impl Place {
    fn take(core: &Core) -> Option<Self> {
        let metrics = &core.metrics;
        if !metrics.connections.up_within(core.config.max_connections) {
            metrics.limits.up(Limit::Connections);
            tracing::debug!("a connection was refused: there are too many");
            return None;
        }
        Some(Self(Arc::clone(metrics)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.connections.down();
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
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
