//! What can be fuzzed.

/// One thing to fuzz.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, which is that of the program in `fuzz/fuzz_targets` too.
    pub name: &'static str,
    /// Panics if the input shows a fault.
    pub run: fn(&[u8]),
    /// Inputs to begin with: at least one for each kind of thing that is understood.
    pub seeds: &'static [&'static [u8]],
    /// How many mutations of each seed an ordinary test tries: fewer where a run is slow.
    pub mutations: u32,
}
