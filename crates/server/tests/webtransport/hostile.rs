//! Clients that do not play by the rules.

use std::time::Duration;

use sockeye::{DisconnectReason, Limit, Socket};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::clock::{Still, advance, moving};
use crate::peer::{EXCESSIVE_LOAD, GENERAL_PROTOCOL_ERROR, NO_ERROR, Peer, REQUEST_REJECTED, Site, builder, soon};

#[tokio::test]
async fn what_is_no_first_packet() {
    let site = Site::new(builder().build().unwrap()).await;
    let wrong: [&[u8]; 12] = [
        b"\x00",
        b"\x80",
        b"\x0240",
        b"\x012",
        b"\x062probe",
        b"\x810",
        b"\x020{",
        b"\x030{}",
        b"\x050null",
        b"\x02\xff\xfe",
        b"\x7e\xff\xff",
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff",
    ];
    for bytes in wrong {
        let mut peer = site.stream().await;
        peer.write(bytes).await;
        assert_eq!(peer.closed().await, (REQUEST_REJECTED, "Bad request".into()), "{bytes:x?}");
    }
    assert_eq!((site.io.metrics().sessions_opened, site.io.metrics().requests_refused), (0, 12));
}

#[tokio::test(start_paused = true)]
async fn who_says_nothing_is_not_waited_for() {
    let _still = Still::new();
    let site = Site::new(builder().build().unwrap()).await;
    let silent = moving(site.session()).await;
    let begun = moving(site.stream()).await;
    let mut slow = moving(site.stream()).await;
    moving(slow.write(b"\x0f0{\"sid\"")).await;
    advance(Duration::from_secs(10)).await;
    for session in [&silent, &begun.session, &slow.session] {
        assert_eq!(moving(session.closed()).await, (REQUEST_REJECTED, "Bad request".into()));
    }
    assert_eq!(site.io.metrics().sessions_opened, 0);
}

#[tokio::test(start_paused = true)]
async fn who_joins_nothing_is_not_waited_for() {
    let _still = Still::new();
    let site = Site::new(builder().build().unwrap()).await;
    let peer = moving(site.peer()).await;
    advance(Duration::from_secs(45)).await;
    assert_eq!(moving(peer.closed()).await, (EXCESSIVE_LOAD, Limit::ConnectTime.as_str().to_owned()));
    moving(site.emptied()).await;
    assert_eq!(site.io.metrics().limits.get(Limit::ConnectTime), 1);
}

/// How much the server takes on a stream of its own, which nobody reads.
async fn taken(peer: &Peer) -> usize {
    let mut surplus = soon(async { peer.session.connection.open_bi().await.unwrap().await.unwrap() }).await.0;
    let mut taken = 0;
    while let Ok(written) = timeout(Duration::from_millis(500), surplus.write(&[0; 4096])).await {
        taken += written.unwrap();
    }
    taken
}

#[tokio::test]
async fn little_is_kept_of_what_a_stranger_says_on_streams_that_nobody_reads() {
    let site = Site::new(builder().build().unwrap()).await;
    let taken_of_a_stranger = taken(&site.peer().await).await;
    assert!((1..=8 * 1024).contains(&taken_of_a_stranger), "{taken_of_a_stranger}");
    let mut member = site.socket().await;
    member.say("42[\"anything\"]").await;
    let text = "x".repeat(100_000);
    // More than its window at once: it is widened while this is under way, at the latest.
    member.write(&[&[127], &(text.len() as u64 + 1).to_be_bytes()[..], b"4", text.as_bytes()].concat()).await;
    member.closed().await;
    assert_eq!(site.io.metrics().messages_received, 3, "40, 42, and one that was no packet");
}

#[tokio::test]
async fn leaving_at_any_moment_leaves_nothing() {
    let site = Site::new(builder().build().unwrap()).await;
    let whole = b"\x010\x0240\x0c420[\"event\"]";
    for cut in 0..=whole.len() {
        let mut peer = site.stream().await;
        if cut > 0 {
            peer.write(&whole[..cut]).await;
        }
        peer.leave();
    }
    drop(site.session().await);
    site.emptied().await;
    soon(site.io.close(Duration::from_secs(30))).await;
}

