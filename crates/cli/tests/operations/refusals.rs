//! CVE-2026-59725: a refusal that did not end its response kept the connection. Here each of them gives its file
//! descriptor back, although the client holds on to its own end.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::running::{HANDSHAKE, Running, until};

/// How often each is tried, all at a time.
const TIMES: usize = 100;

const UPGRADE: &str = "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n\
    Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// A request that asks for the end of the connection.
fn request(method: &str, target: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
    )
}

/// What is refused, and how the answer begins. `SESSION` stands for the path of an open session.
fn refused() -> Vec<(String, &'static str)> {
    let binary = "Content-Type: application/octet-stream\r\n";
    let unknown = format!("{HANDSHAKE}&sid=AAAAAAAAAAAAAAAAAAAA");
    vec![
        (request("POST", "SESSION", binary, "40"), "HTTP/1.1 400 "),
        (request("POST", "SESSION", "", "x"), "HTTP/1.1 200 "),
        (request("POST", "SESSION", "", "b!!"), "HTTP/1.1 200 "),
        (request("POST", "SESSION", "", &"4".repeat(20_000)), "HTTP/1.1 413 "),
        (request("PUT", "SESSION", "", ""), "HTTP/1.1 500 "),
        (request("GET", &unknown, "", ""), "HTTP/1.1 400 "),
        (request("POST", &unknown, binary, "40"), "HTTP/1.1 400 "),
        (request("POST", HANDSHAKE, binary, "40"), "HTTP/1.1 400 "),
        (request("DELETE", HANDSHAKE, "", ""), "HTTP/1.1 400 "),
        (request("GET", "/socket.io/?EIO=3&transport=polling", "", ""), "HTTP/1.1 400 "),
        (request("GET", "/socket.io/?EIO=4&transport=pigeon", "", ""), "HTTP/1.1 400 "),
        (request("GET", "/socket.io/?EIO=4&transport=websocket", "", ""), "HTTP/1.1 400 "),
        (format!("{}\r\n", UPGRADE.replace("EIO=4", "EIO=7")), "HTTP/1.1 400 "),
        (format!("{}\r\n", UPGRADE.replace("Key: dGhl", "Key: ")), "HTTP/1.1 400 "),
        (
            format!("{}\r\n", UPGRADE.replace("websocket HTTP", "websocket&sid=AAAAAAAAAAAAAAAAAAAA HTTP")),
            "HTTP/1.1 400 ",
        ),
        (format!("{UPGRADE}Origin: https://evil.example\r\n\r\n"), "HTTP/1.1 403 "),
        ("not http\r\n\r\n".to_owned(), "HTTP/1.1 400 "),
        // A frame that is not masked, in the same piece as the request.
        (format!("{UPGRADE}\r\n\u{1}\0"), "HTTP/1.1 101 "),
    ]
}

#[test]
fn every_refusal_gives_its_descriptor_back() {
    let server = Running::start(&["--ping-interval", "0.5", "--ping-timeout", "1"]);
    let figure = |name: &str| server.get("/metrics").figure(name);
    let files = figure("process_open_fds");
    for (request, expected) in refused() {
        let mut clients: Vec<TcpStream> = (0..TIMES)
            .map(|_| {
                let request = if request.contains("SESSION") {
                    request.replace("SESSION", &server.open())
                } else {
                    request.clone()
                };
                let mut client = TcpStream::connect(&server.address).unwrap();
                client.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
                client.write_all(request.as_bytes()).unwrap();
                client
            })
            .collect();
        for client in &mut clients {
            // Until the server ends the connection.
            let mut told = Vec::new();
            client.read_to_end(&mut told).unwrap_or_else(|error| panic!("{request:?}: {error}"));
            assert!(told.starts_with(expected.as_bytes()), "{request:?}: {}", told.escape_ascii());
        }
        until("the end of its connections", || figure("process_open_fds") <= files);
        // Only now do the clients go.
        drop(clients);
    }
    until("the end of all sessions", || figure("sockeye_sessions") == 0);
}

/// The same where the client breaks off, at any byte of a request: it goes, or says no more and waits.
#[test]
fn every_request_that_breaks_off_gives_its_descriptor_back() {
    let server = Running::start(&["--ping-interval", "0.5", "--ping-timeout", "1"]);
    let figure = |name: &str| server.get("/metrics").figure(name);
    let files = figure("process_open_fds");
    for whole in
        [format!("{UPGRADE}\r\n"), request("POST", "SESSION", "", "42[\"e\"]"), request("GET", "SESSION", "", "")]
    {
        let mut clients = Vec::new();
        for end in 0..whole.len() {
            let request =
                if whole.contains("SESSION") { whole.replace("SESSION", "/socket.io/?sid=x") } else { whole.clone() };
            let mut client = TcpStream::connect(&server.address).unwrap();
            client.write_all(&request.as_bytes()[..end.min(request.len())]).unwrap();
            if end % 2 == 0 {
                client.shutdown(std::net::Shutdown::Write).unwrap();
                clients.push(client);
            }
        }
        until("the end of its connections", || figure("process_open_fds") <= files);
    }
    assert_eq!(figure("sockeye_sessions"), 0);
}
