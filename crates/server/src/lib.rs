//! Socket.IO server: events, acknowledgements, rooms and namespaces for every Socket.IO client.

mod error;
mod info;
mod limits;
mod gate;
mod proxy;
pub mod adapter;
mod peer;
mod compression;
mod cors;
mod cookie;
mod hooks;
mod config;
mod metrics;
mod ack;
mod recovery;
mod outbox;
mod transport;
mod link;
mod rooms;
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
mod session;
mod http;
mod server;
mod builder;

pub use ack::{Replies, Reply};
pub use builder::{ServerBuilder, Transport};
pub use compression::{Deflate, HttpCompression};
pub use config::WhenFull;
pub use cookie::{Cookie, SameSite};
pub use cors::Cors;
pub use dynamic::DynamicNamespace;
pub use error::{AckError, BoxError, ClusterError, ConfigError, DisconnectReason, EmitError, Refusal};
pub use handlers::HandlerError;
pub use hooks::{ConnectionError, ErrorContext};
pub use http::{Body, PeerAddr, SocketService};
pub use info::SocketInfo;
pub use limits::Limit;
pub use metrics::MetricsSnapshot;
pub use namespace::Namespace;
pub use peer::{Data, Extensions, Peer};
pub use recovery::Recovery;
pub use remote::RemoteSocket;
pub use rooms::RoomEvent;
pub use selector::Rooms;
pub use server::Server;
pub use socket::{AckFuture, Socket};
pub use sockeye_protocol::event::{Event, Listener, Outcome};
pub use sockeye_protocol::{Args, NamespacePath, Outgoing, OwnedArgs, Parser, Raw};
pub use target::Target;

/// An event with its arguments not decoded yet; see [`Namespace::on_message`] and [`Namespace::on_any`].
pub type Message = sockeye_protocol::event::Message<Socket>;
/// The right to answer an event once; see [`sockeye_protocol::event::Ack`].
pub type Ack = sockeye_protocol::event::Ack<Socket>;
