//! Who speaks, and which revision of the protocol.

/// Which end of a connection this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The end which opened the connection; masks its WebSocket frames.
    Client,
    /// The end which accepted it.
    Server,
}

/// Revision of the Engine.IO protocol that a session speaks (`EIO` in the query).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revision {
    /// `EIO=3`: Socket.IO 1.x and 2.x clients.
    V3,
    /// `EIO=4`: Socket.IO 3.x and 4.x clients.
    V4,
}
