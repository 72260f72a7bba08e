//! One connection's way out: what waits to be written, bounded in bytes and packets.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_channel::oneshot;
use hashbrown::HashMap;
use sockeye_protocol::{Outgoing, Slot};

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
    /// What is known of a client that does not take everything at once; the others have none of it.
    arrears: Option<Box<Arrears>>,
}

#[derive(Debug)]
struct Entry {
    packet: Outgoing,
    weight: Weight,
    /// Milliseconds after `Arrears::since`; 0 if it was queued before.
    at: u32,
}

/// Whether a packet may be dropped to make room for newer ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weight {
    /// An event or an answer.
    Droppable,
    /// An event which a newer one of its key replaces.
    Replaceable,
    /// Without it the client would not know where it is: the answer to CONNECT, a DISCONNECT.
    Essential,
}

/// What a newer packet replaces: the last one of this name to this socket.
pub(crate) type Key = (Slot, Arc<str>);

/// What somebody waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    /// Half of the outbox is free.
    Half,
    /// Everything has been taken by the transport.
    Empty,
}

/// The bound of an outbox.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bound {
    pub(crate) bytes: usize,
    pub(crate) packets: usize,
}

/// What waits for a client; see [`Socket::queued`](crate::Socket::queued).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Queued {
    /// Packets that wait.
    pub packets: usize,
    /// Their bytes, and about 100 more for each: what the bound of the outbox counts.
    pub bytes: usize,
    /// For how long the oldest of them has been waiting, to the millisecond; none if nothing waits, or only what was
    /// emitted in this instant.
    pub oldest: Option<Duration>,
    /// Packets that were dropped for this client since it connected: volatile ones, those for which there was no room, and
    /// those which a newer one of their key has replaced.
    pub dropped: u64,
}

#[derive(Debug, Default)]
struct Arrears {
    /// Since when something has been waiting; none if nothing waits.
    since: Option<Instant>,
    dropped: u64,
    /// Where the packet of each key is, counted from the first packet that was queued since these are kept.
    places: HashMap<Key, usize>,
    /// How many have left since then, from the front.
    left: usize,
    waiting: Vec<Waiting>,
}

/// Somebody who waits.
#[derive(Debug)]
struct Waiting {
    level: Level,
    /// For this socket.
    slot: Slot,
    told: oneshot::Sender<()>,
}

impl Outbox {
    /// Whether `packet` can be added within `bound`. A single packet always fits an empty outbox, however large it is:
    /// what the application may send in one piece is its own decision.
    pub(crate) fn has_room(&self, packet: &Outgoing, bound: Bound) -> bool {
        self.is_empty() || (self.len() < bound.packets && self.bytes.saturating_add(cost(packet)) <= bound.bytes)
    }

    pub(crate) fn push(&mut self, packet: Outgoing, weight: Weight) {
        self.bytes = self.bytes.saturating_add(cost(&packet));
        if let (Weight::Essential, Some(arrears)) = (weight, &mut self.arrears) {
            // What comes after the answer to CONNECT must not take the place of what stands before: its slot may have been
            // that of another socket then.
            arrears.places.clear();
        }
        let at = self.arrears.as_ref().map_or(0, |arrears| arrears.stamp());
        let entry = Entry { packet, weight, at };
        if self.is_empty() {
            self.first = Some(entry);
            return;
        }
        if self.rest.capacity() == 0 {
            self.rest.reserve(RESERVE);
        }
        self.rest.push_back(entry);
    }

    /// Queues a packet that newer ones of its key may replace.
    pub(crate) fn push_replaceable(&mut self, packet: Outgoing, key: Key) {
        let place = self.len();
        self.push(packet, Weight::Replaceable);
        let length = self.len();
        let arrears = self.arrears.get_or_insert_default();
        arrears.places.insert(key, arrears.left + place);
        // Keys of packets that have left stay until there are more of them than packets.
        if arrears.places.len() > 2 * length + RESERVE {
            let left = arrears.left;
            arrears.places.retain(|_, place| *place >= left);
        }
    }

    /// Puts a packet in the place of the one of the same key, if that still waits and there is room; else gives it back.
    /// It does not go to the end: what is replaced more often than the client reads would never be sent.
    pub(crate) fn replace(&mut self, packet: Outgoing, key: &Key, bound: Bound) -> Result<(), Outgoing> {
        let (room, added) = (bound.bytes.saturating_sub(self.bytes), cost(&packet));
        let Some(entry) = self.latest(key) else { return Err(packet) };
        let removed = cost(&entry.packet);
        if added > removed.saturating_add(room) {
            return Err(packet);
        }
        entry.packet = packet;
        self.bytes = self.bytes.saturating_sub(removed).saturating_add(added);
        self.note_dropped();
        // It may be so much shorter.
        self.reach(Level::Half, bound);
        Ok(())
    }

    /// The packet of a key, if it still waits.
    fn latest(&mut self, key: &Key) -> Option<&mut Entry> {
        let arrears = self.arrears.as_ref()?;
        let place = arrears.places.get(key)?.checked_sub(arrears.left)?;
        let entry = match (&mut self.first, place) {
            (Some(first), 0) => first,
            (Some(_), place) => self.rest.get_mut(place - 1)?,
            (None, place) => self.rest.get_mut(place)?,
        };
        // Where it was dropped to make room, one that stayed has moved up to its place.
        (entry.weight == Weight::Replaceable).then_some(entry)
    }

