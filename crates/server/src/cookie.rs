//! The cookie that names a session, for proxies which keep a client on one server by it.        [RFC 6265 §4.1]

use std::time::Duration;

use http::HeaderValue;

use crate::error::ConfigError;

/// A cookie with the session id, set by the first answer of a polling session. Of no use to Socket.IO itself.
///
/// The id is a secret: whoever has it can read and write for that client. Keep `http_only`.
///
/// ```
/// use sockeye::{Cookie, SameSite, Server};
///
/// let io = Server::builder().cookie(Cookie::new("io").secure(true).same_site(SameSite::Strict)).build()?;
/// # Ok::<(), sockeye::ConfigError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cookie {
    name: String,
    path: Option<String>,
    domain: Option<String>,
    http_only: bool,
    same_site: SameSite,
    secure: bool,
    max_age: Option<Duration>,
}

/// With requests from which sites a browser sends the cookie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SameSite {
    /// Those from the own site, and following a link to it.
    #[default]
    Lax,
    /// Those from everywhere. Browsers demand [`Cookie::secure`].
    None,
    /// Those from the own site.
    Strict,
}

impl Cookie {
    /// A cookie of this name, `io` as a rule. It ends with the browser.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            path: Some("/".to_owned()),
            domain: None,
            http_only: true,
            same_site: SameSite::default(),
            secure: false,
            max_age: None,
        }
    }

    /// Under which path it is sent. Default `/`.
    #[must_use]
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.path = Some(path.into());
        self
    }

    /// To which domain, with its subdomains, it is sent. Default: to the server's host alone.
    #[must_use]
    pub fn domain(mut self, domain: impl Into<String>) -> Self {
        self.domain = Some(domain.into());
        self
    }

    /// Whether it is hidden from scripts. Default true.
    #[must_use]
    pub fn http_only(mut self, hidden: bool) -> Self {
        self.http_only = hidden;
        self
    }

    /// Default [`SameSite::Lax`].
    #[must_use]
    pub fn same_site(mut self, sites: SameSite) -> Self {
        self.same_site = sites;
        self
    }

    /// Whether it is sent over encrypted connections only. Default false.
    #[must_use]
    pub fn secure(mut self, secure: bool) -> Self {
        self.secure = secure;
        self
    }

    /// How long it lives, in whole seconds. Default: until the browser is closed.
    #[must_use]
    pub fn max_age(mut self, age: Duration) -> Self {
        self.max_age = Some(age);
        self
    }

    /// Refuses what would end a value or begin another one.
    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        let wrong = |what: &str, value: &str| Err(ConfigError::new(format!("cookie: {value:?} cannot be a {what}")));
        if http::HeaderName::from_bytes(self.name.as_bytes()).is_err() {
            return wrong("name", &self.name);
        }
        for (what, value) in [("path", &self.path), ("domain", &self.domain)] {
            match value {
                Some(value) if value.is_empty() || !value.bytes().all(is_value) => return wrong(what, value),
                _ => {}
            }
        }
        let domain = self.domain.as_deref().unwrap_or("");
        if domain.bytes().any(|byte| !byte.is_ascii_alphanumeric() && !b".-".contains(&byte)) {
            return wrong("domain", domain);
        }
        if self.same_site == SameSite::None && !self.secure {
            return Err(ConfigError::new(
                "cookie: browsers drop a cookie with SameSite::None unless it is secure(true)",
            ));
        }
        Ok(())
    }

    /// The header's value, in the order of attributes that the official server writes.
    pub(crate) fn header(&self, sid: &str) -> Option<HeaderValue> {
        let mut value = format!("{}={sid}", self.name);
        let attribute = |name: &str, content: Option<String>| content.map(|content| format!("; {name}={content}"));
        let flag = |name: &str, set: bool| set.then(|| format!("; {name}"));
        let site = match self.same_site {
            SameSite::Lax => "Lax",
            SameSite::None => "None",
            SameSite::Strict => "Strict",
        };
        let parts = [
            attribute("Max-Age", self.max_age.map(|age| age.as_secs().to_string())),
            attribute("Domain", self.domain.clone()),
            attribute("Path", self.path.clone()),
            flag("HttpOnly", self.http_only),
            flag("Secure", self.secure),
            attribute("SameSite", Some(site.to_owned())),
        ];
        value.extend(parts.into_iter().flatten());
        HeaderValue::from_str(&value).ok()
    }
}

/// Printable, and not the end of an attribute. [RFC 6265 §4.1.1]
fn is_value(byte: u8) -> bool {
    matches!(byte, 0x20..=0x7e) && byte != b';'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_in_the_order_of_the_official_server() {
        assert_eq!(Cookie::new("io").header("abc").unwrap(), "io=abc; Path=/; HttpOnly; SameSite=Lax");
        let full = Cookie::new("x").path("/a").domain("chat.example").max_age(Duration::from_mins(1)).secure(true);
        let expected = "x=abc; Max-Age=60; Domain=chat.example; Path=/a; Secure; SameSite=None";
        assert_eq!(full.http_only(false).same_site(SameSite::None).header("abc").unwrap(), expected);
    }

    /// CVE-2024-47764
    #[test]
    fn nothing_can_be_smuggled_in() {
        for bad in ["", "a b", "a;b", "a=b", "a\r\nSet-Cookie: b=c", "a,b", "\u{e9}", "a\0"] {
            assert!(Cookie::new(bad).validate().is_err(), "name {bad:?}");
        }
        for bad in ["", "/;Domain=evil", "/\r\nX: y", "/\0", "/\u{e9}"] {
            assert!(Cookie::new("io").path(bad).validate().is_err(), "path {bad:?}");
        }
        for bad in ["", "a;b", "a b", "a\n", "a/b", "a,b"] {
            assert!(Cookie::new("io").domain(bad).validate().is_err(), "domain {bad:?}");
        }
        assert!(Cookie::new("__Host-io").path("/chat").domain("a.example").validate().is_ok());
    }

    #[test]
    fn what_browsers_would_drop_is_refused() {
        let error = Cookie::new("io").same_site(SameSite::None).validate().unwrap_err().to_string();
        assert!(error.contains("secure(true)"), "{error}");
        assert!(Cookie::new("io").same_site(SameSite::None).secure(true).validate().is_ok());
    }
}
