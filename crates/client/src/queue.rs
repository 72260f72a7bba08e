//! What one client wants to send: offline, or until the transport takes it. Bounded in bytes and packets.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use smol_str::SmolStr;
use sockeye_protocol::event::{AckError, Asker, EmitError};
use sockeye_protocol::{AckId, AckTable, Outgoing};

use crate::config::{Limits, WhenFull};

/// What a packet that waits costs beyond its bytes.
const OVERHEAD: usize = 96;

/// An event, or the answer to one, on its way out.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) packet: Outgoing,
    pub(crate) kind: Kind,
}

/// What becomes of a packet besides being sent.
#[derive(Debug)]
pub(crate) enum Kind {
    /// An answer is wanted until `deadline`.
    Asking { id: AckId, deadline: Instant },
    /// Nothing. `on_error` is told its name if it turns out to be more than the server takes.
    Plain { event: SmolStr },
    /// The answer to an event of one connection: later ones would not understand it.
    Reply,
    /// Sent again until it is acknowledged, each time after `timeout`.
    Retried { id: AckId, timeout: Duration, awaiting: Awaiting },
}

/// Who is told how an event ended which is sent until it is acknowledged.
#[derive(Debug)]
pub(crate) enum Awaiting {
    Asker(Asker),
    /// It was emitted: `on_error` is told its name if it is given up.
    Nobody {
        event: Box<str>,
    },
}

/// Packets in the order in which they were emitted.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    items: VecDeque<Item>,
    /// Sum of `cost` over `items`.
    bytes: usize,
    /// Who waits for the answers to events which have not been sent yet.
    askers: AckTable<Asker>,
    /// How many wait for the answers to events which have been sent.
    asked: usize,
    /// Events that were given up because there was no room.
    dropped: u64,
}

impl Queue {
    /// Adds an event.
    ///
    /// # Errors
    /// [`EmitError::Full`], by the policy of `limits`.
    pub(crate) fn push(&mut self, item: Item, asker: Option<Asker>, limits: &Limits) -> Result<(), EmitError> {
        if !self.make_room(&item, limits)? {
            // A dropped asker says that no answer will come.
            return asker.map_or(Ok(()), |_| Err(EmitError::Full));
        }
        if let (Kind::Asking { id, deadline }, Some(asker)) = (&item.kind, asker) {
            if self.asked + self.askers.len() >= limits.max_pending_acks {
                self.askers.retain(Asker::is_wanted);
            }
            if self.asked + self.askers.len() >= limits.max_pending_acks
                || self.askers.register(*id, *deadline, asker).is_err()
            {
                return Err(EmitError::Full);
            }
        }
        self.bytes = self.bytes.saturating_add(cost(&item));
        self.items.push_back(item);
        Ok(())
    }

    /// The next item, and who waits for its answer.
    pub(crate) fn pop(&mut self) -> Option<(Item, Option<Asker>)> {
        let item = self.items.pop_front()?;
        self.forget(&item);
        let asker = item.kind.asking().and_then(|(id, _)| self.askers.settle(id));
        self.asked += usize::from(asker.is_some());
        Some((item, asker))
    }

    /// Tells those whose answer cannot come in time any more; what they wanted to send is not sent.
    pub(crate) fn expire(&mut self, now: Instant) {
        if self.askers.next_deadline().is_none_or(|deadline| deadline > now) {
            return;
        }
        while let Some(asker) = self.askers.expire(now) {
            asker.fail(AckError::Timeout);
        }
        self.items.retain(|item| item.kind.asking().is_none_or(|(_, deadline)| deadline > now));
        self.bytes = self.items.iter().map(cost).sum();
    }

    /// The connection is gone: answers to its events mean nothing to the next one.
    pub(crate) fn drop_replies(&mut self) {
        self.items.retain(|item| !matches!(item.kind, Kind::Reply));
        self.bytes = self.items.iter().map(cost).sum();
    }

    /// Forgets everything; those who wait are told that the client is disconnected. How many events were lost.
    pub(crate) fn clear(&mut self) -> usize {
        let lost = self.items.len();
        for asker in self.askers.drain() {
            asker.fail(AckError::Disconnected);
        }
        self.items = VecDeque::new();
        self.bytes = 0;
        lost
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// So many answers are still waited for of what has been sent.
    pub(crate) fn note_asked(&mut self, asked: usize) {
        self.asked = asked;
    }

    /// Packets and bytes that wait.
    pub(crate) fn waiting(&self) -> (usize, usize) {
        (self.items.len(), self.bytes)
    }

    /// Whether another event, however small, would fit.
    pub(crate) fn has_room(&self, limits: &Limits) -> bool {
        self.items.is_empty() || (self.items.len() < limits.queue_packets && self.bytes < limits.queue_bytes)
    }

    pub(crate) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Counts an event which was given up elsewhere.
    pub(crate) fn count_dropped(&mut self) {
        self.dropped += 1;
    }

    /// The earliest moment at which [`Self::expire`] has something to do.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.askers.next_deadline()
    }

