//! Namespaces made on demand, filters, watchers, and events between servers.

use std::sync::{Arc, Mutex};

use sockeye::{BoxError, Refusal, RoomEvent, Server, Socket};
use sockeye_testing::{Net, settle};

type Seen = Arc<Mutex<Vec<String>>>;

fn note(seen: &Seen, text: impl Into<String>) {
    seen.lock().unwrap().push(text.into());
}

#[tokio::test(start_paused = true)]
async fn namespaces_made_on_demand_are_freed_when_empty() {
    let io = Server::new();
    let shops = io.of_pattern("/shop-{id}").unwrap();
    shops.on_with_ack("where", async |socket: Socket, (): ()| socket.namespace().to_owned());
    let net = Net::new(&io);
    let mut client = net.websocket().await;
    client.send("40/shop-1,").await;
    client.expect(r#"40/shop-1,{"sid":"…"}"#).await;
    client.send("40/shop-2,").await;
    client.expect(r#"40/shop-2,{"sid":"…"}"#).await;
    client.send(r#"42/shop-2,0["where"]"#).await;
    client.expect(r#"43/shop-2,0["/shop-2"]"#).await;
    client.send("40/shop-,").await;
    client.expect(r#"44/shop-,{"message":"Invalid namespace"}"#).await;
    shops.emit("sale", 50).unwrap();
    let mut sales = client.drain().await;
    sales.sort();
    assert_eq!(sales, [r#"42/shop-1,["sale",50]"#, r#"42/shop-2,["sale",50]"#]);
    assert_eq!(shops.namespaces().len(), 2);
    client.send("41/shop-1,").await;
    settle().await;
    assert_eq!(shops.namespaces().len(), 1);
    client.close().await;
    settle().await;
    assert!(shops.namespaces().is_empty());
    net.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn a_rejected_client_leaves_no_namespace_behind() {
    let io = Server::new();
    let rooms = io.of_with(async |path: String, _| path.starts_with("/room/"));
    rooms.authorize(async |_, (): ()| Err(Refusal::new("no")));
    let net = Net::new(&io);
    let mut client = net.websocket().await;
    for n in 0..50 {
        client.send(&format!("40/room/{n},")).await;
        client.expect(&format!(r#"44/room/{n},{{"message":"no"}}"#)).await;
    }
    assert!(rooms.namespaces().is_empty());
    assert_eq!(io.namespaces().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_filter_decides_before_handlers_and_after_on_any() {
    let io = Server::new();
    let seen = Seen::default();
    let s = Arc::clone(&seen);
    io.filter(async move |_, message: Arc<sockeye::Message>| -> Result<(), BoxError> {
        tokio::task::yield_now().await;
        if message.event() == "blocked" { Err("not allowed".into()) } else { Ok(()) }
    });
    io.on_any(async move |_, message| note(&s, format!("any {}", message.event())));
    for name in ["blocked", "free"] {
        let s = Arc::clone(&seen);
        io.on(name, async move |_, n: u32| note(&s, format!("{name} {n}")));
    }
    let s = Arc::clone(&seen);
    io.on_error(move |_, error| note(&s, error.to_string()));
    let net = Net::new(&io);
    let (mut client, _) = net.join().await;
    client.send_all(&[r#"42["blocked",1]"#, r#"42["free",2]"#]).await;
    settle().await;
    let expected = ["any blocked", "any free", "handler of \"blocked\": not allowed", "free 2"];
    let mut seen = seen.lock().unwrap().clone();
    seen.sort();
    let mut sorted = expected;
    sorted.sort_unstable();
    assert_eq!(seen, sorted);
    client.expect_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn rooms_are_watched() {
    let io = Server::new();
    let seen: Arc<Mutex<Vec<RoomEvent>>> = Arc::default();
    let s = Arc::clone(&seen);
    io.on_room(move |event| s.lock().unwrap().push(event.clone()));
    io.on_connect(async |socket: Socket| {
        socket.join(["a", "a"]);
        socket.leave("a");
        socket.join("b");
    });
    let net = Net::new(&io);
    let (client, sid) = net.join().await;
    client.close().await;
    settle().await;
    let socket = sid.as_str();
    let events: Vec<_> = seen.lock().unwrap().iter().map(|event| format!("{event:?}")).collect();
    let joined = |room: &str| format!("Joined {{ room: {room:?}, socket: {socket:?} }}");
    let left = |room: &str| format!("Left {{ room: {room:?}, socket: {socket:?} }}");
    let made = |what: &str, room: &str| format!("{what} {{ room: {room:?} }}");
    let a = [made("Created", "a"), joined("a"), left("a"), made("Deleted", "a")];
    let b = [made("Created", "b"), joined("b"), left("b"), made("Deleted", "b")];
    assert_eq!(events, [a, b].concat());
}

#[tokio::test(start_paused = true)]
async fn what_is_sent_to_a_socket_is_watched() {
    let io = Server::new();
    let seen = Seen::default();
    let s = Arc::clone(&seen);
    io.on_connect(async move |socket: Socket| {
        let s = Arc::clone(&s);
        socket.on_any_outgoing(move |event, args| {
            note(&s, format!("{event} {}", args.decode::<u32>().unwrap_or(0)));
        });
        socket.emit("own", 1)
    });
    let net = Net::new(&io);
    let (mut client, sid) = net.join().await;
    io.emit("all", 2).unwrap();
    io.to(&sid).emit("room", 3).unwrap();
    io.to("elsewhere").emit("not here", 4).unwrap();
    client.drain().await;
    assert_eq!(*seen.lock().unwrap(), ["own 1", "all 2", "room 3"]);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_stands_alone_asks_nobody_and_has_its_answers_at_once() {
    let io = Server::new();
    io.on_server("ping", async |n: u32| n + 1);
    io.server_side_emit("ping", 1).await.unwrap();
    let answers: Vec<u32> = io.server_side_emit_with_ack("ping", 1).await.unwrap();
    assert!(answers.is_empty());
}

#[tokio::test(start_paused = true)]
async fn more_attachments_than_clients_take_are_not_sent() {
    let io = Server::new();
    let net = Net::new(&io);
    let (mut client, _) = net.join().await;
    let buffers = |count: usize| vec![bytes::Bytes::from_static(b"x"); count];
    assert!(io.emit("eleven", buffers(11)).is_err());
    io.emit("ten", buffers(10)).unwrap();
    let places: Vec<_> = (0..10).map(|n| format!(r#"{{"_placeholder":true,"num":{n}}}"#)).collect();
    client.expect(&format!(r#"4510-["ten",[{}]]"#, places.join(","))).await;
    for _ in 0..10 {
        client.expect_binary(b"x").await;
    }
    client.expect_nothing().await;
}
