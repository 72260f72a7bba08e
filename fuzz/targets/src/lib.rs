//! What is fuzzed, as plain functions of bytes. A function panics if and only if the code under test has a fault: it
//! panicked itself, or broke a promise that holds for every input.
//!
//! `cargo xtask fuzz` calls them with what a fuzzer invents; the tests of this crate with the seeds, with inputs that once
//! were a fault, and with a few thousand mutations of them.

mod target;
mod input;
pub mod mutation;
mod packets;
mod frames;
mod streams;
mod handshakes;
mod arguments;
mod connections;
mod sessions;
mod requests;
mod servers;
mod proxies;
mod jsonp;
mod clients;

pub use target::Target;

/// All of them, from the bottom of the protocol to the top.
pub const TARGETS: [Target; 17] = [
    packets::PACKET,
    packets::PAYLOAD,
    packets::PAYLOAD_V3,
    frames::WS_MESSAGE,
    streams::WT_STREAM,
    handshakes::HANDSHAKE,
    connections::PARSER_JSON,
    connections::PARSER_MSGPACK,
    arguments::ARGS,
    connections::CONNECTION,
    sessions::SESSION,
    requests::HTTP1,
    servers::SERVER,
    proxies::PROXY,
    jsonp::JSONP,
    clients::CLIENT_HTTP,
    clients::CLIENT,
];

/// Runs the target of this name: what the programs call.
///
/// # Panics
/// When the input shows a fault, or there is no such target.
pub fn run(name: &str, data: &[u8]) {
    let target = TARGETS.iter().find(|target| target.name == name);
    (target.unwrap_or_else(|| panic!("there is no target {name}")).run)(data);
}
