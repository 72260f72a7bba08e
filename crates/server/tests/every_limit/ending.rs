//! Limits on what a client sends: whoever goes beyond is told, and its session ends.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use sockeye::{Cause, Disconnect, DisconnectReason, Limit, Server, ServerBuilder, Socket};
use sockeye_testing::Net;

use crate::client::{Client, Piece, TRANSPORTS, Told, Transport};

/// When the limit is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Before CONNECT.
    Stranger,
    /// After it.
    Member,
}
use Stage::{Member, Stranger};

/// A limit, and how to reach it.
pub(crate) struct Case {
    pub(crate) limit: Limit,
    pub(crate) stage: Stage,
    pub(crate) server: fn(ServerBuilder) -> ServerBuilder,
    /// The most that is allowed.
    pub(crate) most: usize,
    /// `n` of what is limited.
    pub(crate) pieces: fn(n: usize, transport: Transport) -> Vec<Piece>,
    /// The close code of a stream.
    code: u16,
    /// What a POST is answered with; `None`: polling does not have this limit.
    answer: Option<Answer>,
}

/// How polling is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// By 413: nothing was taken, and the session goes on.
    TooLarge,
    /// By 400 with the limit in words, and the session ends.
    Said,
    /// By CLOSE in the next GET: it happens between requests.
    Closed,
}

