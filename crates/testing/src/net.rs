//! The network: connects clients to a server, and lets time pass.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use sockeye::{PeerAddr, Server, SocketService};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tower_service::Service;

use crate::exchange::{Answer, Exchange};
use crate::settle::settle;
use crate::websocket::WebSocket;
use crate::wire::wire;

/// What a connection holds of what is on its way, in each direction.
const BUFFER: usize = 64 * 1024;

/// A network in memory with one server in it. Cheap to clone.
///
/// Use it on a runtime of one thread with a paused clock: `#[tokio::test(start_paused = true)]`.
#[derive(Clone, Debug)]
pub struct Net {
    server: Server,
    service: SocketService,
    buffer: usize,
    port: Arc<AtomicU16>,
}

impl Net {
    /// A network with this server in it.
    pub fn new(server: &Server) -> Self {
        Self { server: server.clone(), service: server.service(), buffer: BUFFER, port: Arc::new(AtomicU16::new(1)) }
    }

    /// How many bytes a WebSocket opened from now on has room for between the two ends, in each direction. Default
    /// 64 KiB. What a client does not read beyond that waits in the server.
    #[must_use]
    pub fn with_buffer(&self, bytes: usize) -> Self {
        Self { buffer: bytes, ..self.clone() }
    }

    /// Opens a WebSocket session and reads its handshake.
    ///
    /// # Panics
    /// When the server does not open it.
    pub async fn websocket(&self) -> WebSocket {
        let mut socket = self.open("/socket.io/?EIO=4&transport=websocket", &[]).await;
        match socket.next().await {
            Some(crate::Frame::Text(open)) if open.starts_with("0{\"sid\":\"") => socket,
            other => panic!("expected a handshake, the server sent {other:?}"),
        }
    }

    /// Opens a WebSocket session and joins the main namespace: the client, and the id of its socket.
    ///
    /// # Panics
    /// When the server does not let it in.
    pub async fn join(&self) -> (WebSocket, String) {
        let mut socket = self.websocket().await;
        socket.send("40").await;
        let id = socket.expect("40{\"sid\":\"…\"}").await.remove(0);
        (socket, id)
    }

    /// Sends a request to the server's service. `target` is path and query.
    ///
    /// # Panics
    /// When the request cannot be made of this.
    pub fn request(&self, method: &str, target: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Exchange {
        let mut request = Request::builder().method(method).uri(target).extension(PeerAddr(self.address()));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body.into())).expect("the test makes valid requests");
        self.send(request)
    }

    /// Sends a request of any kind to the server's service.
    pub fn send<B>(&self, request: Request<B>) -> Exchange
    where
        B: http_body::Body + Send + 'static,
        B::Data: Send,
        B::Error: Send,
    {
        let answer = self.service.clone().call(request);
        Exchange::new(async move {
            let response = answer.await.unwrap_or_else(|never| match never {});
            let (parts, body) = response.into_parts();
            let body = body.collect().await.unwrap_or_else(|never| match never {}).to_bytes();
            Answer { status: parts.status, headers: parts.headers, body }
        })
    }

    /// Opens a WebSocket with any target (path and query) and headers; nothing of the session is read.
    ///
    /// # Panics
    /// When the server does not switch protocols.
    pub async fn open(&self, target: &str, headers: &[(&str, &str)]) -> WebSocket {
        self.try_open(target, headers).await.unwrap_or_else(|refusal| panic!("not opened: {refusal}"))
    }

    /// Like [`Self::open`]; the error is the whole response of a server that does not switch protocols, empty if it closes
    /// the connection instead.
    ///
    /// # Errors
    /// When the server does anything but answer with 101.
    ///
    /// # Panics
    /// When the server answers with what is not text.
    pub async fn try_open(&self, target: &str, headers: &[(&str, &str)]) -> Result<WebSocket, String> {
        let (mut client, reset, end) = wire(self.buffer);
        let (server, address) = (self.server.clone(), self.address());
        tokio::spawn(async move { server.serve_stream(end, Some(address)).await });
        let mut request = format!(
            "GET {target} HTTP/1.1\r\nHost: sockeye.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        );
        for (name, value) in headers {
            request.extend([name, ": ", value, "\r\n"]);
        }
        request.push_str("\r\n");
        client.write_all(request.as_bytes()).await.expect("the request fits in the pipe");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            match client.read_u8().await {
                Ok(byte) => head.push(byte),
                Err(_) => return Err(String::from_utf8(head).expect("a head is text")),
            }
        }
        let mut head = String::from_utf8(head).expect("a head is text");
        if head.starts_with("HTTP/1.1 101 ") {
            // The example of the specification. [RFC 6455 §1.3]
            assert!(head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "the key was not answered: {head}");
            return Ok(WebSocket::new(client, reset, Vec::new()));
        }
        client.read_to_string(&mut head).await.expect("a body is text");
        Err(head)
    }

    /// Lets time pass. Everything that is due happens on the way, in its order.
    pub async fn advance(&self, time: Duration) {
        // On a paused clock this moves the clock from one timer to the next.
        tokio::time::sleep(time).await;
        settle().await;
    }

    /// The server has nothing left of anybody: no session, socket, task, ack that is waited for, member or room.
    ///
    /// # Panics
    /// When it has.
    #[track_caller]
    pub fn assert_clean(&self) -> impl Future<Output = ()> {
        let (caller, server) = (std::panic::Location::caller(), self.server.clone());
        async move {
            settle().await;
            let metrics = server.metrics();
            let left = [metrics.sessions, metrics.sockets, metrics.tasks, metrics.acks];
            assert_eq!(left, [0; 4], "{caller}: sessions, sockets, tasks, acks are left");
            assert_eq!(
                metrics.sessions_opened,
                metrics.sessions_closed.total(),
                "{caller}: sessions, counted by their end"
            );
            for namespace in server.namespaces() {
                assert_eq!(namespace.len(), 0, "{caller}: members are left in {}", namespace.path());
                assert!(namespace.rooms().is_empty(), "{caller}: rooms are left in {}", namespace.path());
            }
        }
    }

    /// Each connection comes from a port of its own.
    fn address(&self) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], self.port.fetch_add(1, Ordering::Relaxed)))
    }
}
