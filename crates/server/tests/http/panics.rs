//! Hooks that panic: whoever provokes it is answered, nobody else notices, and nothing is left of it.

#[cfg(feature = "http2")]
use http::Request;
use http::{HeaderMap, HeaderValue};
#[cfg(feature = "http2")]
use http_body_util::BodyExt;
use sockeye::{Cors, ErrorCode, Peer, Server, ServerBuilder};
use sockeye_testing::{Net, settle};
use tokio::net::TcpStream;

use crate::axum;
#[cfg(feature = "http2")]
use crate::http2;
use crate::wire::{HANDSHAKE, Wire};

const STREAM: &str = "/socket.io/?EIO=4&transport=websocket";
const ORIGIN: &str = "https://chat.example";
const INTERNAL: &str = "{\"code\":3,\"message\":\"Internal error\"}";

/// Panics if the request asks for it.
fn look(peer: &Peer) {
    assert!(peer.query("x").is_none(), "on purpose");
}

fn mark(headers: &mut HeaderMap, peer: &Peer) {
    look(peer);
    headers.insert("content-security-policy", HeaderValue::from_static("sandbox"));
}

type Build = fn(ServerBuilder) -> ServerBuilder;

/// What decides whether there is a session, or what its first answer has: panics at a request with `x`, or by a page of
/// an origin with it.
const OPENING: &[(&str, Build)] = &[
    ("allow_request", |io| {
        io.allow_request(|peer: Peer| {
            look(&peer);
            async { Ok(()) }
        })
    }),
    ("allow_request, later", |io| {
        io.allow_request(async |peer| {
            tokio::task::yield_now().await;
            look(&peer);
            Ok(())
        })
    }),
    ("generate_id", |io| {
        io.generate_id(|peer| {
            look(peer);
            peer.query("id").unwrap_or_default().into_owned()
        })
    }),
    ("on_initial_headers", |io| io.on_initial_headers(mark)),
    ("on_headers", |io| io.on_headers(mark)),
    ("Cors::matching", |io| {
        io.cors(Cors::matching(|origin| {
            assert!(!origin.contains("//x."), "on purpose");
            true
        }))
    }),
];

/// There is room for two from everywhere, so that a place which is not given back is missed.
fn server(build: Build) -> Server {
    build(Server::builder().any_origin().max_sessions(2).max_sessions_per_address(2)).build().unwrap()
}

/// A client, by each way to the server. As far as there is a connection, all requests come on one.
enum Client {
    Http1(Wire),
    #[cfg(feature = "http2")]
    Http2(http2::Client),
    Service(Net),
}

impl Client {
    async fn each(io: &Server) -> Vec<Self> {
        vec![
            Self::Http1(Wire::open(io)),
            #[cfg(feature = "http2")]
            Self::Http2(http2::Client::open(io).await),
            Self::Service(Net::new(io)),
        ]
    }

    /// Asks as a page of `origin`: status and body.
    async fn ask(&mut self, method: &str, uri: &str, origin: &str, body: &'static str) -> (u16, String) {
        match self {
            Self::Http1(wire) => {
                let length = body.len();
                let head = format!("{method} {uri} HTTP/1.1\r\nHost: chat.example\r\nOrigin: {origin}");
                wire.write(format!("{head}\r\nContent-Length: {length}\r\n\r\n{body}")).await;
                let response = wire.response().await;
                (response.status, response.text().to_owned())
            }
            #[cfg(feature = "http2")]
            Self::Http2(client) => {
                let request = Request::builder().method(method).uri(format!("http://chat.example{uri}"));
                let request = request.header("origin", origin).body(bytes::Bytes::from(body).into()).unwrap();
                let response = client.ask(request).await.expect("the connection lives");
                let status = response.status().as_u16();
                let body = response.into_body().collect().await.unwrap().to_bytes();
                (status, String::from_utf8(body.to_vec()).unwrap())
            }
            Self::Service(net) => {
                let headers = [("host", "chat.example"), ("origin", origin)];
                let answer = net.request(method, uri, &headers, body).answer().await;
                (answer.status.as_u16(), answer.text().to_owned())
            }
        }
    }

