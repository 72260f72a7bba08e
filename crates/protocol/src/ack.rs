//! Acks that are waited for.                                                             [SIO5 "acknowledgement"]

use std::collections::{BTreeMap, BTreeSet};

use sockeye_engine::time::Instant;

/// Id of an acknowledgement, unique in its namespace while it is waited for.
///
/// JS peers hold it in a double: ids above 2^53 come back changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AckId(pub u64);

/// Who waits for which ack, until when. Each `W` leaves exactly once: by `settle`, `expire`, `retain` or `drain`.
///
/// Two ordered trees rather than a hash map and a heap: nothing stale stays behind, an empty table holds no memory, and
/// every step is O(log n).
#[derive(Debug)]
pub struct AckTable<W> {
    waiters: BTreeMap<AckId, (Instant, W)>,
    /// One entry for each of `waiters`.
    deadlines: BTreeSet<(Instant, AckId)>,
}

impl<W> AckTable<W> {
    /// An empty table; allocates nothing.
    pub const fn new() -> Self {
        Self { waiters: BTreeMap::new(), deadlines: BTreeSet::new() }
    }

    /// Registers; gives back `waiter` if the id is taken.
    ///
    /// # Errors
    /// The waiter itself: an ack with this id is waited for already.
    pub fn register(&mut self, id: AckId, deadline: Instant, waiter: W) -> Result<(), W> {
        if self.waiters.contains_key(&id) {
            return Err(waiter);
        }
        self.waiters.insert(id, (deadline, waiter));
        self.deadlines.insert((deadline, id));
        Ok(())
    }

    /// The ack arrived. `None` if nobody waits for it (any more).
    pub fn settle(&mut self, id: AckId) -> Option<W> {
        let (deadline, waiter) = self.waiters.remove(&id)?;
        self.deadlines.remove(&(deadline, id));
        Some(waiter)
    }

    /// One waiter whose deadline has passed, the earliest first; call until `None`.
    pub fn expire(&mut self, now: Instant) -> Option<W> {
        let &(deadline, id) = self.deadlines.first()?;
        if deadline > now {
            return None;
        }
        self.settle(id)
    }

    /// Forgets waiters which nobody waits for any more.
    pub fn retain(&mut self, mut keep: impl FnMut(&W) -> bool) {
        let deadlines = &mut self.deadlines;
        self.waiters.retain(|id, (deadline, waiter)| {
            let keep = keep(waiter);
            if !keep {
                deadlines.remove(&(*deadline, *id));
            }
            keep
        });
    }

    /// Empties the table. Those not taken from the iterator are dropped.
    pub fn drain(&mut self) -> impl Iterator<Item = W> + use<W> {
        self.deadlines.clear();
        std::mem::take(&mut self.waiters).into_values().map(|(_, waiter)| waiter)
    }

    /// How many are waited for.
    pub fn len(&self) -> usize {
        self.waiters.len()
    }

    /// Whether none is waited for.
    pub fn is_empty(&self) -> bool {
        self.waiters.is_empty()
    }

    /// The earliest deadline.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|&(deadline, _)| deadline)
    }
}

impl<W> Default for AckTable<W> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use sockeye_engine::time::Duration;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Drain,
        Expire(u64),
        Register(u64, u64),
        Retain(u64),
        Settle(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            1 => Just(Step::Drain),
            4 => (0..40_u64).prop_map(Step::Expire),
            8 => (0..12_u64, 0..40_u64).prop_map(|(id, at)| Step::Register(id, at)),
            1 => (1..4_u64).prop_map(Step::Retain),
            6 => (0..12_u64).prop_map(Step::Settle),
        ]
    }

    proptest! {
        /// Against a plain list: nobody is lost, nobody leaves twice, the earliest deadline is right.
        #[test]
        fn behaves_like_a_list(steps in proptest::collection::vec(step(), 0..60)) {
            let start = Instant::now();
            let at = |seconds| start + Duration::from_secs(seconds);
            let mut table = AckTable::new();
            let mut model = BTreeMap::<u64, u64>::new();
            for step in steps {
                match step {
                    Step::Register(id, time) => {
                        let taken = model.contains_key(&id);
                        prop_assert_eq!(table.register(AckId(id), at(time), id).is_err(), taken);
                        model.entry(id).or_insert(time);
                    }
                    Step::Settle(id) => prop_assert_eq!(table.settle(AckId(id)).is_some(), model.remove(&id).is_some()),
                    Step::Expire(now) => {
                        while let Some(id) = table.expire(at(now)) {
                            prop_assert!(model.remove(&id).is_some_and(|time| time <= now));
                        }
                        prop_assert!(model.values().all(|&time| time > now));
                    }
                    Step::Retain(by) => {
                        table.retain(|id| id % by == 0);
                        model.retain(|id, _| id % by == 0);
                    }
                    Step::Drain => {
                        prop_assert!(table.drain().eq(std::mem::take(&mut model).into_keys()));
                    }
                }
                prop_assert_eq!(table.len(), model.len());
                prop_assert_eq!(table.is_empty(), model.is_empty());
                prop_assert_eq!(table.next_deadline(), model.values().min().map(|&time| at(time)));
            }
        }
    }

    #[test]
    fn an_empty_table_is_small() {
        assert!(size_of::<AckTable<Box<()>>>() <= 48);
    }
}
