//! Letting everything run.

/// Turns after which everything that can run has run: a message passes through a handful of tasks.
const TURNS: usize = 48;

/// Lets everything run that can run without time passing.
pub async fn settle() {
    for _ in 0..TURNS {
        tokio::task::yield_now().await;
    }
}
