//! Requests that were refused: the options write them down, a handler reads them out.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Code and message of each.
pub(crate) type Refused = Arc<Mutex<Vec<(u8, String)>>>;

pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
