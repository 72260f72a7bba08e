//! Numbers of a checked text.                                                                          [RFC 8259 §6]

use super::scan::number_end;

/// A number in the widest type that holds it. Whole ones beyond 64 bits are floats, as in JS; so is `-0`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Number {
    Float(f64),
    Negative(i64),
    Positive(u64),
}

/// Reads the number which begins at `at`; gives the place after it.
pub(super) fn read(text: &str, at: usize) -> Option<(Number, usize)> {
    let bytes = text.as_bytes();
    let is_negative = bytes.get(at) == Some(&b'-');
    let first = at + usize::from(is_negative);
    let (value, end) = digits(bytes, first, 0);
    let is_whole = !matches!(bytes.get(end), Some(b'.' | b'e' | b'E'));
    if is_whole && end - first <= SAFE_DIGITS {
        return Some((whole(value, is_negative), end));
    }
    match exact(bytes, first, value, end) {
        Some((value, end)) => Some((Number::Float(if is_negative { -value } else { value }), end)),
        None => slow(text, at, is_whole),
    }
}

/// So many digits fit 63 bits.
const SAFE_DIGITS: usize = 18;
/// So many digits fit the 53 bits of a double.
const EXACT_DIGITS: usize = 15;
/// Powers of ten which a double holds exactly.
const POWERS: [f64; 16] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

/// Appends digits to a value, which is of no use if there are more than [`SAFE_DIGITS`].
fn digits(bytes: &[u8], mut at: usize, mut value: u64) -> (u64, usize) {
    while let Some(&byte @ b'0'..=b'9') = bytes.get(at) {
        value = value.wrapping_mul(10).wrapping_add(u64::from(byte - b'0'));
        at += 1;
    }
    (value, at)
}

fn whole(value: u64, is_negative: bool) -> Number {
    match (is_negative, 0_i64.checked_sub_unsigned(value)) {
        (false, _) => Number::Positive(value),
        (true, Some(0) | None) => Number::Float(-0.0),
        (true, Some(value)) => Number::Negative(value),
    }
}

/// A short decimal fraction without an exponent. Its digits and the power of ten are exact, so that the one division
/// rounds right.
fn exact(bytes: &[u8], first: usize, value: u64, point: usize) -> Option<(f64, usize)> {
    if bytes.get(point) != Some(&b'.') {
        return None;
    }
    let (value, end) = digits(bytes, point + 1, value);
    let has_exponent = matches!(bytes.get(end), Some(b'e' | b'E'));
    if has_exponent || end - first - 1 > EXACT_DIGITS {
        return None;
    }
    #[expect(clippy::cast_precision_loss, reason = "at most 15 digits")]
    Some((value as f64 / POWERS.get(end - point - 1)?, end))
}

fn slow(text: &str, at: usize, is_whole: bool) -> Option<(Number, usize)> {
    let end = number_end(text.as_bytes(), at)?;
    let text = text.get(at..end)?;
    let number = match (is_whole, text.parse(), text.parse()) {
        (true, Ok(value), _) => Number::Positive(value),
        (true, _, Ok(value)) => Number::Negative(value),
        _ => Number::Float(text.parse().ok()?),
    };
    Some((number, end))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn number(text: &str) -> Number {
        let (number, end) = read(text, 0).unwrap();
        assert_eq!(end, text.len());
        number
    }

    #[test]
    fn the_edges_of_each_type() {
        assert_eq!(number("0"), Number::Positive(0));
        assert_eq!(number("18446744073709551615"), Number::Positive(u64::MAX));
        assert_eq!(number("18446744073709551616"), Number::Float(18_446_744_073_709_551_616.0));
        assert_eq!(number("-9223372036854775808"), Number::Negative(i64::MIN));
        assert_eq!(number("-9223372036854775809"), Number::Float(-9_223_372_036_854_775_809.0));
        assert_eq!(number("999999999999999999"), Number::Positive(999_999_999_999_999_999));
        assert_eq!(number("1e400"), Number::Float(f64::INFINITY));
        for zero in ["-0", "-0.0", "-0e5"] {
            assert!(matches!(number(zero), Number::Float(value) if value == 0.0 && value.is_sign_negative()), "{zero}");
        }
        assert_eq!(read("[1,25]", 3), Some((Number::Positive(25), 5)));
    }

    proptest! {
        #[test]
        fn floats_are_exact(value in any::<f64>().prop_filter("finite", |value| value.is_finite())) {
            prop_assert_eq!(number(&format!("{value:?}")), Number::Float(value));
        }

        #[test]
        fn short_floats_are_exact(text in "-?(0|[1-9][0-9]{0,12})\\.[0-9]{1,12}") {
            prop_assert_eq!(number(&text), Number::Float(text.parse().unwrap()));
        }

        #[test]
        fn whole_numbers_are_exact(value in any::<i128>(), shift in 0..128) {
            let value: i128 = value >> shift;
            let expected = match (u64::try_from(value), i64::try_from(value)) {
                (Ok(value), _) => Number::Positive(value),
                (_, Ok(value)) => Number::Negative(value),
                _ => Number::Float(value.to_string().parse().unwrap()),
            };
            prop_assert_eq!(number(&value.to_string()), expected);
        }
    }
}
