//! A paused clock beside a real network: it stands while datagrams travel, and moves as far as the test says.

use std::pin::pin;
use std::sync::mpsc;
use std::task::Poll;
use std::time::Duration;

use tokio::task::{spawn_blocking, yield_now};

/// How often everything else may run before time is what is waited for. Datagrams need no time on the way to the same
/// thread.
const TURNS: usize = 200;
/// Time passes in steps, so that what is due happens in its order.
const STEP: Duration = Duration::from_millis(50);

/// While it is there, a paused clock does not run ahead when everything waits: it may be for a datagram.
pub(crate) struct Still {
    _until_dropped: mpsc::Sender<()>,
}

impl Still {
    pub(crate) fn new() -> Self {
        let (sender, receiver) = mpsc::channel::<()>();
        // The runtime does not advance its clock while something blocks.
        spawn_blocking(move || receiver.recv().is_err());
        Self { _until_dropped: sender }
    }
}

/// What comes of it. Time passes by the millisecond, and only when nothing happens without: an acknowledgement may be
/// delayed.
pub(crate) async fn moving<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    loop {
        for _ in 0..TURNS {
            if let Poll::Ready(output) = std::future::poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await {
                return output;
            }
            yield_now().await;
        }
        tokio::time::advance(Duration::from_millis(1)).await;
    }
}

/// Lets everything run that needs no time.
pub(crate) async fn settle() {
    for _ in 0..TURNS {
        yield_now().await;
    }
}

/// Lets time pass.
pub(crate) async fn advance(time: Duration) {
    let mut left = time;
    while !left.is_zero() {
        let step = left.min(STEP);
        tokio::time::advance(step).await;
        settle().await;
        left -= step;
    }
}
