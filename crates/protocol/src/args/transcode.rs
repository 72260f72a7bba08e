//! From one form into another, value by value: arguments which are passed on to a connection with another parser, or which
//! an application's own parser writes and reads.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde::ser::{Error as _, Serialize, SerializeMap, SerializeSeq, Serializer};

use crate::json::scan::MAX_DEPTH;
use crate::{DecodeError, EncodeError};

/// Reads one value and writes it.
pub(super) fn transcode<'de, D, S>(reader: D, writer: S) -> Result<S::Ok, EncodeError>
where
    D: Deserializer<'de, Error = DecodeError>,
    S: Serializer<Error = EncodeError>,
{
    Value::new(reader).serialize(writer)
}

/// A value which is still to be read; it can be written once.
pub(super) struct Value<D> {
    reader: Cell<Option<D>>,
    /// What is open around it; bounds the recursion, whoever reads.
    depth: usize,
}

impl<D> Value<D> {
    pub(super) fn new(reader: D) -> Self {
        Self::at(reader, 0)
    }

    fn at(reader: D, depth: usize) -> Self {
        Self { reader: Cell::new(Some(reader)), depth }
    }
}

impl<'de, D: Deserializer<'de>> Serialize for Value<D> {
    fn serialize<S: Serializer>(&self, writer: S) -> Result<S::Ok, S::Error> {
        if self.depth > MAX_DEPTH {
            return Err(S::Error::custom("nested too deep"));
        }
        let reader = self.reader.take().ok_or_else(|| S::Error::custom("a value is written twice"))?;
        reader.deserialize_any(Pipe { writer, depth: self.depth }).map_err(S::Error::custom)
    }
}

/// Writes what it visits.
struct Pipe<S> {
    writer: S,
    depth: usize,
}

macro_rules! pipes {
    ($($visit:ident($($argument:ident: $type:ty)?) => $write:ident;)*) => {
        $(fn $visit<E: serde::de::Error>(self $(, $argument: $type)?) -> Result<S::Ok, E> {
            self.writer.$write($($argument)?).map_err(E::custom)
        })*
    };
}

impl<'de, S: Serializer> Visitor<'de> for Pipe<S> {
    type Value = S::Ok;

    pipes! {
        visit_bool(value: bool) => serialize_bool;
        visit_bytes(value: &[u8]) => serialize_bytes;
        visit_f64(value: f64) => serialize_f64;
        visit_i64(value: i64) => serialize_i64;
        visit_none() => serialize_unit;
        visit_str(value: &str) => serialize_str;
        visit_u64(value: u64) => serialize_u64;
        visit_unit() => serialize_unit;
    }

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_some<D: Deserializer<'de>>(self, reader: D) -> Result<S::Ok, D::Error> {
        reader.deserialize_any(self)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, reader: D) -> Result<S::Ok, D::Error> {
        reader.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<S::Ok, A::Error> {
        let mut list = self.writer.serialize_seq(elements.size_hint()).map_err(A::Error::custom)?;
        while elements.next_element_seed(Element(&mut list, self.depth + 1))?.is_some() {}
        list.end().map_err(A::Error::custom)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<S::Ok, A::Error> {
        let mut map = self.writer.serialize_map(members.size_hint()).map_err(A::Error::custom)?;
        while let Some(key) = members.next_key::<String>()? {
            map.serialize_key(&key).map_err(A::Error::custom)?;
            members.next_value_seed(Member(&mut map, self.depth + 1))?;
        }
        map.end().map_err(A::Error::custom)
    }
}

struct Element<'a, L>(&'a mut L, usize);

impl<'de, L: SerializeSeq> DeserializeSeed<'de> for Element<'_, L> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        self.0.serialize_element(&Value::at(reader, self.1)).map_err(D::Error::custom)
    }
}

struct Member<'a, M>(&'a mut M, usize);

impl<'de, M: SerializeMap> DeserializeSeed<'de> for Member<'_, M> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        self.0.serialize_value(&Value::at(reader, self.1)).map_err(D::Error::custom)
    }
}
