//! Clients that end their side of the connection when they have asked, and listen.

use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::routing::get;
use futures_channel::mpsc::unbounded;
use sockeye::{Server, Socket};
use sockeye_testing::settle;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

use crate::wire::{HANDSHAKE, Response, Wire};

const GONE: &str = r#"{"code":1,"message":"Session ID unknown"}"#;

/// One whose requests take the short way, as there is nothing unusual about them, and one whose requests do not.
fn servers() -> [(Server, Arc<Mutex<Vec<String>>>); 2] {
    [Server::builder(), Server::builder().origins(["https://a.example"])].map(|builder| {
        let io = builder.build().unwrap();
        let reasons = Arc::<Mutex<Vec<_>>>::default();
        let seen = Arc::clone(&reasons);
        io.on("echo", async |socket: Socket, text: String| socket.emit("echo", text));
        io.on_disconnect(async move |_, reason| seen.lock().unwrap().push(reason.to_string()));
        (io, reasons)
    })
}

/// The answer to the last request of a connection.
async fn last(io: &Server, request: String) -> Response {
    let mut wire = Wire::open(io);
    wire.write(request).await;
    wire.end().await;
    let response = wire.response().await;
    assert_eq!(wire.rest().await, "");
    response
}

fn asking(uri: &str) -> String {
    format!("GET {uri} HTTP/1.1\r\nHost: x\r\n\r\n")
}

fn saying(uri: &str, body: &str) -> String {
    format!("POST {uri} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

#[tokio::test(start_paused = true)]
async fn a_session_goes_on_over_connections_of_one_request_each() {
    for (io, reasons) in servers() {
        let uri = format!("{HANDSHAKE}&sid={}", last(&io, asking(HANDSHAKE)).await.sid());
        assert_eq!(last(&io, saying(&uri, "40")).await.text(), "ok");
        assert!(last(&io, asking(&uri)).await.text().starts_with("40{\"sid\":"));
        assert_eq!(last(&io, saying(&uri, "42[\"echo\",\"a\"]")).await.text(), "ok");
        assert_eq!(last(&io, asking(&uri)).await.text(), "42[\"echo\",\"a\"]");
        // One after the other on one connection.
        let mut wire = Wire::open(&io);
        wire.write(saying(&uri, "42[\"echo\",\"b\"]") + &asking(&uri)).await;
        wire.end().await;
        assert_eq!(wire.response().await.text(), "ok");
        assert_eq!(wire.response().await.text(), "42[\"echo\",\"b\"]");
        assert_eq!(wire.rest().await, "");
        assert!(reasons.lock().unwrap().is_empty());
        assert_eq!(io.metrics().sessions, 1);
    }
}

/// A page that is closed ends its side too. As with the official server its session is over, and not when a heartbeat
/// is missed: what is emitted would be written to nobody.
#[tokio::test(start_paused = true)]
async fn a_get_that_would_have_to_wait_is_the_end_of_its_session() {
    for (io, reasons) in servers() {
        let uri = format!("{HANDSHAKE}&sid={}", last(&io, asking(HANDSHAKE)).await.sid());
        assert_eq!(last(&io, saying(&uri, "40")).await.text(), "ok");
        assert!(last(&io, asking(&uri)).await.text().starts_with("40{\"sid\":"));
        let refused = last(&io, asking(&uri)).await;
        assert_eq!((refused.status, refused.text()), (400, GONE));
        assert_eq!(*reasons.lock().unwrap(), ["transport error"]);
        assert_eq!(io.metrics().sessions, 0);
    }
}

/// It was answered if the answer was there before the end of the client's side was seen, one time in twenty not.
#[tokio::test]
async fn a_handshake_is_answered_over_loopback() {
    for (io, _) in servers() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, server) = (listener.local_addr().unwrap(), io.clone());
        tokio::spawn(async move { server.serve(listener).await });
        for _ in 0..50 {
            let mut wire = Wire::over(TcpStream::connect(address).await.unwrap());
            wire.write(asking(HANDSHAKE)).await;
            wire.end().await;
            assert_eq!(wire.response().await.sid().len(), 22);
            assert_eq!(wire.rest().await, "");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_application_may_take_its_time_to_let_a_client_in() {
    let builder = Server::builder().allow_request(async |_| {
        sleep(Duration::from_secs(40)).await;
        Ok(())
    });
    let io = builder.build().unwrap();
    assert_eq!(last(&io, asking(HANDSHAKE)).await.sid().len(), 22);
}

#[tokio::test(start_paused = true)]
async fn a_service_beside_has_a_second_for_its_answer_and_for_the_rest_of_it() {
    let (pieces, body) = unbounded::<Result<Bytes, std::io::Error>>();
    let body = Arc::new(Mutex::new(Some(body)));
    let late = async |delay: u64| {
        sleep(Duration::from_millis(delay)).await;
        "late"
    };
    let pages = Router::new()
        .route(
            "/soon",
            get(async move || late(900).await).post(async move |body: Bytes| {
                late(900).await;
                body
            }),
        )
        .route("/stream", get(async move || Body::from_stream(body.lock().unwrap().take().expect("asked once"))))
        .route("/never", get(async || pending::<()>().await));
    let io = Server::new();
    let site = io.beside(pages);
    for request in [asking("/soon"), saying("/soon", "late")] {
        let mut wire = Wire::open_site(&site, 10_000);
        wire.write(request).await;
        wire.end().await;
        assert_eq!(wire.response().await.text(), "late");
        assert_eq!(wire.rest().await, "");
    }
    let mut wire = Wire::open_site(&site, 10_000);
    wire.write(asking("/stream")).await;
    wire.end().await;
    wire.head().await;
    sleep(Duration::from_millis(900)).await;
    pieces.unbounded_send(Ok("hello".into())).unwrap();
    assert_eq!(wire.take(10).await, "5\r\nhello\r\n");
    assert_eq!(wire.rest().await, "", "it waits no longer");
    assert!(pieces.is_closed(), "the body was dropped");
    let mut wire = Wire::open_site(&site, 10_000);
    wire.write(asking("/never")).await;
    wire.end().await;
    assert_eq!(wire.rest().await, "");
    settle().await;
    assert_eq!(io.metrics().connections, 0);
}
