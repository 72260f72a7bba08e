//! What a client takes that has joined and is idle, when it has said and heard something: REQ-11.1, REQ-23.3.
//!
//! The budgets are what was measured and a twentieth more. A change that makes clients larger says so by raising one.

use std::time::Duration;

use sockeye::{Deflate, Server, Socket};
use sockeye_engine::Role;
use sockeye_engine::ws;
use sockeye_engine::ws::deflate::{Deflater, Level, Params};
use tokio::io::DuplexStream;

use crate::counting::{allocated, alone};
use crate::pipe::{POLLING, WEBSOCKET, hear, open, pipe_bytes, say, sid};

/// Idle at a time.
const CLIENTS: usize = 200;
/// No heartbeats meanwhile.
const HEARTBEAT: Duration = Duration::from_hours(1);

/// Bytes of a WebSocket, with its session and its socket.
const BY_WEBSOCKET: usize = budget(1_889);
/// Beside that, of a compression in which each message stands alone.
const COMPRESSION: usize = budget(80);
/// Of a WebSocket whose compression keeps what was said before.
const BY_TAKEOVER: usize = budget(429_841);
/// Of a session by polling, with the connection on which its GET waits.
const BY_POLLING: usize = budget(3_391);
/// Of another connection, on which a POST was answered.
const CONNECTION: usize = budget(1_517);
/// Of a WebSocket by TLS.
#[cfg(feature = "tls")]
const BY_TLS: usize = budget(9_652);

const fn budget(measured: usize) -> usize {
    measured * 21 / 20
}

/// `42["echo","…"]` with so much text that it is compressed, if anything is.
fn packet() -> String {
    format!("42[\"echo\",\"{}\"]", "x".repeat(2_000))
}

fn server(deflate: Option<Deflate>) -> Server {
    let builder = Server::builder().ping_interval(HEARTBEAT);
    let io = deflate.map_or(builder.clone(), |deflate| builder.per_message_deflate(deflate)).build().unwrap();
    io.on("echo", async |socket: Socket, text: String| socket.emit("echo", text));
    io
}

