//! Rooms: who is in one gets what is sent to it.
//!
//!     cargo run -p sockeye-examples --bin rooms

use sockeye::{BoxError, RoomEvent, Server, Socket};

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let io = Server::new();

    io.on_with_ack("join", async |socket, room: String| {
        socket.join(&room);
        socket.rooms() // the client's answer: its own id comes first
    });
    io.on_with_ack("leave", async |socket, room: String| socket.leave(room));
    io.on("say", async |socket, (room, text): (String, String)| socket.to(room).emit("said", text));
    io.on("say to all but", async |socket, (room, text): (String, String)| {
        socket.broadcast().except(room).emit("said", text)
    });
    // The id of a socket is a room with that one member, so private messages need nothing more.
    io.on("whisper", async |socket, (id, text): (String, String)| socket.to(id).emit("whispered", (socket.id(), text)));

    let all = io.clone();
    io.on_with_ack("who", async move |_, room: String| members(&all, &room).await);
    let all = io.clone();
    io.on("close room", async move |_, room: String| -> Result<(), BoxError> {
        all.to(&room).emit("closed", &room)?; // one event for every member, encoded once
        all.to(&room).leave(&room)?;
        Ok(())
    });
    // Leaving rooms when a client goes away happens by itself; in `on_disconnect` they can still be read.
    io.on_disconnect(async |socket: Socket, _| {
        let rooms = socket.rooms().split_off(1);
        if rooms.is_empty() { Ok(()) } else { socket.to(rooms).emit("gone", socket.id()) }
    });
    io.on_room(|event| {
        if let RoomEvent::Created { room } | RoomEvent::Deleted { room } = event {
            println!("{event:?}: {room}");
        }
    });

    let listener = sockeye_examples::listener().await?;
    Ok(io.serve(listener).await?)
}

/// The ids of the members, here and on other servers.
async fn members(io: &Server, room: &str) -> Vec<String> {
    let sockets = io.to(room).fetch_sockets().await.unwrap_or_default();
    sockets.iter().map(|socket| socket.id().to_owned()).collect()
}
