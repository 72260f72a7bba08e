//! Pages of which origins may talk to the server.                                       [Fetch "CORS protocol"]

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    HOST, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, request};

use crate::error::ConfigError;
use crate::panics::{Panicked, call};

/// Which pages may talk to the server, and what browsers let them do.
///
/// The same rule holds for all transports: polling by the headers that browsers obey, WebSocket and WebTransport, which
/// browsers open for any page, by answering 403. Clients that are no browsers send no `Origin` and are not concerned.
///
/// ```
/// use std::time::Duration;
/// use sockeye::{Cors, Server};
///
/// let cors = Cors::origins(["https://chat.example"]).credentials(true).max_age(Duration::from_mins(10));
/// let io = Server::builder().cors(cors).build()?;
/// # Ok::<(), sockeye::ConfigError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Cors {
    origins: Origins,
    credentials: bool,
    methods: Option<String>,
    allowed_headers: Option<String>,
    exposed_headers: Option<String>,
    max_age: Option<Duration>,
    private_network: bool,
}

/// Whose page sends a request: decided once for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Page {
    /// It may not talk to the server.
    Stranger,
    /// It may; so may who is no page.
    Welcome,
}

/// Whose pages.
#[derive(Clone, Default)]
enum Origins {
    #[default]
    Same,
    Any,
    List(Vec<String>),
    Matching(Arc<dyn Fn(&str) -> bool + Send + Sync>),
}

impl fmt::Debug for Origins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Same => f.write_str("Same"),
            Self::Any => f.write_str("Any"),
            Self::List(list) => f.debug_tuple("List").field(list).finish(),
            Self::Matching(_) => f.write_str("Matching"),
        }
    }
}

impl Cors {
    /// Only pages from the server's own host: the default.
    pub fn same_origin() -> Self {
        Self::default()
    }

    /// Pages from everywhere. Cannot be combined with [`credentials`](Self::credentials).
    pub fn any_origin() -> Self {
        Self { origins: Origins::Any, ..Self::default() }
    }

    /// Pages from these origins, each as browsers write it: `https://chat.example`, with the port unless it is the
    /// default one, without a path.
    pub fn origins<S: Into<String>>(origins: impl IntoIterator<Item = S>) -> Self {
        Self { origins: Origins::List(origins.into_iter().map(Into::into).collect()), ..Self::default() }
    }

    /// Pages from every origin for which `decide` says so. It is called once per request, with the header's value. If it
    /// panics, the request is answered by 500.
    pub fn matching(decide: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        Self { origins: Origins::Matching(Arc::new(decide)), ..Self::default() }
    }

    /// Whether pages may have their requests sent with cookies and client certificates (`withCredentials` of the
    /// client). Default false.
    #[must_use]
    pub fn credentials(mut self, allow: bool) -> Self {
        self.credentials = allow;
        self
    }

    /// Methods that pages may use. Default `GET,HEAD,PUT,PATCH,POST,DELETE`; Socket.IO needs GET and POST.
    #[must_use]
    pub fn methods<S: AsRef<str>>(mut self, methods: impl IntoIterator<Item = S>) -> Self {
        self.methods = Some(join(methods));
        self
    }

