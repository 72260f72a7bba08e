//! A whole client on an in-memory network: any bytes as answers of a server and of proxies, as frames, as polling bodies.
//! Whatever they are, attempts end in time, and nothing is left of a client that has gone.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use sockeye_client::{Client, ClientBuilder, Parser, Raw, Reconnect, Transport};
use sockeye_engine::ws::handshake::accept_key;
use sockeye_testing::settle;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use crate::input::Input;
use crate::target::Target;

pub(crate) const CLIENT_HTTP: Target = Target {
    name: "client_http",
    run: client_http,
    // The first byte: polling, or a WebSocket, direct, by HTTP CONNECT, by SOCKS5; then the size of pieces. Answers, each
    // with its length before it: of a proxy if there is one, then of the server, of which the last is what is left.
    seeds: &[
        b"\x00\x05\xa5HTTP/1.1 200 OK\r\nContent-Length: 90\r\nSet-Cookie: a=b; Path=/; Max-Age=1\r\n\r\n0{\"sid\":\"abc\",\"upgrades\":[],\"pingInterval\":25000,\"pingTimeout\":20000,\"maxPayload\":1000000}\x28HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok\x35HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n40{\"sid\":\"ij\"}",
        b"\x00\x07\xffHTTP/1.1 503 Busy\r\nRetry-After: 7\r\nTransfer-Encoding: chunked\r\n\r\n3;x\r\nabc\r\n0\r\nX: y\r\n\r\n",
        b"\x00\x03\xffHTTP/1.1 400 Bad Request\r\nContent-Length: 38\r\n\r\n{\"code\":1,\"message\":\"Session unknown\"}",
        b"\x00\x03\xffHTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 200 OK\r\n\r\n97:0{\"sid\":\"x\"}",
        b"\x01\x09HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n\x81\x5a0{\"sid\":\"abc\",\"upgrades\":[],\"pingInterval\":25000,\"pingTimeout\":20000,\"maxPayload\":1000000}\x81\x0e40{\"sid\":\"ij\"}",
        b"\x01\x02HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
        b"\x01\x04HTTP/1.1 429 Slow Down\r\nRetry-After: Wed, 21 Oct 2015 07:28:00 GMT\r\nContent-Length: 5\r\n\r\nlater",
        b"\x02\x02\x27HTTP/1.1 200 Connection Established\r\n\r\nHTTP/1.1 400 Bad Request\r\n\r\n",
        b"\x02\x02\x19HTTP/1.1 407 No\r\nX: y\r\n\r\n",
        b"\x03\x02\x0c\x05\x00\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x50HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n\x81\x5a0{\"sid\":\"abc\",\"upgrades\":[],\"pingInterval\":25000,\"pingTimeout\":20000,\"maxPayload\":1000000}",
        b"\x04\x02\x0e\x05\x02\x01\x00\x05\x00\x00\x03\x01a\x00\x50x",
        b"\x04\x02\x08\x05\x02\x01\x00\x05\x05\x00\x01",
    ],
    mutations: 200,
};

