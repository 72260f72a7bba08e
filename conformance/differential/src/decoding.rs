//! Packets of Socket.IO as they arrive: whatever ours takes, theirs takes as the same.

use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use sockeye_engine::time::Instant;
use sockeye_engine::{Message, Packet, Revision, Role};
use sockeye_fuzz_targets::mutation::Random;
use sockeye_protocol::{Args, Config, Connection, Event, NamespacePath, Outgoing, Parser, ProtocolError, Raw};

use crate::corpus;
use crate::found::{Difference, Stricter};
use crate::judge::Judge;
use crate::tree::{Tree, bits, hex};

/// A message as it arrives: text or bytes.
type Arriving = Result<String, Vec<u8>>;

pub(crate) fn json(judge: &mut Judge, random: &mut Random, stricter: &mut Stricter) -> Result<(), Difference> {
    let messages = corpus::messages(random);
    Comparison { parser: Parser::Json, name: "json", judge, stricter }.run(&messages)
}

pub(crate) fn msgpack(judge: &mut Judge, random: &mut Random, stricter: &mut Stricter) -> Result<(), Difference> {
    let messages = [Err(corpus::packed(random))];
    Comparison { parser: Parser::Msgpack, name: "msgpack", judge, stricter }.run(&messages)
}

/// A server that has let a client into two namespaces.
pub(crate) fn server(parser: &Parser) -> Connection {
    let now = Instant::now();
    let config = Arc::new(Config::default());
    let mut server = Connection::new(Role::Server, Revision::V4, parser.clone(), config, now);
    for path in ["/", "/admin"] {
        let asked = parser.connect::<Value>(&path_of(path), None).expect("no auth is fine");
        let slot = match server.handle_message(now, message(&arriving(&asked)[0])) {
            Ok(Some(Event::ConnectAsked { slot, .. })) => slot,
            other => panic!("CONNECT became {other:?}"),
        };
        server.accept(slot, "sid", None, now).expect("was asked for");
    }
    server
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

struct Comparison<'a> {
    parser: Parser,
    name: &'static str,
    judge: &'a mut Judge,
    stricter: &'a mut Stricter,
}

impl Comparison<'_> {
    fn run(&mut self, messages: &[Arriving]) -> Result<(), Difference> {
        let theirs = self.judge.socket_decode(self.name, &told(messages))?;
        let mut server = server(&self.parser);
        for (at, (arriving, theirs)) in messages.iter().zip(&theirs).enumerate() {
            let fail =
                |what: String| Err(format!("{}: {messages:?}, message {at}: {what}, to them {theirs}", self.name));
            let refused = theirs == "error";
            match server.handle_message(Instant::now(), message(arriving)) {
                Err(_) if refused => return Ok(()),
                Err(error) if on_purpose(&error, arriving, theirs) => {
                    *self.stricter.entry(format!("{} {error:?}", self.name)).or_default() += 1;
                    return Ok(());
                }
                Err(error) => return fail(format!("{error:?}")),
                Ok(_) if refused && has_nil_for_nothing(arriving) => {
                    *self.stricter.entry("msgpack nil for nothing, which ours takes".to_owned()).or_default() += 1;
                    return Ok(());
                }
                Ok(event) if refused => return fail(format!("{event:?}")),
                // A second CONNECT before the answer to the first gets that answer.
                Ok(None) if theirs.is_null() || theirs["type"] == 0 => {}
                Ok(Some(event @ (Event::Received { .. } | Event::Replied { .. }))) => {
                    let seen = see(&event, theirs);
                    let matches = seen.as_ref().is_none_or(|seen| seen == theirs);
                    if !matches && has_foreign_extension(arriving) {
                        *self.stricter.entry("msgpack extension of no known meaning".to_owned()).or_default() += 1;
                        return Ok(());
                    }
                    if !matches && theirs.to_string().contains(" GMT") {
                        *self.stricter.entry("msgpack date as a key".to_owned()).or_default() += 1;
                        return Ok(());
                    }
                    if !matches {
                        return fail(format!("{event:?} = {}", seen.unwrap_or_default()));
                    }
                    let again = passed_on(&self.parser, &event);
                    self.compare_again(theirs, again.as_deref())?;
                }
                // They ask about the same thing; then ours leaves what JavaScript's parser knows nothing of.
                Ok(Some(Event::ConnectAsked { .. })) if theirs["type"] == 0 => {}
                Ok(Some(Event::Disconnected { .. })) if theirs["type"] == 1 => return Ok(()),
                Ok(event) => return fail(format!("{event:?}")),
            }
        }
        Ok(())
    }

    /// What is passed on without being decoded arrives there as what it was.
    fn compare_again(&mut self, before: &Value, messages: Option<&[Arriving]>) -> Result<(), Difference> {
        let Some(messages) = messages else { return Ok(()) };
        let after = self.judge.socket_decode(self.name, &told(messages))?;
        let Some(mut after) = after.last().cloned() else { return Err("nothing arrives".to_owned()) };
        // The main namespace and no id: that is how it is passed on.
        after["nsp"] = before["nsp"].clone();
        after["id"] = before["id"].clone();
        if after["type"] == before["type"] && after["data"] == before["data"] {
            return Ok(());
        }
        Err(format!("{}: {before} was passed on as {messages:?}, which is {after}", self.name))
    }
}

