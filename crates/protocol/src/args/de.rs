//! Arguments → serde.

use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

use super::form::{Args, Form};
use super::raw::{self, TOKEN};
use crate::{DecodeError, json, msgpack};

type Result<T> = std::result::Result<T, DecodeError>;

/// Decodes arguments into a type. What is left over is ignored.
pub(super) fn decode<T: DeserializeOwned>(args: Args<'_>) -> Result<T> {
    let source = match args.0 {
        Form::Json { text, attachments } => Source::Json(json::de::Reader::new(text, attachments)),
        Form::Msgpack { bytes, .. } => Source::Msgpack(msgpack::de::Reader::new(bytes)),
    };
    T::deserialize(&mut Arguments { source, index: 0, args })
}

enum Source<'de> {
    Json(json::de::Reader<'de>),
    Msgpack(msgpack::de::Reader<'de>),
}

/// The arguments from `index` on.
struct Arguments<'de> {
    source: Source<'de>,
    index: usize,
    args: Args<'de>,
}

impl Arguments<'_> {
    /// Goes to the next argument; false if there is none.
    fn advance(&mut self) -> bool {
        self.index += 1;
        match &mut self.source {
            Source::Json(reader) => reader.next_element(self.index == 1),
            Source::Msgpack(reader) => !reader.is_at_end(),
        }
    }

    fn missing(&self) -> Missing {
        Missing(self.index)
    }
}

/// The first argument alone, whatever it is asked to be.
macro_rules! first {
    ($($method:ident($($name:ident: $type:ty),*);)*) => {
        $(fn $method<V: Visitor<'de>>(self, $($name: $type,)* visitor: V) -> Result<V::Value> {
            if !self.advance() {
                return self.missing().$method($($name,)* visitor);
            }
            match &mut self.source {
                Source::Json(reader) => reader.$method($($name,)* visitor),
                Source::Msgpack(reader) => reader.$method($($name,)* visitor),
            }
        })*
    };
}

impl<'de> Deserializer<'de> for &mut Arguments<'de> {
    type Error = DecodeError;

    first! {
        deserialize_any();
        deserialize_bool();
        deserialize_i8();
        deserialize_i16();
        deserialize_i32();
        deserialize_i64();
        deserialize_i128();
        deserialize_u8();
        deserialize_u16();
        deserialize_u32();
        deserialize_u64();
        deserialize_u128();
        deserialize_f32();
        deserialize_f64();
        deserialize_char();
        deserialize_str();
        deserialize_string();
        deserialize_bytes();
        deserialize_byte_buf();
        deserialize_option();
        deserialize_unit_struct(name: &'static str);
        deserialize_seq();
        deserialize_tuple_struct(name: &'static str, length: usize);
        deserialize_map();
        deserialize_struct(name: &'static str, fields: &'static [&'static str]);
        deserialize_enum(name: &'static str, variants: &'static [&'static str]);
        deserialize_identifier();
        deserialize_ignored_any();
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        visitor.visit_unit()
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value> {
        visitor.visit_seq(Several { arguments: self, left: length })
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value> {
        if name == TOKEN {
            return raw::give(self.args.to_owned(), visitor);
        }
        if !self.advance() {
            return visitor.visit_newtype_struct(self.missing());
        }
        match &mut self.source {
            Source::Json(reader) => reader.deserialize_newtype_struct(name, visitor),
            Source::Msgpack(reader) => reader.deserialize_newtype_struct(name, visitor),
        }
    }
}

/// As many arguments as a tuple has fields, the missing ones included.
struct Several<'r, 'de> {
    arguments: &'r mut Arguments<'de>,
    left: usize,
}

impl<'de> SeqAccess<'de> for Several<'_, 'de> {
    type Error = DecodeError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
        self.left = left;
        let arguments = &mut *self.arguments;
        if !arguments.advance() {
            return seed.deserialize(arguments.missing()).map(Some);
        }
        let value = match &mut arguments.source {
            Source::Json(reader) => seed.deserialize(reader),
            Source::Msgpack(reader) => seed.deserialize(reader),
        };
        value.map(Some).map_err(|error| DecodeError::new(format_args!("argument {}: {error}", arguments.index)))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}

/// Where an argument should be: only an `Option` accepts that, bare or inside newtypes.
struct Missing(usize);

impl<'de> Deserializer<'de> for Missing {
    type Error = DecodeError;

    fn deserialize_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value> {
        Err(DecodeError::new(format_args!("argument {} is missing", self.0)))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        visitor.visit_none()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _name: &'static str, visitor: V) -> Result<V::Value> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct enum identifier
    }
}