pub(crate) const CLIENT: Target = Target {
    name: "client",
    run: client,
    // The first byte: polling, a WebSocket, both; and what the client does beside. Then first bytes of frames with their
    // payloads, or polling bodies, of which one of no bytes is NOOP, and late; time passes where a first byte is 7.
    seeds: &[
        b"\x00\x0e40{\"sid\":\"ij\"}\x0e42[\"echo\",\"x\"]\x06430[1]\x012",
        b"\x00\x0e40{\"sid\":\"ij\"}\x30451-[\"echo\",{\"_placeholder\":true,\"num\":0}]\x1ebYWI=\x0241",
        b"\x01\x81\x0e40{\"sid\":\"ij\"}\x81\x0e42[\"echo\",\"x\"]\x81\x1342[\"typed\",\"x\",[1]]\x81\x06430[1]\x81\x0e421[\"ask\",[7]]\x81\x012\x88\x02\x03\xe8",
        b"\x01\x81\x0e40{\"sid\":\"ij\"}\x81\x2a451-[\"echo\",{\"_placeholder\":true,\"num\":0}]\x82\x02ab\x07\x2d\x81\x0241",
        b"\x01\x81\x1e40{\"sid\":\"ij\",\"pid\":\"private\"}\x81\x1442[\"echo\",\"x\",\"off\"]\x88\x00\x81\x1e40{\"sid\":\"jk\",\"pid\":\"private\"}",
        b"\x02\x81\x063probe\x00\x07\x02\x81\x0e40{\"sid\":\"ij\"}\x81\x0e42[\"echo\",\"x\"]\x81\x012",
        b"\x01\x81\x1744{\"message\":\"refused\"}\x81\x1540/admin,{\"sid\":\"kl\"}",
        b"\x05\x81\x0240\x81\x0e42[\"echo\",\"x\"]\x81\x2a451-[\"echo\",{\"_placeholder\":true,\"num\":0}]\x82\x04\x04abc\x81\x013",
        b"\x04\x042:40\x1114:42[\"echo\",\"x\"]",
        b"\x09\x82\x1a\x83\xa4type\x00\xa4data\x81\xa3sid\xa2ij\xa3nsp\xa1/\x82\x19\x83\xa4type\x02\xa4data\x92\xa4echo\x01\xa3nsp\xa1/",
        b"\x11\x81\x0e40{\"sid\":\"ij\"}\xc1\x10\x32\x31\x8a\x56\x4a\x4d\xce\xc8\x57\xd2\x51\xaa\x50\x8a\x05\x00\xc1\x10\x32\x31\x8a\x56\x4a\x4d\xce\xc8\x57\xd2\x51\xaa\x50\x8a\x05\x00",
        b"\x21\x81\x0e40{\"sid\":\"ij\"}\x07\x05\x81\x05430[]\x81\x0e42[\"echo\",\"x\"]\x07\xff",
    ],
    mutations: 60,
};

const OPEN: &str =
    r#"0{"sid":"abc","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#;
/// What stands for the answer to the key of the client.
const ACCEPT: &[u8] = b"{accept}";

fn paused() -> tokio::runtime::Runtime {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime without I/O can be built")
}

/// Nothing runs any more but this.
async fn assert_nothing_left() {
    settle().await;
    assert_eq!(tokio::runtime::Handle::current().metrics().num_alive_tasks(), 0, "tasks are left");
}

/// Disconnects, which takes seconds at most, whatever the server does.
async fn leave(client: &Client) {
    let gone = tokio::time::timeout(Duration::from_secs(30), client.disconnect()).await;
    assert!(gone.is_ok(), "disconnect waits for the server");
}

fn client_http(data: &[u8]) {
    let mut input = Input::new(data);
    let (choice, size) = (input.byte() % 5, usize::from(input.byte()).max(1));
    let whole = outcome(choice, input.clone(), usize::MAX);
    let pieces = outcome(choice, input, size);
    // A second answer on a connection that polls comes before its question, or not.
    assert!(choice == 0 || whole == pieces, "{whole} became {pieces} in pieces of {size}");
}

/// What is said to the requests, one after the other.
type Answers = Arc<Mutex<std::vec::IntoIter<Vec<u8>>>>;

/// What comes of one attempt.
fn outcome(choice: u8, mut input: Input<'_>, size: usize) -> String {
    let proxy = match choice {
        2 => Some("http://user:password@proxy.test"),
        3 => Some("socks5://proxy.test"),
        4 => Some("socks5://user:password@proxy.test"),
        _ => None,
    };
    let first = if proxy.is_some() { input.chunk().to_vec() } else { Vec::new() };
    let answers: Vec<Vec<u8>> = match choice {
        0 => std::iter::from_fn(|| (!input.is_empty()).then(|| input.chunk().to_vec())).collect(),
        _ => vec![input.rest().to_vec()],
    };
    let answers: Answers = Arc::new(Mutex::new(answers.into_iter()));
    let way = if choice == 0 { Transport::Polling } else { Transport::Websocket };
    paused().block_on(async move {
        let builder = Client::builder("http://server.test").dial_with(move |_, _| {
            let (near, far) = tokio::io::duplex(64 * 1024);
            tokio::spawn(answering(far, choice == 2, first.clone(), Arc::clone(&answers), size));
            async { Ok(near) }
        });
        let mut builder = builder.transports([way]).max_payload(10_000).reconnect(Reconnect::never());
        if let Some(proxy) = proxy {
            builder = builder.proxy(proxy.parse().expect("the address of a proxy"));
        }
        let attempt = tokio::time::timeout(Duration::from_mins(2), builder.connect()).await;
        let outcome = match attempt.expect("an attempt ends") {
            Ok(client) => {
                leave(&client).await;
                "connected".to_owned()
            }
            Err(error) => error.to_string(),
        };
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert_nothing_left().await;
        outcome
    })
}

