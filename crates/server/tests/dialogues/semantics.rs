//! Details in which the official server is copied, or left on purpose (`docs/protocol-notes.md`).

use sockeye::{AckError, EmitError, Recovery, Refusal};

use crate::common::*;

const POLLING: &str = "/socket.io/?EIO=4&transport=polling";
const STREAM: &str = "/socket.io/?EIO=4&transport=websocket";

#[tokio::test(start_paused = true)]
async fn the_protocol_is_looked_at_before_the_application_is_asked() {
    let asked = Log::default();
    let log = asked.clone();
    let io = Server::builder().allow_request(async move |_| {
        log.add("asked");
        Err(Refusal::new("no"))
    });
    let net = Net::new(&io.build().unwrap());
    let version = "{\"code\":5,\"message\":\"Unsupported protocol version\"}";
    net.request("GET", "/socket.io/?EIO=3&transport=polling", &[], "").expect(400, version).await;
    assert_eq!(asked.take(), [""; 0]);
    net.request("GET", POLLING, &[], "").expect(403, "{\"code\":4,\"message\":\"no\"}").await;
    assert_eq!(asked.take(), ["asked"]);
}

/// The hook sees what the client is told, where the official server says `Forbidden`.
#[tokio::test(start_paused = true)]
async fn a_refusal_is_reported_in_its_own_words() {
    let seen = Log::default();
    let log = seen.clone();
    let io = Server::builder().allow_request(async |_| Err(Refusal::new("no key")));
    let io = io.on_connection_error(move |error| log.add(format!("{} {}", error.code(), error.message())));
    let net = Net::new(&io.build().unwrap());
    net.request("GET", POLLING, &[], "").expect(403, "{\"code\":4,\"message\":\"no key\"}").await;
    assert_eq!(seen.take(), ["4 no key"]);
}

/// It is not offered, so only a client that does not listen tries it.
#[tokio::test(start_paused = true)]
async fn an_upgrade_that_is_not_offered_is_refused() {
    let io = Server::builder().allow_upgrades(false).build().unwrap();
    let net = Net::new(&io);
    let bob = net.polling().await;
    let id = bob.join().await;
    let mut stream = bob.upgrade().await;
    stream.expect_cut().await;
    io.to(&id).emit("still polling", ()).unwrap();
    bob.expect("42[\"still polling\"]").await;
    assert_eq!(io.metrics().upgrades, 0);
    bob.close().await;
    net.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn paths_are_compared_as_a_whole() {
    let (_, net) = plain();
    for path in ["/socket.iofoo", "/socket.io/more", "/socket.io//", "/SOCKET.IO/", "/"] {
        let target = format!("{path}?EIO=4&transport=websocket");
        let response = net.try_open(&target, &[("Connection", "close")]).await.unwrap_err();
        assert!(response.starts_with("HTTP/1.1 404 Not Found\r\n"), "{path}: {response}");
    }
}

/// As in JavaScript, where a list of rooms that turns out empty restricts nothing.
#[tokio::test(start_paused = true)]
async fn a_list_without_rooms_is_everybody() {
    let (io, net) = plain();
    let (mut alice, id) = net.join().await;
    let (mut bob, _) = net.join().await;
    io.to(Vec::<String>::new()).emit("all", ()).unwrap();
    io.get(&id).unwrap().to(Vec::<String>::new()).emit("others", ()).unwrap();
    io.except(Vec::<String>::new()).emit("all again", ()).unwrap();
    assert_eq!(alice.drain().await, ["42[\"all\"]", "42[\"all again\"]"]);
    assert_eq!(bob.drain().await, ["42[\"all\"]", "42[\"others\"]", "42[\"all again\"]"]);
}

#[tokio::test(start_paused = true)]
async fn reserved_names_are_sent_by_no_verb() {
    let (io, net) = plain();
    let (mut alice, id) = net.join().await;
    let socket = io.get(&id).unwrap();
    for name in ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"] {
        let fetched = io.fetch_sockets().await.unwrap();
        let results = [
            socket.emit(name, ()),
            socket.volatile().emit(name, ()),
            socket.broadcast().emit(name, ()),
            io.emit(name, ()),
            io.to("room").emit(name, ()),
            fetched[0].emit(name, ()),
        ];
        assert!(results.iter().all(|result| matches!(result, Err(EmitError::Reserved))), "{name}: {results:?}");
        let asked = socket.emit_with_ack::<_, ()>(name, ()).await;
        assert!(matches!(asked, Err(AckError::Emit(EmitError::Reserved))), "{name}: {asked:?}");
    }
    alice.expect_nothing().await;
}

/// Blanks are no part of a packet, outside of its JSON.
#[tokio::test(start_paused = true)]
async fn blanks_around_the_json_are_refused() {
    for packet in ["42 [\"a\"]", " 42[\"a\"]", "4 2[\"a\"]", "42\n[\"a\"]", "451 -[\"a\"]"] {
        let (io, net) = plain();
        let (mut alice, _) = net.join().await;
        alice.send(packet).await;
        alice.expect_closed(None).await;
        assert_eq!(io.metrics().protocol_errors, 1, "{packet:?}");
    }
}

/// What follows the type of CLOSE, UPGRADE and NOOP has no meaning, and no harm.
#[tokio::test(start_paused = true)]
async fn what_follows_a_close_is_not_looked_at() {
    let (io, net) = plain();
    let log = Log::default();
    let seen = log.clone();
    io.on_disconnect(async move |_, reason| seen.add(reason));
    for close in ["1", "1 now", "1{\"reason\":1}"] {
        let (mut alice, _) = net.join().await;
        alice.send(close).await;
        settle().await;
        assert_eq!(log.take(), ["transport close"], "{close}");
    }
    net.assert_clean().await;
}

