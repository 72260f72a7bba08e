//! Packets that are larger than the server takes: whoever sends them is told, and nobody else notices.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use common::{Far, Net, WAYS, seconds, settle};
use sockeye::Server;
use sockeye_client::{AckError, ClientBuilder, EmitError, Transport};
use tokio::sync::mpsc;

const MOST: usize = 20_000;

/// A server that takes `MOST` bytes, and what arrives there: lengths.
fn server(most: usize) -> (Server, mpsc::UnboundedReceiver<usize>) {
    let io = Server::builder().max_payload(most).build().unwrap();
    let (told, heard) = mpsc::unbounded_channel();
    let (question, bytes) = (told.clone(), told.clone());
    io.on("text", async move |_, text: String| _ = told.send(text.len()));
    io.on("bytes", async move |_, data: Bytes| _ = bytes.send(data.len()));
    io.on_with_ack("question", async move |_, text: String| {
        _ = question.send(text.len());
        text.len()
    });
    (io, heard)
}

/// What `on_error` is told: the event, and whether it was too large.
fn told(builder: ClientBuilder) -> (ClientBuilder, mpsc::UnboundedReceiver<(String, bool)>) {
    let (told, heard) = mpsc::unbounded_channel();
    let builder = builder.on_error(move |_, error| {
        assert!(error.to_string().contains("is more than the "), "{error}");
        let _ = told.send((error.event().to_owned(), error.is_too_large()));
    });
    (builder, heard)
}

/// Counts the connections that end.
fn lost(builder: ClientBuilder) -> (ClientBuilder, Arc<AtomicUsize>) {
    let lost = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&lost);
    let builder = builder.on_disconnect(async move |_, reason| {
        if reason.is_temporary() {
            count.fetch_add(1, Ordering::Relaxed);
        }
    });
    (builder, lost)
}

