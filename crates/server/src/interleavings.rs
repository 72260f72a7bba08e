//! Every order in which threads can get at the locks of links, hubs and gathered answers, of gates and logs, and at the
//! figures that all share, as far as a random scheduler finds it: built with `--cfg shuttle`, they belong to that scheduler. A wake-up that is lost shows as a deadlock.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use futures_channel::oneshot;
use shuttle::future::block_on;
use shuttle::thread;
use sockeye_engine::{Encoded, Revision, Sid};
use sockeye_protocol::{Args, NamespacePath, Outgoing, OwnedArgs, Slot};

use crate::ack::{Gather, Replies, Waiter};
use crate::adapter::Selection;
use crate::config::{Config, WhenFull};
use crate::error::{AckError, DisconnectReason, EmitError};
use crate::hub::{Hub, JoinError, Member};
use crate::link::{Command, Link, Opening, Request, Urgency};
use crate::outbox::{Level, Queued};
use crate::peer::{Handshake, Peer};
use crate::transport::carrier::Carrier;

mod counts;
mod returning;

/// Runs of each test if `SOCKEYE_INTERLEAVINGS` says nothing else.
const RUNS: usize = 500;

/// Runs a test with a scheduler that switches at random, and with one that seeks rare orders of few switches.
fn explore(test: impl Fn() + Send + Sync + Clone + 'static) {
    let asked = std::env::var("SOCKEYE_INTERLEAVINGS").ok();
    let runs = asked.map_or(RUNS, |runs| runs.parse().expect("a number of runs"));
    shuttle::check_random(test.clone(), runs);
    shuttle::check_pct(test, runs, 3);
}

fn link(hub: &Hub, sid: &str) -> (Arc<Link>, Arc<Handshake>) {
    let handshake = Arc::new(Handshake::new(&"/".parse().unwrap(), &http::HeaderMap::new(), None, false));
    let opening = Opening {
        sid: Sid::new(sid),
        revision: Revision::V4,
        takes_binary: true,
        handshake: Arc::clone(&handshake),
        ticket: None,
        carrier: Carrier::Websocket,
    };
    (Arc::new(Link::new(opening, Arc::clone(&hub.config), Arc::clone(&hub.metrics))), handshake)
}

fn hub() -> Arc<Hub> {
    hub_of(Config::default())
}

fn hub_of(config: Config) -> Arc<Hub> {
    let (config, metrics) = (Arc::new(config), Arc::default());
    let adapter = Arc::clone(&config.adapter);
    Arc::new(Hub::new(NamespacePath::main(), config, metrics, adapter, Arc::default(), Arc::default()))
}

fn member(hub: &Arc<Hub>, id: &str) -> Arc<Member> {
    let (link, handshake) = link(hub, id);
    let member = Member::new(id.into(), Slot(0), hub, &link, Peer::new(handshake, Args::NONE.to_owned(), None), None);
    hub.insert(&member);
    member
}

fn packet(text: &str) -> Outgoing {
    Outgoing { first: Encoded::text(text), attachments: None }
}

fn selection(rooms: &[&str]) -> Selection {
    Selection { rooms: rooms.iter().copied().map(Into::into).collect(), except: Vec::new() }
}

/// What a task has taken from its link.
#[derive(Debug, Default, PartialEq, Eq)]
struct Taken {
    packets: usize,
    commands: usize,
    requests: usize,
}

impl Taken {
    /// What the task of a session does with its link, until it has taken all of `expected`.
    async fn until(link: &Link, expected: Self) -> Self {
        let (mut taken, mut commands, mut requests) = (Self::default(), Vec::new(), Vec::new());
        poll_fn(|cx| {
            loop {
                link.wake_up(&mut commands, &mut requests);
                taken.commands += commands.drain(..).count();
                taken.requests += requests.drain(..).count();
                link.drain(|_| {
                    taken.packets += 1;
                    true
                });
                if taken == expected {
                    return Poll::Ready(());
                }
                if link.sleep(cx, true) {
                    return Poll::Pending;
                }
            }
        })
        .await;
        taken
    }
}

