//! What is known of a client.

use std::any::{Any, TypeId};
use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use hashbrown::HashMap;
use parking_lot::Mutex;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sockeye_engine::handshake::parameters;
use sockeye_protocol::{Args, OwnedArgs};

use crate::error::EmitError;

/// The request that opened a connection, reduced to one block of text.
#[derive(Debug)]
pub(crate) struct Handshake {
    /// `path?query`, then for each header `\n name \0 value`; header values that are not UTF-8 are converted.
    text: Box<str>,
    /// Length of `path?query`.
    uri: u32,
    address: Option<SocketAddr>,
    time: SystemTime,
    secure: bool,
}

impl Handshake {
    #[expect(clippy::disallowed_methods, reason = "applications are told when a client came; nothing here goes by it")]
    pub(crate) fn new(uri: &http::Uri, headers: &http::HeaderMap, address: Option<SocketAddr>, secure: bool) -> Self {
        let mut text = uri.path_and_query().map_or("/", |both| both.as_str()).to_owned();
        let uri = u32::try_from(text.len()).unwrap_or(u32::MAX);
        for (name, value) in headers {
            text.push('\n');
            text.push_str(name.as_str());
            text.push('\0');
            text.push_str(&String::from_utf8_lossy(value.as_bytes()));
        }
        Self { text: text.into(), uri, address, time: SystemTime::now(), secure }
    }

    /// Bytes that are kept of the request.
    pub(crate) fn size(&self) -> usize {
        self.text.len()
    }

    fn uri(&self) -> &str {
        self.text.get(..self.uri as usize).unwrap_or("/")
    }

    fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        let rest = self.text.get(self.uri as usize..).unwrap_or("");
        rest.split('\n').skip(1).filter_map(|line| line.split_once('\0'))
    }

    fn query(&self) -> &str {
        self.uri().split_once('?').map_or("", |(_, query)| query)
    }
}

/// What is known of a client in one namespace: the request that opened its connection, and what it sent as `auth`.
/// Cheap to clone.
#[derive(Clone, Debug)]
pub struct Peer(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    handshake: Arc<Handshake>,
    auth: OwnedArgs,
    /// Query of the namespace, sent by old clients: `/admin?token=1`.
    namespace_query: Option<Box<str>>,
    extensions: Extensions,
    data: Data,
}

impl Peer {
    pub(crate) fn new(handshake: Arc<Handshake>, auth: OwnedArgs, namespace_query: Option<&str>) -> Self {
        Self(Arc::new(Shared {
            handshake,
            auth,
            namespace_query: namespace_query.map(Into::into),
            extensions: Extensions::default(),
            data: Data::default(),
        }))
    }

    pub(crate) fn handshake(&self) -> Arc<Handshake> {
        Arc::clone(&self.0.handshake)
    }

    /// Address of the client: of the other end of the TCP connection, or what a proxy says of it that
    /// [is trusted](crate::ServerBuilder::trust_proxies). `None` over a Unix socket, or inside a framework that did not say
    /// (see [`PeerAddr`](crate::PeerAddr)).
    pub fn address(&self) -> Option<SocketAddr> {
        self.0.handshake.address
    }

    /// A header of the request that opened the connection; the first one of this name, in any case of letters.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// All headers of the request that opened the connection: names in lower case, in order.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.handshake.headers()
    }

    /// Path and query of the request that opened the connection.
    pub fn uri(&self) -> &str {
        self.0.handshake.uri()
    }

    /// A parameter of the query, decoded: of the namespace's own query if it has one (old clients), then of the request.
    pub fn query(&self, name: &str) -> Option<Cow<'_, str>> {
        let own = self.0.namespace_query.as_deref().unwrap_or("");
        let mut all = parameters(own).chain(parameters(self.0.handshake.query()));
        all.find(|(other, _)| other == name).map(|(_, value)| value)
    }

    /// When the connection was opened.
    pub fn time(&self) -> SystemTime {
        self.0.handshake.time
    }

    /// Whether the connection is encrypted, as far as this server can see.
    pub fn is_secure(&self) -> bool {
        self.0.handshake.secure
    }

    /// What the client sent as `auth`; without any, what an empty object gives.
    ///
    /// # Errors
    /// When it does not fit `A`.
    pub fn auth<A: DeserializeOwned>(&self) -> Result<A, sockeye_protocol::DecodeError> {
        let auth = self.0.auth.as_args();
        if auth.is_empty() { auth.decode().or_else(|_| Args::EMPTY_OBJECT.decode()) } else { auth.decode() }
    }

    /// Values of the application that belong to this socket, by type. Local to this server.
    pub fn extensions(&self) -> &Extensions {
        &self.0.extensions
    }

    /// Bytes of what the client said by CONNECT.
    pub(crate) fn size(&self) -> usize {
        self.0.auth.as_args().size() + self.0.namespace_query.as_ref().map_or(0, |query| query.len())
    }

    pub(crate) fn data(&self) -> &Data {
        &self.0.data
    }
}

/// Values by type, one of each. An empty set takes one word.
#[derive(Default)]
pub struct Extensions(Mutex<Option<Box<Values>>>);

type Values = HashMap<TypeId, Arc<dyn Any + Send + Sync>>;

impl std::fmt::Debug for Extensions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Extensions")
    }
}

impl Extensions {
    /// Keeps `value`; the one of the same type that was there before is returned.
    pub fn insert<T: Send + Sync + 'static>(&self, value: T) -> Option<Arc<T>> {
        let old = self.0.lock().get_or_insert_default().insert(TypeId::of::<T>(), Arc::new(value));
        old.and_then(|old| old.downcast().ok())
    }

    /// The value of this type.
    pub fn get<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        let found = self.0.lock().as_ref()?.get(&TypeId::of::<T>()).cloned();
        found.and_then(|value| value.downcast().ok())
    }

    /// Removes the value of this type.
    pub fn remove<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        let removed = self.0.lock().as_mut()?.remove(&TypeId::of::<T>());
        removed.and_then(|value| value.downcast().ok())
    }
}

/// A JSON object that belongs to a socket and is visible to `fetch_sockets`, on other servers too.
#[derive(Default)]
pub struct Data(Mutex<Option<Box<serde_json::Map<String, serde_json::Value>>>>);

impl std::fmt::Debug for Data {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Data")
    }
}

impl Data {
    /// Sets `key` to `value`.
    ///
    /// # Errors
    /// When `value` cannot be written as JSON.
    pub fn set(&self, key: &str, value: impl Serialize) -> Result<(), EmitError> {
        let value = serde_json::to_value(value).map_err(sockeye_protocol::EncodeError::new)?;
        self.0.lock().get_or_insert_default().insert(key.to_owned(), value);
        Ok(())
    }

    /// The value of `key`, if it is there and fits `T`.
    pub fn get<T: DeserializeOwned>(&self, key: &str) -> Option<T> {
        let value = self.0.lock().as_ref()?.get(key).cloned()?;
        serde_json::from_value(value).ok()
    }

    /// Removes `key`.
    pub fn remove(&self, key: &str) -> Option<serde_json::Value> {
        self.0.lock().as_mut()?.remove(key)
    }

    pub(crate) fn replace(&self, value: serde_json::Value) {
        if let serde_json::Value::Object(map) = value {
            *self.0.lock() = (!map.is_empty()).then(|| Box::new(map));
        }
    }

    /// The whole object.
    pub fn to_value(&self) -> serde_json::Value {
        serde_json::Value::Object(self.0.lock().as_deref().cloned().unwrap_or_default())
    }
}
