//! What must never be: counted, and the first of it told.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};

/// So many are told in words.
const TOLD: usize = 20;

/// Invariants that did not hold.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    count: AtomicU64,
    first: Mutex<Vec<String>>,
}

impl Faults {
    pub(crate) fn add(&self, fault: String) {
        self.count.fetch_add(1, Ordering::Relaxed);
        let mut first = self.first.lock().expect("nothing panics under this lock");
        if first.len() < TOLD {
            first.push(fault);
        }
    }

    pub(crate) fn to_json(&self) -> Value {
        let first = self.first.lock().expect("nothing panics under this lock").clone();
        json!({ "count": self.count.load(Ordering::Relaxed), "first": first })
    }
}
