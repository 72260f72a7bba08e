//! One WebSocket: read, write, close.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use sockeye_engine::{Encoded, Revision, Role, ws};

use super::io::Stream;

/// Size of the read buffer, which all connections of a thread share.
const READ: usize = 64 * 1024;
/// How much is gathered for one write.
const BATCH: usize = 64 * 1024;
/// A frame of this size is written from where it is, not copied into the batch.
const LARGE: usize = 16 * 1024;
/// How long a closed WebSocket waits for the client to have read the rest.
const LINGER: Duration = Duration::from_secs(5);

thread_local! {
    static READ_BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    static BATCH_BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Lends the thread's read buffer. Code of the application runs while it is lent, so it is taken out, not borrowed.
pub(crate) fn lend_read_buffer<T>(f: impl FnOnce(&mut [u8]) -> T) -> T {
    let mut buffer = READ_BUFFER.take();
    buffer.resize(READ, 0);
    let result = f(&mut buffer);
    READ_BUFFER.replace(buffer);
    result
}

/// Lends the thread's buffer in which one write is gathered.
pub(crate) fn lend_batch<T>(f: impl FnOnce(&mut Vec<u8>) -> T) -> T {
    let mut batch = BATCH_BUFFER.take();
    batch.clear();
    let result = f(&mut batch);
    if batch.capacity() <= 2 * BATCH {
        BATCH_BUFFER.replace(batch);
    }
    result
}

/// A WebSocket of a client. While nothing is in flight it owns no buffer.
#[derive(Debug)]
pub(crate) struct WebSocket {
    stream: Stream,
    pub(crate) decoder: ws::Decoder,
    unsent: VecDeque<Bytes>,
    /// Payload of the last ping, to be answered; earlier ones need no answer. [RFC 6455 §5.5.3]
    pub(crate) pong: Option<Box<[u8]>>,
    revision: Revision,
    /// Whether a client of revision 3 takes binary frames.
    takes_binary: bool,
}

impl WebSocket {
    pub(crate) fn new(stream: Stream, revision: Revision, takes_binary: bool, max_payload: usize) -> Self {
        let limits = ws::Limits { max_message: max_payload, ..ws::Limits::default() };
        Self {
            stream,
            decoder: ws::Decoder::new(Role::Server, limits),
            unsent: VecDeque::new(),
            pong: None,
            revision,
            takes_binary,
        }
    }

    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        self.stream.poll_read(cx, buffer)
    }

    /// Whether nothing waits to be written.
    pub(crate) fn is_flushed(&self) -> bool {
        self.unsent.is_empty()
    }

    /// Adds the answer to a ping, if one is due. There is always room for it.
    pub(crate) fn put_pong(&mut self, batch: &mut Vec<u8>) -> bool {
        if let Some(payload) = self.pong.take() {
            // A ping that was accepted is short enough to be answered.
            let _ = ws::encode_pong(batch, &payload, None);
        }
        true
    }

    /// Adds a packet to `batch`; false if the batch is full.
    pub(crate) fn put(&mut self, batch: &mut Vec<u8>, packet: &Encoded) -> bool {
        if packet.is_binary() && self.revision == Revision::V3 {
            batch.extend_from_slice(&packet.frame_v3(self.takes_binary));
        } else if packet.size() < LARGE {
            batch.extend_from_slice(packet.frame());
        } else {
            self.keep(batch);
            self.unsent.push_back(packet.frame().clone());
            return false;
        }
        batch.len() < BATCH
    }

    /// Writes `batch` after what was left over before; what the network does not take now is kept.
    pub(crate) fn write(&mut self, cx: &mut Context<'_>, batch: &mut Vec<u8>) -> io::Result<()> {
        let mut written = 0;
        while self.unsent.is_empty() && written < batch.len() {
            match self.stream.poll_write(cx, &batch[written..]) {
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(result) => written += result?,
                Poll::Pending => break,
            }
        }
        batch.drain(..written);
        self.keep(batch);
        match self.poll_unsent(cx) {
            Poll::Ready(result) => result,
            Poll::Pending => Ok(()),
        }
    }

    /// Goes on writing what was left over.
    pub(crate) fn poll_unsent(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(chunk) = self.unsent.front_mut() {
            let n = ready!(self.stream.poll_write(cx, chunk))?;
            if n == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            chunk.advance(n);
            if chunk.is_empty() {
                self.unsent.pop_front();
            }
        }
        self.unsent = VecDeque::new();
        self.stream.poll_flush(cx)
    }

    fn keep(&mut self, batch: &mut Vec<u8>) {
        if !batch.is_empty() {
            self.unsent.push_back(Bytes::copy_from_slice(batch));
            batch.clear();
        }
    }

    /// Ends the connection: writes what is left and a close frame, then waits a little for the client to read it. A
    /// socket closed with unread input would send a reset, which can destroy what is on its way.
    pub(crate) async fn close(mut self, code: Option<ws::CloseCode>) {
        let mut frame = Vec::new();
        ws::encode_close(&mut frame, code, "", None);
        self.unsent.push_back(frame.into());
        // Errors mean that the client is gone already; there is nobody left to tell.
        drop(tokio::time::timeout(LINGER, self.wind_down()).await);
    }

    async fn wind_down(&mut self) -> io::Result<()> {
        std::future::poll_fn(|cx| self.poll_unsent(cx)).await?;
        std::future::poll_fn(|cx| self.stream.poll_shutdown(cx)).await?;
        while std::future::poll_fn(|cx| lend_read_buffer(|buffer| self.stream.poll_read(cx, buffer))).await? > 0 {}
        Ok(())
    }
}
