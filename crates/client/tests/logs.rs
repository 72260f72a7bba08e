//! What an application sends and what identifies it stays out of the client's logs, at every level.

mod common;

use std::fmt::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use common::{Far, Net, OPEN, WAYS, Wire, pass, read_head, response, seconds, settle, switching, text};
use serde_json::json;
use sockeye::{Refusal, Server, Socket};
use sockeye_client::{BoxError, Cause, Client, ClientBuilder, Proxy, Reconnect, State, Transport};
use tokio::io::AsyncWriteExt;
use tracing::field::{Field, Visit};
use tracing::span;

/// Keeps every event and span with all its fields, at TRACE.
#[derive(Clone, Default)]
struct Capture(Arc<Mutex<String>>);

impl Capture {
    fn line(&self, metadata: &tracing::Metadata<'_>, record: impl FnOnce(&mut Line<'_>)) {
        let mut log = self.0.lock().unwrap();
        write!(log, "{} {}", metadata.level(), metadata.target()).unwrap();
        record(&mut Line(&mut log));
        log.push('\n');
    }
}

struct Line<'a>(&'a mut String);

impl Visit for Line<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        write!(self.0, " {field}={value:?}").unwrap();
    }
}

impl tracing::Subscriber for Capture {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &span::Attributes<'_>) -> span::Id {
        self.line(span.metadata(), |line| span.record(line));
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, values: &span::Record<'_>) {
        values.record(&mut Line(&mut self.0.lock().unwrap()));
    }

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        self.line(event.metadata(), |line| event.record(line));
    }

    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

/// A client with a secret in every place that has room for one. Nobody listens to `on_error`, so failures are logged.
fn secretive(net: &Net, way: &[Transport]) -> ClientBuilder {
    net.client_of("http://server.test/?in-url=SECRET-url-query")
        .transports(way)
        .query("token", "SECRET-query")
        .query_with(|| vec![("fresh".into(), "SECRET-fresh-query".into())])
        .header("Authorization", "Bearer SECRET-token")
        .header("Cookie", "own=SECRET-own-cookie")
        .headers_with(|| vec![("X-Own".into(), "SECRET-fresh-header".into())])
        .auth(json!({ "token": "SECRET-auth" }))
        .on("number", async |_, _: u32| ())
        .on("panics", async |_, _: String| -> () { panic!("on purpose") })
        .on_with_ack("question", async |_, text: String| text)
        .on_with_ack("misfit", async |_, _: u32| ())
        .on("ask back", async |client, text: String| {
            let _: u32 = client.emit_with_ack("echo", text).await?;
            Ok::<_, BoxError>(())
        })
        .on_any(async |_, message| if message.event().len() > 1_000 { Err("a long name") } else { Ok(()) })
}

fn server() -> Server {
    let io = Server::builder().max_attachments(2).build().unwrap();
    io.authorize(async |_, auth: serde_json::Value| match auth["token"].as_str() {
        Some("SECRET-auth") => Ok(()),
        _ => Err(Refusal::new("no").with_data(json!("SECRET-data"))),
    });
    io.on_connect(async |socket: Socket| {
        socket.emit("number", "SECRET-argument")?;
        socket.emit("panics", "SECRET-panic")?;
        socket.emit("nobody listens", "SECRET-unhandled")?;
        socket.emit("ask back", "SECRET-asked-back")?;
        socket.emit(&"n".repeat(10_000), "SECRET-long")?;
        drop(socket.emit_with_ack::<_, u32>("question", "SECRET-question").send());
        drop(socket.emit_with_ack::<_, u32>("misfit", "SECRET-misfit").send());
        drop(socket.emit_with_ack::<_, u32>("nobody answers", "SECRET-unanswered").send());
        Ok::<_, BoxError>(())
    });
    io.on_with_ack("echo", async |_, text: String| text);
    io.on("kick", async |socket: Socket, _: String| socket.disconnect());
    io
}

async fn until_connected(client: &Client) {
    client.watch().until(State::is_connected).await.unwrap();
    pass(seconds(1)).await;
}

