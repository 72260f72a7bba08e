//! The chat for the terminal, against the demo: two people talk.

use std::io::{BufRead, BufReader, Lines, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A running program, killed at the end.
struct Running {
    child: Child,
    input: Option<ChildStdin>,
    output: Lines<BufReader<ChildStdout>>,
}

impl Running {
    fn start(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { input: child.stdin.take(), output, child }
    }

    fn line(&mut self) -> String {
        self.output.next().expect("it has not ended").unwrap()
    }

    fn sees(&mut self, wanted: &str) {
        let mut line = self.line();
        // What else happens is shown in between.
        while !line.contains(wanted) {
            line = self.line();
        }
    }

    fn types(&mut self, line: &str) {
        writeln!(self.input.as_ref().unwrap(), "{line}").unwrap();
    }

    fn dies(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn ends(mut self, well: bool) {
        drop(self.input.take());
        assert_eq!(self.child.wait().unwrap().success(), well);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The program of another package, which a build of the workspace puts beside those of this one.
fn demo() -> PathBuf {
    let path = PathBuf::from(env!("CARGO_BIN_EXE_chat_client")).with_file_name("sockeye");
    if !path.exists() {
        let built =
            Command::new(env!("CARGO")).args(["build", "--quiet", "--package", "sockeye-cli"]).status().unwrap();
        assert!(built.success());
    }
    path
}

#[test]
fn two_people_talk() {
    let mut demo = Running::start(Command::new(demo()).args(["serve", "--port", "0"]));
    let line = demo.line();
    let url = line.split(' ').next_back().unwrap();
    assert!(url.starts_with("http://"), "{line}");
    let join = |nickname: &str| {
        let mut chat = Command::new(env!("CARGO_BIN_EXE_chat_client"));
        Running::start(chat.args([nickname, url]))
    };
    let mut ada = join("Ada");
    ada.sees("* here are: Ada");
    let mut bob = join("Bob");
    bob.sees("Ada");
    ada.types("hello, everybody");
    ada.sees("* sent as ");
    bob.sees("#lobby Ada: hello, everybody");
    bob.types("/to Ada between us");
    ada.sees("@Ada Bob: between us");
    bob.types("/to Nobody hello");
    bob.sees("* not sent: Nobody is offline");
    ada.types("/join fish");
    ada.types("nobody hears this");
    ada.sees("* sent as ");
    bob.types("/join fish");
    bob.sees("#fish Ada: nobody hears this");
    let mut twin = join("Ada");
    twin.sees("nickname taken");
    twin.ends(false);
    ada.types("/quit");
    bob.sees("* Ada has left");
    ada.ends(true);
    bob.ends(true);
}

#[test]
fn who_comes_back_is_in_the_same_room() {
    let serve = |port: &str| {
        let mut demo = Running::start(Command::new(demo()).args(["serve", "--port", port]));
        let line = demo.line();
        (demo, line.split(' ').next_back().unwrap().to_owned())
    };
    let (first, url) = serve("0");
    let chat = |nickname: &str| {
        let mut chat = Command::new(env!("CARGO_BIN_EXE_chat_client"));
        Running::start(chat.args([nickname, &url]))
    };
    let mut ada = chat("Ada");
    ada.sees("* here are: Ada");
    ada.types("/join fish");
    ada.types("in the room");
    ada.sees("* sent as ");
    first.dies();
    ada.sees("* disconnected: ");
    ada.types("typed meanwhile");
    let port = url.rsplit(':').next().unwrap().trim_end_matches('/');
    let (second, _) = serve(port);
    // To a room which she is not in, nothing is sent.
    ada.sees("* sent as ");
    ada.ends(true);
    drop(second);
}
