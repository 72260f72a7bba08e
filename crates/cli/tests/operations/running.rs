//! A server in a process of its own, and requests to it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Longer than anything takes on a machine that has other things to do.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server that runs; killed when a test fails.
pub(crate) struct Running {
    pub(crate) child: Child,
    pub(crate) address: String,
    pub(crate) monitor: Option<String>,
}

impl Running {
    pub(crate) fn start(options: &[&str]) -> Self {
        Self::start_by(Command::new(env!("CARGO_BIN_EXE_sockeye")), options)
    }

    /// Started by a program that becomes it.
    pub(crate) fn start_by(mut command: Command, options: &[&str]) -> Self {
        command.args(["serve", "--port", "0", "--admin-password", "x"]).args(options);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
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

    pub(crate) fn get(&self, path: &str) -> Response {
        get(&self.address, path)
    }

    /// Opens a session; its path.
    pub(crate) fn open(&self) -> String {
        let open = self.get(HANDSHAKE);
        assert_eq!(open.status, 200, "{open:?}");
        format!("{HANDSHAKE}&sid={}", open.body.split('"').nth(3).unwrap())
    }

    #[cfg(unix)]
    pub(crate) fn signal(&self, name: &str) {
        signal(&self.child, name);
    }

    /// Waits for the end: how it ended, and what it logged.
    #[cfg(unix)]
    pub(crate) fn end(mut self) -> (ExitStatus, String) {
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

#[cfg(unix)]
pub(crate) fn signal(child: &Child, name: &str) {
    let status = Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status().unwrap();
    assert!(status.success());
}

#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Response {
    /// The figure of this name (and label) in a page of `/metrics`.
    #[cfg(target_os = "linux")]
    pub(crate) fn figure(&self, name: &str) -> u64 {
        let line = self.body.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("{name} is not in\n{}", self.body)).parse().unwrap()
    }
}

/// Sends a request on a connection of its own; the stream gives the answer.
pub(crate) fn ask(address: &str, path: &str) -> TcpStream {
    send(address, "GET", path, "")
}

/// The same with a method and a body.
pub(crate) fn send(address: &str, method: &str, path: &str, body: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let length = body.len();
    let head = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
    stream.write_all((head + body).as_bytes()).unwrap();
    stream
}

pub(crate) fn answer(mut stream: TcpStream) -> Response {
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{text:?}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Response { status, head: head.to_ascii_lowercase(), body: body.into() }
}

pub(crate) fn get(address: &str, path: &str) -> Response {
    answer(ask(address, path))
}

pub(crate) const HANDSHAKE: &str = "/socket.io/?EIO=4&transport=polling";

/// Looks again and again until it is so.
pub(crate) fn until(what: &str, is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "{what} does not come");
        std::thread::sleep(Duration::from_millis(10));
    }
}
