//! The limit on connections: over TCP, since it is the accept loop that keeps it.

use sockeye::{Limit, Server};
use sockeye_testing::Net;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
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
        assert!(
            answer.contains("Content-Length: 20\r\n") && answer.ends_with("\r\n\r\nToo many connections"),
            "{answer}"
        );
        let metrics = io.metrics();
        assert_eq!((metrics.limits.get(Limit::Connections), metrics.limits.total()), (too_many, too_many));
        assert_eq!(metrics.connections, MOST as u64);
    }
    drop(streams.pop());
    open(&io, MOST - 1).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut status = [0; 12];
    stream.read_exact(&mut status).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 200", "there is room again");
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
