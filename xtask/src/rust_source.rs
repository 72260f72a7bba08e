//! Reads a Rust file as far as needed to see who uses whom: modules, paths and definitions, without tests.

use std::collections::{HashMap, HashSet};

/// What one file declares and mentions. Items under `#[cfg(test)]` are left out everywhere.
#[derive(Debug, Default)]
pub(crate) struct Source {
    /// `mod name;` in order.
    pub(crate) modules: Vec<String>,
    /// Paths that start with `crate`, `super`, `self` or a plain name in a `use`; line of each.
    pub(crate) paths: Vec<(Vec<String>, usize)>,
    /// Name → path, for everything `use` brings into the file's top level; globs under `*`, one after the other.
    pub(crate) imports: HashMap<String, Vec<Vec<String>>>,
    /// Names of items defined in this file.
    pub(crate) defined: HashSet<String>,
    /// Lines that are not test code.
    pub(crate) lines: usize,
}

impl Source {
    pub(crate) fn parse(text: &str) -> Self {
        let mut reader = Reader { tokens: tokenize(text), ..Reader::default() };
        let total = text.lines().count();
        if reader.is_test_file() {
            return Self::default();
        }
        while reader.at < reader.tokens.len() {
            reader.step();
        }
        reader.source.lines = total - reader.test_lines.min(total);
        reader.source
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Word(String),
    Sign(char),
}

#[derive(Default)]
struct Reader {
    tokens: Vec<(Token, usize)>,
    at: usize,
    /// Inline modules around this place: name, and the brace depth at which each ends.
    inline: Vec<(String, usize)>,
    depth: usize,
    test_lines: usize,
    source: Source,
}

impl Reader {
    fn step(&mut self) {
        match self.tokens[self.at].0.clone() {
            Token::Sign('#') => self.attribute(),
            Token::Sign('{') => {
                self.depth += 1;
                self.at += 1;
            }
            Token::Sign('}') => self.close_brace(),
            Token::Sign(_) => self.at += 1,
            Token::Word(word) => self.word(&word),
        }
    }

    fn close_brace(&mut self) {
        self.depth = self.depth.saturating_sub(1);
        if self.inline.last().is_some_and(|(_, depth)| *depth == self.depth) {
            self.inline.pop();
        }
        self.at += 1;
    }

    fn word(&mut self, word: &str) {
        match word {
            "mod" => self.module(),
            "use" => self.import(),
            "crate" | "super" | "self" if self.sign(1) == Some(':') && self.sign(2) == Some(':') => self.path(),
            "struct" | "enum" | "trait" | "fn" | "type" | "const" | "static" | "union" => {
                if let Some(name) = self.word_at(1) {
                    self.source.defined.insert(name);
                }
                self.at += 1;
            }
            "macro_rules" => {
                if let Some(name) = self.word_at(2) {
                    self.source.defined.insert(name);
                }
                self.at += 1;
            }
            _ => self.at += 1,
        }
    }

    fn module(&mut self) {
        if let Some(name) = self.word_at(1) {
            match self.sign(2) {
                Some(';') if self.inline.is_empty() => self.source.modules.push(name),
                Some('{') => self.inline.push((name, self.depth)),
                _ => {}
            }
        }
        self.at += 1;
    }

    /// `use a::{b, c as d, e::*};` becomes one path for each leaf.
    fn import(&mut self) {
        let line = self.tokens[self.at].1;
        self.at += 1;
        let mut leaves = Vec::new();
        self.tree(&[], &mut leaves);
        for (path, name) in leaves {
            let path = self.absolute(path);
            if self.inline.is_empty() {
                self.source.imports.entry(name).or_default().push(path.clone());
            }
            self.source.paths.push((path, line));
        }
    }

    fn tree(&mut self, prefix: &[String], leaves: &mut Vec<(Vec<String>, String)>) {
        let mut path = prefix.to_vec();
        loop {
            match self.tokens.get(self.at).map(|(token, _)| token.clone()) {
                Some(Token::Word(word)) if word == "as" => {
                    let name = self.word_at(1).unwrap_or_default();
                    self.at += 2;
                    return leaves.push((path, name));
                }
                Some(Token::Word(word)) => path.push(word),
                Some(Token::Sign('*')) => {
                    self.at += 1;
                    return leaves.push((path, "*".into()));
                }
                Some(Token::Sign('{')) => return self.branches(&path, leaves),
                Some(Token::Sign(':')) => {}
                _ => break,
            }
            self.at += 1;
        }
        if path.last().is_some_and(|last| last == "self") && path.len() > 1 {
            path.pop();
        }
        if path.len() > prefix.len() || !path.is_empty() {
            let name = path.last().cloned().unwrap_or_default();
            leaves.push((path, name));
        }
    }

