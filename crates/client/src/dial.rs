//! Byte streams to the server: TCP or something else, through a proxy, under TLS.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::address::Address;
use crate::error::ConnectError;
use crate::proxy::Proxy;

/// A byte stream of any kind: TCP, TLS, Unix socket, or memory in tests.
pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

pub(crate) type BoxIo = Box<dyn Io>;
pub(crate) type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;
type Opener = Arc<dyn Fn(String, u16) -> BoxFuture<io::Result<BoxIo>> + Send + Sync>;

/// How byte streams are opened.
#[derive(Clone, Debug, Default)]
pub(crate) struct Dial {
    pub(crate) base: Base,
    pub(crate) proxy: Option<Proxy>,
    #[cfg(feature = "tls")]
    pub(crate) tls: Option<crate::tls::Connector>,
}

/// What is below proxies and TLS.
#[derive(Clone, Default)]
pub(crate) enum Base {
    /// TCP, to the URL's host or to the proxy.
    #[default]
    Tcp,
    /// A function of the application, which is given host and port.
    Custom(Opener),
    /// A Unix socket.
    #[cfg(unix)]
    Unix(std::path::PathBuf),
}

impl fmt::Debug for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "Tcp",
            Self::Custom(_) => "Custom",
            #[cfg(unix)]
            Self::Unix(_) => "Unix",
        })
    }
}

impl Dial {
    /// Opens a byte stream to the server.
    pub(crate) async fn open(&self, address: &Address) -> Result<BoxIo, ConnectError> {
        let (who, host, port) = match &self.proxy {
            Some(proxy) => ("the proxy", proxy.host.as_str(), proxy.port),
            None => ("the server", address.host.as_str(), address.port),
        };
        let unreachable =
            |error| ConnectError::io(format!("{who} at {} cannot be reached", self.base.place(host, port)), error);
        let mut io = self.base.open(host, port).await.map_err(unreachable)?;
        if let Some(proxy) = &self.proxy {
            let tunnel = proxy.tunnel(&mut *io, &address.host, address.port).await;
            tunnel.map_err(|error| ConnectError::io("the proxy gives no connection", error))?;
        }
        #[cfg(feature = "tls")]
        if let Some(tls) = self.tls.as_ref().filter(|_| address.secure) {
            let secured = tls.inner.connect(tls.name.clone(), io).await;
            io = Box::new(secured.map_err(|error| ConnectError::io("TLS failed", error))?);
        }
        Ok(io)
    }
}

impl Base {
    /// Where it goes, for errors.
    fn place(&self, host: &str, port: u16) -> String {
        match self {
            Self::Tcp | Self::Custom(_) if host.contains(':') => format!("[{host}]:{port}"),
            Self::Tcp | Self::Custom(_) => format!("{host}:{port}"),
            #[cfg(unix)]
            Self::Unix(path) => path.display().to_string(),
        }
    }

    async fn open(&self, host: &str, port: u16) -> io::Result<BoxIo> {
        match self {
            Self::Tcp => {
                let addresses = tokio::net::lookup_host((host, port)).await?;
                let stream = race(alternating(addresses).into_iter().map(TcpStream::connect)).await?;
                // Without this, small packets would wait for the acknowledgement of the one before.
                stream.set_nodelay(true)?;
                Ok(Box::new(stream))
            }
            Self::Custom(open) => {
                // Code of the application: a panic in it is a failed attempt.
                let opening = AssertUnwindSafe(async { open(host.to_owned(), port).await });
                let panicked = |_| Err(io::Error::other("the function given to dial_with panicked"));
                opening.catch_unwind().await.unwrap_or_else(panicked)
            }
            #[cfg(unix)]
            Self::Unix(path) => Ok(Box::new(tokio::net::UnixStream::connect(path).await?)),
        }
    }
}

/// Addresses of both families in turn, beginning with the family of the first.                        [RFC 8305 §4]
fn alternating(addresses: impl Iterator<Item = SocketAddr>) -> Vec<SocketAddr> {
    let all: Vec<_> = addresses.collect();
    let begins_with_v6 = all.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) = all.into_iter().partition(|address| address.is_ipv6() == begins_with_v6);
    let mut second = second.into_iter();
    let mut mixed: Vec<_> = first.into_iter().flat_map(|address| [Some(address), second.next()]).flatten().collect();
    mixed.extend(second);
    mixed
}

/// The first attempt that succeeds. Each has a head start before the next one begins, so that an address which leads
/// nowhere does not use up all the time.                                                               [RFC 8305 §5]
async fn race<T>(mut attempts: impl Iterator<Item = impl Future<Output = io::Result<T>>>) -> io::Result<T> {
    let mut running = FuturesUnordered::new();
    let mut failed = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    loop {
        let is_last = match attempts.next() {
            Some(attempt) => {
                running.push(attempt);
                false
            }
            None => true,
        };
        let result = if is_last { running.next().await } else { within(HEAD_START, running.next()).await };
        match result {
            Some(Ok(stream)) => return Ok(stream),
            Some(Err(error)) => failed = error,
            None if is_last => return Err(failed),
            None => {}
        }
    }
}

async fn within<T>(limit: Duration, work: impl Future<Output = Option<T>>) -> Option<T> {
    tokio::time::timeout(limit, work).await.ok().flatten()
}

const HEAD_START: Duration = Duration::from_millis(250);

#[cfg(test)]
mod tests {
    use tokio::time::{Instant, sleep};

    use super::*;

    /// An attempt which succeeds with, or fails, after so many milliseconds.
    async fn attempt(milliseconds: u64, result: Result<u32, io::ErrorKind>) -> io::Result<u32> {
        sleep(Duration::from_millis(milliseconds)).await;
        result.map_err(io::Error::from)
    }

    async fn raced(attempts: &[(u64, Result<u32, io::ErrorKind>)]) -> (io::Result<u32>, u128) {
        let start = Instant::now();
        let result = race(attempts.iter().map(|(milliseconds, result)| attempt(*milliseconds, *result))).await;
        (result, start.elapsed().as_millis())
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_that_leads_nowhere_costs_little() {
        let nowhere = (1_000_000, Ok(0));
        let (winner, took) = raced(&[nowhere, (10, Ok(1))]).await;
        assert_eq!((winner.unwrap(), took), (1, 260));
        let refused = (10, Err(io::ErrorKind::ConnectionRefused));
        let (winner, took) = raced(&[refused, (10, Ok(1))]).await;
        assert_eq!((winner.unwrap(), took), (1, 20), "no head start for one that has failed");
        let (winner, took) = raced(&[(300, Ok(0)), (300, Ok(1))]).await;
        assert_eq!((winner.unwrap(), took), (0, 300), "the first of several");
        let (winner, took) = raced(&[refused, nowhere, refused, (700, Ok(1))]).await;
        assert_eq!((winner.unwrap(), took), (1, 10 + 250 + 10 + 700));
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_failure_is_told() {
        let (error, _) =
            raced(&[(10, Err(io::ErrorKind::ConnectionReset)), (20, Err(io::ErrorKind::ConnectionRefused))]).await;
        assert_eq!(error.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(raced(&[]).await.0.unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn families_alternate() {
        let addresses = ["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1"].map(|address| address.parse().unwrap());
        let mixed: Vec<_> = alternating(addresses.into_iter()).iter().map(ToString::to_string).collect();
        assert_eq!(mixed, ["[::1]:1", "1.1.1.1:1", "[::2]:1", "[::3]:1"]);
    }
}
