//! The binary as operators see it: probes, figures, limits, signals.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// A server that runs; killed when a test fails.
struct Running {
    child: Child,
    address: String,
    monitor: Option<String>,
}

impl Running {
    fn start(options: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_sockeye"))
            .args(["serve", "--port", "0", "--admin-password", "x"])
            .args(options)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut address = |before: &str| {
            let line = lines.next().expect("a line").unwrap();
            let (_, address) = line.split_once(before).unwrap_or_else(|| panic!("{line}"));
            address.replace("http://localhost", "127.0.0.1")
        };
        let main = address("listens on ");
        let monitor = options.contains(&"--monitor").then(|| address("are at "));
        Self { child, address: main, monitor }
    }

    fn get(&self, path: &str) -> Response {
        get(&self.address, path)
    }

    #[cfg(unix)]
    fn signal(&self) {
        let status = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// Waits for the end: how it ended, and what it logged.
    #[cfg(unix)]
    fn end(mut self) -> (ExitStatus, String) {
        let mut log = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
        (self.child.wait().unwrap(), log)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Fails if it has ended, and then there is nothing to do.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[derive(Debug)]
struct Response {
    status: u16,
    head: String,
    body: String,
}

/// Sends a request on a connection of its own; the stream gives the answer.
fn ask(address: &str, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes()).unwrap();
    stream
}

fn answer(mut stream: TcpStream) -> Response {
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{text:?}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Response { status, head: head.to_ascii_lowercase(), body: body.into() }
}

fn get(address: &str, path: &str) -> Response {
    answer(ask(address, path))
}

const HANDSHAKE: &str = "/socket.io/?EIO=4&transport=polling";

/// Opens a session; its path.
fn open(server: &Running) -> String {
    let open = server.get(HANDSHAKE);
    assert_eq!(open.status, 200, "{open:?}");
    format!("{HANDSHAKE}&sid={}", open.body.split('"').nth(3).unwrap())
}

/// Looks again and again until it is so.
fn until(what: &str, is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(20), "{what} does not come");
        std::thread::yield_now();
    }
}

#[test]
fn machines_learn_how_it_does() {
    let server = Running::start(&[]);
    assert_eq!((server.get("/healthz").status, server.get("/readyz").status), (200, 200));
    open(&server);
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
    let first = open(&server);
    open(&server);
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

#[test]
fn addresses_behind_a_trusted_proxy_are_told_apart() {
    let server = Running::start(&["--max-sessions-per-address", "1", "--trust-proxy", "127.0.0.1"]);
    let from = |address: &str| {
        let mut stream = TcpStream::connect(&server.address).unwrap();
        let head =
            format!("GET {HANDSHAKE} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Forwarded-For: {address}\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        answer(stream).status
    };
    assert_eq!([from("192.0.2.1"), from("192.0.2.1"), from("192.0.2.2")], [200, 503, 200]);
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
    let session = open(&server);
    let waiting = ask(&server.address, &session);
    server.signal();
    until("503 at /readyz", || get(&monitor, "/readyz").status == 503);
    assert_eq!(get(&monitor, "/healthz").status, 200);
    let late = open(&server);
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
    server.signal();
    until("503 at /readyz", || server.get("/readyz").status == 503);
    server.signal();
    let (status, log) = server.end();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(log.contains("stopped before all clients were told"), "{log}");
    assert!(began.elapsed() < Duration::from_secs(60));
}
