//! One connection's way out: what waits to be written, bounded in bytes and packets.

use std::collections::VecDeque;

use sockeye_protocol::Outgoing;

/// What a packet that waits costs beyond its bytes: its place in the queue and the allocation's header.
const OVERHEAD: usize = 96;
/// Room for so many packets at once when a queue begins: bursts seldom have more, and growing costs more than room.
const RESERVE: usize = 8;

/// Packets in the order in which they were emitted. All sockets of a connection share one, so that their order is kept.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    /// The oldest, kept here so that a client which reads in time costs no queue. May be empty before `rest`.
    first: Option<Entry>,
    rest: VecDeque<Entry>,
    /// Sum of `cost` over all packets.
    bytes: usize,
}

#[derive(Debug)]
struct Entry {
    packet: Outgoing,
    weight: Weight,
}

/// Whether a packet may be dropped to make room for newer ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weight {
    /// An event or an answer.
    Droppable,
    /// Without it the client would not know where it is: the answer to CONNECT, a DISCONNECT.
    Essential,
}

/// The bound of an outbox.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bound {
    pub(crate) bytes: usize,
    pub(crate) packets: usize,
}

impl Outbox {
    /// Whether `packet` can be added within `bound`. A single packet always fits an empty outbox, however large it is:
    /// what the application may send in one piece is its own decision.
    pub(crate) fn has_room(&self, packet: &Outgoing, bound: Bound) -> bool {
        self.is_empty() || (self.len() < bound.packets && self.bytes.saturating_add(cost(packet)) <= bound.bytes)
    }

    pub(crate) fn push(&mut self, packet: Outgoing, weight: Weight) {
        self.bytes = self.bytes.saturating_add(cost(&packet));
        let entry = Entry { packet, weight };
        if self.is_empty() {
            self.first = Some(entry);
            return;
        }
        if self.rest.capacity() == 0 {
            self.rest.reserve(RESERVE);
        }
        self.rest.push_back(entry);
    }

    /// Drops the oldest packet that may be dropped; false if there is none.
    pub(crate) fn drop_oldest(&mut self) -> bool {
        let may_go = |entry: &Entry| entry.weight == Weight::Droppable;
        let in_rest = |rest: &mut VecDeque<Entry>| rest.iter().position(may_go).and_then(|at| rest.remove(at));
        let oldest = self.first.take_if(|entry| may_go(entry)).or_else(|| in_rest(&mut self.rest));
        let Some(entry) = oldest else { return false };
        self.bytes = self.bytes.saturating_sub(cost(&entry.packet));
        true
    }

    pub(crate) fn pop(&mut self) -> Option<Outgoing> {
        let Entry { packet, .. } = self.first.take().or_else(|| self.rest.pop_front())?;
        self.bytes = self.bytes.saturating_sub(cost(&packet));
        if self.rest.is_empty() && self.rest.capacity() > 0 {
            self.rest = VecDeque::new();
        }
        Some(packet)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_none() && self.rest.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.rest.len() + usize::from(self.first.is_some())
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

fn cost(packet: &Outgoing) -> usize {
    packet.messages().map(|message| message.size() + OVERHEAD).sum()
}

#[cfg(test)]
mod tests {
    use sockeye_engine::Encoded;

    use super::*;

    fn packet(length: usize) -> Outgoing {
        Outgoing { first: Encoded::text(&"x".repeat(length)), attachments: None }
    }

    #[test]
    fn bounds_count_packets_and_bytes() {
        let mut outbox = Outbox::default();
        let bound = Bound { bytes: 1_000, packets: 2 };
        assert!(outbox.has_room(&packet(5_000), bound), "one packet always fits");
        outbox.push(packet(10), Weight::Droppable);
        assert!(outbox.has_room(&packet(10), bound));
        assert!(!outbox.has_room(&packet(900), bound));
        outbox.push(packet(10), Weight::Droppable);
        assert!(!outbox.has_room(&packet(1), bound), "two packets are there");
    }

    #[test]
    fn bytes_return_to_zero() {
        let mut outbox = Outbox::default();
        for length in 0..100 {
            outbox.push(packet(length), Weight::Droppable);
        }
        assert!(outbox.drop_oldest());
        while outbox.pop().is_some() {}
        assert_eq!(outbox.bytes(), 0);
        assert_eq!(outbox.rest.capacity(), 0);
    }

    #[test]
    fn order_is_kept_whatever_was_taken_before() {
        let mut outbox = Outbox::default();
        for length in [1, 2, 3] {
            outbox.push(packet(length), Weight::Droppable);
        }
        assert!(outbox.drop_oldest());
        outbox.push(packet(4), Weight::Droppable);
        assert_eq!(outbox.pop().map(|packet| packet.size()), Some(packet(2).size()));
        outbox.push(packet(5), Weight::Droppable);
        assert_eq!(outbox.len(), 3);
        let left: Vec<_> = std::iter::from_fn(|| outbox.pop()).map(|packet| packet.size()).collect();
        assert_eq!(left, [packet(3).size(), packet(4).size(), packet(5).size()]);
        assert!(outbox.is_empty());
    }

    #[test]
    fn what_is_essential_is_not_dropped() {
        let mut outbox = Outbox::default();
        for (length, weight) in [(1, Weight::Essential), (2, Weight::Droppable), (3, Weight::Essential)] {
            outbox.push(packet(length), weight);
        }
        assert!(outbox.drop_oldest());
        assert!(!outbox.drop_oldest());
        let left: Vec<_> = std::iter::from_fn(|| outbox.pop()).map(|packet| packet.size()).collect();
        assert_eq!(left, [packet(1).size(), packet(3).size()]);
        assert_eq!(outbox.bytes(), 0);
    }
}