#[test]
fn no_wake_up_is_lost() {
    explore(|| {
        let link = link(&hub(), "link").0;
        let senders: Vec<_> = (0..2)
            .map(|_| {
                let link = Arc::clone(&link);
                thread::spawn(move || {
                    link.push(packet("a"), Urgency::Normal(WhenFull::Disconnect)).expect("open");
                    link.command(Command::Leave { slot: Slot(0), socket: "x".into() });
                    link.push(packet("b"), Urgency::Protocol).expect("open");
                    link.request(Request::PollGone).expect("not ended");
                })
            })
            .collect();
        let taken = block_on(Taken::until(&link, Taken { packets: 4, commands: 2, requests: 2 }));
        assert_eq!(taken, Taken { packets: 4, commands: 2, requests: 2 });
        for sender in senders {
            sender.join().expect("has pushed");
        }
        assert_eq!(link.queued(), Queued::default());
    });
}

/// A task whose transport takes nothing sleeps although packets wait, and is woken when it takes some again.
#[test]
fn a_transport_that_is_stuck_loses_no_packet() {
    explore(|| {
        let link = link(&hub(), "link").0;
        let sender = {
            let link = Arc::clone(&link);
            thread::spawn(move || {
                for _ in 0..3 {
                    link.push(packet("a"), Urgency::Normal(WhenFull::Disconnect)).expect("open");
                }
            })
        };
        let (writable, mut turns) = oneshot::channel::<()>();
        let transport = thread::spawn(move || drop(writable));
        let (mut packets, mut commands, mut requests) = (0, Vec::new(), Vec::new());
        block_on(poll_fn(|cx| {
            loop {
                link.wake_up(&mut commands, &mut requests);
                let writable = std::pin::Pin::new(&mut turns).poll(cx).is_ready();
                if writable {
                    link.drain(|_| {
                        packets += 1;
                        true
                    });
                }
                if packets == 3 {
                    return Poll::Ready(());
                }
                if link.sleep(cx, writable) {
                    return Poll::Pending;
                }
            }
        }));
        sender.join().expect("has pushed");
        transport.join().expect("has opened");
    });
}

/// Whoever waits until a client has taken what was emitted is told, whether the task sleeps, writes or ends meanwhile.
#[test]
fn nobody_waits_for_ever() {
    for ends in [false, true] {
        explore(move || {
            let link = link(&hub(), "link").0;
            let waiters: Vec<_> = [Level::Half, Level::Empty]
                .into_iter()
                .map(|level| {
                    let link = Arc::clone(&link);
                    thread::spawn(move || {
                        let _ = link.push(packet("a"), Urgency::Normal(WhenFull::Disconnect));
                        if let Some(reached) = link.wait_for(level, Slot(0)) {
                            // An end says so too, by dropping the other side.
                            let _ = block_on(reached);
                        }
                        link.command(Command::Leave { slot: Slot(0), socket: "x".into() });
                    })
                })
                .collect();
            if ends {
                let (commands, _) = link.end();
                assert!(commands.len() <= 2);
            } else {
                block_on(Taken::until(&link, Taken { packets: 2, commands: 2, requests: 0 }));
            }
            for waiter in waiters {
                waiter.join().expect("is told");
            }
            assert_eq!(link.queued(), Queued::default());
        });
    }
}

/// What comes while a session ends is either handed over or refused: nothing is kept by a link that nobody looks at.
#[test]
fn the_end_of_a_link_forgets_nothing() {
    explore(|| {
        let link = link(&hub(), "link").0;
        let askers: Vec<_> = (0..2)
            .map(|_| {
                let link = Arc::clone(&link);
                thread::spawn(move || {
                    let (waiter, answer) = Waiter::one();
                    let command = Command::Await {
                        slot: Slot(0),
                        socket: "x".into(),
                        ack: sockeye_protocol::AckId(0),
                        deadline: std::time::Instant::now(),
                        waiter,
                    };
                    link.push_asking(packet("a"), WhenFull::Disconnect, command);
                    let requested = link.request(Request::PollGone).is_ok();
                    link.command(Command::Close { reason: DisconnectReason::TransportClose, say: false });
                    (requested, answer)
                })
            })
            .collect();
        let (commands, requests) = link.end();
        let (waiting, requested) = (commands.len(), requests.len());
        drop((commands, requests));
        let mut accepted = 0;
        for asker in askers {
            let (was_requested, mut answer) = asker.join().expect("has asked");
            accepted += usize::from(was_requested);
            // Dropped with the command, or never taken: either way it is settled.
            let settled = answer.try_recv();
            assert!(
                matches!(settled, Ok(Some(Err(AckError::Disconnected | AckError::Emit(EmitError::Closed))))),
                "{settled:?}"
            );
        }
        assert_eq!(accepted, requested, "a request was neither handed over nor refused");
        assert!(waiting <= 4);
        assert_eq!(link.queued(), Queued::default());
        assert!(link.push(packet("late"), Urgency::Protocol).is_err());
    });
}

