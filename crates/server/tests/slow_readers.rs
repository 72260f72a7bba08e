//! Clients that read nothing, a byte a second, or half of what they are sent, under each policy: what waits for them stays
//! bounded, what arrives is in order, and nobody else in the room notices.

use std::time::Duration;

use sockeye::{DisconnectReason, EmitError, Server, WhenFull};
use sockeye_testing::{Frame, Net, WebSocket};

/// Ten events a second of a thousand bytes, for two minutes.
const PER_SECOND: u32 = 10;
const SECONDS: u32 = 120;
const SENT: u32 = PER_SECOND * SECONDS;

/// What may wait: some eight seconds of that.
const OUTBOX: usize = 80_000;
/// What is on its way in the network, and in the one write that is under way.
const IN_FLIGHT: usize = 2_048 + 64 * 1024;

const POLICIES: [WhenFull; 4] = [WhenFull::Disconnect, WhenFull::DropNew, WhenFull::DropOldest, WhenFull::Fail];

fn event(n: u32) -> String {
    format!("42[\"e\",{n},\"{}\"]", padding())
}

fn padding() -> String {
    "x".repeat(980)
}

/// A client that reads so many bytes a second, and answers pings which it has read.
struct Reader {
    socket: WebSocket,
    bytes_per_second: usize,
    numbers: Vec<u32>,
}

impl Reader {
    async fn read(&mut self) {
        self.socket.read_slowly(self.bytes_per_second).await;
        while let Some(frame) = self.socket.next_read() {
            match frame {
                Frame::Text(text) if text == "2" => self.socket.send("3").await,
                Frame::Text(text) => self.numbers.push(number(&text)),
                other => assert!(matches!(other, Frame::Close(_)), "{other:?}"),
            }
        }
    }
}

fn number(text: &str) -> u32 {
    let number = text.strip_prefix("42[\"e\",").and_then(|rest| rest.split(',').next());
    let number = number.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("{text}"));
    assert_eq!(text, event(number), "whole");
    number
}

/// How a run went for the slow client.
struct Run {
    io: Server,
    net: Net,
    reader: Reader,
    /// After how many seconds it was gone, if it was.
    gone: Option<u32>,
    /// Emits to it that failed as `Full`.
    full: u32,
}

/// One slow client and a quick one; both are sent the same events, each by an emit of its own.
async fn run(policy: WhenFull, bytes_per_second: usize) -> Run {
    let io = Server::builder().outbox(OUTBOX, 10_000).when_full(policy).build().expect("the options agree");
    let net = Net::new(&io);
    let (socket, slow) = net.with_buffer(2_048).join().await;
    let (quick, other) = net.join().await;
    let mut reader = Reader { socket, bytes_per_second, numbers: Vec::new() };
    let mut quick = Reader { socket: quick, bytes_per_second: 1_000_000, numbers: Vec::new() };
    let (mut gone, mut full) = (None, 0);
    for second in 0..SECONDS {
        for n in second * PER_SECOND..(second + 1) * PER_SECOND {
            let payload = (n, padding());
            io.get(&other).expect("the quick one is never lost").emit("e", &payload).expect("it reads");
            let Some(slow) = io.get(&slow) else { continue };
            full += u32::from(matches!(slow.emit("e", &payload), Err(EmitError::Full)));
            assert!(slow.queued().bytes <= OUTBOX, "{policy:?}: {:?}", slow.queued());
        }
        reader.read().await;
        quick.read().await;
        let sent = (second + 1) * PER_SECOND;
        assert!(quick.numbers.iter().copied().eq(0..sent), "{policy:?}: a slow member delays nobody");
        net.advance(Duration::from_secs(1)).await;
        if gone.is_none() && io.get(&slow).is_none() {
            gone = Some(second);
        }
    }
    quick.read().await;
    assert!(quick.numbers.iter().copied().eq(0..SENT));
    quick.socket.close().await;
    assert!(reader.numbers.is_sorted_by(|a, b| a < b), "{policy:?}: in order, and each at most once");
    Run { io, net, reader, gone, full }
}

/// Reads what is left, and closes.
async fn finish(run: Run) -> Vec<u32> {
    let Run { io, net, mut reader, gone, .. } = run;
    reader.bytes_per_second = 1_000_000;
    reader.read().await;
    if gone.is_none() {
        assert_eq!(io.metrics().sessions, 1);
        reader.socket.close().await;
    }
    net.advance(Duration::from_secs(6)).await;
    net.assert_clean().await;
    reader.numbers
}

