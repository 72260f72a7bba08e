//! From polling to WebTransport.                                                                  [EIO4 "upgrade"]

use std::time::Duration;

use http::StatusCode;
use sockeye::{Server, Socket, Transport};
use sockeye_testing::{Frame, Net};

use crate::clock::{Still, moving};
use crate::peer::{NO_ERROR, Peer, REQUEST_REJECTED, Site, builder, soon};

async fn asking(site: &Site, sid: &str) -> Peer {
    let mut peer = site.stream().await;
    peer.say(&format!("0{{\"sid\":\"{sid}\"}}")).await;
    peer
}

#[tokio::test]
async fn a_session_goes_over() {
    let io = builder().build().unwrap();
    io.on_with_ack("transport", async |socket: Socket, (): ()| format!("{:?}", socket.transport()));
    let site = Site::new(io).await;
    let (sid, open) = site.polling().await;
    assert!(open.contains("\"upgrades\":[\"websocket\",\"webtransport\"]"), "{open}");
    let query = format!("transport=polling&sid={sid}");
    site.http("POST", &query, "40").await;
    assert!(site.http("GET", &query, "").await.1.starts_with("40{"));
    site.http("POST", &query, "420[\"transport\"]").await;
    assert_eq!(site.http("GET", &query, "").await.1, "430[\"Polling\"]");

    let mut peer = asking(&site, &sid).await;
    peer.say("2probe").await;
    assert_eq!(peer.hear().await, "3probe");
    assert_eq!(site.http("GET", &query, "").await.1, "6", "polls are answered at once");
    site.io.emit("waits", 1).unwrap();
    peer.say("5").await;
    assert_eq!(peer.hear().await, "42[\"waits\",1]");
    peer.say("421[\"transport\"]").await;
    assert_eq!(peer.hear().await, "431[\"Webtransport\"]");
    assert_eq!(site.http("GET", &query, "").await.0, StatusCode::BAD_REQUEST);
    assert_eq!(site.io.metrics().upgrades, 1);
    peer.leave();
    site.emptied().await;
}

#[tokio::test]
async fn an_upgraded_session_is_not_upgraded_again() {
    let site = Site::new(builder().build().unwrap()).await;
    let (sid, _) = site.polling().await;
    let mut peer = asking(&site, &sid).await;
    // One is under way.
    let second = asking(&site, &sid).await;
    assert_eq!(second.closed().await, (REQUEST_REJECTED, "Bad request".into()));
    peer.say("2probe").await;
    assert_eq!(peer.hear().await, "3probe");
    peer.say("5").await;
    peer.join().await;
    // It is done.
    let third = asking(&site, &sid).await;
    assert_eq!(third.closed().await, (REQUEST_REJECTED, "Bad request".into()));
    assert_eq!(site.http("GET", &format!("transport=websocket&sid={sid}"), "").await.0, StatusCode::BAD_REQUEST);
    // The session is as it was.
    site.io.emit("still", "here").unwrap();
    assert_eq!(peer.hear().await, "42[\"still\",\"here\"]");
}

#[tokio::test]
async fn a_session_that_began_here_is_not_upgraded() {
    let io = builder().generate_id(|_| "mine".to_owned()).build().unwrap();
    let site = Site::new(io).await;
    let mut peer = site.socket().await;
    let second = asking(&site, "mine").await;
    assert_eq!(second.closed().await, (REQUEST_REJECTED, "Bad request".into()));
    site.io.emit("still", "here").unwrap();
    assert_eq!(peer.hear().await, "42[\"still\",\"here\"]");
}

#[tokio::test]
async fn unknown_sessions() {
    let site = Site::new(builder().build().unwrap()).await;
    for sid in ["unknown", "__proto__", "constructor", "hasOwnProperty", "\\u0000", "../..", "é", " "] {
        let peer = asking(&site, sid).await;
        assert_eq!(peer.closed().await, (REQUEST_REJECTED, "Session ID unknown".into()), "{sid}");
    }
    assert_eq!(site.io.metrics().requests_refused, 8);
    // One that has ended.
    let (sid, _) = site.polling().await;
    site.http("POST", &format!("transport=polling&sid={sid}"), "1").await;
    site.emptied().await;
    assert_eq!(asking(&site, &sid).await.closed().await.1, "Session ID unknown");
}

#[tokio::test(start_paused = true)]
async fn an_upgrade_that_fails_leaves_polling_as_it_was() {
    let _still = Still::new();
    moving(upgrades_fail()).await;
}

