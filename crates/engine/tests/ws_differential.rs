//! Other implementations of RFC 6455 hear what we say, say what we hear, and refuse what we refuse.

use std::io::{self, Read, Write};

use futures_util::{FutureExt, SinkExt, StreamExt};
use proptest::prelude::*;
use sockeye_engine::Role;
use sockeye_engine::ws::{Decoder, Item, Limits, Opcode, encode, encode_close, encode_masked, encode_ping};

const LIMITS: Limits = Limits { max_message: 300, max_fragments: 1000 };
const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// What one implementation made of the bytes.
#[derive(Debug, Default, PartialEq, Eq)]
struct Verdict {
    messages: Vec<(Opcode, Vec<u8>)>,
    end: End,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum End {
    /// By a close frame of this code, or of none.
    Closed(Option<u16>),
    /// By the end of the bytes.
    #[default]
    Open,
    /// By a broken rule.
    Refused,
}

fn ours(role: Role, bytes: &[u8]) -> Verdict {
    let mut decoder = Decoder::new(role, LIMITS);
    let mut read = bytes.to_vec();
    let mut rest = read.as_mut_slice();
    let mut verdict = Verdict::default();
    loop {
        let (used, item) = match decoder.decode(rest) {
            Ok((used, Some(item))) => (used, item),
            Ok((_, None)) => return verdict,
            Err(_) => return Verdict { end: End::Refused, ..verdict },
        };
        verdict.messages.push(match item {
            Item::Text(text) => (Opcode::Text, text.into()),
            Item::Binary(bytes) => (Opcode::Binary, bytes.into()),
            Item::Ping(bytes) => (Opcode::Ping, bytes.into()),
            Item::Pong(bytes) => (Opcode::Pong, bytes.into()),
            Item::Close(said) => return Verdict { end: End::Closed(said.map(|(code, _)| code.0)), ..verdict },
        });
        rest = &mut rest[used..];
    }
}

/// A connection whose other end has said all and hears everything.
struct Wire<'a> {
    input: &'a [u8],
    output: Vec<u8>,
}

impl Read for Wire<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.input.is_empty() { Err(io::ErrorKind::WouldBlock.into()) } else { self.input.read(buffer) }
    }
}

impl Write for Wire<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.output.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn tungstenite(role: Role, bytes: &[u8]) -> tungstenite::WebSocket<Wire<'_>> {
    let role = match role {
        Role::Client => tungstenite::protocol::Role::Client,
        Role::Server => tungstenite::protocol::Role::Server,
    };
    let limit = Some(LIMITS.max_message);
    let config = tungstenite::protocol::WebSocketConfig::default().max_message_size(limit).max_frame_size(limit);
    let wire = Wire { input: bytes, output: Vec::new() };
    tungstenite::WebSocket::from_raw_socket(wire, role, Some(config))
}

fn verdict_of_tungstenite(role: Role, bytes: &[u8]) -> Verdict {
    use tungstenite::{Error, Message};
    let mut socket = tungstenite(role, bytes);
    let mut verdict = Verdict::default();
    loop {
        verdict.messages.push(match socket.read() {
            Ok(Message::Text(text)) => (Opcode::Text, text.as_bytes().into()),
            Ok(Message::Binary(bytes)) => (Opcode::Binary, bytes.into()),
            Ok(Message::Ping(bytes)) => (Opcode::Ping, bytes.into()),
            Ok(Message::Pong(bytes)) => (Opcode::Pong, bytes.into()),
            // It answers an illegal code instead of reporting it.
            Ok(Message::Close(Some(said))) if said.reason.as_str() == "Protocol violation" => {
                return Verdict { end: End::Refused, ..verdict };
            }
            Ok(Message::Close(said)) => {
                return Verdict { end: End::Closed(said.map(|said| said.code.into())), ..verdict };
            }
            Ok(Message::Frame(_)) => unreachable!("frames are not read"),
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => return verdict,
            Err(_) => return Verdict { end: End::Refused, ..verdict },
        });
    }
}

type Joined<'a> = tokio::io::Join<&'a [u8], Vec<u8>>;

