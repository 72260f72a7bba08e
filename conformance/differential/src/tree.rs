//! A value of any shape, bytes included, and the form in which both languages can compare it exactly.

use std::fmt::Write;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Value, json};

/// A value as JavaScript knows them.
#[derive(Clone, Debug)]
pub(crate) enum Tree {
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
    Bytes(Vec<u8>),
    List(Vec<Tree>),
    /// In the order of insertion.
    Map(Vec<(String, Tree)>),
}

impl Tree {
    /// The common form, with the keys of objects in order.
    pub(crate) fn canonical(&self) -> Value {
        sorted(self.in_order())
    }

    /// The common form, with the keys as they are.
    pub(crate) fn in_order(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => json!(value),
            Self::Number(number) => json!({ "n": bits(*number) }),
            Self::Text(text) => json!(text),
            Self::Bytes(bytes) => json!({ "b": hex(bytes) }),
            Self::List(items) => items.iter().map(Self::in_order).collect(),
            Self::Map(pairs) => {
                json!({ "m": pairs.iter().map(|(key, item)| json!([key, item.in_order()])).collect::<Vec<_>>() })
            }
        }
    }

    /// Whether every number in it is written the same everywhere: a whole one of at most 53 bits.
    pub(crate) fn is_plain(&self) -> bool {
        match self {
            Self::Number(number) => whole(*number).is_some(),
            Self::List(items) => items.iter().all(Self::is_plain),
            Self::Map(pairs) => pairs.iter().all(|(_, item)| item.is_plain()),
            _ => true,
        }
    }
}

/// The number as an integer, if JavaScript can tell it from its neighbours.
fn whole(number: f64) -> Option<i64> {
    let text = format!("{number:.0}");
    let whole: i64 = text.parse().ok().filter(|whole: &i64| whole.unsigned_abs() < 1 << 53)?;
    #[expect(clippy::cast_precision_loss, reason = "less than 53 bits")]
    let same = (whole as f64).to_bits() == number.to_bits();
    same.then_some(whole)
}

/// The same value with the keys of all objects in order, each once: the last one counts.
pub(crate) fn sorted(value: Value) -> Value {
    match value {
        Value::Array(items) => items.into_iter().map(sorted).collect(),
        Value::Object(mut object) => match object.remove("m") {
            Some(Value::Array(pairs)) => {
                let mut map = serde_json::Map::new();
                for pair in pairs {
                    if let Value::Array(pair) = pair
                        && let [Value::String(key), item] = &pair[..]
                    {
                        map.insert(key.clone(), sorted(item.clone()));
                    }
                }
                json!({ "m": map })
            }
            _ => Value::Object(object),
        },
        leaf => leaf,
    }
}

/// A double as the sixteen digits of its bits; the two zeros are one, and so are all that are no number.
pub(crate) fn bits(number: f64) -> String {
    if number.is_nan() {
        return "NaN".to_owned();
    }
    format!("{:016x}", if number == 0.0 { 0 } else { number.to_bits() })
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

pub(crate) fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes().chunks(2);
    digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

impl Serialize for Tree {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Number(number) => match whole(*number) {
                Some(whole) => serializer.serialize_i64(whole),
                None => serializer.serialize_f64(*number),
            },
            Self::Text(text) => serializer.serialize_str(text),
            Self::Bytes(bytes) => serializer.serialize_bytes(bytes),
            Self::List(items) => serializer.collect_seq(items),
            Self::Map(pairs) => {
                let mut map = serializer.serialize_map(Some(pairs.len()))?;
                for (key, item) in pairs {
                    map.serialize_entry(key, item)?;
                }
                map.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

#[expect(clippy::cast_precision_loss, reason = "JavaScript has no other numbers")]
impl<'de> Visitor<'de> for Reader {
    type Value = Tree;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("anything")
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }

    fn visit_none<E>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Tree, D::Error> {
        Tree::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Tree, E> {
        Ok(Tree::Bool(value))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Tree, E> {
        Ok(Tree::Number(number as f64))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Tree, E> {
        Ok(Tree::Number(number as f64))
    }

    fn visit_i128<E>(self, number: i128) -> Result<Tree, E> {
        Ok(Tree::Number(number as f64))
    }

    fn visit_u128<E>(self, number: u128) -> Result<Tree, E> {
        Ok(Tree::Number(number as f64))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Tree, E> {
        Ok(Tree::Number(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Tree, E> {
        Ok(Tree::Text(text.to_owned()))
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Tree, E> {
        Ok(Tree::Bytes(bytes.to_vec()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Tree, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Tree::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Tree, A::Error> {
        let mut pairs = Vec::new();
        while let Some(pair) = access.next_entry()? {
            pairs.push(pair);
        }
        Ok(Tree::Map(pairs))
    }
}
