//! Whether the server is still there, asked for by the application.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::{Far, Net, OPEN, WAYS, Wire, answer_all, pass, read_head, response, seconds, settle, switching, text};
use sockeye::Server;
use sockeye_client::{Cause, DisconnectReason, Reconnect, State, Transport};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::Instant;

/// A server which tells of every number it gets.
fn server() -> (Server, mpsc::UnboundedReceiver<u32>) {
    let io = Server::builder().allow_eio3(true).build().unwrap();
    let (told, heard) = mpsc::unbounded_channel();
    io.on("n", async move |_, n: u32| {
        let _ = told.send(n);
    });
    (io, heard)
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_lives_is_kept_and_nothing_waits_for_long() {
    for old in [false, true] {
        for way in WAYS {
            let (io, mut heard) = server();
            let net = Net::with(&io);
            let client = net.client().transports(way).eio3(old).connect().await.unwrap();
            // At once, while the transport is perhaps being changed, and afterwards.
            for n in 0..6 {
                client.check_now();
                client.emit("n", n).unwrap();
                client.check_now();
                assert_eq!(heard.recv().await, Some(n), "{way:?}");
                pass(seconds(u64::from(n) * 10)).await;
            }
            assert_eq!((io.metrics().sessions_opened, client.dropped()), (1, 0), "{way:?}, {old}");
            assert!(client.last_disconnect().is_none());
            client.disconnect().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_dead_is_left_and_nothing_is_lost_in_it() {
    for old in [false, true] {
        for way in WAYS {
            let (io, mut heard) = server();
            let net = Net::with(&io);
            let client = net.client().transports(way).eio3(old).connect().await.unwrap();
            pass(seconds(20)).await;
            net.freeze();
            net.set(Far::Hangs);
            let start = Instant::now();
            client.check_now();
            for n in 0..10 {
                client.emit("n", n).unwrap();
            }
            client.watch().until(|state| !state.is_connected()).await.unwrap();
            assert_eq!(start.elapsed().as_secs(), 5, "{way:?}");
            let last = client.last_disconnect().unwrap();
            assert_eq!(last.reason, DisconnectReason::PingTimeout);
            assert!(matches!(last.cause, Cause::PingTimeout { .. }), "{:?}", last.cause);
            net.set(Far::Server(io));
            for n in 0..10 {
                assert_eq!(heard.recv().await, Some(n), "{way:?}");
            }
            client.disconnect().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_disconnect_does_not_wait_longer_for_a_connection_in_doubt() {
    for way in WAYS {
        let (io, mut heard) = server();
        let net = Net::with(&io);
        let client = net.client().transports(way).connect().await.unwrap();
        pass(seconds(20)).await;
        // One that lives takes what was emitted before, one that is dead ends it.
        client.check_now();
        client.emit("n", 1).unwrap();
        client.disconnect().await;
        assert_eq!((heard.recv().await, net.open()), (Some(1), 0));
        client.connect().await.unwrap();
        pass(seconds(20)).await;
        net.freeze();
        net.set(Far::Hangs);
        client.check_now();
        client.emit("n", 2).unwrap();
        let start = Instant::now();
        client.disconnect().await;
        assert!(start.elapsed() <= seconds(10), "{way:?}: {:?}", start.elapsed());
        assert_eq!(net.open(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_waits_for_its_next_attempt_makes_it() {
    for way in WAYS {
        let net = Net::new(Far::Refuses);
        let patient = Reconnect::backoff(seconds(3600), seconds(3600));
        let client = net.client().transports(way).reconnect(patient).start().unwrap();
        pass(seconds(60)).await;
        for dials in 2..5 {
            client.check_now();
            pass(seconds(60)).await;
            assert_eq!(net.dials(), dials);
            assert!(matches!(client.state(), State::Waiting { .. }));
        }
        let (io, _heard) = server();
        net.set(Far::Server(io));
        client.check_now();
        settle().await;
        assert!(client.is_connected(), "{way:?}");
        client.disconnect().await;
        // Nobody is there to be asked.
        client.check_now();
        settle().await;
        assert!(!client.state().is_active());
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_wants_to_be_left_alone_is() {
    for way in WAYS {
        let net = Net::script(|wire| async move {
            answer_all(wire, &response("503 Service Unavailable", "Retry-After: 120\r\n", "")).await;
        });
        let patient = Reconnect::backoff(seconds(3600), seconds(3600));
        let client = net.client().transports(way).reconnect(patient).start().unwrap();
        pass(seconds(60)).await;
        client.check_now();
        pass(seconds(50)).await;
        assert_eq!(net.dials(), 1);
        pass(seconds(20)).await;
        assert_eq!(net.dials(), 2, "{way:?}");
        client.disconnect().await;
    }
}

/// Opens a session on a WebSocket, and then sends bytes every second, but answers nothing.
async fn answers_no_ping(mut wire: Wire, sessions: Arc<AtomicUsize>) {
    let request = read_head(&mut wire).await;
    sessions.fetch_add(1, Ordering::Relaxed);
    let opened = [switching(&request, ""), text(OPEN), text(r#"40{"sid":"x"}"#)].concat();
    wire.write_all(&opened).await.unwrap();
    let mut bytes = vec![0; 4096];
    loop {
        pass(seconds(1)).await;
        wire.write_all(&text(r#"42["tick"]"#)).await.unwrap();
        if let Ok(read) = tokio::time::timeout(seconds(1), wire.read(&mut bytes)).await
            && bytes[..read.unwrap()].len() > 30
        {
            return wire.write_all(&text(r#"42["enough"]"#)).await.unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_speaks_but_answers_no_ping_is_there() {
    let sessions = Arc::new(AtomicUsize::new(0));
    let opened = Arc::clone(&sessions);
    let net = Net::script(move |wire| answers_no_ping(wire, Arc::clone(&opened)));
    let client = net.client().transports([Transport::Websocket]).connect().await.unwrap();
    pass(seconds(5)).await;
    client.check_now();
    client.emit("a name that makes this more than a ping", 1).unwrap();
    while client.next().await.unwrap().event() != "enough" {}
    assert_eq!(sessions.load(Ordering::Relaxed), 1);
    client.disconnect().await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_behind_handlers_that_are_far_behind_is_waited_for() {
    for way in WAYS {
        let io = Server::new();
        io.on_connect(async |socket| (0..20).try_for_each(|n| socket.emit("slow", n)));
        let (told, mut heard) = mpsc::unbounded_channel();
        let slow = net_client(&io, way).on("slow", async move |_, n: u32| {
            pass(seconds(2)).await;
            let _ = told.send(n);
        });
        let client = slow.max_waiting(2, 1024).connect().await.unwrap();
        client.check_now();
        for n in 0..20 {
            assert_eq!(heard.recv().await, Some(n), "{way:?}");
        }
        assert_eq!(io.metrics().sessions_opened, 1, "{way:?}");
        client.disconnect().await;
    }
}

fn net_client(io: &Server, way: &[Transport]) -> sockeye_client::ClientBuilder {
    Net::with(io).client().transports(way)
}
