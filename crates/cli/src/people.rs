//! Who is online. One nickname, one person, one socket.

use std::collections::{BTreeMap, BTreeSet};

use crate::events::{Answer, Person, Problem};

/// Most rooms one person may be in.
pub(crate) const MAX_ROOMS: usize = 16;
const MAX_NAME: usize = 32;

/// Everybody who is online, by nickname without regard to case: `Ada` and `ada` would be confused by people too.
#[derive(Debug, Default)]
pub(crate) struct People(BTreeMap<String, Entry>);

#[derive(Debug)]
struct Entry {
    person: Person,
    key: String,
    socket_id: String,
}

impl People {
    /// Whether somebody with another key has this nickname.
    pub(crate) fn is_taken(&self, nickname: &str, key: &str) -> bool {
        self.entry(nickname).is_some_and(|entry| entry.key != key)
    }

    /// Adds a person, and returns the id of the socket they had before: after a lost connection the old one may still
    /// be there.
    pub(crate) fn enter(&mut self, person: Person, key: String, socket_id: String) -> Option<String> {
        let name = person.nickname.to_lowercase();
        self.0.insert(name, Entry { person, key, socket_id }).map(|old| old.socket_id)
    }

    /// Removes a person, unless another socket has taken over.
    pub(crate) fn leave(&mut self, nickname: &str, socket_id: &str) -> Option<Person> {
        self.entry(nickname).filter(|entry| entry.socket_id == socket_id)?;
        self.0.remove(&nickname.to_lowercase()).map(|entry| entry.person)
    }

    /// Notes that a person is in a room.
    pub(crate) fn join(&mut self, nickname: &str, room: &str) -> Answer<Person> {
        let rooms = &mut self.person_mut(nickname)?.rooms;
        if !rooms.iter().any(|name| name == room) {
            if rooms.len() >= MAX_ROOMS {
                return Err(Problem::TooManyRooms);
            }
            rooms.push(room.to_owned());
        }
        self.person_mut(nickname).cloned()
    }

    /// Notes that a person has left a room.
    pub(crate) fn part(&mut self, nickname: &str, room: &str) -> Answer<Person> {
        let person = self.person_mut(nickname)?;
        person.rooms.retain(|name| name != room);
        Ok(person.clone())
    }

    fn person_mut(&mut self, nickname: &str) -> Answer<&mut Person> {
        let entry = self.0.get_mut(&nickname.to_lowercase());
        entry.map(|entry| &mut entry.person).ok_or_else(|| Problem::Offline(nickname.to_owned()))
    }

    /// The socket of a person.
    pub(crate) fn socket_id(&self, nickname: &str) -> Answer<String> {
        let entry = self.entry(nickname).filter(|entry| entry.person.nickname == nickname);
        entry.map(|entry| entry.socket_id.clone()).ok_or_else(|| Problem::Offline(nickname.to_owned()))
    }

    pub(crate) fn to_vec(&self) -> Vec<Person> {
        self.0.values().map(|entry| entry.person.clone()).collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Number of rooms somebody is in.
    pub(crate) fn rooms(&self) -> usize {
        self.0.values().flat_map(|entry| &entry.person.rooms).collect::<BTreeSet<_>>().len()
    }

    fn entry(&self, nickname: &str) -> Option<&Entry> {
        self.0.get(&nickname.to_lowercase())
    }
}

/// Accepts names that look like what they are: nothing invisible, nothing that turns the text around it.
pub(crate) fn checked_name(name: &str) -> Answer<&str> {
    let is_plain = |letter: char| letter.is_alphanumeric() || " -_.'".contains(letter);
    let is_good = !name.is_empty() && name.trim() == name && name.chars().count() <= MAX_NAME;
    if is_good && name.chars().all(is_plain) { Ok(name) } else { Err(Problem::BadName) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ada() -> Person {
        Person { nickname: "Ada".into(), rooms: vec!["lobby".into()] }
    }

    #[test]
    fn a_nickname_belongs_to_its_key() {
        let mut people = People::default();
        assert!(!people.is_taken("Ada", "k1"));
        assert_eq!(people.enter(ada(), "k1".into(), "s1".into()), None);
        assert!(people.is_taken("ADA", "k2"));
        assert!(!people.is_taken("Ada", "k1"));
    }

    #[test]
    fn a_replaced_socket_removes_nobody() {
        let mut people = People::default();
        people.enter(ada(), "k1".into(), "s1".into());
        assert_eq!(people.enter(ada(), "k1".into(), "s2".into()), Some("s1".into()));
        assert_eq!(people.leave("Ada", "s1"), None);
        assert_eq!(people.socket_id("Ada").unwrap(), "s2");
        assert_eq!(people.leave("Ada", "s2"), Some(ada()));
        assert!(people.socket_id("Ada").is_err());
    }

    #[test]
    fn rooms_are_counted_once_and_bounded() {
        let mut people = People::default();
        people.enter(ada(), "k1".into(), "s1".into());
        assert_eq!(people.join("Ada", "lobby").unwrap().rooms, ["lobby"]);
        for n in 1..MAX_ROOMS {
            people.join("Ada", &format!("room {n}")).unwrap();
        }
        assert!(matches!(people.join("Ada", "one more"), Err(Problem::TooManyRooms)));
        assert_eq!(people.part("Ada", "room 1").unwrap().rooms.len(), MAX_ROOMS - 1);
        people.join("Ada", "one more").unwrap();
    }

    #[test]
    fn names_are_what_they_look_like() {
        for good in ["Ada", "Jean-Luc O'Neill Jr.", "村上", "x_1"] {
            assert!(checked_name(good).is_ok(), "{good}");
        }
        let long = "x".repeat(MAX_NAME + 1);
        for bad in ["", " Ada", "Ada ", "a\nb", "<b>", "#lobby", "\u{202e}adA", "a\u{200b}", &long] {
            assert!(checked_name(bad).is_err(), "{bad:?}");
        }
    }
}
