//! A client and a server connection, two pipes between them, and random behaviour that is within the rules: nobody finds
//! fault with the other, nothing is lost, doubled or out of order, and in the end both know the same.

mod common;

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use common::Peer;
use proptest::prelude::*;
use sockeye_engine::{Message, Revision, Role};
use sockeye_protocol::{AckId, Config, Event, NamespacePath, Outgoing, Parser, ProtocolError, Slot};

/// Deterministic random numbers (splitmix64).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
    }
}

/// One end with what its application knows.
struct End {
    peer: Peer,
    /// What is on its way to this end: whether it is binary, and its bytes.
    inbox: VecDeque<(bool, Vec<u8>)>,
    asked: Vec<Slot>,
    connected: BTreeMap<u16, NamespacePath>,
    /// Last number received on a namespace since it was joined.
    last: BTreeMap<String, u64>,
    received: u64,
}

impl End {
    fn new(role: Role, parser: Parser) -> Self {
        let peer = Peer::with(role, Revision::V4, parser, Config::default());
        Self {
            peer,
            inbox: VecDeque::new(),
            asked: Vec::new(),
            connected: BTreeMap::new(),
            last: BTreeMap::new(),
            received: 0,
        }
    }

    fn leave(&mut self, slot: Slot) {
        if let Some(path) = self.connected.remove(&slot.0) {
            self.last.remove(path.as_str());
        }
    }

    /// A message arrives, and the application sees what comes of it.
    fn handle(&mut self, message: &(bool, Vec<u8>)) {
        let (is_binary, bytes) = message;
        let message = if *is_binary {
            Message::Binary(bytes.as_slice().into())
        } else {
            Message::Text(std::str::from_utf8(bytes).unwrap().strip_prefix('4').unwrap())
        };
        let now = self.peer.now;
        let (slot, number) = match self.peer.connection.handle_message(now, message).expect("no fault") {
            None | Some(Event::Refused { .. }) => return,
            Some(Event::ConnectAsked { slot, .. }) => return self.asked.push(slot),
            Some(Event::Connected { slot, .. }) => {
                let path = self.peer.connection.namespace(slot).unwrap().clone();
                self.connected.insert(slot.0, path);
                return;
            }
            Some(Event::Disconnected { slot }) => return self.leave(slot),
            Some(Event::Received { slot, name, args, ack }) => {
                assert_eq!(name, "n");
                (slot, check(args.decode().unwrap(), ack))
            }
            Some(Event::Replied { slot, ack, args }) => (slot, check(args.decode().unwrap(), Some(ack))),
        };
        let path = self.peer.connection.namespace(slot).unwrap().to_string();
        let last = self.last.insert(path, number);
        assert!(last.is_none_or(|last| last < number), "{last:?} {number}");
        self.received += 1;
    }
}

/// Number and attachments of an event belong together, and its id says the number again.
fn check((number, attachments): (u64, Vec<Bytes>), ack: Option<AckId>) -> u64 {
    for attachment in &attachments {
        assert_eq!(*attachment, number.to_string().as_bytes());
    }
    assert_eq!(attachments.len() as u64, number % 4);
    assert!(ack.is_none_or(|id| id.0 == number));
    number
}

struct World {
    random: Random,
    parser: Parser,
    client: End,
    server: End,
    number: u64,
    /// Nobody leaves or is refused, so nothing may be lost.
    gentle: bool,
}

impl World {
    fn new(seed: u64, parser: &Parser) -> Self {
        let end = |role| End::new(role, parser.clone());
        Self {
            random: Random(seed),
            parser: parser.clone(),
            client: end(Role::Client),
            server: end(Role::Server),
            number: 0,
            gentle: seed.is_multiple_of(3),
        }
    }

    fn step(&mut self) {
        match self.random.below(8) {
            0 => self.connect(),
            1 => self.decide(),
            2 => self.emit(Role::Client),
            3 => self.emit(Role::Server),
            4 if !self.gentle && self.random.below(3) == 0 => {
                let role = if self.random.below(2) == 0 { Role::Client } else { Role::Server };
                self.leave(role);
            }
            5 => self.deliver(Role::Client),
            _ => self.deliver(Role::Server),
        }
    }

