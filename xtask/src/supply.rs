//! `cargo xtask supply`: what we build on. Licences, sources, duplicates, advisories and yanked versions.
//!
//! Works from `cargo metadata` and Cargo's own look at the registry alone, so it needs no database and no other tool. Where
//! there is a copy of the RustSec database, that is asked, too.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::advisories;
use crate::shell::{self, Failure, Result};
use crate::workspace::Workspace;

/// Licences we may link.
const LICENCES: [&str; 12] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Crates with another licence, and why we take them all the same.
const EXCEPTIONS: [(&str, &str, &str); 1] =
    [("option-ext", "MPL-2.0", "runs while rust-embed's macro expands; nothing of it is in the program")];

/// Crates whose types meet each other at our seams, or which are too large to have twice.
const ONCE: [&str; 12] = [
    "bytes",
    "flate2",
    "futures-util",
    "h2",
    "http",
    "http-body",
    "hyper",
    "hyper-util",
    "rustls",
    "serde",
    "tokio",
    "tower-service",
];

/// Crates that nothing may bring along: a second TLS beside rustls, by a library of the system, whose faults are beyond all
/// that is checked here.
const BANNED: [&str; 3] = ["native-tls", "openssl", "openssl-sys"];

/// Oldest version of a crate without a known fault that matters to a network server.
const FLOORS: [(&str, &str, &str); 15] = [
    ("bytes", "1.11.1", "RUSTSEC-2026-0007"),
    ("crossbeam-channel", "0.5.15", "RUSTSEC-2025-0024"),
    ("h2", "0.4.16", "RUSTSEC-2026-0258"),
    ("hashbrown", "0.15.1", "RUSTSEC-2024-0402"),
    ("idna", "1.0.0", "RUSTSEC-2024-0421"),
    ("quinn-proto", "0.11.15", "RUSTSEC-2026-0185"),
    ("ring", "0.17.12", "RUSTSEC-2025-0009"),
    ("rustls", "0.23.45", "RUSTSEC-2026-0285"),
    ("rustls-webpki", "0.103.13", "RUSTSEC-2026-0104"),
    ("slab", "0.4.11", "RUSTSEC-2025-0047"),
    ("smallvec", "1.6.1", "RUSTSEC-2021-0003"),
    ("time", "0.3.47", "RUSTSEC-2026-0009"),
    ("tokio", "1.44.2", "RUSTSEC-2025-0023"),
    ("tracing-subscriber", "0.3.20", "RUSTSEC-2025-0055"),
    ("tungstenite", "0.20.1", "RUSTSEC-2023-0065"),
];

/// How Cargo names the source of what was published; a repository begins with `git+`.
const REGISTRY: &str = "registry+";

/// Where a copy of the RustSec database is, unless the command says so.
const DATABASE: &str = "SOCKEYE_ADVISORIES";
/// What Cargo has chosen: for what we ship, and for the programs that link a fuzzer.
const LOCKS: [&str; 2] = ["Cargo.lock", "fuzz/Cargo.lock"];

/// `words`: `--advisories DIR`, a copy of the RustSec database.
///
/// # Errors
/// Lists every fault.
pub(crate) fn run(workspace: &Workspace, words: &[String]) -> Result {
    match words {
        [] => check(workspace),
        [flag, folder] if flag == "--advisories" => {
            known(workspace)?;
            advised(workspace, Path::new(folder))
        }
        _ => Err(Failure::new("`supply` takes `--advisories DIR` at most")),
    }
}

/// # Errors
/// Lists every fault.
pub(crate) fn check(workspace: &Workspace) -> Result {
    known(workspace)?;
    std::env::var_os(DATABASE).map_or(Ok(()), |folder| advised(workspace, &PathBuf::from(folder)))
}

/// By what is written here.
fn known(workspace: &Workspace) -> Result {
    let packages: Vec<&Value> = workspace.packages().collect();
    let faults =
        [licences(&packages), sources(&packages), banned(&packages), duplicates(&packages), floors(&packages)].concat();
    if faults.is_empty() {
        println!(
            "{} packages: licences, sources, versions and {} advisory floors are in order",
            packages.len(),
            FLOORS.len()
        );
        return Ok(());
    }
    Err(Failure::new(format!("{} faults in what we build on:\n  {}", faults.len(), faults.join("\n  "))))
}

