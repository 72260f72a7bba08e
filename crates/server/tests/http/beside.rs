//! A service for the other paths, on the connections of the own accept loop.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ::axum::Router;
use ::axum::body::Body;
use ::axum::extract::{DefaultBodyLimit, Request};
use ::axum::routing::{any, get, post};
use bytes::Bytes;
use futures_channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use http::{Response, StatusCode};
use http_body_util::BodyExt;
use sockeye::{PeerAddr, Server, Site, Socket};
use sockeye_testing::settle;

use crate::wire::{HANDSHAKE, Wire};

const ROOM: usize = 1 << 16;

type Piece = Result<Bytes, std::io::Error>;

/// Socket.IO with an echo, and these pages beside it.
fn site(pages: Router) -> (Server, Site) {
    let io = Server::new();
    io.on("echo", async |socket: Socket, text: String| socket.emit("echo", text));
    let site = io.beside(pages);
    (io, site)
}

fn open(pages: Router) -> Wire {
    Wire::open_site(&site(pages).1, ROOM)
}

/// A page whose body comes when it is sent: once.
fn streamed() -> (Router, UnboundedSender<Piece>) {
    let (sender, body) = unbounded::<Piece>();
    let body = Arc::new(Mutex::new(Some(body)));
    let take =
        move |body: &Mutex<Option<UnboundedReceiver<Piece>>>| Body::from_stream(body.lock().unwrap().take().unwrap());
    (Router::new().route("/stream", get(async move || take(&body))), sender)
}

fn send(body: &UnboundedSender<Piece>, text: &str) {
    body.unbounded_send(Ok(Bytes::copy_from_slice(text.as_bytes()))).unwrap();
}

#[tokio::test]
async fn pages_and_polls_share_a_connection() {
    let pages = Router::new()
        .route("/", get(async || "a page"))
        .route("/who", get(async |request: Request| format!("{:?}", request.extensions().get::<PeerAddr>())));
    let mut wire = open(pages);
    let page = wire.get("/").await;
    assert_eq!((page.status, page.text(), page.header("content-length").as_str()), (200, "a page", "6"));
    assert!(page.header("date").ends_with(" GMT"));
    let uri = format!("{HANDSHAKE}&sid={}", wire.get(HANDSHAKE).await.sid());
    assert_eq!(wire.post(&uri, "text/plain", "40").await.text(), "ok");
    assert!(wire.get(&uri).await.text().starts_with("40{"));
    assert_eq!(wire.get("/who").await.text(), "Some(PeerAddr(203.0.113.7:4242))");
    assert_eq!(wire.post(&uri, "text/plain", "42[\"echo\",\"hi\"]").await.text(), "ok");
    assert_eq!(wire.get("/nowhere").await.status, 404);
    assert_eq!(wire.get(&uri).await.text(), "42[\"echo\",\"hi\"]");
    // All at once, and in this order.
    let ask = |uri: &str| format!("GET {uri} HTTP/1.1\r\nHost: x\r\n\r\n");
    wire.write([ask("/"), ask(HANDSHAKE), ask("/"), ask("/nowhere")].concat()).await;
    assert_eq!(wire.response().await.text(), "a page");
    assert_eq!(wire.response().await.sid().len(), 22);
    assert_eq!(wire.response().await.text(), "a page");
    assert_eq!(wire.response().await.status, 404);
}

#[tokio::test]
async fn a_connection_ends_when_either_side_says_so() {
    let pages = Router::new()
        .route("/", get(async || "a page"))
        .route("/last", get(async || ([("connection", "close")], "the last")));
    for (uri, line) in [("/", "Connection: close"), ("/last", "X: y")] {
        let mut wire = open(pages.clone());
        let page = wire.request("GET", uri, &[line]).await;
        assert_eq!((page.status, page.header("connection").as_str()), (200, "close"));
        assert_eq!(wire.rest().await, "");
    }
    let mut wire = open(pages);
    wire.write("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").await;
    assert_eq!(wire.response().await.header("connection"), "keep-alive");
    wire.write("GET / HTTP/1.0\r\n\r\n").await;
    assert_eq!(wire.response().await.header("connection"), "close");
    assert_eq!(wire.rest().await, "");
}

fn echo() -> Router {
    Router::new().route("/echo", any(async |body: String| body))
}

