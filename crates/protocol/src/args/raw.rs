//! All arguments, passed on, and how they pass through serde, whose data model has no word for them.
//!
//! Both sides meet in a slot of the thread: our serializer opens the slot and `Raw` puts its arguments in; our
//! deserializer fills it and `Raw` takes them out. Any other serializer finds the slot closed, which is the error.

use std::cell::RefCell;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, Visitor};
use serde::ser::{Error as _, Serialize, Serializer};

use super::form::{Args, OwnedArgs};

/// Arguments (all of them) which are passed on without being decoded, attachments included: as the type of a handler's
/// arguments and as what is emitted.
///
/// Only this crate can write and read it; other serializers and deserializers give an error, and so does a `Raw` inside
/// another value.
#[derive(Clone, Debug, Default)]
pub struct Raw(OwnedArgs);

impl Raw {
    /// The arguments, to decode them after all.
    pub fn as_args(&self) -> Args<'_> {
        self.0.as_args()
    }
}

impl From<OwnedArgs> for Raw {
    fn from(args: OwnedArgs) -> Self {
        Self(args)
    }
}

impl From<Raw> for OwnedArgs {
    fn from(raw: Raw) -> Self {
        raw.0
    }
}

/// Name by which our serializers know [`Raw`].
pub(crate) const TOKEN: &str = "$sockeye::Raw";

enum Slot {
    Closed,
    Open,
    Full(OwnedArgs),
}

thread_local! {
    static SLOT: RefCell<Slot> = const { RefCell::new(Slot::Closed) };
}

fn replace(slot: Slot) -> Slot {
    SLOT.with(|place| place.replace(slot))
}

/// The arguments in a value which is known to be a [`Raw`].
pub(crate) fn collect<A: Serialize + ?Sized>(raw: &A) -> Option<OwnedArgs> {
    replace(Slot::Open);
    let written = raw.serialize(serde_json::value::Serializer);
    match replace(Slot::Closed) {
        Slot::Full(args) if written.is_ok() => Some(args),
        _ => None,
    }
}

/// Gives arguments to the visitor of a [`Raw`].
pub(crate) fn give<'de, V: Visitor<'de>, E: serde::de::Error>(args: OwnedArgs, visitor: V) -> Result<V::Value, E> {
    replace(Slot::Full(args));
    let value = visitor.visit_unit();
    replace(Slot::Closed);
    value
}

/// What is inside the newtype struct that stands for [`Raw`].
struct Body<'a>(&'a OwnedArgs);

impl Serialize for Body<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let is_open = SLOT.with(|slot| matches!(*slot.borrow(), Slot::Open));
        if !is_open {
            return Err(S::Error::custom("Raw stands for all the arguments of an event, and for nothing else"));
        }
        replace(Slot::Full(self.0.clone()));
        serializer.serialize_unit()
    }
}

impl Serialize for Raw {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_newtype_struct(TOKEN, &Body(&self.0))
    }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Taker;

        impl Visitor<'_> for Taker {
            type Value = Raw;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("all the arguments of an event")
            }

            fn visit_unit<E: serde::de::Error>(self) -> Result<Raw, E> {
                match replace(Slot::Closed) {
                    Slot::Full(args) => Ok(Raw(args)),
                    _ => Err(E::custom("Raw stands for all the arguments of an event, and for nothing else")),
                }
            }
        }

        deserializer.deserialize_newtype_struct(TOKEN, Taker).map_err(D::Error::custom)
    }
}
