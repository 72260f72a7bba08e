//! The paths that are counted. Each does the same work `count` times, after whatever must be there first.

use std::hint::black_box;
use std::sync::Arc;

use serde_json::Value;
use sockeye_engine::time::Instant;
use sockeye_engine::ws::{Decoder, Item, Limits};
use sockeye_engine::{Message, Packet, Role};
use sockeye_protocol::{Config, Connection, Event, NamespacePath, Parser};

use crate::client::{self, Client, Poller};

/// One thing that is counted.
pub(crate) struct Path {
    /// Its name in the file of counts.
    pub(crate) name: &'static str,
    /// How often it runs under valgrind; the cost of one run is a difference, so that beginnings do not count.
    pub(crate) count: usize,
    /// How many operations one run is.
    pub(crate) operations: usize,
    pub(crate) run: fn(count: usize),
}

/// Argument of events: 32 bytes of JSON.
const SMALL: &str = r#"{"id":4711,"text":"hello world"}"#;
/// Receivers of broadcasts.
const RECEIVERS: usize = 100;

pub(crate) const ALL: &[Path] = &[
    Path { name: "frame: decode 46 B", count: 4000, operations: 1, run: |count| frames(count, &event("echo", SMALL)) },
    Path {
        name: "frame: decode 4 KiB",
        count: 400,
        operations: 1,
        run: |count| frames(count, &event("echo", &large())),
    },
    Path { name: "packet: parse an event", count: 4000, operations: 1, run: parse },
    Path { name: "packet: parse and decode into a value", count: 4000, operations: 1, run: decode },
    Path { name: "packet: encode an event", count: 4000, operations: 1, run: |count| encode(count, SMALL) },
    Path { name: "packet: encode an event of 4 KiB", count: 400, operations: 1, run: |count| encode(count, &large()) },
    Path { name: "server: echo, 1 in flight", count: 400, operations: 1, run: |count| exchange(count, 1, "echo", "") },
    Path {
        name: "server: echo, 16 in flight",
        count: 100,
        operations: 16,
        run: |count| exchange(count, 16, "echo", ""),
    },
    Path {
        name: "server: ack, 16 in flight",
        count: 100,
        operations: 16,
        run: |count| exchange(count, 16, "ack", "7"),
    },
    Path {
        name: "server: delivery of a broadcast",
        count: 20,
        operations: RECEIVERS,
        run: |count| broadcast(count, 1),
    },
    Path {
        name: "server: delivery of broadcasts in bursts of 8",
        count: 10,
        operations: RECEIVERS * 8,
        run: |count| broadcast(count, 8),
    },
    Path { name: "server: polling echo", count: 200, operations: 1, run: poll },
    Path { name: "server: WebSocket handshake to CONNECT", count: 40, operations: 1, run: connect },
];

fn event(name: &str, argument: &str) -> String {
    format!(r#"42["{name}",{argument}]"#)
}

fn large() -> String {
    let text = "The \\\"quick\\\" brown fox jumps over the lazy dog; 0123456789.\\n".repeat(66);
    format!(r#"{{"id":4711,"text":"{text}"}}"#)
}

fn frames(count: usize, packet: &str) {
    let frame = client::frame(packet);
    let mut decoder = Decoder::new(Role::Server, Limits::default());
    for _ in 0..count {
        let mut input = frame.clone();
        match decoder.decode(black_box(&mut input)) {
            Ok((used, Some(Item::Text(text)))) => assert_eq!((used, text.len()), (frame.len(), packet.len())),
            other => panic!("a whole text frame, not {other:?}"),
        }
    }
}

/// Hands every event of a connection to `then`.
fn events(count: usize, then: impl Fn(&Event<'_>)) {
    let now = Instant::now();
    let mut connection = connection(now);
    let packet = event("echo", SMALL);
    for _ in 0..count {
        let Ok(Packet::Message(message)) = Packet::decode_text(black_box(&packet)) else { panic!("a message") };
        match connection.handle_message(now, message) {
            Ok(Some(event)) => then(black_box(&event)),
            other => panic!("an event, not {other:?}"),
        }
    }
}

fn parse(count: usize) {
    events(count, |event| assert!(matches!(event, Event::Received { name, .. } if name == "echo")));
}

fn decode(count: usize) {
    events(count, |event| {
        let Event::Received { args, .. } = event else { panic!("an event") };
        let value: Value = args.decode().expect("the argument is JSON");
        assert_eq!(value["id"], 4711);
    });
}

fn connection(now: Instant) -> Connection {
    let revision = sockeye_engine::Revision::V4;
    let mut connection = Connection::new(Role::Server, revision, Parser::Json, Arc::new(Config::default()), now);
    let slot = match connection.handle_message(now, Message::Text("0")) {
        Ok(Some(Event::ConnectAsked { slot, .. })) => slot,
        other => panic!("a question, not {other:?}"),
    };
    assert!(connection.accept(slot, "AAAAAAAAAAAAAAAAAAAA", None, now).is_some());
    connection
}

fn encode(count: usize, argument: &str) {
    let value: Value = serde_json::from_str(argument).expect("the argument is JSON");
    let namespace = NamespacePath::main();
    for _ in 0..count {
        let packet = Parser::Json.event(&namespace, None, "echo", black_box(&value)).expect("it can be encoded");
        assert!(packet.size() > argument.len());
    }
}

fn exchange(count: usize, in_flight: usize, name: &str, ack: &str) {
    client::run(async move |io| {
        let mut client = Client::connect(&io).await;
        let request = client::frame(&format!(r#"42{ack}["{name}",{SMALL}]"#)).repeat(in_flight);
        let answer = if ack.is_empty() { event(name, SMALL) } else { format!("43{ack}[{SMALL}]") };
        for _ in 0..count {
            client.send(&request).await;
            client.expect(&answer, in_flight).await;
        }
    });
}

fn poll(count: usize) {
    client::run(async move |io| {
        let mut poller = Poller::connect(&io).await;
        let packet = event("echo", SMALL);
        for _ in 0..count {
            poller.exchange(&packet).await;
        }
    });
}

fn broadcast(count: usize, burst: usize) {
    client::run(async move |io| {
        let mut clients = Vec::new();
        for _ in 0..RECEIVERS {
            clients.push(Client::connect(&io).await);
        }
        let packet = event("broadcast", SMALL);
        let request = client::frame(&packet).repeat(burst);
        for _ in 0..count {
            clients[0].send(&request).await;
            for client in &mut clients {
                client.expect(&packet, burst).await;
            }
        }
    });
}

fn connect(count: usize) {
    client::run(async move |io| {
        let mut clients = Vec::new();
        for _ in 0..count {
            clients.push(Client::connect(&io).await);
        }
    });
}