/// The other end of a stream: of a proxy first, which hears before it answers if it `listens`, then of the server.
async fn answering(mut far: DuplexStream, listens: bool, first: Vec<u8>, answers: Answers, size: usize) {
    if listens {
        head(&mut far).await;
    }
    say(&mut far, &first, size).await;
    loop {
        let request = head(&mut far).await;
        let answer = answers.lock().expect("nothing panics").next();
        let Some(answer) = answer.filter(|_| !request.is_empty()) else { break };
        say(&mut far, &accepting(&answer, &request), size).await;
    }
    finish(far).await;
}

/// The head of a request; nothing if it does not end.
async fn head(far: &mut DuplexStream) -> Vec<u8> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match far.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return Vec::new(),
        }
    }
    head
}

/// Says it in pieces, as far as anybody listens.
async fn say(far: &mut DuplexStream, bytes: &[u8], size: usize) {
    for piece in bytes.chunks(size) {
        if far.write_all(piece).await.is_err() {
            return;
        }
        settle().await;
    }
}

/// Says no more, and hears until the client has gone.
async fn finish(mut far: DuplexStream) {
    drop(far.shutdown().await);
    drop(tokio::io::copy(&mut far, &mut tokio::io::sink()).await);
}

/// An answer with the key that belongs to this request.
fn accepting(answer: &[u8], request: &[u8]) -> Vec<u8> {
    let request = String::from_utf8_lossy(request);
    let key = request.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "));
    let at = answer.windows(ACCEPT.len()).position(|word| word == ACCEPT);
    match (key, at) {
        (Some(key), Some(at)) => {
            [&answer[..at], &accept_key(key.as_bytes())[..], &answer[at + ACCEPT.len()..]].concat()
        }
        _ => answer.to_vec(),
    }
}

fn client(data: &[u8]) {
    let mut input = Input::new(data);
    let also = Also(input.byte());
    let script = Script { also, left: Arc::new(Mutex::new(input.rest().to_vec())) };
    paused().block_on(async {
        let client = busy(also.configure(script.network())).start().expect("the options agree");
        let _ = client.emit("hello", (1, "two"));
        let question = client.emit_with_ack::<_, Value>("ask", "how").timeout(Duration::from_secs(20));
        let question = tokio::spawn(async move { question.await.is_ok() });
        if let Ok(admin) = client.of("/admin").start() {
            let _ = admin.emit("hello", ());
        }
        tokio::time::sleep(Duration::from_secs(100)).await;
        script.left.lock().expect("nothing panics").clear();
        leave(&client).await;
        question.await.expect("nothing panics");
        drop(client);
        // The server may be waiting for a time of its own.
        tokio::time::sleep(Duration::from_secs(300)).await;
        assert_nothing_left().await;
    });
}

/// What the client does beside what it always does, by the bits of the first byte.
#[derive(Clone, Copy)]
struct Also(u8);

impl Also {
    fn is_old(self) -> bool {
        self.0 & 0x04 != 0
    }

    fn has_deflate(self) -> bool {
        self.0 & 0x10 != 0
    }

    fn configure(self, builder: ClientBuilder) -> ClientBuilder {
        let ways: &[Transport] = match self.0 & 3 {
            0 => &[Transport::Polling],
            1 => &[Transport::Websocket],
            2 => &[Transport::Polling, Transport::Websocket],
            _ => &[Transport::Websocket, Transport::Polling],
        };
        // Servers of revision 3 are spoken to in JSON.
        let parser = if self.0 & 0x0c == 0x08 { Parser::Msgpack } else { Parser::Json };
        let builder = builder.transports(ways).eio3(self.is_old()).parser(parser).compression(self.has_deflate());
        let builder = builder.reconnect(Reconnect::default().jitter(0.0).attempts(5)).max_payload(10_000);
        if self.0 & 0x20 != 0 { builder.retries(2).ack_timeout(Duration::from_secs(3)) } else { builder }
    }
}

