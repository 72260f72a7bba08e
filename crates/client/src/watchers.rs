//! Those who are told of every event that is sent.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use parking_lot::RwLock;
use serde::Serialize;
use sockeye_protocol::{Args, OwnedArgs};

type Watcher = Arc<dyn Fn(&str, Args<'_>) + Send + Sync>;

/// The watchers of one client.
#[derive(Default)]
pub(crate) struct Watchers(RwLock<Vec<Watcher>>);

/// What they will be told of an event, once it is queued.
#[derive(Debug)]
pub(crate) struct Note {
    name: Box<str>,
    args: OwnedArgs,
}

impl Watchers {
    pub(crate) fn add(&self, watcher: impl Fn(&str, Args<'_>) + Send + Sync + 'static) {
        self.0.write().push(Arc::new(watcher));
    }

    /// Keeps what is told of an event; nothing if nobody wants to know.
    pub(crate) fn note<A: Serialize>(&self, name: &str, args: &A) -> Option<Note> {
        if self.0.read().is_empty() {
            return None;
        }
        // What cannot be encoded is not sent either, and whoever sends it is told.
        let args = OwnedArgs::encode(args).ok()?;
        Some(Note { name: name.into(), args })
    }

    /// Tells everybody. Their code must not run under the lock, nor end the sender by a panic.
    pub(crate) fn tell(&self, note: Option<&Note>) {
        let Some(Note { name, args }) = note else { return };
        let watchers = self.0.read().clone();
        for watcher in watchers {
            if std::panic::catch_unwind(AssertUnwindSafe(|| watcher(name, args.as_args()))).is_err() {
                tracing::error!("a watcher of `on_any_outgoing` panicked");
            }
        }
    }
}
