//! JSON, with its attachments, → serde.
//!
//! The text was checked when it arrived (`scan.rs`), so what can go wrong here is the type. Nesting is bounded by the
//! same check, and with it the recursion.

use std::borrow::Cow;

use bytes::Bytes;
use serde::de::{self, DeserializeSeed, Deserializer, Error, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;

use super::number::{self, Number};
use super::placeholder::{self, Found};
use super::scan::{MAX_DEPTH, Scanner, number_end, space_end, string_end};
use super::unescape;
use crate::DecodeError;
use crate::key::Key;

type Result<T> = std::result::Result<T, DecodeError>;

/// Reads values from a checked text.
#[derive(Clone)]
pub(crate) struct Reader<'de> {
    text: &'de str,
    at: usize,
    attachments: &'de [Bytes],
}

impl<'de> Reader<'de> {
    pub(crate) fn new(text: &'de str, attachments: &'de [Bytes]) -> Self {
        Self { text, at: 0, attachments }
    }

    /// Goes to the next element of a list without brackets; false at its end.
    pub(crate) fn next_element(&mut self, first: bool) -> bool {
        if !first && self.peek() == Some(b',') {
            self.at += 1;
        }
        self.peek().is_some()
    }

    /// Passes a value over.
    pub(crate) fn skip(&mut self) -> Result<()> {
        self.at = Scanner::new(self.text, self.at, MAX_DEPTH).value().map_err(|_| malformed())?;
        Ok(())
    }

    /// The next byte that is no white space.
    fn peek(&mut self) -> Option<u8> {
        match self.text.as_bytes().get(self.at) {
            Some(&byte) if byte > b' ' => Some(byte),
            _ => {
                self.at = space_end(self.text.as_bytes(), self.at);
                self.text.as_bytes().get(self.at).copied()
            }
        }
    }

    fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8) -> Result<()> {
        if self.eat(byte) { Ok(()) } else { Err(malformed()) }
    }

    fn take(&mut self, end: usize) -> Result<&'de str> {
        let taken = self.text.get(self.at..end).ok_or_else(malformed)?;
        self.at = end;
        Ok(taken)
    }

    /// A string, from its opening quote on.
    fn string(&mut self) -> Result<Cow<'de, str>> {
        self.at += 1;
        let end = string_end(self.text.as_bytes(), self.at).ok_or_else(malformed)?;
        let raw = self.take(end.next - 1)?;
        self.at = end.next;
        Ok(unescape(raw, end.escaped))
    }

    fn number_text(&mut self) -> Result<&'de str> {
        let end = number_end(self.text.as_bytes(), self.at).ok_or_else(malformed)?;
        self.take(end)
    }

    fn number(&mut self) -> Result<Number> {
        let (number, end) = number::read(self.text, self.at).ok_or_else(malformed)?;
        self.at = end;
        Ok(number)
    }

    /// The attachment which the object at this place stands for.
    fn attachment(&mut self) -> Result<Option<&'de [u8]>> {
        if self.attachments.is_empty() {
            return Ok(None);
        }
        match placeholder::at(self.text, self.at) {
            Found::Object => Ok(None),
            Found::Placeholder { num, end } if num < self.attachments.len() => {
                self.at = end;
                Ok(self.attachments.get(num).map(|bytes| &**bytes))
            }
            _ => Err(malformed()),
        }
    }

    fn object<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value> {
        if let Some(bytes) = self.attachment()? {
            return visitor.visit_borrowed_bytes(bytes);
        }
        self.at += 1;
        let value = visitor.visit_map(Members { reader: self, first: true })?;
        self.expect(b'}')?;
        Ok(value)
    }

    fn array<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value> {
        self.at += 1;
        let value = visitor.visit_seq(Elements { reader: self, first: true })?;
        if self.eat(b']') { Ok(value) } else { Err(DecodeError::new("an array has more elements than expected")) }
    }

    fn literal<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        if rest.starts_with("true") {
            self.at += 4;
            visitor.visit_bool(true)
        } else if rest.starts_with("false") {
            self.at += 5;
            visitor.visit_bool(false)
        } else if rest.starts_with("null") {
            self.at += 4;
            visitor.visit_unit()
        } else {
            Err(malformed())
        }
    }

    /// A number for a type that holds only whole ones. JS knows no difference between `1` and `1.0`, and neither do we.
    fn whole<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value> {
        if !matches!(self.peek(), Some(b'-' | b'0'..=b'9')) {
            return self.deserialize_any(visitor);
        }
        match self.number()? {
            Number::Float(value) => match crate::key::whole(value) {
                Some(whole) => visitor.visit_i64(whole),
                None => visitor.visit_f64(value),
            },
            Number::Negative(value) => visitor.visit_i64(value),
            Number::Positive(value) => visitor.visit_u64(value),
        }
    }
}

