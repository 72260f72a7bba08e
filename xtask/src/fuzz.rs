//! `cargo xtask fuzz`: gives the targets of `fuzz/` what a fuzzer invents.
//!
//! libFuzzer wants its counters compiled in. The flags for that are known to every compiler since they are LLVM's, so no
//! nightly toolchain and no other tool is needed, only a C++ compiler for libFuzzer itself. (`cargo fuzz run TARGET` works
//! too, where it is installed.) Without `unsafe` code there is nothing for an address sanitizer to find.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::shell::{self, Failure, Result};
use crate::workspace::Workspace;

/// Coverage of edges, kept in counters; comparisons are watched, so that magic values are found.
const FLAGS: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares";

/// No input may take longer, or more memory: what hangs or hoards is a fault like a panic.
const LIMITS: [&str; 3] = ["-timeout=20", "-rss_limit_mb=2048", "-max_len=4096"];

/// `words`: `--minutes N` for each target (default 1), and names of targets (default: all).
pub(crate) fn run(workspace: &Workspace, words: &[String]) -> Result {
    let folder = workspace.root.join("fuzz");
    let all = targets(&folder)?;
    let wanted = Wanted::read(words, &all)?;
    let bench = Bench::build(workspace, &folder)?;
    let mut faults = Vec::new();
    for target in &wanted.targets {
        println!("\n── {target}, {} s", wanted.time.as_secs());
        faults.extend(bench.fuzz(target, wanted.time)?);
    }
    if faults.is_empty() {
        println!("\nno fault in {} targets", wanted.targets.len());
        return Ok(());
    }
    let list: Vec<String> = faults.iter().map(|fault| fault.display().to_string()).collect();
    Err(Failure::new(format!(
        "inputs that show a fault:\n  {}\nput them into fuzz/faults/<target>/",
        list.join("\n  ")
    )))
}

/// What was asked for.
#[derive(Debug, PartialEq, Eq)]
struct Wanted {
    time: Duration,
    targets: Vec<String>,
}

impl Wanted {
    fn read(words: &[String], all: &[String]) -> Result<Self> {
        let mut wanted = Self { time: Duration::from_mins(1), targets: Vec::new() };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            if word == "--minutes" {
                let minutes = words.next().and_then(|minutes| minutes.parse().ok()).filter(|minutes| *minutes > 0);
                let minutes = minutes.ok_or_else(|| Failure::new("`--minutes` wants a number of at least 1"))?;
                wanted.time = Duration::from_mins(minutes);
            } else if all.contains(word) {
                wanted.targets.push(word.clone());
            } else {
                return Err(Failure::new(format!("there is no target `{word}`; there are {}", all.join(", "))));
            }
        }
        if wanted.targets.is_empty() {
            wanted.targets = all.to_vec();
        }
        Ok(wanted)
    }
}

/// The built programs, and where they work.
struct Bench {
    programs: PathBuf,
    work: PathBuf,
}

impl Bench {
    fn build(workspace: &Workspace, folder: &Path) -> Result<Self> {
        let target = workspace.target.join("fuzz");
        let host = host(workspace)?;
        // With a target named, what runs at build time is spared the counters.
        let mut build = shell::cargo(folder, ["build", "--release", "--target", &host]);
        shell::run(build.env("RUSTFLAGS", FLAGS).env("CARGO_TARGET_DIR", &target))?;
        let work = target.join("work");
        let mut seeds =
            shell::cargo(&workspace.root, ["run", "--quiet", "-p", "sockeye-fuzz-targets", "--bin", "seeds", "--"]);
        shell::run(seeds.arg(&work))?;
        Ok(Self { programs: target.join(host).join("release"), work })
    }

    /// Runs one target; the inputs that showed a fault in this run or an earlier one.
    fn fuzz(&self, target: &str, time: Duration) -> Result<Vec<PathBuf>> {
        let (corpus, faults) = (self.work.join(target).join("corpus"), self.work.join(target).join("faults"));
        for folder in [&corpus, &faults] {
            fs::create_dir_all(folder).map_err(|error| Failure::new(error.to_string()))?;
        }
        let mut program = Command::new(self.programs.join(target));
        program.arg(&corpus).args(LIMITS).arg(format!("-max_total_time={}", time.as_secs()));
        program.arg(format!("-artifact_prefix={}/", faults.display())).args(["-print_final_stats=1", "-verbosity=1"]);
        let result = shell::run(&mut program);
        let found = list(&faults)?;
        // A program that fails without leaving an input could not run at all.
        if found.is_empty() { result.map(|()| found) } else { Ok(found) }
    }
}

/// The names of the programs.
fn targets(folder: &Path) -> Result<Vec<String>> {
    let files = list(&folder.join("fuzz_targets"))?;
    Ok(files.iter().filter_map(|file| Some(file.file_stem()?.to_string_lossy().into_owned())).collect())
}

fn list(folder: &Path) -> Result<Vec<PathBuf>> {
    let fail = |error: std::io::Error| Failure::new(format!("cannot read {}: {error}", folder.display()));
    let entries: std::io::Result<Vec<_>> = folder.read_dir().map_err(fail)?.collect();
    let mut files: Vec<PathBuf> = entries.map_err(fail)?.iter().map(fs::DirEntry::path).collect();
    files.sort();
    Ok(files)
}

/// The platform of this machine, as the compiler names it.
fn host(workspace: &Workspace) -> Result<String> {
    let told = shell::output(&mut shell::command(&workspace.root, "rustc", ["-vV"]))?;
    let host = told.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| Failure::new("`rustc -vV` does not name the host"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &str) -> Result<Wanted> {
        let words: Vec<String> = words.split_whitespace().map(String::from).collect();
        Wanted::read(&words, &["packet".to_owned(), "server".to_owned()])
    }

    #[test]
    fn targets_and_times_are_read() {
        let all = read("").expect("nothing is everything");
        assert_eq!((all.time, all.targets.len()), (Duration::from_mins(1), 2));
        let one = read("--minutes 5 server").expect("a target");
        assert_eq!((one.time, one.targets), (Duration::from_mins(5), vec!["server".to_owned()]));
        for wrong in ["--minutes", "--minutes 0", "--minutes x", "nothing"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
