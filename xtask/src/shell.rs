//! Running other programs: shown before they run, and a clear sentence when they fail.

use std::ffi::OsStr;
use std::fmt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Why a chore stopped: one message for the person at the terminal.
#[derive(Debug)]
pub(crate) struct Failure(String);

pub(crate) type Result<T = ()> = std::result::Result<T, Failure>;

impl Failure {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A program with its arguments, to be run in `directory`.
pub(crate) fn command<A: AsRef<OsStr>>(directory: &Path, program: &str, args: impl IntoIterator<Item = A>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(directory).args(args);
    command
}

/// Cargo, the very one that runs this program.
pub(crate) fn cargo<A: AsRef<OsStr>>(directory: &Path, args: impl IntoIterator<Item = A>) -> Command {
    let program = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let mut cargo = command(directory, &program, args);
    for (name, _) in std::env::vars_os().filter(|(name, _)| is_of_package(&name.to_string_lossy())) {
        cargo.env_remove(name);
    }
    cargo
}

/// Whether Cargo says this to a program that it runs about the program's package. Build scripts (that of ring, for one)
/// depend on variables of the same names: they would run anew whenever chores and plain calls of Cargo take turns, and
/// with them everything that is built on what they make.
fn is_of_package(variable: &str) -> bool {
    ["CARGO_MANIFEST_", "CARGO_PKG_"].iter().any(|start| variable.starts_with(start))
}

/// Runs to the end with our input and output; anything but exit code 0 is a failure.
pub(crate) fn run(command: &mut Command) -> Result {
    println!("$ {}", shown(command));
    let status = command.status().map_err(|error| cannot_start(command, &error))?;
    if status.success() { Ok(()) } else { Err(Failure::new(format!("`{}` failed ({status})", shown(command)))) }
}

/// Runs to the end and gives what it printed; nothing is shown unless it fails.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    finished(command).map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs to the end and gives what it said on standard error; nothing is shown unless it fails.
pub(crate) fn remarks(command: &mut Command) -> Result<String> {
    finished(command).map(|output| String::from_utf8_lossy(&output.stderr).into_owned())
}

fn finished(command: &mut Command) -> Result<Output> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| cannot_start(command, &error))?;
    if output.status.success() {
        return Ok(output);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Failure::new(format!("`{}` failed ({}):\n{}", shown(command), output.status, said.trim_end())))
}

fn cannot_start(command: &Command, error: &std::io::Error) -> Failure {
    Failure::new(format!("`{}` cannot be started: {error}", shown(command)))
}

fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or_else(|| command.get_program());
    let mut words = vec![program.to_string_lossy().into_owned()];
    words.extend(command.get_args().map(|arg| arg.to_string_lossy().into_owned()));
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_learns_nothing_of_the_package_that_calls_it() {
        let cargo = cargo(Path::new("."), ["build"]);
        let removed: Vec<_> = cargo.get_envs().filter(|(_, value)| value.is_none()).map(|(name, _)| name).collect();
        for name in ["CARGO_MANIFEST_DIR", "CARGO_PKG_NAME", "CARGO_PKG_VERSION_MAJOR"] {
            assert!(removed.contains(&OsStr::new(name)), "{name}: Cargo has said it to this test");
        }
        assert!(!removed.contains(&OsStr::new("CARGO")), "what is set for all of Cargo stays");
    }
}