/// Without reading there are no pings, and so no pongs: whatever the policy, such a client is dead to the server.
#[tokio::test(start_paused = true)]
async fn who_reads_nothing_is_given_up() {
    for policy in POLICIES {
        for bytes_per_second in [0, 1] {
            let run = run(policy, bytes_per_second).await;
            let gone = run.gone.expect("it does not stay");
            let closed = run.io.metrics().sessions_closed;
            if policy == WhenFull::Disconnect {
                // What is in flight and the outbox are full after 15 s.
                assert!((8..20).contains(&gone), "{gone}");
                assert_eq!(closed.get(DisconnectReason::SlowConsumer), 1);
                assert_eq!(run.io.metrics().slow_consumers, 1);
            } else {
                assert!((44..=46).contains(&gone), "{policy:?}: {gone}");
                assert_eq!(closed.get(DisconnectReason::PingTimeout), 1, "{policy:?}");
            }
            assert!(run.reader.numbers.is_empty());
            let arrived = finish(run).await;
            assert!(arrived.len() * 1_000 <= IN_FLIGHT, "{policy:?}: {}", arrived.len());
        }
    }
}

/// Half of what is sent is more than can be kept for two minutes: by default the client is disconnected.
#[tokio::test(start_paused = true)]
async fn who_reads_half_is_disconnected_by_default() {
    let run = run(WhenFull::Disconnect, 5_000).await;
    let gone = run.gone.expect("it does not stay");
    assert!((12..40).contains(&gone), "{gone}");
    assert_eq!(run.io.metrics().sessions_closed.get(DisconnectReason::SlowConsumer), 1);
    let arrived = finish(run).await;
    let last = u32::try_from(arrived.len()).unwrap();
    assert!(arrived.iter().copied().eq(0..last), "up to the end nothing is left out");
}

/// Who only misses some events stays, is pinged in time, and gets half of them.
#[tokio::test(start_paused = true)]
async fn who_reads_half_stays_where_events_may_be_dropped() {
    for policy in [WhenFull::DropNew, WhenFull::DropOldest, WhenFull::Fail] {
        let run = run(policy, 5_000).await;
        assert_eq!(run.gone, None, "{policy:?}");
        let (dropped, full) = (run.io.metrics().dropped_full, run.full);
        let arrived = finish(run).await;
        assert_eq!(arrived.len() as u64 + dropped, u64::from(SENT), "{policy:?}: what does not arrive is counted");
        assert!((500..800).contains(&arrived.len()), "{policy:?}: {}", arrived.len());
        assert_eq!(u64::from(full), if policy == WhenFull::Fail { dropped } else { 0 }, "{policy:?}");
        if policy == WhenFull::DropOldest {
            assert_eq!(arrived.last(), Some(&(SENT - 1)), "the newest is never what is dropped");
        } else {
            assert!(arrived[..100].iter().copied().eq(0..100), "{policy:?}: what was kept first comes first");
        }
    }
}

/// Polling clients read nothing between two GETs: the same policies, the same bounds.
#[tokio::test(start_paused = true)]
async fn who_polls_seldom_is_treated_alike() {
    for policy in POLICIES {
        let io = Server::builder().outbox(OUTBOX, 10_000).when_full(policy).build().expect("the options agree");
        let net = Net::new(&io);
        let polling = net.polling().await;
        let socket = io.get(&polling.join().await).expect("it has joined");
        let results: Vec<_> = (0..100).map(|n| socket.emit("e", (n, "x".repeat(1_000)))).collect();
        let fit = u32::try_from(results.iter().filter(|result| result.is_ok()).count()).unwrap();
        assert!(socket.queued().bytes <= OUTBOX, "{policy:?}");
        let text = polling.get().answer().await.text().to_owned();
        let arrived: Vec<u32> = text
            .split('\u{1e}')
            .filter_map(|packet| packet.strip_prefix("42[\"e\",")?.split(',').next()?.parse().ok())
            .collect();
        let kept = u32::try_from(arrived.len()).unwrap();
        match policy {
            WhenFull::Disconnect => assert_eq!((text.as_str(), io.metrics().slow_consumers), ("1", 1)),
            WhenFull::DropOldest => assert!(arrived.iter().copied().eq(100 - kept..100) && fit == 100, "{arrived:?}"),
            WhenFull::DropNew => assert!(arrived.iter().copied().eq(0..kept) && fit == 100, "{arrived:?}"),
            _ => assert!(arrived.iter().copied().eq(0..fit) && fit == kept && fit < 100, "{arrived:?}"),
        }
        if policy != WhenFull::Disconnect {
            assert!((60..80).contains(&kept), "{policy:?}: {kept}");
            assert_eq!(io.metrics().dropped_full, u64::from(100 - kept), "{policy:?}");
            polling.close().await;
        }
        net.assert_clean().await;
    }
}

