//! One stream of a client, a WebSocket or that of a WebTransport session: read, write, close.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use sockeye_engine::{Encoded, ws, wt};

use super::carrier::Carrier;
use super::io::Stream;
use super::websocket::WebSocket;
use super::webtransport::WebTransport;

/// Size of the read buffer, which all connections of a thread share.
const READ: usize = 64 * 1024;
/// How much is gathered for one write.
const BATCH: usize = 64 * 1024;
/// A packet of this size is written from where it is, not copied into the batch.
const LARGE: usize = 16 * 1024;
/// How long a closed stream waits for the client to have read the rest.
const LINGER: Duration = Duration::from_secs(5);
/// So much of it when the client has received everything, but may still be about to read it.
const SETTLE: Duration = Duration::from_millis(500);

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

/// A stream of a client. While nothing is in flight it owns no buffer.
#[derive(Debug)]
pub(crate) struct StreamTransport {
    io: Stream,
    framing: Framing,
    unsent: VecDeque<Bytes>,
}

/// How packets are told from each other.
#[derive(Debug)]
pub(crate) enum Framing {
    Websocket(WebSocket),
    #[cfg_attr(not(feature = "webtransport"), expect(dead_code, reason = "made by the listener of that feature"))]
    Webtransport(WebTransport),
}

/// The client broke the rules of the framing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Broken {
    #[error("{0}")]
    Websocket(ws::Error),
    #[error("{0}")]
    Webtransport(wt::Error),
}

impl StreamTransport {
    pub(crate) fn new(io: Stream, framing: Framing) -> Self {
        Self { io, framing, unsent: VecDeque::new() }
    }

