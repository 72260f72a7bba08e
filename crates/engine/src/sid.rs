//! Session ids.

use std::fmt;

use smol_str::SmolStr;

/// An Engine.IO session id: the secret by which a polling client is recognised.
///
/// 22 characters of `[A-Za-z0-9_-]` by default, from 16 random bytes. `Debug` shows only the first four.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Sid(SmolStr);

impl Sid {
    /// Length of a generated id, in characters.
    pub const LENGTH: usize = 22;

    /// An id from 128 random bits of the caller, which must come from a cryptographic source: their base64, safe in URLs.
    pub fn from_random(random: [u8; 16]) -> Self {
        const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let bits = u128::from_be_bytes(random);
        // Six bits each; the last character has two, and zeros behind them.
        let digit = |at| ALPHABET.get(usize::try_from(bits << (6 * at) >> 122).ok()?);
        Self((0..Self::LENGTH).filter_map(digit).map(|&digit| char::from(digit)).collect())
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
    use std::collections::HashSet;

    use super::Sid;

    #[test]
    fn random_bits_in_url_safe_base64() {
        assert_eq!(Sid::from_random([0; 16]).as_str(), "AAAAAAAAAAAAAAAAAAAAAA");
        assert_eq!(Sid::from_random([255; 16]).as_str(), "_____________________w");
        assert_eq!(Sid::from_random(*b"any carnal pleas").as_str(), "YW55IGNhcm5hbCBwbGVhcw");
        assert_eq!(Sid::LENGTH, 22);
    }

    /// No bit is lost: each changes the id, and no two change it alike.
    #[test]
    fn every_bit_counts() {
        let all: HashSet<_> = (0..128).map(|bit| Sid::from_random((1_u128 << bit).to_be_bytes())).collect();
        assert_eq!(all.len(), 128);
    }

    #[test]
    fn debug_keeps_the_secret() {
        assert_eq!(format!("{:?}", Sid::new("abcdefgh")), "Sid(abcd…)");
        assert_eq!(format!("{:?}", Sid::new("é")), "Sid(é…)");
    }
}
