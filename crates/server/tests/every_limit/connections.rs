//! The limits on connections, in all and per address: over TCP, since it is the accept loop that keeps them.

use sockeye::{Limit, Server};
use sockeye_testing::Net;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const MOST: usize = 3;

async fn listen(io: &Server) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, server) = (listener.local_addr().unwrap(), io.clone());
    tokio::spawn(async move { server.serve(listener).await });
    address
}

/// Waits until so many are open.
async fn open(io: &Server, count: usize) {
    while io.metrics().connections != count as u64 {
        tokio::task::yield_now().await;
    }
}

/// What a client that says nothing is told until the connection ends.
async fn told(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    text
}

#[tokio::test]
async fn one_connection_too_many_is_closed_at_once() {
    let io = Server::builder().max_connections(MOST).build().expect("the options agree");
    let address = listen(&io).await;
    let mut streams = Vec::new();
    for count in 1..=MOST {
        streams.push(TcpStream::connect(address).await.unwrap());
        open(&io, count).await;
    }
    assert_eq!(io.metrics().limits.total(), 0, "N are allowed");
    for too_many in 1..=2 {
        let answer = told(&mut TcpStream::connect(address).await.unwrap()).await;
        assert!(answer.starts_with("HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\n"), "{answer}");
        let words = r#"{"code":4,"message":"too many connections"}"#;
        assert!(answer.ends_with(&format!("Content-Length: {}\r\n\r\n{words}", words.len())), "{answer}");
        let metrics = io.metrics();
        assert_eq!((metrics.limits.get(Limit::Connections), metrics.limits.total()), (too_many, too_many));
        assert_eq!(metrics.connections, MOST as u64);
    }
    drop(streams.pop());
    open(&io, MOST - 1).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    assert_eq!(status(&mut stream).await, "HTTP/1.1 200", "there is room again");
}

/// A WebSocket keeps the place of the connection on which it began.
#[tokio::test(start_paused = true)]
async fn websockets_are_connections() {
    let io = Server::builder().max_connections(1).build().expect("the options agree");
    let net = Net::new(&io);
    let stream = net.websocket().await;
    assert_eq!(io.metrics().connections, 1);
    let refused = net.try_open("/socket.io/?EIO=4&transport=websocket", &[]).await.unwrap_err();
    assert!(refused.starts_with("HTTP/1.1 503 "), "{refused}");
    drop(stream);
    sockeye_testing::settle().await;
    assert_eq!(io.metrics().connections, 0);
    drop(net.websocket().await);
    net.assert_clean().await;
    assert_eq!(io.metrics().limits.get(Limit::Connections), 1);
}

/// An address that opens connections and says nothing leaves the rest of `max_connections` to others.
#[tokio::test]
async fn one_address_does_not_take_all_places() {
    let builder = Server::builder().max_connections(MOST + 1).max_connections_per_address(MOST);
    let io = builder.build().expect("the options agree");
    let address = listen(&io).await;
    let mut streams = Vec::new();
    for count in 1..=MOST {
        streams.push(TcpStream::connect(address).await.unwrap());
        open(&io, count).await;
    }
    assert_eq!(io.metrics().limits.total(), 0, "N are allowed");
    for too_many in 1..=2 {
        let answer = told(&mut TcpStream::connect(address).await.unwrap()).await;
        assert!(answer.starts_with("HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\n"), "{answer}");
        assert!(answer.ends_with(r#"{"code":4,"message":"too many connections from this address"}"#), "{answer}");
        let metrics = io.metrics();
        assert_eq!((metrics.limits.get(Limit::ConnectionsPerAddress), metrics.limits.total()), (too_many, too_many));
        assert_eq!(metrics.connections, MOST as u64);
    }
    let (mut other, end) = tokio::io::duplex(10_000);
    let server = io.clone();
    tokio::spawn(async move { server.serve_stream(end, Some("[2001:db8::1]:1".parse().unwrap())).await });
    assert_eq!(status(&mut other).await, "HTTP/1.1 200", "another address");
    drop((streams.pop(), other));
    open(&io, MOST - 1).await;
    assert_eq!(status(&mut TcpStream::connect(address).await.unwrap()).await, "HTTP/1.1 200", "there is room again");
}

/// Bounds those of each address, whatever they become; an IPv6 network of 64 bits is one. A proxy has those of all its
/// clients, and who has no address is not bounded.
#[tokio::test(start_paused = true)]
async fn connections_count_for_the_address_from_which_they_come() {
    let builder = Server::builder().max_connections_per_address(1).trust_proxies(["10.0.0.1"]).expect("an address");
    let io = builder.build().expect("the options agree");
    let mut kept = Vec::new();
    for (address, fits) in [
        (Some("192.0.2.1:1"), true),
        (Some("192.0.2.1:2"), false),
        (Some("[::ffff:192.0.2.1]:3"), false),
        (Some("192.0.2.2:1"), true),
        (Some("[2001:db8::1]:1"), true),
        (Some("[2001:db8::2:1]:1"), false),
        (Some("[2001:db8:0:1::1]:1"), true),
        (Some("10.0.0.1:1"), true),
        (Some("10.0.0.1:2"), true),
        (None, true),
        (None, true),
    ] {
        let (mut stream, end) = tokio::io::duplex(10_000);
        let server = io.clone();
        tokio::spawn(async move { server.serve_stream(end, address.map(|text| text.parse().unwrap())).await });
        let expected = if fits { "HTTP/1.1 200" } else { "HTTP/1.1 503" };
        assert_eq!(status(&mut stream).await, expected, "{address:?}");
        kept.push(stream);
    }
    // A framework asks by its accept loop.
    let (stream, _client) = tokio::io::duplex(1_000);
    let taken = io.count_connection(stream, Some("192.0.2.1:4".parse().unwrap()));
    assert!(taken.is_err());
    drop((taken, kept));
    sockeye_testing::settle().await;
    let (stream, _client) = tokio::io::duplex(1_000);
    assert!(io.count_connection(stream, Some("192.0.2.1:4".parse().unwrap())).is_ok(), "there is room again");
    assert_eq!(io.metrics().limits.get(Limit::ConnectionsPerAddress), 4);
}

/// How a handshake is answered.
async fn status(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> String {
    // Who is not wanted may be gone before it has asked.
    drop(stream.write_all(b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\n\r\n").await);
    let mut status = [0; 12];
    stream.read_exact(&mut status).await.unwrap();
    String::from_utf8(status.into()).unwrap()
}
