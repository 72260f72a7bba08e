//! Clients whose address changes.                                                                  [RFC 9000 §9]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sockeye::{DisconnectReason, Socket};
use tokio::net::UdpSocket;
use tokio::sync::{Notify, mpsc};

use crate::peer::{Site, builder, soon};

/// A router between a client and the server, which gives the client another port when it is told to, as those of telephones
/// do. What is on its way to the old one is lost.
struct Router {
    change: Arc<Notify>,
    changes: Arc<AtomicUsize>,
}

impl Router {
    /// Clients of `site` go through it.
    async fn before(site: &mut Site) -> Self {
        let inside = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let server = std::mem::replace(&mut site.address, inside.local_addr().unwrap());
        let (change, changes) = (Arc::<Notify>::default(), Arc::<AtomicUsize>::default());
        tokio::spawn(route(inside, server, Arc::clone(&change), Arc::clone(&changes)));
        Self { change, changes }
    }

    fn change(&self) {
        self.change.notify_one();
    }
}

async fn route(inside: UdpSocket, server: SocketAddr, change: Arc<Notify>, changes: Arc<AtomicUsize>) {
    let mut outside = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let (mut up, mut down, mut client) = ([0; 2_048], [0; 2_048], None);
    loop {
        tokio::select! {
            biased;
            () = change.notified() => {
                outside = UdpSocket::bind("127.0.0.1:0").await.unwrap();
                changes.fetch_add(1, Ordering::Relaxed);
            }
            read = inside.recv_from(&mut up) => {
                let (length, from) = read.unwrap();
                client = Some(from);
                outside.send_to(&up[..length], server).await.unwrap();
            }
            read = outside.recv(&mut down) => {
                let length = read.unwrap();
                inside.send_to(&down[..length], client.expect("the client spoke first")).await.unwrap();
            }
        }
    }
}

/// In the midst of messages, in both directions: the session goes on, and nothing is lost.
#[tokio::test]
async fn an_address_may_change() {
    let io = builder().build().unwrap();
    io.on_with_ack("length", async |_: Socket, text: String| text.len());
    let (tell, mut told) = mpsc::unbounded_channel();
    io.on_disconnect(async move |_: Socket, reason| tell.send(reason));
    let mut site = Site::new(io).await;
    let router = Router::before(&mut site).await;
    let mut peer = site.socket().await;
    for round in 1..=5 {
        let packet = format!("42{round}[\"length\",\"{}\"]", "x".repeat(50_000));
        let bytes = [&[126][..], &u16::try_from(packet.len()).unwrap().to_be_bytes(), packet.as_bytes()].concat();
        let (first, second) = bytes.split_at(bytes.len() / 2);
        peer.write(first).await;
        site.io.emit("down", "y".repeat(200_000)).unwrap();
        assert_eq!(peer.take(9).await[0], 127, "the head of a long text");
        router.change();
        peer.write(second).await;
        let rest = peer.take("42[\"down\",\"\"]".len() + 200_000).await;
        assert!(rest.starts_with(b"42[\"down\",\"y") && rest.ends_with(b"y\"]"), "round {round}");
        assert_eq!(peer.hear().await, format!("43{round}[50000]"));
    }
    assert_eq!(router.changes.load(Ordering::Relaxed), 5);
    assert_eq!((site.io.metrics().sessions, site.io.metrics().sessions_opened), (1, 1));
    peer.leave();
    assert_eq!(soon(told.recv()).await, Some(DisconnectReason::TransportClose));
    site.emptied().await;
}
