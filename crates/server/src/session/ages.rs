//! When something last passed on a connection, in little space: every idle connection keeps this.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use crate::cause::{Cause, Disconnect};
use crate::error::DisconnectReason;

/// Moments in the life of a session.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ages {
    began: Tick,
    /// The last bytes of the client.
    pub(super) heard: Tick,
    /// The last bytes to it.
    pub(super) sent: Tick,
    /// The last ping to it.
    pub(super) pinged: Option<Tick>,
}

/// Steps of time since the server began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tick(NonZeroU32);

impl Ages {
    pub(super) fn new(now: Tick) -> Self {
        Self { began: now, heard: now, sent: now, pinged: None }
    }

    pub(super) fn since_sent(&self, now: Tick) -> Duration {
        self.sent.until(now)
    }

    /// The end of the session, or of one socket on it.
    pub(super) fn end(&self, reason: DisconnectReason, cause: Cause, now: Tick) -> Disconnect {
        let idle = self.heard.until(now).min(self.sent.until(now));
        Disconnect { reason, cause, age: self.began.until(now), idle, is_regular: false }
    }

    /// The client has not answered in time.
    pub(super) fn ping_timeout(&self, now: Tick) -> Cause {
        let pinged = self.pinged.map(|pinged| pinged.until(now));
        Cause::PingTimeout { heard: self.heard.until(now), pinged }
    }
}

impl Tick {
    pub(super) fn at(now: Instant, start: Instant) -> Self {
        let passed = now.saturating_duration_since(start);
        let steps = passed.as_secs() * STEPS + u64::from(passed.subsec_millis()) / (1_000 / STEPS);
        // After 497 days they begin anew: what is older than that is told to be younger.
        let steps = u32::try_from(steps % u64::from(u32::MAX)).unwrap_or_default();
        Self(NonZeroU32::MIN.saturating_add(steps))
    }

    fn until(self, later: Self) -> Duration {
        STEP * later.0.get().wrapping_sub(self.0.get())
    }
}

/// As fine as moments are told apart: so many in a second.
const STEPS: u64 = 100;
const STEP: Duration = Duration::from_millis(1_000 / STEPS);
