//! The smallest chat: what one says, all hear. Open `examples/browser/index.html` beside it, or write a page of your own.
//!
//!     cargo run -p sockeye-examples --bin chat

use sockeye::{BoxError, Server, Socket};

/// The name that a client gave itself.
struct Name(String);

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let io = Server::builder().any_origin().build()?; // the page may come from anywhere: do this in examples only

    io.on("name", async |socket, name: String| -> Result<(), BoxError> {
        socket.broadcast().emit("joined", &name)?;
        socket.extensions().insert(Name(name));
        Ok(())
    });
    io.on("say", say);
    io.on_disconnect(async |socket, reason| {
        println!("{} left: {reason}", socket.id());
        match socket.extensions().get::<Name>() {
            Some(name) => socket.broadcast().emit("left", &name.0),
            None => Ok(()),
        }
    });
    io.on_error(|socket, error| eprintln!("{}: {error}", socket.id()));

    let listener = sockeye_examples::listener().await?;
    Ok(io.serve(listener).await?)
}

/// Everybody but the speaker hears it; the speaker's page shows it already.
async fn say(socket: Socket, text: String) -> Result<(), BoxError> {
    let name = socket.extensions().get::<Name>().ok_or("nobody speaks without a name")?;
    socket.broadcast().emit("said", (&name.0, text))?;
    Ok(())
}