    /// Request headers that pages may set (`extraHeaders` of the client). Default: all that they ask for.
    #[must_use]
    pub fn allowed_headers<S: AsRef<str>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.allowed_headers = Some(join(names));
        self
    }

    /// Response headers that pages may read. Default: none beyond what browsers always show.
    #[must_use]
    pub fn exposed_headers<S: AsRef<str>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.exposed_headers = Some(join(names));
        self
    }

    /// How long browsers may remember the answer to a preflight, in whole seconds. Default: their own choice, 5 s.
    #[must_use]
    pub fn max_age(mut self, age: Duration) -> Self {
        self.max_age = Some(age);
        self
    }

    /// What is answered to browsers that ask whether pages from the Internet may talk to a server in a private network.
    /// Default false, which is no answer. Today's Chromium asks its visitor instead.
    /// [Private Network Access §3.1]
    #[must_use]
    pub fn private_network(mut self, allow: bool) -> Self {
        self.private_network = allow;
        self
    }

    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        if self.credentials && matches!(self.origins, Origins::Any) {
            return Err(ConfigError::new(
                "cors: credentials with any origin would let every page act as its visitor, and browsers refuse it: \
                 name the origins by Cors::origins, or decide by Cors::matching",
            ));
        }
        if let Origins::List(origins) = &self.origins {
            origins.iter().try_for_each(|origin| check_origin(origin))?;
        }
        let lists = [&self.methods, &self.allowed_headers, &self.exposed_headers];
        for name in lists.into_iter().flatten().flat_map(|list| list.split(',')) {
            if HeaderName::from_bytes(name.as_bytes()).is_err() {
                return Err(ConfigError::new(format!("cors: {name:?} is no name of a method or header")));
            }
        }
        Ok(())
    }

    /// Decides about a request. One without `Origin` is no page's.
    pub(crate) fn judge(&self, request: &request::Parts) -> Result<Page, Panicked> {
        Ok(if self.allows(request)? { Page::Welcome } else { Page::Stranger })
    }

    fn allows(&self, request: &request::Parts) -> Result<bool, Panicked> {
        let mut origins = request.headers.get_all(ORIGIN).iter();
        let Some(origin) = origins.next() else { return Ok(true) };
        Ok(match &self.origins {
            Origins::Any => true,
            _ if origins.next().is_some() => false,
            Origins::Same => origin.to_str().is_ok_and(|origin| is_own(origin, request)),
            Origins::List(list) => {
                list.iter().any(|allowed| origin.as_bytes().eq_ignore_ascii_case(allowed.as_bytes()))
            }
            Origins::Matching(decide) => match origin.to_str() {
                Ok(origin) => call("Cors::matching", || decide(origin))?,
                Err(_) => false,
            },
        })
    }

    /// Whether nothing is ever added to a response.
    pub(crate) fn is_silent(&self) -> bool {
        matches!(self.origins, Origins::Same)
    }

    /// Adds what lets a browser give the response to the page: on errors too, so that the page sees the true cause.
    pub(crate) fn mark(&self, request: &request::Parts, page: Page, headers: &mut HeaderMap) {
        let origin = match self.origins {
            Origins::Same => return,
            Origins::Any => Some(HeaderValue::from_static("*")),
            Origins::List(_) | Origins::Matching(_) => {
                headers.append(VARY, HeaderValue::from_static("Origin"));
                request.headers.get(ORIGIN).filter(|_| page == Page::Welcome).cloned()
            }
        };
        let Some(origin) = origin else { return };
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        if self.credentials {
            headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
        insert(headers, ACCESS_CONTROL_EXPOSE_HEADERS, self.exposed_headers.as_deref());
    }

    /// Adds the answers to a preflight request.
    pub(crate) fn mark_preflight(&self, request: &request::Parts, page: Page, headers: &mut HeaderMap) {
        self.mark(request, page, headers);
        headers.remove(ACCESS_CONTROL_EXPOSE_HEADERS);
        if !headers.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN) {
            return;
        }
        insert(headers, ACCESS_CONTROL_ALLOW_METHODS, Some(self.methods.as_deref().unwrap_or(METHODS)));
        insert(headers, ACCESS_CONTROL_ALLOW_HEADERS, self.allowed_headers.as_deref());
        if self.allowed_headers.is_none() {
            headers.append(VARY, HeaderValue::from_static("Access-Control-Request-Headers"));
            if let Some(asked) = request.headers.get(ACCESS_CONTROL_REQUEST_HEADERS) {
                headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
            }
        }
        if let Some(age) = self.max_age {
            headers.insert(ACCESS_CONTROL_MAX_AGE, age.as_secs().into());
        }
        if self.private_network && request.headers.contains_key(REQUEST_PRIVATE_NETWORK) {
            headers.insert(ALLOW_PRIVATE_NETWORK, HeaderValue::from_static("true"));
        }
    }
}

/// Whether the page comes from the host that it asks.
fn is_own(origin: &str, request: &request::Parts) -> bool {
    let Some((scheme, authority)) = origin.split_once("://") else { return false };
    let host = request.headers.get(HOST).and_then(|host| host.to_str().ok());
    // HTTP/2 has the host in the URI.
    let Some(host) = host.or_else(|| request.uri.authority().map(http::uri::Authority::as_str)) else { return false };
    let port = if scheme.eq_ignore_ascii_case("https") { ":443" } else { ":80" };
    let host = host.strip_suffix(port).unwrap_or(host);
    authority.strip_suffix(port).unwrap_or(authority).eq_ignore_ascii_case(host)
}

