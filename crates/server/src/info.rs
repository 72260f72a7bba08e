//! What one server tells another about a socket.

use std::time::SystemTime;

use smol_str::SmolStr;

/// A socket's public facts, as they were when they were asked for.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SocketInfo {
    /// The socket's id.
    pub id: SmolStr,
    /// The rooms it is in; the first is its own id.
    pub rooms: Vec<SmolStr>,
    /// Its [`Data`](crate::Data), a JSON object.
    pub data: serde_json::Value,
    /// Path and query of the request that opened its connection.
    pub uri: String,
    /// Headers of that request, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Address of the client.
    pub address: Option<std::net::SocketAddr>,
    /// What the client sent as `auth`: not for logs.
    pub auth: serde_json::Value,
    /// When the connection was opened.
    pub time: SystemTime,
    /// Whether the connection is encrypted, as far as its server can see.
    pub secure: bool,
}

impl SocketInfo {
    /// Facts of a socket with this id and nothing else; the fields can then be set.
    pub fn new(id: impl Into<SmolStr>) -> Self {
        Self {
            id: id.into(),
            rooms: Vec::new(),
            data: serde_json::Value::Object(serde_json::Map::new()),
            uri: String::new(),
            headers: Vec::new(),
            address: None,
            auth: serde_json::Value::Object(serde_json::Map::new()),
            time: SystemTime::UNIX_EPOCH,
            secure: false,
        }
    }
}
