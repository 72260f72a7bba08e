//! Every moment of a TCP connection, and every way in which it can end.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use sockeye::{Recovery, Server};
use sockeye_testing::settle;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf};

use crate::scene::{Scene, pass};

/// The server's end of a connection, which may be reset.
struct Pipe {
    pipe: DuplexStream,
    reset: Arc<AtomicBool>,
}

impl Pipe {
    fn check(&self) -> io::Result<()> {
        if self.reset.load(Ordering::Relaxed) { Err(io::ErrorKind::ConnectionReset.into()) } else { Ok(()) }
    }
}

impl AsyncRead for Pipe {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut self.pipe).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.pipe).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_shutdown(cx)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Reset,
    Fin,
    /// The client says no more, and still listens.
    HalfClose,
    /// The frame, and the client waits for the answer.
    CloseFrame,
}

const ENDS: [End; 4] = [End::Reset, End::Fin, End::HalfClose, End::CloseFrame];

/// The client's end.
struct Wire {
    pipe: DuplexStream,
    reset: Arc<AtomicBool>,
}

impl Wire {
    fn open(io: &Server) -> Self {
        let (pipe, end) = tokio::io::duplex(8 * 1024);
        let (io, reset) = (io.clone(), Arc::<AtomicBool>::default());
        let end = Pipe { pipe: end, reset: Arc::clone(&reset) };
        tokio::spawn(async move { io.serve_stream(end, None).await });
        Self { pipe, reset }
    }

    async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        self.pipe.write_all(bytes.as_ref()).await.expect("the server takes it");
        settle().await;
    }

    async fn read(&mut self) -> String {
        let mut buffer = vec![0; 8 * 1024];
        let length = self.pipe.read(&mut buffer).await.expect("the server says something");
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    }

    async fn request(&mut self, head: &str, body: &str) -> String {
        self.write(format!("{head} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}", body.len())).await;
        self.read().await
    }

    async fn upgrade(&mut self, target: &str) {
        self.write(upgrade(target)).await;
        let answer = self.read().await;
        assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    }

    async fn say(&mut self, text: &str) {
        self.write(frame(0x81, text.as_bytes())).await;
    }

    /// Ends as said; what is left of the client.
    async fn end(mut self, end: End) -> Option<Self> {
        match end {
            End::Reset => self.reset.store(true, Ordering::Relaxed),
            End::Fin => {}
            End::HalfClose => self.pipe.shutdown().await.expect("it is open"),
            // It is lost where the server has closed already.
            End::CloseFrame => drop(self.pipe.write_all(&frame(0x88, b"\x03\xe8")).await),
        }
        (end == End::HalfClose || end == End::CloseFrame).then_some(self)
    }
}

fn upgrade(target: &str) -> String {
    format!(
        "GET {target} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
}

/// A frame whose mask is all zeros.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).expect("a short text");
    [&[first, 0x80 | length, 0, 0, 0, 0], payload].concat()
}

const POLLING: &str = "/socket.io/?EIO=4&transport=polling";
const WEBSOCKET: &str = "/socket.io/?EIO=4&transport=websocket";

/// A WebSocket that has said this.
async fn websocket(io: &Server, said: &[&str]) -> Wire {
    let mut wire = Wire::open(io);
    wire.upgrade(WEBSOCKET).await;
    for text in said {
        wire.say(text).await;
    }
    wire
}

/// One that is in both namespaces, where its `on_connect` has ended.
async fn joined(io: &Server) -> Wire {
    let wire = websocket(io, &["40", "40/chat,"]).await;
    pass(PAUSE + 1).await;
    wire
}

/// Opens a session by polling, in both namespaces; path and query of its requests.
async fn polling(io: &Server) -> (Wire, String) {
    let mut wire = Wire::open(io);
    let open = wire.request(&format!("GET {POLLING}"), "").await;
    let sid = open.split("\"sid\":\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a session");
    let target = format!("{POLLING}&sid={sid}");
    wire.request(&format!("POST {target}"), "40\u{1e}40/chat,").await;
    wire.request(&format!("GET {target}"), "").await;
    (wire, target)
}

