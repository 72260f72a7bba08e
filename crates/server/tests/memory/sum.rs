//! The sum of `docs/limits.md`: what one hostile client makes the server hold with the defaults, when it does
//! everything wrong at once.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::Frame;
use sockeye::{Queued, Server, ServerBuilder, Socket};
use sockeye_testing::{Net, WebSocket, settle};

use crate::counting::{allocated, alone};

const MB: usize = 1_000_000;
/// `max_namespaces`.
const NAMESPACES: usize = 256;
/// As much `auth` as CONNECT of a further namespace has room for.
const AUTH: usize = 16 * 1024 - 40;

/// Packets and bytes of `outbox`.
const OUTBOX: (usize, usize) = (262_144, 16 << 20);

/// What the application does with what the client says.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Handlers {
    /// They ask the client, which does not answer.
    Ask,
    /// They wait for something else.
    Stick,
}

fn server(builder: ServerBuilder, handlers: Handlers) -> Server {
    let io = builder.build().expect("the options agree");
    let work = async move |socket: Socket, (text, parts): (String, Vec<Bytes>)| {
        if handlers == Handlers::Ask {
            drop(socket.emit_with_ack::<_, ()>("asked", ()).timeout(Duration::MAX).await);
        } else {
            std::future::pending::<()>().await;
        }
        drop((text, parts));
    };
    io.of_pattern("/n{number}").expect("a pattern").on("work", work);
    io.on("work", work);
    io
}

/// CONNECT of a namespace, with much to be remembered.
fn connect(number: usize) -> String {
    format!("40/n{number},{{\"pad\":\"{}\"}}", "x".repeat(AUTH))
}

/// The head of an event of `bytes` with so many attachments.
fn event(bytes: usize, attachments: usize) -> String {
    let placeholders: Vec<_> = (0..attachments).map(|n| format!("{{\"_placeholder\":true,\"num\":{n}}}")).collect();
    let kind = if attachments == 0 { "42".to_owned() } else { format!("45{attachments}-") };
    let (head, tail) = (format!("{kind}[\"work\",\""), format!("\",[{}]]", placeholders.join(",")));
    format!("{head}{}{tail}", "x".repeat(bytes - head.len() - tail.len()))
}

/// The beginning of a frame of one megabyte, of which the last byte is missing.
async fn unfinished(client: &mut WebSocket, first: u8) {
    let length = (MB as u64).to_be_bytes();
    client.send_bytes(&[&[first, 0xff][..], &length, &[0; 4], &vec![b'4'; MB - 1]].concat()).await;
}

/// In all namespaces, with what it said when it joined them.
async fn joined(net: &Net) -> (WebSocket, String) {
    let (mut client, id) = net.join().await;
    for number in 1..NAMESPACES {
        client.send(&connect(number)).await;
        client.expect(&format!("40/n{number},{{\"sid\":\"…\"}}")).await;
    }
    (client, id)
}

/// Fills what handlers leave undone: an event at which one is, events that wait for it up to their bound, and a packet
/// whose last attachment is not complete.
async fn overwork(client: &mut WebSocket, most: usize) {
    client.send(&event(MB, 10)).await;
    for _ in 0..10 {
        client.send_binary(&vec![7; MB]).await;
    }
    for _ in 0..most / MB {
        client.send(&event(MB, 0)).await;
    }
    client.send(&event(MB, 10)).await;
    for _ in 0..9 {
        client.send_binary(&vec![7; MB]).await;
    }
    unfinished(client, 0x82).await;
}

/// What one client makes the server hold.
async fn held(handlers: Handlers, most: usize, is_sent_to: bool) -> usize {
    let io = server(Server::builder(), handlers);
    let net = Net::new(&io);
    // Tables grow with the first client.
    drop(joined(&net).await);
    net.assert_clean().await;
    let before = allocated();
    let (mut client, id) = joined(&net).await;
    overwork(&mut client, most).await;
    if is_sent_to {
        let socket = io.get(&id).expect("it has joined");
        // Short ones take the most: beside each there is its place in the queue.
        let room = |queued: Queued| queued.packets < OUTBOX.0 - 1 && queued.bytes < OUTBOX.1 - 200;
        while room(socket.queued()) {
            socket.emit("e", ()).expect("there is room");
        }
    }
    settle().await;
    let held = allocated() - before;
    let metrics = io.metrics();
    assert_eq!((metrics.sessions, metrics.limits.total()), (1, 0), "within all bounds");
    drop(client);
    held
}

