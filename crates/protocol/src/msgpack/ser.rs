//! serde → MessagePack. Integers take the shortest format, bytes are bin, `None` and `()` are nil.

use serde::Serialize;
use serde::ser::{self, Serializer};

use crate::EncodeError;

type Result<T = ()> = std::result::Result<T, EncodeError>;

/// Writes to the end of a buffer.
pub(crate) struct Writer<'w> {
    out: &'w mut Vec<u8>,
    /// The next tuple is a list of arguments, whose header is written already.
    spread: bool,
}

impl<'w> Writer<'w> {
    pub(crate) fn new(out: &'w mut Vec<u8>) -> Self {
        Self { out, spread: false }
    }

    /// A tuple without its header.
    pub(crate) fn spread<T: Serialize + ?Sized>(&mut self, tuple: &T) -> Result {
        self.spread = true;
        tuple.serialize(self)
    }

    /// Values which are MessagePack already.
    pub(crate) fn raw(&mut self, values: &[u8]) {
        self.out.extend_from_slice(values);
    }

    pub(crate) fn array(&mut self, length: usize) -> Result {
        self.header(0x90, 0x0f, [None, Some(0xdc), Some(0xdd)], length)
    }

    pub(crate) fn map(&mut self, length: usize) -> Result {
        self.header(0x80, 0x0f, [None, Some(0xde), Some(0xdf)], length)
    }

    pub(crate) fn string(&mut self, text: &str) -> Result {
        self.header(0xa0, 0x1f, [Some(0xd9), Some(0xda), Some(0xdb)], text.len())?;
        self.raw(text.as_bytes());
        Ok(())
    }

    /// A length up to `short` inside the first byte, or else behind one of the formats for 8, 16 and 32 bits.
    fn header(&mut self, first: u8, short: u8, formats: [Option<u8>; 3], length: usize) -> Result {
        match (u8::try_from(length), formats) {
            (Ok(length), _) if length <= short && first != 0 => self.out.push(first | length),
            (Ok(length), [Some(format), ..]) => self.raw(&[format, length]),
            (_, [_, Some(format), Some(longest)]) => {
                if let Ok(length) = u16::try_from(length) {
                    self.tagged(format, length.to_be_bytes());
                } else {
                    let length = u32::try_from(length).map_err(|_| EncodeError::new("longer than 4 GiB"))?;
                    self.tagged(longest, length.to_be_bytes());
                }
            }
            _ => return Err(EncodeError::new("no format for this length")),
        }
        Ok(())
    }

    fn tagged<const N: usize>(&mut self, format: u8, bytes: [u8; N]) {
        self.out.push(format);
        self.out.extend_from_slice(&bytes);
    }

    fn unsigned(&mut self, value: u64) {
        if let Ok(value) = u8::try_from(value) {
            if value > 0x7f {
                self.out.push(0xcc);
            }
            self.out.push(value);
        } else if let Ok(value) = u16::try_from(value) {
            self.tagged(0xcd, value.to_be_bytes());
        } else if let Ok(value) = u32::try_from(value) {
            self.tagged(0xce, value.to_be_bytes());
        } else {
            self.tagged(0xcf, value.to_be_bytes());
        }
    }

    fn signed(&mut self, value: i64) {
        if let Ok(value) = u64::try_from(value) {
            self.unsigned(value);
        } else if let Ok(value) = i8::try_from(value) {
            if value < -32 {
                self.out.push(0xd0);
            }
            self.out.extend_from_slice(&value.to_be_bytes());
        } else if let Ok(value) = i16::try_from(value) {
            self.tagged(0xd1, value.to_be_bytes());
        } else if let Ok(value) = i32::try_from(value) {
            self.tagged(0xd2, value.to_be_bytes());
        } else {
            self.tagged(0xd3, value.to_be_bytes());
        }
    }
}

/// An array or map which is being written.
pub(crate) struct Compound<'a, 'w> {
    writer: &'a mut Writer<'w>,
    /// Elements still to be written; `None` if the length was not known and `place` holds room for it.
    left: Option<usize>,
    place: usize,
    count: usize,
}

impl<'a, 'w> Compound<'a, 'w> {
    fn known(writer: &'a mut Writer<'w>, length: usize) -> Self {
        Self { writer, left: Some(length), place: 0, count: 0 }
    }

    /// Room for a length of 32 bits.
    fn unknown(writer: &'a mut Writer<'w>, format: u8) -> Self {
        writer.out.push(format);
        let place = writer.out.len();
        writer.raw(&[0; 4]);
        Self { writer, left: None, place, count: 0 }
    }

    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result {
        self.count += 1;
        value.serialize(&mut *self.writer)
    }

