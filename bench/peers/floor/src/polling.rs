//! Long polling: GET and POST told apart by their first byte, the session by its number at a fixed place.

use crate::canned::{CONNECT, OPEN};

/// What every request of the load generator begins with, after its method.
const TARGET: &[u8] = b" /socket.io/?EIO=4&transport=polling";
const SID: &[u8] = b"&sid=";
/// Length of a session id.
const DIGITS: usize = 20;

/// The sessions, by their number.
#[derive(Default)]
pub(crate) struct Sessions {
    all: Vec<Session>,
    speaker: usize,
    /// A poll that is answered now: its connection, and the response.
    pub(crate) answered: Option<(usize, Vec<u8>)>,
}

#[derive(Default)]
struct Session {
    /// The connection whose GET waits.
    poll: Option<usize>,
    waiting: Vec<u8>,
}

impl Sessions {
    /// The connection which the next request comes from.
    pub(crate) fn speak_for(&mut self, connection: usize) {
        self.speaker = connection;
    }

    /// Serves one request, if it is one of long polling, and returns its length; 0 if it is incomplete.
    pub(crate) fn serve(&mut self, bytes: &[u8], replies: &mut Vec<u8>) -> Option<usize> {
        let is_get = bytes.starts_with(b"GET");
        let rest = bytes.get(if is_get { 3 } else { 4 }..)?.strip_prefix(TARGET)?;
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { return Some(0) };
        let body = bytes.get(end + 4..).unwrap_or_default();
        let number = rest.strip_prefix(SID).and_then(|rest| rest.get(..DIGITS));
        let number = number.and_then(|digits| std::str::from_utf8(digits).ok()?.parse::<usize>().ok());
        let Some(number) = number else {
            let sid = format!("{:0width$}", self.all.len(), width = DIGITS);
            self.all.push(Session::default());
            replies.extend_from_slice(&response(OPEN.replace("AAAAAAAAAAAAAAAAAAAA", &sid).as_bytes()));
            return Some(end + 4);
        };
        let session = self.all.get_mut(number)?;
        if is_get {
            session.poll = Some(self.speaker);
        } else {
            if body.len() < length(&bytes[..end]) {
                return Some(0);
            }
            replies.extend_from_slice(&response(b"ok"));
            session.waiting.extend_from_slice(if body == b"40" { CONNECT.as_bytes() } else { body });
        }
        if !session.waiting.is_empty()
            && let Some(poll) = session.poll.take()
        {
            self.answered = Some((poll, response(&std::mem::take(&mut session.waiting))));
        }
        Some(if is_get { end + 4 } else { bytes.len() })
    }
}

/// The load generator writes the length last.
fn length(head: &[u8]) -> usize {
    let digits = head.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let digits = &head[head.len() - digits..];
    digits.iter().fold(0, |length, digit| length * 10 + usize::from(digit - b'0'))
}

fn response(body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=UTF-8\r\nCache-Control: no-store\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}
