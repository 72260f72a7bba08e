//! How packets reach the server.

mod site;
pub(crate) mod http;
pub(crate) mod polling;
pub(crate) mod websocket;

pub(crate) use site::Site;
