//! The client `rust_socketio` against the server at the address given as argument. Prints one line per test.
//!
//! What it cannot do, whatever the server, is not asked of it (0.6.0):
//! - its handlers are not told that an answer is wanted, so it never gives one;
//! - of a binary event it hands on the name and the first attachment, and sends no other argument beside one;
//! - an event with bytes that asks for an answer is sent as if it were an answer;
//! - over WebSocket it takes the byte 0x1e for the end of a packet, and cannot receive an attachment of no bytes;
//! - an event without arguments arrives as `message`, with its name as the argument;
//! - it takes each piece of a polling body for a whole one, so what it polls here is short;
//! - one client is in one namespace.
#![forbid(unsafe_code)]

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use rust_socketio::asynchronous::{self, ClientBuilder};
use rust_socketio::{Event, Payload, TransportType};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::timeout;

type BoxError = Box<dyn Error + Send + Sync>;
type Verdict = Result<(), BoxError>;

const DEADLINE: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() -> ExitCode {
    let Some(url) = std::env::args().nth(1) else {
        eprintln!("the address of the server is missing");
        return ExitCode::FAILURE;
    };
    let server = |name, way| Server { url: url.clone(), name, way };
    let polling = server("polling", TransportType::Polling);
    let websocket = server("websocket", TransportType::Websocket);
    let upgrade = server("upgrade", TransportType::WebsocketUpgrade);
    let failures = tokio::join!(polling.test(), websocket.test(), upgrade.test());
    if failures == (0, 0, 0) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn events(server: &Server) -> Verdict {
    let mut client = server.connected("/", None).await?;
    for args in [
        vec![json!(null)],
        vec![json!(1), json!("two"), json!([3, { "four": [true] }])],
        vec![json!("é€😀 \u{0} \"quoted\"")],
        vec![json!({ "_placeholder": true, "num": 0 })],
        vec![json!(["5", {}])],
    ] {
        client.socket.emit("echo", args.clone()).await?;
        equal(&client.next("echo").await?, &Payload::Text(args))?;
    }
    client.socket.emit("echo", Vec::<Value>::new()).await?;
    equal(&client.next("message").await?, &Payload::Text(vec![json!("echo")]))?;
    client.close().await
}

async fn binary(server: &Server) -> Verdict {
    let mut client = server.connected("/", None).await?;
    for data in [&b"\x00\xff"[..], b"[1,2]", &[7; 5_000]] {
        client.socket.emit("echo", data).await?;
        equal(&client.next("echo").await?, &Payload::Binary(Bytes::from_static(data)))?;
    }
    client.close().await
}

async fn acknowledgements(server: &Server) -> Verdict {
    let client = server.connected("/", None).await?;
    // It hands on the list of values as one value.
    let values = vec![json!("one"), json!({ "two": 2 })];
    equal(&client.ask("echo-ack", values.clone()).await?, &Payload::Text(vec![Value::from(values)]))?;
    equal(&client.ask("size", "text").await?, &Payload::Text(vec![json!([4])]))?;
    client.close().await
}

async fn question(server: &Server) -> Verdict {
    let mut client = server.connected("/", None).await?;
    client.socket.emit("ask-briefly", "why").await?;
    equal(&client.next("question").await?, &Payload::Text(vec![json!("why")]))?;
    equal(&client.next("message").await?, &Payload::Text(vec![json!("no answer")]))?;
    client.close().await
}

async fn rooms(server: &Server) -> Verdict {
    let mut red = server.connected("/", None).await?;
    let mut other = server.connected("/", None).await?;
    let (here, ours) = (format!("red {}", server.name), format!("all {}", server.name));
    red.ask("join", vec![json!([here, ours])]).await?;
    other.ask("join", vec![json!([ours])]).await?;
    for (place, n) in
        [(json!({ "to": [here] }), 1), (json!({ "to": [ours], "except": [here] }), 2), (json!({ "to": [ours] }), 3)]
    {
        other.socket.emit("aim", vec![place, json!("news")]).await?;
        other.socket.emit("fire", json!(n)).await?;
    }
    for (client, numbers) in [(&mut red, [1, 3]), (&mut other, [2, 3])] {
        for n in numbers {
            equal(&client.next("news").await?, &Payload::Text(vec![json!(n)]))?;
        }
    }
    red.close().await?;
    other.close().await
}

async fn namespaces(server: &Server) -> Verdict {
    let client = server.connected("/custom", None).await?;
    equal(&client.who().await?["namespace"], &json!("/custom"))?;
    client.close().await
}

async fn auth(server: &Server) -> Verdict {
    let given = json!({ "token": "secret", "more": [1] });
    let client = server.connected("/auth", Some(given.clone())).await?;
    let who = client.who().await?;
    equal(&[&who["namespace"], &who["auth"]], &[&json!("/auth"), &given])?;
    client.close().await
}

async fn refusal(server: &Server) -> Verdict {
    let refused = json!({ "message": "not authorized", "data": { "reason": "bad token", "got": "no" } });
    server.refused("/auth", Some(json!({ "token": "no" })), &refused).await
}

async fn unknown(server: &Server) -> Verdict {
    server.refused("/unknown", None, &json!({ "message": "Invalid namespace" })).await
}

async fn disconnect(server: &Server) -> Verdict {
    let mut client = server.connected("/", None).await?;
    client.socket.emit("disconnect-me", json!(true)).await?;
    client.next("close").await.map(drop)
}

async fn heartbeats(server: &Server) -> Verdict {
    let client = server.connected("/", None).await?;
    // The server pings every second, and waits for another one.
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    client.ask("size", "still here").await?;
    client.close().await
}

async fn order(server: &Server) -> Verdict {
    let mut client = server.connected("/", None).await?;
    for n in 0..100 {
        client.socket.emit("echo", json!(n)).await?;
    }
    for n in 0..100 {
        equal(&client.next("echo").await?, &Payload::Text(vec![json!(n)]))?;
    }
    client.close().await
}

/// Where the server is, and how clients travel to it.
struct Server {
    url: String,
    name: &'static str,
    way: TransportType,
}

impl Server {
    /// Runs every test; gives the number of failures.
    async fn test(&self) -> u32 {
        self.report("events", events(self)).await
            + self.report("binary data", binary(self)).await
            + self.report("acknowledgements", acknowledgements(self)).await
            + self.report("a question it cannot answer", question(self)).await
            + self.report("rooms", rooms(self)).await
            + self.report("namespaces", namespaces(self)).await
            + self.report("auth", auth(self)).await
            + self.report("a refusal", refusal(self)).await
            + self.report("an unknown namespace", unknown(self)).await
            + self.report("a disconnect", disconnect(self)).await
            + self.report("heartbeats", heartbeats(self)).await
            + self.report("order", order(self)).await
    }

    /// Runs a test and says how it went; gives the number of failures.
    async fn report(&self, test_name: &str, test: impl Future<Output = Verdict>) -> u32 {
        let verdict = timeout(2 * DEADLINE, test).await.unwrap_or_else(|_| Err("it does not end".into()));
        match &verdict {
            Ok(()) => println!("ok   {test_name} [{}]", self.name),
            Err(error) => println!("FAIL {test_name} [{}]\n     {error}", self.name),
        }
        u32::from(verdict.is_err())
    }

    async fn client(&self, path: &str, auth: Option<Value>) -> Result<Client, BoxError> {
        let (sender, events) = mpsc::unbounded_channel();
        let mut builder =
            ClientBuilder::new(&self.url).namespace(path).transport_type(self.way.clone()).reconnect(false);
        if let Some(auth) = auth {
            builder = builder.auth(auth);
        }
        let keep = |event: &Event, payload: Payload, sender: &mpsc::UnboundedSender<_>| {
            // Nobody waits any more when the test is over.
            drop(sender.send((event.as_str().to_owned(), payload)));
            async {}.boxed()
        };
        for event in [Event::Connect, Event::Close, Event::Error] {
            let sender = sender.clone();
            builder = builder.on(event.clone(), move |payload, _| keep(&event, payload, &sender));
        }
        builder = builder.on_any(move |event, payload, _| keep(&event, payload, &sender));
        Ok(Client { socket: builder.connect().await?, events })
    }

    async fn connected(&self, path: &str, auth: Option<Value>) -> Result<Client, BoxError> {
        let mut client = self.client(path, auth).await?;
        client.next("connect").await?;
        Ok(client)
    }

    async fn refused(&self, path: &str, auth: Option<Value>, why: &Value) -> Verdict {
        let mut client = self.client(path, auth).await?;
        let Payload::Text(said) = client.next("error").await? else { return Err("no text".into()) };
        let said = said.first().and_then(Value::as_str).unwrap_or_default();
        let json = said.find('{').and_then(|start| said.get(start..)).ok_or_else(|| said.to_owned())?;
        equal(&serde_json::from_str::<Value>(json)?, why)
    }
}

/// A client, and what came to it.
struct Client {
    socket: asynchronous::Client,
    events: mpsc::UnboundedReceiver<(String, Payload)>,
}

impl Client {
    /// What comes next, which is `event`.
    async fn next(&mut self, event: &str) -> Result<Payload, BoxError> {
        let came = timeout(DEADLINE, self.events.recv()).await.map_err(|_| format!("{event:?} did not come"))?;
        match came {
            Some((name, payload)) if name == event => Ok(payload),
            other => Err(format!("waiting for {event:?}, got {other:?}").into()),
        }
    }

    async fn ask(&self, event: &str, args: impl Into<Payload>) -> Result<Payload, BoxError> {
        let (sender, mut answer) = mpsc::unbounded_channel();
        let keep = move |payload, _| {
            drop(sender.send(payload));
            async {}.boxed()
        };
        self.socket.emit_with_ack(event, args, DEADLINE, keep).await?;
        let answer = timeout(DEADLINE, answer.recv()).await.map_err(|_| format!("{event:?} was not answered"))?;
        answer.ok_or_else(|| "the answer was forgotten".into())
    }

    async fn who(&self) -> Result<Value, BoxError> {
        let Payload::Text(values) = self.ask("who", Vec::<Value>::new()).await? else { return Err("no text".into()) };
        Ok(values[0][0].clone())
    }

    async fn close(self) -> Verdict {
        Ok(self.socket.disconnect().await?)
    }
}

fn equal<T: PartialEq + std::fmt::Debug>(got: &T, wanted: &T) -> Verdict {
    if got == wanted { Ok(()) } else { Err(format!("got {got:?}, wanted {wanted:?}").into()) }
}
