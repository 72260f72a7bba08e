//! Processes that are stopped: the death of a client is not noticed late, and that of nobody by mistake.

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::running::{Running, answer, ask, get, send, signal, until};
use crate::talker::{Connected, Talker, connect};

const TIMED_OUT: &str = "sockeye_sessions_closed_total{reason=\"ping timeout\"}";

/// Neither a reset nor an end is sent by a process that is stopped: only its heartbeats stay away.
#[test]
fn a_client_that_is_stopped_is_given_up_and_comes_back() {
    let server = Running::start(&["--ping-interval", "0.5", "--ping-timeout", "2"]);
    let metrics = || server.get("/metrics");
    let files = metrics().figure("process_open_fds");
    let client = Connected::start(&server.address);
    assert_eq!(metrics().figure("sockeye_sessions"), 1);
    signal(&client.child, "STOP");
    until("the end of its session", || metrics().figure("sockeye_sessions") == 0);
    assert_eq!(metrics().figure(TIMED_OUT), 1);
    assert_eq!(metrics().figure("sockeye_sockets"), 0);
    until("its file descriptor", || metrics().figure("process_open_fds") <= files);
    signal(&client.child, "CONT");
    client.expect("\"connected\"");
    until("its new session", || metrics().figure("sockeye_sessions") == 1);
}

/// What came in while the server was stopped is read before anybody is judged by the clock.
#[test]
fn a_server_that_was_stopped_gives_up_nobody_who_is_alive() {
    const TALKERS: usize = 300;
    const POLLERS: usize = 40;
    let server = Running::start(&["--ping-interval", "0.5", "--ping-timeout", "2"]);
    let talkers: Vec<_> = (0..TALKERS).map(|_| Talker::join(&server.address).live()).collect();
    let sessions: Vec<_> = (0..POLLERS).map(|_| server.open()).collect();
    for path in sessions {
        let address = server.address.clone();
        std::thread::spawn(move || poll(&address, &path));
    }
    let pinged = |most: usize| talkers.iter().all(|pings| pings.load(Ordering::Relaxed) >= most);
    until("pings", || pinged(2));
    // Twice as long as a client may be silent.
    for _ in 0..2 {
        server.signal("STOP");
        std::thread::sleep(Duration::from_secs(5));
        server.signal("CONT");
        let before = talkers.iter().map(|pings| pings.load(Ordering::Relaxed)).max().unwrap_or_default();
        // More rounds than any wrong verdict would take.
        until("pings after the stop", || pinged(before + 5));
        let metrics = get(&server.address, "/metrics");
        assert_eq!((metrics.figure(TIMED_OUT), metrics.figure("sockeye_sessions")), (0, (TALKERS + POLLERS) as u64));
    }
}

/// Polls and answers pings until the session ends.
fn poll(address: &str, path: &str) {
    assert_eq!(answer(send(address, "POST", path, &connect())).status, 200);
    while let Some(packets) = Some(answer(ask(address, path))).filter(|answer| answer.status == 200) {
        if packets.body.split('\u{1e}').any(|packet| packet == "2") {
            answer(send(address, "POST", path, "3"));
        }
    }
}

/// A client that goes without a word, but whose kernel says so: at once, not after a ping.
#[test]
fn a_client_that_is_killed_is_noticed_at_once() {
    let server = Running::start(&["--ping-interval", "600"]);
    let figure = |name: &str| server.get("/metrics").figure(name);
    let client = Connected::start(&server.address);
    // Between two requests of polling there is no connection that could break.
    until("its upgrade", || figure("sockeye_upgrades_total{result=\"succeeded\"}") == 1);
    signal(&client.child, "KILL");
    until("the end of its session", || figure("sockeye_sessions") == 0);
    assert_eq!(figure(TIMED_OUT), 0);
}
