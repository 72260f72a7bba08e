//! The examples of the protocol document, and what must be refused, as literal text.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};
use sockeye_engine::time::Instant;
use sockeye_engine::{Encoded, Message, Revision, Role};
use sockeye_protocol::{AckId, Config, Connection, Event, NamespacePath, Outgoing, Parser, ProtocolError};

fn text(encoded: &Encoded) -> &str {
    assert!(!encoded.is_binary());
    std::str::from_utf8(encoded.packet()).unwrap().strip_prefix('4').unwrap()
}

fn written(packet: &Outgoing) -> &str {
    assert_eq!(packet.attachment_count(), 0);
    text(&packet.first)
}

fn path(path: &str) -> NamespacePath {
    NamespacePath::new(path)
}

/// A server in whose `/` and `/admin` the client is.
fn joined() -> Connection {
    let now = Instant::now();
    let mut server = Connection::new(Role::Server, Revision::V4, Parser::Json, Arc::new(Config::default()), now);
    for packet in ["0", "0/admin,"] {
        let Ok(Some(Event::ConnectAsked { slot, .. })) = server.handle_message(now, Message::Text(packet)) else {
            panic!("no CONNECT in {packet}")
        };
        server.accept(slot, "sid", None, now).unwrap();
    }
    server
}

/// What a joined server makes of a text.
fn refusal(text: &str) -> ProtocolError {
    match joined().handle_message(Instant::now(), Message::Text(text)) {
        Err(error) => error,
        Ok(event) => panic!("{text} gave {event:?}"),
    }
}

/// An event's namespace, name, arguments and ack id.
fn received(text: &str) -> (String, String, Value, Option<AckId>) {
    let mut server = joined();
    let (slot, name, args, ack) = match server.handle_message(Instant::now(), Message::Text(text)) {
        Ok(Some(Event::Received { slot, name, args, ack })) => {
            // A single value is the first argument; a list of them is read as what is left after each.
            (slot, name.into_owned(), args.decode::<Option<Value>>().unwrap().unwrap_or_default(), ack)
        }
        other => panic!("{text} gave {other:?}"),
    };
    (server.namespace(slot).unwrap().to_string(), name, args, ack)
}

