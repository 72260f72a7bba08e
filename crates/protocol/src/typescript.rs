//! The events of an application as TypeScript, for clients in the browser that are checked against the Rust server
//! (feature `typescript`).
//!
//! An [`EventMap`] is one direction; [`module`] makes a file of both. The types of arguments and replies say what they
//! are by [`TS`], which `#[derive(TS)]` of the crate `ts-rs` implements; it reads their serde attributes.
//!
//! ```
//! use serde::{Deserialize, Serialize};
//! use sockeye_protocol::event::Event;
//! use sockeye_protocol::typescript::{EventMap, TS, module};
//!
//! #[derive(Serialize, Deserialize, TS)]
//! struct Order {
//!     item: String,
//!     count: u32,
//! }
//!
//! const ORDER: Event<Order, u32> = Event::new("order");
//! const MOVED: Event<(f32, f32)> = Event::new("moved");
//!
//! let to_server = EventMap::new("ClientToServerEvents").event(ORDER);
//! let to_client = EventMap::new("ServerToClientEvents").event(MOVED);
//! let file = module([to_server, to_client])?;
//! assert!(file.contains("  order: (arg: Order, reply: (value: number) => void) => void;"));
//! assert!(file.contains("  moved: (...args: [number, number]) => void;"));
//! assert!(file.contains("export type Order = { item: string, count: number, };"));
//! # Ok::<(), sockeye_protocol::typescript::Conflict>(())
//! ```
//!
//! | Rust | TypeScript |
//! |---|---|
//! | `()` | no parameter |
//! | a tuple, an array `[T; N]` | several parameters |
//! | [`Raw`] | any parameters |
//! | anything else | one parameter |
//! | a reply | a callback as the last parameter; none if the reply is `()`, unless [`EventMap::event_with_ack`] says so |
//! | [`Binary`] | `ArrayBuffer \| Uint8Array` |
//! | integers of any size, floats | `number` |
//! | `serde_json::Value` | `JsonValue`, declared |

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::ops::Deref;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
pub use ts_rs::TS;
use ts_rs::{Config, TypeVisitor};

use crate::Raw;
use crate::event::Event;

/// The events of one direction, as an interface for the type parameters of the JavaScript `Socket`.
#[derive(Clone, Debug)]
pub struct EventMap {
    name: String,
    /// Names and signatures, in the order in which they were given.
    events: Vec<(&'static str, String)>,
    declarations: Declarations,
}

impl EventMap {
    /// An interface of this name, such as `ServerToClientEvents`.
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), events: Vec::new(), declarations: Declarations::default() }
    }

    /// Adds an event. It takes a callback if its reply is anything but `()`.
    pub fn event<A: TS + 'static, R: TS + 'static>(self, event: Event<A, R>) -> Self {
        let reply = Some(parameters::<R>("value")).filter(|reply| !reply.is_empty());
        self.add(event, reply)
    }

    /// Adds an event that takes a callback, be it one without parameters: an acknowledgement that says nothing else.
    pub fn event_with_ack<A: TS + 'static, R: TS + 'static>(self, event: Event<A, R>) -> Self {
        self.add(event, Some(parameters::<R>("value")))
    }

    fn add<A: TS + 'static, R: TS + 'static>(mut self, event: Event<A, R>, reply: Option<String>) -> Self {
        self.declarations.collect::<A>();
        self.declarations.collect::<R>();
        let signature = match (parameters::<A>("arg"), reply) {
            (parameters, None) => parameters,
            (parameters, Some(reply)) => with_callback(&parameters, &format!("({reply}) => void")),
        };
        self.events.push((event.name(), format!("({signature}) => void")));
        self
    }

    fn write(&self, out: &mut String) {
        _ = writeln!(out, "\nexport interface {} {{", self.name);
        for (name, signature) in &self.events {
            _ = writeln!(out, "  {}: {signature};", key(name));
        }
        out.push_str("}\n");
    }
}

