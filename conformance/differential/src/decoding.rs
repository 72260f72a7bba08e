//! Packets of Socket.IO as they arrive: whatever ours takes, theirs takes as the same.

use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use sockeye_engine::Role;
use sockeye_engine::time::Instant;
use sockeye_fuzz_targets::mutation::Random;
use sockeye_protocol::{Args, Event, Parser, Raw, Slot};

use crate::corpus::Arriving;
use crate::found::{Difference, Stricter};
use crate::judge::Judge;
use crate::packed;
use crate::peers::{self, PATHS, Slots, arriving, message, path_of, told};
use crate::purpose;
use crate::tree::{Tree, bits};
use crate::wire;

/// What is no longer the same in the other form: numbers that JSON has none for, a placeholder that was data, and a key that
/// the official parser for MessagePack loses.
const CANNOT_CROSS: [&str; 5] = ["NaN", "7ff0000000000000", "fff0000000000000", "_placeholder", "__proto__"];

pub(crate) fn json(judge: &mut Judge, random: &mut Random, stricter: &mut Stricter) -> Result<(), Difference> {
    let (messages, role) = (wire::messages(random), role(random));
    Comparison { parser: Parser::Json, name: "json", role, judge, stricter }.run(&messages)
}

pub(crate) fn msgpack(judge: &mut Judge, random: &mut Random, stricter: &mut Stricter) -> Result<(), Difference> {
    let (messages, role) = ([Err(packed::packet(random))], role(random));
    Comparison { parser: Parser::Msgpack, name: "msgpack", role, judge, stricter }.run(&messages)
}

fn role(random: &mut Random) -> Role {
    if random.below(4) == 0 { Role::Client } else { Role::Server }
}

/// What a message shows about the two.
enum Verdict {
    Differs(String),
    OnPurpose(&'static str),
    /// The same, and what follows is refused here by the connection, of which their parser knows nothing.
    Over,
    Same,
}

struct Comparison<'a> {
    parser: Parser,
    name: &'static str,
    role: Role,
    judge: &'a mut Judge,
    stricter: &'a mut Stricter,
}

