//! The limits for clients of revision 3, and for pages that poll by scripts and forms.

use sockeye::{DisconnectReason, Limit, Server, ServerBuilder, Socket};
use sockeye_testing::{Exchange, Frame, Net, WebSocket};

use crate::client::Told;
use crate::ending::{Reasons, server_of};

/// A client of Socket.IO 2, which is in `/` by connecting.
enum Client {
    /// With path and query of its requests.
    Polling(Net, String),
    Stream(WebSocket),
}

/// What it sends, as a packet of Engine.IO.
enum Packet {
    Text(String),
    Attachment,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Transport {
    Polling,
    Websocket,
}

struct Case {
    limit: Limit,
    server: fn(ServerBuilder) -> ServerBuilder,
    /// Nobody decides about `/`.
    is_stranger: bool,
    /// The most that is allowed.
    most: usize,
    packets: fn(n: usize, Transport) -> Vec<Packet>,
    /// The close code of a stream.
    code: u16,
    /// What a POST is answered with. After 413 the session goes on.
    status: u16,
}

const CASES: &[Case] = &[
    Case {
        limit: Limit::Payload,
        server: |builder| builder.max_payload(1_000),
        is_stranger: false,
        most: 1_000,
        packets: |n, _| vec![Packet::Text(format!("42[\"x\",\"{}\"]", "y".repeat(n - 10)))],
        code: 1009,
        status: 413,
    },
    Case {
        limit: Limit::UnconnectedPayload,
        server: |builder| builder.max_unconnected_payload(9_000),
        is_stranger: true,
        most: 9_000,
        packets: |n, _| vec![Packet::Text(format!("40/nowhere?{}", "y".repeat(n - 11)))],
        code: 1009,
        status: 413,
    },
    Case {
        limit: Limit::Attachments,
        server: |builder| builder.max_attachments(3),
        is_stranger: false,
        most: 3,
        packets: |n, _| {
            let place = |num| format!(",{{\"_placeholder\":true,\"num\":{num}}}");
            let header = format!("45{n}-[\"x\"{}]", (0..n).map(place).collect::<String>());
            std::iter::once(Packet::Text(header)).chain((0..n).map(|_| Packet::Attachment)).collect()
        },
        code: 1008,
        status: 400,
    },
    Case {
        limit: Limit::Depth,
        server: |builder| builder,
        is_stranger: false,
        most: 128,
        packets: |n, _| vec![Packet::Text(format!("42[\"x\",{}{}]", "[".repeat(n - 1), "]".repeat(n - 1)))],
        code: 1008,
        status: 400,
    },
    Case {
        limit: Limit::Depth,
        server: |builder| builder.max_depth(5),
        is_stranger: false,
        most: 5,
        packets: |n, _| vec![Packet::Text(format!("42[\"x\",{}1{}]", "{\"a\":".repeat(n - 1), "}".repeat(n - 1)))],
        code: 1008,
        status: 400,
    },
    Case {
        limit: Limit::Namespaces,
        server: |builder| builder.max_namespaces(3),
        is_stranger: false,
        most: 3,
        // It is in `/` by connecting.
        packets: |n, _| (1..n).map(|n| Packet::Text(format!("40/room-{n}"))).collect(),
        code: 1008,
        status: 400,
    },
    Case {
        limit: Limit::EventsPerSecond,
        server: |builder| builder.event_rate(1, 5),
        is_stranger: false,
        most: 5,
        packets: |n, _| (0..n).map(|_| Packet::Text("42[\"x\"]".into())).collect(),
        code: 1008,
        status: 400,
    },
    Case {
        limit: Limit::EventsPerSecond,
        server: |builder| builder.event_rate(1, 5),
        is_stranger: false,
        most: 5,
        // The first may be a heartbeat: it is the client who pings.
        packets: |n, _| (0..=n).map(|_| Packet::Text("2".into())).collect(),
        code: 1008,
        status: 400,
    },
    Case {
        limit: Limit::EventsPerSecond,
        server: |builder| builder.event_rate(1, 5),
        is_stranger: true,
        most: 5,
        packets: |n, _| (0..n).map(|n| Packet::Text(format!("40/nowhere-{n}"))).collect(),
        code: 1008,
        status: 400,
    },
    Case {
        limit: Limit::BytesPerSecond,
        server: |builder| builder.byte_rate(1, 500),
        is_stranger: false,
        most: 500,
        packets: |n, transport| {
            // Its length in a body, or the header of its frame.
            let beside = if transport == Transport::Polling { 4 } else { 8 };
            vec![Packet::Text(format!("42[\"x\",\"{}\"]", "y".repeat(n - beside - 10)))]
        },
        code: 1008,
        status: 400,
    },
];

impl Client {
    async fn open(net: &Net, transport: Transport, is_stranger: bool) -> Self {
        match transport {
            Transport::Polling => {
                let target = "/socket.io/?EIO=3&transport=polling&b64=1";
                let open = net.request("GET", target, &[], "").answer().await;
                assert_eq!(open.text().ends_with("}2:40"), !is_stranger, "{}", open.text());
                let sid = open.text().split("\"sid\":\"").nth(1).and_then(|rest| rest.split('"').next());
                Self::Polling(net.clone(), format!("{target}&sid={}", sid.expect("a handshake")))
            }
            Transport::Websocket => {
                let mut stream = net.open("/socket.io/?EIO=3&transport=websocket", &[]).await;
                let texts = stream.drain().await;
                assert_eq!(texts.len(), if is_stranger { 1 } else { 2 }, "{texts:?}");
                Self::Stream(stream)
            }
        }
    }

