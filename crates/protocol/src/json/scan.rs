//! Checks that a text is JSON, without building anything.                                                  [RFC 8259]
//!
//! Every packet passes here once, before its event is dispatched: bad JSON closes the connection whether or not
//! anybody listens, and whoever decodes arguments later meets only errors of type. No recursion: the open arrays and
//! objects are bits of one number.

/// Deepest nesting: the bits of `objects` in [`Scanner`].
pub(crate) const MAX_DEPTH: usize = 128;

/// Why a text was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Depth,
    Syntax,
}

/// A place in a text.
pub(crate) struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
    max_depth: usize,
    depth: usize,
    /// The lowest bit says whether the innermost open thing is an object; the next bit is the one around it.
    objects: u128,
}

impl<'a> Scanner<'a> {
    /// Begins at byte `at` of `text`.
    pub(crate) fn new(text: &'a str, at: usize, max_depth: usize) -> Self {
        Self { bytes: text.as_bytes(), at, max_depth: max_depth.min(MAX_DEPTH), depth: 0, objects: 0 }
    }

    /// Checks one value; gives the place after it.
    pub(crate) fn value(mut self) -> Result<usize, Fault> {
        self.skip_space();
        self.run()
    }

    /// Checks what is left of an array from the beginning of one of its elements; gives the place after its `]`.
    pub(crate) fn elements(mut self) -> Result<usize, Fault> {
        self.open(0)?;
        self.skip_space();
        self.run()
    }

    /// From the beginning of a value until nothing is open.
    fn run(&mut self) -> Result<usize, Fault> {
        loop {
            if self.begin_value()? && self.end_value()? {
                return Ok(self.at);
            }
        }
    }

    /// At the first byte of a value. False: something was opened, and its first value is next.
    fn begin_value(&mut self) -> Result<bool, Fault> {
        match self.bytes.get(self.at) {
            Some(b'"') => self.string()?,
            Some(b'-' | b'0'..=b'9') => self.number()?,
            Some(b'{') => {
                self.open(1)?;
                self.at += 1;
                self.skip_space();
                if self.bytes.get(self.at) != Some(&b'}') {
                    self.key()?;
                    return Ok(false);
                }
            }
            Some(b'[') => {
                self.open(0)?;
                self.at += 1;
                self.skip_space();
                return Ok(self.bytes.get(self.at) == Some(&b']'));
            }
            Some(b't') => self.literal(b"true")?,
            Some(b'f') => self.literal(b"false")?,
            Some(b'n') => self.literal(b"null")?,
            _ => return Err(Fault::Syntax),
        }
        Ok(true)
    }

    /// After a value, or at the end of an empty array or object. False: another value is next.
    fn end_value(&mut self) -> Result<bool, Fault> {
        while self.depth > 0 {
            self.skip_space();
            let byte = self.bytes.get(self.at);
            self.at += 1;
            match (byte, self.objects & 1) {
                (Some(b','), inside) => {
                    self.skip_space();
                    if inside == 1 {
                        self.key()?;
                    }
                    return Ok(false);
                }
                (Some(b']'), 0) | (Some(b'}'), 1) => {
                    self.depth -= 1;
                    self.objects >>= 1;
                }
                _ => return Err(Fault::Syntax),
            }
        }
        Ok(true)
    }

    fn open(&mut self, object: u128) -> Result<(), Fault> {
        if self.depth >= self.max_depth {
            return Err(Fault::Depth);
        }
        self.depth += 1;
        self.objects = self.objects << 1 | object;
        Ok(())
    }

    /// A key, its colon, and the way to the value.
    fn key(&mut self) -> Result<(), Fault> {
        if self.bytes.get(self.at) != Some(&b'"') {
            return Err(Fault::Syntax);
        }
        self.string()?;
        self.skip_space();
        if self.bytes.get(self.at) != Some(&b':') {
            return Err(Fault::Syntax);
        }
        self.at += 1;
        self.skip_space();
        Ok(())
    }

    /// At the opening quote of a string.
    fn string(&mut self) -> Result<(), Fault> {
        self.at = string_end(self.bytes, self.at + 1).ok_or(Fault::Syntax)?.next;
        Ok(())
    }

    /// `-? (0 | [1-9][0-9]*) (. [0-9]+)? ([eE] [+-]? [0-9]+)?`                                       [RFC 8259 §6]
    fn number(&mut self) -> Result<(), Fault> {
        self.at = number_end(self.bytes, self.at).ok_or(Fault::Syntax)?;
        Ok(())
    }

