//! What is read before a session: the query, OPEN, and both sides of the WebSocket handshake.

use sockeye_engine::Config;
use sockeye_engine::handshake::{Open, Query, TransportName, parameters};
use sockeye_engine::ws::deflate::Options;
use sockeye_engine::ws::handshake::{Request, accept};

use crate::input::{Input, text};
use crate::target::Target;

pub(crate) const HANDSHAKE: Target = Target {
    name: "handshake",
    run: handshake,
    // The first byte: which of the four.
    seeds: &[
        b"\0EIO=4&transport=websocket&sid=lv_VI97HAXpY6yYWAAAC&b64=1&j=0",
        b"\0transport=__proto__&transport=polling&EIO=%00&sid=%e2%82&+=%",
        b"\x01{\"sid\":\"x\",\"upgrades\":[\"websocket\"],\"pingInterval\":25000,\"pingTimeout\":1e3,\"maxPayload\":1000000}",
        b"\x02Connection: keep-alive, Upgrade\nUpgrade: websocket\nSec-WebSocket-Version: 13\n\
          Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\nSec-WebSocket-Protocol: a, b\n\
          Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits; server_max_window_bits=\"10\"",
        b"\x03HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
          Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
          Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n\x81\x02hi",
        b"\x03HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
    ],
    mutations: 2_000,
};

fn handshake(data: &[u8]) {
    let mut input = Input::new(data);
    match input.byte() % 4 {
        0 => query(text(input.rest())),
        1 => open(text(input.rest())),
        2 => server(input.rest()),
        _ => client(input.rest()),
    }
}

fn query(text: &str) {
    let query = Query::parse(text);
    assert_ne!(query.sid.as_deref(), Some(""), "an empty id is no id");
    let named = query.transport().map(TransportName::as_str);
    assert!(named.is_none() || named == query.transport.as_deref(), "another transport than asked for");
    let _ = query.revision();
    assert!(parameters(text).count() <= text.len(), "more parameters than characters");
}

fn open(json: &str) {
    let Ok(open) = Open::parse(json) else { return };
    let config = Config { ping_interval: open.ping_interval, ping_timeout: open.ping_timeout, ..Config::default() };
    let written = Open::encode(&open.sid, &open.upgrades, &config);
    let written = text(written.packet()).strip_prefix('0').expect("OPEN has type 0");
    // Times are written in whole milliseconds, so those below one may come to nothing.
    if let Ok(again) = Open::parse(written) {
        assert_eq!((again.sid, again.upgrades), (open.sid, open.upgrades));
    }
}

fn server(data: &[u8]) {
    let lines = data.split(|byte| *byte == b'\n');
    let headers = lines.filter_map(|line| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        Some((&line[..colon], &line[colon + 1..]))
    });
    let options = Options { server_no_context_takeover: false, client_no_context_takeover: false };
    if let Ok(accepted) = accept(b"GET", headers, Some(&options), |_| true) {
        let mut head = Vec::new();
        accepted.encode(&mut head);
        let head = std::str::from_utf8(&head).expect("a head of ASCII");
        assert_eq!(head.find("\r\n\r\n"), Some(head.len() - 4), "the client wrote into our head");
        assert!(head.split("\r\n").all(|line| !line.contains(['\r', '\n'])), "the client wrote a line");
    }
}

fn client(response: &[u8]) {
    let options = Options::default();
    let request = Request {
        host: "sockeye.test",
        path: "/",
        key: *b"the sample nonce",
        headers: &[],
        protocols: &["a", "b"],
        deflate: Some(&options),
    };
    let handshake = || request.encode(&mut Vec::new()).expect("a valid request");
    let whole = handshake().read(response);
    let (mut pieces, mut used, mut result) = (handshake(), 0, Ok(None));
    for byte in response.chunks(1) {
        match pieces.read(byte) {
            Ok((size, established)) => {
                used += size;
                result = Ok(established);
            }
            Err(error) => result = Err(error),
        }
        if !matches!(result, Ok(None)) {
            break;
        }
    }
    assert_eq!(whole, result.map(|established| (used, established)), "byte by byte");
}
