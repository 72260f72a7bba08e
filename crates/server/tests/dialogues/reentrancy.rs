//! Every call of the API inside every kind of handler: nothing deadlocks, nothing is left behind.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use futures_util::FutureExt;
use http_body_util::{BodyExt, Full};
use serde::{Serialize, Serializer};
use sockeye::adapter::{Adapter, AdapterFuture, Command, Node, Selection};
use sockeye::parser::{
    AckId, Content, CustomParser, Decoder, EncodeError, List, Message, NamespacePath, Outgoing, OwnedArgs, Packet,
    Parser, ProtocolError,
};
use sockeye::{ClusterError, Cors, Recovery, ServerBuilder, SocketInfo, Transport};
use tower_service::Service;

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
        let [allow, id, initial, headers, error, origin] = std::array::from_fn(|_| self.clone());
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
            .cors(Cors::matching(move |_| {
                origin.call_now("cors");
                true
            }))
    }
}

/// A cluster of one, which hears what it tells the others.
#[derive(Clone)]
struct Alone(Hooks, Arc<OnceLock<Weak<dyn Node>>>);

impl std::fmt::Debug for Alone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Alone")
    }
}

impl Adapter for Alone {
    fn attach(&self, node: Weak<dyn Node>) {
        drop(self.1.set(node));
    }

    fn publish(&self, _: &NamespacePath, _: &Selection, _: Command<'_>) -> Result<(), ClusterError> {
        self.0.call_now("publish");
        Ok(())
    }

    fn fetch_sockets<'a>(
        &'a self,
        _: &'a NamespacePath,
        _: &'a Selection,
        _: Duration,
    ) -> AdapterFuture<'a, Vec<SocketInfo>> {
        Box::pin(async {
            self.0.call("fetch_sockets").await;
            Ok(Vec::new())
        })
    }

    fn server_side_emit<'a>(
        &'a self,
        namespace: &'a NamespacePath,
        event: &'a str,
        args: &'a OwnedArgs,
        _: Option<Duration>,
    ) -> AdapterFuture<'a, Vec<OwnedArgs>> {
        Box::pin(async move {
            self.0.call("server_side_emit").await;
            let Some(node) = self.1.get().and_then(Weak::upgrade) else { return Ok(Vec::new()) };
            Ok(node.server_event(namespace, event, args).await)
        })
    }

    fn close(&self) -> AdapterFuture<'_, ()> {
        Box::pin(async {
            self.0.call("close").await;
            Ok(())
        })
    }
}

/// The form of packets that everybody knows, as far as these clients need it, by a parser of the application.
#[derive(Clone)]
struct Own(Hooks);

impl std::fmt::Debug for Own {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Own")
    }
}

impl CustomParser for Own {
    fn encode(&self, packet: &Packet) -> Result<Outgoing, EncodeError> {
        let path = match packet.namespace.as_str() {
            "/" => String::new(),
            path => format!("{path},"),
        };
        let list = |args: &OwnedArgs| serde_json::to_string(&List(args.clone())).map_err(EncodeError::new);
        Ok(Outgoing::text(&match &packet.content {
            Content::Ack { id, args } => format!("3{path}{}{}", id.0, list(args)?),
            Content::Connect(_) => format!("0{path}{{}}"),
            Content::ConnectError(_) => format!("4{path}{{}}"),
            Content::Disconnect => format!("1{path}"),
            Content::Event { id, .. } => format!("2{path}{}[\"x\"]", id.map_or(String::new(), |id| id.0.to_string())),
        }))
    }

    fn decoder(&self) -> Box<dyn Decoder> {
        self.0.call_now("decoder");
        Box::new(self.clone())
    }
}

