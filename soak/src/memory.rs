//! The allocator of the binary `sockeye`, with a count of what is allocated.

use cap::Cap;
use mimalloc::MiMalloc;

#[global_allocator]
static ALLOCATOR: Cap<MiMalloc> = Cap::new(MiMalloc, usize::MAX);

/// Bytes allocated and not freed.
pub(crate) fn allocated() -> usize {
    ALLOCATOR.allocated()
}
