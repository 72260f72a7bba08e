//! Counts the instructions of the hot paths under valgrind and compares them with `bench/instructions.json`.
//!
//! Counts do not depend on what else the machine does, so a change of a few percent is a change of the code. What they
//! do depend on:
//!
//! - The compiler and the kind of processor. With others than those of the file, differences are shown and nothing
//!   fails. Which vector instructions a processor has beyond AVX2 does not matter: valgrind offers AVX2 and no more, so
//!   whatever looks for features at run time (memchr, simdutf8, httparse, the C library) takes the same way everywhere.
//! - The C library: its `malloc` and `free` are about a tenth of most paths, and differ between its versions. Hash tables
//!   with random seeds make up to 1.5 %. Both are what the tolerance is for.
//!
//! ```text
//! cargo run --release -p sockeye-bench-instructions             # compare; fails when a path costs 8 % more
//! cargo run --release -p sockeye-bench-instructions -- --write  # keep the counts of today
//! ```
#![forbid(unsafe_code)]

mod client;
mod paths;

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use serde_json::json;

use paths::{ALL, Path};

/// A path may cost this much more before it counts as slower, in percent; and as much less before the file is stale.
const TOLERANCE: f64 = 8.0;

fn main() -> ExitCode {
    let words: Vec<_> = env::args().skip(1).collect();
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        ["run", name, count] => run(name, count),
        ["--write"] => measure().and_then(|counts| write(&counts)),
        [] => measure().and_then(|counts| compare(&counts)),
        _ => Err("nothing, or --write".into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Inside valgrind: the work itself.
fn run(name: &str, count: &str) -> Result<(), String> {
    let path = ALL.iter().find(|path| path.name == name).ok_or("no such path")?;
    (path.run)(count.parse().map_err(|_| "a count is a number")?);
    Ok(())
}

/// Instructions of one operation, by path.
type Counts = BTreeMap<String, f64>;

fn measure() -> Result<Counts, String> {
    let mut counts = Counts::new();
    for path in ALL {
        // Twice as often costs twice as much plus the same beginning.
        let (once, twice) = (instructions(path, path.count)?, instructions(path, path.count * 2)?);
        let each = (twice - once) / f64::from(u32::try_from(path.count * path.operations).unwrap_or(u32::MAX));
        println!("{each:>10.0}  {}", path.name);
        counts.insert(path.name.into(), each.round());
    }
    Ok(counts)
}

fn instructions(path: &Path, count: usize) -> Result<f64, String> {
    let program = env::current_exe().map_err(|error| error.to_string())?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .args(["run", path.name, &count.to_string()])
        .output()
        .map_err(|error| format!("valgrind is needed to count instructions: {error}"))?;
    let text = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!("`{}` failed:\n{text}", path.name));
    }
    let line = text.lines().find_map(|line| line.split_once("Collected :")).ok_or("valgrind gave no count")?;
    line.1.trim().parse().map_err(|_| format!("not a count: {}", line.1))
}

fn write(counts: &Counts) -> Result<(), String> {
    let kept = json!({ "compiler": compiler()?, "processor": processor(), "instructions": counts });
    let text = serde_json::to_string_pretty(&kept).map_err(|error| error.to_string())? + "\n";
    fs::write(file(), text).map_err(|error| error.to_string())
}

fn compare(counts: &Counts) -> Result<(), String> {
    let text = fs::read_to_string(file()).map_err(|error| format!("bench/instructions.json: {error}"))?;
    let kept: serde_json::Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let ours = format!("{} on {}", compiler()?, processor());
    let [compiler, processor] = ["compiler", "processor"].map(|key| kept[key].as_str().unwrap_or_default());
    let theirs = format!("{compiler} on {processor}");
    let kept: Counts = serde_json::from_value(kept["instructions"].clone()).map_err(|error| error.to_string())?;
    let Changes { worse, better } = changes(&kept, counts);
    for line in worse.iter().chain(&better) {
        println!("{line}");
    }
    if worse.len() + better.len() > 0 && ours != theirs {
        println!("These counts are of {ours}, those in the file of {theirs}: nothing is concluded.");
        return Ok(());
    }
    if !better.is_empty() {
        println!("{} paths became cheaper: keep that with --write, or it can be lost unnoticed.", better.len());
    }
    match worse.len() {
        0 => Ok(()),
        count => Err(format!("{count} paths changed; if that is meant, run this with --write and say why")),
    }
}

/// What differs by more than the tolerance, in words.
#[derive(Debug, Default)]
struct Changes {
    /// What costs more, and what only one side knows.
    worse: Vec<String>,
    /// What costs less.
    better: Vec<String>,
}

fn changes(kept: &Counts, counts: &Counts) -> Changes {
    let mut changes = Changes::default();
    for (name, &now) in counts {
        let Some(&before) = kept.get(name) else {
            changes.worse.push(format!("{name}: not in the file"));
            continue;
        };
        let percent = (now / before - 1.0) * 100.0;
        if percent.abs() > TOLERANCE {
            let list = if percent > 0.0 { &mut changes.worse } else { &mut changes.better };
            list.push(format!("{name}: {now:.0} instructions, {percent:+.1} %"));
        }
    }
    let gone = kept.keys().filter(|name| !counts.contains_key(*name)).map(|name| format!("{name}: no longer counted"));
    changes.worse.extend(gone);
    changes
}

/// The kind of processor, as far as counts depend on it.
fn processor() -> String {
    let vectors =
        fs::read_to_string("/proc/cpuinfo").is_ok_and(|text| text.split_whitespace().any(|flag| flag == "avx2"));
    format!("{}{}", env::consts::ARCH, if vectors { " with AVX2" } else { "" })
}

fn compiler() -> Result<String, String> {
    let output = Command::new("rustc").arg("--version").output().map_err(|error| format!("rustc: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.split(' ').take(2).collect::<Vec<_>>().join(" "))
}

fn file() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../instructions.json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_does_its_work() {
        for path in ALL {
            (path.run)(2);
        }
    }

    #[test]
    fn more_than_the_tolerance_is_told() {
        let counts = |values: &[(&str, f64)]| -> Counts { values.iter().map(|(n, v)| ((*n).to_owned(), *v)).collect() };
        let kept = counts(&[("a", 100.0), ("b", 100.0), ("c", 100.0)]);
        let small = changes(&kept, &counts(&[("a", 107.0), ("b", 93.0), ("c", 100.0)]));
        assert_eq!(small.worse.len() + small.better.len(), 0, "{small:?}");
        let large = changes(&kept, &counts(&[("a", 109.0), ("b", 50.0), ("d", 1.0)]));
        assert_eq!(large.worse, ["a: 109 instructions, +9.0 %", "d: not in the file", "c: no longer counted"]);
        assert_eq!(large.better, ["b: 50 instructions, -50.0 %"]);
    }
}
