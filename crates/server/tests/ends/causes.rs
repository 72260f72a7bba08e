//! Every cause on every transport.

use std::pin::Pin;
use std::time::Duration;

use sockeye::{ServerBuilder, Socket, WhenFull};
use sockeye_testing::{Polling, WebSocket, settle};
use tokio::task::yield_now;
use wtransport::VarInt;

use crate::clock::{Still, moving};
use crate::peer::{Peer, Site, builder, soon};
use crate::scene::{Scene, pass};

#[derive(Clone, Copy, Debug)]
enum Transport {
    Polling,
    Websocket,
    Webtransport,
}

/// A client in `/` and `/chat`.
enum Client {
    Polling(Polling),
    Websocket(WebSocket),
    Webtransport(Peer),
    Gone,
}

/// What comes before the length of a packet of this kind.
const BINARY: u8 = 0x80;

impl Client {
    async fn join(scene: &Scene, site: &Site, transport: Transport) -> Self {
        let mut client = match transport {
            Transport::Polling => Self::Polling(scene.net.polling().await),
            Transport::Websocket => Self::Websocket(scene.net.websocket().await),
            Transport::Webtransport => Self::Webtransport(site.peer().await),
        };
        for path in ["", "/chat,"] {
            client.say(&format!("40{path}")).await;
            let answer = match &mut client {
                Self::Polling(polling) => polling.get().answer().await.text().to_owned(),
                Self::Websocket(stream) => stream.drain().await.concat(),
                Self::Webtransport(peer) => peer.hear().await,
                Self::Gone => unreachable!("it has just come"),
            };
            assert!(answer.starts_with(&format!("40{path}{{\"sid\":\"")), "{answer}");
        }
        client
    }

    /// Sends a packet of text, whether or not the server takes it.
    async fn say(&mut self, packet: &str) {
        match self {
            Self::Polling(polling) => drop(polling.post(packet).answer().await),
            Self::Websocket(stream) => stream.send(packet).await,
            Self::Webtransport(peer) => write(peer, 0, packet.as_bytes()).await,
            Self::Gone => panic!("the client has gone"),
        }
    }

    /// Sends an attachment of three times as many bytes.
    async fn attach(&mut self, triples: usize) {
        match self {
            Self::Polling(polling) => drop(polling.post(&format!("b{}", "AAAA".repeat(triples))).answer().await),
            Self::Websocket(stream) => stream.send_binary(&vec![0; 3 * triples]).await,
            Self::Webtransport(peer) => write(peer, BINARY, &vec![0; 3 * triples]).await,
            Self::Gone => panic!("the client has gone"),
        }
    }
}

async fn write(peer: &mut Peer, kind: u8, packet: &[u8]) {
    let header = match packet.len() {
        short @ ..126 => vec![kind | u8::try_from(short).unwrap()],
        long => [&[kind | 0x7e][..], &u16::try_from(long).unwrap().to_be_bytes()].concat(),
    };
    // It may be closed by now.
    drop(soon(peer.send.write_all(&[&header, packet].concat())).await);
    settle().await;
}

type Acting<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// A name, what the sockets are told by polling, WebSocket and WebTransport, and what is done.
struct Cause(&'static str, [&'static str; 3], for<'a> fn(&'a Scene, &'a mut Client) -> Acting<'a>);

const fn all(reason: &'static str) -> [&'static str; 3] {
    [reason; 3]
}

/// The announcement of so many attachments.
fn announced(count: usize) -> String {
    let places: Vec<_> = (0..count).map(|num| format!("{{\"_placeholder\":true,\"num\":{num}}}")).collect();
    format!("45{count}-[\"x\",{}]", places.join(","))
}

