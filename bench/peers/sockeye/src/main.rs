//! Sockeye with the events of the bench, written as its documentation writes them.
#![forbid(unsafe_code)]

use bytes::Bytes;
use serde_json::Value;
use sockeye::{BoxError, Deflate, Server};

fn main() -> Result<(), BoxError> {
    let port: u16 = option("--port").ok_or("--port is missing")?.parse()?;
    let workers: usize = option("--workers").as_deref().unwrap_or("1").parse()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build()?;
    let deflate = std::env::args().any(|argument| argument == "--deflate");
    let io = if deflate { Server::builder().per_message_deflate(Deflate::default()).build()? } else { Server::new() };
    listen(&io);
    Ok(runtime.block_on(io.listen(("127.0.0.1", port)))?)
}

fn listen(io: &Server) {
    io.on("echo", async |socket, data: Value| socket.emit("echo", data));
    io.on("binary", async |socket, data: Bytes| socket.emit("binary", data));
    io.on_with_ack("ack", async |_, data: Value| data);
    io.on("broadcast", {
        let io = io.clone();
        async move |_, data: Value| io.emit("broadcast", data)
    });
    io.on_with_ack("join", async |socket, rooms: Vec<String>| socket.join(rooms));
    io.on("room", {
        let io = io.clone();
        async move |_, (room, data): (String, Value)| io.to(room).emit("room", data)
    });
}

fn option(name: &str) -> Option<String> {
    std::env::args().skip_while(|argument| argument != name).nth(1)
}