/// Cuts messages it sends into frames of `frame_size`.
fn tokio_websockets(role: Role, bytes: &[u8], frame_size: usize) -> tokio_websockets::WebSocketStream<Joined<'_>> {
    let wire = tokio::io::join(bytes, Vec::new());
    let limits = tokio_websockets::Limits::default().max_payload_len(Some(LIMITS.max_message));
    let config = tokio_websockets::Config::default().frame_size(frame_size);
    match role {
        Role::Client => tokio_websockets::ClientBuilder::new().limits(limits).config(config).take_over(wire),
        Role::Server => tokio_websockets::ServerBuilder::new().limits(limits).config(config).serve(wire),
    }
}

fn verdict_of_tokio_websockets(role: Role, bytes: &[u8]) -> Verdict {
    let mut socket = tokio_websockets(role, bytes, 1 << 20);
    let mut verdict = Verdict::default();
    loop {
        // Reading from memory never waits, so there is no need for a runtime.
        let message = match socket.next().now_or_never().expect("memory is always ready") {
            Some(Ok(message)) => message,
            Some(Err(tokio_websockets::Error::Io(_))) | None => return verdict,
            Some(Err(_)) => return Verdict { end: End::Refused, ..verdict },
        };
        if let Some((code, _)) = message.as_close() {
            let code = Some(u16::from(code)).filter(|code| *code != 1005);
            return Verdict { end: End::Closed(code), ..verdict };
        }
        let opcode = match (message.is_text(), message.is_binary(), message.is_ping()) {
            (true, ..) => Opcode::Text,
            (_, true, _) => Opcode::Binary,
            (.., true) => Opcode::Ping,
            _ => Opcode::Pong,
        };
        // It overlooks a character cut off at the end if the last frame is empty.
        if opcode == Opcode::Text && std::str::from_utf8(message.as_payload()).is_err() {
            return Verdict { end: End::Refused, ..verdict };
        }
        verdict.messages.push((opcode, message.as_payload().to_vec()));
    }
}

/// A frame that may break any rule, but is all there.
#[derive(Clone, Debug)]
struct Wild {
    first: u8,
    wrongly_masked: bool,
    /// Bytes of the length: 0, 2 or 8, if longer than needed.
    length_form: usize,
    payload: Vec<u8>,
}

impl Wild {
    fn encode(&self, listener: Role, out: &mut Vec<u8>) {
        let needed = match self.payload.len() {
            0..=125 => 0,
            126..=0xffff => 2,
            _ => 8,
        };
        let masked = (listener == Role::Server) != self.wrongly_masked;
        let mask_bit = if masked { 0x80 } else { 0 };
        out.push(self.first);
        let length = self.payload.len();
        match needed.max(self.length_form) {
            0 => out.push(mask_bit | u8::try_from(length).unwrap()),
            2 => {
                out.push(mask_bit | 0x7e);
                out.extend(u16::try_from(length).unwrap().to_be_bytes());
            }
            _ => {
                out.push(mask_bit | 0x7f);
                out.extend(u64::try_from(length).unwrap().to_be_bytes());
            }
        }
        if masked {
            out.extend(KEY);
            out.extend(self.payload.iter().zip(KEY.iter().cycle()).map(|(byte, key)| byte ^ key));
        } else {
            out.extend(&self.payload);
        }
    }

    fn is_minimal(&self) -> bool {
        self.length_form == 0 || self.payload.len() > 125 && self.length_form == 2
    }

    fn closes_with(&self, code: u16) -> bool {
        self.first & 0x0f == 8 && self.payload.starts_with(&code.to_be_bytes())
    }
}

