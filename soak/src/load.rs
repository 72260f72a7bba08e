//! What all clients of a process share.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::faults::Faults;
use crate::profile::Profile;
use crate::quic::Quic;
use crate::veil::Veil;

/// Where to, how, and what came of it.
pub(crate) struct Load {
    pub(crate) server: SocketAddr,
    /// Where it speaks TLS, and how.
    pub(crate) tls: SocketAddr,
    pub(crate) veil: Arc<Veil>,
    pub(crate) quic: Arc<Quic>,
    pub(crate) profile: Profile,
    pub(crate) seed: u64,
    /// Number of clients, and of the first.
    pub(crate) clients: u64,
    pub(crate) first: u64,
    /// Each client has had so many lives before.
    pub(crate) lives: u64,
    /// 0 for those who are awake, 1 for those whose process is stopped now and then.
    pub(crate) group: usize,
    pub(crate) rooms: u64,
    pub(crate) over: watch::Sender<bool>,
    pub(crate) faults: Faults,
    pub(crate) seen: Seen,
}

/// What clients have seen.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) lives: Count,
    pub(crate) acked: Count,
    pub(crate) said: Count,
    pub(crate) answers: Count,
    /// Answers in the other namespace; lives that came back to what they missed; those that the server ended.
    pub(crate) echoes: Count,
    pub(crate) recovered: Count,
    pub(crate) dropped: Count,
    /// Lives that ended before they were meant to.
    cut: Count,
    /// Those of them that should have ended in order, and the first reasons.
    cut_orderly: Count,
    reasons: Mutex<Vec<String>>,
}

/// A counter.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn up(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Load {
    pub(crate) fn is_over(&self) -> bool {
        *self.over.borrow()
    }

    /// Waits, or until the load is to stop.
    pub(crate) async fn pause(&self, time: Duration) {
        // That the time is up is the usual case.
        let _ = timeout(time, self.over.subscribe().wait_for(|over| *over)).await;
    }

    /// A life ended before it was meant to.
    pub(crate) fn cut(&self, orderly: bool, error: &io::Error) {
        self.seen.cut.up();
        if orderly {
            self.seen.cut_orderly.up();
            let mut reasons = self.seen.reasons.lock().expect("nothing panics under this lock");
            let reason = error.to_string();
            if reasons.len() < 10 && !reasons.contains(&reason) {
                reasons.push(reason);
            }
        }
    }

    pub(crate) fn report(&self) -> Value {
        let seen = &self.seen;
        json!({
            "faults": self.faults.to_json(),
            "lives": seen.lives.get(), "acked": seen.acked.get(), "heard": seen.said.get(),
            "answered": seen.answers.get(),
            "echoes": seen.echoes.get(), "recovered": seen.recovered.get(), "dropped": seen.dropped.get(),
            "cut": seen.cut.get(), "cut though orderly": seen.cut_orderly.get(),
            "by": *seen.reasons.lock().expect("nothing panics under this lock"),
        })
    }
}
