//! serde → arguments: which values are several arguments, which are none, which are one.

use std::fmt;

use serde::ser::{self, Impossible, Serialize, Serializer};

use super::form::{Args, Form, OwnedArgs};
use super::raw::{self, TOKEN};
use super::transcode::transcode;
use crate::{EncodeError, json, msgpack};

/// What a value is as arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    None,
    One,
    Raw,
    Several(usize),
}

/// Finds out without writing anything: the first call of a value's `Serialize` tells.
///
/// `()` takes no room, or is behind pointers. What else says it is a unit is a `null` that was only found out at run
/// time, such as `serde_json::Value::Null`, and as much an argument as any other value of its type.
pub(crate) fn shape<A: Serialize + ?Sized>(args: &A) -> Shape {
    match args.serialize(Probe) {
        Ok(never) => match never {},
        Err(Shape::None) if size_of_val(args) > 0 && !is_unit::<A>() => Shape::One,
        Err(shape) => shape,
    }
}

/// Whether `A` is `()`, behind pointers or not. To serde a pointer is what it points at, so `&()` and `&Value::Null` look
/// the same; their names do not. Of a pointer that is not known here, `()` is one `null`.
fn is_unit<A: ?Sized>() -> bool {
    let mut name = std::any::type_name::<A>().trim_end_matches('>');
    while let Some(inner) = POINTERS.iter().find_map(|pointer| name.strip_prefix(pointer)) {
        name = inner;
    }
    name == "()"
}

/// How the names of pointers begin.
const POINTERS: [&str; 5] = ["&mut ", "&", "alloc::boxed::Box<", "alloc::rc::Rc<", "alloc::sync::Arc<"];

/// Appends arguments to a JSON array which is not closed yet and has an element already: each begins with a comma.
pub(crate) fn write<A: Serialize + ?Sized>(args: &A, writer: &mut json::ser::Writer<'_>) -> Result<(), EncodeError> {
    match shape(args) {
        Shape::None | Shape::Several(0) => Ok(()),
        Shape::One => {
            writer.raw(",");
            args.serialize(writer)
        }
        Shape::Several(_) => {
            writer.raw(",");
            writer.spread(args)
        }
        Shape::Raw => write_raw(collect(args)?.as_args(), writer),
    }
}

/// Writes a list of arguments, the event's name before them, and `last` behind them.
pub(crate) fn write_msgpack<A: Serialize + ?Sized>(
    name: Option<&str>,
    args: &A,
    last: Option<&str>,
    writer: &mut msgpack::ser::Writer<'_>,
) -> Result<(), EncodeError> {
    let shape = shape(args);
    let raw = if shape == Shape::Raw { Some(collect(args)?) } else { None };
    let count = match (shape, &raw) {
        (Shape::One, _) => 1,
        (Shape::Several(count), _) => count,
        (_, Some(raw)) => raw.as_args().count(),
        _ => 0,
    };
    writer.array(count + usize::from(name.is_some()) + usize::from(last.is_some()))?;
    if let Some(name) = name {
        writer.string(name)?;
    }
    match (shape, &raw) {
        (Shape::One, _) => args.serialize(&mut *writer),
        (Shape::Several(_), _) => writer.spread(args),
        (_, Some(raw)) => write_raw_msgpack(raw.as_args(), writer),
        _ => Ok(()),
    }?;
    last.map_or(Ok(()), |last| writer.string(last))
}

fn write_raw_msgpack(args: Args<'_>, writer: &mut msgpack::ser::Writer<'_>) -> Result<(), EncodeError> {
    match args.0 {
        Form::Msgpack { bytes, .. } => writer.raw(bytes),
        Form::Json { text, attachments } => {
            let mut reader = json::de::Reader::new(text, attachments);
            let mut first = true;
            while reader.next_element(std::mem::take(&mut first)) {
                transcode(&mut reader, &mut *writer)?;
            }
        }
    }
    Ok(())
}

/// The arguments of a value whose shape is [`Shape::Raw`].
pub(crate) fn collect<A: Serialize + ?Sized>(args: &A) -> Result<OwnedArgs, EncodeError> {
    raw::collect(args).ok_or_else(|| EncodeError::new("not the arguments of an event"))
}

fn write_raw(args: Args<'_>, writer: &mut json::ser::Writer<'_>) -> Result<(), EncodeError> {
    match args.0 {
        _ if args.is_empty() => Ok(()),
        Form::Json { text, attachments } => {
            writer.raw(",");
            writer.raw(text);
            for bytes in attachments {
                writer.keep(bytes);
            }
            Ok(())
        }
        Form::Msgpack { bytes, .. } => {
            let mut reader = msgpack::de::Reader::new(bytes);
            while !reader.is_at_end() {
                writer.raw(",");
                transcode(&mut reader, &mut *writer)?;
            }
            Ok(())
        }
    }
}

/// Serializes nothing; each of its methods fails with the shape it stands for.
struct Probe;

/// No value.
enum Never {}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl std::error::Error for Shape {}

impl ser::Error for Shape {
    /// A value which fails before it says what it is fails again when it is written, and is reported then.
    fn custom<T: fmt::Display>(_message: T) -> Self {
        Self::One
    }
}

