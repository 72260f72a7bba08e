//! What events are in TypeScript, letter by letter. That the compiler of TypeScript agrees is tested in
//! `conformance/types`.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sockeye_protocol::event::Event;
use sockeye_protocol::typescript::{Binary, EventMap, TS, module};
use sockeye_protocol::{OwnedArgs, Raw};

/// A tree.
#[derive(Serialize, Deserialize, TS)]
struct Node {
    value: i64,
    children: Vec<Node>,
}

#[derive(Serialize, Deserialize, TS)]
#[serde(rename_all = "camelCase", tag = "kind")]
enum Shape {
    Circle { radius: f64 },
    Many { parts: Vec<Page<Shape>> },
}

#[derive(Serialize, Deserialize, TS)]
struct Page<T> {
    items: Vec<T>,
    next_page: Option<u64>,
}

#[derive(Serialize, Deserialize, TS)]
struct Picture {
    name: String,
    data: Binary,
    #[ts(as = "Vec<Binary>")]
    thumbnails: Vec<Bytes>,
}

#[derive(Serialize, Deserialize, TS)]
struct Pair(u8, String);

#[derive(Serialize, Deserialize, TS)]
struct Unit;

/// The signature of an event.
fn signature<A: TS + 'static, R: TS + 'static>(event: Event<A, R>) -> String {
    let text = module([EventMap::new("Events").event(event)]).unwrap();
    let (_, rest) = text.split_once("export interface Events {\n").unwrap();
    rest.strip_suffix(";\n}\n").unwrap().to_owned()
}

fn of<A: TS + 'static, R: TS + 'static>() -> String {
    signature(Event::<A, R>::new("e"))
}

#[test]
fn parameters_follow_the_rule_of_arguments() {
    for (signature, expected) in [
        (of::<(), ()>(), "() => void"),
        (of::<String, ()>(), "(arg: string) => void"),
        (of::<Option<u8>, ()>(), "(arg: number | null) => void"),
        (of::<(u8, String), ()>(), "(...args: [number, string]) => void"),
        (of::<[f32; 3], ()>(), "(...args: [number, number, number]) => void"),
        (of::<([u8; 2],), ()>(), "(...args: [[number, number]]) => void"),
        (of::<Box<(u8, bool)>, ()>(), "(...args: [number, boolean]) => void"),
        (of::<Option<(u8, bool)>, ()>(), "(arg: [number, boolean] | null) => void"),
        (of::<Vec<(u8, bool)>, ()>(), "(arg: Array<[number, boolean]>) => void"),
        (of::<Raw, ()>(), "(...args: [...any[]]) => void"),
        (of::<Pair, ()>(), "(arg: Pair) => void"),
        (of::<Unit, ()>(), "(arg: Unit) => void"),
        (of::<Binary, ()>(), "(arg: ArrayBuffer | Uint8Array) => void"),
        (of::<BTreeMap<String, u64>, ()>(), "(arg: { [key in string]: number }) => void"),
        (of::<(u64, i128, f64), ()>(), "(...args: [number, number, number]) => void"),
    ] {
        assert_eq!(signature, format!("  e: {expected}"));
    }
}

#[test]
fn a_reply_is_a_callback() {
    for (signature, expected) in [
        (of::<(), bool>(), "(reply: (value: boolean) => void) => void"),
        (of::<u8, Option<u8>>(), "(arg: number, reply: (value: number | null) => void) => void"),
        (of::<(u8, u8), (u8, String)>(), "(...args: [number, number, (...values: [number, string]) => void]) => void"),
        (of::<Raw, Raw>(), "(...args: [...any[], (...values: [...any[]]) => void]) => void"),
    ] {
        assert_eq!(signature, format!("  e: {expected}"));
    }
    let saved = EventMap::new("Events").event_with_ack(Event::<u8>::new("save"));
    assert!(module([saved]).unwrap().contains("  save: (arg: number, reply: () => void) => void;\n"));
}

#[test]
fn names_that_are_no_identifiers_are_quoted() {
    for (name, key) in [
        ("chat", "chat"),
        ("$_9", "$_9"),
        ("9", "\"9\""),
        ("", "\"\""),
        ("chat message", "\"chat message\""),
        ("a\"b\n\\", "\"a\\\"b\\n\\\\\""),
        ("größe", "\"größe\""),
        ("class", "class"),
    ] {
        assert_eq!(signature(Event::<()>::new(name)), format!("  {key}: () => void"));
    }
}

#[test]
fn a_file_declares_every_type_once() {
    let to_client =
        EventMap::new("ServerToClientEvents")
            .event(Event::<(Node, Shape)>::new("drawn"))
            .event(Event::<Page<Node>>::new("page"));
    let to_server = EventMap::new("ClientToServerEvents").event(Event::<Picture, Page<Pair>>::new("upload"));
    let expected = "\
// Made from the events of the Rust server. Do not edit.

/**
 * A tree.
 */
export type Node = { value: number, children: Array<Node>, };

export type Page<T> = { items: Array<T>, next_page: number | null, };

export type Pair = [number, string];

export type Picture = { name: string, data: ArrayBuffer | Uint8Array, thumbnails: Array<ArrayBuffer | Uint8Array>, };

export type Shape = { \"kind\": \"circle\", radius: number, } | { \"kind\": \"many\", parts: Array<Page<Shape>>, };

export interface ServerToClientEvents {
  drawn: (...args: [Node, Shape]) => void;
  page: (arg: Page<Node>) => void;
}

export interface ClientToServerEvents {
  upload: (arg: Picture, reply: (value: Page<Pair>) => void) => void;
}
";
    assert_eq!(module([to_client, to_server]).unwrap(), expected);
}

#[test]
fn any_value_is_declared_too() {
    let text = module([EventMap::new("Events").event(Event::<serde_json::Value>::new("any"))]).unwrap();
    assert!(text.contains("\nexport type JsonValue = "), "{text}");
    assert!(text.contains("  any: (arg: JsonValue) => void;"), "{text}");
}

#[test]
fn conflicts_are_told() {
    mod other {
        #[derive(ts_rs::TS)]
        pub(super) struct Pair {
            #[expect(dead_code, reason = "TypeScript reads it")]
            first: bool,
        }
    }

    let error = |maps: Vec<EventMap>| module(maps).unwrap_err().to_string();
    let pair = EventMap::new("A").event(Event::<Pair>::new("a"));
    let two = vec![pair.clone(), EventMap::new("B").event(Event::<other::Pair>::new("b"))];
    assert_eq!(error(two), "two types are called Pair; #[ts(rename = \"…\")] gives one another name");
    assert_eq!(error(vec![EventMap::new("A"), EventMap::new("A")]), "two things are called A");
    assert_eq!(error(vec![pair.clone(), EventMap::new("Pair")]), "two things are called Pair");
    let twice = pair.event(Event::<u8>::new("a"));
    assert_eq!(error(vec![twice]), "A has the event \"a\" twice");
}

#[test]
fn binary_is_bytes_on_the_wire() {
    let binary = Binary::from(vec![1, 2]);
    let args = OwnedArgs::encode(&(binary.clone(), "a")).unwrap();
    assert_eq!(args.as_args().decode::<(Bytes, String)>().unwrap(), (Bytes::from_static(&[1, 2]), "a".to_owned()));
    let args = OwnedArgs::encode(&Bytes::from_static(&[1, 2])).unwrap();
    assert_eq!(args.as_args().decode::<Binary>().unwrap(), binary);
    assert_eq!(binary.len(), 2);
}
