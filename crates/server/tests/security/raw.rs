//! A client that writes HTTP byte by byte.

use sockeye::Server;
use sockeye_testing::settle;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

/// Head of a request that opens a WebSocket, without its last line.
pub(crate) const UPGRADE: &str = "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: sockeye.test\r\n\
    Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// A connection to a server, and the task that serves it.
pub(crate) struct Raw {
    pub(crate) pipe: DuplexStream,
    serving: tokio::task::JoinHandle<()>,
}

impl Raw {
    pub(crate) fn open(io: &Server) -> Self {
        let (pipe, end) = tokio::io::duplex(1 << 20);
        let io = io.clone();
        Self { pipe, serving: tokio::spawn(async move { io.serve_stream(end, None).await }) }
    }

    /// Writes; what the server does not take any more is lost.
    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        let _ = self.pipe.write_all(bytes).await;
        settle().await;
    }

    /// All that the server says until it ends the connection. Time passes as it must.
    pub(crate) async fn read_to_end(&mut self) -> String {
        let mut told = Vec::new();
        let _ = self.pipe.read_to_end(&mut told).await;
        String::from_utf8_lossy(&told).into_owned()
    }

    /// The client goes; the server must notice.
    pub(crate) async fn leave(self) {
        let Self { pipe, serving } = self;
        drop(pipe);
        serving.await.expect("serving a connection ends");
    }
}

/// One whole connection: what the server says to `request`, which asks for the end of the connection.
pub(crate) async fn exchange(io: &Server, request: &str) -> String {
    let mut raw = Raw::open(io);
    raw.write(request.as_bytes()).await;
    let told = raw.read_to_end().await;
    raw.leave().await;
    told
}
