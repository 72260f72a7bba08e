//! Known faults of what we build on, by a copy of the RustSec database: folders `crates/<name>/` of files that begin with a
//! block of TOML. The copy is the user's; nothing is fetched.

use std::fs;
use std::path::{Path, PathBuf};

use semver::{Version, VersionReq};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::shell::{Failure, Result};

/// What there is to know of one fault.
#[derive(Deserialize)]
struct Advisory {
    advisory: About,
    versions: Versions,
}

#[derive(Deserialize)]
struct About {
    id: String,
    /// "unmaintained", "notice" or "unsound", unless it is a vulnerability.
    informational: Option<String>,
    withdrawn: Option<String>,
}

#[derive(Deserialize)]
struct Versions {
    #[serde(default)]
    patched: Vec<VersionReq>,
    #[serde(default)]
    unaffected: Vec<VersionReq>,
}

/// What Cargo has chosen.
#[derive(Deserialize)]
struct Lock {
    package: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: Version,
    /// None of our own.
    source: Option<String>,
}

/// Which packages of a lock file are known to be at fault, and how many were looked up. What is only no longer cared for
/// is said, and is no fault.
///
/// # Errors
/// The database or the lock file cannot be read.
pub(crate) fn faults(database: &Path, lock: &Path) -> Result<(Vec<String>, usize)> {
    let crates = database.join("crates");
    if !crates.is_dir() {
        return Err(Failure::new(format!("{} holds no `crates/`: it is no copy of the database", database.display())));
    }
    let lock: Lock = parse(lock, &read(lock)?)?;
    let (mut faults, mut count) = (Vec::new(), 0);
    for package in lock.package.iter().filter(|package| package.source.is_some()) {
        count += 1;
        for file in files(&crates.join(&package.name))? {
            let text = read(&file)?;
            let advisory: Advisory = parse(&file, front(&text).unwrap_or_default())?;
            match advisory.finds(&package.version) {
                Finding::Fault => faults.push(advisory.names(package)),
                Finding::Remark => println!("to know: {}", advisory.names(package)),
                Finding::Nothing => {}
            }
        }
    }
    Ok((faults, count))
}

#[derive(Debug, PartialEq, Eq)]
enum Finding {
    Fault,
    Nothing,
    Remark,
}

impl Advisory {
    fn finds(&self, version: &Version) -> Finding {
        let is_in = |ranges: &[VersionReq]| ranges.iter().any(|range| range.matches(version));
        let is_free = is_in(&self.versions.patched) || is_in(&self.versions.unaffected);
        match self.advisory.informational.as_deref() {
            _ if is_free || self.advisory.withdrawn.is_some() => Finding::Nothing,
            None | Some("unsound") => Finding::Fault,
            Some(_) => Finding::Remark,
        }
    }

    fn names(&self, package: &Package) -> String {
        let kind = self.advisory.informational.as_deref().unwrap_or("vulnerable");
        format!("{} {}: {} ({kind})", package.name, package.version, self.advisory.id)
    }
}

/// The block of TOML at the beginning.
fn front(text: &str) -> Option<&str> {
    text.trim_start().strip_prefix("```toml\n")?.split_once("\n```").map(|(block, _)| block)
}

fn parse<T: DeserializeOwned>(file: &Path, text: &str) -> Result<T> {
    toml::from_str(text).map_err(|error| Failure::new(format!("{} cannot be understood: {error}", file.display())))
}

fn read(file: &Path) -> Result<String> {
    fs::read_to_string(file).map_err(|error| Failure::new(format!("cannot read {}: {error}", file.display())))
}

/// What is known of one crate: often nothing.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let entries = folder.read_dir().and_then(Iterator::collect::<std::io::Result<Vec<_>>>);
    let entries = entries.map_err(|error| Failure::new(format!("cannot read {}: {error}", folder.display())))?;
    let mut files: Vec<PathBuf> = entries.iter().map(fs::DirEntry::path).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "md"));
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(version: &str, block: &str) -> Finding {
        let text = format!("```toml\n[advisory]\nid = \"RUSTSEC-2026-0104\"\n{block}\n```\n\n# A panic\n");
        let file = Path::new("x.md");
        let advisory: Advisory = parse(file, front(&text).expect("a block")).expect("an advisory");
        advisory.finds(&Version::parse(version).expect("a version"))
    }

    #[test]
    fn versions_are_at_fault_unless_they_are_patched_or_older() {
        let block = "[versions]\npatched = [\">= 0.103.13, < 0.104.0-alpha.1\", \">= 0.104.0-alpha.7\"]\n\
            unaffected = [\"< 0.101.0\"]";
        for (version, found) in [
            ("0.100.3", Finding::Nothing),
            ("0.101.0", Finding::Fault),
            ("0.103.12", Finding::Fault),
            ("0.103.13", Finding::Nothing),
            ("0.103.17", Finding::Nothing),
            ("0.104.0", Finding::Nothing),
        ] {
            assert_eq!(finding(version, block), found, "{version}");
        }
    }

    #[test]
    fn what_is_only_to_know_is_no_fault() {
        for (block, found) in [
            ("[versions]", Finding::Fault),
            ("informational = \"unsound\"\n[versions]\npatched = []", Finding::Fault),
            ("informational = \"unmaintained\"\n[versions]\npatched = []", Finding::Remark),
            ("withdrawn = \"2026-01-01\"\n[versions]\npatched = []", Finding::Nothing),
        ] {
            assert_eq!(finding("1.0.0", block), found, "{block}");
        }
    }

    #[test]
    fn a_lock_file_is_looked_up_in_a_copy_of_the_database() {
        let root = std::env::temp_dir().join(format!("sockeye-advisories-{}", std::process::id()));
        let folder = root.join("crates/bad");
        fs::create_dir_all(&folder).expect("a folder");
        let block = "```toml\n[advisory]\nid = \"RUSTSEC-2026-0001\"\n[versions]\npatched = [\">= 1.2.0\"]\n```\n";
        fs::write(folder.join("RUSTSEC-2026-0001.md"), block).expect("a file");
        let package = |name, version| format!("[[package]]\nname = \"{name}\"\nversion = \"{version}\"\n");
        let source = "source = \"registry+https://example.org\"\n";
        let lock = root.join("Cargo.lock");
        let text = ["version = 4\n", &package("bad", "1.1.9"), source, &package("good", "1.0.0"), source];
        fs::write(&lock, [text.concat(), package("bad", "0.1.0")].concat()).expect("a file");
        let found = faults(&root, &lock).expect("both can be read");
        assert_eq!(found, (vec!["bad 1.1.9: RUSTSEC-2026-0001 (vulnerable)".to_owned()], 2));
        assert!(faults(&root.join("crates"), &lock).is_err(), "no copy of the database");
        fs::remove_dir_all(&root).expect("is ours");
    }
}
