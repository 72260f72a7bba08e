//! What a client makes the server allocate, and can make it allocate, counted by the allocator.

mod counting;
mod pipe;
mod acks;
mod held;
mod idle;
#[cfg(feature = "webtransport")]
#[path = "../webtransport/mangled.rs"]
mod mangled;
#[cfg(feature = "webtransport")]
mod quic;
#[cfg(feature = "http2")]
mod http2;
mod messages;
mod names;
mod silence;
mod sum;
mod strangers;
