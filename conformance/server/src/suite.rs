//! What the test suite of the Socket.IO protocol wants of a server, in `/` and `/custom`.

use serde_json::Value;
use sockeye::{BoxError, Raw, Server};

pub(crate) fn register(io: &Server) {
    for path in ["/", "/custom"] {
        let namespace = io.of(path);
        namespace.on_connect(async |socket| -> Result<(), BoxError> {
            let auth: Value = socket.peer().auth()?;
            Ok(socket.emit("auth", auth)?)
        });
        namespace.on("message", async |socket, args: Raw| socket.emit("message-back", args));
        namespace.on_with_ack("message-with-ack", async |_, args: Raw| args);
    }
}
