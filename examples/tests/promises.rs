//! What the pages in `docs/` promise, said in literal wire text. Each test names its page.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use sockeye::{AckError, EmitError, Recovery, Server, Socket};
use sockeye_testing::{Net, WebSocket};

/// A server with the room `r`, in which everybody is.
fn server() -> (Server, Net) {
    with(Server::builder())
}

fn with(builder: sockeye::ServerBuilder) -> (Server, Net) {
    let io = builder.build().unwrap();
    io.on_connect(async |socket| socket.join("r"));
    let net = Net::new(&io);
    (io, net)
}

async fn streaming(io: &Server, net: &Net) -> (WebSocket, Socket) {
    let (client, id) = net.join().await;
    (client, io.get(&id).unwrap())
}

// docs/delivery.md and docs/recovery.md

#[tokio::test(start_paused = true)]
async fn recovery_replays_what_was_emitted_and_nothing_else() {
    let (io, net) = with(Server::builder().recovery(Recovery::default()));
    let mut client = net.websocket().await;
    client.send("40").await;
    let ids = client.expect("40{\"sid\":\"…\",\"pid\":\"…\"}").await;
    let (id, pid) = (&ids[0], &ids[1]);
    let socket = io.get(id).unwrap();
    io.emit("first", ()).unwrap();
    let offset = client.expect("42[\"first\",\"…\"]").await.remove(0);
    let asked = socket.emit_with_ack::<_, u8>("ask", ()).send();
    client.reset();
    sockeye_testing::settle().await;
    assert!(matches!(asked.await, Err(AckError::Disconnected)));

    assert!(matches!(socket.emit("the old handle is closed", ()), Err(EmitError::Closed)));
    io.emit("all", 1).unwrap();
    io.to("r").emit("room", 2).unwrap();
    io.to(id).emit("private", 3).unwrap();
    io.to("another room").emit("other", 4).unwrap();
    io.volatile().emit("volatile", 5).unwrap();
    assert!(io.to("r").emit_with_ack::<_, u8>("ask", ()).collect().await.is_empty());

    let mut client = net.websocket().await;
    client.send(&format!("40{{\"pid\":\"{pid}\",\"offset\":\"{offset}\"}}")).await;
    client.expect(&format!("40{{\"sid\":\"{id}\",\"pid\":\"{pid}\"}}")).await;
    client.expect("42[\"all\",1,\"…\"]").await;
    client.expect("42[\"room\",2,\"…\"]").await;
    client.expect("42[\"private\",3,\"…\"]").await;
    client.expect_nothing().await;
    let socket = io.get(id).unwrap();
    assert!(socket.recovered() && socket.rooms().contains(&"r".into()));
}

#[tokio::test(start_paused = true)]
async fn recovery_asks_authorize_and_keeps_the_window() {
    let (io, net) = with(Server::builder().recovery(Recovery::default().window(Duration::from_secs(30))));
    let banned = Arc::new(Mutex::new(false));
    let check = Arc::clone(&banned);
    io.authorize(
        async move |_, _: serde_json::Value| {
            if *check.lock().unwrap() { Err(sockeye::Refusal::new("banned")) } else { Ok(()) }
        },
    );
    for (away, ban) in [(1, true), (31, false)] {
        *banned.lock().unwrap() = false;
        let mut client = net.websocket().await;
        client.send("40").await;
        let ids = client.expect("40{\"sid\":\"…\",\"pid\":\"…\"}").await;
        client.reset();
        sockeye_testing::settle().await;
        io.emit("secret", ()).unwrap();
        *banned.lock().unwrap() = ban;
        net.advance(Duration::from_secs(away)).await;
        let mut client = net.websocket().await;
        client.send(&format!("40{{\"pid\":\"{}\"}}", ids[1])).await;
        if ban {
            client.expect("44{\"message\":\"banned\"}").await;
        } else {
            let fresh = client.expect("40{\"sid\":\"…\",\"pid\":\"…\"}").await;
            assert!(fresh[0] != ids[0] && fresh[1] != ids[1]);
        }
        client.expect_nothing().await;
    }
}

#[tokio::test(start_paused = true)]
async fn recovery_is_not_for_those_who_were_sent_away() {
    let (io, net) = with(Server::builder().recovery(Recovery::default()));
    for by_client in [true, false] {
        let mut client = net.websocket().await;
        client.send("40").await;
        let ids = client.expect("40{\"sid\":\"…\",\"pid\":\"…\"}").await;
        if by_client {
            client.send("41").await;
        } else {
            io.get(&ids[0]).unwrap().disconnect();
            client.expect("41").await;
        }
        client.send(&format!("40{{\"pid\":\"{}\"}}", ids[1])).await;
        let fresh = client.expect("40{\"sid\":\"…\",\"pid\":\"…\"}").await;
        assert!(fresh[0] != ids[0] && fresh[1] != ids[1]);
    }
}

