//! SIGTERM, when everything that can be stuck is.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use sockeye::{Server, Socket};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::running::{HANDSHAKE, Running, answer, ask, get, send};
use crate::talker::{Talker, connect};

/// Set in the process that serves.
const SERVES: &str = "SOCKEYE_TEST_SERVES";
const GRACE: Duration = Duration::from_secs(2);

/// So many of each kind.
const MANY: usize = 20;

/// Clients of every kind that a server might wait for; the polls that it must answer are given apart.
struct Stuck {
    _streams: Vec<TcpStream>,
    _talkers: Vec<Talker>,
    polls: Vec<TcpStream>,
}

/// A session of its own, in the main namespace.
fn session(address: &str) -> String {
    let open = get(address, HANDSHAKE);
    let path = format!("{HANDSHAKE}&sid={}", open.body.split('"').nth(3).unwrap());
    assert_eq!(answer(send(address, "POST", &path, &connect())).status, 200);
    assert!(get(address, &path).body.starts_with("40{"));
    path
}

fn raw(address: &str, bytes: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(bytes.as_bytes()).unwrap();
    stream
}

impl Stuck {
    fn at(address: &str) -> Self {
        let mut streams = Vec::new();
        for _ in 0..MANY {
            let path = session(address);
            streams.push(raw(address, "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHo"));
            streams.push(raw(address, &format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n42[")));
            // One that goes over, and has asked whether it may; the frame has a mask of zeros.
            let path = session(address).replace("=polling", "=websocket");
            let head = "Host: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
            let mut upgrading = raw(address, &format!("GET {path} HTTP/1.1\r\n{head}"));
            upgrading.write_all(b"\x81\x86\0\0\0\x002probe").unwrap();
            streams.push(upgrading);
        }
        // These read nothing more, and never answer a close frame.
        let mut talkers: Vec<_> = (0..MANY).map(|_| Talker::join(address)).collect();
        talkers.extend((0..MANY).map(|_| Talker::open(address)));
        let polls = (0..10 * MANY).map(|_| ask(address, &session(address))).collect();
        Self { _streams: streams, _talkers: talkers, polls }
    }

    fn are_answered(self) {
        for poll in self.polls {
            let answer = answer(poll);
            assert_eq!(answer.status, 200);
        }
    }
}

fn assert_ended(began: Instant, status: ExitStatus, log: &str) {
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
}

#[test]
fn clients_that_are_stuck_do_not_hold_the_process() {
    let server = Running::start(&["--grace", "2"]);
    let stuck = Stuck::at(&server.address);
    let began = Instant::now();
    server.signal("TERM");
    stuck.are_answered();
    let (status, log) = server.end();
    assert_ended(began, status, &log);
    assert!(log.contains("stopped"), "{log}");
}

/// The same with handlers: here a program serves that has some which never end.
#[test]
fn handlers_that_are_stuck_do_not_hold_the_process() {
    if std::env::var_os(SERVES).is_some() {
        return serve();
    }
    let test = "stopping::handlers_that_are_stuck_do_not_hold_the_process";
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([test, "--exact", "--nocapture"]).env(SERVES, "1").stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut words = lines.filter_map(|line| line.split_once("SERVES ").map(|(_, word)| word.to_owned()));
    let address = words.next().expect("an address");
    let monitor = None;
    let server = Running { child, address, monitor };
    let stuck = Stuck::at(&server.address);
    let mut talkers = Vec::new();
    for said in
        ["42[\"stuck\"]", "42[\"asking\"]", "42[\"blocking\"]", "40/connecting,", "40/undecided,", "40/leaving,"]
    {
        let mut talker = Talker::join(&server.address);
        talker.say(said).unwrap();
        talkers.push(talker);
    }
    // Four that are called at once, and one that has let a client in.
    assert_eq!(words.by_ref().take(5).filter(|word| word == "CALLED").count(), 5);
    let began = Instant::now();
    server.signal("TERM");
    stuck.are_answered();
    assert!(words.any(|word| word == "CLOSED"));
    let (status, log) = server.end();
    assert_ended(began, status, &log);
    drop(talkers);
}

fn say(word: &str) {
    println!("SERVES {word}");
}

/// Serves until SIGTERM.
fn serve() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
    // A worker may be blocked in the moment in which it alone looks for events of the system, and tokio does not notice
    // before another one has something to do.
    let handle = runtime.handle().clone();
    std::thread::spawn(move || {
        loop {
            drop(handle.spawn(async {}));
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    runtime.block_on(async {
        let io = Server::new();
        io.on("stuck", async |_, (): ()| stuck().await);
        io.on("blocking", async |_, (): ()| {
            say("CALLED");
            std::thread::sleep(Duration::from_secs(600));
        });
        io.on("asking", async |socket: Socket, (): ()| {
            say("CALLED");
            drop(socket.emit_with_ack::<_, ()>("well", ()).timeout(Duration::from_secs(600)).await);
        });
        io.of("/connecting").on_connect(async |_| stuck().await);
        io.of("/undecided").authorize(async |_, _: serde_json::Value| std::future::pending().await);
        io.of("/leaving").on_connect(async |_| say("CALLED")).on_disconnect(async |_, _| stuck().await);
        let mut terminated = signal(SignalKind::terminate()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        say(&listener.local_addr().unwrap().to_string());
        let server = io.clone();
        tokio::spawn(async move { server.serve(listener).await });
        terminated.recv().await;
        io.close(GRACE).await;
        say("CLOSED");
    });
    // A thread that is blocked would be waited for.
    runtime.shutdown_background();
}

async fn stuck() {
    say("CALLED");
    std::future::pending::<()>().await;
}
