//! Who may come: the same questions as on the other transports.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::StatusCode;
use sockeye::{Cors, ErrorCode, Limit, Peer, Refusal, SelfSigned, Server, ServerBuilder, Socket, Transport};
use sockeye_testing::Net;
use tokio::net::UdpSocket;
use wtransport::error::ConnectingError;

use crate::clock::{Still, advance, moving};
use crate::peer::{REQUEST_REJECTED, Site, builder, soon};

#[tokio::test]
async fn allow_request_decides() {
    let io = builder()
        .allow_request(async |peer| {
            assert!(peer.is_secure() && peer.address().is_some());
            match peer.header("origin") {
                Some("https://good.example") => Ok(()),
                _ => Err(Refusal::new("not you")),
            }
        })
        .any_origin()
        .build()
        .unwrap();
    let site = Site::new(io).await;
    let mut denied = site.stream().await;
    denied.say("0").await;
    assert_eq!(denied.closed().await, (REQUEST_REJECTED, "not you".into()));
    assert_eq!(site.io.metrics().sessions_opened, 0);
    let mut allowed = site.ask("/socket.io/", Some("https://good.example")).await.unwrap().open().await;
    allowed.say("0").await;
    assert!(allowed.hear().await.starts_with("0{"));
}

#[tokio::test]
async fn a_client_that_leaves_meanwhile_is_not_waited_for() {
    let (asked, mut was_asked) = tokio::sync::mpsc::unbounded_channel();
    let io = builder()
        .allow_request(async move |_| {
            asked.send(()).unwrap();
            std::future::pending::<()>().await;
            Ok(())
        })
        .build()
        .unwrap();
    let site = Site::new(io).await;
    let mut peer = site.stream().await;
    peer.say("0").await;
    soon(was_asked.recv()).await.unwrap();
    peer.leave();
    drop(peer);
    soon(site.io.close(Duration::from_secs(30))).await;
}

#[tokio::test]
async fn places_are_counted_across_transports() {
    let site = Site::new(builder().max_sessions(2).build().unwrap()).await;
    let (sid, _) = site.polling().await;
    let first = site.socket().await;
    let mut third = site.stream().await;
    third.say("0").await;
    assert_eq!(third.closed().await, (REQUEST_REJECTED, "too many sessions".into()));
    assert_eq!(site.http("GET", "transport=polling", "").await.0, StatusCode::SERVICE_UNAVAILABLE);
    // An upgrade takes no place of its own.
    let mut upgrade = site.stream().await;
    upgrade.say(&format!("0{{\"sid\":\"{sid}\"}}")).await;
    upgrade.say("2probe").await;
    assert_eq!(upgrade.hear().await, "3probe");
    upgrade.say("5").await;
    upgrade.join().await;
    first.leave();
    upgrade.leave();
    site.emptied().await;
    site.socket().await;
}

#[tokio::test]
async fn places_are_counted_per_address() {
    let site = Site::new(builder().max_sessions_per_address(1).build().unwrap()).await;
    let _first = site.socket().await;
    let mut second = site.stream().await;
    second.say("0").await;
    assert_eq!(second.closed().await, (REQUEST_REJECTED, "too many sessions from this address".into()));
}

/// The clock stands, so that no room is made meanwhile.
#[tokio::test(start_paused = true)]
async fn handshakes_are_slowed_down() {
    let _still = Still::new();
    let site = Site::new(builder().handshake_rate(1, 2).build().unwrap()).await;
    let mut peers = vec![moving(site.peer()).await, moving(site.peer()).await];
    assert_eq!(site.io.metrics().limits.total(), 0);
    refused_as_too_fast(&site, 0).await;
    // A second makes room for one, and not for two.
    advance(Duration::from_secs(1)).await;
    peers.push(moving(site.peer()).await);
    refused_as_too_fast(&site, 2).await;
    let metrics = site.io.metrics();
    assert_eq!((metrics.sessions, metrics.sessions_opened), (3, 3));
}

