//! What the application decides and sees before there is a socket.

use std::sync::{Arc, Mutex};

use http::HeaderValue;
use sockeye::{Cookie, Refusal, Server, ServerBuilder};

use crate::wire::{HANDSHAKE, Wire};

const STREAM: &str = "/socket.io/?EIO=4&transport=websocket";

/// Things that hooks saw.
type Seen = Arc<Mutex<Vec<String>>>;

fn take(seen: &Seen) -> Vec<String> {
    std::mem::take(&mut *seen.lock().unwrap())
}

#[tokio::test]
async fn allow_request_decides_for_all_transports() {
    let io = Server::builder().allow_request(async |peer| {
        let address = peer.address().map(|address| address.ip().to_string());
        match (peer.header("x-key"), peer.query("room").as_deref(), address.as_deref()) {
            (Some("secret"), Some("blue room"), Some("203.0.113.7")) => Ok(()),
            _ => Err(Refusal::new("no \"key\" <b>")),
        }
    });
    let io = io.build().unwrap();
    let refused = Wire::open(&io).get(HANDSHAKE).await;
    assert_eq!((refused.status, refused.text()), (403, "{\"code\":4,\"message\":\"no \\\"key\\\" <b>\"}"));
    let refused = Wire::open(&io).upgrade(STREAM, &["x-key: secret"]).await;
    assert_eq!((refused.status, refused.text()), (403, "no \"key\" &lt;b>"));
    assert_eq!(io.metrics().sessions, 0);

    let mut wire = Wire::open(&io);
    let sid = wire.request("GET", &format!("{HANDSHAKE}&room=blue+room"), &["X-Key: secret"]).await.sid();
    let posted = wire.post(&format!("{HANDSHAKE}&sid={sid}"), "text/plain", "40").await;
    assert_eq!((posted.status, posted.text()), (200, "ok"), "asked once for each session");
    let upgraded = Wire::open(&io).upgrade(&format!("{STREAM}&sid={sid}"), &[]).await;
    assert_eq!(upgraded.status, 101);
    let opened = Wire::open(&io).upgrade(&format!("{STREAM}&room=blue%20room"), &["x-key: secret"]).await;
    assert_eq!(opened.status, 101);
}

#[tokio::test]
async fn the_cookie_is_set_by_the_first_poll_alone() {
    let io = Server::builder().cookie(Cookie::new("io")).build().unwrap();
    let mut wire = Wire::open(&io);
    let response = wire.get(HANDSHAKE).await;
    let sid = response.sid();
    assert_eq!(response.header("set-cookie"), format!("io={sid}; Path=/; HttpOnly; SameSite=Lax"));
    let uri = format!("{HANDSHAKE}&sid={sid}");
    assert_eq!(wire.post(&uri, "text/plain", "40").await.header("set-cookie"), "");
    assert_eq!(wire.get(&uri).await.header("set-cookie"), "");
    assert_eq!(Wire::open(&io).upgrade(STREAM, &[]).await.header("set-cookie"), "");
    assert_eq!(Wire::open(&Server::new()).get(HANDSHAKE).await.header("set-cookie"), "", "off by default");
}

/// CVE-2024-47764
#[test]
fn a_cookie_cannot_smuggle_headers() {
    let error = Server::builder().cookie(Cookie::new("io\r\nX-Evil: 1")).build().unwrap_err().to_string();
    assert_eq!(error, "invalid configuration: cookie: \"io\\r\\nX-Evil: 1\" cannot be a name");
}

fn with_id(id: &'static str) -> (ServerBuilder, Seen) {
    let seen = Seen::default();
    let log = Arc::clone(&seen);
    let builder = Server::builder().generate_id(move |peer| peer.header("x-id").unwrap_or(id).to_owned());
    let builder = builder.on_connection_error(move |error| {
        let context = error.context().map(|context| context.to_string());
        log.lock().unwrap().push(format!("{} {} {context:?}", error.code(), error.message()));
    });
    (builder, seen)
}

#[tokio::test]
async fn ids_may_be_made_by_the_application() {
    let (builder, seen) = with_id("alpha-1");
    let io = builder.build().unwrap();
    let mut wire = Wire::open(&io);
    assert_eq!(wire.get(HANDSHAKE).await.sid(), "alpha-1");
    let posted = wire.post(&format!("{HANDSHAKE}&sid=alpha-1"), "text/plain", "40").await;
    assert_eq!(posted.status, 200);

    let taken = Wire::open(&io).get(HANDSHAKE).await;
    assert_eq!((taken.status, taken.text()), (400, "{\"code\":3,\"message\":\"Bad request\"}"));
    assert_eq!(Wire::open(&io).upgrade(STREAM, &[]).await.status, 400);
    let expected = "3 Bad request Some(\"ID_GENERATION_ERROR\")";
    assert_eq!(take(&seen), [expected, expected]);
    assert_eq!(io.metrics().sessions, 1);
}

