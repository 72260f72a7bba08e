//! WebSocket frames: however the network cuts them, the same messages and the same error come out.

use sockeye_engine::Role;
use sockeye_engine::ws::deflate::{Inflater, Params};
use sockeye_engine::ws::{Decoder, Error, Item, Limits, Opcode, encode, encode_masked};

use crate::input::Input;
use crate::target::Target;

pub(crate) const WS_MESSAGE: Target = Target {
    name: "ws_message",
    run: ws_message,
    // The first byte: role, compression, context, size of pieces.
    seeds: &[
        b"\x00\x81\x02hi\x82\x01\x00\x88\x02\x03\xe8",
        b"\x10\x01\x02\xe2\x82\x89\x01!\x80\x01\xac\x8a\x00\x88\x05\x03\xe9bye",
        b"\x08\x81\x7e\x00\x80xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        b"\x01\x81\x82\x00\x00\x00\x00hi\x88\x80\x01\x02\x03\x04",
        b"\x02\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00\xc1\x0b\x00\x05\x00\xfa\xffHello\x00",
        b"\x06\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00\xc1\x05\xf2\x00\x11\x00\x00",
        b"\x06\x41\x03\xf2\x48\xcd\x80\x04\xc9\xc9\x07\x00\xc1\x08\xf3\x48\xcd\xc9\xc9\x07\x00\x00",
        b"\x00\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xff",
    ],
    mutations: 2_000,
};

const LIMITS: Limits = Limits { max_message: 1 << 16, max_fragments: 32 };

/// What came out, on its own.
#[derive(Debug, PartialEq)]
enum Seen {
    Binary(Vec<u8>),
    Close(Option<(u16, String)>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Text(String),
}

fn ws_message(data: &[u8]) {
    let mut input = Input::new(data);
    let choice = input.byte();
    let role = if choice & 1 == 0 { Role::Client } else { Role::Server };
    let size = usize::from(choice >> 3).max(2);
    let wire = input.rest();
    let new = || decoder(role, choice & 2 != 0, choice & 4 != 0);
    let whole = read(new(), wire, wire.len().max(1));
    assert_eq!(whole, read(new(), wire, 1), "byte by byte");
    assert_eq!(whole, read(new(), wire, size), "in pieces of {size}");
    round_trip(wire, role);
}

fn decoder(role: Role, deflate: bool, context: bool) -> Decoder {
    let decoder = Decoder::new(role, LIMITS);
    if !deflate {
        return decoder;
    }
    let params = Params {
        server_no_context_takeover: !context,
        client_no_context_takeover: !context,
        server_max_window_bits: 15,
        client_max_window_bits: 15,
    };
    decoder.with_inflater(Inflater::new(&params, role))
}

fn read(mut decoder: Decoder, wire: &[u8], size: usize) -> (Vec<Seen>, Option<Error>) {
    let mut seen = Vec::new();
    for piece in wire.chunks(size) {
        let mut piece = piece.to_vec();
        let mut rest = &mut piece[..];
        loop {
            match decoder.decode(rest) {
                Ok((_, None)) => break,
                Ok((used, Some(item))) => {
                    seen.push(own(item));
                    rest = &mut rest[used..];
                }
                Err(error) => return (seen, Some(error)),
            }
            assert!(seen.len() <= wire.len(), "a frame takes at least two bytes");
        }
    }
    (seen, None)
}

fn own(item: Item<'_>) -> Seen {
    let message = |length: usize| assert!(length <= LIMITS.max_message, "a message over the limit");
    match item {
        Item::Binary(bytes) => {
            message(bytes.len());
            Seen::Binary(bytes.to_vec())
        }
        Item::Text(text) => {
            message(text.len());
            Seen::Text(text.to_owned())
        }
        Item::Close(said) => Seen::Close(said.map(|(code, reason)| {
            assert!(code.is_legal(), "an illegal code got through");
            (code.0, reason.to_owned())
        })),
        Item::Ping(payload) => Seen::Ping(payload.to_vec()),
        Item::Pong(payload) => Seen::Pong(payload.to_vec()),
    }
}

/// What one end writes the other reads.
fn round_trip(payload: &[u8], sender: Role) {
    let mut frame = Vec::new();
    let receiver = match sender {
        Role::Client => {
            encode_masked(&mut frame, Opcode::Binary, false, payload, [1, 2, 3, 4]);
            Role::Server
        }
        Role::Server => {
            encode(&mut frame, Opcode::Binary, false, payload);
            Role::Client
        }
    };
    if payload.len() <= LIMITS.max_message {
        let read = read(decoder(receiver, false, false), &frame, frame.len());
        assert_eq!(read, (vec![Seen::Binary(payload.to_vec())], None));
    }
}