pub(crate) const CASES: &[Case] = &[
    Case {
        limit: Limit::Payload,
        stage: Member,
        server: |builder| builder.max_payload(1_000),
        most: 1_000,
        pieces: |n, _| vec![Piece::Text(format!("42[\"x\",\"{}\"]", "y".repeat(n - 10)))],
        code: 1009,
        answer: Some(Answer::TooLarge),
    },
    Case {
        limit: Limit::Payload,
        stage: Stranger,
        server: |builder| builder.max_payload(1_000),
        most: 1_000,
        pieces: |n, _| vec![connect(n)],
        code: 1009,
        answer: Some(Answer::TooLarge),
    },
    Case {
        limit: Limit::UnconnectedPayload,
        stage: Stranger,
        server: |builder| builder.max_unconnected_payload(10_000),
        most: 10_000,
        pieces: |n, _| vec![connect(n)],
        code: 1009,
        answer: Some(Answer::TooLarge),
    },
    Case {
        limit: Limit::UnconnectedPayload,
        stage: Stranger,
        server: |builder| builder.max_unconnected_payload(100),
        most: 100,
        pieces: |n, _| vec![connect(n)],
        code: 1009,
        answer: Some(Answer::TooLarge),
    },
    Case {
        limit: Limit::Fragments,
        stage: Member,
        server: |builder| builder,
        most: 65_536,
        pieces: |n, _| fragments("42[\"x\"]", n),
        code: 1008,
        answer: None,
    },
    Case {
        limit: Limit::Fragments,
        stage: Stranger,
        server: |builder| builder,
        most: 65_536,
        pieces: |n, _| fragments("40/nowhere,", n),
        code: 1008,
        answer: None,
    },
    Case {
        limit: Limit::Fragments,
        stage: Member,
        server: |builder| builder.max_fragments(3),
        most: 3,
        pieces: |n, _| fragments("42[\"x\"]", n),
        code: 1008,
        answer: None,
    },
    Case {
        limit: Limit::Attachments,
        stage: Member,
        server: |builder| builder,
        most: 10,
        pieces: |n, _| attachments(&vec![5; n]),
        code: 1008,
        answer: Some(Answer::Said),
    },
    Case {
        limit: Limit::Attachments,
        stage: Member,
        server: |builder| builder.max_attachments(3),
        most: 3,
        pieces: |n, _| attachments(&vec![5; n]),
        code: 1008,
        answer: Some(Answer::Said),
    },
    Case {
        limit: Limit::AttachmentBytes,
        stage: Member,
        server: |builder| builder.max_attachment_bytes(1_000),
        most: 1_000,
        pieces: |n, _| attachments(&[500, n - 500]),
        code: 1008,
        answer: Some(Answer::Said),
    },
    Case {
        limit: Limit::AttachmentTime,
        stage: Member,
        server: |builder| builder.attachment_timeout(Duration::from_millis(5_000)),
        most: 4_999,
        pieces: |n, _| {
            let mut pieces = attachments(&[5]);
            pieces.insert(1, Piece::Wait(Duration::from_millis(n as u64)));
            pieces
        },
        code: 1008,
        answer: Some(Answer::Closed),
    },
    Case {
        limit: Limit::ConnectTime,
        stage: Stranger,
        server: |builder| builder.connect_timeout(Duration::from_millis(5_000)),
        most: 4_999,
        pieces: |n, _| vec![Piece::Wait(Duration::from_millis(n as u64))],
        code: 1008,
        answer: Some(Answer::Closed),
    },
    Case {
        limit: Limit::Depth,
        stage: Member,
        server: |builder| builder,
        most: 128,
        pieces: |n, _| vec![Piece::Text(format!("42[\"x\",{}{}]", "[".repeat(n - 1), "]".repeat(n - 1)))],
        code: 1008,
        answer: Some(Answer::Said),
    },
    Case {
        limit: Limit::Depth,
        stage: Stranger,
        server: |builder| builder.max_depth(5),
        most: 5,
        pieces: |n, _| vec![Piece::Text(format!("40{}1{}", "{\"a\":".repeat(n), "}".repeat(n)))],
        code: 1008,
        answer: Some(Answer::Said),
    },
    Case {
        limit: Limit::Namespaces,
        stage: Stranger,
        server: |builder| builder.max_namespaces(3),
        most: 3,
        pieces: |n, _| (0..n).map(|n| Piece::Text(format!("40/room-{n},"))).collect(),
        code: 1008,
        answer: Some(Answer::Said),
    },
    Case {
        limit: Limit::EventsPerSecond,
        stage: Member,
        // CONNECT is one of them.
        server: |builder| builder.event_rate(1, 6),
        most: 5,
        pieces: |n, _| vec![Piece::Text("42[\"x\"]".into()); n],
        code: 1008,
        answer: Some(Answer::Said),
    },
    Case {
        limit: Limit::EventsPerSecond,
        stage: Member,
        server: |builder| builder.event_rate(1, 6),
        most: 5,
        // The first may be a heartbeat.
        pieces: |n, _| vec![Piece::Text("3".into()); n + 1],
        code: 1008,
        answer: Some(Answer::Said),
    },
    Case {
        limit: Limit::EventsPerSecond,
        stage: Member,
        server: |builder| builder.event_rate(1, 6),
        most: 5,
        pieces: |n, _| vec![Piece::Text("6".into()); n],
        code: 1008,
        answer: Some(Answer::Said),
    },
    Case {
        limit: Limit::EventsPerSecond,
        stage: Member,
        server: |builder| builder.event_rate(1, 6),
        most: 5,
        pieces: |n, _| fragments("42[\"x\"]", n),
        code: 1008,
        answer: None,
    },
    Case {
        limit: Limit::EventsPerSecond,
        stage: Stranger,
        server: |builder| builder.event_rate(1, 5),
        most: 5,
        // Ping and pong of WebSocket in turn.
        pieces: |n, _| (0..n).map(|n| Piece::Frames(vec![[0x89, 0x8a][n % 2], 0x80, 0, 0, 0, 0])).collect(),
        code: 1008,
        answer: None,
    },
    Case {
        limit: Limit::EventsPerSecond,
        stage: Stranger,
        server: |builder| builder.event_rate(1, 5),
        most: 5,
        pieces: |n, _| vec![Piece::Text("40/nowhere,".into()); n],
        code: 1008,
        answer: Some(Answer::Said),
    },
    Case {
        limit: Limit::BytesPerSecond,
        stage: Member,
        server: |builder| builder.byte_rate(1, 2_000),
        most: 2_000,
        pieces: |n, transport| {
            let length = n - opening(transport) - raw(transport, 2) - raw(transport, 200) + 200;
            vec![Piece::Text(format!("42[\"x\",\"{}\"]", "y".repeat(length - 10))), LEAVE]
        },
        code: 1008,
        answer: Some(Answer::Said),
    },
    Case {
        limit: Limit::BytesPerSecond,
        stage: Stranger,
        server: |builder| builder.byte_rate(1, 500),
        most: 500,
        pieces: |n, transport| {
            let length = n - opening(transport) - raw(transport, 200) + 200;
            vec![Piece::Text(format!("40/{},", "y".repeat(length - 4))), LEAVE]
        },
        code: 1008,
        answer: Some(Answer::Said),
    },
];

/// A CONNECT of `n` bytes.
fn connect(n: usize) -> Piece {
    Piece::Text(format!("40{{\"pad\":\"{}\"}}", "x".repeat(n - 12)))
}

/// After this there is a byte to leave by.
const LEAVE: Piece = Piece::Wait(Duration::from_secs(1));

