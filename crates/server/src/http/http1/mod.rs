//! HTTP/1.1 as clients of Socket.IO speak it, for the own accept loop.                                  [RFC 9112]
//!
//! A library would keep two buffers for each connection. A client that polls does nothing but wait as a rule: here it
//! keeps no buffer meanwhile, and nothing of its request. What others are asked for is passed on piece by piece.

mod known;
mod head;
mod chunks;
mod wire;
mod incoming;
mod response;
mod upload;
mod leaving;
mod download;
mod conversation;

pub(super) use conversation::{Speaker, converse};
