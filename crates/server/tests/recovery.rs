//! Connection state recovery, in literal wire text over a network in memory.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use sockeye::{Recovery, Refusal, Server, Socket};
use sockeye_testing::{Net, WebSocket};
use tokio::sync::Notify;

fn server(recovery: Recovery) -> (Server, Net) {
    let io = Server::builder().recovery(recovery).build().expect("the options agree");
    io.on_connect(async |socket: Socket| {
        if !socket.recovered() {
            socket.join("red");
            socket.data().set("name", "ada").expect("JSON");
        }
    });
    io.on_with_ack("who", async |socket: Socket, (): ()| {
        (socket.recovered(), socket.rooms()[1..].to_vec(), socket.data().get::<String>("name"))
    });
    let net = Net::new(&io);
    (io, net)
}

/// A client that has joined, with its id and private id.
async fn join(net: &Net) -> (WebSocket, String, String) {
    let mut client = net.websocket().await;
    client.send("40").await;
    let ids = client.expect(r#"40{"sid":"…","pid":"…"}"#).await;
    (client, ids[0].clone(), ids[1].clone())
}

/// Comes back; the server must recognise the client.
async fn come_back(net: &Net, sid: &str, pid: &str, offset: Option<&str>) -> WebSocket {
    let mut client = net.websocket().await;
    let auth = offset.map_or_else(|| json!({ "pid": pid }), |offset| json!({ "pid": pid, "offset": offset }));
    client.send(&format!("40{auth}")).await;
    client.expect(&format!(r#"40{{"sid":"{sid}","pid":"{pid}"}}"#)).await;
    client
}

#[tokio::test(start_paused = true)]
async fn zero_events_sent_is_no_reason_not_to_recover() {
    let (_io, net) = server(Recovery::default());
    let (client, sid, pid) = join(&net).await;
    client.reset();
    net.advance(Duration::from_secs(5)).await;
    let mut client = come_back(&net, &sid, &pid, None).await;
    client.send(r#"420["who"]"#).await;
    client.expect(r#"430[true,["red"],"ada"]"#).await;
}

#[tokio::test(start_paused = true)]
async fn what_was_missed_comes_after_connect_in_order_and_once() {
    let (io, net) = server(Recovery::default());
    let (mut client, sid, pid) = join(&net).await;
    io.emit("a", 1).unwrap();
    let first = client.expect(r#"42["a",1,"…"]"#).await[0].clone();
    client.reset();
    net.advance(Duration::from_millis(10)).await;
    io.to("red").emit("b", 2).unwrap();
    io.to("blue").emit("not for us", 3).unwrap();
    io.except("red").emit("not for us", 4).unwrap();
    io.to(&sid).emit("c", (5, "six")).unwrap();
    io.volatile().emit("volatile", 7).unwrap();
    let mut client = come_back(&net, &sid, &pid, Some(&first)).await;
    client.expect(r#"42["b",2,"…"]"#).await;
    let last = client.expect(r#"42["c",5,"six","…"]"#).await[0].clone();
    client.expect_nothing().await;
    io.emit("d", 8).unwrap();
    client.expect(r#"42["d",8,"…"]"#).await;
    client.reset();
    net.advance(Duration::from_millis(10)).await;
    let mut client = come_back(&net, &sid, &pid, Some(&last)).await;
    client.expect(r#"42["d",8,"…"]"#).await;
    client.expect_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn recovery_works_again_and_again() {
    let (io, net) = server(Recovery::default());
    let (mut client, sid, pid) = join(&net).await;
    let mut offset = None;
    for round in 0..20 {
        client.reset();
        net.advance(Duration::from_secs(1)).await;
        io.to("red").emit("round", round).unwrap();
        client = come_back(&net, &sid, &pid, offset.as_deref()).await;
        offset = Some(client.expect(&format!(r#"42["round",{round},"…"]"#)).await[0].clone());
    }
}

#[tokio::test(start_paused = true)]
async fn an_old_connection_that_still_seems_alive_is_taken_over() {
    let (io, net) = server(Recovery::default());
    let (mut old, sid, pid) = join(&net).await;
    io.to("red").emit("lost on the way", 1).unwrap();
    let mut new = come_back(&net, &sid, &pid, None).await;
    new.expect(r#"42["lost on the way",1,"…"]"#).await;
    old.drain().await;
    assert!(old.is_ended(), "one client, one connection");
    assert_eq!(io.of("/").len(), 1);
    io.to("red").emit("now", 2).unwrap();
    new.expect(r#"42["now",2,"…"]"#).await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_was_quiet_for_a_day_comes_back() {
    let (io, net) = server(Recovery::default().max_packets(8));
    let (mut client, sid, pid) = join(&net).await;
    for _ in 0..24 * 60 * 2 {
        net.advance(Duration::from_secs(25)).await;
        client.expect("2").await;
        client.send("3").await;
        net.advance(Duration::from_secs(5)).await;
        io.to("blue").emit("elsewhere", ()).unwrap();
    }
    client.reset();
    net.advance(Duration::from_secs(5)).await;
    io.to("red").emit("at last", 1).unwrap();
    let mut client = come_back(&net, &sid, &pid, None).await;
    client.expect(r#"42["at last",1,"…"]"#).await;
}

#[tokio::test(start_paused = true)]
async fn pruned_history_is_told_and_no_silent_gap() {
    let (io, net) = server(Recovery::default().max_packets(2));
    let (client, sid, pid) = join(&net).await;
    client.reset();
    net.advance(Duration::from_millis(10)).await;
    for n in 0..3 {
        io.to("red").emit("n", n).unwrap();
    }
    let mut client = net.websocket().await;
    client.send(&format!("40{}", json!({ "pid": pid }))).await;
    let ids = client.expect(r#"40{"sid":"…","pid":"…"}"#).await;
    assert!(ids[0] != sid && ids[1] != pid, "a new socket");
    client.expect_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn who_comes_too_late_or_left_on_purpose_is_new() {
    let (_io, net) = server(Recovery::default().window(Duration::from_secs(10)));
    let (late, _, late_pid) = join(&net).await;
    late.reset();
    let (mut left, _, left_pid) = join(&net).await;
    left.send("41").await;
    left.close().await;
    net.advance(Duration::from_secs(11)).await;
    for pid in [late_pid, left_pid, "guessed".into()] {
        let mut client = net.websocket().await;
        client.send(&format!("40{}", json!({ "pid": pid }))).await;
        let ids = client.expect(r#"40{"sid":"…","pid":"…"}"#).await;
        assert_ne!(ids[1], pid);
        client.send(r#"420["who"]"#).await;
        client.expect(r#"430[false,["red"],"ada"]"#).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_user_who_was_revoked_meanwhile_gets_nothing() {
    let (io, net) = server(Recovery::default());
    let revoked = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let flag = std::sync::Arc::clone(&revoked);
    io.authorize(async move |_, (): ()| {
        let revoked = flag.load(std::sync::atomic::Ordering::SeqCst);
        if revoked { Err(Refusal::new("revoked")) } else { Ok(()) }
    });
    let (client, _, pid) = join(&net).await;
    client.reset();
    net.advance(Duration::from_millis(10)).await;
    io.to("red").emit("secret", 1).unwrap();
    revoked.store(true, std::sync::atomic::Ordering::SeqCst);
    let mut client = net.websocket().await;
    client.send(&format!("40{}", json!({ "pid": pid }))).await;
    client.expect(r#"44{"message":"revoked"}"#).await;
    client.expect_nothing().await;
}

/// The way back may be closed between the look at it and the step: then the client is as any other.
#[tokio::test(start_paused = true)]
async fn who_does_not_come_back_is_asked_for_its_right() {
    let io = Server::builder().recovery(Recovery::default().dangerously_skip_authorize()).build().unwrap();
    io.authorize(async |_, auth: serde_json::Value| match auth["token"].as_str() {
        Some("right") => Ok(()),
        _ => Err(Refusal::new("wrong")),
    });
    let here = io.clone();
    io.of("/other").on_disconnect(async move |_, _| here.local().disconnect().unwrap());
    let net = Net::new(&io);
    let mut client = net.websocket().await;
    client.send(r#"40{"token":"right"}"#).await;
    let pid = client.expect(r#"40{"sid":"…","pid":"…"}"#).await.remove(1);
    client.reset();
    net.advance(Duration::from_millis(10)).await;
    let client = net.polling().await;
    client.send("40/other,").await;
    client.get().answer().await;
    client.send(&format!("41/other,\u{1e}40{}", json!({ "pid": pid }))).await;
    assert_eq!(client.get().answer().await.text(), r#"44{"message":"wrong"}"#);
}

/// Each namespace has private ids of its own. Whoever shows one elsewhere is a client like any other there: asked who it
/// is, and told nothing.
#[tokio::test(start_paused = true)]
async fn a_private_id_of_one_namespace_means_nothing_in_another() {
    for recovery in [Recovery::default(), Recovery::default().dangerously_skip_authorize()] {
        let (io, net) = server(recovery);
        io.of("/open").on_with_ack("who", async |socket: Socket, (): ()| {
            (socket.recovered(), socket.rooms()[1..].to_vec(), socket.data().get::<String>("name"))
        });
        io.of("/closed").authorize(async |_, _: serde_json::Value| Err(Refusal::new("not you")));
        let (mut alice, sid, pid) = join(&net).await;
        io.emit("a", 1).unwrap();
        let offset = alice.expect(r#"42["a",1,"…"]"#).await.remove(0);
        alice.reset();
        net.advance(Duration::from_millis(10)).await;
        io.to("red").emit("b", 2).unwrap();
        let mut bob = net.websocket().await;
        bob.send(&format!(r#"40/open,{{"pid":"{pid}","offset":"{offset}"}}"#)).await;
        let ids = bob.expect(r#"40/open,{"sid":"…","pid":"…"}"#).await;
        assert!(ids[0] != sid && ids[1] != pid, "{ids:?}");
        bob.send(&format!(r#"40/closed,{{"pid":"{pid}","offset":"{offset}"}}"#)).await;
        bob.expect(r#"44/closed,{"message":"not you"}"#).await;
        bob.send(r#"42/open,0["who"]"#).await;
        bob.expect("43/open,0[false,[],null]").await;
        bob.expect_nothing().await;
        let mut alice = come_back(&net, &sid, &pid, Some(&offset)).await;
        alice.expect(r#"42["b",2,"…"]"#).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_question_carries_no_offset_where_the_listener_expects_its_callback() {
    let (io, net) = server(Recovery::default());
    let (mut client, sid, pid) = join(&net).await;
    io.emit("a", "text").unwrap();
    let offset = client.expect(r#"42["a","text","…"]"#).await[0].clone();
    let room = io.to("red").emit_with_ack::<_, u32>("ask", "last argument is a string");
    let ask = client.expect(r#"42…["ask","last argument is a string"]"#).await;
    client.send(&format!("43{}[7]", ask[0])).await;
    assert_eq!(room.collect().await.len(), 1);
    let one = io.get(&sid).unwrap().emit_with_ack::<_, u32>("ask", ()).send();
    let ask = client.expect(r#"42…["ask"]"#).await;
    client.send(&format!("43{}[8]", ask[0])).await;
    assert_eq!(one.await.unwrap(), 8);
    client.reset();
    net.advance(Duration::from_millis(10)).await;
    let mut client = come_back(&net, &sid, &pid, Some(&offset)).await;
    client.expect_nothing().await;
}

/// A client that has joined and seen an event, with its ids and the offset.
async fn join_and_see(io: &Server, net: &Net) -> (WebSocket, String, String, String) {
    let (mut client, sid, pid) = join(net).await;
    io.emit("a", 1).unwrap();
    let offset = client.expect(r#"42["a",1,"…"]"#).await[0].clone();
    (client, sid, pid, offset)
}

#[tokio::test(start_paused = true)]
async fn a_room_that_was_left_before_the_cut_leaves_no_gap() {
    let (io, net) = server(Recovery::default());
    let (mut client, sid, pid, offset) = join_and_see(&io, &net).await;
    io.get(&sid).unwrap().join("green");
    io.to("green").emit("lost on the way", 2).unwrap();
    io.get(&sid).unwrap().leave("green");
    io.to("green").emit("not for us", 3).unwrap();
    // It may be lost a second time.
    for _ in 0..2 {
        client.reset();
        net.advance(Duration::from_millis(10)).await;
        client = come_back(&net, &sid, &pid, Some(&offset)).await;
        client.expect(r#"42["lost on the way",2,"…"]"#).await;
        client.expect_nothing().await;
        assert_eq!(io.get(&sid).unwrap().rooms(), [sid.as_str(), "red"]);
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_from_before_a_room_was_joined_is_delivered() {
    let (io, net) = server(Recovery::default());
    let (client, sid, pid, offset) = join_and_see(&io, &net).await;
    io.to("green").emit("before our time", 2).unwrap();
    io.get(&sid).unwrap().join("green");
    io.to("green").emit("in our time", 3).unwrap();
    client.reset();
    net.advance(Duration::from_millis(10)).await;
    io.to("green").emit("while away", 4).unwrap();
    let mut client = come_back(&net, &sid, &pid, Some(&offset)).await;
    client.expect(r#"42["in our time",3,"…"]"#).await;
    client.expect(r#"42["while away",4,"…"]"#).await;
    client.expect_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn who_is_left_out_is_told_by_the_rooms_of_that_moment() {
    let (io, net) = server(Recovery::default());
    let (client, sid, pid, offset) = join_and_see(&io, &net).await;
    io.get(&sid).unwrap().join("green");
    io.except("green").emit("not for green", 2).unwrap();
    io.get(&sid).unwrap().leave("green");
    io.except("green").emit("for the others", 3).unwrap();
    io.get(&sid).unwrap().join("green");
    client.reset();
    net.advance(Duration::from_millis(10)).await;
    let mut client = come_back(&net, &sid, &pid, Some(&offset)).await;
    client.expect(r#"42["for the others",3,"…"]"#).await;
    client.expect_nothing().await;
}

/// A client that is cut after it was in 70 rooms, with the offset it had before and the one of the last event there.
async fn restless(io: &Server, net: &Net) -> (String, String, [String; 2]) {
    let (mut client, sid, pid, offset) = join_and_see(io, net).await;
    let socket = io.get(&sid).unwrap();
    let mut last = String::new();
    for n in 0..70 {
        socket.join("green");
        io.to("green").emit("n", n).unwrap();
        last = client.expect(&format!(r#"42["n",{n},"…"]"#)).await.remove(0);
        socket.leave("green");
    }
    client.reset();
    net.advance(Duration::from_millis(10)).await;
    (sid, pid, [offset, last])
}

#[tokio::test(start_paused = true)]
async fn who_left_more_rooms_than_are_remembered_begins_anew() {
    let (io, net) = server(Recovery::default());
    let (sid, pid, [first, _]) = restless(&io, &net).await;
    let mut client = net.websocket().await;
    client.send(&format!("40{}", json!({ "pid": pid, "offset": first }))).await;
    let ids = client.expect(r#"40{"sid":"…","pid":"…"}"#).await;
    assert!(ids[0] != sid && ids[1] != pid, "a new socket, and no silent gap");
    client.expect_nothing().await;
    // Who has seen it all needs none of them.
    let (sid, pid, [_, last]) = restless(&io, &net).await;
    come_back(&net, &sid, &pid, Some(&last)).await.expect_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn an_event_to_one_socket_is_not_for_a_room_of_its_name() {
    let (io, net) = server(Recovery::default());
    let (_other, other, _) = join(&net).await;
    let (client, sid, pid, offset) = join_and_see(&io, &net).await;
    io.get(&sid).unwrap().join(other.as_str());
    client.reset();
    net.advance(Duration::from_millis(10)).await;
    io.get(&other).unwrap().emit("private", 2).unwrap();
    let mut client = come_back(&net, &sid, &pid, Some(&offset)).await;
    client.expect_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_too_old_is_forgotten_where_nothing_happens_any_more() {
    let (io, net) = server(Recovery::default().window(Duration::from_secs(100)));
    let (client, ..) = join(&net).await;
    let (other, ..) = join(&net).await;
    client.reset();
    net.advance(Duration::from_millis(10)).await;
    io.emit("a", "x".repeat(10_000)).unwrap();
    drop(other);
    net.advance(Duration::from_millis(10)).await;
    assert_eq!(kept(&io), (1, 2));
    net.advance(Duration::from_secs(99)).await;
    assert_eq!(kept(&io), (1, 2));
    net.advance(Duration::from_secs(26)).await;
    assert_eq!(kept(&io), (0, 0), "a quarter of the window later at the latest");
    net.assert_clean().await;
    // And again, for whoever comes then.
    let (client, sid, pid) = join(&net).await;
    client.reset();
    net.advance(Duration::from_secs(90)).await;
    drop(come_back(&net, &sid, &pid, None).await);
    net.advance(Duration::from_secs(126)).await;
    assert_eq!(kept(&io), (0, 0));
}

/// What is kept: events, and clients that are away, in the main namespace.
fn kept(io: &Server) -> (u64, u64) {
    let metrics = io.metrics();
    (metrics.recovery_events, metrics.recovery_away)
}

/// A GET is given up after packets were taken for its answer. Nobody can know how much of that was read, but the client
/// does: as official clients do, it comes back with what it has, and gets the rest, although its session still seemed
/// alive.
#[tokio::test(start_paused = true)]
async fn what_was_in_an_answer_that_nobody_took_comes_again() {
    use tokio::io::AsyncWriteExt;

    let (io, net) = server(Recovery::default());
    let bob = net.polling().await;
    bob.send("40").await;
    let ids = bob.expect(r#"40{"sid":"…","pid":"…"}"#).await;
    io.emit("seen", 1).unwrap();
    let offset = bob.expect(r#"42["seen",1,"…"]"#).await.remove(0);
    let (mut pipe, end) = tokio::io::duplex(1_024);
    let serving = tokio::spawn({
        let io = io.clone();
        async move { io.serve_stream(end, None).await }
    });
    pipe.write_all(format!("GET {} HTTP/1.1\r\nHost: x\r\n\r\n", bob.target()).as_bytes()).await.unwrap();
    sockeye_testing::settle().await;
    let long = "x".repeat(10_000);
    io.emit("lost", &long).unwrap();
    sockeye_testing::settle().await;
    assert_eq!(io.get(&ids[0]).unwrap().queued().packets, 0, "taken");
    drop(pipe);
    serving.await.unwrap();
    let mut client = come_back(&net, &ids[0], &ids[1], Some(&offset)).await;
    client.expect(&format!(r#"42["lost","{long}","…"]"#)).await;
    client.expect_nothing().await;
    client.close().await;
}

/// What the application took from a room, it took from those who are away too: otherwise they would come back into it.
#[tokio::test(start_paused = true)]
async fn a_room_that_was_taken_meanwhile_does_not_come_back() {
    let (io, net) = server(Recovery::default());
    let (_, other, _) = join(&net).await;
    for whom in ["red", "the id", "everybody"] {
        let (client, sid, pid, offset) = join_and_see(&io, &net).await;
        client.reset();
        net.advance(Duration::from_millis(10)).await;
        io.to("red").emit("before", 2).unwrap();
        match whom {
            "the id" => io.to(&sid).leave("red").unwrap(),
            "red" => io.to("red").except(&other).leave(["red", "blue"]).unwrap(),
            _ => io.local().leave("red").unwrap(),
        }
        io.to("red").emit("secret", 3).unwrap();
        io.to(&sid).emit("own", 4).unwrap();
        let mut client = come_back(&net, &sid, &pid, Some(&offset)).await;
        client.expect(r#"42["before",2,"…"]"#).await;
        client.expect(r#"42["own",4,"…"]"#).await;
        io.to("red").emit("secret", 5).unwrap();
        client.expect_nothing().await;
        assert_eq!(io.get(&sid).unwrap().rooms(), [sid.as_str()], "{whom}");
    }
}

/// Who lets a socket leave does not know that its connection has just broken.
#[tokio::test(start_paused = true)]
async fn a_room_that_was_left_by_a_handle_meanwhile_does_not_come_back() {
    let (io, net) = server(Recovery::default());
    let (client, sid, pid, offset) = join_and_see(&io, &net).await;
    let socket = io.get(&sid).unwrap();
    client.reset();
    net.advance(Duration::from_millis(10)).await;
    assert!(!socket.is_connected());
    io.to("red").emit("before", 2).unwrap();
    socket.leave("red");
    io.to("red").emit("secret", 3).unwrap();
    let mut client = come_back(&net, &sid, &pid, Some(&offset)).await;
    client.expect(r#"42["before",2,"…"]"#).await;
    client.expect_nothing().await;
    // Now there is another, of which this handle knows nothing.
    io.get(&sid).unwrap().join("red");
    socket.leave("red");
    io.to("red").emit("welcome", 4).unwrap();
    client.expect(r#"42["welcome",4,"…"]"#).await;
}

/// The other one is not meant.
#[tokio::test(start_paused = true)]
async fn who_was_disconnected_meanwhile_does_not_come_back() {
    let (io, net) = server(Recovery::default());
    for close in [false, true] {
        let (client, sid, pid) = join(&net).await;
        let (spared, other, other_pid) = join(&net).await;
        client.reset();
        spared.reset();
        net.advance(Duration::from_millis(10)).await;
        let target = io.to("red").except(&other);
        if close {
            target.disconnect_and_close().unwrap();
        } else {
            target.disconnect().unwrap();
        }
        let mut client = net.websocket().await;
        client.send(&format!("40{}", json!({ "pid": pid }))).await;
        let ids = client.expect(r#"40{"sid":"…","pid":"…"}"#).await;
        assert!(ids[0] != sid && ids[1] != pid, "a new socket");
        drop(come_back(&net, &other, &other_pid, None).await);
    }
}

/// The new connection was looked at before the old one had heard the word.
#[tokio::test(start_paused = true)]
async fn who_was_told_to_leave_does_not_go_on_by_another_connection() {
    let (io, net) = server(Recovery::default());
    for by_handle in [false, true] {
        let (client, sid, pid) = join(&net).await;
        let mut other = net.websocket().await;
        // It is on its way, and nobody has looked at it.
        let connect = format!("40{}", json!({ "pid": pid }));
        tokio::select! {
            biased;
            () = other.send(&connect) => {}
            () = std::future::ready(()) => {}
        }
        if by_handle {
            io.get(&sid).unwrap().disconnect();
        } else {
            io.to("red").disconnect().unwrap();
        }
        let ids = other.expect(r#"40{"sid":"…","pid":"…"}"#).await;
        assert!(ids[0] != sid && ids[1] != pid, "a new socket");
        drop((client, other));
        net.advance(Duration::from_millis(10)).await;
    }
}

/// It is freed when the last has left; a client that comes back finds one of the same name, and begins anew there.
#[tokio::test(start_paused = true)]
async fn a_namespace_that_was_freed_meanwhile_is_told_and_no_silent_gap() {
    let (io, net) = server(Recovery::default());
    let rooms = io.of_pattern("/room-{id}").unwrap();
    rooms.on_connect(async |socket: Socket| socket.emit("recovered", socket.recovered()));
    let mut client = net.websocket().await;
    client.send("40/room-1,").await;
    let ids = client.expect(r#"40/room-1,{"sid":"…","pid":"…"}"#).await;
    client.expect(r#"42/room-1,["recovered",false,"…"]"#).await;
    client.reset();
    net.advance(Duration::from_millis(10)).await;
    assert!(rooms.namespaces().is_empty());
    let mut client = net.websocket().await;
    client.send(&format!("40/room-1,{}", json!({ "pid": ids[1] }))).await;
    let again = client.expect(r#"40/room-1,{"sid":"…","pid":"…"}"#).await;
    assert!(ids[0] != again[0] && ids[1] != again[1], "a new socket");
    client.expect(r#"42/room-1,["recovered",false,"…"]"#).await;
}

/// What the server sends, when it comes.
async fn next(client: &mut WebSocket) -> String {
    loop {
        match client.next().await {
            Some(sockeye_testing::Frame::Text(text)) => return text,
            Some(other) => panic!("{other:?}"),
            None => tokio::task::yield_now().await,
        }
    }
}

const SENDERS: usize = 4;
const EVENTS: usize = 2_500;

/// A client that is cut again and again, until it has got everything: what each sender has sent comes in its order, once.
async fn flapping(net: Net, apart: usize) {
    let (mut sid, mut pid, mut offset) = (String::new(), String::new(), String::new());
    let mut counts = [0; SENDERS];
    let (mut seen, mut cuts) = (0, 0);
    while counts != [EVENTS; SENDERS] {
        let mut client = net.open("/socket.io/?EIO=4&transport=websocket", &[]).await;
        assert!(next(&mut client).await.starts_with("0{"));
        client.send(&format!("40{}", json!({ "pid": pid, "offset": offset }))).await;
        let joined = next(&mut client).await;
        let ids: serde_json::Value = serde_json::from_str(&joined[2..]).expect("an answer to CONNECT");
        assert!(sid.is_empty() || ids["sid"] == sid.as_str(), "recovered after {cuts} cuts");
        (sid, pid) = (ids["sid"].as_str().unwrap().into(), ids["pid"].as_str().unwrap().into());
        for _ in 0..apart {
            let text = next(&mut client).await;
            let (name, sender, n, at): (String, usize, usize, String) = serde_json::from_str(&text[2..]).unwrap();
            assert_eq!((name.as_str(), n), ("n", counts[sender]), "of sender {sender}, after {cuts} cuts");
            assert!(at.len() > offset.len() || at > offset, "{at} after {offset}");
            counts[sender] += 1;
            offset = at;
            seen += 1;
            if counts == [EVENTS; SENDERS] {
                break;
            }
        }
        client.reset();
        cuts += 1;
    }
    assert!(seen == SENDERS * EVENTS && cuts > 10, "{seen} events, {cuts} cuts");
}

/// On several threads, while others send as fast as they can.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn broadcasts_that_run_meanwhile_leave_no_gap_and_nothing_twice() {
    let (io, net) = server(Recovery::default());
    let clients: Vec<_> = [211, 499, 733].map(|apart| tokio::spawn(flapping(net.clone(), apart))).into();
    // All of them are there before the first event.
    while io.to("red").fetch_sockets().await.unwrap().len() < 3 {
        tokio::task::yield_now().await;
    }
    let senders: Vec<_> = (0..SENDERS)
        .map(|sender| {
            let io = io.clone();
            tokio::spawn(async move {
                for n in 0..EVENTS {
                    io.to("red").emit("n", (sender, n)).unwrap();
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    for task in senders.into_iter().chain(clients) {
        tokio::time::timeout(Duration::from_mins(2), task).await.expect("it ends").unwrap();
    }
}

/// Its connection may end in the moment in which it is thrown out.
#[tokio::test(start_paused = true)]
async fn who_is_disconnected_while_it_goes_does_not_come_back() {
    for everybody in [false, true] {
        let (io, net) = server(Recovery::default());
        let (verdict, here) = (Arc::new(Notify::new()), io.clone());
        let judged = Arc::clone(&verdict);
        io.on("insult", async move |socket: Socket, (): ()| {
            judged.notified().await;
            if everybody {
                here.to(socket.id()).disconnect().unwrap();
            } else {
                socket.disconnect();
            }
        });
        let (mut client, _, pid) = join(&net).await;
        client.send(r#"42["insult"]"#).await;
        net.advance(Duration::from_millis(10)).await;
        verdict.notify_one();
        client.reset();
        net.advance(Duration::from_millis(10)).await;
        let mut client = net.websocket().await;
        client.send(&format!("40{}", json!({ "pid": pid }))).await;
        let ids = client.expect(r#"40{"sid":"…","pid":"…"}"#).await;
        assert_ne!(ids[1], pid, "everybody: {everybody}");
    }
}
