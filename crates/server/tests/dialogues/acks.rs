//! Answers: each is settled exactly once.                                                       [SIO5 "acknowledgement"]

use std::sync::{Arc, Mutex};

use sockeye::{AckError, EmitError};

use crate::common::*;

/// A server that keeps the socket of the last client that has joined.
fn keeping() -> (Server, Net, Arc<Mutex<Option<Socket>>>) {
    let (io, net) = plain();
    let kept = Arc::<Mutex<Option<Socket>>>::default();
    let keep = Arc::clone(&kept);
    io.on_connect(async move |socket| *keep.lock().unwrap() = Some(socket));
    (io, net, kept)
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_the_value() {
    let (io, net, kept) = keeping();
    let (mut alice, _) = net.join().await;
    let socket = kept.lock().unwrap().take().unwrap();
    let one = socket.emit_with_ack::<_, u32>("one", "x").send();
    let pair = socket.emit_with_ack::<_, (u8, String)>("pair", ()).send();
    let none = socket.emit_with_ack::<_, ()>("none", ()).send();
    let binary = socket.emit_with_ack::<_, bytes::Bytes>("binary", bytes::Bytes::from_static(&[9])).send();
    alice.expect("420[\"one\",\"x\"]").await;
    alice.expect("421[\"pair\"]").await;
    alice.expect("422[\"none\"]").await;
    alice.expect("451-3[\"binary\",{\"_placeholder\":true,\"num\":0}]").await;
    alice.expect_binary(&[9]).await;
    assert_eq!(io.metrics().acks, 4);
    alice.send_all(&["431[1,\"two\"]", "430[5]", "432[]", "461-3[{\"_placeholder\":true,\"num\":0}]"]).await;
    alice.send_binary(&[7, 8]).await;
    assert_eq!(one.await.unwrap(), 5);
    assert_eq!(pair.await.unwrap(), (1, "two".to_owned()));
    none.await.unwrap();
    assert_eq!(binary.await.unwrap(), [7, 8][..]);
    alice.close().await;
    net.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_does_not_fit_is_an_error() {
    let (_, net, kept) = keeping();
    let (mut alice, _) = net.join().await;
    let socket = kept.lock().unwrap().take().unwrap();
    let answer = socket.emit_with_ack::<_, u32>("one", ()).send();
    alice.send("430[\"text\"]").await;
    assert!(matches!(answer.await, Err(AckError::Decode(_))));
    alice.close().await;
    net.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_does_not_come_is_late() {
    let (io, net, kept) = keeping();
    let (mut alice, _) = net.join().await;
    let socket = kept.lock().unwrap().take().unwrap();
    let short = socket.emit_with_ack::<_, u32>("short", ()).timeout(millis(500)).send();
    let default = socket.emit_with_ack::<_, u32>("default", ()).send();
    let endless = socket.emit_with_ack::<_, u32>("endless", ()).timeout(Duration::MAX).send();
    let short = tokio::spawn(short);
    net.advance(millis(490)).await;
    assert!(!short.is_finished());
    net.advance(millis(20)).await;
    assert!(short.is_finished());
    assert!(short.await.unwrap().unwrap_err().is_timeout());
    net.advance(secs(26)).await;
    alice.send("3").await;
    net.advance(secs(4)).await;
    assert!(default.await.unwrap_err().is_timeout());
    assert_eq!((io.metrics().acks, io.metrics().acks_timed_out), (1, 2));
    alice.send_all(&["430[1]", "431[1]", "432[1]", "432[2]", "4377[1]"]).await;
    assert_eq!(endless.await.unwrap(), 1);
    assert_eq!(io.metrics().acks_unknown, 4, "late, twice, and never asked for");
    alice.close().await;
    net.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn a_timeout_of_zero_is_late_at_once() {
    let (_, net, kept) = keeping();
    let (_alice, _) = net.join().await;
    let socket = kept.lock().unwrap().take().unwrap();
    let answer = tokio::spawn(socket.emit_with_ack::<_, u32>("e", ()).timeout(Duration::ZERO).send());
    settle().await;
    assert!(answer.is_finished());
    assert!(answer.await.unwrap().unwrap_err().is_timeout());
}

#[tokio::test(start_paused = true)]
async fn who_leaves_has_not_answered() {
    let (_, net, kept) = keeping();
    let (alice, _) = net.join().await;
    let socket = kept.lock().unwrap().take().unwrap();
    let answer = tokio::spawn(socket.emit_with_ack::<_, u32>("e", ()).send());
    settle().await;
    drop(alice);
    settle().await;
    assert!(answer.is_finished());
    assert!(matches!(answer.await.unwrap(), Err(AckError::Disconnected)));
    assert!(matches!(socket.emit_with_ack::<_, u32>("e", ()).await, Err(AckError::Emit(EmitError::Closed))));
    net.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_nobody_waits_for_any_more_is_forgotten() {
    let (io, net, kept) = keeping();
    let (mut alice, _) = net.join().await;
    let socket = kept.lock().unwrap().take().unwrap();
    drop(socket.emit_with_ack::<_, u32>("e", ()).send());
    drop(socket.emit_with_ack::<_, u32>("never sent", ()));
    alice.expect("42…[\"e\"]").await;
    alice.expect_nothing().await;
    alice.send("430[1]").await;
    assert_eq!(io.metrics().acks, 0);
    alice.close().await;
    net.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn answers_that_are_waited_for_are_bounded() {
    let io = Server::builder().max_pending_acks(2).build().unwrap();
    let net = Net::new(&io);
    let (alice, id) = net.join().await;
    let socket = io.get(&id).unwrap();
    let ask = || tokio::spawn(socket.emit_with_ack::<_, u32>("e", ()).send());
    let (_a, b) = (ask(), ask());
    settle().await;
    assert!(matches!(ask().await.unwrap(), Err(AckError::Emit(EmitError::Full))));
    b.abort();
    settle().await;
    let c = ask();
    settle().await;
    assert!(!c.is_finished(), "what nobody waits for any more makes room");
    assert_eq!(io.metrics().acks, 2);
    alice.close().await;
    net.assert_clean().await;
}

/// Nobody waits any more, and the client never answers: what was asked with a long time for the answer is not remembered
/// for all of it.
#[tokio::test(start_paused = true)]
async fn cancelled_questions_are_forgotten_with_the_next_heartbeat() {
    let (io, net) = plain();
    let (mut alice, id) = net.join().await;
    let (bob, polling) = (net.polling().await, secs(3_600));
    bob.join().await;
    let socket = io.get(&id).unwrap();
    let (dropped, kept) = (
        socket.emit_with_ack::<_, u32>("one", ()).timeout(polling).send(),
        tokio::spawn(socket.emit_with_ack::<_, u32>("two", ()).timeout(polling).send()),
    );
    let all = io.emit_with_ack::<_, u32>("all", ());
    net.advance(secs(1)).await;
    assert_eq!(io.metrics().acks, 4);
    drop((dropped, all));
    for packet in ["420[\"one\"]", "421[\"two\"]", "422[\"all\"]"] {
        alice.expect(packet).await;
    }
    net.advance(secs(24)).await;
    assert_eq!((io.metrics().acks, io.metrics().acks_timed_out), (1, 0));
    alice.expect("2").await;
    alice.send_all(&["3", "430[1]", "431[2]", "432[3]"]).await;
    assert_eq!(kept.await.unwrap().unwrap(), 2);
    assert_eq!((io.metrics().acks, io.metrics().acks_unknown), (0, 2));
    drop(bob);
    alice.close().await;
    net.advance(secs(100)).await;
    net.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn one_namespace_is_not_answered_by_another() {
    let (io, net) = plain();
    io.of("/other");
    let (mut alice, id) = net.join().await;
    alice.send("40/other").await;
    alice.expect("40/other,{\"sid\":\"…\"}").await;
    let answer = tokio::spawn(io.get(&id).unwrap().emit_with_ack::<_, u32>("e", ()).send());
    alice.expect("420[\"e\"]").await;
    alice.send("43/other,0[1]").await;
    assert!(!answer.is_finished());
    alice.send("430[2]").await;
    assert_eq!(answer.await.unwrap().unwrap(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_broadcast_collects_answers_and_tells_who_left() {
    let (io, net) = plain();
    let mut clients = Vec::new();
    for _ in 0..4 {
        clients.push(net.join().await);
    }
    let outsider = net.join().await;
    for (_, id) in &clients {
        io.get(id).unwrap().join("room");
    }
    let mut replies = io.to("room").timeout(secs(5)).emit_with_ack::<_, u32>("ask", 1);
    for (client, _) in &mut clients {
        client.expect("420[\"ask\",1]").await;
    }
    assert_eq!(io.metrics().acks, 4);
    clients[0].0.send("430[10]").await;
    let (id, answer) = replies.next().await.unwrap();
    assert_eq!((id.as_str(), answer.unwrap()), (clients[0].1.as_str(), 10));
    clients[0].0.send("430[11]").await;
    let (leaver, left) = clients.remove(1);
    drop(leaver);
    settle().await;
    let (id, answer) = replies.next().await.unwrap();
    assert_eq!(id, left);
    assert!(matches!(answer, Err(AckError::Disconnected)));
    clients[1].0.send("430[\"not a number\"]").await;
    let (id, answer) = replies.next().await.unwrap();
    assert_eq!(id, clients[1].1);
    assert!(matches!(answer, Err(AckError::Decode(_))));
    let rest = replies.collect().await;
    assert_eq!(rest.len(), 1);
    assert_eq!(rest[0].0, clients[2].1);
    assert!(rest[0].1.as_ref().unwrap_err().is_timeout());
    drop((clients, outsider));
    net.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn a_broadcast_to_nobody_has_no_answers() {
    let (io, net) = plain();
    assert!(io.to("nobody").emit_with_ack::<_, u32>("ask", ()).collect().await.is_empty());
    let mut reserved = io.emit_with_ack::<_, u32>("connect", ());
    assert!(matches!(reserved.next().await.unwrap().1, Err(AckError::Emit(EmitError::Reserved))));
    assert!(reserved.next().await.is_none());
    net.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn answers_to_a_broadcast_that_was_dropped_are_forgotten() {
    let (io, net) = plain();
    let (mut alice, _) = net.join().await;
    drop(io.emit_with_ack::<_, u32>("ask", ()));
    alice.expect("420[\"ask\"]").await;
    alice.send("430[1]").await;
    alice.close().await;
    net.assert_clean().await;
}

/// In the other direction: the client asks.
#[tokio::test(start_paused = true)]
async fn handlers_answer_clients() {
    let (io, net) = plain();
    io.on_with_ack("sum", async |_, (a, b): (i64, i64)| a + b);
    io.on_with_ack("pair", async |_, (): ()| (1, "two"));
    io.on_with_ack("none", async |_, (): ()| ());
    io.on_with_ack("binary", async |_, bytes: bytes::Bytes| bytes);
    io.on_message("later", async |_, message: sockeye::Message| {
        let wanted = message.wants_ack();
        let (n, ack) = message.split::<u32>()?;
        tokio::spawn(async move {
            tokio::time::sleep(secs(1)).await;
            ack.send((n, wanted)).unwrap();
        });
        Ok::<_, sockeye::BoxError>(())
    });
    let (mut alice, _) = net.join().await;
    alice.send_all(&["4212[\"sum\",2,3]", "420[\"pair\"]", "421[\"none\"]", "42[\"sum\",1,1]"]).await;
    alice.expect("4312[5]").await;
    alice.expect("430[1,\"two\"]").await;
    alice.expect("431[]").await;
    alice.expect_nothing().await;
    alice.send("451-9007199254740993[\"binary\",{\"_placeholder\":true,\"num\":0}]").await;
    alice.send_binary(b"xyz").await;
    alice.expect("461-9007199254740993[{\"_placeholder\":true,\"num\":0}]").await;
    alice.expect_binary(b"xyz").await;
    alice.send("427[\"later\",4]").await;
    alice.expect_nothing().await;
    net.advance(secs(1)).await;
    alice.expect("437[4,true]").await;
    alice.send("428[\"nobody listens\"]").await;
    alice.expect_nothing().await;
}
