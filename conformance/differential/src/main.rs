//! Our codecs and the official JavaScript ones, side by side on generated input.
//!
//! `sockeye-differential [CASES] [SEED]` asks `judge.mjs`, which it finds beside its own sources, and fails on the first
//! case in which the two differ other than on purpose. It prints what differed on purpose, and how often.

mod found;
mod tree;
mod judge;
mod corpus;
mod bodies;
mod wire;
mod packed;
mod payloads;
mod payloads_v3;
mod peers;
mod purpose;
mod decoding;
mod encoding;

use std::process::ExitCode;

use found::{Difference, Stricter};
use judge::Judge;
use sockeye_fuzz_targets::mutation::Random;

const CASES: usize = 3_000;
const SEED: u64 = 1;
/// After so many cases, some ten seconds, a run says that it is alive.
const TOLD: usize = 5_000;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let cases = words.first().and_then(|word| word.parse().ok()).unwrap_or(CASES);
    let seed = words.get(1).and_then(|word| word.parse().ok()).unwrap_or(SEED);
    match compare(cases, seed) {
        Ok(stricter) => {
            println!("{cases} cases of each kind, seed {seed}: no difference that is not on purpose");
            for (name, count) in stricter {
                println!("  on purpose: {name} ({count})");
            }
            ExitCode::SUCCESS
        }
        Err(difference) => {
            eprintln!("seed {seed}: {difference}");
            ExitCode::FAILURE
        }
    }
}

fn compare(cases: usize, seed: u64) -> Result<Stricter, Difference> {
    let mut judge = Judge::start()?;
    let mut random = Random::new(seed);
    let mut stricter = Stricter::new();
    for case in 0..cases {
        if case > 0 && case % TOLD == 0 {
            println!("seed {seed}: {case} of {cases} cases");
        }
        let told = |difference: Difference| format!("case {case}: {difference}");
        payloads::decode(&mut judge, &mut random, &mut stricter).map_err(told)?;
        payloads::encode(&mut judge, &mut random).map_err(told)?;
        payloads_v3::decode(&mut judge, &mut random, &mut stricter).map_err(told)?;
        payloads_v3::encode(&mut judge, &mut random).map_err(told)?;
        decoding::json(&mut judge, &mut random, &mut stricter).map_err(told)?;
        decoding::msgpack(&mut judge, &mut random, &mut stricter).map_err(told)?;
        encoding::packets(&mut judge, &mut random).map_err(told)?;
        encoding::others(&mut judge, &mut random).map_err(told)?;
    }
    Ok(stricter)
}
