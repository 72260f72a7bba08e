//! JSON: checked by scanning, written and read by serde.                                                  [RFC 8259]
//!
//! Our own reader, because received JSON was scanned already, because bytes hide in it as placeholders, and because JS
//! may send what `String` cannot hold (a lone surrogate reads as U+FFFD).

pub(crate) mod scan;
mod text;
mod number;
pub(crate) mod placeholder;
pub(crate) mod ser;
pub(crate) mod de;

pub(crate) use text::unescape;
