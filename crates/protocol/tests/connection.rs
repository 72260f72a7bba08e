//! What a connection makes of packets in each of its phases.

mod common;

use common::{Peer, text_of};
use serde_json::{Value, json};
use sockeye_engine::time::Duration;
use sockeye_engine::{Revision, Role};
use sockeye_protocol::{AckId, Config, Connected, Connection, Event, NamespacePath, Parser, ProtocolError, Slot};

const ATTACHED: &str = r#"{"_placeholder":true,"num":0}"#;

#[test]
fn a_client_joins_talks_and_leaves() {
    let mut server = Peer::server();
    let slot = match server.text(r#"0/admin,{"token":"t"}"#) {
        Ok(Some(Event::ConnectAsked { slot, namespace, query: None, auth })) => {
            assert_eq!(namespace, NamespacePath::new("admin"));
            assert_eq!(auth.decode::<Value>().unwrap(), json!({"token": "t"}));
            slot
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(text_of(&server.accept(slot).unwrap()), r#"0/admin,{"sid":"sid"}"#);
    server.receives(r#"2/admin,["hello"]"#, slot, "hello");
    match server.text("3/admin,7[1]") {
        Ok(Some(Event::Replied { slot: at, ack: AckId(7), args })) => {
            assert_eq!((at, args.decode::<u8>().unwrap()), (slot, 1));
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(server.text("1/admin,"), Ok(Some(Event::Disconnected { slot: at })) if at == slot));
    server.refuses(r#"2/admin,["hello"]"#, &ProtocolError::NotConnected);
}

#[test]
fn an_answer_is_given_once() {
    let mut server = Peer::server();
    let slot = server.ask("/");
    assert_eq!(text_of(&server.refuse(slot).unwrap()), r#"4{"message":"no"}"#);
    assert!(server.refuse(slot).is_none());
    assert!(server.accept(slot).is_none());
    let slot = server.join("/");
    assert!(server.accept(slot).is_none());
    assert!(server.accept(Slot(9)).is_none());
    assert_eq!(text_of(&server.disconnect(slot).unwrap()), "1");
    assert!(server.disconnect(slot).is_none());
}

#[test]
fn violations_close_as_in_the_official_server() {
    let mut server = Peer::joined(&["/"]);
    for (packet, error) in [
        ("0", ProtocolError::AlreadyConnected),
        ("0{}", ProtocolError::AlreadyConnected),
        (r#"2/other,["a"]"#, ProtocolError::NotConnected),
        ("3/other,1[]", ProtocolError::NotConnected),
        ("1/other,", ProtocolError::NotConnected),
        ("0admin", ProtocolError::InvalidPayload),
        (r#"4{"message":"x"}"#, ProtocolError::UnexpectedPacket("CONNECT_ERROR")),
    ] {
        server.refuses(packet, &error);
    }
    let mut server = Peer::server();
    server.refuses(r#"2["a"]"#, &ProtocolError::NotConnected);
    server.ask("/");
    server.refuses(r#"2["a"]"#, &ProtocolError::NotConnected);
    server.refuses("1", &ProtocolError::NotConnected);
}

#[test]
fn a_binary_packet_before_connect_stores_nothing() {
    let mut server = Peer::server();
    server.refuses(&format!(r#"51-["a",{ATTACHED}]"#), &ProtocolError::NotConnected);
    assert_eq!(server.binary(b"x").unwrap_err(), ProtocolError::UnexpectedBinary);
}

#[test]
fn a_second_connect_before_the_answer_is_passed_over() {
    let mut server = Peer::server();
    let slot = server.ask("/");
    server.ignores("0");
    server.ignores("0{}");
    assert!(server.accept(slot).is_some());
    server.refuses("0", &ProtocolError::AlreadyConnected);
}

#[test]
fn packets_in_flight_are_passed_over_after_the_server_left() {
    let mut server = Peer::joined(&["/", "/other"]);
    let slot = Slot(1);
    server.disconnect(slot).unwrap();
    server.ignores(r#"2/other,["a",1]"#);
    server.ignores("3/other,1[]");
    server.ignores(&format!(r#"51-/other,["a",{ATTACHED}]"#));
    assert!(server.binary(b"x").unwrap().is_none());
    assert_eq!(server.binary(b"x").unwrap_err(), ProtocolError::UnexpectedBinary);
    server.receives(r#"2["a"]"#, Slot(0), "a");
    server.refuses(r#"2/other,["disconnect"]"#, &ProtocolError::ReservedEventName);
    assert_eq!(server.ask("/other"), slot, "and may come back");
    assert!(server.connection.namespace(slot).is_some());
}

#[test]
fn the_client_leaves_at_the_same_time() {
    let mut server = Peer::joined(&["/"]);
    server.disconnect(Slot(0)).unwrap();
    server.ignores("1");
    server.refuses("1", &ProtocolError::NotConnected);
    server.join("/");
}

#[test]
fn attachments_of_a_namespace_that_is_left_are_passed_over() {
    let mut server = Peer::joined(&["/"]);
    server.ignores(r#"52-["a",{"_placeholder":true,"num":1}]"#);
    assert!(server.binary(b"x").unwrap().is_none());
    server.disconnect(Slot(0)).unwrap();
    server.refuses(r#"2["a"]"#, &ProtocolError::UnexpectedText);
    assert!(server.binary(b"y").unwrap().is_none());
    let slot = server.join("/");
    server.receives(r#"2["a"]"#, slot, "a");
}

#[test]
fn namespaces_are_limited() {
    let config = Config { max_namespaces: 3, ..Config::default() };
    let mut server = Peer::with(Role::Server, Revision::V4, Parser::Json, config);
    for namespace in ["/a", "/b", "/c"] {
        server.ask(namespace);
    }
    server.refuses("0/d,", &ProtocolError::TooManyNamespaces { limit: 3 });
    server.refuse(Slot(1)).unwrap();
    assert_eq!(server.ask("/d"), Slot(1));
    let mut server = Peer::server();
    let refused = (0..100_000).find(|n| server.text(&format!("0/{n},")).is_err());
    assert_eq!(refused, Some(256));
}

#[test]
fn namespaces_that_come_and_go_take_no_room() {
    let mut server = Peer::server();
    for n in 0..1000 {
        let slot = server.join(&format!("/{n}"));
        assert!(slot.0 < 2);
        if n % 2 == 0 {
            assert!(server.text(&format!("1/{n},")).unwrap().is_some());
        } else {
            server.disconnect(slot).unwrap();
            server.ignores(&format!("1/{n},"));
        }
    }
}

#[test]
fn paths_have_a_query_and_limits() {
    let mut server = Peer::server();
    match server.text("0/admin?token=1&x=%2C,") {
        Ok(Some(Event::ConnectAsked { namespace, query, auth, .. })) => {
            assert_eq!((namespace.as_str(), query), ("/admin", Some("token=1&x=%2C")));
            assert!(auth.is_empty());
        }
        other => panic!("{other:?}"),
    }
    server.refuses(&format!("0/{},", "x".repeat(2000)), &ProtocolError::InvalidNamespace);
    assert!(server.text("0/without-comma").unwrap().is_some());
    assert!(server.text("0/__proto__,").unwrap().is_some());
}

#[test]
fn a_client_without_namespace_is_closed() {
    let mut server = Peer::server();
    let opened = server.now;
    let limit = Duration::from_secs(45);
    assert_eq!(server.connection.poll_timeout(), Some(opened + limit));
    server.advance(Duration::from_secs(44));
    assert_eq!(server.timeout(), Ok(()));
    let slot = server.ask("/");
    assert_eq!(server.connection.poll_timeout(), Some(opened + limit), "asking is not joining");
    server.accept(slot);
    assert_eq!(server.connection.poll_timeout(), None);
    server.advance(Duration::from_secs(1000));
    assert_eq!(server.timeout(), Ok(()));
    server.text("1").unwrap().unwrap();
    assert_eq!(server.connection.poll_timeout(), Some(server.now + limit));
    server.advance(limit);
    assert_eq!(server.timeout(), Err(ProtocolError::ConnectTimeout));
    assert_eq!(Peer::client().connection.poll_timeout(), None);
}

#[test]
fn leaving_one_of_two_namespaces_starts_no_clock() {
    let mut server = Peer::joined(&["/", "/a"]);
    server.disconnect(Slot(0));
    assert_eq!(server.connection.poll_timeout(), None);
    server.disconnect(Slot(1));
    assert!(server.connection.poll_timeout().is_some());
}

#[test]
fn attachments_follow_their_packet() {
    let mut server = Peer::joined(&["/"]);
    server.ignores(r#"52-9["up",{"_placeholder":true,"num":1},[{"_placeholder":true,"num":0}]]"#);
    assert!(server.binary(b"zero").unwrap().is_none());
    match server.binary(b"one") {
        Ok(Some(Event::Received { name, args, ack, .. })) => {
            assert_eq!((&*name, ack), ("up", Some(AckId(9))));
            let (one, zero): (serde_bytes::ByteBuf, Vec<serde_bytes::ByteBuf>) = args.decode().unwrap();
            assert_eq!((one.as_slice(), zero[0].as_slice()), (&b"one"[..], &b"zero"[..]));
        }
        other => panic!("{other:?}"),
    }
    server.ignores(&format!("61-3[{ATTACHED}]"));
    assert!(matches!(server.binary(b""), Ok(Some(Event::Replied { ack: AckId(3), .. }))));
    assert_eq!(server.binary(b"x").unwrap_err(), ProtocolError::UnexpectedBinary);
}

#[test]
fn text_while_attachments_are_awaited_is_refused() {
    for text in [r#"2["a"]"#, "1", "", r#"51-["a"]"#] {
        let mut server = Peer::joined(&["/"]);
        server.ignores(&format!(r#"51-["a",{ATTACHED}]"#));
        server.refuses(text, &ProtocolError::UnexpectedText);
    }
}

#[test]
fn a_count_of_zero_awaits_nothing() {
    let mut server = Peer::joined(&["/"]);
    server.refuses(r#"50-["a"]"#, &ProtocolError::InvalidAttachmentCount);
    assert_eq!(server.binary(b"x").unwrap_err(), ProtocolError::UnexpectedBinary);
}

#[test]
fn attachments_have_a_deadline() {
    let mut server = Peer::joined(&["/"]);
    server.ignores(r#"53-["a"]"#);
    let deadline = server.now + Duration::from_mins(1);
    assert_eq!(server.connection.poll_timeout(), Some(deadline));
    server.advance(Duration::from_secs(59));
    assert!(server.binary(b"x").unwrap().is_none());
    assert_eq!(server.timeout(), Ok(()));
    server.advance(Duration::from_secs(1));
    assert_eq!(server.connection.poll_timeout(), Some(deadline), "one deadline for all of them");
    assert_eq!(server.timeout(), Err(ProtocolError::AttachmentTimeout));
}

#[test]
fn complete_attachments_have_no_deadline() {
    let mut server = Peer::joined(&["/"]);
    server.ignores(r#"51-["a"]"#);
    assert!(server.binary(b"x").unwrap().is_some());
    assert_eq!(server.connection.poll_timeout(), None);
    server.connection.release();
    server.advance(Duration::from_secs(1000));
    assert_eq!(server.timeout(), Ok(()));
}

#[test]
fn attachments_are_counted_in_bytes_together() {
    let config = Config { max_attachment_bytes: 10, ..Config::default() };
    for discarded in [false, true] {
        let mut server = Peer::with(Role::Server, Revision::V4, Parser::Json, config.clone());
        let slot = server.join("/");
        if discarded {
            server.disconnect(slot);
        }
        server.ignores(r#"53-["a"]"#);
        assert!(server.binary(b"12345").unwrap().is_none());
        assert!(server.binary(b"67890").unwrap().is_none());
        assert_eq!(server.binary(b"1").unwrap_err(), ProtocolError::AttachmentsTooLarge { bytes: 11, limit: 10 });
    }
}

#[test]
fn clients_of_revision_3_are_in_the_main_namespace_by_connecting() {
    let mut server = Peer::with(Role::Server, Revision::V3, Parser::Json, Config::default());
    let slot = match server.connection.poll_event() {
        Some(Event::ConnectAsked { slot, namespace, query: None, auth }) => {
            assert!(namespace.is_main() && auth.is_empty());
            slot
        }
        other => panic!("{other:?}"),
    };
    assert!(server.connection.poll_event().is_none());
    assert_eq!(text_of(&server.accept(slot).unwrap()), "0");
    server.receives(r#"2["a"]"#, slot, "a");
    let admin = server.ask("/admin");
    assert_eq!(text_of(&server.refuse(admin).unwrap()), r#"4/admin,"no""#);
    assert!(Peer::server().connection.poll_event().is_none());
    assert!(Peer::client().connection.poll_event().is_none());
}

#[test]
fn the_query_of_a_namespace_in_every_packet_does_not_end_an_old_connection() {
    let mut server = Peer::with(Role::Server, Revision::V3, Parser::Json, Config::default());
    let Some(Event::ConnectAsked { slot: main, .. }) = server.connection.poll_event() else { panic!() };
    server.accept(main).unwrap();
    let Ok(Some(Event::ConnectAsked { slot, query: Some("a=1"), .. })) = server.text("0/admin?a=1,") else { panic!() };
    server.accept(slot).unwrap();
    server.receives(r#"2/admin?a=1,["x"]"#, slot, "x");
    server.receives(r#"2/?a=1,["x"]"#, main, "x");
    assert!(matches!(server.text("3/admin?a=1,0[]"), Ok(Some(Event::Replied { slot: at, .. })) if at == slot));
    assert!(matches!(server.text("1/admin?a=1,"), Ok(Some(Event::Disconnected { slot: at })) if at == slot));
    server.refuses(r#"2/admin?a=1,["x"]"#, &ProtocolError::NotConnected);
    let mut new = Peer::server();
    new.join("/admin");
    new.refuses(r#"2/admin?a=1,["x"]"#, &ProtocolError::NotConnected);
}

#[test]
fn a_client_connects() {
    let mut client = Peer::client();
    let (slot, packet) = client.connection.connect(&NamespacePath::new("a"), Some(&json!({"t": 1}))).unwrap();
    assert_eq!(text_of(&packet), r#"0/a,{"t":1}"#);
    client.receives(r#"2/a,["missed"]"#, slot, "missed");
    let connected = Connected { sid: "s".into(), pid: Some("p".into()) };
    match client.text(r#"0/a,{"sid":"s","pid":"p","x":1}"#) {
        Ok(Some(Event::Connected { slot: at, connected: is })) => assert_eq!((at, is), (slot, connected)),
        other => panic!("{other:?}"),
    }
    client.receives(r#"2/a,["now"]"#, slot, "now");
    client.ignores(r#"0/a,{"sid":"again"}"#);
    assert!(client.connection.connect(&NamespacePath::new("a"), None).is_err());
    assert!(matches!(client.text("1/a,"), Ok(Some(Event::Disconnected { slot: at })) if at == slot));
    client.ignores("1/a,");
    client.connection.connect(&NamespacePath::new("a"), None).unwrap();
}

#[test]
fn a_client_of_revision_3_is_in_the_main_namespace_by_connecting() {
    let old = || Peer::with(Role::Client, Revision::V3, Parser::Json, Config::default());
    let (main, admin) = (NamespacePath::main(), NamespacePath::new("admin"));
    // It is taken before the server answers,
    let mut client = old();
    let (slot, packet) = client.connection.connect_v3(&main, "").unwrap();
    assert!(packet.is_none() && !client.connection.is_connected(slot));
    assert!(client.connection.connect_v3(&main, "").is_err(), "taken");
    match client.text("0") {
        Ok(Some(Event::Connected { slot: at, connected })) => assert_eq!((at, connected.sid.as_str()), (slot, "")),
        other => panic!("{other:?}"),
    }
    assert_eq!(text_of(&client.disconnect(slot).unwrap()), "1");
    let (_, packet) = client.connection.connect_v3(&main, "").unwrap();
    assert_eq!(text_of(&packet.unwrap()), "0", "and from then on asked for like any other");
    // or after that, or after it was refused.
    let mut client = old();
    client.text("0").unwrap();
    let (slot, packet) = client.connection.connect_v3(&main, "").unwrap();
    assert!(packet.is_none() && client.connection.is_connected(slot));
    client.receives(r#"2["a"]"#, slot, "a");
    let mut client = old();
    assert!(matches!(client.text(r#"4"no""#), Ok(Some(Event::Refused { .. }))));
    assert!(client.connection.connect_v3(&main, "").unwrap().1.is_some());
    // Others are asked for by a packet.
    let (slot, packet) = client.connection.connect_v3(&admin, "a=1&b=%2C").unwrap();
    assert_eq!(text_of(&packet.unwrap()), "0/admin?a=1&b=%2C,");
    assert!(matches!(client.text("0/admin"), Ok(Some(Event::Connected { slot: at, .. })) if at == slot));
    for query in ["a,b", "a b", "é"] {
        assert!(client.connection.connect_v3(&NamespacePath::new("x"), query).is_err(), "{query}");
    }
    assert!(client.connection.connect(&NamespacePath::new("x"), None).is_err());
    assert!(Peer::client().connection.connect_v3(&main, "").is_err());
}

#[test]
fn a_client_is_refused() {
    for (body, told, more) in [
        (r#"{"message":"no","data":{"code":1}}"#, "no", Some(json!({"code": 1}))),
        (r#"{"message":"no"}"#, "no", None),
        (r#""bare""#, "bare", None),
        (r#"{"code":1}"#, "", Some(json!({"code": 1}))),
        ("", "", None),
    ] {
        let mut client = Peer::client();
        let (slot, _) = client.connection.connect(&NamespacePath::new("a"), None).unwrap();
        match client.text(&format!("4/a,{body}")) {
            Ok(Some(Event::Refused { slot: at, message, data })) => {
                assert_eq!((at, message.as_str(), data), (slot, told, more), "{body}");
            }
            other => panic!("{other:?}"),
        }
        client.ignores(r#"4/a,{"message":"twice"}"#);
        client.connection.connect(&NamespacePath::new("a"), None).unwrap();
    }
}

#[test]
fn a_server_of_socket_io_2_is_recognized() {
    let mut client = Peer::client();
    client.connection.connect(&NamespacePath::main(), None).unwrap();
    assert!(
        matches!(client.text("0"), Ok(Some(Event::Refused { message, .. })) if message.contains("older Socket.IO"))
    );
}

#[test]
fn a_client_passes_over_what_it_left() {
    let mut client = Peer::client();
    let (slot, _) = client.connection.connect(&NamespacePath::main(), None).unwrap();
    assert!(client.text(r#"0{"sid":"s"}"#).unwrap().is_some());
    assert_eq!(text_of(&client.disconnect(slot).unwrap()), "1");
    client.ignores(r#"2["late"]"#);
    client.ignores(r#"2/never,["asked"]"#);
    client.ignores(&format!(r#"51-["late",{ATTACHED}]"#));
    assert!(client.binary(b"x").unwrap().is_none());
}

#[test]
fn a_client_which_leaves_before_the_answer_disconnects_after_it() {
    let root = NamespacePath::main();
    for answer in [r#"0{"sid":"s"}"#, r#"4{"message":"no"}"#] {
        let mut client = Peer::client();
        let (slot, _) = client.connection.connect(&root, None).unwrap();
        assert!(client.disconnect(slot).is_none());
        assert!(client.connection.connect(&root, None).is_err(), "a second CONNECT could close the connection");
        client.ignores(r#"2["missed"]"#);
        client.ignores("1");
        let is_connected = match client.text(answer) {
            Ok(Some(Event::Connected { slot: at, .. })) => at == slot,
            Ok(Some(Event::Refused { slot: at, .. })) => at != slot,
            other => panic!("{other:?}"),
        };
        assert_eq!(client.disconnect(slot).is_some(), is_connected);
        client.connection.connect(&root, None).unwrap();
    }
}

#[test]
fn a_goodbye_of_the_last_time_does_not_end_the_next() {
    let mut client = Peer::client();
    let root = NamespacePath::main();
    let (slot, _) = client.connection.connect(&root, None).unwrap();
    client.text(r#"0{"sid":"s"}"#).unwrap().unwrap();
    client.disconnect(slot).unwrap();
    let (slot, _) = client.connection.connect(&root, None).unwrap();
    client.ignores("1");
    assert!(matches!(client.text(r#"0{"sid":"t"}"#), Ok(Some(Event::Connected { slot: at, .. })) if at == slot));
}

#[test]
fn a_client_refuses_what_cannot_be_sent() {
    let mut client = Peer::client();
    assert!(client.connection.connect(&NamespacePath::main(), Some(&json!([1]))).is_err());
    assert!(client.connection.connect(&NamespacePath::main(), Some(&json!({}))).is_ok());
    assert!(Peer::server().connection.connect(&NamespacePath::main(), None).is_err());
}

#[test]
fn connections_are_small() {
    assert!(size_of::<Connection>() <= 200, "{}", size_of::<Connection>());
}

#[test]
fn msgpack_takes_no_text() {
    let mut server = Peer::with(Role::Server, Revision::V4, Parser::Msgpack, Config::default());
    server.refuses("0", &ProtocolError::UnexpectedText);
}
