//! `cargo xtask layers`: a file uses only files above it, crates only crates below them, and no file grows past its bound.
//!
//! The order of files is the order of the `mod` lines in `lib.rs` (or `main.rs`); the files of a folder come where the
//! folder is declared, in the order of its `mod.rs`, and `mod.rs` itself, like `lib.rs`, comes after them.
//! Paths are followed through re-exports. Code under `#[cfg(test)]` is free. What cannot be had otherwise stands in
//! `xtask/layers.toml` with its reason; an exception nobody needs any more is an error, so the list can only shrink.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use crate::rust_source::Source;
use crate::settings::{self, Section};
use crate::shell::{Failure, Result};
use crate::workspace::Workspace;

/// Longest file, in lines without tests.
const LINES: usize = 500;

/// # Errors
/// Lists every broken rule.
pub(crate) fn check(workspace: &Workspace) -> Result {
    let path = workspace.root.join("xtask/layers.toml");
    let settings =
        settings::parse(&read(&path)?).map_err(|error| Failure::new(format!("xtask/layers.toml: {error}")))?;
    let mut exceptions: Vec<Exception> =
        settings.iter().filter(|section| section.name == "exception").map(Exception::read).collect();
    let (mut faults, mut files) = (Vec::new(), 0);
    for package in workspace.members() {
        faults.extend(arrows(package, &settings));
        for root in roots(package) {
            let modules = Modules::load(&root)?;
            files += modules.files.len();
            let relative = |at: usize| workspace.relative(&modules.files[at].path);
            faults.extend(
                modules
                    .faults(&relative)
                    .into_iter()
                    .filter(|fault| !exceptions.iter_mut().any(|e| e.excuses(fault)))
                    .map(|fault| fault.text),
            );
        }
    }
    faults.extend(exceptions.iter().filter_map(Exception::complaint));
    if faults.is_empty() {
        println!("{files} files: each uses only files above it, none is over {LINES} lines");
        return Ok(());
    }
    Err(Failure::new(format!("{} layering faults:\n  {}", faults.len(), faults.join("\n  "))))
}

/// One line of `layers.toml`: `file` may use `uses`, or may have `lines` lines.
struct Exception {
    file: String,
    uses: Option<String>,
    lines: Option<usize>,
    reason: String,
    needed: bool,
}

impl Exception {
    fn read(section: &Section) -> Self {
        let text = |key| section.get(key).unwrap_or_default().to_string();
        let lines = section.get("lines").and_then(|lines| lines.parse().ok());
        Self {
            file: text("file"),
            uses: section.get("uses").map(Into::into),
            lines,
            reason: text("reason"),
            needed: false,
        }
    }

    fn excuses(&mut self, fault: &Fault) -> bool {
        let fits = self.file == fault.file
            && match &fault.what {
                What::Uses(other) => self.uses.as_ref() == Some(other),
                What::Lines(lines) => self.lines.is_some_and(|limit| limit >= *lines),
            };
        self.needed |= fits;
        fits
    }

    fn complaint(&self) -> Option<String> {
        let about = self.uses.clone().unwrap_or_else(|| "its length".into());
        if self.reason.is_empty() {
            return Some(format!("layers.toml: the exception of {} for {about} has no reason", self.file));
        }
        (!self.needed)
            .then(|| format!("layers.toml: {} no longer needs its exception for {about}: remove it", self.file))
    }
}

struct Fault {
    file: String,
    what: What,
    text: String,
}

enum What {
    Uses(String),
    Lines(usize),
}

/// The crate's arrows: which crates of ours it may use, and which others it must never see.
fn arrows(package: &serde_json::Value, settings: &[Section]) -> Vec<String> {
    let name = package["name"].as_str().unwrap_or_default();
    let Some(rules) = settings.iter().find(|section| section.name == format!("crate.{name}")) else {
        return Vec::new();
    };
    let dependencies = package["dependencies"].as_array().into_iter().flatten();
    let shipped = dependencies
        .filter(|dependency| dependency["kind"].is_null())
        .filter_map(|dependency| Some((dependency["name"].as_str()?, !dependency["path"].is_null())));
    let mut faults = Vec::new();
    for (other, ours) in shipped {
        if ours && !rules.list("uses").unwrap_or_default().iter().any(|allowed| allowed == other) {
            faults.push(format!("{name} must not use {other}: no such arrow in layers.toml"));
        }
        if rules.list("never").unwrap_or_default().iter().any(|banned| banned == other) {
            faults.push(format!("{name} must never see {other}"));
        }
    }
    faults
}

