//! What the official parser writes, byte for byte, and what must be refused.

mod common;

use bytes::Bytes;
use common::Peer;
use serde_json::{Value, json};
use sockeye_engine::{Revision, Role};
use sockeye_protocol::{AckId, Config, Event, NamespacePath, Parser, ProtocolError, Raw, Slot};

fn hex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// CONNECT without auth, as a JS client writes it.
const CONNECT: &str = "83a47479706500a464617461d40000a36e7370a12f";

fn peer(role: Role) -> Peer {
    Peer::with(role, Revision::V4, Parser::Msgpack, Config::default())
}

fn joined() -> Peer {
    let mut server = peer(Role::Server);
    let Ok(Some(Event::ConnectAsked { slot, .. })) = server.binary(&hex(CONNECT)) else { panic!() };
    server.accept(slot).unwrap();
    server
}

type EveryKind = (String, Option<u8>, (), Bytes, Value, u64, i8);

#[derive(serde::Deserialize)]
struct Part {
    a: Bytes,
}

#[test]
fn a_client_connects_with_auth() {
    match peer(Role::Server).binary(&hex("83a47479706500a46461746181a17401a36e7370a12f")) {
        Ok(Some(Event::ConnectAsked { namespace, auth, .. })) => {
            assert!(namespace.is_main());
            assert_eq!(auth.decode::<Value>().unwrap(), json!({"t": 1}));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_answer_to_connect_is_read() {
    let mut client = peer(Role::Client);
    client.connection.connect(&NamespacePath::main(), None).unwrap();
    let answer =
        "83a47479706500a46461746182a3736964b4425a744e33336a737663632d64497a3241414141a3706964d40000a36e7370a12f";
    match client.binary(&hex(answer)) {
        Ok(Some(Event::Connected { connected, .. })) => {
            assert_eq!((connected.sid.as_str(), connected.pid), ("BZtN33jsvcc-dIz2AAAA", None));
        }
        other => panic!("{other:?}"),
    }
    let event = "83a47479706502a46461746198a26869d7000000000000000000d40000c0c4010181a175d40000cf0000010000000000fba36e7370a12f";
    match client.binary(&hex(event)) {
        Ok(Some(Event::Received { name, args, ack: None, .. })) => {
            assert_eq!(name, "hi");
            let (date, undefined, (), bytes, object, large, small) = args.decode::<EveryKind>().unwrap();
            assert_eq!((date.as_str(), undefined, &*bytes), ("1970-01-01T00:00:00.000Z", None, &[1][..]));
            assert_eq!((object, large, small), (json!({"u": null}), 1 << 40, -5));
            assert_eq!(args.decode::<i64>().unwrap(), 0, "a date is its milliseconds to who asks for a number");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_event_with_everything_js_may_send() {
    let event = "85a47479706502a46461746194a17881a161c40107d7000000000000000001d40000a76f7074696f6e7381a8636f6d7072657373c3a2696400a36e7370a12f";
    match joined().binary(&hex(event)) {
        Ok(Some(Event::Received { slot: Slot(0), name, args, ack: Some(AckId(0)) })) => {
            assert_eq!(name, "x");
            let (part, date, nothing) = args.decode::<(Part, String, Option<u8>)>().unwrap();
            assert_eq!((&*part.a, date.as_str(), nothing), (&[7][..], "1970-01-01T00:00:00.001Z", None));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn acks_refusals_and_goodbyes_are_read() {
    match joined().binary(&hex("84a2696400a47479706503a46461746192a172cb3ff8000000000000a36e7370a12f")) {
        Ok(Some(Event::Replied { ack: AckId(0), args, .. })) => {
            assert_eq!(args.decode::<(String, f64)>().unwrap(), ("r".into(), 1.5));
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(
        joined().binary(&hex("82a47479706501a36e7370a12f")),
        Ok(Some(Event::Disconnected { slot: Slot(0) }))
    ));
    let mut client = peer(Role::Client);
    client.connection.connect(&NamespacePath::new("n"), None).unwrap();
    let refusal = "83a47479706504a46461746182a76d657373616765a26e6fa46461746181a16301a36e7370a22f6e";
    match client.binary(&hex(refusal)) {
        Ok(Some(Event::Refused { message, data, .. })) => {
            assert_eq!((message.as_str(), data), ("no", Some(json!({"c": 1}))));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn packets_are_written_as_the_official_parser_reads_them() {
    let msgpack = Parser::Msgpack;
    let root = NamespacePath::main();
    let bytes = |packet: sockeye_protocol::Outgoing| {
        assert!(packet.first.is_binary() && packet.attachment_count() == 0);
        packet.first.packet().to_vec()
    };
    assert_eq!(bytes(msgpack.connect(&root, None::<&Value>).unwrap()), hex("82a47479706500a36e7370a12f"));
    assert_eq!(bytes(msgpack.disconnect(&root)), hex("82a47479706501a36e7370a12f"));
    assert_eq!(
        bytes(msgpack.event(&root, Some(AckId(5)), "e", &(1, Bytes::from_static(&[9]), ())).unwrap()),
        hex("84a47479706502a36e7370a12fa2696405a46461746194a16501c40109c0")
    );
    assert_eq!(
        bytes(msgpack.connected(Revision::V4, &root, "s", None)),
        hex("83a47479706500a36e7370a12fa46461746181a3736964a173")
    );
    assert_eq!(
        bytes(msgpack.refused(Revision::V4, &root, "no", None)),
        hex("83a47479706504a36e7370a12fa46461746181a76d657373616765a26e6f")
    );
    assert_eq!(
        bytes(msgpack.ack(&root, AckId(0), &-1).unwrap()),
        hex("84a47479706503a36e7370a12fa2696400a46461746191ff")
    );
    assert!(msgpack.connect(&root, Some(&[1])).is_err());
}

/// `{type: kind, data, nsp: "/"}`.
fn packet(kind: &str, data: &str) -> Vec<u8> {
    hex(&format!("83a474797065{kind}a464617461{data}a36e7370a12f"))
}

#[test]
fn what_is_no_packet_is_refused() {
    let deep = format!("92a161{}c0", "91".repeat(10_000));
    for (bytes, error) in [
        (vec![], ProtocolError::InvalidMsgpack),
        (hex("c0"), ProtocolError::InvalidMsgpack),
        (hex("90"), ProtocolError::InvalidMsgpack),
        (hex("8100c0"), ProtocolError::InvalidMsgpack),
        (hex("80"), ProtocolError::InvalidNamespace),
        (hex("81a36e7370a12f"), ProtocolError::InvalidMsgpack),
        (packet("02", "91"), ProtocolError::InvalidMsgpack),
        ([hex(CONNECT), vec![0]].concat(), ProtocolError::InvalidMsgpack),
        (hex("dfffffffffa161"), ProtocolError::InvalidMsgpack),
        (packet("05", "91a161"), ProtocolError::UnknownPacketType(5)),
        (packet("06", "90"), ProtocolError::UnknownPacketType(6)),
        (packet("cb3ff0000000000000", "90"), ProtocolError::InvalidMsgpack),
        (packet("02", "80"), ProtocolError::InvalidPayload),
        (packet("02", "d40000"), ProtocolError::InvalidPayload),
        (packet("00", "90"), ProtocolError::InvalidPayload),
        (packet("01", "80"), ProtocolError::InvalidPayload),
        (packet("02", "90"), ProtocolError::InvalidEventName),
        (packet("02", "91c0"), ProtocolError::InvalidEventName),
        (packet("02", "9180"), ProtocolError::InvalidEventName),
        (packet("02", "91a1ff"), ProtocolError::InvalidEventName),
        (packet("02", "91aa646973636f6e6e656374"), ProtocolError::ReservedEventName),
        (packet("03", "90"), ProtocolError::InvalidAckId),
        (packet("02", &deep), ProtocolError::TooDeep { limit: 128 }),
        (hex("84a47479706502a46461746191a161a26964a131a36e7370a12f"), ProtocolError::InvalidAckId),
        (hex("84a47479706502a46461746191a161a26964ffa36e7370a12f"), ProtocolError::InvalidAckId),
        (packet("04", "a161"), ProtocolError::UnexpectedPacket("CONNECT_ERROR")),
        (packet("00", "80"), ProtocolError::AlreadyConnected),
    ] {
        match joined().binary(&bytes) {
            Err(is) => assert_eq!(is, error, "{bytes:02x?}"),
            Ok(event) => panic!("{bytes:02x?} gave {event:?}"),
        }
    }
}

/// As python-socketio writes a DISCONNECT: only JavaScript's MessagePack knows an `undefined` beside it.
#[test]
fn nil_is_nothing() {
    for data in ["c0", "d40000"] {
        match peer(Role::Server).binary(&packet("00", data)) {
            Ok(Some(Event::ConnectAsked { auth, .. })) => assert!(auth.is_empty()),
            other => panic!("{other:?}"),
        }
        assert!(matches!(joined().binary(&packet("01", data)), Ok(Some(Event::Disconnected { slot: Slot(0) }))));
    }
    match joined().binary(&hex("84a47479706502a46461746191a161a26964c0a36e7370a12f")) {
        Ok(Some(Event::Received { ack: None, .. })) => {}
        other => panic!("{other:?}"),
    }
    assert_eq!(joined().binary(&packet("02", "c0")).unwrap_err(), ProtocolError::InvalidPayload);
}

#[test]
fn an_odd_id_where_none_belongs_does_not_end_the_connection() {
    for id in ["ff", "cb407c800000000000", "cb7e37e43c8800759c", "cfffffffffffffffff"] {
        let with_id = |kind: &str, path: &str| hex(&format!("83a474797065{kind}a26964{id}a36e7370{path}"));
        let (mut server, connect, leave) = (joined(), with_id("00", "a22f78"), with_id("01", "a12f"));
        assert!(matches!(server.binary(&connect), Ok(Some(Event::ConnectAsked { .. }))), "{id}");
        assert!(matches!(server.binary(&leave), Ok(Some(Event::Disconnected { .. }))), "{id}");
    }
    for none in ["a131", "cb3ff8000000000000", "cb7ff0000000000000", "80"] {
        let connect = hex(&format!("83a47479706500a26964{none}a36e7370a22f78"));
        assert_eq!(joined().binary(&connect).unwrap_err(), ProtocolError::InvalidAckId, "{none}");
    }
    let event = hex("84a47479706502a46461746191a161a26964cb401c000000000000a36e7370a12f");
    assert_eq!(joined().binary(&event).unwrap_err(), ProtocolError::InvalidAckId);
}

#[test]
fn a_key_named_like_the_prototype_is_a_key() {
    let packet = packet("02", "92a16181a95f5f70726f746f5f5f81a16107");
    match joined().binary(&packet) {
        Ok(Some(Event::Received { args, .. })) => {
            assert_eq!(args.decode::<Value>().unwrap(), json!({"__proto__": {"a": 7}}));
        }
        other => panic!("{other:?}"),
    }
}

/// Beyond 8,640,000,000,000,000 ms, where a `Date` of JavaScript ends.
#[test]
fn invalid_dates_are_null() {
    let last = "d700001eb208c2dc0000";
    for invalid in ["d700001eb208c2dc0001", "d700ffe14df73d23ffff", "d7007fffffffffffffff", "d7008000000000000000"] {
        match joined().binary(&packet("02", &format!("94a161{invalid}{last}01"))) {
            Ok(Some(Event::Received { args, .. })) => {
                let (nothing, date, one) = args.decode::<(Option<String>, String, u8)>().unwrap();
                assert_eq!((nothing, date.as_str(), one), (None, "+275760-09-13T00:00:00.000Z", 1));
                assert_eq!(args.decode::<(Option<i64>, i64, u8)>().unwrap(), (None, 8_640_000_000_000_000, 1));
                assert!(args.decode::<(i64, i64, u8)>().is_err(), "JavaScript has no milliseconds of it");
                let raw = args.decode::<Raw>().unwrap();
                let text = Parser::Json.event(&NamespacePath::main(), None, "a", &raw).unwrap();
                assert_eq!(text.first.packet(), br#"42["a",null,"+275760-09-13T00:00:00.000Z",1]"#);
                let packed = Parser::Msgpack.event(&NamespacePath::main(), None, "a", &raw).unwrap();
                assert!(packed.first.packet().ends_with(&hex(&format!("{invalid}{last}01"))), "as it came");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn numeric_event_names_are_their_text() {
    for (number, text) in [
        ("01", "1"),
        ("ff", "-1"),
        ("cb3ff8000000000000", "1.5"),
        ("cb444b1ae4d6e2ef50", "1e+21"),
        ("cf0020000000000001", "9007199254740992"),
        ("d38000000000000001", "-9223372036854776000"),
    ] {
        match joined().binary(&packet("02", &format!("91{number}"))) {
            Ok(Some(Event::Received { name, .. })) => assert_eq!(name, text),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn numeric_keys_are_their_text() {
    match joined().binary(&packet("02", "92a161820102ff03")) {
        Ok(Some(Event::Received { args, .. })) => {
            assert_eq!(args.decode::<Value>().unwrap(), json!({"1": 2, "-1": 3}));
            assert_eq!(args.decode::<std::collections::BTreeMap<i8, u8>>().unwrap(), [(-1, 3), (1, 2)].into());
        }
        other => panic!("{other:?}"),
    }
}

/// A float, bytes, a boolean, nothing, a list and a map as keys: such arguments could be received and not be passed on.
#[test]
fn keys_that_are_no_strings_can_be_read_and_passed_on() {
    let map = "86cb3ff800000000000001c4016202c303c004920105058006";
    match joined().binary(&packet("02", &format!("92a161{map}"))) {
        Ok(Some(Event::Received { args, .. })) => {
            let expected = json!({"1.5": 1, "b": 2, "true": 3, "null": 4, "1,5": 5, "[object Object]": 6});
            assert_eq!(args.decode::<Value>().unwrap(), expected);
            let raw = args.decode::<Raw>().unwrap();
            let text = Parser::Json.event(&NamespacePath::main(), None, "a", &raw).unwrap();
            let json = r#"42["a",{"1.5":1,"b":2,"true":3,"null":4,"1,5":5,"[object Object]":6}]"#;
            assert_eq!(text.first.packet(), json.as_bytes());
            let packed = Parser::Msgpack.event(&NamespacePath::main(), None, "a", &raw).unwrap();
            assert!(packed.first.packet().ends_with(&hex(map)), "as it came");
        }
        other => panic!("{other:?}"),
    }
}
