//! Limits that end no session: what waits for a client or for handlers, rooms, answers, and the heads of requests.

use std::time::Duration;

use sockeye::{AckError, EmitError, Limit, Server, ServerBuilder, Socket, WhenFull};
use sockeye_testing::{Net, settle};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::client::{Client, Piece, TRANSPORTS, Transport};

/// What a jammed stream has in flight; the outbox is empty behind it.
const JAM: usize = 200_000;

async fn joined(builder: ServerBuilder, transport: Transport) -> (Server, Net, Client, Socket) {
    let io = builder.build().expect("the options agree");
    let net = Net::new(&io).with_buffer(4_096);
    let mut client = Client::open(&net, transport).await;
    let socket = io.get(&client.join().await).expect("it has joined");
    (io, net, client, socket)
}

#[tokio::test(start_paused = true)]
async fn rooms_of_a_socket() {
    for transport in TRANSPORTS {
        let (io, net, client, socket) = joined(Server::builder().max_rooms(3), transport).await;
        for (n, room) in ["a", "b", "c", "d"].into_iter().enumerate() {
            socket.join(room);
            // Its own room is not counted.
            assert_eq!(socket.rooms().len(), 1 + (n + 1).min(3), "{transport:?}");
            assert_eq!(io.metrics().limits.get(Limit::Rooms), u64::from(n == 3), "{transport:?}");
        }
        socket.leave("a");
        socket.join("d");
        assert_eq!((socket.rooms().len(), io.metrics().limits.total()), (4, 1));
        client.leave().await;
        net.assert_clean().await;
    }
}

