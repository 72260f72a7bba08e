//! Arguments as a list of any serde format.

use bytes::Bytes;
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error as _, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeSeq, Serializer};

use super::form::{Args, Form, OwnedArgs};
use super::transcode::Value;
use crate::json::ser::Writer;
use crate::{json, msgpack};

/// All the arguments of an event or an answer as one list: for the formats of
/// [custom parsers](crate::parser::CustomParser), with any serde format that says what it holds (JSON, MessagePack, CBOR).
///
/// They pass value by value, with nothing built between. Bytes are bytes in both directions: how a format without them
/// writes bytes, it reads as something else. Deeper than 128 levels is an error.
#[derive(Clone, Debug, Default)]
pub struct List(pub OwnedArgs);

impl Serialize for List {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let args = self.0.as_args();
        let mut list = serializer.serialize_seq(Some(args.count()))?;
        match args.0 {
            Form::Json { text, attachments } => {
                let mut reader = json::de::Reader::new(text, attachments);
                let mut first = true;
                while reader.next_element(std::mem::take(&mut first)) {
                    list.serialize_element(&Value::new(&mut reader))?;
                }
            }
            Form::Msgpack { bytes, .. } => {
                let mut reader = msgpack::de::Reader::new(bytes);
                while !reader.is_at_end() {
                    list.serialize_element(&Value::new(&mut reader))?;
                }
            }
        }
        list.end()
    }
}

impl<'de> Deserialize<'de> for List {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = OwnedArgs;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a list of arguments")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<OwnedArgs, A::Error> {
                collect(|writer| {
                    while elements.next_element_seed(Element(writer))?.is_some() {}
                    Ok(())
                })
            }
        }

        deserializer.deserialize_seq(Reader).map(Self)
    }
}

/// Reads one argument.
struct Element<'a, 'w>(&'a mut Writer<'w>);

impl<'de> DeserializeSeed<'de> for Element<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        self.0.raw(",");
        Value::new(reader).serialize(self.0).map_err(D::Error::custom)
    }
}

/// The arguments that `write` writes, a comma before each.
pub(super) fn collect<E>(write: impl FnOnce(&mut Writer<'_>) -> Result<(), E>) -> Result<OwnedArgs, E> {
    let mut text = Vec::new();
    let mut attachments = Vec::new();
    let mut attach = |bytes: &[u8]| {
        attachments.push(Bytes::copy_from_slice(bytes));
        attachments.len() - 1
    };
    write(&mut Writer::new(&mut text, &mut attach))?;
    // The writer is given texts only, so it writes UTF-8.
    let text = String::from_utf8(text).unwrap_or_default();
    Ok(Args::json(text.strip_prefix(',').unwrap_or_default(), &attachments).to_owned())
}

#[cfg(test)]
mod tests {
    use serde::de::IntoDeserializer;
    use serde::de::value::{Error, SeqDeserializer};
    use serde::forward_to_deserialize_any;

    use super::*;

    /// So many lists around a number, from a format that does not mind.
    #[derive(Clone, Copy)]
    struct Nest(usize);

    impl<'de> Deserializer<'de> for Nest {
        type Error = Error;

        fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            match self.0 {
                0 => visitor.visit_u64(7),
                depth => visitor.visit_seq(SeqDeserializer::new(std::iter::once(Nest(depth - 1)))),
            }
        }

        forward_to_deserialize_any! {
            bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
            newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
        }
    }

    impl IntoDeserializer<'_, Error> for Nest {
        type Deserializer = Self;

        fn into_deserializer(self) -> Self {
            self
        }
    }

    #[test]
    fn the_depth_is_bounded_whoever_reads() {
        let read = |depth| List::deserialize(Nest(depth)).map(|list| list.0.as_args().count());
        assert_eq!(read(1).unwrap(), 1);
        assert_eq!(read(129).unwrap(), 1);
        assert_eq!(read(130).unwrap_err().to_string(), "nested too deep");
        assert!(read(100_000).is_err());
        assert!(read(0).is_err(), "no list");
    }

    #[test]
    fn bytes_stay_bytes() {
        let args = OwnedArgs::encode(&("a", Some(Bytes::from_static(&[1])), ((), 1.5))).unwrap();
        let bytes = Bytes::from_static(&[1]);
        let there = serde_json::to_string(&List(args.clone())).unwrap();
        assert_eq!(there, r#"["a",[1],[null,1.5]]"#);
        let mut packed = Vec::new();
        List(args).serialize(&mut msgpack::ser::Writer::new(&mut packed)).unwrap();
        let direct = List::deserialize(&mut msgpack::de::Reader::new(&packed)).unwrap();
        assert_eq!(direct.0.as_args().decode::<(String, Bytes)>().unwrap(), ("a".to_owned(), bytes));
        assert_eq!(serde_json::to_string(&List::default()).unwrap(), "[]");
    }
}
