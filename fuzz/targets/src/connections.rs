//! Socket.IO on one session: packets in both forms, alone and in any order with anything in between.

use std::sync::Arc;

use serde_json::Value;
use sockeye_engine::time::{Duration, Instant};
use sockeye_engine::{Message, Packet, Revision, Role};
use sockeye_protocol::{AckId, Config, Connection, Event, NamespacePath, Outgoing, Parser, Raw, Slot};

use crate::input::{Input, text};
use crate::target::Target;

pub(crate) const PARSER_JSON: Target = Target {
    name: "parser_json",
    run: parser_json,
    // Messages with line feeds between them; one that begins with `\x01` is binary.
    seeds: &[
        b"2[\"hello\",1,\"\\u20ac\",{\"a\":[null,true,1.5e-3]}]",
        b"212[\"ask\"]\n31[]\n2/admin,[\"elsewhere\"]\n0/admin,{\"token\":1}",
        b"52-[\"up\",{\"_placeholder\":true,\"num\":1},{\"x\":{\"_placeholder\":true,\"num\":0}}]\n\x01ab\n\x01cd",
        b"61-7[{\"_placeholder\":true,\"num\":0}]\n\x01ab",
        b"50-[\"a\"]\n\x01x",
        b"51-/admin,3[\"a\",{\"num\":0,\"_placeholder\":true}]\n2[\"b\"]",
        b"2[\"\\u0061\\ud83d\\ude00\",\"\\\\\",-0,1e400,[[[[[[]]]]]]]",
        b"2[1,2]\n2[{}]\n2[null]\n2[]\n2{}",
        b"1\n2[\"late\"]\n0\n4{\"message\":\"no\"}",
    ],
    mutations: 1_000,
};

pub(crate) const PARSER_MSGPACK: Target = Target {
    name: "parser_msgpack",
    run: parser_msgpack,
    // Messages, each with its length before it.
    seeds: &[
        b"\x1d\x83\xa4type\x02\xa4data\x92\xa1a\x01\xa3nsp\xa1/",
        b"\x1d\x84\xa4type\x02\xa4data\x92\xa1a\xc4\x02xy\xa2id\x07\xa3nsp\xa1/",
        b"\x18\x84\xa4type\x03\xa4data\x90\xa2id\x07\xa3nsp\xa1/",
        b"\x19\x83\xa4type\x00\xa4data\x81\xa1k\xc0\xa3nsp\xa2/x",
        b"\x30\x83\xa4type\x02\xa4data\x94\xa1a\xd4\x00\x00\xd7\x00\x00\x00\x01\x7f\x00\x00\x00\x00\xc7\x02\x00ab\xa3nsp\xa1/",
        b"\x20\x83\xa4type\x02\xa4data\x92\xa1a\xdd\xff\xff\xff\xff\xa3nsp\xa1/",
        b"\x20\x83\xa4type\xcb\x40\x00\x00\x00\x00\x00\x00\x00\xa4data\x91\xa1a\xa3nsp\xa1/",
    ],
    mutations: 1_000,
};

pub(crate) const CONNECTION: Target = Target {
    name: "connection",
    run: connection,
    // Role, then an operation and what it needs, and so on.
    seeds: &[
        b"\x00\x00\x010\x01\x00\x00\x1d51-[\"a\",{\"_placeholder\":true\x00\x0d2[\"a\",\"hello\"]\x05\x01",
        b"\x01\x06\x00\x1d0{\"sid\":\"abc\",\"pid\":\"private\"}\x00\x062[\"a\"]\x03\x00",
        b"\x02\x01\x00\x00\x072[\"old\"]\x04\xff",
        b"\x04\x07\x19\x83\xa4type\x00\xa4data\x81\xa1k\xc0\xa3nsp\xa1/\x01\x00\x07\x1d\x83\xa4type\x02\xa4data\x92\xa1a\x01\xa3nsp\xa1/",
        b"\x00\x00\x050/adm\x02\x00\x00\x050/adm\x01\x00\x00\x06 1/adm\x08",
    ],
    mutations: 1_000,
};

fn parser_json(data: &[u8]) {
    let mut server = joined(Role::Server, Parser::Json);
    let mut client = joined(Role::Client, Parser::Json);
    for line in data.split(|byte| *byte == b'\n') {
        let message = match line.split_first() {
            Some((1, bytes)) => Message::Binary(bytes.into()),
            _ => Message::Text(text(line)),
        };
        if !pass_on(&mut server, message, &mut client, &Parser::Json) {
            return;
        }
    }
}

fn parser_msgpack(data: &[u8]) {
    let mut server = joined(Role::Server, Parser::Msgpack);
    let mut clients = [joined(Role::Client, Parser::Msgpack), joined(Role::Client, Parser::Json)];
    let mut input = Input::new(data);
    while !input.is_empty() {
        let bytes = input.chunk();
        for (client, parser) in clients.iter_mut().zip([Parser::Msgpack, Parser::Json]) {
            let mut fork = joined(Role::Server, Parser::Msgpack);
            pass_on(&mut fork, Message::Binary(bytes.into()), client, &parser);
        }
        if server.handle_message(Instant::now(), Message::Binary(bytes.into())).is_err() {
            return;
        }
    }
}

