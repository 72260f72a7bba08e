//! What all clients together may leave unfinished: by messages of streams, bodies of POSTs, packets without attachments.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Request;
use sockeye::{Cause, Disconnect, DisconnectReason, Limit, Server};
use sockeye_testing::{Exchange, Net, Polling, WebSocket, settle};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::client::{Client, Piece, TRANSPORTS, Told, Transport};
use crate::ending::{Reasons, server_of};

/// All together.
const MOST: usize = 80_000;
/// What each may hold besides.
const FREE: usize = 16 * 1024;
const HALF: usize = MOST / 2;
const WORDS: &str = "the server is receiving too much at once";

fn server() -> (Server, Net, Reasons) {
    let (io, reasons) = server_of(Server::builder().max_payload(MOST).max_unfinished(MOST));
    let net = Net::new(&io);
    (io, net, reasons)
}

/// Who goes beyond is told by its reason: by the other clients that are there nobody is.
fn assert_beyond(last: &Disconnect, actual: usize) {
    let cause = Cause::Limit { limit: Limit::Unfinished, actual: Some(actual as u64), bound: Some(MOST as u64) };
    assert_eq!((last.reason, &last.cause), (DisconnectReason::LimitExceeded(Limit::Unfinished), &cause));
}

async fn member(net: &Net, transport: Transport) -> WebSocket {
    let mut client = Client::open(net, transport).await;
    client.join().await;
    let Client::Stream(stream) = client else { panic!("{transport:?} is no stream") };
    stream
}

/// The beginning of a frame, of which `missing` bytes are to come. The mask is zeros.
fn frame(opcode: u8, payload: &[u8], missing: usize) -> Vec<u8> {
    let length = u16::try_from(payload.len() + missing).expect("a length of the middle kind");
    [&[opcode, 0xfe][..], &length.to_be_bytes(), &[0; 4], payload].concat()
}

/// An event of so many bytes.
fn event(length: usize) -> String {
    format!("42[\"x\",\"{}\"]", "y".repeat(length - 10))
}

#[tokio::test(start_paused = true)]
async fn messages_that_come_in_pieces() {
    for transport in [Transport::Websocket, Transport::Upgraded] {
        for (over, fits) in [(-1, true), (0, true), (1, false)] {
            for is_fragment in [false, true] {
                let what = format!("{over} over {transport:?}, fragments: {is_fragment}");
                let (io, net, reasons) = server();
                let (mut alice, mut bob) = (member(&net, transport).await, member(&net, transport).await);
                let text = event(FREE + HALF + 10);
                let (begun, rest) = text.as_bytes().split_at(FREE + HALF);
                alice.send_bytes(&frame(0x81, begun, rest.len())).await;
                settle().await;
                assert_eq!(io.metrics().unfinished_bytes, HALF as u64, "{what}");
                let length = (FREE + HALF).checked_add_signed(over).unwrap();
                let beginning = vec![b'4'; length];
                let begun = if is_fragment { frame(0x01, &beginning, 0) } else { frame(0x81, &beginning, 1) };
                bob.send_bytes(&begun).await;
                settle().await;
                assert_eq!(io.metrics().limits.get(Limit::Unfinished), u64::from(!fits), "{what}");
                if fits {
                    assert_eq!(io.metrics().unfinished_bytes, (HALF + length - FREE) as u64, "{what}");
                    drop(bob);
                } else {
                    bob.expect_closed(Some(1013)).await;
                    assert_eq!(bob.close_reason(), WORDS);
                    assert_beyond(&reasons.lock().unwrap().remove(0), MOST + 1);
                }
                settle().await;
                assert_eq!(io.metrics().unfinished_bytes, HALF as u64, "{what}: it is given back");
                let before = io.metrics().messages_received;
                alice.send_bytes(rest).await;
                settle().await;
                assert_eq!(io.metrics().messages_received, before + 1, "{what}: the other is not to blame");
                assert_eq!(io.metrics().unfinished_bytes, 0, "{what}");
                drop(alice);
                net.assert_clean().await;
            }
        }
    }
}

/// A body whose pieces come when the test sends them.
struct Slow(Receiver<Bytes>);

impl http_body::Body for Slow {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|piece| piece.map(|piece| Ok(http_body::Frame::data(piece))))
    }
}

async fn begin(net: &Net, client: &Polling, piece: impl Into<Bytes>) -> (Sender<Bytes>, Exchange) {
    let (sending, pieces) = channel(1);
    let request = Request::builder().method("POST").uri(client.target()).body(Slow(pieces)).unwrap();
    let posted = net.send(request);
    sending.send(piece.into()).await.unwrap();
    settle().await;
    (sending, posted)
}

