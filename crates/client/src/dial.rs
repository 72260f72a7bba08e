//! Byte streams to the server: TCP or something else, through a proxy, under TLS.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;

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
        let (host, port) = match &self.proxy {
            Some(proxy) => (proxy.host.as_str(), proxy.port),
            None => (address.host.as_str(), address.port),
        };
        let to = if self.proxy.is_some() { "the proxy cannot be reached" } else { "the server cannot be reached" };
        let mut io = self.base.open(host, port).await.map_err(|error| ConnectError::io(to, error))?;
        if let Some(proxy) = &self.proxy {
            let tunnel = proxy.tunnel(&mut *io, &address.host, address.port).await;
            tunnel.map_err(|error| ConnectError::io("the proxy gives no connection", error))?;
        }
        self.secure(io, address).await
    }

    #[cfg(feature = "tls")]
    async fn secure(&self, io: BoxIo, address: &Address) -> Result<BoxIo, ConnectError> {
        let Some(tls) = self.tls.as_ref().filter(|_| address.secure) else { return Ok(io) };
        let secured = tls.inner.connect(tls.name.clone(), io).await;
        Ok(Box::new(secured.map_err(|error| ConnectError::io("TLS failed", error))?))
    }

    #[cfg(not(feature = "tls"))]
    async fn secure(&self, io: BoxIo, _: &Address) -> Result<BoxIo, ConnectError> {
        Ok(io)
    }
}

impl Base {
    async fn open(&self, host: &str, port: u16) -> io::Result<BoxIo> {
        match self {
            Self::Tcp => {
                let stream = TcpStream::connect((host, port)).await?;
                // Without this, small packets would wait for the acknowledgement of the one before.
                stream.set_nodelay(true)?;
                Ok(Box::new(stream))
            }
            Self::Custom(open) => open(host.to_owned(), port).await,
            #[cfg(unix)]
            Self::Unix(path) => Ok(Box::new(tokio::net::UnixStream::connect(path).await?)),
        }
    }
}
