//! Clients: one that speaks WebSocket byte by byte, and `sockeye connect`.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

/// A CONNECT as the demo wants it: everybody has a name.
pub(crate) fn connect() -> String {
    format!("40{}", identity())
}

fn identity() -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let name = format!("guest {}", NEXT.fetch_add(1, Ordering::Relaxed));
    format!("{{\"nickname\":\"{name}\",\"key\":\"{name}\",\"rooms\":[]}}")
}

/// A WebSocket session.
pub(crate) struct Talker(TcpStream);

impl Talker {
    /// Opens a session.
    pub(crate) fn open(address: &str) -> Self {
        let mut stream = TcpStream::connect(address).unwrap();
        let head = "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n\
            Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            answer.push(byte[0]);
        }
        assert!(answer.starts_with(b"HTTP/1.1 101 "), "{}", answer.escape_ascii());
        let mut talker = Self(stream);
        assert!(talker.hear().unwrap().starts_with("0{"));
        talker
    }

    /// Opens a session and joins the main namespace.
    pub(crate) fn join(address: &str) -> Self {
        let mut talker = Self::open(address);
        talker.say(&connect()).unwrap();
        assert!(talker.hear().unwrap().starts_with("40{"));
        talker
    }

    /// Sends a short text, masked by zeros.
    pub(crate) fn say(&mut self, text: &str) -> io::Result<()> {
        let length = u8::try_from(text.len()).expect("a short text");
        self.send(&[&[0x81, 0x80 | length, 0, 0, 0, 0], text.as_bytes()].concat())
    }

    /// Sends bytes as they are.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }

    /// The next text, which is short.
    fn hear(&mut self) -> io::Result<String> {
        let mut head = [0; 2];
        self.0.read_exact(&mut head)?;
        let length = match head {
            [0x81, 126] => {
                let mut length = [0; 2];
                self.0.read_exact(&mut length)?;
                u16::from_be_bytes(length).into()
            }
            [0x81, length] => usize::from(length),
            _ => return Err(io::ErrorKind::InvalidData.into()),
        };
        let mut text = vec![0; length];
        self.0.read_exact(&mut text)?;
        Ok(String::from_utf8(text).expect("text"))
    }

    /// Answers pings from now on, in a thread of its own: how many there were.
    pub(crate) fn live(mut self) -> Arc<AtomicUsize> {
        let pings = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&pings);
        std::thread::spawn(move || {
            while let Ok(text) = self.hear() {
                if text == "2" && self.say("3").is_ok() {
                    counted.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        pings
    }
}

/// `sockeye connect` in a process of its own.
pub(crate) struct Connected {
    pub(crate) child: Child,
    lines: Receiver<String>,
    /// It ends with its input.
    _input: ChildStdin,
}

impl Connected {
    pub(crate) fn start(address: &str) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_sockeye"))
            .args(["connect", &format!("http://{address}"), "--json", "--auth", &identity()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, lines) = mpsc::channel();
        let output = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                drop(sender.send(line));
            }
        });
        let input = child.stdin.take().unwrap();
        let connected = Self { child, lines, _input: input };
        connected.expect("\"connected\"");
        connected
    }

    /// Waits for a line that has this in it.
    pub(crate) fn expect(&self, part: &str) {
        while let Ok(line) = self.lines.recv_timeout(Duration::from_secs(60)) {
            if line.contains(part) {
                return;
            }
        }
        panic!("{part} does not come");
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        // Fails if it has ended, and then there is nothing to do.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
