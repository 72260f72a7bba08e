//! Session ids.

use std::fmt;

use smol_str::SmolStr;

/// An Engine.IO session id: the secret by which a polling client is recognised.
///
/// Twenty characters of `[A-Za-z0-9_-]` by default, from 15 random bytes (120 bits). `Debug` shows only the first four.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Sid(SmolStr);

impl Sid {
    /// Length of a generated id, in characters.
    pub const LENGTH: usize = 20;

    /// An id from random bytes of the caller, which must come from a cryptographic source.
    pub fn from_random(random: [u8; 15]) -> Self {
        const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let digit = |bits: u8| char::from(ALPHABET.get(usize::from(bits & 63)).copied().unwrap_or(b'A'));
        let triples = random.as_chunks::<3>().0.iter();
        Self(
            triples
                .flat_map(|&[a, b, c]| [digit(a >> 2), digit(a << 4 | b >> 4), digit(b << 2 | c >> 6), digit(c)])
                .collect(),
        )
    }

    /// An id made by a generator of the application, or announced by a server.
    pub fn new(id: impl Into<SmolStr>) -> Self {
        Self(id.into())
    }

    /// The id as text, for the wire.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.0.char_indices().nth(4).map_or(&*self.0, |(at, _)| self.0.get(..at).unwrap_or(""));
        write!(f, "Sid({shown}…)")
    }
}

#[cfg(test)]
mod tests {
    use super::Sid;

    #[test]
    fn twenty_url_safe_characters() {
        assert_eq!(Sid::from_random([0; 15]).as_str(), "AAAAAAAAAAAAAAAAAAAA");
        assert_eq!(Sid::from_random([255; 15]).as_str(), "____________________");
        assert_eq!(Sid::from_random(*b"any carnal plea").as_str(), "YW55IGNhcm5hbCBwbGVh");
    }

    #[test]
    fn debug_keeps_the_secret() {
        assert_eq!(format!("{:?}", Sid::new("abcdefgh")), "Sid(abcd…)");
        assert_eq!(format!("{:?}", Sid::new("é")), "Sid(é…)");
    }
}