/// `src/lib.rs` and the `main.rs` of each binary.
fn roots(package: &serde_json::Value) -> Vec<PathBuf> {
    let targets = package["targets"].as_array().into_iter().flatten();
    let ours = targets.filter(|target| {
        let kinds = target["kind"].as_array().into_iter().flatten();
        kinds.filter_map(serde_json::Value::as_str).any(|kind| matches!(kind, "lib" | "bin"))
    });
    ours.filter_map(|target| target["src_path"].as_str()).map(PathBuf::from).collect()
}

struct File {
    path: PathBuf,
    /// `["session", "queue"]`; empty for the root.
    module: Vec<String>,
    source: Source,
}

/// The files of one crate in their order.
struct Modules {
    files: Vec<File>,
    by_module: HashMap<Vec<String>, usize>,
}

impl Modules {
    fn load(root: &Path) -> Result<Self> {
        let mut files = Vec::new();
        collect(root, Vec::new(), root.parent().unwrap_or(root), &mut files)?;
        Ok(Self::new(files))
    }

    fn new(files: Vec<File>) -> Self {
        let by_module = files.iter().enumerate().map(|(at, file)| (file.module.clone(), at)).collect();
        Self { files, by_module }
    }

    fn faults(&self, relative: &dyn Fn(usize) -> String) -> Vec<Fault> {
        let uses: Vec<_> = (0..self.files.len()).map(|at| self.uses(at)).collect();
        let mut faults = Vec::new();
        for (at, file) in self.files.iter().enumerate() {
            for &(other, line) in uses[at].iter().filter(|(other, _)| *other > at) {
                let circle = uses[other].iter().any(|(back, _)| *back == at);
                let hint = if circle {
                    "a circle: what they share wants to be a third file, above both"
                } else {
                    "which is declared below it"
                };
                let (file, other) = (relative(at), relative(other));
                let text = format!("{file}:{line} uses {other}, {hint}");
                faults.push(Fault { file, what: What::Uses(other), text });
            }
            if file.source.lines > LINES {
                let (file, lines) = (relative(at), file.source.lines);
                let text = format!("{file} has {lines} lines without tests, more than {LINES}");
                faults.push(Fault { file, what: What::Lines(lines), text });
            }
        }
        faults
    }

    /// The files that file `at` uses, each with the first line where it does.
    fn uses(&self, at: usize) -> BTreeSet<(usize, usize)> {
        let mut first: HashMap<usize, usize> = HashMap::new();
        for (path, line) in &self.files[at].source.paths {
            if let Some(other) = self.resolve(&self.files[at].module, path, 0)
                && other != at
            {
                let known = first.entry(other).or_insert(*line);
                *known = (*known).min(*line);
            }
        }
        first.into_iter().collect()
    }

    /// The file that defines what `path`, written in `module`, names; `None` for other crates.
    fn resolve(&self, module: &[String], path: &[String], depth: usize) -> Option<usize> {
        let mut full: Vec<String> = match path.first()?.as_str() {
            "crate" => Vec::new(),
            "super" | "self" => module.to_vec(),
            child if self.by_module.contains_key(&[module, &[child.to_string()]].concat()) => module.to_vec(),
            _ => return None,
        };
        for word in path {
            match word.as_str() {
                "crate" | "self" => {}
                "super" => drop(full.pop()),
                _ => full.push(word.clone()),
            }
        }
        let known = (0..=full.len()).rev().find(|length| self.by_module.contains_key(&full[..*length]))?;
        let (owner, rest) = full.split_at(known);
        let file = self.by_module[owner];
        let Some(name) = rest.first() else { return Some(file) };
        self.follow(owner, file, name, depth).or(Some(file))
    }

