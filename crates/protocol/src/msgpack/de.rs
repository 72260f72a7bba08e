//! MessagePack → serde. The bytes were checked when they arrived, so what can go wrong here is the type.

use std::borrow::Cow;

use serde::de::{self, DeserializeSeed, Deserializer, Error, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;

use super::cursor::{Cursor, Token};
use super::date;
use super::key::{self, text_of};
use crate::DecodeError;
use crate::json::scan::MAX_DEPTH;
use crate::key::{Key, whole};

type Result<T> = std::result::Result<T, DecodeError>;

/// Reads values from checked bytes.
#[derive(Clone)]
pub(crate) struct Reader<'de>(Cursor<'de>);

impl<'de> Reader<'de> {
    pub(crate) fn new(bytes: &'de [u8]) -> Self {
        Self(Cursor::new(bytes))
    }

    /// Whether nothing is left.
    pub(crate) fn is_at_end(&self) -> bool {
        self.0.is_at_end()
    }

    fn token(&mut self) -> Result<Token<'de>> {
        self.0.token().ok_or_else(malformed)
    }

    fn sequence<V: Visitor<'de>>(&mut self, length: usize, visitor: V) -> Result<V::Value> {
        let mut elements = Elements { reader: self, left: length };
        let value = visitor.visit_seq(&mut elements)?;
        match elements.left {
            0 => Ok(value),
            _ => Err(DecodeError::new("an array has more elements than expected")),
        }
    }

    fn visit<V: Visitor<'de>>(&mut self, token: Token<'de>, visitor: V) -> Result<V::Value> {
        match token {
            Token::Array(length) => self.sequence(length, visitor),
            Token::Bin(bytes) => visitor.visit_borrowed_bytes(bytes),
            Token::Bool(value) => visitor.visit_bool(value),
            Token::Date(milliseconds) => match date::iso(milliseconds) {
                Some(text) => visitor.visit_string(text),
                None => visitor.visit_unit(),
            },
            Token::Float(value) => visitor.visit_f64(value),
            Token::Map(length) => visitor.visit_map(Elements { reader: self, left: length }),
            Token::Negative(value) => visitor.visit_i64(value),
            Token::Nil => visitor.visit_unit(),
            Token::Positive(value) => visitor.visit_u64(value),
            Token::Str(text) => match text_of(text) {
                Cow::Borrowed(text) => visitor.visit_borrowed_str(text),
                Cow::Owned(text) => visitor.visit_string(text),
            },
        }
    }
}

fn malformed() -> DecodeError {
    DecodeError::new("malformed msgpack")
}

/// Numbers: a date is its milliseconds, and a whole float serves where a whole number is asked for.
macro_rules! numbers {
    ($($method:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
            match self.token()? {
                Token::Date(milliseconds) if date::is_valid(milliseconds) => visitor.visit_i64(milliseconds),
                Token::Float(value) => match whole(value) {
                    Some(whole) => visitor.visit_i64(whole),
                    None => visitor.visit_f64(value),
                },
                token => self.visit(token, visitor),
            }
        })*
    };
}

impl<'de> Deserializer<'de> for &mut Reader<'de> {
    type Error = DecodeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        let token = self.token()?;
        self.visit(token, visitor)
    }

    numbers! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.0.peek() {
            Some(Token::Nil) => {}
            Some(Token::Date(milliseconds)) if !date::is_valid(milliseconds) => {}
            _ => return visitor.visit_some(self),
        }
        self.token()?;
        visitor.visit_none()
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
        match self.token()? {
            Token::Str(text) => visitor.visit_enum(Key(text_of(text))),
            Token::Map(1) => visitor.visit_enum(Variant(self)),
            token => self.visit(token, visitor),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.0.skip(MAX_DEPTH).map_err(|_| malformed())?;
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool f32 f64 char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct identifier
    }
}

/// What is left of an array or map.
struct Elements<'r, 'de> {
    reader: &'r mut Reader<'de>,
    left: usize,
}

impl<'de> de::SeqAccess<'de> for &mut Elements<'_, 'de> {
    type Error = DecodeError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
        self.left = left;
        seed.deserialize(&mut *self.reader).map(Some)
    }

    /// Each element is there: the bytes were checked.
    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}

impl<'de> de::MapAccess<'de> for Elements<'_, 'de> {
    type Error = DecodeError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
        self.left = left;
        let key = key::read(&mut self.reader.0).ok_or_else(malformed)?;
        seed.deserialize(Key(key)).map(Some)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value> {
        seed.deserialize(&mut *self.reader)
    }
}

/// A variant with contents: a map of one.
struct Variant<'r, 'de>(&'r mut Reader<'de>);

impl<'de> de::EnumAccess<'de> for Variant<'_, 'de> {
    type Error = DecodeError;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self)> {
        let Token::Str(name) = self.0.token()? else {
            return Err(DecodeError::invalid_type(de::Unexpected::Map, &"an enum variant"));
        };
        let name: de::value::CowStrDeserializer<'_, DecodeError> = text_of(name).into_deserializer();
        Ok((seed.deserialize(name)?, self))
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