/// All of a figure or less, and not less than half of it.
fn agrees(held: usize, figure: usize) {
    eprintln!("{held} of {figure} MB");
    assert!((figure * MB / 2..=figure * MB).contains(&held), "{held} bytes, by the page {figure} MB");
}

#[test]
fn a_client_that_is_asked_and_sent_to_takes_65_mb() {
    alone(async || agrees(held(Handlers::Ask, 16 << 20, true).await, 65));
}

#[test]
fn a_client_that_is_asked_nothing_takes_55_mb() {
    alone(async || agrees(held(Handlers::Stick, 4 << 20, true).await, 55));
}

#[test]
fn a_client_that_is_asked_nothing_and_not_sent_to_takes_32_mb() {
    alone(async || agrees(held(Handlers::Stick, 4 << 20, false).await, 32));
}

/// Nothing more is read when handlers of two are at large events: what they have in hand was not counted before.
#[test]
fn handlers_of_many_namespaces_had_11_mb_in_hand_each() {
    alone(async || {
        let io = server(Server::builder(), Handlers::Stick);
        let net = Net::new(&io);
        let (mut client, _) = net.join().await;
        for number in 1..=5 {
            client.send(&format!("40/n{number}")).await;
            client.expect(&format!("40/n{number},{{\"sid\":\"…\"}}")).await;
        }
        let before = allocated();
        for number in 1..=5 {
            client.send(&event(MB - 10, 10).replace("[\"work", &format!("/n{number},[\"work"))).await;
            for _ in 0..10 {
                client.send_binary(&vec![7; MB - 10_000]).await;
            }
        }
        settle().await;
        agrees(allocated() - before, 2 * 11);
        drop(client);
    });
}

/// A body of one megabyte whose last byte does not come.
struct Unfinished(usize);

impl http_body::Body for Unfinished {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<std::io::Result<Frame<Bytes>>>> {
        let piece = self.0.min(16 * 1024);
        if piece == 0 {
            return Poll::Pending;
        }
        self.0 -= piece;
        Poll::Ready(Some(Ok(Frame::data(vec![b'4'; piece].into()))))
    }
}

/// A message and a body that do not end, before an upgrade is over, are all there is beside what was said to join.
#[test]
fn without_attachments_and_with_handlers_that_keep_up_it_takes_7_mb() {
    alone(async || {
        let io = server(Server::builder().max_attachments(0), Handlers::Stick);
        let net = Net::new(&io);
        drop(joined(&net).await);
        net.assert_clean().await;
        let before = allocated();
        let polling = net.polling().await;
        polling.join().await;
        for number in 1..NAMESPACES {
            polling.send(&connect(number)).await;
            polling.expect(&format!("40/n{number},{{\"sid\":\"…\"}}")).await;
        }
        let mut stream = polling.upgrade().await;
        stream.send("2probe").await;
        stream.expect("3probe").await;
        unfinished(&mut stream, 0x81).await;
        let request = http::Request::builder().method("POST").uri(polling.target());
        let post = net.send(request.body(Unfinished(MB - 1)).expect("a request"));
        settle().await;
        let held = allocated() - before;
        assert_eq!((io.metrics().sessions, io.metrics().limits.total()), (1, 0), "within all bounds");
        drop((post, stream));
        agrees(held, 7);
    });
}

/// Long messages grew by doubling when they were encoded, and waited with twice the room they needed.
#[test]
fn long_messages_that_wait_keep_no_room_for_more() {
    alone(async || {
        let io = Server::new();
        let net = Net::new(&io);
        let (client, id) = net.join().await;
        let socket = io.get(&id).expect("it has joined");
        let before = allocated();
        for _ in 0..16 {
            socket.emit("much", "x".repeat(MB)).expect("there is room");
        }
        settle().await;
        let held = allocated() - before;
        assert!((15 * MB..17 * MB).contains(&held), "{held}");
        drop(client);
    });
}
