//! A peer which is told literal packets.

#![allow(dead_code, unreachable_pub, reason = "each test uses its part")]

use std::sync::Arc;

use sockeye_engine::time::{Duration, Instant};
use sockeye_engine::{Message, Revision, Role};
use sockeye_protocol::{Config, Connection, Event, Outgoing, Parser, ProtocolError, Slot};

/// A connection and its clock.
pub struct Peer {
    pub connection: Connection,
    pub now: Instant,
}

impl Peer {
    pub fn with(role: Role, revision: Revision, parser: Parser, config: Config) -> Self {
        let now = Instant::now();
        Self { connection: Connection::new(role, revision, parser, Arc::new(config), now), now }
    }

    pub fn server() -> Self {
        Self::with(Role::Server, Revision::V4, Parser::Json, Config::default())
    }

    pub fn client() -> Self {
        Self::with(Role::Client, Revision::V4, Parser::Json, Config::default())
    }

    /// A server in whose namespaces the client is.
    pub fn joined(namespaces: &[&str]) -> Self {
        let mut server = Self::server();
        for namespace in namespaces {
            server.join(namespace);
        }
        server
    }

    pub fn advance(&mut self, time: Duration) {
        self.now += time;
    }

    pub fn timeout(&mut self) -> Result<(), ProtocolError> {
        self.connection.handle_timeout(self.now)
    }

    /// What comes of a text, told by its `Debug`, which has sizes in place of payloads.
    pub fn text(&mut self, text: &str) -> Result<Option<Event<'_>>, ProtocolError> {
        // The event may not borrow from a text which ends before it.
        let text: &'static str = Box::leak(text.into());
        self.connection.handle_message(self.now, Message::Text(text))
    }

    pub fn binary(&mut self, bytes: &[u8]) -> Result<Option<Event<'_>>, ProtocolError> {
        self.connection.handle_message(self.now, Message::Binary(bytes.to_vec().into()))
    }

    /// The client asks for a namespace.
    pub fn ask(&mut self, namespace: &str) -> Slot {
        match self.text(&format!("0{namespace},")) {
            Ok(Some(Event::ConnectAsked { slot, namespace: asked, .. })) => {
                assert_eq!(asked.as_str(), namespace);
                slot
            }
            other => panic!("{other:?}"),
        }
    }

    pub fn accept(&mut self, slot: Slot) -> Option<Outgoing> {
        self.connection.accept(slot, "sid", None, self.now)
    }

    pub fn join(&mut self, namespace: &str) -> Slot {
        let slot = self.ask(namespace);
        self.accept(slot).expect("asked for");
        slot
    }

    pub fn refuse(&mut self, slot: Slot) -> Option<Outgoing> {
        self.connection.refuse(slot, "no", None, self.now)
    }

    pub fn disconnect(&mut self, slot: Slot) -> Option<Outgoing> {
        self.connection.disconnect(slot, self.now)
    }

    /// The message is passed over.
    pub fn ignores(&mut self, text: &str) {
        assert!(matches!(self.text(text), Ok(None)), "{text}");
    }

    pub fn refuses(&mut self, text: &str, error: &ProtocolError) {
        match self.text(text) {
            Err(other) => assert_eq!(&other, error, "{text}"),
            Ok(event) => panic!("{text} gave {event:?}"),
        }
    }

    /// Asserts an event with this name in this slot.
    pub fn receives(&mut self, text: &str, slot: Slot, name: &str) {
        match self.text(text) {
            Ok(Some(Event::Received { slot: at, name: is, .. })) => assert_eq!((at, &*is), (slot, name), "{text}"),
            other => panic!("{text} gave {other:?}"),
        }
    }
}

/// The text of a packet.
pub fn text_of(packet: &Outgoing) -> String {
    let text = std::str::from_utf8(packet.first.packet()).expect("text");
    text.strip_prefix('4').expect("a message").to_owned()
}
