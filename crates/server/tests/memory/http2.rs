//! Floods over HTTP/2, frame by frame. [RFC 9113, RFC 7541]
//!
//! ```text
//! length 24 | type 8 | flags 8 | stream 32 | payload
//! ```
//! Each is bounded by memory and by what is taken of it, and nobody on another connection notices.

use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use sockeye::{Server, Socket};
use sockeye_testing::{Net, settle};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::task::JoinHandle;

use crate::counting::{allocated, alone, peak};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const CONTINUATION: u8 = 9;

const NONE: u8 = 0;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// A flood ends when the server has let go, or so much has been said: no client says all of it.
const FLOOD: usize = 500_000;
/// Of which the server may hold so much at a time: what is on its way, a frame, a head, a window.
const HELD: usize = 512 * 1024;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The header block of a request.
fn head(method: &str, path: &str) -> Vec<u8> {
    let method: u8 = if method == "POST" { 0x83 } else { 0x82 };
    let length = u8::try_from(path.len()).unwrap();
    [&[method, 0x86, 0x01, 1, b'x', 0x04, length], path.as_bytes()].concat()
}

/// A header field as it is, which the table keeps if `kept`.
fn field(kept: bool, name: &str, value: &[u8]) -> Vec<u8> {
    let mut length = Vec::new();
    match u8::try_from(value.len()) {
        Ok(short @ ..127) => length.push(short),
        _ => {
            let mut rest = value.len() - 127;
            length.push(127);
            while rest >= 128 {
                length.push(u8::try_from(rest % 128).unwrap() | 0x80);
                rest /= 128;
            }
            length.push(u8::try_from(rest).unwrap());
        }
    }
    let first = [if kept { 0x40 } else { 0 }, u8::try_from(name.len()).unwrap()];
    [&first[..], name.as_bytes(), &length, value].concat()
}

/// A client's end of a connection.
struct Peer {
    pipe: DuplexStream,
    serving: JoinHandle<()>,
    heard: usize,
    ended: bool,
}

/// Whether a client reads what it is told.
#[derive(Clone, Copy, PartialEq)]
enum Ears {
    Closed,
    Open,
}

impl Peer {
    async fn open(io: &Server) -> Self {
        let (pipe, end) = tokio::io::duplex(16 * 1024);
        let io = io.clone();
        let serving = tokio::spawn(async move { io.serve_stream(end, None).await });
        let mut peer = Self { pipe, serving, heard: 0, ended: false };
        peer.say(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Ears::Open).await;
        peer.say(&frame(SETTINGS, NONE, 0, b""), Ears::Open).await;
        assert!(peer.heard > 0 && !peer.ended, "the server says SETTINGS");
        peer
    }

    /// Says it as far as the server listens; how much it took.
    async fn say(&mut self, bytes: &[u8], ears: Ears) -> usize {
        let (mut said, mut idle) = (0, 0);
        while said < bytes.len() && idle < 3 && !self.ended {
            let wrote = self.write(&bytes[said..]).await;
            said += wrote;
            settle().await;
            let heard = if ears == Ears::Open { self.hear().await } else { 0 };
            idle = if wrote + heard == 0 { idle + 1 } else { 0 };
        }
        said
    }

    /// Says it again and again; `next` is given the number of times.
    async fn flood(&mut self, ears: Ears, mut next: impl FnMut(u32) -> Vec<u8>) -> usize {
        let mut said = 0;
        for n in 0.. {
            let bytes = next(n);
            let taken = self.say(&bytes, ears).await;
            said += taken;
            if taken < bytes.len() || said > FLOOD {
                break;
            }
        }
        said
    }

    async fn write(&mut self, bytes: &[u8]) -> usize {
        std::future::poll_fn(|cx| match Pin::new(&mut self.pipe).poll_write(cx, bytes) {
            Poll::Ready(Ok(wrote)) => Poll::Ready(wrote),
            Poll::Ready(Err(_)) => {
                self.ended = true;
                Poll::Ready(0)
            }
            Poll::Pending => Poll::Ready(0),
        })
        .await
    }

