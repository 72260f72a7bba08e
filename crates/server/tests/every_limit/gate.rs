//! Limits on who may come: sessions in all and per address, and how fast they are opened.

use std::time::Duration;

use sockeye::{ErrorCode, Limit, Server, ServerBuilder};
use sockeye_testing::Net;

use crate::client::{Client, Transport};

pub(crate) struct Case {
    pub(crate) limit: Limit,
    pub(crate) server: fn(ServerBuilder) -> ServerBuilder,
    retry_after: &'static str,
    /// What makes room again.
    pub(crate) relief: Relief,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Relief {
    OneLeaves,
    TimePasses,
}

pub(crate) const MOST: usize = 3;

pub(crate) const CASES: &[Case] = &[
    Case {
        limit: Limit::Sessions,
        server: |builder| builder.max_sessions(MOST),
        retry_after: "5",
        relief: Relief::OneLeaves,
    },
    Case {
        limit: Limit::SessionsPerAddress,
        server: |builder| builder.max_sessions_per_address(MOST),
        retry_after: "5",
        relief: Relief::OneLeaves,
    },
    Case {
        limit: Limit::Handshakes,
        server: |builder| builder.handshake_rate(1, 3),
        retry_after: "1",
        relief: Relief::TimePasses,
    },
    Case {
        limit: Limit::HandshakesPerAddress,
        server: |builder| builder.handshake_rate_per_address(1, 3),
        retry_after: "1",
        relief: Relief::TimePasses,
    },
];

/// Those who fill it and the one who is too many may use any transport: they are counted together.
#[tokio::test(start_paused = true)]
async fn one_too_many_is_asked_to_come_back() {
    for case in CASES {
        for filling in [Transport::Polling, Transport::Websocket] {
            for coming in [Transport::Polling, Transport::Websocket] {
                play(case, filling, coming).await;
            }
        }
    }
}

async fn play(case: &Case, filling: Transport, coming: Transport) {
    let limit = case.limit;
    let what = format!("{limit:?}, {filling:?}, {coming:?}");
    let io = (case.server)(Server::builder()).build().expect("the options agree");
    let net = Net::new(&io);
    let mut clients = Vec::new();
    for _ in 0..MOST {
        clients.push(Client::open(&net, filling).await);
    }
    assert_eq!(io.metrics().limits.total(), 0, "{what}: N are allowed");
    let (status, retry_after) = refused(&net, coming, limit).await;
    assert_eq!((status, retry_after.as_str()), (503, case.retry_after), "{what}");
    let metrics = io.metrics();
    assert_eq!((metrics.limits.get(limit), metrics.limits.total()), (1, 1), "{what}");
    assert_eq!((metrics.refusals.get(ErrorCode::Busy), metrics.sessions), (1, MOST as u64), "{what}");
    match case.relief {
        Relief::OneLeaves => clients.remove(0).leave().await,
        Relief::TimePasses => net.advance(Duration::from_secs(1)).await,
    }
    clients.push(Client::open(&net, coming).await);
    assert_eq!(io.metrics().limits.total(), 1, "{what}: there is room again");
    for client in clients {
        client.leave().await;
    }
    net.assert_clean().await;
}

/// Status and `Retry-After`.
async fn refused(net: &Net, transport: Transport, limit: Limit) -> (u16, String) {
    if transport == Transport::Polling {
        let answer = net.request("GET", "/socket.io/?EIO=4&transport=polling", &[], "").answer().await;
        answer.expect(503, &format!("{{\"code\":4,\"message\":\"{limit}\"}}"));
        return (answer.status.as_u16(), answer.headers["retry-after"].to_str().unwrap().to_owned());
    }
    let head = net.try_open("/socket.io/?EIO=4&transport=websocket", &[]).await.unwrap_err().to_ascii_lowercase();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let line = head.lines().find_map(|line| line.strip_prefix("retry-after: "));
    (status, line.unwrap_or_default().to_owned())
}

/// A hook that asks somebody who does not answer keeps neither the client nor its place.
#[tokio::test(start_paused = true)]
async fn who_is_not_decided_about_in_time_is_asked_to_come_back() {
    let builder = Server::builder().max_sessions(1).connect_timeout(Duration::from_secs(20));
    let io = builder.allow_request(async |_| std::future::pending().await).build().expect("the options agree");
    let net = Net::new(&io);
    for (count, transport) in [(1, "polling"), (2, "websocket")] {
        let (began, target) = (tokio::time::Instant::now(), format!("/socket.io/?EIO=4&transport={transport}"));
        let head = match transport {
            "polling" => {
                let request = net.request("GET", &target, &[], "");
                net.advance(Duration::from_secs(20)).await;
                let answer = request.answer().await;
                answer.expect(503, "{\"code\":4,\"message\":\"Not decided in time\"}");
                format!("HTTP/1.1 503\r\nretry-after: {}\r\n", answer.headers["retry-after"].to_str().unwrap())
            }
            _ => net.try_open(&target, &[]).await.unwrap_err().to_ascii_lowercase(),
        };
        assert!(head.contains(" 503") && head.contains("retry-after: 5\r\n"), "{transport}: {head}");
        assert_eq!(began.elapsed().as_secs(), 20, "{transport}");
        let metrics = io.metrics();
        assert_eq!((metrics.limits.get(Limit::DecisionTime), metrics.limits.total()), (count, count), "{transport}");
        assert_eq!((metrics.refusals.get(ErrorCode::Busy), metrics.sessions_opened), (count, 0), "{transport}");
    }
    net.assert_clean().await;
}

/// Limits per address are those of each address.
#[tokio::test(start_paused = true)]
async fn other_addresses_have_their_own_room() {
    for builder in [Server::builder().max_sessions_per_address(1), Server::builder().handshake_rate_per_address(1, 1)] {
        let io = builder.build().expect("the options agree");
        let net = Net::new(&io);
        let from = |address: &str| {
            let target = "/socket.io/?EIO=4&transport=polling";
            let mut request = http::Request::get(target).body(http_body_util::Empty::<bytes::Bytes>::new()).unwrap();
            request.extensions_mut().insert(sockeye::PeerAddr(address.parse().unwrap()));
            net.send(request)
        };
        let cases = [
            ("192.0.2.1:1", 200),
            ("192.0.2.1:2", 503),
            ("192.0.2.2:1", 200),
            ("[2001:db8::1]:1", 200),
            ("[2001:db8::2]:1", 503),
        ];
        for (address, status) in cases {
            assert_eq!(from(address).answer().await.status, status, "{address}");
        }
    }
}
