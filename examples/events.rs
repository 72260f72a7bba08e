//! The events of the example `typed_events`: one vocabulary for the server, for clients in Rust and, as TypeScript, for
//! clients in the browser. In a project of your own this is a crate.

use serde::{Deserialize, Serialize};
use sockeye::typescript::{Conflict, EventMap, TS, module};

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS)]
pub struct Order {
    /// Of what.
    pub item: String,
    /// How many.
    pub count: u32,
}

/// The answer to an [`Order`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS)]
pub struct Receipt {
    /// Of the order.
    pub number: u64,
    /// What it costs.
    pub total: u32,
}

/// What clients send.
pub mod to_server {
    use sockeye::Event;
    use sockeye::typescript::Binary;

    use super::{Order, Receipt};

    /// Asks for something, and is answered.
    pub const ORDER: Event<Order, Receipt> = Event::new("order");
    /// Where the sender is now.
    pub const MOVE: Event<(f32, f32)> = Event::new("move");
    /// A picture and its name; the answer is its size.
    pub const PICTURE: Event<(String, Binary), usize> = Event::new("picture");
}

/// What the server sends.
pub mod to_client {
    use sockeye::Event;
    use sockeye::typescript::Binary;

    use super::Order;

    /// Somebody else is there now.
    pub const MOVED: Event<(f32, f32)> = Event::new("moved");
    /// Somebody else ordered this.
    pub const ORDERED: Event<Order> = Event::new("ordered");
    /// Is this order meant?
    pub const CONFIRM: Event<u64, bool> = Event::new("confirm");
    /// Somebody else sent a picture.
    pub const PICTURE: Event<(String, Binary)> = Event::new("new picture");
}

/// All of it as a TypeScript file.
///
/// # Errors
/// Two types have the same name.
pub fn typescript() -> Result<String, Conflict> {
    let to_client = EventMap::new("ServerToClientEvents")
        .event(to_client::MOVED)
        .event(to_client::ORDERED)
        .event(to_client::CONFIRM)
        .event(to_client::PICTURE);
    let to_server =
        EventMap::new("ClientToServerEvents").event(to_server::ORDER).event(to_server::MOVE).event(to_server::PICTURE);
    module([to_client, to_server])
}