/// What an event is, in the form of the JavaScript side, which tells how many arguments to look for. `None` if it has more
/// than we look for, or a number that no type can hold.
fn see(event: &Event<'_>, theirs: &Value) -> Option<Value> {
    let all = theirs["data"].as_array()?;
    let (kind, id, name, args) = match event {
        Event::Received { name, args, ack, .. } => (2, ack.map(|ack| ack.0), Some(json!(name)), args),
        Event::Replied { ack, args, .. } => (3, Some(ack.0), None, args),
        _ => return None,
    };
    let count = all.len() - usize::from(name.is_some());
    let data: Vec<Value> = name.into_iter().chain(values(*args, count)?.iter().map(Tree::canonical)).collect();
    #[expect(clippy::cast_precision_loss, reason = "JavaScript has no other numbers")]
    let id = id.map(|id| bits(id as f64));
    Some(json!({ "type": kind, "nsp": theirs["nsp"], "id": id, "data": data }))
}

fn values(args: Args<'_>, count: usize) -> Option<Vec<Tree>> {
    fn read<T: DeserializeOwned + Into<Vec<Tree>>>(args: Args<'_>) -> Option<Vec<Tree>> {
        args.decode::<T>().ok().map(Into::into)
    }
    match count {
        0 => Some(Vec::new()),
        1 => read::<[Tree; 1]>(args),
        2 => read::<[Tree; 2]>(args),
        3 => read::<[Tree; 3]>(args),
        4 => read::<[Tree; 4]>(args),
        5 => read::<[Tree; 5]>(args),
        _ => None,
    }
}

fn passed_on(parser: &Parser, event: &Event<'_>) -> Option<Vec<Arriving>> {
    let raw = |args: &Args<'_>| Raw::from(args.to_owned());
    let packet = match event {
        Event::Received { name, args, .. } => parser.event(&path_of("/"), None, name, &raw(args)),
        Event::Replied { ack, args, .. } => parser.ack(&path_of("/"), *ack, &raw(args)),
        _ => return None,
    };
    packet.ok().map(|packet| arriving(&packet))
}

/// Where ours refuses what the official parser takes: rules of the connection, which is not the parser's business, and
/// differences that `docs/protocol-notes.md` gives reasons for.
fn on_purpose(error: &ProtocolError, arriving: &Arriving, theirs: &Value) -> bool {
    match error {
        // An event without even a name is a packet to their parser, which looks only at what is there.
        // And to JavaScript a blank is a digit: before the JSON, of an id.
        ProtocolError::InvalidPayload => {
            theirs.is_null() || theirs["data"].is_null() || has_blank_before_json(arriving)
        }
        // Here a type, and so is nothing at all.
        ProtocolError::UnknownPacketType(_) => {
            matches!(arriving, Ok(text) if text.chars().next().is_none_or(char::is_whitespace))
        }
        // A name which is not UTF-8 is a name to them.
        ProtocolError::InvalidEventName => arriving.is_err(),
        // MessagePack: keys that are no texts, and extensions that nobody defined, pass through theirs.
        ProtocolError::InvalidMsgpack
        | ProtocolError::AlreadyConnected
        | ProtocolError::InvalidAckId
        | ProtocolError::InvalidAttachmentCount
        | ProtocolError::InvalidNamespace
        | ProtocolError::InvalidPlaceholder
        | ProtocolError::NotConnected
        | ProtocolError::UnexpectedPacket(_) => true,
        _ => false,
    }
}

fn has_blank_before_json(arriving: &Arriving) -> bool {
    let Ok(text) = arriving else { return false };
    text.split(['[', '{']).next().is_some_and(|header| header.contains(char::is_whitespace))
}

/// Whether there is a `nil` for the data or the id of a packet: other languages have no `undefined`.
fn has_nil_for_nothing(arriving: &Arriving) -> bool {
    let Err(bytes) = arriving else { return false };
    bytes.windows(6).any(|key| key == b"\xa4data\xc0") || bytes.windows(4).any(|key| key == b"\xa2id\xc0")
}

/// Whether there may be an extension in it whose type is not 0: theirs reads a pair of type and bytes, ours the bytes.
fn has_foreign_extension(arriving: &Arriving) -> bool {
    let Err(bytes) = arriving else { return false };
    bytes.windows(2).any(|pair| matches!(pair, [0xd4..=0xd8, kind] if *kind != 0) || matches!(pair, [0xc7..=0xc9, _]))
}
