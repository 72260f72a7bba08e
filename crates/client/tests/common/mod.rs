//! A network in memory whose lines can be cut, and whose server can go and come back. Time is virtual.
#![allow(dead_code, reason = "each test file uses a part of it")]

mod wire;

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use sockeye::Server;
use sockeye_client::{Client, ClientBuilder, Transport};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

pub(crate) use wire::Wire;
use wire::{Line, pair};

/// What becomes of a stream which a client opens.
#[derive(Clone)]
pub(crate) enum Far {
    /// Nothing answers, not even with a refusal.
    Hangs,
    /// The connection is refused.
    Refuses,
    /// A script serves it.
    Script(Script),
    /// A Sockeye server serves it.
    Server(Server),
}

type Script = Arc<dyn Fn(Wire) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

#[derive(Clone)]
pub(crate) struct Net(Arc<Shared>);

struct Shared {
    far: Mutex<Far>,
    lines: Mutex<Vec<Arc<Line>>>,
    /// Bytes after which the next lines are cut; used up in turn.
    budgets: Mutex<Vec<usize>>,
    dials: AtomicUsize,
}

impl Net {
    pub(crate) fn new(far: Far) -> Self {
        let (lines, budgets) = (Mutex::default(), Mutex::default());
        Self(Arc::new(Shared { far: Mutex::new(far), lines, budgets, dials: AtomicUsize::new(0) }))
    }

    pub(crate) fn with(server: &Server) -> Self {
        Self::new(Far::Server(server.clone()))
    }

    /// A server which is a script for each stream.
    pub(crate) fn script<F, Fut>(script: F) -> Self
    where
        F: Fn(Wire) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        Self::new(Far::Script(Arc::new(move |wire| Box::pin(script(wire)))))
    }

    pub(crate) fn set(&self, far: Far) {
        *self.0.far.lock() = far;
    }

    /// The next streams are cut after so many bytes, both directions together.
    pub(crate) fn cut_after(&self, budgets: impl IntoIterator<Item = usize>) {
        *self.0.budgets.lock() = budgets.into_iter().collect();
    }

    /// Cuts all streams that are open.
    pub(crate) fn cut(&self) {
        self.0.lines.lock().drain(..).for_each(|line| line.cut());
    }

    /// Lets nothing pass any more on the streams which are open, in either direction, without closing them.
    pub(crate) fn freeze(&self) {
        self.0.lines.lock().iter().for_each(|line| line.freeze());
    }

    /// Bytes that have passed on the streams which are open, in both directions.
    pub(crate) fn bytes(&self) -> usize {
        self.0.lines.lock().iter().map(|line| line.bytes()).sum()
    }

    /// Streams opened so far, successfully or not.
    pub(crate) fn dials(&self) -> usize {
        self.0.dials.load(Ordering::Relaxed)
    }

    /// Streams which the client has not closed.
    pub(crate) fn open(&self) -> usize {
        self.0.lines.lock().iter().filter(|line| line.is_held()).count()
    }

    /// A client in this network.
    pub(crate) fn client(&self) -> ClientBuilder {
        self.client_of("http://server.test")
    }

    pub(crate) fn client_of(&self, url: &str) -> ClientBuilder {
        let net = self.clone();
        Client::builder(url).dial_with(move |_, _| {
            let net = net.clone();
            async move { net.dial().await }
        })
    }

    pub(crate) async fn dial(self) -> io::Result<Wire> {
        self.0.dials.fetch_add(1, Ordering::Relaxed);
        let far = self.0.far.lock().clone();
        let budget = {
            let mut budgets = self.0.budgets.lock();
            if budgets.is_empty() { None } else { Some(budgets.remove(0)) }
        };
        let open = |budget| {
            let (near, far, line) = pair(budget);
            self.0.lines.lock().push(line);
            (near, far)
        };
        match far {
            Far::Hangs => std::future::pending().await,
            Far::Refuses => Err(io::ErrorKind::ConnectionRefused.into()),
            Far::Script(script) => {
                let (near, far) = open(budget);
                tokio::spawn(script(far));
                Ok(near)
            }
            Far::Server(server) => {
                let (near, far) = open(budget);
                tokio::spawn(async move { server.serve_stream(far, None).await });
                Ok(near)
            }
        }
    }
}

/// Every way of carrying messages.
pub(crate) const WAYS: [&[Transport]; 4] = [
    &[Transport::Polling],
    &[Transport::Websocket],
    &[Transport::Polling, Transport::Websocket],
    &[Transport::Websocket, Transport::Polling],
];

/// Lets everything run that can run without time passing.
pub(crate) async fn settle() {
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
}

/// Lets time pass.
pub(crate) async fn pass(time: Duration) {
    tokio::time::sleep(time).await;
}

pub(crate) const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Tasks of the runtime besides the test itself.
pub(crate) fn tasks() -> usize {
    tokio::runtime::Handle::current().metrics().num_alive_tasks()
}

/// Reads the head of an HTTP request.
pub(crate) async fn read_head(wire: &mut Wire) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match wire.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8(head).expect("a head is ASCII")
}

/// Reads the head of an HTTP request, and puts it back.
pub(crate) async fn peek_head(wire: &mut Wire) -> String {
    let head = read_head(wire).await;
    wire.put_back(head.as_bytes());
    head
}

/// Answers every request on a stream with the same bytes.
pub(crate) async fn answer_all(mut wire: Wire, answer: &[u8]) {
    loop {
        if read_head(&mut wire).await.is_empty() || wire.write_all(answer).await.is_err() {
            return;
        }
    }
}

/// A whole HTTP response.
pub(crate) fn response(status: &str, headers: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n{headers}\r\n{body}", body.len()).into_bytes()
}

/// Opens the WebSocket which a client asks for: its response head.
pub(crate) fn switching(request: &str, headers: &str) -> Vec<u8> {
    let key = request.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).expect("a WebSocket request");
    let accept = sockeye_engine::ws::handshake::accept_key(key.as_bytes());
    let accept = std::str::from_utf8(&accept).expect("base64").to_owned();
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n{headers}\r\n"
    )
    .into_bytes()
}

/// A short text frame of a server.
pub(crate) fn text(payload: &str) -> Vec<u8> {
    let mut frame = Vec::new();
    sockeye_engine::ws::encode(&mut frame, sockeye_engine::ws::Opcode::Text, false, payload.as_bytes());
    frame
}

/// An OPEN packet without upgrades.
pub(crate) const OPEN: &str =
    r#"0{"sid":"abc","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#;