async fn upgrades_fail() {
    let io = builder().upgrade_timeout(Duration::from_millis(200)).build().unwrap();
    let site = Site::new(io).await;
    let (sid, _) = site.polling().await;
    let query = format!("transport=polling&sid={sid}");
    site.http("POST", &query, "40").await;
    assert!(site.http("GET", &query, "").await.1.starts_with("40{"));
    // Out of turn; nonsense; too long; silence; gone. Each time the next one may try.
    let wrong: [&[u8]; 5] = [b"\x0242", b"\x02\xff\xff", b"\x7f\xff\xff\xff\xff\xff\xff\xff\xff", b"", b"\x062probe"];
    for bytes in wrong {
        let mut peer = asking(&site, &sid).await;
        if !bytes.is_empty() {
            peer.write(bytes).await;
        }
        peer.closed().await;
    }
    let mut peer = asking(&site, &sid).await;
    peer.say("2probe").await;
    assert_eq!(peer.hear().await, "3probe");
    peer.leave();
    soon(async {
        while site.io.metrics().upgrades_failed < 6 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    site.io.emit("still", "here").unwrap();
    assert_eq!(site.http("GET", &query, "").await.1, "42[\"still\",\"here\"]");
}

#[tokio::test]
async fn upgrades_that_are_not_allowed() {
    let site = Site::new(builder().allow_upgrades(false).build().unwrap()).await;
    let (sid, open) = site.polling().await;
    assert!(open.contains("\"upgrades\":[]"), "{open}");
    let peer = asking(&site, &sid).await;
    assert_eq!(peer.closed().await.0, NO_ERROR);
    let query = format!("transport=polling&sid={sid}");
    site.http("POST", &query, "40").await;
    assert!(site.http("GET", &query, "").await.1.starts_with("40{"), "the session goes on");
    assert!(site.peer().await.receive.id().into_u64() > 0, "WebTransport from the beginning is no upgrade");
}

#[tokio::test]
async fn only_what_is_there_is_offered() {
    for (transports, offered) in [
        (&[Transport::Polling][..], "[]"),
        (&[Transport::Polling, Transport::Websocket], "[\"websocket\"]"),
        (&[Transport::Polling, Transport::Webtransport], "[\"webtransport\"]"),
        (&[Transport::Webtransport, Transport::Websocket, Transport::Polling], "[\"websocket\",\"webtransport\"]"),
    ] {
        let site = Site::new(Server::builder().transports(transports).build().unwrap()).await;
        let (_, open) = site.polling().await;
        assert!(open.contains(&format!("\"upgrades\":{offered}")), "{transports:?}: {open}");
    }
}

const WEBSOCKET: &str = "/socket.io/?EIO=4&transport=websocket";

/// One by WebSocket and one by WebTransport: the first is the one, the second is closed, and the session goes on.
#[tokio::test]
async fn two_upgrades_by_different_transports_are_one() {
    let site = Site::new(builder().build().unwrap()).await;
    let net = Net::new(&site.io);
    let (ann, bob) = (net.polling().await, net.polling().await);
    ann.join().await;
    bob.join().await;
    let mut stream = ann.upgrade().await;
    stream.send("2probe").await;
    stream.expect("3probe").await;
    let mut peer = asking(&site, bob.sid()).await;
    peer.say("2probe").await;
    assert_eq!(peer.hear().await, "3probe");
    // While both are under way, and when both are done.
    for is_done in [false, true] {
        for sid in [ann.sid(), bob.sid()] {
            net.open(&format!("{WEBSOCKET}&sid={sid}"), &[]).await.expect_closed(None).await;
            assert_eq!(asking(&site, sid).await.closed().await, (REQUEST_REJECTED, "Bad request".into()));
        }
        if !is_done {
            stream.send("5").await;
            peer.say("5").await;
            soon(async {
                while site.io.metrics().upgrades < 2 {
                    tokio::task::yield_now().await;
                }
            })
            .await;
        }
        site.io.emit("both", is_done).unwrap();
        let event = format!("42[\"both\",{is_done}]");
        assert_eq!(peer.hear().await, event);
        stream.expect(&event).await;
    }
    peer.leave();
    stream.close().await;
    site.emptied().await;
}

/// It is not known which comes first: one of them is the one, all the same.
#[tokio::test]
async fn two_upgrades_in_the_same_moment_are_one() {
    let site = Site::new(builder().build().unwrap()).await;
    let net = Net::new(&site.io);
    for round in 0..40 {
        let ann = net.polling().await;
        let id = ann.join().await;
        let mut peer = site.stream().await;
        peer.say(&format!("0{{\"sid\":\"{}\"}}", ann.sid())).await;
        for _ in 0..round * 5 {
            tokio::task::yield_now().await;
        }
        let mut stream = net.open(&format!("{WEBSOCKET}&sid={}", ann.sid()), &[]).await;
        stream.send("2probe").await;
        if stream.next().await == Some(Frame::Text("3probe".into())) {
            assert_eq!(peer.closed().await.0, REQUEST_REJECTED);
            stream.send("5").await;
            site.io.to(&id).emit("here", 1).unwrap();
            stream.expect("42[\"here\",1]").await;
            stream.close().await;
        } else {
            peer.say("2probe").await;
            assert_eq!(peer.hear().await, "3probe");
            peer.say("5").await;
            peer.say("40/nowhere,").await;
            assert!(peer.hear().await.starts_with("44/nowhere,"));
            site.io.to(&id).emit("here", 1).unwrap();
            assert_eq!(peer.hear().await, "42[\"here\",1]");
            peer.leave();
        }
        site.emptied().await;
    }
}
