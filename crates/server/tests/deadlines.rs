//! A deadline in every state: the client does something, or the server does, and then nothing comes any more. Whatever
//! the server kept for it is gone in time, its file descriptors included.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sockeye::{Server, Socket};
use sockeye_testing::{Net, settle};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::task::JoinHandle;

/// A connection to the server, byte by byte, of a client which is about to fall silent.
struct Wire {
    pipe: DuplexStream,
    serving: JoinHandle<()>,
}

impl Wire {
    fn open(io: &Server) -> Self {
        // So little room that the server notices soon if nobody reads.
        let (pipe, end) = tokio::io::duplex(8 * 1024);
        let io = io.clone();
        Self { pipe, serving: tokio::spawn(async move { io.serve_stream(end, None).await }) }
    }

    async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        self.pipe.write_all(bytes.as_ref()).await.expect("the server takes it");
        settle().await;
    }

    /// A request; the answer as far as it comes in one piece.
    async fn request(&mut self, head: &str, body: &str) -> String {
        self.write(format!("{head} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}", body.len())).await;
        self.read().await
    }

    async fn read(&mut self) -> String {
        let mut buffer = vec![0; 8 * 1024];
        let length = self.pipe.read(&mut buffer).await.expect("the server says something");
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    }

    /// Opens a WebSocket at this path and query.
    async fn upgrade(&mut self, target: &str) {
        let head = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
            Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
        self.write(format!("GET {target} HTTP/1.1\r\nHost: x\r\n{head}\r\n\r\n")).await;
        let answer = self.read().await;
        assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    }

    /// Sends a short text in a frame.
    async fn say(&mut self, text: &str) {
        self.write(frame(0x81, text.as_bytes())).await;
    }

    /// Whether the server has let the connection go.
    async fn is_closed(&mut self) -> bool {
        self.serving.is_finished() && self.pipe.write(&[]).await.is_err()
    }
}

/// A frame whose mask is all zeros.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).expect("a short text");
    [&[first, 0x80 | length, 0, 0, 0, 0], payload].concat()
}

const POLLING: &str = "/socket.io/?EIO=4&transport=polling";
const WEBSOCKET: &str = "/socket.io/?EIO=4&transport=websocket";

/// Opens a session by polling; path and query of its requests.
async fn poll(wire: &mut Wire) -> String {
    let open = wire.request(&format!("GET {POLLING}"), "").await;
    let sid = open.split("\"sid\":\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a session");
    format!("{POLLING}&sid={sid}")
}

async fn polling(io: &Server, join: bool) -> (Wire, String) {
    let mut wire = Wire::open(io);
    let target = poll(&mut wire).await;
    if join {
        wire.request(&format!("POST {target}"), "40").await;
        wire.request(&format!("GET {target}"), "").await;
    }
    (wire, target)
}

async fn websocket(io: &Server, join: bool) -> Wire {
    let mut wire = Wire::open(io);
    wire.upgrade(WEBSOCKET).await;
    if join {
        wire.say("40").await;
    }
    wire
}

/// A polling session, and the WebSocket to which it is about to go over.
async fn upgrading(io: &Server, said: &[&str]) -> Vec<Wire> {
    let (wire, target) = polling(io, true).await;
    let mut stream = Wire::open(io);
    stream.upgrade(&target.replace("=polling", "=websocket")).await;
    for text in said {
        stream.say(text).await;
    }
    vec![wire, stream]
}

type Wires<'a> = Pin<Box<dyn Future<Output = Vec<Wire>> + 'a>>;

