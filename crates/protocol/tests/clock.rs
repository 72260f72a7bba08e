//! Engine and protocol are told the time by whoever drives them: no clock that jumps can mislead them, and tests move time.

use std::fs;
use std::path::{Path, PathBuf};

/// What reads a clock.
const READS: [&str; 4] = ["Instant::now", "SystemTime", "UNIX_EPOCH", ".elapsed()"];

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The code that is shipped: no comments, no tests at the end.
fn code(text: &str) -> impl Iterator<Item = &str> {
    let shipped = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    shipped.lines().filter(|line| !line.trim_start().starts_with("//"))
}

#[test]
fn a_clock_that_jumps_does_not_reach_engine_and_protocol() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    for name in ["engine", "protocol"] {
        let mut found = Vec::new();
        files(&crates.join(name).join("src"), &mut found);
        assert!(found.len() > 10, "{name}");
        for path in found {
            let text = fs::read_to_string(&path).unwrap();
            for line in code(&text) {
                assert!(!READS.iter().any(|reads| line.contains(reads)), "{}: {line}", path.display());
            }
        }
    }
}
