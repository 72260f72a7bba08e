//! Knobs shared by both sides, with the names and defaults of the JS server.

use crate::time::Duration;

/// Limits and times of a session. One `Config` is shared by all sessions of a server.
///
/// A client takes `ping_interval` and `ping_timeout` from the server's handshake; until that arrives, it waits for it
/// as long as both together.
#[derive(Clone, Debug)]
pub struct Config {
    /// Time between two heartbeats. Default 25 s. Shorter finds dead peers sooner and costs a packet each way.
    pub ping_interval: Duration,
    /// How long an answer to a heartbeat may take. Default 20 s. Too short disconnects slow phones.
    pub ping_timeout: Duration,
    /// How long an upgrade to another transport may take before it is given up; polling goes on. Default 10 s. Messages
    /// and heartbeats may be held back this long, so keep it below `ping_timeout`.
    pub upgrade_timeout: Duration,
    /// Longest message or polling body accepted from the peer, in bytes. Default 1,000,000. [EIO4 "handshake"]
    /// Announced to clients; the driver enforces it while it reads.
    pub max_payload: usize,
    /// Whether a polling session is offered upgrades, and may take one. Default true.
    pub allow_upgrades: bool,
    /// Whether WebSocket is among the upgrades offered. Default true.
    pub websocket: bool,
    /// Whether WebTransport is among the upgrades offered. Default false.
    pub webtransport: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            ping_interval: Duration::from_secs(25),
            ping_timeout: Duration::from_secs(20),
            upgrade_timeout: Duration::from_secs(10),
            max_payload: 1_000_000,
            allow_upgrades: true,
            websocket: true,
            webtransport: false,
        }
    }
}