const CAUSES: &[Cause] = &[
    Cause("the client disconnects", all("client namespace disconnect"), |_, client| {
        Box::pin(async {
            client.say("41/chat,").await;
            client.say("41").await;
        })
    }),
    Cause("the client says CLOSE", all("transport close"), |_, client| Box::pin(client.say("1"))),
    Cause("no packet of Engine.IO", all("parse error"), |_, client| Box::pin(client.say("x"))),
    Cause("no packet of Socket.IO", all("forced close"), |_, client| Box::pin(client.say("4x"))),
    Cause("no JSON", all("forced close"), |_, client| Box::pin(client.say("42["))),
    Cause("an event of the library", all("forced close"), |_, client| Box::pin(client.say("42[\"disconnect\"]"))),
    Cause("an event for strangers", all("forced close"), |_, client| Box::pin(client.say("42/nowhere,[\"x\"]"))),
    Cause("an event among attachments", all("forced close"), |_, client| {
        Box::pin(async {
            client.say(&announced(2)).await;
            client.attach(1).await;
            client.say("42[\"x\"]").await;
        })
    }),
    Cause("an attachment of nothing", all("forced close"), |_, client| Box::pin(client.attach(1))),
    Cause("too many attachments", all("too many attachments"), |_, client| {
        Box::pin(async { client.say(&announced(11)).await })
    }),
    Cause("attachments too large", all("attachments too large"), |_, client| {
        Box::pin(async {
            client.say(&announced(10)).await;
            for _ in 0..7 {
                client.attach(1_000).await;
            }
        })
    }),
    Cause("attachments too late", all("attachments did not arrive in time"), |_, client| {
        Box::pin(async {
            // All but one, of as many bytes as may be.
            client.say(&announced(10)).await;
            for _ in 0..9 {
                client.attach(733).await;
            }
            for _ in 0..3 {
                pass(20).await;
                client.say("3").await;
            }
        })
    }),
    Cause("too deep", all("nested too deep"), |_, client| {
        Box::pin(async { client.say(&format!("42[\"x\",{}{}]", "[".repeat(130), "]".repeat(130))).await })
    }),
    Cause("too many namespaces", all("too many namespaces"), |_, client| Box::pin(client.say("40/one-more,"))),
    Cause("too many events", all("too many events per second"), |_, client| {
        Box::pin(async {
            for _ in 0..100 {
                if !matches!(client, Client::Webtransport(peer) if is_closed(peer)) {
                    client.say("42[\"x\"]").await;
                }
            }
        })
    }),
    Cause("too many bytes", all("too many bytes per second"), |_, client| {
        Box::pin(async {
            for _ in 0..12 {
                client.say(&format!("42[\"x\",\"{}\"]", "y".repeat(9_000))).await;
            }
        })
    }),
    // By polling the answer is 413, and the session goes on until the client falls silent.
    Cause("too long", ["ping timeout", "message too large", "message too large"], |_, client| {
        Box::pin(async {
            client.say(&format!("42[\"x\",\"{}\"]", "y".repeat(10_000))).await;
            if matches!(client, Client::Polling(_)) {
                pass(46).await;
            }
        })
    }),
    Cause("silence", all("ping timeout"), |_, _| Box::pin(pass(46))),
    Cause("an end in order", ["transport error", "transport close", "transport close"], |_, client| {
        Box::pin(async {
            match std::mem::replace(client, Client::Gone) {
                Client::Polling(polling) => {
                    let waiting = polling.get();
                    waiting.expect_waiting().await;
                    drop(waiting);
                }
                Client::Websocket(stream) => stream.close().await,
                Client::Webtransport(peer) => peer.leave(),
                Client::Gone => {}
            }
        })
    }),
    Cause("an end without a word", ["transport error", "transport close", "transport close"], |_, client| {
        Box::pin(async {
            match client {
                Client::Polling(polling) => {
                    let (first, _second) = (polling.get(), polling.get());
                    first.expect(200, "1").await;
                }
                Client::Websocket(_) | Client::Gone => *client = Client::Gone,
                Client::Webtransport(peer) => soon(peer.send.finish()).await.unwrap(),
            }
        })
    }),
    Cause("a connection that fails", all("transport error"), |scene, client| {
        Box::pin(async move {
            match std::mem::replace(client, Client::Gone) {
                Client::Polling(polling) => {
                    let binary = [("content-type", "application/octet-stream")];
                    scene.net.request("POST", &polling.target(), &binary, "x").expect(400, "").await;
                }
                Client::Websocket(stream) => stream.reset(),
                Client::Webtransport(mut peer) => {
                    peer.send.reset(VarInt::from_u32(7)).unwrap();
                    *client = Client::Webtransport(peer);
                }
                Client::Gone => {}
            }
        })
    }),
    Cause("no text", ["parse error", "transport error", "transport error"], |scene, client| {
        Box::pin(async {
            match client {
                Client::Polling(polling) => {
                    let post = scene.net.request("POST", &polling.target(), &[], &b"4\xff"[..]);
                    drop(post.answer().await);
                }
                Client::Websocket(stream) => stream.send_frame(0x81, b"4\xff").await,
                Client::Webtransport(peer) => peer.write(b"\x024\xff").await,
                Client::Gone => {}
            }
        })
    }),
    Cause("the server disconnects each", all("server namespace disconnect"), |scene, _| {
        Box::pin(async { everybody(scene).iter().for_each(Socket::disconnect) })
    }),
    Cause("the server closes the connection", all("server namespace disconnect"), |scene, _| {
        Box::pin(async { everybody(scene)[0].disconnect_and_close() })
    }),
    Cause("the server disconnects a room", all("server namespace disconnect"), |scene, _| {
        Box::pin(async {
            scene.io.to("a").disconnect().unwrap();
            scene.io.of("/chat").to("a").disconnect().unwrap();
        })
    }),
    Cause("another server disconnects", all("server namespace disconnect"), |scene, _| {
        Box::pin(async {
            for path in ["/", "/chat"] {
                for socket in scene.io.of(path).fetch_sockets().await.unwrap() {
                    socket.disconnect().unwrap();
                }
            }
        })
    }),
    Cause("a handler disconnects", all("server namespace disconnect"), |_, client| {
        Box::pin(async {
            client.say("42[\"bye\"]").await;
        })
    }),
    Cause("the server ends", all("server shutting down"), |scene, _| {
        Box::pin(async {
            let io = scene.io.clone();
            tokio::spawn(async move { io.close(Duration::from_secs(1)).await });
        })
    }),
    Cause("the server ends at once", all("server shutting down"), |scene, _| Box::pin(scene.io.close(Duration::ZERO))),
    Cause("a slow reader", all("slow consumer"), |scene, _| {
        Box::pin(async {
            // QUIC takes some of it.
            while scene.gone() == 0 {
                scene.io.emit("flood", "x".repeat(5_000)).unwrap();
                yield_now().await;
            }
        })
    }),
];

