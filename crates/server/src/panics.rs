//! Functions of the application that answer a question, and may panic.

use std::panic::{AssertUnwindSafe, catch_unwind};

use futures_util::FutureExt;

/// A function of the application panicked, so that its answer is not known. The log has its name, and nothing of what the
/// panic said, which may quote the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Panicked;

impl Panicked {
    fn new(hook: &'static str) -> Self {
        tracing::error!(hook, "a function of the application panicked");
        Self
    }
}

/// Calls a function of the application.
pub(crate) fn call<T>(hook: &'static str, function: impl FnOnce() -> T) -> Result<T, Panicked> {
    catch_unwind(AssertUnwindSafe(function)).map_err(|_| Panicked::new(hook))
}

/// Calls a function of the application that takes its time.
pub(crate) async fn call_slow<T, F>(hook: &'static str, function: impl FnOnce() -> F) -> Result<T, Panicked>
where
    F: Future<Output = T>,
{
    let answer = AssertUnwindSafe(async move { function().await }).catch_unwind();
    answer.await.map_err(|_| Panicked::new(hook))
}
