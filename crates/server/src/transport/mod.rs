//! How packets reach a client.

pub(crate) mod io;
pub(crate) mod websocket;

/// A transport which clients may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Transport {
    /// HTTP long-polling.
    Polling,
    /// WebSocket.
    Websocket,
}
