//! Keys of maps. MessagePack lets them be any value, a JS object has strings: what else stands there becomes its text, as
//! `object[key]` does it. Only a date is the text which it is as a value, too.       [ECMA-262 "ToPropertyKey", "ToString"]

use std::borrow::Cow;
use std::fmt::Write;

use super::cursor::{Cursor, Token};
use super::date;
use crate::json::scan::MAX_DEPTH;

/// Passes the next value, of any kind, and gives its text. `None` if there is none.
pub(super) fn read<'a>(cursor: &mut Cursor<'a>) -> Option<Cow<'a, str>> {
    let start = cursor.at();
    Some(match cursor.token()? {
        Token::Nil => Cow::Borrowed(if cursor.since(start) == [0xc0] { "null" } else { "undefined" }),
        Token::Str(text) => text_of(text),
        token => {
            let mut text = String::new();
            append(&mut text, token, cursor)?;
            Cow::Owned(text)
        }
    })
}

/// What is not UTF-8 reads as U+FFFD, as JS does it.
pub(super) fn text_of(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

/// The recursion is as deep as arrays are in arrays, which was bounded when the bytes were checked.
fn append(text: &mut String, token: Token<'_>, cursor: &mut Cursor<'_>) -> Option<()> {
    match token {
        Token::Array(length) => {
            for index in 0..length {
                if index > 0 {
                    text.push(',');
                }
                let element = cursor.token()?;
                append(text, element, cursor)?;
            }
        }
        Token::Bin(bytes) | Token::Str(bytes) => text.push_str(&text_of(bytes)),
        Token::Bool(value) => text.push_str(if value { "true" } else { "false" }),
        Token::Date(milliseconds) => {
            text.push_str(date::iso(milliseconds).as_deref().unwrap_or("Invalid Date"));
        }
        Token::Float(value) => text.push_str(&float(value)),
        Token::Map(length) => {
            for _ in 0..length.saturating_mul(2) {
                cursor.skip(MAX_DEPTH).ok()?;
            }
            text.push_str("[object Object]");
        }
        Token::Negative(value) => write!(text, "{value}").ok()?,
        // Nothing, inside an array.
        Token::Nil => {}
        Token::Positive(value) => write!(text, "{value}").ok()?,
    }
    Some(())
}

/// A number as JS writes it.                                                     [ECMA-262 "Number::toString"]
pub(crate) fn float(value: f64) -> String {
    if value.is_infinite() {
        return if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    match value.abs() {
        0.0 => "0".to_owned(),
        size if size >= 1e21 => format!("{value:e}").replace('e', "e+"),
        size if size < 1e-6 => even(value, format!("{value:e}"), |places| format!("{value:.places$e}")),
        _ => even(value, value.to_string(), |places| format!("{value:.places$}")),
    }
}

/// Where two texts are equally short and near, JS writes the even one and Rust the larger. Only fractions are so.
fn even(value: f64, shortest: String, with_places: impl FnOnce(usize) -> String) -> String {
    let Some((_, fraction)) = shortest.split_once('.') else { return shortest };
    let rounded = with_places(fraction.find('e').unwrap_or(fraction.len()));
    if rounded.parse() == Ok(value) { rounded } else { shortest }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(bytes: &[u8]) -> Option<String> {
        let mut cursor = Cursor::new(bytes);
        let key = read(&mut cursor)?.into_owned();
        assert!(cursor.is_at_end());
        Some(key)
    }

    #[test]
    fn any_value_is_a_key_as_in_javascript() {
        for (bytes, text) in [
            (&[0xa2, 0xc3, 0xa9][..], "é"),
            (&[0xa1, 0xff], "\u{fffd}"),
            (&[0xc4, 2, 0xc3, 0xa9], "é"),
            (&[0x07], "7"),
            (&[0xff], "-1"),
            (&[0xcb, 0x3f, 0xf8, 0, 0, 0, 0, 0, 0], "1.5"),
            (&[0xc0], "null"),
            (&[0xd4, 0, 0], "undefined"),
            (&[0xc2], "false"),
            (&[0xc3], "true"),
            (&[0xd7, 0, 0, 0, 0, 0, 0, 0, 0, 1], "1970-01-01T00:00:00.001Z"),
            (&[0xd7, 0, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], "Invalid Date"),
            (&[0x90], ""),
            (&[0x93, 1, 0x92, 2, 0xa1, b'a', 0xc0], "1,2,a,"),
            (&[0x92, 0xc0, 0x91, 0x81, 1, 0x91, 2], ",[object Object]"),
            (&[0x80], "[object Object]"),
        ] {
            assert_eq!(key(bytes).as_deref(), Some(text), "{bytes:02x?}");
        }
    }

    #[test]
    fn what_ends_too_early_is_no_key() {
        for bytes in
            [&[][..], &[0x91], &[0x92, 1], &[0x81, 1], &[0xdf, 255, 255, 255, 255], &[0xdd, 255, 255, 255, 255]]
        {
            assert_eq!(key(bytes), None, "{bytes:02x?}");
        }
    }

    #[test]
    fn floats_look_as_in_javascript() {
        for (value, text) in [
            (f64::NAN, "NaN"),
            (f64::INFINITY, "Infinity"),
            (f64::NEG_INFINITY, "-Infinity"),
            (-0.0, "0"),
            (-2.0, "-2"),
            (f64::from(0.1_f32), "0.10000000149011612"),
            (1e20, "100000000000000000000"),
            (1e21, "1e+21"),
            (-1.5e300, "-1.5e+300"),
            (0.000_001, "0.000001"),
            (0.000_000_15, "1.5e-7"),
            (5e-324, "5e-324"),
            (f64::powi(2.0, -25), "2.9802322387695312e-8"),
            (f64::from_bits(0x3ff8_0008_0000_0000), "1.5000076293945312"),
            (f64::from_bits(0x3ff8_0018_0000_0000), "1.5000228881835938"),
        ] {
            assert_eq!(float(value), text);
        }
    }
}
