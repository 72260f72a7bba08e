//! The table in `docs/delivery.md`, cell by cell: what becomes of an event, by API, transport and state of the client.

use sockeye::{Recovery, Refusal, Server, ServerBuilder, Socket, WhenFull};
use sockeye_testing::{Net, Polling, WebSocket, settle};
use tokio::task::JoinHandle;

/// The ways to send, a column or half a column each.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Api {
    Socket,
    Room,
    Volatile,
    VolatileRoom,
    Ask,
    AskRoom,
}

use Api::{Ask, AskRoom, Room, Socket as One, Volatile, VolatileRoom};

const ALL: [Api; 6] = [One, Room, Volatile, VolatileRoom, Ask, AskRoom];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Stream,
    Poll,
}

const BOTH: [Way; 2] = [Way::Stream, Way::Poll];

enum Client {
    Stream(WebSocket),
    Poll(Polling),
}

impl Client {
    /// What has come, or is fetched by one poll.
    async fn received(&mut self) -> Vec<String> {
        match self {
            Self::Stream(stream) => stream.drain().await,
            Self::Poll(polling) => split(polling.get().answer().await.text()),
        }
    }

    async fn send(&mut self, text: &str) {
        match self {
            Self::Stream(stream) => stream.send(text).await,
            Self::Poll(polling) => polling.send(text).await,
        }
    }

    async fn answer(&mut self, question: &str) {
        let id = question.trim_start_matches("42").trim_end_matches("[\"e\"]");
        self.send(&format!("43{id}[7]")).await;
    }

    /// Fetches what is there, and goes away without a goodbye.
    async fn vanish(mut self) {
        self.received().await;
        match self {
            Self::Stream(stream) => stream.reset(),
            Self::Poll(polling) => polling.get().expect_waiting().await,
        }
        settle().await;
    }
}

fn split(body: &str) -> Vec<String> {
    body.split('\u{1e}').map(str::to_owned).collect()
}

/// A server with the room `r`, in which everybody is.
fn server(builder: ServerBuilder) -> (Server, Net) {
    let io = builder.build().unwrap();
    io.on_connect(async |socket| socket.join("r"));
    let net = Net::new(&io);
    (io, net)
}

async fn client(io: &Server, net: &Net, way: Way) -> (Client, Socket) {
    let (client, id) = match way {
        Way::Stream => {
            let (stream, id) = net.join().await;
            (Client::Stream(stream), id)
        }
        Way::Poll => {
            let polling = net.polling().await;
            let id = polling.join().await;
            (Client::Poll(polling), id)
        }
    };
    (client, io.get(&id).unwrap())
}

/// Sends the event `e`; the outcome is what the API says, when it says it.
fn call(io: &Server, socket: &Socket, api: Api) -> JoinHandle<String> {
    let said =
        |result: Result<(), _>| result.map_or_else(|error: sockeye::EmitError| format!("{error:?}"), |()| "Ok".into());
    let now = match api {
        One => said(socket.emit("e", ())),
        Room => said(io.to("r").emit("e", ())),
        Volatile => said(socket.volatile().emit("e", ())),
        VolatileRoom => said(io.to("r").volatile().emit("e", ())),
        Ask => {
            let reply = socket.emit_with_ack::<_, u8>("e", ()).send();
            return tokio::spawn(async { format!("{:?}", reply.await) });
        }
        AskRoom => {
            let replies = io.to("r").emit_with_ack::<_, u8>("e", ());
            return tokio::spawn(async {
                let replies = replies.collect().await;
                format!("{:?}", replies.into_iter().map(|(_, reply)| reply).collect::<Vec<_>>())
            });
        }
    };
    tokio::spawn(async { now })
}

/// The outcome, or that there is none yet.
async fn outcome(call: JoinHandle<String>) -> String {
    settle().await;
    if call.is_finished() { call.await.unwrap() } else { "waits".to_owned() }
}

fn is_event(message: &str) -> bool {
    message.starts_with("42") && message.ends_with("[\"e\"]")
}

/// The client got the event and, if it was asked, answers; then the API says so.
async fn delivered(client: &mut Client, messages: &[String], api: Api, call: JoinHandle<String>) {
    assert!(matches!(messages, [message] if is_event(message)), "{api:?}: {messages:?}");
    match api {
        Ask | AskRoom => {
            client.answer(&messages[0]).await;
            assert_eq!(outcome(call).await, if api == Ask { "Ok(7)" } else { "[Ok(7)]" });
        }
        _ => assert_eq!(outcome(call).await, "Ok"),
    }
}

