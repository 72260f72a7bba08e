//! The demo: a chat in the namespace `/`, and `/admin` for those who know the password.
//!
//! What Socket.IO offers is used once each: admission with a refusal, typed events, acknowledgements with a result,
//! rooms, binary attachments, volatile events, a second namespace.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;
use serde_json::json;
use sockeye::{BoxError, DisconnectReason, Peer, Refusal, Server, Socket};
use tracing::{debug, info};

use crate::events::{
    AdminAuth, Answer, Draft, Identity, Limits, Person, Picture, Place, Problem, Receipt, Stats, Typing, TypingBy,
    Welcome, admin, from_client, to_client,
};
use crate::history::History;
use crate::people::{MAX_ROOMS, People, checked_name};
use crate::process;

/// The room everybody is in from the start.
const LOBBY: &str = "lobby";
const LIMITS: Limits = Limits { text: 2_000, picture: 256 * 1024, rooms: MAX_ROOMS };
/// Formats that browsers draw and that cannot carry scripts. The page has the same list.
const PICTURE_TYPES: [&str; 5] = ["image/avif", "image/gif", "image/jpeg", "image/png", "image/webp"];
const STATS_EVERY: Duration = Duration::from_secs(1);

/// Adds the demo to a server. Must be called within a Tokio runtime.
pub(crate) fn install(io: &Server, admin_password: String) {
    let chat = Arc::new(Chat::new());
    install_chat(io, &chat);
    install_admin(io, &chat, admin_password);
    tokio::spawn(publish_stats(io.clone(), chat));
}

fn install_chat(io: &Server, chat: &Arc<Chat>) {
    let here = Arc::clone(chat);
    io.authorize(async move |peer, identity| here.admit(&peer, identity));
    let here = Arc::clone(chat);
    io.on_connect(async move |socket| here.arrive(&socket));
    let here = Arc::clone(chat);
    io.on_disconnect(async move |socket, reason| here.depart(&socket, reason));
    let here = Arc::clone(chat);
    io.on_with_ack(from_client::JOIN, async move |socket, room| here.join(&socket, &room));
    let here = Arc::clone(chat);
    io.on_with_ack(from_client::LEAVE, async move |socket, room| here.leave(&socket, &room));
    let here = Arc::clone(chat);
    io.on_with_ack(from_client::MESSAGE, async move |socket, draft| here.post(&socket, draft));
    let here = Arc::clone(chat);
    io.on(from_client::TYPING, async move |socket, typing| here.typing(&socket, typing));
    io.on_with_ack(from_client::ECHO, async |_, number| number);
    // The error itself may quote what a client sent, and that is nobody's business.
    io.on_error(|_, error| debug!(event = error.event(), "a handler failed"));
}

fn install_admin(io: &Server, chat: &Arc<Chat>, password: String) {
    let admins = io.of("/admin");
    admins.authorize(async move |_, auth: AdminAuth| {
        if is_same(&auth.password, &password) {
            return Ok(());
        }
        info!("refused a wrong password for /admin");
        Err(refusal("wrong password", "wrong_password", "It was set, or printed, when the server started."))
    });
    admins.on_error(|_, error| debug!(event = error.event(), "a handler of /admin failed"));
    admins.on_connect(async |_| info!("an administrator came"));
    admins.on_disconnect(async |_, reason| info!(%reason, "an administrator left"));
    let everybody = io.of("/");
    admins.on_with_ack(admin::ANNOUNCE, async move |_, text| -> Answer<()> {
        checked_text(&text)?;
        Ok(everybody.emit(to_client::ANNOUNCEMENT, text)?)
    });
    let (everybody, here) = (io.of("/"), Arc::clone(chat));
    admins.on_with_ack(admin::KICK, async move |_, nickname: String| -> Answer<()> {
        let id = here.people.lock().socket_id(&nickname)?;
        let Some(socket) = everybody.get(&id) else { return Err(Problem::Offline(nickname)) };
        // What was emitted before a disconnect is sent before it.
        socket.emit(to_client::GOODBYE, "kicked")?;
        socket.disconnect();
        Ok(())
    });
}

/// Tells administrators how the server does. Volatile: who cannot take the figures now wants the next ones.
async fn publish_stats(io: Server, chat: Arc<Chat>) {
    let admins = io.of("/admin");
    let mut ticks = tokio::time::interval(STATS_EVERY);
    loop {
        ticks.tick().await;
        if admins.is_empty() {
            continue;
        }
        if let Err(error) = admins.volatile().emit(admin::STATS, chat.stats(&io)) {
            tracing::error!(%error, "the figures cannot be sent");
        }
    }
}

