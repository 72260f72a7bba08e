//! Ids that nobody can guess.

use smol_str::SmolStr;
use sockeye_engine::Sid;

/// 22 characters, 128 bits from a cryptographic source.
///
/// # Panics
/// When the operating system has no randomness to give, where no safe id can be made.
pub(crate) fn random_id() -> SmolStr {
    let mut random = [0; 16];
    getrandom::fill(&mut random).expect("the operating system has randomness to give");
    SmolStr::new(Sid::from_random(random).as_str())
}