/// Connects, talks, is cut off, frozen out, kicked out, beyond a limit, and disconnected.
async fn a_life(way: &[Transport]) {
    let net = Net::with(&server());
    let client = secretive(&net, way).connect().await.unwrap();
    until_connected(&client).await;
    client.emit("nothing", "SECRET-emitted").unwrap();
    drop(client.emit_with_ack::<_, u32>("echo", "SECRET-misfitting-answer").await.unwrap_err());
    drop(client.emit_with_ack::<_, u32>("nothing", "SECRET-timeout").timeout(seconds(1)).await.unwrap_err());
    for break_line in [Net::cut, Net::freeze] {
        break_line(&net);
        client.watch().until(|state| !state.is_connected()).await.unwrap();
        net.set(Far::Refuses);
        pass(seconds(10)).await;
        net.set(Far::Server(server()));
        until_connected(&client).await;
    }
    client.emit("kick", "SECRET-kick").unwrap();
    client.watch().until(|state| !state.is_active()).await.unwrap();
    client.connect().await.unwrap();
    until_connected(&client).await;
    let three = vec![bytes::Bytes::from_static(b"SECRET-attachment"); 3];
    client.emit("nothing", three).unwrap();
    client.watch().until(|state| !state.is_connected()).await.unwrap();
    client.emit("nothing", "SECRET-offline").unwrap();
    client.disconnect().await;
    assert!(client.emit("nothing", "SECRET-late").is_err());
}

/// Is refused; and is not answered, however often it asks.
async fn in_vain(way: &[Transport]) {
    let net = Net::with(&server());
    let refused = net.client().transports(way).auth(json!({ "token": "SECRET-refused" })).connect().await;
    assert_eq!(refused.unwrap_err().data(), Some(&json!("SECRET-data")));
    let client = secretive(&net, way).retries(1).ack_timeout(seconds(1)).connect().await.unwrap();
    client.emit("nobody acknowledges", "SECRET-retried").unwrap();
    pass(seconds(5)).await;
    client.disconnect().await;
}

/// What breaks every layer of the protocol.
const NONSENSE: &[&str] = &[
    "SECRET-garbage",
    "7SECRET-type",
    "49SECRET-packet",
    "42[\"SECRET-broken",
    "42/SECRET-path,[\"x\"]",
    "43SECRET-ack",
    "45SECRET-[]",
    "451-[\"x\",\"SECRET-no-placeholder\"]",
    "40SECRET-connect",
    "42[\"disconnect\",\"SECRET-reserved\"]",
    "4399[\"SECRET-unknown-answer\"]",
    "0{\"sid\":\"SECRET-second-handshake\"}",
    "44{\"message\":\"no\",\"data\":\"SECRET-late-refusal\"}",
];

async fn nonsense(packet: &'static str) {
    let net = Net::script(move |mut wire| async move {
        let mut hello = switching(&read_head(&mut wire).await, "Set-Cookie: theirs=SECRET-their-cookie\r\n");
        for packet in [&OPEN.replace("abc", "SECRET-session"), "40{\"sid\":\"id\",\"pid\":\"SECRET-pid\"}", packet] {
            hello.extend(text(packet));
        }
        let _ = wire.write_all(&hello).await;
        pass(seconds(5)).await;
    });
    let client = secretive(&net, &[Transport::Websocket]).reconnect(Reconnect::never()).start().unwrap();
    pass(seconds(10)).await;
    client.disconnect().await;
}

/// Pages of gateways that repeat the request, in the beginning and in the middle of a session.
async fn echoes() {
    for (way, first) in [(Transport::Polling, 0), (Transport::Polling, 3), (Transport::Websocket, 0)] {
        let count = Arc::new(AtomicUsize::new(0));
        let net = Net::script(move |wire| echo(wire, Arc::clone(&count), first));
        let client = secretive(&net, &[way]).reconnect(Reconnect::never()).start().unwrap();
        let cause = match client.connect().await {
            Err(error) => error.cause().cloned(),
            Ok(()) => {
                client.watch().until(|state| !state.is_connected()).await.unwrap();
                client.last_disconnect().map(|last| last.cause)
            }
        };
        let Some(Cause::Refused { status: 502, text }) = cause else { panic!("{way:?}, {first}: {cause:?}") };
        assert!(text.contains("SECRET"), "the application has it: {text}");
        client.disconnect().await;
    }
}

