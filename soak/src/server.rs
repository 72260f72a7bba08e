//! The server that is put to the test, and what it checks by itself: what it was told, in order and once.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use bytes::Bytes;
use serde::Deserialize;
use sockeye::{AckError, BoxError, EmitError, Recovery, Refusal, SelfSigned, Server, Socket, Transport};
use tokio::io::{AsyncBufReadExt, BufReader, stdin};
use tokio::net::{TcpListener, UdpSocket};

use crate::faults::Faults;
use crate::memory;
use crate::profile::Profile;
use crate::state::{self, State};

/// How long a client has for an answer: less than any of them is silent.
const ANSWER: Duration = Duration::from_secs(2);
/// What a client may let wait before it is a slow consumer.
const OUTBOX: (usize, usize) = (256 * 1024, 2_000);
/// How long clients may be away and come back to what they missed.
const AWAY: Duration = Duration::from_secs(3);
const GRACE: Duration = Duration::from_secs(5);

/// Serves until there are no more orders. Each line of standard input is one: `state`, or `close`.
pub(crate) async fn run(profile: Profile, rooms: usize, recovery: bool) -> Result<(), BoxError> {
    let mut builder = Server::builder();
    if recovery {
        builder = builder.recovery(Recovery::default().window(AWAY));
    }
    let io = builder
        .allow_eio3(true)
        .transports(&[Transport::Polling, Transport::Websocket, Transport::Webtransport])
        .ping_interval(profile.ping_interval)
        .ping_timeout(profile.ping_timeout)
        .connect_timeout(profile.patience)
        .upgrade_timeout(profile.patience)
        .outbox(OUTBOX.0, OUTBOX.1)
        .build()?;
    let book = Arc::new(Book { rooms: (0..rooms).map(|_| Mutex::default()).collect(), ..Book::default() });
    listen(&io, &book);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let secret = TcpListener::bind("127.0.0.1:0").await?;
    let (socket, certificate) = (UdpSocket::bind("127.0.0.1:0").await?, SelfSigned::new(["127.0.0.1"])?);
    let addresses = [listener.local_addr()?, secret.local_addr()?, socket.local_addr()?].map(|at| at.to_string());
    println!("{} {}", addresses.join(" "), STANDARD.encode(certificate.hash()));
    let (served, veiled, visited, obeyed) = tokio::join!(
        io.serve(listener),
        io.serve_tls(secret, certificate.tls()),
        io.serve_webtransport(socket, certificate.tls()),
        obey(&io, &book)
    );
    served?;
    veiled?;
    visited?;
    obeyed
}

async fn obey(io: &Server, book: &Book) -> Result<(), BoxError> {
    let mut lines = BufReader::new(stdin()).lines();
    while let Some(order) = lines.next_line().await? {
        match order.as_str() {
            "state" => println!("{}", state(io, book)?),
            "close" => break,
            unknown => return Err(format!("there is no order {unknown:?}").into()),
        }
    }
    io.close(GRACE).await;
    println!("{}", state(io, book)?);
    Ok(())
}

fn state(io: &Server, book: &Book) -> Result<serde_json::Value, BoxError> {
    let metrics = io.metrics();
    let held = State {
        sessions: metrics.sessions,
        sockets: metrics.sockets,
        tasks: metrics.tasks,
        acks: metrics.acks,
        kept: metrics.recovery_away + metrics.recovery_events,
        rooms: io.of("/").rooms().len(),
        connected: [0, 1].map(|group| book.connected[group].load(Ordering::SeqCst)),
        spawned: tokio::runtime::Handle::current().metrics().num_alive_tasks(),
        descriptors: state::descriptors()?,
        heap: memory::allocated(),
        resident: state::resident()?,
    };
    let mut state = held.to_json();
    state["faults"] = book.faults.to_json();
    state["seen"] = serde_json::json!({
        "sessions": metrics.sessions_opened, "upgrades": metrics.upgrades, "upgrades failed": metrics.upgrades_failed,
        "received": metrics.messages_received, "sent": metrics.messages_sent,
        "slow consumers": metrics.slow_consumers, "protocol errors": metrics.protocol_errors,
        "handler errors": metrics.handler_errors, "late answers": metrics.acks_unknown,
        "recovered": book.recovered.load(Ordering::Relaxed),
        "asked": book.asked.load(Ordering::Relaxed), "answered": book.answered.load(Ordering::Relaxed),
        "ended": metrics.sessions_closed.iter().filter(|(_, n)| *n > 0).collect::<HashMap<_, _>>(),
    });
    Ok(state)
}

/// What the server knows about its clients.
#[derive(Default)]
struct Book {
    faults: Faults,
    /// By client: its life, and how many events of it were handled.
    ledger: Mutex<HashMap<u64, (u64, u64)>>,
    /// The number of the last event in each room. Held while an event is sent, so that numbers are the order of sending.
    rooms: Vec<Mutex<u64>>,
    /// Sockets in each group of clients, as `on_connect` and `on_disconnect` count them.
    connected: [AtomicU64; 2],
    recovered: AtomicU64,
    asked: AtomicU64,
    answered: AtomicU64,
}

/// What a client says of itself in CONNECT.
#[derive(Debug, Clone, Copy, Deserialize)]
struct Who {
    client: u64,
    group: usize,
    /// Its lives are counted; so are those that end before the server knows of them.
    life: u64,
    /// How many events were acknowledged to it, and in which life.
    acked: (u64, u64),
}

