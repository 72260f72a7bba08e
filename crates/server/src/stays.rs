//! The rooms of a socket through time: an event is meant for who was in its rooms when it was sent, and a socket that
//! comes back may have joined and left some since.

use std::collections::VecDeque;

use hashbrown::HashMap;
use smol_str::SmolStr;

/// Rooms left that are remembered for each socket. Who has left more of them since the last event it has seen is not
/// recovered.
const MAX_LEFT: usize = 64;

/// The rooms that a socket is in, and those it has left. Numbers are those of the namespace's log.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stays {
    here: Vec<Stay>,
    /// In the order in which they ended.
    left: VecDeque<Stay>,
    known_from: u64,
}

/// A time in a room: events from the number `from` up to the one before `until`.
#[derive(Clone, Debug)]
struct Stay {
    room: SmolStr,
    from: u64,
    until: u64,
}

impl Stays {
    /// The socket joins a room, which it is not in; `next` is the number of the next event.
    pub(crate) fn join(&mut self, room: SmolStr, next: u64) {
        self.here.push(Stay { room, from: next, until: u64::MAX });
    }

    /// The socket leaves a room. Nobody can ask for events before `first`: what ended by then is forgotten.
    pub(crate) fn leave(&mut self, room: &str, first: u64, next: u64) {
        while self.left.front().is_some_and(|stay| stay.until <= first) {
            self.left.pop_front();
        }
        let Some(at) = self.here.iter().position(|stay| stay.room == room) else { return };
        let stay = Stay { until: next, ..self.here.swap_remove(at) };
        if stay.from == next {
            return;
        }
        if self.left.len() >= MAX_LEFT
            && let Some(forgotten) = self.left.pop_front()
        {
            self.known_from = forgotten.until;
        }
        self.left.push_back(stay);
    }

    /// The number from which on it is known where the socket was.
    pub(crate) fn known_from(&self) -> u64 {
        self.known_from
    }

    /// The same by rooms, for questions about many events.
    pub(crate) fn by_room(&self) -> ByRoom<'_> {
        let here = self.here.iter().map(|stay| (&*stay.room, stay.from)).collect();
        let mut left = HashMap::<_, Vec<_>>::new();
        for stay in &self.left {
            left.entry(&*stay.room).or_default().push((stay.from, stay.until));
        }
        ByRoom { here, left }
    }

    /// The rooms it is in.
    pub(crate) fn rooms(&self) -> impl Iterator<Item = &SmolStr> {
        self.here.iter().map(|stay| &stay.room)
    }
}

/// The times of a socket in its rooms, each room found at once: thousands of events are asked about while the log is
/// locked, and a client may be in a thousand rooms.
#[derive(Debug)]
pub(crate) struct ByRoom<'a> {
    /// Since when.
    here: HashMap<&'a str, u64>,
    /// From when until when; one after the other.
    left: HashMap<&'a str, Vec<(u64, u64)>>,
}

impl ByRoom<'_> {
    /// Whether the socket was in a room when the event of this number was sent.
    pub(crate) fn was_in(&self, room: &str, number: u64) -> bool {
        if self.here.get(room).is_some_and(|from| *from <= number) {
            return true;
        }
        let Some(stays) = self.left.get(room) else { return false };
        let at = stays.partition_point(|(_, until)| *until <= number);
        stays.get(at).is_some_and(|(from, _)| *from <= number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(stays: &Stays, room: &str) -> Vec<u64> {
        let rooms = stays.by_room();
        (0..10).filter(|&number| rooms.was_in(room, number)).collect()
    }

    /// Against a look at every stay.
    #[test]
    fn any_order_of_joins_and_leaves_is_known_by_room() {
        let (mut stays, mut dice) = (Stays::default(), 1_u32);
        for number in 0..2_000_u64 {
            dice = dice.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let room = ["red", "green", "blue"][dice as usize / 4096 % 3];
            if stays.rooms().any(|here| here == room) {
                stays.leave(room, 0, number);
            } else {
                stays.join(room.into(), number);
            }
            let rooms = stays.by_room();
            for room in ["red", "green", "blue", "none"] {
                for asked in (stays.known_from()..=number + 1).step_by(3) {
                    let mut all = stays.here.iter().chain(&stays.left);
                    let was_in = all.any(|stay| stay.room == room && stay.from <= asked && asked < stay.until);
                    assert_eq!(rooms.was_in(room, asked), was_in, "{room} at {asked}");
                }
            }
        }
    }

    #[test]
    fn a_room_is_known_for_the_time_spent_there() {
        let mut stays = Stays::default();
        stays.join("red".into(), 2);
        stays.join("blue".into(), 3);
        stays.leave("red", 1, 5);
        stays.join("red".into(), 8);
        assert_eq!(numbers(&stays, "red"), [2, 3, 4, 8, 9]);
        assert_eq!(numbers(&stays, "blue"), [3, 4, 5, 6, 7, 8, 9]);
        assert_eq!(stays.rooms().collect::<Vec<_>>(), ["blue", "red"]);
        assert_eq!(stays.known_from(), 0);
    }

    #[test]
    fn who_joins_and_leaves_often_takes_no_more_memory() {
        let mut stays = Stays::default();
        for number in 0..10_000 {
            stays.join("red".into(), number);
            stays.leave("red", 0, number + 1);
        }
        assert_eq!((stays.here.len(), stays.left.len()), (0, MAX_LEFT));
        assert_eq!(stays.known_from(), 10_000 - MAX_LEFT as u64, "where it was before is not guessed");
        assert!(stays.by_room().was_in("red", stays.known_from()));
    }

    #[test]
    fn what_nobody_can_ask_for_is_forgotten() {
        let mut stays = Stays::default();
        for number in 0..10_000 {
            stays.join("red".into(), number);
            stays.leave("red", number.saturating_sub(3), number + 1);
            // No event was sent meanwhile.
            stays.join("blue".into(), number + 1);
            stays.leave("blue", number.saturating_sub(3), number + 1);
        }
        assert_eq!((stays.left.len(), stays.known_from()), (4, 0));
    }
}
