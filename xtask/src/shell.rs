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
    command(directory, &program, args)
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
