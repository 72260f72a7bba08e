//! A byte stream of any kind: TCP, TLS, Unix socket, or memory in tests.

use std::io::IoSlice;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What a WebSocket runs over.
pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// A stream and the bytes which an HTTP parser had read beyond its request.
pub(crate) struct Stream {
    io: Box<dyn Io>,
    /// Boxed because it is there only for an instant, if at all.
    read_before: Option<Box<Bytes>>,
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Stream")
    }
}

impl Stream {
    pub(crate) fn new(io: Box<dyn Io>, read_before: Bytes) -> Self {
        // An empty `Bytes` may still hold the parser's whole buffer alive: it is dropped here.
        Self { io, read_before: (!read_before.is_empty()).then(|| Box::new(read_before)) }
    }

    /// Puts bytes before those which are still to be read.
    pub(crate) fn unread(self, bytes: Bytes) -> Self {
        match self.read_before {
            Some(later) => Self::new(self.io, [&bytes[..], &later[..]].concat().into()),
            None => Self::new(self.io, bytes),
        }
    }

    /// Reads some bytes: `Ready(Ok(0))` is the end.
    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<std::io::Result<usize>> {
        if let Some(before) = &mut self.read_before {
            let n = before.len().min(buffer.len());
            before.copy_to_slice(&mut buffer[..n]);
            if before.is_empty() {
                self.read_before = None;
            }
            return Poll::Ready(Ok(n));
        }
        let mut buffer = ReadBuf::new(buffer);
        Pin::new(&mut *self.io).poll_read(cx, &mut buffer).map_ok(|()| buffer.filled().len())
    }

    /// Writes some of `bytes`.
    pub(crate) fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut *self.io).poll_write(cx, bytes)
    }

    /// Flushes what a TLS layer may hold back.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut *self.io).poll_flush(cx)
    }

    /// Says that nothing more will be written.
    pub(crate) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut *self.io).poll_shutdown(cx)
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        let this = self.get_mut();
        if this.read_before.is_none() {
            return Pin::new(&mut *this.io).poll_read(cx, buffer);
        }
        let read = Self::poll_read(this, cx, buffer.initialize_unfilled());
        read.map_ok(|n| buffer.advance(n))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut *self.get_mut().io).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut *self.get_mut().io).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut *self.get_mut().io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut *self.get_mut().io).poll_shutdown(cx)
    }
}
