//! An Engine.IO session with its transports: bytes to messages and back, upgrade included.

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use sockeye_engine::handshake::{Open, TransportName};
use sockeye_engine::{CloseReason, Event, Lane, Packet, ProtocolError, Revision, Session, payload, payload_v3, ws};

use super::ages::Ages;
use super::end::End;
use super::upper::Upper;
use crate::cause::Cause;
use crate::config::Transport;
use crate::dial::BoxFuture;
use crate::error::ConnectError;
use crate::transport::Site;
use crate::transport::polling::{Polling, is_revision_3};
use crate::transport::websocket::{WebSocket, lend_read_buffer};

/// The stream has ended without a word.
const EOF: io::ErrorKind = io::ErrorKind::UnexpectedEof;
/// Reads within one turn.
const READS: usize = 4;

/// A session and what it runs on.
#[expect(clippy::struct_excessive_bools, reason = "independent facts, each told by its name")]
pub(crate) struct Carrier {
    site: Arc<Site>,
    pub(super) session: Session,
    pub(super) polling: Option<Polling>,
    pub(super) stream: Option<WebSocket>,
    /// A WebSocket on its way, to which the session will be upgraded.
    upgrade: Option<BoxFuture<Result<WebSocket, ConnectError>>>,
    /// Longest body of a POST that the server takes.
    pub(super) max_post: usize,
    is_open: bool,
    end: End,
    close_code: ws::CloseCode,
    upgraded: bool,
    /// The stream which is being read must not be kept.
    stream_refused: bool,
    /// A request was begun which was not polled yet.
    pub(super) started: bool,
    /// Something was not read in this turn, because handlers or readers were far behind.
    is_held_up: bool,
    pub(super) ages: Ages,
}

impl std::fmt::Debug for Carrier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Carrier").field("end", &self.end).finish_non_exhaustive()
    }
}

impl Carrier {
    /// A session which begins with a GET.
    pub(crate) fn polling(site: Arc<Site>, now: Instant) -> Self {
        let polling = Polling::new(Arc::clone(&site));
        Self::new(site, Lane::Polling, Some(polling), None, now)
    }

    /// A session on a WebSocket which was opened for it.
    pub(crate) fn streaming(site: Arc<Site>, stream: WebSocket, now: Instant) -> Self {
        Self::new(site, Lane::Stream, None, Some(stream), now)
    }

    fn new(site: Arc<Site>, lane: Lane, polling: Option<Polling>, stream: Option<WebSocket>, now: Instant) -> Self {
        Self {
            session: Session::connect(Arc::clone(&site.config.engine), site.config.revision, lane, now),
            max_post: usize::MAX,
            site,
            polling,
            stream,
            upgrade: None,
            is_open: false,
            end: End::default(),
            close_code: ws::CloseCode::NORMAL,
            upgraded: false,
            stream_refused: false,
            started: false,
            is_held_up: false,
            ages: Ages::new(now),
        }
    }

    /// Reads, thinks and writes as far as it can without waiting.
    pub(crate) fn turn(&mut self, upper: &mut impl Upper, now: Instant, cx: &mut Context<'_>) {
        self.is_held_up = false;
        if self.end.parting().is_some() {
            return self.part(now, cx);
        }
        self.poll_upgrade(now, cx);
        self.read_polling(upper, now, cx);
        self.read_stream(upper, now, cx);
        if self.session.poll_timeout().is_some_and(|deadline| deadline <= now) {
            if upper.is_congested() {
                // The server's ping may be among what is not being read.
                self.session.handle_activity(now);
            }
            self.session.handle_timeout(now);
        }
        self.follow(upper, now);
        self.write_polling(upper, now);
        self.write_stream(upper, now, cx);
        self.follow(upper, now);
    }

