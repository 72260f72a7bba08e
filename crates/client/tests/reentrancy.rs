//! Every call of the API inside every kind of handler: nothing deadlocks, nothing is left behind.

mod common;

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use common::{Net, pass, seconds, settle};
use futures_util::FutureExt;
use sockeye::{BoxError, Recovery, Refusal, Server, Socket};
use sockeye_client::{Client, ClientBuilder, Limit, Reconnect, State, Transport};
use tokio::time::timeout;

type Job = Pin<Box<dyn Future<Output = ()> + Send>>;
/// What a handler does.
type Call = fn(Client) -> Job;
/// Runs a call the first time only: a call may lead to the same handler again.
type Run = Arc<dyn Fn() -> Job + Send + Sync>;
/// Installs a handler before there is a client.
type Kind = fn(ClientBuilder, Run) -> ClientBuilder;
/// Installs one when there is.
type Late = fn(&Client, Run);

macro_rules! calls {
    ($($name:literal: |$client:ident| $body:expr;)*) => {
        &[$(($name, |$client| Box::pin(async move {
            $body;
        }))),*]
    };
}

/// What a call returns is of no interest here.
fn ignore<T>(_: T) {}

/// A client without a handle stays connected: this one is disconnected in the course of the life.
fn leave_later(client: Client) {
    tokio::spawn(async move {
        pass(seconds(7)).await;
        client.disconnect().await;
    });
}

/// Waits for what may never come.
async fn briefly<T>(work: impl Future<Output = T>) {
    ignore(timeout(seconds(3), work).await);
}

const CALLS: &[(&str, Call)] = calls! {
    "emit": |client| ignore(client.emit("x", 1));
    "emit bytes": |client| ignore(client.emit("x", (1, bytes::Bytes::from_static(b"abc"))));
    "emit much": |client| for _ in 0..200 { ignore(client.emit("x", "much")) };
    "emit_with_ack": |client| ignore(client.emit_with_ack::<_, u32>("sum", (1, 2)).timeout(seconds(2)).await);
    "emit_with_ack in itself": |client| {
        if let Ok(three) = client.emit_with_ack::<_, u32>("sum", (1, 2)).timeout(seconds(2)).await {
            ignore(client.emit_with_ack::<_, u32>("sum", (three, 2)).timeout(seconds(2)).await);
        }
    };
    "emit_with_ack.send": |client| ignore(client.emit_with_ack::<_, u32>("sum", (1, 2)).send());
    "emit_with_ack dropped": |client| ignore(client.emit_with_ack::<_, u32>("silence", ()).send().now_or_never());
    "volatile": |client| ignore(client.volatile().compress(false).emit("x", 1));
    "compress": |client| ignore(client.compress(false).emit("x", 1));
    "on": |client| client.on("late", async |_, (): ()| ());
    "on.remove": |client| client.on("event", async |_, (): ()| ()).remove();
    "on.once": |client| client.on("event", async |_, (): ()| ()).once();
    "on.concurrent": |client| client.on("event", async |_, (): ()| pass(seconds(1)).await).concurrent(3);
    "once": |client| client.once("event", async |_, (): ()| ());
    "on_with_ack": |client| client.on_with_ack("question", async |_, (): ()| 1);
    "on_message": |client| client.on_message("event", async |_, _| ());
    "on_any": |client| client.on_any(async |_, _| ());
    "on_unhandled": |client| client.on_unhandled(async |_, _| ());
    "on_any_outgoing": |client| client.on_any_outgoing(|_, _| ());
    "on_connect": |client| client.on_connect(async |_| ());
    "on_disconnect": |client| client.on_disconnect(async |_, _| ());
    "on_connect_error": |client| client.on_connect_error(async |_, _| ());
    "on_error": |client| client.on_error(|_, _| ());
    "next": |client| briefly(client.next()).await;
    "next, and an answer": |client| briefly(async {
        while let Some(message) = client.next().await {
            let (_, ack) = message.split::<Option<u32>>()?;
            ack.send(1)?;
        }
        Ok::<_, BoxError>(())
    }).await;
    "ready": |client| briefly(client.ready()).await;
    "watch.until": |client| briefly(async { ignore(client.watch().until(State::is_connected).await) }).await;
    "watch.changed": |client| briefly(async { ignore(client.watch().changed().await) }).await;
    "getters": |client| (
        client.id(), client.namespace().len(), client.is_connected(), client.is_recovered(), client.state(),
        client.queued(), client.dropped(), client.last_disconnect(), client.exceeded(Limit::Payload),
    );
    "connect": |client| briefly(client.connect()).await;
    "connect in a task": |client| ignore(tokio::spawn(async move { client.connect().await }));
    "of": |client| briefly(async { client.of("/other").connect().await.map(leave_later) }).await;
    "of, and disconnect": |client| briefly(async {
        let other = client.of("/other").connect().await?;
        other.emit("x", 1)?;
        other.disconnect().await;
        Ok::<_, BoxError>(())
    }).await;
    "of.start": |client| leave_later(client.of("/other").start().unwrap());
    "of itself": |client| leave_later(client.of("/").start().unwrap());
    "disconnect": |client| client.disconnect().await;
    "disconnect, not awaited": |client| ignore(client.disconnect());
    "disconnect in a task": |client| ignore(tokio::spawn(async move { client.disconnect().await }));
    "disconnect and connect": |client| {
        client.disconnect().await;
        briefly(client.connect()).await;
    };
    "disconnect both": |client| {
        let other = client.of("/other").start().unwrap();
        let (first, second) = (client.disconnect(), other.disconnect());
        first.await;
        second.await;
    };
    "check_now": |client| client.check_now();
    "drop": |client| drop(client);
    "panic": |_client| panic!("on purpose");
    "sleep": |client| {
        pass(seconds(2)).await;
        drop(client);
    };
};