    fn connect(&mut self) {
        let path = NamespacePath::new(["/", "/a", "/b"][usize::try_from(self.random.below(3)).unwrap()]);
        if let Ok((_, packet)) = self.client.peer.connection.connect(&path, None) {
            self.client.last.remove(path.as_str());
            send(&mut self.server.inbox, &packet);
        }
    }

    fn decide(&mut self) {
        let Some(slot) = self.server.asked.pop() else { return };
        let now = self.server.peer.now;
        let path = self.server.peer.connection.namespace(slot).unwrap().clone();
        let packet = if self.gentle || self.random.below(3) > 0 {
            self.server.connected.insert(slot.0, path);
            self.server.peer.connection.accept(slot, "sid", None, now)
        } else {
            self.server.peer.connection.refuse(slot, "no", None, now)
        };
        send(&mut self.client.inbox, &packet.expect("asked for once"));
    }

    fn emit(&mut self, role: Role) {
        let paths: Vec<_> = self.ends(role).0.connected.values().cloned().collect();
        let Some(path) = paths.get(usize::try_from(self.random.below(3)).unwrap()) else { return };
        self.number += 1;
        let number = self.number;
        let attachment = Bytes::from(number.to_string());
        let args = (number, vec![attachment; usize::try_from(number % 4).unwrap()]);
        let packet = match number % 3 {
            0 => self.parser.event(path, None, "n", &args),
            1 => self.parser.event(path, Some(AckId(number)), "n", &args),
            _ => self.parser.ack(path, AckId(number), &args),
        };
        let packet = packet.unwrap();
        let (_, to) = self.ends(role);
        send(&mut to.inbox, &packet);
    }

    fn leave(&mut self, role: Role) {
        let (from, to) = self.ends(role);
        let Some((&slot, _)) = from.connected.last_key_value() else { return };
        from.leave(Slot(slot));
        let packet = from.peer.disconnect(Slot(slot)).expect("connected");
        send(&mut to.inbox, &packet);
    }

    fn deliver(&mut self, role: Role) {
        let (end, _) = self.ends(role);
        if let Some(message) = end.inbox.pop_front() {
            end.handle(&message);
        }
    }

    fn ends(&mut self, first: Role) -> (&mut End, &mut End) {
        match first {
            Role::Client => (&mut self.client, &mut self.server),
            Role::Server => (&mut self.server, &mut self.client),
        }
    }

    fn settle(&mut self) {
        while !(self.client.inbox.is_empty() && self.server.inbox.is_empty() && self.server.asked.is_empty()) {
            self.deliver(Role::Client);
            self.deliver(Role::Server);
            self.decide();
        }
        let paths = |end: &End| {
            let mut paths: Vec<_> = end.connected.values().cloned().collect();
            paths.sort();
            paths
        };
        assert_eq!(paths(&self.client), paths(&self.server));
        if self.gentle {
            assert_eq!(self.client.received + self.server.received, self.number);
        }
    }
}

fn send(inbox: &mut VecDeque<(bool, Vec<u8>)>, packet: &Outgoing) {
    inbox.extend(packet.messages().map(|message| (message.is_binary(), message.packet().to_vec())));
}

#[test]
fn both_sides_agree_whatever_happens() {
    let mut delivered = 0;
    for parser in [Parser::Json, Parser::Msgpack] {
        for seed in 0..400 {
            let mut world = World::new(seed, &parser);
            for _ in 0..300 {
                world.step();
            }
            world.settle();
            delivered += world.client.received + world.server.received;
        }
    }
    assert!(delivered > 10_000, "{delivered}");
}