    /// Takes over what the session has decided.
    fn follow(&mut self, upper: &mut impl Upper, now: Instant) {
        while let Some(event) = self.session.poll_event() {
            match event {
                Event::Opened(open) => self.opened(&open, upper, now),
                Event::Upgraded => {
                    tracing::debug!("upgraded to WebSocket");
                    self.polling = None;
                    self.upgraded = true;
                }
                Event::UpgradeFailed => {
                    tracing::debug!("the upgrade to WebSocket failed; polling goes on");
                    // While its bytes are being read it is in other hands.
                    self.stream_refused = self.stream.take().is_none();
                }
                Event::Closed(reason) => {
                    if reason == CloseReason::PingTimeout {
                        self.end.blame(ConnectError::ended(self.ages.ping_timeout(now)));
                    }
                    let is_asked = self.polling.as_ref().is_some_and(|polling| !polling.is_writable());
                    self.end.came(reason, is_asked, now);
                }
            }
        }
    }

    /// Waits for the answer to the last POST.
    fn part(&mut self, now: Instant, cx: &mut Context<'_>) {
        let answer = self.polling.as_mut().map_or(Poll::Ready(Ok(())), |polling| polling.poll_post(cx));
        match answer {
            Poll::Pending if self.end.parting().is_some_and(|deadline| now < deadline) => return,
            Poll::Ready(Err(error)) => self.blame(error),
            _ => {}
        }
        self.end.part();
    }

    /// Notes what went wrong, if it has ended the session. Of what is only probed nobody wants to know.
    fn blame(&mut self, error: ConnectError) {
        if self.session.is_closed() {
            self.end.blame(error);
        }
    }

    /// The server did what it must not.
    fn break_off(&mut self, reason: CloseReason, cause: impl Into<Cause>) {
        // What came after the end did not cause it.
        if !self.session.is_closed() {
            self.session.close(reason);
            self.blame(ConnectError::ended(cause.into()));
        }
    }

    fn opened(&mut self, open: &Open, upper: &mut impl Upper, now: Instant) {
        self.is_open = true;
        self.max_post = open.max_payload.filter(|limit| *limit > 0).unwrap_or(usize::MAX);
        let config = &self.site.config;
        if let Some(polling) = &mut self.polling {
            polling.set_sid(open.sid.as_str());
            let offered = config.upgrade && open.upgrades.contains(&TransportName::Websocket);
            if offered && config.transports.contains(&Transport::Websocket) {
                let (site, sid) = (Arc::clone(&self.site), open.sid.as_str().to_owned());
                self.upgrade = Some(Box::pin(WebSocket::open_for(sid, site)));
                self.started = true;
            }
        }
        upper.opened(open, now);
    }

    fn poll_upgrade(&mut self, now: Instant, cx: &mut Context<'_>) {
        let Some(upgrade) = &mut self.upgrade else { return };
        let Poll::Ready(opened) = upgrade.as_mut().poll(cx) else { return };
        self.upgrade = None;
        match opened {
            Ok(stream) => {
                if self.session.handle_stream_open(now).is_ok() {
                    self.stream = Some(stream);
                }
            }
            Err(error) => tracing::debug!(%error, "no upgrade to WebSocket; polling goes on"),
        }
    }

    fn read_polling(&mut self, upper: &mut impl Upper, now: Instant, cx: &mut Context<'_>) {
        if let Some(polling) = &mut self.polling
            && let Poll::Ready(taken) = polling.poll_post(cx)
        {
            match taken {
                Ok(()) => {
                    self.ages.note_heard(now);
                    self.session.handle_post_done(now);
                }
                Err(error) => self.lane_failed(error, now),
            }
        }
        if upper.is_congested() {
            self.is_held_up = true;
            return;
        }
        if let Some(polling) = &mut self.polling
            && let Poll::Ready(body) = polling.poll_get(cx)
        {
            match body {
                Ok(body) => {
                    self.ages.note_heard(now);
                    self.receive_payload(&body, upper, now, cx);
                }
                Err(error) => self.lane_failed(error, now),
            }
        }
    }

    fn lane_failed(&mut self, error: ConnectError, now: Instant) {
        tracing::debug!(%error, "long-polling failed");
        self.polling = None;
        self.session.handle_lane_closed(now, Lane::Polling, CloseReason::TransportError);
        self.blame(error);
    }