/// The state of the chat. No lock is held while events are sent.
struct Chat {
    people: Mutex<People>,
    history: Mutex<History>,
    messages: AtomicU64,
    pictures: AtomicU64,
    started: Instant,
}

impl Chat {
    fn new() -> Self {
        Self {
            people: Mutex::default(),
            history: Mutex::default(),
            messages: AtomicU64::new(0),
            pictures: AtomicU64::new(0),
            started: Instant::now(),
        }
    }

    /// Decides who may enter, and notes who it is.
    fn admit(&self, peer: &Peer, identity: Identity) -> Result<(), Refusal> {
        let names_are_good =
            checked_name(&identity.nickname).is_ok() && identity.rooms.iter().all(|r| checked_name(r).is_ok());
        if !names_are_good || identity.key.len() > MAX_KEY || identity.rooms.len() > MAX_ROOMS {
            return Err(refusal("invalid nickname", "nickname_invalid", &Problem::BadName.to_string()));
        }
        if self.people.lock().is_taken(&identity.nickname, &identity.key) {
            return Err(refusal("nickname taken", "nickname_taken", "Somebody with this nickname is online."));
        }
        peer.extensions().insert(identity);
        Ok(())
    }

    /// Everything a newcomer needs, before their first event is handled.
    fn arrive(&self, socket: &Socket) -> Result<(), BoxError> {
        let identity = identity(socket)?;
        let mut rooms = vec![LOBBY.to_owned()];
        rooms.extend(identity.rooms.iter().filter(|room| *room != LOBBY).take(MAX_ROOMS - 1).cloned());
        let person = Person { nickname: identity.nickname.clone(), rooms };
        let (old_socket, people) = {
            let mut people = self.people.lock();
            let old = people.enter(person.clone(), identity.key.clone(), socket.id().to_owned());
            (old, people.to_vec())
        };
        if let Some(id) = old_socket {
            let old = socket.to(id);
            old.emit(to_client::GOODBYE, "replaced")?;
            old.disconnect()?;
        }
        let address = socket.peer().address().map(tracing::field::display);
        info!(nickname = person.nickname, online = people.len(), address, "connected");
        socket.join(Place::Person(person.nickname.clone()).key());
        socket.emit(to_client::WELCOME, Welcome { people, limits: LIMITS, version: env!("CARGO_PKG_VERSION") })?;
        socket.broadcast().emit(to_client::PERSON, &person)?;
        for room in person.rooms {
            self.show_room(socket, room)?;
        }
        Ok(())
    }

    fn depart(&self, socket: &Socket, reason: DisconnectReason) -> Result<(), BoxError> {
        let nickname = &identity(socket)?.nickname;
        let mut people = self.people.lock();
        let Some(person) = people.leave(nickname, socket.id()) else { return Ok(()) };
        let online = people.len();
        drop(people);
        info!(nickname = person.nickname, online, %reason, "disconnected");
        socket.broadcast().emit(to_client::LEFT, person.nickname)?;
        Ok(())
    }

    fn join(&self, socket: &Socket, room: &str) -> Answer<()> {
        let room = checked_name(room)?;
        let person = self.people.lock().join(&identity(socket)?.nickname, room)?;
        tell_everybody(socket, &person)?;
        self.show_room(socket, room.to_owned())
    }

    fn leave(&self, socket: &Socket, room: &str) -> Answer<()> {
        let person = self.people.lock().part(&identity(socket)?.nickname, room)?;
        socket.leave(Place::Room(room.to_owned()).key());
        tell_everybody(socket, &person)
    }

    /// Enters a room and shows what was said there. Who hears of a message twice knows it by its id.
    fn show_room(&self, socket: &Socket, room: String) -> Answer<()> {
        let past: Vec<_> = self.history.lock().of(&room).cloned().collect();
        socket.join(Place::Room(room).key());
        for message in &past {
            socket.emit(to_client::MESSAGE, message)?;
        }
        Ok(())
    }

    fn post(&self, socket: &Socket, draft: Draft) -> Answer<Receipt> {
        let from = identity(socket)?.nickname.clone();
        checked_text(&draft.text)?;
        draft.picture.as_ref().map_or(Ok(()), check_picture)?;
        self.check_reach(socket, &draft.to)?;
        self.messages.fetch_add(1, Ordering::Relaxed);
        self.pictures.fetch_add(u64::from(draft.picture.is_some()), Ordering::Relaxed);
        #[expect(clippy::disallowed_methods, reason = "people are told when a message was written")]
        let now = SystemTime::now();
        let message = self.history.lock().record(from, draft, now);
        socket.to(message.to.key()).emit(to_client::MESSAGE, &message)?;
        Ok(Receipt { id: message.id, at: message.at })
    }

