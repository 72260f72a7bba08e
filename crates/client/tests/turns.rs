//! What handles ask for before, and while, the task of the connection has its turn.

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{Net, OPEN, Wire, pass, read_head, seconds, settle, switching, tasks, text};
use futures_util::FutureExt;
use sockeye::Server;
use sockeye_client::{AckError, Client, State, Transport};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio::time::timeout;

#[tokio::test(start_paused = true)]
async fn a_connect_dropped_before_the_first_turn_left_a_connected_client() {
    let net = Net::with(&Server::new());
    for _ in 0..5 {
        assert!(net.client().connect().now_or_never().is_none());
    }
    pass(seconds(60)).await;
    assert_eq!((net.open(), tasks()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_disconnect_before_the_first_turn_was_ignored() {
    let net = Net::with(&Server::new());
    let client = net.client().connect().await.unwrap();
    client.disconnect().await;
    // Each call is seen by the task in one turn.
    let mut asked = Box::pin(client.connect());
    assert!((&mut asked).now_or_never().is_none());
    client.disconnect().await;
    assert!(asked.await.unwrap_err().is_closed());
    assert!(!client.state().is_active());
    // The last word counts.
    let disconnected = client.disconnect();
    assert!(client.connect().now_or_never().is_none());
    disconnected.await;
    client.watch().until(State::is_connected).await.unwrap();
    client.disconnect().await;
    settle().await;
    assert_eq!((net.open(), tasks()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn the_stream_of_a_client_just_started_ended_at_once() {
    let io = Server::new();
    io.on_connect(async |socket| socket.emit("hi", ()));
    let client = Net::with(&io).client().start().unwrap();
    assert!(matches!(client.state(), State::Connecting));
    assert_eq!(client.next().await.unwrap().event(), "hi");
    client.disconnect().await;
    assert!(client.connect().now_or_never().is_none());
    assert!(client.state().is_active());
    assert_eq!(client.next().await.unwrap().event(), "hi");
    client.disconnect().await;
}

#[test]
fn a_connect_outside_of_a_runtime_made_the_client_unusable() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let net = Net::with(&Server::new());
    let client = runtime().block_on(async {
        let client = net.client().connect().await.unwrap();
        client.disconnect().await;
        settle().await;
        client
    });
    let outside = std::panic::AssertUnwindSafe(|| client.connect().now_or_never());
    assert!(std::panic::catch_unwind(outside).is_err());
    assert!(!client.state().is_active());
    runtime().block_on(async {
        client.connect().await.unwrap();
        client.disconnect().await;
    });
}

#[tokio::test(start_paused = true)]
async fn an_event_taken_during_a_turn_left_the_rest_unread() {
    let io = Server::new();
    let net = Net::with(&io);
    let go = Arc::new(Notify::new());
    let wait = Arc::clone(&go);
    let client = net
        .client()
        .transports([Transport::Websocket])
        .max_waiting(1, 1 << 20)
        // It runs in the turn, after the connection was not read because of what it then takes.
        .on("take", async move |client: Client, ()| {
            wait.notified().await;
            assert_eq!(client.next().await.unwrap().event(), "first");
        })
        .connect()
        .await
        .unwrap();
    assert!(client.next().now_or_never().is_none());
    for event in ["take", "first", "second"] {
        io.emit(event, ()).unwrap();
        pass(Duration::from_millis(10)).await;
    }
    go.notify_one();
    settle().await;
    assert_eq!(client.next().now_or_never().flatten().expect("no time has passed").event(), "second");
    client.disconnect().await;
}

/// Opens a session, sends so many events and then a ping, and tells when that is answered: until then it was not read.
async fn ping_behind(events: usize, mut wire: Wire, read: mpsc::UnboundedSender<()>) {
    let request = read_head(&mut wire).await;
    let opened = [switching(&request, ""), text(OPEN), text(r#"40{"sid":"x"}"#)].concat();
    wire.write_all(&opened).await.unwrap();
    // What was asked is never answered.
    let mut bytes = vec![0; 4096];
    pass(seconds(1)).await;
    for _ in 0..events {
        wire.write_all(&text(r#"42["e"]"#)).await.unwrap();
        pass(Duration::from_millis(1)).await;
    }
    while let Ok(Ok(1..)) = timeout(seconds(1), wire.read(&mut bytes)).await {}
    wire.write_all(&text("2")).await.unwrap();
    assert!(wire.read(&mut bytes).await.unwrap() > 0);
    read.send(()).unwrap();
    std::future::pending::<()>().await;
}

#[tokio::test(start_paused = true)]
async fn max_waiting_is_kept_to_the_event() {
    const MOST: usize = 3;
    for (asking, most) in [(false, MOST), (true, 4 * MOST)] {
        for events in [most - 1, most, most + 1, most + 2] {
            for by_handler in [false, true] {
                let (told, mut read) = mpsc::unbounded_channel();
                let net = Net::script(move |wire| ping_behind(events, wire, told.clone()));
                let (places, taken) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
                let mut builder = net.client().transports([Transport::Websocket]).max_waiting(MOST, 1 << 20);
                if by_handler {
                    let (places, taken) = (Arc::clone(&places), Arc::clone(&taken));
                    builder = builder.on("e", async move |_, (): ()| {
                        places.acquire().await.unwrap().forget();
                        taken.add_permits(1);
                    });
                }
                let client = builder.connect().await.unwrap();
                assert!(client.next().now_or_never().is_none(), "it is read from now on");
                let _question = asking.then(|| client.emit_with_ack::<_, ()>("q", ()).send());
                pass(seconds(5)).await;
                // One that runs does not wait.
                let waiting = if by_handler { events - 1 } else { events };
                if waiting >= most {
                    assert!(read.try_recv().is_err(), "{waiting} wait, {most} may");
                    // Room for one: what is on its way is read in one piece.
                    if by_handler {
                        places.add_permits(1);
                        taken.acquire().await.unwrap().forget();
                    } else {
                        assert_eq!(client.next().await.unwrap().event(), "e");
                    }
                    settle().await;
                }
                assert!(read.try_recv().is_ok(), "{waiting} wait, {most} may");
                client.disconnect().await;
            }
        }
    }
}

/// The answer stands behind the events that wait for the handler, and would never be read.
#[tokio::test(start_paused = true)]
async fn a_handler_that_asks_its_server_stopped_when_many_events_waited() {
    const EVENTS: u32 = 1_500;
    let io = Server::new();
    io.on_with_ack("double", async |_, number: u32| number * 2);
    let net = Net::with(&io);
    let (told, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let builder = net.client().on("number", async move |client: Client, number: u32| {
        let doubled: u32 = client.emit_with_ack("double", number).await.expect("an answer in time");
        told.send(doubled).expect("the test listens");
    });
    let client = builder.connect().await.unwrap();
    for number in 0..EVENTS {
        io.emit("number", number).unwrap();
    }
    for number in 0..EVENTS {
        assert_eq!(heard.recv().await, Some(number * 2));
    }
    client.disconnect().await;
}

#[tokio::test(start_paused = true)]
async fn questions_that_were_sent_did_not_count() {
    let io = Server::new();
    io.on_message("never", async |_, _message| std::future::pending::<()>().await);
    io.on_with_ack("at once", async |_, ()| true);
    let net = Net::with(&io);
    let client = net.client().max_pending_acks(3).connect().await.unwrap();
    assert!(client.emit_with_ack::<_, bool>("at once", ()).await.unwrap(), "what was answered does not count");
    let asked: Vec<_> = (0..3).map(|_| client.emit_with_ack::<_, bool>("never", ()).send()).collect();
    pass(Duration::from_secs(1)).await;
    assert_eq!(client.queued().0, 0, "all are sent");
    let further = client.emit_with_ack::<_, bool>("never", ()).await.unwrap_err();
    assert!(matches!(further, AckError::Emit(ref error) if error.is_full()), "{further}");
    drop(asked);
    client.disconnect().await;
}

/// Each is sent, and then its answer is not waited for any more, which comes never: they must not count until their time
/// has come.
#[tokio::test(start_paused = true)]
async fn cancelled_questions_left_no_room_for_others() {
    let io = Server::new();
    io.on_message("never", async |_, _message| ());
    io.on_with_ack("at once", async |_, ()| true);
    let net = Net::with(&io);
    let client = net.client().max_pending_acks(3).ack_timeout(Duration::from_secs(10_000)).connect().await.unwrap();
    for _ in 0..10 {
        let asked = client.emit_with_ack::<_, bool>("never", ()).send();
        pass(Duration::from_millis(1)).await;
        drop(asked);
    }
    assert!(client.emit_with_ack::<_, bool>("at once", ()).await.unwrap());
    // All of them at once: a heartbeat later there is room, or as soon as somebody was told that there is none.
    for told in [false, true] {
        let asked: Vec<_> = (0..3).map(|_| client.emit_with_ack::<_, bool>("never", ()).send()).collect();
        pass(Duration::from_secs(1)).await;
        drop(asked);
        if told {
            assert!(client.emit_with_ack::<_, bool>("at once", ()).await.is_err());
            pass(Duration::from_millis(1)).await;
        } else {
            pass(Duration::from_secs(60)).await;
        }
        assert!(client.emit_with_ack::<_, bool>("at once", ()).await.unwrap(), "{told}");
    }
    client.disconnect().await;
}
