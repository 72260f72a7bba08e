//! Messages at their limits, and beyond.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use flate2::{Compress, Compression, FlushCompress};
use sockeye::{Deflate, Server, Socket};
use sockeye_testing::{Frame, Net, settle};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use crate::counting::{allocated, allocated_in_all, alone, peak};

/// `max_payload`.
const LIMIT: usize = 1_000_000;

/// A frame whose mask is all zeros.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        short @ ..126 => frame.push(0x80 | u8::try_from(short).unwrap()),
        length @ ..0x1_0000 => {
            frame.push(0xfe);
            frame.extend(u16::try_from(length).unwrap().to_be_bytes());
        }
        length => {
            frame.push(0xff);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}

/// A message in pieces of so many bytes. `first` is the first byte of the first frame if it were the only one.
fn pieces(first: u8, payload: &[u8], size: usize) -> Vec<u8> {
    let count = payload.len().div_ceil(size);
    let piece = |(at, piece): (usize, &[u8])| {
        let opcode = if at == 0 { first & 0x7f } else { 0 };
        frame(if at + 1 == count { opcode | 0x80 } else { opcode }, piece)
    };
    payload.chunks(size).enumerate().flat_map(piece).collect()
}

/// A packet of so many bytes, whose answer is the length of its text.
fn packet(bytes: usize) -> String {
    format!("420[\"length\",\"{}\"]", "x".repeat(bytes - 16))
}

fn server() -> Server {
    let io = Server::new();
    io.on_with_ack("length", async |_: Socket, text: String| text.len());
    io.on_with_ack("bytes", async |_: Socket, parts: Vec<Bytes>| parts.iter().map(Bytes::len).sum::<usize>());
    io
}

/// CVE-2020-36049: what was put together from pieces took many times its size.
#[test]
fn a_packet_at_the_limit_takes_three_times_its_size() {
    alone(async || {
        let net = Net::new(&server());
        let text = packet(LIMIT);
        for (way, wire) in [("whole", frame(0x81, text.as_bytes())), ("pieces", pieces(0x81, text.as_bytes(), 16))] {
            let (mut alice, _) = net.join().await;
            let ((), peak) = peak(async {
                alice.send_bytes(&wire).await;
                alice.expect("430[999984]").await;
            })
            .await;
            assert!((LIMIT..=3 * LIMIT).contains(&peak), "{way}: {peak}");
            alice.close().await;
        }
        net.assert_clean().await;
    });
}

/// The same with attachments: ten of nearly a megabyte.
#[test]
fn attachments_at_the_limit_take_three_times_their_size() {
    alone(async || {
        let net = Net::new(&server());
        let (mut alice, _) = net.join().await;
        let placeholders: Vec<_> = (0..10).map(|n| format!("{{\"_placeholder\":true,\"num\":{n}}}")).collect();
        let mut wire = frame(0x81, format!("4510-0[\"bytes\",[{}]]", placeholders.join(",")).as_bytes());
        wire.extend(frame(0x82, &vec![7; LIMIT - 1]).repeat(10));
        let ((), peak) = peak(async {
            alice.send_bytes(&wire).await;
            alice.expect("430[9999990]").await;
        })
        .await;
        assert!((10 * LIMIT - 10..=30 * LIMIT).contains(&peak), "{peak}");
        alice.close().await;
        net.assert_clean().await;
    });
}

/// One that is too long is refused before anything of it is kept.
#[test]
fn a_packet_beyond_the_limit_takes_nothing() {
    alone(async || {
        let net = Net::new(&server());
        let (mut alice, _) = net.join().await;
        let wire = frame(0x81, packet(LIMIT + 1).as_bytes());
        let ((), peak) = peak(async {
            alice.send_bytes(&wire).await;
            alice.expect_closed(Some(1009)).await;
        })
        .await;
        assert!(peak < LIMIT / 4, "{peak}");
        net.advance(Duration::from_secs(10)).await;
        net.assert_clean().await;
    });
}

/// A polling session over a connection of its own.
struct Poller {
    pipe: DuplexStream,
    target: String,
}