impl Book {
    /// Opens the page of a new life, and looks whether anything is missing that was acknowledged in the last one.
    fn begin(&self, who: Who) {
        let mut ledger = self.ledger();
        let (life, handled) = ledger.entry(who.client).or_default();
        let (acked_life, acked) = who.acked;
        if *life < acked_life || (*life == acked_life && *handled < acked) {
            self.faults.add(format!("life {life}: {handled} events handled, then came {who:?}"));
        }
        // A CONNECT that was left behind can arrive after the next one.
        if who.life > *life {
            (*life, *handled) = (who.life, 0);
        }
    }

    /// Event `number` of a client; they are counted from 0.
    fn put(&self, who: Who, number: u64) {
        let mut ledger = self.ledger();
        let Some((life, handled)) = ledger.get_mut(&who.client) else { return };
        // An old life may have events under way while the new one begins.
        if *life == who.life {
            if *handled != number {
                self.faults.add(format!("event {number} instead of {handled} from {who:?}"));
            }
            *handled = number + 1;
        }
    }

    fn ledger(&self) -> MutexGuard<'_, HashMap<u64, (u64, u64)>> {
        self.ledger.lock().expect("nothing panics under this lock")
    }

    /// Does something with a room while no event is sent to it: the number of the last one.
    fn with_room(&self, room: usize, act: impl FnOnce(&mut u64)) -> u64 {
        let mut number = self.rooms[room % self.rooms.len()].lock().expect("nothing panics under this lock");
        act(&mut number);
        *number
    }

    /// An answer to the question for `number`.
    fn settle(&self, number: u64, answer: Result<u64, AckError>) {
        match answer {
            Ok(value) if value == number.wrapping_mul(2) => _ = self.answered.fetch_add(1, Ordering::Relaxed),
            Ok(value) => self.faults.add(format!("asked for twice {number} and told {value}")),
            Err(AckError::Timeout | AckError::Disconnected | AckError::Emit(EmitError::Closed)) => {}
            Err(error) => self.faults.add(format!("asked for twice {number}: {error}")),
        }
    }
}

fn listen(io: &Server, book: &Arc<Book>) {
    io.authorize(async |peer, who: Option<Who>| {
        let who = who.or_else(|| asked_for(&peer.query("who")?));
        peer.extensions().insert(who.ok_or_else(|| Refusal::new("it does not say who it is"))?);
        Ok::<(), Refusal>(())
    });
    let at = Arc::clone(book);
    io.on_connect(async move |socket| {
        at.begin(who(&socket));
        at.recovered.fetch_add(u64::from(socket.recovered()), Ordering::Relaxed);
        at.connected[who(&socket).group].fetch_add(1, Ordering::SeqCst);
    });
    let at = Arc::clone(book);
    io.on_disconnect(async move |socket, _| {
        at.connected[who(&socket).group].fetch_sub(1, Ordering::SeqCst);
    });
    let at = Arc::clone(book);
    io.on_error(move |socket, error| {
        // An answer for a socket that has left meanwhile cannot be sent.
        if socket.is_connected() {
            at.faults.add(format!("{:?}: {error}", who(socket)));
        }
    });
    let at = Arc::clone(book);
    io.on_with_ack("put", async move |socket, number: u64| {
        at.put(who(&socket), number);
        number
    });
    io.on_with_ack("blob", async |_, blob: Bytes| blob);
    io.on(
        "drop me",
        async |socket, whole: bool| {
            if whole { socket.disconnect_and_close() } else { socket.disconnect() }
        },
    );
    io.of("/side").on_with_ack("echo", async |_, number: u64| number);
    listen_rooms(io, book);
    listen_questions(io, book);
}

fn listen_rooms(io: &Server, book: &Arc<Book>) {
    let at = Arc::clone(book);
    io.on_with_ack("join", async move |socket, room: usize| at.with_room(room, |_| socket.join(name(room))));
    let at = Arc::clone(book);
    io.on_with_ack("leave", async move |socket, room: usize| at.with_room(room, |_| socket.leave(name(room))));
    let (at, all) = (Arc::clone(book), io.clone());
    io.on("say", async move |_, (room, text): (usize, String)| {
        at.with_room(room, |number| {
            *number += 1;
            if let Err(error) = all.to(name(room)).emit("said", (room, *number, text)) {
                at.faults.add(format!("an event for room {room}: {error}"));
            }
        });
    });
}

fn listen_questions(io: &Server, book: &Arc<Book>) {
    let at = Arc::clone(book);
    io.on("ask me", async move |socket: Socket, number: u64| {
        at.asked.fetch_add(1, Ordering::Relaxed);
        at.settle(number, socket.emit_with_ack("ask", number).timeout(ANSWER).await);
    });
    let (at, all) = (Arc::clone(book), io.clone());
    io.on("ask room", async move |_, (room, number): (usize, u64)| {
        let mut replies = all.to(name(room)).timeout(ANSWER).emit_with_ack::<_, u64>("ask", number);
        while let Some((_, answer)) = replies.next().await {
            at.asked.fetch_add(1, Ordering::Relaxed);
            at.settle(number, answer);
        }
    });
}

/// What a client of revision 3 says of itself in its query.
fn asked_for(who: &str) -> Option<Who> {
    serde_json::from_slice(&URL_SAFE.decode(who).ok()?).ok()
}

/// What the client of a socket said of itself; it is not let in without.
fn who(socket: &Socket) -> Who {
    *socket.extensions().get::<Who>().expect("`authorize` has put it there")
}

fn name(room: usize) -> String {
    format!("room {room}")
}
