//! What is tested.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sockeye_client::{BoxError, Client, ClientBuilder, DisconnectReason, Ending, Parser, Reconnect, State, Transport};
use tokio::sync::mpsc;

use crate::relay::Relay;
use crate::server::{Kind, Process};

/// How long one test may take.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

type Outcome = Result<(), BoxError>;
type Test = fn(Place) -> Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// Where a test takes place.
pub(crate) struct Place {
    relay: Relay,
    kind: Kind,
    way: &'static [Transport],
}

impl Place {
    pub(crate) async fn new(server: &Process, kind: Kind, way: &'static [Transport]) -> Result<Self, BoxError> {
        Ok(Self { relay: Relay::new(server.port).await?, kind, way })
    }

    fn client(&self) -> ClientBuilder {
        let parser = if self.kind.is_msgpack() { Parser::Msgpack } else { Parser::Json };
        let soon = Reconnect::backoff(Duration::from_millis(600), Duration::from_secs(1));
        Client::builder(&self.relay.url())
            .transports(self.way)
            .parser(parser)
            .eio3(self.kind.is_old())
            .reconnect(soon)
            .query("lang", "rs")
            .header("X-App", "test")
    }

    /// Connects, and waits until the server listens.
    async fn connect(&self, builder: ClientBuilder) -> Result<Client, BoxError> {
        let client = builder.connect().await?;
        if self.kind.is_oxide() {
            self.echo(&client).await?;
        }
        Ok(client)
    }

    /// Everything there and back.
    async fn echo(&self, client: &Client) -> Outcome {
        let sent = args(self.kind);
        is("echoed", &self.ask(client, "echo", &sent).await?, &sent)
    }

