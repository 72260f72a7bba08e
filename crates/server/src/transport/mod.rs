//! How packets reach a client.

pub(crate) mod io;
pub(crate) mod websocket;
