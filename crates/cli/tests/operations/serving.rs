//! Probes, figures, limits, signals.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::running::{HANDSHAKE, Running, answer, ask, get, until};

#[test]
fn machines_learn_how_it_does() {
    let server = Running::start(&[]);
    assert_eq!((server.get("/healthz").status, server.get("/readyz").status), (200, 200));
    server.open();
    let metrics = server.get("/metrics");
    assert!(metrics.head.contains("content-type: text/plain; version=0.0.4"), "{}", metrics.head);
    for line in ["sockeye_sessions 1", "sockeye_ready 1", "sockeye_limits_total{limit=\"sessions\"} 0"] {
        assert!(metrics.body.lines().any(|other| other == line), "{line} is not in\n{}", metrics.body);
    }
    assert_eq!(server.get("/").status, 200, "the page is still there");
    assert_eq!(server.get("/metrics/x").status, 404);
}

#[test]
fn figures_can_be_kept_from_the_public() {
    let server = Running::start(&["--monitor", "127.0.0.1:0"]);
    let monitor = server.monitor.clone().unwrap();
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!((get(&monitor, path).status, server.get(path).status), (200, 404), "{path}");
    }
    assert_eq!(get(&monitor, HANDSHAKE).status, 404);
}

#[test]
fn limits_are_kept() {
    let server = Running::start(&["--max-sessions", "2", "--max-payload", "1000"]);
    let first = server.open();
    server.open();
    let refused = server.get(HANDSHAKE);
    assert_eq!(refused.status, 503);
    assert!(refused.head.contains("retry-after: 5"), "{}", refused.head);
    let mut stream = TcpStream::connect(&server.address).unwrap();
    let head = format!("POST {first} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 1001\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    assert_eq!(answer(stream).status, 413);
    let metrics = server.get("/metrics").body;
    assert!(metrics.contains("sockeye_limits_total{limit=\"sessions\"} 1\n"), "{metrics}");
    assert!(metrics.contains("sockeye_limits_total{limit=\"payload\"} 1\n"), "{metrics}");
    assert!(metrics.contains("sockeye_refusals_total{error=\"busy\"} 1\n"), "{metrics}");
}

/// They hold for pages as for clients, and at the address of the figures.
#[test]
fn requests_have_a_length_and_a_time() {
    let server = Running::start(&["--max-head", "16384", "--request-timeout", "0.5", "--monitor", "127.0.0.1:0"]);
    let monitor = server.monitor.clone().unwrap();
    for (address, path) in [(&server.address, "/"), (&server.address, HANDSHAKE), (&monitor, "/healthz")] {
        for (length, status) in [(9_000, 200), (16_385, 431)] {
            let start = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX: ");
            let head = format!("{start}{}\r\n\r\n", "x".repeat(length - start.len() - 4));
            let mut stream = TcpStream::connect(address).unwrap();
            stream.write_all(head.as_bytes()).unwrap();
            assert_eq!(answer(stream).status, status, "{path} in {length} bytes");
        }
        let mut silent = TcpStream::connect(address).unwrap();
        silent.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        assert_eq!(silent.read(&mut [0; 1]).unwrap(), 0, "{path}: cut off");
    }
}

/// Figures have an address of their own, which answers when there is no room for clients.
#[test]
fn a_connection_too_many_is_turned_away() {
    let server = Running::start(&["--max-connections", "1", "--monitor", "127.0.0.1:0"]);
    let monitor = server.monitor.clone().unwrap();
    let held = TcpStream::connect(&server.address).unwrap();
    while !get(&monitor, "/metrics").body.contains("sockeye_connections 1\n") {
        std::thread::yield_now();
    }
    let refused = answer(TcpStream::connect(&server.address).unwrap());
    assert_eq!(refused.status, 503);
    let metrics = get(&monitor, "/metrics").body;
    assert!(metrics.contains("sockeye_limits_total{limit=\"connections\"} 1\n"), "{metrics}");
    drop(held);
    while !get(&monitor, "/metrics").body.contains("sockeye_connections 0\n") {
        std::thread::yield_now();
    }
    assert_eq!(server.get(HANDSHAKE).status, 200);
}

/// What an option sets is said in `limits.rs`; this is how the server speaks of it.
#[test]
fn limits_that_leave_no_room_are_refused_by_name() {
    let refused = [
        ("--max-connections", "0", "max_connections is zero"),
        ("--max-payload", "0", "max_payload is zero"),
        ("--max-depth", "129", "max_depth is more than 128"),
        ("--outbox", "1/0", "the outbox bound is zero packets"),
        ("--ping-timeout", "0", "ping_timeout is zero"),
        ("--proxy-header", "forwarded", "proxy_header names a header, but nobody who may write it"),
    ];
    for (option, value, reason) in refused {
        let words = ["serve", "--port", "0", option, value];
        let output = Command::new(env!("CARGO_BIN_EXE_sockeye")).args(words).output().unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(1) && errors.contains(reason), "{option} {value}: {errors}");
    }
}