    async fn hear(&mut self) -> usize {
        let mut buffer = vec![0; 16 * 1024];
        std::future::poll_fn(|cx| {
            let mut buffer = ReadBuf::new(&mut buffer);
            let read = Pin::new(&mut self.pipe).poll_read(cx, &mut buffer);
            self.ended |= read.is_ready() && buffer.filled().is_empty();
            self.heard += buffer.filled().len();
            Poll::Ready(buffer.filled().len())
        })
        .await
    }

    /// Whether the server has let go of the connection by itself, within a minute.
    async fn ends(self) -> bool {
        let Self { mut pipe, serving, .. } = self;
        // It reads what is left, as a client does which waits for the end.
        let reading = tokio::spawn(async move {
            let _ = tokio::io::copy(&mut pipe, &mut tokio::io::sink()).await;
        });
        let let_go = tokio::time::timeout(Duration::from_mins(1), serving).await.is_ok();
        reading.abort();
        let_go
    }
}

/// A flood after what comes `before`, on a connection of its own. How much of it was taken, how much was held meanwhile, and the
/// connection.
async fn flooded(ears: Ears, before: &[u8], more: impl FnMut(u32) -> Vec<u8>) -> (usize, usize, Peer) {
    let io = Server::new();
    io.on_with_ack("echo", async |_: Socket, text: String| text);
    let net = Net::new(&io);
    let (mut witness, _) = net.join().await;
    let mut flooding = Peer::open(&io).await;
    let (taken, most) = peak(async {
        flooding.say(before, ears).await;
        flooding.flood(ears, more).await
    })
    .await;
    // The next of the others is served as if nothing were.
    witness.send("420[\"echo\",\"hi\"]").await;
    witness.expect("430[\"hi\"]").await;
    let mut other = Peer::open(&io).await;
    let heard = other.heard;
    let get = frame(HEADERS, END_HEADERS | END_STREAM, 1, &head("GET", "/socket.io/?EIO=4&transport=polling"));
    other.say(&get, Ears::Open).await;
    other.hear().await;
    assert!(other.heard > heard + 100, "a handshake");
    drop((other, witness));
    net.advance(Duration::from_mins(2)).await;
    net.assert_clean().await;
    (taken, most, flooding)
}

/// RUSTSEC-2024-0332: a head that never ends, of fields, of empty frames, of fields too large to be kept.
#[test]
fn a_head_that_goes_on_for_ever_is_cut_off() {
    alone(async || {
        let begin = frame(HEADERS, NONE, 1, &head("GET", "/"));
        let many = field(false, "a", b"b").repeat(3_000);
        let long = field(false, "a", &[b'b'; 15_000]);
        for fragment in [&many[..], &long, b""] {
            let more = frame(CONTINUATION, NONE, 1, fragment);
            let (said, held, peer) = flooded(Ears::Open, &begin, |_| more.clone()).await;
            assert!(said < 200_000 && held < HELD, "{} bytes each: {said}, {held}", fragment.len());
            assert!(peer.ends().await, "{} bytes each", fragment.len());
        }
    });
}

/// A field of 4,000 bytes in the table of the connection, and then a byte for each time it is meant.
#[test]
fn a_small_head_does_not_become_a_large_one() {
    alone(async || {
        let large = [head("GET", "/"), field(true, "a", &[b'b'; 4_000])].concat();
        let first = frame(HEADERS, END_HEADERS | END_STREAM, 1, &large);
        // 62, and the bit that says it is known: the first of the dynamic table: 60 MB, if they were copied.
        let bomb = [head("GET", "/"), vec![0xbe; 15_000]].concat();
        let next = |n: u32| frame(HEADERS, END_HEADERS | END_STREAM, 2 * n + 3, &bomb);
        let (said, held, peer) = flooded(Ears::Open, &first, next).await;
        assert!(said > 15_000 && said < 100_000 && held < HELD, "{said}, {held}");
        assert!(peer.ends().await);
    });
}

