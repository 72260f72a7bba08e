//! Every limit at N − 1, N and N + 1, on every transport, before and after CONNECT: what the client is told, what the
//! application learns, what is counted.

mod client;
mod connections;
mod gate;
mod ending;
mod keeping;
mod old_clients;
mod unfinished;

#[cfg(feature = "webtransport")]
#[path = "../webtransport/clock.rs"]
mod clock;
#[cfg(feature = "webtransport")]
#[expect(dead_code, reason = "shared with the tests of WebTransport, which need more of it")]
#[path = "../webtransport/peer.rs"]
mod peer;
#[cfg(feature = "webtransport")]
mod webtransport;