const KINDS: &[(&str, Kind)] = &[
    ("on", |builder, run| builder.on("event", async move |_, (): ()| run().await)),
    ("on, failing", |builder, run| {
        builder.on("event", async move |_, (): ()| {
            run().await;
            Err::<(), _>("on purpose")
        })
    }),
    ("once", |builder, run| builder.once("event", async move |_, (): ()| run().await)),
    ("on_with_ack", |builder, run| builder.on_with_ack("question", async move |_, (): ()| run().await)),
    ("on_message", |builder, run| builder.on_message("question", async move |_, _| run().await)),
    ("on_any", |builder, run| builder.on_any(async move |_, _| run().await)),
    ("on_unhandled", |builder, run| builder.on_unhandled(async move |_, _| run().await)),
    ("on_connect", |builder, run| builder.on_connect(async move |_| run().await)),
    ("on_disconnect", |builder, run| builder.on_disconnect(async move |_, _| run().await)),
    ("on_connect_error", |builder, run| builder.on_connect_error(async move |_, _| run().await)),
    ("on_error", |builder, run| {
        let builder = builder.on("event", async |_, (): ()| Err::<(), _>("on purpose"));
        builder.on_error(move |_, _| now(&run))
    }),
    ("auth_with", |builder, run| {
        builder.auth_with(move || {
            let running = run();
            async move {
                running.await;
                serde_json::json!({ "token": 1 })
            }
        })
    }),
    ("auth_with, before its future", |builder, run| {
        builder.auth_with(move || {
            now(&run);
            async { serde_json::json!({ "token": 1 }) }
        })
    }),
    ("headers_with", |builder, run| {
        builder.headers_with(move || {
            now(&run);
            vec![("X-Made".to_owned(), "yes".to_owned())]
        })
    }),
    ("query_with", |builder, run| {
        builder.query_with(move || {
            now(&run);
            vec![("made".to_owned(), "yes".to_owned())]
        })
    }),
];

/// Handlers which are registered with a client, and tasks which wait for something of it.
const LATE: &[(&str, Late)] = &[
    ("client.on", |client, run| ignore(client.on("event", async move |_, (): ()| run().await))),
    ("client.on concurrent", |client, run| {
        client.on("event", async move |_, (): ()| run().await).concurrent(2);
    }),
    ("client.on_connect", |client, run| ignore(client.on_connect(async move |_| run().await))),
    ("client.on_disconnect", |client, run| client.on_disconnect(async move |_, _| run().await)),
    ("on_any_outgoing", |client, run| client.on_any_outgoing(move |_, _| now(&run))),
    ("a task that waits for an answer", |client, run| {
        let answer = client.emit_with_ack::<_, u32>("silence", ()).timeout(seconds(4)).send();
        tokio::spawn(async move {
            ignore(answer.await);
            run().await;
        });
    }),
    ("a task that watches", |client, run| {
        let mut watch = client.watch();
        tokio::spawn(async move {
            ignore(watch.until(State::is_connected).await);
            run().await;
        });
    }),
    ("a task that reads", |client, run| {
        let client = client.clone();
        tokio::spawn(async move {
            ignore(client.next().await);
            run().await;
        });
    }),
];

/// Runs a call as far as it goes without waiting.
fn now(run: &Run) {
    ignore(run().now_or_never());
}

