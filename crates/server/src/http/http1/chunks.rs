//! A body in chunks.                                                                                   [RFC 9112 §7.1]

/// Most bytes of a body that are not its content: extensions of chunks, and headers after the last.
const MOST_BESIDE: usize = 16 * 1024;
/// Most digits of a chunk's size.
const DIGITS: u8 = 8;

/// Where a body in chunks has been read to.
#[derive(Debug)]
pub(super) struct Chunks {
    at: At,
    /// Bytes beside the content.
    beside: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// In the line that begins a chunk.
    Size {
        size: u64,
        digits: u8,
    },
    /// In blanks after the size.
    Blank {
        size: u64,
    },
    /// In what may follow the size on its line.
    Extension {
        size: u64,
    },
    /// In the line end after the size; CR was read.
    SizeEnd {
        size: u64,
    },
    /// In the content; so much is left.
    Content(u64),
    /// At the line end after the content.
    ContentEnd {
        cr: bool,
    },
    /// In what follows the last chunk; `empty` if nothing was on the line so far.
    Trailer {
        empty: bool,
    },
    /// In the end of such a line; CR was read.
    TrailerEnd {
        empty: bool,
    },
    Done,
}

/// What the next bytes are.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// So many of them belong to no content.
    Beside(usize),
    /// So many of them are content.
    Content(usize),
    /// The body was read.
    End,
}

/// The body is no body in chunks.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed;

impl Chunks {
    pub(super) fn new() -> Self {
        Self { at: At::Size { size: 0, digits: 0 }, beside: 0 }
    }

    pub(super) fn is_done(&self) -> bool {
        self.at == At::Done
    }

    /// Looks at the bytes to come, which are then used up as it says.
    pub(super) fn next(&mut self, bytes: &[u8]) -> Result<Part, Malformed> {
        if let At::Content(left) = self.at {
            let n = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
            let left = left - n as u64;
            self.at = if left == 0 { At::ContentEnd { cr: false } } else { At::Content(left) };
            return Ok(Part::Content(n));
        }
        let mut used = 0;
        for byte in bytes {
            if matches!(self.at, At::Content(_) | At::Done) {
                break;
            }
            self.at = self.at.after(*byte)?;
            used += 1;
            // Sizes and line ends are in proportion to the content; this need not be.
            self.beside += usize::from(matches!(self.at, At::Blank { .. } | At::Extension { .. } | At::Trailer { .. }));
            if self.beside > MOST_BESIDE {
                return Err(Malformed);
            }
        }
        Ok(if used == 0 && self.is_done() { Part::End } else { Part::Beside(used) })
    }
}

impl At {
    fn after(self, byte: u8) -> Result<Self, Malformed> {
        Ok(match (self, byte) {
            (Self::Size { size, digits }, _) if byte.is_ascii_hexdigit() && digits < DIGITS => {
                let digit = char::from(byte).to_digit(16).ok_or(Malformed)?;
                Self::Size { size: size * 16 + u64::from(digit), digits: digits + 1 }
            }
            (Self::Size { digits: 0, .. }, _) => return Err(Malformed),
            (Self::Size { size, .. } | Self::Blank { size } | Self::Extension { size }, b'\r') => {
                Self::SizeEnd { size }
            }
            (Self::Size { size, .. } | Self::Blank { size }, b' ' | b'\t') => Self::Blank { size },
            (Self::Size { size, .. } | Self::Blank { size }, b';') => Self::Extension { size },
            (Self::Extension { size }, _) if byte != b'\n' => Self::Extension { size },
            (Self::SizeEnd { size: 0 } | Self::TrailerEnd { empty: false }, b'\n') => Self::Trailer { empty: true },
            (Self::SizeEnd { size }, b'\n') => Self::Content(size),
            (Self::ContentEnd { cr: false }, b'\r') => Self::ContentEnd { cr: true },
            (Self::ContentEnd { cr: true }, b'\n') => Self::Size { size: 0, digits: 0 },
            (Self::Trailer { empty }, b'\r') => Self::TrailerEnd { empty },
            (Self::Trailer { .. }, _) if byte != b'\n' => Self::Trailer { empty: false },
            (Self::TrailerEnd { empty: true }, b'\n') => Self::Done,
            _ => return Err(Malformed),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The content of a body that comes in pieces of `size` bytes, and what was left when it had ended.
    fn read(body: &str, size: usize) -> Result<(String, String), Malformed> {
        let (mut chunks, mut content, mut waiting) = (Chunks::new(), Vec::new(), Vec::new());
        for piece in body.as_bytes().chunks(size) {
            waiting.extend_from_slice(piece);
            while !waiting.is_empty() && !chunks.is_done() {
                let used = match chunks.next(&waiting)? {
                    Part::Beside(n) => n,
                    Part::Content(n) => {
                        content.extend_from_slice(&waiting[..n]);
                        n
                    }
                    Part::End => 0,
                };
                waiting.drain(..used);
            }
        }
        assert!(chunks.is_done(), "the body has no end");
        Ok((String::from_utf8(content).unwrap(), String::from_utf8(waiting).unwrap()))
    }

    #[test]
    fn content_is_found_wherever_the_stream_is_cut() {
        let body = "4\r\nabcd\r\n1;x=\"y\"\r\ne\r\n0A \r\n0123456789\r\n0\r\nX-Sum: 1\r\nY: 2\r\n\r\nGET";
        for size in 1..=body.len() {
            assert_eq!(read(body, size), Ok(("abcde0123456789".into(), "GET".chars().collect())), "{size}");
        }
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        for body in [
            "\r\n",
            "g\r\n",
            "-1\r\n",
            "0x1\r\na\r\n0\r\n\r\n",
            "1\na\n0\n\n",
            "1\r\nab\r\n",
            "1\r\na\n0\r\n\r\n",
            "1\ra\r\n",
            "1;a\n\r\na\r\n",
            "1 a\r\na\r\n",
            "0\r\n\n",
            "0\r\n\r\r\n",
            "0\r\nX: a\n\n",
            "0\r\nX: a\r\r\n\r\n",
            "100000000\r\n",
            "000000000\r\n",
        ] {
            assert_eq!(read(body, 100), Err(Malformed), "{body:?}");
        }
    }

    #[test]
    fn what_is_no_content_is_bounded() {
        for (length, fits) in [(MOST_BESIDE - 1, true), (MOST_BESIDE, true), (MOST_BESIDE + 1, false)] {
            // A semicolon counts, and so do the ends of lines after the size of the last chunk.
            let extension = format!("1;{}\r\na\r\n0\r\n", "x".repeat(length - 2)) + "\r\n";
            assert_eq!(read(&extension, 1000).is_ok(), fits, "{length}");
            let trailer = format!("0\r\n{}\r\n\r\n", "x".repeat(length - 2));
            assert_eq!(read(&trailer, 1000).is_ok(), fits, "{length}");
        }
        let small = "1\r\na\r\n".repeat(MOST_BESIDE) + "0\r\n\r\n";
        assert_eq!(read(&small, 1000).unwrap().0.len(), MOST_BESIDE, "chunks may be small");
    }
}
