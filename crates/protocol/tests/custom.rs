//! A parser of the application's own: `<kind> <namespace> <id>` as text, and its data as bytes in a second message.

mod common;

use bytes::Bytes;
use common::Peer;
use serde_json::json;
use sockeye_engine::time::Duration;
use sockeye_engine::{Message, Revision, Role};
use sockeye_protocol::args::List;
use sockeye_protocol::parser::{Content, CustomParser, Decoder, Packet};
use sockeye_protocol::{
    AckId, Config, EncodeError, Event, NamespacePath, Outgoing, OwnedArgs, Parser, ProtocolError, Raw, Slot,
};

#[derive(Debug)]
struct Split;

#[derive(Debug, Default)]
struct Half(Option<String>);

impl CustomParser for Split {
    fn encode(&self, packet: &Packet) -> Result<Outgoing, EncodeError> {
        let path = packet.namespace.as_str();
        let (head, args) = match &packet.content {
            Content::Ack { id, args } => (format!("ack {path} {}", id.0), args),
            Content::Connect(args) => (format!("connect {path} -"), args),
            Content::ConnectError(args) => (format!("refused {path} -"), args),
            Content::Disconnect => return Ok(Outgoing::text(&format!("disconnect {path} -"))),
            Content::Event { name, .. } if name == "unwritable" => return Err(EncodeError::new("no such event")),
            Content::Event { name, id, args } => {
                let id = id.map_or("-".into(), |id| id.0.to_string());
                (format!("event:{name} {path} {id}"), args)
            }
        };
        let data = serde_json::to_vec(&List(args.clone())).map_err(EncodeError::new)?;
        Ok(Outgoing::text(&head).with_attachments([&*data]))
    }

    fn decoder(&self) -> Box<dyn Decoder> {
        Box::new(Half::default())
    }
}

impl Decoder for Half {
    fn decode(&mut self, message: Message<'_>) -> Result<Option<Packet>, ProtocolError> {
        let data = match (message, &self.0) {
            (Message::Text(text), None) if text.starts_with("disconnect ") => {
                return packet(text, OwnedArgs::default()).map(Some);
            }
            (Message::Text("fault"), None) => panic!("a fault of the application"),
            (Message::Text(text), None) => {
                self.0 = Some(text.to_owned());
                return Ok(None);
            }
            // Bytes that are empty are not the last ones.
            (Message::Binary(bytes), Some(_)) if bytes.is_empty() => return Ok(None),
            (Message::Binary(bytes), Some(_)) => bytes,
            (Message::Text(_), Some(_)) => return Err(ProtocolError::UnexpectedText),
            (Message::Binary(_), None) => return Err(ProtocolError::UnexpectedBinary),
        };
        let args: List = serde_json::from_slice(&data).map_err(|_| ProtocolError::InvalidPayload)?;
        packet(&self.0.take().unwrap_or_default(), args.0).map(Some)
    }
}

fn packet(head: &str, args: OwnedArgs) -> Result<Packet, ProtocolError> {
    let [kind, path, id] = head.split(' ').collect::<Vec<_>>()[..] else { return Err(ProtocolError::InvalidPayload) };
    let id = id.parse().ok().map(AckId);
    let content = match (kind, kind.strip_prefix("event:"), id) {
        (_, Some(name), id) => Content::Event { name: name.to_owned(), id, args },
        ("ack", _, Some(id)) => Content::Ack { id, args },
        ("connect", ..) => Content::Connect(args),
        ("refused", ..) => Content::ConnectError(args),
        ("disconnect", ..) => Content::Disconnect,
        _ => return Err(ProtocolError::InvalidPayload),
    };
    Ok(Packet { namespace: NamespacePath::parse(path)?.0, content })
}

fn peer(role: Role) -> Peer {
    Peer::with(role, Revision::V4, Parser::custom(Split), Config::default())
}

/// Hands a packet over; all its messages but the last give nothing.
fn deliver<'a>(packet: &Outgoing, peer: &'a mut Peer) -> Result<Option<Event<'a>>, ProtocolError> {
    let mut messages: Vec<_> = packet.messages().collect();
    let last = messages.pop().unwrap();
    for message in messages {
        assert!(receive(message, peer)?.is_none());
    }
    receive(last, peer)
}

fn receive<'a>(message: &sockeye_engine::Encoded, peer: &'a mut Peer) -> Result<Option<Event<'a>>, ProtocolError> {
    if message.is_binary() {
        return peer.binary(message.packet());
    }
    peer.text(std::str::from_utf8(message.packet()).unwrap().strip_prefix('4').unwrap())
}

