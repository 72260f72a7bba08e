//! How a client begins tells which HTTP it speaks.                                                [RFC 9113 §3.4]

use std::io;

use bytes::Bytes;
use tokio::io::AsyncReadExt;

use crate::transport::io::Io;

const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Reads until it is certain: the bytes read, and whether they begin HTTP/2.
pub(crate) async fn read(io: &mut dyn Io) -> io::Result<(Bytes, bool)> {
    let mut begun = [0; PREFACE.len()];
    let mut length = 0;
    while length < begun.len() && begun[..length] == PREFACE[..length] {
        let n = io.read(&mut begun[length..]).await?;
        if n == 0 {
            break;
        }
        length += n;
    }
    Ok((Bytes::copy_from_slice(&begun[..length]), begun == *PREFACE))
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    /// What is read of a client that sends these pieces and then ends.
    async fn begins(pieces: &[&[u8]]) -> (Bytes, bool) {
        let (mut client, mut server) = tokio::io::duplex(10);
        let (read, ()) = tokio::join!(read(&mut server), async move {
            for piece in pieces {
                // The reader may have seen enough.
                drop(client.write_all(piece).await);
            }
        });
        read.unwrap()
    }

    #[tokio::test]
    async fn both_kinds_are_known_by_their_first_bytes() {
        assert_eq!(begins(&[PREFACE]).await, (Bytes::from_static(PREFACE), true));
        assert!(begins(&[b"PRI * ", b"HTTP/2.0\r\n\r\nSM\r\n", b"\r\nmore"]).await.1);
        assert_eq!(
            begins(&[b"GET / HTTP/1.1"]).await,
            (Bytes::from_static(b"GET / HTTP"), false),
            "one read is enough"
        );
        assert_eq!(begins(&[b"POST"]).await, (Bytes::from_static(b"POST"), false));
        assert!(!begins(&[b"PRI * HTTP/2.0\r\n\r\nSX"]).await.1);
        assert_eq!(begins(&[b"PRI"]).await, (Bytes::from_static(b"PRI"), false));
        assert_eq!(begins(&[]).await, (Bytes::new(), false));
    }
}
