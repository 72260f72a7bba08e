//! The last argument, without decoding the others: what recovery reads and what makes an event recognisable.

use std::borrow::Cow;

use super::form::{Args, Form, OwnedArgs, OwnedForm};
use crate::EncodeError;
use crate::json::{self, scan::MAX_DEPTH};
use crate::msgpack::cursor::{Cursor, Token};

impl<'a> Args<'a> {
    /// The last argument if it is a string: where servers put the offset of connection state recovery.
    pub fn last_text(&self) -> Option<Cow<'a, str>> {
        match self.0 {
            Form::Json { text, .. } => last_json(text),
            Form::Msgpack { bytes, count } => last_msgpack(bytes, count),
        }
    }
}

impl OwnedArgs {
    /// The same arguments and one more.
    ///
    /// # Errors
    /// The arguments are in the form of MessagePack, which [`OwnedArgs::encode`] never gives.
    pub fn with_text(self, last: &str) -> Result<Self, EncodeError> {
        self.with_json(&serde_json::to_string(last).map_err(EncodeError::new)?)
    }

    /// The same arguments and `null`: whatever they are, the last one is no string.
    ///
    /// # Errors
    /// As for [`Self::with_text`].
    pub fn with_null(self) -> Result<Self, EncodeError> {
        self.with_json("null")
    }

    fn with_json(self, last: &str) -> Result<Self, EncodeError> {
        let OwnedForm::Json { text, attachments } = self.0 else {
            return Err(EncodeError::new("arguments which were received cannot be extended"));
        };
        let text = if text.is_empty() { last.to_owned() } else { format!("{text},{last}") };
        Ok(Self(OwnedForm::Json { text: text.into(), attachments }))
    }
}

/// Goes backwards: inside a string every quote has a backslash before it, so the first one without is its beginning.
fn last_json(text: &str) -> Option<Cow<'_, str>> {
    let inside = text.trim_end_matches([' ', '\t', '\r', '\n']).strip_suffix('"')?;
    let mut end = inside.len();
    loop {
        let quote = memchr::memrchr(b'"', inside.as_bytes().get(..end)?)?;
        let before = inside.as_bytes().get(..quote)?;
        let backslashes = before.iter().rev().take_while(|byte| **byte == b'\\').count();
        if backslashes % 2 == 0 {
            let raw = inside.get(quote.saturating_add(1)..)?;
            return Some(json::unescape(raw, raw.contains('\\')));
        }
        end = quote;
    }
}

fn last_msgpack(bytes: &[u8], count: usize) -> Option<Cow<'_, str>> {
    let mut cursor = Cursor::new(bytes);
    for _ in 1..count {
        cursor.skip(MAX_DEPTH).ok()?;
    }
    match cursor.token()? {
        Token::Str(text) => Some(String::from_utf8_lossy(text)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_argument_if_it_is_a_string() {
        let last = |text: &'static str| Args::json(text, &[]).last_text();
        assert_eq!(last("1,\"a\"").as_deref(), Some("a"));
        assert_eq!(last("\"Q864u2N.0\"").as_deref(), Some("Q864u2N.0"));
        assert_eq!(last("\"a\",\"\" ").as_deref(), Some(""));
        assert_eq!(last(r#""x","a\"b\\""#).as_deref(), Some(r#"a"b\"#));
        assert_eq!(last(r#""\\","\\\"""#).as_deref(), Some("\\\""));
        assert_eq!(last(r#""\u00e9""#).as_deref(), Some("é"));
        for text in ["", "1", "\"a\",1", "\"a\",[\"b\"]", "{\"a\":\"b\"}"] {
            assert_eq!(last(text), None, "{text}");
        }
    }

    #[test]
    fn the_last_argument_of_msgpack() {
        let last = |bytes, count| Args::msgpack(bytes, count).last_text();
        assert_eq!(last(&[1, 0xa1, b'a'], 2).as_deref(), Some("a"));
        assert_eq!(last(&[0x92, 1, 2, 0xa1, b'a'], 2).as_deref(), Some("a"));
        assert_eq!(last(&[0xa1, b'a', 1], 2), None);
        assert_eq!(last(&[], 0), None);
    }

    #[test]
    fn one_argument_more() {
        let more = |args: OwnedArgs| args.with_text("i\"d").unwrap().as_args().decode::<Vec<serde_json::Value>>();
        assert!(more(OwnedArgs::default()).is_err(), "one string");
        let args = OwnedArgs::encode(&(1, "a")).unwrap().with_text("i\"d").unwrap();
        assert_eq!(args.as_args().decode::<(u32, String, String)>().unwrap(), (1, "a".into(), "i\"d".into()));
        let args = OwnedArgs::encode(&()).unwrap().with_text("id").unwrap();
        assert_eq!(args.as_args().decode::<String>().unwrap(), "id");
        let args = OwnedArgs::encode(&"text").unwrap().with_null().unwrap();
        assert_eq!(args.as_args().decode::<(String, Option<u32>)>().unwrap(), ("text".into(), None));
        assert_eq!(args.as_args().last_text(), None);
    }
}
