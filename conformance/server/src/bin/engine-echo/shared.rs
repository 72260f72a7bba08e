//! What all connections share.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sockeye_engine::Config;

use crate::session::Link;

/// Configuration, and the sessions by id.
pub(crate) struct Shared {
    pub(crate) config: Arc<Config>,
    sessions: Mutex<HashMap<String, Link>>,
}

impl Shared {
    pub(crate) fn new(config: Arc<Config>) -> Self {
        Self { config, sessions: Mutex::default() }
    }

    pub(crate) fn sessions(&self) -> MutexGuard<'_, HashMap<String, Link>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