fn check_origin(origin: &str) -> Result<(), ConfigError> {
    let authority = origin.split_once("://").map(|(_, authority)| authority);
    let well_formed = |authority: &str| !authority.is_empty() && !authority.contains(['/', '?', '#', '*', ' ', '@']);
    match origin {
        "*" => Err(ConfigError::new("cors: \"*\" is no origin: use any_origin")),
        "null" => Ok(()),
        _ if authority.is_some_and(well_formed) && HeaderValue::from_str(origin).is_ok() => Ok(()),
        _ => Err(ConfigError::new(format!(
            "cors: {origin:?} is not written as browsers write an origin: scheme://host or scheme://host:port, without path"
        ))),
    }
}

fn join<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> String {
    names.into_iter().map(|name| name.as_ref().to_owned()).collect::<Vec<_>>().join(",")
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: Option<&str>) {
    // Lists of names, which `validate` has seen.
    if let Some(value) = value.and_then(|value| HeaderValue::from_str(value).ok()) {
        headers.insert(name, value);
    }
}

const METHODS: &str = "GET,HEAD,PUT,PATCH,POST,DELETE";
const REQUEST_PRIVATE_NETWORK: &str = "access-control-request-private-network";
const ALLOW_PRIVATE_NETWORK: HeaderName = HeaderName::from_static("access-control-allow-private-network");

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn allows(cors: &Cors, host: &str, origin: &str) -> bool {
        let request = Request::builder().uri("/").header("host", host).header("origin", origin).body(()).unwrap();
        cors.judge(&request.into_parts().0) == Ok(Page::Welcome)
    }

    #[test]
    fn own_pages_are_known_by_their_host() {
        let same = Cors::same_origin();
        assert!(allows(&same, "chat.example", "https://chat.example"));
        assert!(allows(&same, "Chat.example:443", "https://chat.example"));
        assert!(allows(&same, "chat.example:3000", "http://chat.example:3000"));
        for stranger in [
            "https://evil.example",
            "https://chat.example.evil",
            "https://chat.example:8443",
            "null",
            "",
            "chat.example",
        ] {
            assert!(!allows(&same, "chat.example", stranger), "{stranger}");
        }
        let request = Request::builder().uri("https://chat.example/").header("origin", "https://chat.example");
        let judged = same.judge(&request.body(()).unwrap().into_parts().0);
        assert_eq!(judged, Ok(Page::Welcome), "HTTP/2 has no Host");
    }

    #[test]
    fn lists_are_compared_as_a_whole() {
        let list = Cors::origins(["https://a.example", "null"]);
        assert!(allows(&list, "x", "https://a.example") && allows(&list, "x", "null"));
        assert!(!allows(&list, "x", "https://a.example.evil") && !allows(&list, "x", "http://a.example"));
        assert!(!allows(&list, "x", "https://x"), "the own host is not in the list");
    }

    #[test]
    fn two_origins_are_nobodys() {
        let request = Request::builder().uri("/").header("host", "x");
        let request = request.header("origin", "https://x").header("origin", "https://evil.example").body(()).unwrap();
        let parts = request.into_parts().0;
        assert_eq!(Cors::same_origin().judge(&parts), Ok(Page::Stranger));
        assert_eq!(Cors::origins(["https://x"]).judge(&parts), Ok(Page::Stranger));
    }

    #[test]
    fn bad_rules_are_refused() {
        let message = |cors: Cors| cors.validate().unwrap_err().to_string();
        assert!(message(Cors::any_origin().credentials(true)).contains("name the origins"));
        assert!(message(Cors::origins(["*"])).contains("use any_origin"));
        for origin in
            ["https://a.example/", "a.example", "https://", "https://*.example", "https://a b", "https://a\r\n"]
        {
            assert!(message(Cors::origins([origin])).contains("scheme://host"), "{origin}");
        }
        assert!(message(Cors::origins(["https://a"]).methods(["GET", "P\r\n"])).contains("no name"));
        assert!(message(Cors::origins(["https://a"]).allowed_headers(["x y"])).contains("no name"));
        assert!(Cors::origins(["https://a:8443", "capacitor://localhost"]).credentials(true).validate().is_ok());
    }
}
