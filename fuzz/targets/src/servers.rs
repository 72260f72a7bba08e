//! A whole server on an in-memory network: any bytes as HTTP, as frames, as polling bodies. Whatever they do, an honest
//! client next door is served, and nothing is left when they are gone.

use std::time::Duration;

use sockeye::{Raw, Server};
use sockeye_testing::{Net, settle};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::input::Input;
use crate::target::Target;

pub(crate) const SERVER: Target = Target {
    name: "server",
    run: server,
    // The first byte: raw HTTP, a WebSocket, polling, polling with an upgrade.
    seeds: &[
        b"\x00GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\n\r\nPOST /socket.io/?EIO=4&transport=polling&sid=x HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n40",
        b"\x00GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n\x81\x82\x00\x00\x00\x0040",
        b"\x00OPTIONS /socket.io/?EIO=3 HTTP/1.1\r\nHost: x\r\nOrigin: http://y\r\nAccess-Control-Request-Method: POST\r\n\r\n",
        b"\x01\x81\x0240\x81\x122[\"echo\",1,\"two\"]\x81\x0f20[\"ask\",{\"a\":1}]",
        b"\x01\x81\x0240\x81\x2c51-[\"echo\",{\"_placeholder\":true,\"num\":0}]\x82\x03abc\x88\x02\x03\xe8",
        b"\x01\x01\x0124\x80\x010\x89\x02hi\x8a\x00\xc1\x02xx",
        b"\x02\x0240\x102[\"echo\",\"hello\"]\x0540/x,\x011\x023x",
        b"\x03\x062probe\x015\x0240\x0d2[\"echo\",1,2]",
    ],
    mutations: 60,
};

fn server(data: &[u8]) {
    let mut input = Input::new(data);
    let choice = input.byte();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime without I/O can be built").block_on(async {
        let io = echo();
        let net = Net::new(&io);
        let (mut honest, _) = net.join().await;
        match choice % 4 {
            0 => http(&io, input.rest()).await,
            1 => frames(&net, input).await,
            2 => polling(&net, input, false).await,
            _ => polling(&net, input, true).await,
        }
        honest.send("42[\"echo\",\"still here\"]").await;
        honest.expect("42[\"echo\",\"still here\"]").await;
        honest.close().await;
        // The longest wait of a server: heartbeat and answer, twice over.
        net.advance(Duration::from_secs(100)).await;
        net.assert_clean().await;
    });
}

/// A server that answers everything.
fn echo() -> Server {
    let io = Server::new();
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
async fn frames(net: &Net, mut input: Input<'_>) {
    let mut socket = net.websocket().await;
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

/// Bodies of POST requests, polls between them; if `upgrade`, frames on the stream of an upgrade as well, by turns.
async fn polling(net: &Net, mut input: Input<'_>, upgrade: bool) {
    let client = net.polling().await;
    let target = format!("/socket.io/?EIO=4&transport=polling&sid={}", client.sid());
    let mut stream = if upgrade { Some(client.upgrade().await) } else { None };
    while !input.is_empty() {
        let body = input.chunk();
        match &mut stream {
            Some(stream) => {
                stream.send_frame(0x81, body).await;
                while stream.next().await.is_some() {}
            }
            None => {
                let post = net.request("POST", &target, &[], body.to_vec()).answer().await;
                assert!(matches!(post.status.as_u16(), 200 | 400), "a POST was answered with {}", post.status);
            }
        }
        let poll = net.request("GET", &target, &[], "");
        settle().await;
        // A poll that waits is dropped: the client went away, which ends the session.
        drop(poll);
    }
}