    /// Opens a session: the uri for what follows.
    async fn open(&mut self, id: &str) -> String {
        let (status, open) = self.ask("GET", &format!("{HANDSHAKE}&id={id}"), ORIGIN, "").await;
        assert_eq!(status, 200, "{open}");
        format!("{HANDSHAKE}&sid={}", open.split('"').nth(3).unwrap())
    }
}

#[tokio::test]
async fn a_hook_that_panics_refuses_one_request_and_harms_nobody_else() {
    for (hook, build) in OPENING {
        let ways = Client::each(&server(*build)).await.len();
        for way in 0..ways {
            let io = server(*build);
            let mut client = Client::each(&io).await.swap_remove(way);
            let bystander = client.open("bystander").await;
            for _ in 0..3 {
                let refused = client.ask("GET", &format!("{HANDSHAKE}&x=1"), "https://x.example", "").await;
                assert_eq!(refused, (500, INTERNAL.to_owned()), "{hook}");
            }
            settle().await;
            let metrics = io.metrics();
            assert_eq!((metrics.sessions, metrics.tasks), (1, 1), "{hook}: of the bystander alone");
            assert_eq!((metrics.refusals.get(ErrorCode::Internal), metrics.requests_refused), (3, 3), "{hook}");
            client.open("other").await;
            assert_eq!(client.ask("POST", &bystander, ORIGIN, "40").await, (200, "ok".to_owned()), "{hook}");
        }
    }
}

#[tokio::test]
async fn a_websocket_that_a_hook_does_not_let_be_opened_leaves_nothing() {
    for (hook, build) in OPENING {
        let io = server(*build);
        for _ in 0..3 {
            let refused = Wire::open(&io).upgrade(&format!("{STREAM}&x=1"), &["Origin: https://x.example"]).await;
            assert_eq!((refused.status, refused.text()), (500, "Internal error"), "{hook}");
            settle().await;
            assert_eq!((io.metrics().sessions, io.metrics().tasks), (0, 0), "{hook}");
        }
        for id in ["a", "b"] {
            let opened = Wire::open(&io).upgrade(&format!("{STREAM}&id={id}"), &[]).await;
            assert_eq!(opened.status, 101, "{hook}");
        }
    }
}

/// hyper, which axum is built on, has a place for the stream of its own.
#[tokio::test]
async fn a_websocket_inside_of_axum_that_a_hook_does_not_let_be_opened_leaves_nothing() {
    for (hook, build) in OPENING {
        let io = server(*build);
        let address = axum::serve(::axum::Router::new().nest_service("/socket.io", io.service())).await;
        let connect = async || Wire::over(TcpStream::connect(address).await.unwrap());
        for _ in 0..3 {
            let mut wire = connect().await;
            let refused = wire.upgrade(&format!("{STREAM}&x=1"), &["Origin: https://x.example"]).await;
            assert_eq!((refused.status, refused.text()), (500, "Internal error"), "{hook}");
            assert_eq!(wire.rest().await, "", "it is over");
            settle().await;
        }
        for id in ["a", "b"] {
            assert_eq!(connect().await.upgrade(&format!("{STREAM}&id={id}"), &[]).await.status, 101, "{hook}");
        }
    }
}

/// What the server took or gave by a request whose answer nobody gets is not as either end thinks.
#[tokio::test]
async fn a_session_whose_answer_is_withheld_ends() {
    for (method, body) in [("GET", ""), ("POST", "40")] {
        for way in 0..Client::each(&Server::new()).await.len() {
            let io = server(|io| io.on_headers(mark));
            let mut client = Client::each(&io).await.swap_remove(way);
            let uri = client.open("").await;
            if method == "GET" {
                assert_eq!(client.ask("POST", &uri, ORIGIN, "40").await.0, 200, "there is something to give");
            }
            let withheld = client.ask(method, &format!("{uri}&x=1"), ORIGIN, body).await;
            assert_eq!(withheld, (500, INTERNAL.to_owned()));
            settle().await;
            let unknown = (400, "{\"code\":1,\"message\":\"Session ID unknown\"}".to_owned());
            assert_eq!(client.ask("POST", &uri, ORIGIN, "2").await, unknown);
            Net::new(&io).assert_clean().await;
        }
    }
}

