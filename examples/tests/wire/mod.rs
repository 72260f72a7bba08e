//! A program under test, and clients that say what the test says, letter by letter.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

/// Nothing on one machine takes as long; who waits longer has lost.
const PATIENCE: Duration = Duration::from_secs(20);
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A running example. It ends with this value.
pub(crate) struct Program {
    child: Child,
    address: String,
    /// Kept open, or the example could not print any more.
    _output: BufReader<ChildStdout>,
}

impl Program {
    /// Starts it on a free port and waits until it listens.
    pub(crate) fn start(path: &str) -> Self {
        let mut child = Command::new(path).arg("0").stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on http://").expect("it says where it listens").to_owned();
        Self { child, address, _output: output }
    }

    /// Where it is.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Opens a WebSocket session; its handshake has been read.
    pub(crate) fn connect(&self, query: &str) -> Client {
        let mut stream = self.open();
        write!(
            stream,
            "GET /socket.io/?EIO=4&transport=websocket{query} HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\n\
             Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            self.address
        )
        .unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&head));
        let mut client = Client { stream, id: String::new() };
        assert!(client.text().starts_with("0{\"sid\":\""));
        client
    }

    /// Opens a session and joins a namespace (`""` is the main one); the client knows the id of its socket.
    pub(crate) fn join(&self, namespace: &str) -> Client {
        let mut client = self.connect("");
        client.enter(namespace, "");
        client
    }

    /// The whole answer to a plain request.
    pub(crate) fn get(&self, target: &str) -> String {
        let mut stream = self.open();
        write!(stream, "GET {target} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.address).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn open(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// One WebSocket.
pub(crate) struct Client {
    stream: TcpStream,
    /// Of the socket that was joined last.
    pub(crate) id: String,
}

impl Client {
    /// Joins a namespace and reads the answer.
    pub(crate) fn enter(&mut self, namespace: &str, auth: &str) {
        let prefix = if namespace.is_empty() { "40".to_owned() } else { format!("40{namespace},") };
        self.send(&format!("{prefix}{auth}"));
        let answer = self.text();
        let id = answer.strip_prefix(&format!("{prefix}{{\"sid\":\"")).unwrap_or_else(|| panic!("{answer}"));
        id[..22].clone_into(&mut self.id);
    }

    pub(crate) fn send(&mut self, text: &str) {
        self.frame(0x81, text.as_bytes());
    }

    pub(crate) fn send_binary(&mut self, bytes: &[u8]) {
        self.frame(0x82, bytes);
    }

    #[track_caller]
    pub(crate) fn expect(&mut self, text: &str) {
        assert_eq!(self.text(), text);
    }

    #[track_caller]
    pub(crate) fn expect_binary(&mut self, bytes: &[u8]) {
        assert_eq!(self.next(), (0x82, bytes.to_vec()));
    }

    /// The next text message.
    #[track_caller]
    pub(crate) fn text(&mut self) -> String {
        let (first, payload) = self.next();
        assert_eq!(first, 0x81, "{payload:?}");
        String::from_utf8(payload).unwrap()
    }

    fn next(&mut self) -> (u8, Vec<u8>) {
        let mut head = [0; 2];
        self.stream.read_exact(&mut head).unwrap();
        let length = match head[1] {
            126 => {
                let mut length = [0; 2];
                self.stream.read_exact(&mut length).unwrap();
                usize::from(u16::from_be_bytes(length))
            }
            length => usize::from(length),
        };
        let mut payload = vec![0; length];
        self.stream.read_exact(&mut payload).unwrap();
        (head[0], payload)
    }

    fn frame(&mut self, first: u8, payload: &[u8]) {
        let length = u8::try_from(payload.len()).ok().filter(|length| *length < 126).expect("a short message");
        let mut bytes = vec![first, 0x80 | length];
        bytes.extend(MASK);
        bytes.extend(payload.iter().enumerate().map(|(at, byte)| byte ^ MASK[at % 4]));
        self.stream.write_all(&bytes).unwrap();
    }
}
