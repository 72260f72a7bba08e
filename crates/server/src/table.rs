//! Sessions by their id.

use std::hash::BuildHasher;
use std::sync::Arc;

use hashbrown::{DefaultHashBuilder, HashTable};
use parking_lot::RwLock;

use crate::link::Link;
use crate::spare;

/// Number of parts, each with a lock of its own.
const SHARDS: usize = 16;

/// The links of all sessions of a server, found by session id.
#[derive(Debug)]
pub(crate) struct Table {
    hasher: DefaultHashBuilder,
    shards: [RwLock<HashTable<Arc<Link>>>; SHARDS],
}

impl Default for Table {
    fn default() -> Self {
        Self { hasher: DefaultHashBuilder::default(), shards: std::array::from_fn(|_| RwLock::default()) }
    }
}

impl Table {
    /// Adds a session; false if its id is taken.
    pub(crate) fn insert(&self, link: &Arc<Link>) -> bool {
        let hash = self.hash(link.sid.as_str());
        let mut shard = self.shard(hash).write();
        if shard.find(hash, |other| other.sid == link.sid).is_some() {
            return false;
        }
        shard.insert_unique(hash, Arc::clone(link), |link| self.hash(link.sid.as_str()));
        true
    }

    pub(crate) fn remove(&self, link: &Arc<Link>) {
        let hash = self.hash(link.sid.as_str());
        let mut shard = self.shard(hash).write();
        if let Ok(found) = shard.find_entry(hash, |other| Arc::ptr_eq(other, link)) {
            found.remove();
        }
        if let Some(fit) = spare::fit(shard.len(), shard.capacity()) {
            shard.shrink_to(fit, |link| self.hash(link.sid.as_str()));
        }
    }

    pub(crate) fn get(&self, sid: &str) -> Option<Arc<Link>> {
        let hash = self.hash(sid);
        self.shard(hash).read().find(hash, |link| link.sid.as_str() == sid).cloned()
    }

    pub(crate) fn all(&self) -> Vec<Arc<Link>> {
        self.shards.iter().flat_map(|shard| shard.read().iter().cloned().collect::<Vec<_>>()).collect()
    }

    fn hash(&self, sid: &str) -> u64 {
        self.hasher.hash_one(sid)
    }

    fn shard(&self, hash: u64) -> &RwLock<HashTable<Arc<Link>>> {
        &self.shards[(hash >> 32) as usize % SHARDS]
    }
}
