//! Connections in memory to the own accept loop, whose own memory is known.

use std::time::Duration;

use sockeye::Server;
use sockeye_testing::settle;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use crate::counting::allocated;

/// Bytes that a pipe of a test holds each way, which are the tester's own.
pub(crate) const PIPE: usize = 256;

pub(crate) const WEBSOCKET: &str = "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\n\
    Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
pub(crate) const POLLING: &str = "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\n";

/// A connection.
pub(crate) async fn open(io: &Server) -> DuplexStream {
    let (ours, theirs) = pipe().await;
    let io = io.clone();
    tokio::spawn(async move { io.serve_stream(theirs, None).await });
    ours
}

/// What a pipe takes, both its ends.
pub(crate) async fn pipe_bytes() -> usize {
    let before = allocated();
    let ends = pipe().await;
    let taken = allocated() - before;
    drop(ends);
    taken
}

/// Both ends, which have been as full as they become.
async fn pipe() -> (DuplexStream, DuplexStream) {
    let (mut ours, mut theirs) = tokio::io::duplex(PIPE);
    for _ in 0..2 {
        ours.write_all(&[0; PIPE]).await.unwrap();
        theirs.read_exact(&mut [0; PIPE]).await.unwrap();
        std::mem::swap(&mut ours, &mut theirs);
    }
    (ours, theirs)
}

/// Says as much of this as is taken.
pub(crate) async fn say(pipe: &mut DuplexStream, bytes: &[u8]) {
    drop(tokio::time::timeout(Duration::from_millis(10), pipe.write_all(bytes)).await);
    settle().await;
}

/// Reads until nothing more comes.
pub(crate) async fn hear(pipe: &mut DuplexStream) -> String {
    let (mut heard, mut piece) = (Vec::new(), [0; PIPE]);
    while let Ok(read) = tokio::time::timeout(Duration::from_millis(10), pipe.read(&mut piece)).await {
        let length = read.unwrap();
        assert!(length > 0, "{:?}", String::from_utf8_lossy(&heard));
        heard.extend_from_slice(&piece[..length]);
    }
    String::from_utf8_lossy(&heard).into_owned()
}

/// The session id in an answer to a handshake.
pub(crate) fn sid(answer: &str) -> &str {
    answer.split("\"sid\":\"").nth(1).unwrap().split('"').next().unwrap()
}
