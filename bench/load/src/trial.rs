//! One peer about to be measured, and what all scenarios send it.

use crate::figures::Scale;
use crate::peer::Peer;
use crate::process::Placement;
use crate::server::Server;

/// One peer in one placement, about to be measured.
pub(crate) struct Trial<'a> {
    pub(crate) peer: &'a Peer,
    pub(crate) placement: Placement,
    pub(crate) scale: Scale,
}

impl Trial<'_> {
    pub(crate) fn start(&self) -> Result<Server, String> {
        Server::start(self.peer, self.placement, &[])
    }
}

/// Argument of small messages: 32 bytes of JSON.
pub(crate) const SMALL: &str = r#"{"id":4711,"text":"hello world"}"#;

/// Argument of about `bytes` bytes: text with the quotes and line ends that people write.
pub(crate) fn large(bytes: usize) -> String {
    let sentence = "The \\\"quick\\\" brown fox jumps over the lazy dog; 0123456789.\\n";
    let text = sentence.repeat(bytes / sentence.len());
    format!(r#"{{"id":4711,"text":"{text}"}}"#)
}

/// Fails when what came is not what was expected: a fast wrong answer is no figure.
pub(crate) fn expect(got: &[u8], expected: &[u8]) -> Result<(), String> {
    if got == expected {
        return Ok(());
    }
    let show = |bytes: &[u8]| String::from_utf8_lossy(bytes.get(..100).unwrap_or(bytes)).into_owned();
    Err(format!("expected {} but got {}", show(expected), show(got)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_are_json_that_every_peer_writes_back_alike() {
        assert_eq!(SMALL.len(), 32);
        for text in [SMALL, &large(4096)] {
            let value: serde_json::Value = serde_json::from_str(text).unwrap();
            assert_eq!(value.to_string(), text);
        }
        assert!((3900..=4200).contains(&large(4096).len()));
    }
}