    fn branches(&mut self, path: &[String], leaves: &mut Vec<(Vec<String>, String)>) {
        self.at += 1;
        while let Some((token, _)) = self.tokens.get(self.at) {
            match token {
                Token::Sign('}') => break,
                Token::Sign(',') => self.at += 1,
                _ => self.tree(path, leaves),
            }
        }
        self.at += 1;
    }

    fn path(&mut self) {
        let line = self.tokens[self.at].1;
        let mut path = Vec::new();
        while let Some(word) = self.word_at(0) {
            path.push(word);
            self.at += 1;
            if self.sign(0) != Some(':') || self.sign(1) != Some(':') {
                break;
            }
            self.at += 2;
        }
        let path = self.absolute(path);
        self.source.paths.push((path, line));
    }

    /// Inside inline modules `super` and `self` mean less than at the file's top: rewritten to mean the file's.
    fn absolute(&self, mut path: Vec<String>) -> Vec<String> {
        let mut around = self.inline.len();
        if around == 0 || !matches!(path.first().map(String::as_str), Some("super" | "self")) {
            return path;
        }
        while around > 0 && path.first().is_some_and(|first| first == "super") {
            path.remove(0);
            around -= 1;
        }
        if path.first().is_none_or(|first| first != "super") {
            path.insert(0, "self".into());
        }
        path
    }

    /// Skips the attribute; if it says `cfg(test)`, skips what it belongs to as well.
    fn attribute(&mut self) {
        let start = self.at;
        let inner = self.sign(1) == Some('!');
        self.at += if inner { 2 } else { 1 };
        let words = self.group();
        if inner || !is_test(&words) {
            return;
        }
        while self.sign(0) == Some('#') {
            self.at += 1;
            self.group();
        }
        self.item();
        let last = self.at.saturating_sub(1).min(self.tokens.len() - 1);
        self.test_lines += self.tokens[last].1 + 1 - self.tokens[start].1;
    }

    /// Passes one bracketed group and gives its words.
    fn group(&mut self) -> Vec<String> {
        let (mut depth, mut words) = (0_usize, Vec::new());
        while let Some((token, _)) = self.tokens.get(self.at) {
            match token {
                Token::Sign('[' | '(' | '{') => depth += 1,
                Token::Sign(']' | ')' | '}') => depth -= 1,
                Token::Sign(_) => {}
                Token::Word(word) => words.push(word.clone()),
            }
            self.at += 1;
            if depth == 0 {
                break;
            }
        }
        words
    }

    /// Passes one item: to its `;`, or over its braces.
    fn item(&mut self) {
        loop {
            match self.sign(0) {
                Some('{') => {
                    self.group();
                    return;
                }
                Some(';' | '}') | None if self.at >= self.tokens.len() || self.sign(0).is_some() => {
                    self.at += 1;
                    return;
                }
                Some('(' | '[') => {
                    self.group();
                }
                _ => self.at += 1,
            }
        }
    }

    fn is_test_file(&self) -> bool {
        let start: Vec<_> = self.tokens.iter().take(7).map(|(token, _)| token.clone()).collect();
        let wanted = ['#', '!', '['].map(Token::Sign);
        start.len() == 7
            && start[..3] == wanted
            && start[3] == Token::Word("cfg".into())
            && start[5] == Token::Word("test".into())
    }

    fn word_at(&self, ahead: usize) -> Option<String> {
        match self.tokens.get(self.at + ahead) {
            Some((Token::Word(word), _)) => Some(word.clone()),
            _ => None,
        }
    }

