//! The limits by WebTransport: over loopback, while the clock stands.

use std::time::Duration;

use sockeye::{AckError, DisconnectReason, EmitError, ErrorCode, Limit, Server, ServerBuilder, Socket, WhenFull};
use sockeye_testing::Net;
use tokio::task::yield_now;
use tokio::time::Instant;

use crate::client::{Piece, Transport};
use crate::clock::{Still, advance, moving, settle};
use crate::ending::{self, CASES, Case, Fate, Stage};
use crate::gate::{self, Relief};
use crate::peer::{EXCESSIVE_LOAD, Peer, REQUEST_REJECTED, Site, builder, soon};

/// How a client comes to WebTransport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// From the beginning.
    Direct,
    /// Having begun with polling.
    Upgraded,
}

const WAYS: [Way; 2] = [Way::Direct, Way::Upgraded];

/// More than QUIC takes from the server before the client reads: what follows waits in the outbox.
const JAM: usize = 1_000_000;
/// What the client's side of QUIC takes before the client reads.
const WINDOW: u32 = 4_096;

struct Client {
    site: Site,
    peer: Peer,
    /// When the session began.
    begun: Instant,
    _still: Still,
}

impl Client {
    async fn open(io: &Server, way: Way) -> Self {
        let still = Still::new();
        let site = Site::new(io.clone()).await.with_window(WINDOW);
        let (peer, begun) =
            moving(async { if way == Way::Direct { direct(&site).await } else { upgraded(&site).await } }).await;
        Self { site, peer, begun, _still: still }
    }

    /// Joins the main namespace.
    async fn join(&mut self) -> Socket {
        moving(self.peer.say("40")).await;
        let joined = moving(self.peer.hear()).await;
        let id = joined.strip_prefix("40{\"sid\":\"").and_then(|rest| rest.strip_suffix("\"}")).expect("it is let in");
        self.site.io.get(id).expect("it has joined")
    }

    async fn send(&mut self, piece: Piece) {
        match piece {
            Piece::Wait(time) => return advance(time).await,
            Piece::Text(text) => self.write(0, text.as_bytes()).await,
            Piece::Binary(length) => self.write(0x80, &vec![0; length]).await,
            Piece::Frames(_) => panic!("these are frames of WebSocket"),
        }
        settle().await;
    }

    /// Writes a packet, unless the server has closed.
    async fn write(&mut self, is_binary: u8, packet: &[u8]) {
        let header = match packet.len() {
            short @ ..126 => vec![is_binary | u8::try_from(short).unwrap()],
            middle @ ..65_536 => [&[is_binary | 0x7e][..], &u16::try_from(middle).unwrap().to_be_bytes()].concat(),
            long => [&[is_binary | 0x7f][..], &u64::try_from(long).unwrap().to_be_bytes()].concat(),
        };
        drop(moving(self.peer.send.write_all(&[&header, packet].concat())).await);
    }

    /// By which code the server closes, and what it says.
    async fn closed(&self) -> (u64, String) {
        moving(self.peer.closed()).await
    }

    fn is_closed(&self) -> bool {
        self.peer.session.connection.quic_connection().close_reason().is_some()
    }

    /// Leaves, if the server has not closed; nothing is left then.
    async fn leave(self) {
        self.peer.leave();
        moving(self.site.emptied()).await;
        Net::new(&self.site.io).assert_clean().await;
    }
}

async fn direct(site: &Site) -> (Peer, Instant) {
    let (mut peer, begun) = (site.stream().await, Instant::now());
    peer.say("0").await;
    let open = peer.hear().await;
    assert!(open.starts_with("0{\"sid\":\""), "{open}");
    (peer, begun)
}

async fn upgraded(site: &Site) -> (Peer, Instant) {
    let (begun, (sid, _)) = (Instant::now(), site.polling().await);
    let mut peer = site.stream().await;
    peer.say(&format!("0{{\"sid\":\"{sid}\"}}")).await;
    peer.say("2probe").await;
    assert_eq!(peer.hear().await, "3probe");
    peer.say("5").await;
    let upgraded = || site.io.metrics().upgrades == 1;
    until(upgraded).await;
    (peer, begun)
}

/// Waits until it is so.
async fn until(is_so: impl Fn() -> bool) {
    soon(moving(async {
        while !is_so() {
            yield_now().await;
        }
    }))
    .await;
}

async fn joined(builder: ServerBuilder, way: Way) -> (Server, Client, Socket) {
    let io = builder.build().expect("the options agree");
    let mut client = Client::open(&io, way).await;
    let socket = client.join().await;
    (io, client, socket)
}

