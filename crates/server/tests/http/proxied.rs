//! Behind a proxy that speaks the PROXY protocol: who the client is, and that nothing else changes.  [PROXY protocol 2.1]

use sockeye::{Limit, Server, ServerBuilder, Socket};
use tokio::io::DuplexStream;

use crate::wire::{HANDSHAKE, Wire};

const WEBSOCKET: &str = "/socket.io/?EIO=4&transport=websocket";
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// A header of version 2.
fn v2(command: u8, family: u8, addresses: &[u8]) -> Vec<u8> {
    let length = u16::try_from(addresses.len()).unwrap().to_be_bytes();
    [&SIGNATURE[..], &[0x20 | command, family], &length, addresses].concat()
}

fn v2_of_ipv4() -> Vec<u8> {
    v2(1, 0x11, &[192, 0, 2, 1, 198, 51, 100, 1, 0x12, 0x67, 0, 80])
}

fn v2_of_ipv6() -> Vec<u8> {
    let source = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    // Behind the addresses there may be more. [§2.2]
    v2(1, 0x21, &[&source[..], &[0; 16], &[0x12, 0x67, 0, 80], &[3, 0, 4, 1, 2, 3, 4]].concat())
}

/// Headers, and the address of the client by each.
fn headers() -> Vec<(Vec<u8>, &'static str)> {
    vec![
        (b"PROXY TCP4 192.0.2.1 198.51.100.1 4711 80\r\n".to_vec(), "192.0.2.1:4711"),
        (b"PROXY TCP6 2001:db8::1 2001:db8::2 4711 80\r\n".to_vec(), "[2001:db8::1]:4711"),
        (v2_of_ipv4(), "192.0.2.1:4711"),
        (v2_of_ipv6(), "[2001:db8::1]:4711"),
        // The proxy speaks for itself, or does not know.
        (b"PROXY UNKNOWN\r\n".to_vec(), "203.0.113.7:4242"),
        (v2(0, 0, b""), "203.0.113.7:4242"),
    ]
}

fn server(builder: ServerBuilder) -> Server {
    let io = builder.proxy_protocol(true).build().expect("the options agree");
    io.on("who", async |socket: Socket, ()| {
        socket.emit("who", socket.peer().address().map(|address| address.to_string()))
    });
    io
}

fn get(uri: &str) -> Vec<u8> {
    format!("GET {uri} HTTP/1.1\r\nHost: x\r\n\r\n").into_bytes()
}