/// A state, after how many seconds of silence nothing is left of it, and the way into it.
struct State(&'static str, u64, for<'a> fn(&'a Server) -> Wires<'a>);

/// `ping_interval` and `ping_timeout`; as long may a client be in no namespace, and is told so: its answer to the close
/// frame is waited for.
const SILENCE: u64 = 45;

const STATES: &[State] = &[
    State("connected", 30, |io| Box::pin(async { vec![Wire::open(io)] })),
    State("half a head", 30, |io| {
        Box::pin(async {
            let mut wire = Wire::open(io);
            wire.write("GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost").await;
            vec![wire]
        })
    }),
    State("a request of somebody else", 30, |io| {
        Box::pin(async {
            let mut wire = Wire::open(io);
            assert!(wire.request("GET /elsewhere", "").await.starts_with("HTTP/1.1 404 "));
            vec![wire]
        })
    }),
    // The answer is there after 30 s; it must not get lost by what may still come.
    State("half a body", 30 + 1, |io| {
        Box::pin(async {
            let (mut wire, target) = polling(io, true).await;
            wire.write(format!("POST {target} HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n42[\"")).await;
            vec![wire]
        })
    }),
    State("polling, before CONNECT", SILENCE, |io| Box::pin(async { vec![polling(io, false).await.0] })),
    State("polling, in a namespace", SILENCE, |io| Box::pin(async { vec![polling(io, true).await.0] })),
    State("polling, a GET waits", 25 + 30, |io| {
        Box::pin(async {
            let (mut wire, target) = polling(io, true).await;
            wire.write(format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n")).await;
            vec![wire]
        })
    }),
    State("WebSocket, before CONNECT", SILENCE + 5, |io| Box::pin(async { vec![websocket(io, false).await] })),
    State("WebSocket, in a namespace", SILENCE, |io| Box::pin(async { vec![websocket(io, true).await] })),
    State("an upgrade, nothing probed", SILENCE, |io| Box::pin(upgrading(io, &[]))),
    State("an upgrade, probed", SILENCE, |io| Box::pin(upgrading(io, &["2probe"]))),
    State("an upgrade, done", SILENCE, |io| Box::pin(upgrading(io, &["2probe", "5"]))),
    State("half the header of a frame", SILENCE, |io| Box::pin(half(io, b"\x81"))),
    State("a frame without payload", SILENCE, |io| Box::pin(half(io, b"\x81\xfe\x01\0\0\0\0\0"))),
    State("half a frame", SILENCE, |io| Box::pin(half(io, b"\x81\x8a\0\0\0\x0042[\""))),
    State("half a message", SILENCE, |io| Box::pin(half(io, b"\x01\x84\0\0\0\x0042[\""))),
    State("half a packet", SILENCE, |io| {
        Box::pin(async {
            let mut wire = websocket(io, true).await;
            wire.say("452-[\"x\",{\"_placeholder\":true,\"num\":0},{\"_placeholder\":true,\"num\":1}]").await;
            wire.write(frame(0x82, b"one")).await;
            vec![wire]
        })
    }),
    State("waits for `authorize`, which does not decide", SILENCE + 5, |io| {
        Box::pin(async {
            let mut wire = websocket(io, false).await;
            wire.say("40/undecided,").await;
            vec![wire]
        })
    }),
    State("an answer of the client is awaited", SILENCE, |io| {
        Box::pin(async {
            let mut wire = websocket(io, true).await;
            wire.say("42[\"ask me\"]").await;
            vec![wire]
        })
    }),
    State("said farewell by a close frame", 5, |io| {
        Box::pin(async {
            let mut wire = websocket(io, true).await;
            wire.write(frame(0x88, b"\x03\xe8")).await;
            vec![wire]
        })
    }),
    State("said farewell by CLOSE", 5, |io| {
        Box::pin(async {
            let mut wire = websocket(io, true).await;
            wire.say("1").await;
            vec![wire]
        })
    }),
    State("was disconnected", 5, |io| {
        Box::pin(async {
            let wire = websocket(io, true).await;
            io.local().disconnect_and_close().expect("alone");
            vec![wire]
        })
    }),
    State("was disconnected, and reads nothing", 15, |io| {
        Box::pin(async {
            let wire = websocket(io, true).await;
            io.emit("long", "x".repeat(100_000)).expect("plain");
            settle().await;
            io.local().disconnect_and_close().expect("alone");
            vec![wire]
        })
    }),
    State("reads nothing", SILENCE, |io| {
        Box::pin(async {
            let wire = websocket(io, true).await;
            io.emit("long", "x".repeat(100_000)).expect("plain");
            vec![wire]
        })
    }),
    State("polls no more, and was disconnected", 30, |io| {
        Box::pin(async {
            let (wire, _) = polling(io, true).await;
            io.local().disconnect_and_close().expect("alone");
            vec![wire]
        })
    }),
    State("broke the protocol, and reads nothing", 5, |io| Box::pin(half(io, b"\x81\x80\0\0\0\0"))),
    State("polling of revision 3", SILENCE, |io| Box::pin(async { vec![polling_of_old(io).await.0] })),
    // No ping of the server answers it before the session is over; then another request is waited for.
    State("polling of revision 3, a GET waits", SILENCE + 30, |io| {
        Box::pin(async {
            let (mut wire, target) = polling_of_old(io).await;
            wire.write(format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n")).await;
            vec![wire]
        })
    }),
    State("polling of revision 3, half a body", 30 + 1, |io| {
        Box::pin(async {
            let (mut wire, target) = polling_of_old(io).await;
            wire.write(format!("POST {target} HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n6:42[")).await;
            vec![wire]
        })
    }),
    State("WebSocket of revision 3", SILENCE, |io| Box::pin(async { vec![websocket_of_old(io, &[]).await] })),
    State("WebSocket of revision 3, pinged once", SILENCE, |io| {
        Box::pin(async { vec![websocket_of_old(io, &["2"]).await] })
    }),
    State("WebSocket of revision 3, half a packet", SILENCE, |io| {
        Box::pin(async {
            let header = "452-[\"x\",{\"_placeholder\":true,\"num\":0},{\"_placeholder\":true,\"num\":1}]";
            let mut wire = websocket_of_old(io, &[header]).await;
            wire.write(frame(0x82, b"\x04one")).await;
            vec![wire]
        })
    }),
];

/// Opens a session of revision 3, which is in `/` by that.
async fn polling_of_old(io: &Server) -> (Wire, String) {
    let mut wire = Wire::open(io);
    let target = POLLING.replace("EIO=4", "EIO=3");
    let open = wire.request(&format!("GET {target}"), "").await;
    let sid = open.split("\"sid\":\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a session");
    (wire, format!("{target}&sid={sid}"))
}

async fn websocket_of_old(io: &Server, said: &[&str]) -> Wire {
    let mut wire = Wire::open(io);
    wire.upgrade(&WEBSOCKET.replace("EIO=4", "EIO=3")).await;
    for text in said {
        wire.say(text).await;
    }
    wire
}

/// States of a connection that speaks HTTP/2; whoever it polls for has said so before by HTTP/1.1.
#[cfg(feature = "http2")]
mod http2 {
    use super::*;

    /// Silence is asked about after 30 s, and as long is the answer waited for.
    const PING: u64 = 30 + 30;

    pub(super) const STATES: &[State] = &[
        State("half a preface", 30, |io| {
            Box::pin(async {
                let mut wire = Wire::open(io);
                wire.write("PRI * HTTP/2.0\r\n").await;
                vec![wire]
            })
        }),
        State("nothing asked", PING, |io| Box::pin(async { vec![greeted(io).await] })),
        State("half the header of a frame", PING, |io| Box::pin(saying(io, |_| b"\0\0".to_vec()))),
        State("half a head", PING, |io| Box::pin(saying(io, |target| said(HEADERS, 0, &head(false, target))))),
        State("a GET was answered", PING, |io| {
            Box::pin(saying(io, |_| said(HEADERS, END_HEADERS | END_STREAM, &head(false, POLLING))))
        }),
        State("a GET waits", PING, |io| {
            Box::pin(saying(io, |target| said(HEADERS, END_HEADERS | END_STREAM, &head(false, target))))
        }),
        State("half a body", PING, |io| {
            Box::pin(saying(io, |target| {
                [said(HEADERS, END_HEADERS, &head(true, target)), said(DATA, 0, b"42[\"")].concat()
            }))
        }),
    ];

    const DATA: u8 = 0;
    const HEADERS: u8 = 1;
    const SETTINGS: u8 = 4;
    const END_STREAM: u8 = 1;
    const END_HEADERS: u8 = 4;

    /// Has said what every client says first. [RFC 9113 §3.4]
    async fn greeted(io: &Server) -> Wire {
        let mut wire = Wire::open(io);
        wire.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
        wire.write([0, 0, 0, SETTINGS, 0, 0, 0, 0, 0]).await;
        wire
    }

    /// A session that polls, and has one more connection on which this is said.
    async fn saying(io: &Server, said: fn(target: &str) -> Vec<u8>) -> Vec<Wire> {
        let (first, target) = polling(io, true).await;
        let mut wire = greeted(io).await;
        wire.write(said(&target)).await;
        vec![first, wire]
    }

    /// A frame of the first stream. [RFC 9113 §4.1]
    fn said(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).expect("a short frame").to_be_bytes();
        [&length[1..], &[kind, flags, 0, 0, 0, 1], payload].concat()
    }

    /// Method, scheme, authority and path. [RFC 7541 §6, appendix A]
    fn head(is_post: bool, path: &str) -> Vec<u8> {
        let length = u8::try_from(path.len()).expect("a short path");
        [&[if is_post { 0x83 } else { 0x82 }, 0x86, 0x01, 1, b'x', 0x04, length], path.as_bytes()].concat()
    }
}

/// Sends these bytes, and then nothing.
async fn half(io: &Server, bytes: &[u8]) -> Vec<Wire> {
    let mut wire = websocket(io, true).await;
    wire.write(bytes).await;
    vec![wire]
}

fn server() -> Server {
    let io = Server::builder().allow_eio3(true).build().expect("the options agree");
    io.on("ask me", async |socket: Socket, (): ()| {
        drop(socket.emit_with_ack::<_, ()>("well", ()).await);
    });
    io.of("/undecided").authorize(async |_, (): ()| std::future::pending().await);
    io
}

#[tokio::test(start_paused = true)]
async fn whatever_the_state_silence_ends_it_in_time() {
    ends_in_time(STATES).await;
}

#[cfg(feature = "http2")]
#[tokio::test(start_paused = true)]
async fn whatever_the_state_of_http2_silence_ends_it_in_time() {
    ends_in_time(http2::STATES).await;
}

async fn ends_in_time(states: &[State]) {
    let mut wrong = Vec::new();
    for State(name, seconds, enter) in states {
        let io = server();
        let net = Net::new(&io);
        let mut wires = enter(&io).await;
        let mut silent = 0;
        while !is_gone(&io, &mut wires).await && silent < 1_000 {
            net.advance(Duration::from_secs(1)).await;
            silent += 1;
        }
        if silent != *seconds {
            wrong.push(format!("{name}: {silent} s, not {seconds}"));
        }
        net.assert_clean().await;
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

async fn is_gone(io: &Server, wires: &mut [Wire]) -> bool {
    let mut closed = true;
    for wire in wires {
        closed &= wire.is_closed().await;
    }
    let metrics = io.metrics();
    closed && (metrics.sessions, metrics.tasks, metrics.acks) == (0, 0, 0)
}

/// The stream of an upgrade that does not go on is closed by its own deadline; the session lives while it polls.
#[tokio::test(start_paused = true)]
async fn an_upgrade_that_stops_is_given_up_and_polling_goes_on() {
    for said in [&[][..], &["2probe"]] {
        let io = server();
        let net = Net::new(&io);
        let mut wires = upgrading(&io, said).await;
        net.advance(Duration::from_secs(9)).await;
        assert!(!wires[1].is_closed().await, "{said:?}");
        // Then it is closed with a close frame, whose answer is waited for.
        net.advance(Duration::from_secs(6)).await;
        assert!(wires[1].is_closed().await, "{said:?}");
        assert_eq!((io.metrics().sessions, io.metrics().upgrades_failed), (1, 1), "{said:?}");
    }
}

/// Head and body of a request have the time that the options give them.
#[tokio::test(start_paused = true)]
async fn the_time_of_a_request_can_be_set() {
    let limit = Duration::from_secs(3);
    let io = Server::builder().request_timeout(limit).build().expect("the options agree");
    let net = Net::new(&io);
    let (mut half_a_body, target) = polling(&io, true).await;
    half_a_body.write(format!("POST {target} HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n42")).await;
    let mut half_a_head = Wire::open(&io);
    half_a_head.write("GET /socket.io/ HTTP/1.1\r\nHo").await;
    let mut wires = [half_a_head, half_a_body];
    net.advance(Duration::from_millis(2_999)).await;
    assert!(!wires[0].is_closed().await && io.metrics().sessions == 1);
    net.advance(Duration::from_millis(1)).await;
    assert!(wires[0].is_closed().await && io.metrics().sessions == 0);
    // What may still come of the body is taken for a second.
    net.advance(Duration::from_secs(1)).await;
    assert!(is_gone(&io, &mut wires).await);
    net.assert_clean().await;
}

/// Who answers pings and does nothing else has deadlines too: for a namespace, and for the rest of a packet.
#[tokio::test(start_paused = true)]
async fn pongs_alone_are_not_enough() {
    let packet = "451-[\"x\",{\"_placeholder\":true,\"num\":0}]";
    for (said, seconds) in [(&[][..], 45), (&["40/undecided,"], 45), (&["40", packet], 60)] {
        let io = server();
        let net = Net::new(&io);
        let mut alice = net.websocket().await;
        for text in said {
            alice.send(text).await;
        }
        let mut passed = 0;
        while io.metrics().sessions > 0 && passed < 1_000 {
            net.advance(Duration::from_secs(1)).await;
            passed += 1;
            while let Some(frame) = alice.next().await {
                if frame == sockeye_testing::Frame::Text("2".into()) {
                    alice.send("3").await;
                }
            }
        }
        assert_eq!(passed, seconds, "{said:?}");
        assert!(alice.is_ended(), "{said:?}");
        net.assert_clean().await;
    }
}

/// Whatever else a client sends, without PONG it is dead: other packets prolong the wait once.
#[tokio::test(start_paused = true)]
async fn events_alone_are_not_enough() {
    let io = server();
    let net = Net::new(&io);
    let (mut alice, _) = net.join().await;
    let mut passed = 0;
    while io.metrics().sessions > 0 && passed < 1_000 {
        net.advance(Duration::from_secs(1)).await;
        passed += 1;
        alice.send("42[\"x\"]").await;
    }
    assert_eq!(passed, 25 + 20);
    net.assert_clean().await;
}

/// Before HTTP begins, a proxy has to say who the client is: that has a deadline too, and so has what follows.
#[tokio::test(start_paused = true)]
async fn a_proxy_that_stops_speaking_is_cut_off() {
    let whole = "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n";
    for said in ["", "PROXY TCP4 192.", whole] {
        let io = Server::builder().proxy_protocol(true).build().expect("the options agree");
        let net = Net::new(&io);
        let mut wire = Wire::open(&io);
        wire.write(said).await;
        net.advance(Duration::from_secs(29)).await;
        assert!(!wire.is_closed().await, "{said:?}");
        net.advance(Duration::from_secs(2)).await;
        assert!(wire.is_closed().await, "{said:?}");
    }
}

/// A proxy that has not spoken yet does not hold up the end of the server.
#[tokio::test(start_paused = true)]
async fn a_proxy_that_does_not_speak_is_not_waited_for_at_the_end() {
    for said in ["", "PROXY TCP4 192."] {
        let io = Server::builder().proxy_protocol(true).build().expect("the options agree");
        let mut wire = Wire::open(&io);
        wire.write(said).await;
        let began = tokio::time::Instant::now();
        io.close(Duration::from_secs(10)).await;
        assert_eq!(began.elapsed(), Duration::ZERO, "{said:?}");
        assert!(wire.is_closed().await, "{said:?}");
    }
}

/// Its answer to the heartbeat stands behind the body, which takes 29 s.
#[tokio::test(start_paused = true)]
async fn a_slow_upload_is_not_taken_for_death() {
    let io = server();
    let net = Net::new(&io);
    let (mut wire, target) = polling(&io, true).await;
    let mut get = Wire::open(&io);
    get.write(format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n")).await;
    net.advance(Duration::from_secs(20)).await;
    wire.write(format!("POST {target} HTTP/1.1\r\nHost: x\r\nContent-Length: 36\r\n\r\n42[\"")).await;
    for _ in 0..28 {
        net.advance(Duration::from_secs(1)).await;
        wire.write("x").await;
    }
    net.advance(Duration::from_millis(900)).await;
    wire.write("\",1]").await;
    let answer = wire.read().await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && io.metrics().sessions == 1, "{answer}");
    wire.request(&format!("POST {target}"), "1").await;
    drop((wire, get));
    net.advance(Duration::from_secs(60)).await;
    net.assert_clean().await;
}

/// Its answer to the heartbeat stands behind the message, be that one frame or many.
#[tokio::test(start_paused = true)]
async fn a_slow_message_is_not_taken_for_death() {
    let text = "42[\"slow\",\"".to_owned() + &"x".repeat(100) + "\"]";
    let whole = frame(0x81, text.as_bytes());
    let fragments: Vec<u8> = text.bytes().flat_map(|byte| frame(0x00, &[byte])).collect();
    let fragments = [frame(0x01, b""), fragments, frame(0x80, b"")].concat();
    for (bytes, seconds) in [(whole, 2), (fragments, 1)] {
        let io = server();
        let handled = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&handled);
        io.on("slow", async move |_, text: String| {
            count.fetch_add(text.len(), Ordering::Relaxed);
        });
        let net = Net::new(&io);
        let mut wire = websocket(&io, true).await;
        for byte in &bytes {
            net.advance(Duration::from_secs(seconds)).await;
            wire.write([*byte]).await;
        }
        // Far later than a heartbeat is answered usually.
        assert!(bytes.len() as u64 * seconds > 4 * SILENCE);
        assert_eq!((handled.load(Ordering::Relaxed), io.metrics().sessions), (100, 1));
        wire.say("3").await;
        net.advance(Duration::from_secs(24)).await;
        assert_eq!(io.metrics().sessions, 1, "the heartbeat is answered");
        net.advance(Duration::from_secs(SILENCE)).await;
        assert!(is_gone(&io, &mut [wire]).await, "and the next is not");
        net.assert_clean().await;
    }
}

/// Answers of strangers and of members alike, when the session is over already.
#[tokio::test(start_paused = true)]
async fn an_answer_that_is_not_read_does_not_hold_its_connection() {
    let io = server();
    let net = Net::new(&io);
    let (mut wire, target) = polling(&io, true).await;
    let request = format!("GET {target}&unknown HTTP/1.1\r\nHost: x\r\n\r\n").replace("sid=", "sid=x");
    let asked = wire.pipe.write_all(request.repeat(2_000).as_bytes()).await;
    assert!(asked.is_err(), "the server stopped taking requests, and then let go");
    settle().await;
    assert!(wire.serving.is_finished());
    net.advance(Duration::from_secs(60)).await;
    net.assert_clean().await;
}
