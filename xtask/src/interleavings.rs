//! `cargo xtask interleavings`: the locks of the server under a scheduler that tries one order after the other.

use crate::shell::{self, Result};
use crate::workspace::Workspace;

/// Built apart from everything else: with the flag, locks work only under that scheduler.
pub(crate) fn run(workspace: &Workspace) -> Result {
    let mut test = shell::cargo(&workspace.root, ["test", "--package", "sockeye", "--lib", "interleavings"]);
    test.env("RUSTFLAGS", "--cfg shuttle").env("CARGO_TARGET_DIR", workspace.target.join("shuttle"));
    shell::run(&mut test)
}
