//! An allocator that counts. Its count is that of the process, so these tests run one at a time.

use std::alloc::System;
use std::sync::{Mutex, PoisonError};

use cap::Cap;

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

/// Held by the test that runs.
static ALONE: Mutex<()> = Mutex::new(());

/// Runs a test while no other one does, on a paused clock. It has a thread of its own, since buffers that a thread keeps
/// are freed when it has ended, which must not be while the next test counts.
pub(crate) fn alone(test: impl AsyncFnOnce() + Send) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let run = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(test());
    };
    let ended = std::thread::scope(|scope| scope.spawn(run).join());
    ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
}

/// Runs a test while no other one does, where time passes by itself, as it does for sockets of the system.
#[cfg(any(feature = "tls", feature = "webtransport"))]
pub(crate) fn live(test: impl Future<Output = ()>) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
}

/// Bytes allocated and not freed.
pub(crate) fn allocated() -> usize {
    ALLOCATOR.allocated()
}

/// Bytes allocated since the beginning, freed or not: a measure of work that no clock disturbs.
pub(crate) fn allocated_in_all() -> usize {
    ALLOCATOR.total_allocated()
}

/// Runs `work`: its output, and how many bytes it had allocated at a time, at most.
pub(crate) async fn peak<F: Future>(work: F) -> (F::Output, usize) {
    // The allocator's highest mark cannot be put back. What is missing to it is held meanwhile, and never touched.
    let ballast = Vec::<u8>::with_capacity(ALLOCATOR.max_allocated() - ALLOCATOR.allocated());
    std::hint::black_box(&ballast);
    let before = ALLOCATOR.max_allocated();
    let output = work.await;
    let peak = ALLOCATOR.max_allocated() - before;
    drop(ballast);
    (output, peak)
}

#[test]
fn the_peak_is_counted() {
    alone(async || {
        for most in [3_000_000, 1_000_000, 2_000_000] {
            let ((), peak) = peak(async {
                for size in [most / 2, most, 10] {
                    std::hint::black_box(vec![1_u8; size]);
                }
            })
            .await;
            // The threads of tests that wait for their turn take a little, too.
            assert!(peak.abs_diff(most) < 100_000, "{most}: {peak}");
        }
    });
}