/// What a packet takes on its way: a body, a frame with its mask, or its length and itself.
fn raw(transport: Transport, length: usize) -> usize {
    match (transport, length) {
        (Transport::Polling, _) => length,
        #[cfg(feature = "webtransport")]
        (Transport::Webtransport(_), 0..=125) => 1 + length,
        #[cfg(feature = "webtransport")]
        (Transport::Webtransport(_), _) => 3 + length,
        (_, 0..=125) => 6 + length,
        _ => 8 + length,
    }
}

/// What has come before CONNECT.
fn opening(transport: Transport) -> usize {
    if transport.is_upgraded() { raw(transport, "2probe".len()) + raw(transport, "5".len()) } else { 0 }
}

/// A text in `n` frames, all but the first of them empty.
fn fragments(text: &'static str, n: usize) -> Vec<Piece> {
    let frame = |first: u8, payload: &str| {
        let length = u8::try_from(payload.len()).expect("a short text");
        // A mask of zeros.
        [&[first, 0x80 | length, 0, 0, 0, 0], payload.as_bytes()].concat()
    };
    let bytes = [frame(0x01, text), frame(0x00, "").repeat(n - 2), frame(0x80, "")].concat();
    vec![Piece::Frames(bytes)]
}

/// An event with attachments of these lengths.
fn attachments(lengths: &[usize]) -> Vec<Piece> {
    let places: Vec<_> = (0..lengths.len()).map(|num| format!(",{{\"_placeholder\":true,\"num\":{num}}}")).collect();
    let header = Piece::Text(format!("45{}-[\"x\"{}]", lengths.len(), places.concat()));
    std::iter::once(header).chain(lengths.iter().map(|length| Piece::Binary(*length))).collect()
}

#[tokio::test(start_paused = true)]
async fn whoever_goes_beyond_a_limit_is_told_and_counted() {
    for case in CASES {
        for transport in TRANSPORTS {
            if transport != Transport::Polling || case.answer.is_some() {
                for n in [case.most - 1, case.most, case.most + 1] {
                    play(case, transport, n).await;
                }
            }
        }
    }
}

async fn play(case: &Case, transport: Transport, n: usize) {
    let (limit, stage) = (case.limit, case.stage);
    let what = format!("{n} of {limit:?} as {stage:?} over {transport:?}");
    let (io, net, reasons) = server(case.server);
    let mut client = Client::open(&net, transport).await;
    if stage == Member {
        client.join().await;
    }
    let told = client.send_all(&net, (case.pieces)(n, transport)).await;
    let exceeded = n > case.most;
    assert_eq!(told, if exceeded { expected(case, transport) } else { Told::Nothing }, "{what}");
    let lives = !exceeded || (transport == Transport::Polling && case.answer == Some(Answer::TooLarge));
    if !lives {
        client.expect_end(&what).await;
    }
    let fate = match (exceeded, lives) {
        (true, false) => Fate::Ended,
        (true, true) => Fate::Refused,
        (false, _) => Fate::Unharmed,
    };
    assert_known(case, fate, &io, &reasons, &what);
    client.leave().await;
    net.assert_clean().await;
}

/// What becomes of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It went beyond the limit, and is over.
    Ended,
    /// It went beyond the limit with a request that was refused, and goes on.
    Refused,
    /// It went as far as the limit.
    Unharmed,
}

/// What the server has counted, and the application has learned.
pub(crate) fn assert_known(case: &Case, fate: Fate, io: &Server, reasons: &Reasons, what: &str) {
    let Case { limit, stage, .. } = *case;
    let (metrics, times) = (io.metrics(), u64::from(fate != Fate::Unharmed));
    assert_eq!((metrics.limits.get(limit), metrics.limits.total()), (times, times), "{what}");
    assert_eq!(metrics.sessions, u64::from(fate != Fate::Ended), "{what}");
    if fate == Fate::Ended {
        let reason = DisconnectReason::LimitExceeded(limit);
        assert_eq!((metrics.sessions_closed.get(reason), metrics.sessions_closed.total()), (1, 1), "{what}");
        // Of the namespaces of one connection each is told.
        let mut reasons = reasons.lock().unwrap();
        let (actual, bound) = values(case);
        let wanted = Cause::Limit { limit, actual, bound };
        assert!(reasons.iter().all(|last| last.reason == reason && last.cause == wanted), "{what}: {reasons:?}");
        assert_eq!(
            reasons.len(),
            if limit == Limit::Namespaces { case.most } else { usize::from(stage == Member) },
            "{what}"
        );
        reasons.clear();
    }
    assert!(reasons.lock().unwrap().is_empty(), "{what}");
}

