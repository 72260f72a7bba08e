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
        let mut client = Self { stream: stream(io), read: Vec::new() };
        client.send(REQUEST.as_bytes()).await;
        until(&mut client.stream, "\"maxPayload\"").await;
        client.send(&frame("40")).await;
        until(&mut client.stream, "40{\"sid\":\"").await;
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
}

/// One client in the main namespace which polls: GET and POST have a connection each.
pub(crate) struct Poller {
    get: DuplexStream,
    post: DuplexStream,
    path: String,
}

impl Poller {
    pub(crate) async fn connect(io: &Server) -> Self {
        let path = "/socket.io/?EIO=4&transport=polling".to_owned();
        let mut poller = Self { get: stream(io), post: stream(io), path };
        poller.ask().await;
        let open = until(&mut poller.get, "\"maxPayload\"").await;
        let open = String::from_utf8(open).expect("text");
        let sid = open.split("\"sid\":\"").nth(1).and_then(|rest| rest.split('"').next()).expect("an id");
        poller.path = format!("{}&sid={sid}", poller.path);
        poller.send("40").await;
        until(&mut poller.get, "40{\"sid\":\"").await;
        poller
    }

    /// Sends a packet, and expects it back as what the poll that waited meanwhile is answered with.
    pub(crate) async fn exchange(&mut self, packet: &str) {
        self.send(packet).await;
        ending(&mut self.get, packet).await;
    }

    async fn send(&mut self, packet: &str) {
        self.ask().await;
        let head = format!("POST {} HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain;charset=UTF-8", self.path);
        let request = format!("{head}\r\nContent-Length: {}\r\n\r\n{packet}", packet.len());
        self.post.write_all(request.as_bytes()).await.expect("the server reads");
        ending(&mut self.post, "\r\n\r\nok").await;
    }

    async fn ask(&mut self) {
        let request = format!("GET {} HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n", self.path);
        self.get.write_all(request.as_bytes()).await.expect("the server reads");
    }
}

/// The client's end of a connection.
fn stream(io: &Server) -> DuplexStream {
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    let io = io.clone();
    tokio::spawn(async move { io.serve_stream(theirs, None).await });
    ours
}

/// Reads a response that ends with `end`.
async fn ending(stream: &mut DuplexStream, end: &str) {
    let mut seen = [0; 1024];
    let mut length = 0;
    while !seen[..length].ends_with(end.as_bytes()) {
        let got = stream.read(&mut seen[length..]).await.expect("the server answers");
        assert!(got > 0, "the server closed, or said something else");
        length += got;
    }
}

/// Reads up to the end of what holds `text`; the server says nothing more by itself.
async fn until(stream: &mut DuplexStream, text: &str) -> Vec<u8> {
    let mut seen = Vec::new();
    let mut part = [0; 1024];
    loop {
        let got = stream.read(&mut part).await.expect("the server answers");
        assert!(got > 0, "the server closed");
        seen.extend_from_slice(&part[..got]);
        if seen.windows(text.len()).any(|window| window == text.as_bytes()) && seen.ends_with(b"}") {
            return seen;
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
