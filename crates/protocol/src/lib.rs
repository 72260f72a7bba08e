//! Socket.IO without I/O: packets, arguments, acknowledgements, namespaces, and the vocabulary of events.
//!
//! A [`Connection`] is Socket.IO on one Engine.IO session. As in `sockeye-engine`, it is fed with `handle_*`, told with
//! plain verbs and asked with `poll_*`; it does no I/O, reads no clock and knows no executor.

#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::cast_possible_truncation)]

mod error;
mod path;
mod config;
mod ack;
mod key;
mod json;
mod msgpack;
pub mod args;
mod packet;
pub mod parser;
mod connection;
pub mod event;
#[cfg(feature = "typescript")]
pub mod typescript;

pub use ack::{AckId, AckTable};
pub use args::{Args, OwnedArgs, Raw};
pub use config::Config;
pub use connection::{Connected, Connection, Event, Slot};
pub use error::{DecodeError, EncodeError, ProtocolError};
pub use packet::Outgoing;
pub use parser::Parser;
pub use path::NamespacePath;
