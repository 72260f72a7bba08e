//! How packets reach a client.

pub(crate) mod carrier;
pub(crate) mod io;
pub(crate) mod paced;
pub(crate) mod websocket;
pub(crate) mod webtransport;
pub(crate) mod stream;

/// A transport which clients may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Transport {
    /// HTTP long-polling.
    Polling,
    /// WebSocket.
    Websocket,
    /// WebTransport, which is HTTP/3: needs the feature `webtransport`, and `Server::listen_webtransport`.
    Webtransport,
}