/// Answers are numbered by exact integers here, where JavaScript rounds.
#[tokio::test(start_paused = true)]
async fn ids_of_answers_are_exact() {
    let (io, net) = plain();
    io.on_with_ack("a", async |_, ()| 1);
    let (mut alice, _) = net.join().await;
    for id in ["0", "007", "9007199254740993", "18446744073709551615"] {
        alice.send(&format!("42{id}[\"a\"]")).await;
        alice.expect(&format!("43{}[1]", id.parse::<u64>().unwrap())).await;
    }
    alice.send("4218446744073709551616[\"a\"]").await;
    alice.expect_closed(None).await;
}

#[tokio::test(start_paused = true)]
async fn rules_for_namespaces_are_asked_in_their_order() {
    let io = Server::new();
    let asked = Log::default();
    let log = asked.clone();
    let first = io.of_with(async move |path: String, _| {
        log.add(format!("first {path}"));
        path == "/a"
    });
    let second = io.of_pattern("/{any}").unwrap();
    io.of("/named");
    let net = Net::new(&io);
    let (mut alice, _) = net.join().await;
    for path in ["/a", "/b", "/named"] {
        alice.send(&format!("40{path},")).await;
        alice.expect(&format!("40{path},{{\"sid\":\"…\"}}")).await;
    }
    assert_eq!(asked.take(), ["first /a", "first /b"], "a name goes before all rules");
    let names =
        |namespaces: Vec<sockeye::Namespace>| namespaces.iter().map(|one| one.path().to_owned()).collect::<Vec<_>>();
    assert_eq!(names(first.namespaces()), ["/a"]);
    assert_eq!(names(second.namespaces()), ["/b"]);
}

/// A check that is added while a client is being checked is for the next client.
#[tokio::test(start_paused = true)]
async fn checks_are_those_of_the_moment_of_connect() {
    let (io, net) = plain();
    io.authorize(async |_, ()| {
        tokio::time::sleep(secs(1)).await;
        Ok(())
    });
    let (mut alice, mut bob) = (net.websocket().await, net.websocket().await);
    alice.send("40").await;
    alice.expect_nothing().await;
    io.authorize(async |_, ()| Err(Refusal::new("closed")));
    bob.send("40").await;
    net.advance(secs(1)).await;
    alice.expect("40{\"sid\":\"…\"}").await;
    bob.expect("44{\"message\":\"closed\"}").await;
}

/// A polling client fetches what was said to it at the end, if it comes within 10 s.
#[tokio::test(start_paused = true)]
async fn last_words_wait_ten_seconds_for_a_poll() {
    let (io, net) = plain();
    for (late, fetched) in [(9, true), (11, false)] {
        let bob = net.polling().await;
        let socket = io.get(&bob.join().await).unwrap();
        socket.emit("last words", ()).unwrap();
        socket.disconnect_and_close();
        net.advance(secs(late)).await;
        if fetched {
            bob.expect("42[\"last words\"]\u{1e}41").await;
            bob.expect("1").await;
        }
        bob.get().expect(400, "{\"code\":1,\"message\":\"Session ID unknown\"}").await;
        net.assert_clean().await;
    }
}

/// What the official server has for `RECOVERABLE_DISCONNECT_REASONS`.
#[tokio::test(start_paused = true)]
async fn who_comes_back_depends_on_how_it_left() {
    let io = Server::builder().recovery(Recovery::default()).build().unwrap();
    io.of("/other");
    let log = Log::default();
    let seen = log.clone();
    io.on_disconnect(async move |_, reason| seen.add(reason));
    let net = Net::new(&io);
    let ways: [(&str, &[&str], u64, bool); 7] = [
        ("transport close", &["1"], 0, true),
        ("transport error", &["RST"], 0, true),
        ("ping timeout", &[], 46, true),
        ("forced close", &["42["], 0, true),
        ("parse error", &["x"], 0, false),
        ("client namespace disconnect", &["41"], 0, false),
        ("server namespace disconnect", &["SERVER"], 0, false),
    ];
    for (reason, acts, wait, comes_back) in ways {
        let mut client = net.websocket().await;
        client.send("40").await;
        let ids = client.expect("40{\"sid\":\"…\",\"pid\":\"…\"}").await;
        let mut client = Some(client);
        for act in acts {
            match *act {
                "RST" => client.take().unwrap().reset(),
                "SERVER" => io.get(&ids[0]).unwrap().disconnect(),
                text => client.as_mut().unwrap().send(text).await,
            }
        }
        net.advance(secs(wait)).await;
        settle().await;
        assert_eq!(log.take(), [reason]);
        let mut again = net.websocket().await;
        again.send(&format!("40{{\"pid\":\"{}\"}}", ids[1])).await;
        let fresh = again.expect("40{\"sid\":\"…\",\"pid\":\"…\"}").await;
        assert_eq!(fresh == ids, comes_back, "{reason}");
        again.send("41").await;
        settle().await;
        log.take();
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_stranger_is_told_by_number_and_name() {
    let seen = Log::default();
    let log = seen.clone();
    let io = Server::builder().origins(["https://a.example"]).on_connection_error(move |error| {
        log.add(format!(
            "{} {} {:?}",
            error.code(),
            error.message(),
            error.context().map(|context| context.to_string())
        ));
    });
    let net = Net::new(&io.build().unwrap());
    let refused = net.try_open(STREAM, &[("Origin", "https://b.example")]).await.unwrap_err();
    assert!(refused.starts_with("HTTP/1.1 403 Forbidden\r\n") && refused.ends_with("\r\n\r\nForbidden"), "{refused}");
    assert_eq!(seen.take(), ["4 Forbidden Some(\"INVALID_ORIGIN\")"]);
}
