//! Clients that read nothing of their stream, a byte a second, or half of what they are sent, under each policy: as by
//! WebSocket (`../slow_readers.rs`), though QUIC keeps more for them.

use std::time::Duration;

use sockeye::{DisconnectReason, EmitError, Server, WhenFull};
use sockeye_testing::Net;

use crate::clock::{Still, advance, moving};
use crate::peer::{Peer, Site, builder};

/// Ten events a second of ten thousand bytes.
const PER_SECOND: u32 = 10;
const SECONDS: u32 = 40;
const SENT: u32 = PER_SECOND * SECONDS;
const EVENT: usize = 10_000;
/// What may wait: some five seconds of that.
const OUTBOX: usize = 500_000;
/// A silent client is dead after these.
const PING_INTERVAL: Duration = Duration::from_secs(5);
const PING_TIMEOUT: Duration = Duration::from_secs(20);
/// What QUIC takes from the server before the client reads, and what the client takes.
const IN_FLIGHT: usize = 1_000_000;

const POLICIES: [WhenFull; 4] = [WhenFull::Disconnect, WhenFull::DropNew, WhenFull::DropOldest, WhenFull::Fail];

struct Reader {
    peer: Peer,
    numbers: Vec<u32>,
}

impl Reader {
    async fn join(site: &Site) -> (Self, String) {
        moving(async {
            let mut peer = site.peer().await;
            peer.say("40").await;
            let joined = peer.hear().await;
            let id = joined.strip_prefix("40{\"sid\":\"").and_then(|rest| rest.strip_suffix("\"}")).unwrap().to_owned();
            (Self { peer, numbers: Vec::new() }, id)
        })
        .await
    }

    /// Reads at most so many bytes, and answers the pings among them.
    async fn read(&mut self, bytes: usize) {
        self.peer.read_slowly(bytes).await;
        while let Some(packet) = self.peer.next_read() {
            match packet.as_str() {
                "2" => moving(self.peer.say("3")).await,
                event => self.numbers.push(number(event)),
            }
        }
    }
}

fn number(text: &str) -> u32 {
    let number = text.strip_prefix("42[\"e\",").and_then(|rest| rest.split(',').next());
    let number = number.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("{text}"));
    assert_eq!(text, format!("42[\"e\",{number},\"{}\"]", "x".repeat(EVENT)), "whole");
    number
}

/// How a run went.
struct Run {
    io: Server,
    numbers: Vec<u32>,
    /// After how many seconds it was gone, if it was.
    gone: Option<u32>,
    /// Emits that failed as `Full`.
    full: u32,
}

async fn run(policy: WhenFull, bytes_per_second: usize) -> Run {
    let _still = Still::new();
    let options = builder().outbox(OUTBOX, 10_000).when_full(policy);
    let io = options.ping_interval(PING_INTERVAL).ping_timeout(PING_TIMEOUT).build().unwrap();
    let site = Site::new(io.clone()).await;
    let (mut quick, other) = Reader::join(&site).await;
    let site = site.with_window(4_096);
    let (mut slow, id) = Reader::join(&site).await;
    let (mut gone, mut full) = (None, 0);
    for second in 0..SECONDS {
        for n in second * PER_SECOND..(second + 1) * PER_SECOND {
            let payload = (n, "x".repeat(EVENT));
            io.get(&other).expect("the quick one is never lost").emit("e", &payload).expect("it reads");
            if let Some(slow) = io.get(&id) {
                full += u32::from(matches!(slow.emit("e", &payload), Err(EmitError::Full)));
                assert!(slow.queued().bytes <= OUTBOX, "{policy:?}: {:?}", slow.queued());
            }
        }
        slow.read(bytes_per_second).await;
        quick.read(1_000_000).await;
        assert!(quick.numbers.iter().copied().eq(0..(second + 1) * PER_SECOND), "{policy:?}: it is not delayed");
        advance(Duration::from_secs(1)).await;
        if gone.is_none() && io.get(&id).is_none() {
            gone = Some(second);
        }
    }
    if gone.is_none() {
        slow.read(usize::MAX).await;
    }
    for reader in [&quick, &slow] {
        reader.peer.leave();
    }
    moving(site.emptied()).await;
    Net::new(&io).assert_clean().await;
    assert!(slow.numbers.is_sorted_by(|a, b| a < b), "{policy:?}: in order, and each at most once");
    Run { io, numbers: slow.numbers, gone, full }
}

#[tokio::test(start_paused = true)]
async fn who_reads_nothing_is_given_up() {
    for policy in POLICIES {
        for bytes_per_second in [0, 1] {
            let run = run(policy, bytes_per_second).await;
            let gone = run.gone.expect("it does not stay");
            let closed = run.io.metrics().sessions_closed;
            if policy == WhenFull::Disconnect {
                let full = u32::try_from((OUTBOX + IN_FLIGHT) / EVENT).unwrap() / PER_SECOND;
                assert!((4..=full).contains(&gone), "{gone}");
                assert_eq!(closed.get(DisconnectReason::SlowConsumer), 1);
            } else {
                assert!((24..=26).contains(&gone), "{policy:?}: {gone}");
                assert_eq!(closed.get(DisconnectReason::PingTimeout), 1, "{policy:?}");
            }
            assert!(run.numbers.is_empty());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn who_reads_half_meets_the_policy() {
    for policy in POLICIES {
        let run = run(policy, usize::try_from(PER_SECOND).unwrap() * EVENT / 2).await;
        let metrics = run.io.metrics();
        if policy == WhenFull::Disconnect {
            assert_eq!((run.gone.is_some(), metrics.slow_consumers), (true, 1));
            assert!(run.numbers.iter().copied().eq(0..u32::try_from(run.numbers.len()).unwrap()), "no gap before that");
            continue;
        }
        assert_eq!(run.gone, None, "{policy:?}");
        let arrived = run.numbers.len() as u64;
        assert_eq!(arrived + metrics.dropped_full, u64::from(SENT), "{policy:?}: what does not arrive is counted");
        assert!(metrics.dropped_full > 0, "{policy:?}");
        assert_eq!(u64::from(run.full), if policy == WhenFull::Fail { metrics.dropped_full } else { 0 }, "{policy:?}");
        let newest = run.numbers.last() == Some(&(SENT - 1));
        assert!(newest || policy != WhenFull::DropOldest, "the newest is never what is dropped");
    }
}
