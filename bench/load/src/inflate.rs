//! The receiving half of permessage-deflate. [RFC 7692 §7.2.2]

use flate2::{Decompress, FlushDecompress};

use crate::http::Deflate;

/// What a sender cut off each message.
const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];
/// No message of the bench is longer.
const LIMIT: usize = 1 << 20;

/// The window of one connection.
pub(crate) struct Inflater {
    window: Decompress,
    agreed: Deflate,
}

impl Inflater {
    pub(crate) fn new(agreed: Deflate) -> Self {
        Self { window: Decompress::new(false), agreed }
    }

    /// The message as it was before compression.
    pub(crate) fn message(&mut self, payload: &[u8]) -> Result<Vec<u8>, String> {
        let mut out = Vec::with_capacity((payload.len() * 4).max(8192));
        self.part(payload, &mut out)?;
        self.part(&TAIL, &mut out)?;
        if self.agreed == Deflate::EachAlone {
            self.window.reset(false);
        }
        Ok(out)
    }

    fn part(&mut self, mut input: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
        loop {
            let before = self.window.total_in();
            let status = self.window.decompress_vec(input, out, FlushDecompress::Sync);
            status.map_err(|error| format!("inflate: {error}"))?;
            let used = usize::try_from(self.window.total_in() - before).unwrap_or(usize::MAX);
            input = input.get(used..).unwrap_or_default();
            // Room left over means that the output is complete as well.
            if input.is_empty() && out.len() < out.capacity() {
                return Ok(());
            }
            if out.capacity() >= LIMIT {
                return Err("a compressed message longer than any that was sent".into());
            }
            out.reserve(out.capacity());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compress, Compression, FlushCompress};

    fn deflate(compressor: &mut Compress, message: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(message.len() + 64);
        compressor.compress_vec(message, &mut out, FlushCompress::Sync).unwrap();
        assert!(out.ends_with(&TAIL));
        out.truncate(out.len() - TAIL.len());
        out
    }

    #[test]
    fn a_window_is_continued_or_not_as_agreed() {
        let message = b"0123456789 abcdefghij ".repeat(3000);
        let mut compressor = Compress::new(Compression::fast(), false);
        let mut inflater = Inflater::new(Deflate::Continued);
        for _ in 0..3 {
            assert!(inflater.message(&deflate(&mut compressor, &message)).unwrap() == message);
        }
        let mut inflater = Inflater::new(Deflate::EachAlone);
        for _ in 0..3 {
            let alone = deflate(&mut Compress::new(Compression::fast(), false), &message);
            assert!(inflater.message(&alone).unwrap() == message);
        }
        assert!(Inflater::new(Deflate::Continued).message(b"\xff\xff\xff").is_err());
    }
}
