//! Limits, the server's and the client's own: whoever loses a connection for one can read which it was.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use common::{Net, Wire, pass, read_head, seconds, settle, switching, text};
use sockeye::{Limit as Theirs, Server, ServerBuilder, Socket, WhenFull};
use sockeye_client::{Cause, Client, ClientBuilder, ConnectError, Disconnect, DisconnectReason, Limit, Reconnect};
use sockeye_client::{EmitError, Transport, WhenFull as Policy};
use sockeye_engine::ws;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{Notify, mpsc};

/// How messages travel, once all is settled.
const WAYS: [&[Transport]; 3] =
    [&[Transport::Polling], &[Transport::Websocket], &[Transport::Polling, Transport::Websocket]];

/// Whether a connection has a close frame.
fn streams(way: &[Transport]) -> bool {
    way.contains(&Transport::Websocket)
}

/// A client which is connected, and upgraded if it will be; and its disconnects as the handler sees them.
async fn connected(builder: ClientBuilder) -> (Client, mpsc::UnboundedReceiver<Disconnect>) {
    let (told, heard) = mpsc::unbounded_channel();
    let builder = builder.reconnect(Reconnect::never()).on_disconnect(async move |client, reason| {
        let last = client.last_disconnect().expect("this one");
        assert_eq!(last.reason, reason);
        let _ = told.send(last);
    });
    let client = builder.connect().await.unwrap();
    assert_eq!(client.last_disconnect(), None);
    pass(seconds(1)).await;
    (client, heard)
}

fn closed(code: u16, text: &str) -> Cause {
    let cause = Cause::Closed { code: Some(code), text: text.into() };
    assert!(cause.to_string().ends_with(&format!("{code}: {text}")), "{cause}");
    cause
}

/// One more than there may be.
fn exceeded(limit: Limit, most: usize) -> Cause {
    Cause::Limit { limit, actual: Some(most as u64 + 1), bound: Some(most as u64) }
}

fn refused(status: u16, text: &str) -> Cause {
    Cause::Refused { status, text: text.into() }
}

mod of_the_server {
    use super::*;

    type Build = fn(ServerBuilder) -> ServerBuilder;

    struct Case {
        limit: Theirs,
        server: Build,
        most: usize,
        /// `n` of what is limited.
        send: fn(&Client, n: usize),
    }

    const CASES: &[Case] = &[
        Case {
            limit: Theirs::Attachments,
            server: |builder| builder.max_attachments(3),
            most: 3,
            send: |client, n| client.emit("x", vec![Bytes::from_static(b"12345"); n]).unwrap(),
        },
        Case {
            limit: Theirs::AttachmentBytes,
            server: |builder| builder.max_attachment_bytes(1_000),
            most: 1_000,
            send: |client, n| client.emit("x", (Bytes::from(vec![0; 500]), Bytes::from(vec![0; n - 500]))).unwrap(),
        },
        Case {
            limit: Theirs::Depth,
            server: |builder| builder.max_depth(5),
            most: 5,
            send: |client, n| {
                let deep = (1..n).fold(serde_json::json!(1), |inner, _| serde_json::json!([inner]));
                client.emit("x", deep).unwrap();
            },
        },
        Case {
            limit: Theirs::EventsPerSecond,
            // CONNECT is one of them, and is forgotten after a second.
            server: |builder| builder.event_rate(1, 5),
            most: 5,
            send: |client, n| (0..n).for_each(|_| client.emit("x", ()).unwrap()),
        },
        Case {
            limit: Theirs::BytesPerSecond,
            // In hundreds, as headers of frames count too. What came before is forgotten after a second.
            server: |builder| builder.byte_rate(1_000, 2_000),
            most: 19,
            send: |client, n| client.emit("x", "y".repeat(100 * n)).unwrap(),
        },
        Case {
            limit: Theirs::Namespaces,
            server: |builder| builder.max_namespaces(3),
            most: 3,
            send: |client, n| (1..n).for_each(|n| drop(client.of(&format!("/room-{n}")).start().unwrap())),
        },
    ];

