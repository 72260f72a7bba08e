//! What a peer can make the server keep, and for how long.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use sockeye::{Limit, Recovery, Refusal, Server, Socket};
use sockeye_testing::{Frame, Net, settle};

/// A client opened the WebSocket of an upgrade and never went on: its session was kept for ever, without any login.
#[tokio::test(start_paused = true)]
async fn socketioxide_731_an_upgrade_that_never_ends_is_given_up() {
    let io = Server::new();
    let net = Net::new(&io);
    for said in [&[][..], &["2probe"], &["2probe", "2probe"]] {
        let polling = net.polling().await;
        let mut stream = polling.upgrade().await;
        for frame in said {
            stream.send(frame).await;
        }
        net.advance(Duration::from_secs(100)).await;
        drop(stream.drain().await);
        assert!(stream.is_ended(), "{said:?}");
        assert_eq!(io.metrics().sessions, 0, "{said:?}");
    }
    net.assert_clean().await;
}

/// Each message was bounded, and each client; many of them held as much together as they were many.
#[tokio::test(start_paused = true)]
async fn ws_2331_what_many_clients_leave_unfinished_is_bounded() {
    const MOST: u64 = 1_000_000;
    let io = Server::builder().max_unfinished(1_000_000).max_payload(100_000).build().unwrap();
    io.on("echo", async |socket: Socket, text: String| socket.emit("echo", text));
    let net = Net::new(&io);
    // A fragment of 60,000 bytes, an empty one, and no last one. The mask is zeros.
    let fragment = [&b"\x01\xfe\xea\x60\0\0\0\0"[..], &vec![b'4'; 60_000], b"\x00\x80\0\0\0\0"].concat();
    let mut crowd = Vec::new();
    for _ in 0..100 {
        let (mut client, _) = net.join().await;
        client.send_bytes(&fragment).await;
        settle().await;
        assert!(io.metrics().unfinished_bytes <= MOST);
        crowd.push(client);
    }
    let holding = MOST / (60_000 - 16 * 1024);
    assert_eq!((io.metrics().limits.get(Limit::Unfinished), io.metrics().sessions), (100 - holding, holding));
    // Those who are short are served, in however many pieces they come.
    let (mut alice, _) = net.join().await;
    alice.send_bytes(b"\x81\x8f\0\0\0\x0042[\"ec").await;
    settle().await;
    alice.send_bytes(b"ho\",\"hi\"]").await;
    alice.expect("42[\"echo\",\"hi\"]").await;
    drop((alice, crowd));
    net.assert_clean().await;
    assert_eq!(io.metrics().unfinished_bytes, 0);
}

/// Each PONG of a client began another task of pings.
#[tokio::test(start_paused = true)]
async fn cve_2026_48802_pongs_begin_nothing() {
    let io = Server::new();
    let net = Net::new(&io);
    let (mut alice, _) = net.join().await;
    let pongs = vec!["3"; 1_000];
    for _ in 0..100 {
        alice.send_all(&pongs).await;
    }
    let metrics = io.metrics();
    assert_eq!((metrics.tasks, metrics.sessions), (1, 1));
    for _ in 0..3 {
        net.advance(Duration::from_secs(25)).await;
        alice.expect("2").await;
        alice.expect_nothing().await;
        alice.send("3").await;
    }
    alice.close().await;
    net.assert_clean().await;
}

/// Frames of every kind, in every state of a session: before CONNECT, while probing, inside a packet with attachments.
#[tokio::test(start_paused = true)]
async fn socketioxide_320_every_kind_of_frame_in_every_state() {
    let io = Server::new();
    let net = Net::new(&io);
    let (mut witness, _) = net.join().await;
    for first in 0..=255 {
        let mut stranger = net.websocket().await;
        let mut member = net.join().await.0;
        let mut halfway = net.join().await.0;
        halfway.send("451-[\"a\",{\"_placeholder\":true,\"num\":0}]").await;
        let polling = net.polling().await;
        let mut probing = polling.upgrade().await;
        for socket in [&mut stranger, &mut member, &mut halfway, &mut probing] {
            socket.send_frame(first, b"2").await;
            while socket.next().await.is_some() {}
        }
        polling.close().await;
    }
    witness.send("2").await;
    assert!(matches!(witness.next().await, Some(Frame::Close(_))), "only servers ping");
    net.advance(Duration::from_secs(100)).await;
    net.assert_clean().await;
}