/// A room of a thousand, of whom one reads nothing, one a byte a second, and one half of it: all others have each event
/// before any time has passed.
#[tokio::test(start_paused = true)]
async fn three_slow_members_of_a_thousand_delay_nobody() {
    const LONG: usize = 10_000;
    for policy in POLICIES {
        let io = Server::builder().outbox(2 * LONG, 1_000).when_full(policy).build().expect("the options agree");
        let net = Net::new(&io);
        let mut slow = Vec::new();
        for bytes_per_second in [0, 1, LONG / 2] {
            let (socket, id) = net.with_buffer(2_048).join().await;
            io.get(&id).expect("it has joined").join("room");
            slow.push((socket, bytes_per_second));
        }
        let mut quick = Vec::new();
        for _ in 0..997 {
            let (socket, id) = net.join().await;
            io.get(&id).expect("it has joined").join("room");
            quick.push(socket);
        }
        let text = "x".repeat(LONG);
        for n in 0..15 {
            let began = tokio::time::Instant::now();
            io.to("room").emit("e", (n, &text)).expect("it can be encoded");
            let expected = format!("42[\"e\",{n},\"{text}\"]");
            for socket in &mut quick {
                socket.expect(&expected).await;
            }
            assert!(began.elapsed().is_zero(), "{policy:?}: {:?}", began.elapsed());
            for (socket, bytes_per_second) in &mut slow {
                socket.read_slowly(*bytes_per_second).await;
            }
            net.advance(Duration::from_secs(1)).await;
        }
        let metrics = io.metrics();
        match policy {
            // Two of them for certain; who reads half may have had enough room.
            WhenFull::Disconnect => assert!((2..=3).contains(&metrics.slow_consumers), "{}", metrics.slow_consumers),
            _ => assert!(metrics.dropped_full > 0 && metrics.sessions == 1_000, "{policy:?}"),
        }
        drop((quick, slow));
        net.advance(Duration::from_mins(2)).await;
        net.assert_clean().await;
    }
}

