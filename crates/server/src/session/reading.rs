//! What comes by the stream: bytes → frames → packets → handlers.

use std::io;
use std::task::{Context, Poll};
use std::time::Instant;

use sockeye_engine::{CloseReason, Lane, Packet, Revision, ws, wt};

use super::fault::Fault;
use super::task::Task;
use crate::cause::Cause;
use crate::limits::{Excess, Limit};
use crate::link::Link;
use crate::transport::carrier::Carrier;
use crate::transport::stream::{Broken, lend_read_buffer};

/// What one read counts at least, when it is decided whether others should have their turn.
const LEAST: usize = 16 * 1024;
/// How much is read at a time before a namespace was joined: all of it may be waiting for decisions afterwards.
const STRANGER: usize = 1024;
/// How much is read of a client whose handlers are behind, only to see whether it has gone.
const AHEAD: usize = 16 * 1024;

/// How far bytes are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pace {
    /// Until the handlers are too far behind.
    Measured,
    /// All of them: nothing follows.
    Last,
}

impl Task {
    pub(super) fn read(&mut self, now: Instant, cx: &mut Context<'_>) -> Result<(), Fault> {
        if self.stream.is_none() || self.body.session.is_closed() {
            return Ok(());
        }
        lend_read_buffer(|buffer| {
            let mut left = buffer.len();
            while left > 0 {
                if self.body.is_congested() {
                    return self.look_ahead(buffer, now, cx);
                }
                let Some(stream) = &mut self.stream else { return Ok(()) };
                let most = if self.raised { buffer.len() } else { STRANGER };
                match stream.poll_read(cx, &mut buffer[..most]) {
                    Poll::Pending => return Ok(()),
                    Poll::Ready(Ok(n)) if n > 0 => {
                        left = left.saturating_sub(n.max(LEAST));
                        self.body.note_heard(now);
                        let used = self.receive_bytes(&mut buffer[..n], Pace::Measured, now, cx)?;
                        if let Some(stream) = &mut self.stream {
                            stream.put_back(&buffer[used..n]);
                        }
                    }
                    Poll::Ready(end) => {
                        let cause = cause_of(&end, stream.carrier());
                        self.stream_gone(reason_of(&end), || cause, now);
                    }
                }
            }
            // There may be more: the others have their turn first, however much this client sends.
            cx.waker().wake_by_ref();
            Ok(())
        })
    }

