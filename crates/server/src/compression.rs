//! Knobs of compression: of WebSocket messages, and of polling bodies.

use sockeye_engine::ws;
use sockeye_engine::ws::deflate::{Level, Options};

/// Compression of WebSocket messages: permessage-deflate. [RFC 7692]
///
/// For [`ServerBuilder::per_message_deflate`](crate::ServerBuilder::per_message_deflate). Each client decides in its
/// handshake whether it takes part; browsers do.
///
/// ```
/// use sockeye::{Deflate, Server};
///
/// let io = Server::builder().per_message_deflate(Deflate::default().threshold(512).level(3)).build()?;
/// # Ok::<(), sockeye::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deflate {
    pub(crate) threshold: usize,
    pub(crate) level: u8,
    pub(crate) context_takeover: bool,
}

impl Default for Deflate {
    fn default() -> Self {
        Self { threshold: 1024, level: 6, context_takeover: false }
    }
}

impl Deflate {
    /// Messages shorter than this many bytes go out as they are. Default 1,024. A short message gains little, and costs
    /// a few microseconds.
    #[must_use]
    pub fn threshold(mut self, bytes: usize) -> Self {
        self.threshold = bytes;
        self
    }

    /// How hard to compress, 1 (fastest) to 9 (smallest). Default 6.
    #[must_use]
    pub fn level(mut self, level: u8) -> Self {
        self.level = level;
        self
    }

    /// Whether a message may refer to those before it on the same connection. Default false.
    ///
    /// Without it one compression serves all receivers of a broadcast, and an idle connection keeps no memory for it.
    /// With it similar messages become smaller still, each receiver costs a compression of its own, and each
    /// connection keeps about 430 KB.
    #[must_use]
    pub fn context_takeover(mut self, takeover: bool) -> Self {
        self.context_takeover = takeover;
        self
    }

    /// What is offered to a client.
    pub(crate) fn options(self) -> Options {
        let alone = !self.context_takeover;
        Options { server_no_context_takeover: alone, client_no_context_takeover: alone }
    }

    /// Whether compression of a message of this length is worth a try.
    pub(crate) fn takes(self, message: &sockeye_engine::Encoded) -> bool {
        message.may_compress() && message.packet().len() >= self.threshold
    }

    pub(crate) fn engine_level(self) -> Level {
        Level::new(self.level)
    }
}

/// A compressed frame which stands alone, made once for all who can take it.
pub(crate) fn shared_frame(message: &sockeye_engine::Encoded, deflate: Deflate) -> Option<bytes::Bytes> {
    let opcode = if message.is_binary() { ws::Opcode::Binary } else { ws::Opcode::Text };
    message.deflated(|payload| ws::deflate::compress(payload, opcode, deflate.engine_level()))
}

/// Compression of the bodies of polling responses: gzip or deflate, as the client accepts it.
///
/// For [`ServerBuilder::http_compression`](crate::ServerBuilder::http_compression).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpCompression {
    pub(crate) enabled: bool,
    pub(crate) threshold: usize,
    pub(crate) level: u8,
}

impl Default for HttpCompression {
    fn default() -> Self {
        Self { enabled: true, threshold: 1024, level: 6 }
    }
}

impl HttpCompression {
    /// No compression: for a proxy that compresses itself.
    pub fn off() -> Self {
        Self { enabled: false, ..Self::default() }
    }

    /// Bodies shorter than this many bytes go out as they are. Default 1,024.
    #[must_use]
    pub fn threshold(mut self, bytes: usize) -> Self {
        self.threshold = bytes;
        self
    }

    /// How hard to compress, 1 (fastest) to 9 (smallest). Default 6.
    #[must_use]
    pub fn level(mut self, level: u8) -> Self {
        self.level = level;
        self
    }
}
