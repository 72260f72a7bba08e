//! One Engine.IO connection.
use std::sync::Arc;
use crate::time::Instant;
use crate::handshake::Open;
use crate::{CloseReason, Config, Encoded, Message, Packet, ProtocolError, Revision, Sid};

/// Which of the (at most two) transports of a session a thing came from or goes to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lane { /// HTTP long-polling. 
 Polling, /// WebSocket or WebTransport. 
 Stream }

/// What happened to the session itself. Messages are returned by [`Session::handle_packet`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The server's handshake arrived (client side).
    Opened(Open),
    /// Messages now travel on [`Lane::Stream`]; the polling transport is done with.
    Upgraded,
    /// An upgrade was given up; polling goes on. The driver closes the stream.
    UpgradeFailed,
    /// The session is over. Nothing follows but what `poll_transmit` still has.
    Closed(CloseReason),
}

/// One Engine.IO connection, seen from either side.
#[derive(Debug)]
pub struct Session { config: Arc<Config> }

impl Session {
    /// Server: a session which was just accepted on `lane`. OPEN is the first thing to transmit.
    pub fn accept(config: Arc<Config>, revision: Revision, sid: &Sid, lane: Lane, now: Instant) -> Self { todo!() }
    /// Client: a session which was just opened on `lane` and waits for OPEN.
    pub fn connect(config: Arc<Config>, lane: Lane, now: Instant) -> Self { todo!() }

    // inputs
    /// Server: a GET arrived and waits for an answer: `poll_transmit` until empty, then `finish_poll`.
    pub fn handle_poll(&mut self, now: Instant) -> Result<(), ProtocolError> { todo!() }
    /// A packet arrived on `lane`. Returns the message it carried, if any.
    pub fn handle_packet<'a>(&mut self, now: Instant, lane: Lane, packet: Packet<'a>) -> Result<Option<Message<'a>>, ProtocolError> { todo!() }
    /// Bytes arrived which do not complete a packet yet: the peer is alive.
    pub fn handle_activity(&mut self, now: Instant) { todo!() }
    /// A stream was opened for this session: the upgrade may begin. `Err` if the session cannot be upgraded (now).
    pub fn handle_stream_open(&mut self, now: Instant) -> Result<(), ProtocolError> { todo!() }
    /// The transport of `lane` is gone. Ends the session if it carried it; gives up the upgrade otherwise.
    pub fn handle_lane_closed(&mut self, now: Instant, lane: Lane, reason: CloseReason) { todo!() }
    /// `poll_timeout` has passed.
    pub fn handle_timeout(&mut self, now: Instant) { todo!() }

    // commands
    /// Queues a message.
    pub fn send(&mut self, message: Encoded) { todo!() }
    /// Ends the session from this side.
    pub fn close(&mut self, reason: CloseReason) { todo!() }

    // outputs
    /// The next packet to write on `lane`. On [`Lane::Polling`] of a server this is `None` unless a poll waits.
    pub fn poll_transmit(&mut self, lane: Lane) -> Option<Encoded> { todo!() }
    /// Size of what `poll_transmit` would give next, so that a body can be kept within the peer's limit.
    pub fn peek_transmit(&self, lane: Lane) -> Option<usize> { todo!() }
    /// Server: the waiting poll was answered with what `poll_transmit` gave; nothing more for polling until the next one.
    pub fn finish_poll(&mut self) { todo!() }
    /// What happened since the last call.
    pub fn poll_event(&mut self) -> Option<Event> { todo!() }
    /// When to call `handle_timeout`.
    pub fn poll_timeout(&self) -> Option<Instant> { todo!() }

    // getters
    /// The lane which carries messages now; `None` while polling is paused for an upgrade, and after the end.
    pub fn data_lane(&self) -> Option<Lane> { todo!() }
    /// Whether the session is over.
    pub fn is_closed(&self) -> bool { todo!() }
    /// Bytes of messages queued.
    pub fn queued_bytes(&self) -> usize { todo!() }
    /// The revision spoken.
    pub fn revision(&self) -> Revision { todo!() }
}
