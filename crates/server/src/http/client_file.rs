//! GET of the client's files.

use http::header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, ETAG, IF_NONE_MATCH, VARY};
use http::{HeaderValue, Method, Response, StatusCode, request};

use super::Body;
use super::response::{empty, respond};
use crate::bundle::File;
use crate::config::Config;
use crate::encoding::Encoding;

/// The file that is asked for, if it is one.
pub(crate) fn serve(config: &Config, parts: &request::Parts) -> Option<Response<Body>> {
    let reads = matches!(parts.method, Method::GET | Method::HEAD);
    let file = config.client.as_ref().filter(|_| reads)?.find(parts.uri.path())?;
    let known = parts.headers.get(IF_NONE_MATCH).and_then(|tags| tags.to_str().ok());
    let mut response = if known.is_some_and(|tags| file.is_known(tags)) {
        empty(StatusCode::NOT_MODIFIED)
    } else {
        content(file, parts)
    };
    let headers = response.headers_mut();
    headers.insert(ETAG, file.etag.clone());
    // Kept, and asked for again each time: a new version of the server comes with a new client.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=0"));
    headers.append(VARY, HeaderValue::from(ACCEPT_ENCODING));
    Some(response)
}

fn content(file: &File, parts: &request::Parts) -> Response<Body> {
    let accepted = Encoding::accepted(&parts.headers) == Some(Encoding::Gzip);
    match file.gzip.as_ref().filter(|_| accepted) {
        Some(gzip) => {
            let mut response = respond(StatusCode::OK, file.content_type(), gzip.clone());
            response.headers_mut().insert(CONTENT_ENCODING, Encoding::Gzip.header());
            response
        }
        None => respond(StatusCode::OK, file.content_type(), file.content.clone()),
    }
}