impl Poller {
    async fn join(io: &Server) -> Self {
        let (pipe, end) = tokio::io::duplex(16 * 1024);
        let io = io.clone();
        tokio::spawn(async move { io.serve_stream(end, None).await });
        let mut poller = Self { pipe, target: "/socket.io/?EIO=4&transport=polling".to_owned() };
        let open = poller.exchange(&poller.request("GET", "", b"")).await;
        let sid = open.split("\"sid\":\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a session");
        poller.target = format!("{}&sid={sid}", poller.target);
        poller.exchange(&poller.request("POST", "Content-Length: 2\r\n", b"40")).await;
        assert!(poller.exchange(&poller.request("GET", "", b"")).await.contains("40{\"sid\":"));
        poller
    }

    fn request(&self, method: &str, headers: &str, body: &[u8]) -> Vec<u8> {
        [format!("{method} {} HTTP/1.1\r\nHost: x\r\n{headers}\r\n", self.target).as_bytes(), body].concat()
    }

    /// Sends a request, and reads what the server says when all has been said.
    async fn exchange(&mut self, request: &[u8]) -> String {
        // Who is refused need not be heard out.
        let _ = self.pipe.write_all(request).await;
        settle().await;
        let mut told = vec![0; 16 * 1024];
        let length = self.pipe.read(&mut told).await.expect("an answer");
        String::from_utf8_lossy(&told[..length]).into_owned()
    }
}

/// CVE-2020-36048: what is cheap to send must not be dear to read. Twice as many packets are twice as much work.
#[test]
fn a_body_of_many_packets_takes_work_in_proportion() {
    alone(async || {
        let io = server();
        let heard = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&heard);
        io.on("x", async move |_: Socket, (): ()| {
            count.fetch_add(1, Ordering::Relaxed);
            // Some must wait for their turn.
            tokio::task::yield_now().await;
        });
        for (packet, is_event) in [("6", false), ("2", false), ("42[\"x\"]", true), ("43999[]", false)] {
            let mut took = Vec::new();
            for bytes in [LIMIT / 4, LIMIT / 2, LIMIT] {
                let count = (bytes + 1) / (packet.len() + 1);
                let body = vec![packet; count].join("\u{1e}");
                let mut poller = Poller::join(&io).await;
                let post = poller.request("POST", &format!("Content-Length: {}\r\n", body.len()), body.as_bytes());
                heard.store(0, Ordering::Relaxed);
                let before = allocated_in_all();
                assert!(poller.exchange(&post).await.ends_with("ok"), "{packet}");
                while heard.load(Ordering::Relaxed) < if is_event { count } else { 0 } {
                    settle().await;
                }
                took.push(allocated_in_all() - before);
            }
            for pair in took.windows(2) {
                assert!(pair[1] < pair[0] * 5 / 2, "{packet}: {took:?} bytes for once, twice and four times as many");
            }
        }
        tokio::time::sleep(Duration::from_secs(100)).await;
        Net::new(&io).assert_clean().await;
    });
}

#[test]
fn a_polling_body_at_the_limit_takes_three_times_its_size() {
    alone(async || {
        let io = server();
        let text = packet(LIMIT);
        let length = format!("Content-Length: {LIMIT}\r\n");
        let chunks: Vec<u8> =
            text.as_bytes().chunks(16).flat_map(|chunk| [b"10\r\n", chunk, b"\r\n"].concat()).collect();
        let chunks = [&chunks, &b"0\r\n\r\n"[..]].concat();
        for (headers, body) in [(length.as_str(), text.as_bytes()), ("Transfer-Encoding: chunked\r\n", &chunks)] {
            let mut poller = Poller::join(&io).await;
            let post = poller.request("POST", headers, body);
            let get = poller.request("GET", "", b"");
            let (answer, peak) = peak(async {
                let taken = poller.exchange(&post).await;
                assert!(taken.ends_with("\r\n\r\nok"), "{taken}");
                poller.exchange(&get).await
            })
            .await;
            assert!(answer.ends_with("430[999984]"), "{answer}");
            assert!((LIMIT..=3 * LIMIT).contains(&peak), "{headers}: {peak}");
        }
    });
}