fn malformed() -> DecodeError {
    DecodeError::new("malformed json")
}

macro_rules! wholes {
    ($($method:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
            self.whole(visitor)
        })*
    };
}

macro_rules! wide {
    ($($method:ident: $visit:ident,)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
            let place = self.at;
            if matches!(self.peek(), Some(b'-' | b'0'..=b'9')) {
                if let Ok(value) = self.number_text()?.parse() {
                    return visitor.$visit(value);
                }
                self.at = place;
            }
            self.whole(visitor)
        })*
    };
}

impl<'de> Deserializer<'de> for &mut Reader<'de> {
    type Error = DecodeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.peek() {
            Some(b'"') => match self.string()? {
                Cow::Borrowed(text) => visitor.visit_borrowed_str(text),
                Cow::Owned(text) => visitor.visit_string(text),
            },
            Some(b'{') => self.object(visitor),
            Some(b'[') => self.array(visitor),
            Some(b'-' | b'0'..=b'9') => match self.number()? {
                Number::Float(value) => visitor.visit_f64(value),
                Number::Negative(value) => visitor.visit_i64(value),
                Number::Positive(value) => visitor.visit_u64(value),
            },
            _ => self.literal(visitor),
        }
    }

    wholes! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64
    }

    // Read at their own width: 128 bits do not fit a `Number`, and an `f32` by way of `f64` would be rounded twice.
    wide! { deserialize_i128: visit_i128, deserialize_u128: visit_u128, deserialize_f32: visit_f32, }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        if self.peek() == Some(b'n') {
            self.at += 4;
            return visitor.visit_none();
        }
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _name: &'static str, visitor: V) -> Result<V::Value> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        match self.peek() {
            Some(b'"') => visitor.visit_enum(Key(self.string()?)),
            Some(b'{') => {
                self.at += 1;
                let value = visitor.visit_enum(Variant(self))?;
                self.expect(b'}')?;
                Ok(value)
            }
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.skip()?;
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool f64 char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct identifier
    }
}

/// The elements of an array.
struct Elements<'r, 'de> {
    reader: &'r mut Reader<'de>,
    first: bool,
}

impl<'de> de::SeqAccess<'de> for Elements<'_, 'de> {
    type Error = DecodeError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>> {
        if self.reader.peek() == Some(b']') {
            return Ok(None);
        }
        if !std::mem::take(&mut self.first) {
            self.reader.expect(b',')?;
        }
        seed.deserialize(&mut *self.reader).map(Some)
    }
}

/// The members of an object.
struct Members<'r, 'de> {
    reader: &'r mut Reader<'de>,
    first: bool,
}

impl<'de> de::MapAccess<'de> for Members<'_, 'de> {
    type Error = DecodeError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>> {
        if self.reader.peek() == Some(b'}') {
            return Ok(None);
        }
        if !std::mem::take(&mut self.first) {
            self.reader.expect(b',')?;
        }
        if self.reader.peek() != Some(b'"') {
            return Err(malformed());
        }
        seed.deserialize(Key(self.reader.string()?)).map(Some)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value> {
        self.reader.expect(b':')?;
        seed.deserialize(&mut *self.reader)
    }
}

/// A variant with contents: `{"name":contents}`.
struct Variant<'r, 'de>(&'r mut Reader<'de>);

impl<'de> de::EnumAccess<'de> for Variant<'_, 'de> {
    type Error = DecodeError;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self)> {
        if self.0.peek() != Some(b'"') {
            return Err(DecodeError::invalid_type(de::Unexpected::Map, &"an enum variant"));
        }
        let name = self.0.string()?;
        let name: de::value::CowStrDeserializer<'_, DecodeError> = name.into_deserializer();
        let variant = seed.deserialize(name)?;
        self.0.expect(b':')?;
        Ok((variant, self))
    }
}

impl<'de> de::VariantAccess<'de> for Variant<'_, 'de> {
    type Error = DecodeError;

    fn unit_variant(self) -> Result<()> {
        serde::Deserialize::deserialize(self.0)
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value> {
        seed.deserialize(self.0)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _length: usize, visitor: V) -> Result<V::Value> {
        self.0.deserialize_any(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(self, _fields: &'static [&'static str], visitor: V) -> Result<V::Value> {
        self.0.deserialize_any(visitor)
    }
}
