//! The HTTP side as it is on the wire: what is written and what is read are literal.

#[cfg(feature = "tls")]
#[path = "../webtransport/clock.rs"]
mod clock;
mod wire;
mod axum;
mod beside;
mod bodies;
mod configuration;
mod cors;
mod deflate;
mod half_closed;
mod hooks;
mod http1;
#[cfg(feature = "http2")]
mod http2;
mod listening;
mod mounted;
mod panics;
mod proxied;
mod strangers;
#[cfg(feature = "tls")]
mod tls;
#[cfg(feature = "tls")]
mod tls_deadlines;
mod tricks;
