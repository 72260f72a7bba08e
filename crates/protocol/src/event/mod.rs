//! The vocabulary of events, shared by both ends: names with types, handlers, listeners, and the order in which they run.

mod name;
mod error;
mod reply;
mod handler;
mod listeners;
mod runner;

pub use error::{AckError, BoxError, EmitError};
pub use handler::{Ack, Handle, Handler, Message, Outcome, Received};
pub use listeners::{Entry, Listener, Listeners, Snapshot};
pub use name::{Answer, Ask, Emit, Event, Listen, is_reserved};
pub use reply::{Asker, Pending, Reply};
pub use runner::{Finished, Runner};
