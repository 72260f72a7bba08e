//! Packets of Socket.IO as they leave: what ours writes, theirs reads as what was meant, and the other way round.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sockeye_engine::Revision;
use sockeye_engine::time::Instant;
use sockeye_fuzz_targets::mutation::Random;
use sockeye_protocol::{AckId, Event, Outgoing, Parser};

use crate::corpus;
use crate::found::Difference;
use crate::judge::Judge;
use crate::peers::{arriving, message, path_of, server, told};
use crate::tree::{Tree, unhex};

/// A packet of either kind, in both forms.
pub(crate) fn packets(judge: &mut Judge, random: &mut Random) -> Result<(), Difference> {
    let args = [corpus::tree(random, 3, true), corpus::tree(random, 3, true)];
    let packet = Packet {
        path: if random.below(2) == 0 { "/" } else { "/admin" },
        name: (random.below(3) > 0).then(|| format!("e{}", corpus::text(random, 6))),
        // JavaScript has no larger ones.
        id: random.number() >> (11 + random.below(53)),
        args,
    };
    for (parser, name) in [(Parser::Json, "json"), (Parser::Msgpack, "msgpack")] {
        packet.ours_to_theirs(judge, &parser, name)?;
        packet.theirs_to_ours(judge, &parser, name)?;
    }
    Ok(())
}

/// What is said about namespaces, in both forms.
pub(crate) fn others(judge: &mut Judge, random: &mut Random) -> Result<(), Difference> {
    let path = *corpus::one(&["/", "/admin", "/é\u{1f600}", "/a/b", "/1"], random);
    let namespace = path_of(path);
    let auth = Tree::Map(corpus::map(random, 2, false));
    let text = corpus::text(random, 12);
    let data = json!({ "told": text, "number": 1.5 });
    for (parser, name) in [(Parser::Json, "json"), (Parser::Msgpack, "msgpack")] {
        let connect = parser.connect(&namespace, Some(&auth)).map_err(|error| error.to_string())?;
        let object = |pairs: &[(&str, Value)]| json!({ "m": pairs.iter().cloned().collect::<BTreeMap<_, _>>() });
        let told = json!({ "m": { "told": text, "number": { "n": "3ff8000000000000" } } });
        for (packet, kind, expected) in [
            (connect, 0, auth.canonical()),
            (parser.connected(Revision::V4, &namespace, &text, None), 0, object(&[("sid", json!(text))])),
            (
                parser.connected(Revision::V4, &namespace, "s", Some(&text)),
                0,
                object(&[("pid", json!(text)), ("sid", json!("s"))]),
            ),
            (parser.refused(Revision::V4, &namespace, &text, None), 4, object(&[("message", json!(text))])),
            (
                parser.refused(Revision::V4, &namespace, &text, Some(&data)),
                4,
                object(&[("message", json!(text)), ("data", told)]),
            ),
            (parser.disconnect(&namespace), 1, Value::Null),
        ] {
            let messages = told_of(&packet);
            let read = judge.socket_decode(name, &messages)?;
            if read != [json!({ "type": kind, "nsp": path, "id": null, "data": expected })] {
                return Err(format!("{name}: {messages:?} should be {kind} with {expected}, to them {read:?}"));
            }
        }
    }
    Ok(())
}

fn told_of(packet: &Outgoing) -> Vec<Value> {
    told(&arriving(packet))
}

struct Packet {
    path: &'static str,
    /// `None`: an acknowledgement.
    name: Option<String>,
    id: u64,
    args: [Tree; 2],
}

impl Packet {
    fn ours_to_theirs(&self, judge: &mut Judge, parser: &Parser, name: &str) -> Result<(), Difference> {
        let (path, id) = (path_of(self.path), AckId(self.id));
        let packet = match &self.name {
            Some(event) => parser.event(&path, Some(id), event, &self.args),
            None => parser.ack(&path, id, &self.args),
        };
        let packet = packet.map_err(|error| format!("{:?} cannot be written: {error}", self.args))?;
        if packet.attachment_count() > 10 {
            return Ok(());
        }
        let messages = told(&arriving(&packet));
        let read = judge.socket_decode(name, &messages)?;
        let expected = self.expected(Tree::canonical);
        match read.last() {
            Some(read) if *read == expected => {}
            other => return Err(format!("{name}: {messages:?} should be {expected}, to them {other:?}")),
        }
        if name == "json" && self.args.iter().all(Tree::is_plain) {
            let theirs = judge.socket_encode(name, &self.native())?;
            if theirs != messages {
                return Err(format!("ours writes {messages:?}, theirs {theirs:?}"));
            }
        }
        Ok(())
    }

    fn theirs_to_ours(&self, judge: &mut Judge, parser: &Parser, name: &str) -> Result<(), Difference> {
        let messages = judge.socket_encode(name, &self.native())?;
        if messages.len() > 11 {
            return Ok(());
        }
        let (mut server, _) = server(parser);
        let mut seen = None;
        for item in &messages {
            let bytes = item["b"].as_str().and_then(unhex);
            let arriving = bytes.map_or_else(|| Ok(item.as_str().unwrap_or_default().to_owned()), Err);
            let event = server.handle_message(Instant::now(), message(&arriving));
            seen = match event.map_err(|error| format!("{name}: {messages:?} was refused: {error}"))? {
                Some(Event::Received { args, .. } | Event::Replied { args, .. }) => Some(args.decode::<[Tree; 2]>()),
                _ => None,
            };
        }
        // What they read themselves: their MessagePack makes zero of whole numbers beyond 64 bits.
        let theirs = judge.socket_decode(name, &messages)?;
        let data = theirs.last().and_then(|packet| packet["data"].as_array());
        let expected = data.map(|data| data[data.len() - 2..].to_vec()).ok_or("their own packet is none to them")?;
        match seen {
            Some(Ok(args)) if args.iter().map(Tree::canonical).collect::<Vec<_>>() == expected => Ok(()),
            other => Err(format!("{name}: {messages:?} should be {expected:?}, and is {other:?}")),
        }
    }

    fn native(&self) -> Value {
        let mut packet = self.expected(Tree::in_order);
        packet["id"] = json!(self.id);
        packet
    }

    fn expected(&self, form: fn(&Tree) -> Value) -> Value {
        let name = self.name.as_ref().map(|name| json!(name));
        let data: Vec<Value> = name.into_iter().chain(self.args.iter().map(form)).collect();
        #[expect(clippy::cast_precision_loss, reason = "JavaScript has no other numbers")]
        let id = crate::tree::bits(self.id as f64);
        json!({ "type": if self.name.is_some() { 2 } else { 3 }, "nsp": self.path, "id": id, "data": data })
    }
}
