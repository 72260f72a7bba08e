//! Opening handshake: from HTTP to WebSocket.                                                           [RFC 6455 §4]
//!
//! A server judges the headers of a request with [`accept`]; whoever read the request passes them as byte slices. A
//! client encodes a [`Request`] and gives what it reads to the [`Handshake`] that came of it.

mod headers;
mod server;
mod client;

pub use client::{Established, Handshake, InvalidRequest, MAX_HEAD, Rejected, Request};
pub use headers::accept_key;
pub use server::{Accepted, Refusal, accept};
