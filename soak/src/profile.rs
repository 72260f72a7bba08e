//! How long the server waits for what; both ends know it, so that clients can be silent for long enough.

use std::time::Duration;

/// Times of the server.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Profile {
    pub(crate) ping_interval: Duration,
    pub(crate) ping_timeout: Duration,
    /// For the upgrade, and until the first CONNECT.
    pub(crate) patience: Duration,
}

impl Profile {
    /// `heartbeat`: seconds between two pings, and until the answer.
    pub(crate) fn new(heartbeat: u64) -> Self {
        let heartbeat = Duration::from_secs(heartbeat);
        Self { ping_interval: heartbeat, ping_timeout: heartbeat, patience: heartbeat }
    }

    /// After so long without a sign of life nothing of a client is left.
    pub(crate) fn silence(&self) -> Duration {
        self.ping_interval + self.ping_timeout + Duration::from_secs(1)
    }
}