/// One more, by WebTransport and by polling; so many were refused before.
async fn refused_as_too_fast(site: &Site, before: u64) {
    let mut peer = moving(site.stream()).await;
    moving(peer.say("0")).await;
    assert_eq!(moving(peer.closed()).await, (REQUEST_REJECTED, "too many new sessions per second".into()));
    let net = Net::new(&site.io);
    let answer = net.request("GET", "/socket.io/?EIO=4&transport=polling", &[], "").answer().await;
    answer.expect(503, "{\"code\":4,\"message\":\"too many new sessions per second\"}");
    assert_eq!(answer.headers["retry-after"], "1", "which the code of a closed connection cannot say");
    let (metrics, refused) = (site.io.metrics(), before + 2);
    assert_eq!((metrics.limits.get(Limit::Handshakes), metrics.limits.total()), (refused, refused));
    assert_eq!((metrics.refusals.get(ErrorCode::Busy), metrics.requests_refused), (refused, refused));
}

#[tokio::test]
async fn pages_of_other_origins_are_refused() {
    let errors = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&errors);
    let io = builder()
        .origins(["https://good.example"])
        .on_connection_error(move |error| seen.lock().unwrap().push((error.error(), error.peer().uri().to_owned())))
        .build()
        .unwrap();
    let site = Site::new(io).await;
    let stranger = site.ask("/socket.io/?a=b", Some("https://evil.example")).await;
    assert!(matches!(stranger, Err(ConnectingError::SessionRejected)));
    assert_eq!(*errors.lock().unwrap(), [(ErrorCode::Forbidden, "/socket.io/?a=b".to_owned())]);
    site.ask("/socket.io/", Some("https://good.example")).await.unwrap();
    site.ask("/socket.io/", None).await.unwrap();
    // Without a list, the own host and no other.
    let site = Site::new(builder().build().unwrap()).await;
    let own = format!("http://{}", site.address);
    site.ask("/socket.io/", Some(&own)).await.unwrap();
    assert!(site.ask("/socket.io/", Some("http://127.0.0.1:1")).await.is_err());
}

/// Panics if the client asks for it.
fn look(peer: &Peer) {
    assert!(peer.query("x").is_none(), "on purpose");
}

