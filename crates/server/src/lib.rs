//! Socket.IO server: events, acknowledgements, rooms and namespaces for every Socket.IO client.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use serde::{Deserialize, Serialize};
//! use sockeye::{BoxError, Event, Refusal, Server, Socket};
//!
//! #[derive(Serialize, Deserialize)]
//! struct Chat { room: String, text: String }
//!
//! #[derive(Deserialize)]
//! struct Credentials { token: String }
//!
//! const CHAT: Event<Chat> = Event::new("chat message");
//!
//! #[tokio::main]
//! async fn main() -> Result<(), BoxError> {
//!     let io = Server::new();
//!     io.authorize(async |_peer, auth: Credentials| match auth.token.as_str() {
//!         "open sesame" => Ok(()),
//!         _ => Err(Refusal::new("bad token")), // the client gets it as `connect_error`
//!     });
//!     io.on_connect(async |socket| {
//!         socket.join(["lobby", "news"]);
//!         socket.broadcast().emit("joined", socket.id())
//!     });
//!     io.on(CHAT, chat);
//!     io.on_with_ack("sum", async |_, (a, b): (i64, i64)| a + b);
//!     io.on_disconnect(async |socket, reason| println!("{} left: {reason}", socket.id()));
//!     io.listen("0.0.0.0:3000").await?;
//!     Ok(())
//! }
//!
//! async fn chat(socket: Socket, message: Chat) -> Result<(), BoxError> {
//!     let agreed: bool = socket.emit_with_ack("sure?", ()).timeout(Duration::from_secs(5)).await?;
//!     if agreed {
//!         socket.to(&message.room).emit(CHAT, &message)?;
//!     }
//!     Ok(())
//! }
//! ```
//!
//! What follows goes through the verbs in the order of the emit cheatsheet of Socket.IO. Every verb is on [`Server`] for
//! the main namespace, `/`, and on [`Namespace`] for any other.
//!
//! # Emit
//!
//! A tuple is several arguments, `()` is none, anything else is one. Bytes ([`bytes::Bytes`], or anything that serializes as
//! bytes) travel as they are, wherever in the arguments they are. `Ok` means that the event is queued: [`Socket::emit`] never
//! waits. See [`ServerBuilder::when_full`] for clients that do not read.
//!
//! ```
//! # use std::time::Duration;
//! # use sockeye::{Server, Socket};
//! # use sockeye_testing::Net;
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), sockeye::BoxError> {
//! # let io = Server::new();
//! io.on_connect(async |socket: Socket| {
//!     socket.emit("hello", ("world", 42))?;                       // socket.emit("hello", "world", 42) of JS
//!     socket.emit("picture", bytes::Bytes::from_static(b"\x89PNG"))
//! });
//! # let net = Net::new(&io);
//! # let (mut alice, _) = net.join().await;
//! # alice.expect("42[\"hello\",\"world\",42]").await;
//! # alice.expect("451-[\"picture\",{\"_placeholder\":true,\"num\":0}]").await;
//! # alice.expect_binary(b"\x89PNG").await;
//! # Ok(())
//! # }
//! ```
//!
//! # Broadcast
//!
//! On a socket, `broadcast` and `to` mean everybody but itself. The event is encoded once, however many receive it.
//!
//! ```
//! # use std::time::Duration;
//! # use sockeye::{Server, Socket};
//! # use sockeye_testing::Net;
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), sockeye::BoxError> {
//! # let io = Server::new();
//! io.on("typing", async |socket: Socket, name: String| {
//!     socket.broadcast().emit("typing", name)                     // everybody in the namespace but the sender
//! });
//! # let net = Net::new(&io);
//! # let ((mut alice, _), (mut bob, _)) = (net.join().await, net.join().await);
//! # alice.send("42[\"typing\",\"alice\"]").await;
//! # bob.expect("42[\"typing\",\"alice\"]").await;
//! # alice.expect_nothing().await;
//! # Ok(())
//! # }
//! ```
//!
//! # Rooms
//!
//! A room is there while somebody is in it. [`Socket::join`] takes effect at once; leaving happens by itself when the socket
//! disconnects. A socket that is in several of the rooms named gets the event once.
//!
//! ```
//! # use std::time::Duration;
//! # use sockeye::{Server, Socket};
//! # use sockeye_testing::Net;
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), sockeye::BoxError> {
//! # let io = Server::new();
//! io.on_connect(async |socket: Socket| socket.join(["news", "sports"]));
//! io.on("score", async |socket: Socket, score: u32| {
//!     socket.to("sports").emit("score", score)?;                  // the room, but not the sender
//!     socket.to(["news", "sports"]).except("quiet").emit("score", score)
//! });
//! io.to("news").emit("edition", 1)?;                              // io.in("news") of JS: the whole room
//! io.except("quiet").emit("edition", 2)?;
//! io.to("news").join("readers")?;                                 // socketsJoin of JS; also leave, disconnect
//! # let net = Net::new(&io);
//! # let ((mut alice, _), (mut bob, _)) = (net.join().await, net.join().await);
//! # alice.send("42[\"score\",3]").await;
//! # bob.expect("42[\"score\",3]").await;
//! # bob.expect("42[\"score\",3]").await;
//! # alice.expect_nothing().await;
//! # Ok(())
//! # }
//! ```
//!
//! # Namespaces
//!
//! A namespace has its own sockets, rooms, handlers and admission, over the same connection. [`Server::of`] makes it;
//! [`Server::of_pattern`] and [`Server::of_with`] make them on demand.
//!
//! ```
//! # use std::time::Duration;
//! # use sockeye::{Server, Socket};
//! # use sockeye_testing::Net;
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), sockeye::BoxError> {
//! # let io = Server::new();
//! let admin = io.of("/admin");
//! admin.on_with_ack("uptime", async |_, (): ()| 17);
//! admin.emit("alarm", "fire")?;                                   // everybody in /admin
//! admin.to("guards").emit("alarm", "fire")?;                      // a room of /admin
//! # let net = Net::new(&io);
//! # let mut alice = net.websocket().await;
//! # alice.send("40/admin,").await;
//! # alice.expect("40/admin,{\"sid\":\"…\"}").await;
//! # alice.send("42/admin,1[\"uptime\"]").await;
//! # alice.expect("43/admin,1[17]").await;
//! # Ok(())
//! # }
//! ```
//!
//! # Private messages
//!
//! A socket's id is a room with that one member. The id is public: it may be shown to other clients. On a socket, `to` never
//! means the socket itself, whatever the room.
//!
//! ```
//! # use std::time::Duration;
//! # use sockeye::{Server, Socket};
//! # use sockeye_testing::Net;
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), sockeye::BoxError> {
//! # let io = Server::new();
//! io.on("whisper", async |socket: Socket, (to, text): (String, String)| {
//!     socket.to(&to).emit("whisper", (socket.id(), text))
//! });
//! # let net = Net::new(&io);
//! # let ((mut alice, a), (mut bob, b)) = (net.join().await, net.join().await);
//! # alice.send(&format!("42[\"whisper\",\"{b}\",\"hi\"]")).await;
//! # bob.expect(&format!("42[\"whisper\",\"{a}\",\"hi\"]")).await;
//! # Ok(())
//! # }
//! ```
//!
//! # Everybody, and everybody here
//!
//! With an [`adapter`] a broadcast reaches the sockets of all servers of the cluster; `local` keeps it on this one.
//!
//! ```
//! # use std::time::Duration;
//! # use sockeye::{Server, Socket};
//! # use sockeye_testing::Net;
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), sockeye::BoxError> {
//! # let io = Server::new();
//! io.emit("news", "for all")?;
//! io.local().emit("restart", 10)?;
//! # let net = Net::new(&io);
//! # net.assert_clean().await;
//! # Ok(())
//! # }
//! ```
//!
//! # Acknowledgements
//!
//! Ask a client, or a room, and wait for the answer. Each question is settled exactly once: by the value, or by an
//! [`AckError`] when it is late, does not fit the type, or the client leaves. The default timeout is 30 s
//! ([`ServerBuilder::ack_timeout`]).
//!
//! ```
//! # use std::time::Duration;
//! # use sockeye::{Server, Socket};
//! # use sockeye_testing::Net;
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), sockeye::BoxError> {
//! # let io = Server::new();
//! io.on_connect(async |socket: Socket| {
//!     let name: String = socket.emit_with_ack("your name?", ()).timeout(Duration::from_secs(5)).await?;
//!     socket.data().set("name", name)?;
//!     Ok::<_, sockeye::BoxError>(())
//! });
//! # let net = Net::new(&io);
//! # let (mut alice, id) = net.join().await;
//! # alice.expect("420[\"your name?\"]").await;
//! # alice.send("430[\"Alice\"]").await;
//! # assert_eq!(io.get(&id).unwrap().data().get::<String>("name").unwrap(), "Alice");
//! # Ok(())
//! # }
//! ```
//!
//! # Acknowledgements of many
//!
//! The answers come as they arrive, each with the id of its socket: [`Replies`] is a stream. One that leaves meanwhile is
//! settled at once.
//!
//! ```
//! # use std::time::Duration;
//! # use sockeye::{Server, Socket};
//! # use sockeye_testing::Net;
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), sockeye::BoxError> {
//! # let io = Server::new();
//! async fn vote(io: Server) -> usize {
//!     let mut yes = 0;
//!     let mut replies = io.to("voters").timeout(Duration::from_secs(10)).emit_with_ack("vote", "pizza?");
//!     while let Some((_id, answer)) = replies.next().await {
//!         yes += usize::from(matches!(answer, Ok(true)));
//!     }
//!     yes
//! }
//! # let net = Net::new(&io);
//! # let ((mut alice, _), (bob, _)) = (net.join().await, net.join().await);
//! # io.local().join("voters")?;
//! # let votes = tokio::spawn(vote(io.clone()));
//! # alice.expect("420[\"vote\",\"pizza?\"]").await;
//! # alice.send("430[true]").await;
//! # drop(bob);
//! # assert_eq!(votes.await?, 1);
//! # Ok(())
//! # }
//! ```
//!
//! # Volatile
//!
//! For what is worthless a moment later: dropped for those who cannot take it now, instead of being queued.
//!
//! ```
//! # use std::time::Duration;
//! # use sockeye::{Server, Socket};
//! # use sockeye_testing::Net;
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), sockeye::BoxError> {
//! # let io = Server::new();
//! io.on("move", async |socket: Socket, at: (f32, f32)| {
//!     socket.broadcast().volatile().emit("moved", at)
//! });
//! # let net = Net::new(&io);
//! # let ((mut alice, _), (mut bob, _)) = (net.join().await, net.join().await);
//! # alice.send("42[\"move\",1.5,2]").await;
//! # bob.expect("42[\"moved\",1.5,2.0]").await;
//! # Ok(())
//! # }
//! ```
//!
//! `compress(false)` keeps an event from being compressed where that was negotiated; see
//! [`ServerBuilder::per_message_deflate`].
//!
//! # Receiving
//!
//! Handlers belong to the namespace and get the socket first, then the arguments, in the type they ask for. Arguments that
//! do not fit go to [`Server::on_error`], with whatever else fails. What a handler registered with `on_with_ack` returns is
//! the answer. An [`Event`] constant names an event together with its types, so that nothing need be annotated.
//!
//! The handlers of one socket run one after the other, in the order in which events arrived. A long one holds up the next
//! events of its own client, and nobody else; [`Listener::concurrent`] lets several of an event run at once.
//!
//! ```
//! # use std::time::Duration;
//! # use sockeye::{Server, Socket};
//! # use sockeye_testing::Net;
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), sockeye::BoxError> {
//! # let io = Server::new();
//! # #[derive(Clone)]
//! # struct Db;
//! # impl Db { async fn save(&self, _: &str) {} }
//! # let db = Db;
//! const SUM: sockeye::Event<(u32, u32), u32> = sockeye::Event::new("sum");
//!
//! io.on("save", async move |_: Socket, text: String| db.save(&text).await);       // `db` is cloned for each event
//! io.on_with_ack(SUM, async |_, (a, b)| a + b);
//! io.on("upload", async |_: Socket, file: bytes::Bytes| drop(file)).concurrent(4);
//! io.on("hello", async |_: Socket, (): ()| println!("the first one")).once();
//! io.on_any(async |_, message| println!("{}", message.event()));
//! io.on_error(|socket, error| eprintln!("{}: {error}", socket.id()));
//! # let net = Net::new(&io);
//! # let (mut alice, _) = net.join().await;
//! # alice.send("427[\"sum\",2,3]").await;
//! # alice.expect("437[5]").await;
//! # Ok(())
//! # }
//! ```
//!
//! # Coming and going
//!
//! [`Server::authorize`] decides about every CONNECT, on every transport; what it found out it leaves in
//! [`Peer::extensions`]. [`Server::on_connect`] ends before the socket's first event is handled, and what it emits follows the
//! answer to CONNECT. [`Server::on_disconnect`] is called exactly once, whatever the cause; the socket's rooms can still be
//! read.
//!
//! ```
//! # use std::time::Duration;
//! # use sockeye::{Server, Socket};
//! # use sockeye_testing::Net;
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), sockeye::BoxError> {
//! # let io = Server::new();
//! # use sockeye::Refusal;
//! #[derive(serde::Deserialize)]
//! struct Credentials { name: String }
//! struct User { name: String }
//!
//! io.authorize(async |peer, auth: Credentials| {
//!     if auth.name.is_empty() {
//!         return Err(Refusal::new("who are you?").with_data(serde_json::json!({ "code": 7 })));
//!     }
//!     peer.extensions().insert(User { name: auth.name });
//!     Ok(())
//! });
//! io.on_disconnect(async |socket: Socket, reason| {
//!     let user = socket.extensions().get::<User>().unwrap();
//!     println!("{} left {:?}: {reason}", user.name, socket.rooms());
//! });
//! # let net = Net::new(&io);
//! # let mut alice = net.websocket().await;
//! # alice.send("40{\"name\":1}").await;
//! # alice.expect("44{\"message\":\"invalid auth\"}").await;
//! # alice.send("40{\"name\":\"\"}").await;
//! # alice.expect("44{\"message\":\"who are you?\",\"data\":{\"code\":7}}").await;
//! # alice.send("40{\"name\":\"Alice\"}").await;
//! # alice.expect("40{\"sid\":\"…\"}").await;
//! # Ok(())
//! # }
//! ```
//!
//! # Beside other services
//!
//! [`Server::beside`] serves pages, or an API, at the other paths of the same listener: an axum `Router`, or any other
//! [tower](tower_service) service.
//!
//! [`Server::service`] is a tower service itself, to mount into a framework: axum (`Router::new().nest_service("/socket.io",
//! io.service())`), hyper and others. [`Server::serve_stream`] serves a stream that was accepted elsewhere: the inside of a TLS
//! connection, a Unix socket.
//!
//! # The end
//!
//! [`Server::close`] accepts nothing more, tells every client, lets handlers end, and cuts what has not ended after the grace
//! that it was given.
//!
//! # Bounds
//!
//! Everything that a client could let grow has a bound in [`ServerBuilder`], with the defaults of the official server where it
//! has one: the size of messages, the outbox, events and answers that wait, rooms, attachments, and the time every state may
//! last. Figures of what happened are in [`Server::metrics`].

mod limits;
mod warned;
mod panics;
mod error;
mod cause;
mod id;
mod info;
mod seen;
mod spare;
mod gate;
mod proxy;
pub mod adapter;
mod peer;
mod encoding;
mod bundle;
mod compression;
mod cors;
mod cookie;
mod hooks;
mod stays;
mod recovery_options;
mod recovery_session;
mod recovery;
mod config;
mod tally;
mod metrics;
mod unfinished;
mod exposition;
mod ack;
mod outbox;
mod transport;
mod shards;
mod table;
mod mail;
mod link;
mod outgoing;
mod rooms;
mod thread;
mod hub;
mod selector;
mod broadcast;
mod remote;
mod target;
mod socket;
mod handlers;
mod namespace;
mod pattern;
mod registry;
mod dynamic;
mod core;
mod session;
mod http;
#[cfg(feature = "tls")]
mod tls;
#[cfg(feature = "webtransport")]
mod webtransport;
mod builder;
mod sizes;
mod shutdown;
mod server;
mod serving;
mod verbs;
#[cfg(doctest)]
mod guides;
#[cfg(all(test, shuttle))]
mod interleavings;
#[cfg(test)]
mod limits_page;

pub use ack::{Replies, Reply};
pub use builder::ServerBuilder;
pub use cause::{Cause, Disconnect};
pub use compression::{Deflate, HttpCompression};
pub use config::WhenFull;
pub use cookie::{Cookie, SameSite};
pub use cors::Cors;
pub use dynamic::DynamicNamespace;
pub use error::{AckError, BoxError, ClusterError, ConfigError, DisconnectReason, EmitError, Refusal};
pub use handlers::HandlerError;
pub use hooks::{ConnectionError, ErrorCode, ErrorContext};
pub use http::{Body, Layered, LayeredBody, PeerAddr, RequestBody, Site, SocketLayer, SocketService};
pub use info::SocketInfo;
pub use limits::Limit;
pub use metrics::MetricsSnapshot;
pub use namespace::Namespace;
pub use outbox::Queued;
pub use peer::{Data, Extensions, Peer};
pub use proxy::ProxyHeader;
pub use recovery::Recovery;
pub use remote::RemoteSocket;
pub use rooms::RoomEvent;
pub use seen::Seen;
pub use selector::Rooms;
pub use server::Server;
pub use socket::{Ack, AckFuture, Message, Socket};
pub use sockeye_protocol::event::{Event, Listener, Outcome};
pub use sockeye_protocol::parser;
#[cfg(feature = "typescript")]
pub use sockeye_protocol::typescript;
pub use sockeye_protocol::{Args, NamespacePath, Outgoing, OwnedArgs, Parser, Raw};
pub use tally::Tally;
pub use target::Target;
#[cfg(feature = "tls")]
pub use tls::Tls;
pub use transport::Transport;
pub use transport::paced::Paced;
#[cfg(feature = "webtransport")]
pub use webtransport::SelfSigned;