#[test]
fn a_polling_body_beyond_the_limit_takes_no_more_than_one_at_it() {
    alone(async || {
        let io = server();
        let chunk = [&b"2710\r\n"[..], &[b'4'; 10_000], b"\r\n"].concat();
        let endless = chunk.repeat(1_000);
        // What is announced is not even waited for; what is not is taken up to the limit.
        for (headers, most) in
            [("Content-Length: 10000000\r\n", LIMIT / 4), ("Transfer-Encoding: chunked\r\n", 3 * LIMIT)]
        {
            let mut poller = Poller::join(&io).await;
            let post = poller.request("POST", headers, &endless);
            let (answer, peak) = peak(poller.exchange(&post)).await;
            assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
            assert!(peak <= most, "{headers}: {peak}");
        }
    });
}

/// Compressed, and about a thousand times as long when inflated: nearly a gigabyte, sent as a message of nearly a
/// megabyte.
fn bomb() -> Vec<u8> {
    let mut deflate = Compress::new(Compression::best(), false);
    let (zeros, mut out) = (vec![0; 1 << 20], Vec::with_capacity(4_096));
    deflate.compress_vec(&zeros, &mut out, FlushCompress::Sync).unwrap();
    // It ends at a byte, and what follows begins anew.
    assert!(out.ends_with(b"\0\0\xff\xff") && out.len() < 2_000, "{}", out.len());
    out.repeat(950_000 / out.len())
}

/// CVE-2026-1526 and others: what is inflated had no limit.
#[test]
fn inflating_stops_at_the_limit() {
    alone(async || {
        for limit in [100_000, LIMIT] {
            for context in [false, true] {
                // The message as it comes is within the limit, what it says is not.
                let deflate = Deflate::default().context_takeover(context);
                let io = Server::builder().per_message_deflate(deflate).max_payload(limit).build().unwrap();
                let net = Net::new(&io);
                let (mut witness, _) = net.join().await;
                let mut bomb = bomb();
                bomb.truncate(limit - 1_000);
                for wire in [frame(0xc2, &bomb), pieces(0xc2, &bomb, 100)] {
                    let offer = [("Sec-WebSocket-Extensions", "permessage-deflate")];
                    let mut alice = net.open("/socket.io/?EIO=4&transport=websocket", &offer).await;
                    assert!(matches!(alice.next().await, Some(Frame::Text(text)) if text.starts_with("0{")));
                    alice.send("40").await;
                    alice.expect("40{\"sid\":\"…\"}").await;
                    let ((), peak) = peak(async {
                        alice.send_bytes(&wire).await;
                        alice.expect_closed(Some(1009)).await;
                    })
                    .await;
                    // The message, what comes of it, the window, and what is read and written at a time.
                    assert!(peak > limit && peak < 2 * limit + 256 * 1024, "{limit}, {context}: {peak}");
                    net.advance(Duration::from_secs(10)).await;
                }
                witness.send("42[\"alive\"]").await;
                witness.expect_nothing().await;
                witness.close().await;
                net.assert_clean().await;
            }
        }
    });
}

/// What was said of a message when its connection is closed goes at once, and not when the client has gone.
#[test]
fn an_unfinished_message_is_freed_when_its_connection_is_closed() {
    alone(async || {
        let io = server();
        let net = Net::new(&io);
        let (mut alice, _) = net.join().await;
        let before = allocated();
        let message = frame(0x82, &vec![0; LIMIT]);
        alice.send_bytes(&message[..LIMIT]).await;
        settle().await;
        drop(message);
        let held = allocated() - before;
        assert!((LIMIT..LIMIT + 200_000).contains(&held), "{held}");
        io.of("/").local().disconnect_and_close().unwrap();
        settle().await;
        let left = allocated().saturating_sub(before);
        assert!(left < 200_000, "{left}: it is closing, and waits for the client to go");
        assert_eq!((io.metrics().unfinished_bytes, alice.is_ended()), (0, false));
        drop(alice);
        net.assert_clean().await;
    });
}
