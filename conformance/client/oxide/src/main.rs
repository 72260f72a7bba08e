//! A socketioxide server for the client to talk to. Says its port when it listens.
#![forbid(unsafe_code)]

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use socketioxide::{ParserConfig, SocketIo};
use socketioxide::extract::{AckSender, Data, SocketRef, TryData};
use socketioxide::handler::ConnectHandler;

/// What the client sends: everything JSON has, and bytes at several depths.
#[derive(Clone, Serialize, Deserialize)]
struct File {
    name: String,
    parts: Vec<Bytes>,
    inner: Inner,
}

#[derive(Clone, Serialize, Deserialize)]
struct Inner {
    bytes: Bytes,
}

type Args = (Value, File);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let second = Duration::from_secs(1);
    let is_msgpack = std::env::args().any(|word| word == "msgpack");
    let options = SocketIo::builder().ping_interval(second).ping_timeout(3 * second);
    let options = if is_msgpack { options.with_parser(ParserConfig::msgpack()) } else { options };
    let (layer, io) = options.build_layer();
    io.ns("/", async |socket: SocketRef| listen(&socket));
    io.ns("/private", private.with(admit));
    let app = axum::Router::new().layer(layer);
    let port: u16 = std::env::var("PORT").ok().and_then(|port| port.parse().ok()).unwrap_or(0);
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    println!("{}", listener.local_addr()?.port());
    Ok(axum::serve(listener, app).await?)
}

fn listen(socket: &SocketRef) {
    socket.on("echo", async |Data(args): Data<Args>, ack: AckSender| {
        ack.send(&args).ok();
    });
    socket.on("bounce", async |socket: SocketRef, Data(args): Data<Args>| {
        socket.emit("bounced", &args).ok();
    });
    socket.on("ask", async |socket: SocketRef, Data(args): Data<Args>| {
        let Ok(answer) = socket.emit_with_ack::<_, Args>("question", &args) else { return };
        if let Ok(answer) = answer.await {
            socket.emit("answered", &answer).ok();
        }
    });
    socket.on("burst", async |socket: SocketRef, Data(count): Data<u32>| {
        for n in 0..count {
            socket.emit("n", &n).ok();
        }
    });
    socket.on("leave", async |socket: SocketRef| {
        socket.disconnect().ok();
    });
}

/// It refuses with a message only.
async fn admit(TryData(auth): TryData<Value>) -> Result<(), String> {
    let auth = auth.unwrap_or_default();
    if auth["token"] == "right" { Ok(()) } else { Err("wrong token".to_owned()) }
}

async fn private(socket: SocketRef) {
    socket.on("where", async |socket: SocketRef, ack: AckSender| {
        let request = socket.req_parts();
        let query = request.uri.query().unwrap_or_default();
        let language = query.split('&').find_map(|pair| pair.strip_prefix("lang="));
        let app = request.headers.get("x-app").and_then(|value| value.to_str().ok());
        ack.send(&(socket.ns().to_owned(), language, app)).ok();
    });
}
