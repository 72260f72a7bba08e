//! Events that are sent until they are acknowledged, and what must not wait for them.

mod common;

use common::{Net, seconds};
use sockeye::{BoxError, Server};
use tokio::sync::mpsc;

#[tokio::test(start_paused = true)]
async fn a_question_of_the_server_is_answered_while_an_event_waits_for_its_acknowledgement() {
    let io = Server::new();
    io.on_message("order", async |socket, message| {
        let (number, ack) = message.split::<u32>()?;
        let confirmed: u32 = socket.emit_with_ack("confirm", number).await?;
        Ok::<_, BoxError>(ack.send(confirmed)?)
    });
    let net = Net::with(&io);
    let builder = net.client().retries(0).on_with_ack("confirm", async |_, number: u32| number * 2);
    let client = builder.connect().await.unwrap();
    let order = client.emit_with_ack::<_, u32>("order", 21).send();
    client.emit("behind", ()).unwrap();
    assert_eq!(order.await.unwrap(), 42);
    client.disconnect().await;
}

#[tokio::test(start_paused = true)]
async fn a_volatile_event_does_not_wait_for_the_acknowledgement_of_another() {
    let io = Server::new();
    let (told, mut heard) = mpsc::unbounded_channel();
    let volatile = told.clone();
    io.on_message("never", async move |_, _message| _ = told.send("never"));
    io.on("position", async move |_, ()| _ = volatile.send("position"));
    let net = Net::with(&io);
    let client = net.client().retries(0).connect().await.unwrap();
    client.emit("never", ()).unwrap();
    client.emit("behind", ()).unwrap();
    assert_eq!(heard.recv().await, Some("never"));
    client.volatile().emit("position", ()).unwrap();
    assert_eq!(heard.recv().await, Some("position"));
    assert_eq!((client.dropped(), client.queued().0), (0, 1), "only the next one waits");
    client.disconnect().await;
}

#[tokio::test(start_paused = true)]
async fn an_event_that_is_given_up_is_counted_and_told() {
    let io = Server::new();
    io.on_message("never", async |_, _message| {});
    io.on_with_ack("n", async |_, n: u32| n);
    let net = Net::with(&io);
    let (told, mut heard) = mpsc::unbounded_channel();
    let builder = net.client().retries(2).ack_timeout(seconds(5)).on_error(move |_, error| {
        let _ = told.send((error.is_unacknowledged(), error.event().to_owned(), error.to_string()));
    });
    let client = builder.connect().await.unwrap();
    client.emit("never", ()).unwrap();
    let later = client.emit_with_ack::<_, u32>("n", 7).send();
    let (is_unacknowledged, event, text) = heard.recv().await.unwrap();
    assert_eq!((is_unacknowledged, event.as_str(), client.dropped()), (true, "never", 1));
    assert!(text.starts_with("gave up \"never\": "), "{text}");
    assert_eq!(later.await.unwrap(), 7, "the next one has its turn");
    client.disconnect().await;
}
