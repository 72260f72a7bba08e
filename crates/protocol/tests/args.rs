//! Arguments: what is one and what is several, bytes in all places, and that everything comes back as it went, in both
//! forms.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;
use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sockeye_engine::time::Instant;
use sockeye_engine::{Message, Revision, Role};
use sockeye_protocol::{Config, Connection, DecodeError, Event, NamespacePath, OwnedArgs, Parser, Raw};

/// What arrives of arguments that are sent.
fn arrive(parser: &Parser, args: &impl Serialize) -> OwnedArgs {
    let now = Instant::now();
    let config = Arc::new(Config { max_attachments: 1000, ..Config::default() });
    let mut server = Connection::new(Role::Server, Revision::V4, parser.clone(), config, now);
    let mut received = None;
    let root = NamespacePath::main();
    let connect = parser.connect(&root, None::<&Value>).unwrap();
    let event = parser.event(&root, None, "event", args).unwrap();
    for packet in [connect, event] {
        for message in packet.messages() {
            let packet = message.packet();
            let message = if message.is_binary() {
                Message::Binary(packet.into())
            } else {
                Message::Text(std::str::from_utf8(&packet[1..]).unwrap())
            };
            match server.handle_message(now, message).unwrap() {
                Some(Event::ConnectAsked { slot, .. }) => drop(server.accept(slot, "sid", None, now).unwrap()),
                Some(Event::Received { args, .. }) => received = Some(args.to_owned()),
                None => {}
                other => panic!("{other:?}"),
            }
        }
    }
    received.expect("the event is complete")
}

fn forms(args: &impl Serialize) -> [OwnedArgs; 3] {
    [OwnedArgs::encode(args).unwrap(), arrive(&Parser::Json, args), arrive(&Parser::Msgpack, args)]
}

fn round_trip<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T) {
    for args in forms(value) {
        assert_eq!(&args.as_args().decode::<T>().unwrap(), value);
    }
}

fn text(args: &impl Serialize) -> String {
    let packet = Parser::Json.event(&NamespacePath::main(), None, "e", args).unwrap();
    String::from_utf8(packet.first.packet().to_vec()).unwrap()
}

fn decode<T: DeserializeOwned>(args: &impl Serialize) -> Result<T, DecodeError> {
    let [one, two, three] = forms(args).map(|args| args.as_args().decode::<T>());
    assert_eq!(one.is_ok(), two.is_ok());
    assert_eq!(one.is_ok(), three.is_ok(), "{:?} {:?}", one.err(), three.err());
    two
}

#[derive(Serialize, Deserialize, PartialEq, Debug, Clone, Default)]
struct Upload {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    thumbnail: Option<Bytes>,
    parts: Vec<Bytes>,
    by_key: BTreeMap<String, Bytes>,
    #[serde(with = "serde_bytes")]
    old: Vec<u8>,
}