/// Answers requests from number `first` on by repeating them, and those before as a server does.
async fn echo(mut wire: Wire, count: Arc<AtomicUsize>, first: usize) {
    loop {
        let head = read_head(&mut wire).await;
        if head.is_empty() {
            return;
        }
        let cookie = "Set-Cookie: a=SECRET-their-cookie\r\n";
        let answer = match count.fetch_add(1, Ordering::Relaxed) {
            n if n >= first => response("502 Bad Gateway", cookie, &head),
            0 => response("200 OK", cookie, &OPEN.replace("abc", "SECRET-session")),
            // To the GET; what a POST is answered with says nothing.
            _ => response("200 OK", "", "40{\"sid\":\"id\"}"),
        };
        let _ = wire.write_all(&answer).await;
    }
}

/// Proxies with a password, which refuse.
async fn proxies() {
    for url in ["http://user:SECRET-password@proxy.test:1", "socks5://user:SECRET-password@proxy.test:1"] {
        for way in [Transport::Polling, Transport::Websocket] {
            let net = Net::script(move |mut wire| async move {
                let answer: &[u8] = if url.starts_with("http") {
                    b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n"
                } else {
                    b"\x05\x02\x01\x01"
                };
                let _ = wire.write_all(answer).await;
                pass(seconds(5)).await;
            });
            let proxy: Proxy = url.parse().unwrap();
            let builder = secretive(&net, &[way]).proxy(proxy).reconnect(Reconnect::default().attempts(1));
            let error = builder.connect().await.unwrap_err();
            assert!(error.is_unreachable() && !error.to_string().contains("SECRET"), "{error}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn secrets_of_the_application_are_not_logged() {
    let capture = Capture::default();
    tracing::subscriber::set_global_default(capture.clone()).unwrap();
    for way in WAYS {
        a_life(way).await;
        in_vain(way).await;
    }
    for packet in NONSENSE {
        nonsense(packet).await;
    }
    echoes().await;
    proxies().await;
    settle().await;

    let log = capture.0.lock().unwrap().clone();
    let ours: Vec<_> = log.lines().filter(|line| line.contains(" sockeye_client")).collect();
    for line in &ours {
        assert!(!line.contains("SECRET") && !line.contains("U0VDUkVU"), "{line}");
        assert!(line.len() < 300, "a server can make the log grow: {line}");
    }
    // All of it happened under the eyes of the log.
    for what in [
        "message=connected namespace=/ recovered=false",
        "reason=io server disconnect",
        "reason=ping timeout",
        "reason=transport error",
        "reason=parse error",
        "too many attachments",
        "the server answered with status 502",
        "the WebSocket was not opened",
        "the server broke the protocol",
        "407",
        "a handler failed event=\"number\"",
    ] {
        let is_there = ours.iter().any(|line| line.contains(what));
        assert!(is_there, "{what}: {}", ours.join("\n"));
    }
}

#[test]
fn a_lost_connection_was_logged_as_one_that_had_not_been_joined() {
    let capture = Capture::default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    tracing::subscriber::with_default(capture.clone(), || {
        runtime.block_on(async {
            let io = Server::new();
            let net = Net::with(&io);
            let client = net.client().reconnect(Reconnect::never()).connect().await.unwrap();
            net.cut();
            client.watch().until(|state| !state.is_active()).await.unwrap();
            io.authorize(async |_, _: serde_json::Value| {
                pass(seconds(5)).await;
                Ok(())
            });
            let unjoined = net.client().reconnect(Reconnect::never()).start().unwrap();
            pass(seconds(2)).await;
            capture.0.lock().unwrap().push_str("the second\n");
            net.cut();
            unjoined.watch().until(|state| !state.is_active()).await.unwrap();
        });
    });
    let log = capture.0.lock().unwrap().clone();
    let (joined, unjoined) = log.split_once("the second\n").unwrap();
    assert!(joined.contains("no further attempt") && !joined.contains("before the namespace was joined"), "{joined}");
    assert!(unjoined.contains("before the namespace was joined"), "{unjoined}");
}
