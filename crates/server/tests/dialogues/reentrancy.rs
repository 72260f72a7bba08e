//! Every call of the API inside every kind of handler: nothing deadlocks, nothing is left behind.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures_util::FutureExt;
use sockeye::{Recovery, ServerBuilder};

use crate::common::*;

type Job = Pin<Box<dyn Future<Output = ()> + Send>>;
/// What a handler does; there is no socket yet in `authorize`.
type Call = fn(Server, Option<Socket>) -> Job;
/// Runs a call the first time only: a call may lead to the same handler again.
type Run = Arc<dyn Fn(Option<Socket>) -> Job + Send + Sync>;
type Kind = fn(&Server, &Hooks, Run);

/// What is called by the hooks of the builder, which are set before there is a server.
#[derive(Clone, Default)]
struct Hooks(Arc<OnceLock<(&'static str, Run)>>);

impl Hooks {
    fn set(&self, hook: &'static str, run: Run) {
        assert!(self.0.set((hook, run)).is_ok(), "one hook is tested at a time");
    }

    fn call(&self, hook: &str) -> Job {
        match self.0.get() {
            Some((name, run)) if *name == hook => run(None),
            _ => Box::pin(std::future::ready(())),
        }
    }

    fn call_now(&self, hook: &str) {
        ignore(self.call(hook).now_or_never());
    }

    /// A builder whose hooks call these.
    fn builder(&self) -> ServerBuilder {
        let [allow, id, initial, headers, error] = std::array::from_fn(|_| self.clone());
        let next = AtomicUsize::new(0);
        Server::builder()
            .allow_request(async move |_| {
                allow.call("allow_request").await;
                Ok(())
            })
            .generate_id(move |_| {
                id.call_now("generate_id");
                format!("id-{}", next.fetch_add(1, Ordering::Relaxed))
            })
            .on_initial_headers(move |_, _| initial.call_now("on_initial_headers"))
            .on_headers(move |_, _| headers.call_now("on_headers"))
            .on_connection_error(move |_| error.call_now("on_connection_error"))
    }
}

macro_rules! calls {
    ($($name:literal: |$io:pat_param, $socket:ident| $body:expr;)*) => {
        &[$(($name, |$io, $socket| Box::pin(async move {
            let _ = &$socket;
            $body;
        }))),*]
    };
}

/// What a call returns is of no interest here.
fn ignore<T>(_: T) {}

/// Waits for answers, but not longer than this client is going to stay.
async fn replies(mut replies: sockeye::Replies<u32>) {
    while replies.next().await.is_some() {}
}

const CALLS: &[(&str, Call)] = calls! {
    "io.emit": |io, socket| io.emit("x", 1).unwrap();
    "io.to.emit": |io, socket| io.to(["room", "other"]).except("third").emit("x", 1).unwrap();
    "io.volatile": |io, socket| io.volatile().emit("x", 1).unwrap();
    "io.to.join": |io, socket| io.to("room").join(["a", "b"]).unwrap();
    "io.to.leave": |io, socket| io.to("room").leave("room").unwrap();
    "io.to.disconnect": |io, socket| io.to("room").disconnect().unwrap();
    "io.disconnect_and_close": |io, socket| io.local().disconnect_and_close().unwrap();
    "io.fetch_sockets": |io, socket| io.fetch_sockets().await.unwrap();
    "io.emit_with_ack": |io, socket| replies(io.timeout(secs(1)).emit_with_ack("x", 1)).await;
    "io.server_side_emit": |io, socket| io.server_side_emit("x", 1).await.unwrap();
    "io.of": |io, socket| io.of("/made").emit("x", 1).unwrap();
    "io.of_pattern": |io, socket| ignore(io.of_pattern("/p-{id}").unwrap());
    "io.namespaces": |io, socket| io.namespaces();
    "io.metrics": |io, socket| io.metrics();
    "io.sockets": |io, socket| (io.of("/").sockets(), io.of("/").rooms(), io.of("/").len());
    "io.authorize": |io, socket| { io.authorize(async |_, (): ()| Ok(())); };
    "io.on_connect": |io, socket| { io.on_connect(async |_| ()); };
    "io.on_disconnect": |io, socket| { io.on_disconnect(async |_, _| ()); };
    "io.on_error": |io, socket| { io.on_error(|_, _| ()); };
    "io.on_room": |io, socket| { io.on_room(|_| ()); };
    "io.filter": |io, socket| { io.filter(async |_, _| ()); };
    "io.on": |io, socket| io.on("e", async |_, (): ()| ());
    "io.on.once.remove": |io, socket| io.on("e", async |_, (): ()| ()).once().remove();
    "io.on_any": |io, socket| io.on_any(async |_, _| ()).concurrent(3);
    "io.on_server": |io, socket| { io.on_server("x", async |(): ()| ()); };
    "io.on_message": |io, socket| io.on_message("e", async |_, _| ());
    "io.on_unhandled": |io, socket| io.on_unhandled(async |_, _| ());
    "io.on_with_ack": |io, socket| io.on_with_ack("e", async |_, (): ()| 1);
    "io.of_with": |io, socket| ignore(io.of_with(async |_, _| true));
    "io.get": |io, socket| (io.get("nobody"), io.is_ready());
    "remote sockets": |io, socket| for socket in io.fetch_sockets().await.unwrap() {
        socket.emit("x", 1).unwrap();
        socket.join("far").unwrap();
        socket.leave("room").unwrap();
        socket.disconnect().unwrap();
    };
    "io.close": |io, socket| io.close(secs(1)).await;
    "io.close at once": |io, socket| io.close(Duration::ZERO).await;
    "io.close in a task": |io, socket| ignore(tokio::spawn(async move { io.close(secs(1)).await }));
    "emit": |_, socket| ignore(socket.map(|socket| socket.emit("x", 1)));
    "broadcast": |_, socket| ignore(socket.map(|socket| socket.broadcast().emit("x", 1)));
    "to.emit": |_, socket| ignore(socket.map(|socket| socket.to(socket.id()).emit("x", 1)));
    "volatile": |_, socket| ignore(socket.map(|socket| socket.volatile().emit("x", 1)));
    "emit_with_ack": |_, socket| if let Some(socket) = socket {
        ignore(socket.emit_with_ack::<_, u32>("x", 1).timeout(secs(1)).await);
    };
    "emit_with_ack.send": |_, socket| ignore(socket.map(|socket| socket.emit_with_ack::<_, u32>("x", 1).send()));
    "join": |_, socket| ignore(socket.map(|socket| socket.join(["x", "y"])));
    "leave": |_, socket| ignore(socket.map(|socket| socket.leave("room")));
    "rooms": |_, socket| socket.map(|socket| (socket.rooms(), socket.queued(), socket.is_connected()));
    "disconnect": |_, socket| ignore(socket.map(|socket| socket.disconnect()));
    "disconnect_and_close": |_, socket| ignore(socket.map(|socket| socket.disconnect_and_close()));
    "on": |_, socket| socket.map(|socket| socket.on("e", async |_, (): ()| ()));
    "on_any": |_, socket| socket.map(|socket| socket.on_any(async |_, _| ()));
    "on_disconnect": |_, socket| ignore(socket.map(|socket| socket.on_disconnect(async |_, _| ())));
    "on_any_outgoing": |_, socket| ignore(socket.map(|socket| socket.on_any_outgoing(|_, _| ())));
    "data": |_, socket| socket.map(|socket| (socket.data().set("k", 1).unwrap(), socket.data().to_value()));
    "extensions": |_, socket| socket.map(|socket| socket.extensions().insert(1_u8));
    "drop": |_, socket| ignore(socket);
    "sleep": |_, socket| tokio::time::sleep(secs(2)).await;
};

const KINDS: &[(&str, Kind)] = &[
    ("authorize", |io, _, run| {
        io.authorize(async move |_, (): ()| {
            run(None).await;
            Ok(())
        });
    }),
    ("on_connect", |io, _, run| ignore(io.on_connect(async move |socket| run(Some(socket)).await))),
    ("on", |io, _, run| ignore(io.on("e", async move |socket, (): ()| run(Some(socket)).await))),
    ("on concurrent", |io, _, run| {
        io.on("e", async move |socket, (): ()| run(Some(socket)).await).concurrent(2);
    }),
    ("on_with_ack", |io, _, run| ignore(io.on_with_ack("e", async move |socket, (): ()| run(Some(socket)).await))),
    ("on_message", |io, _, run| ignore(io.on_message("e", async move |socket, _| run(Some(socket)).await))),
    ("on_any", |io, _, run| ignore(io.on_any(async move |socket, _| run(Some(socket)).await))),
    ("on_unhandled", |io, _, run| ignore(io.on_unhandled(async move |socket, _| run(Some(socket)).await))),
    ("filter", |io, _, run| ignore(io.filter(async move |socket, _| run(Some(socket)).await))),
    ("on_disconnect", |io, _, run| ignore(io.on_disconnect(async move |socket, _| run(Some(socket)).await))),
    ("socket.on", |io, _, run| {
        io.on_connect(async move |socket: Socket| {
            ignore(socket.on("e", async move |socket, (): ()| run(Some(socket)).await));
        });
    }),
    ("socket.on_disconnect", |io, _, run| {
        io.on_connect(async move |socket: Socket| socket.on_disconnect(async move |socket, _| run(Some(socket)).await));
    }),
    ("on_error", |io, _, run| {
        io.on_any(async |_, _| Err::<(), _>("on purpose"));
        io.on_error(move |socket, _| ignore(run(Some(socket.clone())).now_or_never()));
    }),
    ("on_room", |io, _, run| ignore(io.on_room(move |_| ignore(run(None).now_or_never())))),
    ("on_any_outgoing", |io, _, run| {
        io.on_connect(async move |socket: Socket| {
            let watched = socket.clone();
            socket.on_any_outgoing(move |_, _| ignore(run(Some(watched.clone())).now_or_never()));
            socket.emit("x", 1)
        });
    }),
    ("on_message of a pattern", |io, _, run| {
        let rooms = io.of_pattern("/dynamic-{id}").unwrap();
        ignore(rooms.on_message("e", async move |socket, _| run(Some(socket)).await));
    }),
    ("authorize of a pattern", |io, _, run| {
        let rooms = io.of_pattern("/dynamic-{id}").unwrap();
        rooms.authorize(async move |_, (): ()| {
            run(None).await;
            Ok(())
        });
    }),
    // The namespace is about to be freed.
    ("on_disconnect of a pattern", |io, _, run| {
        let rooms = io.of_pattern("/dynamic-{id}").unwrap();
        ignore(rooms.on_disconnect(async move |socket, _| run(Some(socket)).await));
    }),
    ("of_with", |io, _, run| {
        ignore(io.of_with(async move |_, _| {
            run(None).await;
            true
        }));
    }),
    ("allow_request", |_, hooks, run| hooks.set("allow_request", run)),
    ("generate_id", |_, hooks, run| hooks.set("generate_id", run)),
    ("on_initial_headers", |_, hooks, run| hooks.set("on_initial_headers", run)),
    ("on_headers", |_, hooks, run| hooks.set("on_headers", run)),
    ("on_connection_error", |_, hooks, run| hooks.set("on_connection_error", run)),
    ("a task that waits for an answer", |io, _, run| {
        io.on_connect(async move |socket: Socket| {
            let answer = socket.emit_with_ack::<_, u32>("x", 1).timeout(secs(3)).send();
            tokio::spawn(async move {
                ignore(answer.await);
                run(Some(socket)).await;
            });
        });
    }),
];

/// What clients send at first, and a while later. One has an event on the heels of its CONNECT, one waits until it must
/// have been let in, one only listens.
const ROLES: [(&[&str], &[&str]); 3] = [
    (&["40", "42[\"e\"]"], &["421[\"e\"]"]),
    (&["40", "40/dynamic-1,", "40/other,"], &["42[\"e\"]", "421[\"e\"]", "42/dynamic-1,[\"e\"]"]),
    (&["40"], &[]),
];

/// One pair: clients join, send, do something wrong, leave.
async fn play(kind: Kind, call: Call, recovery: bool) {
    let hooks = Hooks::default();
    let builder = hooks.builder();
    let builder = if recovery { builder.recovery(Recovery::default()) } else { builder };
    let io = builder.build().unwrap();
    let (server, spent) = (io.clone(), Arc::new(AtomicBool::new(false)));
    let called = Arc::clone(&spent);
    io.on_connect(async |socket: Socket| socket.join("room"));
    kind(
        &io,
        &hooks,
        Arc::new(move |socket| {
            let again = spent.swap(true, Ordering::Relaxed);
            if again { Box::pin(std::future::ready(())) } else { call(server.clone(), socket) }
        }),
    );
    ignore(io.of_pattern("/dynamic-{id}").unwrap());
    let net = Net::new(&io);
    ignore(net.request("GET", "/socket.io/?EIO=4&transport=none", &[], "").answer().await);
    for (joins, events) in ROLES {
        // Not if the server has been closed meanwhile.
        let Ok(mut client) = net.try_open("/socket.io/?EIO=4&transport=websocket", &[]).await else { continue };
        let net = net.clone();
        tokio::spawn(async move {
            client.send_all(joins).await;
            net.advance(secs(3)).await;
            client.send_all(events).await;
            net.advance(secs(4)).await;
            client.send("41").await;
        });
    }
    net.advance(secs(12)).await;
    assert!(called.load(Ordering::Relaxed), "the handler is reached");
    net.assert_clean().await;
}

/// A deadlock stops the thread, not the clock: it is found by another thread.
fn pairs(recovery: bool) {
    let (done, waiting) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for (kind, install) in KINDS {
            for (name, call) in CALLS {
                done.send(format!("{name} inside {kind}")).unwrap();
                let mut runtime = tokio::runtime::Builder::new_current_thread();
                let runtime = runtime.enable_all().start_paused(true).build().unwrap();
                runtime.block_on(play(*install, *call, recovery));
            }
        }
    });
    let mut last = String::new();
    let mut count = 0;
    loop {
        match waiting.recv_timeout(secs(60)) {
            Ok(pair) => (last, count) = (pair, count + 1),
            Err(std::sync::mpsc::RecvTimeoutError::Timeout) => panic!("{last} does not come back"),
            Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => break,
        }
    }
    assert_eq!(count, KINDS.len() * CALLS.len(), "{last} panicked");
}

#[test]
fn every_call_inside_every_handler() {
    pairs(false);
}

#[test]
fn every_call_inside_every_handler_with_recovery() {
    pairs(true);
}
