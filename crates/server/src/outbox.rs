//! One connection's way out: what waits to be written, bounded in bytes and packets.

use std::collections::VecDeque;

use sockeye_protocol::Outgoing;

/// What a packet that waits costs beyond its bytes: its place in the queue and the allocation's header.
const OVERHEAD: usize = 96;
/// Queues up to this length keep their memory when they run empty.
const KEEP: usize = 4;

/// Packets in the order in which they were emitted. All sockets of a connection share one, so that their order is kept.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    packets: VecDeque<Entry>,
    /// Sum of `cost` over `packets`.
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
        self.packets.is_empty()
            || (self.packets.len() < bound.packets && self.bytes.saturating_add(cost(packet)) <= bound.bytes)
    }

    pub(crate) fn push(&mut self, packet: Outgoing, weight: Weight) {
        self.bytes = self.bytes.saturating_add(cost(&packet));
        self.packets.push_back(Entry { packet, weight });
    }

    /// Drops the oldest packet that may be dropped; false if there is none.
    pub(crate) fn drop_oldest(&mut self) -> bool {
        let oldest = self.packets.iter().position(|entry| entry.weight == Weight::Droppable);
        let Some(entry) = oldest.and_then(|at| self.packets.remove(at)) else { return false };
        self.bytes = self.bytes.saturating_sub(cost(&entry.packet));
        true
    }

    pub(crate) fn pop(&mut self) -> Option<Outgoing> {
        let Entry { packet, .. } = self.packets.pop_front()?;
        self.bytes = self.bytes.saturating_sub(cost(&packet));
        if self.packets.is_empty() && self.packets.capacity() > KEEP {
            self.packets = VecDeque::new();
        }
        Some(packet)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.packets.len()
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
        assert_eq!(outbox.packets.capacity(), 0);
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
