//! Names of namespaces that clients make up: REQ-21.1.

use std::time::Duration;

use sockeye::{Refusal, Server};
use sockeye_testing::{Net, WebSocket};

use crate::counting::{allocated, alone};

/// Asked for at a time.
const CROWD: usize = 200;
/// Before anything is measured: what grows once is there then.
const FIRST: usize = 2_000;
const NAMES: usize = 20_000;
/// Bytes that may come and go meanwhile.
const NOISE: usize = 20_000;

/// What becomes of a name.
#[derive(Clone, Copy, Debug)]
enum Fate {
    /// It is joined, and left.
    Joined,
    /// No pattern has it.
    Unknown,
    /// A pattern has it, and `authorize` does not let the client in.
    Unwelcome,
}

/// Asks for these names, and leaves what it has joined.
async fn visit(client: &mut WebSocket, fate: Fate, names: std::ops::Range<usize>) {
    let (kind, answer) = match fate {
        Fate::Joined => ("open", "40/open-{n},{\"sid\":\"…\"}"),
        Fate::Unknown => ("none", "44/none-{n},{\"message\":\"Invalid namespace\"}"),
        Fate::Unwelcome => ("closed", "44/closed-{n},{\"message\":\"not you\"}"),
    };
    let packets = |number: &str| names.clone().map(|n| format!("{number}/{kind}-{n},")).collect::<Vec<_>>();
    let (asked, left) = (packets("40"), packets("41"));
    client.send_all(&asked.iter().map(String::as_str).collect::<Vec<_>>()).await;
    for n in names {
        client.expect(&answer.replace("{n}", &n.to_string())).await;
    }
    if let Fate::Joined = fate {
        client.send_all(&left.iter().map(String::as_str).collect::<Vec<_>>()).await;
    }
}

#[test]
fn names_that_clients_make_up_leave_nothing() {
    alone(async || {
        let io = Server::builder().ping_interval(Duration::from_secs(100_000)).build().unwrap();
        let open = io.of_pattern("/open-{n}").unwrap();
        let closed = io.of_pattern("/closed-{n}").unwrap();
        closed.authorize(async |_, ()| Err(Refusal::new("not you")));
        let net = Net::new(&io);
        let (mut client, _) = net.join().await;
        let namespaces = io.namespaces().len();
        for fate in [Fate::Joined, Fate::Unknown, Fate::Unwelcome] {
            let mut before = 0;
            for first in (0..NAMES).step_by(CROWD) {
                visit(&mut client, fate, first..first + CROWD).await;
                let left = io.namespaces().len() + open.namespaces().len() + closed.namespaces().len();
                assert_eq!((left, io.metrics().sockets), (namespaces, 1), "{fate:?}: namespaces, sockets");
                if first + CROWD == FIRST {
                    before = allocated();
                }
            }
            let now = allocated();
            assert!(now < before + NOISE, "{fate:?}: {before} bytes after {FIRST} names, {now} after {NAMES}");
        }
        client.close().await;
        net.assert_clean().await;
    });
}