impl Decoder for Own {
    fn decode(&mut self, message: Message<'_>) -> Result<Option<Packet>, ProtocolError> {
        self.0.call_now("decode");
        let Message::Text(text) = message else { return Err(ProtocolError::UnexpectedBinary) };
        let (kind, rest) = text.split_at_checked(1).ok_or(ProtocolError::InvalidPayload)?;
        let (path, rest) = rest.split_once(',').filter(|_| rest.starts_with('/')).unwrap_or(("/", rest));
        let id = rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse().ok().map(AckId);
        let args = OwnedArgs::encode(&()).map_err(|_| ProtocolError::InvalidPayload)?;
        let content = match (kind, id) {
            ("0", _) => Content::Connect(OwnedArgs::default()),
            ("1", _) => Content::Disconnect,
            ("2", id) => Content::Event { name: "e".to_owned(), id, args },
            ("3", Some(id)) => Content::Ack { id, args },
            _ => return Err(ProtocolError::InvalidPayload),
        };
        Ok(Some(Packet { namespace: NamespacePath::parse(path)?.0, content }))
    }
}

/// An argument, or what a handler has captured: what the application does when it is written, or dropped.
struct Busy {
    run: Run,
    socket: Socket,
}

impl Serialize for Busy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        ignore((self.run)(Some(self.socket.clone())).now_or_never());
        serializer.serialize_unit()
    }
}

struct Dropped(Busy);

impl Drop for Dropped {
    fn drop(&mut self) {
        ignore((self.0.run)(Some(self.0.socket.clone())).now_or_never());
    }
}

impl Dropped {
    fn new(run: &Run, socket: &Socket) -> Self {
        Self(Busy { run: Arc::clone(run), socket: socket.clone() })
    }

