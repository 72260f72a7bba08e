//! Events as constants: a name, the type of its arguments, the type of its answer. The compiler checks both ends.
//!
//!     cargo run -p sockeye-examples --bin typed_events

use serde::{Deserialize, Serialize};
use sockeye::{BoxError, Server, Socket};

#[derive(Serialize, Deserialize)]
struct Order {
    item: String,
    count: u32,
}

#[derive(Serialize, Deserialize)]
struct Receipt {
    number: u64,
    total: u32,
}

/// Put these into a crate that server and clients share.
mod events {
    use sockeye::Event;

    use super::{Order, Receipt};

    pub(crate) mod to_server {
        use super::{Event, Order, Receipt};
        pub(crate) const ORDER: Event<Order, Receipt> = Event::new("order");
        pub(crate) const MOVE: Event<(f32, f32)> = Event::new("move");
    }
    pub(crate) mod to_client {
        use super::{Event, Order};
        pub(crate) const MOVED: Event<(f32, f32)> = Event::new("moved");
        pub(crate) const ORDERED: Event<Order> = Event::new("ordered");
        pub(crate) const CONFIRM: Event<u64, bool> = Event::new("confirm");
    }
}

use events::{to_client, to_server};

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let io = Server::new();

    // No annotations: `order` is an `Order`, and nothing but a `Receipt` may be returned.
    io.on_with_ack(to_server::ORDER, async |socket, order| take(&socket, order).await);
    io.on(to_server::MOVE, async |socket, place| socket.broadcast().volatile().emit(to_client::MOVED, place));

    // `socket.emit(to_client::MOVED, "somewhere")` does not compile:
    //     event `Event<(f32, f32)>` does not carry arguments of type `&str`

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