    fn sign(&self, ahead: usize) -> Option<char> {
        match self.tokens.get(self.at + ahead) {
            Some((Token::Sign(sign), _)) => Some(*sign),
            _ => None,
        }
    }
}

fn is_test(words: &[String]) -> bool {
    words.first().is_some_and(|word| word == "cfg")
        && words.iter().any(|word| word == "test")
        && !words.iter().any(|word| word == "not")
}

/// Words and signs with their lines; comments, strings, characters, lifetimes and numbers are dropped.
fn tokenize(text: &str) -> Vec<(Token, usize)> {
    let bytes = text.as_bytes();
    let (mut tokens, mut at, mut line) = (Vec::new(), 0, 1);
    while at < bytes.len() {
        let rest = &text[at..];
        let length = match bytes[at] {
            b'/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            b'/' if rest.starts_with("/*") => block_comment(rest),
            b'"' => quoted(rest, '"'),
            b'\'' => character(rest),
            b'r' | b'b' | b'c' if string_prefix(rest).is_some() => string_prefix(rest).unwrap_or(1),
            byte if byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80 => word_length(rest),
            _ => 1,
        };
        let first = rest.chars().next().unwrap_or(' ');
        if first.is_alphabetic() || first == '_' {
            if string_prefix(rest).is_none() {
                tokens.push((Token::Word(rest[..length].trim_start_matches("r#").into()), line));
            }
        } else if length == 1 && first.is_ascii_punctuation() {
            tokens.push((Token::Sign(first), line));
        }
        line += rest[..length].matches('\n').count();
        at += length;
    }
    tokens
}

fn word_length(rest: &str) -> usize {
    let start = if rest.starts_with("r#") { 2 } else { 0 };
    rest[start..].find(|c: char| !c.is_alphanumeric() && c != '_').map_or(rest.len(), |end| (start + end).max(1))
}

fn block_comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < rest.len() {
        match &rest.as_bytes()[at..rest.len().min(at + 2)] {
            b"/*" => (depth, at) = (depth + 1, at + 2),
            b"*/" => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

/// Length of a string with escapes, quotes included.
fn quoted(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// `'a'` is a character, `'a` a lifetime.
fn character(rest: &str) -> usize {
    let mut chars = rest.char_indices().skip(1);
    match (chars.next(), chars.next()) {
        (Some((_, '\\')), _) => quoted(rest, '\''),
        (Some(_), Some((at, '\''))) => at + 1,
        _ => 1 + word_length(&rest[1..]).min(rest.len() - 1),
    }
}

/// Length of a raw, byte or C string at the start of `rest`, if there is one.
fn string_prefix(rest: &str) -> Option<usize> {
    let prefix = ["br", "cr", "r", "b", "c"].into_iter().find(|prefix| {
        let after = rest[prefix.len().min(rest.len())..].trim_start_matches('#');
        rest.starts_with(prefix) && after.starts_with(['"', '\''])
    })?;
    let after = &rest[prefix.len()..];
    let hashes = after.len() - after.trim_start_matches('#').len();
    if after.starts_with('\'') {
        return (prefix == "b").then(|| prefix.len() + quoted(after, '\''));
    }
    if !prefix.ends_with('r') {
        return (hashes == 0).then(|| prefix.len() + quoted(after, '"'));
    }
    let end = format!("\"{}", "#".repeat(hashes));
    let body = prefix.len() + hashes + 1;
    Some(rest[body..].find(&end).map_or(rest.len(), |at| body + at + end.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(text: &str) -> Vec<String> {
        Source::parse(text).paths.into_iter().map(|(path, _)| path.join("::")).collect()
    }

    #[test]
    fn use_trees_are_flattened() {
        let text = "use crate::a::{b, c::{self, D as E}, f::*};\nuse super::g;";
        assert_eq!(paths(text), ["crate::a::b", "crate::a::c", "crate::a::c::D", "crate::a::f", "super::g"]);
        let source = Source::parse(text);
        assert_eq!(source.imports["E"], [["crate", "a", "c", "D"].map(String::from).to_vec()]);
        assert_eq!(source.imports["*"].len(), 1);
    }

    #[test]
    fn paths_in_code_count_and_words_in_text_do_not() {
        let text = r##"
            // crate::comment::X
            /* crate::block /* nested */ ::Y */
            fn f<'a>(x: &'a str) -> crate::real::T { let s = "crate::string::Z"; let r = r#"crate::"raw"::Z"#; let c = '"'; super::one::<u8>(x) }
        "##;
        assert_eq!(paths(text), ["crate::real::T", "super::one"]);
    }

    #[test]
    fn tests_are_left_out() {
        let text = "use crate::a;\n#[cfg(test)]\n#[allow(x)]\nmod tests {\n    use crate::b;\n}\n#[cfg(test)]\nuse crate::c;\n#[cfg(not(test))]\nuse crate::d;\n";
        let source = Source::parse(text);
        assert_eq!(paths(text), ["crate::a", "crate::d"]);
        assert_eq!(source.lines, 3);
    }

    #[test]
    fn a_test_function_is_left_out_to_its_end() {
        let text = "#[cfg(test)]\nfn f(x: [u8; 3]) -> u8 {\n crate::x::y(); { 1 }\n}\nfn g() { crate::z::y() }\n";
        assert_eq!(paths(text), ["crate::z::y"]);
        assert_eq!(Source::parse(text).lines, 1);
    }

    #[test]
    fn inline_modules_shift_super() {
        assert_eq!(
            paths("mod inner { use super::a::B; use super::super::c; } use super::d;"),
            ["self::a::B", "super::c", "super::d"]
        );
    }

    #[test]
    fn modules_keep_their_order() {
        let source = Source::parse("pub mod b;\nmod a;\npub(crate) mod c { mod inside; }\n#[cfg(test)]\nmod tests;\n");
        assert_eq!(source.modules, ["b", "a"]);
    }
}