    /// Whoever captures it has to name it.
    fn keep(&self) {
        ignore(self.0.socket.id());
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
    "io.server_side_emit_with_ack": |io, socket| {
        ignore(io.server_side_emit_with_ack::<_, u32>("x", 1).await);
    };
    "io.to.fetch_sockets": |io, socket| io.to("room").fetch_sockets().await.unwrap();
    "io.compress": |io, socket| io.compress(true).emit("x", 1).unwrap();
    "io.request": |io, socket| ignore(http(&io, "GET", "transport=none", "").await);
    "io.of": |io, socket| io.of("/made").emit("x", 1).unwrap();
    "io.of_pattern": |io, socket| ignore(io.of_pattern("/p-{id}").unwrap());
    "pattern.emit": |io, socket| {
        let rooms = io.of_pattern("/q-{id}").unwrap();
        rooms.on("e", async |_, (): ()| ());
        ignore((rooms.emit("x", 1), rooms.namespaces()));
    };
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
    "on.once": |_, socket| socket.map(|socket| socket.on("e", async |_, (): ()| ()).once());
    "on_with_ack": |_, socket| socket.map(|socket| socket.on_with_ack("e", async |_, (): ()| 1).concurrent(2));
    "on_message": |_, socket| socket.map(|socket| socket.on_message("e", async |_, _| ()).remove());
    "except": |_, socket| ignore(socket.map(|socket| socket.except("room").compress(false).emit("x", 1)));
    "peer": |_, socket| ignore(socket.map(|socket| (socket.peer().address(), socket.transport())));
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
    ("on once", |io, _, run| {
        io.on("e", async move |socket, (): ()| run(Some(socket)).await).once();
    }),
    ("socket.on once", |io, _, run| {
        io.on_connect(async move |socket: Socket| {
            socket.on("e", async move |socket, (): ()| run(Some(socket)).await).once();
        });
    }),
    ("socket.on_any", |io, _, run| {
        io.on_connect(async move |socket: Socket| {
            ignore(socket.on_any(async move |socket, _| run(Some(socket)).await));
        });
    }),
    ("socket.on_message", |io, _, run| {
        io.on_connect(async move |socket: Socket| {
            ignore(socket.on_message("e", async move |socket, _| run(Some(socket)).await));
        });
    }),
    ("socket.on_with_ack", |io, _, run| {
        io.on_connect(async move |socket: Socket| {
            ignore(socket.on_with_ack("e", async move |socket, (): ()| run(Some(socket)).await));
        });
    }),
    ("an argument that is written", |io, _, run| {
        io.on("e", async move |socket: Socket, (): ()| {
            ignore(socket.emit("x", Busy { run: Arc::clone(&run), socket: socket.clone() }));
        });
    }),
    ("an argument for a room", |io, _, run| {
        let server = io.clone();
        io.on("e", async move |socket: Socket, (): ()| {
            ignore(server.to("room").emit("x", Busy { run: Arc::clone(&run), socket: socket.clone() }));
        });
    }),
    ("data that are written", |io, _, run| {
        io.on("e", async move |socket: Socket, (): ()| {
            ignore(socket.data().set("x", Busy { run: Arc::clone(&run), socket: socket.clone() }));
        });
    }),
    ("an extension is dropped", |io, _, run| {
        io.on("e", async move |socket: Socket, (): ()| {
            ignore(socket.extensions().insert(Dropped::new(&run, &socket)));
            ignore(socket.extensions().insert(Dropped::new(&run, &socket)));
            ignore(socket.extensions().remove::<Dropped>());
        });
    }),
    ("a handler is dropped with its socket", |io, _, run| {
        io.on_connect(async move |socket: Socket| {
            let held = Arc::new(Dropped::new(&run, &socket));
            ignore(socket.on("other", async move |_, (): ()| held.keep()));
        });
    }),
    ("on_disconnect is dropped with its socket", |io, _, run| {
        io.on_connect(async move |socket: Socket| {
            let held = Arc::new(Dropped::new(&run, &socket));
            socket.on_disconnect(async move |_, _| held.keep());
        });
    }),
    ("on_any_outgoing is dropped with its socket", |io, _, run| {
        io.on_connect(async move |socket: Socket| {
            let held = Dropped::new(&run, &socket);
            socket.on_any_outgoing(move |_, _| held.keep());
        });
    }),
    ("a handler is removed", |io, _, run| {
        let server = io.clone();
        io.on_connect(async move |socket: Socket| {
            let held = Arc::new(Dropped::new(&run, &socket));
            server.on("other", async move |_, (): ()| held.keep()).remove();
        });
    }),
    ("a hook is replaced", |io, _, run| {
        let server = io.clone();
        io.on_connect(async move |socket: Socket| {
            let held = Dropped::new(&run, &socket);
            server.on_error(move |_, _| held.keep());
            server.on_error(|_, _| ());
        });
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
    ("Cors::matching", |_, hooks, run| hooks.set("cors", run)),
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

/// What is called in a cluster.
const CLUSTERED: &[(&str, Kind)] = &[
    ("on_server", |io, _, run| ignore(io.on_server("news", async move |_: u32| run(None).await))),
    ("Adapter::publish", |_, hooks, run| hooks.set("publish", run)),
    ("Adapter::fetch_sockets", |_, hooks, run| hooks.set("fetch_sockets", run)),
    ("Adapter::server_side_emit", |_, hooks, run| hooks.set("server_side_emit", run)),
    ("Adapter::close", |_, hooks, run| hooks.set("close", run)),
];

/// What is called of a parser; that its `encode` must do nothing else is documented.
const PARSING: &[(&str, Kind)] = &[
    ("CustomParser::decoder", |_, hooks, run| hooks.set("decoder", run)),
    ("Decoder::decode", |_, hooks, run| hooks.set("decode", run)),
];

/// What clients send at first, and a while later. One has an event on the heels of its CONNECT, one waits until it must
/// have been let in, one only listens.
const ROLES: [(&[&str], &[&str]); 3] = [
    (&["40", "42[\"e\"]"], &["421[\"e\"]"]),
    (&["40", "40/dynamic-1,", "40/other,"], &["42[\"e\"]", "421[\"e\"]", "42/dynamic-1,[\"e\"]"]),
    (&["40"], &[]),
];

/// What a server is like, and its clients.
#[derive(Clone, Copy)]
struct Setting {
    transport: Transport,
    recovery: bool,
    clustered: bool,
    own_parser: bool,
}

const PLAIN: Setting =
    Setting { transport: Transport::Websocket, recovery: false, clustered: false, own_parser: false };

impl Setting {
    fn server(self, hooks: &Hooks) -> Server {
        let mut builder = hooks.builder();
        if self.recovery {
            builder = builder.recovery(Recovery::default());
        }
        if self.clustered {
            builder = builder.adapter(Alone(hooks.clone(), Arc::default()));
        }
        if self.own_parser {
            builder = builder.parser(Parser::custom(Own(hooks.clone())));
        }
        #[cfg(feature = "webtransport")]
        if self.transport == Transport::Webtransport {
            builder = builder.transports(&[Transport::Polling, Transport::Websocket, Transport::Webtransport]);
        }
        builder.build().unwrap()
    }
}

/// A request of polling; the body of its answer, if it was taken.
async fn http(io: &Server, method: &str, query: &str, body: &str) -> Option<String> {
    let request = http::Request::builder().method(method).uri(format!("/socket.io/?EIO=4&{query}"));
    let request =
        request.header("origin", "https://a.example").body(Full::new(bytes::Bytes::from(body.to_owned()))).unwrap();
    let answer = io.service().call(request).await.unwrap_or_else(|never| match never {});
    let (parts, body) = answer.into_parts();
    let body = body.collect().await.unwrap_or_else(|never| match never {}).to_bytes();
    parts.status.is_success().then(|| String::from_utf8(body.to_vec()).unwrap())
}

/// Plays a role, unless the server has been closed.
async fn visit(io: Server, net: Net, transport: Transport, joins: &[&str], events: &[&str]) {
    if transport == Transport::Polling {
        let Some(open) = http(&io, "GET", "transport=polling", "").await else { return };
        let query = format!("transport=polling&sid={}", open.split('"').nth(3).unwrap());
        tokio::spawn({
            let (io, query) = (io.clone(), query.clone());
            async move { while http(&io, "GET", &query, "").await.is_some_and(|body| !body.ends_with('1')) {} }
        });
        for said in [&joins.join("\u{1e}"), &events.join("\u{1e}"), "41\u{1e}1"] {
            ignore(http(&io, "POST", &query, said).await);
            tokio::time::sleep(secs(3)).await;
        }
        return;
    }
    let origin = [("Origin", "https://a.example")];
    let Ok(mut client) = net.try_open("/socket.io/?EIO=4&transport=websocket", &origin).await else { return };
    client.send_all(joins).await;
    net.advance(secs(3)).await;
    client.send_all(events).await;
    net.advance(secs(4)).await;
    client.send("41").await;
}

/// A server with a handler that makes a call the first time.
fn stage(kind: Kind, call: Call, setting: Setting) -> (Server, Arc<AtomicBool>) {
    let hooks = Hooks::default();
    let io = setting.server(&hooks);
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
    (io, called)
}

/// One pair: clients join, send, do something wrong, leave; other servers are talked to.
async fn play(kind: Kind, call: Call, setting: Setting) {
    let (io, called) = stage(kind, call, setting);
    let net = Net::new(&io);
    ignore(net.request("GET", "/socket.io/?EIO=4&transport=none", &[], "").answer().await);
    for (joins, events) in ROLES {
        tokio::spawn(visit(io.clone(), net.clone(), setting.transport, joins, events));
    }
    if setting.clustered {
        tokio::spawn({
            let io = io.clone();
            async move {
                io.emit("x", 1).unwrap();
                ignore(io.server_side_emit("news", 1).await);
                ignore(io.fetch_sockets().await);
            }
        });
    }
    net.advance(secs(12)).await;
    if setting.clustered {
        let io = io.clone();
        tokio::spawn(async move { io.close(secs(1)).await });
        net.advance(secs(12)).await;
    }
    assert!(called.load(Ordering::Relaxed), "the handler is reached");
    net.assert_clean().await;
}

/// A deadlock stops the thread, not the clock: it is found by another thread.
fn pairs(kinds: &'static [(&str, Kind)], setting: Setting) {
    watched(kinds.len() * CALLS.len(), move |done| {
        for (kind, install) in kinds {
            for (name, call) in CALLS {
                done.send(format!("{name} inside {kind}")).unwrap();
                let mut runtime = tokio::runtime::Builder::new_current_thread();
                let runtime = runtime.enable_all().start_paused(true).build().unwrap();
                runtime.block_on(play(*install, *call, setting));
            }
        }
    });
}

/// Waits for so many pairs, which are named when they begin.
fn watched(expected: usize, work: impl FnOnce(std::sync::mpsc::Sender<String>) + Send + 'static) {
    let (done, waiting) = std::sync::mpsc::channel();
    std::thread::spawn(move || work(done));
    let mut last = String::new();
    let mut count = 0;
    loop {
        match waiting.recv_timeout(secs(60)) {
            Ok(pair) => (last, count) = (pair, count + 1),
            Err(std::sync::mpsc::RecvTimeoutError::Timeout) => panic!("{last} does not come back"),
            Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => break,
        }
    }
    assert_eq!(count, expected, "{last} panicked");
}

#[test]
fn every_call_inside_every_handler() {
    pairs(KINDS, PLAIN);
}

#[test]
fn every_call_inside_every_handler_by_polling() {
    pairs(KINDS, Setting { transport: Transport::Polling, ..PLAIN });
}

#[test]
fn every_call_inside_every_handler_with_recovery() {
    pairs(KINDS, Setting { recovery: true, clustered: true, ..PLAIN });
}

#[test]
fn every_call_inside_every_handler_of_a_cluster() {
    pairs(CLUSTERED, Setting { clustered: true, ..PLAIN });
}

#[test]
fn every_call_inside_a_parser() {
    pairs(PARSING, Setting { own_parser: true, recovery: true, ..PLAIN });
}

/// By WebTransport a handshake takes long: every handler with some calls, and every call in some handlers.
#[cfg(feature = "webtransport")]
mod webtransport {
    use super::*;
    use crate::clock::{Still, moving};
    use crate::peer::{Peer, Site};

    const SAMPLE: usize = 14;

    async fn play(kind: Kind, call: Call) {
        let (io, called) = stage(kind, call, Setting { transport: Transport::Webtransport, ..PLAIN });
        let site = Site::new(io.clone()).await;
        poll(&io).await;
        let mut peers = Vec::new();
        for (joins, events) in ROLES {
            if !io.is_ready() {
                break;
            }
            let Ok(session) = site.ask("/socket.io/", Some("https://a.example")).await else { continue };
            let mut peer = session.open().await;
            say(&mut peer, &["0"]).await;
            say(&mut peer, joins).await;
            peers.push((peer, events));
        }
        pass(3).await;
        for (peer, events) in &mut peers {
            say(peer, events).await;
        }
        pass(4).await;
        for (mut peer, _) in peers {
            say(&mut peer, &["41"]).await;
            peer.leave();
        }
        pass(4).await;
        assert!(called.load(Ordering::Relaxed), "the handler is reached");
        Net::new(&io).assert_clean().await;
    }

    /// What reaches the hooks that only requests have.
    async fn poll(io: &Server) {
        ignore(http(io, "GET", "transport=none", "").await);
        if let Some(open) = http(io, "GET", "transport=polling", "").await {
            let query = format!("transport=polling&sid={}", open.split('"').nth(3).unwrap());
            ignore(http(io, "POST", &query, "1").await);
        }
    }

    /// Lets so many seconds pass, each of them at once.
    async fn pass(seconds: usize) {
        for _ in 0..seconds {
            tokio::time::advance(secs(1)).await;
            crate::clock::settle().await;
        }
    }

    /// Sends short packets; the server may have left.
    async fn say(peer: &mut Peer, packets: &[&str]) {
        let bytes =
            packets.iter().flat_map(|packet| [&[u8::try_from(packet.len()).unwrap()], packet.as_bytes()].concat());
        ignore(peer.send.write_all(&bytes.collect::<Vec<_>>()).await);
        crate::clock::settle().await;
    }

    #[test]
    fn calls_inside_handlers_by_webtransport() {
        let pairs = KINDS
            .iter()
            .enumerate()
            .flat_map(|(at, kind)| CALLS.iter().skip(at % SAMPLE).step_by(SAMPLE).map(move |call| (kind, call)));
        let pairs: Vec<_> = pairs.collect();
        watched(pairs.len(), move |done| {
            for ((kind, install), (name, call)) in pairs {
                done.send(format!("{name} inside {kind}")).unwrap();
                let mut runtime = tokio::runtime::Builder::new_current_thread();
                let runtime = runtime.enable_all().start_paused(true).build().unwrap();
                runtime.block_on(async {
                    let _still = Still::new();
                    moving(play(*install, *call)).await;
                });
            }
        });
    }
}