#[tokio::test]
async fn a_hook_that_panics_refuses_one_client_and_harms_nobody_else() {
    type Build = fn(ServerBuilder) -> ServerBuilder;
    let hooks: [(&str, Build); 3] = [
        ("allow_request", |io| {
            io.allow_request(async |peer| {
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
        ("on_connection_error", |io| {
            io.allow_request(async |peer| if peer.query("x").is_some() { Err(Refusal::new("no")) } else { Ok(()) })
                .on_connection_error(|_| panic!("on purpose"))
        }),
    ];
    for (hook, build) in hooks {
        let site = Site::new(build(builder().max_sessions(1)).build().unwrap()).await;
        let said = if hook == "on_connection_error" { "no" } else { "Internal error" };
        for _ in 0..3 {
            let mut peer = site.ask("/socket.io/?x=1", None).await.unwrap().open().await;
            peer.say("0").await;
            assert_eq!(peer.closed().await, (REQUEST_REJECTED, said.into()), "{hook}");
        }
        assert_eq!(site.io.metrics().requests_refused, 3, "{hook}");
        let mut peer = site.ask("/socket.io/?id=a", None).await.unwrap().open().await;
        peer.say("0").await;
        assert!(peer.hear().await.starts_with("0{\"sid\":"), "{hook}");
        peer.join().await;
    }
}

/// They are asked before there is a session of WebTransport, so that none comes about.
#[tokio::test]
async fn hooks_of_the_request_that_panic_refuse_it() {
    let headers = builder().any_origin().on_headers(|_, peer| look(peer));
    let cors = builder().cors(Cors::matching(|origin| {
        assert!(!origin.contains("//x."), "on purpose");
        true
    }));
    for io in [headers, cors] {
        let site = Site::new(io.build().unwrap()).await;
        let refused = site.ask("/socket.io/?x=1", Some("https://x.example")).await;
        assert!(matches!(refused, Err(ConnectingError::SessionRejected)));
        assert_eq!(site.io.metrics().refusals.get(ErrorCode::Internal), 1);
        site.ask("/socket.io/", Some("https://good.example")).await.unwrap().open().await.say("0").await;
    }
}

#[tokio::test]
async fn only_the_path_of_the_server_answers() {
    let site = Site::new(builder().path("/live").build().unwrap()).await;
    for path in ["/socket.io/", "/", "/live/more", "/lives"] {
        assert!(matches!(site.ask(path, None).await, Err(ConnectingError::SessionRejected)), "{path}");
    }
    for path in ["/live/", "/live", "/live/?EIO=4&transport=webtransport"] {
        site.ask(path, None).await.unwrap();
    }
}

#[tokio::test]
async fn the_query_and_headers_are_seen() {
    let io = builder().build().unwrap();
    io.on_with_ack("who", async |socket: Socket, (): ()| {
        let peer = socket.peer();
        (peer.query("token").map(std::borrow::Cow::into_owned), peer.header("host").map(str::to_owned))
    });
    let site = Site::new(io).await;
    let mut peer = site.ask("/socket.io/?token=a%20b", None).await.unwrap().open().await;
    peer.say("0").await;
    peer.hear().await;
    peer.join().await;
    peer.say("420[\"who\"]").await;
    assert_eq!(peer.hear().await, format!("430[\"a b\",\"{}\"]", site.address));
}

#[tokio::test]
async fn ids_are_made_by_the_application() {
    let ids = Mutex::new(vec!["no id at all".to_owned(), "same".to_owned(), "same".to_owned()]);
    let io = builder().generate_id(move |_| ids.lock().unwrap().pop().unwrap()).build().unwrap();
    let site = Site::new(io).await;
    let mut first = site.stream().await;
    first.say("0").await;
    assert!(first.hear().await.starts_with("0{\"sid\":\"same\","));
    for _ in 0..2 {
        let mut peer = site.stream().await;
        peer.say("0").await;
        assert_eq!(peer.closed().await, (REQUEST_REJECTED, "Bad request".into()));
    }
}

#[derive(serde::Deserialize)]
struct Auth {
    token: String,
}

#[tokio::test]
async fn authorize_decides_about_sockets() {
    let io = builder().build().unwrap();
    io.authorize(async |_, auth: Auth| if auth.token == "t" { Ok(()) } else { Err(Refusal::new("who?")) });
    let site = Site::new(io).await;
    let mut peer = site.peer().await;
    peer.say("40{\"token\":\"x\"}").await;
    assert_eq!(peer.hear().await, "44{\"message\":\"who?\"}");
    peer.say("40{\"token\":\"t\"}").await;
    assert!(peer.hear().await.starts_with("40{"));
}

#[tokio::test]
async fn a_server_that_is_about_to_end_takes_nobody() {
    let io = builder().build().unwrap();
    io.on("long", async |_: Socket, ()| std::future::pending::<()>().await);
    let site = Site::new(io).await;
    let mut busy = site.socket().await;
    busy.say("42[\"long\"]").await;
    let (server, late) = (site.io.clone(), site.stream().await);
    let closing = tokio::spawn(async move { server.close(Duration::from_secs(1)).await });
    soon(async {
        while site.io.is_ready() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let mut late = late;
    late.say("0").await;
    assert_eq!(late.closed().await, (REQUEST_REJECTED, "Server shutting down".into()));
    soon(closing).await.unwrap();
}

#[tokio::test]
async fn what_was_not_enabled_is_not_served() {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let tls = SelfSigned::new(["localhost"]).unwrap().tls();
    let error = Server::new().serve_webtransport(socket, tls).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
    assert!(error.to_string().contains("webtransport is not among the transports"), "{error}");
    // Nor is there a WebTransport over HTTP/1.1.
    let site = Site::new(builder().build().unwrap()).await;
    let (status, body) = site.http("GET", "transport=webtransport", "").await;
    assert_eq!((status, &*body), (StatusCode::BAD_REQUEST, "{\"code\":0,\"message\":\"Transport unknown\"}"));
    let only = Site::new(Server::builder().transports(&[Transport::Webtransport]).build().unwrap()).await;
    assert_eq!(only.http("GET", "transport=polling", "").await.0, StatusCode::BAD_REQUEST);
    only.socket().await;
}