// docs/delivery.md, order

#[tokio::test(start_paused = true)]
async fn order_is_kept_across_apis_and_namespaces_of_one_connection() {
    let (io, net) = server();
    let (mut client, socket) = streaming(&io, &net).await;
    io.of("/other");
    client.send("40/other,").await;
    client.expect("40/other,{\"sid\":\"…\"}").await;
    socket.emit("n", 0).unwrap();
    io.of("/other").emit("n", 1).unwrap();
    io.to("r").emit("n", 2).unwrap();
    let reply = socket.emit_with_ack::<_, ()>("n", 3).send();
    io.of("/other").emit("n", 4).unwrap();
    let expected = ["42[\"n\",0]", "42/other,[\"n\",1]", "42[\"n\",2]", "420[\"n\",3]", "42/other,[\"n\",4]"];
    assert_eq!(client.drain().await, expected);
    drop(reply);
}

#[tokio::test(start_paused = true)]
async fn events_that_had_arrived_are_handled_after_the_client_has_left() {
    let (io, net) = server();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let list = Arc::clone(&seen);
    io.on("slow", async move |socket, n: u8| {
        tokio::time::sleep(Duration::from_secs(1)).await;
        list.lock().unwrap().push((n, socket.emit("answer", n).is_err()));
    });
    let (mut client, _) = streaming(&io, &net).await;
    client.send_all(&["42[\"slow\",1]", "42[\"slow\",2]"]).await;
    drop(client);
    net.advance(Duration::from_secs(3)).await;
    assert_eq!(*seen.lock().unwrap(), [(1, true), (2, true)]);
    net.assert_clean().await;
}

// docs/from-js.md

#[tokio::test(start_paused = true)]
async fn once_on_a_namespace_is_once_for_all_and_on_a_socket_once_for_it() {
    let io = Server::new();
    io.on("all", async |socket, ()| socket.emit("first of all", ())).once();
    io.on_connect(async |socket| {
        socket.on("own", async |socket: Socket, ()| socket.emit("first of mine", ())).once();
    });
    let net = Net::new(&io);
    let (mut alice, mut bob) = (net.join().await.0, net.join().await.0);
    alice.send_all(&["42[\"all\"]", "42[\"own\"]", "42[\"own\"]"]).await;
    assert_eq!(alice.drain().await, ["42[\"first of all\"]", "42[\"first of mine\"]"]);
    bob.send_all(&["42[\"all\"]", "42[\"own\"]"]).await;
    assert_eq!(bob.drain().await, ["42[\"first of mine\"]"]);
}

#[tokio::test(start_paused = true)]
async fn on_any_sees_events_that_the_filter_drops() {
    let io = Server::new();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let list = Arc::clone(&seen);
    io.on_any(async move |_, message| list.lock().unwrap().push(message.event().to_owned()));
    io.filter(async |_, message| if message.event() == "bad" { Err("bad") } else { Ok(()) });
    let list = Arc::clone(&seen);
    io.on_unhandled(async move |_, message| list.lock().unwrap().push(format!("unhandled {}", message.event())));
    let net = Net::new(&io);
    let (mut client, _) = net.join().await;
    client.send_all(&["42[\"bad\"]", "42[\"good\"]"]).await;
    assert_eq!(*seen.lock().unwrap(), ["bad", "good", "unhandled good"]);
}

// `ServerBuilder::allow_eio3`

#[tokio::test(start_paused = true)]
async fn the_id_of_an_old_client_is_the_one_it_computes() {
    let io = Server::builder().allow_eio3(true).build().unwrap();
    io.on("who", async |socket, ()| socket.emit("you", socket.id()));
    let net = Net::new(&io);
    let mut client = net.open("/socket.io/?EIO=3&transport=websocket", &[]).await;
    let open = client.next().await;
    let Some(sockeye_testing::Frame::Text(open)) = open else { panic!("{open:?}") };
    let sid = open.split('"').nth(3).unwrap();
    client.expect("40").await;
    client.send("42[\"who\"]").await;
    let id = client.expect("42[\"you\",\"…\"]").await.remove(0);
    assert_eq!(id, sid);
}