/// A hundred thousand broadcasts at once, to clients that need longer for them than a heartbeat may take: pings overtake
/// what waits, and all of it arrives.
#[tokio::test(start_paused = true)]
async fn a_burst_of_a_hundred_thousand_loses_nobody() {
    const BURST: u32 = 100_000;
    let io = Server::new();
    let net = Net::new(&io);
    let mut readers = Vec::new();
    for _ in 0..4 {
        let (socket, _) = net.with_buffer(2_048).join().await;
        readers.push((socket, 0, 0));
    }
    let polling = net.polling().await;
    polling.join().await;
    for n in 0..BURST {
        io.emit("n", n).expect("it can be encoded");
    }
    assert_eq!(io.metrics().queued_packets, 5 * u64::from(BURST), "nothing is dropped");
    let (mut seconds, mut polled) = (0, 0);
    while readers.iter().any(|(_, next, _)| *next < BURST) {
        for (socket, next, pings) in &mut readers {
            socket.read_slowly(25_000).await;
            while let Some(frame) = socket.next_read() {
                match frame {
                    Frame::Text(text) if text == "2" => {
                        *pings += 1;
                        socket.send("3").await;
                    }
                    Frame::Text(text) => {
                        assert_eq!(text, format!("42[\"n\",{next}]"));
                        *next += 1;
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
        if polled < BURST || (seconds > 1 && seconds % 25 == 1) {
            for packet in polling.get().answer().await.text().split('\u{1e}') {
                if packet == "2" {
                    polling.send("3").await;
                } else {
                    assert_eq!(packet, format!("42[\"n\",{polled}]"));
                    polled += 1;
                }
            }
        }
        net.advance(Duration::from_secs(1)).await;
        seconds += 1;
        assert_eq!(io.metrics().sessions, 5, "after {seconds} s");
    }
    assert!(seconds > 50, "longer than a heartbeat and its answer: {seconds} s");
    assert!(readers.iter().all(|(_, _, pings)| *pings >= 2), "who reads is pinged in time");
    assert_eq!(polled, BURST);
    for (socket, ..) in readers {
        socket.close().await;
    }
    polling.close().await;
    net.assert_clean().await;
}

/// Whoever waits for the client before each event sends as much as it reads, and waits no longer than it lives.
#[tokio::test(start_paused = true)]
async fn who_is_waited_for_sets_the_pace() {
    for bytes_per_second in [0, 1, 5_000] {
        let io = Server::builder().outbox(OUTBOX, 10_000).build().expect("the options agree");
        let net = Net::new(&io);
        let (socket, id) = net.with_buffer(2_048).join().await;
        let mut reader = Reader { socket, bytes_per_second, numbers: Vec::new() };
        let slow = io.get(&id).expect("it has joined");
        let writer = tokio::spawn(async move {
            for n in 0.. {
                slow.ready().await;
                if let Err(error) = slow.emit("e", (n, padding())) {
                    return (n, error);
                }
                assert!(slow.queued().bytes <= OUTBOX / 2 + 2_000, "{:?}", slow.queued());
            }
            unreachable!("it is not waited for longer than it lives")
        });
        for _ in 0..SECONDS {
            reader.read().await;
            net.advance(Duration::from_secs(1)).await;
        }
        let read = u32::try_from(reader.numbers.len()).unwrap();
        assert!(reader.numbers.iter().copied().eq(0..read), "nothing is left out");
        let lives = io.get(&id).is_some();
        assert_eq!((lives, io.metrics().slow_consumers), (bytes_per_second == 5_000, 0), "{bytes_per_second}");
        if lives {
            assert!((SECONDS * 5 - 10..SECONDS * 5 + 5).contains(&read), "{read}: as much as it reads");
            reader.socket.close().await;
        }
        let (sent, error) = writer.await.unwrap();
        assert!(matches!(error, EmitError::Closed), "{error:?}");
        assert!(
            sent - read <= u32::try_from((OUTBOX / 2 + IN_FLIGHT) / 1_000).unwrap(),
            "{sent} of which {read} are read"
        );
        net.advance(Duration::from_secs(6)).await;
        net.assert_clean().await;
    }
}

/// Ten positions change ten times a second each, which is ten times as much as it reads: it gets all of them in turn, as
/// they are then, and ten at most wait for it.
#[tokio::test(start_paused = true)]
async fn who_gets_only_the_latest_is_never_far_behind() {
    const KEYS: u32 = 10;
    for bytes_per_second in [0, 1, 10_000] {
        let io = Server::builder().outbox(OUTBOX, 10_000).build().expect("the options agree");
        let net = Net::new(&io);
        let (socket, id) = net.with_buffer(2_048).join().await;
        let mut reader = Reader { socket, bytes_per_second, numbers: Vec::new() };
        for n in 0..SECONDS * KEYS * 10 {
            io.latest(format!("position {}", n % KEYS)).emit("e", (n, padding())).expect("it can be encoded");
            if let Some(slow) = io.get(&id) {
                // And one that it is about to take.
                assert!(slow.queued().packets <= 1 + KEYS as usize, "{:?}", slow.queued());
            }
            if n % (KEYS * 10) == KEYS * 10 - 1 {
                reader.read().await;
                net.advance(Duration::from_secs(1)).await;
            }
        }
        let lives = io.get(&id).is_some();
        assert_eq!((lives, io.metrics().slow_consumers), (bytes_per_second == 10_000, 0), "{bytes_per_second}");
        if lives {
            reader.bytes_per_second = 1_000_000;
            reader.read().await;
            let numbers = &reader.numbers;
            assert_eq!(numbers.len() as u64 + io.metrics().dropped_latest, u64::from(SECONDS * KEYS * 10));
            for key in 0..KEYS {
                let of_key: Vec<u32> = numbers.iter().copied().filter(|n| n % KEYS == key).collect();
                assert!(
                    of_key.is_sorted() && of_key.last() == Some(&((SECONDS * 10 - 1) * KEYS + key)),
                    "the newest last"
                );
                assert!(of_key.len() > SECONDS as usize / 2, "{}: in turn with the others", of_key.len());
            }
            reader.socket.close().await;
        }
        net.advance(Duration::from_secs(6)).await;
        net.assert_clean().await;
    }
}
