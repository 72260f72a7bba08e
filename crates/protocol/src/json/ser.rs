//! serde → JSON, bytes → attachments.

use serde::Serialize;
use serde::ser::{self, Serializer};

use super::{placeholder, text};
use crate::EncodeError;

type Result<T = ()> = std::result::Result<T, EncodeError>;

/// Writes JSON to the end of a buffer.
pub(crate) struct Writer<'w> {
    out: &'w mut Vec<u8>,
    /// Keeps an attachment and gives its number.
    attach: &'w mut dyn FnMut(&[u8]) -> usize,
    /// The next tuple is a list of arguments, whose brackets are somebody else's.
    spread: bool,
}

impl<'w> Writer<'w> {
    pub(crate) fn new(out: &'w mut Vec<u8>, attach: &'w mut dyn FnMut(&[u8]) -> usize) -> Self {
        Self { out, attach, spread: false }
    }

    /// Text which is JSON already.
    pub(crate) fn raw(&mut self, json: &str) {
        self.out.extend_from_slice(json.as_bytes());
    }

    /// A tuple without its brackets.
    pub(crate) fn spread<T: Serialize + ?Sized>(&mut self, tuple: &T) -> Result {
        self.spread = true;
        tuple.serialize(self)
    }

    /// An attachment whose placeholder is written already.
    pub(crate) fn keep(&mut self, bytes: &[u8]) {
        (self.attach)(bytes);
    }

    /// Numbers are left to serde_json: shortest digits, `null` for what is not finite.
    fn leaf(&mut self, value: impl Serialize) -> Result {
        value.serialize(&mut serde_json::Serializer::new(&mut *self.out)).map_err(EncodeError::new)
    }

    fn open_variant(&mut self, variant: &str, open: &str) {
        self.raw("{");
        text::write(self.out, variant);
        self.raw(open);
    }
}

/// What closes an array or object which is being written.
pub(crate) struct Compound<'a, 'w> {
    writer: &'a mut Writer<'w>,
    first: bool,
    end: &'static str,
}

impl<'a, 'w> Compound<'a, 'w> {
    fn new(writer: &'a mut Writer<'w>, begin: &str, end: &'static str) -> Self {
        writer.raw(begin);
        Self { writer, first: true, end }
    }

    fn variant(writer: &'a mut Writer<'w>, variant: &str, begin: &str, end: &'static str) -> Self {
        writer.open_variant(variant, begin);
        Self { writer, first: true, end }
    }

    fn comma(&mut self) {
        if !std::mem::take(&mut self.first) {
            self.writer.out.push(b',');
        }
    }

    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result {
        self.comma();
        value.serialize(&mut *self.writer)
    }

    fn member<T: Serialize + ?Sized>(&mut self, key: &str, value: &T) -> Result {
        self.comma();
        text::write(self.writer.out, key);
        self.writer.out.push(b':');
        value.serialize(&mut *self.writer)
    }

    fn close(self) {
        self.writer.raw(self.end);
    }
}

macro_rules! leaves {
    ($($method:ident: $type:ty,)*) => {
        $(fn $method(self, value: $type) -> Result {
            self.leaf(value)
        })*
    };
}

impl<'a, 'w> Serializer for &'a mut Writer<'w> {
    type Ok = ();
    type Error = EncodeError;
    type SerializeSeq = Compound<'a, 'w>;
    type SerializeTuple = Compound<'a, 'w>;
    type SerializeTupleStruct = Compound<'a, 'w>;
    type SerializeTupleVariant = Compound<'a, 'w>;
    type SerializeMap = Compound<'a, 'w>;
    type SerializeStruct = Compound<'a, 'w>;
    type SerializeStructVariant = Compound<'a, 'w>;

    leaves! {
        serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64, serialize_i128: i128,
        serialize_u8: u8, serialize_u16: u16, serialize_u32: u32, serialize_u64: u64, serialize_u128: u128,
        serialize_f32: f32, serialize_f64: f64,
    }

    fn serialize_bool(self, value: bool) -> Result {
        self.raw(if value { "true" } else { "false" });
        Ok(())
    }

    fn serialize_char(self, value: char) -> Result {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, value: &str) -> Result {
        text::write(self.out, value);
        Ok(())
    }

    fn serialize_bytes(self, value: &[u8]) -> Result {
        let num = (self.attach)(value);
        placeholder::write(self.out, num);
        Ok(())
    }

    fn serialize_none(self) -> Result {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result {
        self.raw("null");
        Ok(())
    }

    fn serialize_unit_struct(self, _name: &'static str) -> Result {
        self.serialize_unit()
    }

    fn serialize_unit_variant(self, _name: &'static str, _index: u32, variant: &'static str) -> Result {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _name: &'static str, value: &T) -> Result {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result {
        self.open_variant(variant, ":");
        value.serialize(&mut *self)?;
        self.raw("}");
        Ok(())
    }

    fn serialize_seq(self, _length: Option<usize>) -> Result<Compound<'a, 'w>> {
        Ok(Compound::new(self, "[", "]"))
    }

    fn serialize_tuple(self, _length: usize) -> Result<Compound<'a, 'w>> {
        let (begin, end) = if std::mem::take(&mut self.spread) { ("", "") } else { ("[", "]") };
        Ok(Compound::new(self, begin, end))
    }

    fn serialize_tuple_struct(self, _name: &'static str, _length: usize) -> Result<Compound<'a, 'w>> {
        Ok(Compound::new(self, "[", "]"))
    }

    fn serialize_tuple_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        _length: usize,
    ) -> Result<Compound<'a, 'w>> {
        Ok(Compound::variant(self, variant, ":[", "]}"))
    }

    fn serialize_map(self, _length: Option<usize>) -> Result<Compound<'a, 'w>> {
        Ok(Compound::new(self, "{", "}"))
    }

    fn serialize_struct(self, _name: &'static str, _length: usize) -> Result<Compound<'a, 'w>> {
        Ok(Compound::new(self, "{", "}"))
    }

    fn serialize_struct_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        _length: usize,
    ) -> Result<Compound<'a, 'w>> {
        Ok(Compound::variant(self, variant, ":{", "}}"))
    }
}

macro_rules! compounds {
    ($($trait:ident: $method:ident,)*) => {
        $(impl ser::$trait for Compound<'_, '_> {
            type Ok = ();
            type Error = EncodeError;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result {
                self.element(value)
            }

            fn end(self) -> Result {
                self.close();
                Ok(())
            }
        })*
    };
}

compounds! {
    SerializeSeq: serialize_element,
    SerializeTuple: serialize_element,
    SerializeTupleStruct: serialize_field,
    SerializeTupleVariant: serialize_field,
}

impl ser::SerializeMap for Compound<'_, '_> {
    type Ok = ();
    type Error = EncodeError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result {
        self.comma();
        crate::key::write(key, |key| {
            text::write(self.writer.out, key);
            Ok(())
        })
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result {
        self.writer.out.push(b':');
        value.serialize(&mut *self.writer)
    }

    fn end(self) -> Result {
        self.close();
        Ok(())
    }
}

macro_rules! structs {
    ($($trait:ident,)*) => {
        $(impl ser::$trait for Compound<'_, '_> {
            type Ok = ();
            type Error = EncodeError;

            fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result {
                self.member(key, value)
            }

            fn end(self) -> Result {
                self.close();
                Ok(())
            }
        })*
    };
}

structs! { SerializeStruct, SerializeStructVariant, }