/// A packet that was nearly right.
fn mangled() -> impl Strategy<Value = String> {
    let good = prop::sample::select(vec![
        r#"2["e",{"a":[1,-2.5e3,"x\u00e9\n"]},null,true]"#,
        r#"2/a,12["e"]"#,
        r#"51-/a,["e",{"_placeholder":true,"num":0}]"#,
        r#"62-9[{"num":1,"_placeholder":true}]"#,
        r#"0/b?x=1,{"t":1}"#,
        r#"0{"sid":"x","pid":"y"}"#,
        r#"4{"message":"m","data":[1]}"#,
        "1/a,",
        "39[]",
    ]);
    (good, proptest::collection::vec((any::<prop::sample::Index>(), "\\PC{0,2}|[\"\\\\{}\\[\\],:/0-9-]"), 0..4))
        .prop_map(|(good, edits)| {
            let mut text: Vec<char> = good.chars().collect();
            for (place, new) in edits {
                let place = place.index(text.len().max(1)).min(text.len());
                text.splice(place..(place + 1).min(text.len()), new.chars());
            }
            text.into_iter().collect()
        })
}

fn feed(role: Role, parser: &Parser, messages: &[Message<'_>]) -> Result<(), ProtocolError> {
    let mut peer = Peer::with(role, Revision::V4, parser.clone(), Config::default());
    for path in ["/", "/a"] {
        if role == Role::Client {
            peer.connection.connect(&NamespacePath::new(path), None).unwrap();
        } else if matches!(parser, Parser::Json) {
            peer.join(path);
        }
    }
    for message in messages {
        let now = peer.now;
        match peer.connection.handle_message(now, message.clone())? {
            Some(Event::ConnectAsked { slot, auth, .. }) => {
                let _decodes_or_not = auth.decode::<serde_json::Value>();
                peer.accept(slot).expect("asked for");
            }
            Some(Event::Received { args, .. } | Event::Replied { args, .. }) => {
                let raw = args.decode::<sockeye_protocol::Raw>().expect("raw takes anything");
                let text = Parser::Json.event(&NamespacePath::main(), None, "e", &raw);
                assert!(text.is_ok() && Parser::Msgpack.event(&NamespacePath::main(), None, "e", &raw).is_ok());
                let _decodes_or_not = args.decode::<(Option<serde_json::Value>, String, Vec<Bytes>)>();
            }
            _ => {}
        }
        peer.connection.poll_timeout();
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn nothing_a_peer_sends_as_text_panics(texts in proptest::collection::vec(mangled(), 1..5), client in any::<bool>()) {
        let role = if client { Role::Client } else { Role::Server };
        let mut messages: Vec<_> = texts.iter().map(|text| Message::Text(text)).collect();
        messages.insert(1, Message::Binary(b"x".into()));
        let _refused_or_not = feed(role, &Parser::Json, &messages);
    }

    #[test]
    fn nothing_a_peer_sends_as_msgpack_panics(edits in proptest::collection::vec((0_usize..80, any::<u8>()), 0..4), client in any::<bool>()) {
        let role = if client { Role::Client } else { Role::Server };
        let connect = Parser::Msgpack.connect(&NamespacePath::main(), None::<&()>).unwrap();
        let args = (1, "two", [3.5, -4.0], Some(Bytes::from_static(b"six")), -70_000);
        let event = Parser::Msgpack.event(&NamespacePath::main(), Some(AckId(300)), "event", &args).unwrap();
        let mut bytes = event.first.packet().to_vec();
        for (place, byte) in edits {
            let place = place % bytes.len();
            bytes[place] = byte;
        }
        let messages = [Message::Binary(connect.first.packet().into()), Message::Binary(bytes.into())];
        let messages = if client { &messages[1..] } else { &messages[..] };
        let _refused_or_not = feed(role, &Parser::Msgpack, messages);
    }

    #[test]
    fn no_bytes_at_all_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64), text in any::<String>()) {
        for role in [Role::Client, Role::Server] {
            let _refused_or_not = feed(role, &Parser::Msgpack, &[Message::Binary(bytes.as_slice().into())]);
            let _refused_or_not = feed(role, &Parser::Json, &[Message::Text(&text), Message::Binary(bytes.as_slice().into())]);
        }
    }
}
