//! Arguments read into types: whatever arrived, reading gives a value or an error.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sockeye_engine::time::Instant;
use sockeye_engine::{Message, Revision, Role};
use sockeye_protocol::{Args, Config, Connection, Event, OwnedArgs, Parser};

use crate::input::{Input, text};
use crate::target::Target;

pub(crate) const ARGS: Target = Target {
    name: "args",
    run: args,
    // Form, then messages, each with its length before it.
    seeds: &[
        b"\x00\x192[\"a\",\"x\",1,[1,2],{\"k\":null}]",
        b"\x00\x2f2[\"a\",{\"name\":\"x\",\"size\":3,\"bytes\":[1],\"more\":{}}]",
        b"\x00\x2351-[\"a\",{\"_placeholder\":true,\"num\":0}]\x02ab",
        b"\x00\x1e2[\"a\",\"Unit\",{\"Pair\":[1,-2]}]",
        b"\x00\x222[\"a\",1.5,-1,18446744073709551616,1e3]",
        b"\x00\x1b2[\"a\",true,null,\"\\ud83d\\ude00\"]",
        b"\x01\x18\x83\xa4type\x02\xa4data\x92\xa1a\x01\xa3nsp\xa1/",
        b"\x01\x24\x83\xa4type\x02\xa4data\x93\xa1a\x81\xa4name\xa1x\xc4\x02ab\xa3nsp\xa1/",
        b"\x01\x2c\x83\xa4type\x02\xa4data\x93\xa1a\xcf\xff\xff\xff\xff\xff\xff\xff\xff\xcb\x3f\xf8\x00\x00\x00\x00\x00\x00\xa3nsp\xa1/",
    ],
    mutations: 500,
};

#[derive(Debug, Deserialize, PartialEq, Serialize)]
struct Record {
    name: String,
    #[serde(default)]
    size: Option<u32>,
    #[serde(default)]
    bytes: Vec<u8>,
    #[serde(flatten)]
    more: BTreeMap<String, Value>,
}

#[derive(Debug, Deserialize, PartialEq, Serialize)]
enum Choice {
    Unit,
    One(i16),
    Pair(i8, i64),
    Named { x: f32 },
}

#[derive(Debug, Deserialize, PartialEq, Serialize)]
#[serde(untagged)]
enum Any {
    Number(f64),
    Text(String),
    List(Vec<Any>),
    Map(BTreeMap<String, Any>),
}

fn args(data: &[u8]) {
    let mut input = Input::new(data);
    let (is_text, parser) = match input.byte() % 2 {
        0 => (true, Parser::Json),
        _ => (false, Parser::Msgpack),
    };
    // A client of revision 3 is in the main namespace by connecting.
    let now = Instant::now();
    let mut connection = Connection::new(Role::Server, Revision::V3, parser, Arc::new(Config::default()), now);
    let Some(Event::ConnectAsked { slot, .. }) = connection.poll_event() else { panic!("revision 3 is let in") };
    connection.accept(slot, "sid", None, now).expect("was asked for");
    let mut header = is_text;
    while !input.is_empty() {
        let chunk = input.chunk();
        let message = if header { Message::Text(text(chunk)) } else { Message::Binary(chunk.into()) };
        header = match connection.handle_message(now, message) {
            Err(_) => return,
            Ok(None) => false,
            Ok(Some(Event::Received { args, .. } | Event::Replied { args, .. })) => {
                decode(args);
                is_text
            }
            Ok(Some(_)) => is_text,
        };
    }
}

fn decode(args: Args<'_>) {
    args.decode::<()>().expect("nothing can always be read");
    let _ = args.decode::<IgnoredAny>();
    let _ = args.decode::<(Bytes, Option<Bytes>)>();
    let _ = args.decode::<(char, u128, i128)>();
    let _ = args.decode::<[u64; 3]>();
    let _ = args.decode::<(Option<bool>, Option<f32>, Option<String>)>();
    same_again::<Value>(args);
    same_again::<(Value, Value, Option<bool>)>(args);
    same_again::<(String, i64)>(args);
    same_again::<Record>(args);
    same_again::<(Choice, Option<Choice>)>(args);
    same_again::<Any>(args);
    same_again::<Vec<(u8, i32)>>(args);
    same_again::<BTreeMap<u16, Option<Box<Any>>>>(args);
}

/// What was read into a type can be sent, and reads as the same.
fn same_again<T: DeserializeOwned + Serialize + PartialEq + std::fmt::Debug>(args: Args<'_>) {
    let Ok(value) = args.decode::<T>() else { return };
    // A number beyond all doubles reads as infinity, and MessagePack has what is no number; JSON can write neither. (A text
    // with these letters is passed over, too; there are enough others.)
    let debug = format!("{value:?}");
    if debug.contains("inf") || debug.contains("NaN") {
        return;
    }
    let written = OwnedArgs::encode(&value).unwrap_or_else(|error| panic!("{value:?} cannot be written: {error}"));
    match written.as_args().decode::<T>() {
        Ok(again) => assert_eq!(again, value),
        Err(error) => panic!("{value:?} cannot be read again: {error}"),
    }
}
