//! What a client can make the server allocate, counted by the allocator.

mod counting;
mod acks;
mod held;
#[cfg(feature = "webtransport")]
#[path = "../webtransport/mangled.rs"]
mod mangled;
#[cfg(feature = "webtransport")]
mod quic;
#[cfg(feature = "http2")]
mod http2;
mod messages;
mod silence;
mod sum;
mod strangers;
