//! The header which negotiates extensions, in one pass and without copying.                            [RFC 6455 §9.1]
//!
//! ```text
//! Sec-WebSocket-Extensions: name; parameter; parameter=value; parameter="value", name; ...
//! ```

use std::borrow::Cow;

/// Reads one header line. Ask for an [`extension`](Self::extension), then for its parameters until there are none.
#[derive(Debug)]
pub(super) struct Extensions<'a> {
    rest: &'a [u8],
}

/// A parameter, and its value if it has one.
pub(super) type Parameter<'a> = (&'a [u8], Option<Cow<'a, [u8]>>);

/// The header does not follow the grammar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

impl<'a> Extensions<'a> {
    pub(super) fn new(header: &'a [u8]) -> Self {
        Self { rest: header }
    }

    /// The name of the next extension.
    pub(super) fn extension(&mut self) -> Result<Option<&'a [u8]>, Malformed> {
        // Lists may have empty elements. [RFC 9110 §5.6.1]
        while let Some(b' ' | b'\t' | b',') = self.rest.first() {
            self.skip(1);
        }
        if self.rest.is_empty() { Ok(None) } else { self.token().map(Some) }
    }

    /// The next parameter of the extension named last.
    pub(super) fn parameter(&mut self) -> Result<Option<Parameter<'a>>, Malformed> {
        match self.peek() {
            None | Some(b',') => return Ok(None),
            Some(b';') => self.skip(1),
            Some(_) => return Err(Malformed),
        }
        self.skip_blanks();
        let name = self.token()?;
        if self.peek() != Some(b'=') {
            return Ok(Some((name, None)));
        }
        self.skip(1);
        let value = if self.peek() == Some(b'"') { self.quoted()? } else { Cow::Borrowed(self.token()?) };
        Ok(Some((name, Some(value))))
    }

    fn token(&mut self) -> Result<&'a [u8], Malformed> {
        let length = self.rest.iter().take_while(|byte| is_token(**byte)).count();
        let (token, rest) = self.rest.split_at_checked(length).ok_or(Malformed)?;
        self.rest = rest;
        if token.is_empty() { Err(Malformed) } else { Ok(token) }
    }

    /// A quoted string, which must hold a token when unescaped.
    fn quoted(&mut self) -> Result<Cow<'a, [u8]>, Malformed> {
        self.skip(1);
        let mut value = Vec::new();
        loop {
            let (byte, size) = match self.rest {
                [b'"', ..] => break self.skip(1),
                [b'\\', byte, ..] => (*byte, 2),
                [byte, ..] => (*byte, 1),
                [] => return Err(Malformed),
            };
            if !is_token(byte) {
                return Err(Malformed);
            }
            value.push(byte);
            self.skip(size);
        }
        if value.is_empty() { Err(Malformed) } else { Ok(Cow::Owned(value)) }
    }

    fn peek(&mut self) -> Option<u8> {
        self.skip_blanks();
        self.rest.first().copied()
    }

    fn skip_blanks(&mut self) {
        while let Some(b' ' | b'\t') = self.rest.first() {
            self.skip(1);
        }
    }

    fn skip(&mut self, count: usize) {
        self.rest = self.rest.get(count..).unwrap_or_default();
    }
}

/// Whether the byte may stand in a token. [RFC 9110 §5.6.2]
pub(super) fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes the header in a canonical form.
    fn read(header: &str) -> Result<String, Malformed> {
        let mut extensions = Extensions::new(header.as_bytes());
        let mut out = Vec::new();
        while let Some(name) = extensions.extension()? {
            out.push(String::from_utf8_lossy(name).into_owned());
            while let Some((name, value)) = extensions.parameter()? {
                let name = String::from_utf8_lossy(name);
                let value = value.map(|value| format!("={}", String::from_utf8_lossy(&value))).unwrap_or_default();
                out.push(format!(";{name}{value}"));
            }
        }
        Ok(out.join(" "))
    }

    #[test]
    fn headers_are_read() {
        assert_eq!(read("").unwrap(), "");
        assert_eq!(read(" , ,").unwrap(), "");
        assert_eq!(read("a").unwrap(), "a");
        assert_eq!(read("a , b;c;d=e ; f = \"g\" ,, h").unwrap(), "a b ;c ;d=e ;f=g h");
        assert_eq!(read("a;b=\"1\\0\"").unwrap(), "a ;b=10");
        assert_eq!(read("__proto__; constructor=toString").unwrap(), "__proto__ ;constructor=toString");
    }

    #[test]
    fn malformed_headers_are_refused() {
        let bad =
            ["a b", "a;", "a;;b", ";a", "a;b=", "a;b=\"", "a;b=\"\"", "a;b=\"c", "a;b=\"c d\"", "a;b=\"\\\"\"", "a=b"];
        for header in bad.into_iter().chain(["a;b=\"c\"d", "é", "a;b=é", "a;b=\"c\\", "\"a\"", "a\0"]) {
            assert_eq!(read(header), Err(Malformed), "{header}");
        }
    }
}
