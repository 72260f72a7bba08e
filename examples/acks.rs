//! Acknowledgements: an event with an answer, both ways.
//!
//!     cargo run -p sockeye-examples --bin acks

use std::time::Duration;

use serde::Serialize;
use sockeye::{AckError, BoxError, Server};

/// What JavaScript clients understand: one field, `ok` or `error`. A `Result` would arrive as serde writes it.
#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict<T> {
    Ok(T),
    Error(String),
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let io = Server::new();

    // What the handler returns is the answer.
    io.on_with_ack("sum", async |_, (a, b): (i64, i64)| a + b);
    io.on_with_ack("divide", async |_, (a, b): (i64, i64)| match a.checked_div(b) {
        Some(result) => Verdict::Ok(result),
        None => Verdict::Error("there is no such number".into()),
    });

    // The answer comes later, and perhaps not at all: the right to answer can be kept.
    io.on_message("job", async |_, message| -> Result<(), BoxError> {
        let (milliseconds, ack) = message.split::<u64>()?;
        tokio::time::sleep(Duration::from_millis(milliseconds)).await;
        Ok(ack.send("done")?)
    });

    // The server asks one client, and waits a second at most.
    io.on("ask me", async |socket, question: String| {
        match socket.emit_with_ack::<_, String>("question", question).timeout(Duration::from_secs(1)).await {
            Ok(answer) => socket.emit("you said", answer),
            Err(AckError::Timeout) => socket.emit("too late", ()),
            Err(_) => Ok(()), // it has left
        }
    });

    // The server asks everybody, and hears of each once: an answer, or why there is none.
    let all = io.clone();
    io.on_with_ack("vote", async move |_, question: String| {
        let mut replies = all.timeout(Duration::from_secs(5)).emit_with_ack::<_, bool>("vote", question);
        let (mut yes, mut no, mut silent) = (0, 0, 0);
        while let Some((_socket, reply)) = replies.next().await {
            match reply {
                Ok(true) => yes += 1,
                Ok(false) => no += 1,
                Err(_) => silent += 1,
            }
        }
        (yes, no, silent)
    })
    // The one who asks is asked too: its answer must be read while this handler waits. That needs nothing; but its
    // next vote should not have to wait for this one.
    .concurrent(4);

    let listener = sockeye_examples::listener().await?;
    Ok(io.serve(listener).await?)
}