    /// Asks the server, which may have let us in just now.
    async fn ask<A, R>(&self, client: &Client, event: &'static str, args: &A) -> Result<R, BoxError>
    where
        A: Serialize,
        R: DeserializeOwned + Send + 'static,
    {
        // socketioxide lets clients in before its handlers are registered, and drops what comes meanwhile.
        let patience = Duration::from_secs(if self.kind.is_oxide() { 1 } else { 30 });
        loop {
            match client.emit_with_ack(event, args).timeout(patience).await {
                Err(error) if error.is_timeout() && self.kind.is_oxide() => {}
                answer => return Ok(answer?),
            }
        }
    }
}

/// The tests that this server is fit for.
pub(crate) fn all(kind: Kind) -> Vec<(&'static str, Test)> {
    let mut tests: Vec<(&'static str, Test)> = vec![
        ("values", |place| Box::pin(values(place))),
        ("order", |place| Box::pin(order(place))),
        ("namespaces", |place| Box::pin(namespaces(place))),
        ("heartbeat", |place| Box::pin(heartbeat(place))),
        ("server disconnects", |place| Box::pin(server_disconnects(place))),
        ("cut", |place| Box::pin(cut(place))),
        ("restart", |place| Box::pin(restart(place))),
    ];
    if kind == Kind::Js2 {
        tests.push(("says why not", |place| Box::pin(old_server(place))));
    }
    if kind.recovers() {
        tests.push(("recovery", |place| Box::pin(recovery(place))));
    }
    tests
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct File {
    name: String,
    parts: Vec<Bytes>,
    inner: Inner,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Inner {
    bytes: Bytes,
}

type Args = (Value, File);

/// python-engineio under aiohttp takes only what has arrived of a POST when it looks at it, so that its share is small.
fn args(kind: Kind) -> Args {
    let size = if kind == Kind::Python { 2_000 } else { 20_000 };
    let plain = json!({
        "empty": "", "text": "ä\u{2028}\"\\\n😀\u{1e}", "one": 1, "minus": -7, "large": 9_007_199_254_740_991_u64,
        "half": 0.5, "yes": true, "no": false, "nothing": null, "list": [1, [2, []], {}], "deep": { "a": { "b": [] } },
    });
    let parts = vec![Bytes::from_static(&[0, 1, 254, 255]), Bytes::new(), Bytes::from(vec![7; size])];
    let inner = Inner { bytes: Bytes::from_static(b"\x1e\n") };
    (plain, File { name: "π.bin".to_owned(), parts, inner })
}

async fn values(place: Place) -> Outcome {
    let (told, mut heard) = mpsc::unbounded_channel();
    let answered = told.clone();
    let builder = place
        .client()
        .on("bounced", async move |_, args: Args| told.send(("bounced", args)))
        .on("answered", async move |_, args: Args| answered.send(("answered", args)))
        .on_with_ack("question", async |_, args: Args| args);
    let client = place.connect(builder).await?;
    place.echo(&client).await?;
    for (event, answer) in [("bounce", "bounced"), ("ask", "answered")] {
        client.emit(event, args(place.kind))?;
        let (name, bounced) = heard.recv().await.ok_or("nothing came back")?;
        is("answer", &name, &answer)?;
        is(answer, &bounced, &args(place.kind))?;
    }
    client.disconnect().await;
    Ok(())
}

/// socketioxide drops what goes beyond 128 packets at once.
async fn order(place: Place) -> Outcome {
    let (told, mut heard) = mpsc::unbounded_channel();
    let client = place.connect(place.client().on("n", async move |_, n: u32| told.send(n))).await?;
    let burst = if place.kind.is_oxide() { 100 } else { 500 };
    client.emit("burst", burst)?;
    for wanted in 0..burst {
        is("number", &heard.recv().await, &Some(wanted))?;
    }
    client.disconnect().await;
    Ok(())
}

async fn namespaces(place: Place) -> Outcome {
    let client = place.connect(place.client()).await?;
    let refused = client.of("/private").auth(json!({ "token": "wrong" })).connect().await;
    let error = refused.err().ok_or("it let us in")?;
    // Servers of 2.x send the one or the other.
    is("message", &error.message(), &Some(if place.kind.is_old() { "" } else { "wrong token" }))?;
    if !place.kind.is_oxide() {
        is("data", &error.data(), &Some(&json!({ "code": 7 })))?;
    }
    let private = client.of("/private").auth(json!({ "token": "right" })).connect().await?;
    let told: (String, String, String) = place.ask(&private, "where", &()).await?;
    is("told", &told, &("/private".to_owned(), "rs".to_owned(), "test".to_owned()))?;
    // socketioxide gives one id for all.
    if private.id() == client.id() && !place.kind.is_oxide() {
        return Err("both namespaces have one id".into());
    }
    private.disconnect().await;
    place.echo(&client).await?;
    client.disconnect().await;
    Ok(())
}

/// The server pings every second and waits one more.
async fn heartbeat(place: Place) -> Outcome {
    let client = place.connect(place.client()).await?;
    let mut watch = client.watch();
    watch.get();
    // A heartbeat each second, which has three for its answer.
    if tokio::time::timeout(Duration::from_secs(6), watch.changed()).await.is_ok() {
        return Err(format!("the connection did not last: {:?}", client.state()).into());
    }
    client.disconnect().await;
    Ok(())
}

async fn server_disconnects(place: Place) -> Outcome {
    let client = place.connect(place.client()).await?;
    client.emit("leave", ())?;
    let state = client.watch().until(|state| !state.is_active()).await.ok_or("gone")?;
    match state {
        State::Disconnected(Ending::Disconnected(DisconnectReason::ServerDisconnect)) => {}
        other => return Err(format!("{other:?}").into()),
    }
    client.connect().await?;
    place.echo(&client).await?;
    client.disconnect().await;
    Ok(())
}

async fn cut(place: Place) -> Outcome {
    let client = place.connect(place.client()).await?;
    for _ in 0..3 {
        place.relay.cut();
        // A cut between two requests of long-polling loses nothing, and is not noticed.
        let _ = tokio::time::timeout(Duration::from_secs(2), lost(&client)).await;
        place.echo(&client).await?;
    }
    client.disconnect().await;
    Ok(())
}

async fn restart(place: Place) -> Outcome {
    let server = Process::start(place.kind).await?;
    let (port, kind, way) = (server.port, place.kind, place.way);
    let place = Place { relay: Relay::new(port).await?, kind, way };
    let client = place.connect(place.client()).await?;
    server.stop().await?;
    place.relay.cut();
    lost(&client).await?;
    let waiting = client.emit_with_ack::<_, Args>("echo", args(kind)).timeout(Duration::from_secs(20)).send();
    let server = Process::start_on(kind, port).await?;
    match waiting.await {
        // What waited is sent as soon as we are let in, which is too soon for socketioxide now and then.
        Err(error) if error.is_timeout() && kind.is_oxide() => place.echo(&client).await?,
        answer => is("echoed", &answer?, &args(kind))?,
    }
    client.disconnect().await;
    server.stop().await
}

async fn recovery(place: Place) -> Outcome {
    let (told, mut heard) = mpsc::unbounded_channel();
    let client = place.client().on("missed", async move |_, n: u32| told.send(n)).connect().await?;
    let id = client.id();
    for _ in 0..2 {
        client.emit("miss", ())?;
        is("first", &heard.recv().await, &Some(0))?;
        // A server which has lost a client in the midst of a request notices by the missing heartbeat only, and cannot
        // recover what it does not know to be lost.
        tokio::time::sleep(Duration::from_millis(200)).await;
        place.relay.cut();
        is("second", &heard.recv().await, &Some(1))?;
        is("id", &client.id(), &id)?;
    }
    is("recovered", &client.is_recovered(), &true)?;
    client.disconnect().await;
    Ok(())
}

async fn old_server(place: Place) -> Outcome {
    let error = place.client().eio3(false).connect().await.err().ok_or("it let us in")?;
    if error.is_incompatible() { Ok(()) } else { Err(error.into()) }
}

async fn lost(client: &Client) -> Outcome {
    client.watch().until(|state| !state.is_connected()).await.map(drop).ok_or_else(|| "gone".into())
}

fn is<T: std::fmt::Debug + PartialEq>(what: &str, got: &T, wanted: &T) -> Outcome {
    if got == wanted { Ok(()) } else { Err(format!("{what}: {got:?} instead of {wanted:?}").into()) }
}
