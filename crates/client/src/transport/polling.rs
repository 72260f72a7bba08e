//! HTTP long-polling: one GET which waits, one POST at a time.                         [EIO4 "HTTP long-polling"]

use std::sync::Arc;
use std::task::{Context, Poll};

use sockeye_engine::{Encoded, Revision, payload, payload_v3};

use super::http::{Answer, Lane};
use super::site::Site;
use crate::cause::{Cause, Refusal};
use crate::config::Transport;
use crate::error::ConnectError;

/// The two requests of a polling session.
#[derive(Debug)]
pub(crate) struct Polling {
    site: Arc<Site>,
    sid: Option<String>,
    get: Lane,
    post: Lane,
    /// The last POST was that of [`Self::check`].
    is_checked: bool,
}

impl Polling {
    pub(crate) fn new(site: Arc<Site>) -> Self {
        let (get, post) = (Lane::new(Arc::clone(&site)), Lane::new(Arc::clone(&site)));
        Self { get, post, site, sid: None, is_checked: false }
    }

    /// The server has told the session's id.
    pub(crate) fn set_sid(&mut self, sid: &str) {
        self.sid = Some(sid.to_owned());
    }

    /// Asks for packets; the first time for a session.
    pub(crate) fn get(&mut self) {
        self.get.send(self.target(), None);
    }

    pub(crate) fn post(&mut self, packets: &[Encoded]) {
        self.is_checked = false;
        let mut body = Vec::new();
        match self.site.config.revision {
            Revision::V3 => _ = payload_v3::encode(&mut body, packets, false),
            Revision::V4 => packets.iter().for_each(|packet| payload::append(&mut body, packet)),
        }
        self.post.send(self.target(), Some(body));
    }

    /// Asks whether the session is still there, by a packet which means nothing to a server that did not ask for it: PONG,
    /// or in revision 3 the PING which is the client's to send. The answer to the POST is the answer.
    pub(crate) fn check(&mut self) {
        let body = match self.site.config.revision {
            Revision::V3 => "1:2",
            Revision::V4 => "3",
        };
        self.is_checked = true;
        self.post.send(self.target(), Some(body.into()));
    }

    /// Whether the last POST was a check.
    pub(crate) fn is_checked(&self) -> bool {
        self.is_checked
    }

    /// Whether a POST may be sent.
    pub(crate) fn is_writable(&self) -> bool {
        !self.post.is_busy()
    }

    /// The body of the answer to the GET.
    pub(crate) fn poll_get(&mut self, cx: &mut Context<'_>) -> Poll<Result<Vec<u8>, ConnectError>> {
        self.get.poll(cx).map(|answer| answer.and_then(judge))
    }

    /// The POST was taken.
    pub(crate) fn poll_post(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        self.post.poll(cx).map(|answer| answer.and_then(judge).map(drop))
    }

    fn target(&self) -> String {
        self.site.target(Transport::Polling, self.sid.as_deref())
    }
}

fn judge(answer: Answer) -> Result<Vec<u8>, ConnectError> {
    if answer.status == 200 {
        return Ok(answer.body);
    }
    let said = said(&answer.body).unwrap_or_default();
    let what = format!("the server answered with status {}{said}", answer.status);
    Err(ConnectError::answered(what, Cause::refused(answer.status, &answer.body), answer.retry_after))
}

/// What an Engine.IO server says in the body of an error.
fn said(body: &[u8]) -> Option<String> {
    let refusal = Refusal::read(body)?;
    Some(format!(" (code {}: {})", refusal.code, refusal.message()))
}

/// Whether this is the answer of a server of Engine.IO 3: packets with a length before each.    [EIO3 "payload encoding"]
pub(crate) fn is_revision_3(body: &[u8]) -> bool {
    let digits = body.iter().take_while(|byte| byte.is_ascii_digit()).count();
    digits > 0 && body.get(digits..).is_some_and(|rest| rest.starts_with(b":0{"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_say_what_the_server_said() {
        let answer = |status, body: &[u8]| judge(Answer { status, body: body.to_vec(), retry_after: None });
        let error = answer(400, br#"{"code":5,"message":"Unsupported protocol version"}"#).unwrap_err();
        assert!(error.is_unreachable());
        assert_eq!(error.to_string(), "the server answered with status 400 (code 5: Unsupported protocol version)");
        assert_eq!(answer(502, b"<html>").unwrap_err().to_string(), "the server answered with status 502");
        assert_eq!(answer(200, b"6").unwrap(), b"6");
    }

    #[test]
    fn old_servers_are_recognised() {
        assert!(is_revision_3(br#"96:0{"sid":"x"}2:40"#));
        for body in [&br#"0{"sid":"x"}"#[..], b"", b":0{", b"<html>", b"12:4x"] {
            assert!(!is_revision_3(body));
        }
    }
}
