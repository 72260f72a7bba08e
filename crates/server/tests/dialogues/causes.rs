//! What `last_disconnect` says of each way in which a socket can end, and of the times before it.

use std::io;
use std::sync::{Arc, Mutex};

use sockeye::{Cause, Disconnect, DisconnectReason, Limit, Queued, Recovery};

use crate::common::*;
use crate::polling::slow_body;

/// A server, and how sockets leave it.
struct Scene {
    io: Server,
    net: Net,
    left: Arc<Mutex<Vec<Disconnect>>>,
}

fn scene() -> Scene {
    let io = Server::builder().max_payload(10_000).build().unwrap();
    let left = Arc::<Mutex<Vec<Disconnect>>>::default();
    let seen = Arc::clone(&left);
    io.on_connect(async |socket: Socket| assert_eq!(socket.last_disconnect(), None));
    io.on_disconnect(async move |socket: Socket, reason| {
        let last = socket.last_disconnect().expect("it has left");
        assert_eq!(last.reason, reason);
        seen.lock().unwrap().push(last);
    });
    let net = Net::new(&io);
    Scene { io, net, left }
}

impl Scene {
    /// How the one socket left that there was.
    async fn left(&self) -> Disconnect {
        settle().await;
        let [last]: [Disconnect; 1] = std::mem::take(&mut *self.left.lock().unwrap()).try_into().expect("one socket");
        last
    }
}

/// Tenths of seconds: timers are late by a moment.
fn tenths(time: Duration) -> u128 {
    (time.as_millis() + 50) / 100
}

fn closed(code: Option<u16>, text: &str) -> Cause {
    Cause::Closed { code, text: text.into() }
}

async fn websocket(wanted: Cause, act: impl AsyncFnOnce(&Scene, WebSocket) -> Option<WebSocket>) {
    let scene = scene();
    let (alice, _) = scene.net.join().await;
    scene.net.advance(secs(7)).await;
    let alice = act(&scene, alice).await;
    let last = scene.left().await;
    assert_eq!((last.cause, tenths(last.age)), (wanted, 70));
    drop(alice);
    scene.net.assert_clean().await;
}

