//! A deadline in every state, as in `tests/deadlines.rs`: the client does something, or the server does, and then
//! nothing comes any more but what QUIC says by itself.

use std::pin::Pin;
use std::time::Duration;

use sockeye::{Server, Socket};
use wtransport::quinn;

use crate::clock::{Still, advance, moving, settle};
use crate::peer::{Peer, Session, Site, builder};

/// What a client has of its connection.
enum Client {
    Peer(Peer),
    /// Nothing of HTTP/3.
    Quic(quinn::Connection),
    Session(Session),
}

impl Client {
    fn is_closed(&self) -> bool {
        match self {
            Self::Peer(peer) => peer.session.connection.quic_connection().close_reason(),
            Self::Quic(connection) => connection.close_reason(),
            Self::Session(session) => session.connection.quic_connection().close_reason(),
        }
        .is_some()
    }
}

type Entered<'a> = Pin<Box<dyn Future<Output = Client> + 'a>>;

/// A state, after how many seconds of silence nothing is left of it, and the way into it.
struct State(&'static str, u64, for<'a> fn(&'a Site) -> Entered<'a>);

/// `ping_interval` and `ping_timeout`; as long may a client be in no namespace. Whoever is told why has half a second more
/// to read it.
const SILENCE: u64 = 45;

const STATES: &[State] = &[
    State("nothing asked", 10, |site| Box::pin(async { Client::Quic(site.quic().await) })),
    State("no stream", 10, |site| Box::pin(async { Client::Session(site.session().await) })),
    State("nothing said", 10, |site| Box::pin(async { Client::Peer(site.stream().await) })),
    State("half the first packet", 10, |site| {
        Box::pin(async {
            let mut peer = site.stream().await;
            peer.write(b"\x0f0{\"sid\"").await;
            Client::Peer(peer)
        })
    }),
    State("before CONNECT", SILENCE + 1, |site| Box::pin(async { Client::Peer(site.peer().await) })),
    State("in a namespace", SILENCE, |site| Box::pin(after(site, b""))),
    State("half the length of a packet", SILENCE, |site| Box::pin(after(site, b"\x7e\x00"))),
    State("half a packet of Engine.IO", SILENCE, |site| Box::pin(after(site, b"\x0a42[\"x"))),
    State("half a packet of Socket.IO", SILENCE, |site| {
        Box::pin(after(site, b"\x27451-[\"x\",{\"_placeholder\":true,\"num\":0}]"))
    }),
    State("waits for `authorize`, which does not decide", SILENCE + 1, |site| {
        Box::pin(async {
            let mut peer = site.peer().await;
            peer.say("40/undecided,").await;
            Client::Peer(peer)
        })
    }),
    State("an answer of the client is awaited", SILENCE, |site| Box::pin(after(site, b"\x0c42[\"ask me\"]"))),
    State("an upgrade, nothing probed", SILENCE, |site| Box::pin(upgrading(site, &[]))),
    State("an upgrade, probed", SILENCE, |site| Box::pin(upgrading(site, &["2probe"]))),
    State("an upgrade, done", SILENCE, |site| Box::pin(upgrading(site, &["2probe", "5"]))),
    State("said farewell by CLOSE", 1, |site| Box::pin(after(site, b"\x011"))),
    State("broke the protocol", 1, |site| Box::pin(after(site, b"\x019"))),
    State("was disconnected", 1, |site| {
        Box::pin(async {
            let client = after(site, b"").await;
            site.io.local().disconnect_and_close().expect("alone");
            client
        })
    }),
    State("was disconnected, and reads nothing", 10 + 5 + 1, |site| {
        Box::pin(async {
            let client = after(site, b"").await;
            jam(&site.io).await;
            site.io.local().disconnect_and_close().expect("alone");
            client
        })
    }),
    State("was disconnected, and does not read the last", 10 + 5 + 1, |site| {
        Box::pin(async {
            let client = after(site, b"").await;
            site.io.emit("long", "x".repeat(10_000)).expect("plain");
            settle().await;
            site.io.local().disconnect_and_close().expect("alone");
            client
        })
    }),
    State("reads nothing", SILENCE, |site| {
        Box::pin(async {
            let client = after(site, b"").await;
            jam(&site.io).await;
            client
        })
    }),
];

/// In a namespace, and having sent these bytes.
async fn after(site: &Site, bytes: &[u8]) -> Client {
    let mut peer = site.socket().await;
    peer.write(bytes).await;
    Client::Peer(peer)
}

async fn upgrading(site: &Site, texts: &[&str]) -> Client {
    let (sid, _) = site.polling().await;
    let query = format!("transport=polling&sid={sid}");
    site.http("POST", &query, "40").await;
    site.http("GET", &query, "").await;
    let mut peer = site.stream().await;
    peer.say(&format!("0{{\"sid\":\"{sid}\"}}")).await;
    for text in texts {
        peer.say(text).await;
        settle().await;
    }
    Client::Peer(peer)
}

/// More than QUIC takes.
async fn jam(io: &Server) {
    io.emit("long", "x".repeat(1_000_000)).expect("plain");
    settle().await;
}

fn server() -> Server {
    let io = builder().build().expect("the options agree");
    io.on("ask me", async |socket: Socket, (): ()| {
        drop(socket.emit_with_ack::<_, ()>("well", ()).await);
    });
    io.of("/undecided").authorize(async |_, (): ()| std::future::pending().await);
    io
}

#[tokio::test(start_paused = true)]
async fn whatever_the_state_silence_ends_it_in_time() {
    let mut wrong = Vec::new();
    for State(name, seconds, enter) in STATES {
        let _still = Still::new();
        let site = Site::new(server()).await.with_window(4_096);
        let began = tokio::time::Instant::now();
        let client = moving(enter(&site)).await;
        // While the system delivers, time may pass; what counts may have begun before that.
        let entered = began.elapsed().as_millis().div_ceil(1_000);
        let mut silent = 0;
        while !(client.is_closed() && is_empty(&site.io)) && silent < 100 {
            advance(Duration::from_secs(1)).await;
            silent += 1;
        }
        // What the system delivers late begins its time late.
        if u128::from(silent) + entered < u128::from(*seconds) || silent > seconds + 1 {
            wrong.push(format!("{name}: {silent} s, not {seconds} (entered in {entered})"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn is_empty(io: &Server) -> bool {
    let metrics = io.metrics();
    (metrics.sessions, metrics.sockets, metrics.tasks, metrics.acks) == (0, 0, 0, 0)
}

/// Its answer to the heartbeat stands behind the packet.
#[tokio::test(start_paused = true)]
async fn a_slow_packet_is_not_taken_for_death() {
    let _still = Still::new();
    let io = server();
    io.on_with_ack("length", async |_: Socket, text: String| text.len());
    let site = Site::new(io).await;
    let mut peer = moving(site.socket()).await;
    let packet = format!("420[\"length\",\"{}\"]", "x".repeat(100));
    let bytes = [&[u8::try_from(packet.len()).expect("short")], packet.as_bytes()].concat();
    for byte in &bytes {
        advance(Duration::from_secs(2)).await;
        moving(peer.write(&[*byte])).await;
    }
    assert!(bytes.len() as u64 * 2 > 4 * SILENCE);
    assert_eq!(moving(peer.hear()).await, "2");
    assert_eq!(moving(peer.hear()).await, "430[100]");
    moving(peer.say("3")).await;
    advance(Duration::from_secs(24)).await;
    assert_eq!(site.io.metrics().sessions, 1, "the heartbeat is answered");
    advance(Duration::from_secs(SILENCE)).await;
    assert!(is_empty(&site.io), "and the next is not");
}
