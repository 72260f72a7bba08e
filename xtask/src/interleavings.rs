//! `cargo xtask interleavings`: the locks of the server under a scheduler that tries one order after the other.

use crate::shell::{self, Result};
use crate::workspace::Workspace;

/// `words`: how many orders are tried for each test; a short run if nothing is said.
///
/// Built apart from everything else: with the flag, locks work only under that scheduler.
pub(crate) fn run(workspace: &Workspace, words: &[String]) -> Result {
    let mut test = shell::cargo(&workspace.root, ["test", "--package", "sockeye", "--lib", "interleavings"]);
    test.env("RUSTFLAGS", "--cfg shuttle").env("CARGO_TARGET_DIR", workspace.target.join("shuttle"));
    if let Some(runs) = words.first() {
        test.env("SOCKEYE_INTERLEAVINGS", runs);
    }
    shell::run(&mut test)
}
