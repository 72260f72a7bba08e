//! WebSocket frames as a client writes and reads them, kept apart from the code under test.            [RFC 6455 §5.2]
//!
//! ```text
//! FIN+opcode 1 | mask bit + length 7 bits, 7+16 or 7+64 big endian | masking key 4 (client only) | payload
//! ```

/// A frame that the server sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// A whole binary message.
    Binary(Vec<u8>),
    /// A close frame, with its code if it has one.
    Close(Option<u16>),
    /// The answer to a ping.
    Pong(Vec<u8>),
    /// A ping.
    Ping(Vec<u8>),
    /// A whole text message.
    Text(String),
}

/// Masking key of all frames: with zeros the payload stays readable, and the server has to unmask all the same.
const KEY: [u8; 4] = [0x11, 0x22, 0x33, 0x44];

/// A frame of a client, masked. `first` is FIN, the reserved bits and the opcode.
pub(crate) fn encode(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        length @ 0..=125 => frame.push(0x80 | u8::try_from(length).expect("at most 125")),
        length @ 126..=0xffff => {
            frame.push(0x80 | 0x7e);
            frame.extend(u16::try_from(length).expect("at most 65,535").to_be_bytes());
        }
        length => {
            frame.push(0x80 | 0x7f);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    frame.extend(KEY);
    frame.extend(payload.iter().zip(KEY.iter().cycle()).map(|(byte, key)| byte ^ key));
    frame
}

/// Takes the first frame out of `bytes`; `None` if it is not complete.
///
/// # Panics
/// When the server sends what no server may: a masked frame, a fragment, an unknown opcode, text that is not UTF-8.
pub(crate) fn decode(bytes: &mut Vec<u8>) -> Option<Frame> {
    let (&first, &second) = (bytes.first()?, bytes.get(1)?);
    assert!(second & 0x80 == 0, "the server sent a masked frame");
    let (header, length) = match second {
        126 => (4, u64::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?))),
        127 => (10, u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)),
        length => (2, u64::from(length)),
    };
    let end = header + usize::try_from(length).expect("a frame fits in memory");
    let payload = bytes.get(header..end)?.to_vec();
    bytes.drain(..end);
    Some(match first {
        0x81 => Frame::Text(String::from_utf8(payload).expect("the server sent text which is not UTF-8")),
        0x82 => Frame::Binary(payload),
        0x88 => Frame::Close(payload.get(..2).map(|code| u16::from_be_bytes([code[0], code[1]]))),
        0x89 => Frame::Ping(payload),
        0x8a => Frame::Pong(payload),
        other => panic!("the server sent a frame which begins with {other:#04x}"),
    })
}

/// What a close frame says beside its code, if that is what comes first in `bytes`.
pub(crate) fn close_reason(bytes: &[u8]) -> Option<String> {
    let (0x88, &length) = (*bytes.first()?, bytes.get(1)?) else { return None };
    let reason = bytes.get(2..2 + usize::from(length))?.get(2..)?;
    Some(String::from_utf8(reason.to_vec()).expect("the server gave a reason which is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_a_server_are_read() {
        let mut bytes = b"\x81\x02hi\x82\x01\x00\x88\x02\x03\xe8\x81\x05hel".to_vec();
        assert_eq!(decode(&mut bytes), Some(Frame::Text("hi".into())));
        assert_eq!(decode(&mut bytes), Some(Frame::Binary(vec![0])));
        assert_eq!(decode(&mut bytes), Some(Frame::Close(Some(1000))));
        assert_eq!(decode(&mut bytes), None, "not complete");
    }

    #[test]
    fn the_reason_of_a_close_frame_is_read() {
        assert_eq!(close_reason(b"\x88\x04\x03\xe8no").as_deref(), Some("no"));
        for other in [&b"\x88\x04\x03\xe8n"[..], b"\x88\x00", b"\x81\x02hi", b""] {
            assert_eq!(close_reason(other), None, "{other:?}");
        }
    }

    #[test]
    fn lengths_take_seven_sixteen_or_sixty_four_bits() {
        assert_eq!(encode(0x81, b"a"), [0x81, 0x81, 0x11, 0x22, 0x33, 0x44, b'a' ^ 0x11]);
        assert_eq!(encode(0x81, &[0; 126])[..4], [0x81, 0xfe, 0, 126]);
        assert_eq!(encode(0x82, &vec![0; 65_536])[..10], [0x82, 0xff, 0, 0, 0, 0, 0, 1, 0, 0]);
    }
}
