//! permessage-deflate. [RFC 7692]

use sockeye::{Deflate, Server, Socket};
use sockeye_engine::Role;
use sockeye_engine::ws::deflate::{Deflater, Inflater, Level, Params};
use sockeye_engine::ws::{self, Decoder, Item, Limits};

use crate::wire::Wire;

const URI: &str = "/socket.io/?EIO=4&transport=websocket";
const OFFER: &str = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits";
const TEXT: u8 = 0x81;
const COMPRESSED_TEXT: u8 = 0xc1;
const COMPRESSED_BINARY: u8 = 0xc2;

fn alone() -> Params {
    Params {
        server_no_context_takeover: true,
        client_no_context_takeover: true,
        server_max_window_bits: 15,
        client_max_window_bits: 15,
    }
}

fn server(deflate: Deflate) -> Server {
    let io = Server::builder().per_message_deflate(deflate).build().unwrap();
    io.on("echo", async |socket: Socket, text: String| socket.emit("echo", text));
    io.on("all", async |socket: Socket, text: String| {
        socket.join("all");
        sockeye::Target::emit(&socket.broadcast(), "all", text)
    });
    io
}

/// Reads compressed frames.
struct Reader(Decoder);

impl Reader {
    fn new(params: Params) -> Self {
        let limits = Limits { max_message: 1 << 20, ..Limits::default() };
        Self(Decoder::new(Role::Client, limits).with_inflater(Inflater::new(&params, Role::Client)))
    }

