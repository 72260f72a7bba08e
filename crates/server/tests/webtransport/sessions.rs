//! Whole sessions: what works over the other transports works over this one.

use std::time::Duration;

use bytes::Bytes;
use sockeye::{Cause, DisconnectReason, Limit, Server, Socket, Transport};
use tokio::sync::mpsc;
use wtransport::VarInt;

use crate::clock::{Still, advance, moving};
use crate::peer::{NO_ERROR, Site, builder, soon};

/// A server that tells why sockets leave.
fn telling(io: &Server) -> mpsc::UnboundedReceiver<DisconnectReason> {
    let (tell, told) = mpsc::unbounded_channel();
    io.on_disconnect(async move |_: Socket, reason| tell.send(reason));
    told
}

#[tokio::test]
async fn events_answers_and_bytes() {
    let io = builder().build().unwrap();
    io.on_with_ack("sum", async |_: Socket, (a, b): (u32, u32)| a + b);
    io.on("echo", async |socket: Socket, bytes: Bytes| socket.emit("echo", bytes));
    io.on_with_ack("transport", async |socket: Socket, (): ()| {
        assert_eq!(socket.transport(), Transport::Webtransport);
        (socket.peer().is_secure(), socket.peer().uri().to_owned(), socket.peer().address().unwrap().ip().to_string())
    });
    let site = Site::new(io).await;
    let mut peer = site.stream().await;
    peer.say("0").await;
    let open = peer.hear().await;
    assert!(
        open.contains("\"upgrades\":[],\"pingInterval\":25000,\"pingTimeout\":20000,\"maxPayload\":1000000}"),
        "{open}"
    );
    peer.join().await;
    peer.say("420[\"sum\",2,3]").await;
    assert_eq!(peer.hear().await, "430[5]");
    peer.say("421[\"transport\"]").await;
    assert_eq!(peer.hear().await, "431[true,\"/socket.io/\",\"127.0.0.1\"]");
    peer.say("451-[\"echo\",{\"_placeholder\":true,\"num\":0}]").await;
    peer.write(b"\x83\x00\xff\x01").await;
    assert_eq!(peer.hear().await, "451-[\"echo\",{\"_placeholder\":true,\"num\":0}]");
    assert_eq!(peer.next().await, (true, vec![0, 0xff, 1]));
    peer.leave();
    site.emptied().await;
}

#[tokio::test]
async fn no_bytes_are_bytes() {
    let io = builder().build().unwrap();
    io.on("echo", async |socket: Socket, bytes: Bytes| socket.emit("echo", bytes));
    let site = Site::new(io).await;
    let mut peer = site.socket().await;
    for empty in [&b"\x80"[..], b"\x01b"] {
        peer.say("451-[\"echo\",{\"_placeholder\":true,\"num\":0}]").await;
        peer.write(empty).await;
        assert_eq!(peer.hear().await, "451-[\"echo\",{\"_placeholder\":true,\"num\":0}]");
        assert_eq!(peer.hear().await, "b", "the official client takes a length of 0 for an error");
    }
}

#[tokio::test]
async fn long_messages_and_many_of_them() {
    let io = builder().build().unwrap();
    io.on("echo", async |socket: Socket, text: String| socket.emit("echo", text));
    let site = Site::new(io).await;
    let mut peer = site.socket().await;
    for length in [100, 200, 20_000, 70_000, 900_000] {
        let packet = format!("42[\"echo\",\"{}\"]", "x".repeat(length));
        let header: Vec<u8> = match packet.len() {
            short @ ..126 => vec![u8::try_from(short).unwrap()],
            middle @ ..65_536 => [&[126][..], &u16::try_from(middle).unwrap().to_be_bytes()].concat(),
            long => [&[127][..], &u64::try_from(long).unwrap().to_be_bytes()].concat(),
        };
        peer.write(&[&header, packet.as_bytes()].concat()).await;
        assert_eq!(peer.hear().await, packet);
    }
    for n in 0..2_000 {
        site.io.emit("n", (n, "x".repeat(n % 300))).unwrap();
    }
    for n in 0..2_000 {
        assert_eq!(peer.hear().await, format!("42[\"n\",{n},\"{}\"]", "x".repeat(n % 300)));
    }
}

