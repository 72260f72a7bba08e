//! The pages name files, tests and each other: all of them exist.

use std::path::{Path, PathBuf};

/// Pages with what is to be tested in them. Those of `docs/` are found.
fn pages() -> Vec<(PathBuf, String)> {
    let root = root();
    let beside = std::fs::read_dir(&root).unwrap().chain(std::fs::read_dir(root.join("docs")).unwrap());
    let mut pages: Vec<PathBuf> = beside.map(|entry| entry.unwrap().path()).collect();
    pages.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    pages.sort();
    assert!(pages.len() > 15, "{pages:?}");
    pages.into_iter().map(|path| (path.clone(), std::fs::read_to_string(path).unwrap())).collect()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The parts of `text` between `open` and `close`.
fn between<'a>(text: &'a str, open: &str, close: &str) -> Vec<&'a str> {
    text.split(open).skip(1).filter_map(|rest| rest.split_once(close)).map(|(inside, _)| inside).collect()
}

#[test]
fn links_lead_somewhere() {
    for (page, text) in pages() {
        for link in between(&text, "](", ")") {
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            if file.starts_with("http") {
                continue;
            }
            let target = if file.is_empty() { page.clone() } else { page.parent().unwrap().join(file) };
            assert!(target.exists(), "{}: {link} leads nowhere", page.display());
            if !anchor.is_empty() {
                let target = std::fs::read_to_string(target).unwrap();
                let found = target.lines().filter(|line| line.starts_with('#')).any(|line| slug(line) == anchor);
                assert!(found, "{}: no heading #{anchor}", page.display());
            }
        }
    }
}

/// A heading as links write it.
fn slug(heading: &str) -> String {
    let words = heading.trim_start_matches('#').trim().to_lowercase();
    words.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-')).collect::<String>().replace(' ', "-")
}

/// Each row of a table names a file and what is in it: `file` `name` `name` `file` `name`.
#[test]
fn every_promise_has_its_test() {
    let text = std::fs::read_to_string(root().join("docs/security.md")).unwrap();
    let mut named = 0;
    for row in text.lines().filter(|line| line.starts_with('|')) {
        let mut file = None;
        for word in row.split('`').skip(1).step_by(2) {
            if word.contains('/') && word.contains('.') {
                let read = std::fs::read_to_string(root().join(word));
                file = Some(read.unwrap_or_else(|_| panic!("there is no {word}: {row}")));
            } else if let Some(file) = &file {
                assert!(file.contains(word), "no test {word:?}: {row}");
                named += 1;
            }
        }
    }
    assert!(named > 50, "{named}");
}

#[test]
fn every_difference_has_its_test() {
    let text = std::fs::read_to_string(root().join("docs/protocol-notes.md")).unwrap();
    let mut differences = 0;
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if !line.starts_with("**") {
            continue;
        }
        differences += 1;
        let tests = lines.peek().and_then(|next| next.strip_prefix("Test: ")).unwrap_or_else(|| panic!("{line}"));
        let mut file = String::new();
        let mut named = 0;
        for word in tests.split('`').skip(1).step_by(2) {
            if word.contains('/') && word.contains('.') {
                file = std::fs::read_to_string(root().join(word)).unwrap_or_else(|_| panic!("there is no {word}"));
            } else {
                assert!(file.contains(word), "no test {word:?}: {tests}");
                named += 1;
            }
        }
        assert!(named > 0, "{line}");
    }
    assert!(differences > 20, "{differences}");
}

#[test]
fn every_page_is_compiled_or_has_no_rust() {
    let compiled = concat!(include_str!("../lib.rs"), include_str!("../../crates/server/src/guides.rs"));
    for (page, text) in pages() {
        let is_code = text.lines().any(|line| line.starts_with("```rust") && !line.contains("ignore"));
        let name = format!("/{}\"", page.file_name().unwrap().to_string_lossy());
        assert!(!is_code || compiled.contains(&name), "{} is missing in examples/lib.rs", page.display());
    }
}

#[test]
fn the_files_of_the_architecture_exist() {
    let text = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let tree = between(&text, "```text\ncrates/engine/src/", "```")[0];
    let mut folders = vec![(0, "crates/engine/src/".to_owned())];
    let mut files = 0;
    for line in tree.lines().skip(1).filter(|line| !line.is_empty()) {
        let indent = line.len() - line.trim_start().len();
        // Names come first; the explanation begins after two spaces, or where a word is no path.
        let is_path = |word: &&str| word.ends_with('/') || Path::new(word).extension().is_some_and(|ext| ext == "rs");
        let words = line.split_whitespace().take_while(is_path);
        for (at, word) in words.enumerate().take(if indent == 0 { 1 } else { usize::MAX }) {
            if at == 0 {
                folders.retain(|(depth, _)| indent == 0 && *depth > 0 || *depth < indent);
            }
            let parent = if indent == 0 { String::new() } else { folders.last().unwrap().1.clone() };
            let path = format!("{parent}{word}");
            assert!(root().join(&path).exists(), "ARCHITECTURE.md names {path}, which is not there");
            files += 1;
            if word.ends_with('/') && at == 0 {
                folders.retain(|(depth, _)| *depth < indent);
                folders.push((indent, path));
            }
        }
    }
    assert!(files > 90, "{files}");
}

#[test]
fn the_readme_and_the_crate_show_the_same_server() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let server = between(&readme, "```rust,no_run\n", "```")[0];
    let documentation = std::fs::read_to_string(root().join("crates/server/src/lib.rs")).unwrap();
    let documentation: Vec<&str> = documentation
        .lines()
        .map_while(|line| line.strip_prefix("//!"))
        .map(|line| line.strip_prefix(' ').unwrap_or(line))
        .collect();
    let documentation = documentation.join("\n");
    assert_eq!(between(&documentation, "```no_run\n", "```")[0], server);
    assert!(server.lines().count() <= 42, "{}", server.lines().count());
}
