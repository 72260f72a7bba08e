//! Server and client together, over a network in memory: what they share is written once.

use sockeye::Server;
use sockeye::parser::Parser;
use sockeye_client::{Client, ClientBuilder, Transport};
use sockeye_examples::events::{Order, Receipt, to_client, to_server};
use sockeye_examples::lines::Lines;
use sockeye_testing::{Frame, Net};
use tokio::io::duplex;
use tokio::sync::mpsc;

/// A client of this server.
fn client(io: &Server) -> ClientBuilder {
    let io = io.clone();
    Client::builder("http://server.test").dial_with(move |_, _| {
        let (near, far) = duplex(64 * 1024);
        let io = io.clone();
        tokio::spawn(async move { io.serve_stream(far, None).await });
        async move { Ok(near) }
    })
}

#[tokio::test(start_paused = true)]
async fn one_constant_serves_both_ends() {
    let io = Server::new();
    io.on_with_ack(to_server::ORDER, async |socket, order| {
        let confirmed = socket.emit_with_ack(to_client::CONFIRM, 7).await.unwrap_or(false);
        socket.emit(to_client::ORDERED, &order).unwrap();
        Receipt { number: 7, total: if confirmed { order.count * 3 } else { 0 } }
    });
    io.on(to_server::MOVE, async |socket, place| socket.emit(to_client::MOVED, place));
    io.on_with_ack(to_server::PICTURE, async |socket, (name, picture)| {
        let size = picture.len();
        socket.emit(to_client::PICTURE, (name, picture)).unwrap();
        size
    });

    let (told, mut heard) = mpsc::unbounded_channel();
    let [moved, ordered, pictured] = [0; 3].map(|_| told.clone());
    let client = client(&io)
        .on_with_ack(to_client::CONFIRM, async |_, number| number == 7)
        .on(to_client::MOVED, async move |_, (x, y)| drop(moved.send(format!("{x} {y}"))))
        .on(to_client::ORDERED, async move |_, order| drop(ordered.send(order.item)))
        .on(to_client::PICTURE, async move |_, (name, bytes)| drop(pictured.send(format!("{name} {:?}", &bytes[..]))))
        .connect()
        .await
        .unwrap();

    let order = Order { item: "tea".into(), count: 2 };
    assert_eq!(client.emit_with_ack(to_server::ORDER, &order).await.unwrap(), Receipt { number: 7, total: 6 });
    assert_eq!(heard.recv().await.as_deref(), Some("tea"));
    client.emit(to_server::MOVE, (1.5, -2.0)).unwrap();
    assert_eq!(heard.recv().await.as_deref(), Some("1.5 -2"));
    let size = client.emit_with_ack(to_server::PICTURE, ("dot".to_owned(), vec![1, 2, 3].into())).await;
    assert_eq!(size.unwrap(), 3);
    assert_eq!(heard.recv().await.as_deref(), Some("dot [1, 2, 3]"));
    client.disconnect().await;
}

fn lines() -> Server {
    let io = Server::builder().parser(Parser::custom(Lines)).build().unwrap();
    io.on_with_ack("sum", async |_, (a, b): (u32, u32)| a + b);
    io.on("shout", async |socket, text: String| socket.broadcast().emit("shouted", text.to_uppercase()));
    io.on("ask", async |socket, ()| {
        let answer: (String, bytes::Bytes) = socket.emit_with_ack("question", ("?", 1)).await?;
        socket.emit("answered", answer)?;
        Ok::<_, sockeye::BoxError>(())
    });
    io.of("/closed").authorize(async |_, auth: serde_json::Value| Err(sockeye::Refusal::new(auth["why"].to_string())));
    io
}

#[tokio::test(start_paused = true)]
async fn both_ends_with_a_parser_of_their_own() {
    for transports in [&[Transport::Polling][..], &[Transport::Websocket], &[Transport::Polling, Transport::Websocket]]
    {
        let io = lines();
        let builder = || client(&io).transports(transports).parser(Parser::custom(Lines));
        let (told, mut heard) = mpsc::unbounded_channel();
        let answered = told.clone();
        let alice = builder()
            .on_with_ack("question", async |_, (mark, number): (String, u8)| (format!("{mark}!"), vec![number]))
            .on("answered", async move |_, answer: (String, Vec<u8>)| drop(answered.send(format!("{answer:?}"))))
            .connect()
            .await
            .unwrap();
        let bob = builder().on("shouted", async move |_, text: String| drop(told.send(text))).connect().await.unwrap();
        assert_eq!(alice.emit_with_ack::<_, u32>("sum", (2, 3)).await.unwrap(), 5);
        alice.emit("shout", "hello").unwrap();
        assert_eq!(heard.recv().await.as_deref(), Some("HELLO"));
        alice.emit("ask", ()).unwrap();
        assert_eq!(heard.recv().await.as_deref(), Some(r#"("?!", [1])"#));
        assert!(alice.emit("two words", ()).unwrap_err().to_string().contains("a name is one word"));
        let refused = alice.of("/closed").auth(serde_json::json!({ "why": 1 })).connect().await.unwrap_err();
        assert!(refused.is_refused(), "{refused}");
        bob.disconnect().await;
        alice.disconnect().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_parser_of_its_own_in_literal_text() {
    let net = Net::new(&lines());
    let mut alice = net.websocket().await;
    alice.send("4connect / - - [{}]").await;
    let Some(Frame::Text(accepted)) = alice.next().await else { panic!("it is let in") };
    assert!(accepted.starts_with("4connect / - - [{\"sid\":\""), "{accepted}");
    alice.send("4event / 7 sum [2,3]").await;
    alice.expect("4ack / 7 - [5]").await;
    alice.send("4event / - ask []").await;
    alice.expect("4event / 0 question [\"?\",1]").await;
    alice.send("4ack / 0 - [\"!\",[1,2]]").await;
    alice.expect("4event / - answered [\"!\",[1,2]]").await;
    alice.send("4connect /closed - - [{\"why\":\"not you\"}]").await;
    alice.expect("4refused /closed - - [{\"message\":\"\\\"not you\\\"\"}]").await;
    alice.send("4disconnect / - - []").await;
    alice.close().await;
    for wrong in ["42[\"sum\",2,3]", "4event / - disconnect []", "4event / - sum {}", "4event /b - sum []", "4connect"]
    {
        let mut mallory = net.websocket().await;
        mallory.send("4connect / - - []").await;
        assert!(mallory.next().await.is_some());
        mallory.send(wrong).await;
        mallory.expect_closed(None).await;
    }
    net.assert_clean().await;
}
