//! Clients that come back while others emit, or take something from them.

use std::sync::Arc;
use std::time::Instant;

use serde_json::json;
use shuttle::thread;
use sockeye_engine::{Message, Revision, Role};
use sockeye_protocol::{Connection, Event, Parser};

use super::{explore, hub_of, link, selection};
use crate::broadcast::{self, Flags};
use crate::config::Config;
use crate::error::DisconnectReason;
use crate::hub::{Hub, Member};
use crate::link::Link;
use crate::peer::Peer;
use crate::recovery::Recovery;
use crate::session::admission::{Whom, admit, dismiss};

fn hub() -> Arc<Hub> {
    let hub = hub_of(Config { recovery: Some(Recovery::default()), ..Config::default() });
    // There is no runtime here on which it could be swept.
    assert!(hub.log().expect("recovery is on").lock().begin_sweeping());
    hub
}

/// A client in a room, on its first connection.
struct Client {
    hub: Arc<Hub>,
    link: Arc<Link>,
    member: Arc<Member>,
}

impl Client {
    fn new(hub: &Arc<Hub>) -> Self {
        let (link, member) = come(hub, "first", "0");
        hub.join(&member, "red".into()).expect("is there");
        Self { hub: Arc::clone(hub), link, member }
    }

    /// Its connection breaks, which may not have been found out when it comes back. What it had heard, and where it is.
    fn come_back(self, is_noticed: bool) -> (Vec<u32>, Arc<Link>, Arc<Member>) {
        let Self { hub, link, member } = self;
        if is_noticed {
            dismiss(&hub, &member, DisconnectReason::TransportClose, Instant::now());
        }
        let (heard, offset) = heard(&link);
        let pid = &member.thread().expect("recovery is on").pid;
        let claim = offset.map_or_else(|| json!({ "pid": pid }), |offset| json!({ "pid": pid, "offset": offset }));
        let (link, member) = come(&hub, "second", &format!("0{claim}"));
        (heard, link, member)
    }
}

/// A client asks for the namespace on a connection of its own, and is let in.
fn come(hub: &Arc<Hub>, sid: &str, connect: &str) -> (Arc<Link>, Arc<Member>) {
    let (now, (link, handshake)) = (Instant::now(), link(hub, sid));
    let mut connection = Connection::new(Role::Server, Revision::V4, Parser::Json, Arc::default(), now);
    let (slot, auth) = match connection.handle_message(now, Message::Text(connect)) {
        Ok(Some(Event::ConnectAsked { slot, auth, .. })) => (slot, auth.to_owned()),
        other => panic!("{other:?}"),
    };
    let peer = Peer::new(handshake, auth, None);
    let member = admit(hub, &link, &mut connection, (slot, Whom::Anybody), peer, now).expect("has asked");
    (link, member)
}

/// The numbers that a client reads, and the last offset.
fn heard(link: &Link) -> (Vec<u32>, Option<String>) {
    let (mut numbers, mut last) = (Vec::new(), None);
    link.drain(|packet| {
        let text = String::from_utf8(packet.first.packet().to_vec()).expect("text");
        if let Some(event) = text.strip_prefix("42") {
            let (_, number, offset): (String, u32, String) = serde_json::from_str(event).expect("an event");
            numbers.push(number);
            last = Some(offset);
        } else {
            assert!(text.starts_with("40{") && numbers.is_empty(), "{text}");
        }
        true
    });
    (numbers, last)
}

fn emit(hub: &Hub, number: u32) {
    broadcast::emit(hub, &selection(&["red"]), &Flags::default(), "n", &number).expect("encodes");
}

#[test]
fn whoever_comes_back_misses_nothing_and_hears_nothing_twice() {
    for is_noticed in [true, false] {
        explore(move || {
            let hub = hub();
            let client = Client::new(&hub);
            let emitter = {
                let hub = Arc::clone(&hub);
                thread::spawn(move || (0..4).for_each(|n| emit(&hub, n)))
            };
            let (mut numbers, link, member) = client.come_back(is_noticed);
            emitter.join().expect("has emitted");
            assert!(member.thread().is_some_and(|thread| thread.recovered));
            numbers.extend(heard(&link).0);
            assert_eq!(numbers, [0, 1, 2, 3]);
        });
    }
}

/// One that had just come back was asked by the handle of the connection before, and stayed in the room.
#[test]
fn a_room_that_is_taken_from_all_is_taken_from_who_comes_back_meanwhile() {
    for is_noticed in [true, false] {
        explore(move || {
            let hub = hub();
            let client = Client::new(&hub);
            let emitter = {
                let hub = Arc::clone(&hub);
                thread::spawn(move || (0..3).for_each(|n| emit(&hub, n)))
            };
            let taker = {
                let hub = Arc::clone(&hub);
                thread::spawn(move || {
                    let taken = broadcast::leave(&hub, &selection(&["red"]), &Flags::default(), &["red".into()]);
                    taken.expect("alone");
                    emit(&hub, 9);
                })
            };
            let (mut numbers, link, member) = client.come_back(is_noticed);
            emitter.join().expect("has emitted");
            taker.join().expect("has taken");
            assert!(member.thread().is_some_and(|thread| thread.recovered));
            assert_eq!((hub.room_names().len(), member.rooms().len()), (0, 1));
            numbers.extend(heard(&link).0);
            assert!((0..3).take(numbers.len()).eq(numbers.iter().copied()), "{numbers:?}");
        });
    }
}

/// One whose connection broke between the decision and the word was let back in.
#[test]
fn who_is_disconnected_with_all_others_does_not_come_back() {
    for is_noticed in [true, false] {
        explore(move || {
            let hub = hub();
            let client = Client::new(&hub);
            let judge = {
                let hub = Arc::clone(&hub);
                thread::spawn(move || {
                    broadcast::disconnect(&hub, &selection(&["red"]), &Flags::default(), true).expect("alone");
                })
            };
            let (_, link, member) = client.come_back(is_noticed);
            judge.join().expect("has judged");
            let mut commands = Vec::new();
            link.wake_up(&mut commands, &mut Vec::new());
            let is_back = member.thread().is_some_and(|thread| thread.recovered);
            assert_eq!(is_back, !commands.is_empty(), "back, and not told to leave");
            assert_eq!(is_back, member.rooms().len() == 2);
        });
    }
}
