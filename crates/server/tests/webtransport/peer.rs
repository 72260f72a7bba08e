//! A raw client, and the site that it visits.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use sockeye::{SelfSigned, Server, ServerBuilder, Transport};
use tokio::net::UdpSocket;
use tokio::time::timeout;
use tower_service::Service;
use wtransport::endpoint::ConnectOptions;
use wtransport::endpoint::endpoint_side::Client;
use wtransport::error::{ConnectingError, ConnectionError};
use wtransport::tls::Sha256Digest;
use wtransport::{ClientConfig, Connection, Endpoint, RecvStream, SendStream, VarInt, quinn};

/// Nothing of these tests takes so long, unless it never comes.
const NEVER: Duration = Duration::from_secs(60);
/// Codes by which the server closes connections. [RFC 9114 §8.1]
pub(crate) const NO_ERROR: u64 = 0x100;
pub(crate) const GENERAL_PROTOCOL_ERROR: u64 = 0x101;
pub(crate) const EXCESSIVE_LOAD: u64 = 0x107;
pub(crate) const REQUEST_REJECTED: u64 = 0x10b;

/// All three transports.
pub(crate) fn builder() -> ServerBuilder {
    Server::builder().transports(&[Transport::Polling, Transport::Websocket, Transport::Webtransport])
}

/// A server that listens.
pub(crate) struct Site {
    pub(crate) io: Server,
    pub(crate) address: SocketAddr,
    hash: [u8; 32],
    /// What a client takes on a stream before it reads.
    window: Option<u32>,
}

impl Site {
    pub(crate) async fn new(io: Server) -> Self {
        let certificate = SelfSigned::new(["localhost", "127.0.0.1"]).unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let (server, hash) = (io.clone(), certificate.hash());
        tokio::spawn(async move { server.serve_webtransport(socket, certificate.tls()).await });
        Self { io, address, hash, window: None }
    }

    /// The same for clients whose QUIC takes no more than so many bytes before they read.
    pub(crate) fn with_window(self, bytes: u32) -> Self {
        Self { window: Some(bytes), ..self }
    }

    /// Asks for a session at `path`, as a page of `origin`.
    pub(crate) async fn ask(&self, path: &str, origin: Option<&str>) -> Result<Session, ConnectingError> {
        let endpoint = Endpoint::client(self.client()).unwrap();
        let mut options = ConnectOptions::builder(format!("https://{}{path}", self.address));
        if let Some(origin) = origin {
            options = options.add_header("origin", origin);
        }
        let connection = soon(endpoint.connect(options.build())).await?;
        Ok(Session { connection, _endpoint: endpoint })
    }

    /// A connection of QUIC, on which nothing is asked.
    pub(crate) async fn quic(&self) -> quinn::Connection {
        let endpoint = quinn::Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
        let config = self.client().quic_config().clone();
        soon(endpoint.connect_with(config, self.address, "localhost").unwrap()).await.unwrap()
    }

    pub(crate) fn client(&self) -> ClientConfig {
        let config = ClientConfig::builder().with_bind_address("127.0.0.1:0".parse().unwrap());
        let mut config = config.with_server_certificate_hashes([Sha256Digest::new(self.hash)]).build();
        if let Some(window) = self.window {
            let mut transport = quinn::TransportConfig::default();
            transport.stream_receive_window(window.into());
            config.quic_config_mut().transport_config(Arc::new(transport));
        }
        config
    }

    /// A session of WebTransport, without a stream.
    pub(crate) async fn session(&self) -> Session {
        self.ask("/socket.io/", None).await.unwrap()
    }

    /// A session with its stream, on which nothing was said.
    pub(crate) async fn stream(&self) -> Peer {
        self.session().await.open().await
    }

    /// A session of Engine.IO.
    pub(crate) async fn peer(&self) -> Peer {
        let mut peer = self.stream().await;
        peer.say("0").await;
        let open = peer.hear().await;
        assert!(open.starts_with("0{\"sid\":\""), "{open}");
        peer
    }

    /// A socket in `/`.
    pub(crate) async fn socket(&self) -> Peer {
        let mut peer = self.peer().await;
        peer.join().await;
        peer
    }

    /// A request by HTTP: the status and the body of its answer.
    pub(crate) async fn http(&self, method: &str, query: &str, body: &str) -> (StatusCode, String) {
        let request = Request::builder().method(method).uri(format!("/socket.io/?EIO=4&{query}"));
        let request = request.body(Full::new(Bytes::from(body.to_owned()))).unwrap();
        let answer: Result<_, Infallible> = soon(self.io.service().call(request)).await;
        let (parts, body) = answer.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        (parts.status, String::from_utf8(body.to_vec()).unwrap())
    }

