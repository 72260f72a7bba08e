//! One WebSocket: read, write, close.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use sockeye_engine::ws::deflate::{Deflater, Inflater, Params};
use sockeye_engine::{Encoded, Revision, Role, ws};

use super::io::Stream;
use crate::compression::{Deflate, shared_frame};

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
    form: Form,
    deflation: Option<Box<Deflation>>,
}

/// The form that binary messages take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// [EIO4 "packet encoding"]: the bytes alone.
    Plain,
    /// [EIO3 "packet encoding"]: the packet's type before them, or base64 if the client cannot take binary.
    Typed { takes_binary: bool },
}

/// The compression agreed with a client.
#[derive(Debug)]
struct Deflation {
    knobs: Deflate,
    deflater: Deflater,
}

impl Form {
    pub(crate) fn new(revision: Revision, takes_binary: bool) -> Self {
        if revision == Revision::V4 { Self::Plain } else { Self::Typed { takes_binary } }
    }

    /// The frame, where it differs from the one that is ready.
    fn frame(self, packet: &Encoded) -> Option<Bytes> {
        match self {
            Self::Typed { takes_binary } if packet.is_binary() => Some(packet.frame_v3(takes_binary)),
            _ => None,
        }
    }
}

impl WebSocket {
    pub(crate) fn new(stream: Stream, form: Form, limits: ws::Limits) -> Self {
        let decoder = ws::Decoder::new(Role::Server, limits);
        Self { stream, decoder, unsent: VecDeque::new(), pong: None, form, deflation: None }
    }

    /// Compresses as agreed with the client.
    pub(crate) fn with_deflate(mut self, params: Params, knobs: Deflate) -> Self {
        self.decoder = self.decoder.with_inflater(Inflater::new(&params, Role::Server));
        let deflater = Deflater::new(&params, Role::Server, knobs.engine_level());
        self.deflation = Some(Box::new(Deflation { knobs, deflater }));
        self
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
        let compressed = match &mut self.deflation {
            Some(deflation) if deflation.knobs.takes(packet) => deflation.frame(packet, self.form),
            _ => None,
        };
        let made = compressed.or_else(|| self.form.frame(packet));
        let frame = made.as_ref().unwrap_or(packet.frame());
        if frame.len() < LARGE {
            batch.extend_from_slice(frame);
        } else {
            let frame = frame.clone();
            self.keep(batch);
            batch.clear();
            self.unsent.push_back(frame);
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
            let n = ready!(self.stream.poll_write(cx, chunk))?;
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
        self.stream.poll_flush(cx)
    }

    fn keep(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.unsent.push_back(Bytes::copy_from_slice(bytes));
        }
    }

    /// Ends the connection: writes what is left and a close frame, then waits a little for the client to read it. A
    /// socket closed with unread input would send a reset, which can destroy what is on its way. `until_sent` is dropped
    /// when everything is written.
    pub(crate) async fn close(mut self, farewell: Option<(ws::CloseCode, &str)>, until_sent: impl Send) {
        let mut frame = Vec::new();
        let (code, reason) = farewell.unzip();
        ws::encode_close(&mut frame, code, reason.unwrap_or_default(), None);
        self.unsent.push_back(frame.into());
        // Errors mean that the client is gone already; there is nobody left to tell.
        drop(tokio::time::timeout(LINGER, self.wind_down(until_sent)).await);
    }

    async fn wind_down(&mut self, until_sent: impl Send) -> io::Result<()> {
        std::future::poll_fn(|cx| self.poll_unsent(cx)).await?;
        std::future::poll_fn(|cx| self.stream.poll_shutdown(cx)).await?;
        drop(until_sent);
        while std::future::poll_fn(|cx| lend_read_buffer(|buffer| self.stream.poll_read(cx, buffer))).await? > 0 {}
        Ok(())
    }
}

impl Deflation {
    /// The compressed frame; `None` if compression does not pay.
    fn frame(&mut self, packet: &Encoded, form: Form) -> Option<Bytes> {
        if packet.is_binary() && form != Form::Plain {
            return self.frame_v3(packet, form);
        }
        if self.deflater.takes_shared_frames() {
            return shared_frame(packet, self.knobs);
        }
        let opcode = if packet.is_binary() { ws::Opcode::Binary } else { ws::Opcode::Text };
        self.own_frame(packet.packet(), opcode)
    }

    /// A binary message of revision 3, which has a form of its own.
    fn frame_v3(&mut self, packet: &Encoded, form: Form) -> Option<Bytes> {
        if form == (Form::Typed { takes_binary: true }) {
            let typed = [&[4], packet.packet()].concat();
            self.own_frame(&typed, ws::Opcode::Binary)
        } else {
            None
        }
    }

    fn own_frame(&mut self, payload: &[u8], opcode: ws::Opcode) -> Option<Bytes> {
        let body = self.deflater.deflate(payload)?;
        let mut frame = Vec::with_capacity(body.len() + 10);
        ws::encode(&mut frame, opcode, true, &body);
        Some(frame.into())
    }
}
