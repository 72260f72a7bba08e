//! The binary as a program: what it prints and how it ends when it cannot do its work.

use std::net::TcpListener;
use std::process::{Command, Output};

fn sockeye(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sockeye")).args(words).output().unwrap()
}

fn errors(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

#[test]
fn a_port_in_use_is_one_clear_line_and_code_1() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let output = sockeye(&["serve", "--port", &port.to_string()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty(), "it says nothing of listening");
    assert!(errors(&output).starts_with(&format!("sockeye: port {port} is in use; ")), "{}", errors(&output));
    assert_eq!(errors(&output).lines().count(), 1);
}

#[test]
fn an_address_of_somebody_else_is_named() {
    let output = sockeye(&["serve", "--host", "192.0.2.1", "--port", "0"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(errors(&output).starts_with("sockeye: cannot listen on 192.0.2.1:0: "), "{}", errors(&output));
}

#[test]
fn an_unreadable_log_filter_is_named() {
    let output = sockeye(&["serve", "--log", "sockeye=loud"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(errors(&output).contains("sockeye=loud"), "{}", errors(&output));
}

#[test]
fn wrong_usage_is_code_2_and_no_command_shows_the_help() {
    assert_eq!(sockeye(&["serve", "--port", "70000"]).status.code(), Some(2));
    assert!(errors(&sockeye(&[])).contains("Commands:"));
}
