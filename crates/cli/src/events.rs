//! The events of the demo: what the page and the server say to each other.
//!
//! `web/src/events.ts` is the other half; a name or a field changes in both.

use bytes::Bytes;
use serde::{Deserialize, Serialize, Serializer};
use sockeye::{EmitError, Event};

/// Events from a client, in `/`.
pub(crate) mod from_client {
    use super::{Answer, Draft, Event, Receipt, Typing};

    pub(crate) const ECHO: Event<u64, u64> = Event::new("echo");
    pub(crate) const JOIN: Event<String, Answer<()>> = Event::new("join");
    pub(crate) const LEAVE: Event<String, Answer<()>> = Event::new("leave");
    pub(crate) const MESSAGE: Event<Draft, Answer<Receipt>> = Event::new("message");
    pub(crate) const TYPING: Event<Typing> = Event::new("typing");
}

/// Events to clients, in `/`.
pub(crate) mod to_client {
    use super::{Event, Message, Person, TypingBy, Welcome};

    pub(crate) const ANNOUNCEMENT: Event<String> = Event::new("announcement");
    pub(crate) const GOODBYE: Event<&str> = Event::new("goodbye");
    pub(crate) const LEFT: Event<String> = Event::new("left");
    pub(crate) const MESSAGE: Event<Message> = Event::new("message");
    pub(crate) const PERSON: Event<Person> = Event::new("person");
    pub(crate) const TYPING: Event<TypingBy> = Event::new("typing");
    pub(crate) const WELCOME: Event<Welcome> = Event::new("welcome");
}

/// Events of `/admin`, both ways.
pub(crate) mod admin {
    use super::{Answer, Event, Stats};

    pub(crate) const ANNOUNCE: Event<String, Answer<()>> = Event::new("announce");
    pub(crate) const KICK: Event<String, Answer<()>> = Event::new("kick");
    pub(crate) const STATS: Event<Stats> = Event::new("stats");
}

/// What a client shows to enter `/`. The key proves that a nickname is still theirs after a lost connection.
#[derive(Debug, Deserialize)]
pub(crate) struct Identity {
    pub(crate) nickname: String,
    pub(crate) key: String,
    #[serde(default)]
    pub(crate) rooms: Vec<String>,
}

/// What a client shows to enter `/admin`.
#[derive(Debug, Deserialize)]
pub(crate) struct AdminAuth {
    pub(crate) password: String,
}

/// Where a message goes. In JSON `{"room": "lobby"}` or `{"person": "Ada"}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Place {
    Person(String),
    Room(String),
}

impl Place {
    /// The Socket.IO room that stands for the place. The signs keep people and rooms of the same name apart.
    pub(crate) fn key(&self) -> String {
        match self {
            Self::Person(nickname) => format!("@{nickname}"),
            Self::Room(name) => format!("#{name}"),
        }
    }
}

/// Somebody who is online.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Person {
    pub(crate) nickname: String,
    pub(crate) rooms: Vec<String>,
}

/// The first event after CONNECT.
#[derive(Debug, Serialize)]
pub(crate) struct Welcome {
    pub(crate) people: Vec<Person>,
    pub(crate) limits: Limits,
    pub(crate) version: &'static str,
}

/// What the server accepts: characters, bytes, rooms per person.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Limits {
    pub(crate) text: usize,
    pub(crate) picture: usize,
    pub(crate) rooms: usize,
}

/// A picture. `Bytes` become a binary attachment of the packet, wherever they stand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Picture {
    pub(crate) name: String,
    pub(crate) r#type: String,
    pub(crate) bytes: Bytes,
}

/// A message as a client writes it.
#[derive(Debug, Deserialize)]
pub(crate) struct Draft {
    pub(crate) to: Place,
    pub(crate) text: String,
    pub(crate) picture: Option<Picture>,
}

/// A message as clients receive it. Ids grow, so they also order messages; `at` is in milliseconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Message {
    pub(crate) id: u64,
    pub(crate) at: u64,
    pub(crate) from: String,
    pub(crate) to: Place,
    pub(crate) text: String,
    pub(crate) picture: Option<Picture>,
}

/// The acknowledgement of a message: what the server added to it.
#[derive(Debug, Serialize)]
pub(crate) struct Receipt {
    pub(crate) id: u64,
    pub(crate) at: u64,
}

/// That the sender is typing, or not any more.
#[derive(Debug, Deserialize)]
pub(crate) struct Typing {
    pub(crate) to: Place,
    pub(crate) typing: bool,
}

/// The same, for the others.
#[derive(Debug, Serialize)]
pub(crate) struct TypingBy {
    pub(crate) from: String,
    pub(crate) to: Place,
    pub(crate) typing: bool,
}

/// Live figures for administrators.
#[derive(Debug, Serialize)]
pub(crate) struct Stats {
    pub(crate) uptime_seconds: u64,
    pub(crate) sessions: u64,
    pub(crate) sockets: u64,
    pub(crate) upgrades: u64,
    pub(crate) people: usize,
    pub(crate) rooms: usize,
    pub(crate) messages: u64,
    pub(crate) pictures: u64,
    pub(crate) received: u64,
    pub(crate) sent: u64,
    pub(crate) memory_bytes: Option<u64>,
}

/// An answer to a request: in JSON `{"Ok": …}` or `{"Err": "why not"}`.
pub(crate) type Answer<T> = Result<T, Problem>;

/// Why a request was not fulfilled, in words for the person who made it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Problem {
    #[error("names are letters, digits, spaces and -_.' and not too long")]
    BadName,
    #[error("this picture is too big or of a format nobody shows")]
    BadPicture,
    #[error("this text is too long")]
    LongText,
    #[error("you are not in this room")]
    NotThere,
    #[error("{0} is offline")]
    Offline(String),
    #[error("you cannot be in more rooms")]
    TooManyRooms,
    #[error("this cannot be sent: {0}")]
    Unsendable(#[from] EmitError),
}

impl Serialize for Problem {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
