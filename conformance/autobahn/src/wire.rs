//! A TCP connection that has become a WebSocket: reads messages, writes frames.

use std::io;

use sockeye_engine::Role;
use sockeye_engine::ws::deflate::{Deflater, Inflater, Level, Options, Params};
use sockeye_engine::ws::{CloseCode, Decoder, Limits, Opcode, encode, encode_close, encode_masked, encode_pong};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// The suite sends up to 16 MiB (9.1.6), and 4 MiB in frames of 64 bytes (9.3.1).
const LIMITS: Limits = Limits { max_message: 32 << 20, max_fragments: 1 << 17 };

/// Contexts that live as long as the connection wherever the other end wants them: the harder of the two forms.
pub(crate) const DEFLATE: Options = Options { server_no_context_takeover: false, client_no_context_takeover: false };

/// The sending half: its turns of phrase depend on the role.
pub(crate) struct Writer {
    role: Role,
    deflater: Option<Deflater>,
    out: Vec<u8>,
}

impl Writer {
    pub(crate) fn new(role: Role, deflate: Option<&Params>) -> Self {
        let deflater = deflate.map(|params| Deflater::new(params, role, Level::default()));
        Self { role, deflater, out: Vec::new() }
    }

    pub(crate) fn message(&mut self, opcode: Opcode, payload: &[u8]) -> io::Result<()> {
        let compressed = self.deflater.as_mut().and_then(|deflater| deflater.deflate(payload));
        let (rsv1, payload) = compressed.as_deref().map_or((false, payload), |compressed| (true, compressed));
        match self.key()? {
            Some(key) => encode_masked(&mut self.out, opcode, rsv1, payload, key),
            None => encode(&mut self.out, opcode, rsv1, payload),
        }
        Ok(())
    }

    pub(crate) fn pong(&mut self, payload: &[u8]) -> io::Result<()> {
        let key = self.key()?;
        encode_pong(&mut self.out, payload, key).map_err(io::Error::other)
    }

    pub(crate) fn close(&mut self, code: Option<CloseCode>, reason: &str) -> io::Result<()> {
        let key = self.key()?;
        encode_close(&mut self.out, code, reason, key);
        Ok(())
    }

    /// Writes what has come together.
    pub(crate) async fn flush(&mut self, stream: &mut TcpStream) -> io::Result<()> {
        stream.write_all(&self.out).await?;
        self.out.clear();
        self.out.shrink_to(1 << 20);
        Ok(())
    }

    fn key(&self) -> io::Result<Option<[u8; 4]>> {
        if self.role == Role::Server {
            return Ok(None);
        }
        let mut key = [0; 4];
        getrandom::fill(&mut key).map_err(io::Error::other)?;
        Ok(Some(key))
    }
}

/// The receiving half.
pub(crate) fn decoder(role: Role, deflate: Option<&Params>) -> Decoder {
    let decoder = Decoder::new(role, LIMITS);
    match deflate {
        Some(params) => decoder.with_inflater(Inflater::new(params, role)),
        None => decoder,
    }
}
