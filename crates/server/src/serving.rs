//! From listening to serving.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
#[cfg(feature = "webtransport")]
use tokio::net::UdpSocket;
use tokio::net::{TcpListener, ToSocketAddrs};

use crate::http::counted::{Counted, FULL};
use crate::http::listen::{self, Connection, Listener, Spoken};
use crate::http::{SocketLayer, SocketService};
use crate::server::Server;
#[cfg(feature = "tls")]
use crate::tls::Tls;
use crate::transport::io::Stream;
#[cfg(feature = "webtransport")]
use crate::webtransport;

/// Serving.
impl Server {
    /// Listens on `address` and serves until [`Self::close`] is called. Returns when that is done, so `main` may return too.
    ///
    /// Dropping the future stops accepting; connections that are open live on.
    ///
    /// # Errors
    /// When the address cannot be listened on: in use, not permitted, not local.
    pub async fn listen(&self, address: impl ToSocketAddrs) -> io::Result<()> {
        self.serve(TcpListener::bind(address).await?).await
    }

    /// Serves the connections of a listener until [`Self::close`] is called.
    ///
    /// # Errors
    /// None at present: an accept that fails is logged and tried again.
    pub async fn serve(&self, listener: TcpListener) -> io::Result<()> {
        listen::serve(Arc::clone(&self.core), Listener::Tcp(listener), Spoken::Http, Connection::serve).await;
        Ok(())
    }

    /// Listens on `address` for TLS and serves until [`Self::close`] is called. A client has 10 s for its handshake.
    ///
    /// # Errors
    /// As [`Self::listen`].
    #[cfg(feature = "tls")]
    pub async fn listen_tls(&self, address: impl ToSocketAddrs, tls: Tls) -> io::Result<()> {
        self.serve_tls(TcpListener::bind(address).await?, tls).await
    }

    /// Serves the connections of a listener by TLS until [`Self::close`] is called.
    ///
    /// # Errors
    /// None at present: an accept that fails is logged and tried again.
    #[cfg(feature = "tls")]
    pub async fn serve_tls(&self, listener: TcpListener, tls: Tls) -> io::Result<()> {
        let serve_one = |connection| tls.clone().serve(connection);
        listen::serve(Arc::clone(&self.core), Listener::Tcp(listener), Spoken::Tls, serve_one).await;
        Ok(())
    }

    /// Listens on `address` by UDP for WebTransport and serves until [`Self::close`] is called. The clients of Socket.IO use
    /// one port number for all transports, so take that of [`Self::listen`] or [`Self::listen_tls`], beside which it runs;
    /// and [`ServerBuilder::transports`](crate::ServerBuilder::transports) has to name WebTransport.
    ///
    /// `tls` is what [`Self::listen_tls`] takes; for development, [`SelfSigned`](crate::SelfSigned) makes it.
    ///
    /// # Errors
    /// As [`Self::listen`]; also when WebTransport is not among the transports, or `tls` lacks TLS 1.3.
    #[cfg(feature = "webtransport")]
    pub async fn listen_webtransport(&self, address: impl ToSocketAddrs, tls: Tls) -> io::Result<()> {
        self.serve_webtransport(UdpSocket::bind(address).await?, tls).await
    }

    /// Serves the WebTransport clients of a UDP socket until [`Self::close`] is called.
    ///
    /// # Errors
    /// When WebTransport is not among the transports, `tls` lacks TLS 1.3, or the socket fails.
    #[cfg(feature = "webtransport")]
    pub async fn serve_webtransport(&self, socket: UdpSocket, tls: Tls) -> io::Result<()> {
        webtransport::listen::serve(Arc::clone(&self.core), socket, tls).await
    }

    /// Listens on a Unix socket and serves until [`Self::close`] is called. A socket file that an earlier process left
    /// behind is replaced; the own one is removed at the end. Who may connect is said by the permissions of its folder.
    ///
    /// # Errors
    /// When there is something else at `path`, a server that listens on it, or no permission.
    #[cfg(unix)]
    pub async fn listen_unix(&self, path: impl AsRef<std::path::Path>) -> io::Result<()> {
        let path = path.as_ref();
        let listener = bind_unix(path).await?;
        listen::serve(Arc::clone(&self.core), Listener::Unix(listener), Spoken::Http, Connection::serve).await;
        tokio::fs::remove_file(path).await
    }

