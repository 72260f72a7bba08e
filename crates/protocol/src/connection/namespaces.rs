//! The namespaces of one connection.

use super::event::Slot;
use crate::NamespacePath;

/// How far a namespace is on this connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// CONNECT was sent or received, and not answered yet.
    Asked,
    /// The server accepted.
    Connected,
    /// The place is free.
    Free,
    /// This side left, and something of the peer is still on its way: to a server, what a client sent before it knew; to
    /// a client, the answer to its CONNECT.
    Left,
}

#[derive(Debug)]
struct Entry {
    path: NamespacePath,
    phase: Phase,
}

/// One entry for each slot; searched in order, as there are few.
#[derive(Debug, Default)]
pub(super) struct Namespaces {
    entries: Vec<Entry>,
}

impl Namespaces {
    /// Takes a slot for a namespace which is neither asked for nor connected. `None` at the limit.
    pub(super) fn claim(&mut self, path: NamespacePath, limit: usize) -> Option<Slot> {
        let limit = limit.min(usize::from(u16::MAX));
        let free = |phase: Phase| self.entries.iter().position(|entry| entry.phase == phase);
        let same = self.entries.iter().position(|entry| entry.phase == Phase::Left && entry.path == path);
        let index = same.or_else(|| free(Phase::Free));
        let index = match index {
            Some(index) => index,
            None if self.entries.len() < limit => self.entries.len(),
            None => free(Phase::Left)?,
        };
        let entry = Entry { path, phase: Phase::Asked };
        if let Some(place) = self.entries.get_mut(index) {
            *place = entry;
        } else {
            // Most connections have one namespace for ever.
            self.entries.reserve_exact(usize::from(self.entries.is_empty()));
            self.entries.push(entry);
        }
        u16::try_from(index).ok().map(Slot)
    }

    /// Moves a slot to another phase.
    pub(super) fn set(&mut self, slot: Slot, phase: Phase) {
        if let Some(entry) = self.entries.get_mut(usize::from(slot.0)) {
            entry.phase = phase;
            if phase == Phase::Free {
                entry.path = NamespacePath::main();
            }
        }
    }

    /// The slot of a namespace as the peer writes it.
    pub(super) fn find(&self, path: &str) -> Option<(Slot, Phase)> {
        let is_path = |entry: &Entry| entry.phase != Phase::Free && entry.path.as_str() == path;
        let index = self.entries.iter().position(is_path)?;
        Some((Slot(u16::try_from(index).ok()?), self.entries.get(index)?.phase))
    }

    pub(super) fn phase(&self, slot: Slot) -> Phase {
        self.entries.get(usize::from(slot.0)).map_or(Phase::Free, |entry| entry.phase)
    }

    pub(super) fn path(&self, slot: Slot) -> Option<&NamespacePath> {
        self.entries.get(usize::from(slot.0)).filter(|entry| entry.phase != Phase::Free).map(|entry| &entry.path)
    }

    /// Whether any namespace is connected.
    pub(super) fn is_any_connected(&self) -> bool {
        self.entries.iter().any(|entry| entry.phase == Phase::Connected)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_used_again() {
        let mut namespaces = Namespaces::default();
        let a = namespaces.claim("a".into(), 2).unwrap();
        let b = namespaces.claim("b".into(), 2).unwrap();
        assert_eq!(namespaces.claim("c".into(), 2), None);
        namespaces.set(a, Phase::Left);
        assert_eq!(namespaces.find("/a"), Some((a, Phase::Left)));
        assert_eq!(namespaces.claim("c".into(), 2), Some(a), "a namespace which was left makes room at the limit");
        namespaces.set(b, Phase::Free);
        assert_eq!(namespaces.find("/b"), None);
        assert_eq!(namespaces.path(b), None);
        assert_eq!(namespaces.claim("d".into(), 2), Some(b));
    }

    #[test]
    fn a_namespace_which_was_left_gets_its_slot_back() {
        let mut namespaces = Namespaces::default();
        let a = namespaces.claim("a".into(), 9).unwrap();
        let b = namespaces.claim("b".into(), 9).unwrap();
        namespaces.set(a, Phase::Free);
        namespaces.set(b, Phase::Left);
        assert_eq!(namespaces.claim("b".into(), 9), Some(b));
        assert_eq!(namespaces.find("/b"), Some((b, Phase::Asked)));
    }
}
