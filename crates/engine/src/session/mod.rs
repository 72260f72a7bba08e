//! One Engine.IO connection.

mod state;
mod event;
mod heartbeat;
mod polling;
mod queue;
mod upgrade;
mod lanes;

use std::sync::Arc;

use self::event::{Events, Outcome};
use self::heartbeat::{Beat, Heartbeat};
use self::lanes::Lanes;
use self::queue::Item;
use self::state::{Phase, Route, Step, Turn};
use crate::handshake::{Open, TransportName};
use crate::time::{Instant, after};
use crate::{CloseReason, Config, Encoded, Message, Packet, ProtocolError, Revision, Role, Sid, payload, payload_v3};

pub use self::event::Event;
pub use self::state::Lane;

/// One Engine.IO connection, seen from either side.
///
/// After every input and command the driver drains `poll_event`, and `poll_transmit` of each lane it can write on.
///
/// **Server.** A GET is [`handle_poll`](Self::handle_poll), then `poll_transmit(Lane::Polling)` until it is empty; if that
/// gave anything the answer is sent and [`finish_poll`](Self::finish_poll) called, if not the GET goes on waiting. A POST is
/// `handle_packet` for each of its packets, before it is answered. A frame of the stream is `handle_packet` too.
///
/// **Client.** While [`poll_request`](Self::poll_request) says so, a GET is sent; its packets are handed over, then
/// [`handle_poll_done`](Self::handle_poll_done). What `poll_transmit(Lane::Polling)` gives is the body of a POST, between
/// [`finish_post`](Self::finish_post) (it is sent) and [`handle_post_done`](Self::handle_post_done) (it was answered).
/// To upgrade, the driver opens a stream and calls [`handle_stream_open`](Self::handle_stream_open); the rest happens by itself.
///
/// **End.** After `Event::Closed` the driver still serves what `poll_transmit` gives until
/// [`is_finished`](Self::is_finished), which comes by `poll_timeout` at the latest, and then closes its transports.
#[derive(Debug)]
pub struct Session {
    config: Arc<Config>,
    lanes: Lanes,
    heartbeat: Heartbeat,
    events: Events,
    phase: Phase,
    role: Role,
    revision: Revision,
}

impl Session {
    /// Server: a session which was just accepted on `lane`. OPEN is the first thing to transmit.
    pub fn accept(config: Arc<Config>, revision: Revision, sid: &Sid, lane: Lane, now: Instant) -> Self {
        let upgrades: &[TransportName] = match (config.websocket, config.webtransport) {
            _ if lane == Lane::Stream || !config.allow_upgrades => &[],
            (true, true) => &[TransportName::Websocket, TransportName::Webtransport],
            (true, false) => &[TransportName::Websocket],
            (false, true) => &[TransportName::Webtransport],
            (false, false) => &[],
        };
        let open = Open::encode(sid, upgrades, &config);
        let mut session = Self::new(config, Role::Server, revision, lane, now);
        session.phase = Phase::Open;
        session.lanes.queue.push(open);
        session.lanes.queue.insert(Item::Open);
        session
    }

    /// Client: a session which was just opened on `lane` and waits for OPEN, at most `ping_interval` and `ping_timeout`
    /// of `config` together.
    pub fn connect(config: Arc<Config>, revision: Revision, lane: Lane, now: Instant) -> Self {
        Self::new(config, Role::Client, revision, lane, now)
    }

    fn new(config: Arc<Config>, role: Role, revision: Revision, lane: Lane, now: Instant) -> Self {
        Self {
            lanes: Lanes::new(role, lane),
            heartbeat: match role {
                Role::Client => Heartbeat::listen(&config, now),
                Role::Server => Heartbeat::new(role, revision, &config, now),
            },
            events: Events::default(),
            phase: Phase::Opening,
            role,
            revision,
            config,
        }
    }

    // Inputs.

