//! Connections that are lost, cut, refused, or never made.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use common::{Far, Net, WAYS, answer_all, pass, response, seconds, settle, tasks};
use serde_json::json;
use sockeye::{Seen, Server};
use sockeye_client::{Client, DisconnectReason, Ending, Reconnect, State, Transport, WhenFull};
use tokio::sync::mpsc;
use tokio::time::Instant;

/// A server which adds, and tells of every number it gets.
fn server() -> (Server, mpsc::UnboundedReceiver<u32>) {
    let io = Server::new();
    let (told, heard) = mpsc::unbounded_channel();
    io.on_with_ack("sum", async |_, (a, b): (u32, u32)| a + b);
    io.on("n", async move |_, n: u32| {
        let _ = told.send(n);
    });
    (io, heard)
}

async fn connected(client: &Client) {
    client.watch().until(State::is_connected).await.unwrap();
}

async fn lost(client: &Client) {
    client.watch().until(|state| !state.is_connected()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn outages_of_any_length() {
    for way in WAYS {
        for outage in [seconds(15), seconds(600), seconds(24 * 3600)] {
            let (io, mut heard) = server();
            let net = Net::with(&io);
            let client = net.client().transports(way).connect().await.unwrap();
            net.set(Far::Refuses);
            net.cut();
            lost(&client).await;
            client.emit("n", 7).unwrap();
            pass(outage).await;
            net.set(Far::Server(io));
            let back = Instant::now();
            connected(&client).await;
            assert!(back.elapsed() <= seconds(8), "{:?} after the server was back", back.elapsed());
            assert_eq!(heard.recv().await, Some(7), "what was emitted meanwhile has waited");
            assert_eq!(client.emit_with_ack::<_, u32>("sum", (2, 3)).await.unwrap(), 5);
            client.disconnect().await;
            assert_eq!(net.open(), 0);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn servers_that_answer_nonsense_for_a_while() {
    let answers = [
        response("404 Not Found", "", "<html>not here</html>"),
        response("502 Bad Gateway", "Content-Type: text/html\r\n", "<html></html>"),
        response("200 OK", "", "<html>a login page</html>"),
        response("200 OK", "", ""),
        response("200 OK", "", "0{\"sid\":7}"),
        response("302 Found", "Location: /elsewhere\r\n", ""),
        b"SSH-2.0-OpenSSH_9.6\r\n\r\n".to_vec(),
        b"\x16\x03\x01\x00\xff\xff\xff\r\n\r\n".to_vec(),
    ];
    for way in WAYS {
        for answer in answers.clone() {
            let (io, _heard) = server();
            let answer = Arc::new(answer);
            let net = Net::script(move |wire| {
                let answer = Arc::clone(&answer);
                async move { answer_all(wire, &answer).await }
            });
            let client = net.client().transports(way).start().unwrap();
            pass(seconds(120)).await;
            let dials = net.dials();
            assert!((10..100).contains(&dials), "it tries again and again, with pauses: {dials}");
            assert!(matches!(client.state(), State::Waiting { .. } | State::Connecting));
            net.set(Far::Server(io));
            connected(&client).await;
            client.disconnect().await;
            assert_eq!(net.open(), 0);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_cut_at_any_byte_comes_back() {
    for way in WAYS {
        // The first stream is cut after so many bytes; with polling the others are whole.
        for budget in (0..2600).step_by(13) {
            let (io, mut heard) = server();
            let net = Net::with(&io);
            net.cut_after([budget]);
            let client = net.client().transports(way).start().unwrap();
            client.emit("n", 1).unwrap();
            let sum: u32 = loop {
                // An answer may be lost with its connection: the question is asked again.
                match client.emit_with_ack("sum", (2, 3)).timeout(seconds(60)).await {
                    Ok(sum) => break sum,
                    Err(error) => assert!(!matches!(error, sockeye_client::AckError::Emit(_)), "{error}"),
                }
            };
            assert_eq!(sum, 5);
            client.disconnect().await;
            settle().await;
            assert_eq!(net.open(), 0, "{way:?}, cut after {budget} bytes");
            let mut numbers = Vec::new();
            while let Ok(number) = heard.try_recv() {
                numbers.push(number);
            }
            assert!(numbers.len() <= 1, "at most once");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn with_retries_every_event_arrives_in_order_whatever_is_cut() {
    for way in WAYS {
        for seed in 0..60 {
            let io = Server::new();
            let (told, mut heard) = mpsc::unbounded_channel();
            let seen = Arc::new(Seen::new(10));
            io.on_message("n", async move |_, message| {
                let ((n, id), ack) = message.split::<(u32, String)>()?;
                let is_new = seen.insert(&id);
                let _ = told.send((n, id, is_new));
                ack.send(())?;
                Ok::<_, sockeye::BoxError>(())
            });
            let net = Net::with(&io);
            net.cut_after((0..6).map(|n| 400 + (seed * 131 + n * 977) % 3000));
            let builder = net.client().transports(way).retries(50).retry_ids().ack_timeout(seconds(5));
            let client = builder.start().unwrap();
            for n in 0..20 {
                client.emit("n", n).unwrap();
            }
            let mut ids = std::collections::HashSet::new();
            let mut last = None;
            while ids.len() < 20 {
                let (n, id, is_new) = heard.recv().await.unwrap();
                assert_eq!(ids.insert(id), is_new, "the server's helper knows the copies");
                if is_new {
                    assert_eq!(n, last.map_or(0, |last: u32| last + 1), "in order");
                    last = Some(n);
                } else {
                    assert_eq!(Some(n), last, "a copy of the last one");
                }
            }
            client.disconnect().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn tokens_are_fresh_for_every_attempt() {
    let io = Server::new();
    io.authorize(async |_, auth: serde_json::Value| match auth["token"].as_u64() {
        Some(2) => Err(sockeye::Refusal::new("expired")),
        _ => Ok(()),
    });
    let net = Net::with(&io);
    let count = Arc::new(AtomicU32::new(0));
    let (told, mut heard) = mpsc::unbounded_channel();
    let asked = Arc::clone(&count);
    let client = net
        .client()
        .auth_with(move || {
            let token = asked.fetch_add(1, Ordering::Relaxed) + 1;
            async move { json!({ "token": token }) }
        })
        .on_connect_error(async move |client, error| {
            let _ = told.send(error.message().map(str::to_owned));
            // Refused: the next token will do.
            client.connect().await.map_err(|_| "refused again")
        })
        .connect()
        .await
        .unwrap();
    net.cut();
    lost(&client).await;
    assert_eq!(heard.recv().await, Some(Some("expired".to_owned())));
    connected(&client).await;
    assert_eq!(count.load(Ordering::Relaxed), 3);
    client.disconnect().await;
}

#[tokio::test(start_paused = true)]
async fn an_auth_that_fails_is_asked_again() {
    let (io, _heard) = server();
    let net = Net::with(&io);
    let count = Arc::new(AtomicU32::new(0));
    let asked = Arc::clone(&count);
    let builder = net.client().try_auth_with(move || {
        let n = asked.fetch_add(1, Ordering::Relaxed);
        async move {
            match n {
                0 => Err("the token service is down"),
                1 => panic!("on purpose"),
                _ => Ok(json!({ "token": n })),
            }
        }
    });
    let client = builder.connect().await.unwrap();
    assert_eq!(count.load(Ordering::Relaxed), 3);
    client.disconnect().await;
    let wrong = net.client().auth("not an object").connect().await.unwrap_err();
    assert!(wrong.is_config(), "{wrong}");
}

#[tokio::test(start_paused = true)]
async fn attempts_and_time_are_limited_when_asked_for() {
    let net = Net::new(Far::Refuses);
    let error = net.client().reconnect(Reconnect::never()).connect().await.unwrap_err();
    assert!(error.is_unreachable());
    assert_eq!(net.dials(), 1);
    let policy = Reconnect::default().attempts(3);
    assert!(net.client().reconnect(policy).connect().await.unwrap_err().is_unreachable());
    assert_eq!(net.dials(), 1 + 4);
    let start = Instant::now();
    let policy = Reconnect::default().max_elapsed(seconds(30));
    assert!(net.client().reconnect(policy).connect().await.unwrap_err().is_unreachable());
    assert!((seconds(29)..=seconds(31)).contains(&start.elapsed()), "{:?}", start.elapsed());
    settle().await;
    assert_eq!(tasks(), 0);
}

#[tokio::test(start_paused = true)]
async fn without_reconnection_a_lost_connection_is_the_end() {
    let (io, _heard) = server();
    let net = Net::with(&io);
    let (told, mut heard) = mpsc::unbounded_channel();
    let builder = net.client().reconnect(Reconnect::never()).on_disconnect(async move |_, reason| {
        let _ = told.send(reason);
    });
    let client = builder.connect().await.unwrap();
    settle().await;
    let dials = net.dials();
    net.cut();
    let reason = heard.recv().await.unwrap();
    assert!(matches!(reason, DisconnectReason::TransportError | DisconnectReason::TransportClose));
    assert!(matches!(client.state(), State::Disconnected(Ending::Disconnected(_))));
    assert!(client.emit("n", 1).unwrap_err().is_closed());
    pass(seconds(600)).await;
    assert_eq!((net.dials(), net.open()), (dials, 0));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_busy_is_left_alone_as_long_as_it_asks() {
    for way in WAYS {
        let net = Net::script(|wire| async move {
            answer_all(wire, &response("503 Service Unavailable", "Retry-After: 120\r\n", "")).await;
        });
        let client = net.client().transports(way).start().unwrap();
        pass(seconds(100)).await;
        assert_eq!(net.dials(), 1);
        pass(seconds(30)).await;
        assert_eq!(net.dials(), 2);
        client.disconnect().await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_queue_offline_is_bounded() {
    let (io, mut heard) = server();
    for (policy, expected) in
        [(WhenFull::Fail, [0, 1, 2]), (WhenFull::DropNew, [0, 1, 2]), (WhenFull::DropOldest, [97, 98, 99])]
    {
        let net = Net::new(Far::Refuses);
        let client = net.client().queue(3, 10_000, policy).start().unwrap();
        let taken = (0..100).filter(|n| client.emit("n", *n).is_ok()).count();
        assert_eq!(taken, if policy == WhenFull::Fail { 3 } else { 100 });
        assert_eq!(client.dropped(), if policy == WhenFull::Fail { 0 } else { 97 });
        client.volatile().emit("n", 1000).unwrap();
        net.set(Far::Server(io.clone()));
        client.ready().await;
        for n in expected {
            assert_eq!(heard.recv().await, Some(n));
        }
        client.disconnect().await;
        assert!(heard.try_recv().is_err());
    }
}

#[tokio::test(start_paused = true)]
async fn a_question_that_waits_too_long_offline_is_never_asked() {
    let io = Server::new();
    let (told, mut heard) = mpsc::unbounded_channel();
    io.on_with_ack("question", async move |_, n: u32| {
        let _ = told.send(n);
        n
    });
    let net = Net::new(Far::Refuses);
    let client = net.client().start().unwrap();
    let late = client.emit_with_ack::<_, u32>("question", 1).timeout(seconds(10)).send();
    let patient = client.emit_with_ack::<_, u32>("question", 2).timeout(seconds(100)).send();
    assert!(late.await.unwrap_err().is_timeout());
    net.set(Far::Server(io));
    assert_eq!(patient.await.unwrap(), 2);
    assert_eq!((heard.recv().await, heard.try_recv().ok()), (Some(2), None));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_before_the_namespace_is_joined_and_nothing_twice() {
    for way in WAYS {
        let (io, mut heard) = server();
        io.authorize(async |_, ()| {
            pass(seconds(5)).await;
            Ok(())
        });
        let net = Net::new(Far::Refuses);
        let client = net.client().transports(way).start().unwrap();
        (0..1000).for_each(|n| client.emit("n", n).unwrap());
        pass(seconds(60)).await;
        net.set(Far::Server(io));
        // Some while the server makes up its mind, and some afterwards.
        for n in 1000..2000 {
            client.emit("n", n).unwrap();
            pass(Duration::from_millis(10)).await;
        }
        connected(&client).await;
        for n in 0..2000 {
            assert_eq!(heard.recv().await, Some(n), "{way:?}");
        }
        client.disconnect().await;
        assert!(heard.try_recv().is_err(), "{way:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_million_events_offline_keep_to_the_bound() {
    let (io, mut heard) = server();
    let net = Net::new(Far::Refuses);
    let client = net.client().queue(10, 10_000, WhenFull::DropOldest).start().unwrap();
    (0..1_000_000).for_each(|n| client.emit("n", n).unwrap());
    assert_eq!((client.queued().0, client.dropped()), (10, 999_990));
    net.set(Far::Server(io));
    for n in 999_990..1_000_000 {
        assert_eq!(heard.recv().await, Some(n));
    }
    client.disconnect().await;
}

#[tokio::test(start_paused = true)]
async fn a_late_handshake_leaves_one_session() {
    for way in WAYS {
        let (io, _heard) = server();
        let (late, count) = (io.clone(), AtomicU32::new(0));
        let net = Net::script(move |wire| {
            // The first streams are served when nobody waits for them any more.
            let wait = if count.fetch_add(1, Ordering::Relaxed) < 2 { seconds(30) } else { seconds(0) };
            let io = late.clone();
            async move {
                pass(wait).await;
                io.serve_stream(wire, None).await;
            }
        });
        let client = net.client().transports(way).connect_timeout(seconds(10)).connect().await.unwrap();
        pass(seconds(600)).await;
        assert_eq!((io.metrics().sessions, io.of("/").len()), (1, 1), "{way:?}");
        client.disconnect().await;
        settle().await;
        assert_eq!(net.open(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_server_is_noticed() {
    for way in WAYS {
        let io = Server::builder().ping_interval(seconds(5)).ping_timeout(seconds(5)).build().unwrap();
        let net = Net::with(&io);
        let (told, mut heard) = mpsc::unbounded_channel();
        let builder = net.client().transports(way).on_disconnect(async move |_, reason| {
            let _ = told.send(reason);
        });
        let client = builder.connect().await.unwrap();
        pass(seconds(3600)).await;
        assert!(heard.try_recv().is_err(), "a server which only pings is alive");
        net.freeze();
        let frozen = Instant::now();
        assert_eq!(heard.recv().await, Some(DisconnectReason::PingTimeout));
        assert!(frozen.elapsed() <= seconds(11), "{:?}", frozen.elapsed());
        connected(&client).await;
        client.disconnect().await;
    }
}

#[tokio::test(start_paused = true)]
async fn transports_are_tried_in_turn_when_asked_for() {
    let (io, _heard) = server();
    // A proxy on the way which does not let WebSocket pass.
    let net = Net::script(move |mut wire| {
        let io = io.clone();
        async move {
            let head = common::peek_head(&mut wire).await;
            if head.contains("websocket") {
                return answer_all(wire, &response("403 Forbidden", "", "")).await;
            }
            io.serve_stream(wire, None).await;
        }
    });
    let order = [Transport::Websocket, Transport::Polling];
    let client = net.client().transports(order).try_all_transports(true).connect().await.unwrap();
    client.disconnect().await;
    let proud = net.client().transports(order).reconnect(Reconnect::never());
    assert!(proud.connect().await.unwrap_err().to_string().contains("403"));
    // The upgrade is refused too: polling goes on.
    let client = net.client().connect().await.unwrap();
    pass(seconds(600)).await;
    assert_eq!(client.emit_with_ack::<_, u32>("sum", (2, 3)).await.unwrap(), 5);
    client.disconnect().await;
}

/// A proxy that knows nothing of WebSocket answers as it likes, or not at all; one that lets it begin may let nothing pass
/// afterwards. The session goes on by polling, and no second upgrade is tried.
#[tokio::test(start_paused = true)]
async fn whatever_a_proxy_does_to_the_upgrade_polling_goes_on() {
    const REFUSALS: [&str; 6] =
        ["200 OK", "400 Bad Request", "403 Forbidden", "502 Bad Gateway", "101 Switching Protocols", ""];
    for refusal in REFUSALS {
        let (io, _heard) = server();
        let server = io.clone();
        let net = Net::script(move |mut wire| {
            let io = server.clone();
            async move {
                if !common::peek_head(&mut wire).await.contains("websocket") {
                    io.serve_stream(wire, None).await;
                } else if refusal.is_empty() {
                    std::future::pending::<()>().await;
                } else {
                    answer_all(wire, &response(refusal, "", "<html>")).await;
                }
            }
        });
        let client = net.client().connect().await.unwrap();
        pass(seconds(600)).await;
        assert_eq!(client.emit_with_ack::<_, u32>("sum", (2, 3)).await.unwrap(), 5, "{refusal}");
        // A stream for GETs, one for POSTs, and the one that came to nothing.
        assert!(net.dials() <= 3, "{refusal}: {} streams", net.dials());
        assert_eq!((io.metrics().sessions_opened, io.metrics().upgrades), (1, 0), "{refusal}");
        client.disconnect().await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_upgrade_is_remembered_when_asked_for() {
    for (remember, streams) in [(true, 1), (false, 2)] {
        let (io, _heard) = server();
        let net = Net::with(&io);
        let client = net.client().remember_upgrade(remember).connect().await.unwrap();
        pass(seconds(1)).await;
        assert_eq!(io.metrics().upgrades, 1);
        net.cut();
        lost(&client).await;
        let dials = net.dials();
        connected(&client).await;
        pass(seconds(1)).await;
        assert!(net.dials() - dials >= streams && (net.dials() - dials == 1) == remember);
        client.disconnect().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_line_that_flaps_leaves_one_connection() {
    let (io, _heard) = server();
    let net = Net::with(&io);
    let client = net.client().connect().await.unwrap();
    for _ in 0..2000 {
        net.cut();
        pass(Duration::from_millis(300)).await;
    }
    connected(&client).await;
    pass(seconds(60)).await;
    assert_eq!((io.metrics().sessions, io.of("/").len()), (1, 1));
    client.disconnect().await;
    settle().await;
    assert_eq!(net.open(), 0);
}

#[tokio::test(start_paused = true)]
async fn odd_options_do_no_harm() {
    let (io, _heard) = server();
    let net = Net::with(&io);
    let forever = Duration::MAX;
    let builder = net.client().connect_timeout(forever).ack_timeout(forever).retries(u32::MAX);
    let client = builder.reconnect(Reconnect::backoff(forever, forever).max_elapsed(forever)).connect().await.unwrap();
    assert_eq!(client.emit_with_ack::<_, u32>("sum", (2, 3)).timeout(forever).await.unwrap(), 5);
    net.cut();
    lost(&client).await;
    client.disconnect().await;
    for builder in [
        net.client().transports([]),
        net.client().connect_timeout(seconds(0)),
        net.client().ack_timeout(seconds(0)),
        net.client().queue(0, 0, WhenFull::Fail),
        net.client().max_waiting(0, 0),
        net.client().max_payload(0),
        net.client().exact_path("nowhere"),
        net.client().path("/a b"),
        net.client_of("gopher://x"),
        client.of("/x").header("A", "b"),
    ] {
        assert!(builder.start().is_err());
    }
    assert_eq!(tasks(), 0, "nothing was begun");
    let reserved = std::panic::catch_unwind(|| Client::builder("http://x").on("disconnect", async |_, ()| {}));
    assert!(reserved.is_err(), "a mistake in the program");
}

#[tokio::test(start_paused = true)]
async fn the_text_of_a_question_is_taken_for_no_offset() {
    let io = Server::builder().recovery(sockeye::Recovery::default()).build().unwrap();
    let net = Net::with(&io);
    let (told, mut heard) = mpsc::unbounded_channel();
    let client = net.client().on("n", async move |_, n: u32| {
        let _ = told.send(n);
    });
    let client = client.on_with_ack("name", async |_, _: String| "ada").connect().await.unwrap();
    io.emit("n", 1).unwrap();
    assert_eq!(heard.recv().await, Some(1));
    assert_eq!(io.emit_with_ack::<_, String>("name", "first or last?").collect().await.len(), 1);
    net.set(Far::Refuses);
    net.cut();
    lost(&client).await;
    io.emit("n", 2).unwrap();
    net.set(Far::Server(io.clone()));
    connected(&client).await;
    io.emit("n", 3).unwrap();
    assert_eq!((heard.recv().await, heard.recv().await), (Some(2), Some(3)), "what was seen does not come again");
    assert!(client.is_recovered());
}

/// The name is asked for anew before each attempt, so that it may lead elsewhere: nothing keeps an address.
#[tokio::test(start_paused = true)]
async fn a_server_that_has_moved_is_found_by_its_name() {
    for way in WAYS {
        let ((old, _), (new, mut heard)) = (server(), server());
        let (from, to) = (Net::with(&old), Net::with(&new));
        let names = Arc::new(parking_lot::Mutex::new(("chat.example".to_owned(), 81, from.clone())));
        let asked = Arc::clone(&names);
        let client = Client::builder("http://chat.example:81").transports(way).dial_with(move |host, port| {
            let (name, number, net) = asked.lock().clone();
            async move {
                assert_eq!((host, port), (name, number));
                net.dial().await
            }
        });
        let client = client.connect().await.unwrap();
        names.lock().2 = to.clone();
        let dials = from.dials();
        from.cut();
        lost(&client).await;
        connected(&client).await;
        client.emit("n", 7).unwrap();
        assert_eq!(heard.recv().await, Some(7), "by {way:?}");
        assert_eq!((from.dials(), old.metrics().sessions), (dials, 0), "nobody asks at the old address, by {way:?}");
        client.disconnect().await;
        assert_eq!((from.open(), to.open()), (0, 0));
    }
}