#[test]
fn packets_are_written_as_documented() {
    let json = Parser::Json;
    let root = NamespacePath::main();
    let v4 = Revision::V4;
    assert_eq!(written(&json.connect(&root, None::<&Value>).unwrap()), "0");
    assert_eq!(written(&json.connect(&path("admin"), Some(&json!({"sid":"x"}))).unwrap()), r#"0/admin,{"sid":"x"}"#);
    assert_eq!(written(&json.connected(v4, &root, "oSO0OpakMV_3jnilAAAA", None)), r#"0{"sid":"oSO0OpakMV_3jnilAAAA"}"#);
    assert_eq!(written(&json.connected(v4, &path("a"), "s", Some("p"))), r#"0/a,{"sid":"s","pid":"p"}"#);
    assert_eq!(written(&json.refused(v4, &root, "Not authorized", None)), r#"4{"message":"Not authorized"}"#);
    assert_eq!(written(&json.refused(v4, &path("n"), "no", Some(&json!([1])))), r#"4/n,{"message":"no","data":[1]}"#);
    assert_eq!(written(&json.disconnect(&root)), "1");
    assert_eq!(written(&json.disconnect(&path("admin"))), "1/admin,");
    assert_eq!(written(&json.event(&root, None, "foo", &()).unwrap()), r#"2["foo"]"#);
    assert_eq!(written(&json.event(&path("admin"), None, "bar", &()).unwrap()), r#"2/admin,["bar"]"#);
    assert_eq!(written(&json.event(&root, Some(AckId(12)), "foo", &()).unwrap()), r#"212["foo"]"#);
    assert_eq!(written(&json.event(&root, None, "a\"b", &(1, "2")).unwrap()), r#"2["a\"b",1,"2"]"#);
    assert_eq!(written(&json.ack(&path("admin"), AckId(13), &("bar",)).unwrap()), r#"3/admin,13["bar"]"#);
    assert_eq!(written(&json.ack(&root, AckId(0), &()).unwrap()), "30[]");
    assert_eq!(written(&json.ack(&root, AckId(u64::MAX), &json!({})).unwrap()), "318446744073709551615[{}]");
}

#[test]
fn attachments_are_written_as_documented() {
    let packet = Parser::Json.event(&NamespacePath::main(), None, "baz", &Bytes::from_static(&[1, 2, 3, 4])).unwrap();
    assert_eq!(text(&packet.first), r#"51-["baz",{"_placeholder":true,"num":0}]"#);
    assert_eq!(packet.messages().nth(1).unwrap().packet(), [1, 2, 3, 4]);
    let bytes = Bytes::from_static(b"x");
    let packet = Parser::Json.ack(&path("admin"), AckId(456), &("bar", &bytes, &bytes)).unwrap();
    assert_eq!(
        text(&packet.first),
        r#"62-/admin,456["bar",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]"#
    );
    assert_eq!(packet.attachment_count(), 2);
    assert!(packet.messages().skip(1).all(Encoded::is_binary));
}

#[test]
fn revision_3_is_told_less() {
    let v3 = Revision::V3;
    assert_eq!(written(&Parser::Json.connected(v3, &path("admin"), "sid", Some("pid"))), "0/admin,");
    assert_eq!(written(&Parser::Json.connected(v3, &NamespacePath::main(), "sid", None)), "0");
    assert_eq!(written(&Parser::Json.refused(v3, &path("n"), "no \"entry\"", None)), r#"4/n,"no \"entry\"""#);
    assert_eq!(written(&Parser::Json.refused(v3, &path("n"), "no", Some(&json!({"a":1})))), r#"4/n,{"a":1}"#);
}

#[test]
fn events_are_read() {
    assert_eq!(received(r#"2["foo"]"#), ("/".into(), "foo".into(), Value::Null, None));
    assert_eq!(received(r#"2/admin,["bar",{"a":[]}]"#), ("/admin".into(), "bar".into(), json!({"a":[]}), None));
    assert_eq!(received(r#"212["foo",1]"#), ("/".into(), "foo".into(), json!(1), Some(AckId(12))));
    assert_eq!(received(r#"2/admin,0[ "x" , 2 ] "#), ("/admin".into(), "x".into(), json!(2), Some(AckId(0))));
    assert_eq!(received("218446744073709551615[\"x\"]").3, Some(AckId(u64::MAX)));
    assert_eq!(received("24294967296[\"x\"]").3, Some(AckId(1 << 32)));
}

#[test]
fn event_names_may_be_anything_but_reserved() {
    for (json, name) in [
        (r#""a\"b""#, "a\"b"),
        (r#""""#, ""),
        (r#""\u00e9\ud83d\ude00""#, "é😀"),
        (r#""__proto__""#, "__proto__"),
        (r#""message""#, "message"),
        (r#""error""#, "error"),
        ("1", "1"),
        ("-1.5", "-1.5"),
        ("1e3", "1000"),
        ("1.0", "1"),
        ("-0", "0"),
        ("1E21", "1e+21"),
        ("-1.5E-7", "-1.5e-7"),
        ("1e400", "Infinity"),
        ("9007199254740993", "9007199254740992"),
        ("12345678901234567890", "12345678901234567000"),
    ] {
        assert_eq!(received(&format!("2[{json}]")).1, name);
        assert_eq!(received(&format!("2[{json},1]")).1, name);
    }
    assert_eq!(received("2[ 1e3 , 1 ]").1, "1000");
    let long = "x".repeat(1 << 20);
    assert_eq!(received(&format!("2[\"{long}\"]")).1, long);
}

#[test]
fn reserved_event_names_are_refused() {
    for name in ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"] {
        assert_eq!(refusal(&format!("2[\"{name}\"]")), ProtocolError::ReservedEventName);
    }
    assert_eq!(refusal(r#"2["\u0063onnect",1]"#), ProtocolError::ReservedEventName);
    assert_eq!(refusal(r#"51-["disconnect",{"_placeholder":true,"num":0}]"#), ProtocolError::ReservedEventName);
}

#[test]
fn event_names_which_are_no_names_are_refused() {
    for list in ["[{}]", "[null]", "[[]]", "[]", "[true,1]"] {
        assert_eq!(refusal(&format!("2{list}")), ProtocolError::InvalidEventName, "{list}");
    }
}

#[test]
fn unknown_types_are_refused() {
    assert_eq!(refusal(""), ProtocolError::UnknownPacketType(0));
    assert_eq!(refusal("7"), ProtocolError::UnknownPacketType(b'7'));
    assert_eq!(refusal("9[\"x\"]"), ProtocolError::UnknownPacketType(b'9'));
    assert_eq!(refusal("é"), ProtocolError::UnknownPacketType(0xc3));
}

#[test]
fn payloads_of_the_wrong_shape_are_refused() {
    for packet in [
        "2",
        "2{}",
        "2\"a\"",
        "212",
        "2 [\"a\"]",
        "2\u{feff}[\"a\"]",
        "2/admin[\"a\"]",
        "31",
        "31{}",
        "1{}",
        "1\"x\"",
        "112[]",
        "1 ",
        "1-1",
    ] {
        assert_eq!(refusal(packet), ProtocolError::InvalidPayload, "{packet}");
    }
    for packet in ["0/x,[]", "0/x,null", "0/x,\"a\"", "0/x,1[]", "0/x,1.5", "0/x,-1", "0/x,true"] {
        assert_eq!(refusal(packet), ProtocolError::InvalidPayload, "{packet}");
    }
    assert_eq!(refusal("4{\"message\":\"x\"}"), ProtocolError::UnexpectedPacket("CONNECT_ERROR"));
}

#[test]
fn ack_ids_which_are_none_are_refused() {
    assert_eq!(refusal("3[]"), ProtocolError::InvalidAckId);
    assert_eq!(refusal("318446744073709551616[]"), ProtocolError::InvalidAckId);
    assert_eq!(refusal("299999999999999999999[\"x\"]"), ProtocolError::InvalidAckId);
    assert_eq!(refusal("3-1[]"), ProtocolError::InvalidAckId);
}

#[test]
fn an_id_where_none_belongs_does_not_end_the_connection() {
    for digits in ["7", "007", "01844073709551616", "18446744073709551616", &"9".repeat(400)] {
        let (mut server, now) = (joined(), Instant::now());
        let connect = format!("0/x,{digits}{{\"token\":\"x\"}}");
        match server.handle_message(now, Message::Text(&connect)) {
            Ok(Some(Event::ConnectAsked { auth, .. })) => {
                assert_eq!(auth.decode::<Value>().unwrap(), json!({"token": "x"}), "{connect}");
            }
            other => panic!("{connect} gave {other:?}"),
        }
        let bare = server.handle_message(now, Message::Text("0/y,7")).unwrap();
        assert!(matches!(bare, Some(Event::ConnectAsked { auth, .. }) if auth.is_empty()));
        for leave in [format!("1/admin,{digits}"), format!("1{digits}")] {
            let event = server.handle_message(now, Message::Text(&leave));
            assert!(matches!(event, Ok(Some(Event::Disconnected { .. }))), "{leave} gave {event:?}");
        }
    }
}

#[test]
fn an_id_before_a_refusal_does_not_hide_it() {
    for (packet, said) in [
        (r#"4/n,12{"message":"no"}"#, "no"),
        (r#"4/n,12"no""#, "no"),
        (r#"4/n,"no""#, "no"),
        ("4/n,007", ""),
        ("4/n,", ""),
    ] {
        let config = Arc::new(Config::default());
        let mut client = Connection::new(Role::Client, Revision::V4, Parser::Json, config, Instant::now());
        client.connect(&path("n"), None).unwrap();
        match client.handle_message(Instant::now(), Message::Text(packet)) {
            Ok(Some(Event::Refused { message, .. })) => assert_eq!(message, said, "{packet}"),
            other => panic!("{packet} gave {other:?}"),
        }
    }
}

#[test]
fn a_key_that_stands_twice_does_not_hide_an_answer_to_connect() {
    for (packet, said) in
        [(r#"4/n,{"message":"a","message":"b"}"#, Err("b")), (r#"0/n,{"sid":"a","sid":"b"}"#, Ok("b"))]
    {
        let config = Arc::new(Config::default());
        let mut client = Connection::new(Role::Client, Revision::V4, Parser::Json, config, Instant::now());
        client.connect(&path("n"), None).unwrap();
        match client.handle_message(Instant::now(), Message::Text(packet)) {
            Ok(Some(Event::Refused { message, .. })) => assert_eq!(Err(&*message), said),
            Ok(Some(Event::Connected { connected, .. })) => assert_eq!(Ok(&*connected.sid), said),
            other => panic!("{packet} gave {other:?}"),
        }
    }
}

#[test]
fn bad_json_is_refused_with_or_without_a_listener() {
    for packet in [
        "2[\"a\"",
        "2[\"a\",",
        "2[\"a\",]",
        "2[\"a\" 1]",
        "2[\"a\",1]x",
        "2[\"a\"]]",
        "2[\"a\",NaN]",
        "2[\"a\",01]",
        "2[\"a\\x\"]",
        "2[\"a\",{\"b\":1,}]",
        "2[\"a\",'b']",
        "2[\"a\",\"\u{1}\"]",
        "2[\"",
        "2[",
        "2[\"a\",undefined]",
        "31[",
        "31[1",
        "31[] 1",
        "31[1]]",
        "0/x,{",
        "0/x,{}{}",
        "2[-]",
        "2[01]",
    ] {
        assert_eq!(refusal(packet), ProtocolError::InvalidJson, "{packet}");
    }
}

#[test]
fn deep_nesting_is_refused_without_recursion() {
    let deep = format!("2[\"a\",{}{}]", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(refusal(&deep), ProtocolError::TooDeep { limit: 128 });
    assert_eq!(refusal(&format!("0/x,{}", "{\"a\":".repeat(100_000))), ProtocolError::TooDeep { limit: 128 });
    let allowed = format!("2[\"a\",{}{}]", "[".repeat(127), "]".repeat(127));
    assert!(received(&allowed).2.is_array());
}

#[test]
fn counts_of_attachments_which_are_none_are_refused() {
    for count in ["0", "-1", "01", "1e9", "", " 1", "+1", "1.0", "0x1", "1_"] {
        let packet = format!(r#"5{count}-["x",{{"_placeholder":true,"num":0}}]"#);
        assert_eq!(refusal(&packet), ProtocolError::InvalidAttachmentCount, "{packet}");
    }
    assert_eq!(refusal(r#"51["x"]"#), ProtocolError::InvalidAttachmentCount);
    assert_eq!(refusal("5"), ProtocolError::InvalidAttachmentCount);
    assert_eq!(refusal("60-1[]"), ProtocolError::InvalidAttachmentCount);
}

#[test]
fn too_many_attachments_are_refused_at_the_header() {
    for (announced, count) in [("11", 11), ("4294967297", 4_294_967_297), ("99999999999999999999999", usize::MAX)] {
        let refused = refusal(&format!("5{announced}-[\"x\"]"));
        assert_eq!(refused, ProtocolError::TooManyAttachments { count, limit: 10 });
    }
    assert!(joined().handle_message(Instant::now(), Message::Text("510-[\"x\"]")).unwrap().is_none());
}

#[test]
fn placeholders_without_an_attachment_are_refused() {
    for num in ["-1", "1.5", "\"splice\"", "1", "null", "18446744073709551616", "{}"] {
        let packet = format!(r#"51-["x",[{{"_placeholder":true,"num":{num}}}]]"#);
        assert_eq!(refusal(&packet), ProtocolError::InvalidPlaceholder, "{packet}");
        let packet = format!(r#"61-1[{{"_placeholder":true,"num":{num}}}]"#);
        assert_eq!(refusal(&packet), ProtocolError::InvalidPlaceholder, "{packet}");
    }
    assert_eq!(refusal(r#"51-["x",{"_placeholder":true}]"#), ProtocolError::InvalidPlaceholder);
}

#[test]
fn placeholders_without_any_attachment_are_data() {
    let data = json!({"_placeholder": true, "num": 0});
    assert_eq!(received(&format!(r#"2["x",{data}]"#)).2, data);
    assert_eq!(
        written(&Parser::Json.event(&NamespacePath::main(), None, "x", &data).unwrap()),
        format!(r#"2["x",{data}]"#)
    );
}
