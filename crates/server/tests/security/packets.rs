//! What a peer can write into packets.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use sockeye::{Server, Socket};
use sockeye_testing::{Frame, Net};

/// A server, what its handlers have seen, and a network around it.
fn watched() -> (Server, Arc<Mutex<Vec<String>>>, Net) {
    let io = Server::new();
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let log = Arc::clone(&seen);
    io.on_any(async move |_, message: sockeye::Message| log.lock().unwrap().push(message.event().to_owned()));
    let net = Net::new(&io);
    (io, seen, net)
}

/// Each of `wrong` closes its connection, reaches no handler, and disturbs nobody; on both transports.
async fn refused(wrong: &[&str]) {
    let (io, seen, net) = watched();
    let (mut witness, _) = net.join().await;
    for packet in wrong {
        let (mut stream, _) = net.join().await;
        stream.send(packet).await;
        let end = stream.next().await;
        assert!(matches!(end, Some(Frame::Close(_))), "{packet:?} was answered by {end:?}");
        let polling = net.polling().await;
        polling.join().await;
        // The request has succeeded unless it ran into a limit, which is told.
        let answer = polling.post(packet).answer().await;
        assert!([200, 400].contains(&answer.status.as_u16()), "{packet:?}");
        polling.expect("1").await;
        assert_eq!(io.metrics().sessions, 1, "{packet:?}");
    }
    assert_eq!(*seen.lock().unwrap(), [""; 0]);
    witness.send("42[\"alive\"]").await;
    assert_eq!(*seen.lock().unwrap(), ["alive"]);
    witness.close().await;
    net.assert_clean().await;
}

/// The number of a placeholder was used as it came: as a name of a property, or beyond the attachments.
#[tokio::test(start_paused = true)]
async fn cve_2022_2421_placeholders_name_attachments() {
    let nums = ["-1", "1.5", "\"splice\"", "\"0\"", "1", "null", "true", "{}", "[0]", "18446744073709551616", "1e400"];
    let packets: Vec<String> =
        nums.iter().map(|num| format!("451-[\"a\",{{\"_placeholder\":true,\"num\":{num}}}]")).collect();
    let packets: Vec<&str> = packets.iter().map(String::as_str).collect();
    refused(&packets).await;
    refused(&["451-[\"a\",{\"_placeholder\":true}]"]).await;
}

/// A value that only looks like a placeholder is a value like any other.
#[tokio::test(start_paused = true)]
async fn cve_2022_2421_what_only_looks_like_a_placeholder_stays_what_it_is() {
    let io = Server::new();
    io.on("echo", async |socket: Socket, value: serde_json::Value| socket.emit("echo", value));
    let net = Net::new(&io);
    let (mut alice, _) = net.join().await;
    for value in [
        "{\"_placeholder\":true,\"num\":0}",
        "{\"_placeholder\":true,\"num\":\"splice\"}",
        "{\"_placeholder\":false}",
        "{\"_placeholder\":1,\"num\":-1}",
    ] {
        alice.send(&format!("42[\"echo\",{value}]")).await;
        alice.expect(&format!("42[\"echo\",{value}]")).await;
    }
}

/// The name of an event was an object whose `toString` failed.
#[tokio::test(start_paused = true)]
async fn cve_2023_32695_names_of_events_are_texts() {
    refused(&["42[{}]", "42[{\"toString\":1}]", "42[null]", "42[[]]", "42[]", "42{}", "42true", "42\"a\"", "42"]).await;
}

/// An event called `error` had no listener, and threw. Names that mean something to the library never come from outside.
#[tokio::test(start_paused = true)]
async fn cve_2024_38355_names_of_the_library_do_not_come_from_outside() {
    refused(&[
        "42[\"connect\"]",
        "42[\"connect_error\"]",
        "42[\"disconnect\"]",
        "42[\"disconnecting\"]",
        "42[\"newListener\"]",
        "42[\"removeListener\"]",
        "42[\"\\u0064isconnect\"]",
    ])
    .await;
    let io = Server::new();
    io.on("echo", async |socket: Socket, text: String| socket.emit("echo", text));
    let net = Net::new(&io);
    let (mut alice, _) = net.join().await;
    for name in ["error", "__proto__", "constructor", "connection", "\\u0000", ""] {
        alice.send(&format!("42[\"{name}\",1]")).await;
    }
    alice.send("42[\"echo\",\"still here\"]").await;
    alice.expect("42[\"echo\",\"still here\"]").await;
}

