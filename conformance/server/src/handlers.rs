//! The handlers, in the order of `reference-server.mjs`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sockeye::{
    BoxError, DisconnectReason, DynamicNamespace, Listener, Namespace, Raw, Refusal, RoomEvent, Server, Socket, Target,
};

use crate::refused::{Refused, locked};

/// Why each socket left, and the rooms it was in at that moment.
type Left = Arc<Mutex<HashMap<String, Farewell>>>;

#[derive(Clone, Serialize)]
struct Farewell {
    reason: String,
    rooms: Vec<String>,
}

/// Whom an event is for.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct Where {
    by: String,
    to: Vec<String>,
    except: Vec<String>,
    volatile: bool,
    local: bool,
}

/// What `aim` leaves behind for `fire`.
struct Aim {
    target: Where,
    event: String,
}

#[derive(Default)]
struct Numbers(Mutex<Vec<u64>>);

pub(crate) fn register(io: &Server, refused: &Refused) -> Result<(), BoxError> {
    let left = Left::default();
    for path in ["/", "/custom", "/auth"] {
        let namespace = io.of(path);
        arguments(&namespace);
        rooms(&namespace);
        everyone(&namespace);
        farewells(&namespace, &left);
        amounts(&namespace);
        listeners(&namespace);
    }
    let seen = Arc::clone(refused);
    io.on_with_ack("refused", async move |_, ()| locked(&seen).clone());
    watch_rooms(&io.of("/custom"));
    io.of("/custom").filter(async |_, message| if message.event() == "forbidden" { Err("forbidden") } else { Ok(()) });
    io.of("/auth").authorize(async |_, auth: Value| match auth.get("token") {
        Some(token) if token == "secret" => Ok(()),
        token => Err(Refusal::new("not authorized").with_data(json!({ "reason": "bad token", "got": token }))),
    });
    on_demand(&io.of_pattern("/room-{name}")?);
    on_demand(&io.of_with(async |path, peer| {
        path.starts_with("/team-") && peer.auth::<Value>().is_ok_and(|auth| auth["token"] == "secret")
    }));
    Ok(())
}

/// Namespaces on demand.
fn on_demand(rooms: &DynamicNamespace) {
    rooms.on("echo", async |socket, args: Raw| socket.emit("echo", args));
    rooms.on_with_ack("who", async |socket, ()| who(&socket));
    rooms.on("tell", async |socket, args: Raw| {
        socket.broadcast().emit("told", args.clone())?;
        socket.emit("told", args)
    });
}

fn arguments(namespace: &Namespace) {
    namespace.on("echo", async |socket, args: Raw| socket.emit("echo", args));
    namespace.on_with_ack("echo-ack", async |_, args: Raw| args);
    namespace.on_with_ack("who", async |socket, ()| who(&socket));
    namespace.on_with_ack("address", async |socket, ()| socket.peer().address().map(|address| address.ip()));
    for (event, limit) in [("ask", 5_000), ("ask-briefly", 50)] {
        let limit = Duration::from_millis(limit);
        namespace.on(event, async move |socket, args: Raw| {
            match socket.emit_with_ack::<_, Raw>("question", args).timeout(limit).await {
                Ok(reply) => socket.emit("answer", reply),
                Err(_) => socket.emit("no answer", ()),
            }
        });
    }
    namespace.on_unhandled(async |socket, message| -> Result<(), BoxError> {
        Ok(socket.emit(message.event(), message.args::<Raw>()?)?)
    });
}