#[tokio::test]
async fn an_upgrade_whose_answer_is_withheld_leaves_the_session_to_polling() {
    let io = server(|io| io.on_headers(mark));
    let mut client = Client::Http1(Wire::open(&io));
    let uri = client.open("").await;
    let stream = uri.replace("polling", "websocket");
    let refused = Wire::open(&io).upgrade(&format!("{stream}&x=1"), &[]).await;
    assert_eq!((refused.status, refused.text()), (500, "Internal error"));
    settle().await;
    assert_eq!(io.metrics().upgrades_failed, 1);
    assert_eq!(client.ask("POST", &uri, ORIGIN, "40").await.0, 200);
    let mut wire = Wire::open(&io);
    assert_eq!(wire.upgrade(&stream, &[]).await.status, 101, "it may try again");
    wire.say("2probe").await;
    assert_eq!(wire.hear().await, "3probe");
}

#[tokio::test]
async fn an_on_connection_error_that_panics_changes_no_answer() {
    let told = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = std::sync::Arc::clone(&told);
    let io = Server::builder().on_connection_error(|_| panic!("on purpose")).on_connection_error(move |_| {
        count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    });
    let io = io.build().unwrap();
    for mut client in Client::each(&io).await {
        let refused = client.ask("GET", "/socket.io/?EIO=9&transport=polling", ORIGIN, "").await;
        assert_eq!(refused, (400, "{\"code\":5,\"message\":\"Unsupported protocol version\"}".to_owned()));
        client.open("").await;
    }
    let refused = Wire::open(&io).upgrade("/socket.io/?EIO=9&transport=websocket", &[]).await;
    assert_eq!((refused.status, refused.text()), (400, "Unsupported protocol version"));
    assert_eq!(told.load(std::sync::atomic::Ordering::Relaxed) as u64, io.metrics().requests_refused, "the others are");
}

/// All the requests that the origin function is asked about, and each once.
#[tokio::test]
async fn the_origin_function_is_asked_once_for_each_request() {
    let asked = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = std::sync::Arc::clone(&asked);
    let cors = Cors::matching(move |_| count.fetch_add(1, std::sync::atomic::Ordering::Relaxed) < 9);
    let io = Server::builder().cors(cors).build().unwrap();
    let mut wire = Wire::open(&io);
    let origin = "Origin: https://a.example";
    assert_eq!(wire.request("OPTIONS", HANDSHAKE, &[origin]).await.status, 204);
    assert_eq!(
        wire.request("GET", HANDSHAKE, &[origin]).await.header("access-control-allow-origin"),
        "https://a.example"
    );
    assert_eq!(Wire::open(&io).upgrade(STREAM, &[origin]).await.status, 101);
    assert_eq!(asked.load(std::sync::atomic::Ordering::Relaxed), 3);
}

/// A GET waits on the same connection as the request that provokes the panic.
#[cfg(feature = "http2")]
#[tokio::test]
async fn a_poll_that_waits_beside_a_panic_is_answered() {
    for (hook, build) in OPENING {
        let io = server(*build);
        let client = http2::Client::open(&io).await;
        let open = client.text("GET", &format!("http://chat.example{HANDSHAKE}&id=a"), "").await;
        let uri = format!("http://chat.example{HANDSHAKE}&sid={}", open.split('"').nth(3).unwrap());
        assert_eq!(client.text("POST", &uri, "40").await, "ok");
        assert!(client.text("GET", &uri, "").await.starts_with("40{\"sid\":"));
        let provoke = async {
            let request = Request::builder().uri(format!("http://chat.example{HANDSHAKE}&x=1"));
            let request = request.header("origin", "https://x.example").body(bytes::Bytes::new().into()).unwrap();
            let status = client.ask(request).await.expect("the connection lives").status();
            io.emit("still here", ()).unwrap();
            status.as_u16()
        };
        let (heard, status) = tokio::join!(client.text("GET", &uri, ""), provoke);
        assert_eq!((heard.as_str(), status), ("42[\"still here\"]", 500), "{hook}");
    }
}
