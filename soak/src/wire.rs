//! One TCP connection to the server, with TLS or without.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::client::TlsStream;

use crate::veil::Veil;

/// Addresses that connections come from: the ports of one would run out, with those in TIME_WAIT.
const SOURCES: u64 = 200;

/// How connections are made.
#[derive(Debug, Clone)]
pub(crate) struct Route {
    pub(crate) server: SocketAddr,
    /// Chooses the address that connections come from.
    pub(crate) source: u64,
    /// A small receive buffer, so that the server soon finds a client stuck that does not read.
    pub(crate) narrow: bool,
    /// By TLS.
    pub(crate) veil: Option<Arc<Veil>>,
    /// What is asked for beside the transport: the revision, and of clients of revision 3 who they are.
    pub(crate) query: String,
}

/// The connection, and what was read from it and not yet used.
#[derive(Debug)]
pub(crate) struct Wire {
    stream: Line,
    pub(crate) unread: Vec<u8>,
}

#[derive(Debug)]
enum Line {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Wire {
    pub(crate) async fn connect(route: &Route) -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        if route.narrow {
            socket.set_recv_buffer_size(4096)?;
        }
        let last = u8::try_from(route.source % SOURCES).unwrap_or_default();
        socket.bind((Ipv4Addr::new(127, 0, 0, 2 + last), 0).into())?;
        let stream = socket.connect(route.server).await?;
        stream.set_nodelay(true)?;
        let stream = match &route.veil {
            Some(veil) => Line::Tls(Box::new(veil.put_on(stream).await?)),
            None => Line::Plain(stream),
        };
        Ok(Self { stream, unread: Vec::new() })
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.stream {
            Line::Plain(stream) => stream.write_all(bytes).await,
            Line::Tls(stream) => {
                stream.write_all(bytes).await?;
                stream.flush().await
            }
        }
    }

    /// Reads more, at least one byte. Cancel safe.
    pub(crate) async fn read(&mut self) -> io::Result<()> {
        let read = match &mut self.stream {
            Line::Plain(stream) => stream.read_buf(&mut self.unread).await?,
            Line::Tls(stream) => stream.read_buf(&mut self.unread).await?,
        };
        match read {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    /// Ends in a RST, as if the client had died, instead of a FIN.
    pub(crate) fn kill(self) {
        // Without it the connection still ends, only more politely than asked.
        let _ = match &self.stream {
            Line::Plain(stream) => stream.set_zero_linger(),
            Line::Tls(stream) => stream.get_ref().0.set_zero_linger(),
        };
    }
}
