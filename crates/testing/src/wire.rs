//! One connection between a client and the server, in memory.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

/// What the server holds of a connection: a pipe that can fail.
#[derive(Debug)]
pub(crate) struct ServerEnd {
    pipe: DuplexStream,
    reset: Arc<AtomicBool>,
}

/// Makes the client, when it is dropped, go with a reset instead of an orderly end.
#[derive(Debug, Clone)]
pub(crate) struct Reset(Arc<AtomicBool>);

impl Reset {
    pub(crate) fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A connection that holds at most `buffer` bytes in each direction.
pub(crate) fn wire(buffer: usize) -> (DuplexStream, Reset, ServerEnd) {
    let (client, pipe) = tokio::io::duplex(buffer);
    let reset = Arc::new(AtomicBool::new(false));
    (client, Reset(Arc::clone(&reset)), ServerEnd { pipe, reset })
}

impl ServerEnd {
    fn check(&self) -> io::Result<()> {
        if self.reset.load(Ordering::Relaxed) { Err(io::ErrorKind::ConnectionReset.into()) } else { Ok(()) }
    }
}

impl AsyncRead for ServerEnd {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.check()?;
        Pin::new(&mut this.pipe).poll_read(cx, buffer)
    }
}

impl AsyncWrite for ServerEnd {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.check()?;
        Pin::new(&mut this.pipe).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().pipe).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().pipe).poll_shutdown(cx)
    }
}
