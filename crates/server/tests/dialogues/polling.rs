//! Sessions by HTTP long-polling.                                                     [EIO4 "HTTP long-polling"]

use crate::common::*;

const BAD_REQUEST: &str = "{\"code\":3,\"message\":\"Bad request\"}";
const UNKNOWN: &str = "{\"code\":1,\"message\":\"Session ID unknown\"}";

#[tokio::test(start_paused = true)]
async fn a_chat_by_polling() {
    let (_, net) = echo();
    let bob = net.polling().await;
    bob.join().await;
    let waiting = bob.get();
    waiting.expect_waiting().await;
    bob.send("42[\"echo\",\"a\"]").await;
    waiting.expect(200, "42[\"echo\",\"a\"]").await;
    bob.send("42[\"echo\",\"b\"]\u{1e}42[\"echo\",\"c\"]").await;
    bob.expect("42[\"echo\",\"b\"]\u{1e}42[\"echo\",\"c\"]").await;
    bob.close().await;
    net.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn attachments_travel_as_base64() {
    let (io, net) = plain();
    io.on("echo", async |socket: Socket, bytes: bytes::Bytes| socket.emit("echo", bytes));
    let bob = net.polling().await;
    bob.join().await;
    bob.send("451-[\"echo\",{\"_placeholder\":true,\"num\":0}]\u{1e}bAQIDBA==").await;
    bob.expect("451-[\"echo\",{\"_placeholder\":true,\"num\":0}]\u{1e}bAQIDBA==").await;
    bob.close().await;
    net.assert_clean().await;
}

/// The one that waits is told the end, the second is refused, and the session is over.
#[tokio::test(start_paused = true)]
async fn a_second_get_ends_the_session() {
    let (_, net) = plain();
    let bob = net.polling().await;
    let first = bob.get();
    first.expect_waiting().await;
    let second = bob.get();
    second.expect(400, BAD_REQUEST).await;
    first.expect(200, "1").await;
    bob.get().expect(400, UNKNOWN).await;
    net.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn a_second_post_ends_the_session() {
    let (io, net) = plain();
    let bob = net.polling().await;
    let (sending, body) = slow_body();
    let slow = net.send(
        http::Request::builder()
            .method("POST")
            .uri(bob.target())
            .header("content-type", "text/plain")
            .body(body)
            .unwrap(),
    );
    slow.expect_waiting().await;
    bob.post("40").expect(400, "").await;
    bob.get().expect(400, UNKNOWN).await;
    drop(sending);
    assert_eq!(io.metrics().sessions, 0);
    drop(slow);
    net.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn a_get_that_is_given_up_ends_the_session() {
    let (_, net) = plain();
    let bob = net.polling().await;
    let waiting = bob.get();
    waiting.expect_waiting().await;
    drop(waiting);
    bob.get().expect(400, UNKNOWN).await;
    net.assert_clean().await;
}

/// Its messages are lost, so the session cannot go on as if nothing had happened. [JS engine.io polling.ts]
#[tokio::test(start_paused = true)]
async fn a_post_that_is_given_up_ends_the_session() {
    let (_, net) = plain();
    let bob = net.polling().await;
    let (sending, body) = slow_body();
    let request = http::Request::builder().method("POST").uri(bob.target()).body(body).unwrap();
    let slow = net.send(request);
    slow.expect_waiting().await;
    drop(slow);
    bob.get().expect(400, UNKNOWN).await;
    drop(sending);
    net.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_not_awaited_for_ever() {
    let (_, net) = plain();
    let bob = net.polling().await;
    let (_sending, body) = slow_body();
    let slow = net.send(http::Request::builder().method("POST").uri(bob.target()).body(body).unwrap());
    net.advance(secs(31)).await;
    slow.expect(408, "").await;
}

#[tokio::test(start_paused = true)]
async fn a_body_beyond_the_limit_is_refused_and_the_session_goes_on() {
    let io = Server::builder().max_payload(100).build().unwrap();
    io.on("echo", async |socket: Socket, text: String| socket.emit("echo", text));
    let net = Net::new(&io);
    let bob = net.polling().await;
    bob.join().await;
    bob.post(&"x".repeat(101)).expect(413, r#"{"code":3,"message":"message too large"}"#).await;
    let exactly = format!("42[\"echo\",\"{}\"]", "x".repeat(100 - 13));
    bob.send(&exactly).await;
    bob.expect(&exactly).await;
    bob.close().await;
    net.assert_clean().await;
}

/// [JS engine.io 6.6.10 polling.ts onDataRequest]: "invalid content" ends the session.
#[tokio::test(start_paused = true)]
async fn a_binary_body_ends_the_session() {
    let (_, net) = plain();
    let bob = net.polling().await;
    let binary = [("content-type", "application/octet-stream")];
    net.request("POST", &bob.target(), &binary, "40").expect(400, "").await;
    bob.get().expect(400, UNKNOWN).await;
    net.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn methods_that_mean_nothing_change_nothing() {
    let (_, net) = plain();
    let bob = net.polling().await;
    for method in ["PUT", "DELETE", "PATCH"] {
        net.request(method, &bob.target(), &[], "").expect(500, "").await;
    }
    bob.join().await;
    bob.close().await;
    net.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn a_poll_that_waits_is_answered_when_the_client_says_goodbye() {
    let (_, net) = plain();
    let bob = net.polling().await;
    let waiting = bob.get();
    waiting.expect_waiting().await;
    bob.send("1").await;
    waiting.expect(200, "6").await;
    bob.get().expect(400, UNKNOWN).await;
    net.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_session_takes_no_polls() {
    let (_, net) = plain();
    let mut alice = net.open("/socket.io/?EIO=4&transport=websocket", &[]).await;
    let sid = alice
        .expect("0{\"sid\":\"…\",\"upgrades\":[],\"pingInterval\":25000,\"pingTimeout\":20000,\"maxPayload\":1000000}")
        .await
        .remove(0);
    let target = format!("/socket.io/?EIO=4&transport=polling&sid={sid}");
    net.request("GET", &target, &[], "").expect(400, BAD_REQUEST).await;
    net.request("POST", &target, &[], "40").expect(400, BAD_REQUEST).await;
    alice.send("40").await;
    alice.expect("40{\"sid\":\"…\"}").await;
}

/// A body whose pieces come when the test sends them; dropping the sender ends it.
pub(crate) fn slow_body() -> (tokio::sync::mpsc::Sender<bytes::Bytes>, Slow) {
    let (sender, receiver) = tokio::sync::mpsc::channel(1);
    (sender, Slow(receiver))
}

pub(crate) struct Slow(tokio::sync::mpsc::Receiver<bytes::Bytes>);

impl http_body::Body for Slow {
    type Data = bytes::Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<bytes::Bytes>, Self::Error>>> {
        self.0.poll_recv(cx).map(|piece| piece.map(|piece| Ok(http_body::Frame::data(piece))))
    }
}
