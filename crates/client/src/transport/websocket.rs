//! One WebSocket: open, read, write, close.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use sockeye_engine::ws::deflate::{Deflater, Inflater, Level, Options};
use sockeye_engine::ws::handshake::{Established, Handshake, Rejected, Request};
use sockeye_engine::{Encoded, Revision, Role, ws};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadBuf};

use super::http::parse_retry_after;
use super::site::Site;
use crate::cause::{Cause, MAX_TEXT};
use crate::config::Transport;
use crate::dial::BoxIo;
use crate::error::ConnectError;
use crate::random::Random;

/// Size of the read buffer, which all connections of a thread share.
const READ: usize = 64 * 1024;
/// Beyond this many unsent bytes nothing more is taken.
const BATCH: usize = 64 * 1024;
/// Room for frames that is kept between writes.
const KEEP: usize = 512;
/// Shorter messages are not compressed, as in the official client.
const COMPRESSION_THRESHOLD: usize = 1024;
/// What ends the head of a response.
const END: &[u8] = b"\r\n\r\n";
/// How long the body of a refusal is waited for.
const WORDS: Duration = Duration::from_secs(1);
/// What binary messages of revision 3 begin with.                                            [EIO3 "packet encoding"]
const MESSAGE: u8 = 4;

thread_local! {
    static READ_BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Lends the thread's read buffer. Code of the application runs while it is lent, so it is taken out, not borrowed.
pub(crate) fn lend_read_buffer<T>(f: impl FnOnce(&mut [u8]) -> T) -> T {
    let mut buffer = READ_BUFFER.take();
    buffer.resize(READ, 0);
    let result = f(&mut buffer);
    READ_BUFFER.replace(buffer);
    result
}

/// An open WebSocket.
pub(crate) struct WebSocket {
    io: BoxIo,
    revision: Revision,
    pub(crate) decoder: ws::Decoder,
    deflater: Option<Deflater>,
    random: Random,
    /// Read with the head of the handshake, and not looked at yet.
    early: Vec<u8>,
    unsent: Vec<u8>,
    /// How much of `unsent` was written.
    written: usize,
    /// Written, but perhaps held back by a layer below.
    unflushed: bool,
    closing: Closing,
}

/// How far the end has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Closing {
    Open,
    /// A close frame is among what is unsent.
    Said,
    /// Nothing more is written.
    Shut,
}

impl std::fmt::Debug for WebSocket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebSocket").field("unsent", &self.unsent.len()).finish_non_exhaustive()
    }
}

impl WebSocket {
    /// Opens a WebSocket, for the session `sid` or for a new one.
    pub(crate) async fn open(site: Arc<Site>, sid: Option<String>) -> Result<Self, ConnectError> {
        let mut random = Random::new();
        let mut io = site.config.dial.open(&site.config.address).await?;
        let mut head = Vec::new();
        let mut handshake = request(&site, sid.as_deref(), &mut random, &mut head)?;
        let broken = |error| ConnectError::io("the WebSocket handshake failed", error);
        io.write_all(&head).await.map_err(broken)?;
        io.flush().await.map_err(broken)?;
        let mut read = Vec::new();
        let mut looked = 0;
        let (used, established) = loop {
            if io.read_buf(&mut read).await.map_err(broken)? == 0 {
                let cause = Cause::Io(io::ErrorKind::UnexpectedEof);
                return Err(ConnectError::answered(
                    "the server closed the connection instead of answering",
                    cause,
                    None,
                ));
            }
            let (used, established) = match handshake.read(read.get(looked..).unwrap_or_default()) {
                Ok(taken) => taken,
                Err(Rejected::Status(status)) => return Err(refused(&mut *io, status, read).await),
                Err(why) => return Err(rejected(&why, Cause::Protocol(why.to_string().into()), None)),
            };
            if let Some(established) = established {
                break (looked + used, established);
            }
            looked += used;
        };
        read.drain(..used);
        Ok(Self::new(io, &site, &established, read, random))
    }

    /// Opens a WebSocket for the session `sid`, in the time that an upgrade may take.
    pub(crate) async fn open_for(sid: String, site: Arc<Site>) -> Result<Self, ConnectError> {
        let limit = site.config.engine.upgrade_timeout;
        let opening = tokio::time::timeout(limit, Self::open(site, Some(sid)));
        opening.await.unwrap_or_else(|_| Err(ConnectError::timeout("the WebSocket")))
    }

    fn new(io: BoxIo, site: &Site, established: &Established, early: Vec<u8>, random: Random) -> Self {
        for (name, value) in &established.headers {
            if name.eq_ignore_ascii_case("set-cookie") {
                site.set_cookie(value);
            }
        }
        let max_message = site.config.engine.max_payload;
        let mut decoder = ws::Decoder::new(Role::Client, ws::Limits { max_message, ..ws::Limits::default() });
        let mut deflater = None;
        if let Some(params) = &established.deflate {
            decoder = decoder.with_inflater(Inflater::new(params, Role::Client));
            deflater = Some(Deflater::new(params, Role::Client, Level::default()));
        }
        Self {
            io,
            revision: site.config.revision,
            decoder,
            deflater,
            random,
            early,
            unsent: Vec::new(),
            written: 0,
            unflushed: false,
            closing: Closing::Open,
        }
    }

