//! Who is told of what is sent to a socket.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use sockeye_protocol::Args;

/// Is told of an event that was sent to a socket.
pub(crate) type OutgoingHook = Arc<dyn Fn(&str, Args<'_>) + Send + Sync>;

/// Those who are told. Small while there is nobody.
#[derive(Default)]
pub(crate) struct Outgoing(OnceLock<Box<Mutex<Vec<OutgoingHook>>>>);

impl Outgoing {
    /// Whether somebody is told.
    pub(crate) fn is_watched(&self) -> bool {
        self.0.get().is_some()
    }

    pub(crate) fn add(&self, hook: OutgoingHook) {
        self.0.get_or_init(Box::default).lock().push(hook);
    }

    /// Tells of an event that was sent. Hold no lock.
    pub(crate) fn tell(&self, event: &str, args: Args<'_>) {
        let hooks = self.0.get().map(|hooks| hooks.lock().clone()).unwrap_or_default();
        for hook in hooks {
            // The others are to be told, and whoever sends has nothing to do with it.
            if std::panic::catch_unwind(AssertUnwindSafe(|| hook(event, args))).is_err() {
                tracing::error!("a watcher of `on_any_outgoing` panicked");
            }
        }
    }

    /// Forgets who is told: they may hold the socket itself.
    pub(crate) fn forget(&self) {
        if let Some(hooks) = self.0.get() {
            // They are dropped when the lock is released: that is code of the application.
            let gone = std::mem::take(&mut *hooks.lock());
            drop(gone);
        }
    }
}