#[tokio::test(start_paused = true)]
async fn whoever_goes_beyond_a_limit_is_told_and_counted() {
    for case in CASES {
        for way in WAYS {
            for n in [case.most - 1, case.most, case.most + 1] {
                play(case, way, n).await;
            }
        }
    }
}

async fn play(case: &Case, way: Way, n: usize) {
    let what = format!("{n} of {:?} as {:?}, {way:?}", case.limit, case.stage);
    let mut pieces = (case.pieces)(n, Transport::Webtransport(way));
    if pieces.iter().any(|piece| matches!(piece, Piece::Frames(_))) {
        return;
    }
    let (io, reasons) = ending::server_of((case.server)(builder()));
    let mut client = Client::open(&io, way).await;
    if case.stage == Stage::Member {
        client.join().await;
    }
    if case.limit == Limit::ConnectTime {
        // Of which some has passed.
        pieces = vec![Piece::Wait(Duration::from_millis(n as u64).saturating_sub(client.begun.elapsed()))];
    }
    for piece in pieces {
        let (is_message, before) = (piece.is_message(), io.metrics().messages_received);
        client.send(piece).await;
        if is_message {
            until(|| io.metrics().messages_received > before || client.is_closed()).await;
        }
    }
    let exceeded = n > case.most;
    if exceeded {
        assert_eq!(client.closed().await, (EXCESSIVE_LOAD, case.limit.as_str().to_owned()), "{what}");
        moving(client.site.emptied()).await;
    }
    assert_eq!(client.is_closed(), exceeded, "{what}");
    let fate = if exceeded { Fate::Ended } else { Fate::Unharmed };
    ending::assert_known(case, fate, &io, &reasons, &what);
    client.leave().await;
}