    fn literal(&mut self, word: &[u8]) -> Result<(), Fault> {
        let end = self.at + word.len();
        if self.bytes.get(self.at..end) != Some(word) {
            return Err(Fault::Syntax);
        }
        self.at = end;
        Ok(())
    }

    fn skip_space(&mut self) {
        self.at = space_end(self.bytes, self.at);
    }
}

/// The first place from `at` on which holds no white space.
pub(crate) fn space_end(bytes: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\t' | b'\n' | b'\r') = bytes.get(at) {
        at += 1;
    }
    at
}

/// Where a string ends.
pub(crate) struct StringEnd {
    /// The place after the closing quote.
    pub(crate) next: usize,
    /// Whether the string holds a backslash.
    pub(crate) escaped: bool,
}

/// Checks a string from the byte after its opening quote.
#[inline]
pub(crate) fn string_end(bytes: &[u8], at: usize) -> Option<StringEnd> {
    let at = special(bytes, at);
    match bytes.get(at)? {
        b'"' => Some(StringEnd { next: at + 1, escaped: false }),
        b'\\' => escaped_string_end(bytes, at),
        _ => None,
    }
}

/// The same from its first backslash on.
fn escaped_string_end(bytes: &[u8], mut at: usize) -> Option<StringEnd> {
    loop {
        match bytes.get(at)? {
            b'"' => return Some(StringEnd { next: at + 1, escaped: true }),
            b'\\' => match bytes.get(at + 1)? {
                b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => at += 2,
                b'u' if bytes.get(at + 2..at + 6)?.iter().all(u8::is_ascii_hexdigit) => at += 6,
                _ => return None,
            },
            _ => return None,
        }
        at = special(bytes, at);
    }
}

/// Checks a number from its first byte; gives the place after it.
pub(crate) fn number_end(bytes: &[u8], mut at: usize) -> Option<usize> {
    if bytes.get(at) == Some(&b'-') {
        at += 1;
    }
    let first = at;
    at = digits_end(bytes, at)?;
    if bytes.get(first) == Some(&b'0') && at > first + 1 {
        return None;
    }
    if bytes.get(at) == Some(&b'.') {
        at = digits_end(bytes, at + 1)?;
    }
    if let Some(b'e' | b'E') = bytes.get(at) {
        at += 1;
        if let Some(b'+' | b'-') = bytes.get(at) {
            at += 1;
        }
        at = digits_end(bytes, at)?;
    }
    Some(at)
}

/// At least one digit.
fn digits_end(bytes: &[u8], mut at: usize) -> Option<usize> {
    let first = at;
    while let Some(b'0'..=b'9') = bytes.get(at) {
        at += 1;
    }
    (at > first).then_some(at)
}

/// The first place from `at` on which holds `"`, `\` or a control character; the end if there is none.
#[inline]
pub(crate) fn special(bytes: &[u8], at: usize) -> usize {
    let mut rest = bytes.get(at..).unwrap_or_default();
    while let Some((eight, others)) = rest.split_first_chunk() {
        if let Some(place) = special_of_eight(*eight) {
            return bytes.len() - rest.len() + place;
        }
        rest = others;
    }
    let place = rest.iter().position(|&byte| is_special(byte)).unwrap_or(rest.len());
    bytes.len() - rest.len() + place
}

/// Appends what stands before the first `"`, `\` or control character; gives what begins with that.
#[inline]
pub(super) fn copy_plain<'a>(out: &mut Vec<u8>, mut rest: &'a [u8]) -> &'a [u8] {
    while let Some((eight, others)) = rest.split_first_chunk() {
        // Always all eight, which is one store: to copy less would be a call.
        out.extend_from_slice(eight);
        if let Some(place) = special_of_eight(*eight) {
            out.truncate(out.len() - 8 + place);
            return rest.get(place..).unwrap_or_default();
        }
        rest = others;
    }
    while let Some((&byte, others)) = rest.split_first().filter(|(byte, _)| !is_special(**byte)) {
        out.push(byte);
        rest = others;
    }
    rest
}

/// A byte that cannot stand in a string as it is, or ends it.
#[inline]
fn is_special(byte: u8) -> bool {
    matches!(byte, b'"' | b'\\' | 0..=0x1f)
}

