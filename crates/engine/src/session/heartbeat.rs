//! Who pings whom, and when the peer counts as dead.                                                [EIO4 "heartbeat"]
//!
//! ```text
//! revision 4, server:  Quiet ──ping_interval: PING──▶ Asked ──ping_timeout──▶ dead       PONG leads back to Quiet
//!             client:  Listening ──ping_interval + ping_timeout──▶ dead                  the server pings
//! revision 3: the same with the roles exchanged
//! ```

use crate::time::{Duration, Instant, after};
use crate::{Config, Revision, Role};

#[derive(Debug)]
pub(super) struct Heartbeat {
    /// When the watch moves on.
    due: Instant,
    watch: Watch,
    /// Whether the peer may get a second chance if this side turns out to have slept through `due`. [REQ-13.2]
    grace: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Watch {
    /// A ping has to be sent at `due`.
    Quiet,
    /// A ping was sent; the answer has to be here at `due`. `refreshed`: another packet has prolonged this already.
    Asked { refreshed: bool },
    /// Something of the peer has to be here at `due`.
    Listening,
}

/// What the passing of time demands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Beat {
    Nothing,
    /// PING has to be sent.
    Ping,
    /// The peer did not answer in time.
    Dead,
}

impl Heartbeat {
    /// Begins at `now`, when the session is opened.
    pub(super) fn new(role: Role, revision: Revision, config: &Config, now: Instant) -> Self {
        let grace = role == Role::Server;
        match (role, revision) {
            (Role::Server, Revision::V4) | (Role::Client, Revision::V3) => {
                Self { due: after(now, config.ping_interval), watch: Watch::Quiet, grace }
            }
            _ => Self { grace, ..Self::listen(config, now) },
        }
    }

    /// Waits for the peer, as a client does for OPEN in any revision.
    pub(super) fn listen(config: &Config, now: Instant) -> Self {
        Self { due: after(now, silence(config)), watch: Watch::Listening, grace: false }
    }

    /// A packet has arrived. While a pong is awaited it prolongs the wait, but only once, or a client that never answers
    /// pings could stay for ever. [JS engine.io 6.6.10 socket.ts onPacket]
    pub(super) fn handle_packet(&mut self, config: &Config, now: Instant) {
        match &mut self.watch {
            Watch::Asked { refreshed: true } | Watch::Quiet => {}
            Watch::Asked { refreshed } => {
                *refreshed = true;
                self.due = after(now, config.ping_timeout);
            }
            Watch::Listening => self.handle_activity(config, now),
        }
    }

    /// The packet was PONG. One that nobody asked for changes nothing: neither may it put off the next ping.
    pub(super) fn handle_pong(&mut self, config: &Config, now: Instant) {
        if matches!(self.watch, Watch::Asked { .. }) {
            *self = Self { due: after(now, config.ping_interval), watch: Watch::Quiet, grace: true };
        }
    }

    /// Bytes of an unfinished packet have arrived: the answer may be stuck behind them.
    pub(super) fn handle_activity(&mut self, config: &Config, now: Instant) {
        match self.watch {
            Watch::Quiet => {}
            Watch::Asked { .. } => self.due = after(now, config.ping_timeout),
            Watch::Listening => self.due = after(now, silence(config)),
        }
    }

    /// The answer may have arrived where nobody reads it.
    pub(super) fn handle_backlog(&mut self, config: &Config, now: Instant) {
        match self.watch {
            Watch::Asked { .. } => self.handle_pong(config, now),
            Watch::Quiet | Watch::Listening => self.handle_activity(config, now),
        }
    }

    /// Time has passed.
    pub(super) fn handle_timeout(&mut self, config: &Config, now: Instant) -> Beat {
        if now < self.due {
            return Beat::Nothing;
        }
        let late = now.saturating_duration_since(self.due) > slack(config);
        if self.watch == Watch::Quiet {
            // A timer is always late by a moment, which is not to add up; a ping that is really late is awaited in full.
            let sent = if late { now } else { self.due };
            self.watch = Watch::Asked { refreshed: false };
            self.due = after(sent, config.ping_timeout);
            return Beat::Ping;
        }
        if late && self.grace {
            self.grace = false;
            self.due = after(now, config.ping_timeout / 4);
            return Beat::Nothing;
        }
        Beat::Dead
    }

    /// Heartbeats were held back until `now`: the peer gets the time for an answer again.
    pub(super) fn resume(&mut self, config: &Config, now: Instant) {
        if self.watch != Watch::Quiet {
            self.due = self.due.max(after(now, config.ping_timeout));
        }
    }

    /// The peer is dead; last packets, if there are any, wait one `ping_timeout` more for being asked for.
    pub(super) fn linger(&mut self, config: &Config, now: Instant) {
        *self = Self { due: after(now, config.ping_timeout), watch: Watch::Listening, grace: false };
    }

    /// When to call `handle_timeout`.
    pub(super) fn due(&self) -> Instant {
        self.due
    }
}

/// Longest silence of a peer that is alive.
fn silence(config: &Config) -> Duration {
    config.ping_interval.saturating_add(config.ping_timeout)
}

/// Lateness of a timer beyond which this side was stalled, and the peer's answer may wait unread.
fn slack(config: &Config) -> Duration {
    (config.ping_timeout / 4).min(Duration::from_millis(100))
}
