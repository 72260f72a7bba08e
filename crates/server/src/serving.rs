//! From listening to serving.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use http::{Request, Response};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
#[cfg(feature = "webtransport")]
use tokio::net::UdpSocket;
use tokio::net::{TcpListener, ToSocketAddrs};
use tower_service::Service;

use crate::error::BoxError;
use crate::http::counted::{Counted, full};
use crate::http::listen::{self, Connection, Listener, Spoken};
use crate::http::site::Beside;
use crate::http::{RequestBody, Site, SocketLayer, SocketService};
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
        self.alone().serve(listener).await
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
        self.alone().serve_tls(listener, tls).await
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
        self.alone().listen_unix(path).await
    }

    /// Serves one byte stream that was accepted elsewhere: a Unix socket, the inside of a TLS connection, a pipe in tests.
    /// Runs until the stream ends or the server is closed; a WebSocket that began on it lives on by itself. One task
    /// should await it from beginning to end: its deadlines wake the task that polled it first.
    ///
    /// If there are [`max_connections`](crate::ServerBuilder::max_connections) already it ends at once, and so it does if
    /// `address` has [as many as it may](crate::ServerBuilder::max_connections_per_address).
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
        self.alone().serve_stream(stream, address).await;
    }

    /// Puts a service beside Socket.IO: it answers the requests for all other paths, which are 404 otherwise, on the
    /// connections of the same listener. An axum `Router` is such a service.
    ///
    /// Clients that poll cost as little as by [`Self::listen`], and pages and polls may share a connection. Every limit of
    /// a connection holds for what the service is asked, too: heads have [`max_head`](crate::ServerBuilder::max_head)
    /// bytes and [`request_timeout`](crate::ServerBuilder::request_timeout), and so long does a client have to take each
    /// 16 KiB of a response. Bodies come and go piece by piece ([`RequestBody`]); how long one may be, and how long an
    /// answer may take, is up to the service. What it was asked is dropped when the client goes away. [`Self::close`]
    /// waits a second for responses that are being written.
    ///
    /// [`PeerAddr`](crate::PeerAddr) among the extensions of a request is the address of the client, by
    /// [`trust_proxies`](crate::ServerBuilder::trust_proxies) if a proxy passed the request on.
    ///
    /// The service cannot switch protocols: a WebSocket of its own needs a framework which Socket.IO is mounted into, by
    /// [`Self::service`] or [`Self::layer`]. Trailers of responses are left out over HTTP/1.1.
    ///
    /// ```
    /// use axum::{Router, routing::get};
    /// use sockeye::{Server, Socket};
    /// use tokio::io::{AsyncReadExt, AsyncWriteExt};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// let io = Server::new();
    /// io.on("hello", async |socket: Socket, name: String| socket.emit("hello", name));
    /// let pages = Router::new().route("/", get(async || "a page"));
    ///
    /// let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?; // or: io.beside(pages).listen("0.0.0.0:3000")
    /// let address = listener.local_addr()?;
    /// let serving = tokio::spawn(io.beside(pages).serve(listener));
    ///
    /// let mut client = tokio::net::TcpStream::connect(address).await?;
    /// client.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await?;
    /// let mut response = String::new();
    /// client.read_to_string(&mut response).await?;
    /// assert!(response.ends_with("\r\n\r\na page"));
    ///
    /// io.close(std::time::Duration::from_secs(1)).await;
    /// serving.await?
    /// # }
    /// ```
    pub fn beside<S, R>(&self, service: S) -> Site
    where
        S: Service<Request<RequestBody>, Response = Response<R>, Error = Infallible> + Clone + Send + Sync + 'static,
        S::Future: Send + 'static,
        R: http_body::Body<Data = Bytes> + Send + 'static,
        R::Error: Into<BoxError>,
    {
        Site::new(Arc::clone(&self.core), Beside::new(service))
    }

    fn alone(&self) -> Site {
        Site::alone(Arc::clone(&self.core))
    }

    /// Counts a connection that an accept loop of your own has accepted and a framework will serve, for
    /// [`ServerBuilder::max_connections`](crate::ServerBuilder::max_connections),
    /// [`ServerBuilder::max_connections_per_address`](crate::ServerBuilder::max_connections_per_address) and
    /// [`MetricsSnapshot::connections`](crate::MetricsSnapshot::connections). Serve what it returns in place of `stream`.
    /// [`Self::listen`], [`Self::serve_stream`] and their like do so themselves.
    ///
    /// ```
    /// # fn main() -> Result<(), sockeye::ConfigError> {
    /// let io = sockeye::Server::builder().max_connections(1).build()?;
    /// let (stream, _client) = tokio::io::duplex(1024);
    /// let first = io.count_connection(stream, None);
    /// assert!(first.is_ok() && io.metrics().connections == 1);
    /// let (stream, _client) = tokio::io::duplex(1024);
    /// assert!(io.count_connection(stream, None).is_err());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Gives the stream back if there are as many as there may be: drop it.
    pub fn count_connection<S>(
        &self,
        stream: S,
        address: Option<SocketAddr>,
    ) -> Result<impl AsyncRead + AsyncWrite + Send + Unpin + use<S>, S>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let counted = Counted::new(&self.core, stream, address).map_err(|(stream, _)| stream)?;
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

/// Serving.
impl Site {
    /// As [`Server::listen`].
    ///
    /// # Errors
    /// As [`Server::listen`].
    pub async fn listen(self, address: impl ToSocketAddrs) -> io::Result<()> {
        let listener = TcpListener::bind(address).await?;
        self.serve(listener).await
    }

    /// As [`Server::serve`].
    ///
    /// # Errors
    /// As [`Server::serve`].
    pub async fn serve(self, listener: TcpListener) -> io::Result<()> {
        listen::serve(self, Listener::Tcp(listener), Spoken::Http, Connection::serve).await;
        Ok(())
    }

    /// As [`Server::listen_tls`].
    ///
    /// # Errors
    /// As [`Server::listen`].
    #[cfg(feature = "tls")]
    pub async fn listen_tls(self, address: impl ToSocketAddrs, tls: Tls) -> io::Result<()> {
        let listener = TcpListener::bind(address).await?;
        self.serve_tls(listener, tls).await
    }

    /// As [`Server::serve_tls`].
    ///
    /// # Errors
    /// As [`Server::serve`].
    #[cfg(feature = "tls")]
    pub async fn serve_tls(self, listener: TcpListener, tls: Tls) -> io::Result<()> {
        let serve_one = |connection| tls.clone().serve(connection);
        listen::serve(self, Listener::Tcp(listener), Spoken::Tls, serve_one).await;
        Ok(())
    }

    /// As [`Server::listen_unix`].
    ///
    /// # Errors
    /// As [`Server::listen_unix`].
    #[cfg(unix)]
    pub async fn listen_unix(self, path: impl AsRef<std::path::Path>) -> io::Result<()> {
        let path = path.as_ref();
        let listener = bind_unix(path).await?;
        listen::serve(self, Listener::Unix(listener), Spoken::Http, Connection::serve).await;
        tokio::fs::remove_file(path).await
    }

    /// As [`Server::serve_stream`].
    pub async fn serve_stream(
        self,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        address: Option<SocketAddr>,
    ) {
        let connection = match Counted::new(&self.core, stream, address) {
            Ok(stream) => Box::new(Connection::new(self, Box::new(stream), address)),
            // Written now or never.
            Err((mut stream, limit)) => return drop(stream.write(full(limit).as_bytes()).now_or_never()),
        };
        connection.serve().await;
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