/// A session that polls, and the WebSocket on which this was said.
async fn upgrading(io: &Server, said: &[&str]) -> [Wire; 2] {
    let (wire, target) = polling(io).await;
    let mut stream = Wire::open(io);
    stream.upgrade(&target.replace("=polling", "=websocket")).await;
    for text in said {
        stream.say(text).await;
    }
    [stream, wire]
}

type Wires<'a> = Pin<Box<dyn Future<Output = Vec<Wire>> + 'a>>;

/// How long hooks take, in seconds.
const PAUSE: usize = 2;

/// A moment, how many namespaces the client has been in, what they are told after each of the ends, and the way to it: the
/// first connection is the one that ends.
struct Moment(&'static str, usize, [&'static str; 4], for<'a> fn(&'a Server) -> Wires<'a>);

/// Where there is no WebSocket, its close frame is garbage.
const STREAM: [&str; 4] = ["transport error", "transport close", "transport close", "transport close"];
const NONE: [&str; 4] = [""; 4];
/// The session polls on, until it does not.
const POLLS: [&str; 4] = ["ping timeout"; 4];

const MOMENTS: &[Moment] = &[
    Moment("connected", 0, NONE, |io| Box::pin(async { vec![Wire::open(io)] })),
    Moment("half a head", 0, NONE, |io| {
        Box::pin(async {
            let mut wire = Wire::open(io);
            wire.write(&upgrade(WEBSOCKET)[..50]).await;
            vec![wire]
        })
    }),
    Moment("an answer that nobody reads", 0, NONE, |io| {
        Box::pin(async {
            let mut wire = Wire::open(io);
            wire.write(upgrade(WEBSOCKET)).await;
            vec![wire]
        })
    }),
    Moment("a WebSocket", 0, NONE, |io| Box::pin(async { vec![websocket(io, &[]).await] })),
    Moment("`authorize` decides", 0, NONE, |io| Box::pin(async { vec![websocket(io, &["40/undecided,"]).await] })),
    Moment("`on_connect` runs", 2, STREAM, |io| Box::pin(async { vec![websocket(io, &["40", "40/chat,"]).await] })),
    Moment("idle", 2, STREAM, |io| Box::pin(async { vec![joined(io).await] })),
    Moment("a handler runs", 2, STREAM, |io| {
        Box::pin(async {
            let mut wire = joined(io).await;
            wire.say("42[\"wait\"]").await;
            vec![wire]
        })
    }),
    Moment("`on_disconnect` runs", 2, ["client namespace disconnect"; 4], |io| {
        Box::pin(async {
            let mut wire = joined(io).await;
            wire.say("41").await;
            wire.say("41/chat,").await;
            vec![wire]
        })
    }),
    // A close frame in the midst of a frame is a part of it, and no text.
    Moment("half a frame", 2, ["transport error", "transport close", "transport close", "transport error"], |io| {
        Box::pin(async {
            let mut wire = joined(io).await;
            wire.write([0x81, 0xa0, 0, 0, 0, 0, b'4']).await;
            vec![wire]
        })
    }),
    Moment("half a message", 2, STREAM, |io| {
        Box::pin(async {
            let mut wire = joined(io).await;
            wire.write(frame(0x01, b"42[")).await;
            vec![wire]
        })
    }),
    Moment("half a packet", 2, STREAM, |io| {
        Box::pin(async {
            let mut wire = joined(io).await;
            wire.say("451-[\"wait\",{\"_placeholder\":true,\"num\":0}]").await;
            vec![wire]
        })
    }),
    Moment("the server writes", 2, STREAM, |io| {
        Box::pin(async {
            let wire = joined(io).await;
            io.emit("much", "x".repeat(100_000)).expect("there is room");
            settle().await;
            vec![wire]
        })
    }),
    Moment("the server waits for an answer", 2, STREAM, |io| {
        Box::pin(async {
            let wire = joined(io).await;
            let answers = io.emit_with_ack::<_, ()>("well", ());
            tokio::spawn(async move { answers.collect().await });
            settle().await;
            vec![wire]
        })
    }),
    Moment("the server closes", 2, ["server namespace disconnect"; 4], |io| {
        Box::pin(async {
            let wire = joined(io).await;
            io.local().disconnect_and_close().expect("alone");
            settle().await;
            vec![wire]
        })
    }),
    Moment("an upgrade, nothing probed", 2, POLLS, |io| Box::pin(async { upgrading(io, &[]).await.into() })),
    Moment("an upgrade, probed", 2, POLLS, |io| Box::pin(async { upgrading(io, &["2probe"]).await.into() })),
    Moment("an upgrade, probed and answered", 2, POLLS, |io| {
        Box::pin(async {
            let [mut stream, wire] = upgrading(io, &["2probe"]).await;
            assert!(stream.read().await.ends_with("3probe"));
            vec![stream, wire]
        })
    }),
    Moment("an upgrade, and a GET was answered by NOOP", 2, POLLS, |io| {
        Box::pin(async {
            let (wire, target) = polling(io).await;
            let (mut stream, mut parked) = (Wire::open(io), Wire::open(io));
            parked.write(format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n")).await;
            stream.upgrade(&target.replace("=polling", "=websocket")).await;
            stream.say("2probe").await;
            assert!(parked.read().await.ends_with("\r\n\r\n6"));
            vec![stream, wire, parked]
        })
    }),
    Moment("an upgrade, half of the last word", 2, POLLS, |io| {
        Box::pin(async {
            let [mut stream, wire] = upgrading(io, &["2probe"]).await;
            stream.write([0x81, 0x81, 0, 0]).await;
            vec![stream, wire]
        })
    }),
    Moment("an upgrade, done", 2, STREAM, |io| Box::pin(async { upgrading(io, &["2probe", "5"]).await.into() })),
    Moment("an upgrade, and its old connection", 2, POLLS, |io| {
        Box::pin(async {
            let [stream, wire] = upgrading(io, &["2probe"]).await;
            vec![wire, stream]
        })
    }),
    Moment("between two requests", 2, POLLS, |io| Box::pin(async { vec![polling(io).await.0] })),
    // A client that ends its direction is taken for gone, as by other servers: what is the answer to be written to?
    Moment("a GET waits", 2, ["transport error", "transport error", "transport error", "ping timeout"], |io| {
        Box::pin(async {
            let (mut wire, target) = polling(io).await;
            wire.write(format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n")).await;
            vec![wire]
        })
    }),
    Moment("half a body", 2, ["transport error", "transport error", "transport error", "parse error"], |io| {
        Box::pin(async {
            let (mut wire, target) = polling(io).await;
            wire.write(format!("POST {target} HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n4")).await;
            vec![wire]
        })
    }),
];

/// What was wrong with the reasons.
async fn play(Moment(name, places, reasons, enter): &Moment, end: End, recovery: bool) -> Option<String> {
    let what = format!("{name}, {end:?}, recovery {recovery}");
    let builder = Server::builder();
    let builder = if recovery { builder.recovery(Recovery::default()) } else { builder };
    let scene = Scene::new(builder, Duration::from_secs(PAUSE as u64));
    scene.io.of("/undecided").authorize(async |_, (): ()| std::future::pending().await);
    scene.io.on("wait", async |_, (): ()| tokio::time::sleep(Duration::from_secs(PAUSE as u64)).await);
    let mut wires = enter(&scene.io).await;
    let left = wires.remove(0).end(end).await;
    settle().await;
    let soon = scene.gone();
    pass(60).await;
    let reason = reasons[end as usize];
    let expected: Vec<_> = ["/", "/chat"].iter().take(*places).map(|path| format!("{path} {reason}")).collect();
    let told = scene.reasons();
    // An end is noticed when it is there, if there is anything to be seen.
    let is_late = reason != "ping timeout" && soon != *places;
    drop((left, wires));
    scene.is_over(&what).await;
    (told != expected || is_late).then(|| format!("{what}: {told:?}, {soon} at once, not {expected:?}"))
}

#[tokio::test(start_paused = true)]
async fn whenever_and_however_a_connection_ends_each_namespace_is_left_once() {
    let mut wrong = Vec::new();
    for moment in MOMENTS {
        for end in ENDS {
            for recovery in [false, true] {
                wrong.extend(play(moment, end, recovery).await);
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