    fn finish(self) -> Result {
        match self.left {
            Some(length) if length == self.count => Ok(()),
            Some(_) => Err(EncodeError::new("a value has another length than it said")),
            None => {
                let length = u32::try_from(self.count).map_err(EncodeError::new)?;
                if let Some(room) = self.writer.out.get_mut(self.place..self.place + 4) {
                    room.copy_from_slice(&length.to_be_bytes());
                }
                Ok(())
            }
        }
    }
}

macro_rules! integers {
    ($($method:ident: $type:ty => $write:ident,)*) => {
        $(fn $method(self, value: $type) -> Result {
            self.$write(value.into());
            Ok(())
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

    integers! {
        serialize_i8: i8 => signed, serialize_i16: i16 => signed, serialize_i32: i32 => signed,
        serialize_i64: i64 => signed, serialize_u8: u8 => unsigned, serialize_u16: u16 => unsigned,
        serialize_u32: u32 => unsigned, serialize_u64: u64 => unsigned,
    }

    fn serialize_i128(self, value: i128) -> Result {
        match (i64::try_from(value), u64::try_from(value)) {
            (Ok(value), _) => self.signed(value),
            (_, Ok(value)) => self.unsigned(value),
            _ => return Err(EncodeError::new("msgpack has no integers of more than 64 bits")),
        }
        Ok(())
    }

    fn serialize_u128(self, value: u128) -> Result {
        self.unsigned(u64::try_from(value).map_err(EncodeError::new)?);
        Ok(())
    }

    fn serialize_f32(self, value: f32) -> Result {
        self.serialize_f64(value.into())
    }

    fn serialize_f64(self, value: f64) -> Result {
        self.tagged(0xcb, value.to_be_bytes());
        Ok(())
    }

    fn serialize_bool(self, value: bool) -> Result {
        self.out.push(if value { 0xc3 } else { 0xc2 });
        Ok(())
    }

    fn serialize_char(self, value: char) -> Result {
        self.string(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, value: &str) -> Result {
        self.string(value)
    }

    fn serialize_bytes(self, value: &[u8]) -> Result {
        self.header(0, 0, [Some(0xc4), Some(0xc5), Some(0xc6)], value.len())?;
        self.raw(value);
        Ok(())
    }

    fn serialize_none(self) -> Result {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result {
        self.out.push(0xc0);
        Ok(())
    }

    fn serialize_unit_struct(self, _name: &'static str) -> Result {
        self.serialize_unit()
    }

    fn serialize_unit_variant(self, _name: &'static str, _index: u32, variant: &'static str) -> Result {
        self.string(variant)
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
        self.map(1)?;
        self.string(variant)?;
        value.serialize(self)
    }

    fn serialize_seq(self, length: Option<usize>) -> Result<Compound<'a, 'w>> {
        match length {
            Some(length) => self.serialize_tuple(length),
            None => Ok(Compound::unknown(self, 0xdd)),
        }
    }

    fn serialize_tuple(self, length: usize) -> Result<Compound<'a, 'w>> {
        if !std::mem::take(&mut self.spread) {
            self.array(length)?;
        }
        Ok(Compound::known(self, length))
    }

    fn serialize_tuple_struct(self, _name: &'static str, length: usize) -> Result<Compound<'a, 'w>> {
        self.serialize_tuple(length)
    }

    fn serialize_tuple_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        length: usize,
    ) -> Result<Compound<'a, 'w>> {
        self.map(1)?;
        self.string(variant)?;
        self.serialize_tuple(length)
    }

    fn serialize_map(self, length: Option<usize>) -> Result<Compound<'a, 'w>> {
        match length {
            Some(length) => self.serialize_struct("", length),
            None => Ok(Compound::unknown(self, 0xdf)),
        }
    }

    fn serialize_struct(self, _name: &'static str, length: usize) -> Result<Compound<'a, 'w>> {
        self.map(length)?;
        Ok(Compound::known(self, length))
    }

    fn serialize_struct_variant(
        self,
        name: &'static str,
        _index: u32,
        variant: &'static str,
        length: usize,
    ) -> Result<Compound<'a, 'w>> {
        self.map(1)?;
        self.string(variant)?;
        self.serialize_struct(name, length)
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
                self.finish()
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
        crate::key::write(key, |key| self.writer.string(key))
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result {
        self.element(value)
    }

    fn end(self) -> Result {
        self.finish()
    }
}

macro_rules! structs {
    ($($trait:ident,)*) => {
        $(impl ser::$trait for Compound<'_, '_> {
            type Ok = ();
            type Error = EncodeError;

            fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result {
                self.writer.string(key)?;
                self.element(value)
            }

            fn end(self) -> Result {
                self.finish()
            }
        })*
    };
}

structs! { SerializeStruct, SerializeStructVariant, }
