//! Arguments as they were received.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::json;
use crate::msgpack::cursor::{Cursor, Token};

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

    /// Keeps the arguments beyond the transport's buffer. Copies the text; shares the attachments.
    pub fn to_owned(&self) -> OwnedArgs {
        OwnedArgs(match self.0 {
            Form::Json { text, attachments } => OwnedForm::Json {
                // Most sockets bring no `auth`, and keep that for ever: the empty default takes no memory.
                text: if text.is_empty() { Arc::default() } else { text.into() },
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

    /// Whether there is one, an object.
    pub(crate) fn is_object(&self) -> bool {
        let is_object = match self.0 {
            Form::Json { text, .. } => text.trim_start().starts_with('{'),
            Form::Msgpack { bytes, .. } => matches!(Cursor::new(bytes).token(), Some(Token::Map(_))),
        };
        is_object && self.count() == 1
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
pub struct OwnedArgs(pub(super) OwnedForm);

#[derive(Clone)]
pub(super) enum OwnedForm {
    Json { text: Arc<str>, attachments: Option<Arc<[Bytes]>> },
    Msgpack { bytes: Bytes, count: usize },
}

impl OwnedArgs {
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
