//! Every moment of a session of WebTransport, and every way in which it can end.

use std::pin::Pin;
use std::time::Duration;

use tokio::task::yield_now;
use wtransport::{VarInt, quinn};

use crate::clock::{Still, moving, settle};
use crate::peer::{Peer, Session, Site, builder};
use crate::scene::{Scene, pass};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The connection is closed, as by a browser whose page was.
    Close,
    /// The client says no more, and still listens.
    Finish,
    /// It takes back what it said.
    Reset,
    /// It listens no more.
    Stop,
}

const ENDS: [End; 4] = [End::Close, End::Finish, End::Reset, End::Stop];

/// What a client has of its connection.
enum Client {
    Peer(Peer),
    /// Nothing of HTTP/3.
    Quic(quinn::Connection),
    Session(Session),
}

impl Client {
    /// Ends as said; whoever has no stream can only close.
    async fn end(&mut self, end: End) {
        match (self, end) {
            (Self::Peer(peer), End::Close) => peer.leave(),
            (Self::Peer(peer), End::Finish) => drop(peer.send.finish().await),
            (Self::Peer(peer), End::Reset) => drop(peer.send.reset(VarInt::from_u32(7))),
            (Self::Peer(peer), End::Stop) => drop(peer.receive.quic_stream_mut().stop(7_u32.into())),
            (Self::Quic(connection), _) => connection.close(7_u32.into(), b""),
            (Self::Session(session), _) => session.connection.close(VarInt::from_u32(7), b""),
        }
    }
}

type Entered<'a> = Pin<Box<dyn Future<Output = Client> + 'a>>;

/// A moment, how many namespaces the client has been in, what they are told after each of the ends, and the way to it.
struct Moment(&'static str, usize, [&'static str; 4], for<'a> fn(&'a Site) -> Entered<'a>);

const NONE: [&str; 4] = [""; 4];
/// That nobody listens is found out by saying something: a ping.
const STREAM: [&str; 4] = ["transport close", "transport close", "transport error", "transport error"];
const POLLS: [&str; 4] = ["ping timeout"; 4];

const MOMENTS: &[Moment] = &[
    Moment("a connection", 0, NONE, |site| Box::pin(async { Client::Quic(site.quic().await) })),
    Moment("a session", 0, NONE, |site| Box::pin(async { Client::Session(site.session().await) })),
    Moment("a stream", 0, NONE, |site| Box::pin(async { Client::Peer(site.stream().await) })),
    Moment("half a handshake", 0, NONE, |site| {
        Box::pin(async {
            let mut peer = site.stream().await;
            peer.write(b"\x0f0{").await;
            Client::Peer(peer)
        })
    }),
    Moment("a handshake", 0, NONE, |site| Box::pin(async { Client::Peer(site.peer().await) })),
    Moment("`authorize` decides", 0, NONE, |site| {
        Box::pin(async {
            let mut peer = site.peer().await;
            peer.say("40/undecided,").await;
            Client::Peer(peer)
        })
    }),
    Moment("`on_connect` runs", 2, STREAM, |site| Box::pin(async { Client::Peer(joining(site).await) })),
    Moment("idle", 2, STREAM, |site| Box::pin(after(site, b""))),
    Moment("a handler runs", 2, STREAM, |site| Box::pin(after(site, b"\x0a42[\"wait\"]"))),
    Moment("`on_disconnect` runs", 2, ["client namespace disconnect"; 4], |site| {
        Box::pin(after(site, b"\x0241\x0841/chat,"))
    }),
    Moment("half the length of a packet", 2, STREAM, |site| Box::pin(after(site, b"\x7e\x00"))),
    Moment("half a packet of Engine.IO", 2, STREAM, |site| Box::pin(after(site, b"\x0a42[\"x"))),
    Moment("half a packet of Socket.IO", 2, STREAM, |site| {
        Box::pin(after(site, b"\x27451-[\"x\",{\"_placeholder\":true,\"num\":0}]"))
    }),
    Moment("the server writes", 2, STREAM, |site| {
        Box::pin(async {
            let client = after(site, b"").await;
            site.io.emit("long", "x".repeat(1_000_000)).expect("there is room");
            settle().await;
            client
        })
    }),
    Moment("the server closes", 2, ["server namespace disconnect"; 4], |site| {
        Box::pin(async {
            let client = after(site, b"").await;
            site.io.local().disconnect_and_close().expect("alone");
            settle().await;
            client
        })
    }),
    Moment("an upgrade, nothing said", 2, POLLS, |site| Box::pin(upgrading(site, &[]))),
    Moment("an upgrade, nothing probed", 2, POLLS, |site| Box::pin(upgrading(site, &["hello"]))),
    Moment("an upgrade, probed", 2, POLLS, |site| Box::pin(upgrading(site, &["hello", "2probe"]))),
    Moment("an upgrade, done", 2, STREAM, |site| Box::pin(upgrading(site, &["hello", "2probe", "5"]))),
];

/// How long hooks take, in seconds.
const PAUSE: usize = 2;

async fn joining(site: &Site) -> Peer {
    let mut peer = site.socket().await;
    peer.say("40/chat,").await;
    assert!(peer.hear().await.starts_with("40/chat,"));
    peer
}

/// In both namespaces, and having sent these bytes.
async fn after(site: &Site, bytes: &[u8]) -> Client {
    let mut peer = joining(site).await;
    pass(PAUSE + 1).await;
    peer.write(bytes).await;
    settle().await;
    Client::Peer(peer)
}

async fn upgrading(site: &Site, texts: &[&str]) -> Client {
    let (sid, _) = site.polling().await;
    let query = format!("transport=polling&sid={sid}");
    site.http("POST", &query, "40\u{1e}40/chat,").await;
    site.http("GET", &query, "").await;
    let mut peer = site.stream().await;
    for text in texts {
        let hello = format!("0{{\"sid\":\"{sid}\"}}");
        peer.say(if *text == "hello" { &hello } else { text }).await;
        settle().await;
    }
    Client::Peer(peer)
}

/// What was wrong with the reasons.
async fn play(Moment(name, places, reasons, enter): &Moment, end: End) -> Option<String> {
    let what = format!("{name}, {end:?}");
    let scene = Scene::new(builder(), Duration::from_secs(PAUSE as u64));
    scene.io.of("/undecided").authorize(async |_, (): ()| std::future::pending().await);
    scene.io.on("wait", async |_, (): ()| tokio::time::sleep(Duration::from_secs(PAUSE as u64)).await);
    let site = Site::new(scene.io.clone()).await.with_window(4_096);
    let mut client = enter(&site).await;
    client.end(end).await;
    for _ in 0..5_000 {
        yield_now().await;
    }
    let soon = scene.gone();
    pass(60).await;
    let reason = reasons[end as usize];
    let expected: Vec<_> = ["/", "/chat"].iter().take(*places).map(|path| format!("{path} {reason}")).collect();
    let told = scene.reasons();
    let is_late = reason != "ping timeout" && end != End::Stop && soon != *places;
    drop(client);
    scene.is_over(&what).await;
    (told != expected || is_late).then(|| format!("{what}: {told:?}, {soon} at once, not {expected:?}"))
}

#[tokio::test(start_paused = true)]
async fn whenever_and_however_a_stream_ends_each_namespace_is_left_once() {
    let _still = Still::new();
    let mut wrong = Vec::new();
    for moment in MOMENTS {
        for end in ENDS {
            wrong.extend(moving(play(moment, end)).await);
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
