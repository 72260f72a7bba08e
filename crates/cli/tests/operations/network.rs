//! A network that drops everything without a word, as firewalls, pulled cables and sleeping laptops do.
//!
//! Server and clients live in network namespaces of their own, with two links between them: one for the clients, which is
//! cut, and one on which the test watches. It is cut by telling both ends a wrong hardware address of the other: what they
//! send is dropped by the receiver, and neither of them learns of it.

use std::process::Command;

use crate::running::{HANDSHAKE, Running, answer, ask, get, send, until};
use crate::talker::{Connected, Talker, connect};

/// Set in the process that lives in a namespace of its own.
const INSIDE: &str = "SOCKEYE_TEST_IS_INSIDE";
/// Set by whoever cannot have namespaces and wants the rest of the tests.
const SKIP: &str = "SOCKEYE_TEST_WITHOUT_NAMESPACES";

const TIMED_OUT: &str = "sockeye_sessions_closed_total{reason=\"ping timeout\"}";

/// Runs the test of this name again, in a network namespace of its own: true in there.
fn is_inside(test: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    if std::env::var_os(SKIP).is_some() {
        eprintln!("NOT TESTED: {test}, because {SKIP} is set");
        return false;
    }
    let unshare = |options: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(options).arg("--");
        command
    };
    let works = |options: &[&str]| unshare(options).arg("true").output().is_ok_and(|output| output.status.success());
    let ways: [&[&str]; 2] = [&["--net"], &["--net", "--map-root-user"]];
    let Some(way) = ways.into_iter().find(|way| works(way)) else {
        panic!("no network namespace can be made here: run as root, or set {SKIP}=1 to go without this test");
    };
    let program = std::env::current_exe().unwrap();
    let run = unshare(way).arg(program).args([test, "--exact", "--nocapture"]).env(INSIDE, "1").output().unwrap();
    let told = [run.stdout, run.stderr].concat();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&told));
    assert!(String::from_utf8_lossy(&told).contains("1 passed"), "no test is called {test}");
    false
}

/// A server behind two links.
struct Far {
    server: Running,
}

/// Where the server is, on the link that is cut and on the other.
const DATA: &str = "10.77.0.2";
const WATCH: &str = "10.78.0.2";

impl Far {
    fn start(options: &[&str]) -> Self {
        let mut command = Command::new("unshare");
        command.args(["--net", "--", env!("CARGO_BIN_EXE_sockeye")]);
        let server = Running::start_by(command, &[&["--host", "0.0.0.0"], options].concat());
        let far = Self { server };
        let pid = far.server.child.id().to_string();
        ip(&["link", "set", "lo", "up"]);
        for (link, network) in [("data", "10.77.0"), ("watch", "10.78.0")] {
            ip(&["link", "add", link, "type", "veth", "peer", "name", link, "netns", &pid]);
            ip(&["addr", "add", &format!("{network}.1/24"), "dev", link]);
            far.ip(&["addr", "add", &format!("{network}.2/24"), "dev", link]);
            ip(&["link", "set", link, "up"]);
            far.ip(&["link", "set", link, "up"]);
        }
        far
    }

    fn at(&self, host: &str) -> String {
        format!("{host}:{}", self.server.address.rsplit(':').next().unwrap())
    }

    fn figure(&self, name: &str) -> u64 {
        get(&self.at(WATCH), "/metrics").figure(name)
    }

    /// Changes the network of the server.
    fn ip(&self, words: &[&str]) {
        let namespace = format!("--net=/proc/{}/ns/net", self.server.child.id());
        run(Command::new("nsenter").args([&namespace, "--", "ip"]).args(words));
    }

    fn cut(&self) {
        let wrong = ["lladdr", "02:00:00:00:00:99", "nud", "permanent", "dev", "data"];
        ip(&[&["neigh", "replace", DATA], &wrong[..]].concat());
        self.ip(&[&["neigh", "replace", "10.77.0.1"], &wrong[..]].concat());
    }

    fn mend(&self) {
        ip(&["neigh", "del", DATA, "dev", "data"]);
        self.ip(&["neigh", "del", "10.77.0.1", "dev", "data"]);
    }
}

/// Changes our own network.
fn ip(words: &[&str]) {
    run(Command::new("ip").args(words));
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}; is iproute2 installed?"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_network_that_drops_everything_is_noticed_by_both_ends() {
    if !is_inside("network::a_network_that_drops_everything_is_noticed_by_both_ends") {
        return;
    }
    let far = Far::start(&["--ping-interval", "0.5", "--ping-timeout", "2"]);
    let files = far.figure("process_open_fds");
    let data = far.at(DATA);
    // In every state: before CONNECT, a member, with half a message on its way, by polling, and our own client.
    let _stranger = Talker::open(&data).live();
    let _member = Talker::join(&data).live();
    let mut halfway = Talker::join(&data);
    halfway.send(&[&[0x81, 0xfe, 0xff, 0xff, 0, 0, 0, 0], &[b'4'; 10_000][..]].concat()).unwrap();
    let open = get(&data, HANDSHAKE);
    let path = format!("{HANDSHAKE}&sid={}", open.body.split('"').nth(3).unwrap());
    assert_eq!(answer(send(&data, "POST", &path, &connect())).status, 200);
    assert!(get(&data, &path).body.contains("40{"));
    let _waiting = ask(&data, &path);
    let client = Connected::start(&data);
    assert_eq!((far.figure("sockeye_sessions"), far.figure(TIMED_OUT)), (5, 0));
    far.cut();
    client.expect("\"waiting\"");
    until("the end of all sessions", || far.figure("sockeye_sessions") == 0);
    assert_eq!(far.figure(TIMED_OUT), 5);
    until("the file descriptors", || far.figure("process_open_fds") <= files);
    far.mend();
    client.expect("\"connected\"");
    assert_eq!(far.figure("sockeye_sessions"), 1);
}
