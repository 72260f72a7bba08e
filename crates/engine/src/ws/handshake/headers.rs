//! What both sides of the handshake read and compute.                                                 [RFC 6455 §4]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

use crate::ws::extensions::is_token;

/// `Sec-WebSocket-Accept` for a `Sec-WebSocket-Key`, both as they stand in the headers. [RFC 6455 §4.2.2]
pub fn accept_key(key: &[u8]) -> [u8; 28] {
    let hash = Sha1::new().chain_update(key).chain_update(GUID).finalize();
    let mut accept = [0; 28];
    // 20 bytes are 28 characters: the slice cannot be too short.
    let _ = STANDARD.encode_slice(hash, &mut accept);
    accept
}

/// The elements of a header which is a list: trimmed, empty ones left out.
pub(super) fn elements(header: &[u8]) -> impl Iterator<Item = &[u8]> {
    header.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|element| !element.is_empty())
}

/// Whether a list names `token`, in any case.
pub(super) fn names(header: &[u8], token: &str) -> bool {
    elements(header).any(|element| element.eq_ignore_ascii_case(token.as_bytes()))
}

/// The bytes as a token, if they are one.
pub(super) fn token(bytes: &[u8]) -> Option<&str> {
    let token = std::str::from_utf8(bytes).ok()?;
    (!token.is_empty() && token.bytes().all(is_token)).then_some(token)
}

/// What makes the hash one of WebSocket. [RFC 6455 §1.3]
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_of_the_standard_is_accepted_as_there() {
        assert_eq!(&accept_key(b"dGhlIHNhbXBsZSBub25jZQ=="), b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn lists_are_read_in_any_case() {
        assert!(names(b"keep-alive ,, Upgrade", "upgrade"));
        assert!(names(b"\tUPGRADE\t", "upgrade"));
        assert!(!names(b"upgrades, up grade", "upgrade"));
        assert!(!names(b"", "upgrade"));
    }
}
