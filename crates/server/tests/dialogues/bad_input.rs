//! Peers that break the protocol are closed where the official server closes them, and nobody else is disturbed.

use crate::common::*;

/// Sends each of `wrong` on a fresh WebSocket that has joined `/`; the server closes, and calls no handler.
async fn closes(wrong: &[&str]) {
    let (io, net) = plain();
    let log = Log::default();
    let seen = log.clone();
    io.on_any(async move |_, message: sockeye::Message| seen.add(message.event()));
    io.of("/other");
    let (mut witness, _) = net.join().await;
    for (round, text) in wrong.iter().enumerate() {
        let (mut alice, _) = net.join().await;
        alice.send(text).await;
        let end = alice.next().await;
        assert!(matches!(end, Some(Frame::Close(_))), "{text:?} was answered by {end:?}");
        assert_eq!(io.metrics().protocol_errors, round as u64 + 1, "{text:?}");
        assert_eq!(io.metrics().sessions, 1, "{text:?}");
    }
    assert_eq!(log.take(), [""; 0]);
    witness.send("42[\"alive\"]").await;
    assert_eq!(log.take(), ["alive"]);
    witness.close().await;
    net.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn engine_packets_that_do_not_exist() {
    closes(&["", "7", "x", "é", "9abc", "0{}"]).await;
}

#[tokio::test(start_paused = true)]
async fn socket_packets_that_do_not_exist() {
    closes(&["4", "47", "4x", "49[]", "4-1", "44{\"message\":\"no\"}", "4\u{0}"]).await;
}

#[tokio::test(start_paused = true)]
async fn payloads_that_are_no_json() {
    closes(&["42", "42[", "42{}", "42\"a\"", "42[\"a\"", "42[\"a\",]", "42[\"a\",1}", "42[\"a\",tru]", "42[\"a\"]x"])
        .await;
    closes(&["42[\"a\",01]", "42[\"a\",\"\\x\"]", "42[\"a\",\"\u{1}\"]", "42[\"a\" 1]", "42[,]", "42[\"a\\ud800"])
        .await;
}

#[tokio::test(start_paused = true)]
async fn event_names_that_are_none() {
    closes(&["42[]", "42[null]", "42[true]", "42[{}]", "42[[]]"]).await;
}

/// They would look like what the server itself says.
#[tokio::test(start_paused = true)]
async fn reserved_event_names() {
    closes(&[
        "42[\"connect\"]",
        "42[\"connect_error\"]",
        "42[\"disconnect\"]",
        "42[\"disconnecting\"]",
        "42[\"newListener\"]",
        "42[\"removeListener\"]",
        "42[\"dis\\u0063onnect\"]",
    ])
    .await;
}

#[tokio::test(start_paused = true)]
async fn acks_that_are_none() {
    closes(&[
        "43",
        "43[]",
        "43x[]",
        "431",
        "431{}",
        "43-1[]",
        "4399999999999999999999999[]",
        "4299999999999999999999[\"a\"]",
    ])
    .await;
}

#[tokio::test(start_paused = true)]
async fn namespaces_that_are_not_joined() {
    closes(&["42/other,[\"a\"]", "42/nowhere,[\"a\"]", "41/other,", "43/other,1[]"]).await;
}

#[tokio::test(start_paused = true)]
async fn connect_twice() {
    closes(&["40", "40/,", "40{\"token\":1}"]).await;
}

#[tokio::test(start_paused = true)]
async fn connects_that_are_malformed() {
    closes(&["40/other,[]", "40/other,-1", "40/other,\"a\"", "40/other,{", "40/other,{}x"]).await;
}

#[tokio::test(start_paused = true)]
async fn attachments_that_are_wrongly_announced() {
    closes(&[
        "45[\"a\"]",
        "450-[\"a\"]",
        "45-[\"a\"]",
        "45x-[\"a\"]",
        "4501-[\"a\",{\"_placeholder\":true,\"num\":0}]",
        "4511-[\"a\",{\"_placeholder\":true,\"num\":0}]",
        "4599999999999999999999-[\"a\"]",
        "451-[\"a\",{\"_placeholder\":true,\"num\":1}]",
        "451-[\"a\",{\"_placeholder\":true,\"num\":-1}]",
        "451-[\"a\",{\"_placeholder\":true,\"num\":\"0\"}]",
        "451-[\"a\",{\"_placeholder\":true}]",
    ])
    .await;
}

/// Not even the answer to CONNECT, if the fault came with it.
#[tokio::test(start_paused = true)]
async fn whoever_breaks_the_protocol_gets_nothing_more() {
    let (io, net) = plain();
    io.on_connect(async |socket| socket.emit("welcome", ()));
    let bob = net.polling().await;
    bob.post("40\u{1e}42{}").expect(200, "ok").await;
    bob.get().expect(200, "1").await;
    let mut alice = net.websocket().await;
    alice.send_all(&["40", "42{}"]).await;
    alice.expect_closed(None).await;
    assert_eq!(io.metrics().protocol_errors, 2);
    net.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn text_where_an_attachment_was_due() {
    let (io, net) = plain();
    let (mut alice, _) = net.join().await;
    alice.send_all(&["451-[\"a\",{\"_placeholder\":true,\"num\":0}]", "42[\"b\"]"]).await;
    alice.expect_closed(None).await;
    assert_eq!(io.metrics().protocol_errors, 1);
    net.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn an_attachment_nobody_announced() {
    let (io, net) = plain();
    let (mut alice, _) = net.join().await;
    alice.send_binary(&[1, 2, 3]).await;
    alice.expect_closed(None).await;
    assert_eq!(io.metrics().protocol_errors, 1);
    net.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn events_before_connect() {
    for early in ["42[\"a\"]", "41", "431[]", "451-[\"a\",{\"_placeholder\":true,\"num\":0}]"] {
        let (io, net) = plain();
        let mut alice = net.websocket().await;
        alice.send(early).await;
        alice.expect_closed(None).await;
        assert_eq!(io.metrics().protocol_errors, 1, "{early}");
        net.assert_clean().await;
    }
}

#[tokio::test(start_paused = true)]
async fn unknown_namespaces_are_refused_and_the_connection_lives() {
    let (_, net) = echo();
    let (mut alice, _) = net.join().await;
    alice.send("40/nowhere,").await;
    alice.expect("44/nowhere,{\"message\":\"Invalid namespace\"}").await;
    alice.send("40/nowhere?a=1,{\"b\":2}").await;
    alice.expect("44/nowhere,{\"message\":\"Invalid namespace\"}").await;
    alice.send("42[\"echo\",\"x\"]").await;
    alice.expect("42[\"echo\",\"x\"]").await;
    alice.close().await;
    net.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn frames_that_break_websocket_get_their_close_codes() {
    let masked_text = |first: u8| (first, b"42[\"a\"]".as_slice());
    let cases: [((u8, &[u8]), u16); 7] = [
        (masked_text(0xc1), 1002),
        (masked_text(0x83), 1002),
        (masked_text(0x80), 1002),
        ((0x81, b"42[\"\xff\"]"), 1007),
        ((0x89, &[0; 126]), 1002),
        ((0x09, b""), 1002),
        ((0x88, &[3]), 1002),
    ];
    for ((first, payload), code) in cases {
        let (_, net) = plain();
        let (mut alice, _) = net.join().await;
        alice.send_frame(first, payload).await;
        alice.expect_closed(Some(code)).await;
        drop(alice);
        net.assert_clean().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_frame_that_is_not_masked_is_refused() {
    let (_, net) = plain();
    let (mut alice, _) = net.join().await;
    alice.send_bytes(b"\x81\x0242").await;
    alice.expect_closed(Some(1002)).await;
    net.assert_clean().await;
}

/// Before anything of it is stored: the length in the header is enough.
#[tokio::test(start_paused = true)]
async fn a_message_beyond_the_limit_is_refused_by_its_announced_length() {
    let io = Server::builder().max_payload(1000).build().unwrap();
    let net = Net::new(&io);
    let (mut alice, _) = net.join().await;
    alice.send_bytes(&[0x81, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4]).await;
    alice.expect_closed(Some(1009)).await;
    let (mut alice, _) = net.join().await;
    alice.send_frame(0x01, &[b'4'; 999]).await;
    alice.send_frame(0x80, b"44").await;
    alice.expect_closed(Some(1009)).await;
    net.assert_clean().await;
}

/// The request has succeeded, the session has not.
#[tokio::test(start_paused = true)]
async fn polling_bodies_that_engine_cannot_read_end_the_session() {
    for wrong in ["x", "", "\u{1e}", "40\u{1e}", "40\u{1e}\u{1e}42[\"a\"]", "b!!!!", "7"] {
        let (io, net) = plain();
        let bob = net.polling().await;
        bob.post(wrong).expect(200, "ok").await;
        bob.get().expect(400, "{\"code\":1,\"message\":\"Session ID unknown\"}").await;
        assert_eq!(io.metrics().protocol_errors, 1, "{wrong:?}");
        net.assert_clean().await;
    }
}

/// Engine.IO is whole, and says goodbye to the next poll.
#[tokio::test(start_paused = true)]
async fn polling_bodies_with_wrong_socket_packets_close_the_session() {
    for wrong in ["42[\"a\"", "4", "49", "42[\"early\"]", "bAQIDBA=="] {
        let (io, net) = plain();
        let bob = net.polling().await;
        bob.post(wrong).expect(200, "ok").await;
        bob.expect("1").await;
        bob.get().expect(400, "{\"code\":1,\"message\":\"Session ID unknown\"}").await;
        assert_eq!(io.metrics().protocol_errors, 1, "{wrong:?}");
        net.assert_clean().await;
    }
}

#[tokio::test(start_paused = true)]
async fn polling_bodies_that_are_not_utf8_end_the_session() {
    let (io, net) = plain();
    let bob = net.polling().await;
    bob.join().await;
    let body = bytes::Bytes::from_static(b"42[\"a\xff\"]");
    drop(net.request("POST", &bob.target(), &[], body).answer().await);
    bob.get().expect(400, "{\"code\":1,\"message\":\"Session ID unknown\"}").await;
    assert_eq!(io.metrics().protocol_errors, 1);
    net.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn too_many_namespaces_end_the_connection() {
    let (io, net) = plain();
    let (mut alice, _) = net.join().await;
    for n in 0..255 {
        io.of(&format!("/{n}"));
        alice.send(&format!("40/{n},")).await;
        alice.expect(&format!("40/{n},{{\"sid\":\"…\"}}")).await;
    }
    io.of("/one-too-many");
    alice.send("40/one-too-many,").await;
    alice.expect_closed(Some(1008)).await;
    net.assert_clean().await;
}