    fn receive_payload(&mut self, body: &[u8], upper: &mut impl Upper, now: Instant, cx: &mut Context<'_>) {
        let revision = self.session.revision();
        if revision == Revision::V4 && !self.is_open && is_revision_3(body) {
            self.end.blame(ConnectError::old_server());
            return self.session.close(CloseReason::ParseError);
        }
        let taken = match revision {
            Revision::V3 => {
                payload_v3::Packets::new(body, false).map(|packets| self.receive_all(packets, upper, now, cx))
            }
            Revision::V4 => payload::Packets::new(body).map(|packets| self.receive_all(packets, upper, now, cx)),
        };
        match taken.flatten() {
            Ok(()) => self.session.handle_poll_done(now),
            Err(error) => self.break_off(error.close_reason(), error),
        }
    }

    fn receive_all<'a>(
        &mut self,
        packets: impl Iterator<Item = Result<Packet<'a>, ProtocolError>>,
        upper: &mut impl Upper,
        now: Instant,
        cx: &mut Context<'_>,
    ) -> Result<(), ProtocolError> {
        for packet in packets {
            self.receive(Lane::Polling, packet?, upper, now, cx);
        }
        Ok(())
    }

    /// A packet arrived: its message goes up.
    fn receive(&mut self, lane: Lane, packet: Packet<'_>, upper: &mut impl Upper, now: Instant, cx: &mut Context<'_>) {
        if matches!(packet, Packet::Ping(_)) {
            self.ages.note_pinged(now);
        }
        match self.session.handle_packet(now, lane, packet) {
            Ok(Some(message)) => {
                if let Err(cause) = upper.received(message, now, cx) {
                    self.break_off(CloseReason::ParseError, cause);
                }
            }
            Ok(None) => self.follow(upper, now),
            // A late packet on a lane that is being left does no harm; all other errors have closed the session.
            Err(error) => {
                tracing::debug!(%error, "the server broke the protocol");
                self.blame(ConnectError::ended(error.into()));
            }
        }
    }

    fn read_stream(&mut self, upper: &mut impl Upper, now: Instant, cx: &mut Context<'_>) {
        if self.stream.is_none() || self.session.is_closed() {
            return;
        }
        lend_read_buffer(|buffer| {
            for _ in 0..READS {
                self.is_held_up |= upper.is_congested();
                if self.is_held_up || self.session.is_closed() {
                    return;
                }
                let Some(stream) = &mut self.stream else { return };
                match stream.poll_read(cx, buffer) {
                    Poll::Pending => return,
                    Poll::Ready(Ok(n)) if n > 0 => {
                        self.ages.note_heard(now);
                        self.receive_bytes(&mut buffer[..n], upper, now, cx);
                    }
                    Poll::Ready(Ok(_)) => self.stream_failed(CloseReason::TransportClose, EOF.into(), now),
                    Poll::Ready(Err(error)) => self.stream_failed(CloseReason::TransportError, error, now),
                }
            }
            // There may be more: come back after the others have had their turn.
            cx.waker().wake_by_ref();
        });
    }

    /// Frames → packets → messages.
    fn receive_bytes(&mut self, bytes: &mut [u8], upper: &mut impl Upper, now: Instant, cx: &mut Context<'_>) {
        // The decoder is taken out while messages go up, because what it gives borrows from it.
        let Some(mut stream) = self.stream.take() else { return };
        self.stream_refused = false;
        let mut at = 0;
        while at < bytes.len() && !self.session.is_closed() {
            let (used, item) = match stream.decoder.decode(&mut bytes[at..]) {
                Ok(decoded) => decoded,
                Err(error) => {
                    self.close_code = error.close_code();
                    tracing::debug!(%error, "the server broke the WebSocket protocol");
                    self.put_back(stream);
                    return self.stream_gone(CloseReason::TransportError, ConnectError::ended(error.into()), now);
                }
            };
            at += used;
            let packet = match item {
                Some(ws::Item::Text(text)) if self.session.revision() == Revision::V3 => Packet::decode_text_v3(text),
                Some(ws::Item::Text(text)) => Packet::decode_text(text),
                Some(ws::Item::Binary(binary)) => Packet::decode_binary(binary, self.session.revision()),
                Some(ws::Item::Ping(payload)) => {
                    let payload = payload.to_vec();
                    stream.pong(&payload);
                    continue;
                }
                Some(ws::Item::Close(said)) => {
                    let cause = Cause::closed(said);
                    self.put_back(stream);
                    return self.stream_gone(CloseReason::TransportClose, ConnectError::ended(cause), now);
                }
                Some(ws::Item::Pong(_)) | None => {
                    self.session.handle_activity(now);
                    continue;
                }
            };
            match packet {
                Ok(packet) => self.receive(Lane::Stream, packet, upper, now, cx),
                Err(error) => self.break_off(error.close_reason(), error),
            }
        }
        self.put_back(stream);
    }

    fn put_back(&mut self, stream: WebSocket) {
        if !self.stream_refused {
            self.stream = Some(stream);
        }
    }

    /// The stream has ended: with it the session, unless it was only being probed.
    fn stream_gone(&mut self, reason: CloseReason, error: ConnectError, now: Instant) {
        self.session.handle_lane_closed(now, Lane::Stream, reason);
        if self.session.is_closed() {
            self.blame(error);
        } else {
            tracing::debug!(%error, "the WebSocket that was to be upgraded to has ended");
            self.stream = None;
        }
    }

    pub(super) fn stream_failed(&mut self, reason: CloseReason, error: io::Error, now: Instant) {
        self.stream_gone(reason, ConnectError::io("the WebSocket failed", error), now);
    }

    /// Ends the session from this side; what was given to it is still sent. Go on with [`Self::poll_finished`].
    pub(crate) fn close(&mut self) {
        self.session.close(CloseReason::Forced);
        self.upgrade = None;
    }

    /// Sends what is left and closes the transports. Ready when nothing remains to be done.
    pub(crate) fn poll_finished(&mut self, upper: &mut impl Upper, now: Instant, cx: &mut Context<'_>) -> Poll<()> {
        self.turn(upper, now, cx);
        if self.session.is_finished() {
            let posted = self.polling.as_ref().is_none_or(Polling::is_writable);
            let Some(stream) = &mut self.stream else {
                return if posted { Poll::Ready(()) } else { Poll::Pending };
            };
            stream.say_close(ws::CloseCode::NORMAL);
            return stream.poll_closed(cx).map(drop);
        }
        Poll::Pending
    }

    /// Lets go of everything at once; a WebSocket is told so if that needs no waiting.
    pub(crate) fn abandon(mut self, cx: &mut Context<'_>) {
        if let Some(stream) = &mut self.stream
            && self.end.reason() != Some(CloseReason::PingTimeout)
        {
            stream.say_close(self.close_code);
            // Nobody waits for a server with which something is wrong.
            let _ = stream.poll_write(cx);
        }
    }

    /// Ends the session as if the server had gone, for a reason of the layer above.
    pub(crate) fn fail(&mut self, cause: Cause) {
        self.break_off(CloseReason::ParseError, cause);
        self.end.force(CloseReason::ParseError);
    }

    /// Why the session has ended, if it has.
    pub(crate) fn closed(&self) -> Option<CloseReason> {
        self.end.reason()
    }

    pub(crate) fn take_failure(&mut self) -> Option<ConnectError> {
        self.end.take_failure()
    }

    /// How long nothing has passed in either direction.
    pub(crate) fn idle(&self, now: Instant) -> Duration {
        self.ages.idle(now)
    }

    /// Whether the server's handshake has arrived.
    pub(crate) fn is_open(&self) -> bool {
        self.is_open
    }

    /// Whether messages have travelled by WebSocket.
    pub(crate) fn is_streaming(&self) -> bool {
        self.upgraded || (self.is_open && self.polling.is_none())
    }

    /// Whether a packet would be sent at once.
    pub(crate) fn is_writable(&self) -> bool {
        match self.session.data_lane() {
            Some(Lane::Stream) => self.stream.as_ref().is_some_and(WebSocket::is_flushed),
            Some(Lane::Polling) => self.polling.as_ref().is_some_and(Polling::is_writable),
            None => false,
        }
    }

    /// Whether something was begun that needs another turn to get under way.
    pub(crate) fn take_started(&mut self) -> bool {
        std::mem::take(&mut self.started)
    }

    /// Whether the last turn left something unread because of [`Upper::is_congested`]. Nothing will tell that it is
    /// there: another turn is needed as soon as there is room.
    pub(crate) fn is_held_up(&self) -> bool {
        self.is_held_up
    }

    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.end.parting().or_else(|| self.session.poll_timeout())
    }
}
