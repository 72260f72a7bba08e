//! An in-memory network and a virtual clock for testing Sockeye applications: no port, no waiting, the same every time.
//!
//! A test is a dialogue in literal wire text. `…` in what is expected stands for an id and gives it back:
//!
//! ```
//! use std::time::Duration;
//! use sockeye_testing::Net;
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! let io = sockeye::Server::new();
//! io.on_with_ack("sum", async |_, (a, b): (u32, u32)| a + b);
//!
//! let net = Net::new(&io);
//! let mut alice = net.websocket().await;              // has read the handshake
//! alice.send("40").await;
//! let sid = alice.expect("40{\"sid\":\"…\"}").await;
//! assert_eq!(sid[0].len(), 22);
//! alice.send("420[\"sum\",2,3]").await;
//! alice.expect("430[5]").await;
//!
//! net.advance(Duration::from_secs(25)).await;
//! alice.expect("2").await;                            // a heartbeat
//! drop(alice);
//! net.assert_clean().await;
//! # }
//! ```
//!
//! # The clock
//!
//! A test runs on a single thread with tokio's clock paused: `#[tokio::test(start_paused = true)]`. Time passes in
//! [`Net::advance`] and nowhere else in this crate: `expect` fails at once if what it expects has not come when
//! everything that can run has run.

mod pattern;
mod frame;
mod wire;
mod settle;
mod websocket;
mod exchange;
mod net;
mod polling;

pub use exchange::{Answer, Exchange};
pub use frame::Frame;
pub use net::Net;
pub use polling::Polling;
pub use settle::settle;
pub use websocket::WebSocket;
