//! Requests of sessions that are there. They are most of all by far, and say little: they are answered without a map of
//! their headers, and without anything of them being kept while a GET waits.

use std::sync::Arc;

use sockeye_engine::handshake::{Query, TransportName};

use super::super::polling::{Manner, is_binary};
use super::super::route::session;
use crate::core::Core;
use crate::encoding::Encoding;
use crate::link::Link;

/// A request of a session.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) link: Arc<Link>,
    /// It brings packets; otherwise it waits for some.
    pub(super) posts: bool,
    pub(super) manner: Manner,
    /// Length of the body.
    pub(super) length: u64,
}

/// The session that is asked and what it is asked, if there is nothing unusual about the request. What is unusual, or
/// wrong, takes the long way: what is done there is what holds.
pub(super) fn recognise(core: &Core, request: &httparse::Request<'_, '_>) -> Option<Known> {
    let config = &core.config;
    let (path, query) = request.path?.split_once('?').filter(|(_, query)| !query.contains('#'))?;
    let posts = match request.method? {
        "GET" => false,
        "POST" => true,
        _ => return None,
    };
    let plain = request.version == Some(1) && config.hooks.headers.is_empty() && config.cors.is_silent();
    if !plain || !config.is_own(path) || !config.allows(TransportName::Polling) {
        return None;
    }
    let query = Query::parse(query);
    if query.jsonp.is_some() || query.transport() != Some(TransportName::Polling) {
        return None;
    }
    let mut manner = Manner::default();
    let length = look_through(request.headers, &mut manner).filter(|length| posts || *length == 0)?;
    let link = session(core, query.sid.as_deref()?, query.revision()).ok()?;
    if link.carrier().is_stream() {
        return None;
    }
    if config.http_compression.enabled && !posts {
        let lines = request.headers.iter().filter(|header| header.name.eq_ignore_ascii_case("accept-encoding"));
        manner.encoding = Encoding::best(lines.map(|header| header.value));
    }
    Some(Known { link, posts, manner, length })
}

/// The length of the body; `None` if a header says something unusual about it or about the connection.
fn look_through(headers: &[httparse::Header<'_>], manner: &mut Manner) -> Option<u64> {
    let (mut length, mut hosts, mut kinds) = (None, 0, 0);
    for header in headers {
        let is = |name: &str| header.name.eq_ignore_ascii_case(name);
        // Few names have the same length: most are not even compared.
        match header.name.len() {
            4 if is("host") => hosts += 1,
            6 if is("expect") => return None,
            7 if is("upgrade") => return None,
            10 if is("connection") && !header.value.eq_ignore_ascii_case(b"keep-alive") => return None,
            12 if is("content-type") && kinds > 0 => return None,
            12 if is("content-type") => {
                kinds += 1;
                manner.binary = is_binary(header.value);
            }
            14 if is("content-length") && length.replace(number(header.value)?).is_some() => return None,
            17 if is("transfer-encoding") => return None,
            _ => {}
        }
    }
    (hosts == 1).then(|| length.unwrap_or(0))
}

/// Digits only: no sign, no list.
pub(super) fn number(digits: &[u8]) -> Option<u64> {
    let is_number = digits.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(digits).ok().filter(|_| is_number)?.parse().ok()
}
