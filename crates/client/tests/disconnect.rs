//! The end of a client: final from everywhere, and nothing is left behind.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use common::{Far, Net, WAYS, answer_all, pass, seconds, settle, tasks};
use serde_json::json;
use sockeye::{Refusal, Server};
use sockeye_client::{Client, ClientBuilder, Reconnect, State};
use tokio::sync::mpsc;

/// A proxy on the way never relays the answer to a WebSocket.
fn without_websocket(io: &Server) -> Net {
    let io = io.clone();
    Net::script(move |mut wire| {
        let io = io.clone();
        async move {
            if common::peek_head(&mut wire).await.contains("websocket") {
                return pass(seconds(3600)).await;
            }
            io.serve_stream(wire, None).await;
        }
    })
}

#[tokio::test(start_paused = true)]
async fn disconnect_is_final_from_every_state() {
    let io = Server::new();
    let hanging = || Net::new(Far::Hangs);
    let silent = || Net::script(|wire| async move { answer_all(wire, b"").await });
    let refusing = || Net::new(Far::Refuses);
    let serving = || Net::with(&io);
    let plain: fn(ClientBuilder) -> ClientBuilder = |builder| builder;
    for way in WAYS {
        for (name, net, scheme, wait, with) in [
            ("before anything", serving(), "http", seconds(0), plain),
            ("during DNS or TCP", hanging(), "http", seconds(5), plain),
            ("during CONNECT of a proxy", silent(), "http", seconds(5), |builder| {
                builder.proxy("http://proxy.test:3128".parse().unwrap())
            }),
            ("during SOCKS", silent(), "http", seconds(5), |builder| {
                builder.proxy("socks5://proxy.test:1080".parse().unwrap())
            }),
            ("during TLS", silent(), "https", seconds(5), plain),
            ("during the handshake", silent(), "http", seconds(5), plain),
            ("during auth", serving(), "http", seconds(5), |builder| builder.auth_with(std::future::pending::<()>)),
            ("during the upgrade", without_websocket(&io), "http", seconds(5), plain),
            ("during back-off", refusing(), "http", seconds(60), plain),
            ("connected", serving(), "http", seconds(60), plain),
        ] {
            let builder = with(net.client_of(&format!("{scheme}://server.test")).transports(way));
            let client = builder.start().unwrap();
            pass(wait).await;
            let reply = client.emit_with_ack::<_, ()>("nobody answers", ()).send();
            client.disconnect().await;
            let dials = net.dials();
            assert!(client.emit("n", 1).unwrap_err().is_closed());
            assert!(matches!(reply.await, Err(sockeye_client::AckError::Disconnected)), "{name}");
            pass(seconds(3600)).await;
            assert_eq!((net.dials(), net.open()), (dials, 0), "{name}, {way:?}");
            client.disconnect().await;
        }
    }
    io.close(seconds(1)).await;
    settle().await;
    assert_eq!(tasks(), 0);
}

#[tokio::test(start_paused = true)]
async fn disconnect_during_connect_of_the_namespace() {
    let io = Server::new();
    io.authorize(async |_, ()| {
        pass(seconds(5)).await;
        Ok(())
    });
    let net = Net::with(&io);
    let client = net.client().start().unwrap();
    pass(seconds(2)).await;
    client.disconnect().await;
    pass(seconds(60)).await;
    assert_eq!((net.open(), io.metrics().sessions), (0, 0));
    // And while another namespace keeps the connection.
    let other = net.client().connect().await.unwrap();
    io.of("/slow").authorize(async |_, ()| {
        pass(seconds(5)).await;
        Ok(())
    });
    let slow = other.of("/slow").start().unwrap();
    pass(seconds(2)).await;
    slow.disconnect().await;
    pass(seconds(10)).await;
    assert_eq!(io.of("/slow").len(), 0);
    assert!(other.is_connected());
    other.of("/slow").connect().await.unwrap().disconnect().await;
    other.disconnect().await;
}

