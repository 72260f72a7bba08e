//! Shared things by their names: sessions and members by their ids.

use std::sync::Arc;

use hashbrown::HashTable;
use hashbrown::hash_table::OccupiedEntry;

use crate::shards::Shards;
use crate::spare;

/// What has a name that never changes.
pub(crate) trait Named {
    fn name(&self) -> &str;
}

/// Finds things by their names.
#[derive(Debug)]
pub(crate) struct Table<T>(Shards<HashTable<Arc<T>>>);

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self(Shards::default())
    }
}

impl<T: Named> Table<T> {
    /// Adds something; false if its name is taken.
    pub(crate) fn insert(&self, item: &Arc<T>) -> bool {
        let hash = self.0.hash(item.name());
        let mut shard = self.0.at(hash).write();
        let is_new = shard.find(hash, |other| other.name() == item.name()).is_none();
        if is_new {
            shard.insert_unique(hash, Arc::clone(item), |item| self.0.hash(item.name()));
        }
        is_new
    }

    /// Adds something whose name nobody else has.
    pub(crate) fn add(&self, item: &Arc<T>) {
        let hash = self.0.hash(item.name());
        self.0.at(hash).write().insert_unique(hash, Arc::clone(item), |item| self.0.hash(item.name()));
    }

    /// Takes something out; false if it was not there.
    pub(crate) fn remove(&self, item: &Arc<T>) -> bool {
        let hash = self.0.hash(item.name());
        let mut shard = self.0.at(hash).write();
        let found = shard.find_entry(hash, |other| Arc::ptr_eq(other, item));
        let was_there = found.map(OccupiedEntry::remove).is_ok();
        if let Some(fit) = spare::fit(shard.len(), shard.capacity()) {
            shard.shrink_to(fit, |item| self.0.hash(item.name()));
        }
        was_there
    }

    pub(crate) fn get(&self, name: &str) -> Option<Arc<T>> {
        let hash = self.0.hash(name);
        self.0.at(hash).read().find(hash, |item| item.name() == name).cloned()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.iter().map(|shard| shard.read().len()).sum()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.iter().all(|shard| shard.read().is_empty())
    }

    /// Calls `f` for everything, one shard locked at a time.
    pub(crate) fn for_each(&self, mut f: impl FnMut(&Arc<T>)) {
        for shard in self.0.iter() {
            shard.read().iter().for_each(&mut f);
        }
    }

    pub(crate) fn all(&self) -> Vec<Arc<T>> {
        let mut all = Vec::new();
        self.for_each(|item| all.push(Arc::clone(item)));
        all
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Counts how often it is asked for its name.
    struct Counted(String, Arc<AtomicUsize>);

    impl Named for Counted {
        fn name(&self) -> &str {
            self.1.fetch_add(1, Ordering::Relaxed);
            &self.0
        }
    }

    #[test]
    fn a_hundred_thousand_are_added_found_and_removed_in_constant_time() {
        const MANY: usize = 100_000;
        let (asked, table) = (Arc::default(), Table::default());
        let items: Vec<_> = (0..MANY).map(|n| Arc::new(Counted(n.to_string(), Arc::clone(&asked)))).collect();
        for item in &items {
            assert!(table.insert(item));
        }
        for item in &items {
            assert!(table.get(&item.0).is_some_and(|found| Arc::ptr_eq(&found, item)));
        }
        for item in &items {
            assert!(table.remove(item) && !table.remove(item));
        }
        let asked = asked.load(Ordering::Relaxed);
        assert!(table.is_empty() && asked < 12 * MANY, "{asked} names were read");
    }
}