    /// Drops the oldest packet that may be dropped; false if there is none.
    pub(crate) fn drop_oldest(&mut self) -> bool {
        let may_go = |entry: &Entry| entry.weight != Weight::Essential;
        let in_rest = |rest: &mut VecDeque<Entry>| rest.iter().position(may_go).and_then(|at| rest.remove(at));
        let oldest = self.first.take_if(|entry| may_go(entry)).or_else(|| in_rest(&mut self.rest));
        let Some(entry) = oldest else { return false };
        self.note_left(&entry);
        self.note_dropped();
        true
    }

    pub(crate) fn pop(&mut self) -> Option<Outgoing> {
        let entry = self.first.take().or_else(|| self.rest.pop_front())?;
        self.note_left(&entry);
        if self.rest.is_empty() && self.rest.capacity() > 0 {
            self.rest = VecDeque::new();
        }
        Some(entry.packet)
    }

    #[inline]
    fn note_left(&mut self, entry: &Entry) {
        self.bytes = self.bytes.saturating_sub(cost(&entry.packet));
        if let Some(arrears) = &mut self.arrears {
            arrears.left += 1;
            if self.first.is_none() && self.rest.is_empty() {
                arrears.settle();
                self.forget_arrears();
            }
        }
    }

    /// A packet was dropped.
    pub(crate) fn note_dropped(&mut self) {
        self.arrears.get_or_insert_default().dropped += 1;
    }

    /// The client takes nothing more for now: what waits begins to age.
    pub(crate) fn begin_waiting(&mut self) {
        if !self.is_empty() {
            self.arrears.get_or_insert_default().since.get_or_insert_with(now);
        }
    }

    /// Resolves when `level` is reached, or when the socket or the outbox is no more; `None` if it is reached.
    pub(crate) fn wait_for(&mut self, level: Level, slot: Slot, bound: Bound) -> Option<oneshot::Receiver<()>> {
        if level == Level::Half && self.is_half_free(bound) {
            return None;
        }
        let (told, receiver) = oneshot::channel();
        let waiting = &mut self.arrears.get_or_insert_default().waiting;
        // Who has given up waiting is forgotten by the next who begins.
        waiting.retain(|waiting| !waiting.told.is_canceled());
        waiting.push(Waiting { level, slot, told });
        Some(receiver)
    }

    /// Nobody waits for this socket any more.
    pub(crate) fn forget_waiting(&mut self, slot: Slot) {
        if let Some(arrears) = &mut self.arrears {
            arrears.waiting.retain(|waiting| waiting.slot != slot);
            self.forget_arrears();
        }
    }

    /// Tells those who wait for this level. Asked in every turn, and nearly always nobody waits.
    #[inline]
    pub(crate) fn reach(&mut self, level: Level, bound: Bound) {
        if self.arrears.is_some() {
            self.tell_waiting(level, bound);
        }
    }

    fn tell_waiting(&mut self, level: Level, bound: Bound) {
        let is_awaited = self.arrears.as_ref().is_some_and(|arrears| !arrears.waiting.is_empty());
        if !is_awaited
            || (level == Level::Half && !self.is_half_free(bound))
            || (level == Level::Empty && !self.is_empty())
        {
            return;
        }
        let Some(arrears) = &mut self.arrears else { return };
        for waiting in arrears.waiting.extract_if(.., |waiting| waiting.level == level) {
            // Who waited may have given up.
            let _ = waiting.told.send(());
        }
        self.forget_arrears();
    }

    fn is_half_free(&self, bound: Bound) -> bool {
        self.len() <= bound.packets / 2 && self.bytes <= bound.bytes / 2
    }

    /// Gives back what is kept of a client that has nothing waiting and nobody waiting for it.
    fn forget_arrears(&mut self) {
        if self.is_empty() && self.arrears.as_ref().is_some_and(|arrears| arrears.is_nothing()) {
            self.arrears = None;
        }
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

    pub(crate) fn queued(&self) -> Queued {
        let first = self.first.as_ref().or_else(|| self.rest.front());
        let arrears = self.arrears.as_deref();
        let oldest = first.zip(arrears).and_then(|(entry, arrears)| arrears.age(entry.at));
        let dropped = arrears.map_or(0, |arrears| arrears.dropped);
        Queued { packets: self.len(), bytes: self.bytes, oldest, dropped }
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

impl Arrears {
    /// What is queued now was queued so long after `since`. The clock is asked only while a client is behind.
    fn stamp(&self) -> u32 {
        let after = self.since.map_or(Duration::ZERO, |since| now().saturating_duration_since(since));
        u32::try_from(after.as_millis()).unwrap_or(u32::MAX)
    }

    fn age(&self, at: u32) -> Option<Duration> {
        let waiting = now().saturating_duration_since(self.since?);
        Some(waiting.saturating_sub(Duration::from_millis(at.into())))
    }

    /// Nothing waits any more.
    fn settle(&mut self) {
        (self.since, self.left, self.places) = (None, 0, HashMap::new());
    }

    fn is_nothing(&self) -> bool {
        self.dropped == 0 && self.waiting.is_empty()
    }
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
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
