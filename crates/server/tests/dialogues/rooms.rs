//! Rooms, and who gets what is sent to them.

use crate::common::*;

/// Clients `a`, `b`, `c`, `d`: `a` and `b` are in "left", `b` and `c` in "right", `d` nowhere.
struct Party {
    io: Server,
    net: Net,
    clients: Vec<(WebSocket, Socket)>,
}

async fn party() -> Party {
    let (io, net) = plain();
    let mut clients = Vec::new();
    for rooms in [&["left"][..], &["left", "right"], &["right"], &[]] {
        let (client, id) = net.join().await;
        let socket = io.get(&id).unwrap();
        socket.join(rooms);
        clients.push((client, socket));
    }
    Party { io, net, clients }
}

impl Party {
    fn socket(&self, name: char) -> &Socket {
        &self.clients[name as usize - 'a' as usize].1
    }

    /// Exactly these got `42["e"]`, each once.
    async fn got(&mut self, who: &str) {
        for (name, (client, _)) in ('a'..='d').zip(&mut self.clients) {
            let expected: &[&str] = if who.contains(name) { &["42[\"e\"]"] } else { &[] };
            assert_eq!(client.drain().await, expected, "{name} of {who:?}");
        }
    }

    async fn leave(self) {
        for (client, _) in self.clients {
            client.close().await;
        }
        self.net.assert_clean().await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_server_reaches_whom_it_means() {
    let mut party = party().await;
    let io = party.io.clone();
    io.emit("e", ()).unwrap();
    party.got("abcd").await;
    io.to("left").emit("e", ()).unwrap();
    party.got("ab").await;
    io.to(["left", "right"]).emit("e", ()).unwrap();
    party.got("abc").await;
    io.to("left").to("right").emit("e", ()).unwrap();
    party.got("abc").await;
    io.except("right").emit("e", ()).unwrap();
    party.got("ad").await;
    io.to("left").except("right").emit("e", ()).unwrap();
    party.got("a").await;
    io.except("right").to("left").emit("e", ()).unwrap();
    party.got("a").await;
    io.to("nobody").emit("e", ()).unwrap();
    party.got("").await;
    io.local().emit("e", ()).unwrap();
    party.got("abcd").await;
    io.volatile().to("left").emit("e", ()).unwrap();
    party.got("ab").await;
    io.compress(false).to("left").emit("e", ()).unwrap();
    party.got("ab").await;
    party.leave().await;
}

#[tokio::test(start_paused = true)]
async fn a_socket_reaches_others() {
    let mut party = party().await;
    let b = party.socket('b').clone();
    b.emit("e", ()).unwrap();
    party.got("b").await;
    b.broadcast().emit("e", ()).unwrap();
    party.got("acd").await;
    b.to("left").emit("e", ()).unwrap();
    party.got("a").await;
    b.to(["left", "right"]).emit("e", ()).unwrap();
    party.got("ac").await;
    b.except("left").emit("e", ()).unwrap();
    party.got("cd").await;
    b.to("right").except("left").emit("e", ()).unwrap();
    party.got("c").await;
    b.volatile().emit("e", ()).unwrap();
    party.got("b").await;
    b.compress(true).emit("e", ()).unwrap();
    party.got("b").await;
    party.leave().await;
}

#[tokio::test(start_paused = true)]
async fn an_id_is_a_room_for_private_messages() {
    let mut party = party().await;
    let (b, c) = (party.socket('b').clone(), party.socket('c').clone());
    b.to(c.id()).emit("e", ()).unwrap();
    party.got("c").await;
    b.to(b.id()).emit("e", ()).unwrap();
    party.got("").await;
    party.io.to(b.id()).to("left").emit("e", ()).unwrap();
    party.got("ab").await;
    party.io.to("right").except(b.id()).emit("e", ()).unwrap();
    party.got("c").await;
    c.join(b.id());
    party.io.to(b.id()).emit("e", ()).unwrap();
    party.got("bc").await;
    party.leave().await;
}

#[tokio::test(start_paused = true)]
async fn rooms_are_joined_and_left_at_once() {
    let mut party = party().await;
    let d = party.socket('d').clone();
    d.join(["left", "left", "new"]);
    assert_eq!(d.rooms(), [d.id(), "left", "new"]);
    let mut names = party.io.of("/").rooms();
    names.sort();
    assert_eq!(names, ["left", "new", "right"]);
    party.io.to("left").emit("e", ()).unwrap();
    party.got("abd").await;
    d.leave(["new", "never joined"]);
    assert!(!party.io.of("/").rooms().contains(&"new".into()), "a room ends with its last member");
    party.io.to("left").leave("left").unwrap();
    party.io.to("left").emit("e", ()).unwrap();
    party.got("").await;
    party.io.except("right").join(["left", "more"]).unwrap();
    party.io.to("more").emit("e", ()).unwrap();
    party.got("ad").await;
    party.leave().await;
}

#[tokio::test(start_paused = true)]
async fn a_room_with_the_name_of_the_own_id_is_no_second_membership() {
    let mut party = party().await;
    let a = party.socket('a').clone();
    a.join(a.id());
    assert_eq!(a.rooms(), [a.id(), "left"]);
    a.leave(a.id());
    party.io.to(a.id()).emit("e", ()).unwrap();
    party.got("a").await;
    party.leave().await;
}

#[tokio::test(start_paused = true)]
async fn rooms_of_one_socket_are_bounded() {
    let io = Server::builder().max_rooms(2).build().unwrap();
    let net = Net::new(&io);
    let (alice, id) = net.join().await;
    let socket = io.get(&id).unwrap();
    socket.join(["a", "b", "c"]);
    assert_eq!(socket.rooms(), [socket.id(), "a", "b"]);
    assert_eq!(io.of("/").rooms().len(), 2);
    socket.leave("a");
    socket.join("c");
    assert_eq!(socket.rooms().len(), 3);
    alice.close().await;
    net.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn rooms_that_clients_name_do_not_grow_with_their_messages() {
    let (io, net) = plain();
    io.on("join", async |socket: Socket, room: String| socket.join(room));
    let (mut alice, id) = net.join().await;
    for n in 0..20 {
        alice.send(&format!("42[\"join\",\"{n}-{}\"]", "r".repeat(900_000))).await;
    }
    assert_eq!((io.get(&id).unwrap().rooms().len(), io.of("/").rooms().len()), (1, 0));
    assert_eq!(io.metrics().limits.get(sockeye::Limit::RoomName), 20);
    assert_eq!(io.metrics().sockets, 1, "it goes on");
    alice.close().await;
    net.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn a_second_join_does_nothing_however_many_rooms_there_are() {
    let (io, net) = plain();
    let ((alice, id), (bob, other)) = (net.join().await, net.join().await);
    let (a, b) = (io.get(&id).unwrap(), io.get(&other).unwrap());
    let names: Vec<_> = (0..60).map(|n| format!("room {n}")).collect();
    for name in &names {
        // Another member of the room makes this one no member.
        b.join(name);
        for _ in 0..2 {
            a.join(name);
        }
    }
    a.leave("room 7");
    a.join(&*names);
    assert_eq!((a.rooms().len(), b.rooms().len(), io.of("/").rooms().len()), (61, 61, 60));
    for name in &names {
        a.leave(name);
    }
    assert_eq!((a.rooms().len(), io.of("/").rooms().len()), (1, 60));
    alice.close().await;
    bob.close().await;
    net.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn rooms_of_different_namespaces_are_different() {
    let (io, net) = plain();
    io.of("/other").on_connect(async |socket: Socket| socket.join("room"));
    io.on_connect(async |socket: Socket| socket.join("room"));
    let (mut alice, _) = net.join().await;
    alice.send("40/other,").await;
    alice.expect("40/other,{\"sid\":\"…\"}").await;
    io.of("/other").to("room").emit("e", 1).unwrap();
    alice.expect("42/other,[\"e\",1]").await;
    io.to("room").emit("e", 2).unwrap();
    alice.expect("42[\"e\",2]").await;
    alice.expect_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn many_are_disconnected_at_once() {
    let mut party = party().await;
    party.io.to("left").disconnect().unwrap();
    for at in [0, 1] {
        party.clients[at].0.expect("41").await;
    }
    party.io.to("right").disconnect_and_close().unwrap();
    party.clients[2].0.expect("41").await;
    party.clients[2].0.expect_closed(None).await;
    party.clients[3].0.expect_nothing().await;
    assert_eq!(party.io.of("/").len(), 1);
    party.clients.remove(2);
    party.leave().await;
}

#[tokio::test(start_paused = true)]
async fn sockets_are_fetched_with_their_facts() {
    let party = party().await;
    party.socket('b').data().set("name", "bob").unwrap();
    let mut found = party.io.to("left").fetch_sockets().await.unwrap();
    found.sort_by_key(|socket| socket.rooms.len());
    let rooms: Vec<_> = found.iter().map(|socket| socket.rooms.len()).collect();
    assert_eq!(rooms, [2, 3]);
    assert_eq!(found[1].id(), party.socket('b').id());
    assert_eq!(found[1].data, serde_json::json!({ "name": "bob" }));
    assert_eq!(found[1].uri, "/socket.io/?EIO=4&transport=websocket");
    assert!(found[1].headers.contains(&("host".into(), "sockeye.test".into())));
    assert_eq!((&found[1].auth, found[1].secure), (&serde_json::json!({}), false));
    assert_eq!(found[1].time, party.socket('b').peer().time());
    assert_eq!(party.io.fetch_sockets().await.unwrap().len(), 4);
    assert_eq!(party.io.to("nobody").fetch_sockets().await.unwrap().len(), 0);
    let mut party = party;
    found[1].emit("e", ()).unwrap();
    party.got("b").await;
    found[1].join("fetched").unwrap();
    found[1].leave("left").unwrap();
    let mut rooms = party.socket('b').rooms().split_off(1);
    rooms.sort();
    assert_eq!(rooms, ["fetched", "right"]);
    found[1].disconnect().unwrap();
    settle().await;
    assert!(!party.socket('b').is_connected());
    party.clients[1].0.expect("41").await;
    party.clients[1].0.expect_nothing().await;
    found[0].disconnect_and_close().unwrap();
    party.clients[0].0.expect("41").await;
    party.clients.remove(0).0.expect_closed(None).await;
    party.leave().await;
}

#[tokio::test(start_paused = true)]
async fn data_and_extensions_belong_to_one_socket() {
    let party = party().await;
    let (a, b) = (party.socket('a'), party.socket('b'));
    a.data().set("n", 1).unwrap();
    a.data().set("n", 2).unwrap();
    assert_eq!(a.data().get::<u32>("n"), Some(2));
    assert_eq!(a.data().get::<String>("n"), None);
    assert_eq!(b.data().get::<u32>("n"), None);
    assert_eq!(a.data().remove("n"), Some(serde_json::json!(2)));
    assert_eq!(a.extensions().insert(1_u8).as_deref(), None);
    assert_eq!(a.extensions().insert(2_u8).as_deref(), Some(&1));
    assert_eq!(a.extensions().get::<u8>().as_deref(), Some(&2));
    assert_eq!(b.extensions().get::<u8>(), None);
    assert_eq!(a.extensions().remove::<u8>().as_deref(), Some(&2));
    assert_eq!(a.extensions().get::<u8>(), None);
    party.leave().await;
}

/// A volatile event is for those who can take it at this moment: not for a poll that is not there.
#[tokio::test(start_paused = true)]
async fn volatile_events_wait_for_nobody() {
    let (io, net) = plain();
    let bob = net.polling().await;
    bob.join().await;
    io.volatile().emit("lost", ()).unwrap();
    let waiting = bob.get();
    waiting.expect_waiting().await;
    io.volatile().emit("seen", ()).unwrap();
    io.volatile().emit("lost too", ()).unwrap();
    waiting.expect(200, "42[\"seen\"]").await;
    assert_eq!(io.metrics().dropped_volatile, 2);
    io.emit("kept", ()).unwrap();
    bob.expect("42[\"kept\"]").await;
    bob.close().await;
    net.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn events_of_any_form_reach_clients_as_they_would_in_javascript() {
    let (io, net) = plain();
    let (mut alice, _) = net.join().await;
    io.emit("none", ()).unwrap();
    alice.expect("42[\"none\"]").await;
    io.emit("one", "ü\n\"").unwrap();
    alice.expect("42[\"one\",\"ü\\n\\\"\"]").await;
    io.emit("more", (1, -2.5, [true; 2], None::<u8>, serde_json::json!({"a": []}))).unwrap();
    alice.expect("42[\"more\",1,-2.5,[true,true],null,{\"a\":[]}]").await;
    io.emit("a \"quoted\" name", ()).unwrap();
    alice.expect("42[\"a \\\"quoted\\\" name\"]").await;
    let bytes = bytes::Bytes::from_static(&[1, 2]);
    io.emit("deep", (serde_json::json!(1), vec![bytes.clone()], bytes)).unwrap();
    alice.expect("452-[\"deep\",1,[{\"_placeholder\":true,\"num\":0}],{\"_placeholder\":true,\"num\":1}]").await;
    alice.expect_binary(&[1, 2]).await;
    alice.expect_binary(&[1, 2]).await;
    assert!(matches!(io.emit("disconnect", ()), Err(sockeye::EmitError::Reserved)));
    alice.expect_nothing().await;
}
