//! HTTP/1 as the own accept loop speaks it.                                                             [RFC 9112]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use sockeye::{Cors, DisconnectReason, Server, Socket};
use sockeye_testing::Net;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use crate::wire::{HANDSHAKE, Wire};

fn echo() -> Server {
    let io = Server::new();
    io.on("echo", async |socket: Socket, text: String| socket.emit("echo", text));
    io
}

/// A polling session in the main namespace, and its URI.
async fn joined(io: &Server) -> (Wire, String) {
    let mut wire = Wire::open(io);
    let uri = format!("{HANDSHAKE}&sid={}", wire.get(HANDSHAKE).await.sid());
    assert_eq!(wire.post(&uri, "text/plain", "40").await.text(), "ok");
    assert!(wire.get(&uri).await.text().starts_with("40{"));
    (wire, uri)
}

/// A connection on which nothing is read unasked, with room for so much each way.
fn pipe(io: &Server, room: usize) -> (DuplexStream, tokio::task::JoinHandle<()>) {
    let (ours, theirs) = tokio::io::duplex(room);
    let io = io.clone();
    (ours, tokio::spawn(async move { io.serve_stream(theirs, None).await }))
}

#[tokio::test]
async fn bodies_may_come_in_chunks() {
    let io = echo();
    let (mut wire, uri) = joined(&io).await;
    let head = format!("POST {uri} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    wire.write(format!("{head}5\r\n42[\"e\r\n")).await;
    for byte in "b;x=y\r\ncho\",\"abc\"]\r\n0\r\nX-Sum: 1\r\n\r\n".bytes() {
        wire.write([byte]).await;
    }
    assert_eq!(wire.response().await.text(), "ok");
    assert_eq!(wire.get(&uri).await.text(), "42[\"echo\",\"abc\"]", "the connection goes on");
    // What is no chunk loses what was to be said: the session cannot go on.
    wire.write(format!("{head}5\n42[\"e")).await;
    let refused = wire.response().await;
    assert_eq!((refused.status, refused.header("connection").as_str()), (400, "close"));
    let gone = Wire::open(&io).get(&uri).await;
    assert_eq!((gone.status, gone.text()), (400, "{\"code\":1,\"message\":\"Session ID unknown\"}"));
}

#[tokio::test]
async fn a_body_without_a_certain_end_is_refused() {
    let io = echo();
    for (lines, status) in [
        ("Content-Length: 2\r\nTransfer-Encoding: chunked\r\n", 400),
        ("Content-Length: 2\r\nContent-Length: 3\r\n", 400),
        ("Content-Length: x\r\n", 400),
        ("Transfer-Encoding: gzip, chunked\r\n", 501),
    ] {
        let (wire, uri) = joined(&io).await;
        let mut other = Wire::open(&io);
        other.write(format!("POST {uri} HTTP/1.1\r\nHost: x\r\n{lines}\r\n2\r\n40\r\n0\r\n\r\n")).await;
        let refused = other.response().await;
        assert_eq!((refused.status, refused.header("connection").as_str()), (status, "close"), "{lines}");
        assert_eq!(other.rest().await, "", "what follows is not taken for a request");
        drop(wire);
    }
}

/// [RFC 9112 §3.2]: what asks none, or two, is refused before anything is done; the session it asks goes on.
#[tokio::test]
async fn a_request_without_one_host_is_refused() {
    let io = echo();
    let (mut wire, uri) = joined(&io).await;
    for lines in ["", "X-Host: x\r\n", "Host: x\r\nHost: y\r\n", "Host: x\r\nAccept: */*\r\nhost: x\r\n"] {
        for target in [HANDSHAKE, uri.as_str(), "/elsewhere"] {
            let mut other = Wire::open(&io);
            other.write(format!("GET {target} HTTP/1.1\r\n{lines}\r\nGET {target} HTTP/1.1\r\nHost: x\r\n\r\n")).await;
            let refused = other.response().await;
            assert_eq!((refused.status, refused.header("connection").as_str()), (400, "close"), "{target} {lines}");
            assert_eq!(other.rest().await, "");
        }
        let mut other = Wire::open(&io);
        other.write(format!("POST {uri} HTTP/1.1\r\n{lines}Content-Length: 16\r\n\r\n42[\"echo\",\"abc\"]")).await;
        assert_eq!(other.response().await.status, 400, "{lines}");
    }
    assert_eq!(io.metrics().sessions, 1);
    // An empty one is one: the client has no name for us.
    let mut other = Wire::open(&io);
    other.write(format!("POST {uri} HTTP/1.1\r\nhOST:\r\nContent-Length: 16\r\n\r\n42[\"echo\",\"abc\"]")).await;
    assert_eq!(other.response().await.text(), "ok");
    assert_eq!(wire.get(&uri).await.text(), "42[\"echo\",\"abc\"]", "only what was taken");
}

