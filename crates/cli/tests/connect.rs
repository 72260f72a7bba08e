//! `sockeye connect` as a program: a person's lines, a script's lines, and how it ends.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use sockeye::{Raw, Refusal, Server};

/// A server in a thread of its own; its URL.
fn serve() -> String {
    let (told, heard) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let io = Server::new();
            io.on_with_ack("echo", async |_, args: Raw| args);
            io.on("bounce", async |socket, args: Raw| socket.emit("bounced", args));
            io.on("leave", async |socket, ()| socket.disconnect());
            io.of("/private").authorize(async |_, auth: Value| match auth["token"].as_str() {
                Some("right") => Ok(()),
                _ => Err(Refusal::new("wrong token")),
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
fn how_it_ends_is_told_by_its_code() {
    let url = serve();
    let private = format!("{url}/private");
    let refused = talk(&[&private, "--auth", r#"{"token":"wrong"}"#], "");
    assert_eq!(
        (refused.status.code(), texts(&refused).1.lines().last()),
        (Some(1), Some("sockeye: the server refused: wrong token"))
    );
    let admitted = talk(&[&private, "--auth", r#"{"token":"right"}"#], "");
    assert_eq!(admitted.status.code(), Some(0));
    let mut left = sockeye(&[&url]);
    let mut input = left.stdin.take().unwrap();
    input.write_all(b"leave\n").unwrap();
    let output = left.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(texts(&output).1.ends_with("sockeye: disconnected: io server disconnect\n"));
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let nobody = talk(&[&format!("http://127.0.0.1:{port}")], "");
    assert_eq!(nobody.status.code(), Some(1));
    assert!(texts(&nobody).1.contains("cannot be reached"));
    assert_eq!(talk(&[&url, "--auth", "7"], "").status.code(), Some(2));
    assert_eq!(talk(&["ftp://x"], "").status.code(), Some(1));
}
