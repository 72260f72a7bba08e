//! A relay between client and server, whose connections can be cut.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

/// Passes connections on to a server.
pub(crate) struct Relay {
    address: SocketAddr,
    carried: Arc<Mutex<Vec<AbortHandle>>>,
    accepting: AbortHandle,
}

impl Relay {
    pub(crate) async fn new(port: u16) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let carried = Arc::new(Mutex::new(Vec::new()));
        let all = Arc::clone(&carried);
        let accepting = tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let carry = tokio::spawn(carry(near, port)).abort_handle();
                all.lock().unwrap_or_else(PoisonError::into_inner).push(carry);
            }
        });
        Ok(Self { address, carried, accepting: accepting.abort_handle() })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Cuts all connections.
    pub(crate) fn cut(&self) {
        let carried = std::mem::take(&mut *self.carried.lock().unwrap_or_else(PoisonError::into_inner));
        for carry in carried {
            carry.abort();
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut();
    }
}

async fn carry(mut near: TcpStream, port: u16) -> io::Result<()> {
    let mut far = TcpStream::connect(("127.0.0.1", port)).await?;
    tokio::io::copy_bidirectional(&mut near, &mut far).await?;
    Ok(())
}
