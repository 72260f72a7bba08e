//! What clients send and what identifies them stays out of the logs, at every level.

mod capture;
mod hooks;
mod ways;
#[expect(dead_code, reason = "not all of it is needed here")]
#[path = "../http/wire.rs"]
mod wire;
#[cfg(feature = "webtransport")]
#[expect(dead_code, reason = "not all of it is needed here")]
#[path = "../webtransport/clock.rs"]
mod clock;
#[cfg(feature = "webtransport")]
#[expect(dead_code, reason = "not all of it is needed here")]
#[path = "../webtransport/peer.rs"]
mod peer;

use std::time::Duration;

use sockeye::{Limit, Refusal, Server, ServerBuilder, Socket};
use sockeye_testing::{Net, settle};

use crate::capture::Capture;

const HEADERS: [(&str, &str); 3] =
    [("Cookie", "c=SECRET-cookie"), ("Authorization", "Bearer SECRET-token"), ("X-Own", "SECRET-header")];

fn server(builder: ServerBuilder) -> Server {
    let io = builder.outbox(10_000, 100).max_rooms(1).build().unwrap();
    io.authorize(async |_, auth: serde_json::Value| match auth["token"].as_str() {
        // Clients of revision 3 have none.
        Some("SECRET-auth") | None => Ok(()),
        Some("SECRET-panic") => panic!("on purpose"),
        _ => Err(Refusal::new("no")),
    });
    io.on_connect(async |socket: Socket| socket.join(["SECRET-room-1", "SECRET-room-2"]));
    io.on("number", async |_, _: u32| ());
    io.on_with_ack("answer", async |_, text: String| text);
    io.on("panics", async |_, _: String| -> () { panic!("on purpose") });
    io.on("ask", async |socket: Socket, text: String| {
        drop(socket.emit_with_ack::<_, u32>("question", text).timeout(Duration::from_secs(1)).await);
    });
    io.on("insist", async |socket: Socket, text: String| {
        socket.emit_with_ack::<_, u32>("question", text).await.map(|_| ())
    });
    io.of("/typed").authorize(async |_, _: u32| Ok(()));
    drop(io.of_pattern("/long-{id}").unwrap());
    io.of("/fails").on_any(async |_, _| Err::<(), _>("on purpose"));
    io
}

/// What honest clients send, what does not fit, and what breaks every layer of the protocol.
const MESSAGES: &[&str] = &[
    "40{\"token\":\"SECRET-auth\"}",
    "40/typed?q=SECRET-namespace-query,{\"token\":\"SECRET-misfit\"}",
    "40/nowhere,{\"token\":\"SECRET-elsewhere\"}",
    "42[\"number\",\"SECRET-argument\"]",
    "42[\"nobody listens\",\"SECRET-unhandled\"]",
    "421[\"nobody answers\",\"SECRET-unanswered\"]",
    "422[\"answer\",\"SECRET-answer\"]",
    "42[\"panics\",\"SECRET-panic\"]",
    "42[\"ask\",\"SECRET-question\"]",
    "430[\"SECRET-misfitting-answer\"]",
    "42[\"insist\",\"SECRET-question\"]",
    "431[\"SECRET-misfitting-answer\"]",
    "4399[\"SECRET-unknown-answer\"]",
];

const ENDS: &[&str] = &[
    "41",
    "1",
    "SECRET-garbage",
    "7SECRET-type",
    "49SECRET-packet",
    "42[\"SECRET-broken",
    "42/SECRET-path,[\"x\"]",
    "43SECRET-ack",
    "45SECRET-[]",
    "451-[\"x\",\"SECRET-no-placeholder\"]",
    "40SECRET-connect",
    "42[\"disconnect\",\"SECRET-reserved\"]",
];

async fn over_websocket(net: &Net, end: &'static str) -> Vec<String> {
    let target = "/socket.io/?EIO=4&transport=websocket&token=SECRET-query";
    let mut alice = net.open(target, &HEADERS).await;
    let mut ids = Vec::new();
    for message in MESSAGES {
        alice.send(message).await;
    }
    ids.extend(alice.drain().await);
    alice.send_binary(b"SECRET-binary").await;
    let mut alice = net.open(target, &HEADERS).await;
    alice.send("40{\"token\":\"SECRET-panic\"}").await;
    alice.send("40{\"token\":\"SECRET-auth\"}").await;
    alice.send(end).await;
    ids.extend(alice.drain().await);
    ids
}

