//! One token after the other. All numbers are big-endian.

use crate::json::scan::{Fault, MAX_DEPTH};

/// What a value begins with, or all of it if it holds no others.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Token<'a> {
    /// This many values follow.
    Array(usize),
    Bin(&'a [u8]),
    Bool(bool),
    /// Milliseconds since 1970.
    Date(i64),
    Float(f64),
    /// This many keys follow, with a value each.
    Map(usize),
    Negative(i64),
    /// `null` or `undefined`.
    Nil,
    Positive(u64),
    /// Meant to be UTF-8.
    Str(&'a [u8]),
}

/// A place in a message.
#[derive(Clone)]
pub(crate) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub(crate) fn at(&self) -> usize {
        self.at
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.at >= self.bytes.len()
    }

    /// What was read since `start`.
    pub(crate) fn since(&self, start: usize) -> &'a [u8] {
        self.bytes.get(start..self.at).unwrap_or_default()
    }

    /// The next token, without passing it.
    pub(crate) fn peek(&self) -> Option<Token<'a>> {
        self.clone().token()
    }

    /// The next token. `None` at the end, and on what is no MessagePack.
    pub(crate) fn token(&mut self) -> Option<Token<'a>> {
        let [format] = self.number()?;
        Some(match format {
            0x00..=0x7f => Token::Positive(format.into()),
            0x80..=0x8f => Token::Map((format & 0x0f).into()),
            0x90..=0x9f => Token::Array((format & 0x0f).into()),
            0xa0..=0xbf => Token::Str(self.take((format & 0x1f).into())?),
            0xc0 => Token::Nil,
            0xc1 => return None,
            0xc2 | 0xc3 => Token::Bool(format == 0xc3),
            0xc4..=0xc6 => Token::Bin(self.sized(format - 0xc4)?),
            0xc7..=0xc9 => {
                let length = self.length(format - 0xc7)?;
                let kind = i8::from_be_bytes(self.number()?);
                extension(kind, self.take(length)?)
            }
            0xca => Token::Float(f32::from_be_bytes(self.number()?).into()),
            0xcb => Token::Float(f64::from_be_bytes(self.number()?)),
            0xcc..=0xcf => Token::Positive(self.unsigned(format - 0xcc)?),
            0xd0..=0xd3 => signed(match format {
                0xd0 => i8::from_be_bytes(self.number()?).into(),
                0xd1 => i16::from_be_bytes(self.number()?).into(),
                0xd2 => i32::from_be_bytes(self.number()?).into(),
                _ => i64::from_be_bytes(self.number()?),
            }),
            0xd4..=0xd8 => {
                let kind = i8::from_be_bytes(self.number()?);
                fixed_extension(kind, self.take(1 << (format - 0xd4))?)
            }
            0xd9..=0xdb => Token::Str(self.sized(format - 0xd9)?),
            0xdc | 0xdd => Token::Array(self.length(format - 0xdc + 1)?),
            0xde | 0xdf => Token::Map(self.length(format - 0xde + 1)?),
            0xe0..=0xff => Token::Negative(i8::from_be_bytes([format]).into()),
        })
    }

    /// Checks one value of any kind and passes it. No recursion; each step consumes a byte or ends.
    pub(crate) fn skip(&mut self, max_depth: usize) -> Result<(), Fault> {
        // Values still to come at each level, the innermost last.
        let mut open = [0_usize; MAX_DEPTH];
        let mut depth = 0;
        loop {
            let values = match self.token().ok_or(Fault::Syntax)? {
                Token::Array(length) => length,
                Token::Map(length) => length.saturating_mul(2),
                _ => 0,
            };
            if values > 0 {
                let level = open.get_mut(depth).filter(|_| depth < max_depth).ok_or(Fault::Depth)?;
                *level = values;
                depth += 1;
                continue;
            }
            loop {
                let Some(level) = depth.checked_sub(1).and_then(|level| open.get_mut(level)) else { return Ok(()) };
                *level -= 1;
                if *level > 0 {
                    break;
                }
                depth -= 1;
            }
        }
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(length)?;
        let taken = self.bytes.get(self.at..end)?;
        self.at = end;
        Some(taken)
    }

    fn number<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    /// A number of `1 << power` bytes.
    fn unsigned(&mut self, power: u8) -> Option<u64> {
        Some(match power {
            0 => u8::from_be_bytes(self.number()?).into(),
            1 => u16::from_be_bytes(self.number()?).into(),
            2 => u32::from_be_bytes(self.number()?).into(),
            _ => u64::from_be_bytes(self.number()?),
        })
    }

    fn length(&mut self, power: u8) -> Option<usize> {
        self.unsigned(power)?.try_into().ok()
    }

    fn sized(&mut self, power: u8) -> Option<&'a [u8]> {
        let length = self.length(power)?;
        self.take(length)
    }
}

fn signed(value: i64) -> Token<'static> {
    u64::try_from(value).map_or(Token::Negative(value), Token::Positive)
}

/// Only the fixed formats of type 0 are `undefined`, whatever its byte is, and dates.
fn fixed_extension(kind: i8, bytes: &[u8]) -> Token<'_> {
    match (kind, bytes) {
        (0, [_]) => Token::Nil,
        (0, bytes) if bytes.len() == 8 => Token::Date(bytes.try_into().map(i64::from_be_bytes).unwrap_or_default()),
        _ => extension(kind, bytes),
    }
}

/// Timestamps are dates; anything else is its bytes.
fn extension(kind: i8, bytes: &[u8]) -> Token<'_> {
    match timestamp(bytes).filter(|_| kind == -1) {
        Some(milliseconds) => Token::Date(milliseconds),
        None => Token::Bin(bytes),
    }
}

