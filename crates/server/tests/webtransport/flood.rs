//! More clients on their way to a session than there is room for.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sockeye::Limit;
use tokio::net::UdpSocket;
use wtransport::quinn;

use crate::clock::{Still, advance, moving};
use crate::peer::{Site, builder};

/// So many clients may be on their way whose address is not proven.
const CROWD: usize = 256;

/// Clients that go no further than their first packet: what they are answered does not reach them.
struct Crowd {
    endpoint: quinn::Endpoint,
    config: quinn::ClientConfig,
    relay: SocketAddr,
    begun: Vec<quinn::Connecting>,
    demands: Arc<AtomicUsize>,
}

impl Crowd {
    async fn before(site: &Site) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let relay = socket.local_addr().unwrap();
        let demands = Arc::<AtomicUsize>::default();
        tokio::spawn(pass_on(socket, site.address, Arc::clone(&demands)));
        let endpoint = quinn::Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
        Self { endpoint, config: site.client().quic_config().clone(), relay, begun: Vec::new(), demands }
    }

    /// So many more begin.
    async fn come(&mut self, count: usize) {
        for _ in 0..count {
            let connecting = self.endpoint.connect_with(self.config.clone(), self.relay, "localhost").unwrap();
            self.begun.push(connecting);
            tokio::task::yield_now().await;
        }
    }

    fn demands(&self) -> usize {
        self.demands.load(Ordering::Relaxed)
    }
}

/// Passes on what clients say, and counts the answers that demand a proof. [RFC 9000 §17.2.5]
async fn pass_on(socket: UdpSocket, server: SocketAddr, demands: Arc<AtomicUsize>) {
    let mut datagram = [0; 2_048];
    loop {
        let (length, from) = socket.recv_from(&mut datagram).await.unwrap();
        if from != server {
            socket.send_to(&datagram[..length], server).await.unwrap();
        } else if datagram[0] & 0xf0 == 0xf0 {
            demands.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Waits for what UDP brings.
async fn until(is_so: impl Fn() -> bool) {
    while !is_so() {
        tokio::task::yield_now().await;
    }
}

fn counted(site: &Site, limit: Limit) -> usize {
    usize::try_from(site.io.metrics().limits.get(limit)).unwrap()
}

/// Packets with addresses that are not the sender's take no more than 256 places, and keep nobody out who has one.
#[tokio::test(start_paused = true)]
async fn who_does_not_prove_an_address_takes_few_places() {
    let _still = Still::new();
    moving(async {
        let site = Site::new(builder().build().unwrap()).await;
        let mut crowd = Crowd::before(&site).await;
        crowd.come(CROWD).await;
        crowd.come(100).await;
        until(|| crowd.demands() == 100).await;
        assert_eq!(counted(&site, Limit::UnprovenVisitors), 100);
        // Whoever proves it comes in; the demand is counted.
        let peer = site.socket().await;
        assert_eq!(counted(&site, Limit::UnprovenVisitors), 101);
        // Places are free again in time.
        drop(crowd);
        advance(Duration::from_secs(11)).await;
        drop(site.socket().await);
        assert_eq!((counted(&site, Limit::UnprovenVisitors), counted(&site, Limit::Visitors)), (101, 0));
        peer.leave();
    })
    .await;
}
