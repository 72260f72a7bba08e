//! Servers that break every rule: the client says what is wrong, stays within its bounds, and comes back later.

mod common;

use std::sync::Arc;

use common::{Far, Net, OPEN, Wire, answer_all, pass, read_head, response, seconds, settle, switching, tasks, text};
use sockeye_client::{ClientBuilder, ConnectError, DisconnectReason, Reconnect, Transport};
use sockeye_engine::ws;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

/// A name, and what is answered to a request with this head.
type Case = (&'static str, fn(&str) -> Vec<u8>);

/// Opens a WebSocket, lets the client into its namespace, and sends `then`.
async fn welcome(mut wire: Wire, then: &[u8]) {
    let request = read_head(&mut wire).await;
    let mut hello = switching(&request, "");
    hello.extend(text(OPEN));
    hello.extend(text("40{\"sid\":\"id\"}"));
    hello.extend(then);
    let _ = wire.write_all(&hello).await;
    // Reads on, so that a well-behaved end can be told from a stuck one.
    let _ = tokio::io::copy(&mut wire, &mut tokio::io::sink()).await;
}

fn websocket(net: &Net) -> ClientBuilder {
    net.client().transports([Transport::Websocket])
}

/// What a client is told when the server sends `bytes` after CONNECT.
async fn reason_for(bytes: Vec<u8>) -> DisconnectReason {
    let bytes = Arc::new(bytes);
    let net = Net::script(move |wire| {
        let bytes = Arc::clone(&bytes);
        async move { welcome(wire, &bytes).await }
    });
    let (told, mut heard) = mpsc::unbounded_channel();
    let builder = websocket(&net).max_payload(10_000).on_disconnect(async move |_, reason| {
        let _ = told.send(reason);
    });
    let client = builder.start().unwrap();
    let reason = heard.recv().await.unwrap();
    net.set(Far::Refuses);
    client.disconnect().await;
    settle().await;
    assert_eq!(net.open(), 0);
    reason
}

/// Why a client without patience does not connect to a server which answers every request like this.
async fn refusal(answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static, way: Transport) -> ConnectError {
    let answer = Arc::new(answer);
    let net = Net::script(move |mut wire| {
        let answer = Arc::clone(&answer);
        async move {
            let head = read_head(&mut wire).await;
            let _ = wire.write_all(&answer(&head)).await;
            let _ = tokio::io::copy(&mut wire, &mut tokio::io::sink()).await;
        }
    });
    let builder = net.client().transports([way]).max_payload(10_000).reconnect(Reconnect::never());
    let error = builder.connect().await.unwrap_err();
    settle().await;
    assert_eq!((net.open(), tasks()), (0, 0), "{error}");
    error
}

#[tokio::test(start_paused = true)]
async fn broken_frames() {
    let mut masked = Vec::new();
    ws::encode_masked(&mut masked, ws::Opcode::Text, false, b"42[\"x\"]", [1, 2, 3, 4]);
    let frames: [&[u8]; 11] = [
        &masked,
        b"\x83\x00",                                 // reserved opcode
        b"\xc1\x01x",                                // compressed, which was not agreed on
        b"\xa1\x01x",                                // reserved bit
        b"\x09\x00",                                 // a ping in fragments
        b"\x89\x7e\x00\x7e",                         // a long ping
        b"\x80\x00",                                 // a continuation of nothing
        b"\x81\x02\xff\xfe",                         // not UTF-8
        b"\x81\x7f\xff\xff\xff\xff\xff\xff\xff\xff", // 2^64 bytes
        b"\x81\x7f\x00\x00\x00\x00\x00\x00\x27\x11", // one byte more than is accepted
        b"\x88\x02\x03\xed",                         // a close code that must not travel
    ];
    for frame in frames {
        assert_eq!(reason_for(frame.to_vec()).await, DisconnectReason::TransportError, "{frame:02x?}");
    }
    assert_eq!(reason_for(b"\x88\x02\x03\xe8".to_vec()).await, DisconnectReason::TransportClose);
}

#[tokio::test(start_paused = true)]
async fn broken_compressed_frames() {
    let compress =
        |payload: &[u8]| ws::deflate::compress(payload, ws::Opcode::Text, ws::deflate::Level::default()).unwrap();
    let event = compress(format!("42[\"x\",\"{}\"]", "y".repeat(2000)).as_bytes());
    let mut cut_short = Vec::new();
    ws::encode(&mut cut_short, ws::Opcode::Text, true, &event[4..event.len() - 5]);
    let mut not_utf8 = Vec::new();
    ws::encode(&mut not_utf8, ws::Opcode::Text, true, &compress(&[0xff; 2000])[2..]);
    let later = [b"\x41\x00".as_slice(), &event].concat();
    let cases: [(&str, Vec<u8>); 7] = [
        ("a bomb", compress("4".repeat(20_000_000).as_bytes()).to_vec()),
        ("one byte more than is accepted", compress("4".repeat(10_001).as_bytes()).to_vec()),
        ("no deflate", b"\xc1\x04\xff\xff\xff\xff".to_vec()),
        ("cut short", cut_short),
        ("not UTF-8", not_utf8),
        ("compression that begins in a continuation", [b"\x01\x00".as_slice(), &event].concat()),
        ("a message within a message", later),
    ];
    for (name, bytes) in cases {
        let net = Net::script(move |mut wire| {
            let bytes = bytes.clone();
            async move {
                let request = read_head(&mut wire).await;
                let agreed = "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover\r\n";
                let mut hello = switching(&request, agreed);
                hello.extend(text(OPEN));
                hello.extend(text("40{\"sid\":\"id\"}"));
                hello.extend(&bytes);
                let _ = wire.write_all(&hello).await;
                let _ = tokio::io::copy(&mut wire, &mut tokio::io::sink()).await;
            }
        });
        let (told, mut heard) = mpsc::unbounded_channel();
        let builder = websocket(&net).compression(true).max_payload(10_000).reconnect(Reconnect::never());
        let client = builder.on_disconnect(async move |_, reason| _ = told.send(reason)).start().unwrap();
        assert_eq!(heard.recv().await, Some(DisconnectReason::TransportError), "{name}");
        assert!(client.next().await.is_none(), "{name}");
        settle().await;
        assert_eq!((net.open(), tasks()), (0, 0), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn broken_packets() {
    let packets = [
        "",
        "7",
        "b!",
        "49",
        "4",
        "42",
        "42[]",
        "42{}",
        "42[{}]",
        "42[null]",
        "42[\"x\"",
        "42[\"x\"]]",
        "42[\"disconnect\"]",
        "42[\"connect_error\"]",
        "43",
        "43[1]",
        "430",
        "430{}",
        "4299999999999999999999[\"x\"]",
        "450-[\"x\"]",
        "451-[\"x\"]4",
        "4511-[\"x\"]",
        "451-[\"x\",{\"_placeholder\":true,\"num\":1}]",
        "4501-[\"x\"]",
        "45-1-[\"x\"]",
        "40x",
        "44x",
        "41x",
    ];
    for packet in packets {
        // Text after a header which announces an attachment.
        let mut bytes = text(packet);
        bytes.extend(text("42[\"x\"]"));
        assert_eq!(reason_for(bytes).await, DisconnectReason::ParseError, "{packet}");
    }
    let mut binary = Vec::new();
    ws::encode(&mut binary, ws::Opcode::Binary, false, b"nobody announced this");
    assert_eq!(reason_for(binary).await, DisconnectReason::ParseError);
    assert_eq!(reason_for(text(&format!("42[\"x\",{}]", "[".repeat(5000)))).await, DisconnectReason::ParseError);
    assert_eq!(reason_for(text(OPEN)).await, DisconnectReason::TransportError, "a second handshake");
    assert_eq!(reason_for(text("1")).await, DisconnectReason::TransportClose);
}

#[tokio::test(start_paused = true)]
async fn packets_that_mean_nothing_are_passed_over() {
    let mut bytes = Vec::new();
    for packet in
        ["6", "3", "3probe", "5", "431[1]", "42/other,[\"x\"]", "41/other,", "40{\"sid\":\"again\"}", "44{}", "2"]
    {
        bytes.extend(text(packet));
    }
    bytes.extend(b"\x89\x01x\x8a\x00");
    bytes.extend(text("42[\"still here\"]"));
    let bytes = Arc::new(bytes);
    let net = Net::script(move |wire| {
        let bytes = Arc::clone(&bytes);
        async move { welcome(wire, &bytes).await }
    });
    let client = websocket(&net).connect().await.unwrap();
    assert_eq!(client.next().await.unwrap().event(), "still here");
    assert_eq!(client.id().as_deref(), Some("id"));
    drop(client.disconnect());
}

#[tokio::test(start_paused = true)]
async fn one_byte_at_a_time() {
    let net = Net::script(|mut wire| async move {
        let request = read_head(&mut wire).await;
        let mut bytes = switching(&request, "");
        for packet in [OPEN, "40{\"sid\":\"id\"}", "451-[\"x\",{\"_placeholder\":true,\"num\":0}]"] {
            bytes.extend(text(packet));
        }
        ws::encode(&mut bytes, ws::Opcode::Binary, false, &[7; 300]);
        for byte in bytes {
            let _ = wire.write_all(&[byte]).await;
            tokio::task::yield_now().await;
        }
        let _ = tokio::io::copy(&mut wire, &mut tokio::io::sink()).await;
    });
    let client = websocket(&net).connect().await.unwrap();
    assert_eq!(client.next().await.unwrap().args::<bytes::Bytes>().unwrap(), [7; 300][..]);
    drop(client.disconnect());
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_pings_is_answered_within_bounds() {
    let net = Net::script(|mut wire| async move {
        let request = read_head(&mut wire).await;
        let mut bytes = switching(&request, "");
        bytes.extend(text(OPEN));
        bytes.extend(text("40{\"sid\":\"id\"}"));
        for _ in 0..200_000 {
            bytes.extend(text("2"));
            bytes.extend(b"\x89\x7d");
            bytes.extend([b'x'; 125]);
        }
        bytes.extend(text("42[\"still here\"]"));
        // Nothing is read: the answers pile up, but not without end.
        let _ = wire.write_all(&bytes).await;
        pass(seconds(10)).await;
    });
    let client = websocket(&net).connect().await.unwrap();
    assert_eq!(client.next().await.unwrap().event(), "still here");
    drop(client.disconnect());
}

#[tokio::test(start_paused = true)]
async fn handshakes_that_are_none() {
    let cases: [Case; 8] = [
        ("wrong key", |_| switching("Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", "")),
        ("an extension", |head| switching(head, "Sec-WebSocket-Extensions: permessage-deflate\r\n")),
        ("a protocol", |head| switching(head, "Sec-WebSocket-Protocol: chat\r\n")),
        ("no upgrade", |_| b"HTTP/1.1 101 Switching Protocols\r\n\r\n".to_vec()),
        ("an endless head", |_| {
            let mut head = b"HTTP/1.1 101 Switching Protocols\r\n".to_vec();
            (0..5000).for_each(|n| head.extend(format!("X-{n}: {n}\r\n").bytes()));
            head
        }),
        ("no HTTP", |_| b"220 mail.example ESMTP\r\n\r\n".to_vec()),
        ("a page", |_| response("200 OK", "", "<html></html>")),
        ("a message instead of a handshake", |head| {
            let mut bytes = switching(head, "");
            bytes.extend(text("42[\"x\"]"));
            bytes
        }),
    ];
    for (name, answer) in cases {
        let error = refusal(answer, Transport::Websocket).await;
        assert!(error.is_unreachable(), "{name}: {error}");
    }
    let silent = refusal(|_| Vec::new(), Transport::Websocket).await;
    assert!(silent.is_timeout(), "{silent}");
    let half = refusal(|head| switching(head, ""), Transport::Websocket).await;
    assert!(half.is_timeout(), "{half}");
}

#[tokio::test(start_paused = true)]
async fn polling_answers_that_are_none() {
    let cases: [Case; 9] = [
        ("not UTF-8", |_| b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n\xff\xfe".to_vec()),
        ("too long", |_| response("200 OK", "", &"0".repeat(10_001))),
        ("an endless body", |_| {
            let mut body = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
            (0..100).for_each(|_| body.extend(format!("3e8\r\n{}\r\n", "x".repeat(1000)).bytes()));
            body
        }),
        ("chunks that are none", |_| b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n".to_vec()),
        ("no session", |_| response("200 OK", "", "0{}")),
        ("no time", |_| response("200 OK", "", r#"0{"sid":"x","pingInterval":0,"pingTimeout":0}"#)),
        ("another packet", |_| response("200 OK", "", "4hello")),
        ("no content", |_| b"HTTP/1.1 204 No Content\r\n\r\n".to_vec()),
        ("a gateway's page", |_| response("504 Gateway Timeout", "Content-Type: text/html\r\n", "<html></html>")),
    ];
    for (name, answer) in cases {
        let error = refusal(answer, Transport::Polling).await;
        assert!(error.is_unreachable(), "{name}: {error}");
    }
    let short = refusal(|_| b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n0{".to_vec(), Transport::Polling).await;
    assert!(short.is_timeout(), "{short}");
}

#[tokio::test(start_paused = true)]
async fn servers_of_an_older_protocol_are_named() {
    let body = r#"96:0{"sid":"x","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":5000}2:40"#;
    let error = refusal(move |_| response("200 OK", "", body), Transport::Polling).await;
    assert!(error.is_incompatible() && error.to_string().contains("2.x"), "{error}");
    let error = refusal(
        |head| {
            let mut bytes = switching(head, "");
            bytes.extend(text(OPEN));
            bytes.extend(text("40"));
            bytes
        },
        Transport::Websocket,
    )
    .await;
    assert!(error.is_incompatible(), "{error}");
    // It is not tried again, however patient the client is.
    let net = Net::script(move |wire| async move { answer_all(wire, &response("200 OK", "", body)).await });
    assert!(net.client().connect().await.unwrap_err().is_incompatible());
    assert_eq!(net.dials(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_never_answers_connect_is_given_up() {
    let net = Net::script(|mut wire| async move {
        let request = read_head(&mut wire).await;
        let mut bytes = switching(&request, "");
        bytes.extend(text(OPEN));
        let _ = wire.write_all(&bytes).await;
        loop {
            pass(seconds(10)).await;
            if wire.write_all(&text("2")).await.is_err() {
                return;
            }
        }
    });
    let policy = Reconnect::default().attempts(1);
    let error = websocket(&net).reconnect(policy).connect().await.unwrap_err();
    assert!(error.is_timeout(), "{error}");
    assert_eq!(net.dials(), 2);
    settle().await;
    assert_eq!(net.open(), 0);
}

#[tokio::test(start_paused = true)]
async fn too_many_events_before_connect_end_the_connection() {
    let net = Net::script(|mut wire| async move {
        let request = read_head(&mut wire).await;
        let mut bytes = switching(&request, "");
        bytes.extend(text(OPEN));
        let _ = wire.write_all(&bytes).await;
        // Wait for CONNECT, so that the events belong to a namespace which was asked for.
        let mut frame = [0; 8];
        let _ = wire.read(&mut frame).await;
        let event = text("42[\"early\"]");
        for _ in 0..70_000 {
            if wire.write_all(&event).await.is_err() {
                return;
            }
        }
        let _ = tokio::io::copy(&mut wire, &mut tokio::io::sink()).await;
    });
    let error = websocket(&net).reconnect(Reconnect::never()).connect().await.unwrap_err();
    assert!(!error.is_timeout(), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_server_without_end_does_not_hold_up_disconnect() {
    // It sends events for ever and answers nothing.
    let net = Net::script(|mut wire| async move {
        let request = read_head(&mut wire).await;
        let mut bytes = switching(&request, "");
        bytes.extend(text(OPEN));
        bytes.extend(text("40{\"sid\":\"id\"}"));
        let _ = wire.write_all(&bytes).await;
        loop {
            pass(seconds(1)).await;
            if wire.write_all(&text("42[\"x\"]")).await.is_err() {
                return;
            }
        }
    });
    let client = websocket(&net).connect().await.unwrap();
    for n in 0..5_000 {
        client.emit("n", (n, "x".repeat(100))).unwrap();
    }
    let start = tokio::time::Instant::now();
    client.disconnect().await;
    assert!(start.elapsed() <= seconds(11), "{:?}", start.elapsed());
    pass(seconds(2)).await;
    assert_eq!((net.open(), tasks()), (0, 0));
}