    /// Passes on that somebody types. Volatile: late news of this kind are worse than none.
    fn typing(&self, socket: &Socket, Typing { to, typing }: Typing) -> Answer<()> {
        self.check_reach(socket, &to)?;
        let from = identity(socket)?.nickname.clone();
        Ok(socket.to(to.key()).volatile().emit(to_client::TYPING, TypingBy { from, to, typing })?)
    }

    /// Whether a socket may write there: to rooms it is in, and to people who are online.
    fn check_reach(&self, socket: &Socket, to: &Place) -> Answer<()> {
        match to {
            Place::Person(nickname) => self.people.lock().socket_id(nickname).map(|_| ()),
            Place::Room(_) if socket.rooms().contains(&to.key().into()) => Ok(()),
            Place::Room(_) => Err(Problem::NotThere),
        }
    }

    fn stats(&self, io: &Server) -> Stats {
        let metrics = io.metrics();
        let people = self.people.lock();
        Stats {
            uptime_seconds: self.started.elapsed().as_secs(),
            sessions: metrics.sessions,
            sockets: metrics.sockets,
            upgrades: metrics.upgrades,
            people: people.len(),
            rooms: people.rooms(),
            messages: self.messages.load(Ordering::Relaxed),
            pictures: self.pictures.load(Ordering::Relaxed),
            received: metrics.messages_received,
            sent: metrics.messages_sent,
            memory_bytes: process::memory_bytes(),
        }
    }
}

/// A refusal as the page understands it: the message is for people, `code` for programs.
fn refusal(message: &str, code: &str, hint: &str) -> Refusal {
    Refusal::new(message).with_data(json!({ "code": code, "hint": hint }))
}

fn tell_everybody(socket: &Socket, person: &Person) -> Answer<()> {
    socket.emit(to_client::PERSON, person)?;
    Ok(socket.broadcast().emit(to_client::PERSON, person)?)
}

/// Who a socket is: `admit` has noted it.
fn identity(socket: &Socket) -> Answer<Arc<Identity>> {
    socket.extensions().get::<Identity>().ok_or(Problem::NotThere)
}

fn checked_text(text: &str) -> Answer<()> {
    if text.chars().count() <= LIMITS.text { Ok(()) } else { Err(Problem::LongText) }
}

fn check_picture(picture: &Picture) -> Answer<()> {
    let is_shown = PICTURE_TYPES.contains(&picture.r#type.as_str()) && picture.name.len() <= MAX_FILE_NAME;
    if is_shown && picture.bytes.len() <= LIMITS.picture { Ok(()) } else { Err(Problem::BadPicture) }
}

/// Compares in a time that tells nothing about where the difference is.
fn is_same(given: &str, wanted: &str) -> bool {
    let difference = given.bytes().zip(wanted.bytes()).fold(0, |sum, (a, b)| sum | (a ^ b));
    given.len() == wanted.len() && difference == 0
}

const MAX_KEY: usize = 64;
const MAX_FILE_NAME: usize = 255;

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(r#type: &str, bytes: usize) -> Picture {
        Picture { name: "a".into(), r#type: r#type.into(), bytes: vec![0; bytes].into() }
    }

    #[test]
    fn only_small_pictures_of_harmless_formats_pass() {
        assert!(check_picture(&picture("image/png", LIMITS.picture)).is_ok());
        assert!(check_picture(&picture("image/png", LIMITS.picture + 1)).is_err());
        for r#type in ["image/svg+xml", "text/html", ""] {
            assert!(check_picture(&picture(r#type, 1)).is_err(), "{}", r#type);
        }
    }

    #[test]
    fn texts_are_measured_in_characters() {
        assert!(checked_text(&"é".repeat(LIMITS.text)).is_ok());
        assert!(checked_text(&"é".repeat(LIMITS.text + 1)).is_err());
    }

    #[test]
    fn passwords_match_as_a_whole() {
        assert!(is_same("upstream", "upstream"));
        for wrong in ["", "upstrea", "upstream ", "Upstream", "downstream"] {
            assert!(!is_same(wrong, "upstream"), "{wrong}");
        }
    }

    #[test]
    fn a_room_and_a_person_of_one_name_are_two_places() {
        assert_ne!(Place::Room("Ada".into()).key(), Place::Person("Ada".into()).key());
    }

    #[test]
    fn answers_are_what_the_page_reads() {
        let text = |answer: Answer<()>| serde_json::to_string(&answer).unwrap();
        assert_eq!(text(Ok(())), r#"{"Ok":null}"#);
        assert_eq!(text(Err(Problem::Offline("Bob".into()))), r#"{"Err":"Bob is offline"}"#);
    }
}
