//! Events, answers, bytes and namespaces, by every transport.

mod common;

use bytes::Bytes;
use common::{Net, WAYS, seconds, settle, tasks};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sockeye::{Refusal, Server};
use sockeye_client::{AckError, DisconnectReason, EmitError, State};
use tokio::sync::mpsc;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct File {
    name: String,
    parts: Vec<Bytes>,
    size: Option<u64>,
}

fn file() -> File {
    File {
        name: "ä\u{0}\"😀".into(), parts: vec![Bytes::from_static(&[0, 255]), Bytes::new()], size: Some(u64::MAX)
    }
}

fn server() -> Server {
    let io = Server::new();
    io.on_with_ack("sum", async |_, (a, b): (u32, u32)| a + b);
    io.on_with_ack("several", async |_, ()| (1, "two", Bytes::from_static(b"three")));
    io.on_with_ack("file", async |_, file: File| file);
    io.on("ask me", async |socket, ()| {
        let answer: Result<(u32, File), _> = socket.emit_with_ack("question", (7, file())).await;
        socket.emit("was", answer.map_or((0, false), |(number, back)| (number, back == file())))
    });
    io.of("/private").authorize(async |_, auth: serde_json::Value| {
        if auth["token"] == "right" {
            return Ok(());
        }
        Err(Refusal::new("wrong token").with_data(json!({ "retry": true })))
    });
    io.of("/private").on_with_ack("where", async |socket, ()| socket.namespace().to_owned());
    io
}