#[tokio::test(start_paused = true)]
async fn bodies_that_come_in_pieces() {
    for (over, fits) in [(-1, true), (0, true), (1, false)] {
        let (io, net, reasons) = server();
        let (alice, bob) = (net.polling().await, net.polling().await);
        alice.join().await;
        bob.join().await;
        let text = event(FREE + HALF + 10);
        let (begun, rest) = text.split_at(FREE + HALF);
        let (sending, posted) = begin(&net, &alice, begun.to_owned()).await;
        assert_eq!(io.metrics().unfinished_bytes, HALF as u64);
        let length = (FREE + HALF).checked_add_signed(over).unwrap();
        let (rest_of_bob, begun) = begin(&net, &bob, event(length)).await;
        assert_eq!(io.metrics().limits.get(Limit::Unfinished), u64::from(!fits));
        if fits {
            drop(rest_of_bob);
            begun.expect(200, "ok").await;
        } else {
            let answer = begun.answer().await;
            answer.expect(503, &format!("{{\"code\":4,\"message\":\"{WORDS}\"}}"));
            assert_eq!(answer.headers["retry-after"], "1");
        }
        assert_eq!(io.metrics().unfinished_bytes, HALF as u64, "it is given back");
        // Nothing was taken, and the session goes on.
        bob.send("42[\"x\"]").await;
        sending.send(rest.to_owned().into()).await.unwrap();
        drop(sending);
        posted.expect(200, "ok").await;
        assert_eq!((io.metrics().unfinished_bytes, io.metrics().sessions), (0, 2));
        assert!(reasons.lock().unwrap().is_empty());
        // Nor does a body that is given up keep its share.
        let (_sending, posted) = begin(&net, &alice, begun_again()).await;
        assert_eq!(io.metrics().unfinished_bytes, HALF as u64);
        drop(posted);
        settle().await;
        assert_eq!(io.metrics().unfinished_bytes, 0);
        bob.close().await;
        settle().await;
        net.assert_clean().await;
    }
}

fn begun_again() -> Vec<u8> {
    vec![b'4'; FREE + HALF]
}

/// Begins a packet of nine attachments, of which these come.
async fn attach(client: &mut Client, net: &Net, lengths: &[usize]) -> Told {
    let header = Piece::Text("459-[\"x\",{\"_placeholder\":true,\"num\":0}]".to_owned());
    let pieces = lengths.iter().map(|length| Piece::Binary(*length));
    client.send_all(net, std::iter::once(header).chain(pieces).collect()).await
}

#[tokio::test(start_paused = true)]
async fn packets_that_lack_attachments() {
    for transport in TRANSPORTS {
        for (over, fits) in [(-1, true), (0, true), (1, false)] {
            let what = format!("{over} over {transport:?}");
            let (io, net, reasons) = server();
            let (mut alice, mut bob) = (Client::open(&net, transport).await, Client::open(&net, transport).await);
            alice.join().await;
            bob.join().await;
            attach(&mut alice, &net, &[FREE + 20_000]).await;
            // What is kept of the text.
            let text = usize::try_from(io.metrics().unfinished_bytes).unwrap() - 20_000;
            assert!((1..100).contains(&text), "{text}");
            let length = (FREE + MOST - 20_000 - 2 * text).checked_add_signed(over).unwrap();
            // By polling one alone would be longer than a body may be.
            let told = attach(&mut bob, &net, &[30_000, length - 30_000]).await;
            let beyond = match transport {
                Transport::Polling => Told::Answered(503, format!("{{\"code\":4,\"message\":\"{WORDS}\"}}")),
                _ => Told::Closed(Some(1013), WORDS.to_owned()),
            };
            assert_eq!(told, if fits { Told::Nothing } else { beyond }, "{what}");
            assert_eq!(io.metrics().limits.get(Limit::Unfinished), u64::from(!fits), "{what}");
            if fits {
                let together = MOST.checked_add_signed(over).unwrap();
                assert_eq!(io.metrics().unfinished_bytes, together as u64, "{what}");
            } else {
                assert_beyond(&reasons.lock().unwrap().remove(0), MOST + 1);
            }
            bob.leave().await;
            assert_eq!(io.metrics().unfinished_bytes, (20_000 + text) as u64, "{what}: it is given back");
            alice.leave().await;
            assert_eq!(io.metrics().unfinished_bytes, 0, "{what}");
            net.assert_clean().await;
        }
    }
}

/// The own accept loop reads by itself, and passes on what has come.
#[tokio::test(start_paused = true)]
async fn a_body_that_the_own_accept_loop_reads() {
    for (others, fits) in [(20_000, true), (45_000, false)] {
        let (io, net, _) = server();
        let alice = net.polling().await;
        alice.join().await;
        let mut witness = member(&net, Transport::Websocket).await;
        witness.send_bytes(&frame(0x81, &vec![b'4'; FREE + others], 1)).await;
        settle().await;
        let (mut pipe, end) = tokio::io::duplex(1 << 20);
        let serving = tokio::spawn({
            let io = io.clone();
            async move { io.serve_stream(end, None).await }
        });
        let head = format!("POST {} HTTP/1.1\r\nHost: sockeye.test\r\nContent-Length: 60000\r\n\r\n", alice.target());
        for part in [head.as_bytes(), &vec![b'4'; 55_000]] {
            pipe.write_all(part).await.unwrap();
            settle().await;
        }
        assert_eq!(io.metrics().limits.get(Limit::Unfinished), u64::from(!fits));
        if fits {
            let kept = usize::try_from(io.metrics().unfinished_bytes).unwrap();
            assert!((others + 55_000 - FREE..=MOST).contains(&kept), "{kept}");
            drop(pipe);
        } else {
            let mut answer = String::new();
            pipe.read_to_string(&mut answer).await.unwrap();
            assert!(answer.starts_with("HTTP/1.1 503 Service Unavailable\r\n") && answer.contains(WORDS), "{answer}");
        }
        settle().await;
        assert_eq!(io.metrics().unfinished_bytes, others as u64, "it is given back");
        serving.await.unwrap();
        assert_eq!(io.metrics().sessions, 1 + u64::from(!fits), "what was refused does no harm, what was cut off does");
        drop(witness);
        if !fits {
            alice.close().await;
        }
        net.assert_clean().await;
    }
}
