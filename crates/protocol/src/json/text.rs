//! Strings between their quotes.                                                                       [RFC 8259 §7]

use std::borrow::Cow;

use memchr::memchr;

use super::scan::special;

/// What stands between the quotes of a checked string, with its escapes resolved.
pub(crate) fn unescape(raw: &str, escaped: bool) -> Cow<'_, str> {
    if !escaped {
        return Cow::Borrowed(raw);
    }
    let mut text = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((before, after)) = memchr(b'\\', rest.as_bytes()).and_then(|at| rest.split_at_checked(at)) {
        text.push_str(before);
        rest = escape(after, &mut text);
    }
    text.push_str(rest);
    Cow::Owned(text)
}

/// Resolves the escape at the beginning of `text`; gives what follows it.
fn escape<'a>(text: &'a str, out: &mut String) -> &'a str {
    let letter = text.as_bytes().get(1).copied().unwrap_or_default();
    let mut length = 2;
    out.push(match letter {
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => {
            length = 6;
            let first = code_unit(text).unwrap_or_default();
            let second = text.get(6..).and_then(code_unit);
            match (first, second) {
                (0xd800..0xdc00, Some(second @ 0xdc00..0xe000)) => {
                    length = 12;
                    let code = 0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00);
                    char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
                }
                _ => char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER),
            }
        }
        other => char::from(other),
    });
    text.get(length..).unwrap_or_default()
}

/// The number of a `\uXXXX` at the beginning of `text`.
fn code_unit(text: &str) -> Option<u32> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    u32::from_str_radix(digits, 16).ok()
}

/// Writes a string with its quotes.
pub(super) fn write(out: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    out.push(b'"');
    let mut from = 0;
    loop {
        let at = special(bytes, from);
        out.extend_from_slice(bytes.get(from..at).unwrap_or_default());
        let Some(&byte) = bytes.get(at) else { break };
        write_escape(out, byte);
        from = at + 1;
    }
    out.push(b'"');
}

fn write_escape(out: &mut Vec<u8>, byte: u8) {
    const HEX: [u8; 16] = *b"0123456789abcdef";
    let letter = match byte {
        b'"' | b'\\' => byte,
        0x08 => b'b',
        0x0c => b'f',
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        _ => {
            let digit = HEX.get(usize::from(byte & 15)).copied().unwrap_or_default();
            return out.extend_from_slice(&[b'\\', b'u', b'0', b'0', b'0' + (byte >> 4), digit]);
        }
    };
    out.extend_from_slice(&[b'\\', letter]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn escapes_are_resolved() {
        assert_eq!(unescape(r#"a\"\\\/\b\f\n\r\tz"#, true), "a\"\\/\u{8}\u{c}\n\r\tz");
        assert_eq!(unescape(r"\u0041\u00e9\ud83d\ude00", true), "Aé😀");
    }

    #[test]
    fn lone_surrogates_become_replacement_characters() {
        assert_eq!(unescape(r"\ud800", true), "\u{fffd}");
        assert_eq!(unescape(r"\ude00x", true), "\u{fffd}x");
        assert_eq!(unescape(r"\ud83d\u0041", true), "\u{fffd}A");
        assert_eq!(unescape(r"\ud83d\ud83d\ude00", true), "\u{fffd}😀");
        assert_eq!(unescape(r"\ud83dé", true), "\u{fffd}é");
    }

    proptest! {
        #[test]
        fn strings_are_written_as_serde_json_does(text in "\\PC*|[\u{0}-\u{30}\\\\\"]*") {
            let mut out = Vec::new();
            write(&mut out, &text);
            prop_assert_eq!(String::from_utf8(out).unwrap(), serde_json::to_string(&text).unwrap());
        }
    }
}
