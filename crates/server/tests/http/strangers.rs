//! What the server keeps of a client that has joined no namespace.

use sockeye::{Limit, Server};

use crate::wire::{HANDSHAKE, Wire};

/// What all strangers together are bounded by: this, less 5 KiB for the session itself.
const WHOLE: usize = 16 * 1024 - 5 * 1024;

/// A header of this length, which is none for 0.
fn pad(length: usize) -> String {
    if length == 0 { "X: ".to_owned() } else { format!("X: {}", "p".repeat(length - 3)) }
}

fn connect(length: usize) -> String {
    format!("40{{\"pad\":\"{}\"}}", "x".repeat(length - 12))
}

/// What is kept of a request: each header takes as much as its line.
fn kept(uri: &str, lines: &[&str]) -> usize {
    uri.len() + lines.iter().map(|line| line.len()).sum::<usize>()
}

#[tokio::test]
async fn a_long_request_leaves_a_stranger_less_to_say_by_websocket() {
    let uri = "/socket.io/?EIO=4&transport=websocket";
    let lines = [
        "Host: chat.example",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
    ];
    for pad in [pad(0), pad(2_000), pad(9_000)] {
        let room = WHOLE - kept(uri, &lines) - pad.len();
        for (length, fits) in [(room - 1, true), (room, true), (room + 1, false)] {
            let io = Server::new();
            let mut wire = Wire::open(&io);
            assert_eq!(wire.upgrade(uri, &[&pad]).await.status, 101);
            assert!(wire.hear().await.starts_with("0{"));
            wire.say(&connect(length)).await;
            if fits {
                assert!(wire.hear().await.starts_with("40{\"sid\":"), "{length} beside {}", pad.len());
            } else {
                assert_eq!(wire.close_code().await, Some(1009), "{length} beside {}", pad.len());
            }
            assert_eq!(io.metrics().limits.get(Limit::UnconnectedPayload), u64::from(!fits));
        }
    }
}

#[tokio::test]
async fn a_long_request_leaves_a_stranger_less_to_say_by_polling() {
    for pad in [pad(0), pad(2_000), pad(9_000)] {
        let room = WHOLE - kept(HANDSHAKE, &["Host: chat.example"]) - pad.len();
        for (length, status) in [(room - 1, 200), (room, 200), (room + 1, 413)] {
            let io = Server::new();
            let mut wire = Wire::open(&io);
            let uri = format!("{HANDSHAKE}&sid={}", wire.request("GET", HANDSHAKE, &[&pad]).await.sid());
            assert_eq!(wire.post(&uri, "text/plain", &connect(length)).await.status, status);
        }
    }
}

/// With less than 1 KiB left nobody could say who it is.
#[tokio::test]
async fn too_long_a_request_opens_no_session() {
    for (room, status) in [(1_025, 200), (1_024, 200), (1_023, 431)] {
        let io = Server::new();
        let mut wire = Wire::open(&io);
        let pad = pad(WHOLE - kept(HANDSHAKE, &["Host: chat.example"]) - room);
        let response = wire.request("GET", HANDSHAKE, &[&pad]).await;
        assert_eq!(response.status, status, "{room}");
        assert_eq!(io.metrics().sessions, u64::from(status == 200));
        if status == 431 {
            assert_eq!(response.text(), "{\"code\":3,\"message\":\"Request headers too long\"}");
            assert_eq!(io.metrics().limits.get(Limit::UnconnectedPayload), 1);
        }
    }
    // Where strangers may take more, the head alone is what is bounded.
    let io = Server::builder().max_unconnected_payload(64 * 1024).build().unwrap();
    assert_eq!(Wire::open(&io).request("GET", HANDSHAKE, &[&pad(16_000)]).await.status, 200);
}