/// A WebSocket that joins the main namespace and asks who it is, all in one piece.
fn whole_conversation() -> Vec<u8> {
    let head = format!(
        "GET {WEBSOCKET} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    );
    let say = |text: &str| [&[0x81, 0x80 | u8::try_from(text.len()).unwrap(), 0, 0, 0, 0], text.as_bytes()].concat();
    [head.into_bytes(), say("40"), say("42[\"who\"]")].concat()
}

/// Whatever comes with the header reaches HTTP, and the WebSocket behind it.
#[tokio::test(start_paused = true)]
async fn the_client_is_who_the_proxy_says() {
    for (header, address) in headers() {
        let io = server(Server::builder());
        let mut wire = Wire::open(&io);
        wire.write([header, whole_conversation()].concat()).await;
        assert_eq!(wire.head().await.status, 101, "{address}");
        assert!(wire.hear().await.starts_with("0{"));
        assert!(wire.hear().await.starts_with("40{"));
        assert_eq!(wire.hear().await, format!("42[\"who\",\"{address}\"]"));
    }
}

/// The header may come in pieces, and several requests behind it.
#[tokio::test(start_paused = true)]
async fn the_header_may_be_cut_anywhere() {
    for (header, address) in headers() {
        for cut in 0..header.len() {
            let io = server(Server::builder());
            let mut wire = Wire::open(&io);
            wire.write(&header[..cut]).await;
            sockeye_testing::settle().await;
            wire.write([&header[cut..], &get(HANDSHAKE), &get("/elsewhere")].concat()).await;
            assert_eq!(wire.response().await.status, 200, "{address}, {cut}");
            assert_eq!(wire.response().await.status, 404, "{address}, {cut}");
        }
    }
}

/// What a header of HTTP says is the client's word, unless the client is a proxy in turn.
#[tokio::test(start_paused = true)]
async fn headers_of_http_are_the_clients() {
    let builder = || Server::builder().trust_proxies(["203.0.113.7", "10.0.0.1"]).expect("addresses");
    for (announced, found) in [("192.0.2.1", "192.0.2.1:4711"), ("10.0.0.1", "192.0.2.9:0")] {
        let io = server(builder());
        let mut wire = Wire::open(&io);
        wire.write(format!("PROXY TCP4 {announced} 198.51.100.1 4711 80\r\n")).await;
        assert_eq!(wire.upgrade(WEBSOCKET, &["X-Forwarded-For: 192.0.2.9"]).await.status, 101);
        wire.join().await;
        wire.say("42[\"who\"]").await;
        assert_eq!(wire.hear().await, format!("42[\"who\",\"{found}\"]"));
    }
}

/// With proxies named, others may say nothing, whatever they announce.
#[tokio::test(start_paused = true)]
async fn who_is_not_trusted_announces_nobody() {
    for (trusted, fits) in [("203.0.113.7", true), ("203.0.113.0/29", true), ("203.0.113.8", false)] {
        for (header, _) in headers() {
            let io = server(Server::builder().trust_proxies([trusted]).expect("a network"));
            let mut wire = Wire::open(&io);
            wire.write([header, get(HANDSHAKE)].concat()).await;
            if fits {
                assert_eq!(wire.response().await.status, 200, "{trusted}");
            } else {
                assert_eq!(wire.rest().await, "", "{trusted}");
                assert_eq!((io.metrics().sessions_opened, io.metrics().connections), (0, 0));
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_header_nothing_is_served() {
    let broken: [&[u8]; 5] = [
        b"",
        b"PROXY TCP4 192.0.2.300 198.51.100.1 4711 80\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.1 4711\r\n",
        &v2(1, 0x11, &[192, 0, 2, 1]),
        &[&SIGNATURE[..], &[0x31, 0x11, 0, 0]].concat(),
    ];
    for header in broken {
        let io = server(Server::builder());
        let mut wire = Wire::open(&io);
        wire.write([header, &get(HANDSHAKE)].concat()).await;
        assert_eq!(wire.rest().await, "", "{header:?}");
        assert_eq!((io.metrics().sessions_opened, io.metrics().connections), (0, 0), "{header:?}");
    }
}

/// A connection by which this address asks for a session, and how that is answered.
async fn ask(io: &Server, address: &str) -> (u16, Wire<DuplexStream>) {
    let family = if address.contains(':') { "TCP6" } else { "TCP4" };
    let header = format!("PROXY {family} {address} {address} 1 2\r\n");
    let mut wire = Wire::open(io);
    wire.write([header.into_bytes(), get(HANDSHAKE)].concat()).await;
    (wire.response().await.status, wire)
}

/// All limits of an address are those of the one that is announced, not of the proxy.
#[tokio::test(start_paused = true)]
async fn limits_per_address_follow_the_header() {
    for (limit, builder) in [
        (Limit::ConnectionsPerAddress, Server::builder().max_connections_per_address(1)),
        (Limit::SessionsPerAddress, Server::builder().max_sessions_per_address(1)),
        (Limit::HandshakesPerAddress, Server::builder().handshake_rate_per_address(1, 1)),
    ] {
        let io = server(builder);
        let mut kept = Vec::new();
        for (address, status) in [
            ("192.0.2.1", 200),
            ("192.0.2.1", 503),
            ("192.0.2.2", 200),
            ("2001:db8::1", 200),
            ("2001:db8::2", 503),
            ("2001:db8:0:1::1", 200),
        ] {
            let (answered, wire) = ask(&io, address).await;
            assert_eq!(answered, status, "{limit:?} of {address}");
            kept.push(wire);
        }
        assert_eq!((io.metrics().limits.get(limit), io.metrics().limits.total()), (2, 2));
        if limit == Limit::ConnectionsPerAddress {
            assert_eq!(io.metrics().connections, 4);
            kept.clear();
            sockeye_testing::settle().await;
            assert_eq!(ask(&io, "192.0.2.1").await.0, 200, "there is room again");
        }
    }
}

/// A proxy that has announced nobody yet takes no place of an address.
#[tokio::test(start_paused = true)]
async fn a_proxy_may_open_more_connections_than_a_client() {
    let io = server(Server::builder().max_connections_per_address(1));
    let mut silent = [Wire::open(&io), Wire::open(&io), Wire::open(&io)];
    sockeye_testing::settle().await;
    assert_eq!(io.metrics().connections, 3);
    for (n, wire) in silent.iter_mut().enumerate() {
        wire.write(format!("PROXY TCP4 192.0.2.{n} 192.0.2.9 1 2\r\n")).await;
        assert_eq!(wire.get(HANDSHAKE).await.status, 200);
    }
}