    async fn send_all(&mut self, packets: Vec<Packet>) -> Told {
        let mut told = Told::Nothing;
        for packet in packets {
            let answer = self.send(packet).await;
            told = if told == Told::Nothing { answer } else { told };
        }
        let Self::Stream(stream) = self else { return told };
        while let Some(frame) = stream.next().await {
            if let Frame::Close(code) = frame {
                told = Told::Closed(code, stream.close_reason().to_owned());
            }
        }
        told
    }

    async fn send(&mut self, packet: Packet) -> Told {
        match (self, packet) {
            (Self::Stream(stream), Packet::Text(text)) => stream.send(&text).await,
            (Self::Stream(stream), Packet::Attachment) => stream.send_binary(b"\x04any").await,
            (Self::Polling(net, target), Packet::Text(text)) => {
                return told(net.request("POST", target, &[PLAIN], format!("{}:{text}", text.len()))).await;
            }
            (Self::Polling(net, target), Packet::Attachment) => {
                return told(net.request("POST", target, &[PLAIN], "6:b4YW55")).await;
            }
        }
        Told::Nothing
    }

    /// The server has ended the session, and says so.
    async fn expect_end(&mut self, what: &str) {
        match self {
            Self::Polling(net, target) => {
                let answer = net.request("GET", target, &[], "").answer().await;
                assert!(answer.text().ends_with("1:1"), "{what}: {}", answer.text());
            }
            Self::Stream(stream) => assert!(stream.is_ended(), "{what}"),
        }
    }