    /// Serves one byte stream that was accepted elsewhere: a Unix socket, the inside of a TLS connection, a pipe in tests.
    /// Runs until the stream ends or the server is closed; a WebSocket that began on it lives on by itself. One task
    /// should await it from beginning to end: its deadlines wake the task that polled it first.
    ///
    /// If there are [`max_connections`](crate::ServerBuilder::max_connections) already it ends at once.
    ///
    /// `address` is what [`Peer::address`](crate::Peer::address) will say.
    ///
    /// ```no_run
    /// # async fn vsock(listener: tokio::net::TcpListener) -> std::io::Result<()> {
    /// let io = sockeye::Server::new();
    /// loop {
    ///     let (stream, address) = listener.accept().await?;
    ///     let io = io.clone();
    ///     tokio::spawn(async move { io.serve_stream(stream, Some(address)).await });
    /// }
    /// # }
    /// ```
    pub async fn serve_stream(
        &self,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        address: Option<SocketAddr>,
    ) {
        match Counted::new(&self.core, stream) {
            Ok(stream) => Connection::new(Arc::clone(&self.core), Box::new(stream), address).serve().await,
            // Written now or never.
            Err(mut stream) => drop(stream.write(FULL).now_or_never()),
        }
    }

    /// Counts a connection that an accept loop of your own has accepted and a framework will serve, for
    /// [`ServerBuilder::max_connections`](crate::ServerBuilder::max_connections) and
    /// [`MetricsSnapshot::connections`](crate::MetricsSnapshot::connections). Serve what it returns in place of `stream`.
    /// [`Self::listen`], [`Self::serve_stream`] and their like do so themselves.
    ///
    /// ```
    /// # fn main() -> Result<(), sockeye::ConfigError> {
    /// let io = sockeye::Server::builder().max_connections(1).build()?;
    /// let (stream, _client) = tokio::io::duplex(1024);
    /// let first = io.count_connection(stream);
    /// assert!(first.is_ok() && io.metrics().connections == 1);
    /// let (stream, _client) = tokio::io::duplex(1024);
    /// assert!(io.count_connection(stream).is_err());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Gives the stream back if there are as many as there may be: drop it.
    pub fn count_connection<S>(&self, stream: S) -> Result<impl AsyncRead + AsyncWrite + Send + Unpin + use<S>, S>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let counted = Counted::new(&self.core, stream)?;
        // As the own accept loop makes it, which a WebSocket then takes out of hyper's wrapper with its buffers.
        Ok(Stream::new(Box::new(counted), Bytes::new()))
    }

    /// The layer that answers at the server's path and passes all other requests on to the service inside.
    ///
    /// ```
    /// use tower_layer::Layer;
    ///
    /// # fn app() -> sockeye::SocketService { sockeye::Server::new().service() }
    /// let io = sockeye::Server::new();
    /// let app = io.layer().layer(app());                  // axum: Router::new().layer(io.layer())
    /// # drop(app);
    /// ```
    pub fn layer(&self) -> SocketLayer {
        SocketLayer::new(Arc::clone(&self.core))
    }

    /// The service to mount into axum, hyper, or anything else that speaks tower.
    pub fn service(&self) -> SocketService {
        SocketService::new(Arc::clone(&self.core))
    }
}

#[cfg(unix)]
async fn bind_unix(path: &std::path::Path) -> io::Result<tokio::net::UnixListener> {
    use std::os::unix::fs::FileTypeExt;

    use tokio::net::{UnixListener, UnixStream};

    match UnixListener::bind(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            let is_socket = tokio::fs::symlink_metadata(path).await?.file_type().is_socket();
            if !is_socket || UnixStream::connect(path).await.is_ok() {
                return Err(error);
            }
            tokio::fs::remove_file(path).await?;
            UnixListener::bind(path)
        }
        bound => bound,
    }
}
