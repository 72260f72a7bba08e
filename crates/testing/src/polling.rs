//! A client that uses long-polling, request by request.

use crate::exchange::Exchange;
use crate::net::Net;

/// A client that uses long-polling.
#[derive(Clone, Debug)]
pub struct Polling {
    net: Net,
    sid: String,
}

impl Net {
    /// Opens a long-polling session.
    ///
    /// # Panics
    /// When the server does not open it.
    pub async fn polling(&self) -> Polling {
        let open = self.request("GET", "/socket.io/?EIO=4&transport=polling", &[], "").answer().await;
        let rest = open.text().strip_prefix("0{\"sid\":\"").unwrap_or_else(|| panic!("no handshake: {}", open.text()));
        let sid = rest.split('"').next().unwrap_or_default();
        Polling { net: self.clone(), sid: sid.to_owned() }
    }
}

impl Polling {
    /// The session's id.
    pub fn sid(&self) -> &str {
        &self.sid
    }

    /// Path and query of the session's requests.
    pub fn target(&self) -> String {
        format!("/socket.io/?EIO=4&transport=polling&sid={}", self.sid)
    }

    /// Sends a GET, which may wait.
    pub fn get(&self) -> Exchange {
        self.net.request("GET", &self.target(), &[], "")
    }

    /// Sends a POST.
    pub fn post(&self, body: &str) -> Exchange {
        self.net.request("POST", &self.target(), &[("content-type", "text/plain;charset=UTF-8")], body.to_owned())
    }

    /// Sends a POST, which is taken.
    ///
    /// # Panics
    /// When it is not.
    #[track_caller]
    pub fn send(&self, body: &str) -> impl Future<Output = ()> {
        let exchange = self.post(body).expect(200, "ok");
        async move { drop(exchange.await) }
    }

    /// Sends a GET, which is answered at once with this; what the holes (`…`) took.
    ///
    /// # Panics
    /// When it is not.
    #[track_caller]
    pub fn expect(&self, pattern: &str) -> impl Future<Output = Vec<String>> {
        self.get().expect(200, pattern)
    }

    /// Joins the main namespace and returns the id of the socket.
    ///
    /// # Panics
    /// When the server does not let it in.
    pub async fn join(&self) -> String {
        self.send("40").await;
        self.expect("40{\"sid\":\"…\"}").await.remove(0)
    }

    /// Opens the WebSocket to which the session shall go over. Nothing has been sent on it.
    pub async fn upgrade(&self) -> crate::WebSocket {
        self.net.open(&format!("/socket.io/?EIO=4&transport=websocket&sid={}", self.sid), &[]).await
    }

    /// Ends the session.
    ///
    /// # Panics
    /// When the server does not take it.
    pub async fn close(&self) {
        self.send("1").await;
    }
}