    fn read(&mut self, first: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = Vec::new();
        let opcode = if first & 0x0f == 1 { ws::Opcode::Text } else { ws::Opcode::Binary };
        ws::encode(&mut frame, opcode, first & 0x40 != 0, payload);
        match self.0.decode(&mut frame).unwrap().1 {
            Some(Item::Text(text)) => text.as_bytes().to_vec(),
            Some(Item::Binary(bytes)) => bytes.to_vec(),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn off_by_default() {
    let mut wire = Wire::open(&Server::new());
    let response = wire.upgrade(URI, &[OFFER]).await;
    assert_eq!((response.status, response.header("sec-websocket-extensions")), (101, String::new()));
}

#[tokio::test]
async fn clients_that_do_not_offer_it_get_plain_frames() {
    let io = server(Deflate::default().threshold(0));
    let mut wire = Wire::open(&io);
    let response = wire.upgrade(URI, &[]).await;
    assert_eq!((response.status, response.header("sec-websocket-extensions")), (101, String::new()));
    wire.join().await;
    wire.say(&format!("42[\"echo\",\"{}\"]", "x".repeat(2000))).await;
    assert_eq!(wire.frame().await.0, TEXT);
}

#[tokio::test]
async fn long_messages_are_compressed_and_short_ones_are_not() {
    let io = server(Deflate::default());
    let mut wire = Wire::open(&io);
    let response = wire.upgrade(URI, &[OFFER]).await;
    let agreed = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
    assert_eq!(response.header("sec-websocket-extensions"), agreed);
    wire.join().await;
    // 13 bytes of `42["echo",""]` and the text: one byte below the threshold, and at it.
    for (length, expected) in [(1010, TEXT), (1011, COMPRESSED_TEXT)] {
        let packet = format!("42[\"echo\",\"{}\"]", "x".repeat(length));
        wire.say(&packet).await;
        let (first, payload) = wire.frame().await;
        assert_eq!(first, expected, "{}", packet.len());
        assert_eq!(Reader::new(alone()).read(first, &payload), packet.as_bytes());
        assert_eq!(payload.len() < 100, expected == COMPRESSED_TEXT);
    }
}

#[tokio::test]
async fn incoming_messages_are_inflated() {
    let io = server(Deflate::default());
    let mut wire = Wire::open(&io);
    wire.upgrade(URI, &[OFFER]).await;
    wire.join().await;
    let mut deflater = Deflater::new(&alone(), Role::Client, Level::default());
    let packet = format!("42[\"echo\",\"{}\"]", "abc".repeat(100));
    let mut frame = Vec::new();
    let body = deflater.deflate(packet.as_bytes()).unwrap();
    ws::encode_masked(&mut frame, ws::Opcode::Text, true, &body, [9, 8, 7, 6]);
    wire.write(frame).await;
    assert_eq!(wire.hear().await, packet);
}

/// A message that is small on the wire counts as what it becomes.
#[tokio::test]
async fn what_inflates_beyond_the_rate_is_refused() {
    // CONNECT takes 8 bytes on its way, and the packet has 13 bytes beside its text.
    for (length, fits) in [(4_979, true), (4_980, false)] {
        let builder = Server::builder().per_message_deflate(Deflate::default()).byte_rate(1, 5_000);
        let io = builder.build().unwrap();
        io.on("echo", async |socket: Socket, text: String| socket.emit("echo", text.len()));
        let mut wire = Wire::open(&io);
        wire.upgrade(URI, &[OFFER]).await;
        wire.join().await;
        let packet = format!("42[\"echo\",\"{}\"]", "0".repeat(length));
        let body = Deflater::new(&alone(), Role::Client, Level::default()).deflate(packet.as_bytes()).unwrap();
        let mut frame = Vec::new();
        ws::encode_masked(&mut frame, ws::Opcode::Text, true, &body, [9, 8, 7, 6]);
        assert!(frame.len() < 100, "small on the wire");
        wire.write(frame).await;
        if fits {
            assert_eq!(wire.hear().await, format!("42[\"echo\",{length}]"));
        } else {
            assert_eq!(wire.close_code().await, Some(1008));
            assert_eq!(io.metrics().limits.get(sockeye::Limit::BytesPerSecond), 1);
        }
    }
}

#[tokio::test]
async fn what_inflates_beyond_the_limit_is_refused() {
    let io = Server::builder().per_message_deflate(Deflate::default()).max_payload(10_000).build().unwrap();
    for (length, fits) in [(9_989, true), (9_990, false), (10_000_000, false)] {
        let mut wire = Wire::open(&io);
        wire.upgrade(URI, &[OFFER]).await;
        wire.join().await;
        // 11 bytes of `42["none",""]` less the quotes of an argument: 13.
        let packet = format!("42[\"none\",\"{}\"]", "0".repeat(length - 2));
        let body = Deflater::new(&alone(), Role::Client, Level::default()).deflate(packet.as_bytes()).unwrap();
        let mut frame = Vec::new();
        ws::encode_masked(&mut frame, ws::Opcode::Text, true, &body, [9, 8, 7, 6]);
        assert!(fits || frame.len() < 10_000, "small on the wire");
        wire.write(frame).await;
        if fits {
            wire.say("42[\"none\"]").await;
            assert_eq!(io.metrics().sessions, 1);
        } else {
            assert_eq!(wire.close_code().await, Some(1009));
        }
        drop(wire);
        while io.metrics().sessions > 0 {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn a_broadcast_is_compressed_once_for_all() {
    let io = server(Deflate::default());
    let mut wires = Vec::new();
    for _ in 0..3 {
        let mut wire = Wire::open(&io);
        wire.upgrade(URI, &[OFFER]).await;
        wire.join().await;
        wires.push(wire);
    }
    let text = "to all of you ".repeat(100);
    io.emit("all", &text).unwrap();
    let mut frames = Vec::new();
    for wire in &mut wires {
        frames.push(wire.frame().await);
    }
    assert_eq!(frames[0].0, COMPRESSED_TEXT);
    assert!(frames.iter().all(|frame| *frame == frames[0]), "the same bytes for all");
    let read = Reader::new(alone()).read(frames[0].0, &frames[0].1);
    assert_eq!(read, format!("42[\"all\",\"{text}\"]").as_bytes());
}

#[tokio::test]
async fn what_is_not_to_be_compressed_is_not() {
    let io = server(Deflate::default());
    let mut wire = Wire::open(&io);
    wire.upgrade(URI, &[OFFER]).await;
    wire.join().await;
    let bytes = bytes::Bytes::from(vec![7; 3000]);
    io.compress(false).emit("plain", (&bytes, "x".repeat(2000))).unwrap();
    assert_eq!(wire.frame().await.0, TEXT);
    assert_eq!(wire.frame().await, (0x82, bytes.to_vec()));
    io.emit("packed", (&bytes, "x".repeat(2000))).unwrap();
    assert_eq!(wire.frame().await.0, COMPRESSED_TEXT);
    let (first, payload) = wire.frame().await;
    assert_eq!(first, COMPRESSED_BINARY);
    assert_eq!(Reader::new(alone()).read(first, &payload), bytes);
}

#[tokio::test]
async fn a_context_is_kept_where_it_was_asked_for() {
    let io = server(Deflate::default().threshold(150).context_takeover(true));
    let mut wire = Wire::open(&io);
    let response = wire.upgrade(URI, &[OFFER]).await;
    assert_eq!(response.header("sec-websocket-extensions"), "permessage-deflate");
    wire.join().await;
    let params = Params { server_no_context_takeover: false, client_no_context_takeover: false, ..alone() };
    let mut reader = Reader::new(params);
    let mut sizes = Vec::new();
    let letters = || ('!'..'~').filter(|letter| !"\"\\".contains(*letter));
    let packet = format!("42[\"echo\",\"{}\"]", letters().chain(letters().rev()).collect::<String>());
    for _ in 0..2 {
        wire.say(&packet).await;
        let (first, payload) = wire.frame().await;
        assert_eq!(first, COMPRESSED_TEXT);
        sizes.push(payload.len());
        assert_eq!(reader.read(first, &payload), packet.as_bytes());
    }
    assert!(sizes[1] < 20 && sizes[0] > 80, "{sizes:?}");
}

#[tokio::test]
async fn a_narrow_window_is_respected() {
    let io = server(Deflate::default());
    let mut wire = Wire::open(&io);
    let offer = "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=10";
    let response = wire.upgrade(URI, &[offer]).await;
    let agreed =
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=10";
    assert_eq!(response.header("sec-websocket-extensions"), agreed);
    wire.join().await;
    io.emit("wide", "y".repeat(5000)).unwrap();
    let (first, payload) = wire.frame().await;
    assert_eq!(first, COMPRESSED_TEXT);
    let read = Reader::new(Params { server_max_window_bits: 10, ..alone() }).read(first, &payload);
    assert_eq!(read, format!("42[\"wide\",\"{}\"]", "y".repeat(5000)).as_bytes());
}

#[tokio::test]
async fn compressed_frames_that_were_not_agreed_on_end_the_connection() {
    let io = server(Deflate::default());
    let mut wire = Wire::open(&io);
    wire.upgrade(URI, &[]).await;
    wire.join().await;
    wire.write([0xc1, 0x80, 1, 2, 3, 4]).await;
    assert_eq!(wire.close_code().await, Some(1002));
}
/// [EIO3 "packet encoding"]: a binary message begins with its type, also inside of the compressed form.
#[tokio::test]
async fn revision_3_has_its_own_binary_frames() {
    let io = Server::builder().allow_eio3(true).per_message_deflate(Deflate::default()).build().unwrap();
    let uri = "/socket.io/?EIO=3&transport=websocket";
    let bytes = bytes::Bytes::from(vec![7; 3000]);
    for offer in [&[OFFER][..], &[]] {
        let mut wire = Wire::open(&io);
        wire.upgrade(uri, offer).await;
        assert!(wire.hear().await.starts_with("0{"));
        assert_eq!(wire.hear().await, "40");
        io.emit("b", &bytes).unwrap();
        assert_eq!(wire.hear().await, "451-[\"b\",{\"_placeholder\":true,\"num\":0}]");
        let (first, payload) = wire.frame().await;
        assert_eq!(first, if offer.is_empty() { 0x82 } else { COMPRESSED_BINARY });
        assert_eq!(Reader::new(alone()).read(first, &payload), [&[4], &bytes[..]].concat());
    }
    let mut wire = Wire::open(&io);
    wire.upgrade(&format!("{uri}&b64=1"), &[]).await;
    assert!(wire.hear().await.starts_with("0{"));
    assert_eq!(wire.hear().await, "40");
    io.emit("b", bytes::Bytes::from_static(b"any carnal plea")).unwrap();
    assert_eq!(wire.hear().await, "451-[\"b\",{\"_placeholder\":true,\"num\":0}]");
    assert_eq!(wire.hear().await, "b4YW55IGNhcm5hbCBwbGVh");
}