fn wild() -> impl Strategy<Value = Wild> {
    let opcode = prop_oneof![
        6 => Just(0x81), 3 => Just(0x01), 3 => Just(0x00), 3 => Just(0x80), 2 => Just(0x82), 2 => Just(0x02),
        2 => Just(0x89), 1 => Just(0x8a), 3 => Just(0x88), 1 => any::<u8>(),
    ];
    let code = prop_oneof![999..1020_u16, 2995..3005_u16, 4990..5010_u16, any::<u16>()];
    let payload = prop_oneof![
        4 => ".{0,40}".prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 0..5),
        2 => prop::sample::select(vec![&b"\xe2"[..], b"\x82", b"\xac", b"\xf0\x9f", b"\x98\x80", b"\xed", b"\xa0", b""])
            .prop_map(<[u8]>::to_vec),
        3 => (code, ".{0,10}").prop_map(|(code, reason)| [&code.to_be_bytes()[..], reason.as_bytes()].concat()),
        1 => prop::collection::vec(b'a'..=b'z', 120..310),
    ];
    let form = prop_oneof![20 => Just(0), 1 => Just(2), 1 => Just(8_usize)];
    (opcode, prop::bool::weighted(0.02), form, payload).prop_map(|(first, wrongly_masked, length_form, payload)| Wild {
        first,
        wrongly_masked,
        length_form,
        payload,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn wild_frames_are_judged_alike(frames in prop::collection::vec(wild(), 1..8)) {
        for role in [Role::Client, Role::Server] {
            let mut bytes = Vec::new();
            for frame in &frames {
                frame.encode(role, &mut bytes);
            }
            let ours = ours(role, &bytes);
            prop_assert_eq!(&verdict_of_tokio_websockets(role, &bytes), &ours);
            // It knows no 1014, and takes lengths in any form.
            if frames.iter().all(|frame| frame.is_minimal() && !frame.closes_with(1014)) {
                prop_assert_eq!(&verdict_of_tungstenite(role, &bytes), &ours);
            }
        }
    }

    #[test]
    fn what_we_say_is_heard(text in ".{0,100}", bytes in prop::collection::vec(any::<u8>(), 0..300), key: [u8; 4]) {
        for listener in [Role::Client, Role::Server] {
            let mut out = Vec::new();
            let key = (listener == Role::Server).then_some(key);
            for (opcode, payload) in [(Opcode::Text, text.as_bytes()), (Opcode::Binary, &bytes)] {
                match key {
                    Some(key) => encode_masked(&mut out, opcode, false, payload, key),
                    None => encode(&mut out, opcode, false, payload),
                }
            }
            let short = &bytes[..bytes.len().min(125)];
            encode_ping(&mut out, short, key).unwrap();
            encode_close(&mut out, Some(sockeye_engine::ws::CloseCode::GOING_AWAY), &text, key);
            let messages = [(Opcode::Text, text.as_bytes()), (Opcode::Binary, &bytes), (Opcode::Ping, short)];
            let messages = messages.map(|(opcode, payload)| (opcode, payload.to_vec())).to_vec();
            let expected = Verdict { messages, end: End::Closed(Some(1001)) };
            prop_assert_eq!(&ours(listener, &out), &expected);
            prop_assert_eq!(&verdict_of_tungstenite(listener, &out), &expected);
            prop_assert_eq!(&verdict_of_tokio_websockets(listener, &out), &expected);
        }
    }

    #[test]
    fn what_they_say_is_heard(
        text in ".{0,70}",
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        frame_size in 1..200usize,
    ) {
        let expected = [(Opcode::Text, text.as_bytes()), (Opcode::Binary, &bytes), (Opcode::Ping, b"p")];
        let expected = expected.map(|(opcode, payload)| (opcode, payload.to_vec()));
        for (speaker, listener) in [(Role::Client, Role::Server), (Role::Server, Role::Client)] {
            let mut socket = tungstenite(speaker, &[]);
            socket.send(tungstenite::Message::text(text.as_str())).unwrap();
            socket.send(tungstenite::Message::binary(bytes.clone())).unwrap();
            socket.send(tungstenite::Message::Ping("p".into())).unwrap();
            prop_assert_eq!(&ours(listener, &socket.get_ref().output).messages, &expected);

            let mut socket = tokio_websockets(speaker, &[], frame_size);
            let all = [
                tokio_websockets::Message::text(text.clone()),
                tokio_websockets::Message::binary(bytes.clone()),
                tokio_websockets::Message::ping("p"),
            ];
            for message in all {
                socket.send(message).now_or_never().expect("memory is always ready").unwrap();
            }
            prop_assert_eq!(&ours(listener, socket.get_ref().writer()).messages, &expected);
        }
    }
}
