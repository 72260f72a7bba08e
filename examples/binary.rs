//! Bytes anywhere in an argument travel as they are, beside the text of the event, without base64 on WebSocket.
//!
//!     cargo run -p sockeye-examples --bin binary

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sockeye::{BoxError, Raw, Server};

/// `Bytes` is an attachment, however deep it stands. A `Vec<u8>` would be a list of numbers.
#[derive(Serialize, Deserialize)]
struct Picture {
    name: String,
    data: Bytes,
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    // Two megabytes for one message: each attachment is one. The default is one million bytes.
    let io = Server::builder().max_payload(2_000_000).build()?;

    io.on_with_ack("size", async |_, data: Bytes| data.len());
    io.on("picture", async |socket, picture: Picture| {
        println!("{} has {} bytes", picture.name, picture.data.len());
        socket.broadcast().emit("picture", &picture)
    });
    io.on_with_ack("reverse", async |_, data: Bytes| -> Bytes { data.iter().rev().copied().collect() });
    // Whatever it is, attachments included, without looking inside.
    io.on("forward", async |socket, anything: Raw| socket.broadcast().emit("forwarded", anything));

    let listener = sockeye_examples::listener().await?;
    Ok(io.serve(listener).await?)
}
