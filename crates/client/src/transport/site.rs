//! What all requests of one attempt to connect share.

use std::sync::Arc;

use parking_lot::Mutex;
use sockeye_engine::Revision;

use crate::address;
use crate::config::{Config, Transport, check_header};
use crate::cookie::Jar;
use crate::error::ConnectError;
use crate::random;
use crate::time::date;

/// The options, and the cookies so far.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) config: Arc<Config>,
    pub(crate) cookies: Mutex<Jar>,
    query: String,
    headers: Vec<(String, String)>,
}

impl Site {
    /// What an attempt begins with.
    ///
    /// # Errors
    /// The application made something for it that cannot be sent.
    pub(crate) fn new(config: Arc<Config>) -> Result<Self, ConnectError> {
        let (mut query, mut headers) = (config.query.clone(), config.headers.clone());
        for (name, value) in config.fresh_query.make()? {
            address::append(&mut query, &name, &value);
        }
        for (name, value) in config.fresh_headers.make()? {
            check_header(&name, &value)?;
            headers.push((name, value));
        }
        Ok(Self { config, cookies: Mutex::default(), query, headers })
    }

    /// Path and query of a request.                                                        [EIO4 "HTTP long-polling"]
    pub(crate) fn target(&self, transport: Transport, sid: Option<&str>) -> String {
        let mut query = self.query.clone();
        let is_old = self.config.revision == Revision::V3;
        address::append(&mut query, "EIO", if is_old { "3" } else { "4" });
        match transport {
            Transport::Polling => {
                address::append(&mut query, "transport", "polling");
                // No cache on the way must think that it has seen this request before.
                address::append(&mut query, "t", &random::text(8));
                if is_old {
                    // One form of bodies is enough: bytes in base64.                       [EIO3 "payload encoding"]
                    address::append(&mut query, "b64", "1");
                }
            }
            Transport::Websocket => address::append(&mut query, "transport", "websocket"),
        }
        if let Some(sid) = sid {
            address::append(&mut query, "sid", sid);
        }
        format!("{}?{query}", self.config.path)
    }

    /// The application's headers and the cookies.
    pub(crate) fn headers(&self) -> Vec<(String, String)> {
        let is_cookie = |name: &str| name.eq_ignore_ascii_case("cookie");
        let headers = &self.headers;
        let mut all: Vec<_> = headers.iter().filter(|(name, _)| !is_cookie(name)).cloned().collect();
        let own = headers.iter().find(|(name, _)| is_cookie(name)).map(|(_, value)| value.as_str());
        if let Some(cookies) = self.cookies.lock().header(own, date()) {
            all.push(("cookie".to_owned(), cookies));
        }
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("user-agent")) {
            all.push(("user-agent".to_owned(), USER_AGENT.to_owned()));
        }
        all
    }

    /// Takes the value of a `Set-Cookie` header.
    pub(crate) fn set_cookie(&self, value: &[u8]) {
        if let Ok(value) = std::str::from_utf8(value) {
            self.cookies.lock().set(value, date());
        }
    }
}

const USER_AGENT: &str = concat!("sockeye/", env!("CARGO_PKG_VERSION"));