/// Whoever answered a broadcast never was kept account of for ever.
#[tokio::test(start_paused = true)]
async fn socket_io_4984_answers_that_never_come_are_forgotten() {
    let io = Server::builder().ack_timeout(Duration::from_secs(5)).build().unwrap();
    let net = Net::new(&io);
    let (mut alice, _) = net.join().await;
    let (mut bob, _) = net.join().await;
    for _ in 0..100 {
        let replies = io.emit_with_ack::<_, String>("ask", ());
        tokio::spawn(replies.collect());
    }
    net.advance(Duration::from_millis(1)).await;
    assert_eq!(io.metrics().acks, 200);
    net.advance(Duration::from_secs(6)).await;
    assert_eq!((io.metrics().acks, io.metrics().acks_timed_out), (0, 200));
    for socket in [&mut alice, &mut bob] {
        assert_eq!(socket.drain().await.len(), 100);
    }
    alice.close().await;
    bob.close().await;
    net.assert_clean().await;
}

/// A user whose access was taken away came back in within the window of recovery, without being asked.
#[tokio::test(start_paused = true)]
async fn socket_io_5491_recovery_asks_again() {
    let io = Server::builder().recovery(Recovery::default()).build().unwrap();
    let allowed = Arc::new(AtomicBool::new(true));
    let now = Arc::clone(&allowed);
    io.authorize(
        async move |_: sockeye::Peer, _: serde_json::Value| {
            if now.load(Ordering::Relaxed) { Ok(()) } else { Err(Refusal::new("revoked")) }
        },
    );
    let net = Net::new(&io);
    let mut alice = net.websocket().await;
    alice.send("40{}").await;
    let ids = alice.expect("40{\"sid\":\"…\",\"pid\":\"…\"}").await;
    alice.reset();
    net.advance(Duration::from_secs(1)).await;
    allowed.store(false, Ordering::Relaxed);
    let mut again = net.websocket().await;
    again.send(&format!("40{{\"pid\":\"{}\"}}", ids[1])).await;
    again.expect("44{\"message\":\"revoked\"}").await;
    assert_eq!(io.metrics().sockets, 0);
}

/// To take a namespace away while one of its handlers for disconnects ran was a deadlock.
#[tokio::test(start_paused = true)]
async fn socketioxide_311_handlers_of_disconnects_may_do_everything() {
    let io = Server::new();
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let server = io.clone();
    io.of_pattern("/room-{id}").unwrap().on_disconnect(async move |socket: Socket, _| {
        let io = server.clone();
        io.of("/made-here").emit("x", ()).expect("plain");
        io.emit("bye", socket.id()).expect("plain");
        drop(io.fetch_sockets().await.expect("alone"));
        io.to(socket.id()).disconnect().expect("alone");
        io.of(socket.namespace()).local().disconnect_and_close().expect("alone");
        socket.leave("anywhere");
        socket.disconnect();
        counted.fetch_add(1, Ordering::Relaxed);
    });
    let net = Net::new(&io);
    for leave in ["41/room-1,", "1", ""] {
        let mut alice = net.websocket().await;
        alice.send("40/room-1,").await;
        alice.expect("40/room-1,{\"sid\":\"…\"}").await;
        if leave.is_empty() {
            alice.reset();
        } else {
            alice.send(leave).await;
            drop(alice);
        }
        net.advance(Duration::from_secs(1)).await;
    }
    assert_eq!(calls.load(Ordering::Relaxed), 3);
    assert!(io.namespaces().iter().all(|namespace| namespace.path() != "/room-1"), "freed with its last member");
    net.assert_clean().await;
}

/// A hundred thousand of each packet that means little: none begins a task, waits, or prolongs a life for ever.
#[tokio::test(start_paused = true)]
async fn floods_of_packets_that_mean_nothing_are_nothing() {
    for packet in ["3", "6"] {
        let io = Server::new();
        let net = Net::new(&io);
        let (mut alice, _) = net.join().await;
        let (witness, _) = net.join().await;
        let packets = vec![packet; 1_000];
        for _ in 0..100 {
            alice.send_all(&packets).await;
        }
        alice.expect_nothing().await;
        let metrics = io.metrics();
        assert_eq!((metrics.tasks, metrics.sessions), (2, 2), "{packet}");
        witness.close().await;
        // Said before the ping, it is no answer to it.
        net.advance(Duration::from_secs(46)).await;
        assert_eq!(io.metrics().sessions, 0, "{packet}");
        drop(alice);
        net.assert_clean().await;
    }
}

