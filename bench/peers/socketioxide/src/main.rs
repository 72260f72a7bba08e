//! socketioxide with the events of the bench, written as its documentation writes them.
#![forbid(unsafe_code)]

use std::error::Error;

use bytes::Bytes;
use serde_json::Value;
use socketioxide::SocketIo;
use socketioxide::extract::{AckSender, Data, SocketRef};

fn main() -> Result<(), Box<dyn Error>> {
    let port: u16 = option("--port").ok_or("--port is missing")?.parse()?;
    let workers: usize = option("--workers").as_deref().unwrap_or("1").parse()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build()?;
    runtime.block_on(serve(port))
}

async fn serve(port: u16) -> Result<(), Box<dyn Error>> {
    let (layer, io) = SocketIo::new_layer();
    io.ns("/", async |socket: SocketRef| listen(&socket));
    let app = axum::Router::new().layer(layer);
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    Ok(axum::serve(listener, app).await?)
}

fn listen(socket: &SocketRef) {
    socket.on("echo", async |socket: SocketRef, Data(data): Data<Value>| {
        socket.emit("echo", &data).ok();
    });
    socket.on("binary", async |socket: SocketRef, Data(data): Data<Bytes>| {
        socket.emit("binary", &data).ok();
    });
    socket.on("ack", async |Data(data): Data<Value>, ack: AckSender| {
        ack.send(&data).ok();
    });
    socket.on("broadcast", async |io: SocketIo, Data(data): Data<Value>| {
        io.emit("broadcast", &data).await.ok();
    });
    socket.on("join", async |socket: SocketRef, Data(rooms): Data<Vec<String>>, ack: AckSender| {
        socket.join(rooms);
        ack.send(&()).ok();
    });
    socket.on("room", async |io: SocketIo, Data((room, data)): Data<(String, Value)>| {
        io.to(room).emit("room", &data).await.ok();
    });
}

fn option(name: &str) -> Option<String> {
    std::env::args().skip_while(|argument| argument != name).nth(1)
}