async fn over_polling(net: &Net, end: &'static str) -> Vec<String> {
    let target = "/socket.io/?EIO=4&transport=polling&token=SECRET-query";
    let open = net.request("GET", target, &HEADERS, "").answer().await;
    let sid = open.text().split('"').nth(3).unwrap_or_default();
    let target = format!("{target}&sid={sid}");
    for message in MESSAGES.iter().chain([&end]) {
        drop(net.request("POST", &target, &HEADERS, *message).answer().await);
    }
    drop(net.request("POST", &target, &HEADERS, "SECRET-after").answer().await);
    let rest = net.request("GET", &target, &HEADERS, "");
    settle().await;
    drop(rest);
    drop(net.request("GET", &format!("{target}&transport=SECRET-transport"), &HEADERS, "").answer().await);
    vec![open.text().to_owned()]
}

/// Names of events may be logged, but not as long as clients choose.
async fn names_are_short(net: &Net) {
    let mut alice = net.open("/socket.io/?EIO=4&transport=websocket", &HEADERS).await;
    let name = "n".repeat(10_000);
    alice.send("40{\"token\":\"SECRET-auth\"}").await;
    alice.send(&format!("421[\"{name}\",\"SECRET-unanswered\"]")).await;
    alice.send("40/fails,").await;
    alice.send(&format!("40/long-{},", "p".repeat(1_000))).await;
    alice.send(&format!("42/fails,[\"{name}\",\"SECRET-failing\"]")).await;
    alice.send("1").await;
    alice.drain().await;
}

/// The session ids in handshakes: `0{"sid":"…"`.
fn session_ids(texts: &[String]) -> impl Iterator<Item = &str> {
    texts.iter().filter_map(|text| text.strip_prefix("0{\"sid\":\"")).filter_map(|rest| rest.split('"').next())
}

#[tokio::test(start_paused = true)]
async fn a_client_that_provokes_failures_does_not_fill_the_log() {
    let capture = Capture::default();
    let captured = tracing::subscriber::set_default(capture.clone());
    let io = Server::builder().max_rooms(1).max_room_name(9).build().unwrap();
    io.on("number", async |_, _: u32| ());
    io.on("fails", async |_, ()| Err::<(), _>("on purpose"));
    io.on("join", async |socket: Socket, room: String| socket.join(room));
    let net = Net::new(&io);
    for clients in 1..=2 {
        let (mut alice, _) = net.join().await;
        for n in 0..500 {
            alice.send("42[\"number\",\"none\"]").await;
            alice.send("42[\"fails\"]").await;
            alice.send(&format!("42[\"join\",\"{n}\"]")).await;
            alice.send("42[\"join\",\"longer than nine\"]").await;
        }
        alice.close().await;
        let log = capture.log.lock().unwrap().clone();
        let count =
            |level: &str, what: &str| log.lines().filter(|line| line.starts_with(level) && line.contains(what)).count();
        assert_eq!(count("WARN", "as many rooms as it may be"), clients, "{log}");
        assert_eq!(count("WARN", "name is too long"), clients, "{log}");
        let warned = count("WARN", "a handler failed");
        // Two of a socket may share what remembers them.
        assert!((clients..=2 * clients).contains(&warned), "{warned}");
        assert_eq!(warned + count("DEBUG", "a handler failed"), 1_000 * clients);
        assert_eq!(io.metrics().handler_errors, 1_000 * clients as u64);
        assert_eq!(io.metrics().limits.get(Limit::RoomName), 500 * clients as u64);
        assert_eq!(io.metrics().limits.get(Limit::Rooms), 499 * clients as u64);
    }
    drop(captured);
    net.assert_clean().await;
}

/// Tells who it is about, at the beginning and at the end of everything that the application does for a client.
fn telling(io: &Server, who: &'static str) {
    let namespace = io.of(&format!("/{who}"));
    let tell = async move |what: &'static str| {
        tracing::info!(who, what, "begun");
        tokio::time::sleep(Duration::from_secs(1)).await;
        tracing::info!(who, what, "done");
    };
    namespace.authorize(async move |_, _: serde_json::Value| {
        tell("authorize").await;
        Ok(())
    });
    namespace.on_connect(async move |_| tell("connect").await);
    namespace.on("event", async move |_, (): ()| tell("event").await);
    namespace.on_with_ack("question", async move |_, (): ()| tell("question").await);
    namespace.on_disconnect(async move |_, _| tell("disconnect").await);
}

