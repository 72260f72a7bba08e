//! The Sockeye server for the client to talk to. Says its port when it listens.

use std::time::Duration;

use sockeye::{BoxError, Parser, Raw, Recovery, Refusal, Server, Socket};

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let msgpack = std::env::args().any(|word| word == "msgpack");
    let io = Server::builder()
        .ping_interval(Duration::from_secs(1))
        .ping_timeout(Duration::from_secs(3))
        .parser(if msgpack { Parser::Msgpack } else { Parser::Json })
        .recovery(Recovery::default())
        .allow_eio3(true)
        .build()?;
    io.on_with_ack("echo", async |_, args: Raw| args);
    io.on("bounce", async |socket, args: Raw| socket.emit("bounced", args));
    io.on("ask", async |socket: Socket, args: Raw| {
        let answer: Raw = socket.emit_with_ack("question", args).await?;
        Ok::<_, BoxError>(socket.emit("answered", answer)?)
    });
    io.on("burst", async |socket: Socket, count: u32| {
        for n in 0..count {
            socket.emit("n", n)?;
        }
        Ok::<_, BoxError>(())
    });
    io.on("leave", async |socket: Socket, ()| socket.disconnect());
    let everybody = io.clone();
    io.on("miss", async move |socket: Socket, ()| {
        socket.join("room");
        everybody.to("room").emit("missed", 0)?;
        let later = everybody.clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            later.to("room").emit("missed", 1)
        });
        Ok::<_, BoxError>(())
    });
    let private = io.of("/private");
    private.authorize(async |_, auth: serde_json::Value| {
        if auth["token"] == "right" {
            return Ok(());
        }
        Err(Refusal::new("wrong token").with_data(serde_json::json!({ "code": 7 })))
    });
    private.on_with_ack("where", async |socket: Socket, ()| {
        let language = socket.peer().query("lang").map(|value| value.to_string());
        let app = socket.peer().header("x-app").map(str::to_owned);
        (socket.namespace().to_owned(), language, app)
    });
    let port = std::env::var("PORT").ok().and_then(|port| port.parse().ok()).unwrap_or(0_u16);
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    println!("{}", listener.local_addr()?.port());
    io.serve(listener).await?;
    Ok(())
}
