//! The rooms of one client, and the number of the last event that it heard in each.

use std::collections::BTreeMap;

/// By room; events in a room are numbered without a gap, in the order in which they were sent.
#[derive(Debug, Default)]
pub(crate) struct Rooms(BTreeMap<u64, Room>);

#[derive(Debug, Default)]
struct Room {
    /// The first event heard, as long as it is not known from which number on the client is in the room.
    first: Option<u64>,
    last: Option<u64>,
    entered: bool,
    /// A connection was cut before it was known whether the client is in it.
    unsure: bool,
}

impl Rooms {
    /// Asks to be in a room; false if that is so already.
    pub(crate) fn enter(&mut self, room: u64) -> bool {
        let new = !self.0.contains_key(&room);
        self.0.entry(room).or_default();
        new
    }

    pub(crate) fn is_in(&self, room: u64) -> bool {
        self.0.get(&room).is_some_and(|room| room.entered || room.unsure)
    }

    pub(crate) fn all(&self) -> Vec<u64> {
        self.0.keys().copied().collect()
    }

    /// The connection was cut; `leaving` had been asked to be left. If the client comes back to its rooms, what it missed
    /// is told first, without a gap.
    pub(crate) fn cut(&mut self, leaving: &[u64]) {
        for (name, room) in &mut self.0 {
            room.unsure |= !room.entered || leaving.contains(name);
        }
    }

    /// The server has let the client into a room, after the event with number `last`.
    pub(crate) fn entered(&mut self, room: u64, last: u64) -> Result<(), String> {
        let state = self.0.get_mut(&room).ok_or_else(|| format!("entered room {room} again"))?;
        state.entered = true;
        state.last = state.last.or(Some(last));
        match state.first {
            Some(first) if first != last + 1 => Err(format!("{first} is the first in room {room} after {last}")),
            _ => Ok(()),
        }
    }

    pub(crate) fn heard(&mut self, room: u64, number: u64) -> Result<(), String> {
        let state = self.0.get_mut(&room).ok_or_else(|| format!("{number} in room {room}, which it is not in"))?;
        let last = state.last.replace(number);
        if !state.entered && !state.unsure {
            state.first = state.first.or(Some(number));
        }
        match last {
            Some(last) if number != last + 1 => Err(format!("{number} in room {room} after {last}")),
            _ => Ok(()),
        }
    }

    /// The server has let the client out of a room, after the event with number `last`.
    pub(crate) fn left(&mut self, room: u64, last: u64) -> Result<(), String> {
        match self.0.remove(&room) {
            Some(Room { last: Some(heard), .. }) if heard == last => Ok(()),
            Some(Room { unsure: true, .. }) => Ok(()),
            state => Err(format!("left room {room} after {last}: {state:?}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_doubled_or_late_is_found() {
        let mut rooms = Rooms::default();
        assert!(rooms.enter(1) && !rooms.enter(1) && !rooms.is_in(1));
        // Sent before the answer to the join was.
        rooms.heard(1, 5).unwrap();
        rooms.entered(1, 4).unwrap();
        rooms.heard(1, 6).unwrap();
        assert!(rooms.heard(1, 6).is_err());
        rooms.heard(1, 7).unwrap();
        rooms.left(1, 7).unwrap();
        assert!(rooms.heard(1, 8).is_err());

        rooms.enter(2);
        rooms.entered(2, 4).unwrap();
        assert!(rooms.heard(2, 6).is_err());
        assert!(rooms.left(2, 7).is_err());
        // After a cut it goes on where it was; nothing is known of a room which was being entered or left.
        rooms.enter(4);
        rooms.entered(4, 4).unwrap();
        rooms.enter(5);
        rooms.enter(6);
        rooms.entered(6, 1).unwrap();
        rooms.cut(&[6]);
        rooms.heard(4, 5).unwrap();
        assert!(rooms.heard(4, 7).is_err());
        rooms.heard(5, 70).unwrap();
        assert!(rooms.is_in(5) && rooms.left(5, 80).is_ok() && rooms.left(6, 9).is_ok());

        rooms.enter(3);
        rooms.heard(3, 9).unwrap();
        assert!(rooms.entered(3, 7).is_err());
    }
}
