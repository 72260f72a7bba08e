//! One HTTP connection in memory.

use std::time::Duration;

use sockeye::{Server, Site};
use sockeye_engine::Role;
use sockeye_engine::ws::{self, CloseCode, Decoder, Item, Limits};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};

pub(crate) const HANDSHAKE: &str = "/socket.io/?EIO=4&transport=polling";

/// A client's end of a connection.
pub(crate) struct Wire<S = DuplexStream> {
    io: S,
    /// Received, and not looked at yet.
    pub(crate) buffer: Vec<u8>,
}

/// A response, taken apart.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Response {
    /// The values of a header, joined.
    pub(crate) fn header(&self, name: &str) -> String {
        let values = self.headers.iter().filter(|(other, _)| other == name).map(|(_, value)| value.as_str());
        values.collect::<Vec<_>>().join(", ")
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// The session id in the body of a handshake.
    pub(crate) fn sid(&self) -> String {
        assert_eq!(self.status, 200, "{self:?}");
        let open: serde_json::Value = serde_json::from_slice(&self.body[1..]).unwrap();
        open["sid"].as_str().unwrap().to_owned()
    }
}

impl Wire {
    /// A new connection to `server`.
    pub(crate) fn open(server: &Server) -> Self {
        let (ours, theirs) = tokio::io::duplex(1 << 20);
        let server = server.clone();
        tokio::spawn(async move { server.serve_stream(theirs, Some("203.0.113.7:4242".parse().unwrap())).await });
        Self::over(ours)
    }

    /// The same to a server with a service beside it, with room for `room` bytes each way.
    pub(crate) fn open_site(site: &Site, room: usize) -> Self {
        let (ours, theirs) = tokio::io::duplex(room);
        tokio::spawn(site.clone().serve_stream(theirs, Some("203.0.113.7:4242".parse().unwrap())));
        Self::over(ours)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    pub(crate) fn over(io: S) -> Self {
        Self { io, buffer: Vec::new() }
    }

    /// The connection, of which nothing more is looked at.
    #[cfg(feature = "tls")]
    pub(crate) fn into_io(self) -> S {
        self.io
    }

    pub(crate) async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        self.io.write_all(bytes.as_ref()).await.unwrap();
        self.io.flush().await.unwrap();
    }

    /// Says that nothing more will be written.
    pub(crate) async fn end(&mut self) {
        self.io.shutdown().await.unwrap();
    }

    /// Reads more; false at the end.
    async fn fill(&mut self) -> bool {
        let read = self.io.read_buf(&mut self.buffer);
        tokio::time::timeout(Duration::from_mins(10), read).await.expect("something to read").unwrap() > 0
    }

    /// The next response, without its body.
    pub(crate) async fn head(&mut self) -> Response {
        let end = loop {
            match self.buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                Some(end) => break end + 4,
                None => assert!(self.fill().await, "closed: {:?}", String::from_utf8_lossy(&self.buffer)),
            }
        };
        let head = String::from_utf8(self.buffer.drain(..end).collect()).unwrap();
        let mut lines = head.trim_end().split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers = lines.map(|line| line.split_once(": ").unwrap());
        let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
        Response { status, headers, body: Vec::new() }
    }

    /// So many bytes of what comes next.
    pub(crate) async fn take(&mut self, length: usize) -> String {
        while self.buffer.len() < length {
            assert!(self.fill().await, "closed");
        }
        String::from_utf8(self.buffer.drain(..length).collect()).unwrap()
    }

    /// What still comes until the server ends the connection.
    pub(crate) async fn rest(&mut self) -> String {
        while self.fill().await {}
        String::from_utf8(std::mem::take(&mut self.buffer)).unwrap()
    }

    /// The next response.
    pub(crate) async fn response(&mut self) -> Response {
        let mut response = self.head().await;
        if response.status == 304 {
            return response;
        }
        let length = response.header("content-length").parse().unwrap_or(0);
        while self.buffer.len() < length {
            assert!(self.fill().await);
        }
        response.body = self.buffer.drain(..length).collect();
        response
    }

    /// Sends a request without a body: `headers` are whole lines.
    pub(crate) async fn request(&mut self, method: &str, uri: &str, headers: &[&str]) -> Response {
        let headers: String = headers.iter().flat_map(|line| [line, "\r\n"]).collect();
        self.write(format!("{method} {uri} HTTP/1.1\r\nHost: chat.example\r\n{headers}\r\n")).await;
        self.response().await
    }

    pub(crate) async fn get(&mut self, uri: &str) -> Response {
        self.request("GET", uri, &[]).await
    }

    pub(crate) async fn post(&mut self, uri: &str, kind: &str, body: &str) -> Response {
        let length = body.len();
        let head =
            format!("POST {uri} HTTP/1.1\r\nHost: chat.example\r\nContent-Type: {kind}\r\nContent-Length: {length}");
        self.write(format!("{head}\r\n\r\n{body}")).await;
        self.response().await
    }

    /// Asks for a WebSocket.
    pub(crate) async fn upgrade(&mut self, uri: &str, headers: &[&str]) -> Response {
        let mut all = vec![
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            "Sec-WebSocket-Version: 13",
        ];
        all.extend(headers);
        self.request("GET", uri, &all).await
    }

    /// Sends a text frame.
    pub(crate) async fn say(&mut self, text: &str) {
        let mut frame = Vec::new();
        ws::encode_masked(&mut frame, ws::Opcode::Text, false, text.as_bytes(), [1, 2, 3, 4]);
        self.write(frame).await;
    }

    /// The next frame as it is, a final one below 64 KiB: its first byte and its payload.
    pub(crate) async fn frame(&mut self) -> (u8, Vec<u8>) {
        while self.buffer.len() < 4 {
            if self.buffer.len() >= 2 && usize::from(self.buffer[1]) + 2 <= self.buffer.len() {
                break;
            }
            assert!(self.fill().await, "closed");
        }
        let (start, length) = match self.buffer[1] {
            126 => (4, usize::from(u16::from_be_bytes([self.buffer[2], self.buffer[3]]))),
            short => (2, usize::from(short)),
        };
        while self.buffer.len() < start + length {
            assert!(self.fill().await, "closed");
        }
        let first = self.buffer[0];
        (first, self.buffer.drain(..start + length).skip(start).collect())
    }

    /// The next text frame, uncompressed.
    pub(crate) async fn hear(&mut self) -> String {
        let (first, payload) = self.frame().await;
        assert_eq!(first, 0x81, "{payload:?}");
        String::from_utf8(payload).unwrap()
    }

    /// Joins the main namespace over a WebSocket that has just been opened.
    pub(crate) async fn join(&mut self) {
        assert!(self.hear().await.starts_with("0{"));
        self.say("40").await;
        assert!(self.hear().await.starts_with("40{\"sid\":\""));
    }

    /// The code with which the server closes.
    pub(crate) async fn close_code(&mut self) -> Option<u16> {
        loop {
            let (first, payload) = self.frame().await;
            if first == 0x88 {
                let mut frame = [&[0x88, u8::try_from(payload.len()).unwrap()][..], &payload].concat();
                return match Decoder::new(Role::Client, Limits::default()).decode(&mut frame).unwrap().1 {
                    Some(Item::Close(Some((CloseCode(code), _)))) => Some(code),
                    _ => None,
                };
            }
        }
    }
}