/// The messages of a packet as text.
fn wire(packet: &Outgoing) -> String {
    let messages = packet.messages().map(|message| {
        let text = std::str::from_utf8(message.packet()).unwrap();
        if message.is_binary() { text } else { text.strip_prefix('4').unwrap() }
    });
    messages.collect::<Vec<_>>().join(" | ")
}

fn joined() -> (Peer, Peer, Slot) {
    let (mut server, mut client) = (peer(Role::Server), peer(Role::Client));
    let auth = json!({ "token": [1, null] });
    let (slot, ask) = client.connection.connect(&"/a".into(), Some(&auth)).unwrap();
    assert_eq!(wire(&ask), r#"connect /a - | [{"token":[1,null]}]"#);
    let Ok(Some(Event::ConnectAsked { slot: asked, namespace, auth: told, query: None })) = deliver(&ask, &mut server)
    else {
        panic!("it asks");
    };
    assert_eq!((namespace.as_str(), told.decode::<serde_json::Value>().unwrap()), ("/a", auth));
    let answer = server.connection.accept(asked, "id", Some("private"), server.now).unwrap();
    assert_eq!(wire(&answer), r#"connect /a - | [{"sid":"id","pid":"private"}]"#);
    let Ok(Some(Event::Connected { slot: at, connected })) = deliver(&answer, &mut client) else { panic!("it is in") };
    assert_eq!((at, &*connected.sid, connected.pid.as_deref()), (slot, "id", Some("private")));
    (server, client, slot)
}

#[test]
fn both_ends_talk_in_a_form_of_their_own() {
    let (mut server, mut client, slot) = joined();
    let parser = client.connection.parser().clone();
    let event = parser.event(&"/a".into(), Some(AckId(7)), "say", &("hi", Bytes::from_static(&[1, 2]))).unwrap();
    assert_eq!(wire(&event), r#"event:say /a 7 | ["hi",[1,2]]"#);
    let Ok(Some(Event::Received { name, args, ack, .. })) = deliver(&event, &mut server) else { panic!("an event") };
    assert_eq!((&*name, ack), ("say", Some(AckId(7))));
    assert_eq!(args.decode::<(String, Bytes)>().unwrap(), ("hi".into(), Bytes::from_static(&[1, 2])));
    let raw: Raw = args.decode().unwrap();

    let answer = parser.ack(&"/a".into(), AckId(7), &raw).unwrap();
    assert_eq!(wire(&answer), r#"ack /a 7 | ["hi",[1,2]]"#);
    let Ok(Some(Event::Replied { ack: AckId(7), args, .. })) = deliver(&answer, &mut client) else { panic!("an ack") };
    assert_eq!(args.decode::<(String, Vec<u8>)>().unwrap(), ("hi".into(), vec![1, 2]));

    let numbered = parser.recoverable_event(&"/a".into(), "news", &(), "offset").unwrap();
    assert_eq!(wire(&numbered), r#"event:news /a - | ["offset"]"#);
    let Ok(Some(Event::Received { args, .. })) = deliver(&numbered, &mut client) else { panic!("an event") };
    assert_eq!(args.last_text().as_deref(), Some("offset"));

    let leave = client.disconnect(slot).unwrap();
    assert_eq!(wire(&leave), "disconnect /a -");
    assert!(matches!(deliver(&leave, &mut server), Ok(Some(Event::Disconnected { .. }))));
}

#[test]
fn a_refusal_has_message_and_data() {
    let (mut server, mut client) = (peer(Role::Server), peer(Role::Client));
    let (_, ask) = client.connection.connect(&"/a".into(), None).unwrap();
    assert_eq!(wire(&ask), "connect /a - | []");
    let Ok(Some(Event::ConnectAsked { slot, .. })) = deliver(&ask, &mut server) else { panic!("it asks") };
    let refusal = server.connection.refuse(slot, "no", Some(&json!([1])), server.now).unwrap();
    assert_eq!(wire(&refusal), r#"refused /a - | [{"message":"no","data":[1]}]"#);
    let Ok(Some(Event::Refused { message, data, .. })) = deliver(&refusal, &mut client) else { panic!("refused") };
    assert_eq!((&*message, data), ("no", Some(json!([1]))));
}

#[test]
fn clients_of_revision_3_are_told_what_they_know() {
    let with = || Peer::with(Role::Server, Revision::V3, Parser::custom(Split), Config::default());
    let asked = |server: &mut Peer| match server.connection.poll_event() {
        Some(Event::ConnectAsked { slot, .. }) => slot,
        other => panic!("{other:?}"),
    };
    let mut server = with();
    let slot = asked(&mut server);
    assert_eq!(wire(&server.accept(slot).unwrap()), "connect / - | []");
    for (data, told) in [(None, r#"["no"]"#), (Some(json!([1])), "[[1]]")] {
        let mut server = with();
        let slot = asked(&mut server);
        let refusal = server.connection.refuse(slot, "no", data.as_ref(), server.now).unwrap();
        assert_eq!(wire(&refusal), format!("refused / - | {told}"));
    }
}

#[test]
fn an_event_that_cannot_be_written_is_an_error() {
    let (server, ..) = joined();
    let error = server.connection.parser().event(&"/a".into(), None, "unwritable", &1).unwrap_err();
    assert_eq!(error.to_string(), "no such event");
}

#[test]
fn what_was_decoded_is_checked() {
    let deep = format!("{}1{}", "[".repeat(127), "]".repeat(127));
    let too_deep = format!("[{deep}]");
    for (head, data, error) in [
        ("event:disconnect /a -", "[]", ProtocolError::ReservedEventName),
        ("event:say /b -", "[]", ProtocolError::NotConnected),
        ("event:say /a -", too_deep.as_str(), ProtocolError::InvalidPayload),
        ("event:say /a -", "{}", ProtocolError::InvalidPayload),
        ("connect /b -", "[1]", ProtocolError::InvalidPayload),
        ("connect /b -", "[{},{}]", ProtocolError::InvalidPayload),
        ("connect b -", "[]", ProtocolError::InvalidNamespace),
        ("connect /a -", "[]", ProtocolError::AlreadyConnected),
        ("refused /a -", "[]", ProtocolError::UnexpectedPacket("CONNECT_ERROR")),
    ] {
        let (mut server, ..) = joined();
        assert!(server.text(head).unwrap().is_none());
        assert_eq!(server.binary(data.as_bytes()).unwrap_err(), error, "{head} {data}");
    }
    let (mut server, ..) = joined();
    assert!(server.text("event:say /a -").unwrap().is_none());
    assert!(server.binary(deep.as_bytes()).unwrap().is_some(), "as deep as serde_json reads");
}

#[test]
fn a_decoder_that_panics_costs_one_connection() {
    let (mut server, ..) = joined();
    assert_eq!(server.text("fault").unwrap_err(), ProtocolError::InvalidPayload);
}

#[test]
fn max_depth_holds_for_every_parser() {
    let config = Config { max_depth: 2, ..Config::default() };
    let mut server = Peer::with(Role::Server, Revision::V4, Parser::custom(Split), config);
    for (data, fits) in [("[{}]", true), ("[{\"a\":[]}]", false)] {
        assert!(server.text("connect /a -").unwrap().is_none());
        let taken = server.binary(data.as_bytes()).map(|event| event.is_some());
        assert_eq!(taken, if fits { Ok(true) } else { Err(ProtocolError::TooDeep { limit: 2 }) });
    }
}

#[test]
fn what_looks_like_a_placeholder_is_data() {
    let (mut server, ..) = joined();
    assert!(server.text("event:say /a -").unwrap().is_none());
    let Ok(Some(Event::Received { args, .. })) = server.binary(br#"[{"_placeholder":true,"num":7}]"#) else {
        panic!("an event")
    };
    assert_eq!(args.decode::<serde_json::Value>().unwrap(), json!({ "_placeholder": true, "num": 7 }));
}

#[test]
fn unfinished_packets_have_bounds() {
    let (mut server, ..) = joined();
    assert!(server.text("event:say /a -").unwrap().is_none());
    let begun = server.now;
    assert_eq!(server.connection.poll_timeout(), Some(begun + Duration::from_mins(1)));
    server.advance(Duration::from_millis(59_999));
    assert!(server.timeout().is_ok());
    for _ in 0..10 {
        assert!(server.binary(&[]).unwrap().is_none());
    }
    assert_eq!(server.connection.poll_timeout(), Some(begun + Duration::from_mins(1)), "no message puts it off");
    assert_eq!(server.binary(&[]).unwrap_err(), ProtocolError::TooManyAttachments { count: 11, limit: 10 });
    server.advance(Duration::from_millis(1));
    assert_eq!(server.timeout(), Err(ProtocolError::AttachmentTimeout));

    let config = Config { max_attachment_bytes: 2, ..Config::default() };
    let mut server = Peer::with(Role::Server, Revision::V4, Parser::custom(Split), config);
    for (data, result) in [("[]", Ok(true)), ("[ ]", Err(ProtocolError::AttachmentsTooLarge { bytes: 3, limit: 2 }))] {
        assert!(server.text("connect / -").unwrap().is_none());
        assert_eq!(server.binary(data.as_bytes()).map(|event| event.is_some()), result);
    }
}

#[test]
fn a_finished_packet_has_no_deadline() {
    let (server, client, _) = joined();
    assert_eq!(server.connection.poll_timeout(), None);
    assert_eq!(client.connection.poll_timeout(), None);
}
