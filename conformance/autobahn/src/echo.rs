//! Sends every message back, as the suite expects of both ends.

use std::io;

use sockeye_engine::Role;
use sockeye_engine::ws::deflate::Params;
use sockeye_engine::ws::{Decoder, Item, Opcode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::wire::{Writer, decoder};

/// Echoes until the connection is over. `early`: what came behind the head of the handshake.
pub(crate) async fn run(
    mut stream: TcpStream,
    role: Role,
    deflate: Option<&Params>,
    mut early: Vec<u8>,
) -> io::Result<()> {
    let (mut decoder, mut writer) = (decoder(role, deflate), Writer::new(role, deflate));
    let mut buffer = vec![0; 64 * 1024];
    let mut goes_on = answer(&mut decoder, &mut writer, &mut early)?;
    while goes_on {
        writer.flush(&mut stream).await?;
        let read = stream.read(&mut buffer).await?;
        if read == 0 {
            return Ok(());
        }
        goes_on = answer(&mut decoder, &mut writer, &mut buffer[..read])?;
    }
    writer.flush(&mut stream).await?;
    stream.shutdown().await?;
    // To close with unread bytes would be a reset, which may overtake the close frame.
    while stream.read(&mut buffer).await? > 0 {}
    Ok(())
}

/// Answers what was read; false if the connection is over.
fn answer(decoder: &mut Decoder, writer: &mut Writer, mut rest: &mut [u8]) -> io::Result<bool> {
    loop {
        match decoder.decode(rest) {
            Ok((_, None)) => return Ok(true),
            Ok((used, Some(item))) => {
                match item {
                    Item::Text(text) => writer.message(Opcode::Text, text.as_bytes())?,
                    Item::Binary(bytes) => writer.message(Opcode::Binary, bytes)?,
                    Item::Ping(payload) => writer.pong(payload)?,
                    Item::Pong(_) => {}
                    Item::Close(said) => {
                        writer.close(said.map(|(code, _)| code), said.map_or("", |(_, reason)| reason))?;
                        return Ok(false);
                    }
                }
                rest = &mut rest[used..];
            }
            Err(error) => {
                writer.close(Some(error.close_code()), "")?;
                return Ok(false);
            }
        }
    }
}
