//! How much is remembered of those who are away, and for how long.

use std::time::Duration;

/// Options of connection state recovery; see [`ServerBuilder::recovery`](crate::ServerBuilder::recovery).
///
/// Worst case of memory for each namespace: `max_bytes` of events and `max_sessions` sessions of a few hundred bytes.
#[derive(Clone, Debug)]
pub struct Recovery {
    pub(crate) window: Duration,
    pub(crate) max_bytes: usize,
    pub(crate) max_packets: usize,
    pub(crate) max_sessions: usize,
    pub(crate) skip_authorize: bool,
}

impl Default for Recovery {
    fn default() -> Self {
        Self {
            window: Duration::from_mins(2),
            max_bytes: 64 * 1024 * 1024,
            max_packets: 262_144,
            max_sessions: 65_536,
            skip_authorize: false,
        }
    }
}

impl Recovery {
    /// How long a client may stay away (`maxDisconnectionDuration`). Default 2 minutes. What is older is forgotten, a
    /// quarter of this later at the latest, also where nothing happens any more.
    #[must_use]
    pub fn window(mut self, window: Duration) -> Self {
        self.window = window;
        self
    }

    /// Bytes of events kept per namespace. Default 64 MiB. When they are exceeded the oldest events go, and who would
    /// have needed them is not recovered.
    #[must_use]
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// Events kept per namespace. Default 262,144.
    #[must_use]
    pub fn max_packets(mut self, packets: usize) -> Self {
        self.max_packets = packets;
        self
    }

    /// Clients per namespace that may be away at a time. Default 65,536; beyond, those who left first are forgotten.
    #[must_use]
    pub fn max_sessions(mut self, sessions: usize) -> Self {
        self.max_sessions = sessions;
        self
    }

    /// Lets a client that comes back in without asking `authorize` again. A user whose access was revoked meanwhile
    /// gets in, and gets what was sent meanwhile. Default: `authorize` is asked.
    #[must_use]
    pub fn dangerously_skip_authorize(mut self) -> Self {
        self.skip_authorize = true;
        self
    }
}