/// What is told of one too many: how many there were, and may be.
fn values(case: &Case) -> (Option<u64>, Option<u64>) {
    match case.limit {
        Limit::AttachmentTime => (None, Some(5_000)),
        Limit::BytesPerSecond | Limit::EventsPerSecond => (None, Some(1)),
        _ => (Some(case.most as u64 + 1), Some(case.most as u64)),
    }
}

fn last(socket: &Socket) -> Disconnect {
    socket.last_disconnect().expect("it has left")
}

fn expected(case: &Case, transport: Transport) -> Told {
    let words = case.limit.as_str();
    match (transport, case.answer) {
        (Transport::Polling, Some(answer @ (Answer::TooLarge | Answer::Said))) => {
            let status = if answer == Answer::TooLarge { 413 } else { 400 };
            Told::Answered(status, format!("{{\"code\":3,\"message\":\"{words}\"}}"))
        }
        (Transport::Polling, _) => Told::Nothing,
        _ => Told::Closed(Some(case.code), words.to_owned()),
    }
}

pub(crate) type Reasons = Arc<Mutex<Vec<Disconnect>>>;

fn server(options: fn(ServerBuilder) -> ServerBuilder) -> (Server, Net, Reasons) {
    let (io, reasons) = server_of(options(Server::builder()));
    let net = Net::new(&io);
    (io, net, reasons)
}

/// A server that remembers why sockets left.
pub(crate) fn server_of(builder: ServerBuilder) -> (Server, Reasons) {
    let io = builder.ping_interval(Duration::from_mins(1)).build().expect("the options agree");
    let reasons = Reasons::default();
    let seen = Arc::clone(&reasons);
    io.on_disconnect(async move |socket, _| seen.lock().unwrap().push(last(&socket)));
    let seen = Arc::clone(&reasons);
    let rooms = io.of_pattern("/room-{id}").expect("a pattern");
    rooms.on_disconnect(async move |socket, _| seen.lock().unwrap().push(last(&socket)));
    (io, reasons)
}

/// A CONNECT is kept as long as its socket, however long other messages may be. The other namespaces are not to blame.
#[tokio::test(start_paused = true)]
async fn a_long_connect_is_refused_and_the_other_namespaces_stay() {
    for transport in TRANSPORTS {
        for (length, fits) in [(16_383, true), (16_384, true), (16_385, false)] {
            let (io, net, _) = server(|builder| builder);
            let mut client = Client::open(&net, transport).await;
            client.join().await;
            // The type of the Engine.IO packet is not counted here.
            let connect = format!("40/room-1,{{\"pad\":\"{}\"}}", "x".repeat(length - 19));
            client.send(&net, Piece::Text(connect)).await;
            let answer = if fits {
                "40/room-1,{\"sid\":\"…\"}"
            } else {
                "44/room-1,{\"message\":\"the CONNECT of a namespace is limited to 16384 bytes\"}"
            };
            client.expect(answer).await;
            let metrics = io.metrics();
            let beyond = u64::from(!fits);
            assert_eq!((metrics.limits.get(Limit::UnconnectedPayload), metrics.limits.total()), (beyond, beyond));
            assert_eq!((metrics.sessions, metrics.sockets), (1, 2 - beyond), "{length} over {transport:?}");
            if !fits {
                client.send(&net, Piece::Text("40/room-1,".to_owned())).await;
                client.expect("40/room-1,{\"sid\":\"…\"}").await;
            }
            client.leave().await;
            net.assert_clean().await;
        }
    }
}

/// What has no name of its own among the limits: a path longer than 1,024 bytes is no path.
#[tokio::test(start_paused = true)]
async fn the_path_of_a_namespace_has_a_length() {
    for transport in TRANSPORTS {
        for (length, fits) in [(1_023, true), (1_024, true), (1_025, false)] {
            let (io, net, _) = server(|builder| builder);
            let mut client = Client::open(&net, transport).await;
            let piece = Piece::Text(format!("40/{},", "p".repeat(length - 1)));
            client.send_all(&net, vec![piece]).await;
            if !fits {
                client.expect_end(&length.to_string()).await;
            }
            assert_eq!(io.metrics().sessions, u64::from(fits), "{length} over {transport:?}");
            assert_eq!(io.metrics().protocol_errors, u64::from(!fits), "{length} over {transport:?}");
            client.leave().await;
            net.assert_clean().await;
        }
    }
}
