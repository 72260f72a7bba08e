//! The head of a request: its first line and its headers.                                            [RFC 9112 §2–3]

use std::mem::MaybeUninit;

use super::known::{Known, number};
use bytes::{Buf, Bytes};
use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, HOST, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri, Version, request};

use crate::limits::Limit;

/// Most headers of a request.
const HEADERS: usize = 100;

/// The head of a request.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) parts: request::Parts,
    pub(super) framing: Framing,
    /// Another request may follow.
    pub(super) keep_alive: bool,
    /// The client waits to be asked for the body. [RFC 9110 §10.1.1]
    pub(super) expects: bool,
}

/// What a head asks.
#[derive(Debug)]
pub(super) enum Asked {
    /// Something of a session that is there.
    Known(Known),
    Other(Box<Head>),
}

/// How the end of a body is known.                                                                   [RFC 9112 §6.3]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    Length(u64),
    Chunked,
}

/// Why a head is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    /// The status of the answer, after which the connection cannot go on.
    pub(super) status: StatusCode,
    /// The limit that it is beyond, if it is.
    pub(super) limit: Option<Limit>,
}

impl From<StatusCode> for Refused {
    fn from(status: StatusCode) -> Self {
        Self { status, limit: None }
    }
}

impl From<Limit> for Refused {
    fn from(limit: Limit) -> Self {
        Self { status: StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, limit: Some(limit) }
    }
}

/// Looks whether a head is one of the usual.
pub(super) type Recognise<'a> = &'a dyn Fn(&httparse::Request<'_, '_>) -> Option<Known>;

/// Takes a head of at most `most` bytes from the front of `bytes`; `None` if it is not complete.
///
/// # Errors
/// When it is no head, or beyond a limit.
pub(super) fn take(bytes: &mut Bytes, most: usize, recognise: Recognise<'_>) -> Result<Option<Asked>, Refused> {
    let mut headers = [const { MaybeUninit::uninit() }; HEADERS];
    let mut request = httparse::Request::new(&mut []);
    let length = match request.parse_with_uninit_headers(bytes, &mut headers) {
        Ok(httparse::Status::Complete(length)) if length <= most => length,
        Ok(httparse::Status::Partial) if bytes.len() <= most => return Ok(None),
        Ok(_) => return Err(Limit::HeadBytes.into()),
        Err(httparse::Error::TooManyHeaders) => return Err(Limit::Headers.into()),
        Err(_) => return Err(StatusCode::BAD_REQUEST.into()),
    };
    let asked = match recognise(&request) {
        Some(known) => Asked::Known(known),
        None => {
            let parts = parts(bytes, &request).ok_or(StatusCode::BAD_REQUEST)?;
            Asked::Other(Box::new(understand(parts)?))
        }
    };
    bytes.advance(length);
    Ok(Some(asked))
}

fn parts(whole: &Bytes, request: &httparse::Request<'_, '_>) -> Option<request::Parts> {
    // Nothing is copied: all values share the bytes that were read.
    let mut parts = Request::new(()).into_parts().0;
    parts.method = Method::from_bytes(request.method?.as_bytes()).ok()?;
    parts.uri = Uri::from_maybe_shared(whole.slice_ref(request.path?.as_bytes())).ok()?;
    parts.version = if request.version? == 0 { Version::HTTP_10 } else { Version::HTTP_11 };
    parts.headers = HeaderMap::with_capacity(request.headers.len());
    for header in request.headers.iter() {
        let value = HeaderValue::from_maybe_shared(whole.slice_ref(header.value)).ok()?;
        parts.headers.append(HeaderName::from_bytes(header.name.as_bytes()).ok()?, value);
    }
    Some(parts)
}