/// Refuses the first client, then says and asks things.
fn server() -> Server {
    let io = Server::builder().recovery(Recovery::default()).build().unwrap();
    io.on_with_ack("sum", async |_, (a, b): (u32, u32)| a + b);
    io.on_connect(async |socket: Socket| {
        socket.emit("nobody takes this", ())?;
        socket.emit("event", ())?;
        drop(socket.emit_with_ack::<_, u32>("question", ()).send());
        pass(seconds(1)).await;
        socket.emit("event", ())
    });
    let refused = Arc::new(AtomicU32::new(0));
    io.authorize(async move |_, _: serde_json::Value| match refused.fetch_add(1, Ordering::Relaxed) {
        0 => Err(Refusal::new("not yet")),
        _ => Ok(()),
    });
    ignore(io.of("/other"));
    io
}

/// What a pair is played with.
struct Pair {
    name: String,
    kind: Option<Kind>,
    late: Option<Late>,
    call: Call,
    way: &'static [Transport],
}

/// One life: refused, let in, told things, cut off, let in again, disconnected.
async fn play(pair: &Pair) {
    let net = Net::with(&server());
    let (it, spent) = (Arc::new(OnceLock::<Client>::new()), Arc::new(AtomicBool::new(false)));
    let (known, called, call) = (Arc::clone(&it), Arc::clone(&spent), pair.call);
    let run: Run = Arc::new(move || match known.get() {
        // Some are called before there is a client.
        Some(client) if !called.swap(true, Ordering::Relaxed) => call(client.clone()),
        _ => Box::pin(std::future::ready(())),
    });
    let builder = net.client().transports(pair.way).queue(100, 100_000, sockeye_client::WhenFull::Fail);
    let builder = builder.reconnect(Reconnect::default().attempts(20));
    let builder = match pair.kind {
        Some(kind) => kind(builder, Arc::clone(&run)),
        None => builder,
    };
    let client = builder.start().unwrap();
    ignore(it.set(client.clone()));
    if let Some(late) = pair.late {
        late(&client, Arc::clone(&run));
    }
    pass(seconds(3)).await;
    for _ in 0..2 {
        briefly(client.connect()).await;
        ignore(client.emit("x", 1));
        pass(seconds(5)).await;
        net.cut();
        pass(seconds(5)).await;
    }
    assert!(spent.load(Ordering::Relaxed), "{}: the handler is reached", pair.name);
    let ended = timeout(seconds(60), async {
        client.of("/other").start().unwrap().disconnect().await;
        client.disconnect().await;
    });
    assert!(ended.await.is_ok(), "{}: it can be disconnected: {:?}", pair.name, client.state());
    it.get().unwrap().disconnect().await;
    pass(seconds(30)).await;
    settle().await;
    assert_eq!(net.open(), 0, "{}", pair.name);
}

fn pairs(way: &'static [Transport]) -> Vec<Pair> {
    let kinds = KINDS.iter().map(|(kind, install)| (*kind, Some(*install), None));
    let late = LATE.iter().map(|(kind, install)| (*kind, None, Some(*install)));
    let all = kinds.chain(late).flat_map(|(inside, kind, late)| {
        CALLS.iter().map(move |(name, call)| Pair {
            name: format!("{name} inside {inside}"),
            kind,
            late,
            call: *call,
            way,
        })
    });
    all.collect()
}

/// A deadlock stops the thread, not the clock: it is found by another thread.
fn every_call_inside_every_handler(way: &'static [Transport]) {
    let (done, waiting) = std::sync::mpsc::channel();
    let playing = std::thread::spawn(move || {
        for pair in pairs(way) {
            done.send(pair.name.clone()).unwrap();
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            runtime.enable_all().start_paused(true).build().unwrap().block_on(play(&pair));
        }
    });
    let mut last = String::new();
    loop {
        match waiting.recv_timeout(seconds(60)) {
            Ok(pair) => last = pair,
            Err(std::sync::mpsc::RecvTimeoutError::Timeout) => panic!("{last} does not come back"),
            Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => break,
        }
    }
    assert!(playing.join().is_ok(), "{last} failed");
}

#[test]
fn every_call_inside_every_handler_by_websocket() {
    every_call_inside_every_handler(&[Transport::Websocket]);
}

#[test]
fn every_call_inside_every_handler_by_polling() {
    every_call_inside_every_handler(&[Transport::Polling]);
}

#[test]
fn every_call_inside_every_handler_while_the_transport_is_changed() {
    every_call_inside_every_handler(&[Transport::Polling, Transport::Websocket]);
}
