//! A server in this process, and clients which reach it through pipes in memory.

use serde_json::Value;
use sockeye::Server;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

const REQUEST: &str = "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: localhost\r\n\
                       Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
const MASK: [u8; 4] = [0x5a, 0xc3, 0x17, 0xe8];

/// Runs `work` beside a server with the events of the bench, on one thread.
pub(crate) fn run<F: Future<Output = ()>>(work: impl FnOnce(Server) -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    runtime.block_on(async {
        let io = Server::new();
        io.on("echo", async |socket, data: Value| socket.emit("echo", data));
        io.on_with_ack("ack", async |_, data: Value| data);
        io.on("broadcast", {
            let io = io.clone();
            async move |_, data: Value| io.emit("broadcast", data)
        });
        work(io).await;
    });
}

/// One WebSocket client in the main namespace.
pub(crate) struct Client {
    stream: DuplexStream,
    read: Vec<u8>,
}

impl Client {
    pub(crate) async fn connect(io: &Server) -> Self {
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        let io = io.clone();
        tokio::spawn(async move { io.serve_stream(theirs, None).await });
        let mut client = Self { stream: ours, read: Vec::new() };
        client.send(REQUEST.as_bytes()).await;
        client.until("\"maxPayload\"").await;
        client.send(&frame("40")).await;
        client.until("40{\"sid\":\"").await;
        client
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.expect("the server reads");
    }

    /// Reads `count` short text frames, all of which are `text`.
    pub(crate) async fn expect(&mut self, text: &str, count: usize) {
        self.read.resize((text.len() + 2) * count, 0);
        self.stream.read_exact(&mut self.read).await.expect("the server answers");
        for frame in self.read.chunks(text.len() + 2) {
            assert_eq!(&frame[2..], text.as_bytes());
        }
    }

    /// Reads up to the end of the frame which holds `text`; the server says nothing more by itself.
    async fn until(&mut self, text: &str) {
        let mut seen = Vec::new();
        let mut part = [0; 1024];
        loop {
            let got = self.stream.read(&mut part).await.expect("the server answers");
            assert!(got > 0, "the server closed");
            seen.extend_from_slice(&part[..got]);
            if seen.windows(text.len()).any(|window| window == text.as_bytes()) && seen.ends_with(b"}") {
                return;
            }
        }
    }
}

/// One masked text frame.
pub(crate) fn frame(text: &str) -> Vec<u8> {
    let mut out = vec![0x81];
    let length = u16::try_from(text.len()).expect("no frame of the bench is longer than 64 KiB").to_be_bytes();
    if text.len() < 126 {
        out.push(0x80 | length[1]);
    } else {
        out.push(0xfe);
        out.extend_from_slice(&length);
    }
    out.extend_from_slice(&MASK);
    out.extend(text.bytes().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    out
}
