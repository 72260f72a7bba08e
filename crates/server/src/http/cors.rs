//! Which pages may talk to the server, for polling and WebSocket alike.

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_REQUEST_HEADERS, HOST, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderValue, Response, StatusCode};

use super::Body;
use crate::config::Origins;

impl Origins {
    /// Whether a page of the request's origin may talk to the server. A request without `Origin` is no page's.
    pub(crate) fn allows(&self, headers: &HeaderMap) -> bool {
        let Some(origin) = headers.get(ORIGIN).map(|origin| origin.to_str().unwrap_or("")) else { return true };
        match self {
            Self::Any => true,
            Self::List(list) => list.iter().any(|allowed| allowed == origin),
            Self::Same => {
                let host = headers.get(HOST).and_then(|host| host.to_str().ok());
                let authority = origin.split_once("://").map(|(_, authority)| authority);
                host.is_some() && host == authority
            }
        }
    }

    /// Adds what lets a browser give the response to the page: on errors too, so that the page sees the true cause.
    pub(crate) fn mark<B>(&self, request: &HeaderMap, response: &mut Response<B>) {
        let headers = response.headers_mut();
        match self {
            Self::Same => {}
            Self::Any => {
                headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
            }
            Self::List(_) => {
                headers.append(VARY, HeaderValue::from_static("Origin"));
                if let Some(origin) = request.get(ORIGIN).filter(|_| self.allows(request)) {
                    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
                    headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
                }
            }
        }
    }

    /// The answer to a preflight request.
    pub(crate) fn preflight(&self, request: &HeaderMap) -> Response<Body> {
        let mut response = Response::new(Body::default());
        *response.status_mut() = StatusCode::NO_CONTENT;
        self.mark(request, &mut response);
        if *self != Self::Same && self.allows(request) {
            let headers = response.headers_mut();
            headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET,HEAD,PUT,PATCH,POST,DELETE"));
            if let Some(asked) = request.get(ACCESS_CONTROL_REQUEST_HEADERS) {
                headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
            }
        }
        response
    }
}
