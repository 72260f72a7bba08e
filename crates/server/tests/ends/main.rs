//! Every cause and every moment of an end, on every transport: `on_disconnect` is called once for each namespace, rooms can
//! still be read in it, and nothing is left.

#![cfg(feature = "webtransport")]

#[expect(dead_code, reason = "shared with the tests of WebTransport, which need more of it")]
#[path = "../webtransport/clock.rs"]
mod clock;
#[expect(dead_code, reason = "shared with the tests of WebTransport, which need more of it")]
#[path = "../webtransport/peer.rs"]
mod peer;
mod scene;
mod causes;
mod moments;
mod streams;
