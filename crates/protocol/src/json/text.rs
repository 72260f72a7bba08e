//! Strings between their quotes.                                                                       [RFC 8259 §7]

use std::borrow::Cow;

use super::scan::copy_plain;

/// What stands between the quotes of a checked string, with its escapes resolved.
#[inline]
pub(crate) fn unescape(raw: &str, escaped: bool) -> Cow<'_, str> {
    if escaped { Cow::Owned(resolve(raw)) } else { Cow::Borrowed(raw) }
}

fn resolve(raw: &str) -> String {
    let mut text = Vec::with_capacity(raw.len());
    let mut rest = raw.as_bytes();
    loop {
        rest = copy_plain(&mut text, rest);
        if rest.is_empty() {
            // Whole characters were copied and whole ones were put between them.
            return String::from_utf8(text).unwrap_or_default();
        }
        rest = escape(rest, &mut text);
    }
}

/// Resolves the escape at the beginning of `text`; gives what follows it.
#[inline]
fn escape<'a>(text: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
    out.push(match text.get(1).copied().unwrap_or_default() {
        b'b' => 0x08,
        b'f' => 0x0c,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'u' => return escaped_code(text, out),
        other => other,
    });
    text.get(2..).unwrap_or_default()
}

/// The same for `\uXXXX`, or two of them which make one character.
fn escaped_code<'a>(text: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
    let first = code_unit(text).unwrap_or_default();
    let second = text.get(6..).and_then(code_unit);
    let (code, length) = match (first, second) {
        (0xd800..0xdc00, Some(second @ 0xdc00..0xe000)) => {
            (0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00), 12)
        }
        _ => (first, 6),
    };
    let character = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
    out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    text.get(length..).unwrap_or_default()
}

/// The number of a `\uXXXX` at the beginning of `text`.
fn code_unit(text: &[u8]) -> Option<u32> {
    let digits = text.strip_prefix(b"\\u")?.first_chunk::<4>()?;
    u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// Writes a string with its quotes.
pub(super) fn write(out: &mut Vec<u8>, text: &str) {
    out.reserve(text.len() + 2);
    out.push(b'"');
    let mut rest = copy_plain(out, text.as_bytes());
    while let Some((&byte, others)) = rest.split_first() {
        write_escape(out, byte);
        rest = copy_plain(out, others);
    }
    out.push(b'"');
}

#[inline]
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