#[tokio::test(start_paused = true)]
async fn delivery_websocket_that_is_read() {
    let (io, net) = server(Server::builder());
    let (mut client, socket) = client(&io, &net, Way::Stream).await;
    for api in ALL {
        let call = call(&io, &socket, api);
        let messages = client.received().await;
        delivered(&mut client, &messages, api, call).await;
    }
}

#[tokio::test(start_paused = true)]
async fn delivery_polling_with_a_get_that_waits() {
    let (io, net) = server(Server::builder());
    let (mut client, socket) = client(&io, &net, Way::Poll).await;
    for api in ALL {
        let Client::Poll(polling) = &client else { unreachable!() };
        let get = polling.get();
        get.expect_waiting().await;
        let call = call(&io, &socket, api);
        let messages = split(get.answer().await.text());
        delivered(&mut client, &messages, api, call).await;
    }
}

#[tokio::test(start_paused = true)]
async fn delivery_polling_between_two_gets() {
    let (io, net) = server(Server::builder());
    let (mut client, socket) = client(&io, &net, Way::Poll).await;
    for api in [One, Room, Ask, AskRoom] {
        let call = call(&io, &socket, api);
        let messages = client.received().await;
        delivered(&mut client, &messages, api, call).await;
    }
    volatile_is_dropped(&io, &socket, &mut client).await;
}

/// By whatever it is sent, nothing comes but what is sent afterwards.
async fn volatile_is_dropped(io: &Server, socket: &Socket, client: &mut Client) {
    let before = io.metrics().dropped_volatile;
    for api in [Volatile, VolatileRoom] {
        assert_eq!(outcome(call(io, socket, api)).await, "Ok");
    }
    assert_eq!(io.metrics().dropped_volatile, before + 2);
    socket.emit("afterwards", ()).unwrap();
    assert_eq!(client.received().await, ["42[\"afterwards\"]"]);
}

#[tokio::test(start_paused = true)]
async fn delivery_during_the_upgrade() {
    for api in ALL {
        let (io, net) = server(Server::builder());
        let (polling, socket) = client(&io, &net, Way::Poll).await;
        let Client::Poll(polling) = polling else { unreachable!() };
        let mut stream = polling.upgrade().await;
        stream.send("2probe").await;
        stream.expect("3probe").await;
        let call = call(&io, &socket, api);
        polling.expect("6").await;
        stream.expect_nothing().await;
        stream.send("5").await;
        let mut client = Client::Stream(stream);
        let messages = client.received().await;
        if matches!(api, Volatile | VolatileRoom) {
            assert_eq!((messages.len(), io.metrics().dropped_volatile), (0, 1), "{api:?}");
            assert_eq!(outcome(call).await, "Ok");
        } else {
            delivered(&mut client, &messages, api, call).await;
        }
    }
}

/// A WebSocket that is busy with a long message, which the client has not begun to read.
async fn stuck(io: &Server, net: &Net) -> (Client, Socket) {
    let (client, socket) = client(io, &net.with_buffer(1_024), Way::Stream).await;
    socket.emit("long", "x".repeat(4_000)).unwrap();
    settle().await;
    (client, socket)
}

#[tokio::test(start_paused = true)]
async fn delivery_to_a_client_that_does_not_read() {
    for api in ALL {
        let (io, net) = server(Server::builder());
        let (mut client, socket) = stuck(&io, &net).await;
        let call = call(&io, &socket, api);
        settle().await;
        let queued = !matches!(api, Volatile | VolatileRoom);
        assert_eq!(
            (socket.queued().packets, io.metrics().dropped_volatile),
            if queued { (1, 0) } else { (0, 1) },
            "{api:?}"
        );
        let messages = client.received().await;
        assert!(messages[0].starts_with("42[\"long\""), "{api:?}");
        if queued {
            delivered(&mut client, &messages[1..], api, call).await;
        } else {
            assert_eq!((messages.len(), outcome(call).await), (1, "Ok".to_owned()), "{api:?}");
        }
    }
}

