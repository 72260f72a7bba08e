//! What clients that have joined no namespace can make the server keep.

use std::pin::Pin;
use std::time::Duration;

use sockeye::{Server, Socket};
use sockeye_engine::ws;
use tokio::io::{AsyncReadExt, DuplexStream};

use crate::counting::{allocated, allocated_in_all, alone};
use crate::pipe::{POLLING, WEBSOCKET, hear, open, pipe_bytes, say, sid};

/// What a stranger may take, on each connection.
const MOST: usize = 16 * 1024;
const STRANGERS: usize = 20;
/// What a connection takes on which nothing is said.
const CONNECTION: usize = 2_500;

/// A server which takes its time to let anybody in.
fn server() -> Server {
    let io = Server::new();
    io.authorize(async |_, _: serde::de::IgnoredAny| {
        tokio::time::sleep(Duration::from_secs(20)).await;
        Ok(())
    });
    io.on_connect(async |_: Socket| {});
    for n in 0..20 {
        io.of(&format!("/{n}")).authorize(async |_, _: serde::de::IgnoredAny| std::future::pending().await);
    }
    io
}

/// A message of `length` bytes as a client sends it, of which the last `missing` bytes do not come.
fn frame(text: &str, length: usize, missing: usize) -> Vec<u8> {
    let text = format!("{text}{}", "x".repeat(length - text.len()));
    let mut frame = Vec::new();
    ws::encode_masked(&mut frame, ws::Opcode::Text, false, text.as_bytes(), [1, 2, 3, 4]);
    frame.truncate(frame.len() - missing);
    frame
}

/// A WebSocket whose request had one more header of this length, and has been answered.
async fn websocket(io: &Server, header: usize) -> DuplexStream {
    let mut pipe = open(io).await;
    say(&mut pipe, format!("{WEBSOCKET}X: {}\r\n\r\n", "p".repeat(header)).as_bytes()).await;
    assert!(hear(&mut pipe).await.starts_with("HTTP/1.1 101 "));
    pipe
}

/// The longest message that is taken when the request had this header.
async fn room(io: &Server, header: usize) -> usize {
    let (mut least, mut most) = (100, MOST);
    while most - least > 1 {
        let length = usize::midpoint(least, most);
        let mut pipe = websocket(io, header).await;
        // So much is announced, and nothing of it comes.
        say(&mut pipe, &frame("40", length, length)).await;
        let mut heard = Vec::new();
        let read = tokio::time::timeout(Duration::from_millis(10), pipe.read_buf(&mut heard)).await;
        if read.is_ok() { most = length } else { least = length }
    }
    least
}

/// Bytes that each of many strangers takes which do this, on one connection each.
async fn each(io: &Server, stranger: impl AsyncFn(&Server) -> DuplexStream) -> usize {
    // What grows once is there already.
    drop(stranger(io).await);
    tokio::time::sleep(Duration::from_secs(100)).await;
    let own = pipe_bytes().await;
    let mut all = Vec::with_capacity(STRANGERS);
    let before = allocated();
    for _ in 0..STRANGERS {
        all.push(stranger(io).await);
    }
    let taken = (allocated() - before) / STRANGERS - own;
    let sessions = io.metrics().sessions;
    assert!(sessions == 0 || sessions >= STRANGERS as u64, "only {sessions} are still there");
    drop(all);
    tokio::time::sleep(Duration::from_secs(100)).await;
    taken
}

/// A head may be as long by itself; what serves the connection comes to it.
#[test]
fn half_a_head_takes_its_own_length() {
    alone(async || {
        let io = server();
        let half = format!("{POLLING}X: {}", "p".repeat(MOST - POLLING.len() - 10));
        let taken = each(&io, async |io| {
            let mut pipe = open(io).await;
            say(&mut pipe, half.as_bytes()).await;
            pipe
        });
        let taken = taken.await - CONNECTION;
        assert!(taken <= MOST, "{taken} bytes");
    });
}

