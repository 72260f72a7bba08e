//! The members of one room, and who is told of rooms.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hashbrown::HashMap;
use parking_lot::RwLock;
use smol_str::SmolStr;

use crate::spare;

/// What happened to a room on this server. A socket's own id is no room in this sense.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RoomEvent {
    /// The room is about to get its first member.
    Created {
        /// The room.
        room: SmolStr,
    },
    /// The room has lost its last member.
    Deleted {
        /// The room.
        room: SmolStr,
    },
    /// A socket has joined.
    Joined {
        /// The room.
        room: SmolStr,
        /// The socket's id.
        socket: SmolStr,
    },
    /// A socket has left.
    Left {
        /// The room.
        room: SmolStr,
        /// The socket's id.
        socket: SmolStr,
    },
}

impl RoomEvent {
    /// What a join is: the first in a room creates it.
    pub(crate) fn joined(room: SmolStr, socket: &SmolStr, first: bool) -> impl Iterator<Item = Self> {
        let created = first.then(|| Self::Created { room: room.clone() });
        created.into_iter().chain([Self::Joined { room, socket: socket.clone() }])
    }

    /// What a leave is: the last in a room deletes it.
    pub(crate) fn left(room: SmolStr, socket: &SmolStr, last: bool) -> impl Iterator<Item = Self> {
        let deleted = last.then(|| Self::Deleted { room: room.clone() });
        std::iter::once(Self::Left { room, socket: socket.clone() }).chain(deleted)
    }
}

type Watcher = Arc<dyn Fn(&RoomEvent) + Send + Sync>;

/// Who is told of rooms.
#[derive(Default)]
pub(crate) struct Watchers {
    watchers: RwLock<Vec<Watcher>>,
    any: AtomicBool,
}

impl std::fmt::Debug for Watchers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Watchers")
    }
}

impl Watchers {
    pub(crate) fn add(&self, watcher: Watcher) {
        self.watchers.write().push(watcher);
        self.any.store(true, Ordering::Release);
    }

    /// Tells them; `events` is asked for only if there is somebody to tell. Hold no lock. Whoever joins or leaves has
    /// nothing to do with a watcher that panics.
    pub(crate) fn tell<I: IntoIterator<Item = RoomEvent>>(&self, events: impl FnOnce() -> I) {
        if self.any.load(Ordering::Acquire) {
            let watchers = self.watchers.read().clone();
            for event in events() {
                for watcher in &watchers {
                    if std::panic::catch_unwind(AssertUnwindSafe(|| watcher(&event))).is_err() {
                        tracing::error!("a watcher of `on_room` panicked");
                    }
                }
            }
        }
    }
}

/// Rooms up to this size are searched, not indexed: most rooms are small, and there may be a million of them.
const INDEX_FROM: usize = 32;

/// Members in a dense list, so that a broadcast walks through memory in order; joining and leaving take constant time.
#[derive(Debug)]
pub(crate) struct Room<T> {
    members: Vec<Arc<T>>,
    /// Position by address; there only from `INDEX_FROM` members on.
    index: Option<Box<HashMap<usize, u32>>>,
}

impl<T> Default for Room<T> {
    fn default() -> Self {
        Self { members: Vec::new(), index: None }
    }
}

impl<T> Room<T> {
    /// Adds `member`; false if it was there.
    pub(crate) fn add(&mut self, member: &Arc<T>) -> bool {
        if self.position(member).is_some() {
            return false;
        }
        if let Some(index) = &mut self.index {
            index.insert(address(member), position_of(self.members.len()));
        }
        self.members.push(Arc::clone(member));
        if self.index.is_none() && self.members.len() >= INDEX_FROM {
            let positions = self.members.iter().enumerate().map(|(at, member)| (address(member), position_of(at)));
            self.index = Some(Box::new(positions.collect()));
        }
        true
    }

    /// Removes `member`; false if it was not there.
    pub(crate) fn remove(&mut self, member: &Arc<T>) -> bool {
        let Some(at) = self.position(member) else { return false };
        self.members.swap_remove(at);
        if let Some(index) = &mut self.index {
            index.remove(&address(member));
            if let Some(moved) = self.members.get(at) {
                index.insert(address(moved), position_of(at));
            }
        }
        if self.members.len() < INDEX_FROM / 2 {
            self.index = None;
        }
        if let Some(fit) = spare::fit(self.members.len(), self.members.capacity()) {
            self.members.shrink_to(fit);
            if let Some(index) = &mut self.index {
                index.shrink_to(fit);
            }
        }
        true
    }

    pub(crate) fn contains(&self, member: &Arc<T>) -> bool {
        self.position(member).is_some()
    }

    pub(crate) fn members(&self) -> &[Arc<T>] {
        &self.members
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    fn position(&self, member: &Arc<T>) -> Option<usize> {
        match &self.index {
            Some(index) => index.get(&address(member)).map(|&at| at as usize),
            None => self.members.iter().position(|other| Arc::ptr_eq(other, member)),
        }
    }
}

/// Identity of a member: its address, which is its own as long as the room holds it.
pub(crate) fn address<T>(member: &Arc<T>) -> usize {
    Arc::as_ptr(member).addr()
}

fn position_of(at: usize) -> u32 {
    u32::try_from(at).expect("a room has fewer members than there are addresses for 4 GiB of pointers")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_found_after_any_order_of_joins_and_leaves() {
        let members: Vec<_> = (0..200).map(Arc::new).collect();
        let mut room = Room::default();
        for member in &members {
            assert!(room.add(member));
            assert!(!room.add(member), "twice");
        }
        for (turn, member) in members.iter().enumerate().filter(|(turn, _)| turn % 3 != 0) {
            assert!(room.remove(member), "{turn}");
            assert!(!room.remove(member), "{turn} twice");
        }
        for (turn, member) in members.iter().enumerate() {
            assert_eq!(room.contains(member), turn % 3 == 0, "{turn}");
        }
        for member in members.iter().step_by(3) {
            assert!(room.remove(member));
        }
        assert!(room.is_empty() && room.index.is_none());
    }

    /// Counted, not timed: nobody is looked for one by one, and all that is moved when a room grows and shrinks is a few
    /// times its members.
    #[test]
    fn a_room_of_a_hundred_thousand_is_joined_and_left_in_constant_time() {
        const MANY: usize = 100_000;
        let members: Vec<_> = (0..MANY).map(Arc::new).collect();
        // Each once, in an order that is not that of the joins.
        let mixed = || (0..MANY).map(|turn| &members[turn * 7_919 % MANY]);
        let (mut room, mut moved) = (Room::default(), 0);
        let mut change =
            |room: &mut Room<usize>, member: &Arc<usize>, how: fn(&mut Room<usize>, &Arc<usize>) -> bool| {
                let capacities = |room: &Room<usize>| {
                    (room.members.capacity(), room.index.as_ref().map(|index| index.allocation_size()))
                };
                let before = capacities(room);
                assert!(how(room, member));
                if capacities(room) != before {
                    moved += room.members.len();
                }
                assert!(room.members.len() < INDEX_FROM || room.index.is_some(), "searched one by one");
            };
        for member in &members {
            change(&mut room, member, Room::add);
        }
        for (turn, member) in mixed().enumerate() {
            change(&mut room, member, Room::remove);
            if turn == MANY / 2 {
                let left: std::collections::HashSet<_> = room.members().iter().map(|member| **member).collect();
                assert_eq!((left.len(), room.members().len()), (MANY / 2 - 1, MANY / 2 - 1), "each is there once");
            }
        }
        assert!(room.is_empty() && moved < 5 * MANY, "{moved} moved");
    }
}
