//! A whole server on an in-memory network: any bytes as HTTP, as frames, as polling bodies. Whatever they do, an honest
//! client next door is served, and nothing is left when they are gone.

use std::time::Duration;

use sockeye::{Deflate, Parser, Raw, Recovery, Server};
use sockeye_testing::{Frame, Net, WebSocket, settle};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::input::Input;
use crate::target::Target;

pub(crate) const SERVER: Target = Target {
    name: "server",
    run: server,
    // The first byte: raw HTTP or frames of HTTP/2, a WebSocket, polling, polling with an upgrade; and what the server is
    // told to do beside.
    seeds: &[
        b"\x00GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\n\r\nPOST /socket.io/?EIO=4&transport=polling&sid=x HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n40",
        b"\x00GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n\x81\x82\x00\x00\x00\x0040",
        b"\x00OPTIONS /socket.io/?EIO=3 HTTP/1.1\r\nHost: x\r\nOrigin: http://y\r\nAccess-Control-Request-Method: POST\r\n\r\n",
        b"\x01\x81\x0240\x81\x122[\"echo\",1,\"two\"]\x81\x0f20[\"ask\",{\"a\":1}]",
        b"\x01\x81\x0240\x81\x2c51-[\"echo\",{\"_placeholder\":true,\"num\":0}]\x82\x03abc\x88\x02\x03\xe8",
        b"\x01\x01\x0124\x80\x010\x89\x02hi\x8a\x00\xc1\x02xx",
        b"\x02\x0240\x102[\"echo\",\"hello\"]\x0540/x,\x011\x023x",
        b"\x03\x062probe\x015\x0240\x0d2[\"echo\",1,2]",
        b"\x05\x81\x012\x81\x132[\"echo\",\"of old\"]\x82\x04\x04abc\x81\x05b4AQI=",
        b"\x06\x081:23:40/x\x07:42[\"e\"]\x0c\x00\x06\xff4hello\x01\x04\xff\x04abc",
        b"\x0a\x0e7:42[\"echo\",1]\x041:40",
        b"\x0e\x131%3A2%0A2%3A42\\n\\\\n\x0212",
        b"\x11\xc1\x0a\x32\x31\x8a\x56\x4a\x4d\xce\xc8\x57\x02\x00\x41\x04\x32\x31\x8a\x56\x80\x00",
        b"\x80\x01\x05\x01\x2a\x82\x86\x01\x01x\x04\x23/socket.io/?EIO=4&transport=polling\x04\x00\x00\x00\x06\x00\x00\x08pingpong",
        b"\x80\x01\x04\x01\x2a\x83\x86\x01\x01x\x04\x23/socket.io/?EIO=4&transport=polling\x00\x00\x01\x0240\x00\x01\x01\x00\x03\x00\x01\x04\x00\x00\x00\x08",
        b"\x80\x01\x00\x03\x02\x82\x86\x09\x04\x03\x0a\x41\x01x\x44\x03/ab\x08\x00\x00\x04\x00\x00\x00\x01\x04\x00\x00\x06\x00\x04\x00\x00\x10\x00",
        b"\x41\x82\x0d\x82\xa4type\x00\xa3nsp\xa1/\x82\x19\x83\xa4type\x02\xa4data\x92\xa4echo\x01\xa3nsp\xa1/",
        b"\x42\x15bgqR0eXBlAKNuc3ChLw==\x25bg6R0eXBlAqRkYXRhkqRlY2hvAaNuc3ChLw==\x013",
        b"\x21\x81\x2f40{\"pid\":\"aaaaaaaaaaaaaaaaaaaaaa\",\"offset\":\"b\"}\x81\x102[\"echo\",\"twice\"]",
    ],
    mutations: 60,
};

fn server(data: &[u8]) {
    let mut input = Input::new(data);
    let choice = input.byte();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime without I/O can be built").block_on(async {
        let also = Also(choice);
        let io = echo(also);
        let net = Net::new(&io);
        let mut honest = net.websocket().await;
        join(&mut honest, also).await;
        match choice % 4 {
            0 if also.speaks_http2() => http(&io, &http2(input)).await,
            0 => http(&io, input.rest()).await,
            1 => frames(&net, input, also).await,
            2 => polling(&net, input, also).await,
            _ => upgrading(&net, input).await,
        }
        ask(&mut honest, also).await;
        honest.close().await;
        // The longest wait of a server: heartbeat and answer, twice over.
        net.advance(Duration::from_secs(100)).await;
        net.assert_clean().await;
    });
}

/// What the server does beside what it always does, by the bits of the first byte.
#[derive(Clone, Copy)]
struct Also(u8);

impl Also {
    /// Clients of revision 3, and the attacker is one.
    fn is_old(self) -> bool {
        self.0 & 0x04 != 0
    }

    fn has_jsonp(self) -> bool {
        self.0 & 0x08 != 0
    }

    fn has_deflate(self) -> bool {
        self.0 & 0x10 != 0
    }

    fn has_recovery(self) -> bool {
        self.0 & 0x20 != 0
    }

    fn has_msgpack(self) -> bool {
        self.0 & 0x40 != 0
    }

    fn speaks_http2(self) -> bool {
        self.0 & 0x80 != 0
    }

    fn query(self) -> String {
        let jsonp = if self.has_jsonp() { "&j=0" } else { "" };
        format!("EIO={}{jsonp}", if self.is_old() { 3 } else { 4 })
    }
}

