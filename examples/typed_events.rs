//! Events as constants: a name, the type of its arguments, the type of its answer. The compiler checks both ends, be they
//! written in Rust or in TypeScript.
//!
//!     cargo run -p sockeye-examples --bin typed_events
//!     cargo run -p sockeye-examples --bin typed_events types > events.ts

use sockeye::{BoxError, Server, Socket};
use sockeye_examples::events::{self, Order, Receipt, to_client, to_server};

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    if std::env::args().nth(1).as_deref() == Some("types") {
        print!("{}", events::typescript()?);
        return Ok(());
    }
    let io = Server::new();

    // No annotations: `order` is an `Order`, and nothing but a `Receipt` may be returned.
    io.on_with_ack(to_server::ORDER, async |socket, order| take(&socket, order).await);
    io.on(to_server::MOVE, async |socket, place| socket.broadcast().volatile().emit(to_client::MOVED, place));
    io.on_with_ack(to_server::PICTURE, async |socket, (name, picture)| {
        let size = picture.len();
        drop(socket.broadcast().emit(to_client::PICTURE, (name, picture)));
        size
    });

    // `socket.emit(to_client::MOVED, "somewhere")` does not compile:
    //     event `sockeye::Event<(f32, f32)>` does not carry arguments of type `&str`

    let listener = sockeye_examples::listener().await?;
    Ok(io.serve(listener).await?)
}

async fn take(socket: &Socket, order: Order) -> Receipt {
    let number = 1;
    // The type of the answer is known: `confirmed` is a bool.
    let confirmed = socket.emit_with_ack(to_client::CONFIRM, number).await.unwrap_or(false);
    let total = if confirmed { order.count * 3 } else { 0 };
    // It can fail only if an `Order` could not be written as JSON.
    if let Err(error) = socket.broadcast().emit(to_client::ORDERED, &order) {
        eprintln!("{error}");
    }
    Receipt { number, total }
}