    /// A polling session: its id, and OPEN.
    pub(crate) async fn polling(&self) -> (String, String) {
        let (status, open) = self.http("GET", "transport=polling", "").await;
        assert_eq!(status, StatusCode::OK, "{open}");
        let json: serde_json::Value = serde_json::from_str(&open[1..]).unwrap();
        (json["sid"].as_str().unwrap().to_owned(), open)
    }

    /// Waits until nobody is left.
    pub(crate) async fn emptied(&self) {
        soon(async {
            while self.io.metrics().tasks > 0 || self.io.metrics().sessions > 0 || self.io.metrics().sockets > 0 {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}

/// A session of WebTransport.
pub(crate) struct Session {
    pub(crate) connection: Connection,
    _endpoint: Endpoint<Client>,
}

impl Session {
    pub(crate) async fn open(self) -> Peer {
        let (send, receive) = soon(async { self.connection.open_bi().await.unwrap().await.unwrap() }).await;
        Peer { session: self, send, receive, buffer: Vec::new() }
    }

    /// Waits until the server has closed it: by which code, and what it said.
    pub(crate) async fn closed(&self) -> (u64, String) {
        match soon(self.connection.closed()).await {
            ConnectionError::ApplicationClosed(close) => {
                (close.code().into_inner(), String::from_utf8(close.reason().to_vec()).unwrap())
            }
            other => panic!("{other}"),
        }
    }
}

/// A session and its stream.
pub(crate) struct Peer {
    pub(crate) session: Session,
    pub(crate) send: SendStream,
    pub(crate) receive: RecvStream,
    buffer: Vec<u8>,
}

impl Peer {
    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        soon(self.send.write_all(bytes)).await.unwrap();
    }

    /// Sends a packet of text of at most 125 bytes.
    pub(crate) async fn say(&mut self, packet: &str) {
        assert!(packet.len() < 126);
        let header = [u8::try_from(packet.len()).unwrap()];
        self.write(&[&header, packet.as_bytes()].concat()).await;
    }

    /// The next packet, of text.
    pub(crate) async fn hear(&mut self) -> String {
        let (is_binary, packet) = self.next().await;
        assert!(!is_binary, "{packet:x?}");
        String::from_utf8(packet).unwrap()
    }

    /// The next packet, and whether it is binary.
    pub(crate) async fn next(&mut self) -> (bool, Vec<u8>) {
        let first = self.take(1).await[0];
        let length = match first & 0x7f {
            126 => u64::from(u16::from_be_bytes(self.take(2).await.try_into().unwrap())),
            127 => u64::from_be_bytes(self.take(8).await.try_into().unwrap()),
            short => u64::from(short),
        };
        (first & 0x80 != 0, self.take(usize::try_from(length).unwrap()).await)
    }

    /// Reads at most so many bytes of what comes without delay, while the clock stands.
    pub(crate) async fn read_slowly(&mut self, bytes: usize) {
        let mut left = bytes;
        while left > 0 {
            let mut read = vec![0; left.min(65_536)];
            crate::clock::settle().await;
            let Some(Ok(Some(n))) = self.receive.read(&mut read).now_or_never() else { return };
            self.buffer.extend_from_slice(&read[..n]);
            left -= n;
        }
    }

    /// The next packet, of text of which more than 125 and less than 65,536 bytes may have been read.
    pub(crate) fn next_read(&mut self) -> Option<String> {
        let (start, length) = match *self.buffer.first()? {
            126 => (3, usize::from(u16::from_be_bytes([*self.buffer.get(1)?, *self.buffer.get(2)?]))),
            short => (1, usize::from(short)),
        };
        let packet = self.buffer.get(start..start + length)?.to_vec();
        self.buffer.drain(..start + length);
        Some(String::from_utf8(packet).unwrap())
    }

    pub(crate) async fn take(&mut self, bytes: usize) -> Vec<u8> {
        let mut read = [0; 4096];
        while self.buffer.len() < bytes {
            let n = soon(self.receive.read(&mut read)).await.unwrap().expect("more of the stream");
            self.buffer.extend_from_slice(&read[..n]);
        }
        self.buffer.drain(..bytes).collect()
    }

    pub(crate) async fn join(&mut self) {
        self.say("40").await;
        let joined = self.hear().await;
        assert!(joined.starts_with("40{\"sid\":\""), "{joined}");
    }

    /// Waits until the server has closed the session: by which code, and what it said.
    pub(crate) async fn closed(&self) -> (u64, String) {
        self.session.closed().await
    }

    /// Ends the connection as a browser does whose page was closed.
    pub(crate) fn leave(&self) {
        self.session.connection.close(VarInt::from_u32(0), b"");
    }
}

/// What must come, if anything works at all.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(NEVER, future).await.expect("an answer")
}