#[derive(Serialize, Deserialize, PartialEq, Debug)]
struct Pair(u8, String);
#[derive(Serialize, Deserialize, PartialEq, Debug)]
struct New((u8, u8));
#[derive(Serialize, Deserialize, PartialEq, Debug)]
struct Nothing;
#[derive(Serialize, Deserialize, PartialEq, Debug)]
enum Shape {
    Circle(f64),
    Line { from: (i8, i8), to: (i8, i8) },
    Point,
    Triple(u8, Bytes, Option<u8>),
}
#[derive(Serialize, Deserialize, PartialEq, Debug)]
#[serde(tag = "type")]
enum Tagged {
    A { x: u8 },
    B { y: String },
}
#[derive(Serialize, Deserialize, PartialEq, Debug)]
#[serde(untagged)]
enum Untagged {
    Text(String),
    Many(Vec<u8>),
    Bytes(#[serde(with = "serde_bytes")] Vec<u8>),
}
#[derive(Serialize, Deserialize, PartialEq, Debug)]
struct Flat {
    id: u8,
    #[serde(flatten)]
    rest: BTreeMap<String, Value>,
}

#[test]
fn tuples_spread_and_the_rest_is_one() {
    assert_eq!(text(&()), r#"42["e"]"#);
    assert_eq!(text(&(1, "2", json!({"a": null}))), r#"42["e",1,"2",{"a":null}]"#);
    assert_eq!(text(&((1, 2),)), r#"42["e",[1,2]]"#);
    assert_eq!(text(&[1.5, 2.0]), r#"42["e",1.5,2.0]"#);
    assert_eq!(text(&([1.5, 2.0],)), r#"42["e",[1.5,2.0]]"#);
    assert_eq!(text(&[0_u8; 0]), r#"42["e"]"#);
    assert_eq!(text(&Pair(1, "a".into())), r#"42["e",[1,"a"]]"#);
    assert_eq!(text(&New((1, 2))), r#"42["e",[1,2]]"#);
    assert_eq!(text(&vec![1, 2]), r#"42["e",[1,2]]"#);
    assert_eq!(text(&None::<u8>), r#"42["e",null]"#);
    assert_eq!(text(&Some((1, 2))), r#"42["e",[1,2]]"#);
    assert_eq!(text(&Nothing), r#"42["e",null]"#);
    assert_eq!(text(&"a\u{0}\"\\\u{1f}é"), r#"42["e","a\u0000\"\\\u001fé"]"#);
    assert_eq!(text(&(f64::NAN, 1e300, -0.0, f32::MAX)), r#"42["e",null,1e+300,-0.0,3.4028235e+38]"#);
}

/// Only `()` is nothing; `null` is a value like others, also where only the run time knows it.
#[test]
fn a_null_of_any_type_is_an_argument() {
    assert_eq!(text(&json!(null)), r#"42["e",null]"#);
    assert_eq!(text(&&json!(null)), r#"42["e",null]"#);
    assert_eq!(text(&(json!(null), 1)), r#"42["e",null,1]"#);
    assert_eq!(text(&()), r#"42["e"]"#);
    assert_eq!(text(&&()), r#"42["e"]"#);
    assert_eq!(text(&Box::new(())), r#"42["e"]"#);
    round_trip(&json!(null));
    round_trip(&(json!(null), json!(null)));
}

#[test]
fn each_shape_comes_back() {
    round_trip(&());
    round_trip(&(1_u8, "a".to_owned(), true));
    round_trip(&[1.5_f32, -0.25]);
    round_trip(&Pair(1, "a".into()));
    round_trip(&New((1, 2)));
    round_trip(&(Nothing, Nothing));
    round_trip(&vec![1_u8, 2]);
    round_trip(&Some("x".to_owned()));
    round_trip(&(Some(1_u8), None::<u8>));
    round_trip(&(Shape::Point, Shape::Circle(2.5)));
    round_trip(&Shape::Line { from: (-1, 2), to: (3, -128) });
    round_trip(&Shape::Triple(1, Bytes::from_static(b"x"), None));
    round_trip(&vec![Tagged::A { x: 1 }, Tagged::B { y: "b".into() }]);
    round_trip(&(Untagged::Bytes(vec![255]), Untagged::Text("a".into()), Untagged::Many(vec![])));
    round_trip(&Flat { id: 1, rest: BTreeMap::from([("a".into(), json!([1, {"b": null}]))]) });
    round_trip(&HashMap::from([(1_u32, 'a'), (2, '😀')]));
    round_trip(&BTreeMap::from([(-5_i64, true)]));
    round_trip(&BTreeMap::from([(true, 1)]));
    round_trip(&std::net::Ipv4Addr::LOCALHOST);
}

#[test]
fn numbers_come_back() {
    round_trip(&(u64::MAX, i64::MIN, i64::MAX, u32::MAX, i8::MIN));
    for value in [(1_u64 << 53) - 1, 1 << 53, (1 << 53) + 1, 0, 127, 128, 255, 256, 65_535, 65_536, 1 << 32] {
        round_trip(&(value,));
        round_trip(&(-i64::try_from(value).unwrap(),));
    }
    round_trip(&(1e308, 5e-324, -1.5, 0.1 + 0.2, f32::MIN_POSITIVE, 0.1_f32));
    for args in forms(&(-0.0_f64,)) {
        assert!(args.as_args().decode::<(f64,)>().unwrap().0.is_sign_negative());
    }
    assert_eq!(
        OwnedArgs::encode(&(u128::MAX, i128::MIN)).unwrap().as_args().decode::<(u128, i128)>().unwrap(),
        (u128::MAX, i128::MIN)
    );
}

#[test]
fn whole_floats_serve_as_integers() {
    assert_eq!(decode::<(u8, i64)>(&(5.0, -1e15)).unwrap(), (5, -1_000_000_000_000_000));
    assert!(decode::<(u8,)>(&(5.5,)).is_err());
    assert!(decode::<(u8,)>(&(256.0,)).is_err());
    assert_eq!(decode::<(f64,)>(&(5,)).unwrap(), (5.0,));
}

#[test]
fn surplus_is_ignored_and_missing_options_are_none() {
    assert_eq!(decode::<u8>(&(1, 2, 3)).unwrap(), 1);
    assert_eq!(decode::<(u8,)>(&(1, json!({"a": [1]}))).unwrap(), (1,));
    decode::<()>(&(1, 2)).unwrap();
    assert_eq!(decode::<(u8, Option<u8>, Option<String>)>(&(1,)).unwrap(), (1, None, None));
    assert_eq!(decode::<Option<u8>>(&()).unwrap(), None);
    assert_eq!(decode::<(u8, Option<u8>)>(&(1, ())).unwrap(), (1, None));
    assert_eq!(decode::<[u8; 2]>(&(1, 2, 3)).unwrap(), [1, 2]);
}

#[test]
fn what_is_missing_is_named() {
    assert_eq!(decode::<u8>(&()).unwrap_err().to_string(), "argument 1 is missing");
    assert_eq!(decode::<(u8, Option<u8>, String)>(&(1,)).unwrap_err().to_string(), "argument 3 is missing");
    assert!(decode::<Vec<u8>>(&()).is_err());
    assert!(decode::<Value>(&()).is_err());
    let error = decode::<(u8, String)>(&(1, 2)).unwrap_err().to_string();
    assert!(error.starts_with("argument 2: invalid type: integer `2`"), "{error}");
}

#[test]
fn nested_surplus_is_an_error() {
    assert!(decode::<((u8,),)>(&((1, 2),)).is_err());
    assert!(decode::<Pair>(&json!([1, "a", 2])).is_err());
}

#[test]
fn bytes_are_attachments_wherever_they_stand() {
    let upload = Upload {
        name: "a".into(),
        thumbnail: Some(Bytes::from_static(&[0, 255])),
        parts: vec![Bytes::new(), Bytes::from(vec![7; 100_000]), Bytes::from_static(b"x")],
        by_key: BTreeMap::from([("k".into(), Bytes::from_static(b"v"))]),
        old: vec![1, 2, 3],
    };
    round_trip(&upload);
    round_trip(&(upload.clone(), 1, Some(upload.thumbnail.clone())));
    round_trip(&Upload::default());
    round_trip(&Bytes::from_static(b"alone"));
    round_trip(&(0..100_u8).map(|byte| Bytes::from(vec![byte])).collect::<Vec<_>>());
    assert_eq!(text(&(Bytes::new(), 1)), r#"451-["e",{"_placeholder":true,"num":0},1]"#);
    assert_eq!(text(&vec![1_u8]), r#"42["e",[1]]"#, "a Vec<u8> is a list of numbers");
}

/// What a server with attachments [`A`, `B`] makes of arguments.
fn received<T: DeserializeOwned>(args: &str) -> Result<T, DecodeError> {
    let now = Instant::now();
    let mut server = Connection::new(Role::Server, Revision::V4, Parser::Json, Arc::default(), now);
    let Ok(Some(Event::ConnectAsked { slot, .. })) = server.handle_message(now, Message::Text("0")) else { panic!() };
    server.accept(slot, "sid", None, now).unwrap();
    let header = format!("52-[\"e\",{args}]");
    assert!(server.handle_message(now, Message::Text(&header)).unwrap().is_none());
    assert!(server.handle_message(now, Message::Binary(b"A".into())).unwrap().is_none());
    match server.handle_message(now, Message::Binary(b"B".to_vec().into())) {
        Ok(Some(Event::Received { args, .. })) => args.decode(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn placeholders_are_resolved_by_number() {
    let (a, b) = (Bytes::from_static(b"A"), Bytes::from_static(b"B"));
    let one = r#"{"_placeholder":true,"num":1}"#;
    assert_eq!(
        received::<(Bytes, Bytes)>(&format!("{one},{{\"num\":0,\"_placeholder\":true}}")).unwrap(),
        (b.clone(), a)
    );
    assert_eq!(received::<Vec<Bytes>>(&format!("[{one},{one},{one}]")).unwrap(), [b.clone(), b.clone(), b.clone()]);
    assert_eq!(
        received::<Bytes>(r#"{ "num" : 1 , "x":[], "_placeholder":true}"#).ok(),
        None,
        "an unknown key first is data"
    );
    assert_eq!(received::<Bytes>(r#"{"_placeholder":true,"x":[{}],"num":1 }"#).unwrap(), b);
    assert_eq!(received::<u8>("7").unwrap(), 7, "attachments which nothing names are allowed");
    assert_eq!(received::<Value>(r#"{"a":{"num":1}}"#).unwrap(), json!({"a": {"num": 1}}));
    assert!(received::<String>(one).is_ok(), "bytes which are text may be read as text");
    assert!(received::<u8>(one).is_err());
}

#[test]
fn data_that_looks_like_a_placeholder_comes_back() {
    for value in [
        json!({"_placeholder": true, "num": 0}),
        json!({"_placeholder": true}),
        json!([{"num": 1, "_placeholder": true}]),
    ] {
        round_trip(&(value,));
    }
}

#[test]
fn awkward_values_come_back() {
    let deep = (0..100).fold(json!("x"), |inner, n| if n % 2 == 0 { json!([inner]) } else { json!({"k": inner}) });
    for value in [
        json!(""),
        json!("😀 é \u{0} \u{7f} \u{2028} \u{1e} \u{feff}"),
        json!({"__proto__": {"a": 1}, "constructor": null, "": ""}),
        json!([[], {}, [[]], null, true, false]),
        json!(1e308),
        json!("x".repeat(100_000)),
        json!({"a\"b\\": 1}),
        deep,
    ] {
        round_trip(&(value,));
    }
}

#[test]
fn raw_passes_on_what_it_does_not_understand() {
    let bytes = Bytes::from_static(b"abc");
    let args = (1, json!({"b": [null, -1, 1.5]}), Some(&bytes), "é");
    for args in forms(&args) {
        let raw: Raw = args.as_args().decode().unwrap();
        for again in forms(&raw) {
            let (one, value, same, text) = again.as_args().decode::<(u8, Value, Bytes, String)>().unwrap();
            assert_eq!((one, same, text.as_str()), (1, bytes.clone(), "é"));
            assert_eq!(value, json!({"b": [null, -1, 1.5]}));
        }
    }
    for args in forms(&()) {
        let raw: Raw = args.as_args().decode().unwrap();
        assert!(raw.as_args().is_empty());
        assert_eq!(text(&raw), r#"42["e"]"#);
    }
}

#[test]
fn raw_keeps_the_text_as_it_is() {
    let raw: Raw = received(r#"1.50, {"num":1,"_placeholder":true} ,"\u0041""#).unwrap();
    assert_eq!(text(&raw), r#"452-["e",1.50, {"num":1,"_placeholder":true} ,"\u0041"]"#);
}

#[test]
fn raw_is_nothing_but_all_arguments() {
    assert!(serde_json::to_string(&Raw::default()).is_err());
    assert!(serde_json::from_str::<Raw>("1").is_err());
    assert!(serde_json::from_str::<Raw>("null").is_err());
    assert!(OwnedArgs::encode(&(1, Raw::default())).is_err());
    assert!(OwnedArgs::encode(&[Raw::default()]).is_err());
    assert!(OwnedArgs::encode(&1).unwrap().as_args().decode::<(Raw,)>().is_err());
    assert!(Parser::Msgpack.event(&NamespacePath::main(), None, "e", &vec![Raw::default()]).is_err());
}

#[test]
fn keys_that_are_no_text_are_refused() {
    assert!(OwnedArgs::encode(&BTreeMap::from([(vec![1], 1)])).is_err());
    assert!(OwnedArgs::encode(&BTreeMap::from([((), 1)])).is_err());
    assert!(Parser::Msgpack.event(&NamespacePath::main(), None, "e", &BTreeMap::from([((1, 2), 1)])).is_err());
}

#[test]
fn lone_surrogates_are_read() {
    assert_eq!(received::<String>(r#""a\ud800b""#).unwrap(), "a\u{fffd}b");
}

#[test]
fn duplicate_keys_are_read_as_serde_does() {
    assert_eq!(received::<Value>(r#"{"a":1,"a":2}"#).unwrap(), json!({"a": 2}));
}

/// Any value with bytes in it.
#[derive(Serialize, Deserialize, PartialEq, Debug, Clone)]
enum Tree {
    Bytes(Bytes),
    Float(f64),
    Int(i64),
    List(Vec<Tree>),
    Map(BTreeMap<String, Tree>),
    Nothing,
    Option(Option<Box<Tree>>),
    Text(String),
    Tuple(u64, Box<Tree>, bool),
}

fn tree() -> impl Strategy<Value = Tree> {
    let leaf = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..20).prop_map(|bytes| Tree::Bytes(bytes.into())),
        any::<f64>().prop_map(|float| Tree::Float(if float.is_finite() { float } else { 0.5 })),
        any::<i64>().prop_map(Tree::Int),
        Just(Tree::Nothing),
        any::<String>().prop_map(Tree::Text),
        Just(Tree::Option(None)),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Tree::List),
            proptest::collection::btree_map(any::<String>(), inner.clone(), 0..6).prop_map(Tree::Map),
            inner.clone().prop_map(|tree| Tree::Option(Some(Box::new(tree)))),
            (any::<u64>(), inner, any::<bool>()).prop_map(|(n, tree, b)| Tree::Tuple(n, Box::new(tree), b)),
        ]
    })
}

proptest! {
    #[test]
    fn everything_comes_back(one in tree(), two in tree()) {
        round_trip(&one);
        round_trip(&(one, two));
    }

    #[test]
    fn raw_in_either_form_comes_back(one in tree(), two in tree()) {
        let value = (one, two);
        for args in forms(&value) {
            for again in forms(&Raw::from(args)) {
                prop_assert_eq!(&again.as_args().decode::<(Tree, Tree)>().unwrap(), &value);
            }
        }
    }

    /// Whatever passes the check can be decoded, and means what serde_json says.
    #[test]
    fn json_is_read_as_serde_json_does(text in r#"(\[|\]|\{|\}|,|:|"[a\\n"]{0,3}"|[0-9.eE-]{1,6}|true|false|null| ){1,14}"#) {
        let now = Instant::now();
        let mut server = Connection::new(Role::Server, Revision::V4, Parser::Json, Arc::default(), now);
        let Ok(Some(Event::ConnectAsked { slot, .. })) = server.handle_message(now, Message::Text("0")) else { panic!() };
        server.accept(slot, "sid", None, now).unwrap();
        let packet = format!("2[\"e\",{text}]");
        let theirs = serde_json::from_str::<Vec<Value>>(&format!("[{text}]"));
        match server.handle_message(now, Message::Text(&packet)) {
            Ok(Some(Event::Received { args, .. })) => {
                let ours = args.decode::<Value>().unwrap();
                if let Ok(theirs) = theirs {
                    prop_assert_eq!(&ours, &theirs[0]);
                } else {
                    // Only a number too large for a double may be judged differently.
                    prop_assert!(theirs.unwrap_err().to_string().contains("number out of range"));
                }
            }
            Err(_) => prop_assert!(theirs.is_err() || theirs.unwrap().is_empty()),
            other => prop_assert!(false, "{:?}", other),
        }
    }
}