    /// Follows a re-export of `name` in the file of `owner`.
    fn follow(&self, owner: &[String], file: usize, name: &str, depth: usize) -> Option<usize> {
        const DEEPEST: usize = 16;
        let source = &self.files[file].source;
        if depth > DEEPEST || source.defined.contains(name) {
            return None;
        }
        if let Some(path) = source.imports.get(name).and_then(|paths| paths.first()) {
            return self.resolve(owner, path, depth + 1);
        }
        let globs = source.imports.get("*")?.iter().filter_map(|path| self.resolve(owner, path, depth + 1));
        globs.into_iter().find(|other| self.files[*other].source.defined.contains(name))
    }
}

/// Reads `path` and, before it, the files of its modules, which lie in `folder`.
fn collect(path: &Path, module: Vec<String>, folder: &Path, files: &mut Vec<File>) -> Result {
    let source = Source::parse(&read(path)?);
    for name in &source.modules {
        let (flat, nested) = (folder.join(format!("{name}.rs")), folder.join(name).join("mod.rs"));
        let child = if flat.exists() { flat } else { nested };
        collect(&child, [module.as_slice(), std::slice::from_ref(name)].concat(), &folder.join(name), files)?;
    }
    files.push(File { path: path.to_path_buf(), module, source });
    Ok(())
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|error| Failure::new(format!("cannot read {}: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(files: &[(&str, &str)]) -> Vec<String> {
        let file = |(name, text): &(&str, &str)| File {
            path: name.into(),
            module: if *name == "lib" { Vec::new() } else { name.split('/').map(Into::into).collect() },
            source: Source::parse(text),
        };
        let modules = Modules::new(files.iter().map(file).collect());
        modules.faults(&|at| modules.files[at].path.display().to_string()).into_iter().map(|fault| fault.text).collect()
    }

    #[test]
    fn files_above_may_be_used() {
        assert_eq!(
            faults(&[("a", ""), ("b", "use crate::a::X; fn f() { super::a::g() }"), ("lib", "pub use a::X;")]),
            [""; 0]
        );
    }

    #[test]
    fn files_below_may_not() {
        let found = faults(&[("a", "\nuse crate::b::X;"), ("b", ""), ("lib", "")]);
        assert_eq!(found, ["a:2 uses b, which is declared below it"]);
    }

    #[test]
    fn circles_are_called_so() {
        let found = faults(&[("a", "use crate::b::X;"), ("b", "use super::a::Y;"), ("lib", "")]);
        assert_eq!(found.len(), 1);
        assert!(found[0].contains("a circle"));
    }

    #[test]
    fn re_exports_are_followed() {
        let lib = "pub use b::X; pub use a::*;";
        assert_eq!(faults(&[("a", "pub struct Y;"), ("b", "use crate::Y;"), ("lib", lib)]), [""; 0]);
        assert_eq!(
            faults(&[("a", "use crate::X;"), ("b", ""), ("lib", lib)]),
            ["a:1 uses b, which is declared below it"]
        );
    }

    #[test]
    fn a_folder_comes_before_its_mod_file() {
        let inner = [("s/queue", "use super::Session;"), ("s", "use queue::Queue; pub struct Session;"), ("lib", "")];
        assert_eq!(faults(&inner).len(), 1);
        let through = [("s/state", "pub struct S;"), ("s/queue", "use super::S;"), ("s", "use state::S;"), ("lib", "")];
        assert_eq!(faults(&through), [""; 0]);
    }

    #[test]
    fn long_files_are_named() {
        let text = "fn f() {}\n".repeat(LINES + 1);
        assert_eq!(faults(&[("a", &text), ("lib", "")]), ["a has 501 lines without tests, more than 500"]);
    }

    #[test]
    fn unneeded_exceptions_are_faults() {
        let sections =
            settings::parse("[[exception]]\nfile = \"a\"\nuses = \"b\"\nreason = \"why\"\n").expect("well formed");
        let mut exception = Exception::read(&sections[0]);
        assert!(exception.complaint().is_some());
        assert!(exception.excuses(&Fault { file: "a".into(), what: What::Uses("b".into()), text: String::new() }));
        assert!(exception.complaint().is_none());
        assert!(!exception.excuses(&Fault { file: "a".into(), what: What::Lines(501), text: String::new() }));
    }
}
