//! WebTransport: sessions over HTTP/3, each with one stream that the client opens.
//! [JS engine.io 6.6 server.ts onWebTransportSession]

mod certificate;
mod quic;
mod stream;
mod visit;
pub(crate) mod listen;

pub use certificate::SelfSigned;
