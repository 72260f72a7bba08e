//! Pings, and what has a deadline.                                                             [EIO4 "heartbeat"]

use crate::common::*;

#[tokio::test(start_paused = true)]
async fn a_websocket_is_pinged_and_lives_while_it_answers() {
    let (_, net) = plain();
    let (mut alice, _) = net.join().await;
    for _ in 0..3 {
        net.advance(millis(24_900)).await;
        alice.expect_nothing().await;
        net.advance(millis(200)).await;
        alice.expect("2").await;
        alice.send("3").await;
    }
    alice.close().await;
    net.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn a_websocket_that_does_not_answer_is_dropped() {
    let (io, net) = plain();
    let log = Log::default();
    let seen = log.clone();
    io.on_disconnect(async move |_, reason| seen.add(reason));
    let (mut alice, _) = net.join().await;
    net.advance(millis(44_900)).await;
    assert_eq!(log.take(), [""; 0]);
    net.advance(millis(200)).await;
    assert_eq!(log.take(), ["ping timeout"]);
    alice.expect("2").await;
    alice.expect_cut().await;
    net.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn polling_is_pinged_too() {
    let (_, net) = plain();
    let bob = net.polling().await;
    bob.join().await;
    let waiting = bob.get();
    net.advance(millis(25_001)).await;
    waiting.expect(200, "2").await;
    bob.send("3").await;
    net.advance(secs(24)).await;
    let waiting = bob.get();
    waiting.expect_waiting().await;
    net.advance(millis(1_001)).await;
    waiting.expect(200, "2").await;
    net.advance(secs(21)).await;
    net.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn a_poll_that_waits_past_the_deadline_is_told_the_end() {
    let (_, net) = plain();
    let bob = net.polling().await;
    bob.join().await;
    net.advance(millis(25_001)).await;
    bob.expect("2").await;
    let waiting = bob.get();
    net.advance(millis(20_001)).await;
    waiting.expect(200, "1").await;
    bob.get().expect(400, "{\"code\":1,\"message\":\"Session ID unknown\"}").await;
    net.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_joins_nothing_is_cut_off() {
    let (_, net) = plain();
    let mut alice = net.websocket().await;
    let bob = net.polling().await;
    net.advance(millis(25_001)).await;
    alice.expect("2").await;
    alice.send("3").await;
    bob.expect("2").await;
    bob.send("3").await;
    net.advance(millis(19_800)).await;
    alice.expect_nothing().await;
    let waiting = bob.get();
    waiting.expect_waiting().await;
    net.advance(millis(300)).await;
    alice.expect_closed(Some(1008)).await;
    assert_eq!(alice.close_reason(), "no namespace was joined in time");
    waiting.expect(200, "1").await;
    net.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn a_client_in_a_namespace_is_not_cut_off() {
    let io = Server::builder().connect_timeout(secs(5)).build().unwrap();
    let net = Net::new(&io);
    let (mut alice, _) = net.join().await;
    net.advance(secs(6)).await;
    alice.expect_nothing().await;
    alice.close().await;
    net.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn attachments_that_do_not_come_end_the_connection() {
    let (_, net) = plain();
    let (mut alice, _) = net.join().await;
    alice.send("451-[\"a\",{\"_placeholder\":true,\"num\":0}]").await;
    net.advance(millis(25_001)).await;
    alice.expect("2").await;
    alice.send("3").await;
    net.advance(millis(25_001)).await;
    alice.expect("2").await;
    alice.send("3").await;
    alice.expect_nothing().await;
    net.advance(secs(11)).await;
    alice.expect_closed(Some(1008)).await;
    net.assert_clean().await;
}

/// An HTTP head that does not come holds a connection for half a minute, not for ever.
#[tokio::test(start_paused = true)]
async fn a_connection_that_says_nothing_is_closed() {
    let (io, net) = plain();
    let (client, server) = tokio::io::duplex(1024);
    let serving = tokio::spawn(async move { io.serve_stream(server, None).await });
    net.advance(secs(31)).await;
    assert!(serving.is_finished());
    drop(client);
}