#[tokio::test]
async fn packets_may_come_in_any_pieces() {
    let io = builder().build().unwrap();
    io.on_with_ack("sum", async |_: Socket, (a, b): (u32, u32)| a + b);
    let site = Site::new(io).await;
    // All at once.
    let mut peer = site.stream().await;
    peer.write(b"\x010\x0240\x0f420[\"sum\",2,33]").await;
    assert!(peer.hear().await.starts_with("0{"));
    assert!(peer.hear().await.starts_with("40{"));
    assert_eq!(peer.hear().await, "430[35]");
    // And byte by byte.
    let mut peer = site.stream().await;
    for byte in b"\x010\x0240\x0f420[\"sum\",2,34]" {
        peer.write(&[*byte]).await;
        tokio::task::yield_now().await;
    }
    assert!(peer.hear().await.starts_with("0{"));
    assert!(peer.hear().await.starts_with("40{"));
    assert_eq!(peer.hear().await, "430[36]");
}

#[tokio::test]
async fn broadcasts_reach_every_transport() {
    let site = Site::new(builder().build().unwrap()).await;
    let (mut one, mut two) = (site.socket().await, site.socket().await);
    let (sid, _) = site.polling().await;
    let query = format!("transport=polling&sid={sid}");
    site.http("POST", &query, "40").await;
    assert!(site.http("GET", &query, "").await.1.starts_with("40{"));
    let bytes = Bytes::from_static(b"\x01\x02");
    site.io.emit("all", ("x", bytes)).unwrap();
    let text = "451-[\"all\",\"x\",{\"_placeholder\":true,\"num\":0}]";
    for peer in [&mut one, &mut two] {
        assert_eq!(peer.hear().await, text);
        assert_eq!(peer.next().await, (true, vec![1, 2]));
    }
    assert_eq!(site.http("GET", &query, "").await.1, format!("{text}\u{1e}bAQI="));
}

#[tokio::test(start_paused = true)]
async fn heartbeats_go_both_ways() {
    let _still = Still::new();
    let site = Site::new(builder().build().unwrap()).await;
    let mut peer = moving(site.socket()).await;
    for _ in 0..3 {
        advance(Duration::from_secs(25)).await;
        assert_eq!(moving(peer.hear()).await, "2");
        moving(peer.say("3")).await;
    }
}

#[tokio::test(start_paused = true)]
async fn who_does_not_answer_is_gone() {
    let _still = Still::new();
    let io = builder().build().unwrap();
    let mut told = telling(&io);
    let site = Site::new(io).await;
    let peer = moving(site.socket()).await;
    advance(Duration::from_secs(25 + 20)).await;
    assert_eq!(moving(told.recv()).await, Some(DisconnectReason::PingTimeout));
    assert_eq!(moving(peer.closed()).await, (NO_ERROR, String::new()));
    moving(site.emptied()).await;
}

#[tokio::test]
async fn the_client_leaves() {
    let io = builder().build().unwrap();
    let mut told = telling(&io);
    let site = Site::new(io).await;
    // By DISCONNECT.
    let mut peer = site.socket().await;
    peer.say("41").await;
    assert_eq!(soon(told.recv()).await, Some(DisconnectReason::ClientDisconnect));
    // By closing the connection.
    site.socket().await.leave();
    assert_eq!(soon(told.recv()).await, Some(DisconnectReason::TransportClose));
    // By ending the stream.
    let mut peer = site.socket().await;
    peer.send.finish().await.unwrap();
    assert_eq!(soon(told.recv()).await, Some(DisconnectReason::TransportClose));
    assert_eq!(peer.closed().await, (NO_ERROR, String::new()));
    // By CLOSE of Engine.IO.
    let mut peer = site.socket().await;
    peer.say("1").await;
    assert_eq!(soon(told.recv()).await, Some(DisconnectReason::TransportClose));
    assert_eq!(peer.closed().await, (NO_ERROR, String::new()));
}

