//! `sockeye connect` as a program: a person's lines, a script's lines, and how it ends.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use sockeye::{BoxError, Raw, Refusal, Server};

/// A server in a thread of its own; its URL.
fn serve() -> String {
    let (told, heard) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let io = Server::builder().allow_eio3(true).build().unwrap();
            io.on_with_ack("echo", async |_, args: Raw| args);
            io.on("bounce", async |socket, args: Raw| socket.emit("bounced", args));
            io.on("ask me", async |socket, ()| {
                let answer: Raw = socket.emit_with_ack("how many", "fish").await?;
                Ok::<_, BoxError>(socket.emit("so many", answer)?)
            });
            let everybody = io.clone();
            io.on_disconnect(async move |_, reason| everybody.emit("left", reason.to_string()));
            io.on("leave", async |socket, ()| socket.disconnect());
            io.of("/private").authorize(async |_, auth: Value| match auth["token"].as_str() {
                Some("right") => Ok(()),
                _ => Err(Refusal::new("wrong token").with_data("try\u{7f}again")),
            });
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            told.send(format!("http://{}", listener.local_addr().unwrap())).unwrap();
            io.serve(listener).await.unwrap();
        });
    });
    heard.recv().unwrap()
}

fn sockeye(words: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sockeye"));
    command.arg("connect").args(words);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Runs with these lines as input, to the end.
fn talk(words: &[&str], lines: &str) -> Output {
    let mut child = sockeye(words);
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn texts(output: &Output) -> (String, String) {
    (String::from_utf8(output.stdout.clone()).unwrap(), String::from_utf8(output.stderr.clone()).unwrap())
}

#[test]
fn questions_are_answered_before_it_ends() {
    let url = serve();
    for way in ["polling", "websocket", "polling,websocket"] {
        let arguments = r#"1 -2.5 "é" null [true,{"a":{"base64":"AP8="}}] {"base64":"none!"} null"#;
        let output = talk(&[&url, "--transport", way], &format!("?echo {arguments}\n?echo\n"));
        let (shown, notes) = texts(&output);
        assert!(shown.contains(&format!(" = echo {arguments}\n")) && shown.contains(" = echo\n"), "{shown}");
        assert!(notes.contains("* connected"), "{notes}");
        assert_eq!(output.status.code(), Some(0));
    }
}

#[test]
fn scripts_read_one_object_a_line() {
    let url = serve();
    let mut child = sockeye(&[&url, "--json"]);
    let mut input = child.stdin.take().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = |kind: &str| loop {
        let line: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        if line["kind"] == kind {
            return line;
        }
    };
    assert_eq!(next("state")["state"], "connected");
    input.write_all(b"bounce 7 null\n").unwrap();
    let event = next("event");
    assert_eq!((&event["event"], &event["args"]), (&"bounced".into(), &serde_json::json!([7, null])));
    input.write_all(b".what\n").unwrap();
    assert!(next("problem")["problem"].as_str().unwrap().contains(".what"));
    input.write_all(b".quit\n").unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn questions_of_the_server_are_answered() {
    let url = serve();
    for version in [&[][..], &["--eio3"]] {
        let mut child = sockeye(&[&[&*url, "--json"], version].concat());
        let mut input = child.stdin.take().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut next = |event: &str| loop {
            let line: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
            if line["event"] == event {
                return line;
            }
        };
        input.write_all(b"\"ask me\"\n").unwrap();
        let question = next("how many");
        assert_eq!((&question["args"], &question["question"]), (&serde_json::json!(["fish"]), &1.into()));
        input.write_all(b"#1 7 {\"base64\":\"AAE=\"}\n").unwrap();
        assert_eq!(next("so many")["args"], serde_json::json!([7, { "base64": "AAE=" }]));
        input.write_all(b"#1 8\n").unwrap();
        drop(input);
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{output:?}");
    }
}

#[cfg(unix)]
#[test]
fn a_person_at_a_terminal() {
    let url = serve();
    let (mut person, mut child) = terminal::run(&[&url]);
    person.sees("\u{1b}[34m* connected\u{1b}[0m\r\n");
    person.types("bounce 7 \"x\"\n");
    let shown = person.sees("\u{1b}[1;32mbounced\u{1b}[0m 7 \"x\"\r\n");
    let line = shown.lines().find(|line| line.contains("bounced")).unwrap();
    let time = line.strip_prefix("\u{1b}[2m").and_then(|line| line.split_once("\u{1b}[0m < ")).unwrap().0;
    let figures: Vec<usize> =
        time.split([':', '.']).map(|figures| figures.parse::<u32>().map_or(0, |_| figures.len())).collect();
    assert_eq!(figures, [2, 2, 2, 3], "a time of day: {time}");
    person.types("?echo true\n");
    person.sees(" = \u{1b}[1;36mecho\u{1b}[0m true\r\n");
    person.types("\"ask me\"\n");
    person.sees("\u{1b}[1;33m\"how many\" #1\u{1b}[0m \"fish\"\r\n");
    person.types("#1 5 0\n");
    person.sees("\"so many\"\u{1b}[0m 5 0\r\n");
    person.types(".what\n");
    person.sees("\u{1b}[31m! unknown command \".what\"; .help shows all\u{1b}[0m\r\n");
    person.types(".help\n");
    person.sees("Ctrl-D)\r\n");
    // Ctrl-D: the input ends.
    person.types("\u{4}");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn how_it_ends_is_told_by_its_code() {
    let url = serve();
    let private = format!("{url}/private");
    let refused = talk(&[&private, "--auth", r#"{"token":"wrong"}"#], "");
    assert_eq!(
        (refused.status.code(), texts(&refused).1.lines().last()),
        (Some(1), Some("sockeye: the server refused: wrong token \"try\u{fffd}again\""))
    );
    let admitted = talk(&[&private, "--auth", r#"{"token":"right"}"#], "");
    assert_eq!(admitted.status.code(), Some(0));
    let mut left = sockeye(&[&url]);
    let mut input = left.stdin.take().unwrap();
    input.write_all(b"leave\n").unwrap();
    let output = left.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        texts(&output)
            .1
            .ends_with("sockeye: disconnected: io server disconnect: the server disconnected this client\n")
    );
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let nobody = talk(&[&format!("http://127.0.0.1:{port}")], "");
    assert_eq!(nobody.status.code(), Some(1));
    assert!(texts(&nobody).1.contains("cannot be reached"));
    assert_eq!(talk(&[&url, "--auth", "7"], "").status.code(), Some(2));
    assert_eq!(talk(&["ftp://x"], "").status.code(), Some(2));
}

#[test]
fn scripts_read_why_it_ended() {
    let url = serve();
    let last = |words: &[&str], lines: &str| -> Value {
        let output = talk(&[words, &["--json"]].concat(), lines);
        let (shown, notes) = texts(&output);
        assert_eq!((output.status.code(), notes.as_str()), (Some(1), ""));
        serde_json::from_str(shown.lines().last().unwrap()).unwrap()
    };
    let refused = last(&[&format!("{url}/private")], "");
    assert_eq!(
        (&refused["kind"], &refused["failure"], &refused["data"]),
        (&"failure".into(), &"the server refused: wrong token".into(), &"try\u{7f}again".into())
    );
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    assert!(last(&[&format!("http://127.0.0.1:{port}")], "")["failure"].as_str().unwrap().contains("reached"));
}

#[test]
fn the_timeout_holds_for_the_whole_connect() {
    // The handshake succeeds each time, and each time the server ends the connection: it expects JSON.
    let output = talk(&[&serve(), "--msgpack", "--timeout", "1"], "");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
}

#[cfg(unix)]
#[test]
fn a_signal_disconnects_in_order() {
    let url = serve();
    for (signal, code) in [(rustix::process::Signal::INT, 130), (rustix::process::Signal::TERM, 143)] {
        let mut watcher = sockeye(&[&url, "--json"]);
        let mut lines = BufReader::new(watcher.stdout.take().unwrap()).lines();
        let mut until = |wanted: &str| while !lines.next().unwrap().unwrap().contains(wanted) {};
        until("connected");
        let mut child = sockeye(&[&url, "--json"]);
        // Held, because the end of the input would end it too.
        let _input = child.stdin.take();
        let mut shown = BufReader::new(child.stdout.take().unwrap()).lines();
        while !shown.next().unwrap().unwrap().contains("connected") {}
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, signal).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(code));
        until("client namespace disconnect");
        drop(watcher.stdin.take());
        assert_eq!(watcher.wait().unwrap().code(), Some(0));
    }
}

/// Gives up clients which are silent for 2 s, and tells of every number it gets, and that somebody has gone.
#[cfg(unix)]
fn impatient() -> (String, std::sync::mpsc::Receiver<Option<u32>>) {
    let (told, heard) = std::sync::mpsc::channel();
    let (url, listening) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let second = std::time::Duration::from_secs(1);
            let io = Server::builder().ping_interval(second).ping_timeout(second).build().unwrap();
            let gone = told.clone();
            io.on("n", async move |_, n: u32| told.send(Some(n)));
            io.on_disconnect(async move |_, _| gone.send(None));
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            url.send(format!("http://{}", listener.local_addr().unwrap())).unwrap();
            io.serve(listener).await.unwrap();
        });
    });
    (listening.recv().unwrap(), heard)
}

#[cfg(unix)]
#[test]
fn what_is_said_after_a_sleep_is_said_to_the_next_connection() {
    let ways = ["polling", "websocket", "polling,websocket"];
    let sleepers = ways.map(|way| {
        let sleeps = move || {
            let (url, heard) = impatient();
            let mut child = sockeye(&[&url, "--json", "--transport", way]);
            let mut input = child.stdin.take().unwrap();
            let mut shown = BufReader::new(child.stdout.take().unwrap()).lines();
            let mut until = |wanted: &str| loop {
                let line = shown.next().unwrap().unwrap();
                if line.contains(wanted) {
                    return line;
                }
            };
            until("connected");
            input.write_all(b"n 1\n").unwrap();
            assert_eq!(heard.recv().unwrap(), Some(1));
            let pid = rustix::process::Pid::from_child(&child);
            rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
            assert_eq!(heard.recv().unwrap(), None, "the server has given it up");
            input.write_all(b"n 2\nn 3\n").unwrap();
            rustix::process::kill_process(pid, rustix::process::Signal::CONT).unwrap();
            let lost: Value = serde_json::from_str(&until("waiting")).unwrap();
            assert!(lost["lost"].as_str().unwrap().contains(": "), "the reason and the cause: {lost}");
            assert_eq!((heard.recv().unwrap(), heard.recv().unwrap()), (Some(2), Some(3)), "{way}");
            drop(input);
            assert_eq!(child.wait().unwrap().code(), Some(0));
        };
        std::thread::spawn(sleeps)
    });
    for sleeper in sleepers {
        sleeper.join().unwrap();
    }
}

/// A pseudo-terminal, and somebody in front of it.
#[cfg(unix)]
mod terminal {
    use std::fs::{File, OpenOptions};
    use std::io::{Read, Write};
    use std::os::unix::ffi::OsStrExt;
    use std::process::{Child, Command};

    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

    pub(crate) struct Person {
        near: File,
        seen: Vec<u8>,
    }

    /// Runs `sockeye connect` in a terminal of its own.
    pub(crate) fn run(words: &[&str]) -> (Person, Child) {
        let near = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&near).unwrap();
        unlockpt(&near).unwrap();
        let name = ptsname(&near, Vec::new()).unwrap();
        let path = std::path::Path::new(std::ffi::OsStr::from_bytes(name.as_bytes()));
        let far = || OpenOptions::new().read(true).write(true).open(path).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_sockeye"));
        command.arg("connect").args(words).env_remove("NO_COLOR");
        let child = command.stdin(far()).stdout(far()).stderr(far()).spawn().unwrap();
        (Person { near: near.into(), seen: Vec::new() }, child)
    }

    impl Person {
        pub(crate) fn types(&mut self, text: &str) {
            self.near.write_all(text.as_bytes()).unwrap();
        }

        /// Waits until the terminal shows `text`; everything shown up to there since the last time.
        pub(crate) fn sees(&mut self, text: &str) -> String {
            loop {
                // A character may be cut by the end of a read.
                let shown = String::from_utf8_lossy(&self.seen).into_owned();
                if let Some(at) = shown.find(text) {
                    let end = at + text.len();
                    self.seen.drain(..end);
                    return shown[..end].to_owned();
                }
                let mut bytes = [0; 1024];
                let n = self.near.read(&mut bytes).unwrap_or_else(|error| panic!("{error} after {shown:?}"));
                self.seen.extend_from_slice(&bytes[..n]);
            }
        }
    }
}