/// Of two that are written alike, each is kept by the running server.
#[test]
fn rates_are_kept() {
    for (option, rate, limit) in
        [("--event-rate", "1/1", "events per second"), ("--byte-rate", "1/50", "bytes per second")]
    {
        let server = Running::start(&[option, rate]);
        let session = server.open();
        let body = ["6"; 50].join("\u{1e}");
        let mut stream = TcpStream::connect(&server.address).unwrap();
        let length = body.len();
        let head =
            format!("POST {session} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
        stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
        assert_eq!(answer(stream).status, 400, "{option}");
        let metrics = server.get("/metrics").body;
        assert!(metrics.contains(&format!("sockeye_limits_total{{limit=\"{limit}\"}} 1\n")), "{option}: {metrics}");
    }
}

/// By the header that was named; the other one is what a client wrote.
#[test]
fn addresses_behind_a_trusted_proxy_are_told_apart() {
    for (named, written, other) in [
        (&[][..], "X-Forwarded-For: ", "Forwarded: for="),
        (&["--proxy-header", "forwarded"], "Forwarded: for=", "X-Forwarded-For: "),
    ] {
        let options = ["--max-sessions-per-address", "1", "--trust-proxy", "127.0.0.1"];
        let server = Running::start(&[&options, named].concat());
        let from = |address: &str, claimed: &str| {
            let mut stream = TcpStream::connect(&server.address).unwrap();
            let lines = format!("Host: x\r\nConnection: close\r\n{other}{claimed}\r\n{written}{address}");
            stream.write_all(format!("GET {HANDSHAKE} HTTP/1.1\r\n{lines}\r\n\r\n").as_bytes()).unwrap();
            answer(stream).status
        };
        let statuses = [from("192.0.2.1", "192.0.2.7"), from("192.0.2.1", "192.0.2.8"), from("192.0.2.2", "192.0.2.7")];
        assert_eq!(statuses, [200, 503, 200], "{written}");
    }
}

/// Behind a proxy that passes TCP on; its own address, that of the figures, is asked without a header.
#[test]
fn addresses_are_those_that_the_proxy_protocol_announces() {
    let server = Running::start(&[
        "--proxy-protocol",
        "--trust-proxy",
        "127.0.0.1",
        "--max-sessions-per-address",
        "1",
        "--monitor",
        "127.0.0.1:0",
    ]);
    let from = |address: &str| {
        let mut stream = TcpStream::connect(&server.address).unwrap();
        let header = format!("PROXY TCP4 {address} 198.51.100.1 4711 80\r\n");
        let lines = "Host: x\r\nConnection: close\r\nX-Forwarded-For: 192.0.2.9";
        stream.write_all(format!("{header}GET {HANDSHAKE} HTTP/1.1\r\n{lines}\r\n\r\n").as_bytes()).unwrap();
        answer(stream).status
    };
    assert_eq!([from("192.0.2.1"), from("192.0.2.1"), from("192.0.2.2")], [200, 503, 200]);
    let monitor = server.monitor.clone().unwrap();
    let metrics = get(&monitor, "/metrics").body;
    assert!(metrics.contains("sockeye_limits_total{limit=\"sessions per address\"} 1\n"), "{metrics}");
}

#[test]
fn who_is_not_the_proxy_is_not_served() {
    let server = Running::start(&["--proxy-protocol", "--trust-proxy", "192.0.2.1"]);
    let mut stream = TcpStream::connect(&server.address).unwrap();
    // It may be closed by now.
    drop(stream.write_all(b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 80\r\n"));
    let mut told = Vec::new();
    drop(std::io::Read::read_to_end(&mut stream, &mut told));
    assert!(told.is_empty(), "{told:?}");
}

#[test]
fn options_that_cannot_work_are_one_clear_line_and_code_1() {
    let words = ["serve", "--port", "0", "--ping-interval", "0"];
    let output = Command::new(env!("CARGO_BIN_EXE_sockeye")).args(words).output().unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(errors.starts_with("sockeye: invalid configuration: ping_interval is zero"), "{errors}");
    assert_eq!(errors.lines().count(), 1);
}

#[cfg(unix)]
#[test]
fn sigterm_ends_readiness_first_then_sessions_then_the_process() {
    let server = Running::start(&["--monitor", "127.0.0.1:0", "--drain", "2", "--grace", "20"]);
    let monitor = server.monitor.clone().unwrap();
    let session = server.open();
    let waiting = ask(&server.address, &session);
    server.signal("TERM");
    until("503 at /readyz", || get(&monitor, "/readyz").status == 503);
    assert_eq!(get(&monitor, "/healthz").status, 200);
    let late = server.open();
    let late = ask(&server.address, &late);
    assert!(get(&monitor, "/metrics").body.contains("\nsockeye_ready 0\n"));
    for poll in [waiting, late] {
        let answer = answer(poll);
        assert_eq!((answer.status, answer.body.as_str()), (200, "1"), "answered by the end of the session");
    }
    let (status, log) = server.end();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(log.contains("stopping") && log.contains("stopped"), "{log}");
}

#[cfg(unix)]
#[test]
fn a_second_signal_ends_it_at_once() {
    let server = Running::start(&["--drain", "600"]);
    let began = Instant::now();
    server.signal("TERM");
    until("503 at /readyz", || server.get("/readyz").status == 503);
    server.signal("TERM");
    let (status, log) = server.end();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(log.contains("stopped before all clients were told"), "{log}");
    assert!(began.elapsed() < Duration::from_secs(60));
}
