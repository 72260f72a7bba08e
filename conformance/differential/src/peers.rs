//! Our two sides, ready for what arrives, and messages on their way to them and to the JavaScript side.

use std::sync::Arc;

use serde_json::{Value, json};
use sockeye_engine::time::Instant;
use sockeye_engine::{Message, Packet, Revision, Role};
use sockeye_protocol::{Config, Connection, Event, NamespacePath, Outgoing, Parser, Slot};

use crate::corpus::Arriving;
use crate::tree::hex;

/// Where the peer is, besides `/other`, which a client has asked for.
pub(crate) const PATHS: [&str; 2] = ["/", "/admin"];

/// The namespaces that a peer knows.
pub(crate) type Slots = Vec<(Slot, &'static str)>;

/// A server that has let a client into two namespaces.
pub(crate) fn server(parser: &Parser) -> (Connection, Slots) {
    let now = Instant::now();
    let config = Arc::new(Config::default());
    let mut server = Connection::new(Role::Server, Revision::V4, parser.clone(), config, now);
    let mut slots = Vec::new();
    for path in PATHS {
        let asked = parser.connect::<Value>(&path_of(path), None).expect("no auth is fine");
        let slot = match server.handle_message(now, message(&arriving(&asked)[0])) {
            Ok(Some(Event::ConnectAsked { slot, .. })) => slot,
            other => panic!("CONNECT became {other:?}"),
        };
        server.accept(slot, "sid", None, now).expect("was asked for");
        slots.push((slot, path));
    }
    (server, slots)
}

/// A client that is in two namespaces, and has asked for one more.
pub(crate) fn client(parser: &Parser) -> (Connection, Slots) {
    let now = Instant::now();
    let mut client = Connection::new(Role::Client, Revision::V4, parser.clone(), Arc::new(Config::default()), now);
    let mut slots = Vec::new();
    for path in PATHS.into_iter().chain(["/other"]) {
        let (slot, _) = client.connect(&path_of(path), None).expect("it is free");
        if path != "/other" {
            let connected = arriving(&parser.connected(Revision::V4, &path_of(path), "sid", None));
            client.handle_message(now, message(&connected[0])).expect("was asked for");
        }
        slots.push((slot, path));
    }
    (client, slots)
}

pub(crate) fn path_of(path: &str) -> NamespacePath {
    NamespacePath::new(path)
}

/// The messages of a packet, as they would arrive.
pub(crate) fn arriving(packet: &Outgoing) -> Vec<Arriving> {
    let of = |message: &sockeye_engine::Encoded| {
        let bytes = message.packet();
        if message.is_binary() {
            return Err(bytes.to_vec());
        }
        match Packet::decode_text(std::str::from_utf8(bytes).expect("we write UTF-8")) {
            Ok(Packet::Message(Message::Text(text))) => Ok(text.to_owned()),
            other => panic!("not a message: {other:?}"),
        }
    };
    packet.messages().map(of).collect()
}

pub(crate) fn message(arriving: &Arriving) -> Message<'_> {
    match arriving {
        Ok(text) => Message::Text(text),
        Err(bytes) => Message::Binary(bytes.into()),
    }
}

/// Messages as they travel to the JavaScript side.
pub(crate) fn told(messages: &[Arriving]) -> Vec<Value> {
    let of = |message: &Arriving| match message {
        Ok(text) => json!(text),
        Err(bytes) => json!({ "b": hex(bytes) }),
    };
    messages.iter().map(of).collect()
}