    pub(crate) fn carrier(&self) -> Carrier {
        match self.framing {
            Framing::Websocket(_) => Carrier::Websocket,
            Framing::Webtransport(_) => Carrier::Webtransport,
        }
    }

    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        self.io.poll_read(cx, buffer)
    }

    /// Puts bytes before those which are still to be read.
    pub(crate) fn put_back(&mut self, bytes: &[u8]) {
        self.io.put_back(bytes);
    }

    /// How many bytes were read too early.
    pub(crate) fn ahead(&self) -> usize {
        self.io.ahead()
    }

    /// Reads some bytes which nobody looks at yet.
    pub(crate) fn poll_ahead(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        self.io.poll_ahead(cx, buffer)
    }

    /// Takes what was read too early.
    pub(crate) fn take_ahead(&mut self) -> Vec<u8> {
        self.io.take_ahead()
    }

    /// Takes bytes from the front of `input`: how many were used, and what is complete.
    #[inline]
    pub(crate) fn decode<'a>(&'a mut self, input: &'a mut [u8]) -> Result<(usize, Option<ws::Item<'a>>), Broken> {
        match &mut self.framing {
            Framing::Websocket(websocket) => websocket.decoder.decode(input).map_err(Broken::Websocket),
            Framing::Webtransport(stream) => {
                let (used, item) = stream.decoder.decode(input).map_err(Broken::Webtransport)?;
                let item = item.map(|item| match item {
                    wt::Item::Binary(bytes) => ws::Item::Binary(bytes),
                    wt::Item::Text(text) => ws::Item::Text(text),
                });
                Ok((used, item))
            }
        }
    }

    /// Frees what the last item lay in, if it came in several reads.
    #[inline]
    pub(crate) fn release(&mut self) {
        match &mut self.framing {
            Framing::Websocket(websocket) => websocket.decoder.release(),
            Framing::Webtransport(stream) => stream.decoder.release(),
        }
    }

    /// Bytes that are kept of what is unfinished.
    #[inline]
    pub(crate) fn unfinished(&self) -> usize {
        match &self.framing {
            Framing::Websocket(websocket) => websocket.decoder.unfinished(),
            Framing::Webtransport(stream) => stream.decoder.unfinished(),
        }
    }

    /// How many frames have come since the last call that end no message.
    pub(crate) fn take_fragments(&mut self) -> u32 {
        match &mut self.framing {
            Framing::Websocket(websocket) => websocket.decoder.take_fragments(),
            Framing::Webtransport(_) => 0,
        }
    }

    /// Changes the longest message that is taken, from the next one on.
    pub(crate) fn set_max_message(&mut self, bytes: usize) {
        match &mut self.framing {
            Framing::Websocket(websocket) => websocket.decoder.set_max_message(bytes),
            Framing::Webtransport(stream) => stream.decoder.set_max_packet(bytes),
        }
    }

    /// The client has joined a namespace: it may have more on its way than before.
    pub(crate) fn welcome(&mut self) {
        if let Framing::Webtransport(stream) = &mut self.framing {
            stream.welcome();
        }
    }

    /// A ping of WebSocket is to be answered.
    pub(crate) fn set_pong(&mut self, payload: Box<[u8]>) {
        if let Framing::Websocket(websocket) = &mut self.framing {
            websocket.pong = Some(payload);
        }
    }

    /// Whether nothing waits to be written.
    pub(crate) fn is_flushed(&self) -> bool {
        self.unsent.is_empty()
    }

    /// Bytes that wait to be written.
    pub(crate) fn unsent(&self) -> usize {
        self.unsent.iter().map(Bytes::len).sum()
    }

    /// Adds the answer to a ping, if one is due. There is always room for it.
    pub(crate) fn put_pong(&mut self, batch: &mut Vec<u8>) -> bool {
        if let Framing::Websocket(websocket) = &mut self.framing {
            websocket.put_pong(batch);
        }
        true
    }

    /// Adds a packet to `batch`; false if the batch is full.
    pub(crate) fn put(&mut self, batch: &mut Vec<u8>, packet: &Encoded) -> bool {
        let Framing::Websocket(websocket) = &mut self.framing else { return self.put_sized(batch, packet) };
        let made = websocket.frame(packet);
        let frame = made.as_ref().unwrap_or(packet.frame());
        if frame.len() < LARGE {
            batch.extend_from_slice(frame);
            return batch.len() < BATCH;
        }
        let frame = frame.clone();
        self.put_large(batch, frame)
    }

    /// Adds a packet behind its length.
    fn put_sized(&mut self, batch: &mut Vec<u8>, packet: &Encoded) -> bool {
        batch.extend_from_slice(wt::Header::new(packet).as_bytes());
        if packet.packet().len() < LARGE {
            batch.extend_from_slice(packet.packet());
            return batch.len() < BATCH;
        }
        self.put_large(batch, packet.to_packet())
    }

    fn put_large(&mut self, batch: &mut Vec<u8>, bytes: Bytes) -> bool {
        self.keep(batch);
        batch.clear();
        self.unsent.push_back(bytes);
        false
    }

    /// Writes `batch` after what was left over before; what the network does not take now is kept.
    pub(crate) fn write(&mut self, cx: &mut Context<'_>, batch: &mut Vec<u8>) -> io::Result<()> {
        let mut written = 0;
        while self.unsent.is_empty() && written < batch.len() {
            match self.io.poll_write(cx, &batch[written..]) {
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(result) => written += result?,
                Poll::Pending => break,
            }
        }
        self.keep(&batch[written..]);
        batch.clear();
        match self.poll_unsent(cx) {
            Poll::Ready(result) => result,
            Poll::Pending => Ok(()),
        }
    }

    /// Goes on writing what was left over.
    pub(crate) fn poll_unsent(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(chunk) = self.unsent.front_mut() {
            let n = ready!(self.io.poll_write(cx, chunk))?;
            if n == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            chunk.advance(n);
            if chunk.is_empty() {
                self.unsent.pop_front();
            }
        }
        if self.unsent.capacity() > 0 {
            self.unsent = VecDeque::new();
        }
        self.io.poll_flush(cx)
    }

    fn keep(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.unsent.push_back(Bytes::copy_from_slice(bytes));
        }
    }

    /// Ends the connection: writes what is left and a farewell, then waits a little for the client to read it. A socket
    /// closed with unread input would send a reset, which can destroy what is on its way. `until_sent` is dropped when
    /// everything is written.
    pub(crate) async fn close(mut self, farewell: Option<(ws::CloseCode, &'static str)>, until_sent: impl Send) {
        // Nobody hears the rest of what was begun.
        let settle = match &mut self.framing {
            Framing::Websocket(websocket) => {
                websocket.decoder.finish();
                self.unsent.push_back(WebSocket::close_frame(farewell));
                LINGER
            }
            Framing::Webtransport(stream) => {
                stream.decoder.finish();
                stream.set_farewell(farewell);
                // Who broke the rules need not read.
                if stream.is_orderly() { SETTLE } else { Duration::ZERO }
            }
        };
        // Errors mean that the client is gone already; there is nobody left to tell.
        drop(tokio::time::timeout(LINGER, self.wind_down(until_sent, settle)).await);
    }

    async fn wind_down(&mut self, until_sent: impl Send, settle: Duration) -> io::Result<()> {
        std::future::poll_fn(|cx| self.poll_unsent(cx)).await?;
        std::future::poll_fn(|cx| self.io.poll_shutdown(cx)).await?;
        drop(until_sent);
        drop(tokio::time::timeout(settle, self.read_to_end()).await);
        Ok(())
    }

    async fn read_to_end(&mut self) -> io::Result<()> {
        while std::future::poll_fn(|cx| lend_read_buffer(|buffer| self.io.poll_read(cx, buffer))).await? > 0 {}
        Ok(())
    }
}

impl Broken {
    /// What a close frame says of it.
    pub(crate) fn close_code(&self) -> ws::CloseCode {
        match self {
            Self::Websocket(error) => error.close_code(),
            Self::Webtransport(wt::Error::TooLarge { .. }) => ws::CloseCode::TOO_LARGE,
            Self::Webtransport(_) => ws::CloseCode::INVALID_DATA,
        }
    }
}
