//! WebSocket frames as a client sees them: masked out, unmasked in. Not those of the engine, which are on trial.

use std::io;

/// Not zero, so that the server really has to unmask.
const MASK: [u8; 4] = [0x5a, 0xc3, 0x17, 0xe8];

/// What a frame is for. [RFC 6455 §5.2]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Opcode {
    Text = 1,
    Binary = 2,
    Close = 8,
}

/// Appends a masked frame.
pub(crate) fn encode(out: &mut Vec<u8>, opcode: Opcode, payload: &[u8]) {
    out.push(0x80 | opcode as u8);
    match u16::try_from(payload.len()) {
        Ok(length @ 0..126) => out.push(0x80 | length.to_be_bytes()[1]),
        Ok(length) => {
            out.push(0x80 | 0x7e);
            out.extend(length.to_be_bytes());
        }
        Err(_) => {
            out.push(0x80 | 0x7f);
            out.extend((payload.len() as u64).to_be_bytes());
        }
    }
    out.extend(MASK);
    out.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
}

/// Takes the first frame off `bytes`, if it is complete. Fragments are none of this server's habits.
pub(crate) fn decode(bytes: &mut Vec<u8>) -> io::Result<Option<(Opcode, Vec<u8>)>> {
    let [first, second, ..] = bytes[..] else { return Ok(None) };
    let opcode = match first {
        0x81 => Opcode::Text,
        0x82 => Opcode::Binary,
        0x88 => Opcode::Close,
        other => return Err(io::Error::other(format!("a frame that begins with {other:#04x}"))),
    };
    let (length, head) = match second {
        126 if bytes.len() >= 4 => (usize::from(u16::from_be_bytes([bytes[2], bytes[3]])), 4),
        127 if bytes.len() >= 10 => (bytes[2..10].iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), 10),
        126 | 127 => return Ok(None),
        short => (usize::from(short), 2),
    };
    if bytes.len() < head + length {
        return Ok(None);
    }
    Ok(Some((opcode, bytes.drain(..head + length).skip(head).collect())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_every_length_are_taken_when_they_are_whole() {
        for (length, head) in [(0, 2), (125, 2), (126, 4), (65_535, 4), (65_536, 10)] {
            let mut masked = Vec::new();
            encode(&mut masked, Opcode::Binary, &vec![7; length]);
            assert_eq!(masked.len(), head + 4 + length);
            let mut plain = masked[..head].to_vec();
            plain[1] &= 0x7f;
            plain.extend(masked[head + 4..].iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
            let last = plain.pop();
            assert_eq!(decode(&mut plain).unwrap(), None);
            plain.extend(last);
            // A frame without payload has lost a byte of its head.
            assert_eq!(decode(&mut plain).unwrap(), Some((Opcode::Binary, vec![7; length])));
            assert!(plain.is_empty());
        }
        assert!(decode(&mut vec![0x01, 0x00]).is_err());
    }
}
