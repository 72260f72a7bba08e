//! A byte stream of any kind: TCP, TLS, Unix socket, or memory in tests.

use std::io::IoSlice;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What a WebSocket runs over.
pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// Most of what was read before that is given out at a time, so that little is put back if it was too much.
const PIECE: usize = 4 * 1024;

/// A stream and the bytes which were read from it too early: by an HTTP parser beyond its request, or of a client
/// whose handlers are behind.
pub(crate) struct Stream {
    io: Box<dyn Io>,
    /// Boxed because it is rare.
    ahead: Option<Box<Ahead>>,
}

/// What was read too early.
#[derive(Default)]
struct Ahead {
    bytes: Vec<u8>,
    /// How many of them were given out. They are kept until the next read, as some may be put back.
    given: usize,
}

impl Ahead {
    fn left(&self) -> &[u8] {
        self.bytes.get(self.given..).unwrap_or_default()
    }
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Stream")
    }
}

impl Stream {
    /// `read_before` is copied, since it may hold the parser's whole buffer alive.
    pub(crate) fn new(io: Box<dyn Io>, read_before: Bytes) -> Self {
        let mut stream = Self { io, ahead: None };
        stream.put_back(&read_before);
        stream
    }

    /// Puts bytes before those which are still to be read.
    pub(crate) fn unread(mut self, bytes: &[u8]) -> Self {
        self.put_back(bytes);
        self
    }

    /// Puts bytes before those which are still to be read.
    pub(crate) fn put_back(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let ahead = self.ahead.get_or_insert_default();
        let given = ahead.bytes.get(..ahead.given).unwrap_or_default();
        if given.ends_with(bytes) {
            // They came from here.
            ahead.given -= bytes.len();
        } else {
            **ahead = Ahead { bytes: [bytes, ahead.left()].concat(), given: 0 };
        }
    }

    /// How many bytes were read too early.
    pub(crate) fn ahead(&self) -> usize {
        self.ahead.as_ref().map_or(0, |ahead| ahead.left().len())
    }

    /// Reads some bytes and puts them behind those which were read too early: `Ready(Ok(0))` is the end.
    pub(crate) fn poll_ahead(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<std::io::Result<usize>> {
        let mut buffer = ReadBuf::new(buffer);
        ready!(Pin::new(&mut *self.io).poll_read(cx, &mut buffer))?;
        let read = buffer.filled();
        if !read.is_empty() {
            let ahead = self.ahead.get_or_insert_default();
            ahead.bytes.drain(..ahead.given);
            ahead.given = 0;
            ahead.bytes.extend_from_slice(read);
        }
        Poll::Ready(Ok(read.len()))
    }

    /// Takes what was read too early.
    pub(crate) fn take_ahead(&mut self) -> Vec<u8> {
        self.ahead.take().map(|ahead| ahead.left().to_vec()).unwrap_or_default()
    }

    /// Reads some bytes: `Ready(Ok(0))` is the end.
    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<std::io::Result<usize>> {
        if let Some(ahead) = &mut self.ahead {
            let left = ahead.left();
            let n = left.len().min(buffer.len()).min(PIECE);
            if let (Some(from), Some(to)) = (left.get(..n).filter(|from| !from.is_empty()), buffer.get_mut(..n)) {
                to.copy_from_slice(from);
                ahead.given += n;
                return Poll::Ready(Ok(n));
            }
            self.ahead = None;
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
        if this.ahead.is_none() {
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
