//! `cargo xtask differential`: our codecs and the official JavaScript ones, side by side on generated input.

use crate::install;
use crate::shell::{self, Result};
use crate::workspace::Workspace;

/// `words`: how many cases of each kind, and the seed; a short run if nothing is said.
pub(crate) fn run(workspace: &Workspace, words: &[String]) -> Result {
    let folder = workspace.root.join("conformance");
    install::npm_packages(workspace, &folder)?;
    workspace.build()?;
    let program = workspace.program("sockeye-differential");
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    shell::run(&mut install::node_command(workspace, &folder, &program.to_string_lossy(), &words)?)
}