/// Beside the reason: by whom, how, and after how long.
#[tokio::test(start_paused = true)]
async fn the_cause_of_an_end_is_told() {
    let _still = Still::new();
    let io = builder().max_payload(1_000).build().unwrap();
    let (tell, mut told) = mpsc::unbounded_channel();
    io.on_disconnect(async move |socket: Socket, _| tell.send(socket.last_disconnect().unwrap().cause));
    let site = Site::new(io).await;
    let closed = || Cause::Closed { code: None, text: "".into() };
    let mut peer = moving(site.socket()).await;
    moving(peer.send.finish()).await.unwrap();
    assert_eq!(moving(told.recv()).await, Some(closed()));
    let mut peer = moving(site.socket()).await;
    moving(peer.say("1")).await;
    assert_eq!(moving(told.recv()).await, Some(closed()));
    let mut peer = moving(site.socket()).await;
    peer.send.reset(VarInt::from_u32(7)).unwrap();
    assert!(matches!(moving(told.recv()).await, Some(Cause::Io(_))));
    let mut peer = moving(site.socket()).await;
    moving(peer.write(b"\x01\xff")).await;
    assert_eq!(moving(told.recv()).await, Some(Cause::Protocol("invalid utf-8".into())));
    let mut peer = moving(site.socket()).await;
    moving(peer.write(b"\x7e\x03\xe9")).await;
    let limit = Cause::Limit { limit: Limit::Payload, actual: Some(1_001), bound: Some(1_000) };
    assert_eq!(moving(told.recv()).await, Some(limit));
    let _peer = moving(site.socket()).await;
    advance(Duration::from_secs(25 + 20)).await;
    let Some(Cause::PingTimeout { heard, pinged: Some(pinged) }) = moving(told.recv()).await else { panic!() };
    assert_eq!([heard, pinged].map(|age| (age.as_millis() + 500) / 1_000), [45, 20]);
    moving(site.emptied()).await;
}

#[tokio::test]
async fn a_stream_that_is_torn_is_a_fault_of_the_transport() {
    let io = builder().build().unwrap();
    let mut told = telling(&io);
    let site = Site::new(io).await;
    let mut peer = site.socket().await;
    peer.send.reset(VarInt::from_u32(7)).unwrap();
    assert_eq!(soon(told.recv()).await, Some(DisconnectReason::TransportError));
    site.emptied().await;
}

#[tokio::test]
async fn the_server_disconnects_and_everything_arrives_before() {
    let io = builder().build().unwrap();
    io.on("bye", async |socket: Socket, ()| {
        for n in 0..500 {
            socket.emit("last", (n, "x".repeat(1_000)))?;
        }
        socket.disconnect_and_close();
        Ok::<_, sockeye::BoxError>(())
    });
    let mut told = telling(&io);
    let site = Site::new(io).await;
    let mut peer = site.socket().await;
    peer.say("42[\"bye\"]").await;
    for n in 0..500 {
        assert_eq!(peer.hear().await, format!("42[\"last\",{n},\"{}\"]", "x".repeat(1_000)));
    }
    assert_eq!(peer.hear().await, "41");
    assert_eq!(soon(told.recv()).await, Some(DisconnectReason::ServerDisconnect));
    assert_eq!(peer.closed().await, (NO_ERROR, String::new()));
    site.emptied().await;
}

#[tokio::test]
async fn the_server_ends() {
    let io = builder().build().unwrap();
    let mut told = telling(&io);
    let site = Site::new(io).await;
    let mut peer = site.socket().await;
    let stranger = site.session().await;
    site.io.emit("last", ()).unwrap();
    soon(site.io.close(Duration::from_secs(30))).await;
    assert_eq!(soon(told.recv()).await, Some(DisconnectReason::ServerShuttingDown));
    assert_eq!(peer.hear().await, "42[\"last\"]");
    assert_eq!(peer.closed().await, (NO_ERROR, String::new()));
    assert_eq!(stranger.closed().await.0, NO_ERROR);
    site.emptied().await;
}

#[tokio::test]
async fn who_does_not_read_is_disconnected() {
    let io = builder().outbox(200_000, 1_000_000).build().unwrap();
    let mut told = telling(&io);
    let site = Site::new(io).await.with_window(4_096);
    let peer = site.socket().await;
    let text = "x".repeat(10_000);
    soon(async {
        // The windows of QUIC take a bounded part of it.
        while site.io.metrics().sockets > 0 {
            site.io.emit("flood", &text).unwrap();
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(soon(told.recv()).await, Some(DisconnectReason::SlowConsumer));
    drop(peer);
    site.emptied().await;
}