macro_rules! shapes {
    ($($method:ident($($argument:ty),*) -> $ok:ty = $shape:expr;)*) => {
        $(fn $method(self, $(_: $argument),*) -> Result<$ok, Shape> {
            Err($shape)
        })*
    };
}

type Compound = Impossible<Never, Shape>;

impl Serializer for Probe {
    type Ok = Never;
    type Error = Shape;
    type SerializeSeq = Compound;
    type SerializeTuple = Compound;
    type SerializeTupleStruct = Compound;
    type SerializeTupleVariant = Compound;
    type SerializeMap = Compound;
    type SerializeStruct = Compound;
    type SerializeStructVariant = Compound;

    shapes! {
        serialize_bool(bool) -> Never = Shape::One;
        serialize_i8(i8) -> Never = Shape::One;
        serialize_i16(i16) -> Never = Shape::One;
        serialize_i32(i32) -> Never = Shape::One;
        serialize_i64(i64) -> Never = Shape::One;
        serialize_i128(i128) -> Never = Shape::One;
        serialize_u8(u8) -> Never = Shape::One;
        serialize_u16(u16) -> Never = Shape::One;
        serialize_u32(u32) -> Never = Shape::One;
        serialize_u64(u64) -> Never = Shape::One;
        serialize_u128(u128) -> Never = Shape::One;
        serialize_f32(f32) -> Never = Shape::One;
        serialize_f64(f64) -> Never = Shape::One;
        serialize_char(char) -> Never = Shape::One;
        serialize_str(&str) -> Never = Shape::One;
        serialize_bytes(&[u8]) -> Never = Shape::One;
        serialize_none() -> Never = Shape::One;
        serialize_unit() -> Never = Shape::None;
        serialize_unit_struct(&'static str) -> Never = Shape::One;
        serialize_unit_variant(&'static str, u32, &'static str) -> Never = Shape::One;
        serialize_seq(Option<usize>) -> Compound = Shape::One;
        serialize_tuple_struct(&'static str, usize) -> Compound = Shape::One;
        serialize_tuple_variant(&'static str, u32, &'static str, usize) -> Compound = Shape::One;
        serialize_map(Option<usize>) -> Compound = Shape::One;
        serialize_struct(&'static str, usize) -> Compound = Shape::One;
        serialize_struct_variant(&'static str, u32, &'static str, usize) -> Compound = Shape::One;
    }

    fn serialize_tuple(self, length: usize) -> Result<Compound, Shape> {
        Err(Shape::Several(length))
    }

    fn serialize_some<T: Serialize + ?Sized>(self, _: &T) -> Result<Never, Shape> {
        Err(Shape::One)
    }

    fn collect_str<T: fmt::Display + ?Sized>(self, _: &T) -> Result<Never, Shape> {
        Err(Shape::One)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, name: &'static str, _: &T) -> Result<Never, Shape> {
        Err(if name == TOKEN { Shape::Raw } else { Shape::One })
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<Never, Shape> {
        Err(Shape::One)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Serialize;

    use super::*;

    #[derive(Serialize)]
    struct Pair(u8, u8);
    #[derive(Serialize)]
    struct New((u8, u8));
    #[derive(Serialize)]
    struct Unit;

    #[test]
    fn tuples_are_several_and_unit_is_none() {
        assert_eq!(shape(&()), Shape::None);
        assert_eq!(shape(&(1, "a")), Shape::Several(2));
        assert_eq!(shape(&&Box::new((1,))), Shape::Several(1));
        assert_eq!(shape(&[1.5; 3]), Shape::Several(3));
        assert_eq!(shape(&[0; 0]), Shape::Several(0));
        assert_eq!(shape(&super::super::raw::Raw::default()), Shape::Raw);
    }

    #[test]
    fn unit_behind_pointers_is_none_and_null_is_one() {
        assert_eq!(shape(&&()), Shape::None);
        assert_eq!(shape(&&mut &()), Shape::None);
        assert_eq!(shape(&Box::new(())), Shape::None);
        assert_eq!(shape(&&Box::new(&())), Shape::None);
        assert!(is_unit::<std::sync::Arc<std::rc::Rc<()>>>());
        let null = serde_json::Value::Null;
        assert_eq!(shape(&null), Shape::One);
        assert_eq!(shape(&&null), Shape::One);
        assert_eq!(shape(&Box::new(&null)), Shape::One);
        assert_eq!(shape(&&None::<()>), Shape::One);
        assert_eq!(shape(&&Some(())), Shape::One);
    }

    #[test]
    fn anything_else_is_one() {
        assert_eq!(shape("a"), Shape::One);
        assert_eq!(shape(&Pair(1, 2)), Shape::One);
        assert_eq!(shape(&New((1, 2))), Shape::One);
        assert_eq!(shape(&Unit), Shape::One);
        assert_eq!(shape(&Some((1, 2))), Shape::One);
        assert_eq!(shape(&None::<(u8, u8)>), Shape::One);
        assert_eq!(shape(&vec![1]), Shape::One);
        assert_eq!(shape(&[1][..]), Shape::One);
        assert_eq!(shape(&BTreeMap::from([(1, 2)])), Shape::One);
        assert_eq!(shape(&std::net::Ipv4Addr::LOCALHOST), Shape::One);
    }
}