#[tokio::test(start_paused = true)]
async fn a_dropped_connect_leaves_nothing_behind() {
    let net = Net::new(Far::Hangs);
    assert!(tokio::time::timeout(seconds(90), net.client().connect()).await.is_err());
    settle().await;
    assert_eq!(tasks(), 0);
    let dials = net.dials();
    pass(seconds(3600)).await;
    assert_eq!(net.dials(), dials);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_failed_connects_leave_nothing_behind() {
    let nets = [Net::new(Far::Refuses), Net::script(|wire| async move { drop(wire) })];
    for n in 0..1000 {
        let net = &nets[n % 2];
        let way = WAYS[n / 2 % 4];
        let error = net.client().transports(way).reconnect(Reconnect::never()).connect().await.unwrap_err();
        assert!(error.is_unreachable(), "{error}");
    }
    settle().await;
    assert_eq!((tasks(), nets[0].open(), nets[1].open()), (0, 0, 0));
}

/// Every method, in any order, wherever it is called.
fn call_everything(client: &Client) {
    let _ = client.emit("n", 1);
    drop(client.emit_with_ack::<_, u32>("sum", (1, 2)).send());
    let _ = client.volatile().compress(false).emit("n", 1);
    let _ = client.compress(false).emit("n", 1);
    client.on("x", async |_, ()| {}).remove();
    client.once("x", async |_, ()| {}).remove();
    client.on_with_ack("x", async |_, ()| 1).remove();
    client.on_message("x", async |_, _| {}).remove();
    client.on_any(async |_, _| {}).remove();
    client.on_unhandled(async |_, _| {}).remove();
    client.on_connect(async |_| {}).remove();
    let _ = (client.id(), client.namespace(), client.is_connected(), client.is_recovered(), client.state());
    let _ = (client.watch().get(), client.queued(), client.dropped());
    drop(client.of("/other").start());
}

/// Refuses the first time, and then says and asks things.
fn server_which_refuses_once() -> Server {
    let io = Server::new();
    io.on_with_ack("sum", async |_, (a, b): (u32, u32)| a + b);
    io.on_connect(async |socket| {
        socket.emit("event", ())?;
        drop(socket.emit_with_ack::<_, u32>("question", ()).send());
        socket.emit("nobody takes this", ())
    });
    let _other = io.of("/other");
    let refusals = Arc::new(AtomicU32::new(0));
    io.authorize(async move |_, ()| match refusals.fetch_add(1, Ordering::Relaxed) {
        0 => Err(Refusal::new("not yet")),
        _ => Ok(()),
    });
    io
}

#[tokio::test(start_paused = true)]
async fn every_method_is_legal_in_every_handler() {
    for way in WAYS {
        let net = Net::with(&server_which_refuses_once());
        let (told, mut heard) = mpsc::unbounded_channel();
        let tell = move |name: &'static str, client: &Client| {
            call_everything(client);
            let _ = told.send(name);
        };
        let tell = Arc::new(tell);
        let at = |name: &'static str| {
            let tell = Arc::clone(&tell);
            move |client: &Client| tell(name, client)
        };
        let (event, any, unhandled, connected) = (at("event"), at("any"), at("unhandled"), at("connect"));
        let (question, refused, gone, failed) = (at("question"), at("connect error"), at("disconnect"), at("error"));
        let builder = net.client().transports(way).on("event", async move |client, ()| {
            event(&client);
            // The same again from within an answer.
            let three: u32 = client.emit_with_ack("sum", (1, 2)).await?;
            event(&client);
            Err::<(), sockeye_client::BoxError>(format!("for on_error: {three}").into())
        });
        let builder = builder
            .on_with_ack("question", async move |client, ()| {
                question(&client);
                7
            })
            .on_any(async move |client, _| any(&client))
            .on_unhandled(async move |client, _| unhandled(&client))
            .on_connect(async move |client| connected(&client))
            .on_disconnect(async move |client, _| gone(&client))
            .on_error(move |client, _| failed(client));
        let client = builder
            .on_connect_error(async move |client, _| {
                refused(&client);
                client.connect().await
            })
            .start()
            .unwrap();
        client.watch().until(State::is_connected).await.unwrap();
        pass(seconds(30)).await;
        net.cut();
        pass(seconds(30)).await;
        client.disconnect().await;
        let mut names: Vec<&str> = std::iter::from_fn(|| heard.try_recv().ok()).collect();
        names.sort_unstable();
        names.dedup();
        let all = ["any", "connect", "connect error", "disconnect", "error", "event", "question", "unhandled"];
        assert_eq!(names, all, "{way:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn disconnect_may_be_awaited_in_every_handler() {
    for way in WAYS {
        for place in ["event", "question", "any", "connect", "connect error", "disconnect"] {
            let io = Server::new();
            io.on_connect(async |socket| {
                socket.emit("event", ())?;
                drop(socket.emit_with_ack::<_, u32>("question", ()).send());
                Ok::<_, sockeye::BoxError>(())
            });
            if place == "connect error" {
                io.authorize(async |_, ()| Err(Refusal::new("never").with_data(json!(1))));
            }
            let net = Net::with(&io);
            let end = async move |client: Client, here: &str| {
                if here == place {
                    client.disconnect().await;
                }
            };
            let client = net
                .client()
                .transports(way)
                .on("event", async move |client, ()| end(client, "event").await)
                .on_with_ack("question", async move |client, ()| end(client, "question").await)
                .on_any(async move |client, _| end(client, "any").await)
                .on_connect(async move |client| end(client, "connect").await)
                .on_connect_error(async move |client, _| end(client, "connect error").await)
                .on_disconnect(async move |client, _| end(client, "disconnect").await)
                .start()
                .unwrap();
            pass(seconds(5)).await;
            net.cut();
            pass(seconds(3600)).await;
            let is_over = matches!(client.state(), State::Disconnected(_));
            assert!(is_over, "{place}, {way:?}: {:?}", client.state());
            assert_eq!((net.open(), io.metrics().sessions), (0, 0), "{place}, {way:?}");
        }
    }
}
