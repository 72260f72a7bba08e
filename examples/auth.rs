//! Who may come in, and what they may do then.
//!
//!     cargo run -p sockeye-examples --bin auth

use serde::Deserialize;
use serde_json::json;
use sockeye::{BoxError, Peer, Refusal, Server};

/// What the client sends: `io({ auth: { token: "…" } })`.
#[derive(Deserialize)]
struct Credentials {
    token: String,
}

/// Who it is; kept with the socket once it is known.
struct User {
    name: &'static str,
    is_admin: bool,
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let io = Server::new();

    // Every CONNECT passes here before there is a socket. What does not fit `Credentials` is refused by itself.
    io.authorize(check);
    io.on_connect(async |socket| match socket.extensions().get::<User>() {
        Some(user) => socket.emit("hello", user.name),
        None => Ok(()), // cannot be: `check` has run
    });

    // A namespace has checks of its own; those of `/` do not apply.
    let admin = io.of("/admin");
    admin.authorize(check);
    admin.authorize(async |peer, _: Credentials| match peer.extensions().get::<User>() {
        Some(user) if user.is_admin => Ok(()),
        _ => Err(Refusal::new("forbidden").with_data(json!({ "needs": "admin" }))),
    });
    let everybody = io.clone();
    admin.on("announce", async move |_, text: String| everybody.emit("announcement", text));

    // A check for every event: an error drops the event and goes to `on_error`; the client is told nothing.
    io.filter(async |socket, message| match message.event() {
        "ping" => Ok(()),
        other if socket.extensions().get::<User>().is_some_and(|user| user.is_admin) => {
            println!("an admin sent {other}");
            Ok(())
        }
        other => Err(format!("{other} is for admins")),
    });
    io.on("ping", async |socket, ()| socket.emit("pong", ()));
    io.on("shout", async |socket, text: String| socket.broadcast().emit("shouted", text));
    io.on_error(|_, error| eprintln!("{error}"));

    let listener = sockeye_examples::listener().await?;
    Ok(io.serve(listener).await?)
}

/// A real one would ask a database, or verify a signed token. It may take its time: nobody else waits for it.
async fn check(peer: Peer, credentials: Credentials) -> Result<(), Refusal> {
    let user = match credentials.token.as_str() {
        "token of alice" => User { name: "Alice", is_admin: true },
        "token of bob" => User { name: "Bob", is_admin: false },
        _ => return Err(Refusal::new("not authorized").with_data(json!({ "reason": "unknown token" }))),
    };
    peer.extensions().insert(user);
    Ok(())
}
