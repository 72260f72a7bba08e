//! Attempts that come to nothing: what is told of them, and what may follow.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use common::{Far, Net, WAYS, pass, seconds, settle};
use sockeye::Server;
use sockeye_client::{Client, ClientBuilder, DisconnectReason, Ending, Reconnect, State};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// Lets clients in after some time.
fn slow_server(path: &str, time: Duration) -> Server {
    let io = Server::new();
    io.of(path).authorize(async move |_, ()| {
        pass(time).await;
        Ok(())
    });
    io
}

/// Starts a client, and gives what its `on_connect_error` is told.
fn start(builder: ClientBuilder) -> (Client, mpsc::UnboundedReceiver<String>) {
    let (told, heard) = mpsc::unbounded_channel();
    let builder = builder.on_connect_error(async move |_, error| {
        let _ = told.send(error.to_string());
    });
    (builder.start().unwrap(), heard)
}

#[tokio::test(start_paused = true)]
async fn a_connection_lost_before_the_namespace_was_joined_was_not_told() {
    for way in WAYS {
        let net = Net::with(&slow_server("/", seconds(5)));
        let (client, mut heard) = start(net.client().transports(way));
        pass(seconds(2)).await;
        net.cut();
        settle().await;
        let error = heard.try_recv().expect("an attempt has failed");
        assert!(error.contains("before the namespace was joined"), "{error}");
        client.watch().until(State::is_connected).await.unwrap();
        net.cut();
        client.watch().until(|state| !state.is_connected()).await.unwrap();
        settle().await;
        assert!(heard.try_recv().is_err(), "a connection lost is no failed attempt");
        client.disconnect().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_lost_before_the_namespace_was_joined_ended_as_if_disconnected() {
    for way in WAYS {
        let net = Net::with(&slow_server("/", seconds(5)));
        let client = net.client().transports(way).reconnect(Reconnect::never()).start().unwrap();
        let cut = async {
            pass(seconds(2)).await;
            net.cut();
        };
        let (connected, ()) = tokio::join!(client.connect(), cut);
        let error = connected.unwrap_err();
        assert!(error.to_string().contains("before the namespace was joined"), "{error}");
        assert!(error.is_unreachable() && !error.is_closed());
        assert!(matches!(client.state(), State::Disconnected(Ending::Failed(_))), "{:?}", client.state());
        // But one which was in its namespace was disconnected.
        client.connect().await.unwrap();
        net.cut();
        let ended = client.watch().until(|state| !state.is_active()).await.unwrap();
        let State::Disconnected(Ending::Disconnected(reason)) = ended else { panic!("{ended:?}") };
        assert_ne!(reason, DisconnectReason::ClientDisconnect);
    }
}

#[tokio::test(start_paused = true)]
async fn a_namespace_left_before_the_answer_could_not_be_asked_for_again() {
    for way in WAYS {
        let io = slow_server("/slow", seconds(5));
        let client = Net::with(&io).client().transports(way).connect().await.unwrap();
        assert!(timeout(Duration::from_millis(300), client.of("/slow").connect()).await.is_err());
        let slow = client.of("/slow").connect().await.unwrap();
        settle().await;
        assert_eq!(io.of("/slow").len(), 1);
        slow.disconnect().await;
        // The same handle.
        assert!(timeout(Duration::from_millis(300), slow.connect()).await.is_err());
        slow.disconnect().await;
        slow.connect().await.unwrap();
        slow.disconnect().await;
        // Left while it waits for the answer to the one before.
        for _ in 0..3 {
            assert!(timeout(Duration::from_millis(300), client.of("/slow").connect()).await.is_err());
        }
        pass(seconds(60)).await;
        assert_eq!(io.of("/slow").len(), 0);
        assert!(client.is_connected());
        client.disconnect().await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_answer_to_a_connect_that_was_left_is_not_waited_for_without_end() {
    let io = slow_server("/silent", seconds(3600));
    let client = Net::with(&io).client().connect_timeout(seconds(3)).connect().await.unwrap();
    assert!(timeout(Duration::from_millis(300), client.of("/silent").connect()).await.is_err());
    let (silent, mut heard) = start(client.of("/silent"));
    pass(seconds(2)).await;
    assert!(heard.try_recv().is_err());
    pass(seconds(2)).await;
    assert!(heard.try_recv().unwrap().contains("earlier CONNECT"));
    silent.disconnect().await;
    client.disconnect().await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_dial_with_ended_the_client() {
    let io = Server::new();
    let dials = Arc::new(AtomicU32::new(0));
    let (client, mut heard) = start(Client::builder("http://server.test").dial_with(move |_, _| {
        let dial = dials.fetch_add(1, Ordering::Relaxed);
        assert_ne!(dial, 0, "before its future is made");
        let io = io.clone();
        async move {
            assert_ne!(dial, 1, "in its future");
            let (near, far) = tokio::io::duplex(64 * 1024);
            tokio::spawn(async move { io.serve_stream(far, None).await });
            Ok(near)
        }
    }));
    client.watch().until(State::is_connected).await.unwrap();
    for _ in 0..2 {
        let error = heard.try_recv().unwrap();
        assert!(error.contains("dial_with panicked"), "{error}");
    }
    assert!(heard.try_recv().is_err());
    client.disconnect().await;
}

#[tokio::test(start_paused = true)]
async fn a_client_of_a_connection_that_waits_said_that_it_was_connecting() {
    let net = Net::new(Far::Refuses);
    let (client, mut heard) = start(net.client().reconnect(Reconnect::backoff(seconds(60), seconds(60))));
    let error = heard.recv().await.unwrap();
    assert!(error.contains("the server at server.test:80 cannot be reached"), "{error}");
    pass(seconds(10)).await;
    let other = client.of("/other").start().unwrap();
    settle().await;
    let State::Waiting { attempt: 1, delay } = other.state() else { panic!("{:?}", other.state()) };
    let State::Waiting { attempt: 1, delay: whole } = client.state() else { panic!("{:?}", client.state()) };
    assert_eq!(whole.checked_sub(delay), Some(seconds(10)), "what is left of it");
    assert_eq!(net.dials(), 1);
    other.disconnect().await;
    client.disconnect().await;
}

#[test]
fn limits_with_which_nothing_works_were_taken() {
    let builder = || Client::builder("http://server.test");
    for wrong in [builder().max_waiting(10, 0), builder().max_waiting(0, 10), builder().max_pending_acks(0)] {
        assert!(wrong.start().unwrap_err().to_string().contains("zero"));
    }
}