    #[tokio::test(start_paused = true)]
    async fn which_a_member_runs_into_are_read() {
        for case in CASES {
            for way in WAYS {
                for n in [case.most - 1, case.most, case.most + 1] {
                    play(case, way, n).await;
                }
            }
        }
    }

    async fn play(case: &Case, way: &'static [Transport], n: usize) {
        let (words, what) = (case.limit.as_str(), format!("{n} of {:?} over {way:?}", case.limit));
        let io = (case.server)(Server::builder()).build().unwrap();
        io.of_pattern("/room-{id}").unwrap();
        let net = Net::with(&io);
        let (client, mut heard) = connected(net.client().transports(way)).await;
        (case.send)(&client, n);
        pass(seconds(1)).await;
        let beyond = n > case.most;
        assert_eq!(io.metrics().limits.get(case.limit), u64::from(beyond), "{what}");
        if beyond {
            let last = heard.try_recv().expect(&what);
            assert!(last.reason.is_temporary(), "{what}: {last}");
            assert_eq!(last.cause, if streams(way) { closed(1008, words) } else { refused(400, words) }, "{what}");
            assert_eq!(client.last_disconnect(), Some(last), "{what}");
        } else {
            assert!(heard.try_recv().is_err() && client.is_connected(), "{what}");
            client.disconnect().await;
            let last = client.last_disconnect().expect(&what);
            assert_eq!((last.reason, last.cause), (DisconnectReason::ClientDisconnect, Cause::ClientDisconnect));
        }
    }