fn everybody(scene: &Scene) -> Vec<Socket> {
    ["/", "/chat"].iter().flat_map(|path| scene.io.of(path).sockets()).collect()
}

fn is_closed(peer: &Peer) -> bool {
    peer.session.connection.quic_connection().close_reason().is_some()
}

fn options() -> ServerBuilder {
    let builder = builder().max_payload(10_000).max_attachment_bytes(20_000).max_namespaces(2);
    builder.outbox(50_000, 1_000).when_full(WhenFull::Disconnect).event_rate(1, 60).byte_rate(1, 100_000)
}

/// What was wrong with the reasons.
async fn play(Cause(name, reasons, act): &Cause, transport: Transport) -> Option<String> {
    let what = format!("{name}, {transport:?}");
    let scene = Scene::new(options(), Duration::ZERO);
    scene.io.on("bye", async |socket: Socket, (): ()| socket.disconnect_and_close());
    let site = Site::new(scene.io.clone()).await.with_window(4_096);
    let mut client = Client::join(&scene, &site, transport).await;
    act(&scene, &mut client).await;
    // What travels by UDP takes its time.
    for _ in 0..1_000 {
        if scene.gone() == 2 {
            break;
        }
        settle().await;
    }
    let reason = reasons[transport as usize];
    let (told, expected) = (scene.reasons(), [format!("/ {reason}"), format!("/chat {reason}")]);
    // Only now does the client go, if the cause has not been that.
    drop(client);
    scene.is_over(&what).await;
    (told != expected).then(|| format!("{what}: {told:?}, not {expected:?}"))
}

#[tokio::test(start_paused = true)]
async fn whatever_the_cause_each_namespace_is_left_once() {
    let _still = Still::new();
    let mut wrong = Vec::new();
    for cause in CAUSES {
        for transport in [Transport::Polling, Transport::Websocket, Transport::Webtransport] {
            wrong.extend(moving(play(cause, transport)).await);
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
