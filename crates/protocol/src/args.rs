//! The arguments of an event or an acknowledgement.
//!
//! They stay as they were received until the handler's type is known, and are then read once into it:
//!
//! | type | arguments |
//! |---|---|
//! | a tuple, an array `[T; N]` | several |
//! | `()` | none |
//! | [`Raw`] | all of them, not decoded |
//! | anything else: struct, tuple struct, `Vec`, map, `Option`, newtype, … | one |
//!
//! Reading ignores surplus arguments; a missing trailing `Option` is `None`, anything else that is missing is an error.
//! Bytes (`bytes::Bytes`, `serde_bytes`) travel as attachments, wherever they stand in a value; a `Vec<u8>` is a list of
//! numbers.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{DecodeError, EncodeError};

mod form;
mod raw;
mod transcode;
mod last;
mod list;
pub(crate) mod ser;
mod de;

pub use form::{Args, OwnedArgs};
pub use list::List;
pub use raw::Raw;

pub(crate) use form::Form;

impl Args<'_> {
    /// Decodes into a type: a tuple takes several arguments, `()` none, anything else the first.
    ///
    /// # Errors
    /// The arguments are others than the type asks for.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, DecodeError> {
        de::decode(*self)
    }
}

impl OwnedArgs {
    /// Writes arguments as if they were to be sent, to be decoded here: what tests and other nodes begin with.
    ///
    /// # Errors
    /// The value cannot be sent.
    pub fn encode<A: Serialize + ?Sized>(args: &A) -> Result<Self, EncodeError> {
        list::collect(|writer| ser::write(args, writer))
    }
}
