//! Requests of polling: what they may hold, and that all of them are answered.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use sockeye::{Server, Socket};
use sockeye_testing::Net;
use tokio::io::AsyncReadExt;

use crate::raw::{Raw, UPGRADE, exchange};

/// A body whose length nobody announces: `chunks` of 1,000 bytes.
struct Endless {
    chunks: usize,
}

impl http_body::Body for Endless {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
        let left = self.chunks.checked_sub(1);
        Poll::Ready(left.map(|left| {
            self.chunks = left;
            Ok(http_body::Frame::data(Bytes::from_static(&[b'4'; 1_000])))
        }))
    }
}

const TOO_LARGE: &str = r#"{"code":3,"message":"message too large"}"#;

/// A hundred megabytes were accepted, which are cheap to send and dear to parse.
#[tokio::test(start_paused = true)]
async fn cve_2020_36048_bodies_are_limited_by_default() {
    let io = Server::new();
    let net = Net::new(&io);
    let polling = net.polling().await;
    polling.join().await;
    let post = |chunks: usize| {
        let request = http::Request::builder().method("POST").uri(polling.target());
        net.send(request.body(Endless { chunks }).unwrap())
    };
    post(1_001).expect(413, TOO_LARGE).await;
    post(usize::MAX).expect(413, TOO_LARGE).await;
    // Said in advance, it is not even waited for.
    let mut raw = Raw::open(&io);
    let head = format!("POST {} HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n", polling.target());
    raw.write(head.as_bytes()).await;
    let mut status = [0; 12];
    raw.pipe.read_exact(&mut status).await.expect("an answer");
    assert_eq!(&status, b"HTTP/1.1 413");
    raw.leave().await;
    // As many packets as fit in the limit.
    polling.post(&"6\u{1e}".repeat(499_999)).answer().await;
    net.advance(Duration::from_secs(50)).await;
    net.assert_clean().await;
}

/// A large packet was put together from small pieces of text, each a copy of all that was there.
#[tokio::test(start_paused = true)]
async fn cve_2020_36049_a_packet_at_the_limit_is_taken_and_one_beyond_is_not() {
    let io = Server::new();
    io.on_with_ack("length", async |_: Socket, text: String| text.len());
    let net = Net::new(&io);
    let packet = |bytes: usize| format!("420[\"length\",\"{}\"]", "x".repeat(bytes - 16));
    let mut alice = net.with_buffer(2_000_000).join().await.0;
    alice.send(&packet(1_000_000)).await;
    alice.expect("430[999984]").await;
    alice.send(&packet(1_000_001)).await;
    alice.expect_closed(Some(1009)).await;
    let polling = net.polling().await;
    polling.join().await;
    polling.send(&packet(1_000_000)).await;
    polling.expect("430[999984]").await;
    polling.post(&packet(1_000_001)).expect(413, TOO_LARGE).await;
    polling.close().await;
    net.assert_clean().await;
}

/// One way of refusing a request forgot to end its response, so that connections piled up.
#[tokio::test(start_paused = true)]
async fn cve_2026_59725_every_reject_path_ends_the_response() {
    let io = Server::builder().max_payload(1_000).build().unwrap();
    let net = Net::new(&io);
    let long = "4".repeat(1_001);
    let binary: &[(&str, &str)] = &[("content-type", "application/octet-stream")];
    let foreign: &[(&str, &str)] = &[("origin", "https://evil.example")];
    let own = None;
    let unknown = Some("/socket.io/?EIO=4&transport=polling&sid=AAAAAAAAAAAAAAAAAAAA");
    let open = Some("/socket.io/?EIO=4&transport=polling");
    let cases: [Case<'_>; 14] = [
        (400, "POST", own, binary, "40"),
        (413, "POST", own, &[], &long),
        (200, "POST", own, &[], ""),
        (200, "POST", own, &[], "x"),
        (200, "POST", own, &[], "b!!"),
        (500, "PUT", own, &[], ""),
        (400, "GET", unknown, &[], ""),
        (400, "POST", unknown, binary, "40"),
        (400, "GET", Some("/socket.io/?EIO=3&transport=polling"), &[], ""),
        (400, "GET", Some("/socket.io/?EIO=4&transport=pigeon"), &[], ""),
        (400, "GET", Some("/socket.io/?EIO=4&transport=websocket"), &[], ""),
        (400, "POST", open, binary, "40"),
        (400, "DELETE", open, &[], ""),
        (204, "OPTIONS", unknown, foreign, ""),
    ];
    for _ in 0..20 {
        for (status, method, target, headers, body) in cases {
            let polling = net.polling().await;
            let own = polling.target();
            let request = net.request(method, target.unwrap_or(&own), headers, body.to_owned());
            // Fails if the response does not end.
            let answer = request.answer().await;
            assert_eq!(answer.status.as_u16(), status, "{method} {target:?} {body}");
        }
        net.advance(Duration::from_secs(100)).await;
    }
    net.assert_clean().await;
}

/// The status expected, then method, target (`None`: that of a session), headers and body.
type Case<'a> = (u16, &'a str, Option<&'a str>, &'a [(&'a str, &'a str)], &'a str);

/// The same on a connection of its own, which the server must let go: a refused upgrade, a path that is nobody's, a head
/// that is none.
#[tokio::test(start_paused = true)]
async fn cve_2026_59725_refused_connections_end() {
    let io = Server::new();
    for request in [
        format!("{}\r\n", UPGRADE.replace("EIO=4", "EIO=7")),
        format!("{}\r\n", UPGRADE.replace("Key: dGhl", "Key: ")),
        format!("{UPGRADE}Origin: https://evil.example\r\n\r\n"),
        "GET /elsewhere HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".to_owned(),
        "not http\r\n\r\n".to_owned(),
        "GET / HTTP/9.9\r\n\r\n".to_owned(),
    ] {
        for _ in 0..50 {
            let told = exchange(&io, &request).await;
            assert!(told.starts_with("HTTP/1.1 4"), "{request}: {told}");
        }
    }
    Net::new(&io).assert_clean().await;
}
