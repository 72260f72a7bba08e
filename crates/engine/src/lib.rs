//! Engine.IO, its framing for WebSocket and WebTransport, without I/O.
//!
//! A [`Session`] is one Engine.IO connection, seen from either side. It is fed with what happened outside (`handle_*`,
//! with the time as an argument), told what the application wants (plain verbs), and asked what to do next (`poll_*`);
//! it owns no socket, reads no clock, rolls no dice and knows no executor.
//!
//! Four kinds of methods: getters; `handle_*` (inputs: what the peer, the network or the clock did); commands, which are
//! plain verbs (`send`, `close`); `poll_*` (outputs: packets to write, events, when to wake up).
//!
//! **One invariant:** after every input, drain `poll_event` and `poll_transmit` before the next input.
//! No method blocks, allocates without bound, or panics on any input of the peer; the same inputs give the same outputs.
//!
//! ```
//! use std::sync::Arc;
//! use sockeye_engine::{Config, Encoded, Lane, Message, Packet, Revision, Session, Sid};
//!
//! # fn main() -> Result<(), sockeye_engine::ProtocolError> {
//! let now = std::time::Instant::now();
//! let sid = Sid::new("lv_VI97HAXpY6yYWAAAC");
//! let mut session = Session::accept(Arc::new(Config::default()), Revision::V4, &sid, Lane::Stream, now);
//! let open = session.poll_transmit(Lane::Stream).expect("OPEN comes first");
//! assert!(open.packet().starts_with(br#"0{"sid":"lv_VI97HAXpY6yYWAAAC","#));
//!
//! let message = session.handle_packet(now, Lane::Stream, Packet::decode_text("4hello")?)?;
//! assert_eq!(message, Some(Message::Text("hello")));
//! session.send(Encoded::text("hello to you"));
//! assert_eq!(session.poll_transmit(Lane::Stream).unwrap().packet(), b"4hello to you");
//! # Ok(())
//! # }
//! ```

#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::cast_possible_truncation
    )
)]

mod role;
mod growth;
pub mod time;
mod rhythm;
mod sid;
mod error;
mod config;
mod packet;
pub mod ws;
mod encoded;
pub mod wt;
pub mod payload;
pub mod payload_v3;
pub mod handshake;
mod session;

pub use config::Config;
pub use encoded::{Encoded, TextBuffer};
pub use error::{CloseReason, ProtocolError};
pub use growth::growth;
pub use packet::{Message, Packet};
pub use rhythm::Rhythm;
pub use role::{Revision, Role};
pub use session::{Event, Lane, Session};
pub use sid::Sid;
