//! `cargo xtask soak`: thousands of clients that misbehave, and what must be true meanwhile and afterwards.

use std::process::Command;

use crate::shell::{self, Failure, Result};
use crate::workspace::Workspace;

/// Small and quick: what must be true is the same.
const SMOKE: [&str; 9] = ["run", "--clients", "200", "--heartbeat", "1", "--warm-up", "2", "--seconds", "6"];
/// With an odd seed nobody comes back, and nothing is kept for those who were killed.
const SMOKE_WAVES: [&str; 9] = ["waves", "--waves", "5", "--clients", "500", "--heartbeat", "1", "--seed", "1"];
/// Seconds of a run if nothing is said.
const MINUTE: u64 = 60;

/// `words`: `--minutes N`, or `--waves N` of clients that connect and are killed; `--clients N`, `--seed N`.
pub(crate) fn run(workspace: &Workspace, words: &[String]) -> Result {
    let words = translate(words)?;
    shell::run(&mut shell::cargo(&workspace.root, ["build", "--release", "--package", "sockeye-soak"]))?;
    shell::run(Command::new(workspace.target.join("release/sockeye-soak")).args(words))
}

/// For the test: some seconds, in the profile in which everything else is built.
pub(crate) fn smoke(workspace: &Workspace) -> Result {
    workspace.build()?;
    shell::run(Command::new(workspace.program("sockeye-soak")).args(SMOKE))?;
    shell::run(Command::new(workspace.program("sockeye-soak")).args(SMOKE_WAVES))
}

/// The words of the program: its mode, and seconds instead of minutes.
fn translate(words: &[String]) -> Result<Vec<String>> {
    let mode = if words.iter().any(|word| word == "--waves") { "waves" } else { "run" };
    let mut translated = vec![mode.to_owned()];
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let value = words.next().and_then(|value| value.parse::<u64>().ok());
        let value = value.ok_or_else(|| Failure::new(format!("`{word}` wants a number")))?;
        match word.as_str() {
            "--minutes" => translated.extend(["--seconds".to_owned(), (value * MINUTE).to_string()]),
            "--waves" | "--clients" | "--seed" => translated.extend([word.clone(), value.to_string()]),
            _ => return Err(Failure::new(format!("`{word}` is none of --minutes, --waves, --clients, --seed"))),
        }
    }
    Ok(translated)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Option<String> {
        let words: Vec<String> = text.split_whitespace().map(String::from).collect();
        translate(&words).ok().map(|words| words.join(" "))
    }

    #[test]
    fn minutes_and_waves_are_understood() {
        assert_eq!(words("").as_deref(), Some("run"));
        assert_eq!(words("--minutes 10 --seed 7").as_deref(), Some("run --seconds 600 --seed 7"));
        assert_eq!(words("--waves 50 --clients 9").as_deref(), Some("waves --waves 50 --clients 9"));
        assert!(words("--minutes").is_none() && words("--minutes x").is_none() && words("--hours 1").is_none());
    }
}
