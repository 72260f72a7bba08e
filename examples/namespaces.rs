//! Namespaces: parts of one server on one connection, each with its own sockets, rooms, handlers and admission.
//!
//!     cargo run -p sockeye-examples --bin namespaces

use sockeye::{BoxError, Server};

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let io = Server::new();
    io.on_connect(async |socket| socket.emit("welcome", "the main namespace"));

    // One with a name. `of` makes it; the handle can be kept, or asked for again.
    let news = io.of("/news");
    news.on_connect(async |socket| socket.emit("welcome", "the news"));
    let readers = news.clone();
    io.on("publish", async move |_, headline: String| readers.emit("headline", headline));

    // Many with one pattern. Each comes into being when the first client asks for it and is freed when the last has left.
    let shops = io.of_pattern("/shop-{id}")?;
    shops.on_connect(async |socket| {
        println!("somebody entered {}", socket.namespace());
        socket.emit("welcome", socket.namespace())
    });
    shops.on("price", async |socket, (item, price): (String, u32)| {
        socket.broadcast().emit("price", (item, price)) // in this shop only
    });
    io.on("sale", async move |_, percent: u8| shops.emit("sale", percent)); // in all of them

    // Many by decision: the path and what is known of the client say whether there is such a namespace.
    let users = io.of_with(async |path, peer| {
        let wanted = path.strip_prefix("/user/").unwrap_or_default();
        !wanted.is_empty() && peer.query("name").is_some_and(|name| name == wanted)
    });
    users.on_connect(async |socket| socket.emit("welcome", socket.namespace()));

    let listener = sockeye_examples::listener().await?;
    Ok(io.serve(listener).await?)
}