    /// The server ends the session in the answer to the GET, which may be here before that to the POST.
    #[tokio::test(start_paused = true)]
    async fn the_answer_to_a_post_is_waited_for_after_the_end() {
        for (answer, cause) in [
            (
                Some(common::response("400 Bad Request", "", r#"{"code":3,"message":"the words"}"#)),
                refused(400, "the words"),
            ),
            (Some(common::response("200 OK", "", "ok")), Cause::Closed { code: None, text: "".into() }),
            (None, Cause::Closed { code: None, text: "".into() }),
        ] {
            let (gets, answer) = (Arc::new(AtomicUsize::new(0)), Arc::new(answer));
            let posted = Arc::new(Notify::new());
            let net = Net::script(move |mut wire| {
                let (gets, answer, posted) = (Arc::clone(&gets), Arc::clone(&answer), Arc::clone(&posted));
                async move {
                    loop {
                        let head = read_head(&mut wire).await;
                        if head.starts_with("POST") {
                            let body = read_body(&mut wire, &head).await;
                            if body.starts_with("40") {
                                wire.write_all(&common::response("200 OK", "", "ok")).await.unwrap();
                                continue;
                            }
                            posted.notify_one();
                            pass(Duration::from_millis(900)).await;
                            let Some(answer) = &*answer else { return std::future::pending().await };
                            let _ = wire.write_all(answer).await;
                        } else if head.is_empty() {
                            return;
                        } else {
                            let body = match gets.fetch_add(1, Ordering::Relaxed) {
                                0 => common::OPEN,
                                1 => "40{\"sid\":\"id\"}",
                                _ => {
                                    posted.notified().await;
                                    "1"
                                }
                            };
                            let _ = wire.write_all(&common::response("200 OK", "", body)).await;
                        }
                    }
                }
            });
            let (client, mut heard) = connected(net.client().transports([Transport::Polling])).await;
            client.emit("x", ()).unwrap();
            let last = heard.recv().await.unwrap();
            assert_eq!(last, client.last_disconnect().unwrap());
            assert_eq!((last.reason, last.cause), (DisconnectReason::TransportClose, cause));
            settle().await;
            assert_eq!(net.open(), 0);
        }
    }

    async fn read_body(wire: &mut Wire, head: &str) -> String {
        let length =
            head.to_ascii_lowercase().lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        wire.read_exact(&mut body).await.unwrap();
        String::from_utf8(body).unwrap()
    }

    /// Why a client does not connect; what keeps it from that must be all that is wrong.
    async fn failure(builder: ClientBuilder) -> ConnectError {
        let error = builder.reconnect(Reconnect::never()).connect().await.unwrap_err();
        assert!(error.is_unreachable(), "{error}");
        error
    }

    #[tokio::test(start_paused = true)]
    async fn which_a_stranger_runs_into_are_read() {
        let cases: [(Theirs, Build, usize); 2] = [
            (Theirs::Payload, |builder| builder.max_payload(1_000), 1_000),
            (Theirs::UnconnectedPayload, |builder| builder.max_unconnected_payload(10_000), 10_000),
        ];
        for (limit, server, most) in cases {
            // CONNECT goes out before there is an upgrade.
            for way in &WAYS[..2] {
                for n in [most - 1, most, most + 1] {
                    let io = server(Server::builder()).build().unwrap();
                    let net = Net::with(&io);
                    // `40{"pad":"…"}`
                    let auth = serde_json::json!({ "pad": "x".repeat(n - 12) });
                    let builder = net.client().transports(*way).auth(auth);
                    if n <= most {
                        let (client, _) = connected(builder).await;
                        client.disconnect().await;
                        continue;
                    }
                    let error = failure(builder).await;
                    let expected =
                        if streams(way) { closed(1009, limit.as_str()) } else { refused(413, limit.as_str()) };
                    assert_eq!(error.cause(), Some(&expected), "{error}");
                    assert_eq!(io.metrics().limits.get(limit), 1);
                }
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn on_who_may_come_are_read() {
        let cases: [(Theirs, Build); 6] = [
            (Theirs::Connections, |builder| builder.max_connections(1)),
            (Theirs::ConnectionsPerAddress, |builder| builder.max_connections_per_address(1)),
            (Theirs::Handshakes, |builder| builder.handshake_rate(1, 1)),
            (Theirs::HandshakesPerAddress, |builder| builder.handshake_rate_per_address(1, 1)),
            (Theirs::Sessions, |builder| builder.max_sessions(1)),
            (Theirs::SessionsPerAddress, |builder| builder.max_sessions_per_address(1)),
        ];
        for (limit, server) in cases {
            for way in WAYS {
                let io = server(Server::builder()).build().unwrap();
                let here = io.clone();
                let net = Net::script(move |wire| {
                    let io = here.clone();
                    async move { io.serve_stream(wire, Some(([192, 0, 2, 1], 1).into())).await }
                });
                let first = net.client().transports([Transport::Websocket]).connect().await.unwrap();
                let error = failure(net.client().transports(way)).await;
                assert_eq!(error.cause(), Some(&refused(503, limit.as_str())), "{limit}, {way:?}: {error}");
                assert!(error.retry_after().is_some_and(|wait| wait >= seconds(1)), "{limit}, {way:?}");
                assert_eq!(io.metrics().limits.get(limit), 1, "{limit}, {way:?}");
                first.disconnect().await;
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn on_the_time_to_join_is_read() {
        for way in WAYS {
            let io = Server::builder().connect_timeout(seconds(5)).build().unwrap();
            let builder = Net::with(&io).client().transports(way);
            let error = failure(builder.auth_with(async || std::future::pending::<()>().await)).await;
            // CLOSE has no room for words.
            let bare = Cause::Closed { code: None, text: "".into() };
            let expected = if streams(way) { closed(1008, Theirs::ConnectTime.as_str()) } else { bare };
            assert_eq!(error.cause(), Some(&expected), "{way:?}: {error}");
            assert_eq!(io.metrics().limits.get(Theirs::ConnectTime), 1);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn on_heads_of_requests_are_read() {
        for way in &WAYS[..2] {
            for limit in [Theirs::HeadBytes, Theirs::Headers] {
                let io = Server::new();
                let mut builder = Net::with(&io).client().transports(*way);
                let (count, length) = if limit == Theirs::Headers { (101, 1) } else { (50, 400) };
                for n in 0..count {
                    builder = builder.header(&format!("X-{n}"), &"x".repeat(length));
                }
                let error = failure(builder).await;
                assert!(matches!(error.cause(), Some(Cause::Refused { status: 431, .. })), "{limit}, {way:?}: {error}");
                assert_eq!(io.metrics().limits.get(limit), 1, "{limit}, {way:?}");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn on_the_time_to_decide_is_read() {
        for way in WAYS {
            let builder = Server::builder().connect_timeout(seconds(5));
            let io = builder.allow_request(async |_| std::future::pending().await).build().unwrap();
            let error = failure(Net::with(&io).client().transports(way)).await;
            assert_eq!(error.cause(), Some(&refused(503, "Not decided in time")), "{error}");
            assert_eq!(io.metrics().limits.get(Theirs::DecisionTime), 1);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn on_what_waits_for_a_client_is_read() {
        for way in WAYS {
            let io = Server::builder().outbox(1_000_000, 3).when_full(WhenFull::Disconnect).build().unwrap();
            io.on("flood", async |socket: Socket, ()| {
                // More than fits on the way to a client that does not read.
                while socket.emit("x", "y".repeat(40_000)).is_ok() {
                    settle().await;
                }
            });
            let net = Net::with(&io);
            let gate = Arc::new(Notify::new());
            let waiting = Arc::clone(&gate);
            let builder = net.client().transports(way).max_waiting(1, 1_000_000);
            let builder = builder.on("x", async move |_, _: String| waiting.notified().await);
            let (client, mut heard) = connected(builder).await;
            client.emit("flood", ()).unwrap();
            pass(seconds(1)).await;
            assert_eq!(io.metrics().limits.get(Theirs::Outbox), 1, "{way:?}");
            for _ in 0..100 {
                gate.notify_one();
                settle().await;
            }
            let last = heard.recv().await.unwrap();
            assert_eq!(last.reason, DisconnectReason::TransportClose, "{way:?}");
            // CLOSE has no room for words.
            let bare = Cause::Closed { code: None, text: "".into() };
            assert_eq!(last.cause, if streams(way) { closed(1008, "slow consumer") } else { bare }, "{way:?}");
        }
    }

    /// Streams only: by polling an event and its attachments are one body.
    #[tokio::test(start_paused = true)]
    async fn on_the_time_of_attachments_is_read() {
        for way in &WAYS[1..] {
            let io = Server::builder().attachment_timeout(seconds(5)).build().unwrap();
            let (here, left) = (io.clone(), Arc::new(AtomicUsize::new(usize::MAX)));
            let budget = Arc::clone(&left);
            let net = Net::script(move |wire| passing(wire, here.clone(), Arc::clone(&budget)));
            let (client, mut heard) = connected(net.client().transports(*way)).await;
            // The frame that announces an attachment, and no more.
            left.store(6 + r#"451-["x",{"_placeholder":true,"num":0}]"#.len(), Ordering::Relaxed);
            client.emit("x", Bytes::from_static(b"late")).unwrap();
            let last = heard.recv().await.unwrap();
            assert_eq!(last.cause, closed(1008, Theirs::AttachmentTime.as_str()), "{way:?}");
        }
    }

    /// A server behind a line on which so many bytes from the client still pass.
    async fn passing(wire: Wire, io: Server, left: Arc<AtomicUsize>) {
        let (near, far) = tokio::io::duplex(64 * 1024);
        tokio::spawn(async move { io.serve_stream(far, None).await });
        let (mut from_client, mut to_client) = tokio::io::split(wire);
        let (mut from_server, mut to_server) = tokio::io::split(near);
        let there = async {
            let mut buffer = vec![0; 64 * 1024];
            loop {
                let most = left.load(Ordering::Relaxed);
                if most == 0 {
                    std::future::pending::<()>().await;
                }
                let Ok(n @ 1..) = from_client.read(&mut buffer).await else { return };
                let n = n.min(left.load(Ordering::Relaxed));
                if left.load(Ordering::Relaxed) != usize::MAX {
                    left.fetch_sub(n, Ordering::Relaxed);
                }
                let _ = to_server.write_all(&buffer[..n]).await;
            }
        };
        let back = async {
            let _ = tokio::io::copy(&mut from_server, &mut to_client).await;
            let _ = to_client.shutdown().await;
        };
        tokio::join!(there, back);
    }
}

mod of_the_client {
    use super::*;

    /// A server that sends what it is asked for, whatever the client may think of it.
    fn server() -> Server {
        let io = Server::builder().max_attachments(100).build().unwrap();
        io.on("text", async |socket: Socket, n: usize| socket.emit("x", "y".repeat(n - r#"42["x",""]"#.len())));
        io.on("pieces", async |socket: Socket, n: usize| socket.emit("x", vec![Bytes::from_static(b"12345"); n]));
        io.on("bytes", async |socket: Socket, n: usize| {
            socket.emit("x", (Bytes::from(vec![0; 500]), Bytes::from(vec![0; n - 500])))
        });
        io.on("depth", async |socket: Socket, n: usize| {
            let deep = (1..n).fold(serde_json::json!(1), |inner, _| serde_json::json!([inner]));
            socket.emit("x", deep)
        });
        io
    }

    struct Case {
        limit: Limit,
        event: &'static str,
        client: fn(ClientBuilder) -> ClientBuilder,
        most: usize,
        /// As the official client has it.
        reason: DisconnectReason,
        ways: std::ops::Range<usize>,
    }

    const CASES: &[Case] = &[
        Case {
            limit: Limit::Payload,
            event: "text",
            client: |builder| builder.max_payload(1_000),
            most: 1_000,
            reason: DisconnectReason::TransportError,
            ways: 0..3,
        },
        Case {
            limit: Limit::Attachments,
            event: "pieces",
            client: |builder| builder.max_attachments(3),
            most: 3,
            reason: DisconnectReason::ParseError,
            ways: 0..3,
        },
        Case {
            limit: Limit::Attachments,
            event: "pieces",
            client: |builder| builder,
            most: 10,
            reason: DisconnectReason::ParseError,
            ways: 0..3,
        },
        Case {
            // By polling they come in one body, which is limited itself.
            limit: Limit::AttachmentBytes,
            event: "bytes",
            client: |builder| builder.max_payload(1_000),
            most: 1_000,
            reason: DisconnectReason::ParseError,
            ways: 1..3,
        },
        Case {
            limit: Limit::Depth,
            event: "depth",
            client: |builder| builder,
            most: 128,
            reason: DisconnectReason::ParseError,
            ways: 0..3,
        },
    ];

    #[tokio::test(start_paused = true)]
    async fn which_the_server_exceeds_are_named_and_counted() {
        for case in CASES {
            for way in &WAYS[case.ways.clone()] {
                for n in [case.most - 1, case.most, case.most + 1] {
                    let what = format!("{n} of {:?} over {way:?}", case.limit);
                    let net = Net::with(&server());
                    let (client, mut heard) = connected((case.client)(net.client().transports(*way))).await;
                    client.emit(case.event, n).unwrap();
                    if n > case.most {
                        let last = heard.recv().await.unwrap();
                        assert_eq!(
                            (last.reason, &last.cause),
                            (case.reason, &exceeded(case.limit, case.most)),
                            "{what}"
                        );
                        assert_eq!(last.cause.limit(), Some(case.limit));
                        assert_eq!(client.exceeded(case.limit), 1, "{what}");
                    } else {
                        assert_eq!(client.next().await.expect(&what).event(), "x");
                        assert!(heard.try_recv().is_err(), "{what}");
                        assert_eq!(client.exceeded(case.limit), 0, "{what}");
                        client.disconnect().await;
                    }
                }
            }
        }
    }

    /// A client whose WebSocket says all of this after the handshake.
    fn told(bytes: Vec<u8>) -> (Client, mpsc::UnboundedReceiver<Disconnect>) {
        let bytes = Arc::new(bytes);
        let net = Net::script(move |mut wire| {
            let bytes = Arc::clone(&bytes);
            async move {
                let mut hello = switching(&read_head(&mut wire).await, "");
                hello.extend(text(common::OPEN));
                let _ = wire.write_all(&hello).await;
                // CONNECT: what comes before it is for nobody.
                let mut frame = [0; 8];
                let _ = wire.read(&mut frame).await;
                let _ = wire.write_all(&bytes).await;
                let _ = tokio::io::copy(&mut wire, &mut tokio::io::sink()).await;
            }
        });
        let (told, heard) = mpsc::unbounded_channel();
        let builder = net.client().transports([Transport::Websocket]).reconnect(Reconnect::never());
        let builder = builder.on_disconnect(async move |client, _| _ = told.send(client.last_disconnect().unwrap()));
        (builder.start().unwrap(), heard)
    }

    #[tokio::test(start_paused = true)]
    async fn on_the_frames_of_a_message() {
        for (n, fits) in [(65_535, true), (65_536, true), (65_537, false)] {
            let mut bytes = text("40{\"sid\":\"id\"}");
            let event = b"42[\"x\"]";
            bytes.extend([0x01, u8::try_from(event.len()).unwrap()]);
            bytes.extend(event);
            bytes.extend([0x00, 0x00].repeat(n - 2));
            bytes.extend([0x80, 0x00]);
            let (client, mut heard) = told(bytes);
            if fits {
                assert_eq!(client.next().await.unwrap().event(), "x");
                client.disconnect().await;
            } else {
                let last = heard.recv().await.unwrap();
                assert_eq!(last.reason, DisconnectReason::TransportError);
                assert_eq!(last.cause, exceeded(Limit::Fragments, 65_536));
            }
            assert_eq!(client.exceeded(Limit::Fragments), u64::from(!fits));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn on_events_before_the_answer_to_connect() {
        for (n, fits) in [(65_535, true), (65_536, true), (65_537, false)] {
            let mut bytes = text("42[\"x\"]").repeat(n);
            bytes.extend(text("40{\"sid\":\"id\"}"));
            let (client, _heard) = told(bytes);
            let result = client.connect().await;
            assert_eq!(result.is_ok(), fits, "{n}: {result:?}");
            let cause = result.as_ref().err().and_then(ConnectError::cause);
            assert_eq!(cause.and_then(Cause::limit), (!fits).then_some(Limit::EarlyEvents));
            assert_eq!(client.exceeded(Limit::EarlyEvents), u64::from(!fits));
            client.disconnect().await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn on_the_time_of_attachments() {
        for (milliseconds, fits) in [(59_999, true), (60_001, false)] {
            let net = Net::script(move |mut wire| async move {
                let mut bytes = switching(&read_head(&mut wire).await, "");
                bytes.extend(text(&common::OPEN.replace("25000", "250000")));
                bytes.extend(text("40{\"sid\":\"id\"}"));
                bytes.extend(text("451-[\"x\",{\"_placeholder\":true,\"num\":0}]"));
                let _ = wire.write_all(&bytes).await;
                pass(Duration::from_millis(milliseconds)).await;
                let mut attachment = Vec::new();
                ws::encode(&mut attachment, ws::Opcode::Binary, false, b"late");
                let _ = wire.write_all(&attachment).await;
                let _ = tokio::io::copy(&mut wire, &mut tokio::io::sink()).await;
            });
            let (client, mut heard) = connected(net.client().transports([Transport::Websocket])).await;
            if fits {
                assert_eq!(client.next().await.unwrap().event(), "x");
                client.disconnect().await;
            } else {
                let last = heard.recv().await.unwrap();
                assert_eq!(last.reason, DisconnectReason::ParseError);
                let cause = Cause::Limit { limit: Limit::AttachmentTime, actual: None, bound: Some(60_000) };
                assert_eq!(last.cause, cause);
                assert_eq!(client.exceeded(Limit::AttachmentTime), 1);
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn on_a_handshake_are_told_by_the_error() {
        // Of OPEN itself.
        for way in &WAYS[..2] {
            let net = Net::with(&server());
            let builder = net.client().transports(*way).max_payload(50).reconnect(Reconnect::never());
            let client = builder.start().unwrap();
            let error = client.connect().await.unwrap_err();
            assert_eq!(error.cause().and_then(Cause::limit), Some(Limit::Payload), "{error}");
            assert_eq!(client.exceeded(Limit::Payload), 1);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn on_what_waits_to_be_sent() {
        let net = Net::new(common::Far::Hangs);
        let client = net.client().start().unwrap();
        client.emit("x", "yyy").unwrap();
        let weight = client.queued().1;
        client.disconnect().await;
        for (packets, bytes, fit) in
            [(3, 1_000_000, 3), (9, 3 * weight - 1, 2), (9, 3 * weight, 3), (9, 3 * weight + 1, 3)]
        {
            let net = Net::new(common::Far::Hangs);
            let client = net.client().queue(packets, bytes, Policy::Fail).start().unwrap();
            let sent: Vec<_> = (0..4).map(|_| client.emit("x", "yyy")).collect();
            let full = sent.iter().filter(|result| matches!(result, Err(EmitError::Full))).count();
            assert_eq!((full, client.queued()), (4 - fit, (fit, fit * weight)), "{packets}, {bytes}");
            client.disconnect().await;
        }
        let net = Net::new(common::Far::Hangs);
        let client = net.client().max_pending_acks(3).start().unwrap();
        let asked: Vec<_> = (0..3).map(|_| client.emit_with_ack::<_, ()>("x", ()).send()).collect();
        let beyond = client.emit_with_ack::<_, ()>("x", ()).await.unwrap_err();
        assert!(matches!(beyond, sockeye_client::AckError::Emit(EmitError::Full)), "{beyond}");
        drop(asked);
        client.disconnect().await;
    }
}

/// What ends a connection without any limit, beside the reason that JavaScript has for it.
#[tokio::test(start_paused = true)]
async fn other_causes() {
    for way in WAYS {
        let io = Server::new();
        io.on("kick", async |socket: Socket, ()| socket.disconnect());
        let net = Net::with(&io);
        let (client, mut heard) = connected(net.client().transports(way)).await;
        client.emit("kick", ()).unwrap();
        let last = heard.recv().await.unwrap();
        assert_eq!((last.reason, &last.cause), (DisconnectReason::ServerDisconnect, &Cause::ServerDisconnect));
        assert_eq!(last.to_string(), "io server disconnect: the server disconnected this client");
        client.connect().await.unwrap();
        pass(seconds(1)).await;
        net.cut();
        let last = heard.recv().await.unwrap();
        assert_eq!(last.cause, Cause::Io(std::io::ErrorKind::ConnectionReset), "{way:?}");
        client.disconnect().await;
        let (client, mut heard) = connected(net.client().transports(way)).await;
        net.freeze();
        let last = heard.recv().await.unwrap();
        assert_eq!(last.reason, DisconnectReason::PingTimeout, "{way:?}");
        assert_silent(&last);
        client.disconnect().await;
    }
    // The stream ends without a word, with words, and by nonsense.
    for (bytes, reason, cause) in [
        (vec![], DisconnectReason::TransportClose, Cause::Io(std::io::ErrorKind::UnexpectedEof)),
        (b"\x88\x00".to_vec(), DisconnectReason::TransportClose, Cause::Closed { code: None, text: "".into() }),
        (b"\x88\x05\x03\xe9bye".to_vec(), DisconnectReason::TransportClose, closed(1001, "bye")),
        (text("42[\"x\""), DisconnectReason::ParseError, Cause::Protocol("invalid json".into())),
        (b"\x83\x00".to_vec(), DisconnectReason::TransportError, Cause::Protocol("reserved opcode 0x3".into())),
    ] {
        let said = bytes.clone();
        let net = Net::script(move |mut wire| {
            let bytes = said.clone();
            async move {
                let mut hello = switching(&read_head(&mut wire).await, "");
                hello.extend(text(common::OPEN));
                hello.extend(text("40{\"sid\":\"id\"}"));
                let _ = wire.write_all(&hello).await;
                pass(seconds(5)).await;
                let _ = wire.write_all(&bytes).await;
            }
        });
        let (_client, mut heard) = connected(net.client().transports([Transport::Websocket])).await;
        let last = heard.recv().await.unwrap();
        assert_eq!(tenths([last.age, last.idle]), [50, if bytes.is_empty() { 50 } else { 0 }]);
        if bytes.is_empty() {
            let words = "transport close: the connection ended without a word, after 5.0 s without traffic";
            assert_eq!(last.to_string(), words);
        }
        assert_eq!((last.reason, last.cause), (reason, cause));
    }
}

/// A proxy that gives up whatever is idle for 6 s.
#[tokio::test(start_paused = true)]
async fn connections_that_break_after_the_same_silence_are_told_to_be_regular() {
    let net = Net::script(|mut wire| async move {
        let mut hello = switching(&read_head(&mut wire).await, "");
        hello.extend(text(common::OPEN));
        hello.extend(text("40{\"sid\":\"id\"}"));
        let _ = wire.write_all(&hello).await;
        pass(seconds(6)).await;
    });
    let (told, mut heard) = mpsc::unbounded_channel();
    let builder = net.client().transports([Transport::Websocket]);
    let builder = builder.on_disconnect(async move |client, _| _ = told.send(client.last_disconnect().unwrap()));
    let client = builder.connect().await.unwrap();
    for nth in 1..=6 {
        let last = heard.recv().await.unwrap();
        assert_eq!((tenths([last.idle]), last.is_regular), ([60], nth > 4));
        assert_eq!(last.to_string().ends_with(", as before: perhaps the timeout of a proxy"), last.is_regular);
    }
    client.disconnect().await;
}

/// It was not heard of for `ping_interval` and `ping_timeout`, 25 s and 20 s, and had not pinged before.
fn assert_silent(last: &Disconnect) {
    let Cause::PingTimeout { heard, pinged: None } = last.cause else { panic!("{last:?}") };
    assert_eq!(tenths([heard]), [450]);
}

/// Tenths of seconds: timers are late by a moment.
fn tenths<const N: usize>(times: [Duration; N]) -> [u128; N] {
    times.map(|time| (time.as_millis() + 50) / 100)
}

#[tokio::test(start_paused = true)]
async fn a_ping_timeout_tells_its_ages() {
    for way in WAYS {
        let net = Net::with(&Server::new());
        let (client, mut heard) = connected(net.client().transports(way)).await;
        pass(seconds(30)).await;
        net.freeze();
        let last = heard.recv().await.unwrap();
        let Cause::PingTimeout { heard, pinged: Some(pinged) } = last.cause else { panic!("{way:?}: {last:?}") };
        assert_eq!(tenths([heard, pinged, last.age]), [450, 450, 700], "{way:?}");
        client.disconnect().await;
    }
}

/// Of a page that a gateway sends the beginning is kept, by polling and where a WebSocket was asked for.
#[tokio::test(start_paused = true)]
async fn refusals_are_kept_in_part() {
    let page = "<html>\n".to_owned() + &"é".repeat(100_000);
    for way in [Transport::Polling, Transport::Websocket] {
        for (length, body) in [(0, ""), (1, "x"), (256, &page)] {
            let answer = Arc::new(common::response("502 Bad Gateway", "", body));
            let net = Net::script(move |wire| {
                let answer = Arc::clone(&answer);
                async move { common::answer_all(wire, &answer).await }
            });
            let error = net.client().transports([way]).reconnect(Reconnect::never()).connect().await.unwrap_err();
            let Some(Cause::Refused { status: 502, text }) = error.cause() else { panic!("{way:?}: {error:?}") };
            assert_eq!(text.len(), length, "{way:?}: {text}");
        }
    }
}
