//! What is counted by cause, in literal wire text over a network in memory.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use sockeye::{DisconnectReason, ErrorCode, Limit, Refusal, Server, ServerBuilder, Socket};
use sockeye_testing::{Net, settle};
use tokio::io::ReadBuf;

fn net(builder: ServerBuilder) -> (Server, Net) {
    let io = builder.build().expect("the options agree");
    let net = Net::new(&io);
    (io, net)
}

/// What is not 0.
fn counted(figures: impl Iterator<Item = (&'static str, u64)>) -> Vec<(&'static str, u64)> {
    figures.filter(|(_, count)| *count > 0).collect()
}

#[tokio::test(start_paused = true)]
async fn each_limit_that_ends_a_connection_is_counted_as_itself() {
    let placeholder = "[\"a\",{\"_placeholder\":true,\"num\":0}]";
    let deep = format!("42[\"a\",{}{}]", "[".repeat(200), "]".repeat(200));
    let announced = format!("451-{placeholder}");
    let cases: [(Limit, ServerBuilder, &[&str]); 7] = [
        (Limit::Payload, Server::builder().max_payload(100), &[&deep]),
        (Limit::Depth, Server::builder(), &[&deep]),
        (Limit::Attachments, Server::builder(), &["4511-[\"a\"]"]),
        (Limit::Namespaces, Server::builder(), &[]),
        (Limit::EventsPerSecond, Server::builder().event_rate(1, 1), &["42[\"a\"]"]),
        (Limit::BytesPerSecond, Server::builder().byte_rate(100, 100), &[&deep]),
        (Limit::AttachmentTime, Server::builder().ping_interval(Duration::from_mins(5)), &[&announced]),
    ];
    for (limit, builder, texts) in cases {
        let (io, net) = net(builder);
        io.of_with(async |_, _| true);
        let (mut alice, _) = net.join().await;
        for text in texts {
            alice.send(text).await;
        }
        match limit {
            Limit::Namespaces => {
                for n in 0..300 {
                    alice.send(&format!("40/{n},")).await;
                }
            }
            Limit::AttachmentTime => net.advance(Duration::from_secs(61)).await,
            _ => settle().await,
        }
        let metrics = io.metrics();
        assert_eq!((metrics.limits.get(limit), metrics.limits.total()), (1, 1), "{limit:?}: {metrics:?}");
        assert_eq!((metrics.sessions_closed.get(LIMIT), metrics.sessions_closed.total()), (1, 1), "{limit:?}");
        assert_eq!(metrics.disconnects.get(LIMIT), metrics.disconnects.total(), "{limit:?}");
        drop(alice);
        net.assert_clean().await;
    }
}

/// The one reason for all limits that have a reason of their own.
const LIMIT: DisconnectReason = DisconnectReason::LimitExceeded(Limit::EventsPerSecond);

#[tokio::test(start_paused = true)]
async fn long_messages_are_counted_on_both_transports_before_and_after_connect() {
    let (io, net) = net(Server::builder().max_payload(20_000));
    let long = |length: usize| format!("40{{\"pad\":\"{}\"}}", "x".repeat(length));
    let mut stranger = net.websocket().await;
    stranger.send(&long(17_000)).await;
    stranger.expect_closed(Some(1009)).await;
    let polling = net.polling().await;
    polling
        .post(&long(17_000))
        .expect(413, r#"{"code":3,"message":"message too large before a namespace was joined"}"#)
        .await;
    assert_eq!(counted(io.metrics().limits.iter()), [("unconnected payload", 2)]);
    polling.join().await;
    polling.post(&long(21_000)).expect(413, r#"{"code":3,"message":"message too large"}"#).await;
    let (mut member, _) = net.join().await;
    member.send(&long(21_000)).await;
    member.expect_closed(Some(1009)).await;
    assert_eq!(counted(io.metrics().limits.iter()), [("payload", 2), ("unconnected payload", 2)]);
    polling.close().await;
    net.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn limits_that_end_nothing_are_counted() {
    let (io, net) = net(Server::builder().max_rooms(1).max_pending_acks(1).outbox(5_000, 10));
    io.on_connect(async |socket: Socket| socket.join(["one", "two", "three"]));
    let (mut alice, id) = net.join().await;
    let socket = io.get(&id).expect("it is connected");
    let first = socket.emit_with_ack::<_, ()>("q", ()).send();
    let second = socket.emit_with_ack::<_, ()>("q", ()).send();
    settle().await;
    assert_eq!(counted(io.metrics().limits.iter()), [("pending acks", 1), ("rooms", 2)]);
    drop((first, second));
    assert!((0..20).any(|_| socket.emit("x", "y".repeat(1_000)).is_err()));
    alice.drain().await;
    assert_eq!(counted(io.metrics().limits.iter()), [("outbox", 1), ("pending acks", 1), ("rooms", 2)]);
    assert_eq!(counted(io.metrics().sessions_closed.iter()), [("slow consumer", 1)]);
    net.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn refused_requests_are_counted_by_the_answer() {
    let builder = Server::builder().max_sessions(1).allow_request(async |peer| match peer.query("no") {
        Some(_) => Err(Refusal::new("no")),
        None => Ok(()),
    });
    let (io, net) = net(builder);
    let cases = [
        ("GET", "EIO=4&transport=x", 400, "transport unknown"),
        ("GET", "EIO=4&transport=polling&sid=x", 400, "session unknown"),
        ("POST", "EIO=4&transport=polling", 400, "bad method"),
        ("GET", "EIO=4&transport=websocket", 400, "bad request"),
        ("GET", "EIO=4&transport=polling&no=1", 403, "forbidden"),
        ("GET", "EIO=3&transport=polling", 400, "unsupported version"),
    ];
    for (method, query, status, name) in cases {
        let before = io.metrics().refusals;
        let answer = net.request(method, &format!("/socket.io/?{query}"), &[], "").answer().await;
        assert_eq!(answer.status, status, "{query}");
        let after = io.metrics().refusals;
        let changed: Vec<_> = before.iter().zip(after.iter()).filter(|(old, new)| old != new).collect();
        assert_eq!(changed, [((name, 0), (name, 1))], "{query}");
    }
    let polling = net.polling().await;
    let target = "/socket.io/?EIO=4&transport=polling";
    assert_eq!(net.request("GET", target, &[], "").answer().await.status, 503);
    let metrics = io.metrics();
    assert_eq!((metrics.refusals.get(ErrorCode::Busy), metrics.limits.get(Limit::Sessions)), (1, 1));
    assert_eq!(metrics.refusals.total(), metrics.requests_refused);
    polling.close().await;
    net.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn bytes_are_those_of_messages_on_every_transport() {
    let (io, net) = net(Server::builder());
    io.on("echo", async |socket: Socket, text: String| socket.emit("echo", text));
    let polling = net.polling().await;
    polling.join().await;
    let (mut stream, _) = net.join().await;
    let before = io.metrics();
    polling.post("42[\"echo\",\"four\"]\u{1e}42[\"echo\",\"five5\"]").expect(200, "ok").await;
    polling.expect("42[\"echo\",\"four\"]\u{1e}42[\"echo\",\"five5\"]").await;
    stream.send("42[\"echo\",\"four\"]").await;
    stream.expect("42[\"echo\",\"four\"]").await;
    let after = io.metrics();
    // `42["echo","four"]`
    assert_eq!(after.bytes_received - before.bytes_received, 17 + 18 + 17);
    assert_eq!(after.bytes_sent - before.bytes_sent, 17 + 18 + 17);
    polling.close().await;
    drop(stream);
    net.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn what_waits_is_summed_up_over_all_clients() {
    let (io, net) = net(Server::builder());
    let first = net.polling().await;
    first.join().await;
    let second = net.polling().await;
    second.join().await;
    assert_eq!((io.metrics().queued_packets, io.metrics().queued_bytes), (0, 0));
    io.emit("news", "x".repeat(1_000)).unwrap();
    let metrics = io.metrics();
    assert_eq!(metrics.queued_packets, 2);
    assert!((2_000..2_500).contains(&metrics.queued_bytes), "{}", metrics.queued_bytes);
    first.expect("42[\"news\",\"…\"]").await;
    assert_eq!(io.metrics().queued_packets, 1);
    second.close().await;
    first.close().await;
    net.assert_clean().await;
    assert_eq!((io.metrics().queued_packets, io.metrics().queued_bytes), (0, 0));
}

/// A connection that takes no answer.
struct Mute(std::io::Cursor<Vec<u8>>);

impl tokio::io::AsyncRead for Mute {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        let left = &mut self.get_mut().0;
        if left.position() == left.get_ref().len() as u64 {
            Poll::Pending
        } else {
            Pin::new(left).poll_read(cx, buffer)
        }
    }
}

impl tokio::io::AsyncWrite for Mute {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<std::io::Result<usize>> {
        Poll::Ready(Err(std::io::ErrorKind::BrokenPipe.into()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// A client that has gone when its request for a WebSocket is answered.
#[tokio::test(start_paused = true)]
async fn an_upgrade_that_never_has_a_stream_has_failed() {
    let (io, net) = net(Server::builder());
    let polling = net.polling().await;
    polling.join().await;
    let head = format!(
        "GET /socket.io/?EIO=4&transport=websocket&sid={} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        polling.sid()
    );
    io.serve_stream(Mute(std::io::Cursor::new(head.into_bytes())), None).await;
    settle().await;
    assert_eq!((io.metrics().upgrades_failed, io.metrics().sessions), (1, 1));
    let mut stream = polling.upgrade().await;
    stream.send("2probe").await;
    stream.expect("3probe").await;
    drop(stream);
    settle().await;
    assert_eq!(io.metrics().upgrades_failed, 2);
    polling.close().await;
    net.assert_clean().await;
}
