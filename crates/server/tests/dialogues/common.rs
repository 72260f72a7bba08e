//! What several dialogues need.

use std::sync::{Arc, Mutex};

pub(crate) use std::time::Duration;

pub(crate) use sockeye::{Server, Socket};
pub(crate) use sockeye_testing::{Frame, Net, Polling, WebSocket, settle};

pub(crate) const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) const fn millis(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// What handlers have seen, in order.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    pub(crate) fn add(&self, entry: impl ToString) {
        self.0.lock().unwrap().push(entry.to_string());
    }

    /// All entries since the last call.
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

/// A server that answers every `echo` with its argument, and a network around it.
pub(crate) fn echo() -> (Server, Net) {
    let io = Server::new();
    io.on("echo", async |socket: Socket, text: String| socket.emit("echo", text));
    let net = Net::new(&io);
    (io, net)
}

/// A server and a network around it.
pub(crate) fn plain() -> (Server, Net) {
    let io = Server::new();
    let net = Net::new(&io);
    (io, net)
}
