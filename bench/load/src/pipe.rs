//! One non-blocking TCP connection to the server: what is half read, what is not yet written.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

/// Addresses which connections come from. The ports of one run out at about 28,000, also those in TIME_WAIT, and finding
/// one takes the kernel longer and longer before that.
const SOURCES: u64 = 200;

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hangup {
    /// FIN, as a client which closes.
    Orderly,
    /// RST, as a client which dies.
    Kill,
}

/// Addresses in turn, 127.0.0.2 and up.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    opened: u64,
}

impl Sources {
    fn next(&mut self) -> Ipv4Addr {
        let turn = self.opened % SOURCES;
        self.opened += 1;
        Ipv4Addr::new(127, 0, 0, 2 + u8::try_from(turn).unwrap_or_default())
    }
}

/// The connection.
pub(crate) struct Pipe {
    stream: TcpStream,
    unread: Vec<u8>,
    unwritten: Vec<u8>,
}

impl Pipe {
    /// Connects to the server on loopback. `receive_buffer` makes a reader whose window is soon full.
    pub(crate) fn connect(port: u16, sources: &mut Sources, receive_buffer: Option<usize>) -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
        if let Some(bytes) = receive_buffer {
            socket.set_recv_buffer_size(bytes)?;
        }
        socket.bind(&SocketAddr::from((sources.next(), 0)).into())?;
        let server = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        socket.connect_timeout(&server.into(), Duration::from_secs(10))?;
        socket.set_tcp_nodelay(true)?;
        socket.set_nonblocking(true)?;
        Ok(Self { stream: TcpStream::from_std(socket.into()), unread: Vec::new(), unwritten: Vec::new() })
    }

    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(&mut self.stream, token, Interest::READABLE | Interest::WRITABLE)
    }

    /// Queues bytes; [`Pipe::flush`] writes them.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.unwritten.extend_from_slice(bytes);
    }

    /// Writes what is queued, as far as the kernel takes it.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        let mut written = 0;
        while let Some(rest) = self.unwritten.get(written..).filter(|rest| !rest.is_empty()) {
            match self.stream.write(rest) {
                Ok(bytes) => written += bytes,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.unwritten.drain(..written);
        if self.unwritten.is_empty() && self.unwritten.capacity() > 4096 {
            self.unwritten = Vec::new();
        }
        Ok(())
    }

    /// Reads until the kernel has no more and hands it to `consume`, which answers into the second argument and
    /// returns how many bytes it is done with. `Ok(false)`: the server closed.
    pub(crate) fn receive(
        &mut self,
        scratch: &mut [u8],
        mut consume: impl FnMut(&[u8], &mut Vec<u8>) -> Result<usize, String>,
    ) -> Result<bool, String> {
        loop {
            let got = match self.stream.read(scratch) {
                Ok(0) => return Ok(false),
                Ok(got) => got,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(false),
                Err(error) => return Err(error.to_string()),
            };
            let fresh = scratch.get(..got).unwrap_or_default();
            if self.unread.is_empty() {
                let used = consume(fresh, &mut self.unwritten)?;
                self.unread.extend_from_slice(fresh.get(used..).unwrap_or_default());
            } else {
                self.unread.extend_from_slice(fresh);
                let used = consume(&self.unread, &mut self.unwritten)?;
                self.unread.drain(..used);
                if self.unread.is_empty() {
                    self.unread = Vec::new();
                }
            }
            // A short read means that the socket is drained; the next arrival is a new event.
            if got < scratch.len() {
                return Ok(true);
            }
        }
    }

    /// Ends the connection. Dropping a pipe is [`Hangup::Orderly`].
    pub(crate) fn hang_up(self, how: Hangup) {
        if how == Hangup::Kill {
            // Without it the pipe still closes, only more politely than asked.
            let _ = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
        }
    }
}