/// CVE-2023-44487: requests that are taken back as soon as they are made. In a crowd they are counted, and that is the
/// end; one after the other, too, as nobody takes the answers, and whoever does not hear of the end is cut off.
#[test]
fn requests_that_are_taken_back_are_counted() {
    alone(async || {
        let poll = head("GET", "/socket.io/?EIO=4&transport=polling&sid=x");
        let request = |n: u32| {
            let id = 2 * n + 1;
            [frame(HEADERS, END_HEADERS, id, &poll), frame(RST_STREAM, NONE, id, &8_u32.to_be_bytes())].concat()
        };
        let (said, held, peer) =
            flooded(Ears::Open, b"", |n| (100 * n..100 * n + 100).flat_map(request).collect()).await;
        assert!(said < 20_000 && held < HELD, "{said}, {held}");
        assert!(peer.ends().await);
        let (said, held, peer) = flooded(Ears::Open, b"", request).await;
        assert!(said < 100_000 && held < HELD, "{said}, {held}");
        assert!(peer.ends().await);
    });
}

/// RUSTSEC-2026-0258: frames of no bytes count for no window.
#[test]
fn data_of_no_bytes_is_not_kept() {
    alone(async || {
        let unread = frame(HEADERS, END_HEADERS, 1, &head("POST", "/elsewhere"));
        let refused = frame(HEADERS, END_HEADERS, 1, &head("POST", "/socket.io/?EIO=4&transport=polling&sid=x"));
        for begin in [unread, refused] {
            for ears in [Ears::Open, Ears::Closed] {
                let nothing = frame(DATA, NONE, 1, b"").repeat(1_000);
                let (said, held, peer) = flooded(ears, &begin, |_| nothing.clone()).await;
                assert!(said < 100_000 && held < HELD, "{said}, {held}");
                assert!(peer.ends().await);
            }
        }
    });
}

/// A GET that waits may have a body, which means nothing: none of it is kept meanwhile.
#[test]
fn the_body_of_a_get_is_not_kept_while_it_waits() {
    alone(async || {
        let io = Server::new();
        let net = Net::new(&io);
        let session = net.polling().await;
        let mut peer = Peer::open(&io).await;
        peer.say(&frame(HEADERS, END_HEADERS, 1, &head("GET", &session.target())), Ears::Open).await;
        let data = frame(DATA, NONE, 1, &[0; 10_000]);
        let (said, held) = peak(peer.flood(Ears::Open, |_| data.clone())).await;
        assert!(said > 0 && held < 70_000, "{said}, {held}");
    });
}

/// What docs/limits.md says of a connection of HTTP/2.
#[test]
fn a_connection_takes_little_for_itself() {
    alone(async || {
        let io = Server::new();
        let net = Net::new(&io);
        let session = net.polling().await;
        let before = allocated();
        let mut peer = Peer::open(&io).await;
        peer.say(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &head("GET", &session.target())), Ears::Open).await;
        let taken = allocated() - before;
        // The pipe of this test is in it.
        assert!(taken < 48 * 1024, "{taken}");
    });
}

/// What asks for an answer is not read any further while the answers are not: who does not listen is not served.
#[test]
fn answers_that_nobody_reads_do_not_pile_up() {
    alone(async || {
        let pings = frame(PING, NONE, 0, &[7; 8]).repeat(100);
        let settings = frame(SETTINGS, NONE, 0, b"").repeat(100);
        for frames in [pings, settings] {
            let (said, held, peer) = flooded(Ears::Closed, b"", |_| frames.clone()).await;
            assert!(said < 250_000 && held < HELD, "{said}, {held}");
            assert!(peer.serving.is_finished(), "two minutes are enough");
        }
    });
}