/// The first special one of eight bytes, looked at together.
///
/// `(x ^ 2) - 0x21` borrows from its highest bit where `x` is a control character or `"`, which the exclusive or moves
/// next to each other; `(x ^ 0x5c) - 1` does where it is `\`. A borrow goes on into the next byte only from a true one, so
/// the lowest is exact. Where `x` has its highest bit set it is neither.
#[inline]
fn special_of_eight(eight: [u8; 8]) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let word = u64::from_le_bytes(eight);
    let low = (word ^ (ONES * 0x02)).wrapping_sub(ONES * 0x21);
    let backslash = (word ^ (ONES * 0x5c)).wrapping_sub(ONES);
    let found = (low | backslash) & !word & (ONES * 0x80);
    if found == 0 { None } else { Some((found.trailing_zeros() / 8) as usize) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn whole(text: &str) -> bool {
        Scanner::new(text, 0, MAX_DEPTH).value().is_ok_and(|end| space_end(text.as_bytes(), end) == text.len())
    }

    #[test]
    fn what_json_allows() {
        for text in [
            "0",
            "-0",
            "1.5e+10",
            "1E5",
            "0.1",
            "\"\"",
            "\"\\u12aF\\n\"",
            "[]",
            "{}",
            " [ ] ",
            "{ \"a\" : [ 1 , { } ] }",
            "[[],[[]],{\"\":{}}]",
            "true",
            "null",
            "\"longer than eight \\\" bytes\"",
            "\"\u{7f}é😀\"",
            "\"\\ud800\"",
        ] {
            assert!(whole(text), "{text}");
        }
    }

    #[test]
    fn what_json_does_not_allow() {
        for text in [
            "",
            "-",
            "01",
            "1.",
            ".5",
            "1e",
            "+1",
            "\"",
            "\"\\x\"",
            "\"\\u12g4\"",
            "\"\u{1}\"",
            "\"a\nb\"",
            "[",
            "[1",
            "[1,]",
            "[,1]",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{a:1}",
            "{1:1}",
            "]",
            "}",
            "[}",
            "{]",
            "nul",
            "NaN",
            "Infinity",
            "1 2",
            "[1 2]",
            "'a'",
            "\u{feff}1",
            "\"\\",
            "\"\\u12",
            "tru",
            "[1]]",
            "{\"a\":1 \"b\":2}",
            "\u{a0}1",
        ] {
            assert!(!whole(text), "{text}");
        }
    }

    #[test]
    fn depth_is_bounded() {
        let nest = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(whole(&nest(MAX_DEPTH)));
        assert_eq!(Scanner::new(&nest(MAX_DEPTH + 1), 0, usize::MAX).value(), Err(Fault::Depth));
        assert_eq!(Scanner::new(&nest(100_000), 0, MAX_DEPTH).value(), Err(Fault::Depth));
        assert_eq!(Scanner::new(&"{\"a\":".repeat(100_000), 0, MAX_DEPTH).value(), Err(Fault::Depth));
        assert_eq!(Scanner::new("[[1]]", 0, 1).value(), Err(Fault::Depth));
    }

    #[test]
    fn the_rest_of_an_array() {
        assert_eq!(Scanner::new("[0, 1,{}] ", 3, 2).elements(), Ok(9));
        assert_eq!(Scanner::new("[0,", 3, 2).elements(), Err(Fault::Syntax));
        assert_eq!(Scanner::new("[0,]", 3, 2).elements(), Err(Fault::Syntax));
    }

    proptest! {
        #[test]
        fn agrees_with_serde_json(text in r#"[\[\]{},:"\\0-9a-fntrue .eE+\-]{0,24}"#) {
            prop_assert_eq!(whole(&text), serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok());
        }

        #[test]
        fn finds_the_first_special(text in ".{0,40}|[!#\\[\\]^ -$\u{0}-\u{22}\u{7f}-\u{ff}]{0,20}[\"\\\\\u{1f}]?.{0,9}") {
            let slow = text.bytes().position(|b| matches!(b, b'"' | b'\\' | 0..=0x1f)).unwrap_or(text.len());
            prop_assert_eq!(special(text.as_bytes(), 0), slow);
            let mut copied = b"before".to_vec();
            let rest = copy_plain(&mut copied, text.as_bytes());
            prop_assert_eq!(copied, [b"before", &text.as_bytes()[..slow]].concat());
            prop_assert_eq!(rest, &text.as_bytes()[slow..]);
        }
    }
}
