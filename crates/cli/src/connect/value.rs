//! Arguments of any number and kind, as the terminal shows and takes them: JSON, where bytes are `{"base64": "…"}`.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, SerializeTuple, Serializer};
use serde_json::{Map, Value};

/// More arguments than any event has.
const MOST: usize = 4096;
/// The one key of an object which stands for bytes.
const BYTES: &str = "base64";

/// All arguments of an event.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Arguments(pub(super) Vec<Value>);

impl fmt::Display for Arguments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<_> = self.0.iter().map(Value::to_string).collect();
        f.write_str(&texts.join(" "))
    }
}

impl Serialize for Arguments {
    /// A tuple: several arguments.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut tuple = serializer.serialize_tuple(self.0.len())?;
        for value in &self.0 {
            tuple.serialize_element(&Typed(value))?;
        }
        tuple.end()
    }
}

impl<'de> Deserialize<'de> for Arguments {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_tuple(MOST, All)
    }
}

/// Reads arguments until one is missing.
struct All;

impl<'de> Visitor<'de> for All {
    type Value = Arguments;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("arguments")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut arguments: A) -> Result<Arguments, A::Error> {
        let mut all = Vec::new();
        // The error after the last argument says that there is no other.
        while let Ok(Some(Shown(value))) = arguments.next_element() {
            all.push(value);
        }
        Ok(Arguments(all))
    }
}

/// A value as it is sent: an object which stands for bytes as these bytes.
struct Typed<'a>(&'a Value);

impl Serialize for Typed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Object(map) => match bytes(map) {
                Some(bytes) => serializer.serialize_bytes(&bytes),
                None => {
                    let mut object = serializer.serialize_map(Some(map.len()))?;
                    for (key, value) in map {
                        object.serialize_entry(key, &Typed(value))?;
                    }
                    object.end()
                }
            },
            Value::Array(values) => serializer.collect_seq(values.iter().map(Typed)),
            plain => plain.serialize(serializer),
        }
    }
}

fn bytes(map: &Map<String, Value>) -> Option<Vec<u8>> {
    let text = map.get(BYTES).filter(|_| map.len() == 1)?.as_str()?;
    base64::Engine::decode(&base64::engine::general_purpose::STANDARD, text).ok()
}

/// A value as it is shown.
struct Shown(Value);

impl<'de> Deserialize<'de> for Shown {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue).map(Self)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_bytes<E>(self, value: &[u8]) -> Result<Value, E> {
        let text = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, value);
        Ok(Value::Object([(BYTES.to_owned(), text.into())].into_iter().collect()))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Value, A::Error> {
        let mut all = Vec::new();
        while let Some(Shown(value)) = values.next_element()? {
            all.push(value);
        }
        Ok(all.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut all = Map::new();
        while let Some((key, Shown(value))) = entries.next_entry()? {
            all.insert(key, value);
        }
        Ok(all.into())
    }
}
