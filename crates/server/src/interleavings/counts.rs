//! What is counted while threads meet: packets that find no room, places that are taken and given back, bytes of all.

use std::sync::Arc;
use std::time::Instant;

use shuttle::sync::Mutex;
use shuttle::sync::atomic::{AtomicUsize, Ordering};
use shuttle::thread;
use sockeye_engine::Encoded;
use sockeye_protocol::{Outgoing, Slot};

use super::{explore, hub_of, link};
use crate::config::{Config, WhenFull};
use crate::error::EmitError;
use crate::gate::{Bounds, Gate};
use crate::limits::Rate;
use crate::link::Urgency;
use crate::metrics::Metrics;
use crate::unfinished::{FREE, Share};

/// A packet with an attachment of its own.
fn packet(name: &str) -> Outgoing {
    Outgoing { first: Encoded::text(name), attachments: Some([Encoded::text(name)].into()) }
}

/// Its name, if its attachment is still its own.
fn name(packet: &Outgoing) -> String {
    let texts: Vec<_> =
        packet.messages().map(|message| String::from_utf8(message.packet().to_vec()).expect("text")).collect();
    let [first, attachment] = &texts[..] else { panic!("one attachment: {texts:?}") };
    assert_eq!(first, attachment);
    // Behind the type of the message.
    first[1..].to_owned()
}

/// Two threads emit, each three times and once what must not be lost, while the task takes one packet after the other.
fn overfill(policy: WhenFull, keys: Option<[&str; 2]>) {
    let link = link(&hub_of(Config { outbox_packets: 2, ..Config::default() }), "link").0;
    link.set_joined();
    let taken = Arc::new(Mutex::new(Vec::new()));
    let task = {
        let (link, taken) = (Arc::clone(&link), Arc::clone(&taken));
        thread::spawn(move || {
            for _ in 0..3 {
                link.drain(|packet| {
                    taken.lock().unwrap().push(name(&packet));
                    false
                });
            }
        })
    };
    let senders = ["a", "b"].into_iter().enumerate().map(|(at, who)| {
        let (link, key) = (Arc::clone(&link), keys.map(|keys| keys[at].into()));
        thread::spawn(move || {
            let urgency = key.as_ref().map_or(Urgency::Normal(policy), |key| Urgency::Latest(policy, Slot(0), key));
            link.push(packet(&format!("{who}!")), Urgency::Protocol).expect("twice the bound");
            let pushed: Vec<_> = (0..3).map(|n| link.push(packet(&format!("{who}{n}")), urgency)).collect();
            assert!(pushed.iter().all(|pushed| matches!(pushed, Ok(()) | Err(EmitError::Full))), "{pushed:?}");
            pushed.into_iter().filter(Result::is_err).count()
        })
    });
    let senders: Vec<_> = senders.collect();
    let refused: usize = senders.into_iter().map(|sender| sender.join().expect("has sent")).sum();
    task.join().expect("has taken");
    let (dropped, mut taken) = (link.queued().dropped, taken.lock().unwrap().clone());
    link.drain(|packet| {
        taken.push(name(&packet));
        true
    });
    let (full, latest) = (link.metrics.dropped_full.get(), link.metrics.dropped_latest.get());
    assert_eq!((taken.len() as u64 + dropped, dropped), (8, full + latest), "{taken:?}");
    assert!(refused == 0 || (policy == WhenFull::Fail && refused as u64 == full), "{refused} refused, {full} dropped");
    assert!(latest == 0 || keys.is_some());
    // Where both replace the same packet, one may get to the place of the other's, before what it had sent itself.
    let is_shared = keys.is_some_and(|[one, other]| one == other);
    for who in ["a", "b"] {
        let mut of_one: Vec<_> = taken.iter().filter(|name| name.starts_with(who)).collect();
        let essential = of_one.iter().position(|name| name.ends_with('!'));
        assert!(is_shared || essential == Some(0), "{taken:?}");
        of_one.remove(essential.expect("what must not be lost"));
        assert!(of_one.is_sorted(), "{taken:?}");
    }
}

#[test]
fn a_packet_that_finds_no_room_is_counted_and_the_others_keep_their_order() {
    for policy in [WhenFull::DropNew, WhenFull::DropOldest, WhenFull::Fail] {
        for keys in [None, Some(["both", "both"]), Some(["one", "other"])] {
            explore(move || overfill(policy, keys));
        }
    }
}