/// By a copy of the RustSec database.
fn advised(workspace: &Workspace, database: &Path) -> Result {
    let mut all = Vec::new();
    for lock in LOCKS {
        let (faults, packages) = advisories::faults(database, &workspace.root.join(lock))?;
        println!("{packages} packages of {lock} were looked up in {}", database.display());
        all.extend(faults.into_iter().map(|fault| format!("{lock}: {fault}")));
    }
    if all.is_empty() {
        return Ok(());
    }
    Err(Failure::new(format!("{} known faults in what we build on:\n  {}", all.len(), all.join("\n  "))))
}

/// Packs the crates that are published, which makes Cargo ask the registry whether something they use was withdrawn.
///
/// # Errors
/// A crate cannot be packed, or uses a version that was yanked.
pub(crate) fn package(workspace: &Workspace) -> Result {
    let mut cargo = shell::cargo(&workspace.root, ["package", "--no-verify", "--allow-dirty"]);
    for name in published(workspace) {
        cargo.args(["--package", name]);
    }
    let yanked = yanked(&shell::remarks(&mut cargo)?);
    if yanked.is_empty() {
        println!("every published crate packs, and uses no version that was withdrawn");
        return Ok(());
    }
    Err(Failure::new(format!("{} withdrawn versions are in use:\n  {}", yanked.len(), yanked.join("\n  "))))
}

/// Our own crates but those with `publish = false`.
fn published(workspace: &Workspace) -> Vec<&str> {
    let open = workspace.members().filter(|package| package["publish"].is_null());
    open.map(|package| text(package, "name")).collect()
}

/// Lines like "warning: package `x v1.0.0` in Cargo.lock is yanked in registry …", each once.
fn yanked(remarks: &str) -> Vec<String> {
    let mut found: Vec<String> = remarks.lines().filter(|line| line.contains("is yanked")).map(Into::into).collect();
    found.sort();
    found.dedup();
    found
}

fn licences(packages: &[&Value]) -> Vec<String> {
    let judge = |package: &&Value| {
        let licence = text(package, "license");
        let excepted = EXCEPTIONS.iter().any(|(name, known, _)| (*name, *known) == (text(package, "name"), licence));
        (!excepted && !allowed(licence))
            .then(|| format!("{} has the licence `{licence}`, which is not on our list", label(package)))
    };
    packages.iter().filter_map(judge).collect()
}

fn sources(packages: &[&Value]) -> Vec<String> {
    let foreign = |package: &&&Value| package["source"].as_str().is_some_and(|source| !source.starts_with(REGISTRY));
    let fault =
        |package: &&Value| format!("{} comes from {}, not from a registry", label(package), text(package, "source"));
    packages.iter().filter(foreign).map(fault).collect()
}

fn banned(packages: &[&Value]) -> Vec<String> {
    let unwanted = packages.iter().filter(|package| BANNED.contains(&text(package, "name")));
    unwanted.map(|package| format!("{} is in use: all TLS is that of rustls", label(package))).collect()
}

fn duplicates(packages: &[&Value]) -> Vec<String> {
    let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for package in packages.iter().filter(|package| ONCE.contains(&text(package, "name"))) {
        versions.entry(text(package, "name")).or_default().push(text(package, "version"));
    }
    let twice = versions.into_iter().filter(|(_, versions)| versions.len() > 1);
    twice
        .map(|(name, versions)| format!("{name} is there in {} versions: {}", versions.len(), versions.join(", ")))
        .collect()
}

fn floors(packages: &[&Value]) -> Vec<String> {
    let judge = |package: &&Value| {
        let (_, floor, advisory) = FLOORS.iter().find(|(name, ..)| *name == text(package, "name"))?;
        let old = numbers(text(package, "version")) < numbers(floor);
        old.then(|| format!("{} is older than {floor}: {advisory}", label(package)))
    };
    packages.iter().filter_map(judge).collect()
}

/// True if the SPDX expression can be met with [`LICENCES`]: one side of each OR, both sides of each AND.
fn allowed(expression: &str) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let mut words = spaced.split_whitespace().peekable();
    either(&mut words) && words.next().is_none()
}

