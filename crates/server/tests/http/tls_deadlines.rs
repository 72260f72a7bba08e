//! A deadline in every state, as in `tests/deadlines.rs`, for clients of TLS: over loopback, while the clock stands.

use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use sockeye::Server;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::clock::{Still, advance, moving, settle};
use crate::tls::{connect, listen};
use crate::wire::{HANDSHAKE, Wire};

trait Duplex: AsyncRead + AsyncWrite + Unpin {}
impl<S: AsyncRead + AsyncWrite + Unpin> Duplex for S {}

type Entered = Pin<Box<dyn Future<Output = Box<dyn Duplex>>>>;

/// A state, after how many seconds of silence nothing is left of it, and the way into it.
struct State(&'static str, u64, fn(SocketAddr) -> Entered);

/// `ping_interval` and `ping_timeout`.
const SILENCE: u64 = 45;

const STATES: &[State] = &[
    State("connected", 10, |address| Box::pin(plain(address, b""))),
    State("half a record", 10, |address| Box::pin(plain(address, b"\x16\x03\x01\x02\x00\x01"))),
    State("half a handshake", 10, |address| Box::pin(async move { plain(address, &hello().await).await })),
    State("nothing asked", 30, |address| Box::pin(inside(address, "", &[]))),
    State("half a head", 30, |address| {
        Box::pin(inside(address, "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost", &[]))
    }),
    State("polling, before CONNECT", SILENCE, |address| {
        Box::pin(inside(address, "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\n\r\n", &[]))
    }),
    State("polling, a GET waits", 25 + 30, |address| {
        Box::pin(async move {
            let mut wire = Wire::over(connect(address, &[]).await);
            let uri = format!("{HANDSHAKE}&sid={}", wire.get(HANDSHAKE).await.sid());
            wire.post(&uri, "text/plain", "40").await;
            wire.get(&uri).await;
            wire.write(format!("GET {uri} HTTP/1.1\r\nHost: x\r\n\r\n")).await;
            Box::new(wire.into_io()) as Box<dyn Duplex>
        })
    }),
    State("WebSocket, in a namespace", SILENCE, |address| Box::pin(inside(address, UPGRADE, &[JOIN]))),
    State("WebSocket, half a frame", SILENCE, |address| {
        Box::pin(inside(address, UPGRADE, &[JOIN, b"\x81\x8a\0\0\0\x0042[\""]))
    }),
    State("WebSocket, said farewell", 5, |address| {
        Box::pin(inside(address, UPGRADE, &[JOIN, b"\x88\x82\0\0\0\0\x03\xe8"]))
    }),
];

const UPGRADE: &str = "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n\
    Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
const JOIN: &[u8] = b"\x81\x82\0\0\0\x0040";

/// Says this, and nothing that TLS would have it say.
async fn plain(address: SocketAddr, bytes: &[u8]) -> Box<dyn Duplex> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    Box::new(stream)
}

/// What a client says first.
async fn hello() -> Vec<u8> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let client = tokio::spawn(async move { connect(address, &[]).await });
    let mut hello = vec![0; 4_096];
    let read = listener.accept().await.unwrap().0.read(&mut hello).await.unwrap();
    client.abort();
    hello.truncate(read);
    hello
}

/// Asks this inside of TLS, and says the rest when it was answered.
async fn inside(address: SocketAddr, request: &str, frames: &[&[u8]]) -> Box<dyn Duplex> {
    let mut stream = connect(address, &[]).await;
    stream.write_all(request.as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
    if request.ends_with("\r\n\r\n") {
        assert!(stream.read(&mut [0; 4_096]).await.unwrap() > 0);
    }
    for frame in frames {
        stream.write_all(frame).await.unwrap();
        stream.flush().await.unwrap();
    }
    Box::new(stream)
}

#[tokio::test(start_paused = true)]
async fn whatever_the_state_silence_ends_it_in_time() {
    let _still = Still::new();
    let mut wrong = Vec::new();
    for State(name, seconds, enter) in STATES {
        let io = Server::new();
        let address = listen(&io).await;
        let client = moving(enter(address)).await;
        settle().await;
        assert_eq!(io.metrics().connections, 1, "{name}");
        let mut silent = 0;
        while !is_empty(&io) && silent < 100 {
            advance(Duration::from_secs(1)).await;
            silent += 1;
        }
        // What the system delivers late begins its time late.
        if !(*seconds..=seconds + 1).contains(&silent) {
            wrong.push(format!("{name}: {silent} s, not {seconds}"));
        }
        drop(client);
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Not even a file descriptor is left.
fn is_empty(io: &Server) -> bool {
    let metrics = io.metrics();
    (metrics.connections, metrics.sessions, metrics.sockets, metrics.tasks) == (0, 0, 0, 0)
}