#[tokio::test(start_paused = true)]
async fn what_is_logged_of_a_connection_is_within_its_span() {
    let capture = Capture::default();
    let captured = tracing::subscriber::set_default(capture.clone());
    let io = Server::new();
    telling(&io, "alice");
    telling(&io, "bob");
    let net = Net::new(&io);
    let bob = net.polling().await;
    let mut alice = net.open("/socket.io/?EIO=4&transport=websocket", &[]).await;
    let open = alice.drain().await;
    // Both at the same time.
    alice.send("40/alice,").await;
    bob.send("40/bob,").await;
    net.advance(Duration::from_secs(3)).await;
    bob.expect("40/bob,{\"sid\":\"…\"}").await;
    let mut stream = bob.upgrade().await;
    stream.send("2probe").await;
    stream.expect("3probe").await;
    stream.send("5").await;
    for _ in 0..3 {
        alice.send("42/alice,[\"event\"]").await;
        alice.send("42/alice,0[\"question\"]").await;
        stream.send("42/bob,0[\"question\"]").await;
        stream.send("42/bob,[\"event\"]").await;
    }
    net.advance(Duration::from_secs(9)).await;
    drop((alice, stream));
    net.advance(Duration::from_secs(9)).await;
    drop(captured);
    net.assert_clean().await;

    let events = capture.events.lock().unwrap();
    let alices = session_ids(&open).next().expect("a handshake");
    for (who, sid, transport) in [("alice", alices, "websocket"), ("bob", bob.sid(), "polling")] {
        let span = format!(" transport=\"{transport}\" revision=V4 session={:?}", &sid[..4]);
        let lines: Vec<_> = events.iter().filter(|event| event.is_within(&span)).map(|event| &event.line).collect();
        let count = |what: &str| lines.iter().filter(|line| line.contains(what)).count();
        let namespace = format!("namespace=\"/{who}\"");
        assert_eq!((count(&format!("who={who:?}")), count("who=")), (2 * 9, 2 * 9), "{lines:#?}");
        assert_eq!((count(&namespace), count("namespace=")), (2, 2), "it joined and left: {lines:#?}");
        assert_eq!((count("a session began"), count("a session ended")), (1, 1), "{lines:#?}");
        assert_eq!(count("received kind=\"message\""), 1 + 6, "{lines:#?}");
        assert_eq!(count("went over to a stream"), usize::from(who == "bob"), "{lines:#?}");
    }
    let stray = events.iter().find(|event| event.is_of_a_session() && event.span.is_none());
    assert!(stray.is_none(), "{stray:?}");
}

#[tokio::test(start_paused = true)]
async fn secrets_of_clients_are_not_logged() {
    let capture = Capture::default();
    tracing::subscriber::set_global_default(capture.clone()).unwrap();
    let io = server(Server::builder());
    let net = Net::new(&io);
    let mut texts = Vec::new();
    for end in ENDS {
        texts.extend(over_websocket(&net, end).await);
        texts.extend(over_polling(&net, end).await);
    }
    names_are_short(&net).await;
    let target = "/socket.io/?EIO=4&transport=websocket&token=SECRET-query";
    let alice = net.with_buffer(256).open(target, &HEADERS).await;
    net.advance(Duration::from_mins(2)).await;
    drop(alice);
    io.close(Duration::from_secs(1)).await;

    let log = capture.log.lock().unwrap().clone();
    assert!(log.lines().count() > 50, "the log is captured: {log}");
    assert!(log.contains("a session ended"), "{log}");
    for line in log.lines() {
        assert!(!line.contains("SECRET"), "{line}");
        assert!(line.len() < 300, "a client can make the log grow: {line}");
    }
    events_of_a_connection_are_told(&log, io.metrics().sessions_opened);
    let events = capture.events.lock().unwrap();
    let stray = events.iter().find(|event| event.is_of_a_session() && event.span.is_none());
    assert!(stray.is_none(), "{stray:?}");
    let sids: Vec<_> = session_ids(&texts).collect();
    assert_eq!(sids.len(), 3 * ENDS.len());
    for sid in sids {
        assert!(!log.contains(sid), "the id of a session is logged");
        assert!(log.contains(&format!(" session={:?}\n", &sid[..4])), "its beginning is");
    }
}

/// One span for each connection, its events at DEBUG, each packet at TRACE with its kind and its size.
fn events_of_a_connection_are_told(log: &str, opened: u64) {
    let count = |beginning: &str, message: &str| {
        let lines = log.lines().filter(|line| line.starts_with(beginning) && line.contains(message));
        u64::try_from(lines.count()).unwrap()
    };
    assert_eq!(count("DEBUG sockeye", "transport=\"websocket\" revision=V4 session="), 2 * ENDS.len() as u64 + 2);
    assert_eq!(count("DEBUG sockeye", "transport=\"polling\" revision=V4 session="), ENDS.len() as u64);
    assert_eq!(count("DEBUG sockeye", "a session began"), opened);
    assert_eq!(count("DEBUG sockeye", "a session ended reason="), opened);
    assert_eq!(
        count("DEBUG sockeye", "a socket joined namespace=\"/\""),
        count("DEBUG sockeye", "a socket left namespace=\"/\"")
    );
    assert!(count("TRACE sockeye", "received kind=\"message\" bytes=") > opened, "{log}");
    assert!(count("TRACE sockeye", "sent kind=\"message\" bytes=") > opened, "{log}");
    assert!(count("TRACE sockeye", "sent kind=\"control\" bytes=") >= opened, "{log}");
}
