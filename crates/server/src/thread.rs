//! What a socket must remember to be recovered.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use smol_str::SmolStr;

/// From the connection of a socket to the next one of the same client. It changes while the log is locked.
#[derive(Debug)]
pub(crate) struct Thread {
    pub(crate) pid: SmolStr,
    /// Number of the first event it could get.
    pub(crate) start: u64,
    /// One more than the number of the last event that was meant for it.
    pub(crate) end: AtomicU64,
    /// Whether it is one that came back.
    pub(crate) recovered: bool,
    forsaken: AtomicBool,
}

impl Thread {
    pub(crate) fn new(pid: SmolStr, start: u64, end: u64, recovered: bool) -> Self {
        Self { pid, start, end: AtomicU64::new(end), recovered, forsaken: AtomicBool::new(false) }
    }

    /// The event of this number is meant for it.
    pub(crate) fn note_meant(&self, number: u64) {
        self.end.store(number + 1, Ordering::Relaxed);
    }

    /// It is told to leave, and does not come back whatever ends its connection first.
    pub(crate) fn forsake(&self) {
        self.forsaken.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_forsaken(&self) -> bool {
        self.forsaken.load(Ordering::Relaxed)
    }
}