fn rooms(namespace: &Namespace) {
    namespace.on_with_ack("join", async |socket, rooms: Vec<String>| socket.join(rooms));
    namespace.on_with_ack("leave", async |socket, room: String| socket.leave(room));
    namespace.on_with_ack("rooms", async |socket, ()| own_rooms(&socket));
    namespace.on("aim", async |socket, (target, event): (Where, String)| {
        socket.extensions().insert(Aim { target, event });
    });
    let io = namespace.clone();
    namespace.on("fire", async move |socket, args: Raw| -> Result<(), BoxError> {
        let aim = socket.extensions().get::<Aim>().ok_or("aim first")?;
        Ok(aim.target.of(&io, &socket).emit(aim.event.as_str(), args)?)
    });
    let io = namespace.clone();
    namespace.on_message("send-ack", async move |socket, message| -> Result<(), BoxError> {
        let ((target, limit, event, arg), ack) = message.split::<(Where, u64, String, Value)>()?;
        let asked = target.of(&io, &socket).timeout(Duration::from_millis(limit));
        let replies = asked.emit_with_ack::<_, String>(event.as_str(), arg).collect().await;
        let is_incomplete = replies.iter().any(|(_, reply)| reply.is_err());
        let mut answers: Vec<String> = replies.into_iter().filter_map(|(_, reply)| reply.ok()).collect();
        answers.sort();
        Ok(ack.send((is_incomplete, answers))?)
    });
}

fn everyone(namespace: &Namespace) {
    let io = namespace.clone();
    namespace.on_message("fetch", async move |socket, message| -> Result<(), BoxError> {
        let (target, ack) = message.split::<Where>()?;
        let mut found = target.of(&io, &socket).fetch_sockets().await?;
        found.sort_by(|a, b| a.id().cmp(b.id()));
        let entry = |socket: &sockeye::RemoteSocket| {
            let rooms = sorted(socket.rooms.iter().filter(|room| *room != socket.id()));
            json!({ "id": socket.id(), "rooms": rooms, "name": socket.data["name"] })
        };
        Ok(ack.send(found.iter().map(entry).collect::<Vec<_>>())?)
    });
    let io = namespace.clone();
    namespace.on_with_ack("all-join", async move |socket, (target, rooms): (Where, Vec<String>)| {
        target.of(&io, &socket).join(rooms).is_ok()
    });
    let io = namespace.clone();
    namespace.on_with_ack("all-leave", async move |socket, (target, rooms): (Where, Vec<String>)| {
        target.of(&io, &socket).leave(rooms).is_ok()
    });
    let io = namespace.clone();
    namespace.on("all-disconnect", async move |socket, (target, close): (Where, bool)| {
        let target = target.of(&io, &socket);
        if close { target.disconnect_and_close() } else { target.disconnect() }
    });
    namespace.on_with_ack("name", async |socket, name: Value| socket.data().set("name", name).is_ok());
}

/// Names of what was sent to a socket.
#[derive(Default)]
struct Watched(Arc<Mutex<Vec<String>>>);

/// The first of the listeners of a socket's own.
struct First(Listener);

fn listeners(namespace: &Namespace) {
    namespace.on_with_ack("watch", async |socket, ()| {
        let watched = Watched::default();
        let names = Arc::clone(&watched.0);
        socket.on_any_outgoing(move |name, _| locked(&names).push(name.to_owned()));
        socket.extensions().insert(watched);
    });
    namespace.on_with_ack("watched", async |socket, ()| {
        socket.extensions().get::<Watched>().map(|watched| locked(&watched.0).clone())
    });
    namespace.on_with_ack("listen", async |socket, name: String| {
        let heard = |which: &'static str| async move |socket: Socket, ()| socket.emit("heard", which);
        let first = socket.on(name.as_str(), heard("first"));
        socket.on(name.as_str(), heard("second"));
        socket.on(name.as_str(), heard("once")).once();
        socket.extensions().insert(First(first));
    });
    namespace.on_with_ack("unlisten", async |socket, ()| {
        if let Some(first) = socket.extensions().get::<First>() {
            first.0.clone().remove();
        }
    });
}

fn watch_rooms(namespace: &Namespace) {
    let seen = Arc::<Mutex<Vec<Value>>>::default();
    let told = Arc::clone(&seen);
    namespace.on_room(move |event| {
        locked(&told).push(match event {
            RoomEvent::Created { room } => json!(["create", room]),
            RoomEvent::Deleted { room } => json!(["delete", room]),
            RoomEvent::Joined { room, socket } => json!(["join", room, socket]),
            RoomEvent::Left { room, socket } => json!(["leave", room, socket]),
            _ => json!(null),
        });
    });
    namespace.on_with_ack("room-events", async move |_, ()| std::mem::take(&mut *locked(&seen)));
}

