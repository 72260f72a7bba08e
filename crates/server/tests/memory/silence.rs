//! Clients that begin something and then say nothing, or almost nothing.

use std::time::Duration;

use sockeye::{Server, Socket};
use sockeye_testing::Net;
use tokio::io::AsyncWriteExt;

use crate::counting::{allocated, alone};

const HANDSHAKE: &str = "/socket.io/?EIO=4&transport=polling";

/// A handshake and then silence: what it takes times 100,000 fits any machine, and it is gone at the deadline.
#[test]
fn handshakes_that_nothing_follows_take_little_and_end() {
    const SESSIONS: usize = 5_000;
    alone(async || {
        let io = Server::new();
        let net = Net::new(&io);
        net.request("GET", HANDSHAKE, &[], "").answer().await;
        net.advance(Duration::from_secs(100)).await;
        let before = allocated();
        for _ in 0..SESSIONS {
            assert_eq!(net.request("GET", HANDSHAKE, &[], "").answer().await.status, 200);
        }
        assert_eq!(io.metrics().sessions, SESSIONS as u64);
        let each = (allocated() - before) / SESSIONS;
        assert!(each < 3_000, "{each} bytes for a session, {} MB for 100,000", each / 10);
        // Nothing has answered the heartbeat: the last possible moment is 25 s and 20 s after the handshake.
        net.advance(Duration::from_secs(44)).await;
        assert_eq!(io.metrics().sessions, SESSIONS as u64);
        net.advance(Duration::from_secs(1)).await;
        net.assert_clean().await;
        let left = allocated().saturating_sub(before);
        assert!(left < SESSIONS * 100, "{left} bytes are left");
    });
}

/// Half of a message of 50 MB, and then not even the end of the connection.
#[test]
fn half_a_long_message_is_not_kept_longer_than_its_client() {
    const LENGTH: usize = 50_000_000;
    alone(async || {
        let io = Server::builder().max_payload(LENGTH).max_attachment_bytes(LENGTH).build().unwrap();
        io.on("long", async |_: Socket, _: String| {});
        let net = Net::new(&io);
        let (mut alice, _) = net.join().await;
        let mut beginning = vec![0x81, 0xff];
        beginning.extend_from_slice(&(LENGTH as u64).to_be_bytes());
        beginning.extend_from_slice(&[0; 4]);
        beginning.extend_from_slice(b"42[\"long\",\"");
        let before = allocated();
        alice.send_bytes(&beginning).await;
        let half = vec![b'x'; 100_000];
        for _ in 0..250 {
            alice.send_bytes(&half).await;
        }
        drop(half);
        assert!(allocated() - before > LENGTH / 2 - 1_000_000, "it is there");
        net.advance(Duration::from_secs(44)).await;
        assert_eq!(io.metrics().sessions, 1);
        net.advance(Duration::from_secs(1)).await;
        assert_eq!(io.metrics().sessions, 0);
        let left = allocated().saturating_sub(before);
        assert!(left < 500_000, "{left} bytes are left");
        drop(alice);
        net.assert_clean().await;
    });
}

/// What comes a byte a second is not taken for ever: head, body, body in chunks, frame.
#[test]
fn who_drips_bytes_is_cut_off_in_time() {
    let head = |sid: &str, line: &str| format!("POST {HANDSHAKE}&sid={sid} HTTP/1.1\r\nHost: x\r\n{line}\r\n\r\n");
    alone(async || {
        let io = Server::new();
        let net = Net::new(&io);
        for way in ["head", "body", "chunks", "extension", "trailer"] {
            let polling = net.polling().await;
            polling.join().await;
            let (mut pipe, end) = tokio::io::duplex(4_096);
            let server = io.clone();
            let serving = tokio::spawn(async move { server.serve_stream(end, None).await });
            let (begin, drip) = match way {
                "head" => ("GET / HTTP/1.1\r\nX: ".to_owned(), "x"),
                "body" => (head(polling.sid(), "Content-Length: 10000"), "x"),
                "chunks" => (head(polling.sid(), "Transfer-Encoding: chunked"), "1\r\nx\r\n"),
                "extension" => (head(polling.sid(), "Transfer-Encoding: chunked") + "1;", "x"),
                _ => (head(polling.sid(), "Transfer-Encoding: chunked") + "0\r\n", "X: y\r\n"),
            };
            pipe.write_all(begin.as_bytes()).await.unwrap();
            let mut seconds = 0;
            while !serving.is_finished() && seconds < 100 {
                // It may have been cut off just now.
                drop(pipe.write_all(drip.as_bytes()).await);
                net.advance(Duration::from_secs(1)).await;
                seconds += 1;
            }
            let (least, most) = if way == "head" { (30, 30) } else { (30, 32) };
            assert!((least..=most).contains(&seconds), "{way}: {seconds} s");
            drop(polling);
            net.advance(Duration::from_secs(60)).await;
            net.assert_clean().await;
        }
    });
}