type Words<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

fn either(words: &mut Words<'_>) -> bool {
    let mut met = both(words);
    while words.next_if_eq(&"OR").is_some() {
        met |= both(words);
    }
    met
}

fn both(words: &mut Words<'_>) -> bool {
    let mut met = single(words);
    while words.next_if_eq(&"AND").is_some() {
        met &= single(words);
    }
    met
}

fn single(words: &mut Words<'_>) -> bool {
    if words.next_if_eq(&"(").is_some() {
        let met = either(words);
        return words.next() == Some(")") && met;
    }
    let mut licence = words.next().unwrap_or_default().to_string();
    if words.next_if_eq(&"WITH").is_some() {
        licence = format!("{licence} WITH {}", words.next().unwrap_or_default());
    }
    LICENCES.contains(&licence.as_str())
}

/// `0.11.15+build` → [0, 11, 15]; a pre-release counts as its release.
fn numbers(version: &str) -> Vec<u64> {
    let plain = version.split(['-', '+']).next().unwrap_or_default();
    plain.split('.').map(|number| number.parse().unwrap_or(0)).collect()
}

fn label(package: &Value) -> String {
    format!("{} {}", text(package, "name"), text(package, "version"))
}

fn text<'a>(package: &'a Value, key: &str) -> &'a str {
    package[key].as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn licence_expressions() {
        for good in [
            "MIT",
            "MIT/Apache-2.0",
            "GPL-3.0 OR MIT",
            "(MIT OR Apache-2.0) AND Unicode-3.0",
            "Apache-2.0 WITH LLVM-exception OR GPL-2.0",
        ] {
            assert!(allowed(good), "{good}");
        }
        for bad in [
            "",
            "GPL-3.0",
            "MIT AND GPL-3.0",
            "MIT AND (GPL-3.0 OR AGPL-3.0)",
            "MIT WITH something",
            "(MIT",
            "MIT Apache-2.0",
        ] {
            assert!(!allowed(bad), "{bad}");
        }
    }

    #[test]
    fn an_exception_is_for_one_crate_and_one_licence() {
        let package = |name, licence| json!({ "name": name, "version": "1.0.0", "license": licence });
        assert!(licences(&[&package("option-ext", "MPL-2.0")]).is_empty());
        assert_eq!(licences(&[&package("option-ext", "GPL-3.0"), &package("other", "MPL-2.0")]).len(), 2);
    }

    #[test]
    fn floors_compare_by_number() {
        let old = json!({ "name": "h2", "version": "0.4.9" });
        let new = json!({ "name": "h2", "version": "0.4.16" });
        assert_eq!(floors(&[&old, &new]), ["h2 0.4.9 is older than 0.4.16: RUSTSEC-2026-0258"]);
    }

    #[test]
    fn withdrawn_versions_are_found_once() {
        let line = "warning: package `x v1.0.0` in Cargo.lock is yanked in registry `crates-io`, consider updating";
        let remarks = format!("   Packaging a v0.1.0\n{line}\n   Packaging b v0.1.0\n{line}\n");
        assert_eq!(yanked(&remarks), [line]);
    }

    #[test]
    fn other_sources_are_named() {
        let git = json!({ "name": "x", "version": "1.0.0", "source": "git+https://example.org/x" });
        let ours = json!({ "name": "y", "version": "1.0.0", "source": null });
        assert_eq!(sources(&[&git, &ours]), ["x 1.0.0 comes from git+https://example.org/x, not from a registry"]);
    }

    #[test]
    fn a_second_tls_is_refused() {
        let (bad, good) = (json!({ "name": "openssl-sys", "version": "0.9.1" }), json!({ "name": "openssl-probe" }));
        assert_eq!(banned(&[&bad, &good]), ["openssl-sys 0.9.1 is in use: all TLS is that of rustls"]);
    }

    #[test]
    fn two_versions_of_a_seam_are_one_too_many() {
        let (a, b) = (json!({ "name": "http", "version": "0.2.1" }), json!({ "name": "http", "version": "1.5.0" }));
        assert_eq!(duplicates(&[&a, &b]), ["http is there in 2 versions: 0.2.1, 1.5.0"]);
        assert!(duplicates(&[&a]).is_empty());
    }
}
