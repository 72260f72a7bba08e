//! Handlers: their order, their number, their failures.

use sockeye::{BoxError, Event};

use crate::common::*;

#[tokio::test(start_paused = true)]
async fn handlers_of_one_socket_run_one_after_the_other() {
    let (io, net) = plain();
    let log = Log::default();
    let seen = log.clone();
    io.on("work", async move |_, n: u64| {
        seen.add(format!("{n} begins"));
        tokio::time::sleep(secs(n)).await;
        seen.add(format!("{n} ends"));
    });
    let (mut alice, _) = net.join().await;
    let (mut bob, _) = net.join().await;
    alice.send_all(&["42[\"work\",3]", "42[\"work\",1]"]).await;
    bob.send("42[\"work\",2]").await;
    assert_eq!(log.take(), ["3 begins", "2 begins"], "another socket does not wait");
    net.advance(secs(2)).await;
    assert_eq!(log.take(), ["2 ends"]);
    net.advance(secs(1)).await;
    assert_eq!(log.take(), ["3 ends", "1 begins"]);
    net.advance(secs(1)).await;
    assert_eq!(log.take(), ["1 ends"]);
}

#[tokio::test(start_paused = true)]
async fn concurrent_handlers_begin_in_order_and_are_bounded() {
    let (io, net) = plain();
    let log = Log::default();
    let (seen, cancel) = (log.clone(), log.clone());
    io.on("work", async move |_, n: u64| {
        seen.add(format!("{n} begins"));
        tokio::time::sleep(secs(n)).await;
        seen.add(format!("{n} ends"));
    })
    .concurrent(2);
    io.on("cancel", async move |_, (): ()| cancel.add("cancel"));
    let (mut alice, _) = net.join().await;
    alice.send_all(&["42[\"work\",3]", "42[\"work\",1]", "42[\"work\",4]", "42[\"cancel\"]"]).await;
    assert_eq!(log.take(), ["3 begins", "1 begins"]);
    net.advance(secs(1)).await;
    assert_eq!(log.take(), ["1 ends", "4 begins", "cancel"]);
    net.advance(secs(4)).await;
    assert_eq!(log.take(), ["3 ends", "4 ends"]);
}

/// While a handler waits for the client, the client's answer must get through.
#[tokio::test(start_paused = true)]
async fn a_handler_may_wait_for_an_answer_of_its_own_client() {
    let (io, net) = plain();
    io.on_with_ack("direct", async |socket: Socket, (): ()| {
        socket.emit_with_ack::<_, u32>("how many", ()).await.map_or(0, |n| n + 1)
    });
    let (mut alice, _) = net.join().await;
    alice.send("425[\"direct\"]").await;
    alice.expect("420[\"how many\"]").await;
    alice.send("430[41]").await;
    alice.expect("435[42]").await;
}

#[tokio::test(start_paused = true)]
async fn listeners_are_called_in_the_order_of_their_registration() {
    let (io, net) = plain();
    let log = Log::default();
    let listener = |name: &'static str| {
        let log = log.clone();
        async move |_: Socket, (): ()| log.add(name)
    };
    let any = |name: &'static str| {
        let log = log.clone();
        async move |_: Socket, message: sockeye::Message| log.add(format!("{name} {}", message.event()))
    };
    let first = io.on("e", listener("first"));
    io.on_unhandled(any("unhandled"));
    io.on_any(any("any"));
    io.on("e", listener("second"));
    io.on("e", listener("once")).once();
    let own = listener("own");
    io.on_connect(async move |socket: Socket| drop(socket.on("e", own)));
    let (mut alice, _) = net.join().await;
    alice.send("42[\"e\"]").await;
    assert_eq!(log.take(), ["any e", "first", "second", "once", "own"]);
    alice.send("42[\"e\"]").await;
    assert_eq!(log.take(), ["any e", "first", "second", "own"]);
    first.remove();
    io.on("new", listener("new"));
    alice.send_all(&["42[\"e\"]", "42[\"new\"]", "42[\"other\"]"]).await;
    assert_eq!(log.take(), ["any e", "second", "own", "any new", "new", "any other", "unhandled other"]);
}