/// A connection which is in the main namespace.
fn joined(role: Role, parser: Parser) -> Connection {
    let now = Instant::now();
    let config = Arc::new(Config { max_depth: 64, ..Config::default() });
    let main = NamespacePath::main();
    let mut connection = Connection::new(role, Revision::V4, parser.clone(), config, now);
    let packet = match role {
        Role::Server => parser.connect::<Value>(&main, None).expect("no auth is fine"),
        Role::Client => {
            connection.connect(&main, None).expect("the first namespace");
            parser.connected(Revision::V4, &main, "a", None)
        }
    };
    deliver(&mut connection, &packet, |_| ());
    if role == Role::Server {
        connection.accept(Slot(0), "a", None, now).expect("was asked for");
    }
    connection
}

/// Whether the message was fine. What the server received and passes on, the client receives as the same.
fn pass_on(server: &mut Connection, message: Message<'_>, client: &mut Connection, parser: &Parser) -> bool {
    let main = NamespacePath::main();
    let main_slot = Slot(0);
    let (sent, name, before) = match server.handle_message(Instant::now(), message) {
        Ok(Some(Event::Received { slot, name, args, ack })) if slot == main_slot => {
            let raw = Raw::from(args.to_owned());
            (parser.event(&main, ack, &name, &raw), Some(name.into_owned()), values(&raw))
        }
        Ok(Some(Event::Replied { slot, ack, args })) if slot == main_slot => {
            let raw = Raw::from(args.to_owned());
            (parser.ack(&main, ack, &raw), None, values(&raw))
        }
        Ok(_) => return true,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return false;
        }
    };
    // What came as msgpack may hold what JSON cannot: then it is not sent.
    let Ok(packet) = sent else { return true };
    if packet.attachment_count() <= Config::default().max_attachments {
        let received = deliver(client, &packet, |event| match event {
            Event::Received { name, args, .. } => {
                (Some(name.clone().into_owned()), values(&Raw::from(args.to_owned())))
            }
            Event::Replied { args, .. } => (None, values(&Raw::from(args.to_owned()))),
            other => panic!("an event became {other:?}"),
        });
        let (received_name, after) = received.expect("something arrives");
        assert_eq!(received_name, name);
        assert!(before.is_none() || before == after, "{before:?} became {after:?}");
    }
    true
}

/// The first arguments, if they are all plain values. What is no number in MessagePack reads as `null`, and is written so.
fn values(raw: &Raw) -> Option<[Option<Value>; 4]> {
    let values: [Option<Value>; 4] = raw.as_args().decode().ok()?;
    Some(values.map(|value| value.filter(|value| !value.is_null())))
}

/// Hands a packet over; what came of it.
///
/// # Panics
/// When it is refused: we wrote it ourselves.
fn deliver<T>(connection: &mut Connection, packet: &Outgoing, see: impl Fn(&Event<'_>) -> T) -> Option<T> {
    let mut seen = None;
    for message in packet.messages() {
        let message = if message.is_binary() {
            Message::Binary(message.packet().into())
        } else {
            match Packet::decode_text(text(message.packet())) {
                Ok(Packet::Message(message)) => message,
                other => panic!("not a message: {other:?}"),
            }
        };
        let event = connection.handle_message(Instant::now(), message);
        seen = event.expect("we wrote it ourselves").map(|event| see(&event));
    }
    seen
}

fn connection(data: &[u8]) {
    let mut input = Input::new(data);
    let choice = input.byte();
    let role = if choice & 1 == 0 { Role::Server } else { Role::Client };
    let revision = if choice & 2 == 0 { Revision::V4 } else { Revision::V3 };
    let parser = if choice & 4 == 0 { Parser::Json } else { Parser::Msgpack };
    let config = Config { max_namespaces: 4, max_attachments: 3, max_attachment_bytes: 100, ..Config::default() };
    let mut now = Instant::now();
    let mut connection = Connection::new(role, revision, parser, Arc::new(config), now);
    let _ = connection.poll_event();
    while !input.is_empty() {
        let operation = input.byte();
        if operation % 16 == 4 {
            now += Duration::from_secs(u64::from(input.byte()));
        }
        if !operate(&mut connection, operation, &mut input, now) {
            return;
        }
        let deadline = connection.poll_timeout();
        assert!(deadline.is_none_or(|deadline| deadline <= now + Duration::from_mins(1)), "a wait without bound");
    }
}

/// One thing that happens; false if the connection is over.
fn operate(connection: &mut Connection, operation: u8, input: &mut Input<'_>, now: Instant) -> bool {
    match operation % 9 {
        0 => return handle(connection, Message::Text(text(input.chunk())), now),
        7 => return handle(connection, Message::Binary(input.chunk().into()), now),
        1 => drop(connection.accept(slot(input), "sid", None, now)),
        2 => drop(connection.refuse(slot(input), "no", None, now)),
        3 => drop(connection.disconnect(slot(input), now)),
        4 => return connection.handle_timeout(now).is_ok(),
        5 => {
            if let Some(path) = connection.namespace(slot(input)) {
                let id = Some(AckId(u64::from(input.byte())));
                connection.parser().event(path, id, "event", &("a", 1)).expect("plain values can be sent");
            }
        }
        6 => drop(connection.connect(&NamespacePath::main(), None)),
        _ => connection.release(),
    }
    true
}

fn handle(connection: &mut Connection, message: Message<'_>, now: Instant) -> bool {
    let slot = match connection.handle_message(now, message) {
        Err(_) => return false,
        Ok(Some(Event::ConnectAsked { slot, .. } | Event::Connected { slot, .. } | Event::Received { slot, .. })) => {
            slot
        }
        Ok(_) => return true,
    };
    assert!(connection.namespace(slot).is_some(), "an event of a namespace that nobody knows");
    true
}

fn slot(input: &mut Input<'_>) -> Slot {
    Slot(u16::from(input.byte() % 6))
}
