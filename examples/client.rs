//! The client, against the example `acks`: it asks, is asked, and comes back by itself if the connection breaks.
//!
//!     cargo run -p sockeye-examples --bin acks 3000
//!     cargo run -p sockeye-examples --bin client http://127.0.0.1:3000

use std::time::Duration;

use sockeye_client::{BoxError, Client, Event};

/// Best in a crate that server and client share.
const SUM: Event<(i64, i64), i64> = Event::new("sum");

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let url = std::env::args().nth(1).unwrap_or_else(|| "http://127.0.0.1:3000".into());
    let (told, mut answers) = tokio::sync::mpsc::unbounded_channel();

    // Handlers are registered before connecting, so that no event can be missed.
    let client = Client::builder(&url)
        .on_with_ack("question", async |_, question: String| format!("I was asked: {question}"))
        .on("you said", async move |_, answer: String| drop(told.send(answer)))
        .on_disconnect(async |_, reason| println!("gone: {reason}"))
        .connect()
        .await?;
    println!("connected");

    let sum = client.emit_with_ack(SUM, (2, 3)).timeout(Duration::from_secs(5)).await?;
    println!("2 + 3 = {sum}");

    client.emit("ask me", "how are you?")?;
    println!("{}", answers.recv().await.ok_or("the handler is gone")?);

    client.disconnect().await;
    Ok(())
}
