//! CONNECT: who is let in, and what happens first.                                        [SIO5 "connection to a namespace"]

use serde::Deserialize;
use sockeye::{Peer, Refusal};

use crate::common::*;

#[derive(Deserialize)]
struct Token {
    token: String,
}

async fn check(_: Peer, auth: Token) -> Result<(), Refusal> {
    match auth.token.as_str() {
        "good" => Ok(()),
        "panic" => panic!("on purpose"),
        "never" => std::future::pending().await,
        "slow" => {
            tokio::time::sleep(secs(3)).await;
            Ok(())
        }
        _ => Err(Refusal::new("bad token").with_data(serde_json::json!({ "code": 7 }))),
    }
}

fn guarded() -> (Server, Net, Log) {
    let io = Server::builder().ping_interval(secs(1000)).build().unwrap();
    let log = Log::default();
    io.authorize(check);
    let (connects, leaves) = (log.clone(), log.clone());
    io.on_connect(async move |_| connects.add("connect"));
    io.on_disconnect(async move |_, reason| leaves.add(reason));
    io.of("/open");
    let net = Net::new(&io);
    (io, net, log)
}

#[tokio::test(start_paused = true)]
async fn the_check_accepts_and_refuses() {
    let (_, net, log) = guarded();
    let mut alice = net.websocket().await;
    alice.send("40{\"token\":\"bad\"}").await;
    alice.expect("44{\"message\":\"bad token\",\"data\":{\"code\":7}}").await;
    assert_eq!(log.take(), [""; 0]);
    alice.send("40{\"token\":\"good\"}").await;
    alice.expect("40{\"sid\":\"…\"}").await;
    assert_eq!(log.take(), ["connect"]);
    alice.close().await;
    net.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn the_check_holds_on_polling_too() {
    let (_, net, log) = guarded();
    let bob = net.polling().await;
    bob.send("40{\"token\":\"bad\"}").await;
    bob.expect("44{\"message\":\"bad token\",\"data\":{\"code\":7}}").await;
    bob.send("40{\"token\":\"slow\"}").await;
    let waiting = bob.get();
    waiting.expect_waiting().await;
    net.advance(secs(3)).await;
    waiting.expect(200, "40{\"sid\":\"…\"}").await;
    bob.close().await;
    assert_eq!(log.take(), ["connect", "transport close"]);
    net.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn auth_that_does_not_fit_is_refused() {
    let (_, net, log) = guarded();
    let mut alice = net.websocket().await;
    for auth in ["", "{}", "{\"token\":1}"] {
        alice.send(&format!("40{auth}")).await;
        alice.expect("44{\"message\":\"invalid auth\"}").await;
    }
    assert_eq!(log.take(), [""; 0]);
    alice.close().await;
    net.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn a_check_that_panics_refuses() {
    let (_, net, log) = guarded();
    let mut alice = net.websocket().await;
    alice.send("40{\"token\":\"panic\"}").await;
    alice.expect("44{\"message\":\"internal error\"}").await;
    alice.send("40{\"token\":\"good\"}").await;
    alice.expect("40{\"sid\":\"…\"}").await;
    assert_eq!(log.take(), ["connect"]);
    alice.close().await;
    net.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn a_slow_check_holds_up_nobody_else() {
    let (_, net, _) = guarded();
    let mut alice = net.websocket().await;
    alice.send("40{\"token\":\"slow\"}").await;
    alice.send("40/open,").await;
    alice.expect("40/open,{\"sid\":\"…\"}").await;
    let mut bob = net.websocket().await;
    bob.send("40{\"token\":\"good\"}").await;
    bob.expect("40{\"sid\":\"…\"}").await;
    net.advance(secs(2)).await;
    alice.expect_nothing().await;
    net.advance(secs(1)).await;
    alice.expect("40{\"sid\":\"…\"}").await;
    alice.close().await;
    bob.close().await;
    net.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn a_second_connect_while_the_first_is_decided_gets_one_answer() {
    let (_, net, log) = guarded();
    let mut alice = net.websocket().await;
    alice.send_all(&["40{\"token\":\"slow\"}", "40{\"token\":\"slow\"}"]).await;
    net.advance(secs(4)).await;
    alice.expect("40{\"sid\":\"…\"}").await;
    alice.expect_nothing().await;
    assert_eq!(log.take(), ["connect"]);
    alice.close().await;
    net.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn events_before_the_verdict_close_the_connection() {
    let (_, net, log) = guarded();
    let mut alice = net.websocket().await;
    alice.send_all(&["40{\"token\":\"slow\"}", "42[\"hasty\"]"]).await;
    alice.expect_closed(None).await;
    net.advance(secs(4)).await;
    assert_eq!(log.take(), [""; 0]);
    net.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_goes_before_the_verdict_never_was_there() {
    let (_, net, log) = guarded();
    let mut alice = net.websocket().await;
    alice.send("40{\"token\":\"slow\"}").await;
    drop(alice);
    net.advance(secs(4)).await;
    assert_eq!(log.take(), [""; 0]);
    net.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn a_check_that_never_decides_ends_with_connect_timeout() {
    let (_, net, log) = guarded();
    let mut alice = net.websocket().await;
    alice.send("40{\"token\":\"never\"}").await;
    net.advance(secs(44)).await;
    alice.expect_nothing().await;
    net.advance(millis(1_001)).await;
    alice.expect_closed(Some(1008)).await;
    assert_eq!(log.take(), [""; 0]);
    net.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn a_check_that_never_decides_refuses_when_the_client_is_elsewhere_already() {
    let (_, net, log) = guarded();
    let mut alice = net.websocket().await;
    alice.send("40/open,").await;
    alice.expect("40/open,{\"sid\":\"…\"}").await;
    net.advance(secs(10)).await;
    alice.send("40{\"token\":\"never\"}").await;
    net.advance(secs(44)).await;
    alice.expect_nothing().await;
    net.advance(millis(1_001)).await;
    alice.expect("44{\"message\":\"timed out\"}").await;
    alice.send("40{\"token\":\"good\"}").await;
    alice.expect("40{\"sid\":\"…\"}").await;
    assert_eq!(log.take(), ["connect"]);
    alice.close().await;
    net.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn checks_are_asked_in_turn_and_the_first_refusal_decides() {
    let (io, net) = plain();
    let log = Log::default();
    for (name, verdict) in [("a", true), ("b", false), ("c", true)] {
        let log = log.clone();
        io.authorize(async move |_, (): ()| {
            log.add(name);
            if verdict { Ok(()) } else { Err(Refusal::new(name)) }
        });
    }
    let mut alice = net.websocket().await;
    alice.send("40").await;
    alice.expect("44{\"message\":\"b\"}").await;
    assert_eq!(log.take(), ["a", "b"]);
}

#[tokio::test(start_paused = true)]
async fn what_the_check_found_out_is_on_the_socket() {
    struct User(&'static str);
    let (io, net) = plain();
    io.authorize(async |peer, (): ()| {
        peer.extensions().insert(User("alice"));
        Ok(())
    });
    io.on_with_ack("who", async |socket: Socket, (): ()| socket.extensions().get::<User>().unwrap().0);
    let (mut alice, _) = net.join().await;
    alice.send("420[\"who\"]").await;
    alice.expect("430[\"alice\"]").await;
}

/// The answer to CONNECT is the first thing, then what `on_connect` emits.
#[tokio::test(start_paused = true)]
async fn what_on_connect_emits_comes_after_the_answer() {
    let (io, net) = plain();
    io.on_connect(async |socket: Socket| {
        socket.join("lobby");
        socket.emit("welcome", 1).unwrap();
        socket.to("lobby").emit("joined", ()).unwrap();
        tokio::time::sleep(secs(1)).await;
        socket.emit("welcome", 2)
    });
    let mut alice = net.websocket().await;
    alice.send("40").await;
    alice.expect("40{\"sid\":\"…\"}").await;
    alice.expect("42[\"welcome\",1]").await;
    alice.expect_nothing().await;
    net.advance(secs(1)).await;
    alice.expect("42[\"welcome\",2]").await;
}

#[tokio::test(start_paused = true)]
async fn first_events_wait_for_on_connect_and_keep_their_order() {
    let (io, net) = plain();
    let log = Log::default();
    let (begun, seen) = (log.clone(), log.clone());
    io.on_connect(async move |_| {
        begun.add("begin");
        tokio::time::sleep(secs(1)).await;
        begun.add("end");
    });
    io.on("n", async move |_, n: u32| seen.add(n));
    let mut alice = net.websocket().await;
    alice.send_all(&["40", "42[\"n\",1]", "42[\"n\",2]"]).await;
    alice.send("42[\"n\",3]").await;
    assert_eq!(log.take(), ["begin"]);
    net.advance(secs(1)).await;
    assert_eq!(log.take(), ["end", "1", "2", "3"]);
}

/// CONNECT and DISCONNECT in one TCP segment: the end must not overtake the beginning.
#[tokio::test(start_paused = true)]
async fn on_connect_begins_before_on_disconnect() {
    let (io, net) = plain();
    let log = Log::default();
    let (connects, leaves) = (log.clone(), log.clone());
    io.on_connect(async move |_| connects.add("connect"));
    io.on_disconnect(async move |_, _| leaves.add("disconnect"));
    let mut alice = net.websocket().await;
    alice.send_all(&["40", "41"]).await;
    assert_eq!(log.take(), ["connect", "disconnect"]);
    alice.send_all(&["40", "41", "40", "x"]).await;
    assert_eq!(log.take(), ["connect", "disconnect", "connect", "disconnect"]);
    net.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn one_on_connect_that_fails_does_not_keep_the_next_from_being_called() {
    let (io, net) = plain();
    let log = Log::default();
    let errors = log.clone();
    io.on_error(move |_, error| errors.add(format!("{error}")));
    io.on_connect(async |_| Err::<(), _>("no"));
    io.on_connect(async |_| -> () { panic!("on purpose") });
    let last = log.clone();
    io.on_connect(async move |_| last.add("last"));
    let (alice, _) = net.join().await;
    assert_eq!(log.take(), ["handler of \"connect\": no", "handler of \"connect\": the handler panicked", "last"]);
    assert_eq!(io.metrics().handler_errors, 2);
    alice.close().await;
    net.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn an_of_with_that_panics_makes_nothing_and_refuses_one() {
    let (io, net) = plain();
    drop(io.of_with(|path: String, _| {
        assert!(path != "/at once", "on purpose");
        async move {
            assert!(path != "/later", "on purpose");
            true
        }
    }));
    let (mut alice, _) = net.join().await;
    for path in ["/at once", "/later"] {
        alice.send(&format!("40{path},")).await;
        alice.expect(&format!("44{path},{{\"message\":\"internal error\"}}")).await;
    }
    alice.send("40/room,").await;
    alice.expect("40/room,{\"sid\":\"…\"}").await;
    assert_eq!(io.namespaces().len(), 2);
    alice.close().await;
    net.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn a_socket_knows_its_peer() {
    let (io, net) = plain();
    let log = Log::default();
    let seen = log.clone();
    let about = async move |socket: Socket| {
        let peer = socket.peer();
        seen.add(peer.header("X-Token").unwrap());
        seen.add(peer.header("x-none").is_none());
        seen.add(peer.uri());
        seen.add(peer.query("a").unwrap());
        seen.add(peer.query("missing").is_none());
        seen.add(peer.address().unwrap().ip());
        seen.add(peer.auth::<serde_json::Value>().unwrap());
        seen.add(peer.headers().filter(|(name, _)| *name == "twice").map(|(_, value)| value).collect::<String>());
    };
    io.on_connect(about);
    let target = "/socket.io/?EIO=4&transport=websocket&a=1%202";
    let headers = [("X-Token", "abc"), ("Twice", "1"), ("Twice", "2")];
    let mut alice = net.open(target, &headers).await;
    alice.send("40{\"user\":\"a\"}").await;
    assert_eq!(log.take(), ["abc", "true", target, "1 2", "true", "192.0.2.1", "{\"user\":\"a\"}", "12"]);
    io.of("/old").on_connect({
        let log = log.clone();
        async move |socket: Socket| log.add(socket.peer().query("a").unwrap())
    });
    alice.send("40/old?a=own,").await;
    assert_eq!(log.take(), ["own"], "the namespace's own query comes first");
}

#[tokio::test(start_paused = true)]
async fn namespaces_are_joined_and_left_one_by_one() {
    let (io, net) = plain();
    let log = Log::default();
    for path in ["/", "/news", "/admin"] {
        let (seen, left) = (log.clone(), log.clone());
        io.of(path).on("e", async move |socket: Socket, (): ()| seen.add(socket.namespace()));
        io.of(path)
            .on_disconnect(async move |socket: Socket, reason| left.add(format!("{} {reason}", socket.namespace())));
    }
    let mut alice = net.websocket().await;
    alice.send("40/news,").await;
    let news = alice.expect("40/news,{\"sid\":\"…\"}").await.remove(0);
    alice.send("40/admin").await;
    let admin = alice.expect("40/admin,{\"sid\":\"…\"}").await.remove(0);
    assert_ne!(news, admin);
    alice.send_all(&["42/news,[\"e\"]", "42/admin,[\"e\"]", "41/news,"]).await;
    assert_eq!(log.take(), ["/news", "/admin", "/news client namespace disconnect"]);
    alice.send("42/admin,[\"e\"]").await;
    assert_eq!(log.take(), ["/admin"]);
    io.of("/admin").get(&admin).unwrap().disconnect();
    alice.expect("41/admin,").await;
    assert_eq!(log.take(), ["/admin server namespace disconnect"]);
    alice.send("42/admin,[\"e\"]").await;
    alice.expect_nothing().await;
    assert_eq!(log.take(), [""; 0], "what was on its way is passed over");
    alice.send("40/admin").await;
    assert_ne!(alice.expect("40/admin,{\"sid\":\"…\"}").await[0], admin);
    alice.close().await;
    net.assert_clean().await;
}
