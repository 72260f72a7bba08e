//! `cargo xtask bench`: our server and its peers side by side. The load generator builds, starts and measures them.

use crate::install;
use crate::shell::{self, Result};
use crate::workspace::Workspace;

/// The first word that asks for instruction counts instead of times.
const INSTRUCTIONS: &str = "instructions";
const COUNT: [&str; 6] = ["run", "--release", "--quiet", "--package", "sockeye-bench-instructions", "--"];
const LOAD: [&str; 6] = ["run", "--release", "--quiet", "--package", "sockeye-bench", "--"];

/// `words` are passed to the load generator; `--help` lists what it knows.
pub(crate) fn run(workspace: &Workspace, words: &[String]) -> Result {
    let root = &workspace.root;
    if let Some((INSTRUCTIONS, rest)) = words.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        return instructions(workspace, rest);
    }
    // A peer which cannot be installed is absent from the table; the others are still worth measuring.
    let command = install::npm_packages(workspace, &root.join("bench/peers/node"))
        .and_then(|()| install::node_command(workspace, root, "cargo", &LOAD));
    let mut command = command.unwrap_or_else(|failure| {
        println!("{failure}");
        shell::cargo(root, LOAD)
    });
    shell::run(command.args(words))
}

/// Counts the instructions of the hot paths and compares them with the file in the repository.
pub(crate) fn instructions(workspace: &Workspace, words: &[String]) -> Result {
    install::valgrind(workspace)?;
    shell::run(shell::cargo(&workspace.root, COUNT).args(words))
}
