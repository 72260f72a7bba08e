//! Connection state recovery: a client whose connection broke gets its id, rooms and data back, and what it missed.
//!
//!     cargo run -p sockeye-examples --bin recovery

use std::time::Duration;

use sockeye::{BoxError, Recovery, Server};

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    // Away for a minute at most; 8 MiB of events are kept for those who are, in each namespace.
    let recovery = Recovery::default().window(Duration::from_mins(1)).max_bytes(8 * 1024 * 1024);
    let io = Server::builder().recovery(recovery).build()?;

    io.on_connect(async |socket| {
        if socket.recovered() {
            println!("{} is back in {:?}", socket.id(), socket.rooms());
            return Ok(()); // rooms and data are there, and what it missed is on its way
        }
        socket.join("news");
        socket.data().set("visits", 1)?;
        socket.emit("welcome", socket.id())
    });
    let all = io.clone();
    io.on("publish", async move |_, headline: String| all.to("news").emit("headline", headline));

    let listener = sockeye_examples::listener().await?;
    Ok(io.serve(listener).await?)
}