/// CVE-2023-43669: what came already is not copied for each byte that comes.
#[test]
fn a_head_that_comes_byte_by_byte_takes_work_in_proportion() {
    alone(async || {
        let io = server();
        let mut took = Vec::new();
        for length in [MOST / 4, MOST / 2, MOST] {
            let head = format!("{POLLING}X: {}", "p".repeat(length - POLLING.len() - 10));
            let mut pipe = open(&io).await;
            let before = allocated_in_all();
            for byte in head.as_bytes() {
                say(&mut pipe, &[*byte]).await;
            }
            took.push(allocated_in_all() - before);
        }
        let is_linear = took.windows(2).all(|pair| pair[1] < pair[0] * 5 / 2);
        assert!(is_linear && took[2] < 50 * MOST, "{took:?} bytes for a quarter, a half and all of {MOST}");
    });
}

#[test]
fn a_get_that_waits_and_what_follows_it_take_no_more_than_16_kib() {
    alone(async || {
        let io = server();
        let taken = each(&io, async |io| {
            let mut pipe = open(io).await;
            say(&mut pipe, format!("{POLLING}X: {}\r\n\r\n", "p".repeat(9_500)).as_bytes()).await;
            let answer = hear(&mut pipe).await;
            let get = POLLING.replace("polling", &format!("polling&sid={}", sid(&answer)));
            say(&mut pipe, format!("{get}\r\n{get}X: {}", "p".repeat(9_500)).as_bytes()).await;
            pipe
        });
        let taken = taken.await;
        assert!(taken <= MOST, "{taken} bytes");
    });
}

/// What a stranger says on a WebSocket; this is the longest message that is taken.
type Say = for<'a> fn(&'a mut DuplexStream, usize) -> Pin<Box<dyn Future<Output = ()> + 'a>>;

const WAYS: &[(&str, Say)] = &[
    ("half a message", |pipe, room| Box::pin(async move { say(pipe, &frame("40", room, 1)).await })),
    ("half a message in fragments", |pipe, room| {
        Box::pin(async move {
            for n in 0..room / 64 {
                let mut piece = frame("4", 64, 0);
                piece[0] = u8::from(n == 0);
                say(pipe, &piece).await;
            }
        })
    }),
    ("questions that wait", |pipe, _| {
        Box::pin(async move {
            for n in 0..20 {
                let question = format!("40/{n},{{\"a\":\"{}\"}}", "x".repeat(400));
                say(pipe, &frame(&question, question.len(), 0)).await;
            }
        })
    }),
    ("a long question that waits", |pipe, room| {
        Box::pin(async move {
            let question = format!("40{{\"a\":\"{}\"}}", "x".repeat(room - 10));
            say(pipe, &frame(&question, question.len(), 0)).await;
            say(pipe, &frame("40", 2_000, 1)).await;
        })
    }),
    ("refusals that are not read, and half a message", |pipe, room| {
        Box::pin(async move {
            // Each waits with what a packet takes beside its text.
            let refusals = (room / 300).min(25);
            for _ in 0..refusals {
                say(pipe, &frame("40/nowhere,", 11, 0)).await;
            }
            say(pipe, &frame("40", room - refusals * 150, 1)).await;
        })
    }),
];

#[test]
fn a_session_of_a_stranger_takes_no_more_than_16_kib() {
    alone(async || {
        let io = server();
        let mut wrong = Vec::new();
        for header in [0, 4_000, 9_500] {
            let room = room(&io, header).await;
            for (name, say) in WAYS {
                let taken = each(&io, async |io| {
                    let mut pipe = websocket(io, header).await;
                    say(&mut pipe, room).await;
                    pipe
                });
                let taken = taken.await;
                if taken > MOST {
                    wrong.push(format!("{name}: {taken} bytes"));
                }
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
        assert_eq!(io.metrics().sessions, 0);
    });
}