    /// Server: a GET arrived and waits for an answer: `poll_transmit` until empty, then `finish_poll`.
    ///
    /// # Errors
    /// - `OverlappingPoll`: another GET is waiting. This one is refused, that one is answered with CLOSE, and the
    ///   session ends with `transport error`.
    /// - `WrongTransport`: the session has been upgraded, which does it no harm, or is over. The GET is refused.
    pub fn handle_poll(&mut self, now: Instant) -> Result<(), ProtocolError> {
        // A client knows the times as well as we do: one that comes back in the moment it counts as dead is told so,
        // even if our own timer is a little late.
        self.handle_timeout(now);
        if self.lanes.route() == Route::Stream || self.phase == Phase::Finished {
            return Err(ProtocolError::WrongTransport);
        }
        if !self.lanes.requests.begin_get() {
            self.close(CloseReason::TransportError);
            return Err(ProtocolError::OverlappingPoll);
        }
        self.release_poll();
        Ok(())
    }

    /// A packet arrived on `lane`. Returns the message it carried, if any.
    ///
    /// # Errors
    /// - `WrongTransport`: a POST after the upgrade. The session goes on; the request is refused.
    /// - All others have ended the session.
    pub fn handle_packet<'a>(
        &mut self,
        now: Instant,
        lane: Lane,
        packet: Packet<'a>,
    ) -> Result<Option<Message<'a>>, ProtocolError> {
        match (lane, self.lanes.route()) {
            _ if self.is_finished() => Ok(None),
            (Lane::Stream, Route::Probing(_) | Route::Paused(_)) => {
                // Even of a closing session: what is left to send goes where the client listens.
                self.handle_probe(now, &packet);
                Ok(None)
            }
            _ if self.is_closed() => Ok(None),
            (Lane::Polling, Route::Stream) => Err(ProtocolError::WrongTransport),
            // What a stream still says after its upgrade was given up.
            (Lane::Stream, Route::Polling) => Ok(None),
            (Lane::Polling, _) | (Lane::Stream, Route::Stream) => self.handle_data(now, packet),
        }
    }

    /// Bytes arrived which do not complete a packet yet: the peer is alive, even if a heartbeat is stuck behind them.
    pub fn handle_activity(&mut self, now: Instant) {
        if !self.is_closed() {
            self.heartbeat.handle_activity(&self.config, now);
        }
    }

    /// What the peer says is not being read, and its answer to a heartbeat may be among it: it counts as given, so that
    /// the next heartbeat is sent in its time. To be called for as long as that lasts.
    pub fn handle_backlog(&mut self, now: Instant) {
        if !self.is_closed() {
            self.heartbeat.handle_backlog(&self.config, now);
        }
    }

    /// A stream was opened for this session: the upgrade may begin.
    ///
    /// # Errors
    /// `WrongTransport` if the session cannot be upgraded (now): it is not open, upgrades are not allowed, one is under
    /// way, or it is done. The session goes on; the driver closes the new stream.
    pub fn handle_stream_open(&mut self, now: Instant) -> Result<(), ProtocolError> {
        let deadline = after(now, self.config.upgrade_timeout);
        let allowed = self.phase == Phase::Open && self.config.allow_upgrades;
        if allowed && self.lanes.open_stream(deadline) { Ok(()) } else { Err(ProtocolError::WrongTransport) }
    }

    /// The transport of `lane` is gone: the stream was closed, a GET was aborted, its answer could not be written, a
    /// request of ours failed. Ends the session if `lane` carried it; gives up the upgrade otherwise.
    pub fn handle_lane_closed(&mut self, now: Instant, lane: Lane, reason: CloseReason) {
        let carried = self.lanes.requests.has_carried();
        if lane == Lane::Polling {
            self.lanes.requests.clear();
        }
        match (lane, self.lanes.route()) {
            (Lane::Stream, Route::Probing(_) | Route::Paused(_)) => self.give_up(now),
            (Lane::Stream, Route::Polling) | (Lane::Polling, Route::Stream) => {}
            // A client which drops its poll while it changes over loses nothing but a NOOP.
            (Lane::Polling, Route::Paused(_)) if !carried && self.role == Role::Server => {
                self.lanes.queue.remove(&[Item::Noop]);
            }
            (Lane::Polling, _) | (Lane::Stream, Route::Stream) => {
                self.end(reason);
                self.lanes.queue.clear();
                self.settle();
            }
        }
    }

    /// Client: the GET was answered, and its packets have been handed over.
    pub fn handle_poll_done(&mut self, now: Instant) {
        self.lanes.requests.end_get();
        self.try_switch(now);
    }

    /// Client: the POST was answered.
    pub fn handle_post_done(&mut self, now: Instant) {
        self.lanes.requests.end_post();
        self.try_switch(now);
    }

    /// `poll_timeout` has passed.
    ///
    /// To be called after all input that has arrived was handed over: after a stall of this process the answer to a
    /// heartbeat may be among it. Where the driver cannot know (a request still on its way through the HTTP server), a
    /// call that comes very late gives the peer a quarter of `ping_timeout` more, once.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.lanes.route().deadline().is_some_and(|deadline| now >= deadline) {
            self.give_up(now);
        }
        if self.lanes.route().is_paused() || self.phase == Phase::Finished {
            return;
        }
        match self.heartbeat.handle_timeout(&self.config, now) {
            Beat::Nothing => {}
            Beat::Ping if self.is_closed() => {}
            Beat::Ping => self.lanes.queue.insert(Item::Ping),
            Beat::Dead if self.is_closed() => self.abandon(),
            Beat::Dead if self.phase == Phase::Opening => self.close(CloseReason::TransportError),
            Beat::Dead => {
                self.heartbeat.linger(&self.config, now);
                self.close(CloseReason::PingTimeout);
            }
        }
    }

    // Commands.

    /// Queues a message. Ignored when the session is over; there is no bound but the caller's, who asks `queued_bytes`
    /// and `data_lane`.
    pub fn send(&mut self, message: Encoded) {
        if !self.is_closed() {
            self.lanes.queue.push(message);
        }
    }

    /// Ends the session from this side; nothing happens if it is over.
    ///
    /// With `CloseReason::Forced` the messages which are queued still go out, for at most as long as a silent peer is
    /// kept; with other reasons they are dropped. By polling CLOSE is the last packet; a stream is closed by the driver.
    pub fn close(&mut self, reason: CloseReason) {
        let was_open = self.phase == Phase::Open;
        if !self.end(reason) {
            return;
        }
        let told = match (self.role, reason) {
            (_, CloseReason::Forced) => true,
            (Role::Server, _) => self.lanes.requests.has_get(),
            (Role::Client, reason) => !matches!(reason, CloseReason::TransportClose | CloseReason::TransportError),
        };
        if told && was_open && self.lanes.route() != Route::Stream {
            self.lanes.queue.insert(Item::Close);
        }
        self.settle();
    }

    // Outputs.

    /// The next packet to write on `lane`. On [`Lane::Polling`] of a server this is `None` unless a poll waits; on that
    /// of a client unless a POST may be sent.
    pub fn poll_transmit(&mut self, lane: Lane) -> Option<Encoded> {
        let is_idle = self.phase == Phase::Open && self.lanes.queue.is_empty();
        if is_idle || self.phase == Phase::Opening {
            return None;
        }
        let packet = self.lanes.take(lane, self.is_closed());
        self.settle();
        packet
    }

    /// Bytes that what `poll_transmit` would give next takes on `lane`, so that a body can be kept within the peer's
    /// limit: in a polling body (at most, in revision 3), or as a frame.
    pub fn peek_transmit(&self, lane: Lane) -> Option<usize> {
        if self.phase == Phase::Opening {
            return None;
        }
        let packet = self.lanes.peek(lane, self.is_closed())?;
        Some(match (lane, self.revision) {
            (Lane::Stream, _) => packet.size(),
            (Lane::Polling, Revision::V4) => payload::encoded_len(packet),
            (Lane::Polling, Revision::V3) => payload_v3::encoded_len(packet),
        })
    }

    /// Server: the waiting poll was answered with what `poll_transmit` gave; nothing more for polling until the next one.
    pub fn finish_poll(&mut self) {
        // While paused the answer is a NOOP; at other times the driver may have added messages of its own queue.
        let carried = !self.lanes.route().is_paused() || self.is_closed();
        self.lanes.requests.answer_get(carried);
    }

    /// Client: whether a GET has to be sent. True once for each; the handshake is the first.
    pub fn poll_request(&mut self) -> bool {
        let wanted = self.role == Role::Client && !self.is_closed() && self.lanes.route().lane() == Some(Lane::Polling);
        wanted && self.lanes.requests.begin_get()
    }

    /// Client: what `poll_transmit` gave was sent as a POST; nothing more for polling until it is answered.
    pub fn finish_post(&mut self) {
        self.lanes.requests.send_post();
    }

    /// What happened since the last call.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.poll()
    }

    /// When to call `handle_timeout`. `None` only if the session is finished.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.lanes.route() {
            _ if self.phase == Phase::Finished => None,
            Route::Paused(deadline) => Some(deadline),
            Route::Probing(deadline) => Some(deadline.min(self.heartbeat.due())),
            Route::Polling | Route::Stream => Some(self.heartbeat.due()),
        }
    }

    // Getters.

    /// The lane which carries messages now; `None` before OPEN, while polling is paused for an upgrade, and after the end.
    pub fn data_lane(&self) -> Option<Lane> {
        if self.phase == Phase::Open { self.lanes.route().lane() } else { None }
    }

    /// Whether the session is over for the application: `Event::Closed` has been or will be reported.
    pub fn is_closed(&self) -> bool {
        self.phase >= Phase::Closing
    }

    /// Whether it is over and `poll_transmit` will never give anything again: the driver may forget it.
    pub fn is_finished(&self) -> bool {
        self.phase == Phase::Finished
    }

    /// Bytes of messages queued.
    pub fn queued_bytes(&self) -> usize {
        self.lanes.queue.bytes()
    }

    /// The revision spoken.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    // Packets.

    /// A packet on the lane which carries messages, or on the one which is about to stop doing so.
    fn handle_data<'a>(&mut self, now: Instant, packet: Packet<'a>) -> Result<Option<Message<'a>>, ProtocolError> {
        self.heartbeat.handle_packet(&self.config, now);
        match packet {
            Packet::Message(_) if self.phase == Phase::Opening => Err(self.unexpected("message")),
            Packet::Message(message) => Ok(Some(message)),
            Packet::Ping(_) => self.handle_ping().map(|()| None),
            Packet::Pong(_) => self.handle_pong(now).map(|()| None),
            Packet::Open(json) => self.handle_open(now, json).map(|()| None),
            Packet::Close => {
                self.handle_close();
                Ok(None)
            }
            Packet::Noop | Packet::Upgrade => Ok(None),
        }
    }

    fn handle_open(&mut self, now: Instant, json: &str) -> Result<(), ProtocolError> {
        let Some(phase) = self.phase.after(Turn::Opened) else { return Err(self.unexpected("open")) };
        let open = Open::parse(json).inspect_err(|error| self.close(error.close_reason()))?;
        self.phase = phase;
        let (ping_interval, ping_timeout) = (open.ping_interval, open.ping_timeout);
        let config = Config { ping_interval, ping_timeout, ..Config::clone(&self.config) };
        self.heartbeat = Heartbeat::new(self.role, self.revision, &config, now);
        self.config = Arc::new(config);
        self.events.opened(open);
        Ok(())
    }

    /// The side which does not time heartbeats may ping: the server of revision 4, the client of revision 3.
    fn handle_ping(&mut self) -> Result<(), ProtocolError> {
        match (self.role, self.revision) {
            (Role::Client, Revision::V4) | (Role::Server, Revision::V3) => {
                self.lanes.queue.insert(Item::Pong);
                Ok(())
            }
            (Role::Client, Revision::V3) | (Role::Server, Revision::V4) => Err(self.unexpected("ping")),
        }
    }

    fn handle_pong(&mut self, now: Instant) -> Result<(), ProtocolError> {
        if (self.role, self.revision) == (Role::Server, Revision::V3) {
            return Err(self.unexpected("pong"));
        }
        self.heartbeat.handle_pong(&self.config, now);
        Ok(())
    }

    /// The peer leaves. Its waiting poll is released with NOOP. [JS engine.io 6.6 transports/polling.ts onClose]
    fn handle_close(&mut self) {
        self.end(CloseReason::TransportClose);
        if self.role == Role::Server && self.lanes.requests.has_get() {
            self.lanes.queue.insert(Item::Noop);
        }
        self.settle();
    }

    fn unexpected(&mut self, packet: &'static str) -> ProtocolError {
        let error = ProtocolError::UnexpectedPacket(packet);
        self.close(error.close_reason());
        error
    }

    // Upgrade.

    /// A packet on a stream which does not carry messages yet.
    fn handle_probe(&mut self, now: Instant, packet: &Packet<'_>) {
        match upgrade::judge(self.role, self.lanes.route(), packet) {
            Step::ProbeAnswered => self.pause(now),
            Step::Switched => self.switch(now),
            Step::StreamOpened(_) | Step::GivenUp => self.give_up(now),
        }
    }

    fn pause(&mut self, now: Instant) {
        self.lanes.pause();
        self.release_poll();
        self.try_switch(now);
    }

    fn release_poll(&mut self) {
        if self.lanes.route().is_paused() && !self.is_closed() {
            self.lanes.release_poll();
        }
    }

    /// Client: makes the switch if polling has come to rest.
    fn try_switch(&mut self, now: Instant) {
        if self.phase == Phase::Open && self.lanes.is_at_rest() {
            self.switch(now);
        }
    }

    fn switch(&mut self, now: Instant) {
        if self.lanes.switch() {
            self.heartbeat.resume(&self.config, now);
            self.end_upgrade(Outcome::Upgraded);
        }
    }

    fn give_up(&mut self, now: Instant) {
        let was_paused = self.lanes.route().is_paused();
        if self.lanes.give_up() {
            if was_paused {
                self.heartbeat.resume(&self.config, now);
            }
            self.end_upgrade(Outcome::Failed);
        }
    }

    fn end_upgrade(&mut self, outcome: Outcome) {
        if !self.is_closed() {
            self.events.upgraded(outcome);
        }
        self.settle();
    }

    // End.

    /// Ends the session, whoever wanted it; false if it was over already.
    fn end(&mut self, reason: CloseReason) -> bool {
        let Some(phase) = self.phase.after(Turn::Ended) else { return false };
        if reason == CloseReason::Forced && self.phase == Phase::Open {
            self.lanes.queue.remove(&[Item::Ping, Item::Pong, Item::Probe, Item::Noop]);
        } else {
            self.lanes.queue.clear();
        }
        self.phase = phase;
        self.events.closed(reason);
        true
    }

    /// The last packets were not asked for in time.
    fn abandon(&mut self) {
        self.lanes.queue.clear();
        self.settle();
    }

    /// A closing session is finished when nothing is due any more.
    fn settle(&mut self) {
        if self.lanes.queue.is_empty() {
            self.phase = self.phase.after(Turn::Drained).unwrap_or(self.phase);
        }
    }
}
