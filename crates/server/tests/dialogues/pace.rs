//! An application that goes at the pace of its clients: policies of its own for what it emits, events that replace each
//! other, and waiting until a client has read.

use sockeye::{EmitError, WhenFull};
use tokio::time::Instant;

use crate::common::*;

/// A server whose outboxes hold three packets, and disconnects those who need more; and a client that polls, and does not
/// at this moment.
async fn tight() -> (Server, Net, Polling, Socket) {
    let io = Server::builder().outbox(1_000_000, 3).build().unwrap();
    let net = Net::new(&io);
    let bob = net.polling().await;
    let socket = io.get(&bob.join().await).unwrap();
    (io, net, bob, socket)
}

async fn heard(bob: &Polling) -> Vec<String> {
    bob.get().answer().await.text().split('\u{1e}').map(str::to_owned).collect()
}

#[tokio::test(start_paused = true)]
async fn what_is_emitted_may_have_a_policy_of_its_own() {
    let (io, net, bob, socket) = tight().await;
    for n in 1..=3 {
        socket.emit("e", n).unwrap();
    }
    assert!(matches!(socket.when_full(WhenFull::Fail).emit("e", 4), Err(EmitError::Full)));
    socket.when_full(WhenFull::DropNew).emit("e", 5).unwrap();
    // Who is one of many makes nothing fail.
    io.when_full(WhenFull::Fail).emit("e", 6).unwrap();
    io.to(socket.id()).when_full(WhenFull::DropOldest).emit("e", 7).unwrap();
    let queued = socket.queued();
    assert_eq!((queued.packets, queued.dropped, io.metrics().dropped_full), (3, 4, 4));
    assert_eq!(heard(&bob).await, ["42[\"e\",2]", "42[\"e\",3]", "42[\"e\",7]"]);
    for n in 1..=3 {
        socket.emit("e", n).unwrap();
    }
    assert!(matches!(socket.emit("e", 4), Err(EmitError::Closed)), "the server's own policy is as it was");
    assert!(matches!(socket.when_full(WhenFull::DropNew).emit("e", 5), Err(EmitError::Closed)));
    assert_eq!(heard(&bob).await, ["1"]);
    net.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn a_namespace_has_a_policy_of_its_own() {
    let (io, net, bob, socket) = tight().await;
    io.of("/prices").set_when_full(WhenFull::DropOldest);
    let rooms = io.of_pattern("/room-{id}").unwrap();
    rooms.set_when_full(WhenFull::DropNew);
    bob.send("40/prices,\u{1e}40/room-1,").await;
    heard(&bob).await;
    socket.emit("e", 0).unwrap();
    for n in 1..=4 {
        io.of("/prices").emit("e", n).unwrap();
    }
    for n in 5..=6 {
        rooms.emit("e", n).unwrap();
    }
    // One outbox for all of them: the namespace of the event that finds it full decides.
    assert_eq!(heard(&bob).await, ["42/prices,[\"e\",2]", "42/prices,[\"e\",3]", "42/prices,[\"e\",4]"]);
    assert_eq!(io.metrics().dropped_full, 4);
    rooms.set_when_full(WhenFull::Fail);
    let member = rooms.namespaces()[0].sockets().remove(0);
    let results: Vec<_> = (1..=4).map(|n| member.emit("e", n).is_ok()).collect();
    assert_eq!(results, [true, true, true, false], "from the next event on");
    let asked = member.emit_with_ack::<_, ()>("q", ()).await;
    assert!(matches!(asked, Err(sockeye::AckError::Emit(EmitError::Full))), "{asked:?}");
    bob.close().await;
    net.assert_clean().await;
}

/// The newest takes the place of the one that waits: so it is not put off by being replaced.
#[tokio::test(start_paused = true)]
async fn the_latest_takes_the_place_of_the_one_before() {
    let (io, net, bob, socket) = tight().await;
    for n in 1..=50 {
        io.latest("bob").emit("place", ("bob", n)).unwrap();
        if n == 10 {
            socket.emit("e", "between").unwrap();
        }
        socket.latest("eve").emit("place", ("eve", n)).unwrap();
    }
    let queued = socket.queued();
    assert_eq!((queued.packets, queued.dropped, io.metrics().dropped_latest), (3, 98, 98));
    assert_eq!(heard(&bob).await, ["42[\"place\",\"bob\",50]", "42[\"place\",\"eve\",50]", "42[\"e\",\"between\"]"]);
    socket.latest("bob").emit("place", ("bob", 51)).unwrap();
    assert_eq!(heard(&bob).await, ["42[\"place\",\"bob\",51]"], "nothing waits in the place of what was sent");
    bob.close().await;
    net.assert_clean().await;
}

/// Keys are those of one socket, and what is not of the kind is never replaced.
#[tokio::test(start_paused = true)]
async fn keys_are_those_of_one_namespace() {
    let io = Server::new();
    let net = Net::new(&io);
    let bob = net.polling().await;
    let socket = io.get(&bob.join().await).unwrap();
    let other = io.of("/other");
    bob.send("40/other,").await;
    heard(&bob).await;
    for n in 1..=3 {
        io.latest("key").emit("e", n).unwrap();
        other.latest("key").emit("e", n).unwrap();
        socket.emit("e", 10 + n).unwrap();
        io.volatile().latest("key").emit("e", 20 + n).unwrap();
    }
    let expected = ["42[\"e\",3]", "42/other,[\"e\",3]", "42[\"e\",11]", "42[\"e\",12]", "42[\"e\",13]"];
    assert_eq!(heard(&bob).await, expected, "what is volatile is dropped, whatever its key");
    bob.close().await;
    net.assert_clean().await;
}

/// Places are counted; what is dropped to make room must not let one packet be taken for another.
#[tokio::test(start_paused = true)]
async fn what_is_dropped_to_make_room_is_not_replaced() {
    for essential in [false, true] {
        let io = Server::builder().outbox(1_000_000, 4).when_full(WhenFull::DropOldest).build().unwrap();
        io.of("/late");
        let net = Net::new(&io);
        let bob = net.polling().await;
        let socket = io.get(&bob.join().await).unwrap();
        if essential {
            bob.send("40/nowhere,").await;
        }
        let mut expected = Vec::new();
        for n in 0..20 {
            socket.latest(format!("key {}", n % 5)).emit("e", n).unwrap();
            socket.emit("f", n).unwrap();
            expected.extend([format!("42[\"e\",{n}]"), format!("42[\"f\",{n}]")]);
        }
        let mut arrived = heard(&bob).await;
        if essential {
            assert_eq!(arrived.remove(0), "44/nowhere,{\"message\":\"Invalid namespace\"}");
        }
        assert_eq!(arrived, expected[expected.len() - arrived.len()..], "essential: {essential}");
        assert_eq!(io.metrics().dropped_full + arrived.len() as u64, 40, "all are counted");
        bob.close().await;
        net.assert_clean().await;
    }
}

/// It would be more than the outbox holds, though one is replaced.
#[tokio::test(start_paused = true)]
async fn a_larger_value_that_finds_no_room_meets_the_policy() {
    let io = Server::builder().outbox(1_000, 10).when_full(WhenFull::Fail).build().unwrap();
    let net = Net::new(&io);
    let bob = net.polling().await;
    let socket = io.get(&bob.join().await).unwrap();
    socket.latest("a").emit("e", "x".repeat(100)).unwrap();
    socket.latest("b").emit("e", "x".repeat(100)).unwrap();
    assert!(matches!(socket.latest("a").emit("e", "x".repeat(900)), Err(EmitError::Full)));
    socket.latest("a").emit("e", "y".repeat(200)).unwrap();
    let expected = [format!("42[\"e\",\"{}\"]", "y".repeat(200)), format!("42[\"e\",\"{}\"]", "x".repeat(100))];
    assert_eq!(heard(&bob).await, expected);
    bob.close().await;
    net.assert_clean().await;
}

/// What replaces another has no number, as it may overtake what has: clients must not take a text for one.
#[tokio::test(start_paused = true)]
async fn the_latest_is_not_kept_for_recovery() {
    let io = Server::builder().recovery(sockeye::Recovery::default()).build().unwrap();
    let net = Net::new(&io);
    let bob = net.polling().await;
    bob.send("40").await;
    heard(&bob).await;
    let [socket] = &io.of("/").sockets()[..] else { panic!("one has joined") };
    io.emit("e", "kept").unwrap();
    io.latest("key").emit("state", "old").unwrap();
    socket.latest("key").emit("state", "new").unwrap();
    socket.latest("none").emit("state", ()).unwrap();
    let arrived = heard(&bob).await;
    assert!(arrived[0].starts_with("42[\"e\",\"kept\",\""), "{arrived:?}");
    assert_eq!(arrived[1..], ["42[\"state\",\"new\",null]", "42[\"state\",null]"]);
    assert_eq!(io.metrics().recovery_events, 1);
    bob.close().await;
    net.advance(secs(300)).await;
    net.assert_clean().await;
}

/// A hundred times as much as an outbox holds, to a client that reads what it likes: all of it arrives.
#[tokio::test(start_paused = true)]
async fn who_waits_for_room_loses_nothing() {
    const SENT: u32 = 2_000;
    let io = Server::builder().outbox(20_000, 1_000).build().unwrap();
    let net = Net::new(&io);
    let (mut alice, id) = net.with_buffer(2_048).join().await;
    let socket = io.get(&id).unwrap();
    let writer = tokio::spawn(async move {
        for n in 0..SENT {
            socket.ready().await;
            socket.emit("e", (n, "x".repeat(100))).unwrap();
            assert!(socket.queued().bytes <= 11_000);
        }
    });
    for n in 0..SENT {
        if n % 100 == 0 {
            net.advance(secs(10)).await;
        }
        loop {
            match alice.next().await {
                Some(Frame::Text(text)) if text == "2" => alice.send("3").await,
                Some(Frame::Text(text)) => {
                    assert!(text.starts_with(&format!("42[\"e\",{n},")), "{n}: {text}");
                    break;
                }
                other => panic!("{n}: {other:?}"),
            }
        }
    }
    writer.await.unwrap();
    assert_eq!(io.metrics().slow_consumers, 0);
    alice.close().await;
    net.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn drained_means_taken_by_the_transport() {
    let (io, net) = plain();
    // A poll that waits is room for one body; who comes again has got it.
    let bob = net.polling().await;
    let socket = io.get(&bob.join().await).unwrap();
    for _ in 0..2 {
        socket.emit("e", 1).unwrap();
        let waiting = tokio::spawn({
            let socket = socket.clone();
            async move { socket.drained().await }
        });
        assert_eq!(heard(&bob).await, ["42[\"e\",1]"]);
        settle().await;
        assert!(!waiting.is_finished(), "nobody knows whether it has come");
        let poll = bob.get();
        waiting.await.unwrap().unwrap();
        socket.drained().await.expect("at once");
        socket.emit("e", 2).unwrap();
        assert_eq!(poll.answer().await.text(), "42[\"e\",2]");
    }
    bob.close().await;
    assert!(matches!(socket.drained().await, Err(EmitError::Closed)));
    // A WebSocket that is stuck takes nothing.
    let (mut alice, id) = net.with_buffer(1_024).join().await;
    let socket = io.get(&id).unwrap();
    socket.drained().await.expect("nothing waits");
    socket.emit("e", "x".repeat(100_000)).unwrap();
    let waiting = tokio::spawn({
        let socket = socket.clone();
        async move { socket.drained().await }
    });
    settle().await;
    assert!(!waiting.is_finished());
    alice.next().await;
    waiting.await.unwrap().unwrap();
    alice.close().await;
    net.assert_clean().await;
}

/// Who waits for a client that leaves is told; who gives up waiting leaves nothing.
#[tokio::test(start_paused = true)]
async fn nobody_waits_for_who_has_left() {
    let (io, net, bob, socket) = tight().await;
    for n in 0..3 {
        socket.emit("e", n).unwrap();
    }
    for _ in 0..1_000 {
        assert!(tokio::time::timeout(millis(1), socket.drained()).await.is_err());
        assert!(tokio::time::timeout(millis(1), socket.ready()).await.is_err());
    }
    let drained = tokio::spawn({
        let socket = socket.clone();
        async move { socket.drained().await }
    });
    let ready = tokio::spawn({
        let socket = socket.clone();
        async move { socket.ready().await }
    });
    settle().await;
    assert!(socket.emit("e", 4).is_err(), "too much: it is disconnected");
    assert!(matches!(drained.await.unwrap(), Err(EmitError::Closed)));
    ready.await.unwrap();
    socket.ready().await;
    assert_eq!(heard(&bob).await, ["1"]);
    assert_eq!(io.metrics().slow_consumers, 1);
    net.assert_clean().await;
}

/// In a handler of the same socket, which is run by the task that writes.
#[tokio::test(start_paused = true)]
async fn handlers_may_wait_for_their_own_client() {
    let io = Server::builder().outbox(2_000, 1_000).build().unwrap();
    io.on("rows", async |socket: Socket, count: u32| -> Result<(), EmitError> {
        for n in 0..count {
            socket.ready().await;
            socket.emit("row", (n, "x".repeat(500)))?;
        }
        socket.drained().await?;
        socket.emit("done", ())
    });
    let net = Net::new(&io);
    let (mut alice, _) = net.with_buffer(1_024).join().await;
    alice.send("42[\"rows\",300]").await;
    let texts = alice.drain().await;
    assert_eq!((texts.len(), texts.last().map(String::as_str)), (301, Some("42[\"done\"]")));
    alice.close().await;
    net.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn it_is_known_for_how_long_a_client_has_been_behind() {
    let (io, net) = plain();
    let bob = net.polling().await;
    let socket = io.get(&bob.join().await).unwrap();
    assert_eq!(socket.queued(), sockeye::Queued::default());
    let began = Instant::now();
    socket.emit("e", "x".repeat(1_000_000)).unwrap();
    settle().await;
    net.advance(secs(3)).await;
    socket.emit("e", 1).unwrap();
    net.advance(secs(4)).await;
    let queued = socket.queued();
    assert_eq!((queued.packets, queued.oldest), (2, Some(began.elapsed())));
    assert_eq!(queued.oldest, Some(secs(7)));
    assert_eq!(heard(&bob).await.len(), 1, "one body is full");
    assert_eq!((socket.queued().packets, socket.queued().oldest), (1, Some(secs(4))));
    assert_eq!(heard(&bob).await, ["42[\"e\",1]"]);
    assert_eq!(socket.queued(), sockeye::Queued::default());
    socket.volatile().emit("e", 2).unwrap();
    assert_eq!(socket.queued().dropped, 1, "since it connected");
    bob.close().await;
    net.assert_clean().await;
}

/// A socket that comes after another in the same namespace, or in its place, replaces nothing of it.
#[tokio::test(start_paused = true)]
async fn a_new_socket_replaces_nothing_of_the_one_before() {
    let io = Server::new();
    for path in ["/a", "/b"] {
        io.of(path).on_connect(async |socket| socket.latest("state").emit("state", "new").unwrap());
    }
    let net = Net::new(&io);
    let bob = net.polling().await;
    bob.join().await;
    bob.send("40/a,").await;
    heard(&bob).await;
    for path in ["/a", "/b"] {
        let old = io.of("/a").sockets().remove(0);
        old.latest("state").emit("state", "old").unwrap();
        old.latest("state").emit("state", "old").unwrap();
        bob.send(&format!("41/a,\u{1e}40{path},")).await;
        let arrived = heard(&bob).await;
        assert_eq!(arrived[0], "42/a,[\"state\",\"old\"]", "{arrived:?}");
        assert!(arrived[1].starts_with(&format!("40{path},")), "{arrived:?}");
        assert_eq!(arrived[2..], [format!("42{path},[\"state\",\"new\"]")]);
    }
    bob.close().await;
    net.assert_clean().await;
}

/// Its connection may be full of what is for others.
#[tokio::test(start_paused = true)]
async fn nobody_waits_for_a_socket_that_has_left_its_namespace() {
    let (io, net, bob, socket) = tight().await;
    let other = io.of("/other");
    bob.send("40/other,").await;
    heard(&bob).await;
    let stays = other.sockets().remove(0);
    for n in 0..3 {
        stays.emit("e", n).unwrap();
    }
    let waiting = tokio::spawn({
        let socket = socket.clone();
        async move { (socket.ready().await, socket.drained().await) }
    });
    settle().await;
    assert!(!waiting.is_finished());
    bob.send("41").await;
    settle().await;
    assert!(!socket.is_connected());
    assert!(tokio::time::timeout(millis(1), socket.ready()).await.is_ok());
    let drained = tokio::time::timeout(millis(1), socket.drained()).await;
    assert!(matches!(drained, Ok(Err(EmitError::Closed))), "{drained:?}");
    assert!(waiting.is_finished(), "told when it leaves");
    assert!(matches!(waiting.await.unwrap().1, Err(EmitError::Closed)));
    assert_eq!(heard(&bob).await.len(), 3);
    bob.close().await;
    net.assert_clean().await;
}

/// What it has sent, and nobody reads until a handler goes on, may hold its answers to heartbeats: it is waited for as long
/// as it takes what is written, and no longer.
#[tokio::test(start_paused = true)]
async fn who_reads_nothing_is_given_up_however_much_it_has_sent() {
    let io = Server::builder().outbox(2_000, 1_000).max_waiting_events(4, 100_000).build().unwrap();
    io.on("rows", async |socket: Socket, _: String| {
        for n in 0..100 {
            socket.ready().await;
            socket.emit("row", (n, "x".repeat(500)))?;
        }
        Ok::<_, EmitError>(())
    });
    let net = Net::new(&io);
    let (mut alice, id) = net.with_buffer(1_024).join().await;
    let socket = io.get(&id).unwrap();
    let (read, mut may_read) = tokio::sync::mpsc::channel(1);
    let client = tokio::spawn(async move {
        // Five wait; of the last, 16 KiB are read ahead, and the rest is on its way.
        for length in [0, 0, 0, 0, 0, 16_800] {
            alice.send(&format!("42[\"rows\",\"{}\"]", "x".repeat(length))).await;
        }
        while may_read.recv().await.is_some() {
            alice.next().await;
        }
        alice
    });
    // Slowly, and for longer than a heartbeat takes.
    for _ in 0..20 {
        net.advance(secs(9)).await;
        assert!(socket.is_connected(), "{:?}", socket.last_disconnect());
        let _ = read.try_send(());
    }
    net.advance(secs(46)).await;
    assert!(!socket.is_connected());
    let cause = socket.last_disconnect().unwrap().cause;
    assert!(matches!(cause, sockeye::Cause::PingTimeout { .. }), "{cause:?}");
    client.abort();
    net.advance(secs(90)).await;
    net.assert_clean().await;
}