impl Piece {
    /// Of Socket.IO, and no heartbeat.
    fn is_message(&self) -> bool {
        match self {
            Self::Text(text) => text.starts_with('4'),
            other => matches!(other, Self::Binary(_)),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn who_comes_when_there_is_no_room_is_told_and_counted() {
    for case in gate::CASES {
        let (limit, io) = (case.limit, (case.server)(builder()).build().expect("the options agree"));
        let _still = Still::new();
        let site = Site::new(io.clone()).await;
        let mut peers = Vec::new();
        for _ in 0..gate::MOST {
            peers.push(moving(site.socket()).await);
        }
        assert_eq!(io.metrics().limits.total(), 0, "{limit:?}: N are allowed");
        let mut late = moving(site.stream()).await;
        moving(late.say("0")).await;
        let told = (REQUEST_REJECTED, limit.as_str().to_owned());
        assert_eq!(moving(late.closed()).await, told, "{limit:?}");
        let metrics = io.metrics();
        assert_eq!((metrics.limits.get(limit), metrics.limits.total()), (1, 1), "{limit:?}");
        assert_eq!((metrics.refusals.get(ErrorCode::Busy), metrics.sessions), (1, gate::MOST as u64), "{limit:?}");
        match case.relief {
            Relief::OneLeaves => {
                peers.remove(0).leave();
                until(|| io.metrics().sessions < gate::MOST as u64).await;
            }
            Relief::TimePasses => advance(Duration::from_secs(1)).await,
        }
        peers.push(moving(site.socket()).await);
        assert_eq!(io.metrics().limits.total(), 1, "{limit:?}: there is room again");
        peers.iter().for_each(Peer::leave);
        moving(site.emptied()).await;
    }
}

/// A CONNECT is kept as long as its socket, however long other messages may be. The other namespaces are not to blame.
#[tokio::test(start_paused = true)]
async fn a_long_connect_is_refused_and_the_other_namespaces_stay() {
    for way in WAYS {
        for (length, fits) in [(16_383, true), (16_384, true), (16_385, false)] {
            let (io, _) = ending::server_of(builder());
            let mut client = Client::open(&io, way).await;
            client.join().await;
            // The type of the Engine.IO packet is not counted here.
            client.send(Piece::Text(format!("40/room-1,{{\"pad\":\"{}\"}}", "x".repeat(length - 19)))).await;
            let answer = moving(client.peer.hear()).await;
            if fits {
                assert!(answer.starts_with("40/room-1,{\"sid\":\""), "{answer}");
            } else {
                let refusal = "44/room-1,{\"message\":\"the CONNECT of a namespace is limited to 16384 bytes\"}";
                assert_eq!(answer, refusal, "{length}, {way:?}");
            }
            let (metrics, beyond) = (io.metrics(), u64::from(!fits));
            assert_eq!((metrics.limits.get(Limit::UnconnectedPayload), metrics.limits.total()), (beyond, beyond));
            assert_eq!((metrics.sessions, metrics.sockets), (1, 2 - beyond), "{length}, {way:?}");
            client.leave().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn rooms_of_a_socket() {
    for way in WAYS {
        let (io, client, socket) = joined(builder().max_rooms(3).max_room_name(5), way).await;
        for (n, room) in ["a", "b", "c", "d"].into_iter().enumerate() {
            socket.join(room);
            // Its own room is not counted.
            assert_eq!(socket.rooms().len(), 1 + (n + 1).min(3), "{way:?}");
            assert_eq!(io.metrics().limits.get(Limit::Rooms), u64::from(n == 3), "{way:?}");
        }
        socket.leave(["a", "b", "c"]);
        for (room, count) in [("1234", 1), ("12345", 2), ("123456", 2)] {
            socket.join(room);
            assert_eq!(socket.rooms().len(), 1 + count, "{room}, {way:?}");
            assert_eq!(io.metrics().limits.get(Limit::RoomName), u64::from(room.len() > 5), "{room}, {way:?}");
        }
        assert_eq!((io.metrics().limits.total(), client.is_closed()), (2, false), "{way:?}");
        client.leave().await;
    }
}

#[tokio::test(start_paused = true)]
async fn answers_that_are_waited_for() {
    for way in WAYS {
        let (io, mut client, socket) = joined(builder().max_pending_acks(3), way).await;
        let mut waiting = Vec::new();
        for n in 1..=3 {
            waiting.push(socket.emit_with_ack::<_, ()>("q", ()).send());
            assert_eq!(moving(client.peer.hear()).await, format!("42{}[\"q\"]", n - 1), "{way:?}");
            assert_eq!((io.metrics().acks, io.metrics().limits.total()), (n, 0), "{way:?}");
        }
        let refused = socket.emit_with_ack::<_, ()>("q", ()).await;
        assert!(matches!(refused, Err(AckError::Emit(EmitError::Full))), "{way:?}: {refused:?}");
        assert_eq!((io.metrics().acks, io.metrics().limits.get(Limit::PendingAcks)), (3, 1), "{way:?}");
        // One that is answered makes room.
        client.send(Piece::Text("430[null]".into())).await;
        until(|| io.metrics().acks == 2).await;
        waiting.push(socket.emit_with_ack::<_, ()>("q", ()).send());
        until(|| io.metrics().acks == 3).await;
        assert_eq!((io.metrics().acks, io.metrics().limits.total()), (3, 1), "{way:?}");
        client.leave().await;
        drop(waiting);
    }
}

/// Fills what QUIC holds, so that what follows waits in the outbox.
async fn jam(socket: &Socket) {
    socket.emit("jam", "x".repeat(JAM)).expect("there is room");
    settle().await;
    assert_eq!(socket.queued().packets, 0);
}

#[tokio::test(start_paused = true)]
async fn packets_that_wait_for_a_client() {
    for way in WAYS {
        let options = builder().outbox(2 * JAM, 3).when_full(WhenFull::Fail);
        let (io, mut client, socket) = joined(options, way).await;
        jam(&socket).await;
        for n in 1..=3 {
            socket.emit("e", n).expect("there is room");
            assert_eq!(socket.queued().packets, n, "{way:?}");
        }
        assert!(matches!(socket.emit("e", 4), Err(EmitError::Full)), "{way:?}");
        assert_eq!((socket.queued().packets, io.metrics().dropped_full), (3, 1), "{way:?}");
        // It has lost nothing else.
        assert_eq!(moving(client.peer.hear()).await.len(), JAM + "42[\"jam\",\"\"]".len());
        for n in 1..=3 {
            assert_eq!(moving(client.peer.hear()).await, format!("42[\"e\",{n}]"), "{way:?}");
        }
        assert_eq!((socket.queued().packets, io.metrics().sessions), (0, 1), "{way:?}");
        client.leave().await;
    }
}

#[tokio::test(start_paused = true)]
async fn bytes_that_wait_for_a_client() {
    const EVENT: usize = 1_000;
    let (_, client, socket) = joined(builder(), Way::Direct).await;
    jam(&socket).await;
    socket.emit("e", "x".repeat(EVENT)).expect("there is room");
    let weight = socket.queued().bytes;
    client.leave().await;
    for way in WAYS {
        for (bound, fit) in [(3 * weight - 1, 2), (3 * weight, 3), (3 * weight + 1, 3)] {
            let (io, client, socket) = joined(builder().outbox(bound, 1_000).when_full(WhenFull::Fail), way).await;
            jam(&socket).await;
            let sent = (0..4).filter(|_| socket.emit("e", "x".repeat(EVENT)).is_ok()).count();
            assert_eq!((sent, socket.queued().bytes), (fit, fit * weight), "{bound}, {way:?}");
            assert_eq!(io.metrics().dropped_full, 4 - fit as u64, "{bound}, {way:?}");
            client.leave().await;
        }
    }
}

/// With the default policy, one packet too many ends the session, and both sides can read why.
#[tokio::test(start_paused = true)]
async fn a_slow_consumer_is_told_and_counted() {
    for way in WAYS {
        let (io, reasons) = ending::server_of(builder().outbox(2 * JAM, 3));
        let mut client = Client::open(&io, way).await;
        let socket = client.join().await;
        jam(&socket).await;
        assert_eq!((0..4).map(|n| socket.emit("e", n).is_ok()).collect::<Vec<_>>(), [true, true, true, false]);
        assert_eq!(client.closed().await, (EXCESSIVE_LOAD, "slow consumer".to_owned()), "{way:?}");
        moving(client.site.emptied()).await;
        let metrics = io.metrics();
        assert_eq!((metrics.limits.get(Limit::Outbox), metrics.limits.total()), (1, 1), "{way:?}");
        assert_eq!((metrics.slow_consumers, metrics.sockets), (1, 0), "{way:?}");
        let reasons: Vec<_> = reasons.lock().unwrap().iter().map(|last| last.reason).collect();
        assert_eq!(reasons, [DisconnectReason::SlowConsumer], "{way:?}");
        client.leave().await;
    }
}

/// All but the last byte of a packet, in two parts: the buffer of the first must become one for all of it.
async fn begin(client: &mut Client, length: u16) {
    let packet = [&[0x7e][..], &length.to_be_bytes(), &vec![b'4'; usize::from(length) - 1]].concat();
    let (first, second) = packet.split_at(packet.len() / 2 + 10);
    for part in [first, second] {
        drop(moving(client.peer.send.write_all(part)).await);
        settle().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_all_together_leave_unfinished() {
    const FREE: u16 = 16 * 1024;
    for way in WAYS {
        for (over, fits) in [(-1, true), (0, true), (1, false)] {
            let what = format!("{over}, {way:?}");
            let (io, reasons) = ending::server_of(builder().max_payload(80_000).max_unfinished(80_000));
            let (mut alice, mut bob) = (Client::open(&io, way).await, Client::open(&io, way).await);
            alice.join().await;
            bob.join().await;
            begin(&mut alice, FREE + 40_000).await;
            until(|| io.metrics().unfinished_bytes == 40_000).await;
            begin(&mut bob, (FREE + 40_000).checked_add_signed(over).unwrap()).await;
            if fits {
                until(|| io.metrics().unfinished_bytes == 80_000_u64.checked_add_signed(over.into()).unwrap()).await;
            } else {
                let words = "the server is receiving too much at once".to_owned();
                assert_eq!(bob.closed().await, (EXCESSIVE_LOAD, words), "{what}");
                let reasons: Vec<_> = reasons.lock().unwrap().iter().map(|last| last.reason).collect();
                assert_eq!(reasons, [DisconnectReason::LimitExceeded(Limit::Unfinished)]);
            }
            assert_eq!(io.metrics().limits.get(Limit::Unfinished), u64::from(!fits), "{what}");
            bob.peer.leave();
            until(|| io.metrics().sessions == 1).await;
            assert_eq!(io.metrics().unfinished_bytes, 40_000, "{what}: it is given back");
            alice.leave().await;
            assert_eq!(io.metrics().unfinished_bytes, 0, "{what}");
        }
    }
}

/// Beyond it nothing is read: the client waits, and nothing is lost.
#[tokio::test(start_paused = true)]
async fn events_that_wait_for_handlers() {
    for way in WAYS {
        let (io, mut client, _) = joined(builder().max_waiting_events(3, 1_000_000), way).await;
        io.on("slow", async |_, _: u32| tokio::time::sleep(Duration::from_secs(1)).await);
        let before = io.metrics().messages_received;
        for n in 1..=8_u64 {
            client.send(Piece::Text(format!("42[\"slow\",{n}]"))).await;
            // One is being handled.
            let expected = n.min(1 + 3);
            until(|| io.metrics().messages_received - before >= expected).await;
            settle().await;
            assert_eq!(io.metrics().messages_received - before, expected, "{n}, {way:?}");
        }
        advance(Duration::from_secs(9)).await;
        assert_eq!(io.metrics().messages_received - before, 8, "{way:?}");
        assert_eq!(io.metrics().limits.total(), 0, "{way:?}");
        client.leave().await;
    }
}
