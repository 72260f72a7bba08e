//! The one stream of a session, as the server's transports take it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use wtransport::quinn::{ConnectionError, ReadError};
use wtransport::{Connection, RecvStream, SendStream, VarInt};

use crate::transport::webtransport::{End, Ending};

/// Codes of HTTP/3, by which a connection is closed. [RFC 9114 §8.1]
const NO_ERROR: u32 = 0x100;
const GENERAL_PROTOCOL_ERROR: u32 = 0x101;
const EXCESSIVE_LOAD: u32 = 0x107;
const REQUEST_REJECTED: u32 = 0x10b;
/// The code of streams whose session is over. [WebTransport over HTTP/3 "error codes"]
const SESSION_GONE: u64 = 0x170d_7b68;

/// A session and its stream: the session ends when this is dropped.
pub(super) struct SessionStream {
    session: Connection,
    send: SendStream,
    receive: RecvStream,
    ending: Ending,
    /// Resolves when the client has received everything; there once no more is written.
    received: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl SessionStream {
    pub(super) fn new(session: Connection, (send, receive): (SendStream, RecvStream)) -> Self {
        Self { session, send, receive, ending: Ending::default(), received: None }
    }

    /// Where to say how the session ends.
    pub(super) fn ending(&self) -> Ending {
        self.ending.clone()
    }
}

/// The server will not have this client.
pub(super) fn reject(session: &Connection, reason: &str) {
    session.close(VarInt::from_u32(REQUEST_REJECTED), reason.as_bytes());
}

impl Drop for SessionStream {
    fn drop(&mut self) {
        let (end, reason) = self.ending.get();
        let code = match end {
            End::Orderly => NO_ERROR,
            End::Protocol => GENERAL_PROTOCOL_ERROR,
            End::TooMuch => EXCESSIVE_LOAD,
        };
        // Nothing happens if it is closed.
        self.session.close(VarInt::from_u32(code), reason.as_bytes());
    }
}

impl AsyncRead for SessionStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let read = ready!(Pin::new(&mut self.get_mut().receive).poll_read(cx, buffer));
        // Nothing was read: the end.
        Poll::Ready(read.or_else(|error| if was_closed(&error) { Ok(()) } else { Err(error) }))
    }
}

impl AsyncWrite for SessionStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().send).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().send).poll_flush(cx)
    }

    /// Ready when the client has received everything: closing the connection destroys what is still on its way.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { send, received, .. } = self.get_mut();
        let received = received.get_or_insert_with(|| {
            let stream = send.quic_stream_mut();
            // An error means that it was finished, or stopped by the client; then there is nothing to wait for.
            drop(stream.finish());
            let stopped = stream.stopped();
            Box::pin(async move { drop(stopped.await) })
        });
        received.as_mut().poll(cx).map(Ok)
    }
}

/// Whether somebody closed the session, which is no fault of the transport.
fn was_closed(error: &io::Error) -> bool {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<ReadError>());
    match cause {
        Some(ReadError::Reset(code)) => code.into_inner() == SESSION_GONE,
        Some(ReadError::ConnectionLost(lost)) => matches!(
            lost,
            // The latter: wtransport answers the end of the session so.
            ConnectionError::ApplicationClosed(_) | ConnectionError::LocallyClosed
        ),
        _ => false,
    }
}
