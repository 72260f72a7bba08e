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

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{DecodeError, EncodeError, json};

pub(crate) mod handover;
mod transcode;
pub(crate) mod ser;
mod de;

/// The arguments of an event or an ack as they were received: well-formed, not decoded yet.
#[derive(Clone, Copy)]
pub struct Args<'a>(pub(crate) Form<'a>);

/// The form in which arguments came.
#[derive(Clone, Copy)]
pub(crate) enum Form<'a> {
    /// Values with commas between them.
    Json { text: &'a str, attachments: &'a [Bytes] },
    /// `count` values one after the other.
    Msgpack { bytes: &'a [u8], count: usize },
}

impl<'a> Args<'a> {
    /// No arguments.
    pub const NONE: Args<'static> = Args(Form::Json { text: "", attachments: &[] });

    /// One empty object: what a client that sends no `auth` is taken to have sent.
    pub const EMPTY_OBJECT: Args<'static> = Args(Form::Json { text: "{}", attachments: &[] });

    /// Text which was checked: values with commas between them, and the attachments they name.
    pub(crate) fn json(text: &'a str, attachments: &'a [Bytes]) -> Self {
        Self(Form::Json { text, attachments })
    }

    /// Values which were checked, one after the other.
    pub(crate) fn msgpack(bytes: &'a [u8], count: usize) -> Self {
        Self(Form::Msgpack { bytes, count })
    }

    /// Decodes into a type: a tuple takes several arguments, `()` none, anything else the first.
    ///
    /// # Errors
    /// The arguments are others than the type asks for.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, DecodeError> {
        de::decode(*self)
    }

    /// Keeps the arguments beyond the transport's buffer. Copies the text; shares the attachments.
    pub fn to_owned(&self) -> OwnedArgs {
        OwnedArgs(match self.0 {
            Form::Json { text, attachments } => OwnedForm::Json {
                text: text.into(),
                attachments: (!attachments.is_empty()).then(|| attachments.into()),
            },
            Form::Msgpack { bytes, count } => OwnedForm::Msgpack { bytes: Bytes::copy_from_slice(bytes), count },
        })
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        match self.0 {
            Form::Json { text, .. } => text.is_empty(),
            Form::Msgpack { count, .. } => count == 0,
        }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        match self.0 {
            Form::Json { text, attachments } => {
                let mut reader = json::de::Reader::new(text, attachments);
                let mut count = 0;
                while reader.next_element(count == 0) && reader.skip().is_ok() {
                    count += 1;
                }
                count
            }
            Form::Msgpack { count, .. } => count,
        }
    }

    /// Bytes held, attachments included.
    pub fn size(&self) -> usize {
        match self.0 {
            Form::Json { text, attachments } => text.len() + attachments.iter().map(Bytes::len).sum::<usize>(),
            Form::Msgpack { bytes, .. } => bytes.len(),
        }
    }
}

impl fmt::Debug for Args<'_> {
    /// The size only: payloads do not belong into logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Args({} bytes)", self.size())
    }
}

/// Arguments on their own. Cheap to clone.
#[derive(Clone)]
pub struct OwnedArgs(OwnedForm);

#[derive(Clone)]
enum OwnedForm {
    Json { text: Arc<str>, attachments: Option<Arc<[Bytes]>> },
    Msgpack { bytes: Bytes, count: usize },
}

impl OwnedArgs {
    /// Writes arguments as if they were to be sent, to be decoded here: what tests and other nodes begin with.
    ///
    /// # Errors
    /// The value cannot be sent.
    pub fn encode<A: Serialize + ?Sized>(args: &A) -> Result<Self, EncodeError> {
        let mut text = Vec::new();
        let mut attachments = Vec::new();
        let mut attach = |bytes: &[u8]| {
            attachments.push(Bytes::copy_from_slice(bytes));
            attachments.len() - 1
        };
        ser::write(args, &mut json::ser::Writer::new(&mut text, &mut attach))?;
        let text = String::from_utf8(text).map_err(EncodeError::new)?;
        // Arguments follow the event's name, so they begin with a comma.
        let text = text.strip_prefix(',').unwrap_or_default();
        Ok(Args::json(text, &attachments).to_owned())
    }

    /// To read them.
    pub fn as_args(&self) -> Args<'_> {
        Args(match &self.0 {
            OwnedForm::Json { text, attachments } => {
                Form::Json { text, attachments: attachments.as_deref().unwrap_or_default() }
            }
            OwnedForm::Msgpack { bytes, count } => Form::Msgpack { bytes, count: *count },
        })
    }
}

impl Default for OwnedArgs {
    fn default() -> Self {
        Args::NONE.to_owned()
    }
}

impl fmt::Debug for OwnedArgs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_args().fmt(f)
    }
}

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