async fn polling(wanted: Cause, act: impl AsyncFnOnce(&Scene, &Polling)) {
    let scene = scene();
    let bob = scene.net.polling().await;
    bob.join().await;
    scene.net.advance(secs(7)).await;
    act(&scene, &bob).await;
    let last = scene.left().await;
    assert_eq!((last.cause, tenths(last.age)), (wanted, 70));
    scene.net.advance(secs(90)).await;
    scene.net.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn over_websocket() {
    websocket(Cause::ClientDisconnect, async |_, mut alice| {
        alice.send("41").await;
        Some(alice)
    })
    .await;
    websocket(closed(None, ""), async |_, mut alice| {
        alice.send("1").await;
        Some(alice)
    })
    .await;
    websocket(closed(Some(4000), "b\u{fc}e"), async |_, mut alice| {
        alice.send_frame(0x88, b"\x0f\xa0b\xc3\xbc\x1be").await;
        Some(alice)
    })
    .await;
    websocket(closed(None, ""), async |_, mut alice| {
        alice.send_frame(0x88, b"").await;
        Some(alice)
    })
    .await;
    websocket(Cause::Io(io::ErrorKind::UnexpectedEof), async |_, _| None).await;
    websocket(Cause::Io(io::ErrorKind::ConnectionReset), async |_, alice| {
        alice.reset();
        None
    })
    .await;
    for (packet, words) in
        [("x", "unknown packet type 0x78"), ("42[", "invalid json"), ("40", "namespace connected twice")]
    {
        websocket(Cause::Protocol(words.into()), async |_, mut alice| {
            alice.send(packet).await;
            Some(alice)
        })
        .await;
    }
    websocket(Cause::Protocol("reserved bit set".into()), async |_, mut alice| {
        alice.send_frame(0xf1, b"x").await;
        Some(alice)
    })
    .await;
    let limit = Cause::Limit { limit: Limit::Payload, actual: Some(10_001), bound: Some(10_000) };
    assert_eq!(limit.to_string(), "the client went beyond a limit: message too large (10001 bytes of at most 10000)");
    websocket(limit, async |_, mut alice| {
        alice.send(&"4".repeat(10_001)).await;
        Some(alice)
    })
    .await;
    websocket(Cause::ServerDisconnect, async |scene, alice| {
        scene.io.of("/").local().disconnect().unwrap();
        Some(alice)
    })
    .await;
    websocket(Cause::ServerShuttingDown, async |scene, alice| {
        scene.io.close(secs(1)).await;
        Some(alice)
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn over_polling() {
    let aborted = || Cause::Io(io::ErrorKind::ConnectionAborted);
    let misuse = |words: &str| Cause::Misuse(words.into());
    polling(Cause::ClientDisconnect, async |_, bob| bob.send("41").await).await;
    polling(closed(None, ""), async |_, bob| bob.send("1").await).await;
    polling(Cause::Protocol("unknown packet type 0x78".into()), async |_, bob| bob.send("x").await).await;
    polling(Cause::Protocol("invalid json".into()), async |_, bob| bob.send("42[").await).await;
    polling(aborted(), async |_, bob| {
        let waiting = bob.get();
        waiting.expect_waiting().await;
        drop(waiting);
    })
    .await;
    polling(misuse("a GET while another waits"), async |_, bob| {
        let (first, second) = (bob.get(), bob.get());
        second.expect(400, "{\"code\":3,\"message\":\"Bad request\"}").await;
        first.expect(200, "1").await;
    })
    .await;
    polling(misuse("a binary body"), async |scene, bob| {
        let binary = [("content-type", "application/octet-stream")];
        scene.net.request("POST", &bob.target(), &binary, "x").expect(400, "").await;
    })
    .await;
    polling(misuse("a POST while another is under way"), async |scene, bob| {
        let (_sending, body) = slow_body();
        let first = scene.net.send(http::Request::builder().method("POST").uri(bob.target()).body(body).unwrap());
        first.expect_waiting().await;
        bob.post("3").expect(400, "").await;
    })
    .await;
    polling(aborted(), async |scene, bob| {
        let (_sending, body) = slow_body();
        let first = scene.net.send(http::Request::builder().method("POST").uri(bob.target()).body(body).unwrap());
        first.expect_waiting().await;
        drop(first);
    })
    .await;
    polling(Cause::Limit { limit: Limit::Depth, actual: Some(129), bound: Some(128) }, async |_, bob| {
        let deep = format!("42[\"x\",{}{}]", "[".repeat(128), "]".repeat(128));
        bob.post(&deep).expect(400, "{\"code\":3,\"message\":\"nested too deep\"}").await;
    })
    .await;
    polling(Cause::ServerDisconnect, async |scene, bob| {
        scene.io.of("/").local().disconnect().unwrap();
        bob.expect("41").await;
    })
    .await;
    polling(Cause::ServerShuttingDown, async |scene, bob| {
        let waiting = bob.get();
        waiting.expect_waiting().await;
        scene.io.close(secs(1)).await;
        waiting.expect(200, "1").await;
    })
    .await;
}

/// The client pinged once in vain: 25 s after it was heard, and 20 s before the end.
#[tokio::test(start_paused = true)]
async fn a_ping_timeout_tells_its_ages() {
    let scene = scene();
    let (mut alice, _) = scene.net.join().await;
    scene.net.advance(secs(25)).await;
    alice.expect("2").await;
    scene.net.advance(secs(5)).await;
    // A packet puts the end off once.
    alice.send("42[\"x\"]").await;
    scene.net.advance(millis(20_100)).await;
    let last = scene.left().await;
    let Cause::PingTimeout { heard, pinged: Some(pinged) } = last.cause else { panic!("{last:?}") };
    assert_eq!([heard, pinged, last.age, last.idle].map(tenths), [200, 250, 500, 200]);
    assert_eq!(
        last.to_string(),
        "ping timeout: no answer to a heartbeat in time: the client was last heard 20.0 s ago, and pinged 25.0 s ago"
    );
    drop(alice);
    scene.net.assert_clean().await;
}

/// Whose GETs do not come gets no ping, either.
#[tokio::test(start_paused = true)]
async fn a_ping_timeout_by_polling_tells_whether_a_ping_was_asked_for() {
    for asks in [true, false] {
        let scene = scene();
        let bob = scene.net.polling().await;
        bob.join().await;
        let waiting = asks.then(|| bob.get());
        scene.net.advance(millis(45_100)).await;
        let last = scene.left().await;
        let Cause::PingTimeout { heard, pinged } = last.cause else { panic!("{last:?}") };
        assert_eq!((tenths(heard), pinged.map(tenths)), (450, asks.then_some(200)));
        assert_eq!(tenths(last.idle), if asks { 200 } else { 450 });
        if let Some(waiting) = waiting {
            waiting.expect(200, "2").await;
        }
        scene.net.advance(secs(45)).await;
        scene.net.assert_clean().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_breaks_tells_how_long_it_was_idle() {
    let scene = scene();
    let (mut alice, _) = scene.net.join().await;
    scene.net.advance(secs(10)).await;
    alice.send("42[\"x\"]").await;
    scene.net.advance(secs(15)).await;
    // The ping is traffic, too.
    alice.expect("2").await;
    scene.net.advance(secs(9)).await;
    drop(alice);
    let last = scene.left().await;
    assert_eq!([last.age, last.idle].map(tenths), [340, 90]);
    assert_eq!(last.to_string(), "transport close: the connection ended without a word, after 9.0 s without traffic");
    scene.net.assert_clean().await;
}

/// A stream that is probed and breaks is no cause of what ends the session later.
#[tokio::test(start_paused = true)]
async fn an_upgrade_that_broke_is_not_to_blame() {
    let scene = scene();
    let bob = scene.net.polling().await;
    bob.join().await;
    let target = format!("/socket.io/?EIO=4&transport=websocket&sid={}", bob.sid());
    let mut alice = scene.net.open(&target, &[]).await;
    alice.send("2probe").await;
    alice.expect("3probe").await;
    alice.reset();
    settle().await;
    bob.send("1").await;
    assert_eq!(scene.left().await.cause, closed(None, ""));
    scene.net.assert_clean().await;
}

/// Each socket of a connection has its own end.
#[tokio::test(start_paused = true)]
async fn who_left_one_namespace_is_told_so_when_the_connection_ends_later() {
    let scene = scene();
    let left = Arc::clone(&scene.left);
    let admin = scene.io.of("/admin");
    admin.on_disconnect(async move |socket: Socket, _| left.lock().unwrap().push(socket.last_disconnect().unwrap()));
    let (mut alice, id) = scene.net.join().await;
    let kept = scene.io.get(&id).unwrap();
    alice.send("40/admin,").await;
    alice.expect("40/admin,{\"sid\":\"…\"}").await;
    alice.send("41").await;
    assert_eq!(scene.left().await.cause, Cause::ClientDisconnect);
    alice.send_frame(0x88, b"\x03\xe8").await;
    assert_eq!(scene.left().await.cause, closed(Some(1000), ""));
    assert_eq!(kept.last_disconnect().map(|last| last.cause), Some(Cause::ClientDisconnect), "as before");
    drop(alice);
    scene.net.assert_clean().await;
}

/// Whoever comes back while the old connection still seems to be there takes its place.
#[tokio::test(start_paused = true)]
async fn a_connection_that_is_replaced_says_so() {
    let io = Server::builder().recovery(Recovery::default()).build().unwrap();
    let left = Arc::<Mutex<Vec<Disconnect>>>::default();
    let seen = Arc::clone(&left);
    io.on_disconnect(async move |socket: Socket, _| seen.lock().unwrap().push(socket.last_disconnect().unwrap()));
    let net = Net::new(&io);
    let mut alice = net.websocket().await;
    alice.send("40").await;
    let pid = alice.expect("40{\"sid\":\"…\",\"pid\":\"…\"}").await.remove(1);
    io.emit("x", ()).unwrap();
    let offset = alice.expect("42[\"x\",\"…\"]").await.remove(0);
    let mut again = net.websocket().await;
    again.send(&format!("40{{\"pid\":\"{pid}\",\"offset\":\"{offset}\"}}")).await;
    settle().await;
    let last = left.lock().unwrap().remove(0);
    assert_eq!((last.reason, last.cause), (DisconnectReason::TransportClose, Cause::Replaced));
}

/// The protocol's own packets may be twice as many.
#[tokio::test(start_paused = true)]
async fn a_client_that_asks_and_never_reads_is_told_what_it_may() {
    let io = Server::builder().outbox(1_000_000, 3).build().unwrap();
    let left = Arc::<Mutex<Option<Disconnect>>>::default();
    let seen = Arc::clone(&left);
    io.on_disconnect(async move |socket: Socket, _| *seen.lock().unwrap() = socket.last_disconnect());
    let net = Net::new(&io);
    let bob = net.polling().await;
    bob.join().await;
    bob.send(&["40/nowhere,"; 7].join("\u{1e}")).await;
    settle().await;
    let cause = left.lock().unwrap().take().map(|last| last.cause);
    assert_eq!(cause, Some(Cause::Limit { limit: Limit::Outbox, actual: Some(6), bound: Some(6) }));
    net.advance(secs(90)).await;
    net.assert_clean().await;
}

/// A POST that waits for the handlers is looked at again and again; the client has said nothing by that.
#[tokio::test(start_paused = true)]
async fn a_request_that_waits_is_heard_once() {
    let io = Server::builder().max_waiting_events(1, 10_000).build().unwrap();
    let left = Arc::<Mutex<Option<Disconnect>>>::default();
    let seen = Arc::clone(&left);
    io.on("x", async |_, (): ()| std::future::pending::<()>().await);
    io.on_disconnect(async move |socket: Socket, _| *seen.lock().unwrap() = socket.last_disconnect());
    let net = Net::new(&io);
    let bob = net.polling().await;
    let socket = io.get(&bob.join().await).unwrap();
    let posting = bob.post("42[\"x\"]\u{1e}42[\"x\"]\u{1e}42[\"x\"]");
    for _ in 0..8 {
        net.advance(secs(5)).await;
        socket.emit("y", ()).unwrap();
    }
    net.advance(millis(5_100)).await;
    let last = left.lock().unwrap().take().unwrap();
    let Cause::PingTimeout { heard, .. } = last.cause else { panic!("{last:?}") };
    assert_eq!(tenths(heard), 450);
    drop(posting);
}

/// Four of eight that were as idle make the fifth no accident; what the client says is none, and what it does at once.
#[tokio::test(start_paused = true)]
async fn connections_that_break_after_the_same_silence_are_told_to_be_regular() {
    let scene = scene();
    let mut regular = Vec::new();
    for idle in [10_000, 10_300, 7_000, 9_700, 0, 10_000, 10_100, 8_000] {
        let (alice, _) = scene.net.join().await;
        scene.net.advance(millis(idle)).await;
        alice.reset();
        let last = scene.left().await;
        assert_eq!(tenths(last.idle), tenths(millis(idle)));
        assert_eq!(last.to_string().ends_with(", as others before: perhaps the timeout of a proxy"), last.is_regular);
        regular.push(last.is_regular);
    }
    assert_eq!(regular, [false, false, false, false, false, false, true, false]);
    let (mut alice, _) = scene.net.join().await;
    scene.net.advance(secs(10)).await;
    alice.send("1").await;
    assert!(!scene.left().await.is_regular);
    drop(alice);
    scene.net.assert_clean().await;
}

/// What waits when one more does not fit: bytes or packets.
#[tokio::test(start_paused = true)]
async fn a_slow_consumer_is_told_with_what_waited() {
    for (bytes, packets, is_many) in [(1_000_000, 3, true), (2_500, 1_000, false)] {
        let io = Server::builder().outbox(bytes, packets).build().unwrap();
        let left = Arc::<Mutex<Vec<Disconnect>>>::default();
        let seen = Arc::clone(&left);
        io.on_disconnect(async move |socket: Socket, _| seen.lock().unwrap().push(socket.last_disconnect().unwrap()));
        let net = Net::new(&io).with_buffer(256);
        let bob = net.polling().await;
        let id = bob.join().await;
        let socket = io.get(&id).unwrap();
        let mut waited = Queued::default();
        while socket.emit("x", "y".repeat(1_000)).is_ok() {
            waited = socket.queued();
        }
        settle().await;
        let last = left.lock().unwrap().remove(0);
        let (actual, bound) = if is_many { (waited.packets, packets) } else { (waited.bytes, bytes) };
        let (actual, bound) = (Some(actual as u64), Some(bound as u64));
        let cause = Cause::Limit { limit: Limit::Outbox, actual, bound };
        assert_eq!((last.reason, last.cause), (DisconnectReason::SlowConsumer, cause));
        net.advance(secs(90)).await;
        net.assert_clean().await;
    }
}