/// Takes a place as soon as there is one, and gives it back, twice; no more than `most` have one at a time.
fn come_and_go<T>(inside: &AtomicUsize, most: usize, take: impl Fn() -> Option<T>) {
    for _ in 0..2 {
        if let Some(place) = take() {
            assert!(inside.fetch_add(1, Ordering::SeqCst) < most, "too many have a place");
            inside.fetch_sub(1, Ordering::SeqCst);
            drop(place);
        }
    }
}

#[test]
fn places_are_never_too_many_and_all_given_back() {
    explore(|| {
        let now = Instant::now();
        let bounds = Bounds {
            connections_per_address: Some(1),
            sessions: Some(2),
            sessions_per_address: Some(1),
            ..Bounds::default()
        };
        let (gate, metrics) = (Gate::new(bounds, now), Arc::new(Metrics::default()));
        let inside: Arc<[[AtomicUsize; 3]; 2]> = Arc::default();
        let threads = [0, 0, 1].map(|address| {
            let (gate, metrics, inside) = (Arc::clone(&gate), Arc::clone(&metrics), Arc::clone(&inside));
            let ip = [192, 0, 2, u8::try_from(address).expect("small")].into();
            thread::spawn(move || {
                come_and_go(&inside[address][0], 1, || gate.pass(Some(ip), now).ok());
                come_and_go(&inside[address][1], 1, || gate.seat(ip, now).ok());
                come_and_go(&inside[0][2], 2, || {
                    metrics.connections.up_within(Some(2)).then(|| Given(Arc::clone(&metrics)))
                });
            })
        });
        for thread in threads {
            thread.join().expect("has gone");
        }
        assert_eq!(metrics.connections.get(), 0);
        // As much is free as in the beginning.
        let [one, other, third] = [[192, 0, 2, 0], [192, 0, 2, 1], [192, 0, 2, 2]].map(Into::into);
        let _seats = (gate.seat(one, now).expect("free"), gate.seat(other, now).expect("free"));
        let _tickets = (gate.pass(Some(one), now).expect("free"), gate.pass(Some(other), now).expect("free"));
        assert!(gate.seat(one, now).is_err() && gate.pass(Some(third), now).is_err());
    });
}

/// One of `max_connections`.
struct Given(Arc<Metrics>);

impl Drop for Given {
    fn drop(&mut self) {
        self.0.connections.down();
    }
}

#[test]
fn a_burst_is_let_in_once() {
    explore(|| {
        let now = Instant::now();
        let handshakes = Some(Rate { per_second: 1, burst: 2 });
        let gate = Gate::new(Bounds { handshakes, ..Bounds::default() }, now);
        let threads = [(); 3].map(|()| {
            let gate = Arc::clone(&gate);
            thread::spawn(move || gate.pass(None, now).is_ok())
        });
        let came = threads.into_iter().map(|thread| thread.join().expect("has asked"));
        assert_eq!(came.filter(|came| *came).count(), 2);
    });
}

/// What two have together is too much, so the one that came later is told, and only that one.
#[test]
fn what_all_leave_unfinished_is_never_miscounted() {
    explore(|| {
        let metrics = Arc::new(Metrics::default());
        let threads = [(); 2].map(|()| {
            let metrics = Arc::clone(&metrics);
            thread::spawn(move || {
                let mut share = Share::default();
                share.set(FREE + 30, 100, &metrics).expect("no more than 90");
                let told = share.set(FREE + 60, 100, &metrics);
                (share, told.is_err())
            })
        });
        let mut shares = threads.map(|thread| thread.join().expect("has counted"));
        assert_eq!(metrics.unfinished_bytes.get(), 120);
        assert_eq!(shares.iter().filter(|(_, told)| *told).count(), 1);
        let givers = shares.each_mut().map(|(share, _)| std::mem::take(share)).map(|mut share| {
            let metrics = Arc::clone(&metrics);
            thread::spawn(move || share.set(0, 100, &metrics).expect("less"))
        });
        for giver in givers {
            giver.join().expect("has given back");
        }
        assert_eq!(metrics.unfinished_bytes.get(), 0);
    });
}
