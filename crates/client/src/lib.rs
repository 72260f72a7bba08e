//! Socket.IO client: events, acknowledgements, reconnection, several namespaces on one connection.
//!
//! ```no_run
//! use std::time::Duration;
//! use serde_json::json;
//! use sockeye_client::{Client, BoxError};
//!
//! # async fn example() -> Result<(), BoxError> {
//! let client = Client::builder("https://chat.example")
//!     .auth_with(async || json!({ "token": "fresh" }))        // asked before every attempt
//!     .on("chat message", async |_, (room, text): (String, String)| println!("{room}: {text}"))
//!     .on_disconnect(async |_, reason| println!("gone: {reason}"))
//!     .connect()
//!     .await?;                                                // in the namespace, or the server's refusal
//!
//! client.emit("chat message", ("lobby", "hello"))?;          // offline: kept in a bounded queue
//! let total: u32 = client.emit_with_ack("order", json!({ "id": 1 })).timeout(Duration::from_secs(3)).await?;
//! let admin = client.of("/admin").auth(json!({ "key": total })).connect().await?; // on the same connection
//! admin.disconnect().await;
//! client.disconnect().await;                                  // final from every state
//! # Ok(()) }
//! ```
//!
//! **Arguments** follow one rule: a tuple is several, `()` is none, anything else is one. Bytes (`bytes::Bytes`,
//! `serde_bytes`) travel as attachments. [`Event`] constants give events names with types.
//!
//! **Reading in a loop** is the other style; it takes what no handler takes:
//!
//! ```no_run
//! # async fn example(client: sockeye_client::Client) -> Result<(), sockeye_client::BoxError> {
//! while let Some(message) = client.next().await {
//!     match message.event() {
//!         "tick" => println!("{}", message.args::<u64>()?),
//!         other => println!("unknown: {other}"),
//!     }
//! }
//! # Ok(()) }
//! ```
//!
//! **When the connection is lost** the client comes back by itself ([`Reconnect`]); [`Client::watch`] tells how far it
//! is. Events that were given to the network may be lost with it, as in every Socket.IO client; those that were not wait
//! for the next connection. [`ClientBuilder::retries`] sends each event until it is acknowledged.
//! [`Client::last_disconnect`] says what ended a connection: a [`Cause`] beside the reason, such as a limit by its name.
//!
//! Each connection is one task of the tokio runtime; handlers run in it. It ends when its last client is disconnected.

#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod cause;
mod error;
mod random;
mod time;
mod clocks;
mod backoff;
mod patience;
mod cookie;
mod address;
mod proxy;
#[cfg(feature = "tls")]
mod tls;
mod dial;
mod config;
mod transport;
mod state;
mod queue;
mod measure;
mod hooks;
mod watchers;
mod link;
mod ack;
mod session;
mod disconnected;
mod client;
mod opening;
mod builder;
mod handlers;
mod check;

pub use ack::AckFuture;
pub use backoff::Reconnect;
pub use builder::ClientBuilder;
pub use cause::{Cause, Limit};
pub use client::{Compressed, Volatile};
pub use config::{Transport, WhenFull};
pub use disconnected::Disconnected;
pub use error::{AckError, BoxError, ConfigError, ConnectError, DisconnectReason, EmitError, HandlerError};
pub use link::{Ack, Client, Message};
pub use proxy::Proxy;
pub use sockeye_protocol::event::{Event, Listener, Outcome, Reply};
pub use sockeye_protocol::parser;
#[cfg(feature = "typescript")]
pub use sockeye_protocol::typescript;
pub use sockeye_protocol::{Args, Parser, Raw};
pub use state::{Disconnect, Ending, State, Watch};
#[cfg(feature = "tls")]
pub use tls::Tls;