/// A TypeScript file with these interfaces and all types that they refer to, each once. The same constants give the same
/// file: types by name, events in the order in which they were added.
///
/// # Errors
/// Two things would have the same name.
pub fn module(maps: impl IntoIterator<Item = EventMap>) -> Result<String, Conflict> {
    let maps: Vec<EventMap> = maps.into_iter().collect();
    let mut all = Declarations::default();
    for map in &maps {
        let mut names = BTreeSet::new();
        if let Some((name, _)) = map.events.iter().find(|(name, _)| !names.insert(name)) {
            return Err(Conflict(format!("{} has the event {name:?} twice", map.name)));
        }
        for (name, texts) in &map.declarations.0 {
            all.0.entry(name.clone()).or_default().extend(texts.iter().cloned());
        }
    }
    for map in &maps {
        let is_first = all.0.insert(map.name.clone(), BTreeSet::new()).is_none();
        if !is_first {
            return Err(Conflict(format!("two things are called {}", map.name)));
        }
    }
    let mut out = String::from("// Made from the events of the Rust server. Do not edit.\n");
    for (name, texts) in &all.0 {
        if texts.len() > 1 {
            return Err(Conflict(format!("two types are called {name}; #[ts(rename = \"…\")] gives one another name")));
        }
        for text in texts {
            _ = write!(out, "\n{text}\n");
        }
    }
    for map in &maps {
        map.write(&mut out);
    }
    Ok(out)
}

/// Two things would have the same name in one TypeScript file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Conflict(String);

/// Bytes, as arguments and fields of types that TypeScript is told of. In everything else they are [`Bytes`].
///
/// `Bytes` itself has no [`TS`], because it would be `number[]` there. A field may stay what it is:
/// `#[ts(as = "Binary")] data: Bytes`.
///
/// In browsers the official client delivers an `ArrayBuffer`, in Node.js a `Buffer`, which is a `Uint8Array`; it sends
/// both.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Binary(pub Bytes);

impl Deref for Binary {
    type Target = Bytes;

    fn deref(&self) -> &Bytes {
        &self.0
    }
}

impl<B: Into<Bytes>> From<B> for Binary {
    fn from(bytes: B) -> Self {
        Self(bytes.into())
    }
}

macro_rules! named {
    ($($type:ty: $name:literal,)*) => { $(
        impl TS for $type {
            type WithoutGenerics = Self;
            type OptionInnerType = Self;

            fn name(_: &Config) -> String {
                $name.to_owned()
            }

            fn inline(_: &Config) -> String {
                $name.to_owned()
            }
        }
    )* };
}

named! {
    Binary: "ArrayBuffer | Uint8Array",
    Raw: "[...any[]]",
}

/// Names of types, and their declarations: more than one text is a conflict.
#[derive(Clone, Debug, Default)]
struct Declarations(BTreeMap<String, BTreeSet<String>>);

impl Declarations {
    fn collect<T: TS + 'static>(&mut self) {
        self.visit::<T>();
        T::visit_generics(self);
    }
}

impl TypeVisitor for Declarations {
    fn visit<T: TS + 'static + ?Sized>(&mut self) {
        // Types that are written in place have none; what they are made of is visited beside them.
        if T::output_path().is_none() {
            return;
        }
        let declaration = format!("{}export {}", T::docs().unwrap_or_default(), T::decl(&config()));
        let is_new = self.0.entry(T::ident(&config())).or_default().insert(declaration);
        if is_new {
            T::visit_dependencies(self);
        }
        T::visit_generics(self);
    }
}

/// The parameters that stand for a type, by the rule of arguments; empty for none.
fn parameters<T: TS>(name: &str) -> String {
    let kind = T::name(&config());
    if kind == UNIT {
        String::new()
    } else if is_tuple(&kind) {
        format!("...{name}s: {kind}")
    } else {
        format!("{name}: {kind}")
    }
}

/// Adds a callback as the last parameter. After several ones it is part of their tuple, as none may follow `...`.
fn with_callback(parameters: &str, callback: &str) -> String {
    match (parameters, parameters.strip_suffix(']')) {
        ("", _) => format!("reply: {callback}"),
        (several, Some(open)) if several.starts_with("...") => format!("{open}, {callback}]"),
        (one, _) => format!("{one}, reply: {callback}"),
    }
}

/// Arrays of any length are `Array<…>`, so what stands between brackets is a tuple, an array `[T; N]`, or `Raw`.
fn is_tuple(kind: &str) -> bool {
    kind.starts_with('[') && kind.ends_with(']')
}

/// A key of an interface, in quotes if it must.
fn key(name: &str) -> String {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$');
    if name.bytes().all(is_word) && !name.starts_with(|first: char| first.is_ascii_digit()) && !name.is_empty() {
        return name.to_owned();
    }
    serde_json::Value::from(name).to_string()
}

/// All numbers are doubles there: what is sent as a number is no `bigint`.
fn config() -> Config {
    Config::new().with_large_int("number")
}

/// What `()` is called.
const UNIT: &str = "null";
