//! The page, out of the binary.

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use rust_embed::{EmbeddedFile, RustEmbed};

#[derive(RustEmbed)]
#[folder = "$OUT_DIR/page"]
struct Page;

/// Files below this folder carry a hash of their contents in their names.
const HASHED: &str = "assets/";

/// For everything: scripts, styles and connections only from here, pictures also from what the page itself made of
/// received bytes. A message that smuggled markup into the page could load nothing.
const SECURITY: [(HeaderName, HeaderValue); 3] = [
    (
        HeaderName::from_static("content-security-policy"),
        HeaderValue::from_static(
            "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
             img-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        ),
    ),
    (HeaderName::from_static("x-content-type-options"), HeaderValue::from_static("nosniff")),
    (HeaderName::from_static("referrer-policy"), HeaderValue::from_static("no-referrer")),
];

/// Answers GET and HEAD for the files of the page; `/` is `index.html`.
pub(crate) async fn serve(request: Request) -> Response {
    let mut response = respond(&request);
    response.headers_mut().extend(SECURITY.map(|(name, value)| (Some(name), value)));
    response
}

fn respond(request: &Request) -> Response {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return (StatusCode::METHOD_NOT_ALLOWED, [(ALLOW, "GET, HEAD")]).into_response();
    }
    let path = match request.uri().path().trim_start_matches('/') {
        "" => "index.html",
        path => path,
    };
    let Some(file) = Page::get(path) else {
        return (StatusCode::NOT_FOUND, "There is no such page here. The demo is at /.\n").into_response();
    };
    let etag = etag(&file);
    let headers = [(CACHE_CONTROL, caching(path)), (CONTENT_TYPE, content_type(path)), (ETAG, etag.as_str())];
    if is_known(request, &etag) {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    // The HTTP layer leaves the body out for HEAD and keeps its length.
    (headers, Body::from(file.data.into_owned())).into_response()
}

/// Whether the client has this version of the file.
fn is_known(request: &Request, etag: &str) -> bool {
    let known = request.headers().get(IF_NONE_MATCH).and_then(|value| value.to_str().ok()).unwrap_or("");
    known.split(',').any(|one| one.trim().trim_start_matches("W/") == etag || one.trim() == "*")
}

fn etag(file: &EmbeddedFile) -> String {
    let hash = u128::from_be_bytes(file.metadata.sha256_hash().first_chunk().copied().unwrap_or_default());
    format!("\"{hash:032x}\"")
}

fn caching(path: &str) -> &'static str {
    if path.starts_with(HASHED) { "public, max-age=31536000, immutable" } else { "no-cache" }
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map_or("", |(_, extension)| extension) {
        "css" => "text/css; charset=utf-8",
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "json" => "application/json",
        "png" => "image/png",
        "svg" => "image/svg+xml",
        "txt" => "text/plain; charset=utf-8",
        "webp" => "image/webp",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(method: &str, path: &str, known: Option<&str>) -> Response {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(etag) = known {
            request = request.header(IF_NONE_MATCH, etag);
        }
        respond(&request.body(Body::empty()).unwrap())
    }

    fn header(response: &Response, name: &HeaderName) -> String {
        response.headers().get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
    }

    #[test]
    fn the_root_is_the_page_and_is_asked_for_every_time() {
        let response = get("GET", "/", None);
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(header(&response, &CONTENT_TYPE), "text/html; charset=utf-8");
        assert_eq!(header(&response, &CACHE_CONTROL), "no-cache");
    }

    #[test]
    fn a_known_version_is_not_sent_again() {
        let etag = header(&get("GET", "/", None), &ETAG);
        assert_eq!(get("GET", "/", Some(&etag)).status(), StatusCode::NOT_MODIFIED);
        assert_eq!(get("GET", "/", Some(&format!("\"old\", W/{etag}"))).status(), StatusCode::NOT_MODIFIED);
        assert_eq!(get("GET", "/", Some("\"old\"")).status(), StatusCode::OK);
    }

    #[test]
    fn there_is_nothing_outside_of_the_page() {
        for path in ["/nothing", "/../Cargo.toml", "//etc/passwd", "/assets/"] {
            assert_eq!(get("GET", path, None).status(), StatusCode::NOT_FOUND, "{path}");
        }
    }

    #[test]
    fn only_reading_is_allowed() {
        let response = get("POST", "/", None);
        assert_eq!(
            (response.status(), header(&response, &ALLOW)),
            (StatusCode::METHOD_NOT_ALLOWED, "GET, HEAD".into())
        );
    }

    #[test]
    fn hashed_files_are_kept_for_ever() {
        assert!(caching("assets/index-BqP1.js").contains("immutable"));
        assert_eq!(content_type("assets/index-BqP1.js"), "text/javascript; charset=utf-8");
        assert_eq!(content_type("no-extension"), "application/octet-stream");
    }

    #[test]
    fn every_file_has_a_type_of_its_own() {
        for path in Page::iter() {
            assert_ne!(content_type(&path), "application/octet-stream", "{path}");
        }
    }
}
