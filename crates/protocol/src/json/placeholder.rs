//! `{"_placeholder":true,"num":0}`: where an attachment belongs.                            [SIO5 "packet encoding"]
//!
//! Only in packets which announce attachments; anywhere else such an object is data. An object is a placeholder if
//! `_placeholder` is `true` before any key other than `num`; what else it holds is ignored. That keeps the look into each
//! object short, so that nested objects cannot make the check quadratic.

use memchr::memchr2;

use super::scan::{MAX_DEPTH, Scanner, space_end, string_end};
use super::unescape;

/// As every implementation writes it.
const USUAL: &str = "{\"_placeholder\":true,\"num\":";

/// What the object at some place is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// A placeholder without a number that could be an attachment's.
    Bad,
    /// Data.
    Object,
    /// A placeholder.
    Placeholder {
        /// Number of the attachment.
        num: usize,
        /// The place after the object.
        end: usize,
    },
}

/// Looks at the object which begins at `at` of a checked text.
pub(crate) fn at(text: &str, at: usize) -> Found {
    usual(text, at).unwrap_or_else(|| Reader { text, at: at + 1, num: None, marked: false }.object())
}

/// Whether each placeholder of a checked text names one of `count` attachments.
pub(crate) fn check(text: &str, count: usize) -> bool {
    let bytes = text.as_bytes();
    let mut place = 0;
    while let Some(offset) = bytes.get(place..).and_then(|rest| memchr2(b'{', b'"', rest)) {
        place += offset;
        if bytes.get(place) == Some(&b'"') {
            let Some(end) = string_end(bytes, place + 1) else { return false };
            place = end.next;
            continue;
        }
        match at(text, place) {
            Found::Bad => return false,
            Found::Object => place += 1,
            Found::Placeholder { num, .. } if num >= count => return false,
            Found::Placeholder { end, .. } => place = end,
        }
    }
    true
}

/// Writes a placeholder.
pub(super) fn write(out: &mut Vec<u8>, num: usize) {
    out.extend_from_slice(USUAL.as_bytes());
    out.extend_from_slice(num.to_string().as_bytes());
    out.push(b'}');
}

fn usual(text: &str, at: usize) -> Option<Found> {
    let rest = text.get(at..)?.strip_prefix(USUAL)?;
    let length = rest.bytes().position(|byte| !byte.is_ascii_digit())?;
    let num = rest.get(..length)?.parse().ok()?;
    (rest.as_bytes().get(length) == Some(&b'}'))
        .then_some(Found::Placeholder { num, end: at + USUAL.len() + length + 1 })
}

/// Reads the keys of one object.
struct Reader<'a> {
    text: &'a str,
    at: usize,
    /// Not there, or no number of anything.
    num: Option<usize>,
    marked: bool,
}

impl Reader<'_> {
    fn object(mut self) -> Found {
        loop {
            match self.member() {
                Some(true) => {}
                Some(false) => break,
                None => return Found::Object,
            }
        }
        match (self.marked, self.num) {
            (true, Some(num)) => Found::Placeholder { num, end: self.at },
            (true, _) => Found::Bad,
            (false, _) => Found::Object,
        }
    }

    /// Reads a member. `Some(false)`: the end of the object; `None`: this is data.
    fn member(&mut self) -> Option<bool> {
        let bytes = self.text.as_bytes();
        self.at = space_end(bytes, self.at);
        if bytes.get(self.at) == Some(&b',') {
            self.at = space_end(bytes, self.at + 1);
        }
        if bytes.get(self.at) == Some(&b'}') {
            self.at += 1;
            return Some(false);
        }
        let key = self.at + 1;
        let end = string_end(bytes, key)?;
        let key = unescape(self.text.get(key..end.next - 1)?, end.escaped);
        let colon = space_end(bytes, end.next);
        let value = space_end(bytes, colon + 1);
        if !self.marked && (!matches!(&*key, "_placeholder" | "num") || matches!(bytes.get(value), Some(b'{' | b'['))) {
            return None;
        }
        self.at = Scanner::new(self.text, value, MAX_DEPTH).value().ok()?;
        let value = self.text.get(value..self.at)?;
        match &*key {
            "_placeholder" => self.marked = value == "true",
            "num" => self.num = value.parse().ok().filter(|_| value.bytes().all(|byte| byte.is_ascii_digit())),
            _ => {}
        }
        Some(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_in_all_their_forms() {
        for text in [
            r#"{"_placeholder":true,"num":3}"#,
            r#"{"num":3,"_placeholder":true}"#,
            r#"{ "_placeholder" : true , "num" : 3 }"#,
            r#"{"\u005fplaceholder":true,"num":3}"#,
            r#"{"_placeholder":true,"x":{"y":[]},"num":3}"#,
            r#"{"num":1,"_placeholder":true,"num":3}"#,
        ] {
            assert_eq!(at(text, 0), Found::Placeholder { num: 3, end: text.len() }, "{text}");
            assert!(check(text, 4) && !check(text, 3), "{text}");
        }
    }

    #[test]
    fn a_placeholder_without_a_proper_number_is_bad() {
        for num in ["-1", "1.5", "\"splice\"", "\"0\"", "null", "18446744073709551616", "1e0", "[]", "{}", "true", "-0"]
        {
            assert_eq!(at(&format!(r#"{{"_placeholder":true,"num":{num}}}"#), 0), Found::Bad, "{num}");
        }
        assert_eq!(at(r#"{"_placeholder":true}"#, 0), Found::Bad);
        assert!(!check(r#"[1,{"a":[{"_placeholder":true}]}]"#, 9));
    }

    #[test]
    fn data_which_only_looks_similar() {
        for text in [
            "{}",
            r#"{"num":3}"#,
            r#"{"_placeholder":false,"num":3}"#,
            r#"{"_placeholder":1,"num":3}"#,
            r#"{"_placeholder":"true"}"#,
            r#"{"a":1,"_placeholder":true,"num":0}"#,
            r#"{"num":{"num":1}}"#,
        ] {
            assert_eq!(at(text, 0), Found::Object, "{text}");
        }
        assert!(check(r#"["{\"_placeholder\":true}","{",{"x":"{\"_placeholder\":true,"}]"#, 0));
    }
}