    /// Reads some bytes: `Ready(Ok(0))` is the end.
    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        if !self.early.is_empty() {
            let n = io::Read::read(&mut self.early.as_slice(), buffer)?;
            self.early.drain(..n);
            return Poll::Ready(Ok(n));
        }
        let mut buffer = ReadBuf::new(buffer);
        Pin::new(&mut *self.io).poll_read(cx, &mut buffer).map_ok(|()| buffer.filled().len())
    }

    /// Whether everything was written: the moment to write more.
    pub(crate) fn is_flushed(&self) -> bool {
        self.unsent.is_empty()
    }

    /// Bytes that wait to be written.
    pub(crate) fn unwritten(&self) -> usize {
        self.unsent.len() - self.written
    }

    /// Whether so much waits that nothing should be added.
    pub(crate) fn is_full(&self) -> bool {
        self.unwritten() >= BATCH
    }

    /// Adds a packet to what is to be written.
    pub(crate) fn put(&mut self, packet: &Encoded) {
        let opcode = if packet.is_binary() { ws::Opcode::Binary } else { ws::Opcode::Text };
        let typed;
        let payload = if self.revision == Revision::V3 && packet.is_binary() {
            typed = [&[MESSAGE], packet.packet()].concat();
            &typed
        } else {
            packet.packet()
        };
        let worth = packet.may_compress() && payload.len() >= COMPRESSION_THRESHOLD;
        let deflated = self.deflater.as_mut().filter(|_| worth).and_then(|deflater| deflater.deflate(payload));
        let key = self.random.bytes();
        match deflated {
            Some(deflated) => ws::encode_masked(&mut self.unsent, opcode, true, &deflated, key),
            None => ws::encode_masked(&mut self.unsent, opcode, false, payload, key),
        }
    }

    /// Answers a ping of the WebSocket.
    pub(crate) fn pong(&mut self, payload: &[u8]) {
        // A server which floods with pings without reading the answers gets no more of them.
        if !self.is_full() {
            // A ping that was accepted is short enough to be answered.
            let _ = ws::encode_pong(&mut self.unsent, payload, Some(self.random.bytes()));
        }
    }

    /// Sends a ping of the WebSocket, of at most 125 bytes.
    pub(crate) fn ping(&mut self, payload: &[u8]) {
        let _ = ws::encode_ping(&mut self.unsent, payload, Some(self.random.bytes()));
    }

    /// Says that this is the end.
    pub(crate) fn say_close(&mut self, code: ws::CloseCode) {
        if self.closing == Closing::Open {
            self.closing = Closing::Said;
            ws::encode_close(&mut self.unsent, Some(code), "", Some(self.random.bytes()));
        }
    }

    /// Writes what waits.
    pub(crate) fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(rest @ [_, ..]) = self.unsent.get(self.written..) {
            let n = ready!(Pin::new(&mut *self.io).poll_write(cx, rest))?;
            if n == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += n;
            self.unflushed = true;
        }
        if self.unflushed {
            ready!(Pin::new(&mut *self.io).poll_flush(cx))?;
            self.unflushed = false;
            self.written = 0;
            self.unsent.clear();
            // An idle connection owns no large buffer.
            self.unsent.shrink_to(KEEP);
        }
        Poll::Ready(Ok(()))
    }

    /// Ready when everything was written and the server has closed too. Call [`Self::say_close`] before.
    pub(crate) fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_write(cx))?;
        if self.closing != Closing::Shut {
            ready!(Pin::new(&mut *self.io).poll_shutdown(cx))?;
            self.closing = Closing::Shut;
        }
        // A socket closed with unread input would send a reset, which can destroy what is on its way.
        while ready!(lend_read_buffer(|buffer| self.poll_read(cx, buffer)))? > 0 {}
        Poll::Ready(Ok(()))
    }
}

fn request(site: &Site, sid: Option<&str>, random: &mut Random, head: &mut Vec<u8>) -> Result<Handshake, ConnectError> {
    let config = &site.config;
    let headers = site.headers();
    let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let protocols: Vec<_> = config.protocols.iter().map(String::as_str).collect();
    let options = Options::default();
    let request = Request {
        host: &config.address.host_header(),
        path: &site.target(Transport::Websocket, sid),
        key: random.bytes(),
        headers: &headers,
        protocols: &protocols,
        deflate: config.compression.then_some(&options),
    };
    let written = request.encode(head);
    written.map_err(|error| ConnectError::unreachable("the handshake cannot be written", Some(error.into())))
}

fn rejected(why: &Rejected, cause: Cause, wait: Option<Duration>) -> ConnectError {
    ConnectError::answered(format!("the WebSocket was not opened: {why}"), cause, wait)
}

/// The server answered with another status than 101: its words are in the body, of which a part may be here.
async fn refused(io: &mut (impl AsyncRead + Unpin + ?Sized), status: u16, mut read: Vec<u8>) -> ConnectError {
    let length = read.windows(END.len()).position(|window| window == END).map_or(read.len(), |at| at + END.len());
    let mut body = read.split_off(length);
    let head = String::from_utf8_lossy(&read);
    // Without a length the end may be long in coming.
    let most = header(&head, "content-length").and_then(|length| length.trim().parse().ok()).map_or(0, cut);
    let rest = async { while body.len() < most && matches!(io.read_buf(&mut body).await, Ok(1..)) {} };
    // The status is enough to know; nobody waits long for the words.
    drop(tokio::time::timeout(WORDS, rest).await);
    body.truncate(cut(body.len()));
    let wait = header(&head, "retry-after").and_then(parse_retry_after);
    rejected(&Rejected::Status(status), Cause::refused(status, &body), wait)
}

/// As much of a body as is read: what is kept of a message, with something around it.
fn cut(length: usize) -> usize {
    length.min(4 * MAX_TEXT)
}

/// A header in the head of a response.
fn header<'a>(head: &'a str, wanted: &str) -> Option<&'a str> {
    head.lines().take_while(|line| !line.is_empty()).find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case(wanted).then_some(value)
    })
}
