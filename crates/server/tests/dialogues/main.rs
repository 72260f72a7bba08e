//! Dialogues with a server in literal wire text, over a network in memory and on a virtual clock.

mod common;
#[cfg(feature = "webtransport")]
#[expect(dead_code, reason = "shared with the tests of WebTransport, which need more of it")]
#[path = "../webtransport/clock.rs"]
mod clock;
#[cfg(feature = "webtransport")]
#[expect(dead_code, reason = "shared with the tests of WebTransport, which need more of it")]
#[path = "../webtransport/peer.rs"]
mod peer;

mod handshake;
mod polling;
mod upgrade;
mod heartbeat;
mod bad_input;
mod behind;
mod admission;
mod leaving;
mod causes;
mod rooms;
mod acks;
mod handlers;
mod outbox;
mod pace;
mod shutdown;
mod reentrancy;
mod config;
mod semantics;