    /// Looks whether a client that is not listened to has gone, and keeps what it said for later.
    fn look_ahead(&mut self, buffer: &mut [u8], now: Instant, cx: &mut Context<'_>) -> Result<(), Fault> {
        while let (most, Some(stream)) = (self.most_ahead(), &mut self.stream) {
            let room = most.saturating_sub(stream.ahead());
            if room == 0 {
                return Ok(());
            }
            match stream.poll_ahead(cx, &mut buffer[..room]) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Ok(n)) if n > 0 => {
                    self.body.note_heard(now);
                    self.body.session.handle_backlog(now);
                }
                Poll::Ready(end) => {
                    // What it said before it went is heard; its handlers may take their time for that.
                    let cause = cause_of(&end, stream.carrier());
                    let mut last = stream.take_ahead();
                    self.receive_bytes(&mut last, Pace::Last, now, cx)?;
                    if self.stream.is_some() {
                        self.stream_gone(reason_of(&end), || cause, now);
                    }
                }
            }
        }
        Ok(())
    }

    fn most_ahead(&self) -> usize {
        if self.raised { AHEAD } else { STRANGER }
    }

    /// Whether there may be more of the client than was read, an answer to a heartbeat among it. A client that polls is
    /// there for as long as it asks.
    pub(super) fn is_backlogged(&self) -> bool {
        match &self.stream {
            Some(stream) if self.body.session.data_lane() == Some(Lane::Stream) => stream.ahead() >= self.most_ahead(),
            _ => self.deferred.is_some() && self.poll.is_some(),
        }
    }

    /// Whether the client has taken nothing of what was written to it for as long as it may take to answer. Then it has
    /// no excuse: a handler that waits for it to read would otherwise keep it for ever.
    pub(super) fn is_stuck(&self, now: Instant) -> bool {
        let is_waiting = self.stream.as_ref().is_some_and(|stream| !stream.is_flushed());
        is_waiting && self.body.since_sent(now) >= self.body.core.config.engine.ping_timeout
    }

    /// Frames → packets → messages → handlers; how many bytes were used.
    fn receive_bytes(
        &mut self,
        bytes: &mut [u8],
        pace: Pace,
        now: Instant,
        cx: &mut Context<'_>,
    ) -> Result<usize, Fault> {
        let mut at = 0;
        while at < bytes.len() {
            let Self { body, stream: Some(stream), raised, .. } = self else { return Ok(bytes.len()) };
            // Before each message: a namespace may have been joined by the one before, by a check of the application that
            // took its time, or by connecting alone (revision 3).
            if !*raised {
                *raised = body.has_joined();
                if *raised {
                    stream.welcome();
                }
                stream.set_max_message(body.link.max_payload());
            }
            let (used, item) = match stream.decode(&mut bytes[at..]) {
                Ok(decoded) => decoded,
                Err(error) => {
                    self.stream_broken(&error, now)?;
                    return Ok(bytes.len());
                }
            };
            at += used;
            body.measure_bytes(Lane::Stream, used, now)?;
            let packet = match item {
                Some(ws::Item::Text(text)) if body.link.revision == Revision::V3 => Packet::decode_text_v3(text),
                Some(ws::Item::Text(text)) => Packet::decode_text(text),
                Some(ws::Item::Binary(binary)) => Packet::decode_binary(binary, body.link.revision),
                Some(ws::Item::Ping(payload)) => {
                    let payload = payload.into();
                    stream.set_pong(payload);
                    body.measure_frames(1, now)?;
                    continue;
                }
                Some(ws::Item::Close(said)) => {
                    let cause = Cause::closed(said);
                    self.stream_gone(CloseReason::TransportClose, || cause, now);
                    return Ok(bytes.len());
                }
                Some(ws::Item::Pong(_)) | None => {
                    body.session.handle_activity(now);
                    body.measure_frames(u32::from(item.is_some()), now)?;
                    continue;
                }
            };
            match packet {
                Ok(packet) => body.receive(now, Lane::Stream, packet, cx)?,
                Err(error) if body.session.data_lane() == Some(Lane::Stream) => return Err(Fault::Engine(error)),
                Err(error) => {
                    // A stream that is only being probed ends alone, as when it says anything else out of turn.
                    self.stream_gone(CloseReason::TransportError, || Cause::Protocol(error.to_string().into()), now);
                    return Ok(bytes.len());
                }
            }
            if pace == Pace::Measured && self.body.is_congested() {
                break;
            }
        }
        if let Some(stream) = &mut self.stream {
            stream.release();
            self.body.measure_frames(stream.take_fragments(), now)?;
        }
        Ok(at)
    }

    /// The client broke the rules of the stream's framing: the session ends, unless the stream was only being probed.
    fn stream_broken(&mut self, broken: &Broken, now: Instant) -> Result<(), Fault> {
        let excess = excess_of(broken, &self.body.link);
        let words = excess.map_or("", |excess| excess.limit.as_str());
        self.farewell = Some(Box::new((broken.close_code(), words)));
        match excess {
            Some(excess) if self.body.session.data_lane() == Some(Lane::Stream) => return Err(Fault::Limit(excess)),
            Some(excess) => self.body.core.metrics.limits.up(excess.limit),
            None => {}
        }
        self.stream_gone(CloseReason::TransportError, || Cause::Protocol(broken.to_string().into()), now);
        Ok(())
    }
}

/// Why a stream ended that gave this.
fn reason_of(end: &io::Result<usize>) -> CloseReason {
    if end.is_ok() { CloseReason::TransportClose } else { CloseReason::TransportError }
}

/// What happened to such a stream. A WebSocket is closed by a frame; that of WebTransport has no other close than its end.
fn cause_of(end: &io::Result<usize>, carrier: Carrier) -> Cause {
    match end {
        Ok(_) if carrier == Carrier::Webtransport => Cause::closed(None),
        Ok(_) => Cause::Io(io::ErrorKind::UnexpectedEof),
        Err(error) => Cause::Io(error.kind()),
    }
}

/// The limit that a message ran into, if it was one.
fn excess_of(broken: &Broken, link: &Link) -> Option<Excess> {
    match *broken {
        Broken::Websocket(ws::Error::TooLarge { bytes, limit })
        | Broken::Webtransport(wt::Error::TooLarge { bytes, limit }) => {
            Some(Excess { limit: link.payload_limit(), actual: Some(bytes), bound: Some(limit as u64) })
        }
        Broken::Websocket(ws::Error::TooManyFragments { limit }) => Some(Excess::by_one(Limit::Fragments, limit)),
        Broken::Websocket(_) | Broken::Webtransport(_) => None,
    }
}