#[tokio::test]
async fn clients_that_wait_to_be_asked_for_the_body_are_asked() {
    let io = echo();
    let (mut wire, uri) = joined(&io).await;
    wire.write(format!("POST {uri} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 16\r\n\r\n")).await;
    assert_eq!(wire.head().await.status, 100);
    wire.write("42[\"echo\",\"abc\"]").await;
    assert_eq!(wire.response().await.text(), "ok");
    // Nobody asks for a body which is too long.
    wire.write(format!("POST {uri} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 9999999\r\n\r\n"))
        .await;
    assert_eq!(wire.response().await.status, 413);
}

#[tokio::test]
async fn old_clients_get_a_connection_for_each_request_unless_they_ask() {
    let io = echo();
    let mut wire = Wire::open(&io);
    wire.write(format!("GET {HANDSHAKE} HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")).await;
    let response = wire.response().await;
    assert_eq!((response.header("connection").as_str(), response.sid().len()), ("keep-alive", 22));
    wire.write(format!("GET {HANDSHAKE} HTTP/1.0\r\n\r\n")).await;
    let response = wire.response().await;
    assert_eq!((response.header("connection").as_str(), response.sid().len()), ("close", 22));
    assert_eq!(wire.rest().await, "");
}

#[tokio::test]
async fn the_last_response_says_so() {
    let io = echo();
    let mut wire = Wire::open(&io);
    let response = wire.request("GET", HANDSHAKE, &["Connection: close"]).await;
    assert_eq!((response.status, response.header("connection").as_str()), (200, "close"));
    assert!(response.header("date").ends_with(" GMT"), "{response:?}");
    assert_eq!(wire.rest().await, "");
}

#[tokio::test]
async fn a_body_that_nobody_wants_is_passed_over() {
    let io = echo();
    let mut wire = Wire::open(&io);
    assert_eq!(wire.post("/elsewhere", "text/plain", "GET / HTTP/1.1\r\n\r\n").await.status, 404);
    assert_eq!(wire.get(HANDSHAKE).await.sid().len(), 22, "the connection goes on behind it");
    // Also if it has not come yet.
    for (line, rest) in
        [("Content-Length: 16384", "x".repeat(16_381)), ("Transfer-Encoding: chunked", "\r\n0\r\n\r\n".into())]
    {
        wire.write(format!("POST /elsewhere HTTP/1.1\r\nHost: x\r\n{line}\r\n\r\n3\r\n")).await;
        let rest = if line.starts_with('C') { rest } else { format!("abc{rest}") };
        assert_eq!(wire.response().await.status, 404);
        wire.write(rest).await;
        assert_eq!(wire.get(HANDSHAKE).await.sid().len(), 22, "{line}");
    }
    // Of a long one the rest is not waited for, nor of one that is to be asked for.
    for lines in ["Content-Length: 16385", "Expect: 100-continue\r\nContent-Length: 3"] {
        let mut wire = Wire::open(&io);
        wire.write(format!("POST /elsewhere HTTP/1.1\r\nHost: x\r\n{lines}\r\n\r\n")).await;
        let response = wire.response().await;
        assert_eq!((response.status, response.header("connection").as_str()), (404, "close"), "{lines}");
    }
}

#[tokio::test]
async fn empty_lines_before_a_request_are_nothing() {
    let io = echo();
    let mut wire = Wire::open(&io);
    wire.write("\r\n\n\r\n").await;
    assert_eq!(wire.get(HANDSHAKE).await.sid().len(), 22);
    wire.write("\r\n\r\n\r\n").await;
    assert_eq!(wire.get(HANDSHAKE).await.sid().len(), 22);
}

