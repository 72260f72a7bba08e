//! No file descriptor is left: nobody new comes in for a while, and nobody who is here notices.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use crate::running::{HANDSHAKE, Running, get};

/// Opens a session on a connection that stays.
fn handshake(stream: &mut TcpStream) {
    stream.write_all(format!("GET {HANDSHAKE} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"}") {
        let mut buffer = [0; 1024];
        let length = stream.read(&mut buffer).expect("an answer");
        assert!(length > 0, "it was closed");
        answer.extend_from_slice(&buffer[..length]);
    }
    assert!(answer.starts_with(b"HTTP/1.1 200 "), "{}", answer.escape_ascii());
}

#[test]
fn a_server_without_descriptors_serves_those_who_are_there_and_recovers() {
    let mut shell = Command::new("sh");
    shell.args(["-c", "ulimit -n 64; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_sockeye")]);
    let server = Running::start_by(shell, &[]);
    let mut guest = TcpStream::connect(&server.address).unwrap();
    guest.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    handshake(&mut guest);
    let crowd: Vec<TcpStream> = (0..100).map(|_| TcpStream::connect(&server.address).unwrap()).collect();
    for _ in 0..20 {
        handshake(&mut guest);
    }
    drop(crowd);
    assert_eq!(get(&server.address, HANDSHAKE).status, 200);
    server.signal("KILL");
    let (_, log) = server.end();
    assert!(log.contains("no connection can be accepted"), "{log}");
}