/// However joins, leaves and the end of a member meet: afterwards it is nowhere.
#[test]
fn a_member_that_is_gone_is_in_no_room() {
    explore(|| {
        let hub = hub();
        let member = member(&hub, "m");
        let other = self::member(&hub, "other");
        hub.join(&other, "red".into()).expect("is there");
        let threads = [
            {
                let (hub, member) = (Arc::clone(&hub), Arc::clone(&member));
                thread::spawn(move || {
                    let first = hub.join(&member, "red".into());
                    hub.leave(&member, "red");
                    let second = hub.join(&member, "blue".into());
                    assert!(!(first == Err(JoinError::Gone) && second.is_ok()), "back from the dead");
                })
            },
            {
                let (hub, member) = (Arc::clone(&hub), Arc::clone(&member));
                thread::spawn(move || assert!(hub.remove(&member), "removed twice"))
            },
            {
                let hub = Arc::clone(&hub);
                thread::spawn(move || {
                    let mut seen = Vec::new();
                    hub.for_each(&selection(&["red", "blue"]), |member| {
                        assert!(!seen.contains(&member.id), "{} twice", member.id);
                        seen.push(member.id.clone());
                        let _ = member.link.push(packet("hello"), Urgency::Normal(WhenFull::Disconnect));
                    });
                    assert!(seen.iter().any(|id| id == "other"), "never left, and was not reached");
                })
            },
        ];
        for thread in threads {
            thread.join().expect("fails by itself");
        }
        assert_eq!(hub.join(&member, "red".into()), Err(JoinError::Gone));
        assert_eq!(hub.room_names(), ["red"]);
        let left = hub.select(&selection(&[]));
        assert_eq!(left.iter().map(|member| member.id.as_str()).collect::<Vec<_>>(), ["other"]);
        assert!(hub.remove(&other) && !hub.remove(&other));
        assert!(hub.room_names().is_empty() && hub.len() == 0);
    });
}

/// Each socket that was asked settles once, by an answer, a failure or its end, and who collects is woken for the last.
#[test]
fn every_answer_of_a_broadcast_arrives_once() {
    explore(|| {
        let gather = Arc::new(Gather::default());
        let waiters: Vec<_> = ["a", "b", "c"].map(|socket| Waiter::many(&gather, socket.into())).into();
        let threads: Vec<_> = waiters
            .into_iter()
            .enumerate()
            .map(|(at, waiter)| {
                thread::spawn(move || match at {
                    0 => waiter.answer(&OwnedArgs::encode(&7).expect("plain").as_args()),
                    1 => waiter.fail(AckError::Timeout),
                    _ => drop(waiter),
                })
            })
            .collect();
        let mut replies = block_on(Replies::<u32>::new(Arc::clone(&gather)).collect());
        for thread in threads {
            thread.join().expect("has settled");
        }
        replies.sort_by(|(a, _), (b, _)| a.cmp(b));
        let told: Vec<_> = replies.iter().map(|(socket, result)| format!("{socket} {result:?}")).collect();
        assert_eq!(told, ["a Ok(7)", "b Err(Timeout)", "c Err(Disconnected)"]);
    });
}

/// Who lost interest is not remembered by the answers that still come.
#[test]
fn answers_that_nobody_wants_are_forgotten() {
    explore(|| {
        let gather = Arc::new(Gather::default());
        let waiter = Waiter::many(&gather, "a".into());
        let late = Waiter::many(&gather, "b".into());
        let replies = Replies::<u32>::new(Arc::clone(&gather));
        let answering = thread::spawn(move || waiter.answer(&OwnedArgs::encode(&7).expect("plain").as_args()));
        drop(replies);
        answering.join().expect("has settled");
        assert!(!late.is_wanted());
        drop(late);
        assert!(block_on(Replies::<u32>::new(gather).collect()).is_empty());
    });
}
