//! Every way a socket can end: `on_disconnect` is called once, with the official reason, and rooms can still be read.

use std::sync::{Arc, Mutex};

use sockeye::{EmitError, Limit, WhenFull};

use crate::common::*;

/// What is watched of one socket's end.
struct Scene {
    io: Server,
    net: Net,
    log: Log,
    kept: Arc<Mutex<Option<Socket>>>,
}

fn scene() -> Scene {
    let io =
        Server::builder().max_payload(10_000).outbox(50_000, 1_000).when_full(WhenFull::Disconnect).build().unwrap();
    let (log, kept) = (Log::default(), Arc::<Mutex<Option<Socket>>>::default());
    let keep = Arc::clone(&kept);
    io.on_connect(async move |socket: Socket| {
        socket.join(["a", "b"]);
        *keep.lock().unwrap() = Some(socket);
    });
    let seen = log.clone();
    io.on_disconnect(async move |socket: Socket, reason| {
        seen.add(reason);
        assert_eq!(socket.rooms(), [socket.id(), "a", "b"]);
        assert!(!socket.is_connected());
        socket.join("after");
        assert_eq!(socket.rooms().len(), 3, "a join after the end is refused");
        assert!(matches!(socket.emit("late", ()), Err(EmitError::Closed)));
    });
    let net = Net::new(&io);
    Scene { io, net, log, kept }
}

impl Scene {
    async fn ended(&self, cause: &str, reason: &str) {
        settle().await;
        assert_eq!(self.log.take(), [reason], "{cause}");
        assert_eq!(self.io.metrics().handler_errors, 0, "{cause}");
        let socket = self.kept.lock().unwrap().take().unwrap();
        assert_eq!(socket.queued().packets, 0, "{cause}: a handle that is kept holds no buffers");
        assert!(matches!(socket.emit("late", "x".repeat(1000)), Err(EmitError::Closed)), "{cause}");
        assert!(matches!(socket.emit_with_ack::<_, ()>("late", ()).await, Err(sockeye::AckError::Emit(_))), "{cause}");
        socket.disconnect();
        socket.disconnect_and_close();
        assert!(self.io.get(socket.id()).is_none(), "{cause}");
        settle().await;
        self.net.advance(secs(90)).await;
        assert_eq!(self.log.take(), [""; 0], "{cause}: once is enough");
        self.net.assert_clean().await;
        let counted: Vec<_> = self.io.metrics().disconnects.iter().filter(|(_, count)| *count > 0).collect();
        let is_limit = [Limit::AttachmentTime, Limit::Payload].iter().any(|limit| limit.as_str() == reason);
        assert_eq!(counted, [(if is_limit { "limit exceeded" } else { reason }, 1)], "{cause}");
    }
}

async fn websocket(cause: &str, reason: &str, act: impl AsyncFnOnce(&Scene, WebSocket) -> Option<WebSocket>) {
    let scene = scene();
    let (alice, _) = scene.net.join().await;
    let alice = act(&scene, alice).await;
    settle().await;
    // Only now does the client go, if the cause has not been that.
    scene.ended(cause, reason).await;
    drop(alice);
}

async fn polling(cause: &str, reason: &str, act: impl AsyncFnOnce(&Scene, Polling)) {
    let scene = scene();
    let bob = scene.net.polling().await;
    bob.join().await;
    act(&scene, bob).await;
    scene.ended(cause, reason).await;
}