#[tokio::test]
async fn bodies_reach_the_service() {
    let mut wire = open(echo());
    for method in ["POST", "PUT", "PATCH", "DELETE", "GET"] {
        wire.write(format!("{method} /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello")).await;
        assert_eq!(wire.response().await.text(), "hello", "{method}");
    }
    assert_eq!(wire.request("POST", "/echo", &[]).await.text(), "");
    let long = "x".repeat(300_000);
    assert_eq!(wire.post("/echo", "text/plain", &long).await.text(), long);
    wire.write("POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    for byte in "5\r\nhello\r\nA;x=y\r\n, everyone\r\n0\r\n\r\n".bytes() {
        wire.write([byte]).await;
        settle().await;
    }
    assert_eq!(wire.response().await.text(), "hello, everyone");
    wire.write("POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n").await;
    assert_eq!(wire.head().await.status, 100);
    wire.write("hello").await;
    assert_eq!(wire.response().await.text(), "hello");
    assert_eq!(wire.get(HANDSHAKE).await.sid().len(), 22, "the connection goes on");
}

#[tokio::test]
async fn a_body_that_the_service_does_not_want_is_passed_over_or_ends_the_connection() {
    let pages = Router::new().route("/", post(async || "thanks"));
    let mut wire = open(pages.clone());
    assert_eq!(wire.post("/", "text/plain", "GET /x HTTP/1.1\r\n\r\n").await.text(), "thanks");
    assert_eq!(wire.post("/", "text/plain", "").await.text(), "thanks");
    for lines in ["Content-Length: 16385", "Expect: 100-continue\r\nContent-Length: 3"] {
        let mut wire = open(pages.clone());
        wire.write(format!("POST / HTTP/1.1\r\nHost: x\r\n{lines}\r\n\r\n")).await;
        let response = wire.response().await;
        assert_eq!((response.text(), response.header("connection").as_str()), ("thanks", "close"), "{lines}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_beyond_the_limit_of_the_service_is_refused() {
    for (lines, body) in [
        (format!("Content-Length: {}", 1_u64 << 40), "x".repeat(20_000)),
        ("Transfer-Encoding: chunked".to_owned(), "1000\r\n".to_owned() + &"x".repeat(20_000)),
    ] {
        let mut wire = Wire::open_site(&site(echo().layer(DefaultBodyLimit::max(1_000))).1, ROOM);
        wire.write(format!("POST /echo HTTP/1.1\r\nHost: x\r\n{lines}\r\n\r\n{body}")).await;
        assert_eq!(wire.response().await.status, 413);
        assert_eq!(wire.rest().await, "", "the rest is not taken for a request");
    }
}

#[tokio::test]
async fn half_a_body_and_a_wrong_one_are_errors_of_the_body() {
    for (lines, body) in [("Content-Length: 5", "hell"), ("Transfer-Encoding: chunked", "5\nhello")] {
        let mut wire = open(echo());
        wire.write(format!("POST /echo HTTP/1.1\r\nHost: x\r\n{lines}\r\n\r\n{body}")).await;
        wire.end().await;
        let refused = wire.response().await;
        assert_eq!((refused.status, refused.header("connection").as_str()), (400, "close"), "{lines}");
        assert_eq!(wire.rest().await, "");
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_is_read_no_further_than_it_is_wanted() {
    let pages = Router::new().route(
        "/",
        post(async |request: Request| {
            let mut body = request.into_body();
            let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
            std::future::pending::<()>().await;
            first
        }),
    );
    let mut wire = Wire::open_site(&site(pages).1, 1024);
    wire.write(format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", 1 << 30)).await;
    let flood = "x".repeat(1 << 20);
    let writing = tokio::time::timeout(Duration::from_millis(100), wire.write(flood));
    assert!(writing.await.is_err(), "all of it was taken");
}

/// A service may hand the body to a task of its own, as one does that passes requests on.
#[tokio::test]
async fn a_body_may_be_read_by_another_task() {
    let pages = Router::new().route(
        "/",
        post(async |request: Request| {
            let reading = tokio::spawn(async { request.into_body().collect().await.unwrap().to_bytes() });
            reading.await.unwrap()
        }),
    );
    let mut wire = open(pages);
    wire.write("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n").await;
    for half in ["hello", "world"] {
        settle().await;
        wire.write(half).await;
    }
    assert_eq!(wire.response().await.text(), "helloworld");
}

/// Otherwise it would read what the next request brings.
#[tokio::test]
async fn a_body_that_outlives_its_response_ends() {
    let kept = Arc::new(Mutex::new(None));
    let keep = Arc::clone(&kept);
    let pages = Router::new().route(
        "/",
        post(async move |request: Request| {
            *keep.lock().unwrap() = Some(request.into_body());
            "thanks"
        }),
    );
    let mut wire = open(pages);
    assert_eq!(wire.post("/", "text/plain", "hello").await.text(), "thanks");
    let body = kept.lock().unwrap().take().unwrap();
    assert!(body.collect().await.is_err());
    assert_eq!(wire.get(HANDSHAKE).await.sid().len(), 22);
}

#[tokio::test]
async fn a_head_says_how_long_the_body_would_be() {
    let (stream, _sender) = streamed();
    let pages = stream.route("/", get(async || "a page")).fallback(async || (StatusCode::OK, "whatever"));
    let mut wire = open(pages);
    for (uri, length) in [("/", "6"), ("/else", "8"), ("/stream", "")] {
        wire.write(format!("HEAD {uri} HTTP/1.1\r\nHost: x\r\n\r\n")).await;
        let head = wire.head().await;
        assert_eq!((head.status, head.header("content-length").as_str()), (200, length), "{uri}");
        assert_eq!((head.header("transfer-encoding").as_str(), head.header("connection").as_str()), ("", ""));
    }
    assert_eq!(wire.get("/").await.text(), "a page");
}

#[tokio::test]
async fn responses_without_bodies_have_none() {
    let pages = Router::new()
        .route("/204", get(async || (StatusCode::NO_CONTENT, "nothing")))
        .route("/304", get(async || (StatusCode::NOT_MODIFIED, "nothing")));
    let mut wire = open(pages);
    for uri in ["/204", "/304"] {
        wire.write(format!("GET {uri} HTTP/1.1\r\nHost: x\r\n\r\n")).await;
        let head = wire.head().await;
        assert_eq!((head.status.to_string(), head.header("content-length").as_str()), (uri[1..].into(), ""));
    }
    assert_eq!(wire.get(HANDSHAKE).await.sid().len(), 22);
}

#[tokio::test]
async fn a_body_of_unknown_length_comes_in_chunks_as_soon_as_it_is_there() {
    let (pages, sender) = streamed();
    let mut wire = open(pages);
    wire.write("GET /stream HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let head = wire.head().await;
    assert_eq!((head.header("transfer-encoding").as_str(), head.header("content-length").as_str()), ("chunked", ""));
    for (text, chunk) in [("hello", "5\r\nhello\r\n"), ("", ""), ("x", "1\r\nx\r\n")] {
        send(&sender, text);
        assert_eq!(wire.take(chunk.len()).await, chunk);
    }
    let large = "y".repeat(100_000);
    send(&sender, &large);
    assert_eq!(wire.take(100_009).await, format!("186a0\r\n{large}\r\n"), "with its end");
    send(&sender, &large);
    send(&sender, "z");
    drop(sender);
    assert_eq!(wire.take(100_020).await, format!("186a0\r\n{large}\r\n1\r\nz\r\n0\r\n\r\n"));
    assert_eq!(wire.get(HANDSHAKE).await.sid().len(), 22, "the connection goes on");
}

#[tokio::test]
async fn old_clients_get_a_body_of_unknown_length_until_the_connection_ends() {
    let (pages, sender) = streamed();
    let mut wire = open(pages);
    wire.write("GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").await;
    let head = wire.head().await;
    assert_eq!((head.header("transfer-encoding").as_str(), head.header("connection").as_str()), ("", "close"));
    send(&sender, "hello");
    assert_eq!(wire.take(5).await, "hello");
    drop(sender);
    assert_eq!(wire.rest().await, "");
}

/// What the service says about the length counts, and is true on the wire.
#[tokio::test]
async fn a_length_that_was_said_is_kept() {
    let said = |length: &'static str, pieces: &'static [&'static str]| {
        get(async move || {
            let body = futures_util::stream::iter(
                pieces.iter().map(|text| Ok::<_, Infallible>(Bytes::from_static(text.as_bytes()))),
            );
            ([("content-length", length)], Body::from_stream(body))
        })
    };
    let pages = Router::new()
        .route("/exact", said("5", &["he", "llo"]))
        .route("/more", said("5", &["he", "llo, everyone", "!"]))
        .route("/less", said("5", &["he"]))
        .route("/none", said("+5", &["he"]));
    let mut wire = open(pages);
    assert_eq!(wire.get("/exact").await.text(), "hello");
    assert_eq!(wire.get("/more").await.text(), "hello");
    wire.write("GET /none HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!(wire.head().await.header("transfer-encoding"), "chunked");
    assert_eq!(wire.take(12).await, "2\r\nhe\r\n0\r\n\r\n");
    wire.write("GET /less HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!(wire.head().await.header("content-length"), "5");
    assert_eq!(wire.rest().await, "he", "and no request can follow");
}

#[tokio::test]
async fn a_body_that_fails_does_not_look_whole() {
    let (pages, sender) = streamed();
    let mut wire = open(pages);
    wire.write("GET /stream HTTP/1.1\r\nHost: x\r\n\r\n").await;
    wire.head().await;
    send(&sender, "hello");
    sender.unbounded_send(Err(std::io::Error::other("lost"))).unwrap();
    assert_eq!(wire.rest().await, "5\r\nhello\r\n");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_vanishes_ends_what_it_asked_for() {
    let (pages, sender) = streamed();
    let (asked, mut answering) = unbounded::<()>();
    let pages = pages.route(
        "/wait",
        get(async move || {
            asked.unbounded_send(()).unwrap();
            std::future::pending::<()>().await;
        }),
    );
    let (io, site) = site(pages);
    // While a streamed body is being sent and has a pause.
    let mut wire = Wire::open_site(&site, ROOM);
    wire.write("GET /stream HTTP/1.1\r\nHost: x\r\n\r\n").await;
    wire.head().await;
    send(&sender, "hello");
    wire.take(10).await;
    assert!(!sender.is_closed());
    drop(wire);
    tokio::time::sleep(Duration::from_secs(1)).await;
    settle().await;
    assert!(sender.is_closed(), "the body was dropped");
    // While the answer is waited for.
    let mut wire = Wire::open_site(&site, ROOM);
    wire.write("GET /wait HTTP/1.1\r\nHost: x\r\n\r\n").await;
    futures_util::StreamExt::next(&mut answering).await;
    drop(wire);
    tokio::time::sleep(Duration::from_secs(1)).await;
    settle().await;
    assert_eq!(io.metrics().connections, 0);
}

/// It takes no piece of the body before the one before it was taken by the client.
#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_is_cut_off_and_little_waits_for_it() {
    let (pages, sender) = streamed();
    let mut wire = Wire::open_site(&site(pages).1, 1024);
    wire.write("GET /stream HTTP/1.1\r\nHost: x\r\n\r\n").await;
    wire.head().await;
    let began = tokio::time::Instant::now();
    let pieces: Vec<Bytes> = (0..100).map(|_| Bytes::from(vec![b'x'; 1_000])).collect();
    for piece in &pieces {
        sender.unbounded_send(Ok(piece.clone())).unwrap();
    }
    settle().await;
    let taken = pieces.iter().filter(|piece| piece.is_unique()).count();
    assert!(taken < 5, "{taken}");
    while !sender.is_closed() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(began.elapsed().as_secs(), 30);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_drips_its_body_is_cut_off() {
    for (bytes, seconds) in [(0, 30), (1, 30), (600, 0)] {
        let mut wire = open(echo());
        wire.write("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n").await;
        let began = tokio::time::Instant::now();
        for _ in 0..100 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            if began.elapsed().as_secs() >= 30 && seconds == 30 {
                break;
            }
            wire.write("x".repeat(bytes)).await;
        }
        let response = wire.response().await;
        match seconds {
            0 => assert_eq!((response.status, response.body.len()), (200, 60_000)),
            _ => assert_eq!((response.status, began.elapsed().as_secs()), (400, 30), "{bytes}"),
        }
    }
}

/// A body that the service is slow to read is not held against the client.
#[tokio::test(start_paused = true)]
async fn a_service_may_take_its_time() {
    let pages = Router::new().route(
        "/",
        post(async |request: Request| {
            let mut body = request.into_body();
            let mut length = 0;
            while let Some(frame) = body.frame().await {
                length += frame.unwrap().into_data().unwrap().len();
                tokio::time::sleep(Duration::from_secs(100)).await;
            }
            length.to_string()
        }),
    );
    let mut wire = open(pages);
    wire.write("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhello").await;
    tokio::time::sleep(Duration::from_secs(110)).await;
    wire.write("world").await;
    assert_eq!(wire.response().await.text(), "10");
}

#[tokio::test]
async fn a_response_may_begin_before_its_request_ends() {
    let pages = Router::new().route("/", post(async |request: Request| request.into_body()));
    let mut wire = open(pages.clone());
    wire.write("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    wire.head().await;
    for word in ["hello", "world"] {
        wire.write(format!("5\r\n{word}\r\n")).await;
        assert_eq!(wire.take(10).await, format!("5\r\n{word}\r\n"));
    }
    wire.write("0\r\n\r\n").await;
    assert_eq!(wire.take(5).await, "0\r\n\r\n");
    assert_eq!(wire.get(HANDSHAKE).await.sid().len(), 22);
}

/// Both are longer than what is on the way, and the client takes nothing before it has sent everything.
#[tokio::test]
async fn request_and_response_do_not_wait_for_each_other() {
    const LENGTH: usize = 200_000;
    let pages = Router::new().route(
        "/",
        post(async |request: Request| {
            tokio::spawn(request.into_body().collect());
            Body::from_stream(futures_util::stream::iter([Ok::<_, Infallible>(Bytes::from(vec![b'x'; LENGTH]))]))
        }),
    );
    let mut wire = Wire::open_site(&site(pages).1, 1024);
    wire.write("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    for _ in 0..200 {
        wire.write(format!("3e8\r\n{}\r\n", "y".repeat(1_000))).await;
    }
    wire.write("0\r\n\r\n").await;
    wire.head().await;
    assert!(wire.take(LENGTH + 14).await.ends_with("x\r\n0\r\n\r\n"));
    assert_eq!(wire.get(HANDSHAKE).await.sid().len(), 22);
}

#[tokio::test]
async fn a_service_cannot_switch_protocols() {
    let pages = Router::new().route("/", get(async || StatusCode::SWITCHING_PROTOCOLS));
    let mut wire = open(pages);
    assert_eq!(wire.upgrade("/", &[]).await.status, 500);
    assert_eq!(wire.get(HANDSHAKE).await.sid().len(), 22);
    let mut wire = open(Router::new().fallback(async || "a page"));
    let response = wire.request("CONNECT", "chat.example:443", &[]).await;
    assert_eq!(response.header("connection"), "close", "no tunnel");
}

/// As tower has it: ready first, and each clone by itself.
#[tokio::test]
async fn a_service_is_asked_when_it_is_ready() {
    #[derive(Clone)]
    struct Late(bool);
    impl tower_service::Service<http::Request<sockeye::RequestBody>> for Late {
        type Response = Response<String>;
        type Error = Infallible;
        type Future = std::future::Ready<Result<Self::Response, Infallible>>;

        fn poll_ready(&mut self, cx: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Infallible>> {
            if std::mem::replace(&mut self.0, true) {
                return std::task::Poll::Ready(Ok(()));
            }
            cx.waker().wake_by_ref();
            std::task::Poll::Pending
        }

        fn call(&mut self, request: http::Request<sockeye::RequestBody>) -> Self::Future {
            assert!(self.0);
            std::future::ready(Ok(Response::new(request.uri().path().to_owned())))
        }
    }
    let site = Server::new().beside(Late(false));
    let mut wire = Wire::open_site(&site, ROOM);
    assert_eq!(wire.get("/a").await.text(), "/a");
    assert_eq!(wire.get("/b").await.text(), "/b");
}

#[tokio::test(start_paused = true)]
async fn closing_waits_for_a_response_but_not_for_ever() {
    for (takes, answered) in [(500, true), (5_000, false)] {
        let pages = Router::new().route(
            "/",
            get(async move || {
                tokio::time::sleep(Duration::from_millis(takes)).await;
                "at last"
            }),
        );
        let (io, site) = site(pages);
        let mut wire = Wire::open_site(&site, ROOM);
        wire.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
        settle().await;
        let began = tokio::time::Instant::now();
        io.close(Duration::from_secs(10)).await;
        assert_eq!(began.elapsed().as_millis(), u128::from(takes.min(1_000)));
        let response = wire.response().await;
        assert_eq!((response.text(), response.header("connection").as_str()), ("at last", "close"));
        assert_eq!(began.elapsed().as_millis() <= 1_000, answered);
    }
}

#[cfg(feature = "http2")]
#[tokio::test]
async fn pages_and_polls_share_a_connection_of_http2() {
    let pages = echo().route("/", get(async || "a page"));
    let (ours, theirs) = tokio::io::duplex(ROOM);
    tokio::spawn(site(pages).1.serve_stream(theirs, None));
    let client = crate::http2::Client::over(ours).await;
    assert_eq!(client.text("GET", "http://chat.example/", "").await, "a page");
    assert!(client.text("GET", "http://chat.example/socket.io/?EIO=4&transport=polling", "").await.starts_with("0{"));
    assert_eq!(client.text("POST", "http://chat.example/echo", "hello").await, "hello");
}

/// Pages are no sessions, of which a connection may have so many.
#[cfg(feature = "http2")]
#[tokio::test]
async fn a_connection_of_http2_is_not_worn_by_pages() {
    let pages = Router::new().route("/", get(async || "a page"));
    let (ours, theirs) = tokio::io::duplex(ROOM);
    tokio::spawn(site(pages).1.serve_stream(theirs, None));
    let client = crate::http2::Client::over(ours).await;
    for _ in 0..1_001 {
        assert_eq!(client.text("GET", "http://chat.example/", "").await, "a page");
    }
}
