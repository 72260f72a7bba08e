//! WebSocket frames as a client sees them: masked out, unmasked in. [RFC 6455 §5.2]

/// Opcode of a text frame.
pub(crate) const TEXT: u8 = 1;
/// Opcode of a binary frame.
pub(crate) const BINARY: u8 = 2;
/// Opcode of a close frame.
pub(crate) const CLOSE: u8 = 8;
/// Opcode of a ping frame.
pub(crate) const PING: u8 = 9;
/// Opcode of a pong frame.
pub(crate) const PONG: u8 = 10;

/// In place of a length: two bytes of length follow.
const LENGTH_16: u8 = 126;
/// In place of a length: eight bytes of length follow.
const LENGTH_64: u8 = 127;
/// Not zero, so that a server really has to unmask.
const MASK: [u8; 4] = [0x5a, 0xc3, 0x17, 0xe8];

/// One whole frame from the server.
pub(crate) struct Frame<'a> {
    pub(crate) opcode: u8,
    /// RSV1: the payload went through permessage-deflate. [RFC 7692 §6]
    pub(crate) compressed: bool,
    pub(crate) payload: &'a [u8],
}

/// Takes the first frame off `bytes`, with the number of bytes it took; `None` while it is incomplete.
///
/// The measured servers do not fragment, so a fragment is an error and not a case.
pub(crate) fn decode(bytes: &[u8]) -> Result<Option<(Frame<'_>, usize)>, String> {
    let [first, second, rest @ ..] = bytes else { return Ok(None) };
    if second & 0x80 != 0 {
        return Err("the server masked a frame".into());
    }
    if first & 0x80 == 0 {
        return Err("the server sent a fragment".into());
    }
    let (length, header) = match second & 0x7f {
        LENGTH_16 => match rest {
            [a, b, ..] => (usize::from(u16::from_be_bytes([*a, *b])), 4),
            _ => return Ok(None),
        },
        LENGTH_64 => match rest.first_chunk::<8>() {
            Some(length) => (usize::try_from(u64::from_be_bytes(*length)).map_err(|error| error.to_string())?, 10),
            None => return Ok(None),
        },
        short => (usize::from(short), 2),
    };
    let Some(payload) = bytes.get(header..).and_then(|rest| rest.get(..length)) else { return Ok(None) };
    Ok(Some((Frame { opcode: first & 0x0f, compressed: first & 0x40 != 0, payload }, header + length)))
}

/// Appends one masked frame.
pub(crate) fn encode(opcode: u8, payload: &[u8], out: &mut Vec<u8>) {
    out.push(0x80 | opcode);
    match u16::try_from(payload.len()) {
        Ok(length @ 0..126) => out.push(0x80 | length.to_be_bytes()[1]),
        Ok(length) => {
            out.push(0x80 | LENGTH_16);
            out.extend(length.to_be_bytes());
        }
        Err(_) => {
            out.push(0x80 | LENGTH_64);
            out.extend((payload.len() as u64).to_be_bytes());
        }
    }
    out.extend(MASK);
    out.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
}

/// One masked text frame of its own.
pub(crate) fn text(payload: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(payload.len() + 14);
    encode(TEXT, payload.as_bytes(), &mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unmasked(length: usize) -> Vec<u8> {
        let mut out = vec![0x81];
        match length {
            0..126 => out.push(u8::try_from(length).unwrap()),
            126..65536 => {
                out.push(126);
                out.extend(u16::try_from(length).unwrap().to_be_bytes());
            }
            _ => {
                out.push(127);
                out.extend((length as u64).to_be_bytes());
            }
        }
        out.resize(out.len() + length, b'x');
        out
    }

    #[test]
    fn decodes_every_length_form_and_waits_for_the_rest() {
        for length in [0, 1, 125, 126, 65_535, 65_536] {
            let bytes = unmasked(length);
            let (frame, used) = decode(&bytes).unwrap().expect("complete");
            assert_eq!((frame.payload.len(), used, frame.opcode), (length, bytes.len(), TEXT));
            assert!(decode(&bytes[..bytes.len() - 1]).unwrap().is_none());
        }
    }

    #[test]
    fn refuses_what_a_server_must_not_send() {
        assert!(decode(&[0x81, 0x80, 0, 0, 0, 0]).is_err());
        assert!(decode(&[0x01, 0x00]).is_err());
    }

    #[test]
    fn masks_as_the_specification_says() {
        let mut out = Vec::new();
        encode(BINARY, b"abcde", &mut out);
        assert_eq!(out[..6], [0x82, 0x85, 0x5a, 0xc3, 0x17, 0xe8]);
        assert_eq!(out[6..], [b'a' ^ 0x5a, b'b' ^ 0xc3, b'c' ^ 0x17, b'd' ^ 0xe8, b'e' ^ 0x5a]);
        out.clear();
        encode(TEXT, &[0; 126], &mut out);
        assert_eq!(out[..4], [0x81, 0xfe, 0, 126]);
        out.clear();
        encode(TEXT, &vec![0; 65_536], &mut out);
        assert_eq!(out[..10], [0x81, 0xff, 0, 0, 0, 0, 0, 1, 0, 0]);
    }
}