/// A server whose outboxes hold two packets, and a client whose outbox does.
async fn full(policy: WhenFull, way: Way) -> (Server, Net, Client, Socket) {
    let (io, net) = server(Server::builder().outbox(1_000_000, 2).when_full(policy));
    let (client, socket) = match way {
        Way::Stream => stuck(&io, &net).await,
        Way::Poll => client(&io, &net, way).await,
    };
    for n in 0..2 {
        socket.emit("n", n).unwrap();
    }
    assert_eq!(socket.queued().packets, 2);
    (io, net, client, socket)
}

/// What the API says, and what of `n` 0, `n` 1 and the event itself the client gets.
async fn when_full(policy: WhenFull, rows: [(Api, &str, &str); 6]) {
    for way in BOTH {
        for (api, says, gets) in rows {
            let (io, _net, mut client, socket) = full(policy, way).await;
            let call = call(&io, &socket, api);
            assert_eq!(outcome(call).await, says, "{policy:?} {way:?} {api:?}");
            let messages = client.received().await;
            let short = |message: &String| match message.as_str() {
                "42[\"n\",0]" => "0",
                "42[\"n\",1]" => "1",
                "1" => "close",
                message if is_event(message) => "e",
                message => panic!("{policy:?} {way:?} {api:?}: {message}"),
            };
            let messages: Vec<_> = messages.iter().filter(|message| !message.contains("long")).map(short).collect();
            let gets = if way == Way::Stream { gets.trim_end_matches("close") } else { gets };
            assert_eq!(messages.concat(), gets, "{policy:?} {way:?} {api:?}");
            let is_volatile = matches!(api, Volatile | VolatileRoom);
            assert_eq!(io.metrics().dropped_volatile, u64::from(is_volatile), "{policy:?} {way:?} {api:?}");
            let slow = u64::from(policy == WhenFull::Disconnect && !is_volatile);
            assert_eq!(io.metrics().slow_consumers, slow, "{policy:?} {way:?} {api:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn delivery_to_a_full_outbox_disconnect() {
    let rows = [
        (One, "Closed", "close"),
        (Room, "Ok", "close"),
        (Volatile, "Ok", "01"),
        (VolatileRoom, "Ok", "01"),
        (Ask, "Err(Emit(Closed))", "close"),
        (AskRoom, "[Err(Emit(Closed))]", "close"),
    ];
    when_full(WhenFull::Disconnect, rows).await;
}

#[tokio::test(start_paused = true)]
async fn delivery_to_a_full_outbox_fail() {
    let rows = [
        (One, "Full", "01"),
        (Room, "Ok", "01"),
        (Volatile, "Ok", "01"),
        (VolatileRoom, "Ok", "01"),
        (Ask, "Err(Emit(Full))", "01"),
        (AskRoom, "[Err(Emit(Full))]", "01"),
    ];
    when_full(WhenFull::Fail, rows).await;
}

/// Recovery changes nothing of what `emit` says, and brings back nothing of which it said that it was not taken.
#[tokio::test(start_paused = true)]
async fn delivery_to_a_full_outbox_with_recovery() {
    for (policy, says) in [
        (WhenFull::Disconnect, "Closed"),
        (WhenFull::Fail, "Full"),
        (WhenFull::DropNew, "Ok"),
        (WhenFull::DropOldest, "Ok"),
    ] {
        let (io, net) = server(Server::builder().outbox(1_000_000, 2).when_full(policy).recovery(Recovery::default()));
        let polling = net.polling().await;
        polling.send("40").await;
        let accepted = split(polling.get().answer().await.text()).remove(0);
        let ids: Vec<&str> = accepted.split('"').collect();
        let (id, pid) = (ids[3], ids[7]);
        let socket = io.get(id).unwrap();
        for n in 0..2 {
            socket.emit("n", n).unwrap();
        }
        assert_eq!(outcome(call(&io, &socket, One)).await, says, "{policy:?}");
        if policy == WhenFull::Fail {
            polling.get().answer().await;
            socket.emit("n", 2).unwrap();
            Client::Poll(polling).vanish().await;
            let mut back = net.websocket().await;
            back.send(&format!("40{{\"pid\":\"{pid}\"}}")).await;
            back.expect(&format!("40{{\"sid\":\"{id}\",\"pid\":\"{pid}\"}}")).await;
            for n in 0..3 {
                back.expect(&format!("42[\"n\",{n},\"…\"]")).await;
            }
            back.expect_nothing().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn delivery_to_a_full_outbox_drop_new() {
    let rows = [
        (One, "Ok", "01"),
        (Room, "Ok", "01"),
        (Volatile, "Ok", "01"),
        (VolatileRoom, "Ok", "01"),
        (Ask, "Err(Emit(Full))", "01"),
        (AskRoom, "[Err(Emit(Full))]", "01"),
    ];
    when_full(WhenFull::DropNew, rows).await;
}

#[tokio::test(start_paused = true)]
async fn delivery_to_a_full_outbox_drop_oldest() {
    let rows = [
        (One, "Ok", "1e"),
        (Room, "Ok", "1e"),
        (Volatile, "Ok", "01"),
        (VolatileRoom, "Ok", "01"),
        (Ask, "waits", "1e"),
        (AskRoom, "waits", "1e"),
    ];
    when_full(WhenFull::DropOldest, rows).await;
}

#[tokio::test(start_paused = true)]
async fn delivery_to_a_client_that_is_not_in_the_namespace_yet() {
    for way in BOTH {
        let (io, net) = server(Server::builder());
        let (_witness, somebody) = client(&io, &net, Way::Poll).await;
        somebody.leave("r");
        io.authorize(async |_, ()| {
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            Ok::<_, Refusal>(())
        });
        let mut client = match way {
            Way::Stream => Client::Stream(net.websocket().await),
            Way::Poll => Client::Poll(net.polling().await),
        };
        client.send("40").await;
        // There is no socket to call.
        for (api, says) in [(Room, "Ok"), (VolatileRoom, "Ok"), (AskRoom, "[]")] {
            assert_eq!(outcome(call(&io, &somebody, api)).await, says, "{way:?}");
        }
        net.advance(std::time::Duration::from_secs(1)).await;
        io.to("r").emit("afterwards", ()).unwrap();
        let messages = client.received().await;
        assert!(
            messages.len() == 2 && messages[0].starts_with("40{") && messages[1] == "42[\"afterwards\"]",
            "{messages:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn delivery_to_a_client_that_is_away() {
    for way in BOTH {
        let (io, net) = server(Server::builder().recovery(Recovery::default()));
        let mut client = match way {
            Way::Stream => Client::Stream(net.websocket().await),
            Way::Poll => Client::Poll(net.polling().await),
        };
        client.send("40").await;
        let accepted = client.received().await.remove(0);
        let ids: Vec<&str> = accepted.split('"').collect();
        let (id, pid) = (ids[3], ids[7]);
        let socket = io.get(id).unwrap();
        let asked = call(&io, &socket, Ask);
        settle().await;
        client.vanish().await;
        assert_eq!(outcome(asked).await, "Err(Disconnected)", "asked before");
        let rows = [
            (One, "Closed"),
            (Room, "Ok"),
            (Volatile, "Closed"),
            (VolatileRoom, "Ok"),
            (Ask, "Err(Emit(Closed))"),
            (AskRoom, "[]"),
        ];
        for (api, says) in rows {
            assert_eq!(outcome(call(&io, &socket, api)).await, says, "{way:?} {api:?}");
        }
        let mut back = net.websocket().await;
        back.send(&format!("40{{\"pid\":\"{pid}\"}}")).await;
        back.expect(&format!("40{{\"sid\":\"{id}\",\"pid\":\"{pid}\"}}")).await;
        back.expect("42[\"e\",\"…\"]").await;
        back.expect_nothing().await;
    }
}

#[tokio::test(start_paused = true)]
async fn delivery_to_a_client_that_has_gone() {
    for way in BOTH {
        let (io, net) = server(Server::builder());
        let (client, socket) = client(&io, &net, way).await;
        let asked = [call(&io, &socket, Ask), call(&io, &socket, AskRoom)];
        settle().await;
        client.vanish().await;
        for (asked, says) in asked.into_iter().zip(["Err(Disconnected)", "[Err(Disconnected)]"]) {
            assert_eq!(outcome(asked).await, says, "{way:?}, asked before");
        }
        let rows = [
            (One, "Closed"),
            (Room, "Ok"),
            (Volatile, "Closed"),
            (VolatileRoom, "Ok"),
            (Ask, "Err(Emit(Closed))"),
            (AskRoom, "[]"),
        ];
        for (api, says) in rows {
            assert_eq!(outcome(call(&io, &socket, api)).await, says, "{way:?} {api:?}");
        }
        net.assert_clean().await;
    }
}