/// Bytes that each of so many clients takes, without `own` bytes of each.
async fn each<C>(io: &Server, count: usize, own: usize, join: impl AsyncFn(&Server) -> C) -> usize {
    let mut all = Vec::with_capacity(3 * count);
    // A larger crowd comes and goes first: what grows once is there then.
    for _ in 0..3 * count {
        all.push(join(io).await);
    }
    all.clear();
    while io.metrics().sessions > 0 {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let before = allocated();
    for _ in 0..count {
        all.push(join(io).await);
    }
    let taken = (allocated() - before) / count - own;
    let metrics = io.metrics();
    assert_eq!((metrics.sessions, metrics.sockets), (count as u64, count as u64), "all are there");
    taken
}

/// A budget that is far too large says nothing.
#[track_caller]
fn assert_fits(taken: usize, budget: usize) {
    println!("{taken} bytes each, of {budget}");
    assert!(taken <= budget && taken > budget * 3 / 4, "{taken} bytes each, the budget is {budget}");
}

/// A frame of a client.
fn frame(text: &[u8], deflated: bool) -> Vec<u8> {
    let mut frame = Vec::new();
    ws::encode_masked(&mut frame, ws::Opcode::Text, deflated, text, [1, 2, 3, 4]);
    frame
}

/// Asks for a WebSocket, with these further headers, and joins.
async fn websocket(io: &Server, headers: &str) -> DuplexStream {
    let mut pipe = open(io).await;
    say(&mut pipe, format!("{WEBSOCKET}{headers}\r\n").as_bytes()).await;
    assert!(hear(&mut pipe).await.starts_with("HTTP/1.1 101 "));
    say(&mut pipe, &frame(b"40", false)).await;
    assert!(hear(&mut pipe).await.contains("40{\"sid\":"));
    pipe
}

/// Says an event and hears it.
async fn echo(pipe: &mut DuplexStream, said: &[u8]) -> String {
    let mut heard = String::new();
    for piece in said.chunks(crate::pipe::PIPE) {
        say(pipe, piece).await;
    }
    heard += &hear(pipe).await;
    heard
}

async fn plain(io: &Server) -> DuplexStream {
    let mut pipe = websocket(io, "").await;
    assert!(echo(&mut pipe, &frame(packet().as_bytes(), false)).await.ends_with(&packet()));
    pipe
}

async fn compressed(io: &Server, params: &Params) -> DuplexStream {
    let mut pipe = websocket(io, "Sec-WebSocket-Extensions: permessage-deflate\r\n").await;
    let said = Deflater::new(params, Role::Client, Level::default()).deflate(packet().as_bytes()).unwrap();
    let heard = echo(&mut pipe, &frame(&said, true)).await;
    assert!((1..100).contains(&heard.len()), "it is compressed: {heard:?}");
    pipe
}

#[test]
fn an_idle_websocket_keeps_to_its_budget() {
    alone(async || assert_fits(each(&server(None), CLIENTS, pipe_bytes().await, plain).await, BY_WEBSOCKET));
}

#[test]
fn compression_takes_nothing_while_a_client_is_idle() {
    alone(async || {
        let params = params(true);
        let io = server(Some(Deflate::default().threshold(0)));
        let taken = each(&io, CLIENTS, pipe_bytes().await, async |io| compressed(io, &params).await).await;
        assert_fits(taken, BY_WEBSOCKET + COMPRESSION);
    });
}

#[test]
fn compression_with_a_context_keeps_to_its_budget() {
    alone(async || {
        let params = params(false);
        let io = server(Some(Deflate::default().context_takeover(true)));
        let taken = each(&io, CLIENTS / 10, pipe_bytes().await, async |io| compressed(io, &params).await).await;
        assert_fits(taken, BY_TAKEOVER);
    });
}

fn params(alone: bool) -> Params {
    Params {
        server_no_context_takeover: alone,
        client_no_context_takeover: alone,
        server_max_window_bits: 15,
        client_max_window_bits: 15,
    }
}

/// A client with a GET that waits; further connections of it on which a POST was answered.
async fn poller(io: &Server, posts: usize) -> Vec<DuplexStream> {
    let mut get = open(io).await;
    say(&mut get, format!("{POLLING}\r\n").as_bytes()).await;
    let opened = hear(&mut get).await;
    let target = format!("/socket.io/?EIO=4&transport=polling&sid={}", sid(&opened));
    let request = |method: &str, body: &str| {
        let length = body.len();
        format!("{method} {target} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{body}")
    };
    say(&mut get, request("POST", "40").as_bytes()).await;
    assert!(hear(&mut get).await.ends_with("ok"));
    say(&mut get, request("GET", "").as_bytes()).await;
    assert!(hear(&mut get).await.contains("40{\"sid\":"));
    say(&mut get, request("GET", "").as_bytes()).await;
    let mut all = vec![get];
    for _ in 0..posts {
        let mut post = open(io).await;
        echo(&mut post, request("POST", &packet()).as_bytes()).await;
        assert!(hear(&mut all[0]).await.ends_with(&packet()));
        say(&mut all[0], request("GET", "").as_bytes()).await;
        all.push(post);
    }
    all
}

#[test]
fn an_idle_poller_keeps_to_its_budget() {
    alone(async || {
        let (io, pipe) = (server(None), pipe_bytes().await);
        // The tester's list of its connections.
        let list = |connections: usize| connections * size_of::<DuplexStream>();
        let one = each(&io, CLIENTS, pipe + list(1), async |io| poller(io, 0).await).await;
        assert_fits(one, BY_POLLING);
        let two = each(&server(None), CLIENTS, 2 * pipe + list(4), async |io| poller(io, 1).await).await;
        assert_fits(two - one, CONNECTION);
    });
}

#[cfg(feature = "tls")]
mod tls {
    use std::sync::Arc;

    use sockeye::Tls;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio_rustls::rustls::pki_types::pem::PemObject;
    use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
    use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};
    use tokio_rustls::{TlsConnector, client::TlsStream};

    use super::*;
    use crate::counting::live;

    const CERTIFICATE: &[u8] = include_bytes!("../http/localhost.pem");
    const KEY: &[u8] = include_bytes!("../http/localhost-key.pem");

    fn connector() -> TlsConnector {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(CERTIFICATE).unwrap()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()));
        let config = config.with_safe_default_protocol_versions().unwrap();
        TlsConnector::from(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))
    }

    /// Reads until this comes.
    async fn until(stream: &mut TlsStream<TcpStream>, end: &str) {
        let mut heard = Vec::new();
        while !String::from_utf8_lossy(&heard).contains(end) {
            assert!(stream.read_buf(&mut heard).await.unwrap() > 0, "{:?}", String::from_utf8_lossy(&heard));
        }
    }

    /// A client that has nothing more to say, so that its own TLS is not kept, nor its place in the runtime.
    async fn secured(connector: &TlsConnector, address: std::net::SocketAddr) -> std::net::TcpStream {
        let stream = TcpStream::connect(address).await.unwrap();
        let mut stream = connector.connect(ServerName::try_from("localhost").unwrap(), stream).await.unwrap();
        stream.write_all(format!("{WEBSOCKET}\r\n").as_bytes()).await.unwrap();
        until(&mut stream, "0{\"sid\":").await;
        stream.write_all(&frame(b"40", false)).await.unwrap();
        until(&mut stream, "40{\"sid\":").await;
        stream.write_all(&frame(packet().as_bytes(), false)).await.unwrap();
        until(&mut stream, &packet()).await;
        stream.into_inner().0.into_std().unwrap()
    }

    #[test]
    fn an_idle_websocket_by_tls_keeps_to_its_budget() {
        live(async {
            let io = server(None);
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let (address, server, connector) = (listener.local_addr().unwrap(), io.clone(), connector());
            let tls = Tls::from_pem(CERTIFICATE, KEY).unwrap();
            let serving = tokio::spawn(async move { server.serve_tls(listener, tls).await });
            let taken = each(&io, CLIENTS, 0, async |_| secured(&connector, address).await).await;
            serving.abort();
            assert_fits(taken, BY_TLS);
        });
    }
}
