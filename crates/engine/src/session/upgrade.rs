//! From polling to a stream.                                                                          [EIO4 "upgrade"]
//!
//! ```text
//! client                                                 server
//!    │ stream opened                                        │ Probing: messages still go by polling
//!    │──────────────── 2probe ─────────────────────────────▶│
//!    │◀─────────────── 3probe ──────────────────────────────│ Paused: every poll is answered with NOOP, at once;
//!    │ Paused: no new GET or POST; those under way end      │         POSTs are still taken; what is sent waits
//!    │──────────────── 5 ──────────────────────────────────▶│
//!    │ Stream: what has waited follows                      │ Stream: what has waited follows
//! ```
//!
//! Why nothing is lost, doubled or overtaken: the client sends `5` only when the answers of its last GET and POST have
//! arrived, so all that ever went by polling was taken before the first message goes by the stream, in both directions.

use super::state::{Route, Step};
use crate::{Packet, Role};

/// What a packet on the stream means for an upgrade under way. Anything out of turn gives it up.
pub(super) fn judge(role: Role, route: Route, packet: &Packet<'_>) -> Step {
    match (role, route, packet) {
        (Role::Server, Route::Probing(_) | Route::Paused(_), Packet::Ping(PROBE))
        | (Role::Client, Route::Probing(_), Packet::Pong(PROBE)) => Step::ProbeAnswered,
        (Role::Server, Route::Paused(_), Packet::Upgrade) => Step::Switched,
        _ => Step::GivenUp,
    }
}

/// What tells the pings of an upgrade from heartbeats.
const PROBE: &str = "probe";