/// Milliseconds of a timestamp.                                                  [MessagePack "timestamp extension type"]
///
/// ```text
/// 4 bytes:  seconds
/// 8 bytes:  nanoseconds << 34 | seconds
/// 12 bytes: nanoseconds, 4 bytes; seconds, 8 bytes, signed
/// ```
fn timestamp(bytes: &[u8]) -> Option<i64> {
    let (nanoseconds, seconds) = match bytes.len() {
        4 => (0, i64::from(u32::from_be_bytes(bytes.try_into().ok()?))),
        8 => {
            let both = u64::from_be_bytes(bytes.try_into().ok()?);
            (both >> 34, i64::try_from(both & ((1 << 34) - 1)).ok()?)
        }
        12 => {
            let (nanoseconds, seconds) = bytes.split_first_chunk()?;
            (u32::from_be_bytes(*nanoseconds).into(), i64::from_be_bytes(seconds.try_into().ok()?))
        }
        _ => return None,
    };
    seconds.checked_mul(1000)?.checked_add(i64::try_from(nanoseconds / 1_000_000).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(bytes: &[u8]) -> Option<Token<'_>> {
        let mut cursor = Cursor::new(bytes);
        let token = cursor.token();
        assert!(token.is_none() || cursor.is_at_end());
        token
    }

    #[test]
    fn every_format() {
        assert_eq!(token(&[0x7f]), Some(Token::Positive(127)));
        assert_eq!(token(&[0xe0]), Some(Token::Negative(-32)));
        assert_eq!(token(&[0xcc, 0x80]), Some(Token::Positive(128)));
        assert_eq!(token(&[0xcf, 0, 0x20, 0, 0, 0, 0, 0, 0]), Some(Token::Positive(1 << 53)));
        assert_eq!(token(&[0xd0, 5]), Some(Token::Positive(5)));
        assert_eq!(token(&[0xd1, 0xff, 0x7f]), Some(Token::Negative(-129)));
        assert_eq!(token(&[0xd3, 0x80, 0, 0, 0, 0, 0, 0, 0]), Some(Token::Negative(i64::MIN)));
        assert_eq!(token(&[0xca, 0x3f, 0xc0, 0, 0]), Some(Token::Float(1.5)));
        assert_eq!(token(&[0xcb, 0x3f, 0xf8, 0, 0, 0, 0, 0, 0]), Some(Token::Float(1.5)));
        assert_eq!(token(&[0xa2, 0xc3, 0xa9]), Some(Token::Str("é".as_bytes())));
        assert_eq!(token(&[0xd9, 1, b'a']), Some(Token::Str(b"a")));
        assert_eq!(token(&[0xda, 0, 1, b'a']), Some(Token::Str(b"a")));
        assert_eq!(token(&[0xc5, 0, 1, 9]), Some(Token::Bin(&[9])));
        assert_eq!(token(&[0xdc, 1, 0]), Some(Token::Array(256)));
        assert_eq!(token(&[0xdf, 0, 1, 0, 0]), Some(Token::Map(65536)));
        assert_eq!(token(&[0xc1]), None);
        assert_eq!(token(&[]), None);
    }

    #[test]
    fn extensions_of_notepack() {
        assert_eq!(token(&[0xd4, 0, 0]), Some(Token::Nil));
        assert_eq!(token(&[0xd4, 0, 0x82]), Some(Token::Nil));
        assert_eq!(token(&[0xd4, 1, 0]), Some(Token::Bin(&[0])));
        assert_eq!(token(&[0xd7, 0, 0, 0, 0, 0, 0, 0, 0, 1]), Some(Token::Date(1)));
        assert_eq!(token(&[0xc7, 1, 0, 7]), Some(Token::Bin(&[7])));
        assert_eq!(token(&[0xc7, 8, 0, 1, 2, 3, 4, 5, 6, 7, 8]), Some(Token::Bin(&[1, 2, 3, 4, 5, 6, 7, 8])));
        assert_eq!(token(&[0xd5, 5, 1, 2]), Some(Token::Bin(&[1, 2])));
    }

    #[test]
    fn timestamps() {
        assert_eq!(token(&[0xd6, 0xff, 0, 0, 0, 1]), Some(Token::Date(1000)));
        assert_eq!(token(&[0xd7, 0xff, 0x77, 0x35, 0x94, 0, 0, 0, 0, 1]), Some(Token::Date(1500)));
        let before_1970 = [0xc7, 12, 0xff, 0x3b, 0x8b, 0x87, 0xc0, 255, 255, 255, 255, 255, 255, 255, 255];
        assert_eq!(token(&before_1970), Some(Token::Date(-1)));
    }

    #[test]
    fn lengths_that_lie_are_refused() {
        for bytes in
            [&[0xdd, 255, 255, 255, 255][..], &[0xdf, 255, 255, 255, 255, 0], &[0x91], &[0x81, 0xa1], &[0xc6, 255]]
        {
            assert_eq!(Cursor::new(bytes).skip(MAX_DEPTH), Err(Fault::Syntax));
        }
    }

    #[test]
    fn depth_is_bounded() {
        let mut deep = vec![0x91; 100_000];
        deep.push(0xc0);
        assert_eq!(Cursor::new(&deep).skip(usize::MAX), Err(Fault::Depth));
        let mut cursor = Cursor::new(deep.get(100_001 - 129..).unwrap());
        assert_eq!(cursor.skip(MAX_DEPTH), Ok(()));
        assert!(cursor.is_at_end());
        assert_eq!(Cursor::new(&[0x91, 0x90, 0x90]).skip(0), Err(Fault::Depth));
    }
}