#[tokio::test(start_paused = true)]
async fn once_on_a_namespace_is_once_for_everybody() {
    let (io, net) = plain();
    let log = Log::default();
    let seen = log.clone();
    io.on("e", async move |_, (): ()| seen.add("e")).once();
    let ((mut alice, _), (mut bob, _)) = (net.join().await, net.join().await);
    alice.send_all(&["42[\"e\"]", "42[\"e\"]"]).await;
    bob.send("42[\"e\"]").await;
    assert_eq!(log.take(), ["e"]);
}

#[tokio::test(start_paused = true)]
async fn failures_go_to_on_error_and_the_connection_lives() {
    let (io, net) = plain();
    let log = Log::default();
    let errors = log.clone();
    io.on_error(move |_, error| {
        let event = error.event().to_owned();
        errors.add(format!("{event}: {}", error.into_source()));
    });
    io.on("fails", async |_, (): ()| Err::<(), _>("no"));
    io.on("panics", async |_, (): ()| -> () { panic!("on purpose") });
    io.on("panics later", async |_, (): ()| -> () {
        tokio::time::sleep(secs(1)).await;
        panic!("later")
    });
    io.on("typed", async |_, _: u32| ());
    io.on_with_ack("answers", async |_, (): ()| -> u32 { panic!("no answer") });
    io.on_message("message", async |_, message: sockeye::Message| message.args::<u32>().map(drop));
    let (mut alice, _) = net.join().await;
    alice
        .send_all(&["42[\"fails\"]", "42[\"panics\"]", "42[\"panics later\"]", "42[\"typed\"]", "420[\"answers\"]"])
        .await;
    net.advance(secs(1)).await;
    alice.send("42[\"message\"]").await;
    let failures = log.take();
    assert_eq!(
        failures[..3],
        ["fails: no", "panics: the handler panicked: on purpose", "panics later: the handler panicked: later"]
    );
    assert!(failures[3].starts_with("typed: "), "{failures:?}");
    assert_eq!(failures[4], "answers: the handler panicked: no answer");
    assert!(failures[5].starts_with("message: "), "{failures:?}");
    assert_eq!(io.metrics().handler_errors, 6);
    alice.expect_nothing().await;
    alice.close().await;
    net.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn an_on_error_that_panics_ends_nothing() {
    let (io, net) = echo();
    io.on_error(|_, _| panic!("on purpose"));
    io.on("fails", async |_, (): ()| Err::<(), _>("no"));
    let (mut alice, _) = net.join().await;
    alice.send_all(&["42[\"fails\"]", "42[\"echo\",\"x\"]"]).await;
    alice.expect("42[\"echo\",\"x\"]").await;
}

#[tokio::test(start_paused = true)]
async fn watchers_that_panic_end_nothing() {
    let (io, net) = echo();
    io.of("/").on_room(|_| panic!("on purpose"));
    io.on_connect(async |socket: Socket| {
        socket.on_any_outgoing(|_, _| panic!("on purpose"));
        socket.join(["a", "b"]);
        socket.leave("b");
    });
    let (mut alice, _) = net.join().await;
    alice.send("42[\"echo\",\"x\"]").await;
    alice.expect("42[\"echo\",\"x\"]").await;
    io.to("a").emit("news", ()).unwrap();
    alice.expect("42[\"news\"]").await;
    assert_eq!(io.metrics().handler_errors, 0);
    alice.close().await;
    net.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn filters_and_handlers_of_anything_that_panic_end_nothing() {
    let (io, net) = echo();
    let log = Log::default();
    let errors = log.clone();
    io.on_error(move |_, error| errors.add(error.event()));
    io.filter(async |_, message| assert!(message.event() != "filtered", "on purpose"));
    io.on_any(async |_, message| assert!(message.event() != "any", "on purpose"));
    io.on_unhandled(async |_, message| assert!(message.event() != "unhandled", "on purpose"));
    io.on_message("message", async |_, _| -> () { panic!("on purpose") });
    let told = log.clone();
    io.on("filtered", async move |_, (): ()| told.add("it came through"));
    let (mut alice, _) = net.join().await;
    for event in ["filtered", "any", "unhandled", "message"] {
        alice.send(&format!("42[\"{event}\"]")).await;
        alice.send("42[\"echo\",\"x\"]").await;
        alice.expect("42[\"echo\",\"x\"]").await;
        assert_eq!(log.take(), [event]);
    }
    assert_eq!(io.metrics().handler_errors, 4);
    alice.close().await;
    net.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn arguments_are_read_leniently() {
    let (io, net) = plain();
    let log = Log::default();
    let (pair, option, failed) = (log.clone(), log.clone(), log.clone());
    io.on("pair", async move |_, (a, b): (u32, String)| pair.add(format!("{a} {b}")));
    io.on("option", async move |_, (a, b): (u32, Option<u32>)| option.add(format!("{a} {b:?}")));
    io.on_error(move |_, error| failed.add(error.event()));
    let (mut alice, _) = net.join().await;
    alice.send_all(&["42[\"pair\",1,\"x\",\"surplus\"]", "42[\"option\",1]", "42[\"option\",1,null]"]).await;
    alice.send_all(&["42[\"option\",1,2]", "42[\"pair\",1]", "42[\"pair\",\"1\",\"x\"]"]).await;
    assert_eq!(log.take(), ["1 x", "1 None", "1 None", "1 Some(2)", "pair", "pair"]);
}

#[tokio::test(start_paused = true)]
async fn typed_events_carry_their_types() {
    const MOVE: Event<(i32, i32)> = Event::new("move");
    const ORDER: Event<String, u32> = Event::new("order");
    let (io, net) = plain();
    io.on(MOVE, async |socket: Socket, (x, y)| socket.broadcast().emit(MOVE, (x + 1, y + 1)));
    io.on_with_ack(ORDER, async |_, name| u32::try_from(name.len()).unwrap());
    let ((mut alice, _), (mut bob, id)) = (net.join().await, net.join().await);
    alice.send_all(&["42[\"move\",1,2]", "420[\"order\",\"four\"]"]).await;
    bob.expect("42[\"move\",2,3]").await;
    alice.expect("430[4]").await;
    let answer = tokio::spawn(io.get(&id).unwrap().emit_with_ack(ORDER, "x".to_owned()).send());
    bob.expect("420[\"order\",\"x\"]").await;
    bob.send("430[7]").await;
    assert_eq!(answer.await.unwrap().unwrap(), 7);
}

/// A client that sends faster than its handlers work is read no further, and loses nothing.
#[tokio::test(start_paused = true)]
async fn a_client_is_not_read_while_its_handlers_are_behind() {
    let io = Server::builder().max_waiting_events(4, 1_000_000).build().unwrap();
    let log = Log::default();
    let seen = log.clone();
    io.on("work", async move |_, n: u32| {
        tokio::time::sleep(millis(100)).await;
        seen.add(n);
    });
    let net = Net::new(&io);
    let bob = net.polling().await;
    bob.join().await;
    bob.send("42[\"work\",0]\u{1e}42[\"work\",1]\u{1e}42[\"work\",2]\u{1e}42[\"work\",3]\u{1e}42[\"work\",4]").await;
    let deferred = bob.post("42[\"work\",5]");
    deferred.expect_waiting().await;
    net.advance(millis(100)).await;
    deferred.expect(200, "ok").await;
    net.advance(secs(1)).await;
    assert_eq!(log.take(), ["0", "1", "2", "3", "4", "5"]);
    bob.close().await;
    net.assert_clean().await;
}

/// Its pongs are among what is not read: that must not kill it.
#[tokio::test(start_paused = true)]
async fn a_client_that_is_not_read_does_not_die_of_its_heartbeat() {
    let io = Server::builder().max_waiting_events(1, 1_000_000).build().unwrap();
    io.on("long", async |_, (): ()| tokio::time::sleep(secs(300)).await);
    io.on("echo", async |socket: Socket, text: String| socket.emit("echo", text));
    let net = Net::new(&io);
    let (mut alice, _) = net.join().await;
    alice.send_all(&["42[\"long\"]", "42[\"echo\",\"a\"]"]).await;
    alice.send("42[\"echo\",\"b\"]").await;
    for _ in 0..11 {
        net.advance(millis(25_001)).await;
        alice.expect("2").await;
        alice.send("3").await;
    }
    net.advance(millis(24_995)).await;
    let texts = alice.drain().await;
    assert!(texts.ends_with(&["42[\"echo\",\"a\"]".into(), "42[\"echo\",\"b\"]".into()]), "{texts:?}");
    alice.close().await;
    net.assert_clean().await;
}

/// What its handlers ask for stands behind its events, and must be read all the same.
#[tokio::test(start_paused = true)]
async fn answers_are_read_however_many_events_wait() {
    const EVENTS: usize = 1_040;
    let io = Server::new();
    let log = Log::default();
    let answers = log.clone();
    io.on("ask", async move |socket: Socket, n: usize| {
        answers.add(socket.emit_with_ack::<_, usize>("sure", n).await? == n);
        Ok::<_, BoxError>(())
    });
    let net = Net::new(&io);
    let (mut alice, _) = net.join().await;
    let events: Vec<_> = (0..EVENTS).map(|n| format!("42[\"ask\",{n}]")).collect();
    alice.send_all(&events.iter().map(String::as_str).collect::<Vec<_>>()).await;
    for n in 0..EVENTS {
        alice.expect(&format!("42{n}[\"sure\",{n}]")).await;
        alice.send(&format!("43{n}[{n}]")).await;
    }
    assert_eq!(log.take(), vec!["true"; EVENTS]);
    alice.close().await;
    net.assert_clean().await;
}

/// The same by polling, whose POSTs wait.
#[tokio::test(start_paused = true)]
async fn answers_are_taken_by_polling_while_events_wait() {
    let io = Server::builder().max_waiting_events(1, 1_000_000).build().unwrap();
    let log = Log::default();
    let answers = log.clone();
    io.on("ask", async move |socket: Socket, n: usize| {
        answers.add(socket.emit_with_ack::<_, usize>("sure", n).await?);
        Ok::<_, BoxError>(())
    });
    let net = Net::new(&io);
    let bob = net.polling().await;
    bob.join().await;
    bob.send("42[\"ask\",0]\u{1e}42[\"ask\",1]").await;
    bob.expect("420[\"sure\",0]").await;
    bob.send("430[5]").await;
    bob.expect("421[\"sure\",1]").await;
    bob.send("431[6]").await;
    assert_eq!(log.take(), ["5", "6"]);
    bob.close().await;
    net.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn filters_come_before_handlers() {
    let (io, net) = plain();
    let log = Log::default();
    let (errors, handled) = (log.clone(), log.clone());
    io.filter(async |_, message| if message.event() == "secret" { Err(BoxError::from("not for you")) } else { Ok(()) });
    io.on_error(move |_, error| errors.add(error));
    io.on_unhandled(async move |_, message: sockeye::Message| handled.add(message.event()));
    let (mut alice, _) = net.join().await;
    alice.send_all(&["42[\"secret\"]", "42[\"public\"]"]).await;
    assert_eq!(log.take(), ["handler of \"secret\": not for you", "public"]);
}

#[test]
fn reserved_names_cannot_be_listened_to() {
    for name in ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"] {
        let io = Server::new();
        let registering = std::panic::AssertUnwindSafe(|| drop(io.on(name, async |_, (): ()| ())));
        assert!(std::panic::catch_unwind(registering).is_err(), "{name}");
    }
}