/// A header could announce any number of attachments, all of which were kept.
#[tokio::test(start_paused = true)]
async fn cve_2026_33151_attachments_are_bounded_in_number_and_time() {
    let list = |count: usize| {
        let places: Vec<String> = (0..count).map(|num| format!("{{\"_placeholder\":true,\"num\":{num}}}")).collect();
        format!("45{count}-[\"a\",{}]", places.join(","))
    };
    refused(&[&list(11), &list(1_000), "4599999999-[\"a\"]", "451e9-[\"a\"]", "45-1-[\"a\"]"]).await;

    let (io, seen, net) = watched();
    let (mut alice, _) = net.join().await;
    alice.send(&list(10)).await;
    for _ in 0..9 {
        alice.send_binary(&[0; 1_000]).await;
    }
    alice.expect_nothing().await;
    let (mut bob, _) = net.join().await;
    bob.send(&list(10)).await;
    for _ in 0..10 {
        bob.send_binary(&[0; 1_000]).await;
    }
    assert_eq!(*seen.lock().unwrap(), ["a"], "ten are allowed");
    // Alice answers heartbeats and never sends the last one.
    for _ in 0..4 {
        net.advance(Duration::from_secs(20)).await;
        alice.send("3").await;
        bob.send("3").await;
    }
    assert_eq!(io.metrics().sessions, 1, "what is not complete in a minute never will be");
    bob.close().await;
    net.assert_clean().await;
}

/// Of no attachments none was ever the last, so that every later one was kept for ever.
#[tokio::test(start_paused = true)]
async fn cve_2026_69185_no_attachments_is_not_a_number_of_attachments() {
    for header in ["450-[\"a\"]", "460-1[\"a\"]", "4500-[\"a\"]"] {
        let (io, seen, net) = watched();
        let (mut alice, _) = net.join().await;
        alice.send(header).await;
        for _ in 0..10 {
            alice.send_binary(&[0; 1_000]).await;
        }
        assert!(matches!(alice.next().await, Some(Frame::Close(_))), "{header}");
        assert_eq!((io.metrics().sessions, seen.lock().unwrap().len()), (0, 0), "{header}");
        net.assert_clean().await;
    }
}

/// The same from a client of revision 3, which is in `/` without having asked.
#[tokio::test(start_paused = true)]
async fn cve_2026_69185_holds_for_revision_3_too() {
    let io = Server::builder().allow_eio3(true).build().unwrap();
    let net = Net::new(&io);
    let mut alice = net.open("/socket.io/?EIO=3&transport=websocket", &[]).await;
    while alice.next().await.is_some() {}
    alice.send("450-[\"a\"]").await;
    assert!(matches!(alice.next().await, Some(Frame::Close(_))));
    net.assert_clean().await;
}

/// A packet with attachments was taken for a namespace that had not been joined, and kept after leaving one.
#[tokio::test(start_paused = true)]
async fn cve_2026_48804_attachments_are_for_members() {
    let header = "451-[\"a\",{\"_placeholder\":true,\"num\":0}]";
    let (io, seen, net) = watched();
    let mut stranger = net.websocket().await;
    stranger.send(header).await;
    stranger.expect_closed(None).await;
    let polling = net.polling().await;
    polling.send(header).await;
    polling.expect("1").await;
    let (mut alice, _) = net.join().await;
    alice.send("451-/admin,[\"a\",{\"_placeholder\":true,\"num\":0}]").await;
    assert!(matches!(alice.next().await, Some(Frame::Close(_))), "a namespace she is not in");
    let (mut alice, _) = net.join().await;
    alice.send(header).await;
    drop(alice);
    net.advance(Duration::from_secs(1)).await;
    assert_eq!((io.metrics().sessions, seen.lock().unwrap().len()), (0, 0));
    net.assert_clean().await;
}

/// Attachments were not counted as bytes, and a WebSocket did not have the limit that polling had.
#[tokio::test(start_paused = true)]
async fn ghsa_55mf_67qm_4wpg_attachments_count_as_bytes() {
    let io = Server::builder().max_payload(10_000).build().unwrap();
    let net = Net::new(&io);
    let header = "451-[\"a\",{\"_placeholder\":true,\"num\":0}]";
    let (mut alice, _) = net.join().await;
    alice.send(header).await;
    alice.send_binary(&[0; 10_001]).await;
    alice.expect_closed(Some(1009)).await;
    let polling = net.polling().await;
    polling.join().await;
    let body = format!("{header}\u{1e}b{}", "A".repeat(10_000));
    polling.post(&body).expect(413, r#"{"code":3,"message":"message too large"}"#).await;
    polling.close().await;
    // A stranger may send less: what comes before CONNECT is text of at most 16 KiB.
    let mut stranger = Net::new(&Server::new()).websocket().await;
    stranger.send_binary(&vec![0; 16_385]).await;
    stranger.expect_closed(Some(1009)).await;
    net.assert_clean().await;
}

/// A malformed packet with attachments sent a decoder round in circles.
#[tokio::test(start_paused = true)]
async fn socketioxide_357_malformed_packets_with_attachments_end() {
    refused(&[
        "45",
        "451",
        "451-",
        "451-[",
        "451-[\"a\"",
        "451-[\"a\",{\"_placeholder\"",
        "451-[\"a\",{\"_placeholder\":true,",
        "451-[\"a\",{\"_placeholder\":true,\"num\":}]",
        "451-/,",
        "461-[]",
        "451-99999999999999999999999[\"a\"]",
    ])
    .await;
}