#[tokio::test]
async fn messages_that_are_too_long() {
    let io = builder().max_payload(30_000).build().unwrap();
    let (tell, mut told) = mpsc::unbounded_channel();
    io.on_disconnect(async move |_: Socket, reason| tell.send(reason));
    let site = Site::new(io).await;
    // A stranger may send 16 KiB, a socket what the server takes; the header alone decides.
    let mut stranger = site.peer().await;
    stranger.write(b"\x7e\x40\x01").await;
    assert_eq!(stranger.closed().await, (EXCESSIVE_LOAD, Limit::UnconnectedPayload.as_str().to_owned()));
    for header in [
        &b"\x7e\x75\x31"[..],
        b"\xfe\xff\xff",
        b"\x7f\x00\x00\x00\x00\x40\x00\x00\x00",
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff",
    ] {
        let mut peer = site.socket().await;
        peer.write(header).await;
        assert_eq!(peer.closed().await, (EXCESSIVE_LOAD, Limit::Payload.as_str().to_owned()), "{header:x?}");
        assert_eq!(soon(told.recv()).await, Some(DisconnectReason::LimitExceeded(Limit::Payload)));
    }
    let mut peer = site.socket().await;
    let long = [b"\x7e\x75\x30", &b"x".repeat(30_000)[..]].concat();
    peer.write(&long).await;
    assert_eq!(peer.closed().await.0, NO_ERROR, "not too long, but no packet");
    assert_eq!(site.io.metrics().limits.get(Limit::Payload), 4);
}

#[tokio::test]
async fn garbage_ends_the_session() {
    let io = builder().build().unwrap();
    let site = Site::new(io).await;
    let mut peer = site.socket().await;
    peer.write(b"\x04\x34\xff\xff\xff").await;
    assert_eq!(peer.closed().await, (GENERAL_PROTOCOL_ERROR, String::new()), "not UTF-8");
    for packet in [&b"\x00"[..], b"\x019", b"\x02b!", b"\x0242", b"\x81x", b"\x080{\"sid\":"] {
        let mut peer = site.socket().await;
        peer.write(packet).await;
        peer.closed().await;
    }
    site.emptied().await;
}

#[tokio::test]
async fn rates_hold_here_too() {
    for (limit, builder) in
        [(Limit::EventsPerSecond, builder().event_rate(1, 5)), (Limit::BytesPerSecond, builder().byte_rate(1, 50))]
    {
        for packet in [&b"\x0742[\"x\"]"[..], b"\x013", b"\x016"] {
            let site = Site::new(builder.clone().build().unwrap()).await;
            let mut peer = site.socket().await;
            // It may be closed by now.
            drop(soon(peer.send.write_all(&packet.repeat(50))).await);
            assert_eq!(peer.closed().await, (EXCESSIVE_LOAD, limit.as_str().to_owned()), "{packet:?}");
        }
    }
}

#[tokio::test]
async fn further_streams_are_not_heard() {
    let io = builder().build().unwrap();
    io.on_with_ack("sum", async |_: Socket, (a, b): (u32, u32)| a + b);
    let site = Site::new(io).await;
    let mut peer = site.socket().await;
    let connection = &peer.session.connection;
    for _ in 0..2 {
        let (mut send, _receive) = connection.open_bi().await.unwrap().await.unwrap();
        send.write_all(b"\x010").await.unwrap();
        let mut one_way = connection.open_uni().await.unwrap().await.unwrap();
        one_way.write_all(b"\x010").await.unwrap();
        connection.send_datagram(b"\x010").unwrap();
    }
    peer.say("420[\"sum\",2,3]").await;
    assert_eq!(peer.hear().await, "430[5]");
    assert_eq!(site.io.metrics().sessions_opened, 1);
}

/// Of each kind so many.
const FAILED: usize = 90;

/// engine.io f86b95fd: what was begun for a client stayed when it failed.
#[tokio::test]
async fn a_thousand_handshakes_that_fail_leave_nothing() {
    let io = builder().origins(["https://a.example"]).build().unwrap();
    let site = Site::new(io).await;
    let hello =
        |sid: &str| [&[u8::try_from(sid.len() + 10).unwrap()], format!("0{{\"sid\":\"{sid}\"}}").as_bytes()].concat();
    let first: [&[u8]; 6] = [b"\x00", b"\x0242", b"\x050null", b"\x82b!", &hello("unknown"), &hello("__proto__")];
    // What everybody's first connection leaves: threads that resolve, caches.
    site.peer().await.leave();
    site.emptied().await;
    let tasks = tokio::runtime::Handle::current().metrics();
    let before = tasks.num_alive_tasks();
    for _ in 0..FAILED {
        for bytes in first {
            let mut peer = site.stream().await;
            peer.write(bytes).await;
            assert_eq!(peer.closed().await.0, REQUEST_REJECTED);
        }
        assert!(site.ask("/elsewhere/", None).await.is_err());
        assert!(site.ask("/socket.io/", Some("https://evil.example")).await.is_err());
        site.quic().await.close(0_u32.into(), b"");
        drop(site.session().await);
        site.stream().await.leave();
        let mut torn = site.stream().await;
        torn.write(b"\x0f0{").await;
        torn.send.reset(0_u32.into()).unwrap();
        drop(torn);
    }
    soon(async {
        while tasks.num_alive_tasks() > before {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    site.emptied().await;
    assert_eq!(site.io.metrics().sessions_opened, 1);
    soon(site.io.close(Duration::from_secs(30))).await;
}
