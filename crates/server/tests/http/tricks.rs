//! Paths, queries and headers that are none, by every way into the server.

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Empty};
use sockeye::Server;
use sockeye_testing::Net;
use tower_layer::Layer;
use tower_service::Service;

use crate::mounted::Application;
use crate::wire::{HANDSHAKE, Wire};

/// The ways into the server.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// Its own HTTP/1.1.
    Http1,
    /// The same, to open a WebSocket.
    Upgrade,
    #[cfg(feature = "http2")]
    Http2,
    /// The service that a framework calls.
    Service,
}

const WAYS: &[Way] = &[
    Way::Http1,
    Way::Upgrade,
    #[cfg(feature = "http2")]
    Way::Http2,
    Way::Service,
];

const UPGRADE: [&str; 4] = [
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
];

/// Asks for `uri` with a cookie: the status, 0 if there is none, and the body of the answer.
async fn ask(io: &Server, way: Way, uri: &str, cookie: &str) -> (u16, String) {
    let line = format!("Cookie: {cookie}");
    let mut lines = if cookie.is_empty() { vec![] } else { vec![line.as_str()] };
    match way {
        Way::Http1 | Way::Upgrade => {
            if matches!(way, Way::Upgrade) {
                lines.extend(UPGRADE);
            }
            let answer = Wire::open(io).request("GET", &uri.replace("=polling", transport(way)), &lines).await;
            (answer.status, answer.text().to_owned())
        }
        #[cfg(feature = "http2")]
        Way::Http2 => {
            let request = Request::builder().uri(format!("http://chat.example{uri}")).header("cookie", cookie);
            let client = crate::http2::Client::open(io).await;
            let Some(answer) = client.ask(request.body(http_body_util::Full::new(Bytes::new())).unwrap()).await else {
                return (0, String::new());
            };
            let status = answer.status().as_u16();
            (status, text(answer).await)
        }
        Way::Service => {
            let request = Request::builder().uri(uri).header("cookie", cookie).body(Empty::<Bytes>::new()).unwrap();
            let answer = io.service().call(request).await.unwrap_or_else(|never| match never {});
            (answer.status().as_u16(), text(answer).await)
        }
    }
}

fn transport(way: Way) -> &'static str {
    if matches!(way, Way::Upgrade) { "=websocket" } else { "=polling" }
}

async fn text<B: http_body::Body<Error: std::fmt::Debug>>(answer: http::Response<B>) -> String {
    let bytes = answer.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Nobody decodes a path, or walks along it.
#[tokio::test]
async fn a_path_is_the_path_or_it_is_not() {
    let io = Server::new();
    for way in WAYS {
        for path in [
            "//socket.io/",
            "/socket.io//",
            "/%73ocket.io/",
            "/socket%2eio/",
            "/socket.io%2f",
            "/socket.io/%2e%2e/socket.io/",
            "/socket.io/../socket.io/",
            "/%2e%2e/socket.io/",
            "/../socket.io/",
            "/./socket.io/",
            "/socket.io/.",
            "/socket.io/%00",
            "/socket.io/x",
            "/socket.io;x/",
            "/SOCKET.IO/",
            "/socket.i%6f/",
        ] {
            let uri = format!("{path}?EIO=4&transport=polling");
            if matches!(way, Way::Service) {
                // It answers wherever it is mounted; a layer looks at the path, and passes on what is not its own.
                let request = Request::builder().uri(uri).body(Empty::<Bytes>::new()).unwrap();
                let answer = io.layer().layer(Application).call(request).await.unwrap();
                assert_eq!(text(answer).await, path);
                continue;
            }
            let (status, body) = ask(&io, *way, &uri, "").await;
            assert_eq!(status, 404, "{way:?} {path}: {body}");
        }
    }
    assert_eq!(io.metrics().sessions_opened, 0);
    Net::new(&io).assert_clean().await;
}

#[tokio::test]
async fn a_revision_is_three_or_four_and_said_once() {
    for eio3 in [false, true] {
        let io = Server::builder().allow_eio3(eio3).build().unwrap();
        for way in WAYS {
            for query in [
                "EIO=0",
                "EIO=1",
                "EIO=2",
                "EIO=5",
                "EIO=40",
                "EIO=abc",
                "EIO",
                "EIO=",
                "EIO=04",
                "EIO=%2b4",
                "EIO=4.0",
                "EIO=-4",
                "EIO=4%20",
                "EIO=4%00",
                "EIO=4&EIO=4",
                "EIO=4&EIO=3",
                "EIO=3&EIO=4",
                "EIO=4&E%49O=4",
                "EIO[]=4",
                "eio=4",
                "EIO=%EF%BC%94",
            ] {
                // Nothing that is called so: revision 3.
                if eio3 && ["EIO[]=4", "eio=4"].contains(&query) {
                    continue;
                }
                let (status, body) = ask(&io, *way, &format!("/socket.io/?{query}&transport=polling"), "").await;
                let json = "{\"code\":5,\"message\":\"Unsupported protocol version\"}";
                let refusal = if matches!(way, Way::Upgrade) { "Unsupported protocol version" } else { json };
                assert_eq!((status, body.as_str()), (400, refusal), "{way:?} {query}");
            }
        }
        assert_eq!(io.metrics().sessions_opened, 0);
    }
}

/// Whatever may be kept of them, no session is opened for those who begin so.
#[tokio::test]
async fn long_heads_open_nothing() {
    let io = Server::new();
    for way in WAYS {
        // As long as the library for URIs takes them.
        for length in [20_000, 60_000, 1_000_000] {
            if length > 65_000 && !matches!(way, Way::Http1 | Way::Upgrade) {
                continue;
            }
            let (status, _) = ask(&io, *way, &format!("{HANDSHAKE}&x={}", "y".repeat(length)), "").await;
            assert!([0, 414, 431].contains(&status), "{way:?}: {status} for a query of {length}");
        }
        for length in [20_000, 64 * 1024] {
            let (status, _) = ask(&io, *way, HANDSHAKE, &format!("a={}", "b".repeat(length))).await;
            assert!([0, 431].contains(&status), "{way:?}: {status} for a cookie of {length}");
        }
        // What is usual opens one.
        let (status, _) = ask(&io, *way, &format!("{HANDSHAKE}&x={}", "y".repeat(500)), "a=b").await;
        assert_eq!(status, if matches!(way, Way::Upgrade) { 101 } else { 200 }, "{way:?}");
    }
    assert_eq!(io.metrics().sessions_opened, WAYS.len() as u64);
}
