//! Packets that mean nothing, and packets of which only a part does: the endpoint lives, and serves who comes next.

use std::cell::Cell;
use std::net::SocketAddr;
use std::panic;
use std::time::Duration;

use sockeye::{Raw, Socket};
use tokio::net::UdpSocket;
use tokio::task::JoinSet;
use tokio::time::timeout;
use wtransport::quinn::{ConnectionError, Endpoint, TransportErrorCode, VarInt};

use crate::mangled::{Level, config};
use crate::peer::{Site, builder, soon};

/// How many clients seal what they should not, for each part of a connection.
const CLIENTS: u64 = 64;
const DATAGRAMS: usize = 5_000;
/// A client whose handshake leads nowhere is not waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// The same numbers for the same seed. Its steps are those of xorshift64.
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 8).unwrap() % bound.max(1)
    }

    fn byte(&mut self) -> u8 {
        u8::try_from(self.below(256)).unwrap()
    }

    /// All of a packet, or what it says of the client's parameters, if it does. [RFC 9001 §8.2]
    fn part<'a>(&mut self, frames: &'a mut [u8]) -> &'a mut [u8] {
        match frames.windows(2).position(|number| number == [0, 0x39]) {
            Some(at) if self.below(4) > 0 && at + 4 < frames.len() => {
                let end = frames.len().min(at + 80);
                &mut frames[at + 4..end]
            }
            _ => frames,
        }
    }

    fn garble(&mut self, bytes: &mut [u8]) {
        match self.below(4) {
            0 => bytes.iter_mut().for_each(|byte| *byte = self.byte()),
            1 => {
                let at = self.below(bytes.len());
                bytes[at..].iter_mut().for_each(|byte| *byte = self.byte());
            }
            _ => {
                for _ in 0..=self.below(6) {
                    let at = self.below(bytes.len());
                    bytes[at] = self.byte();
                }
            }
        }
    }
}

/// Connects, and says a little on a stream and in a datagram; packets of `level` are garbled. By which code the server ended
/// it during the handshake, if it did.
async fn garbling(address: SocketAddr, level: Level, seed: u64) -> Option<TransportErrorCode> {
    let mut random = Random::new(seed);
    let mut honest = random.below(4);
    let config = config(move |at, frames| {
        if at == level {
            // What comes after the first packets is reached through honest ones.
            match honest.checked_sub(1) {
                Some(rest) if level == Level::Data => honest = rest,
                _ => {
                    let part = random.part(frames);
                    random.garble(part);
                }
            }
        }
    });
    let endpoint = Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
    let connecting = endpoint.connect_with(config, address, "localhost").unwrap();
    let connected = timeout(PATIENCE, connecting).await;
    let refused = match &connected {
        Ok(Err(ConnectionError::ConnectionClosed(close))) => Some(close.error_code),
        _ => None,
    };
    if let Ok(Ok(connection)) = connected {
        for _ in 0..8 {
            if let Ok((mut send, _receive)) = connection.open_bi().await {
                let _ = send.write_all(b"hello").await;
            }
            let _ = connection.send_datagram(vec![1; 100].into());
            tokio::task::yield_now().await;
        }
        connection.close(VarInt::from_u32(7), b"bye");
    }
    endpoint.wait_idle().await;
    refused
}

/// Datagrams of all lengths, many of which look like the beginning of a connection, or like one that goes on.
async fn noise(address: SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut random = Random::new(7);
    for number in 0..DATAGRAMS {
        let length = if number % 2 == 0 { 1200 } else { random.below(1472) };
        let mut datagram: Vec<u8> = (0..length).map(|_| random.byte()).collect();
        if let Some(head) = datagram.first_chunk_mut::<6>() {
            // A long header of version 1, one of a version that nobody knows, or none.
            match number % 4 {
                0 => *head = [0xc0 | (head[0] & 0x3f), 0, 0, 0, 1, 8],
                1 => *head = [0x80 | head[0], 0x1a, 0x2a, 0x3a, 0x4a, 20],
                _ => {}
            }
        }
        let _ = socket.send_to(&datagram, address).await;
    }
}

/// What a client says that joins, asks, sends a text and bytes, and answers a heartbeat.
const TALK: &[u8] = b"\x010\x0240\x0c42[\"echo\",\"x\"]\x0e420[\"ask\",1,2]\x2a451-[\"echo\",{\"_placeholder\":true,\"num\":0}]\x82ab\x013";

/// Says it with a few bytes garbled, in pieces, and no more.
async fn talk(site: &Site, seed: u64) {
    let mut random = Random::new(seed);
    let mut said = TALK.to_vec();
    let kept = random.below(said.len());
    random.garble(&mut said[kept..]);
    let mut peer = site.stream().await;
    for piece in said.chunks(1 + random.below(20)) {
        if soon(peer.send.write_all(piece)).await.is_err() {
            break;
        }
    }
    // It may be over by now.
    drop(soon(peer.send.finish()).await);
    soon(peer.session.connection.closed()).await;
}

#[tokio::test]
async fn garbled_streams_leave_nothing() {
    let io = builder().build().unwrap();
    io.on("echo", async |socket: Socket, args: Raw| drop(socket.emit("echo", args)));
    io.on_with_ack("ask", async |_: Socket, args: Raw| args);
    let site = Site::new(io).await;
    for seed in 1..=200 {
        talk(&site, seed).await;
    }
    assert!(site.io.metrics().messages_received > 100, "many of them are understood in part");
    drop(site.socket().await);
    site.emptied().await;
}

thread_local! {
    /// Something panicked on this thread, which is that of all tasks of a test.
    static PANICKED: Cell<bool> = const { Cell::new(false) };
}

fn watch_panics() {
    let shown = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        PANICKED.set(true);
        shown(info);
    }));
}

#[tokio::test]
async fn rustsec_2026_0037_garbled_packets_harm_nobody_else() {
    watch_panics();
    let site = Site::new(builder().build().unwrap()).await;
    let mut clients = JoinSet::new();
    for level in [Level::Initial, Level::Handshake, Level::Data] {
        for seed in 1..=CLIENTS {
            clients.spawn(garbling(site.address, level, seed));
        }
    }
    noise(site.address).await;
    let refused = clients.join_all().await;
    let parameters = refused.contains(&Some(TransportErrorCode::TRANSPORT_PARAMETER_ERROR));
    assert!(parameters, "nobody got as far as to be refused for its parameters: {refused:?}");
    let mut peer = site.socket().await;
    peer.say("2").await;
    peer.leave();
    site.emptied().await;
    assert!(!PANICKED.get(), "something panicked");
}
