//! The small part of TOML our own settings need: sections, and keys with a string, a number or a list of strings.

use crate::shell::{Failure, Result};

/// One `[section]` or `[[section]]` with its keys.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Section {
    pub(crate) name: String,
    keys: Vec<(String, Vec<String>)>,
}

impl Section {
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.list(key)?.first().map(String::as_str)
    }

    pub(crate) fn list(&self, key: &str) -> Option<&[String]> {
        self.keys.iter().find(|(name, _)| name == key).map(|(_, values)| values.as_slice())
    }
}

/// # Errors
/// Names the line that is none of: blank, comment, section, `key = value`.
pub(crate) fn parse(text: &str) -> Result<Vec<Section>> {
    let mut sections: Vec<Section> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let wrong = || Failure::new(format!("line {}: neither a section nor `key = value`: {line}", number + 1));
        if let Some(name) = line.strip_prefix('[') {
            let name = name.trim_matches(['[', ']']).trim_matches('"').into();
            sections.push(Section { name, keys: Vec::new() });
        } else {
            let (key, value) = line.split_once('=').ok_or_else(wrong)?;
            let section = sections.last_mut().ok_or_else(wrong)?;
            section.keys.push((key.trim().into(), values(value.trim())));
        }
    }
    Ok(sections)
}

fn values(text: &str) -> Vec<String> {
    match text.strip_prefix('[').and_then(|list| list.strip_suffix(']')) {
        Some(list) => list.split(',').map(unquoted).filter(|value| !value.is_empty()).collect(),
        None => vec![unquoted(text)],
    }
}

fn unquoted(text: &str) -> String {
    text.trim().trim_matches('"').into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_keys_and_lists() {
        let sections = parse(
            "# why\n[crate.engine]\nuses = []\nnever = [\"tokio\", \"http\"]\n\n[[exception]]\nlines = 620\nreason = \"a, b = c\"\n",
        );
        let sections = sections.expect("it is well formed");
        assert_eq!(sections.len(), 2);
        assert_eq!(sections[0].list("uses"), Some(&[][..]));
        assert_eq!(sections[0].list("never"), Some(&["tokio".to_string(), "http".to_string()][..]));
        assert_eq!((sections[1].name.as_str(), sections[1].get("lines")), ("exception", Some("620")));
        assert_eq!(sections[1].get("reason"), Some("a, b = c"));
    }

    #[test]
    fn nonsense_is_named_by_its_line() {
        let error = parse("[a]\nb\n").expect_err("`b` is no key");
        assert!(error.to_string().starts_with("line 2"));
        assert!(parse("a = 1\n").is_err());
    }
}
