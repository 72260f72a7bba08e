//! Floods of handshakes, and who they say they are.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http_body_util::Empty;
use sockeye::{ErrorCode, Limit, PeerAddr, Server, ServerBuilder, Socket};
use sockeye_testing::{Net, WebSocket};
use tokio::time::Instant;

const FLOOD: usize = 3_000;
const POLLING: &str = "/socket.io/?EIO=4&transport=polling";
const WEBSOCKET: &str = "/socket.io/?EIO=4&transport=websocket";

struct Case {
    what: &'static str,
    server: fn(ServerBuilder) -> ServerBuilder,
    /// What the flood says of its addresses; all of it comes from 192.0.2.1.
    says: fn(usize) -> Vec<(&'static str, String)>,
    limit: Limit,
    admitted: usize,
    /// How one is answered who comes from elsewhere meanwhile.
    elsewhere: u16,
}

fn rates(builder: ServerBuilder) -> ServerBuilder {
    builder.handshake_rate(50, 100).handshake_rate_per_address(10, 20)
}

fn behind_a_proxy(builder: ServerBuilder) -> ServerBuilder {
    rates(builder).trust_proxies(["192.0.2.1"]).expect("an address")
}

fn address(n: usize) -> String {
    format!("10.0.{}.{}", n / 256, n % 256)
}

/// One of those who may come is there already, from the same address or behind the same proxy.
const CASES: [Case; 4] = [
    Case {
        what: "one address",
        server: rates,
        says: |_| Vec::new(),
        limit: Limit::HandshakesPerAddress,
        admitted: 20 - 1,
        elsewhere: 200,
    },
    Case {
        what: "one address that says it is many",
        server: rates,
        says: |n| {
            vec![
                ("x-forwarded-for", address(n)),
                ("forwarded", format!("for={}", address(n))),
                ("x-real-ip", address(n)),
            ]
        },
        limit: Limit::HandshakesPerAddress,
        admitted: 20 - 1,
        elsewhere: 200,
    },
    Case {
        what: "one client of a proxy that says it is another proxy",
        server: behind_a_proxy,
        says: |n| vec![("x-forwarded-for", format!("{}, 198.51.100.9", address(n)))],
        limit: Limit::HandshakesPerAddress,
        admitted: 20,
        elsewhere: 200,
    },
    Case {
        what: "many clients of a proxy",
        server: behind_a_proxy,
        says: |n| vec![("x-forwarded-for", address(n))],
        limit: Limit::Handshakes,
        admitted: 100 - 1,
        elsewhere: 503,
    },
];

/// Who is there is served meanwhile, before any time has passed, and nobody is asked about those who are too many.
#[tokio::test(start_paused = true)]
async fn a_flood_of_handshakes_is_refused_and_delays_nobody() {
    for case in CASES {
        let (what, asked) = (case.what, Arc::new(AtomicUsize::new(0)));
        let hook = Arc::clone(&asked);
        let builder = (case.server)(Server::builder()).allow_request(async move |_| {
            hook.fetch_add(1, Ordering::Relaxed);
            Ok::<_, sockeye::Refusal>(())
        });
        let io = builder.build().expect("the options agree");
        io.on("echo", async |socket: Socket, n: usize| socket.emit("echo", n));
        let net = Net::new(&io);
        let (mut alice, _) = net.join().await;
        let began = Instant::now();
        let (mut polls, mut streams) = (Vec::new(), Vec::new());
        for n in 0..FLOOD {
            let said = (case.says)(n);
            let headers: Vec<_> = said.iter().map(|(name, value)| (*name, value.as_str())).collect();
            if n % 10 == 9 {
                streams.push(net.try_open(WEBSOCKET, &headers).await);
                serve(&mut alice, n).await;
            } else {
                polls.push(net.request("GET", POLLING, &headers, ""));
            }
        }
        let mut admitted = streams.iter().filter(|stream| stream.is_ok()).count();
        for refused in streams.iter().filter_map(|stream| stream.as_ref().err()) {
            let head = refused.to_ascii_lowercase();
            assert!(head.starts_with("http/1.1 503") && head.contains("retry-after: 1\r\n"), "{what}: {head}");
        }
        for poll in polls {
            let answer = poll.answer().await;
            if answer.status == 200 {
                admitted += 1;
                continue;
            }
            answer.expect(503, &format!("{{\"code\":4,\"message\":\"{}\"}}", case.limit));
            assert_eq!(answer.headers["retry-after"], "1", "{what}");
        }
        assert_eq!((admitted, asked.load(Ordering::Relaxed)), (case.admitted, case.admitted + 1), "{what}");
        assert_eq!(comes_from_elsewhere(&net).await, case.elsewhere, "{what}");
        serve(&mut alice, FLOOD).await;
        assert_eq!(began.elapsed(), Duration::ZERO, "{what}");
        let metrics = io.metrics();
        let refused = (FLOOD - admitted) as u64 + u64::from(case.elsewhere == 503);
        assert_eq!((metrics.limits.get(case.limit), metrics.limits.total()), (refused, refused), "{what}");
        assert_eq!(metrics.refusals.get(ErrorCode::Busy), refused, "{what}");
        drop((alice, streams));
        // Who asked for a session, and says nothing more.
        net.advance(Duration::from_secs(60)).await;
        net.assert_clean().await;
        assert_eq!(comes_from_elsewhere(&net).await, 200, "{what}: it is over");
    }
}

async fn serve(client: &mut WebSocket, n: usize) {
    client.send(&format!("42[\"echo\",{n}]")).await;
    client.expect(&format!("42[\"echo\",{n}]")).await;
}

async fn comes_from_elsewhere(net: &Net) -> u16 {
    let peer = PeerAddr("203.0.113.5:1".parse().expect("an address"));
    let request = http::Request::get(POLLING).extension(peer).body(Empty::<bytes::Bytes>::new()).expect("a request");
    net.send(request).answer().await.status.as_u16()
}
