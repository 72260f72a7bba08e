//! Something in parts, each with a lock of its own, so that the threads of a server seldom wait for each other.

use std::hash::BuildHasher;

use hashbrown::DefaultHashBuilder;
use parking_lot::RwLock;

/// The parts; the hash of a name tells its part.
#[derive(Debug)]
pub(crate) struct Shards<T> {
    hasher: DefaultHashBuilder,
    shards: Box<[RwLock<T>]>,
}

impl<T: Default> Default for Shards<T> {
    fn default() -> Self {
        let shards = (0..count()).map(|_| RwLock::default()).collect();
        Self { hasher: DefaultHashBuilder::default(), shards }
    }
}

impl<T> Shards<T> {
    pub(crate) fn hash(&self, name: &str) -> u64 {
        self.hasher.hash_one(name)
    }

    /// The part for a hash.
    pub(crate) fn at(&self, hash: u64) -> &RwLock<T> {
        // The low bits choose a bucket inside of a table, the high ones its tag; these are neither.
        &self.shards[(hash >> 32) as usize & (self.shards.len() - 1)]
    }

    /// The part for a name.
    pub(crate) fn of(&self, name: &str) -> &RwLock<T> {
        self.at(self.hash(name))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &RwLock<T>> {
        self.shards.iter()
    }
}

/// Enough that the threads of a server seldom meet, and few enough that an empty namespace stays small. A power of two.
fn count() -> usize {
    let threads = std::thread::available_parallelism().map_or(4, std::num::NonZero::get);
    (threads * 4).next_power_of_two().min(64)
}