/// A client that answers everything.
fn busy(builder: ClientBuilder) -> ClientBuilder {
    builder
        .on("echo", async |client: Client, args: Raw| {
            let _ = client.emit("echo", args);
        })
        .on_with_ack("ask", async |_: Client, args: Raw| args)
        .on("typed", async |_: Client, _: (String, Vec<u64>)| {})
}

/// A server that reads its lines from the input, whatever is said to it.
#[derive(Clone)]
struct Script {
    also: Also,
    left: Arc<Mutex<Vec<u8>>>,
}

impl Script {
    /// Clients of this server; there is none any more once all is said.
    fn network(&self) -> ClientBuilder {
        let script = self.clone();
        Client::builder("http://server.test").dial_with(move |_, _| {
            let script = script.clone();
            async move {
                if script.is_over() {
                    return Err(io::ErrorKind::ConnectionRefused.into());
                }
                let (near, far) = tokio::io::duplex(64 * 1024);
                tokio::spawn(script.serve(far));
                Ok(near)
            }
        })
    }

    fn is_over(&self) -> bool {
        self.left.lock().expect("nothing panics").is_empty()
    }

    fn byte(&self) -> u8 {
        let mut left = self.left.lock().expect("nothing panics");
        if left.is_empty() { 0 } else { left.remove(0) }
    }

    fn chunk(&self) -> Vec<u8> {
        let length = usize::from(self.byte());
        let mut left = self.left.lock().expect("nothing panics");
        let length = length.min(left.len());
        left.drain(..length).collect()
    }

    /// What a GET is answered with; if there is nothing to say, with NOOP, later.
    async fn poll(&self) -> Vec<u8> {
        let body = self.chunk();
        if !body.is_empty() {
            return body;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        if self.also.is_old() { b"1:6".into() } else { b"6".into() }
    }

    async fn serve(self, mut far: DuplexStream) {
        while !self.is_over() {
            let request = head(&mut far).await;
            let line = String::from_utf8_lossy(&request).into_owned();
            if line.is_empty() {
                break;
            } else if line.contains("Sec-WebSocket-Key: ") {
                self.frames(&mut far, &request).await;
                break;
            }
            let length =
                line.to_ascii_lowercase().lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
            if let Some(length) = length {
                drop(far.read_exact(&mut vec![0; length]).await);
            }
            let body = if line.starts_with("POST") {
                b"ok".to_vec()
            } else if line.contains("sid=") {
                self.poll().await
            } else if self.also.is_old() {
                format!("{}:{OPEN}", OPEN.len()).into_bytes()
            } else {
                OPEN.into()
            };
            let kind =
                if self.also.is_old() && body.first().is_some_and(|first| *first < 2) { "octet-stream" } else { "x" };
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/{kind}\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            say(&mut far, &[head.as_bytes(), &body].concat(), usize::MAX).await;
        }
        finish(far).await;
    }

    /// A WebSocket: OPEN unless it is that of an upgrade, and then what the input says.
    async fn frames(&self, far: &mut DuplexStream, request: &[u8]) {
        let deflate = if self.also.has_deflate() { "Sec-WebSocket-Extensions: permessage-deflate\r\n" } else { "" };
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {{accept}}\r\n{deflate}\r\n"
        );
        say(far, &accepting(answer.as_bytes(), request), usize::MAX).await;
        if !String::from_utf8_lossy(request).contains("sid=") {
            say(far, &frame(0x81, OPEN.as_bytes()), usize::MAX).await;
        }
        while !self.is_over() {
            match self.byte() {
                7 => tokio::time::sleep(Duration::from_secs(self.byte().into())).await,
                first => say(far, &frame(first, &self.chunk()), usize::MAX).await,
            }
        }
    }
}

/// A frame of a server, of at most 255 bytes.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).expect("at most 255");
    let header = if length < 126 { vec![first, length] } else { vec![first, 126, 0, length] };
    [&header, payload].concat()
}
