//! Limits of a connection, with the defaults of the JS server where it has them.

use sockeye_engine::time::Duration;

/// Limits and times of a connection. One `Config` is shared by all connections of a server.
///
/// What a hostile peer can make one connection hold is about `max_payload` (a packet which waits for its attachments)
/// plus `max_attachment_bytes` plus 1 KiB for each of `max_namespaces`.
#[derive(Clone, Debug)]
pub struct Config {
    /// Attachments in one packet. Default 10, as in the official parser since 4.2.6; a packet which announces more
    /// closes the connection before anything is stored. Official peers close when they get more than 10.
    pub max_attachments: usize,
    /// Sum of the bytes of one packet's attachments. Default 10 MB: ten messages of the default `max_payload`.
    pub max_attachment_bytes: usize,
    /// How long the attachments of a packet may take, from its header to the last one. Default 60 s.
    /// Too short cuts slow uploads; too long lets a silent peer hold what it has sent so far.
    pub attachment_timeout: Duration,
    /// Server: how long a client may stay without any namespace. Default 45 s. [JS socket.io 4.8 `connectTimeout`]
    pub connect_timeout: Duration,
    /// Namespaces on one connection, those still asked for included. Default 256, at most 65,535.
    pub max_namespaces: usize,
    /// Depth of nested arrays and objects in a packet, the array of its arguments included.
    /// Default and largest useful value 128; larger ones mean 128, which is what the stack is safe for.
    pub max_depth: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_attachments: 10,
            max_attachment_bytes: 10_000_000,
            attachment_timeout: Duration::from_mins(1),
            connect_timeout: Duration::from_secs(45),
            max_namespaces: 256,
            max_depth: 128,
        }
    }
}