impl Comparison<'_> {
    fn run(&mut self, messages: &[Arriving]) -> Result<(), Difference> {
        let theirs = self.judge.socket_decode(self.name, &told(messages))?;
        let (mut connection, slots) = match self.role {
            Role::Client => peers::client(&self.parser),
            Role::Server => peers::server(&self.parser),
        };
        for (at, (arriving, answer)) in messages.iter().zip(&theirs).enumerate() {
            let verdict = match connection.handle_message(Instant::now(), message(arriving)) {
                Err(_) if answer == "error" => Verdict::Over,
                Err(error) if purpose::refused(&error, arriving, &theirs[at..]) => {
                    *self.stricter.entry(format!("{} {error:?}", self.name)).or_default() += 1;
                    Verdict::Over
                }
                Err(error) => Verdict::Differs(format!("{error:?}")),
                Ok(_) if answer == "error" => self.taken(messages, arriving),
                Ok(event) => self.compare(event, answer, messages, &slots)?,
            };
            match verdict {
                Verdict::Differs(what) => {
                    let place = format!("{} {:?}: {messages:?}, message {at}", self.name, self.role);
                    return Err(format!("{place}: {what}, to them {answer}"));
                }
                Verdict::OnPurpose(name) => {
                    *self.stricter.entry(name.to_owned()).or_default() += 1;
                    return Ok(());
                }
                Verdict::Over => return Ok(()),
                Verdict::Same => {}
            }
        }
        Ok(())
    }

    fn taken(&self, messages: &[Arriving], arriving: &Arriving) -> Verdict {
        // A refusal of revision 4 of the protocol may be anything; later ones are an object or a text.
        let is_refusal = matches!(arriving, Ok(text) if text.starts_with('4'));
        match purpose::taken(messages, arriving) {
            Some(name) => Verdict::OnPurpose(name),
            None if self.role == Role::Client && is_refusal => Verdict::Over,
            None => Verdict::Differs("taken".to_owned()),
        }
    }

    fn compare(
        &mut self,
        event: Option<Event<'_>>,
        answer: &Value,
        messages: &[Arriving],
        slots: &Slots,
    ) -> Result<Verdict, Difference> {
        let path = |slot: Slot| slots.iter().find(|(other, _)| *other == slot).map(|(_, path)| *path);
        let data = &answer["data"]["m"];
        let (same, shown) = match (event, answer["type"].as_u64()) {
            (None, kind) => (self.may_pass_over(answer, kind), "nothing".to_owned()),
            (Some(event @ (Event::Received { .. } | Event::Replied { .. })), Some(2 | 3)) => {
                let seen = see(&event, answer, path);
                let same = seen.as_ref().is_none_or(|seen| seen == answer);
                if same {
                    self.pass_on(answer, &event)?;
                }
                (same, format!("{event:?} = {}", seen.unwrap_or_default()))
            }
            (Some(Event::ConnectAsked { namespace, query, auth, .. }), Some(0)) => {
                let path = query.map_or_else(|| namespace.to_string(), |query| format!("{namespace}?{query}"));
                let auth = auth.decode::<Option<Tree>>().ok().flatten().map(|auth| auth.canonical());
                (answer["nsp"] == path && auth.unwrap_or_default() == answer["data"], format!("CONNECT of {path}"))
            }
            (Some(Event::Connected { slot, connected }), Some(0)) => {
                (json!(path(slot)) == answer["nsp"] && data["sid"] == connected.sid, format!("{connected:?}"))
            }
            // An answer without a `sid` is a refusal, here.
            (Some(Event::Refused { slot, message, .. }), Some(kind @ (0 | 4))) => {
                let same = kind == 0 || !data["message"].is_string() || data["message"] == message;
                (same && json!(path(slot)) == answer["nsp"], format!("refused by {message:?}"))
            }
            (Some(Event::Disconnected { .. }), Some(1)) => return Ok(Verdict::Over),
            (Some(event), _) => (false, format!("{event:?}")),
        };
        Ok(match purpose::reads_otherwise(messages, answer) {
            _ if same => Verdict::Same,
            Some(name) => Verdict::OnPurpose(name),
            None => Verdict::Differs(shown),
        })
    }

    /// Whether nothing may come of what is a packet to them. A second CONNECT before the answer to the first gets that answer;
    /// clients pass over what is for others, and answers to what they have not asked.
    fn may_pass_over(&self, answer: &Value, kind: Option<u64>) -> bool {
        match (self.role, kind) {
            (_, None) | (Role::Server, Some(0)) => true,
            (Role::Server, _) => false,
            (Role::Client, Some(2 | 3)) => !PATHS.iter().any(|path| answer["nsp"] == *path),
            (Role::Client, _) => true,
        }
    }

    /// In both forms.
    fn pass_on(&mut self, answer: &Value, event: &Event<'_>) -> Result<(), Difference> {
        for (parser, name) in [(Parser::Json, "json"), (Parser::Msgpack, "msgpack")] {
            let again = passed_on(&parser, event);
            self.compare_again(answer, again.as_deref(), name)?;
        }
        Ok(())
    }

    /// What is passed on without being decoded arrives there as what it was.
    fn compare_again(&mut self, before: &Value, messages: Option<&[Arriving]>, name: &str) -> Result<(), Difference> {
        let Some(messages) = messages else { return Ok(()) };
        let shown = before["data"].to_string();
        if name != self.name && CANNOT_CROSS.iter().any(|odd| shown.contains(odd)) {
            return Ok(());
        }
        let after = self.judge.socket_decode(name, &told(messages))?;
        let Some(mut after) = after.last().cloned() else { return Err("nothing arrives".to_owned()) };
        // The main namespace and no id: that is how it is passed on.
        after["nsp"] = before["nsp"].clone();
        after["id"] = before["id"].clone();
        if after["type"] == before["type"] && after["data"] == before["data"] {
            return Ok(());
        }
        Err(format!("{}: {before} was passed on in {name} as {messages:?}, which is {after}", self.name))
    }
}

/// What an event is, in the form of the JavaScript side, which tells how many arguments to look for. `None` if it has more
/// than we look for, or a number that no type can hold.
fn see<'a>(event: &Event<'_>, theirs: &Value, path: impl Fn(Slot) -> Option<&'a str>) -> Option<Value> {
    let all = theirs["data"].as_array()?;
    let (kind, slot, id, name, args) = match event {
        Event::Received { slot, name, args, ack } => (2, *slot, ack.map(|ack| ack.0), Some(json!(name)), args),
        Event::Replied { slot, ack, args } => (3, *slot, Some(ack.0), None, args),
        _ => return None,
    };
    let count = all.len() - usize::from(name.is_some());
    let data: Vec<Value> = name.into_iter().chain(values(*args, count)?.iter().map(Tree::canonical)).collect();
    #[expect(clippy::cast_precision_loss, reason = "JavaScript has no other numbers")]
    let id = id.map(|id| bits(id as f64));
    Some(json!({ "type": kind, "nsp": path(slot), "id": id, "data": data }))
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
