//! Polling by script elements and forms, for browsers of long ago.         [JS engine.io 6.6 transports/polling-jsonp.ts]
//!
//! A GET is answered by a call of a function of the page, `___eio[0]("…");`; a POST is a form whose field `d` is the body.

use std::borrow::Cow;

use bytes::Bytes;
use sockeye_engine::handshake::{Query, parameters};

/// The function which the page waits with: its index, digits only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Jsonp(String);

impl Jsonp {
    /// What the query asks for, if anything.
    pub(crate) fn of(query: &str) -> Option<Self> {
        let index = Query::parse(query).jsonp?;
        // Anything else would become part of the script.
        Some(Self(index.chars().filter(char::is_ascii_digit).collect()))
    }

    /// The script that hands over `payload`.
    pub(crate) fn script(&self, payload: &[u8]) -> Bytes {
        let payload = String::from_utf8_lossy(payload);
        let literal = serde_json::Value::from(&*payload).to_string();
        // Valid in JSON, line ends in scripts; and nothing that means something to who takes the script for a page.
        let literal = literal.replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029").replace('<', "\\u003c");
        format!("___eio[{}]({literal});", self.0).into()
    }
}

/// The body that a form brings; `None` if it brings none.
pub(crate) fn form_body(form: &[u8]) -> Option<Bytes> {
    let form = std::str::from_utf8(form).ok()?;
    let data = parameters(form).find(|(name, _)| name == "d")?.1;
    Some(unescape(&data).into_owned().into())
}

/// Browsers change line ends in forms, so the client sends `\n` for one, and `\\n` for what was `\n` before.
fn unescape(data: &str) -> Cow<'_, str> {
    let Some(first) = data.find("\\n") else { return Cow::Borrowed(data) };
    // The backslash before it may belong to it.
    let (done, mut rest) = data.split_at(if data[..first].ends_with('\\') { first - 1 } else { first });
    let mut out = done.to_owned();
    while let Some(character) = rest.chars().next() {
        let used = if rest.starts_with("\\\\n") {
            out.push_str("\\n");
            3
        } else if rest.starts_with("\\n") {
            out.push('\n');
            2
        } else {
            out.push(character);
            character.len_utf8()
        };
        rest = &rest[used..];
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_are_safe_whatever_the_payload() {
        let jsonp = Jsonp::of("EIO=4&j=0").unwrap();
        assert_eq!(jsonp.script(b"4hello"), "___eio[0](\"4hello\");");
        let payload = "4\"\\\u{2028}\u{2029}\u{1e}\n</script>é";
        let expected = "___eio[0](\"4\\\"\\\\\\u2028\\u2029\\u001e\\n\\u003c/script>é\");";
        assert_eq!(jsonp.script(payload.as_bytes()), expected);
    }

    #[test]
    fn only_digits_reach_the_script() {
        assert_eq!(Jsonp::of("j=1];alert(2)//").unwrap().script(b"6"), "___eio[12](\"6\");");
        assert_eq!(Jsonp::of("EIO=4"), None);
        assert_eq!(Jsonp::of("j=").unwrap().script(b"6"), "___eio[](\"6\");");
    }

    #[test]
    fn line_ends_survive_the_form() {
        for (sent, meant) in [
            ("plain", "plain"),
            (r"a\nb", "a\nb"),
            (r"a\\nb", r"a\nb"),
            (r"a\\\nb", r"a\\nb"),
            (r"\n\\n\n", "\n\\n\n"),
            (r"é\\x\nñ", "é\\\\x\nñ"),
            (r"\", r"\"),
        ] {
            assert_eq!(unescape(sent), meant, "{sent}");
        }
    }

    #[test]
    fn forms_are_decoded() {
        assert_eq!(form_body(b"d=42%5B%22a+b%22%2C%22%C3%A9%22%5D").unwrap(), "42[\"a b\",\"é\"]");
        assert_eq!(form_body(b"x=1&d=2probe").unwrap(), "2probe");
        assert_eq!(form_body(b"x=1"), None);
        assert_eq!(form_body(b"d=\xff"), None);
    }
}