#[tokio::test(start_paused = true)]
async fn answers_both_ways() {
    for way in WAYS {
        let net = Net::with(&server());
        let (told, mut heard) = mpsc::unbounded_channel();
        let client = net
            .client()
            .transports(way)
            .on_with_ack("question", async |_, (number, file): (u32, File)| (number * 2, file))
            .on("was", async move |_, (number, same): (u32, bool)| _ = told.send((number, same)))
            .connect()
            .await
            .unwrap();
        assert_eq!(client.emit_with_ack::<_, u32>("sum", (2, 3)).await.unwrap(), 5);
        let several: (u32, String, Bytes) = client.emit_with_ack("several", ()).await.unwrap();
        assert_eq!(several, (1, "two".into(), Bytes::from_static(b"three")));
        assert_eq!(client.emit_with_ack::<_, File>("file", file()).await.unwrap(), file());
        client.emit("ask me", ()).unwrap();
        assert_eq!(heard.recv().await, Some((14, true)));
        client.disconnect().await;
        assert_eq!(net.open(), 0, "{way:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_disconnect_takes_no_time() {
    for way in WAYS {
        let net = Net::with(&server());
        let client = net.client().transports(way).connect().await.unwrap();
        assert_eq!(client.emit_with_ack::<_, u32>("sum", (2, 3)).await.unwrap(), 5);
        let start = tokio::time::Instant::now();
        client.disconnect().await;
        assert_eq!(start.elapsed(), seconds(0), "{way:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn order_is_kept_while_the_connection_is_upgraded() {
    let io = server();
    let (told, mut heard) = mpsc::unbounded_channel();
    io.on("n", async move |socket, n: u32| {
        _ = told.send(n);
        socket.emit("n", n)
    });
    let net = Net::with(&io);
    let (back, mut came_back) = mpsc::unbounded_channel();
    let builder = net.client().on("n", async move |_, n: u32| _ = back.send(n));
    let client = builder.connect().await.unwrap();
    for n in 0..2000 {
        client.emit("n", n).unwrap();
        if n % 20 == 0 {
            tokio::task::yield_now().await;
        }
    }
    for n in 0..2000 {
        assert_eq!((heard.recv().await, came_back.recv().await), (Some(n), Some(n)));
    }
    settle().await;
    assert_eq!(io.metrics().upgrades, 1);
}

#[tokio::test(start_paused = true)]
async fn several_namespaces_share_a_connection() {
    for way in WAYS {
        let io = server();
        let net = Net::with(&io);
        let main = net.client().transports(way).connect().await.unwrap();
        let refused = main.of("/private").auth(json!({ "token": "wrong" })).connect().await.unwrap_err();
        assert!(refused.is_refused());
        assert_eq!(refused.message(), Some("wrong token"));
        assert_eq!(refused.data(), Some(&json!({ "retry": true })));
        let private = main.of("private").auth(json!({ "token": "right" })).connect().await.unwrap();
        assert_eq!(private.emit_with_ack::<_, String>("where", ()).await.unwrap(), "/private");
        let twice = main.of("/private").connect().await.unwrap_err();
        assert!(twice.is_config() && twice.to_string().contains("connected already"), "{twice}");
        let unknown = main.of("/nowhere").connect().await.unwrap_err();
        assert_eq!(unknown.message(), Some("Invalid namespace"));
        assert_eq!(io.metrics().sessions, 1);
        main.disconnect().await;
        assert!(private.is_connected());
        assert_eq!(private.emit_with_ack::<_, String>("where", ()).await.unwrap(), "/private");
        private.disconnect().await;
        settle().await;
        assert_eq!((io.metrics().sessions, net.open()), (0, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn the_path_of_the_url_names_a_namespace() {
    let net = Net::with(&server());
    let client = net.client_of("ws://server.test/private").auth(json!({ "token": "right" })).connect().await.unwrap();
    assert_eq!(client.namespace(), "/private");
    assert_eq!(client.id().unwrap().len(), 22);
}

#[tokio::test(start_paused = true)]
async fn whatever_no_handler_takes_is_read_in_a_loop() {
    let io = Server::new();
    io.on_connect(async |socket| {
        for n in 0..3 {
            socket.emit("tick", n)?;
        }
        socket.emit("handled", ())?;
        let answer: u32 = socket.emit_with_ack("question", 20).await?;
        socket.emit("answer", answer)?;
        socket.disconnect();
        Ok::<_, sockeye::BoxError>(())
    });
    let net = Net::with(&io);
    let client = net.client().on("handled", async |_, ()| {}).connect().await.unwrap();
    for n in 0..3 {
        let message = client.next().await.unwrap();
        assert_eq!((message.event(), message.args::<u32>().unwrap()), ("tick", n));
    }
    let (number, ack) = client.next().await.unwrap().split::<u32>().unwrap();
    ack.send(number + 1).unwrap();
    assert_eq!(client.next().await.unwrap().args::<u32>().unwrap(), 21);
    assert!(client.next().await.is_none(), "the server has disconnected it");
    settle().await;
    assert_eq!(net.open(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_server_disconnects() {
    let io = Server::new();
    io.on("leave me", async |socket, ()| socket.disconnect());
    let net = Net::with(&io);
    let (told, mut heard) = mpsc::unbounded_channel();
    let builder = net.client().on_disconnect(async move |client, reason| {
        // Every method is legal here.
        client.disconnect().await;
        _ = told.send((reason, client.emit("x", ()).unwrap_err().is_closed()));
    });
    let client = builder.connect().await.unwrap();
    let pending = client.emit_with_ack::<_, ()>("nobody answers this", ()).send();
    client.emit("leave me", ()).unwrap();
    assert!(matches!(pending.await, Err(AckError::Disconnected)));
    assert_eq!(heard.recv().await, Some((DisconnectReason::ServerDisconnect, true)));
    common::pass(seconds(600)).await;
    assert_eq!((net.open(), io.metrics().sessions), (0, 0), "it does not come back by itself");
    client.connect().await.unwrap();
    assert!(client.is_connected(), "but when it is asked to");
    client.disconnect().await;
}

#[tokio::test(start_paused = true)]
async fn what_was_emitted_before_a_disconnect_is_sent() {
    for way in WAYS {
        let io = Server::new();
        let (told, mut heard) = mpsc::unbounded_channel();
        let left = told.clone();
        io.on("n", async move |_, n: u32| _ = told.send(n.to_string()));
        io.on_disconnect(async move |_, reason| _ = left.send(reason.to_string()));
        let net = Net::with(&io);
        let client = net.client().transports(way).connect().await.unwrap();
        let before = tasks();
        for n in 0..50 {
            client.emit("n", n).unwrap();
        }
        client.disconnect().await;
        assert!(matches!(client.emit("n", 1), Err(EmitError::Closed)));
        assert!(matches!(client.state(), State::Disconnected(_)));
        for n in 0..50 {
            assert_eq!(heard.recv().await.unwrap(), n.to_string());
        }
        assert_eq!(heard.recv().await.unwrap(), "client namespace disconnect");
        settle().await;
        assert!(tasks() < before, "{way:?}");
        assert_eq!(net.open(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn answers_that_do_not_come() {
    let net = Net::with(&server());
    let client = net.client().connect().await.unwrap();
    let error = client.emit_with_ack::<_, ()>("nobody answers this", ()).timeout(seconds(3)).await.unwrap_err();
    assert!(error.is_timeout());
    assert!(matches!(client.emit_with_ack::<_, String>("sum", (1, 2)).await, Err(AckError::Decode(_))));
    assert!(matches!(client.emit("disconnect", ()), Err(EmitError::Reserved)));
}

#[tokio::test(start_paused = true)]
async fn handlers_that_fail_end_nothing() {
    let io = Server::new();
    io.on_connect(async |socket| {
        socket.emit("panics", ())?;
        socket.emit("fails", ())?;
        socket.emit("wants a number", "none")?;
        socket.emit("fine", 1)
    });
    let net = Net::with(&io);
    let (told, mut heard) = mpsc::unbounded_channel();
    let fine = told.clone();
    let client = net
        .client()
        .on("panics", async |_, ()| -> () { panic!("on purpose") })
        .on("fails", async |_, ()| Err::<(), _>("no"))
        .on("wants a number", async |_, _: u32| {})
        .on("fine", async move |_, _: u32| _ = fine.send("fine".to_owned()))
        .on_connect(async |_| -> () { panic!("on purpose") })
        .on_error(move |_, error| {
            _ = told.send(error.event().to_owned());
            panic!("here too");
        })
        .connect()
        .await
        .unwrap();
    for event in ["connect", "panics", "fails", "wants a number", "fine"] {
        assert_eq!(heard.recv().await.unwrap(), event);
    }
    assert!(client.is_connected());
}

#[tokio::test(start_paused = true)]
async fn questions_inside_answers_inside_handlers() {
    let io = server();
    io.on_connect(async |socket| socket.emit("begin", ()));
    let net = Net::with(&io);
    let (told, mut heard) = mpsc::unbounded_channel();
    let _client = net
        .client()
        .on("begin", async move |client, ()| {
            let three: u32 = client.emit_with_ack("sum", (1, 2)).await?;
            let six: u32 = client.emit_with_ack("sum", (three, three)).await?;
            let listener = client.on("later", async |_, ()| {});
            listener.remove();
            _ = told.send(six);
            client.disconnect().await;
            Ok::<_, sockeye_client::BoxError>(())
        })
        .connect()
        .await
        .unwrap();
    assert_eq!(heard.recv().await, Some(6));
    settle().await;
    assert_eq!((io.metrics().sessions, net.open()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn answers_at_odd_moments() {
    let io = server();
    io.on_with_ack("slow", async |_, ()| {
        common::pass(seconds(3)).await;
        7
    });
    for way in WAYS {
        let net = Net::with(&io);
        let client = net.client().transports(way).connect().await.unwrap();
        // The answer is there before anybody waits for it,
        let early = client.emit_with_ack::<_, u32>("sum", (2, 3)).send();
        common::pass(seconds(60)).await;
        assert_eq!(early.await.unwrap(), 5);
        // nobody waits for it at all,
        drop(client.emit_with_ack::<_, u32>("sum", (2, 3)).send());
        // or it comes in the same moment as the end of the wait.
        let close = client.emit_with_ack::<_, u32>("slow", ()).timeout(seconds(3)).await;
        assert!(matches!(close, Ok(7) | Err(AckError::Timeout)), "{close:?}");
        common::pass(seconds(60)).await;
        assert_eq!(client.emit_with_ack::<_, u32>("sum", (2, 4)).await.unwrap(), 6);
        client.disconnect().await;
    }
}

#[tokio::test(start_paused = true)]
async fn events_which_overtake_the_answer_to_connect_are_handled_after_it() {
    let net = Net::script(|mut wire| async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let request = common::read_head(&mut wire).await;
        let mut bytes = common::switching(&request, "");
        bytes.extend(common::text(common::OPEN));
        wire.write_all(&bytes).await.unwrap();
        // CONNECT is here.
        let mut frame = [0; 8];
        wire.read_exact(&mut frame).await.unwrap();
        for packet in ["42[\"first\"]", "421[\"second\"]", "40{\"sid\":\"id\"}", "42[\"third\"]"] {
            wire.write_all(&common::text(packet)).await.unwrap();
        }
        let _ = tokio::io::copy(&mut wire, &mut tokio::io::sink()).await;
    });
    let (told, mut heard) = mpsc::unbounded_channel();
    let connected = told.clone();
    let builder = net.client().transports([sockeye_client::Transport::Websocket]);
    let builder = builder.on_any(async move |_, message| _ = told.send(message.event().to_owned()));
    let client = builder.on_connect(async move |_| _ = connected.send("connect".to_owned())).connect().await.unwrap();
    for name in ["connect", "first", "second", "third"] {
        assert_eq!(heard.recv().await.unwrap(), name);
    }
    drop(client.disconnect());
}

#[tokio::test(start_paused = true)]
async fn what_is_sent_can_be_watched() {
    let net = Net::with(&server());
    let client = net.client().start().unwrap();
    let (told, mut heard) = mpsc::unbounded_channel();
    client.on_any_outgoing(move |name, args| {
        _ = told.send((name.to_owned(), args.decode::<u32>().ok()));
        panic!("on purpose");
    });
    client.volatile().emit("dropped", 1).unwrap();
    client.emit("offline", 2).unwrap();
    client.connect().await.unwrap();
    assert_eq!(client.emit_with_ack::<_, u32>("sum", (3, 4)).await.unwrap(), 7);
    client.compress(false).emit("plain", ()).unwrap();
    settle().await;
    client.volatile().emit("now", 5).unwrap();
    client.disconnect().await;
    assert!(client.emit("too late", 6).is_err());
    for (name, args) in [("offline", Some(2)), ("sum", Some(3)), ("plain", None), ("now", Some(5))] {
        assert_eq!(heard.try_recv().unwrap(), (name.to_owned(), args));
    }
    assert!(heard.try_recv().is_err());
}
