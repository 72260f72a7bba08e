//! What was said in rooms lately, for those who come later.

use std::collections::VecDeque;
use std::time::SystemTime;

use crate::events::{Draft, Message, Place};

/// Messages kept, in all rooms together.
const MAX_MESSAGES: usize = 200;
/// Bytes kept, in all rooms together; also the most that joining a room can send.
const MAX_BYTES: usize = 2 * 1024 * 1024;

/// The latest messages to rooms; private ones are not kept.
#[derive(Debug, Default)]
pub(crate) struct History {
    messages: VecDeque<Message>,
    /// Sum of `size` over `messages`.
    bytes: usize,
    last_id: u64,
}

impl History {
    /// Gives a draft its id and time, and keeps it if others may read it later.
    pub(crate) fn record(&mut self, from: String, draft: Draft, now: SystemTime) -> Message {
        let since_1970 = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        // By the clock, so that ids keep growing over a restart; never twice the same, whatever the clock does.
        self.last_id = (self.last_id + 1).max(u64::try_from(since_1970.as_micros()).unwrap_or(0));
        let at = u64::try_from(since_1970.as_millis()).unwrap_or(0);
        let Draft { to, text, picture } = draft;
        let message = Message { id: self.last_id, at, from, to, text, picture };
        if matches!(message.to, Place::Room(_)) {
            self.keep(message.clone());
        }
        message
    }

    fn keep(&mut self, message: Message) {
        self.bytes += size(&message);
        self.messages.push_back(message);
        while self.messages.len() > MAX_MESSAGES || self.bytes > MAX_BYTES {
            let Some(oldest) = self.messages.pop_front() else { break };
            self.bytes -= size(&oldest);
        }
    }

    /// The messages of a room, oldest first.
    pub(crate) fn of<'a>(&'a self, room: &'a str) -> impl Iterator<Item = &'a Message> {
        self.messages.iter().filter(move |message| matches!(&message.to, Place::Room(name) if name == room))
    }
}

fn size(message: &Message) -> usize {
    message.text.len() + message.picture.as_ref().map_or(0, |picture| picture.bytes.len())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;

    use super::*;
    use crate::events::Picture;

    fn draft(to: Place, text: &str) -> Draft {
        Draft { to, text: text.into(), picture: None }
    }

    fn lobby() -> Place {
        Place::Room("lobby".into())
    }

    fn at(micros: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_micros(micros)
    }

    #[test]
    fn ids_grow_even_if_the_clock_goes_back() {
        let mut history = History::default();
        let mut record = |micros| history.record("Ada".into(), draft(lobby(), "x"), at(micros)).id;
        assert_eq!(
            [record(5_000_000), record(5_000_000), record(1), record(9_000_000)],
            [5_000_000, 5_000_001, 5_000_002, 9_000_000]
        );
    }

    #[test]
    fn rooms_are_told_apart_and_private_messages_forgotten() {
        let mut history = History::default();
        history.record("Ada".into(), draft(lobby(), "hello"), at(1));
        history.record("Ada".into(), draft(Place::Room("den".into()), "psst"), at(2));
        history.record("Ada".into(), draft(Place::Person("lobby".into()), "secret"), at(3));
        let texts = |room| history.of(room).map(|message| message.text.as_str()).collect::<Vec<_>>();
        assert_eq!((texts("lobby"), texts("den"), texts("nowhere")), (vec!["hello"], vec!["psst"], vec![]));
        assert_eq!(history.messages.len(), 2);
    }

    #[test]
    fn the_oldest_go_first_by_number_and_by_bytes() {
        let mut history = History::default();
        for n in 0..MAX_MESSAGES + 3 {
            history.record("Ada".into(), draft(lobby(), &n.to_string()), at(1));
        }
        assert_eq!(history.messages.len(), MAX_MESSAGES);
        assert_eq!(history.of("lobby").next().map(|message| message.text.as_str()), Some("3"));
        let picture =
            Picture { name: "a".into(), r#type: "image/png".into(), bytes: Bytes::from(vec![0; MAX_BYTES / 2]) };
        for _ in 0..3 {
            let draft = Draft { to: lobby(), text: String::new(), picture: Some(picture.clone()) };
            history.record("Ada".into(), draft, at(1));
        }
        assert_eq!((history.messages.len(), history.bytes), (2, MAX_BYTES));
    }
}