/// What a head says about the connection.
fn understand(parts: request::Parts) -> Result<Head, StatusCode> {
    let framing = framing(&parts)?;
    let modern = parts.version == Version::HTTP_11;
    // Two hosts could be one to the proxy in front and the other to us. [RFC 9112 §3.2]
    match parts.headers.get_all(HOST).iter().count() {
        0 if !modern => {}
        1 => {}
        _ => return Err(StatusCode::BAD_REQUEST),
    }
    let keep_alive =
        !names(&parts.headers, CONNECTION, "close") && (modern || names(&parts.headers, CONNECTION, "keep-alive"));
    let expects = modern && names(&parts.headers, EXPECT, "100-continue");
    Ok(Head { parts, framing, keep_alive, expects })
}

/// Where two programs on the way could disagree about the end of a body, the request is refused.
fn framing(parts: &request::Parts) -> Result<Framing, StatusCode> {
    let mut lengths = parts.headers.get_all(CONTENT_LENGTH).iter();
    let mut codings = parts.headers.get_all(TRANSFER_ENCODING).iter();
    match (lengths.next(), codings.next()) {
        (None, None) => Ok(Framing::Length(0)),
        (Some(length), None) => {
            let number = number(length.as_bytes()).filter(|_| lengths.all(|other| other == length));
            number.map(Framing::Length).ok_or(StatusCode::BAD_REQUEST)
        }
        (None, Some(coding)) if parts.version == Version::HTTP_11 && codings.next().is_none() => {
            let chunked = coding.as_bytes().eq_ignore_ascii_case(b"chunked");
            if chunked { Ok(Framing::Chunked) } else { Err(StatusCode::NOT_IMPLEMENTED) }
        }
        (_, Some(_)) => Err(StatusCode::BAD_REQUEST),
    }
}

