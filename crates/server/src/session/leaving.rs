//! How sockets leave, and their session ends.

use std::time::{Duration, Instant};

use sockeye_protocol::Slot;

use super::ages::Tick;
use super::body::{Body, slot_at};
use super::occupant::Occupant;
use crate::cause::{Cause, Disconnect};
use crate::error::DisconnectReason;
use crate::handlers::short;

impl Body {
    /// This side disconnects one socket.
    pub(crate) fn leave(&mut self, slot: Slot, socket: &str, now: Instant) {
        let here = matches!(self.occupant(slot), Occupant::Joined(joined) if joined.socket.id() == socket);
        if here {
            self.leave_slot(slot, DisconnectReason::ServerDisconnect, true, now);
        }
    }

    /// The session ends and every socket leaves; with `say`, each of them is told by a DISCONNECT.
    pub(crate) fn leave_all(&mut self, reason: DisconnectReason, say: bool, now: Instant) {
        let cause = || Cause::of_reason(reason);
        self.blame(reason, cause, now);
        for at in 0..self.sockets.len() {
            self.leave_slot(slot_at(at), reason, say, now);
        }
    }

    fn leave_slot(&mut self, slot: Slot, reason: DisconnectReason, say: bool, now: Instant) {
        if let Some(packet) = self.connection.disconnect(slot, now)
            && say
        {
            self.push(packet);
        }
        self.depart(slot, reason, now);
    }

    pub(super) fn depart(&mut self, slot: Slot, reason: DisconnectReason, now: Instant) {
        if let Occupant::Joined(joined) = std::mem::take(self.occupant(slot)) {
            tracing::debug!(namespace = short(joined.namespace.path()), %reason, "a socket left");
            let disconnect = match &self.end {
                Some(end) => Disconnect { reason, ..Disconnect::clone(end) },
                None => self.ages.end(reason, Cause::of_reason(reason), self.tick(now)),
            };
            self.departing.push(joined.depart(disconnect, now));
        }
    }

    /// Notes what ends the session. The first one counts.
    pub(crate) fn blame(&mut self, reason: DisconnectReason, cause: impl FnOnce() -> Cause, now: Instant) {
        if self.end.is_none() {
            let now = self.tick(now);
            let cause = if reason == DisconnectReason::PingTimeout { self.ages.ping_timeout(now) } else { cause() };
            let mut end = self.ages.end(reason, cause, now);
            end.is_regular = matches!(end.cause, Cause::Io(_)) && self.core.rhythm.lock().note(end.idle);
            self.end = Some(Box::new(end));
        }
    }

    /// Bytes of the client have come.
    pub(super) fn note_heard(&mut self, now: Instant) {
        self.ages.heard = self.tick(now);
    }

    /// Bytes were written to it.
    pub(super) fn note_sent(&mut self, now: Instant) {
        self.ages.sent = self.tick(now);
    }

    /// How long ago that was.
    pub(super) fn since_sent(&self, now: Instant) -> Duration {
        self.ages.since_sent(self.tick(now))
    }

    pub(super) fn tick(&self, now: Instant) -> Tick {
        Tick::at(now, self.core.started)
    }

    /// The session is over for everybody; its task may go on with handlers that still run.
    pub(crate) fn retire(&mut self) {
        self.count_heard();
        self.let_go();
        drop(self.link.end());
        self.core.metrics.sessions.down();
        let Some(end) = &self.end else { return };
        self.core.metrics.sessions_closed.up(end.reason);
        let Disconnect { reason, cause, age, idle, is_regular } = &**end;
        tracing::debug!(%reason, cause = %cause.loggable(), ?age, ?idle, is_regular, "a session ended");
    }
}