#[tokio::test(start_paused = true)]
async fn names_of_rooms() {
    for transport in TRANSPORTS {
        for (builder, most) in [(Server::builder(), 1_024), (Server::builder().max_room_name(5), 5)] {
            let (io, net, client, socket) = joined(builder, transport).await;
            for (length, fits) in [(most - 1, true), (most, true), (most + 1, false)] {
                let before = socket.rooms().len();
                socket.join("r".repeat(length));
                io.to(socket.id()).join("s".repeat(length)).expect("it stands alone");
                assert_eq!(socket.rooms().len() - before, if fits { 2 } else { 0 }, "{length} over {transport:?}");
                let beyond = io.metrics().limits.get(Limit::RoomName);
                assert_eq!(beyond, if fits { 0 } else { 2 }, "{length} over {transport:?}");
            }
            assert_eq!((io.metrics().limits.total(), io.of("/").rooms().len()), (2, 4));
            client.leave().await;
            net.assert_clean().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn answers_that_are_waited_for() {
    for transport in TRANSPORTS {
        let (io, net, client, socket) = joined(Server::builder().max_pending_acks(3), transport).await;
        let mut waiting = Vec::new();
        for n in 1..=3 {
            waiting.push(socket.emit_with_ack::<_, ()>("q", ()).send());
            settle().await;
            assert_eq!((io.metrics().acks, io.metrics().limits.total()), (n, 0), "{transport:?}");
        }
        let refused = socket.emit_with_ack::<_, ()>("q", ()).await;
        assert!(matches!(refused, Err(AckError::Emit(EmitError::Full))), "{transport:?}: {refused:?}");
        assert_eq!((io.metrics().acks, io.metrics().limits.get(Limit::PendingAcks)), (3, 1), "{transport:?}");
        client.leave().await;
        drop(waiting);
        net.assert_clean().await;
    }
}

/// Fills the stream, so that what follows waits in the outbox; polling waits anyway.
async fn jam(socket: &Socket, transport: Transport) {
    if transport != Transport::Polling {
        socket.emit("jam", "x".repeat(JAM)).expect("there is room");
        settle().await;
    }
    assert_eq!(socket.queued().packets, 0, "{transport:?}");
}

#[tokio::test(start_paused = true)]
async fn packets_that_wait_for_a_client() {
    for transport in TRANSPORTS {
        let builder = Server::builder().outbox(1_000_000, 3).when_full(WhenFull::Fail);
        let (io, net, client, socket) = joined(builder, transport).await;
        jam(&socket, transport).await;
        for n in 1..=3 {
            socket.emit("e", n).expect("there is room");
            assert_eq!(socket.queued().packets, n, "{transport:?}");
        }
        assert!(matches!(socket.emit("e", 4), Err(EmitError::Full)), "{transport:?}");
        assert_eq!((socket.queued().packets, io.metrics().dropped_full), (3, 1), "{transport:?}");
        assert_eq!(io.metrics().sessions, 1);
        client.leave().await;
        net.advance(Duration::from_secs(6)).await;
        net.assert_clean().await;
    }
}

#[tokio::test(start_paused = true)]
async fn bytes_that_wait_for_a_client() {
    const EVENT: usize = 1_000;
    for transport in TRANSPORTS {
        let (_, net, client, socket) = joined(Server::builder(), transport).await;
        jam(&socket, transport).await;
        socket.emit("e", "x".repeat(EVENT)).expect("there is room");
        let weight = socket.queued().bytes;
        assert!((EVENT..EVENT + 200).contains(&weight), "{weight}");
        client.leave().await;
        net.advance(Duration::from_secs(6)).await;
        net.assert_clean().await;
        for (bound, fit) in [(3 * weight - 1, 2), (3 * weight, 3), (3 * weight + 1, 3)] {
            let builder = Server::builder().outbox(bound, 1_000).when_full(WhenFull::Fail);
            let (io, net, client, socket) = joined(builder, transport).await;
            jam(&socket, transport).await;
            let sent = (0..4).filter(|_| socket.emit("e", "x".repeat(EVENT)).is_ok()).count();
            assert_eq!((sent, socket.queued().bytes), (fit, fit * weight), "{bound} over {transport:?}");
            assert_eq!(io.metrics().dropped_full, 4 - fit as u64, "{bound} over {transport:?}");
            client.leave().await;
            net.advance(Duration::from_secs(6)).await;
            net.assert_clean().await;
        }
    }
}

/// With the default policy, one packet too many ends the session, and both sides can read why.
#[tokio::test(start_paused = true)]
async fn a_slow_consumer_is_told_and_counted() {
    for transport in TRANSPORTS {
        let (io, net, client, socket) = joined(Server::builder().outbox(1_000_000, 3), transport).await;
        jam(&socket, transport).await;
        assert_eq!((0..4).map(|n| socket.emit("e", n).is_ok()).collect::<Vec<_>>(), [true, true, true, false]);
        settle().await;
        let metrics = io.metrics();
        assert_eq!((metrics.limits.get(Limit::Outbox), metrics.limits.total()), (1, 1), "{transport:?}");
        assert_eq!((metrics.slow_consumers, metrics.sockets), (1, 0), "{transport:?}");
        match client {
            Client::Polling(polling) => drop(polling.get().expect(200, "1").await),
            Client::Stream(mut stream) => {
                while stream.next().await.is_some() {}
                assert_eq!(stream.close_reason(), "slow consumer");
            }
        }
        net.advance(Duration::from_secs(6)).await;
        net.assert_clean().await;
    }
}

/// Refusals cost a stranger nothing to ask for: of them a quarter of what it may say may wait.
#[tokio::test(start_paused = true)]
async fn refusals_that_a_stranger_does_not_read() {
    // Its frame, and what a packet that waits counts besides.
    const REFUSAL: usize = 2 + "44/x,{\"message\":\"Invalid namespace\"}".len() + 96;
    let builder = || Server::builder().max_unconnected_payload(4 * 10 * REFUSAL);
    for asked in 9..=11 {
        let io = builder().build().unwrap();
        let net = Net::new(&io);
        let polling = net.polling().await;
        polling.send(&vec!["40/x,"; asked].join("\u{1e}")).await;
        settle().await;
        let metrics = io.metrics();
        let over = u64::from(asked > 10);
        assert_eq!((metrics.slow_consumers, metrics.limits.get(Limit::Outbox)), (over, over), "{asked}");
        if over == 0 {
            polling.get().expect(200, &vec!["44/x,{\"message\":\"Invalid namespace\"}"; asked].join("\u{1e}")).await;
            polling.close().await;
        }
        net.advance(Duration::from_secs(60)).await;
        net.assert_clean().await;
    }
    for transport in [Transport::Websocket, Transport::Upgraded] {
        let io = builder().build().unwrap();
        let net = Net::new(&io).with_buffer(4_096);
        let Client::Stream(mut stream) = Client::open(&net, transport).await else { panic!("it is a stream") };
        for _ in 0..100 {
            stream.send_all(&["40/x,"; 50]).await;
        }
        assert_eq!((io.metrics().slow_consumers, io.metrics().sessions), (1, 0), "{transport:?}");
        net.advance(Duration::from_secs(60)).await;
        drop(stream);
        net.assert_clean().await;
    }
}

/// Beyond it nothing is read: the client waits, and nothing is lost.
#[tokio::test(start_paused = true)]
async fn events_that_wait_for_handlers() {
    for transport in [Transport::Websocket, Transport::Upgraded] {
        let (io, net, mut client, _) = joined(Server::builder().max_waiting_events(3, 1_000_000), transport).await;
        io.on("slow", async |_, _: u32| tokio::time::sleep(Duration::from_secs(1)).await);
        let before = io.metrics().messages_received;
        for n in 1..=8_u64 {
            client.send_all(&net, vec![Piece::Text(format!("42[\"slow\",{n}]"))]).await;
            // One is being handled.
            assert_eq!(io.metrics().messages_received - before, n.min(1 + 3), "{n} over {transport:?}");
        }
        net.advance(Duration::from_secs(9)).await;
        assert_eq!(io.metrics().messages_received - before, 8, "{transport:?}");
        client.leave().await;
        net.assert_clean().await;
    }
    let (io, net, client, _) = joined(Server::builder().max_waiting_events(3, 1_000_000), Transport::Polling).await;
    io.on("slow", async |_, _: u32| tokio::time::sleep(Duration::from_secs(1)).await);
    let Client::Polling(polling) = client else { panic!("it polls") };
    for n in 1..=4 {
        polling.send(&format!("42[\"slow\",{n}]")).await;
    }
    let fifth = polling.post("42[\"slow\",5]");
    fifth.expect_waiting().await;
    net.advance(Duration::from_millis(1_001)).await;
    fifth.expect(200, "ok").await;
    net.advance(Duration::from_secs(5)).await;
    polling.close().await;
    net.assert_clean().await;
}

/// It holds within one body, and within one read, be there as much in it as there may.
#[tokio::test(start_paused = true)]
async fn events_that_come_in_one_piece_wait_for_handlers_too() {
    let most = 900_000 / "42[\"e\"]\u{1e}".len();
    for transport in TRANSPORTS {
        let (io, net, client, _) = joined(Server::builder(), transport).await;
        io.on("slow", async |_, (): ()| tokio::time::sleep(Duration::from_secs(1)).await);
        io.on("e", async |_, (): ()| ());
        let before = io.metrics().messages_received;
        let received = || io.metrics().messages_received - before;
        let (one, waiting) = ("42[\"slow\"]", 1 + 1_024);
        match client {
            Client::Polling(polling) => {
                let post = polling.post(&format!("{one}{}", "\u{1e}42[\"e\"]".repeat(most)));
                post.expect_waiting().await;
                assert_eq!(received(), waiting, "{transport:?}");
                net.advance(Duration::from_secs(1)).await;
                post.expect(200, "ok").await;
                assert_eq!(received(), 1 + most as u64, "{transport:?}");
                polling.close().await;
            }
            Client::Stream(mut stream) => {
                stream.send(one).await;
                stream.send_all(&vec!["42[\"e\"]"; 5_000]).await;
                assert_eq!(received(), waiting, "{transport:?}");
                net.advance(Duration::from_secs(1)).await;
                drop(stream);
                net.advance(Duration::from_secs(1)).await;
                assert!(received() > 2_000, "{transport:?}: what was read before was put back: {}", received());
            }
        }
        net.assert_clean().await;
    }
}

/// While an answer is waited for, four times as many may wait, as the answer may stand behind them.
#[tokio::test(start_paused = true)]
async fn events_that_wait_for_a_handler_that_asks() {
    for transport in [Transport::Websocket, Transport::Upgraded] {
        for (builder, most) in [
            (Server::builder().max_waiting_events(3, 1_000_000), 12),
            // Each has a name of 3 bytes and 2 bytes of arguments, and 128 for itself.
            (Server::builder().max_waiting_events(1_000, 5 * (3 + 2 + 128)), 20),
        ] {
            let (io, net, mut client, _) = joined(builder.ping_interval(Duration::from_mins(10)), transport).await;
            io.on("ask", async |socket: Socket, _: u32| {
                drop(socket.emit_with_ack::<_, u32>("sure?", ()).timeout(Duration::from_secs(5)).await);
            });
            let before = io.metrics().messages_received;
            for n in 0..=most + 3 {
                client.send_all(&net, vec![Piece::Text("42[\"ask\",10]".to_owned())]).await;
                // One is being handled.
                assert_eq!(io.metrics().messages_received - before, (n + 1).min(1 + most), "{n} over {transport:?}");
            }
            net.advance(Duration::from_secs(5 * (most + 4) + 1)).await;
            assert_eq!(io.metrics().messages_received - before, most + 4, "{transport:?}");
            assert_eq!(io.metrics().acks_timed_out, most + 4, "{transport:?}");
            client.leave().await;
            net.assert_clean().await;
        }
    }
}

/// The events of all namespaces of a connection wait together, in number and in bytes.
#[tokio::test(start_paused = true)]
async fn events_that_wait_in_several_namespaces() {
    for (builder, most) in [
        (Server::builder().max_waiting_events(3, 1_000_000), 6),
        // Of the bytes those count, too, which are being handled, but for one.
        (Server::builder().max_waiting_events(100, 3_000), 4),
        (Server::builder().max_waiting_events(100, 5_000), 6),
    ] {
        let (io, net, mut client, _) = joined(builder, Transport::Websocket).await;
        for namespace in [io.of("/"), io.of("/a"), io.of("/b")] {
            namespace.on("slow", async |_, _: String| tokio::time::sleep(Duration::from_secs(1)).await);
        }
        let event = |path: &str| Piece::Text(format!("42{path}[\"slow\",\"{}\"]", "x".repeat(1_000)));
        client.send_all(&net, vec![Piece::Text("40/a,".into()), Piece::Text("40/b,".into())]).await;
        let before = io.metrics().messages_received;
        // One is being handled in each; then each has one that waits.
        for (n, path) in ["", "/a,", "/b,", "", "/a,", "/b,", "", "/a,"].into_iter().enumerate() {
            client.send_all(&net, vec![event(path)]).await;
            assert_eq!(io.metrics().messages_received - before, (n as u64 + 1).min(most), "{path}");
        }
        net.advance(Duration::from_secs(5)).await;
        assert_eq!(io.metrics().messages_received - before, 8);
        client.leave().await;
        net.assert_clean().await;
    }
}

/// The head of a request may have 16 KiB, as in Node.js, or what the options say; if it opens a session, what a stranger
/// may have kept has to allow for it too.
#[tokio::test(start_paused = true)]
async fn heads_of_requests() {
    let builder = || Server::builder().max_unconnected_payload(32 * 1024);
    heads(builder, 16 * 1024).await;
    heads(|| Server::builder().max_unconnected_payload(32 * 1024).max_head(20_000), 20_000).await;
}

async fn heads(builder: fn() -> ServerBuilder, most: usize) {
    for transport in ["polling", "websocket"] {
        for (length, fits) in [(most - 1, true), (most, true), (most + 1, false)] {
            let start = format!("{}X-Pad: ", head(transport));
            let text = format!("{start}{}\r\n\r\n", "p".repeat(length - start.len() - 4));
            is_taken(&builder().build().unwrap(), transport, &text, fits, Limit::HeadBytes).await;
        }
    }
}

/// And 100 headers.
#[tokio::test(start_paused = true)]
async fn headers_of_requests() {
    for (transport, others) in [("polling", 1), ("websocket", 5)] {
        for (count, fits) in [(99, true), (100, true), (101, false)] {
            let text = format!("{}{}\r\n", head(transport), "X: y\r\n".repeat(count - others));
            is_taken(&Server::new(), transport, &text, fits, Limit::Headers).await;
        }
    }
}

/// Whether the head of a request that opens a session is taken as it should be.
async fn is_taken(io: &Server, transport: &str, head: &str, fits: bool, limit: Limit) {
    let (mut pipe, end) = tokio::io::duplex(1 << 20);
    let server = io.clone();
    let serving = tokio::spawn(async move { server.serve_stream(end, None).await });
    pipe.write_all(head.as_bytes()).await.unwrap();
    let mut status = [0; 12];
    pipe.read_exact(&mut status).await.unwrap();
    let expected = match (fits, transport) {
        (true, "polling") => "HTTP/1.1 200",
        (true, _) => "HTTP/1.1 101",
        (false, _) => "HTTP/1.1 431",
    };
    assert_eq!(status.escape_ascii().to_string(), expected, "{} bytes of {transport}", head.len());
    let metrics = io.metrics();
    let beyond = u64::from(!fits);
    assert_eq!((metrics.limits.get(limit), metrics.limits.total(), metrics.sessions), (beyond, beyond, 1 - beyond));
    drop(pipe);
    serving.await.unwrap();
}

/// All of a head but its end.
fn head(transport: &str) -> String {
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let upgrade = if transport == "websocket" { upgrade } else { "" };
    format!("GET /socket.io/?EIO=4&transport={transport} HTTP/1.1\r\nHost: x\r\n{upgrade}")
}

/// One GET and one POST at a time; another of the same kind ends the session.
#[tokio::test(start_paused = true)]
async fn requests_of_a_session_at_a_time() {
    let (io, net, client, _) = joined(Server::builder(), Transport::Polling).await;
    let Client::Polling(polling) = client else { panic!("it polls") };
    let first = polling.get();
    first.expect_waiting().await;
    polling.send("42[\"beside\"]").await;
    assert_eq!(io.metrics().sessions, 1, "one of each is allowed");
    polling.get().expect(400, "{\"code\":3,\"message\":\"Bad request\"}").await;
    first.expect(200, "1").await;
    net.assert_clean().await;
}

/// What asks to be let in is not read without a bound while `authorize` decides; nobody is refused for it.
#[tokio::test(start_paused = true)]
async fn questions_that_wait_for_a_decision() {
    // A stranger asks for one after the other, or in one piece; a member gets no decision at all.
    for (decision, is_member, at_once) in [(2, false, false), (2, false, true), (1_000, true, false)] {
        let io = Server::new();
        let rooms = io.of_pattern("/room-{id}").expect("a pattern");
        rooms.authorize(async move |_, _: serde_json::Value| {
            tokio::time::sleep(Duration::from_secs(decision)).await;
            Ok(())
        });
        let net = Net::new(&io);
        let mut alice = if is_member { net.join().await.0 } else { net.websocket().await };
        let questions: Vec<_> = (0..12).map(|n| format!("40/room-{n},{{\"pad\":\"{}\"}}", "x".repeat(4_000))).collect();
        let before = io.metrics().messages_received;
        if at_once {
            alice.send_all(&questions.iter().map(String::as_str).collect::<Vec<_>>()).await;
        } else {
            for question in &questions {
                alice.send(question).await;
            }
        }
        // A stranger has one that is longer than 2 KiB; of a member, four are more than 16 KiB, and one more may be on its way.
        let read = io.metrics().messages_received - before;
        let expected = if is_member { 4..=5 } else { 1..=1 };
        assert!(expected.contains(&read), "{read}");
        for _ in 0..10 {
            net.advance(Duration::from_secs(20)).await;
            alice.send("3").await;
        }
        let answers = alice.drain().await;
        let answer = if decision == 2 { "40/room-" } else { "44/room-" };
        assert_eq!(answers.iter().filter(|text| text.starts_with(answer)).count(), 12, "{answers:?}");
        drop(alice);
        net.advance(Duration::from_secs(1_000)).await;
        net.assert_clean().await;
    }
}