/// Whether a header has `word` in its list.
pub(super) fn names(headers: &HeaderMap, name: HeaderName, word: &str) -> bool {
    let lists = headers.get_all(name);
    let mut words = lists.iter().flat_map(|list| list.as_bytes().split(|byte| *byte == b','));
    words.any(|other| other.trim_ascii().eq_ignore_ascii_case(word.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(bytes: &mut Bytes, most: usize) -> Result<Option<Asked>, Refused> {
        super::take(bytes, most, &|_| None)
    }

    fn read(text: &str) -> Result<Head, StatusCode> {
        let mut bytes = Bytes::copy_from_slice(text.as_bytes());
        let asked = take(&mut bytes, 1000).map_err(|refused| refused.status)?.expect("it is complete");
        assert_eq!(bytes, "rest");
        let Asked::Other(head) = asked else { panic!("there are no sessions") };
        Ok(*head)
    }

    /// A request with these lines after the first.
    fn with(lines: &str) -> Result<Head, StatusCode> {
        read(&format!("POST /x?y HTTP/1.1\r\nHost: a\r\n{lines}\r\nrest"))
    }

    #[test]
    fn a_head_is_taken_apart() {
        let head = with("X-One:  b \r\nx-one: c\r\n").unwrap();
        assert_eq!((head.parts.method, head.parts.uri.to_string()), (Method::POST, "/x?y".into()));
        let all: Vec<_> = head.parts.headers.get_all("x-one").iter().collect();
        assert_eq!(all, ["b", "c"]);
        assert_eq!((head.framing, head.keep_alive, head.expects), (Framing::Length(0), true, false));
    }

    #[test]
    fn half_a_head_is_none() {
        let whole = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        for length in 0..whole.len() {
            let mut bytes = Bytes::copy_from_slice(&whole.as_bytes()[..length]);
            assert!(take(&mut bytes, 1000).unwrap().is_none());
            assert_eq!(bytes.len(), length, "it stays where it is");
        }
    }

    #[test]
    fn the_end_of_a_body_is_certain_or_the_request_is_refused() {
        let framing = |lines| with(lines).map(|head| head.framing);
        assert_eq!(framing("Content-Length: 12\r\n"), Ok(Framing::Length(12)));
        assert_eq!(framing("Content-Length: 12\r\ncontent-length: 12\r\n"), Ok(Framing::Length(12)));
        assert_eq!(framing("Transfer-Encoding: Chunked\r\n"), Ok(Framing::Chunked));
        for lines in [
            "Content-Length: 12\r\nContent-Length: 13\r\n",
            "Content-Length: 12, 12\r\n",
            "Content-Length: +12\r\n",
            "Content-Length: -1\r\n",
            "Content-Length: 0x1\r\n",
            "Content-Length:\r\n",
            "Content-Length: 18446744073709551616\r\n",
            "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding : chunked\r\n",
            "X: a\r\n Content-Length: 3\r\n",
        ] {
            assert_eq!(framing(lines), Err(StatusCode::BAD_REQUEST), "{lines}");
        }
        assert_eq!(framing("Transfer-Encoding: gzip, chunked\r\n"), Err(StatusCode::NOT_IMPLEMENTED));
        let old = read("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\nrest");
        assert_eq!(old.unwrap_err(), StatusCode::BAD_REQUEST);
    }

    #[test]
    fn a_request_names_one_host() {
        let read = |version, lines| read(&format!("GET / HTTP/{version}\r\n{lines}\r\nrest")).map(|_| ());
        for lines in ["Host: a\r\n", "host: a:80\r\n", "X: y\r\nHOST:\r\n"] {
            assert_eq!((read("1.1", lines), read("1.0", lines)), (Ok(()), Ok(())), "{lines}");
        }
        assert_eq!(read("1.0", ""), Ok(()));
        assert_eq!(read("1.1", "X-Host: a\r\n"), Err(StatusCode::BAD_REQUEST));
        for lines in ["Host: a\r\nHost: b\r\n", "Host: a\r\nX: y\r\nhost: a\r\n"] {
            assert_eq!(read("1.1", lines), Err(StatusCode::BAD_REQUEST), "{lines}");
            assert_eq!(read("1.0", lines), Err(StatusCode::BAD_REQUEST), "{lines}");
        }
    }

    #[test]
    fn connections_are_kept_as_both_sides_wish() {
        let keep = |text| read(text).unwrap().keep_alive;
        assert!(keep("GET / HTTP/1.1\r\nHost: a\r\n\r\nrest"));
        assert!(!keep("GET / HTTP/1.1\r\nHost: a\r\nConnection: Close\r\n\r\nrest"));
        assert!(!keep("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade, close\r\n\r\nrest"));
        assert!(!keep("GET / HTTP/1.0\r\n\r\nrest"));
        assert!(keep("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\nrest"));
    }

    #[test]
    fn what_is_no_http_is_refused() {
        for text in
            ["\0", "GET / HTTP/2.0\r\n\r\n", "GET /\r\n\r\n", "GET / HTTP/1.1\r\nHost\r\n\r\n", "{\"a\":1}\r\n\r\n"]
        {
            let refused = take(&mut Bytes::copy_from_slice(text.as_bytes()), 1000);
            assert_eq!(refused.unwrap_err(), StatusCode::BAD_REQUEST.into(), "{text:?}");
        }
    }

    #[test]
    fn heads_have_a_length_and_a_number_of_headers() {
        let limit = |taken: Result<_, Refused>| taken.err().and_then(|refused| refused.limit);
        let beyond = |fits: bool, limit| if fits { None } else { Some(limit) };
        let head = |length: usize| format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", "p".repeat(length - 26));
        for (length, fits) in [(99, true), (100, true), (101, false)] {
            let mut bytes = Bytes::from(head(length));
            assert_eq!(bytes.len(), length);
            assert_eq!(limit(take(&mut bytes, 100)), beyond(fits, Limit::HeadBytes), "{length}");
            let mut half = Bytes::from(head(length + 1));
            half.truncate(length);
            assert_eq!(limit(take(&mut half, 100)), beyond(fits, Limit::HeadBytes), "{length} without an end");
        }
        for (count, fits) in [(99, true), (100, true), (101, false)] {
            let text = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(count - 1));
            assert_eq!(limit(take(&mut Bytes::from(text), 10_000)), beyond(fits, Limit::Headers), "{count}");
        }
    }
}