#[tokio::test(start_paused = true)]
async fn an_emit_that_is_too_large_fails_and_does_not_end_the_connection() {
    for way in WAYS {
        let (io, mut heard) = server(MOST);
        let net = Net::with(&io);
        let (builder, lost) = lost(net.client().transports(way));
        let client = builder.connect().await.unwrap();
        let frame = "42[\"text\",\"\"]".len();
        for (length, fits) in [(MOST - 1, true), (MOST, true), (MOST + 1, false)] {
            let sent = client.emit("text", "x".repeat(length - frame));
            if fits {
                sent.unwrap();
                assert_eq!(heard.recv().await, Some(length - frame), "{way:?}");
            } else {
                assert!(matches!(sent, Err(EmitError::TooLarge { bytes, max_bytes: MOST }) if bytes == length));
                let text = sent.unwrap_err().to_string();
                assert_eq!(text, "a message of 20001 bytes is more than the 20000 that the server takes");
            }
        }
        let large = "x".repeat(MOST);
        let answer = client.emit_with_ack::<_, usize>("question", &large).await;
        assert!(matches!(answer, Err(AckError::Emit(EmitError::TooLarge { .. }))), "{answer:?}");
        assert!(matches!(client.volatile().emit("text", &large), Err(EmitError::TooLarge { .. })));
        assert!(matches!(client.compress(false).emit("text", &large), Err(EmitError::TooLarge { .. })));
        assert_eq!(client.emit_with_ack::<_, usize>("question", "small").await.unwrap(), 5);
        assert_eq!((lost.load(Ordering::Relaxed), client.queued().0, client.dropped()), (0, 0, 0), "{way:?}");
        client.disconnect().await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_that_turns_out_to_be_too_large_is_told_and_those_behind_it_arrive() {
    for way in WAYS {
        let (io, mut heard) = server(MOST);
        let net = Net::with(&io);
        let (builder, lost) = lost(net.client().transports(way));
        let ((builder, mut errors), large) = (told(builder), "x".repeat(MOST));
        // Nothing is known of the server yet.
        let client = builder.start().unwrap();
        client.emit("text", "first").unwrap();
        client.emit("text", &large).unwrap();
        let refused = client.emit_with_ack::<_, usize>("question", &large).send();
        let answered = client.emit_with_ack::<_, usize>("question", "answered").send();
        client.emit("bytes", Bytes::from(large + "x")).unwrap();
        client.emit("text", "the last one").unwrap();
        assert!(matches!(refused.await, Err(AckError::Emit(EmitError::TooLarge { .. }))));
        assert_eq!(answered.await.unwrap(), 8);
        for length in [5, 8, 12] {
            assert_eq!(heard.recv().await, Some(length), "{way:?}");
        }
        for event in ["text", "bytes"] {
            assert_eq!(errors.recv().await, Some((event.to_owned(), true)), "{way:?}");
        }
        assert_eq!((lost.load(Ordering::Relaxed), client.queued().0, client.dropped()), (0, 0, 2), "{way:?}");
        client.disconnect().await;
    }
}

#[tokio::test(start_paused = true)]
async fn bytes_that_are_too_large_as_base64_go_by_websocket_only() {
    let data = Bytes::from("x".repeat(MOST));
    for way in [Transport::Polling, Transport::Websocket] {
        let (io, mut heard) = server(MOST);
        let net = Net::with(&io);
        let (builder, lost) = lost(net.client().transports([way]));
        let (builder, mut errors) = told(builder);
        let client = builder.connect().await.unwrap();
        client.emit("bytes", data.clone()).unwrap();
        client.emit("text", "behind").unwrap();
        if way == Transport::Websocket {
            assert_eq!(heard.recv().await, Some(MOST));
        } else {
            assert_eq!(errors.recv().await, Some(("bytes".to_owned(), true)));
        }
        assert_eq!(heard.recv().await, Some(6));
        assert_eq!(lost.load(Ordering::Relaxed), 0, "{way:?}");
        // The last words of a client are judged like others.
        client.emit("bytes", data.clone()).unwrap();
        client.disconnect().await;
        settle().await;
        assert_eq!(errors.try_recv().is_ok(), way == Transport::Polling);
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_that_is_sent_again_is_given_up_if_the_next_server_takes_less() {
    let first = Server::builder().max_payload(10 * MOST).build().unwrap();
    first.on_message("question", async |_, _message| {});
    let (second, mut heard) = server(MOST);
    let net = Net::with(&first);
    let ((builder, mut errors), large) = (told(net.client().retries(5)), "x".repeat(MOST));
    let client = builder.connect().await.unwrap();
    client.emit("question", &large).unwrap();
    let asked = client.emit_with_ack::<_, usize>("question", &large).send();
    let behind = client.emit_with_ack::<_, usize>("question", "behind").send();
    settle().await;
    net.set(Far::Server(second));
    net.cut();
    assert!(matches!(asked.await, Err(AckError::Emit(EmitError::TooLarge { .. }))));
    assert_eq!((behind.await.unwrap(), heard.recv().await), (6, Some(6)));
    assert_eq!(errors.try_recv(), Ok(("question".to_owned(), true)));
    assert_eq!(client.dropped(), 1);
    client.disconnect().await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_too_large_fails_and_does_not_end_the_connection() {
    for way in WAYS {
        let (io, mut heard) = server(MOST);
        let net = Net::with(&io);
        let (builder, lost) = lost(net.client().transports(way));
        let (builder, mut errors) = told(builder);
        let client = builder.on_with_ack("all of it", async |_, ()| "x".repeat(MOST)).connect().await.unwrap();
        let socket = io.get(&client.id().unwrap()).unwrap();
        let answer = socket.emit_with_ack::<_, String>("all of it", ()).timeout(seconds(1)).await;
        assert!(answer.unwrap_err().is_timeout());
        let (event, too_large) = errors.recv().await.unwrap();
        assert_eq!((event.as_str(), too_large), ("all of it", false), "the handler failed");
        client.emit("text", "behind").unwrap();
        assert_eq!((heard.recv().await, lost.load(Ordering::Relaxed)), (Some(6), 0), "{way:?}");
        client.disconnect().await;
    }
}
