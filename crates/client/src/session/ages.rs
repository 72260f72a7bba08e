//! When something last passed on a connection.

use std::time::{Duration, Instant};

use crate::cause::Cause;

/// Moments in the life of a session.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ages {
    /// The last bytes of the server.
    heard: Instant,
    /// The last bytes to it.
    sent: Instant,
    /// Its last ping.
    pinged: Option<Instant>,
}

impl Ages {
    pub(super) fn new(now: Instant) -> Self {
        Self { heard: now, sent: now, pinged: None }
    }

    pub(super) fn note_heard(&mut self, now: Instant) {
        self.heard = now;
    }

    pub(super) fn note_sent(&mut self, now: Instant) {
        self.sent = now;
    }

    pub(super) fn note_pinged(&mut self, now: Instant) {
        self.pinged = Some(now);
    }

    /// How long nothing has passed in either direction.
    pub(super) fn idle(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.heard.max(self.sent))
    }

    /// The server has been silent for too long.
    pub(super) fn ping_timeout(&self, now: Instant) -> Cause {
        let ago = |then| now.saturating_duration_since(then);
        Cause::PingTimeout { heard: ago(self.heard), pinged: self.pinged.map(ago) }
    }
}