fn farewells(namespace: &Namespace, left: &Left) {
    namespace.on("disconnect-me", async |socket, close: bool| disconnect(&socket, close));
    namespace.on("emit-and-disconnect-me", async |socket, close: bool| {
        let emitted = socket.emit("last words", 1);
        disconnect(&socket, close);
        emitted
    });
    let known = Arc::clone(left);
    namespace.on_with_ack("left", async move |_, id: String| locked(&known).get(&id).cloned());
    let known = Arc::clone(left);
    namespace.on_disconnect(async move |socket: Socket, reason: DisconnectReason| {
        let farewell = Farewell { reason: reason.to_string(), rooms: own_rooms(&socket) };
        locked(&known).insert(socket.id().to_owned(), farewell);
    });
}

fn amounts(namespace: &Namespace) {
    namespace.on("count", async |socket, n: u64| (0..n).try_for_each(|i| socket.emit("counted", i)));
    namespace.on("count-slowly", async |socket, n: u64| -> Result<(), BoxError> {
        for i in 0..n {
            socket.emit("counted", i)?;
            if i % 3 == 0 {
                tokio::task::yield_now().await;
            }
        }
        Ok(())
    });
    namespace.on("count-volatile", async |socket, n: u64| {
        (0..n).try_for_each(|i| socket.volatile().emit("counted", i))?;
        socket.emit("counted all", ())
    });
    namespace.on_connect(async |socket| drop(socket.extensions().insert(Numbers::default())));
    for event in ["number-a", "number-b", "number-c"] {
        namespace.on(event, async |socket, n: u64| {
            if let Some(numbers) = socket.extensions().get::<Numbers>() {
                locked(&numbers.0).push(n);
            }
        });
    }
    namespace.on("state", async |socket, text: String| socket.latest("state").emit("state", text));
    namespace.on_with_ack("recovered", async |socket, ()| {
        let name = socket.data().get::<Value>("name");
        json!({ "recovered": socket.recovered(), "rooms": own_rooms(&socket), "name": name })
    });
    namespace.on_with_ack("numbers", async |socket, ()| {
        socket.extensions().get::<Numbers>().map(|numbers| locked(&numbers.0).clone())
    });
    namespace.on_with_ack("size", async |_, text: String| text.encode_utf16().count());
    namespace.on_with_ack("size-binary", async |_, data: Bytes| data.len());
    namespace.on("make", async |socket, length: usize| socket.emit("made", "x".repeat(length)));
    namespace.on("make-binary", async |socket, length: usize| socket.emit("made", Bytes::from(vec![7; length])));
}

fn who(socket: &Socket) -> Value {
    let peer = socket.peer();
    let auth = peer.auth::<Value>().unwrap_or_default();
    json!({ "id": socket.id(), "namespace": socket.namespace(), "auth": auth, "query": peer.query("tag") })
}

impl Where {
    fn of(&self, namespace: &Namespace, socket: &Socket) -> Target {
        let everyone = if self.by == "socket" { socket.broadcast() } else { namespace.all() };
        let chosen = everyone.to(self.to.as_slice()).except(self.except.as_slice());
        let chosen = if self.volatile { chosen.volatile() } else { chosen };
        if self.local { chosen.local() } else { chosen }
    }
}

fn disconnect(socket: &Socket, close: bool) {
    if close {
        socket.disconnect_and_close();
    } else {
        socket.disconnect();
    }
}

fn own_rooms(socket: &Socket) -> Vec<String> {
    sorted(socket.rooms().iter().filter(|room| *room != socket.id()))
}

fn sorted(rooms: impl Iterator<Item = impl AsRef<str>>) -> Vec<String> {
    let mut rooms: Vec<String> = rooms.map(|room| room.as_ref().to_owned()).collect();
    rooms.sort();
    rooms
}