#[tokio::test]
async fn ids_that_cannot_be_ids_are_refused() {
    let (builder, seen) = with_id("");
    let io = builder.build().unwrap();
    let long = "x".repeat(65);
    for bad in ["", "a b", "a/b", "a\"b", "a&b", "a%b", &long] {
        let response = Wire::open(&io).request("GET", HANDSHAKE, &[&format!("x-id: {bad}")]).await;
        assert_eq!(response.status, 400, "{bad}");
    }
    assert_eq!(take(&seen).len(), 7);
    let longest = "x".repeat(64);
    let response = Wire::open(&io).request("GET", HANDSHAKE, &[&format!("x-id: {longest}")]).await;
    assert_eq!(response.sid(), longest);
}

#[tokio::test]
async fn headers_can_be_seen_and_changed() {
    let io = Server::builder()
        .on_initial_headers(|headers, peer| {
            let name = peer.header("x-name").unwrap_or("none");
            headers.insert("x-first", HeaderValue::from_str(name).unwrap());
        })
        .on_headers(|headers, peer| {
            let own = peer.query("t").unwrap_or_default().into_owned();
            headers.insert("x-each", HeaderValue::from_str(&own).unwrap());
        })
        .build()
        .unwrap();
    let mut wire = Wire::open(&io);
    let both = |response: &crate::wire::Response| (response.header("x-first"), response.header("x-each"));
    let pair = |first: &str, each: &str| (first.to_owned(), each.to_owned());
    let opened = wire.request("GET", &format!("{HANDSHAKE}&t=1"), &["x-name: ann"]).await;
    assert_eq!(both(&opened), pair("ann", "1"));
    let uri = format!("{HANDSHAKE}&sid={}", opened.sid());
    assert_eq!(both(&wire.post(&format!("{uri}&t=2"), "text/plain", "40").await), pair("", "2"));
    assert_eq!(both(&wire.get(&format!("{uri}&t=3")).await), pair("", "3"));
    let stream = Wire::open(&io).upgrade(&format!("{STREAM}&t=4"), &[]).await;
    assert_eq!(both(&stream), pair("none", "4"));
    let sid = opened.sid();
    let stream = Wire::open(&io).upgrade(&format!("{STREAM}&sid={sid}&t=5"), &[]).await;
    assert_eq!(both(&stream), pair("", "5"));
    assert_eq!(both(&wire.get("/socket.io/?EIO=4&transport=x&t=6").await), pair("", ""), "errors are left alone");
}

#[tokio::test]
async fn refused_requests_are_reported_with_their_cause() {
    let seen = Seen::default();
    let log = Arc::clone(&seen);
    let io = Server::builder().on_connection_error(move |error| {
        let context = error.context().map_or("-", |context| context.as_str());
        log.lock().unwrap().push(format!("{} {context} {}", error.code(), error.peer().uri()));
    });
    let io = io.build().unwrap();
    let mut wire = Wire::open(&io);
    let sid = wire.get(HANDSHAKE).await.sid();
    let uris = [
        "/socket.io/?EIO=4".to_owned(),
        format!("{HANDSHAKE}&sid=abc"),
        format!("/socket.io/?EIO=3&transport=polling&sid={sid}"),
        format!("{STREAM}&sid={sid}"),
        STREAM.to_owned(),
        "/socket.io/?EIO=3&transport=polling".to_owned(),
    ];
    for uri in &uris {
        assert_eq!(wire.get(uri).await.status, 400);
    }
    let expected = ["0 -", "1 -", "3 PROTOCOL_MISMATCH", "3 TRANSPORT_MISMATCH", "3 TRANSPORT_HANDSHAKE_ERROR", "5 -"];
    let expected: Vec<_> = expected.iter().zip(&uris).map(|(error, uri)| format!("{error} {uri}")).collect();
    assert_eq!(take(&seen), expected);
    assert_eq!(wire.request("PUT", HANDSHAKE, &[]).await.status, 400);
    assert_eq!(Wire::open(&io).upgrade(STREAM, &["Origin: https://evil.example"]).await.status, 403);
    assert_eq!(take(&seen), [format!("2 - {HANDSHAKE}"), format!("4 INVALID_ORIGIN {STREAM}")]);
    assert_eq!(wire.get(HANDSHAKE).await.status, 200);
    assert_eq!(take(&seen), [""; 0]);
}