#[tokio::test]
async fn a_request_may_come_byte_by_byte() {
    let io = echo();
    let (mut wire, uri) = joined(&io).await;
    let post = format!("POST {uri} HTTP/1.1\r\nHost: x\r\nX: \r\nContent-Length: 16\r\n\r\n42[\"echo\",\"abc\"]");
    for byte in format!("{post}GET {uri} HTTP/1.1\nHost: x\n\n").bytes() {
        wire.write([byte]).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(wire.response().await.text(), "ok");
    assert_eq!(wire.response().await.text(), "42[\"echo\",\"abc\"]");
}

/// What follows a GET that waits is read as far as 2 KiB and no further.
#[tokio::test(start_paused = true)]
async fn requests_that_follow_are_not_read_without_a_bound() {
    let io = echo();
    let (_wire, uri) = joined(&io).await;
    let (mut pipe, _serving) = pipe(&io, 1024);
    let get = format!("GET {uri} HTTP/1.1\r\nHost: x\r\n\r\n");
    let (mut written, begun) = (0, tokio::time::Instant::now());
    // The session is pinged after 25 s, which answers the first.
    while let Ok(more) = tokio::time::timeout(Duration::from_secs(1), pipe.write(get.as_bytes())).await {
        written += more.unwrap();
    }
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert!((2 * 1024..4 * 1024).contains(&written), "{written} bytes were taken");
    assert_eq!(io.metrics().sessions, 1);
}

/// A client that goes away while its GET waits takes its session with it.
#[tokio::test(start_paused = true)]
async fn who_hangs_up_while_a_get_waits_has_left() {
    let io = echo();
    let net = Net::new(&io);
    let (wire, uri) = joined(&io).await;
    let (mut pipe, serving) = pipe(&io, 1024);
    pipe.write_all(format!("GET {uri} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await.unwrap();
    net.advance(Duration::from_secs(1)).await;
    assert_eq!(io.metrics().sessions, 1);
    drop(pipe);
    net.advance(Duration::ZERO).await;
    assert!(serving.is_finished());
    assert_eq!(io.metrics().sessions, 0);
    drop(wire);
}

/// Closing at once would have some systems throw the answer away, and some clients give up before they look for one.
#[tokio::test]
async fn who_is_still_sending_gets_the_refusal() {
    let io = echo();
    let (_wire, uri) = joined(&io).await;
    for (head, status) in [
        (format!("POST {uri} HTTP/1.1\r\nHost: x\r\nContent-Length: 2000000\r\n\r\n"), 413),
        ("POST /elsewhere HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nfffff\r\n".into(), 404),
        ("GET / HTTP/1.1\r\nHost\r\n".to_owned(), 400),
        (format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(20_000)), 431),
    ] {
        let (mut pipe, serving) = pipe(&io, 1024);
        pipe.write_all(head.as_bytes()).await.unwrap();
        // Proxies read no answer before they have passed on all that they have.
        let length = if status == 413 || status == 404 { 1_900_000 } else { 100_000 };
        pipe.write_all("x".repeat(length).as_bytes()).await.expect("it is taken");
        pipe.shutdown().await.unwrap();
        let mut answer = String::new();
        pipe.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer:?}");
        serving.await.unwrap();
    }
    assert_eq!(io.metrics().sessions, 1);
}

/// Whoever goes on for ever is not listened to for ever.
#[tokio::test]
async fn who_does_not_stop_sending_is_cut_off() {
    let io = echo();
    let (mut pipe, serving) = pipe(&io, 1024);
    pipe.write_all(b"GET / HTTP/1.1\r\nHost\r\n").await.unwrap();
    assert!(pipe.write_all("x".repeat(1_000_000).as_bytes()).await.is_err());
    serving.await.unwrap();
    let (mut pipe, serving) = self::pipe(&io, 1024);
    pipe.write_all(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 20000000\r\n\r\n").await.unwrap();
    assert!(pipe.write_all("x".repeat(20_000_000).as_bytes()).await.is_err());
    serving.await.unwrap();
}

/// An answer may be longer than what the client takes at a time.
#[tokio::test]
async fn long_answers_come_whole() {
    let io = Server::new();
    let (_wire, uri) = joined(&io).await;
    for length in [10, 1_000, 16_370, 16_371, 300_000] {
        io.emit("long", "x".repeat(length)).unwrap();
        let (mut pipe, _serving) = pipe(&io, 100);
        pipe.write_all(format!("GET {uri} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes()).await.unwrap();
        let mut answer = String::new();
        pipe.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert_eq!(body.len(), length + 13, "{head}");
        assert!(head.contains(&format!("content-length: {}\r\n", length + 13)), "{head}");
    }
}

/// What was taken for an answer that did not get out is lost: going on as if it had come would hide that.
#[tokio::test(start_paused = true)]
async fn an_answer_that_cannot_be_written_ends_its_session() {
    // With a header for pages of other origins, requests take the long way.
    for cors in [Cors::same_origin(), Cors::any_origin()] {
        let io = Server::builder().cors(cors).build().unwrap();
        let reasons = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&reasons);
        io.on_disconnect(async move |_: Socket, reason: DisconnectReason| {
            seen.lock().unwrap().push(reason.to_string());
        });
        let net = Net::new(&io);
        let (wire, uri) = joined(&io).await;
        let (mut pipe, serving) = pipe(&io, 1024);
        pipe.write_all(format!("GET {uri} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await.unwrap();
        net.advance(Duration::from_millis(1)).await;
        io.emit("long", "x".repeat(10_000)).unwrap();
        net.advance(Duration::from_millis(1)).await;
        drop(pipe);
        serving.await.unwrap();
        net.advance(Duration::from_millis(1)).await;
        assert_eq!(*reasons.lock().unwrap(), ["transport error"]);
        assert_eq!(io.metrics().sessions, 0);
        drop(wire);
    }
}

/// Connections that wait for a request see the end also when sessions take their time to end.
#[tokio::test(start_paused = true)]
async fn an_idle_connection_ends_with_the_last_session() {
    let io = Server::new();
    io.on_disconnect(async |_: Socket, _| tokio::time::sleep(Duration::from_secs(2)).await);
    let (mut busy, busy_uri) = joined(&io).await;
    let (mut idle, serving) = pipe(&io, 1024);
    idle.write_all(b"GET /elsewhere HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut answer = [0; 1024];
    assert!(idle.read(&mut answer).await.unwrap() > 0);
    let server = io.clone();
    let closing = tokio::spawn(async move { server.close(Duration::from_secs(10)).await });
    assert_eq!(busy.get(&busy_uri).await.text(), "1");
    let began = tokio::time::Instant::now();
    assert_eq!(idle.read(&mut answer).await.unwrap(), 0);
    serving.await.unwrap();
    closing.await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
}

/// Compressing a long answer takes a moment, in which its client may go away.
#[tokio::test]
async fn an_answer_that_is_being_compressed_when_its_client_goes_ends_its_session() {
    let io = Server::new();
    let reasons = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&reasons);
    io.on_disconnect(async move |_: Socket, reason: DisconnectReason| {
        seen.lock().unwrap().push(reason.to_string());
    });
    let (wire, uri) = joined(&io).await;
    let (mut pipe, serving) = pipe(&io, 1024);
    let get = format!("GET {uri} HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n");
    pipe.write_all(get.as_bytes()).await.unwrap();
    sockeye_testing::settle().await;
    io.emit("long", "x".repeat(2_000_000)).unwrap();
    // The session hands its packets over, and a thread begins to compress them.
    tokio::task::yield_now().await;
    drop(pipe);
    serving.await.unwrap();
    while io.metrics().sessions > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(*reasons.lock().unwrap(), ["transport error"]);
    drop(wire);
}

/// Nobody reads the body of a GET; that its client has gone is seen all the same.
#[tokio::test(start_paused = true)]
async fn who_hangs_up_amid_the_body_of_a_get_has_left() {
    for line in ["Content-Length: 1", "Transfer-Encoding: chunked"] {
        let io = echo();
        let net = Net::new(&io);
        let (wire, uri) = joined(&io).await;
        let (mut pipe, serving) = pipe(&io, 1024);
        pipe.write_all(format!("GET {uri} HTTP/1.1\r\nHost: x\r\n{line}\r\n\r\n").as_bytes()).await.unwrap();
        net.advance(Duration::from_secs(1)).await;
        assert_eq!(io.metrics().sessions, 1);
        drop(pipe);
        net.advance(Duration::ZERO).await;
        assert!(serving.is_finished());
        assert_eq!(io.metrics().sessions, 0, "{line}");
        drop(wire);
    }
}

/// What an application sets cannot make a response end elsewhere than it does.
#[tokio::test]
async fn headers_of_the_application_do_not_say_where_a_response_ends() {
    let set = |headers: &mut http::HeaderMap, _: &sockeye::Peer| {
        headers.insert("content-length", http::HeaderValue::from_static("3"));
        headers.insert("transfer-encoding", http::HeaderValue::from_static("chunked"));
        headers.insert("connection", http::HeaderValue::from_static("Close"));
    };
    let io = Server::builder().on_headers(set).build().unwrap();
    let mut wire = Wire::open(&io);
    let response = wire.get(HANDSHAKE).await;
    assert_eq!((response.header("transfer-encoding").as_str(), response.header("connection").as_str()), ("", "close"));
    assert_eq!(response.sid().len(), 22);
    assert_eq!(wire.rest().await, "");
}
