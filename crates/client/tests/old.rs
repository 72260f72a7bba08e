//! Servers of Socket.IO 2.x, as our own server is to clients which speak Engine.IO 3.

mod common;

use bytes::Bytes;
use common::{Far, Net, WAYS, pass, seconds, settle, tasks};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sockeye::{Refusal, Server};
use sockeye_client::{Client, ClientBuilder, DisconnectReason, Parser, State, Transport};
use tokio::sync::mpsc;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct File {
    name: String,
    parts: Vec<Bytes>,
}

fn file() -> File {
    let long = Bytes::from(vec![200; 70_000]);
    File { name: "ä\u{1e}\"😀".into(), parts: vec![Bytes::from_static(&[4, 255]), Bytes::new(), long] }
}

fn server() -> Server {
    let options = Server::builder().allow_eio3(true).ping_interval(seconds(5)).ping_timeout(seconds(5));
    let io = options.build().unwrap();
    io.on_with_ack("sum", async |_, (a, b): (u32, u32)| a + b);
    io.on_with_ack("file", async |_, file: File| file);
    io.on("ask me", async |socket, ()| {
        let answer: Result<File, _> = socket.emit_with_ack("question", file()).await;
        socket.emit("was", answer.is_ok_and(|back| back == file()))
    });
    io.on("leave me", async |socket, ()| socket.disconnect());
    io.of("/private").authorize(async |peer, ()| match peer.query("token").as_deref() {
        Some("a b,1") => Ok(()),
        _ => Err(Refusal::new("wrong token").with_data(json!({ "retry": true }))),
    });
    io.of("/private").on_with_ack("where", async |socket, ()| socket.namespace().to_owned());
    io
}

fn old(net: &Net, way: &[Transport]) -> ClientBuilder {
    net.client().transports(way).eio3(true)
}

async fn sum(client: &Client) -> u32 {
    client.emit_with_ack("sum", (2, 3)).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn events_answers_and_bytes_both_ways() {
    for way in WAYS {
        let io = server();
        let net = Net::with(&io);
        let (told, mut heard) = mpsc::unbounded_channel();
        let builder = old(&net, way).on_with_ack("question", async |_, file: File| file);
        let client = builder.on("was", async move |_, same: bool| _ = told.send(same)).connect().await.unwrap();
        assert_eq!(sum(&client).await, 5);
        assert_eq!(client.emit_with_ack::<_, File>("file", file()).await.unwrap(), file());
        client.emit("ask me", ()).unwrap();
        assert_eq!(heard.recv().await, Some(true));
        client.disconnect().await;
        settle().await;
        assert_eq!((net.open(), io.metrics().sessions), (0, 0), "{way:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn namespaces() {
    for way in WAYS {
        let io = server();
        let net = Net::with(&io);
        let main = old(&net, way).connect().await.unwrap();
        let refused = main.of("/private").auth(json!({ "token": 7 })).connect().await.unwrap_err();
        assert_eq!((refused.is_refused(), refused.data()), (true, Some(&json!({ "retry": true }))));
        let private = main.of("/private").auth(json!({ "token": "a b,1", "x": true })).connect().await.unwrap();
        assert_eq!(private.emit_with_ack::<_, String>("where", ()).await.unwrap(), "/private");
        assert_eq!(private.id().unwrap(), format!("/private#{}", main.id().unwrap()));
        main.disconnect().await;
        assert_eq!(private.emit_with_ack::<_, String>("where", ()).await.unwrap(), "/private");
        main.connect().await.unwrap();
        assert_eq!(sum(&main).await, 5);
        private.disconnect().await;
        main.disconnect().await;
        settle().await;
        assert_eq!((net.open(), io.metrics().sessions), (0, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn the_main_namespace_may_come_later() {
    for way in WAYS {
        let net = Net::with(&server());
        let auth = json!({ "token": "a b,1" });
        let private = old(&net, way).namespace("/private").auth(auth).connect().await.unwrap();
        pass(seconds(60)).await;
        let main = private.of("/").connect().await.unwrap();
        assert_eq!((sum(&main).await, net.dials() < 4), (5, true));
        private.disconnect().await;
        main.disconnect().await;
    }
}

#[tokio::test(start_paused = true)]
async fn heartbeats_are_the_clients_to_begin() {
    for way in WAYS {
        let io = server();
        let net = Net::with(&io);
        let (told, mut heard) = mpsc::unbounded_channel();
        let builder = old(&net, way).on_disconnect(async move |_, reason| _ = told.send(reason));
        let client = builder.connect().await.unwrap();
        pass(seconds(3600)).await;
        assert!(heard.try_recv().is_err() && io.metrics().sessions == 1);
        net.freeze();
        assert_eq!(heard.recv().await, Some(DisconnectReason::PingTimeout));
        client.watch().until(State::is_connected).await.unwrap();
        client.disconnect().await;
    }
}

#[tokio::test(start_paused = true)]
async fn it_comes_back() {
    for way in WAYS {
        let io = server();
        let net = Net::with(&io);
        let client = old(&net, way).connect().await.unwrap();
        net.set(Far::Refuses);
        net.cut();
        client.watch().until(|state| !state.is_connected()).await.unwrap();
        let waiting = client.emit_with_ack::<_, u32>("sum", (1, 2)).timeout(seconds(900)).send();
        pass(seconds(600)).await;
        net.set(Far::Server(io));
        assert_eq!(waiting.await.unwrap(), 3);
        client.emit("leave me", ()).unwrap();
        client.watch().until(|state| !state.is_active()).await.unwrap();
        settle().await;
        assert_eq!(net.open(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn what_it_cannot_say_is_an_error() {
    let net = Net::with(&server());
    let msgpack = old(&net, WAYS[0]).parser(Parser::Msgpack).start().unwrap_err();
    assert!(msgpack.to_string().contains("JSON"), "{msgpack}");
    for auth in [json!({ "token": 1 }), json!(7)] {
        assert!(old(&net, WAYS[0]).auth(auth).connect().await.unwrap_err().is_config());
    }
    let main = old(&net, WAYS[0]).connect().await.unwrap();
    for auth in [json!({ "a": [] }), json!("a")] {
        assert!(main.of("/private").auth(auth).connect().await.unwrap_err().is_config());
    }
    assert_eq!(sum(&main).await, 5);
    main.disconnect().await;
    // A server of today says what it speaks.
    let strict = Net::with(&Server::new());
    let error = old(&strict, WAYS[0]).reconnect(sockeye_client::Reconnect::never()).connect().await.unwrap_err();
    assert!(error.to_string().contains("Unsupported protocol version"), "{error}");
    settle().await;
    assert_eq!((strict.open(), tasks()), (0, 0));
}