/// Joins the main namespace.
async fn join(honest: &mut WebSocket, also: Also) {
    if also.has_msgpack() {
        honest.send_binary(b"\x82\xa4type\x00\xa3nsp\xa1/").await;
        assert!(
            matches!(honest.next().await, Some(Frame::Binary(packet)) if packet.windows(4).any(|name| name == b"\xa3sid"))
        );
        return;
    }
    honest.send("40").await;
    honest.expect(if also.has_recovery() { "40{\"sid\":\"…\",\"pid\":\"…\"}" } else { "40{\"sid\":\"…\"}" }).await;
}

/// Asks a question, and is answered.
async fn ask(honest: &mut WebSocket, also: Also) {
    if also.has_msgpack() {
        honest.send_binary(b"\x84\xa4type\x02\xa4data\x92\xa3ask\xaastill here\xa2id\x00\xa3nsp\xa1/").await;
        honest.expect_binary(b"\x84\xa4type\x03\xa3nsp\xa1/\xa2id\x00\xa4data\x91\xaastill here").await;
        return;
    }
    honest.send("420[\"ask\",\"still here\"]").await;
    honest.expect("430[\"still here\"]").await;
}

/// A server that answers everything.
fn echo(also: Also) -> Server {
    let mut builder = Server::builder().allow_eio3(also.is_old()).allow_jsonp(also.has_jsonp());
    if also.has_deflate() {
        // It takes compressed frames and sends none: the clients of these tests read what is plain.
        builder = builder.per_message_deflate(Deflate::default().threshold(usize::MAX));
    }
    if also.has_recovery() {
        builder = builder.recovery(Recovery::default().window(Duration::from_secs(10)));
    }
    if also.has_msgpack() {
        builder = builder.parser(Parser::Msgpack);
    }
    let io = builder.build().expect("these options fit together");
    io.on("echo", async |socket: sockeye::Socket, args: Raw| {
        let _ = socket.emit("echo", args);
    });
    io.on_with_ack("ask", async |_: sockeye::Socket, args: Raw| args);
    io.on("typed", async |_: sockeye::Socket, _: (String, Vec<u64>, Option<OwnedNumber>)| {});
    io
}

/// What is read and not used: reading is the point.
#[derive(serde::Deserialize)]
struct OwnedNumber {
    #[expect(dead_code, reason = "read from the wire, never by us")]
    number: f64,
}

/// Frames of HTTP/2: kind, flags, stream and payload of each. [RFC 9113 §4.1]
fn http2(mut input: Input<'_>) -> Vec<u8> {
    let mut wire = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
    while !input.is_empty() {
        let (kind, flags, stream, payload) = (input.byte(), input.byte(), input.byte(), input.chunk());
        let length = u8::try_from(payload.len()).unwrap_or(u8::MAX);
        wire.extend([0, 0, length, kind, flags, 0, 0, 0, stream]);
        wire.extend(payload);
    }
    wire
}

/// Bytes on a fresh connection, in pieces of up to 255.
async fn http(io: &Server, bytes: &[u8]) {
    let (mut client, end) = tokio::io::duplex(64 * 1024);
    let serving = tokio::spawn({
        let io = io.clone();
        async move { io.serve_stream(end, None).await }
    });
    for piece in bytes.chunks(255) {
        if client.write_all(piece).await.is_err() {
            break;
        }
        settle().await;
    }
    drop(client.shutdown().await);
    let mut answer = Vec::new();
    // The server may keep a connection open that says nothing; how long is its decision, not ours.
    let _ = tokio::time::timeout(Duration::from_mins(1), client.read_to_end(&mut answer)).await;
    drop(client);
    settle().await;
    serving.abort();
}

/// Frames on a WebSocket: the first byte as it is, then a payload, masked properly.
async fn frames(net: &Net, mut input: Input<'_>, also: Also) {
    let offer: &[(&str, &str)] =
        if also.has_deflate() { &[("Sec-WebSocket-Extensions", "permessage-deflate")] } else { &[] };
    let mut socket = net.open(&format!("/socket.io/?transport=websocket&{}", also.query()), offer).await;
    while !input.is_empty() {
        let first = input.byte();
        socket.send_frame(first, input.chunk()).await;
        while socket.next().await.is_some() {}
        if socket.is_ended() {
            return;
        }
    }
    socket.reset();
}

/// Bodies of POST requests, polls between them.
async fn polling(net: &Net, mut input: Input<'_>, also: Also) {
    let target = format!("/socket.io/?transport=polling&{}", also.query());
    let open = net.request("GET", &target, &[], "").answer().await;
    let target = format!("{target}&sid={}", sid(&String::from_utf8_lossy(&open.body)));
    while !input.is_empty() {
        let body = input.chunk();
        let body = if also.has_jsonp() { [b"d=", body].concat() } else { body.to_vec() };
        let post = net.request("POST", &target, &[], body).answer().await;
        assert!(matches!(post.status.as_u16(), 200 | 400), "a POST was answered with {}", post.status);
        poll(net, &target).await;
    }
}

/// The id in OPEN, in whatever it is wrapped.
fn sid(open: &str) -> &str {
    let is_id = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let rest = open.split_once("sid").expect("OPEN names the session").1;
    rest.split(|c| !is_id(c)).find(|word| !word.is_empty()).expect("a session has an id")
}

/// Frames on the stream of an upgrade, polls between them.
async fn upgrading(net: &Net, mut input: Input<'_>) {
    let client = net.polling().await;
    let mut stream = client.upgrade().await;
    while !input.is_empty() {
        stream.send_frame(0x81, input.chunk()).await;
        while stream.next().await.is_some() {}
        poll(net, &client.target()).await;
    }
}

/// A poll that waits is dropped: the client went away, which ends the session.
async fn poll(net: &Net, target: &str) {
    let poll = net.request("GET", target, &[], "");
    settle().await;
    drop(poll);
}