/// Fragments without a byte make no message: after so many the client is told why it goes.
#[tokio::test(start_paused = true)]
async fn a_flood_of_empty_fragments_ends_its_connection_alone() {
    let io = Server::new();
    io.on("echo", async |socket: Socket, text: String| socket.emit("echo", text));
    let net = Net::new(&io);
    let (mut alice, _) = net.join().await;
    let (mut witness, _) = net.join().await;
    alice.send_frame(0x01, b"").await;
    // Masked, of no bytes, and not the last.
    let fragments = [0x00, 0x80, 0, 0, 0, 0].repeat(65_535);
    alice.send_bytes(&fragments).await;
    alice.expect_nothing().await;
    witness.send("42[\"echo\",\"hi\"]").await;
    witness.expect("42[\"echo\",\"hi\"]").await;
    alice.send_frame(0x00, b"").await;
    alice.expect_closed(Some(1008)).await;
    assert_eq!(alice.close_reason(), "message in too many frames");
    drop(alice);
    witness.close().await;
    net.advance(Duration::from_secs(6)).await;
    net.assert_clean().await;
}

/// A rate holds for everything that costs something to read, messages or not, by whatever transport.
#[tokio::test(start_paused = true)]
async fn floods_of_what_is_no_message_are_held_to_the_rates() {
    // Masked by zeros, and empty: ping, pong, and a fragment.
    let frame = |first: u8| [first, 0x80, 0, 0, 0, 0];
    let packet = |packet: u8| [0x81, 0x81, 0, 0, 0, 0, packet];
    for (limit, builder) in [
        (Limit::EventsPerSecond, Server::builder().event_rate(10, 100)),
        (Limit::BytesPerSecond, Server::builder().byte_rate(1_000, 1_000)),
    ] {
        for flood in [&frame(0x89)[..], &frame(0x8a), &frame(0x00), &packet(b'3'), &packet(b'6')] {
            let io = builder.clone().build().expect("the options agree");
            let net = Net::new(&io);
            let (mut alice, _) = net.join().await;
            let (witness, _) = net.join().await;
            // A message begins, for those who go on with it.
            alice.send_frame(0x01, b"42").await;
            if flood[0] == 0x81 {
                alice.send_frame(0x80, b"[\"x\"]").await;
            }
            alice.send_bytes(&flood.repeat(1_000)).await;
            while alice.next().await.is_some_and(|frame| !matches!(frame, Frame::Close(_))) {}
            assert_eq!(alice.close_reason(), limit.as_str(), "{flood:x?}");
            assert_eq!((io.metrics().limits.get(limit), io.metrics().sessions), (1, 1), "{flood:x?}");
            drop(alice);
            witness.close().await;
            net.assert_clean().await;
        }
        for packet in ["3", "6"] {
            let io = builder.clone().build().expect("the options agree");
            let net = Net::new(&io);
            let polling = net.polling().await;
            polling.join().await;
            let told = format!("{{\"code\":3,\"message\":\"{limit}\"}}");
            polling.post(&vec![packet; 1_000].join("\u{1e}")).expect(400, &told).await;
            polling.get().expect(200, "1").await;
            assert_eq!((io.metrics().limits.get(limit), io.metrics().sessions), (1, 0), "{packet}");
            net.assert_clean().await;
        }
    }
}

/// Who does no more than answer pings is never too fast, though it sends an event with each answer.
#[tokio::test(start_paused = true)]
async fn heartbeats_do_not_count_for_the_rate_of_events() {
    let io = Server::builder().event_rate(1, 1).allow_eio3(true).build().expect("the options agree");
    let net = Net::new(&io);
    let mut alice = net.websocket().await;
    let mut old = net.open("/socket.io/?EIO=3&transport=websocket", &[]).await;
    net.advance(Duration::from_secs(2)).await;
    alice.send("40").await;
    drop((alice.drain().await, old.drain().await));
    net.advance(Duration::from_secs(23)).await;
    for _ in 0..10 {
        alice.expect("2").await;
        alice.send_all(&["3", "42[\"x\"]"]).await;
        old.send_all(&["2", "42[\"x\"]"]).await;
        old.expect("3").await;
        net.advance(Duration::from_secs(25)).await;
    }
    assert_eq!((io.metrics().limits.total(), io.metrics().sessions), (0, 2));
}
