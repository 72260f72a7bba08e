//! TLS by rustls.

use std::sync::Arc;

use sockeye::{Server, Socket, Tls};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};

use crate::wire::{HANDSHAKE, Wire};

const CERTIFICATE: &[u8] = include_bytes!("localhost.pem");
const KEY: &[u8] = include_bytes!("localhost-key.pem");

pub(crate) async fn listen(io: &Server) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, server) = (listener.local_addr().unwrap(), io.clone());
    let tls = Tls::from_pem(CERTIFICATE, KEY).unwrap();
    tokio::spawn(async move { server.serve_tls(listener, tls).await });
    address
}

pub(crate) async fn connect(address: std::net::SocketAddr, alpn: &[&[u8]]) -> TlsStream<TcpStream> {
    secure(TcpStream::connect(address).await.unwrap(), alpn).await.unwrap()
}

async fn secure(stream: TcpStream, alpn: &[&[u8]]) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(CERTIFICATE).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap();
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

#[tokio::test]
async fn both_transports_run_inside() {
    let io = Server::new();
    io.on("secure", async |socket: Socket, ()| socket.emit("secure", socket.peer().is_secure()));
    let address = listen(&io).await;
    let mut wire = Wire::over(connect(address, &[b"http/1.1"]).await);
    assert_eq!(wire.get(HANDSHAKE).await.status, 200);
    let mut wire = Wire::over(connect(address, &[]).await);
    assert_eq!(wire.upgrade("/socket.io/?EIO=4&transport=websocket", &[]).await.status, 101);
    wire.join().await;
    wire.say("42[\"secure\"]").await;
    assert_eq!(wire.hear().await, "42[\"secure\",true]");
    let long = "x".repeat(60_000);
    io.emit("long", &long).unwrap();
    assert_eq!(wire.hear().await, format!("42[\"long\",\"{long}\"]"));
}

#[tokio::test]
async fn a_service_beside_is_served_inside() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let pages = axum::Router::new().route("/", axum::routing::get(async || "a page"));
    let tls = Tls::from_pem(CERTIFICATE, KEY).unwrap();
    tokio::spawn(Server::new().beside(pages).serve_tls(listener, tls));
    let mut wire = Wire::over(connect(address, &[b"http/1.1"]).await);
    assert_eq!(wire.get("/").await.text(), "a page");
    assert_eq!(wire.get(HANDSHAKE).await.status, 200);
}

#[cfg(feature = "http2")]
#[tokio::test]
async fn http2_is_agreed_in_the_handshake() {
    let address = listen(&Server::new()).await;
    let stream = connect(address, &[b"h2", b"http/1.1"]).await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let client = crate::http2::Client::over(stream).await;
    let open = client.text("GET", "https://localhost/socket.io/?EIO=4&transport=polling", "").await;
    assert!(open.starts_with("0{\"sid\":"), "{open}");
}

#[tokio::test]
async fn plain_requests_are_not_taken() {
    let address = listen(&Server::new()).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut stream, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    drop(stream.read_to_end(&mut answer).await);
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_never_ends_is_cut_off() {
    let address = listen(&Server::new()).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let began = tokio::time::Instant::now();
    assert_eq!(stream.read(&mut [0; 10]).await.unwrap(), 0);
    assert_eq!(began.elapsed().as_secs(), 10);
}

#[test]
fn a_key_that_does_not_fit_is_refused() {
    let other = include_bytes!("other-key.pem");
    let error = Tls::from_pem(CERTIFICATE, other).unwrap_err().to_string();
    assert!(error.contains("certificate and key cannot be used"), "{error}");
}

#[tokio::test]
async fn connections_by_tls_are_counted() {
    let io = Server::builder().max_connections(1).build().unwrap();
    let address = listen(&io).await;
    let first = connect(address, &[]).await;
    let mut second = TcpStream::connect(address).await.unwrap();
    assert_eq!(second.read(&mut [0; 10]).await.unwrap(), 0, "closed without a word that TLS could not read");
    let metrics = io.metrics();
    assert_eq!((metrics.connections, metrics.limits.get(sockeye::Limit::Connections)), (1, 1));
    drop(first);
    while io.metrics().connections > 0 {
        tokio::task::yield_now().await;
    }
    let mut wire = Wire::over(connect(address, &[]).await);
    assert_eq!(wire.get(HANDSHAKE).await.status, 200);
}

/// A proxy that passes TLS on announces the client before the handshake.
#[tokio::test]
async fn a_proxy_speaks_before_the_handshake() {
    let builder = Server::builder().proxy_protocol(true).max_connections_per_address(1);
    let io = builder.build().expect("the options agree");
    io.on("who", async |socket: Socket, ()| {
        socket.emit("who", socket.peer().address().map(|address| address.to_string()))
    });
    let address = listen(&io).await;
    let announced = async |header: &str| {
        let mut stream = TcpStream::connect(address).await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut stream, header.as_bytes()).await.unwrap();
        secure(stream, &[]).await
    };
    let mut wires = Vec::new();
    for (header, client) in [
        ("PROXY TCP4 192.0.2.1 198.51.100.1 4711 443\r\n", "192.0.2.1:4711"),
        ("PROXY TCP6 2001:db8::1 2001:db8::2 4711 443\r\n", "[2001:db8::1]:4711"),
    ] {
        let mut wire = Wire::over(announced(header).await.unwrap());
        assert_eq!(wire.upgrade("/socket.io/?EIO=4&transport=websocket", &[]).await.status, 101);
        wire.join().await;
        wire.say("42[\"who\"]").await;
        assert_eq!(wire.hear().await, format!("42[\"who\",\"{client}\"]"));
        assert!(announced(header).await.is_err(), "one connection more of this address");
        wires.push(wire);
    }
    assert_eq!(io.metrics().limits.get(sockeye::Limit::ConnectionsPerAddress), 2);
    assert!(announced("").await.is_err(), "nobody was announced");
}
