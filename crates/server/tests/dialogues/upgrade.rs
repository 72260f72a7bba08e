//! From polling to a WebSocket.                                                                  [EIO4 "upgrade"]

use sockeye::Transport;

use crate::common::*;

const BAD_REQUEST: &str = "{\"code\":3,\"message\":\"Bad request\"}";

async fn upgraded(bob: &Polling) -> WebSocket {
    let mut stream = bob.upgrade().await;
    stream.send("2probe").await;
    stream.expect("3probe").await;
    stream.send("5").await;
    stream
}

#[tokio::test(start_paused = true)]
async fn a_session_goes_over_to_a_websocket() {
    let (io, net) = echo();
    let bob = net.polling().await;
    let socket = io.get(&bob.join().await).unwrap();
    let waiting = bob.get();
    let mut stream = bob.upgrade().await;
    stream.send("2probe").await;
    stream.expect("3probe").await;
    waiting.expect(200, "6").await;
    assert_eq!(socket.transport(), Transport::Polling);
    stream.send("5").await;
    settle().await;
    assert_eq!(socket.transport(), Transport::Websocket);
    stream.send("42[\"echo\",\"over\"]").await;
    stream.expect("42[\"echo\",\"over\"]").await;
    bob.get().expect(400, BAD_REQUEST).await;
    bob.post("42[\"echo\",1]").expect(400, BAD_REQUEST).await;
    assert_eq!(io.metrics().upgrades, 1);
    stream.close().await;
    net.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn every_poll_is_answered_during_the_upgrade() {
    let (_, net) = plain();
    let bob = net.polling().await;
    let mut stream = bob.upgrade().await;
    stream.send("2probe").await;
    stream.expect("3probe").await;
    for _ in 0..3 {
        bob.expect("6").await;
    }
    stream.send("5").await;
    stream.close().await;
    net.assert_clean().await;
}

/// Both directions, at every point of the upgrade; nothing is lost, doubled or overtaken.
#[tokio::test(start_paused = true)]
async fn messages_in_flight_arrive_once_and_in_order() {
    let (io, net) = plain();
    let log = Log::default();
    let seen = log.clone();
    io.on("up", async move |_, n: u32| seen.add(n));
    let bob = net.polling().await;
    let id = bob.join().await;
    let down = |n: u32| io.to(&id).emit("down", n).unwrap();

    bob.send("42[\"up\",1]").await;
    down(1);
    bob.expect("42[\"down\",1]").await;
    let mut stream = bob.upgrade().await;
    bob.send("42[\"up\",2]").await;
    down(2);
    bob.expect("42[\"down\",2]").await;
    stream.send("2probe").await;
    stream.expect("3probe").await;
    down(3);
    bob.expect("6").await;
    bob.send("42[\"up\",3]").await;
    stream.expect_nothing().await;
    down(4);
    stream.send_all(&["5", "42[\"up\",4]"]).await;
    down(5);
    for n in 3..=5 {
        stream.expect(&format!("42[\"down\",{n}]")).await;
    }
    stream.send("42[\"up\",5]").await;
    assert_eq!(log.take(), ["1", "2", "3", "4", "5"]);
    stream.close().await;
    net.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn an_upgrade_that_takes_too_long_is_given_up_and_polling_goes_on() {
    let (io, net) = echo();
    let bob = net.polling().await;
    bob.join().await;
    let mut stream = bob.upgrade().await;
    stream.send("2probe").await;
    stream.expect("3probe").await;
    net.advance(secs(11)).await;
    stream.expect_closed(None).await;
    bob.send("42[\"echo\",1]\u{1e}42[\"echo\",\"still here\"]").await;
    bob.expect("42[\"echo\",\"still here\"]").await;
    assert_eq!(io.metrics().upgrades_failed, 1);
    drop(upgraded(&bob).await);
    net.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_is_wrong_gives_the_upgrade_up() {
    let (io, net) = echo();
    let bob = net.polling().await;
    bob.join().await;
    for (round, wrong) in ["2", "2prob", "5", "42[\"echo\",\"x\"]", "3probe", "1", "x", ""].iter().enumerate() {
        let mut stream = bob.upgrade().await;
        stream.send(wrong).await;
        stream.expect_closed(None).await;
        assert_eq!(io.metrics().upgrades_failed, round as u64 + 1, "{wrong}");
    }
    bob.send("42[\"echo\",\"still here\"]").await;
    bob.expect("42[\"echo\",\"still here\"]").await;
    bob.close().await;
    net.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_breaks_before_the_switch_harms_nothing() {
    let (_, net) = echo();
    let bob = net.polling().await;
    bob.join().await;
    drop(bob.upgrade().await);
    settle().await;
    bob.upgrade().await.reset();
    settle().await;
    let mut probing = bob.upgrade().await;
    probing.send("2probe").await;
    probing.expect("3probe").await;
    probing.reset();
    settle().await;
    bob.send("42[\"echo\",\"a\"]").await;
    bob.expect("42[\"echo\",\"a\"]").await;
    upgraded(&bob).await.close().await;
    net.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn one_upgrade_at_a_time() {
    let (_, net) = plain();
    let bob = net.polling().await;
    let target = format!("/socket.io/?EIO=4&transport=websocket&sid={}", bob.sid());
    let stream = bob.upgrade().await;
    net.open(&target, &[]).await.expect_closed(None).await;
    drop(stream);
    settle().await;
    let stream = upgraded(&bob).await;
    net.open(&target, &[]).await.expect_closed(None).await;
    stream.close().await;
    net.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn a_websocket_that_lacks_its_key_does_not_block_the_next_upgrade() {
    let (_, net) = plain();
    let bob = net.polling().await;
    let target = format!("/socket.io/?EIO=4&transport=websocket&sid={}", bob.sid());
    let headers = [("connection", "Upgrade"), ("upgrade", "websocket")];
    let answer = net.request("GET", &target, &headers, "").answer().await;
    assert_eq!(answer.status, 426);
    upgraded(&bob).await.close().await;
    net.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn a_proxy_that_takes_the_handshake_away_shows_in_the_figures() {
    let (io, net) = plain();
    let bob = net.polling().await;
    let target = format!("/socket.io/?EIO=4&transport=websocket&sid={}", bob.sid());
    let answer = net.request("GET", &target, &[("connection", "close")], "").answer().await;
    assert_eq!(answer.status, 400);
    assert_eq!(answer.text(), "{\"code\":3,\"message\":\"Bad request\"}");
    assert_eq!(io.metrics().upgrades_failed, 1);
    // Or half of it.
    let headers = [("connection", "Upgrade"), ("upgrade", "websocket")];
    assert_eq!(net.request("GET", &target, &headers, "").answer().await.status, 426);
    assert_eq!(io.metrics().upgrades_failed, 2);
    // A session that begins so is refused, but no upgrade.
    let target = "/socket.io/?EIO=4&transport=websocket";
    assert_eq!(net.request("GET", target, &[], "").answer().await.status, 400);
    assert_eq!(io.metrics().upgrades_failed, 2);
    bob.close().await;
    net.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn the_session_ends_with_its_stream_after_the_switch() {
    let (io, net) = plain();
    let log = Log::default();
    let seen = log.clone();
    io.on_disconnect(async move |_, reason| seen.add(reason));
    let bob = net.polling().await;
    bob.join().await;
    drop(upgraded(&bob).await);
    settle().await;
    assert_eq!(log.take(), ["transport close"]);
    net.assert_clean().await;
}
