//! Hooks that panic: the log has their names, once for each time, and nothing of what they said.

use http::{HeaderMap, HeaderValue};
use sockeye::{Cors, Peer, Refusal, Server, ServerBuilder};
use sockeye_testing::{Net, settle};

use crate::HEADERS;
use crate::capture::Capture;

/// Says what nobody else must say.
fn tell(peer: &Peer) -> HeaderValue {
    panic!("{:?} of {} is not known", peer.header("cookie"), peer.uri())
}

fn mark(headers: &mut HeaderMap, peer: &Peer) {
    headers.insert("x-who", tell(peer));
}

type Build = fn(ServerBuilder) -> ServerBuilder;

const PANICKING: &[(&str, Build)] = &[
    ("allow_request", |io| {
        io.allow_request(async |peer| {
            tell(&peer);
            Ok(())
        })
    }),
    ("generate_id", |io| io.generate_id(|peer| tell(peer).to_str().unwrap().to_owned())),
    ("on_initial_headers", |io| io.on_initial_headers(mark)),
    ("on_headers", |io| io.on_headers(mark)),
    ("Cors::matching", |io| io.cors(Cors::matching(|origin| panic!("{origin} is not known")))),
    ("on_connection_error", |io| {
        io.allow_request(async |_| Err(Refusal::new("no"))).on_connection_error(|error| drop(tell(error.peer())))
    }),
];

#[tokio::test(start_paused = true)]
async fn a_hook_that_panics_is_named_once_and_not_quoted() {
    for (hook, build) in PANICKING {
        let capture = Capture::default();
        let captured = tracing::subscriber::set_default(capture.clone());
        let io = build(Server::builder().any_origin()).build().unwrap();
        let net = Net::new(&io);
        let headers = [HEADERS[0], ("origin", "https://SECRET-origin")];
        drop(net.request("GET", "/socket.io/?EIO=4&transport=polling&t=SECRET-query", &headers, "").answer().await);
        net.try_open("/socket.io/?EIO=4&transport=websocket&t=SECRET-query", &headers).await.unwrap_err();
        settle().await;
        drop(captured);
        let log = capture.log.lock().unwrap();
        let errors: Vec<_> = log.lines().filter(|line| line.starts_with("ERROR")).collect();
        let line = format!("ERROR sockeye::panics message=a function of the application panicked hook={hook:?}");
        assert_eq!(errors, [&line, &line], "once for each request");
        assert!(!log.contains("SECRET"), "{log}");
    }
}
