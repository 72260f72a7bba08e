//! Text that arrives in pieces, cut anywhere.                                                           [RFC 6455 §8.1]

use super::Error;

/// Text received so far. Each byte is judged when it arrives, and none twice but the few of a character cut in two.
#[derive(Debug, Default)]
pub(super) struct Text {
    valid: String,
    /// The beginning of a character: at most three bytes, the first `cut` of these.
    tail: [u8; 4],
    cut: u8,
}

impl Text {
    /// Appends bytes; `grow` is told the text's length and capacity and answers how much room to add.
    pub(super) fn push(&mut self, mut bytes: &[u8], grow: impl FnOnce(usize, usize) -> usize) -> Result<(), Error> {
        // The cut character will move here too.
        let cut = usize::from(self.cut);
        let more = grow(self.valid.len() + cut, self.valid.capacity());
        if more > 0 {
            self.valid.reserve_exact(more + cut);
        }
        while self.cut > 0 {
            let Some((&first, rest)) = bytes.split_first() else { return Ok(()) };
            self.push_to_tail(first)?;
            bytes = rest;
        }
        match simdutf8::compat::from_utf8(bytes) {
            Ok(text) => self.valid.push_str(text),
            Err(error) if error.error_len().is_some() => return Err(Error::InvalidUtf8),
            Err(error) => {
                let (whole, cut) = bytes.split_at_checked(error.valid_up_to()).unwrap_or_default();
                self.valid.push_str(simdutf8::basic::from_utf8(whole).map_err(|_| Error::InvalidUtf8)?);
                cut.iter().try_for_each(|&byte| self.push_to_tail(byte))?;
            }
        }
        Ok(())
    }

    /// Whether the text ends with a whole character.
    pub(super) fn is_whole(&self) -> bool {
        self.cut == 0
    }

    pub(super) fn capacity(&self) -> usize {
        self.valid.capacity()
    }

    pub(super) fn as_str(&self) -> &str {
        &self.valid
    }

    /// One more byte of a cut character, which moves to `valid` when it is whole.
    fn push_to_tail(&mut self, byte: u8) -> Result<(), Error> {
        let length = usize::from(self.cut);
        *self.tail.get_mut(length).ok_or(Error::InvalidUtf8)? = byte;
        self.cut += 1;
        match std::str::from_utf8(self.tail.get(..=length).unwrap_or_default()) {
            Ok(character) => {
                self.valid.push_str(character);
                self.cut = 0;
                Ok(())
            }
            Err(error) if error.error_len().is_some() => Err(Error::InvalidUtf8),
            Err(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(text: &mut Text, bytes: &[u8]) -> Result<(), Error> {
        text.push(bytes, |_, _| 0)
    }

    #[test]
    fn characters_may_be_cut_anywhere() {
        let whole = "aé€\u{10348}\u{10ffff}\u{feff}z".repeat(3);
        for first in 0..=whole.len() {
            for second in first..=whole.len() {
                let mut text = Text::default();
                for piece in [&whole.as_bytes()[..first], &whole.as_bytes()[first..second], &whole.as_bytes()[second..]]
                {
                    push(&mut text, piece).unwrap();
                    assert_eq!(text.is_whole(), whole.is_char_boundary(text.valid.len() + usize::from(text.cut)));
                }
                assert!(text.is_whole());
                assert_eq!(text.as_str(), whole);
            }
        }
    }

    #[test]
    fn the_first_bad_byte_is_refused_however_it_comes() {
        let bad: [(&[u8], usize); 9] = [
            (b"ab\x80", 2),
            (b"ab\xff", 2),
            (b"\xc0\xaf", 0),
            (b"\xe0\x80\x80", 1),
            (b"\xed\xa0\x80", 1),
            (b"\xf4\x90\x80\x80", 1),
            (b"\xf5", 0),
            (b"\xce\xba\xe1\xbd\xed", 4),
            (b"\xf0\x9f\x98a", 3),
        ];
        for (bytes, at) in bad {
            for cut in 0..=at {
                let mut text = Text::default();
                push(&mut text, &bytes[..cut]).unwrap();
                push(&mut text, &bytes[cut..at]).unwrap();
                assert_eq!(push(&mut text, &bytes[at..=at]), Err(Error::InvalidUtf8), "{bytes:x?}");
            }
            assert_eq!(push(&mut Text::default(), bytes), Err(Error::InvalidUtf8), "{bytes:x?}");
        }
    }
}
