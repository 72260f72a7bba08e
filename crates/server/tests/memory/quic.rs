//! Pieces of streams with gaps between them: QUIC keeps them until the gaps are filled, and they never are.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sockeye::{SelfSigned, Server, Socket, Transport};
use tokio::net::UdpSocket;
use wtransport::quinn::{ClientConfig, Connection, ConnectionError, TransportConfig, TransportErrorCode};
use wtransport::{Endpoint, endpoint::endpoint_side::Client};

use crate::counting::{live, peak};
use crate::mangled::{Level, config};

/// What both ends may take while so much is said: they are one process here, and each has buffers of its own for what is on
/// its way.
const MOST: usize = 1024 * 1024;
/// Packets that the client sends: room for 70,000 pieces.
const PACKETS: u32 = 500;
/// Streams of both kinds on which nobody has said anything. [RFC 9000 §2.1]
const STREAMS: [u8; 5] = [8, 12, 14, 18, 22];

/// The place of the piece with this number: a stream and an offset.
type Place = fn(u32) -> (u8, u32);

/// Ways to leave gaps: how many pieces a packet has, and where they are, within the window of each.
const WAYS: [(&str, Who, usize, Place); 5] = [
    ("all that there is room for", Who::Stranger, usize::MAX, |n| (STREAMS[n as usize % 5], 1 + 2 * (n / 5) % 1_500)),
    ("one in each packet", Who::Stranger, 1, |n| (STREAMS[n as usize % 5], 1 + 2 * (n / 5) % 1_500)),
    ("all that is not too many", Who::Member, usize::MAX, |n| (STREAMS[n as usize % 5], 1 + 100 * (n / 5) % 100_000)),
    ("one in each packet", Who::Member, 1, |n| (STREAMS[n as usize % 5], 1 + 100 * (n / 5) % 100_000)),
    ("the same ones again and again", Who::Member, usize::MAX, |n| (STREAMS[n as usize % 5], 1 + 2 * (n / 5) % 50)),
];

/// A piece of one byte: a frame with an offset and a length. [RFC 9000 §19.8]
fn piece((stream, offset): (u8, u32)) -> [u8; 8] {
    let [a, b, c, d] = (offset | 0x8000_0000).to_be_bytes();
    [0x0e, stream, a, b, c, d, 1, b'x']
}

/// A client whose large packets hold at most so many pieces, and nothing else, once it is told to.
fn client(most: usize, place: Place) -> (Endpoint<Client>, Arc<AtomicBool>) {
    let (begun, mut count) = (Arc::new(AtomicBool::new(false)), 0);
    let begins = Arc::clone(&begun);
    let mut config: ClientConfig = config(move |level, frames| {
        if level == Level::Data && frames.len() >= 1_000 && begins.load(Ordering::SeqCst) {
            frames.fill(0);
            for frame in frames.chunks_exact_mut(8).take(most) {
                frame.copy_from_slice(&piece(place(count)));
                count += 1;
            }
        }
    });
    let mut transport = TransportConfig::default();
    transport.datagram_send_buffer_size(4 * 1024);
    config.transport_config(Arc::new(transport));
    let address = wtransport::ClientConfig::builder().with_bind_address("127.0.0.1:0".parse().unwrap());
    (Endpoint::client(address.build_with_quic_config(config)).unwrap(), begun)
}

/// Says so much in large packets, unless the server closes before: how it ended, and the most that was taken meanwhile.
async fn say(connection: &Connection) -> (Option<ConnectionError>, usize) {
    let talk = async {
        for _ in 0..PACKETS {
            if connection.send_datagram_wait(vec![0; 1_050].into()).await.is_err() {
                break;
            }
        }
        connection.close_reason()
    };
    peak(talk).await
}

/// A server, and its address.
async fn serve() -> SocketAddr {
    let io = Server::builder().transports(&[Transport::Polling, Transport::Webtransport]).build().unwrap();
    io.on_with_ack("ask", async |_: Socket, ()| ());
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let tls = SelfSigned::new(["localhost"]).unwrap().tls();
    tokio::spawn(async move { io.serve_webtransport(socket, tls).await });
    address
}

/// Who speaks: somebody with a session of WebTransport, or a client that has joined a namespace by it, whose window is wider.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Who {
    Stranger,
    Member,
}

/// What comes of so many pieces at these places.
async fn flood(address: SocketAddr, who: Who, most: usize, place: Place) -> (Option<ConnectionError>, usize) {
    let (endpoint, begun) = client(most, place);
    let session = endpoint.connect(format!("https://{address}/socket.io/")).await.unwrap();
    if who == Who::Member {
        let (mut send, mut receive) = session.open_bi().await.unwrap().await.unwrap();
        // The window is widened when somebody who has joined is read.
        for (said, answer) in [(&b"\x010\x0240"[..], &b"40{"[..]), (b"\x0a420[\"ask\"]", b"430[]")] {
            send.write_all(said).await.unwrap();
            let (mut heard, mut buffer) = (Vec::new(), [0; 1024]);
            while !heard.windows(answer.len()).any(|packet| packet == answer) {
                let read = receive.read(&mut buffer).await.unwrap().expect("more of the stream");
                heard.extend_from_slice(&buffer[..read]);
            }
        }
    }
    begun.store(true, Ordering::SeqCst);
    say(session.quic_connection()).await
}

#[test]
fn rustsec_2026_0185_pieces_with_gaps_are_bounded() {
    live(async {
        let address = serve().await;
        for (what, who, most, place) in WAYS {
            let (end, taken) = flood(address, who, most, place).await;
            assert_eq!(end, None, "{who:?}, {what}");
            assert!(taken <= MOST, "{who:?}, {what}: {taken} bytes");
        }
    });
}

/// With more gaps on a stream than QUIC keeps, the connection ends; the window of a member alone would allow a hundred times
/// as many.
#[test]
fn rustsec_2026_0185_gaps_without_end_end_the_connection() {
    live(async {
        let address = serve().await;
        for (who, place) in
            [(Who::Stranger, (|n| (8, 1 + 2 * n % 7_000)) as Place), (Who::Member, |n| (8, 1 + 2 * n % 250_000))]
        {
            let (end, taken) = flood(address, who, usize::MAX, place).await;
            let Some(ConnectionError::ConnectionClosed(close)) = end else { panic!("{who:?}: {end:?}") };
            assert_eq!(close.error_code, TransportErrorCode::INTERNAL_ERROR, "{who:?}");
            assert!(taken <= MOST, "{who:?}: {taken} bytes");
        }
    });
}