#[tokio::test(start_paused = true)]
async fn by_the_client_over_websocket() {
    websocket("DISCONNECT", "client namespace disconnect", async |_, mut alice| {
        alice.send("41").await;
        Some(alice)
    })
    .await;
    websocket("CLOSE", "transport close", async |_, mut alice| {
        alice.send("1").await;
        Some(alice)
    })
    .await;
    websocket("close frame", "transport close", async |_, alice| {
        alice.close().await;
        None
    })
    .await;
    websocket("FIN", "transport close", async |_, _| None).await;
    websocket("RST", "transport error", async |_, alice| {
        alice.reset();
        None
    })
    .await;
    websocket("silence", "ping timeout", async |scene, alice| {
        scene.net.advance(secs(46)).await;
        Some(alice)
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn by_breaking_a_protocol_over_websocket() {
    websocket("packet", "parse error", async |_, mut alice| {
        alice.send("x").await;
        Some(alice)
    })
    .await;
    websocket("event", "forced close", async |_, mut alice| {
        alice.send("42[").await;
        Some(alice)
    })
    .await;
    websocket("frame", "transport error", async |_, mut alice| {
        alice.send_frame(0xf1, b"x").await;
        Some(alice)
    })
    .await;
    websocket("size", "message too large", async |_, mut alice| {
        alice.send(&"4".repeat(10_001)).await;
        Some(alice)
    })
    .await;
    websocket("attachments", "attachments did not arrive in time", async |scene, mut alice| {
        alice.send("451-[\"a\",{\"_placeholder\":true,\"num\":0}]").await;
        for _ in 0..3 {
            scene.net.advance(secs(25)).await;
            alice.send("3").await;
        }
        Some(alice)
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn by_the_server_over_websocket() {
    websocket("disconnect", "server namespace disconnect", async |scene, mut alice| {
        scene.kept.lock().unwrap().as_ref().unwrap().disconnect();
        alice.expect("41").await;
        alice.expect_nothing().await;
        Some(alice)
    })
    .await;
    websocket("disconnect and close", "server namespace disconnect", async |scene, mut alice| {
        let socket = scene.kept.lock().unwrap().clone().unwrap();
        socket.emit("last words", ()).unwrap();
        socket.disconnect_and_close();
        alice.expect("42[\"last words\"]").await;
        alice.expect("41").await;
        alice.expect_closed(None).await;
        Some(alice)
    })
    .await;
    websocket("room", "server namespace disconnect", async |scene, alice| {
        scene.io.to("a").disconnect().unwrap();
        Some(alice)
    })
    .await;
    websocket("shutdown", "server shutting down", async |scene, alice| {
        scene.io.close(secs(1)).await;
        Some(alice)
    })
    .await;
    websocket("slow consumer", "slow consumer", async |scene, alice| {
        while scene.io.get(scene.kept.lock().unwrap().as_ref().unwrap().id()).is_some() {
            scene.io.emit("flood", "x".repeat(5_000)).unwrap();
            settle().await;
        }
        Some(alice)
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn by_the_client_over_polling() {
    polling("DISCONNECT", "client namespace disconnect", async |_, bob| bob.send("41").await).await;
    polling("CLOSE", "transport close", async |_, bob| bob.send("1").await).await;
    polling("CLOSE with a poll", "transport close", async |_, bob| {
        let waiting = bob.get();
        waiting.expect_waiting().await;
        bob.send("1").await;
        waiting.expect(200, "6").await;
    })
    .await;
    polling("aborted GET", "transport error", async |_, bob| {
        let waiting = bob.get();
        waiting.expect_waiting().await;
        drop(waiting);
    })
    .await;
    polling("silence", "ping timeout", async |scene, _| scene.net.advance(secs(46)).await).await;
    polling("silence with a poll", "ping timeout", async |scene, bob| {
        let waiting = bob.get();
        scene.net.advance(secs(46)).await;
        waiting.expect(200, "2").await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn by_breaking_a_protocol_over_polling() {
    polling("packet", "parse error", async |_, bob| bob.send("x").await).await;
    polling("event", "forced close", async |_, bob| bob.send("42[").await).await;
    polling("second GET", "transport error", async |_, bob| {
        let (first, second) = (bob.get(), bob.get());
        second.expect(400, "{\"code\":3,\"message\":\"Bad request\"}").await;
        first.expect(200, "1").await;
    })
    .await;
    polling("binary body", "transport error", async |scene, bob| {
        let binary = [("content-type", "application/octet-stream")];
        scene.net.request("POST", &bob.target(), &binary, "x").expect(400, "").await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn by_the_server_over_polling() {
    polling("disconnect", "server namespace disconnect", async |scene, bob| {
        scene.kept.lock().unwrap().as_ref().unwrap().disconnect();
        bob.expect("41").await;
    })
    .await;
    polling("disconnect and close", "server namespace disconnect", async |scene, bob| {
        let waiting = bob.get();
        waiting.expect_waiting().await;
        scene.kept.lock().unwrap().as_ref().unwrap().disconnect_and_close();
        waiting.expect(200, "41").await;
        bob.expect("1").await;
    })
    .await;
    polling("shutdown", "server shutting down", async |scene, bob| {
        let waiting = bob.get();
        waiting.expect_waiting().await;
        scene.io.close(secs(1)).await;
        waiting.expect(200, "1").await;
    })
    .await;
    polling("slow consumer", "slow consumer", async |scene, _| {
        for _ in 0..20 {
            scene.io.emit("flood", "x".repeat(5_000)).unwrap();
        }
    })
    .await;
}

/// What a user captures in a handler is often the socket itself.
#[tokio::test(start_paused = true)]
async fn handlers_of_a_socket_are_dropped_with_it() {
    let (io, net) = plain();
    let witness = Arc::new(());
    let held = Arc::clone(&witness);
    io.on_connect(async move |socket: Socket| {
        let (mine, held) = (socket.clone(), (Arc::clone(&held), Arc::clone(&held), Arc::clone(&held)));
        socket.on("x", {
            let (mine, held) = (mine.clone(), held.0);
            async move |_, (): ()| drop((mine, held))
        });
        socket.on_disconnect({
            let (mine, held) = (mine.clone(), held.1);
            async move |_, _| {
                mine.on("too late", async move |_, (): ()| drop(held));
            }
        });
        socket.on_any_outgoing({
            let mine = mine.clone();
            move |_, _| assert!(mine.is_connected())
        });
        socket.on_any(async move |_, _| drop((mine, held.2)));
    });
    let (alice, _) = net.join().await;
    assert!(Arc::strong_count(&witness) > 2);
    alice.close().await;
    net.assert_clean().await;
    assert_eq!(Arc::strong_count(&witness), 2, "the test and `on_connect`");
}

#[tokio::test(start_paused = true)]
async fn one_on_disconnect_that_fails_does_not_keep_the_next_from_being_called() {
    let (io, net) = plain();
    let log = Log::default();
    let errors = log.clone();
    io.on_error(move |_, error| errors.add(error));
    io.on_disconnect(async |_, _| -> () { panic!("on purpose") });
    io.on_disconnect(async |_, _| Err::<(), _>("no"));
    let last = log.clone();
    io.on_disconnect(async move |_, _| last.add("last"));
    let own = log.clone();
    io.on_connect(async move |socket: Socket| socket.on_disconnect(async move |_, _| own.add("own")));
    net.join().await.0.close().await;
    assert_eq!(
        log.take(),
        ["handler of \"disconnect\": the handler panicked", "handler of \"disconnect\": no", "last", "own"]
    );
    net.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn on_disconnect_is_not_held_up_by_a_handler_that_is_still_running() {
    let (io, net) = plain();
    let log = Log::default();
    let (slow, left) = (log.clone(), log.clone());
    io.on("slow", async move |_, (): ()| {
        tokio::time::sleep(secs(5)).await;
        slow.add("slow");
    });
    io.on_disconnect(async move |_, _| left.add("left"));
    let (mut alice, _) = net.join().await;
    alice.send("42[\"slow\"]").await;
    alice.close().await;
    assert_eq!(log.take(), ["left"]);
    assert_eq!(io.metrics().tasks, 1, "the handler runs to its end");
    net.advance(secs(5)).await;
    assert_eq!(log.take(), ["slow"]);
    net.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_left_its_last_namespace_must_join_another_in_time() {
    let io = Server::builder().ping_interval(secs(1000)).build().unwrap();
    let net = Net::new(&io);
    let (mut alice, _) = net.join().await;
    net.advance(secs(100)).await;
    alice.send("41").await;
    net.advance(secs(44)).await;
    alice.send("40").await;
    alice.expect("40{\"sid\":\"…\"}").await;
    net.advance(secs(100)).await;
    alice.send("41").await;
    net.advance(millis(45_001)).await;
    alice.expect_closed(Some(1008)).await;
    net.assert_clean().await;
}

/// Who leaves and joins again leaves its events behind; they wait as before, and are counted.
#[tokio::test(start_paused = true)]
async fn events_that_a_leaver_leaves_behind_are_counted() {
    let io = Server::builder().max_waiting_events(10, 1_000_000).ping_interval(secs(600)).build().unwrap();
    let net = Net::new(&io);
    io.on("slow", async |_, (): ()| tokio::time::sleep(secs(60)).await);
    let (mut alice, _) = net.join().await;
    let before = io.metrics().messages_received;
    for _ in 0..100 {
        alice.send_all(&["42[\"slow\"]", "42[\"slow\"]", "42[\"slow\"]", "42[\"slow\"]", "41", "40"]).await;
    }
    // In each round one runs, three wait, and the socket that has left counts as one.
    let read = io.metrics().messages_received - before;
    assert!((12..=18).contains(&read), "{read}");
    drop(alice);
    net.advance(secs(100_000)).await;
    net.assert_clean().await;
}

/// Sockets that have left are kept for as long as their handlers run: their number is bounded as that of namespaces.
#[tokio::test(start_paused = true)]
async fn sockets_that_have_left_are_counted() {
    let io = Server::builder().max_namespaces(3).ping_interval(secs(600)).build().unwrap();
    let net = Net::new(&io);
    io.on("slow", async |_, (): ()| tokio::time::sleep(secs(60)).await);
    let (mut alice, _) = net.join().await;
    let before = io.metrics().messages_received;
    for _ in 0..20 {
        alice.send_all(&["42[\"slow\"]"]).await;
        alice.send_all(&["41"]).await;
        alice.send_all(&["40"]).await;
    }
    // One more than there may be namespaces; it is read on when they have ended.
    assert_eq!(io.metrics().messages_received - before, 3 * 3 + 2);
    net.advance(secs(61)).await;
    assert_eq!(io.metrics().messages_received - before, 2 * (3 * 3 + 2) + 1);
    drop(alice);
    net.advance(secs(1_000)).await;
    net.assert_clean().await;
}