    /// Whether there is room for the item; if not, and that is no error, it is to be dropped.
    fn make_room(&mut self, item: &Item, limits: &Limits) -> Result<bool, EmitError> {
        // One packet always fits: what the application sends in one piece is its own decision.
        let fits = |queue: &Self| {
            queue.items.is_empty()
                || (queue.items.len() < limits.queue_packets
                    && queue.bytes.saturating_add(cost(item)) <= limits.queue_bytes)
        };
        if fits(self) {
            return Ok(true);
        }
        match limits.when_full {
            WhenFull::Fail => Err(EmitError::Full),
            WhenFull::DropNew => {
                self.dropped += 1;
                Ok(false)
            }
            WhenFull::DropOldest => {
                while !fits(self) {
                    // An asker which leaves with its item says that no answer will come.
                    drop(self.pop());
                    self.dropped += 1;
                }
                Ok(true)
            }
        }
    }

    fn forget(&mut self, item: &Item) {
        self.bytes = self.bytes.saturating_sub(cost(item));
        if self.items.is_empty() {
            self.items = VecDeque::new();
        }
    }
}

impl Kind {
    /// Which answer is wanted, and until when.
    fn asking(&self) -> Option<(AckId, Instant)> {
        match self {
            Self::Asking { id, deadline } => Some((*id, *deadline)),
            Self::Plain { .. } | Self::Reply | Self::Retried { .. } => None,
        }
    }
}

fn cost(item: &Item) -> usize {
    item.packet.messages().map(|message| message.size() + OVERHEAD).sum()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use sockeye_engine::Encoded;
    use sockeye_protocol::event::Pending;

    use super::*;

    fn item(text: &str) -> Item {
        let packet = Outgoing { first: Encoded::text(text), attachments: None };
        Item { packet, kind: Kind::Plain { event: "event".into() } }
    }

    fn ask(queue: &mut Queue, id: u64, deadline: Instant) -> Pending {
        let (asker, pending) = Asker::new();
        let item = Item { kind: Kind::Asking { id: AckId(id), deadline }, ..item("ask") };
        queue.push(item, Some(asker), &limits(10, WhenFull::Fail)).unwrap();
        pending
    }

    fn limits(packets: usize, when_full: WhenFull) -> Limits {
        Limits { queue_packets: packets, when_full, ..Limits::default() }
    }

    fn texts(queue: &mut Queue) -> Vec<String> {
        let pop = || queue.pop().map(|(item, _)| String::from_utf8(item.packet.first.packet()[1..].to_vec()).unwrap());
        std::iter::from_fn(pop).collect()
    }

    #[test]
    fn policies_of_a_full_queue() {
        for (policy, left, dropped) in
            [(WhenFull::Fail, ["a", "b"], 0), (WhenFull::DropNew, ["a", "b"], 1), (WhenFull::DropOldest, ["b", "c"], 1)]
        {
            let mut queue = Queue::default();
            let limits = limits(2, policy);
            let pushed: Vec<_> = ["a", "b", "c"].map(|text| queue.push(item(text), None, &limits).is_ok()).into();
            assert_eq!(pushed, [true, true, policy != WhenFull::Fail]);
            assert!(!queue.has_room(&limits));
            assert_eq!((texts(&mut queue), queue.dropped(), queue.bytes), (left.map(String::from).into(), dropped, 0));
        }
    }

    #[test]
    fn bytes_are_bounded_but_one_packet_always_fits() {
        let mut queue = Queue::default();
        let limits = Limits { queue_bytes: 1000, ..Limits::default() };
        queue.push(item(&"x".repeat(5000)), None, &limits).unwrap();
        assert!(queue.push(item("y"), None, &limits).unwrap_err().is_full());
    }

    #[test]
    fn a_question_that_times_out_is_never_sent() {
        let now = Instant::now();
        let mut queue = Queue::default();
        let mut early = ask(&mut queue, 1, now + Duration::from_secs(1));
        let mut late = ask(&mut queue, 2, now + Duration::from_secs(3));
        assert_eq!(queue.next_deadline(), Some(now + Duration::from_secs(1)));
        queue.expire(now + Duration::from_secs(2));
        assert!(matches!(early.try_recv(), Ok(Some(Err(AckError::Timeout)))));
        assert!(matches!(late.try_recv(), Ok(None)));
        let (item, asker) = queue.pop().unwrap();
        assert_eq!((item.kind.asking().unwrap().0, asker.is_some(), queue.bytes), (AckId(2), true, 0));
    }

    #[test]
    fn the_end_is_told() {
        let mut queue = Queue::default();
        let mut pending = ask(&mut queue, 1, Instant::now());
        let reply = Item { kind: Kind::Reply, ..item("reply") };
        queue.push(reply, None, &Limits::default()).unwrap();
        queue.drop_replies();
        assert_eq!(queue.waiting().0, 1);
        assert_eq!(queue.clear(), 1);
        assert!(matches!(pending.try_recv(), Ok(Some(Err(AckError::Disconnected)))));
        assert_eq!(queue.waiting(), (0, 0));
    }

    #[test]
    fn a_question_without_room_is_an_error_whatever_the_policy() {
        let mut queue = Queue::default();
        let limits = limits(1, WhenFull::DropNew);
        queue.push(item("a"), None, &limits).unwrap();
        let (asker, _pending) = Asker::new();
        assert!(queue.push(item("b"), Some(asker), &limits).is_err());
    }
}