    async fn leave(self) {
        match self {
            Self::Polling(net, target) => drop(net.request("POST", &target, &[PLAIN], "1:1").answer().await),
            Self::Stream(stream) => drop(stream),
        }
        sockeye_testing::settle().await;
    }
}

const PLAIN: (&str, &str) = ("content-type", "text/plain;charset=UTF-8");
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

async fn told(post: Exchange) -> Told {
    let answer = post.answer().await;
    match answer.status.as_u16() {
        200 => Told::Nothing,
        status => Told::Answered(status, answer.text().to_owned()),
    }
}

#[tokio::test(start_paused = true)]
async fn clients_of_revision_3_are_told_and_counted() {
    for case in CASES {
        for transport in [Transport::Polling, Transport::Websocket] {
            for n in [case.most - 1, case.most, case.most + 1] {
                play(case, transport, n).await;
            }
        }
    }
}

async fn play(case: &Case, transport: Transport, n: usize) {
    let limit = case.limit;
    let what = format!("{n} of {limit:?} over {transport:?}");
    let (io, reasons) = server_of((case.server)(Server::builder().allow_eio3(true)));
    if case.is_stranger {
        io.authorize(async |_, (): ()| std::future::pending().await);
    }
    let net = Net::new(&io);
    let mut client = Client::open(&net, transport, case.is_stranger).await;
    // A body is counted as a whole, with the length in it.
    let is_whole = transport == Transport::Polling && case.status == 413;
    let head = (1..n).find(|head| (n - head).to_string().len() + 1 == *head).filter(|_| is_whole).unwrap_or(0);
    let told = client.send_all((case.packets)(n - head, transport)).await;
    let exceeded = n > case.most;
    assert_eq!(told, if exceeded { expected(case, transport) } else { Told::Nothing }, "{what}");
    let lives = !exceeded || is_whole;
    if !lives {
        client.expect_end(&what).await;
    }
    let (metrics, times) = (io.metrics(), u64::from(exceeded));
    assert_eq!((metrics.limits.get(limit), metrics.limits.total()), (times, times), "{what}");
    assert_eq!(metrics.sessions, u64::from(lives), "{what}");
    let known = if lives || case.is_stranger { vec![] } else { vec![DisconnectReason::LimitExceeded(limit)] };
    // In each of its namespaces.
    let mut told: Vec<_> = reasons.lock().unwrap().drain(..).map(|last| last.reason).collect();
    told.dedup();
    assert_eq!(told, known, "{what}");
    // Until there are bytes to leave by.
    net.advance(std::time::Duration::from_secs(9)).await;
    client.leave().await;
    net.assert_clean().await;
}

fn expected(case: &Case, transport: Transport) -> Told {
    let words = case.limit.as_str();
    match (transport, case.status) {
        (Transport::Websocket, _) => Told::Closed(Some(case.code), words.to_owned()),
        (Transport::Polling, status) => Told::Answered(status, format!("{{\"code\":3,\"message\":\"{words}\"}}")),
    }
}

/// What a form brings is counted as it comes: longer than what it means.
#[tokio::test(start_paused = true)]
async fn forms_of_pages_that_poll_by_scripts() {
    for revision in [3, 4] {
        for n in [999, 1_000, 1_001] {
            let builder = Server::builder().allow_eio3(true).allow_jsonp(true).max_payload(1_000);
            let (io, reasons) = server_of(builder);
            io.on("x", async |socket: Socket, text: String| socket.emit("length", text.len()));
            let net = Net::new(&io);
            let target = opened(&net, revision).await;
            let (form, length) = form(revision, n);
            assert_eq!(form.len(), n);
            let what = format!("{n} bytes of revision {revision}");
            let fits = n <= 1_000;
            let told = told(net.request("POST", &target, &[FORM], form)).await;
            assert_eq!(
                told,
                if fits {
                    Told::Nothing
                } else {
                    Told::Answered(413, r#"{"code":3,"message":"message too large"}"#.to_owned())
                },
                "{what}"
            );
            let (metrics, times) = (io.metrics(), u64::from(!fits));
            assert_eq!((metrics.limits.get(Limit::Payload), metrics.limits.total()), (times, times), "{what}");
            // The session goes on.
            let packet = if fits { length } else { heard_of_a_short_one(&net, &target, revision).await };
            let answer = net.request("GET", &target, &[], "").answer().await;
            let packet = format!("42[\\\"length\\\",{packet}]");
            let head = if revision == 3 { format!("{}:", packet.len() - 2) } else { String::new() };
            assert_eq!(answer.text(), format!("___eio[0](\"{head}{packet}\");"), "{what}");
            leave(&net, &target, revision, &reasons).await;
            net.assert_clean().await;
        }
    }
}

/// Path and query of the requests of a page that is in `/`.
async fn opened(net: &Net, revision: u32) -> String {
    let target = format!("/socket.io/?EIO={revision}&transport=polling&j=0");
    let open = net.request("GET", &target, &[], "").answer().await;
    let sid = open.text().split("\\\"sid\\\":\\\"").nth(1).and_then(|rest| rest.split('\\').next());
    let target = format!("{target}&sid={}", sid.expect("a handshake"));
    if revision == 4 {
        net.request("POST", &target, &[FORM], "d=40").expect(200, "ok").await;
        net.request("GET", &target, &[], "").answer().await;
    }
    target
}

/// A form of `n` bytes with an event, and the length of its argument.
fn form(revision: u32, n: usize) -> (String, usize) {
    let event = |length: usize| format!("42%5B%22x%22%2C%22{}%22%5D", "y".repeat(length));
    if revision == 4 {
        let length = n - "d=".len() - event(0).len();
        return (format!("d={}", event(length)), length);
    }
    let length = n - "d=999%3A".len() - event(0).len();
    (format!("d={}%3A{}", length + "42[\"x\",\"\"]".len(), event(length)), length)
}

async fn heard_of_a_short_one(net: &Net, target: &str, revision: u32) -> usize {
    let form = if revision == 4 { "d=42%5B%22x%22%2C%22yyy%22%5D" } else { "d=13%3A42%5B%22x%22%2C%22yyy%22%5D" };
    net.request("POST", target, &[FORM], form).expect(200, "ok").await;
    3
}

async fn leave(net: &Net, target: &str, revision: u32, reasons: &Reasons) {
    net.request("POST", target, &[FORM], if revision == 4 { "d=1" } else { "d=1%3A1" }).expect(200, "ok").await;
    let reasons: Vec<_> = reasons.lock().unwrap().iter().map(|last| last.reason).collect();
    assert_eq!(reasons, [DisconnectReason::TransportClose]);
}
