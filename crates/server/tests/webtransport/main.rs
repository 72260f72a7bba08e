//! WebTransport over loopback, with a client that is no browser; what is written and what is read are literal.

#![cfg(feature = "webtransport")]

mod clock;
mod mangled;
mod peer;
mod deadlines;
mod garbled;
mod flood;
mod gates;
mod hostile;
mod migration;
mod sessions;
mod slow_readers;
mod upgrades;
